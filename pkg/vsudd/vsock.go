package main

// Go's package net has no vsock: the calls of the kernel, as in vsock(7).

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

const (
	familyVsock  = 40
	anyCID       = 0xffffffff
	localCID     = 1
	anyPort      = 0xffffffff
	getLocalCID  = 0x7b9 // IOCTL_VM_SOCKETS_GET_LOCAL_CID
	acceptedFlag = syscall.SOCK_CLOEXEC | syscall.SOCK_NONBLOCK
)

var errNoVsock = errors.New("there is neither vsock in this kernel")

type vsockAddress struct {
	family uint16
	_      uint16
	port   uint32
	cid    uint32
	_      [4]uint8
}

type vsockStream struct{ *os.File }

// CloseWrite ends what is sent, and not what is received.
func (s vsockStream) CloseWrite() error {
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	failure := raw.Control(func(descriptor uintptr) {
		err = syscall.Shutdown(int(descriptor), syscall.SHUT_WR)
	})
	if failure != nil {
		return failure
	}
	return err
}

func openVsock(flags int) (int, error) {
	descriptor, err := syscall.Socket(familyVsock, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|flags, 0)
	if err == syscall.EAFNOSUPPORT || err == syscall.EPROTONOSUPPORT {
		return -1, errNoVsock
	}
	return descriptor, os.NewSyscallError("socket", err)
}

func withAddress(call uintptr, name string, descriptor int, cid, port uint32) error {
	address := vsockAddress{family: familyVsock, port: port, cid: cid}
	for {
		_, _, code := syscall.Syscall(call, uintptr(descriptor),
			uintptr(unsafe.Pointer(&address)), unsafe.Sizeof(address))
		switch code {
		case 0:
			return nil
		case syscall.EINTR:
			continue
		}
		return os.NewSyscallError(name, code)
	}
}

func dialVsock(cid, port uint32) (vsockStream, error) {
	descriptor, err := openVsock(0)
	if err != nil {
		return vsockStream{}, err
	}
	if err := withAddress(syscall.SYS_CONNECT, "connect", descriptor, cid, port); err != nil {
		syscall.Close(descriptor)
		return vsockStream{}, err
	}
	if err := syscall.SetNonblock(descriptor, true); err != nil {
		syscall.Close(descriptor)
		return vsockStream{}, err
	}
	return vsockStream{os.NewFile(uintptr(descriptor), "vsock")}, nil
}

type vsockListener struct{ *os.File }

func listenVsock(port uint32) (vsockListener, error) {
	descriptor, err := openVsock(syscall.SOCK_NONBLOCK)
	if err != nil {
		return vsockListener{}, err
	}
	err = withAddress(syscall.SYS_BIND, "bind", descriptor, anyCID, port)
	if err == nil {
		err = os.NewSyscallError("listen", syscall.Listen(descriptor, 64))
	}
	if err != nil {
		syscall.Close(descriptor)
		return vsockListener{}, err
	}
	return vsockListener{os.NewFile(uintptr(descriptor), "vsock")}, nil
}

func (l vsockListener) accept() (stream, error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	var made uintptr
	var code syscall.Errno
	err = raw.Read(func(descriptor uintptr) bool {
		for {
			made, _, code = syscall.Syscall6(syscall.SYS_ACCEPT4, descriptor, 0, 0, acceptedFlag, 0, 0)
			if code != syscall.EINTR && code != syscall.ECONNABORTED {
				return code != syscall.EAGAIN
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if code != 0 {
		return nil, os.NewSyscallError("accept", code)
	}
	return vsockStream{os.NewFile(made, "vsock")}, nil
}

// describeCID says by which number the host knows this machine, if it knows it at all.
func describeCID() string {
	device, err := os.Open("/dev/vsock")
	if err != nil {
		return "without a number: " + err.Error()
	}
	defer device.Close()
	var cid uint32
	_, _, code := syscall.Syscall(syscall.SYS_IOCTL, device.Fd(), getLocalCID, uintptr(unsafe.Pointer(&cid)))
	if code != 0 || cid == anyCID || cid == localCID {
		return "which the host cannot reach: the machine has no vsock device"
	}
	return fmt.Sprintf("as machine %d", cid)
}
