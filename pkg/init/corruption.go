package main

// The watch over a verified root filesystem while the system runs.

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// verityError is the variable of the kernel's message about a block that is not what was signed.
const verityError = "DM_VERITY_ERR_BLOCK_NR"

// keepInMemory keeps the program itself from being read again from a disk that may be damaged.
func keepInMemory() {
	if o, err := parseVerityOptions(commandLine()); err != nil || o.rootHash == "" {
		return
	}
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, _ := os.ReadFile("/proc/self/maps")
	for _, area := range mappingsOf(string(maps), program) {
		if _, _, code := syscall.Syscall(syscall.SYS_MLOCK, area[0], area[1]-area[0], 0); code != 0 {
			say("init itself cannot be kept in memory: %v", code)
			return
		}
	}
}

// mappingsOf returns where a file is in memory, as /proc/PID/maps has it.
func mappingsOf(maps, path string) [][2]uintptr {
	var found [][2]uintptr
	for _, line := range strings.Split(maps, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 6 || strings.Join(fields[5:], " ") != path {
			continue
		}
		var start, end uintptr
		if n, _ := fmt.Sscanf(fields[0], "%x-%x", &start, &end); n == 2 && start < end {
			found = append(found, [2]uintptr{start, end})
		}
	}
	return found
}

// verifiedDevice returns the name of the device of a verified root filesystem, or nothing.
func verifiedDevice() string {
	names, _ := filepath.Glob("/sys/class/block/dm-*/dm/name")
	for _, path := range names {
		if firstLine(path) == verifiedName {
			return filepath.Base(filepath.Dir(filepath.Dir(path)))
		}
	}
	return ""
}

// watchVerity falls back to another system when a block of the root filesystem is not what was
// signed. In the other modes the kernel itself ends the system.
func (s *system) watchVerity() {
	o, err := parseVerityOptions(commandLine())
	device := verifiedDevice()
	if err != nil || o.rootHash == "" || o.mode != modeFallback || device == "" {
		return
	}
	socket, err := openUevents()
	if err != nil {
		say("the root filesystem is not watched: %v", err)
		return
	}
	go func() {
		// What came before the socket was open.
		if isCorrupted() {
			s.leaveCorrupted("a block of the root filesystem is not what was signed")
		}
		buffer := make([]byte, 64<<10)
		for {
			n, from, err := syscall.Recvfrom(socket, buffer, 0)
			switch {
			case err == syscall.EINTR:
			case err == syscall.ENOBUFS:
				if isCorrupted() {
					s.leaveCorrupted("a block of the root filesystem is not what was signed")
				}
			case err != nil:
				say("the root filesystem is not watched any more: %v", err)
				return
			default:
				if reason := corruption(kernelEvent(buffer[:n], from), device); reason != "" {
					s.leaveCorrupted(reason)
				}
			}
		}
	}()
}

// isCorrupted asks the kernel whether it has found a wrong block.
func isCorrupted() bool {
	m, err := openMapper()
	if err != nil {
		return false
	}
	defer m.close()
	status, err := m.status(verifiedName)
	return err == nil && strings.HasPrefix(status, "C")
}

// corruption describes a message of the kernel about a wrong block of a device; others are nothing.
func corruption(event map[string]string, device string) string {
	number, found := event[verityError]
	if !found || filepath.Base(event["DEVNAME"]) != device {
		return ""
	}
	kind, block, _ := strings.Cut(number, ",")
	what := "block"
	if kind == "1" {
		what = "block of hashes"
	}
	return fmt.Sprintf("%s %s of the root filesystem is not what was signed", what, block)
}

// leaveCorrupted falls back at once, or stops everything if there is nothing to fall back to. It
// does not come back.
func (s *system) leaveCorrupted(reason string) {
	// Nothing more is started.
	s.ending.Store(true)
	say("%s", reason)
	fallBack(systemModules)
	_ = syscall.Kill(-1, syscall.SIGKILL)
	syscall.Sync()
	stayStopped()
}
