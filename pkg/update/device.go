package main

// Disks and files as the kernel has them, and what is read past its cache.

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"unsafe"
)

const (
	piece         = 1 << 20
	blkGetSize64  = 0x80081272
	blkSectorSize = 0x1268
	dontNeed      = 4
)

// device is a block device, or a file with the image of one.
type device struct {
	*os.File
	size, sector int64
}

func openDevice(path string, flags int) (*device, error) {
	file, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, err
	}
	about, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	d := &device{File: file, size: about.Size()}
	if about.Mode()&os.ModeDevice == 0 {
		return d, nil
	}
	var sector int32
	if err = control(file, blkGetSize64, unsafe.Pointer(&d.size)); err == nil {
		err = control(file, blkSectorSize, unsafe.Pointer(&sector))
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	d.sector = int64(sector)
	return d, nil
}

func control(file *os.File, request uintptr, value unsafe.Pointer) error {
	_, _, number := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), request, uintptr(value))
	if number != 0 {
		return number
	}
	return nil
}

func (d *device) Size() int64 { return d.size }

// Medium returns a reader of what is on the medium itself.
func (d *device) Medium() (mediumReader, error) { return openMedium(d.Name()) }

// mediumReader reads past the kernel's cache.
type mediumReader interface {
	io.ReaderAt
	io.Closer
}

// direct reads whole blocks into memory that begins where a block may begin.
type direct struct {
	file   *os.File
	buffer []byte
	// What the buffer has, so that small reads in a row cost one.
	at    int64
	valid int
}

func openMedium(path string) (mediumReader, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECT, 0)
	if err != nil {
		// File systems without O_DIRECT: what is synced is dropped from the cache.
		file, err = os.Open(path)
		if err != nil {
			return nil, err
		}
		_, _, _ = syscall.Syscall6(syscall.SYS_FADVISE64, file.Fd(), 0, 0, dontNeed, 0, 0)
	}
	memory := make([]byte, piece+blockSize)
	skip := int(-uintptr(unsafe.Pointer(&memory[0])) & (blockSize - 1))
	return &direct{file: file, buffer: memory[skip : skip+piece]}, nil
}

func (d *direct) ReadAt(p []byte, offset int64) (int, error) {
	done := 0
	for done < len(p) {
		at := offset + int64(done)
		if at < d.at || at >= d.at+int64(d.valid) {
			d.at, d.valid = at&^(blockSize-1), 0
			n, err := syscall.Pread(int(d.file.Fd()), d.buffer, d.at)
			if err == syscall.EINTR {
				continue
			}
			if err != nil {
				return done, &os.PathError{Op: "read", Path: d.file.Name(), Err: err}
			}
			d.valid = n
			if at >= d.at+int64(n) {
				return done, io.EOF
			}
		}
		done += copy(p[done:], d.buffer[at-d.at:d.valid])
	}
	return done, nil
}

func (d *direct) Close() error { return d.file.Close() }

func lockFile(file *os.File) error {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == syscall.EWOULDBLOCK {
		return wait("another program has locked %s", file.Name())
	}
	return err
}
