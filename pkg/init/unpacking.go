package main

// An initrd that the kernel has not unpacked whole: it says so once, and goes on with what there is.

import (
	"bytes"
	"fmt"
	"strconv"
	"syscall"
)

const (
	// Actions of syslog(2).
	logReadAll    = 3
	logSizeBuffer = 10
	// What the kernel and a system that has come up need besides the initrd, in MiB.
	systemMemory = 49
)

var (
	unpackingFailed = []byte("Initramfs unpacking failed: ")
	initrdFreed     = []byte("Freeing initrd memory: ")
)

// checkUnpacking says on the console that files of the initrd are missing.
func checkUnpacking() {
	size, err := syscall.Klogctl(logSizeBuffer, nil)
	if err != nil || size <= 0 {
		return
	}
	log := make([]byte, size)
	n, err := syscall.Klogctl(logReadAll, log)
	if err != nil {
		return
	}
	reason, packed := parseUnpacking(log[:n])
	if reason == "" {
		return
	}
	var root syscall.Statfs_t
	unpacked := int64(0)
	if syscall.Statfs("/", &root) == nil && inMemory(root) {
		unpacked = int64(root.Blocks-root.Bfree) * int64(root.Bsize) >> 20
	}
	var memory syscall.Sysinfo_t
	_ = syscall.Sysinfo(&memory)
	say("%s", describeUnpacking(reason, packed, unpacked, int64(memory.Totalram)*int64(memory.Unit)>>20))
}

// parseUnpacking returns why the unpacking has failed, if it has, and the size of the initrd in MiB.
func parseUnpacking(log []byte) (reason string, packed int64) {
	at := bytes.Index(log, unpackingFailed)
	if at < 0 {
		return "", 0
	}
	line, _, _ := bytes.Cut(log[at+len(unpackingFailed):], []byte("\n"))
	if at := bytes.Index(log, initrdFreed); at >= 0 {
		kib, _, _ := bytes.Cut(log[at+len(initrdFreed):], []byte("K"))
		packed, _ = strconv.ParseInt(string(kib), 10, 64)
	}
	return string(line), packed >> 10
}

// describeUnpacking gives the least memory: the size of the rest of the initrd is unknown.
func describeUnpacking(reason string, packed, unpacked, memory int64) string {
	return fmt.Sprintf("files of the initrd are missing, the kernel has not unpacked it whole: %s\n"+
		"the machine has %d MiB of memory, and needs more than %d MiB; with enough of it, the initrd is damaged",
		reason, memory, systemMemory+packed+2*unpacked)
}
