package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const virtioPorts = "/sys/class/virtio-ports"

// findPort returns the device of a virtio-serial port, by the name that the host gave it.
func findPort(directory, name string) (string, bool) {
	paths, _ := filepath.Glob(filepath.Join(directory, "*", "name"))
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err == nil && strings.TrimSpace(string(content)) == name {
			return filepath.Join("/dev", filepath.Base(filepath.Dir(path))), true
		}
	}
	return "", false
}

type serialPort struct{ *os.File }

func openPort(path string) (serialPort, error) {
	file, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	return serialPort{file}, err
}

// A read that finds nothing shows whether the host is there: EAGAIN if it is, the end otherwise.
func (p serialPort) read(data []byte, connected func()) (count int, err error) {
	raw, err := p.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failure error
	err = raw.Read(func(descriptor uintptr) bool {
		for {
			count, failure = syscall.Read(int(descriptor), data)
			if failure != syscall.EINTR {
				break
			}
		}
		if failure == syscall.EAGAIN {
			connected()
			return false
		}
		return true
	})
	switch {
	case failure != nil:
		return 0, failure
	case err == nil && count == 0:
		return 0, io.EOF
	}
	return count, err
}
