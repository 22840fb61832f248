package main

import (
	"bytes"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// served gives a memlog with a socket.
func served(t *testing.T, count, longest int) (*memlog, string) {
	t.Helper()
	m := newMemlog(count, longest)
	socket := filepath.Join(t.TempDir(), "socket")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go m.serve(listener)
	return m, socket
}

func TestTheLastLinesAreKept(t *testing.T) {
	m, socket := served(t, 1000, 8)
	for i := 0; i < 1500; i++ {
		m.add("web;1", fmt.Sprintf("line %d with a long end", i))
	}
	var read bytes.Buffer
	if err := copyMemlog(&read, socket, wantDump); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(read.String()), "\n")
	if len(lines) != 1000 || !regexp.MustCompile(`^\d{4}-\d\d-\d\dT[^;]*;web\\;1;line 500$`).MatchString(lines[0]) {
		t.Errorf("%d lines, the first %q", len(lines), lines[0])
	}
	var shown bytes.Buffer
	if !m.print(&shown, "web;1") || m.print(&shown, "other") || strings.Count(shown.String(), "\n") != 1000 {
		t.Errorf("%q", shown.String())
	}
}

func TestReadersFollow(t *testing.T) {
	m, socket := served(t, 10, 100)
	m.add("early", "before")
	for mode, want := range map[byte]string{wantFollow: "after", wantDumpAndFollow: "before"} {
		connection, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = connection.Write([]byte{mode})
		_ = connection.SetReadDeadline(time.Now().Add(10 * time.Second))
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					m.add("late", "after")
				}
			}
		}()
		data := make([]byte, 4096)
		n, err := connection.Read(data)
		close(stop)
		if first := strings.Split(string(data[:n]), "\n")[0]; err != nil || !strings.Contains(first, want) {
			t.Errorf("mode %d: %q, %v", mode, first, err)
		}
		connection.Close()
	}
}

func TestASlowReaderIsToldWhatIsMissing(t *testing.T) {
	m := newMemlog(3, 100)
	for i := 0; i < 5; i++ {
		m.add("web", fmt.Sprint(i))
	}
	lines, next := m.since(0, nil)
	if len(lines) != 4 || next != 5 || !strings.HasPrefix(lines[0].Text, "2 lines came faster") || lines[1].Text != "2" {
		t.Errorf("%v, %d", lines, next)
	}
	var none *memlog
	none.add("web", "nothing happens")
}

func TestSettingsOfTheMemlog(t *testing.T) {
	count, longest, problem := readMemlogSettings("# few\nmax-lines 7\n\nmax-line-len 80\n")
	if count != 7 || longest != 80 || problem != "" {
		t.Error(count, longest, problem)
	}
	for text, want := range map[string]string{"max-lines 0": "wants a number", "max-lines": "wants a number", "lines 5": "no setting"} {
		if count, _, problem := readMemlogSettings(text); count != 5000 || !strings.Contains(problem, want) {
			t.Errorf("%q: %d, %q", text, count, problem)
		}
	}
}

func TestContainersPrintIntoMemory(t *testing.T) {
	memory = newMemlog(10, 100)
	defer func() { memory = nil }()
	path := filepath.Join(t.TempDir(), "onboot.000-first.log")
	newLog(path, "").drain(strings.NewReader("one\ntwo"))
	lines, _ := memory.since(0, nil)
	if len(lines) != 2 || lines[1].Source != "onboot.000-first" || lines[1].Text != "two" {
		t.Errorf("%v", lines)
	}
	if exists(path) {
		t.Error("there is a file as well")
	}
}
