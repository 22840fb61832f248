package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// pty returns both ends of a new terminal; the first one can be read with a deadline.
func pty(t *testing.T) (*os.File, *os.File) {
	t.Helper()
	outer, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Skip(err)
	}
	var number, locked int32
	if err := control(outer, syscall.TIOCSPTLCK, unsafe.Pointer(&locked)); err != nil {
		t.Fatal(err)
	}
	if err := control(outer, syscall.TIOCGPTN, unsafe.Pointer(&number)); err != nil {
		t.Fatal(err)
	}
	inner, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { outer.Close(); inner.Close() })
	return outer, inner
}

func readUntil(t *testing.T, file *os.File, end string) string {
	t.Helper()
	_ = file.SetReadDeadline(time.Now().Add(5 * time.Second))
	var all []byte
	buffer := make([]byte, 64<<10)
	for !strings.Contains(string(all), end) {
		n, err := file.Read(buffer)
		if all = append(all, buffer[:n]...); err != nil {
			t.Fatalf("%q: %v", all, err)
		}
	}
	return string(all)
}

func TestCommandOnATerminal(t *testing.T) {
	user, caller := pty(t)
	size := [4]uint16{24, 100, 0, 0}
	if err := control(user, syscall.TIOCSWINSZ, unsafe.Pointer(&size)); err != nil {
		t.Fatal(err)
	}
	terminal, theirs := pty(t)
	ended := make(chan syscall.WaitStatus, 1)
	result := make(chan syscall.WaitStatus, 1)
	restore := makeRaw(caller)
	go func() { result <- relay(caller, caller, terminal, ended) }()

	// What is typed comes as it is, and is echoed by the command's terminal alone.
	if _, err := user.WriteString("ls\n"); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 10)
	if n, err := theirs.Read(line); err != nil || string(line[:n]) != "ls\n" {
		t.Fatalf("%q, %v", line[:n], err)
	}
	if said := readUntil(t, user, "\n"); said != "ls\r\n" {
		t.Errorf("%q", said)
	}
	var seen [4]uint16
	for end := time.Now().Add(5 * time.Second); seen != size && time.Now().Before(end); time.Sleep(time.Millisecond) {
		_ = control(theirs, syscall.TIOCGWINSZ, unsafe.Pointer(&seen))
	}
	if seen != size {
		t.Errorf("size: %v", seen)
	}

	// What was printed just before the end comes whole, though something else has the terminal open.
	go func() {
		for number := 0; number < 2000; number++ {
			fmt.Fprintf(theirs, "line %d\n", number)
		}
		fmt.Fprintln(theirs, "last")
		ended <- syscall.WaitStatus(3 << 8)
	}()
	said := readUntil(t, user, "last\r\n")
	if lines := strings.Count(said, "line "); lines != 2000 {
		t.Errorf("%d lines", lines)
	}
	select {
	case status := <-result:
		if shellStatus(status) != 3 {
			t.Errorf("status %v", status)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it does not end")
	}
	restore()
	var settings syscall.Termios
	if err := control(caller, syscall.TCGETS, unsafe.Pointer(&settings)); err != nil || settings.Lflag&syscall.ECHO == 0 {
		t.Errorf("the terminal was left raw: %v", err)
	}
}

func TestEndOfTheCallersTerminal(t *testing.T) {
	user, caller := pty(t)
	terminal, theirs := pty(t)
	ended := make(chan syscall.WaitStatus, 1)
	result := make(chan syscall.WaitStatus, 1)
	go func() { result <- relay(caller, caller, terminal, ended) }()
	user.Close()
	// The command sees that nobody is there any more.
	if n, err := theirs.Read(make([]byte, 10)); n > 0 || (err == nil && n > 0) {
		t.Errorf("%d, %v", n, err)
	}
	ended <- syscall.WaitStatus(syscall.SIGHUP)
	if status := <-result; shellStatus(status) != 129 {
		t.Errorf("status %v", status)
	}
}
