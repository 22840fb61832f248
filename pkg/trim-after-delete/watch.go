package main

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// Numbers of linux/fanotify.h, which Go's syscall does not have.
const (
	fanClassNotify    = 0x0
	fanCloseOnExec    = 0x1
	fanReportFid      = 0x200
	fanMarkAdd        = 0x1
	fanMarkFilesystem = 0x100
	fanDelete         = 0x200
	fanDeleteSelf     = 0x400
	fanOnDirectories  = 0x40000000
	atWorkingDir      = -0x64
)

// watch gives a signal after deletions in the file system of a directory; several may be one.
func watch(directory string) (<-chan struct{}, error) {
	flags := uintptr(fanClassNotify | fanCloseOnExec | fanReportFid)
	handle, _, failed := syscall.Syscall(syscall.SYS_FANOTIFY_INIT, flags, syscall.O_RDONLY, 0)
	if failed != 0 {
		return nil, fmt.Errorf("fanotify_init: %w", failed)
	}
	path, err := syscall.BytePtrFromString(directory)
	if err != nil {
		return nil, err
	}
	// An inode goes with its last name and its last user: only then there is something to trim.
	mask := uintptr(fanDelete | fanDeleteSelf | fanOnDirectories)
	// Not a constant, which Go would find too small for a uintptr.
	here := atWorkingDir
	_, _, failed = syscall.Syscall6(syscall.SYS_FANOTIFY_MARK, handle, fanMarkAdd|fanMarkFilesystem, mask,
		uintptr(here), uintptr(unsafe.Pointer(path)), 0)
	if failed != 0 {
		_ = syscall.Close(int(handle))
		return nil, fmt.Errorf("fanotify_mark: %w", failed)
	}
	signals := make(chan struct{}, 1)
	go follow(os.NewFile(handle, "fanotify"), signals)
	return signals, nil
}

// follow reads events, of which only that they are there matters, until the file ends.
func follow(events *os.File, signals chan<- struct{}) {
	defer close(signals)
	buffer := make([]byte, 64<<10)
	for {
		if n, err := events.Read(buffer); err != nil || n == 0 {
			return
		}
		select {
		case signals <- struct{}{}:
		default:
		}
	}
}
