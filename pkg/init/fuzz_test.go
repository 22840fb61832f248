package main

// Whatever the kernel, an image, a disk, the host or a container gives to init, init goes on: a panic
// of the first process is one of the kernel.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func FuzzCommandLine(f *testing.F) {
	f.Add("console=ttyS0 dolmen.onboot=stop dolmen.agent linuxkit.runc_debug=0 panic=-1")
	f.Add("root=LABEL=x=y rw rootdelay=2 rootwait=5 rootfstype=erofs,ext4 rootflags=a,b init=/x")
	f.Add("rootdelay=99999999999999999999 rootwait=-1")
	f.Fuzz(func(t *testing.T, line string) {
		parseOptions(line)
		if o := parseRootOptions(line); len(o.programs) == 0 {
			t.Error("no program is left")
		}
		// The last word counts.
		more := line + " dolmen.hostname=last root=/dev/last rootwait=7 panic"
		if o := parseOptions(more); o.hostname != "last" {
			t.Errorf("%+v", o)
		}
		if o := parseRootOptions(more); o.device != "/dev/last" || o.patience != 7*time.Second {
			t.Errorf("%+v", o)
		}
		if !hasOption(more, "panic") {
			t.Error("panic is not found")
		}
	})
}

func FuzzBundle(f *testing.F) {
	f.Add([]byte(`{"process": {"args": ["/x"], "env": ["A=b"]}, "annotations": {"dolmen.stop-timeout": "3s"}}`),
		[]byte(`{"mounts": [{"destination": "/a", "options": ["rbind", "ro"]}], "bindNS": {"net": "/run/n"}}`))
	f.Add([]byte(`{"root": {"path": "/r"}, "hooks": {"createRuntime": [{}]}}`), []byte(`{"interfaces": [{"name": "a", "peer": "b"}]}`))
	f.Add([]byte("null"), []byte("null"))
	f.Add([]byte(`{"root": 5, "hooks": []}`), []byte(`{"mkdir": 5}`))
	f.Fuzz(func(t *testing.T, config, runtime []byte) {
		b := bundle{"services", "web", t.TempDir()}
		write(t, b.directory+"/config.json", string(config))
		write(t, b.directory+"/runtime.json", string(runtime))
		spec, _ := b.runtimeSpec()
		for _, m := range spec.Mounts {
			m.parse()
		}
		for _, i := range spec.Interfaces {
			if message := newInterface(i.Name, i.kind(), i.Peer); len(i.Name+i.Add+i.Peer) < 1000 && int(order.Uint32(message)) != len(message) {
				t.Errorf("%d bytes, of %d", len(message), order.Uint32(message))
			}
		}
		wanted, _ := b.containerSpec()
		if wanted.stopTimeout(time.Second) < 0 {
			t.Error("a timeout below zero")
		}
		wanted.restarts(true)
		environmentOptions(wanted.Process.Env, "xterm")
		path := b.directory + "/given.json"
		if writeContainerdSpec(b, spec, path) != nil {
			return
		}
		var given struct{ Root struct{ Path string } }
		if err := readJSON(path, &given); err != nil || !filepath.IsAbs(given.Root.Path) {
			t.Errorf("%v: %+v", err, given)
		}
	})
}

// matchesSlowly is what a pattern means, in the simplest way.
func matchesSlowly(pattern, text string) bool {
	if pattern == "" {
		return text == ""
	}
	if pattern[0] == '*' {
		return matchesSlowly(pattern[1:], text) || (text != "" && matchesSlowly(pattern, text[1:]))
	}
	if text == "" {
		return false
	}
	length := matchOne(pattern, text[0])
	return length > 0 && matchesSlowly(pattern[length:], text[1:])
}

func FuzzPatterns(f *testing.F) {
	f.Add("pci:v*d*sv*bc01sc06i01*", "pci:v00008086d00002922sv0bc01sc06i01")
	f.Add("[!a-c]x?[]-]", "dxy-")
	f.Add("a*b*[", "aXbYbZ")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		quick := matches(pattern, text)
		if len(pattern) > 30 || len(text) > 30 || strings.Count(pattern, "*") > 4 {
			return
		}
		if quick != matchesSlowly(pattern, text) {
			t.Errorf("%q of %q: %v", text, pattern, quick)
		}
	})
}

func FuzzModules(f *testing.F) {
	f.Add("a.ko.xz: b.ko\nb.ko:\n", "alias virtio:d1* a\nalias *odd* b\nalias fs-over a\n", "softdep a pre: b post: c\n", "virtio:d1v2")
	f.Add("a.ko: a.ko\n", "", "", "a")
	f.Add("a.ko: b.ko\nb.ko: a.ko\n", "", "", "b")
	f.Add("kernel/a-b.ko: c.ko\n", "alias a_b-[a-c] a-b\n", "softdep c pre: a-b\n", "a-b_b")
	f.Fuzz(func(t *testing.T, needs, aliases, softNeeds, name string) {
		directory := t.TempDir()
		write(t, directory+"/modules.dep", needs)
		write(t, directory+"/modules.alias", aliases)
		write(t, directory+"/modules.softdep", softNeeds)
		index := readModules(directory)
		var lock sync.Mutex
		given := map[string]int{}
		index.give = func(path, _ string) error {
			lock.Lock()
			defer lock.Unlock()
			given[path]++
			return nil
		}
		// An index of aliases finds what a look at all of them finds.
		if plain := strings.ReplaceAll(name, "-", "_"); index.files[plain] == "" {
			all := map[string]bool{}
			for _, some := range index.aliases {
				for _, a := range some {
					if matches(a.pattern, name) {
						all[strings.ReplaceAll(a.module, "-", "_")] = true
					}
				}
			}
			for _, found := range index.named(name) {
				delete(all, found)
			}
			if len(all) > 0 {
				t.Errorf("%q is not found as %v", name, all)
			}
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = index.load(name, "")
		}()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatal("the loading waits for itself")
		}
		for path, count := range given {
			if count > 1 {
				t.Errorf("%s was loaded %d times", path, count)
			}
		}
	})
}

func FuzzUevent(f *testing.F) {
	f.Add([]byte("add@/devices/x\x00ACTION=add\x00MODALIAS=virtio:d1v2\x00DEVNAME=input/event3\x00"))
	f.Add([]byte("libudev\x00\xfe\xed\xca\xfe=\x00=\x00"))
	f.Fuzz(func(t *testing.T, message []byte) {
		found := parseUevent(append(message, "\x00ACTION=last\x00"...))
		if found["ACTION"] != "last" {
			t.Errorf("%q", found)
		}
		for name, value := range found {
			if strings.Contains(name, "=") || strings.Contains(name+value, "\x00") {
				t.Errorf("%q", found)
			}
		}
	})
}

func FuzzDisk(f *testing.F) {
	for at, magic := range map[int]string{0: "hsqs", 1024: "\xe2\xe1\xf5\xe0", 1080: "\x53\xef", 510: "\x55\xaa"} {
		data := make([]byte, 2048)
		copy(data[at:], magic)
		f.Add(data, 1, int64(512))
	}
	table := make([]byte, 2048)
	copy(table[512:], "EFI PART")
	table[512+72], table[512+80], table[512+84] = 2, 4, 128
	copy(table[1024+16:], "0123456789abcdef")
	copy(table[1024+56:], "r\x00o\x00o\x00t\x00")
	f.Add(table, 1, int64(512))
	f.Fuzz(func(t *testing.T, data []byte, number int, block int64) {
		// As it is, and as it is read from a device.
		padded := append(append([]byte(nil), data...), make([]byte, superblockReach)...)
		for _, one := range [][]byte{data, padded[:superblockReach]} {
			if found := parseSuperblock(one); strings.Contains(found.label, "\x00") || (found.kind == "" && found != superblock{}) {
				t.Errorf("%+v", found)
			}
		}
		if block < 512 || block > 1<<16 {
			block = 512
		}
		if id, label := tableNames(bytes.NewReader(data), number, block, int64(len(data))); strings.Contains(label, "\x00") || (id == "" && label != "") {
			t.Errorf("%q %q", id, label)
		}
	})
}

func FuzzTables(f *testing.F) {
	f.Add("rootfs / rootfs rw 0 0\ntmpfs /run tmpfs rw 0 0\n/dev/vda /var/my\\040disk ext4 rw 0 0\n")
	f.Add("Filename\tType\n/var/my\\040data/swap file 65532\n")
	f.Add("NSpid:\t200\t1\nSigBlk:\tffffffffffffffffff\nSigCgt:\t0000000000004000\n")
	f.Add("<0>[1.1] Initramfs unpacking failed: write error\n<6>[1.2] Freeing initrd memory: 12288K\n")
	f.Add("# few\nmax-lines 7\nmax-line-len 99999999999999999999\n")
	f.Add("task x exit with non-zero exit code 99999999999999999999")
	f.Fuzz(func(t *testing.T, text string) {
		for _, target := range unmountOrder(text) {
			if target == "" || target == "/" {
				t.Errorf("%q is unmounted", target)
			}
		}
		swapsIn(text)
		losesSignal(text, syscall.SIGTERM)
		parseUnpacking([]byte(text))
		if count, longest, _ := readMemlogSettings(text); count < 1 || longest < 1 || count > largestMemlog || longest > largestMemlog {
			t.Errorf("%d lines of %d", count, longest)
		}
		if status := exitStatus(exitCode(text, 0)); status.Exited() == status.Signaled() {
			t.Errorf("%v", status)
		}
		path := t.TempDir() + "/options"
		write(t, path, text)
		commandLineOptions(path)
		firstLine(path)
	})
}

func FuzzWhatARuntimeSaid(f *testing.F) {
	f.Add([]byte("2026-01-02T03:04:05.6Z: \x1b[31mno such file\x1b[0m\n"))
	f.Add([]byte("\x1b["))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, said []byte) {
		last := lastLine(said, exitStatus(1))
		if last == "" || strings.ContainsAny(last, "\n\x00\x1b\x7f") {
			t.Errorf("%q became %q", said, last)
		}
	})
}

func FuzzOutput(f *testing.F) {
	f.Add([]byte("one\ntwo\r\nthree"), 100, byte(wantDump))
	f.Add(bytes.Repeat([]byte("x"), 2*longestLine), 7, byte(wantDump))
	f.Add([]byte("\xff\xfe\n\n\x1b[2J"), 3, byte(9))
	f.Fuzz(func(t *testing.T, output []byte, longest int, mode byte) {
		path := t.TempDir() + "/web.log"
		log := newLog(path, "")
		log.drain(bytes.NewReader(output))
		kept, _ := os.ReadFile(path)
		if older, err := os.ReadFile(path + ".1"); err == nil {
			kept = append(older, kept...)
		}
		if !bytes.Equal(kept, output) && len(output) < largestLog {
			t.Errorf("%q is kept of %q", kept, output)
		}
		if log.file != nil {
			log.file.Close()
		}
		if longest < 1 || longest > largestMemlog || mode == wantFollow || mode == wantDumpAndFollow {
			return
		}
		m := newMemlog(5, longest)
		for _, line := range strings.Split(string(output), "\n") {
			m.add("web", line)
		}
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			m.handOver(theirs)
		}()
		if _, err := ours.Write([]byte{wantDump}); err != nil {
			t.Fatal(err)
		}
		decoder := json.NewDecoder(ours)
		count := 0
		for ; ; count++ {
			var line memlogLine
			if err := decoder.Decode(&line); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if want := strings.Count(string(output), "\n") + 1; count != want && count != 5 {
			t.Errorf("%d lines, of %d", count, want)
		}
	})
}

// FuzzAgentSession is about a host that sends any request and frame: each request has one end.
func FuzzAgentSession(f *testing.F) {
	f.Add([]byte(`{"do": "services"}`), byte(frameSignal), []byte{15})
	f.Add([]byte(`{"do": "exec", "service": "web", "command": ["x"], "input": true}`), byte(frameInput), []byte{})
	f.Add([]byte(`{"do": "logs", "service": "`+strings.Repeat("<", largestFrame/2)+`"}`), byte(frameSize), []byte{0, 80, 0, 24})
	f.Add([]byte(`{"do": 5}`), byte(frameReset), []byte{1})
	if os.MkdirAll("/run/init", 0o755) != nil {
		f.Skip("/run/init cannot be made")
	}
	// Without a service, no command is run.
	s := newSystem(options{})
	s.engine = fakeEngine{"/bin/false"}
	f.Fuzz(func(t *testing.T, request []byte, kind byte, payload []byte) {
		if len(request) > largestFrame || len(payload) > largestFrame || kind == frameReset || kind == frameHello {
			return
		}
		host := newAgentHost(t, s)
		host.send(frameHello, `{"protocol":1,"nonce":"n"}`)
		host.send(kind, string(payload))
		host.send(frameRequest, string(request))
		host.expect(frameEnd, `"status":`)
		var end agentEnd
		if text := host.all(frameEnd); json.Unmarshal([]byte(text), &end) != nil {
			t.Errorf("%q", text)
		}
	})
}

// FuzzCall is about a caller of `service` that sends anything.
func FuzzCall(f *testing.F) {
	f.Add([]byte(`["list"]`), 3)
	f.Add([]byte(`["logs", "../x"]`), 3)
	f.Add([]byte(`["stop"]`), 2)
	f.Add([]byte(`null`), 3)
	s := newSystem(options{})
	f.Fuzz(func(t *testing.T, request []byte, count int) {
		if count < 0 || count > 5 || len(request) == 0 || len(request) > largestRequest {
			return
		}
		pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		ours := connectionOf(t, pair[0])
		theirs := connectionOf(t, pair[1])
		var rights []int
		for len(rights) < count {
			rights = append(rights, int(s.null.Fd()))
		}
		if _, _, err := ours.WriteMsgUnix(request, syscall.UnixRights(rights...), nil); err != nil {
			t.Fatal(err)
		}
		c, err := receiveCall(theirs)
		if err != nil {
			return
		}
		for _, file := range c.files {
			defer file.Close()
		}
		status := s.perform(c)
		if status != 0 && status != 1 {
			t.Errorf("%q: %d", c.arguments, status)
		}
		select {
		case <-s.ends:
		default:
		}
		s.asked.Store(false)
	})
}

func connectionOf(t *testing.T, descriptor int) *net.UnixConn {
	t.Helper()
	file := os.NewFile(uintptr(descriptor), "socket")
	defer file.Close()
	connection, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection.(*net.UnixConn)
}

func FuzzBundleNames(f *testing.F) {
	f.Add("000-web")
	f.Add("abc")
	f.Add("web-1")
	f.Fuzz(func(t *testing.T, name string) {
		base := t.TempDir()
		if os.MkdirAll(filepath.Join(base, "onboot", "x"), 0o755) != nil || strings.ContainsAny(name, "/\x00") ||
			name == "." || name == ".." || name == "" || os.Mkdir(base+"/onboot/"+name, 0o755) != nil {
			return
		}
		found := bundlesIn(base, "onboot")
		ids := []string{}
		for _, b := range found {
			ids = append(ids, b.id())
		}
		want := []string{"onboot-" + name, "onboot-x"}
		sort.Strings(want)
		if sort.Strings(ids); !reflect.DeepEqual(ids, want) {
			t.Error(fmt.Sprint(ids))
		}
	})
}
