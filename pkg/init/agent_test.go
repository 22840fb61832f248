package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func wholeFrame(t testing.TB, kind byte, payload string) []byte {
	t.Helper()
	data, err := encodeFrame(kind, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// parsed lists frames as text, of bytes that come in parts of a size.
func parsed(data []byte, size int) []string {
	var parser frameParser
	var found []string
	for len(data) > 0 {
		part := data
		if len(part) > size {
			part = part[:size]
		}
		parser.feed(part, func(kind byte, payload []byte) {
			found = append(found, fmt.Sprintf("%x:%s", kind, payload))
		})
		data = data[len(part):]
	}
	return found
}

func TestFrames(t *testing.T) {
	zeros := string(make([]byte, largestFrame))
	reset := make([]byte, resetLength)
	hello, input := wholeFrame(t, frameHello, "a"), wholeFrame(t, frameInput, zeros)
	smuggled := wholeFrame(t, frameInput, strings.Repeat("x", 64)+string(hello))
	for name, one := range map[string]struct {
		data []byte
		want []string
	}{
		"two":                 {join(hello, wholeFrame(t, frameInput, "")), []string{"1:a", "3:"}},
		"padding":             {join([]byte{0, 0, 0}, hello, []byte{0}, hello), []string{"1:a", "1:a"}},
		"zeros are data":      {join(input, input, hello), []string{"3:" + zeros, "3:" + zeros, "1:a"}},
		"half a frame":        {join(smuggled[:len(smuggled)-1], reset, hello), []string{"ff:", "0:", "1:a"}},
		"a header":            {join(input[:3], reset, hello), []string{"ff:", "0:", "1:a"}},
		"too long":            {join([]byte{3, 0, 64, 1, 0, 0, 0, 0}, hello, reset, hello), []string{"ff:", "0:", "1:a"}},
		"damage hides frames": {join([]byte{3, 0, 0, 9, 1, 1, 1, 1}, hello, hello), []string{"ff:"}},
	} {
		for _, size := range []int{1, 7, 4096, 1 << 20} {
			if got := parsed(one.data, size); strings.Join(got, "|") != strings.Join(one.want, "|") {
				t.Errorf("%s in parts of %d: %.200q", name, size, got)
			}
		}
	}
	if _, err := encodeFrame(frameInput, make([]byte, largestFrame+1)); err == nil {
		t.Error("a frame that is too long was made")
	}
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func FuzzFrames(f *testing.F) {
	f.Add([]byte{}, []byte("abc"), 3)
	f.Add(wholeFrame(f, frameInput, "abc"), []byte{0, 0}, 1)
	f.Add([]byte{3, 0, 64, 0, 0, 0, 0, 0}, []byte{}, 100)
	f.Fuzz(func(t *testing.T, before, payload []byte, size int) {
		if size < 1 || len(payload) > largestFrame {
			return
		}
		whole := parsed(before, 1<<20)
		if cut := parsed(before, size); strings.Join(whole, "|") != strings.Join(cut, "|") {
			t.Fatalf("%q and %q", whole, cut)
		}
		// Whatever came before, a reset and a frame are understood.
		frame, err := encodeFrame(frameHello, payload)
		if err != nil {
			t.Fatal(err)
		}
		all := parsed(join(before, make([]byte, resetLength), frame), 4096)
		if want := fmt.Sprintf("1:%s", payload); len(all) < 2 || all[len(all)-1] != want || all[len(all)-2] != "0:" {
			t.Fatalf("%q at the end, not %q", all, want)
		}
	})
}

// fakeEngine runs commands on this machine, as a runtime does in a container.
type fakeEngine struct{ program string }

func (fakeEngine) launch(bundle, runtimeSpec, *containerLog) (*container, error) {
	return nil, os.ErrInvalid
}
func (fakeEngine) kill(*container, syscall.Signal) {}
func (fakeEngine) forget(bundle)                   {}
func (e fakeEngine) execCommand(_ bundle, words []string, options ...string) []string {
	return append(append([]string{e.program}, options...), words...)
}

// The runtime: it leaves its command behind and says its number.
const fakeRuntime = `#!/bin/sh
while [ "$1" = --env ]; do shift 2; done
[ "$1" = --detach ] || exit 9
shift; [ "$1" = --pid-file ] || exit 9
file=$2; shift 2
[ "$1" != missing ] || { echo "executable file missing not found" >&2; exit 1; }
[ "$1" != closed ] || { echo "open closed: Permission denied" >&2; exit 1; }
exec 3<&0
setsid "$@" <&3 3<&- & echo $! > $file
`

// agentHost is the other side of a port.
type agentHost struct {
	t      *testing.T
	socket *os.File
	parser frameParser
	lock   sync.Mutex
	frames []string
	came   chan struct{}
}

func newAgentHost(t *testing.T, s *system) *agentHost {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	port := &agentPort{system: s, file: os.NewFile(uintptr(pair[0]), "port")}
	host := &agentHost{t: t, socket: os.NewFile(uintptr(pair[1]), "host"), came: make(chan struct{}, 1)}
	go port.serve()
	go host.read()
	t.Cleanup(func() {
		host.socket.Close()
		port.begin(nil)
	})
	return host
}

func (h *agentHost) read() {
	buffer := make([]byte, 64<<10)
	for {
		n, err := h.socket.Read(buffer)
		h.lock.Lock()
		h.parser.feed(buffer[:n], func(kind byte, payload []byte) {
			h.frames = append(h.frames, fmt.Sprintf("%x:%s", kind, payload))
		})
		h.lock.Unlock()
		offer(h.came, struct{}{})
		if err != nil {
			return
		}
	}
}

func (h *agentHost) send(kind byte, payload string) {
	h.t.Helper()
	if _, err := h.socket.Write(wholeFrame(h.t, kind, payload)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *agentHost) ask(r agentRequest) {
	h.t.Helper()
	_, _ = h.socket.Write(make([]byte, resetLength))
	h.send(frameHello, `{"protocol":1,"nonce":"n"}`)
	data, _ := json.Marshal(r)
	h.send(frameRequest, string(data))
}

// all returns what is in the frames of a kind.
func (h *agentHost) all(kind byte) string {
	h.lock.Lock()
	defer h.lock.Unlock()
	text := ""
	for _, one := range h.frames {
		if rest := strings.TrimPrefix(one, fmt.Sprintf("%x:", kind)); rest != one {
			text += rest
		}
	}
	return text
}

// expect waits for a text in the frames of a kind.
func (h *agentHost) expect(kind byte, text string) {
	h.t.Helper()
	late := time.After(20 * time.Second)
	for !strings.Contains(h.all(kind), text) {
		select {
		case <-h.came:
		case <-late:
			h.t.Fatalf("no %q in frames of kind %x: %q", text, kind, h.frames)
		}
	}
}

func agentSystem(t *testing.T) (*system, *service) {
	t.Helper()
	directory := t.TempDir()
	runtime := filepath.Join(directory, "runtime")
	if err := os.WriteFile(runtime, []byte(fakeRuntime), 0o755); err != nil {
		t.Fatal(err)
	}
	if os.MkdirAll("/run/init", 0o755) != nil {
		t.Skip("/run/init cannot be made")
	}
	s := newSystem(options{})
	s.engine = fakeEngine{runtime}
	one := &service{bundle: bundle{kind: "services", name: "web"}, log: newLog(filepath.Join(directory, "web.log"), "")}
	one.container = &container{pid: 1}
	s.services = append(s.services, one)
	return s, one
}

func TestAgent(t *testing.T) {
	// In a process of its own, as the reaper would take the children of other tests, too.
	const own = "DOLMEN_TEST_AGENT"
	if os.Getenv(own) == "" {
		again := exec.Command("/proc/self/exe", "-test.run=^TestAgent$", "-test.timeout=2m")
		again.Env = append(os.Environ(), own+"=1")
		if said, err := again.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		return
	}
	// Commands that a runtime has left behind become our children.
	const becomeReaper = 36
	if _, _, code := syscall.Syscall(syscall.SYS_PRCTL, becomeReaper, 1, 0); code != 0 {
		t.Skip(code)
	}
	s, one := agentSystem(t)
	go s.reaper.run()

	host := newAgentHost(t, s)
	host.ask(agentRequest{Do: "exec", Service: "web", Input: true,
		Command: []string{"sh", "-c", "cat; echo errors >&2; exit 7"}})
	host.expect(frameHello, `"nonce":"n"`)
	host.send(frameInput, "some ")
	host.send(frameInput, "text\n")
	host.send(frameInput, "")
	host.expect(frameEnd, `{"status":7}`)
	if host.all(frameOutput) != "some text\n" || host.all(frameErrors) != "errors\n" {
		t.Errorf("%q", host.frames)
	}
	if got := host.all(frameCredit); got != "\x00\x00\x00\x05\x00\x00\x00\x05" {
		t.Errorf("%q was used", got)
	}

	// The same port has one session after the other; several ports work at once.
	other := newAgentHost(t, s)
	other.ask(agentRequest{Do: "exec", Service: "web", Command: []string{"sh", "-c", "trap 'exit 4' USR1; echo ready; while :; do sleep 0.1; done"}})
	other.expect(frameOutput, "ready")
	host.frames = nil
	host.ask(agentRequest{Do: "exec", Service: "web", Command: []string{"missing"}})
	host.expect(frameEnd, `{"status":127,"error":"executable file missing not found"}`)
	other.send(frameSignal, "\x0a")
	other.expect(frameEnd, `{"status":4}`)

	host.frames = nil
	host.ask(agentRequest{Do: "exec", Service: "web", Command: []string{"closed"}})
	host.expect(frameEnd, `{"status":126,"error":"open closed: Permission denied"}`)

	// `service exec` has the same status.
	for status, command := range map[int][]string{7: {"sh", "-c", "exit 7"}, 1: {"false"}, 127: {"missing"}, 137: {"sh", "-c", "kill -9 $$"}} {
		if got := s.perform(call{append([]string{"exec", "web"}, command...), []*os.File{s.null, s.null, s.null}}); got != status {
			t.Errorf("%q: %d", command, got)
		}
	}

	// Large output arrives whole.
	host.frames = nil
	host.ask(agentRequest{Do: "exec", Service: "web", Command: []string{"sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"}})
	host.expect(frameEnd, `{"status":0}`)
	if got := len(host.all(frameOutput)); got != 1000000 {
		t.Errorf("%d bytes", got)
	}

	// A host that goes takes its command with it.
	mark := filepath.Join(t.TempDir(), "pid")
	other.frames = nil
	other.ask(agentRequest{Do: "exec", Service: "web", Command: []string{"sh", "-c", "echo $$ >" + mark + "; echo ready; exec sleep 1000"}})
	other.expect(frameOutput, "ready")
	pid, err := readPid(mark)
	if err != nil {
		t.Fatal(err)
	}
	other.socket.Close()
	for end := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the command still runs")
		}
	}

	// Who sends more than was allowed is stopped.
	greedy := newAgentHost(t, s)
	greedy.ask(agentRequest{Do: "exec", Service: "web", Input: true, Command: []string{"sleep", "1000"}})
	greedy.expect(frameStarted, "")
	for i := 0; i < 12; i++ {
		greedy.send(frameInput, strings.Repeat("x", largestFrame))
	}
	greedy.expect(frameEnd, "more input than was allowed")
	greedy.socket.Close()

	for request, want := range map[string]agentRequest{
		`"error":"web does not run: stopped  "`:               {Do: "exec", Service: "web", Command: []string{"true"}},
		`"error":"there is no service nginx; services: none"`: {Do: "logs", Service: "nginx", Follow: true},
		`"error":"the agent does not know \"reboot\""`:        {Do: "reboot"},
		`"error":"there is no service ../x; services: none"`:  {Do: "logs", Service: "../x"},
	} {
		one.lock.Lock()
		one.container = nil
		one.lock.Unlock()
		host.frames = nil
		host.ask(want)
		host.expect(frameEnd, request)
	}
	host.frames = nil
	host.ask(agentRequest{Do: "services"})
	host.expect(frameOutput, `{"name":"web","state":"stopped  "}`)
}

func TestAgentFollowsLogs(t *testing.T) {
	s, one := agentSystem(t)
	one.log.add([]byte("before\n"))
	host := newAgentHost(t, s)
	host.ask(agentRequest{Do: "logs", Service: "web", Follow: true})
	host.expect(frameOutput, "before\n")
	one.log.add([]byte("after\n"))
	host.expect(frameOutput, "before\nafter\n")
	// A new hello ends the following.
	host.frames = nil
	host.ask(agentRequest{Do: "services"})
	host.expect(frameEnd, `{"status":0}`)
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		one.log.lock.Lock()
		left := len(one.log.watchers)
		one.log.lock.Unlock()
		if left == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the log is still followed")
		}
	}
}

func TestAgentFollowsMemory(t *testing.T) {
	m := newMemlog(10, 100)
	m.add("web", "one")
	m.add("other", "two")
	reading, writing := net.Pipe()
	done := make(chan struct{})
	over := make(chan struct{})
	go func() {
		m.follow(writing, "web", done)
		close(over)
	}()
	buffer := make([]byte, 100)
	n, _ := reading.Read(buffer)
	m.add("web", "three")
	rest, _ := reading.Read(buffer[n:])
	if got := string(buffer[:n+rest]); got != "one\nthree\n" {
		t.Errorf("%q", got)
	}
	close(done)
	<-over
}

func TestEnvironmentOfCommands(t *testing.T) {
	t.Setenv("PATH", "/here")
	for _, one := range []struct {
		variables, terminal, want string
	}{
		{"PATH=/a A=b", "", ""},
		{"A=b", "", "--env A=b --env PATH=/here"},
		{"PATH=/a TERM=old", "xterm-256color", "--env PATH=/a --env TERM=xterm-256color"},
		{"", "vt100", "--env PATH=/here --env TERM=vt100"},
		{"PATH=/a TERM=old", "bad\nname", ""},
	} {
		got := strings.Join(environmentOptions(strings.Fields(one.variables), one.terminal), " ")
		if got != one.want {
			t.Errorf("%+v: %q", one, got)
		}
	}
}
