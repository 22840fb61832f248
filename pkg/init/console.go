package main

// What people see: lines on the console, kept in the kernel's log as well.

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

var (
	consoleLock sync.Mutex
	// Opened anew for each line: the end of a shell on one of them hangs up whoever has it open.
	consoles  = []string{"/dev/console"}
	kernelLog *os.File
)

// openConsole makes standard input and output the console, whatever the kernel gave us.
//
// An initramfs without /dev/console leaves the first process without open files; so nothing may be
// opened before.
func openConsole() {
	_ = syscall.Mkdir("/dev", 0o755)
	// EBUSY: the kernel has mounted it already.
	_ = syscall.Mount("devtmpfs", "/dev", "devtmpfs", syscall.MS_NOSUID, "mode=0755")
	fd, err := syscall.Open("/dev/console", syscall.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		fd, err = syscall.Open("/dev/null", syscall.O_RDWR, 0)
	}
	if err == nil {
		for target := 0; target < 3; target++ {
			if fd != target {
				_ = syscall.Dup3(fd, target, 0)
			}
		}
		if fd > 2 {
			_ = syscall.Close(fd)
		}
	}
	kernelLog, _ = os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
}

// findConsoles goes on with all consoles of the kernel, since /dev/console is only one of them:
// perhaps a screen that nobody looks at.
func findConsoles() {
	content, _ := os.ReadFile("/sys/class/tty/console/active")
	var found []string
	for _, name := range strings.Fields(string(content)) {
		if exists("/dev/" + name) {
			found = append(found, "/dev/"+name)
		}
	}
	if len(found) > 0 {
		consoleLock.Lock()
		defer consoleLock.Unlock()
		consoles = found
	}
}

// drainConsoles waits until what was said has really left, before the machine is off.
func drainConsoles() {
	consoleLock.Lock()
	defer consoleLock.Unlock()
	for _, path := range consoles {
		if fd, err := openTerminal(path); err == nil {
			// TCSBRK with 1, which is tcdrain.
			_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), 0x5409, 1)
			syscall.Close(fd)
		}
	}
}

// openTerminal opens a terminal without waiting for somebody at the other end of the line.
func openTerminal(path string) (int, error) {
	for {
		fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
		if err != syscall.EINTR {
			if err == nil {
				_ = syscall.SetNonblock(fd, false)
			}
			return fd, err
		}
	}
}

// isTerminal tells whether a file is a terminal.
func isTerminal(file *os.File) bool {
	// struct termios of the kernel is smaller on all architectures.
	var settings [128]byte
	_, _, code := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&settings[0])))
	return code == 0
}

func writeAll(fd int, line []byte) {
	for len(line) > 0 {
		n, err := syscall.Write(fd, line)
		if err != nil && err != syscall.EINTR {
			return
		}
		if n > 0 {
			line = line[n:]
		}
	}
}

// say writes a line on the consoles, and keeps it with what containers print.
func say(format string, values ...any) {
	text := fmt.Sprintf(format, values...)
	for _, line := range strings.Split(text, "\n") {
		memory.add("init", line)
	}
	show(text)
}

// show writes a line on the consoles. The kernel's log has it, too, at a level that is not shown.
func show(text string) {
	text = printable(text)
	consoleLock.Lock()
	defer consoleLock.Unlock()
	line := []byte("init: " + strings.ReplaceAll(text, "\n", "\r\n") + "\r\n")
	for _, path := range consoles {
		if fd, err := openTerminal(path); err == nil {
			writeAll(fd, line)
			syscall.Close(fd)
		}
	}
	if kernelLog != nil {
		for _, line := range strings.Split(text, "\n") {
			fmt.Fprintf(kernelLog, "<7>init: %s\n", line)
		}
	}
}

// lastWord says why the system cannot go on, and stays so that it can be read.
//
// Who has panic= on the command line wants a reboot: the end of the first process is a panic.
func lastWord(format string, values ...any) {
	say("cannot go on: "+format, values...)
	if hasOption(commandLine(), "panic") {
		syscall.Sync()
		time.Sleep(100 * time.Millisecond)
		os.Exit(1)
	}
	say("the system stays as it is; the power button or the emulator ends it")
	// Not an empty select, which is a deadlock to Go if there is nothing else yet.
	for {
		time.Sleep(time.Hour)
	}
}

// printable keeps what containers print from changing the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || (r >= ' ' && r != 0x7f && !(r >= 0x80 && r < 0xa0)) {
			return r
		}
		return -1
	}, text)
}

func uptime() string {
	content, _ := os.ReadFile("/proc/uptime")
	seconds, _, found := strings.Cut(string(content), " ")
	if !found {
		return "unknown time"
	}
	return seconds + " s"
}
