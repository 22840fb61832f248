package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRulesAreRead(t *testing.T) {
	var chosen rules
	for _, text := range []string{"2374:unix:/run/a.sock", "0x50:tcp:[::1]:80", "1:unix:/a:b"} {
		if err := chosen.Set(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	want := rules{{2374, "unix", "/run/a.sock"}, {80, "tcp", "[::1]:80"}, {1, "unix", "/a:b"}}
	for i := range want {
		if chosen[i] != want[i] {
			t.Errorf("%v is not %v", chosen[i], want[i])
		}
	}
	for text, part := range map[string]string{
		"2374":                "is needed",
		"x:unix:/a":           "number of a port",
		"-1:unix:/a":          "number of a port",
		"4294967295:unix:/a":  "number of a port",
		"5:unix:a":            "does not begin with /",
		"5:udp:a:1":           "neither unix nor tcp",
		"5:tcp:a":             "missing port",
		"2374:unix:/run/more": "given twice",
	} {
		if err := chosen.Set(text); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestWrongCommandLinesAreRefused(t *testing.T) {
	for _, arguments := range [][]string{{}, {"more"}, {"-inport", "1"}, {"-fast"}} {
		if status := run(arguments); status != 2 {
			t.Errorf("%v: %d", arguments, status)
		}
	}
}

func TestPortsAreFoundByName(t *testing.T) {
	directory := t.TempDir()
	for device, name := range map[string]string{"vport1p1": "other", "vport1p2": "vsudd.80"} {
		if err := os.Mkdir(filepath.Join(directory, device), 0o755); err != nil {
			t.Fatal(err)
		}
		content := []byte(name + "\n")
		if err := os.WriteFile(filepath.Join(directory, device, "name"), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if path, found := findPort(directory, "vsudd.80"); !found || path != "/dev/vport1p2" {
		t.Error(path, found)
	}
	if path, found := findPort(directory, "vsudd.8"); found {
		t.Error(path)
	}
}

// upperServer answers each connection with what it has read, in capitals, once that has ended.
func upperServer(t *testing.T) func() (stream, error) {
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				content, _ := io.ReadAll(connection)
				_, _ = connection.Write(bytes.ToUpper(content))
				connection.Close()
			}()
		}
	}()
	return rule{1, "unix", path}.dial
}

type unixAcceptor struct{ net.Listener }

func (a unixAcceptor) accept() (stream, error) {
	connection, err := a.Accept()
	if err != nil {
		return nil, err
	}
	return connection.(stream), nil
}

func TestTheEndOfADirectionIsHandedOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outer")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- acceptAll(unixAcceptor{listener}, upperServer(t)) }()
	for _, text := range []string{"first", strings.Repeat("second", 100000)} {
		connection, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = io.WriteString(connection, text)
			_ = connection.(stream).CloseWrite()
		}()
		answer, err := io.ReadAll(connection)
		if err != nil || string(answer) != strings.ToUpper(text) {
			t.Error(len(answer), err)
		}
	}
	listener.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestARefusedConnectionIsClosed(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "outer")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	gone := rule{1, "unix", filepath.Join(directory, "gone")}
	go func() { _ = acceptAll(unixAcceptor{listener}, gone.dial) }()
	connection, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(connection); err != nil || len(answer) != 0 {
		t.Error(answer, err)
	}
}

// fakePort is a port whose host says what the steps say: "+" opens it, "-" closes it, else data.
type fakePort struct {
	steps chan string

	lock    sync.Mutex
	written bytes.Buffer
}

func (p *fakePort) read(data []byte, connected func()) (int, error) {
	step, more := <-p.steps
	switch {
	case !more:
		return 0, os.ErrClosed
	case step == "-":
		return 0, io.EOF
	case step == "+":
		connected()
		return 0, nil
	}
	return copy(data, step), nil
}

func (p *fakePort) Write(data []byte) (int, error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.written.Write(data)
}

func (p *fakePort) SetWriteDeadline(time.Time) error { return nil }

func (p *fakePort) waitFor(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		p.lock.Lock()
		found := p.written.String()
		p.lock.Unlock()
		if found == text {
			return
		}
	}
	t.Fatalf("%q was not written", text)
}

func TestEachOpeningOfAPortIsAConnectionOfItsOwn(t *testing.T) {
	pause = time.Millisecond
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	received := make(chan string, 2)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			// Who speaks first is the service.
			_, _ = io.WriteString(connection, "hello ")
			content, _ := io.ReadAll(connection)
			received <- string(content)
		}
	}()
	port := &fakePort{steps: make(chan string)}
	ended := make(chan error)
	go func() { ended <- forwardPort(port, rule{1, "unix", path}.dial) }()
	for _, step := range []string{"-", "-", "+"} {
		port.steps <- step
	}
	port.waitFor(t, "hello ")
	for _, step := range []string{"one ", "+", "more", "-"} {
		port.steps <- step
	}
	if text := <-received; text != "one more" {
		t.Error(text)
	}
	// Data may be there before it is seen that the host has opened the port.
	port.steps <- "two"
	port.waitFor(t, "hello hello ")
	port.steps <- "-"
	if text := <-received; text != "two" {
		t.Error(text)
	}
	close(port.steps)
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func TestDataForAServiceThatIsNotThereIsDropped(t *testing.T) {
	pause = time.Millisecond
	calls := 0
	port := &fakePort{steps: make(chan string)}
	ended := make(chan error)
	go func() {
		ended <- forwardPort(port, func() (stream, error) {
			calls++
			return nil, errors.New("the service is not there")
		})
	}()
	for _, step := range []string{"+", "one", "two", "-", "three", "-"} {
		port.steps <- step
	}
	close(port.steps)
	<-ended
	if calls != 2 {
		t.Errorf("it was called %d times", calls)
	}
}
