package main

// Go's package net has no vsock: the calls of the kernel, as in vsock(7).

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

const (
	familyVsock = 40
	anyCID      = 0xffffffff
	anyPort     = 0xffffffff
)

var errNoVsock = errors.New("there is no vsock in this kernel")

type vsockAddress struct {
	family uint16
	_      uint16
	port   uint32
	cid    uint32
	_      [4]uint8
}

type vsockListener struct{ descriptor int }

func listenVsock(port uint32) (*vsockListener, error) {
	descriptor, err := syscall.Socket(familyVsock, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == syscall.EAFNOSUPPORT || err == syscall.EPROTONOSUPPORT {
		return nil, errNoVsock
	}
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	address := vsockAddress{family: familyVsock, port: port, cid: anyCID}
	_, _, code := syscall.Syscall(syscall.SYS_BIND, uintptr(descriptor),
		uintptr(unsafe.Pointer(&address)), unsafe.Sizeof(address))
	if code != 0 {
		syscall.Close(descriptor)
		return nil, os.NewSyscallError("bind", code)
	}
	if err := syscall.Listen(descriptor, 8); err != nil {
		syscall.Close(descriptor)
		return nil, os.NewSyscallError("listen", err)
	}
	return &vsockListener{descriptor}, nil
}

func (l *vsockListener) accept() (*os.File, error) {
	for {
		made, _, code := syscall.Syscall6(syscall.SYS_ACCEPT4, uintptr(l.descriptor), 0, 0,
			syscall.SOCK_CLOEXEC, 0, 0)
		switch code {
		case 0:
			return os.NewFile(made, "vsock"), nil
		case syscall.EINTR, syscall.ECONNABORTED:
			continue
		}
		return nil, os.NewSyscallError("accept", code)
	}
}
