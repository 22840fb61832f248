package main

// The device mapper: devices are made, looked at and removed by ioctls.

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

const (
	mapperControl = "/dev/mapper/control"
	// struct dm_ioctl and struct dm_target_spec, the same on all architectures.
	mapperHeader = 312
	mapperSpec   = 40
	mapperName   = 48
	mapperUUID   = 176
	// What the kernel may answer, and what a table may need.
	mapperRoom = 16 << 10

	mapperVersion     = 0
	mapperCreate      = 3
	mapperRemove      = 4
	mapperSuspend     = 6
	mapperTableLoad   = 9
	mapperTableStatus = 12

	mapperReadOnly = 1 << 0
)

// mapperTarget is the one target of a device, over all of it.
type mapperTarget struct {
	kind       string
	sectors    uint64
	parameters string
}

// mapper speaks to the kernel.
type mapper struct{ control *os.File }

// openMapper opens the control device, and makes its node if the kernel has not.
func openMapper() (*mapper, error) {
	if !exists(mapperControl) {
		content, err := os.ReadFile("/proc/misc")
		if err != nil {
			return nil, err
		}
		minor, found := miscMinor(string(content), "device-mapper")
		if !found {
			return nil, fmt.Errorf("the kernel has no device mapper (dm-mod)")
		}
		if err := os.MkdirAll(filepath.Dir(mapperControl), 0o755); err != nil {
			return nil, err
		}
		if err := syscall.Mknod(mapperControl, syscall.S_IFCHR|0o600, 10<<8|minor); err != nil {
			return nil, fmt.Errorf("making %s: %w", mapperControl, err)
		}
	}
	control, err := os.OpenFile(mapperControl, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	m := &mapper{control}
	if _, err := m.call(mapperVersion, "", "", 0, nil); err != nil {
		control.Close()
		return nil, fmt.Errorf("the device mapper: %w", err)
	}
	return m, nil
}

func (m *mapper) close() { m.control.Close() }

// miscMinor finds a device in /proc/misc.
func miscMinor(table, name string) (int, bool) {
	for _, line := range strings.Split(table, "\n") {
		if fields := strings.Fields(line); len(fields) == 2 && fields[1] == name {
			// Two bytes of a device number hold smaller ones only.
			minor, err := strconv.Atoi(fields[0])
			return minor, err == nil && minor >= 0 && minor < 256
		}
	}
	return 0, false
}

// mapperRequest encodes a request, with room for the answer.
func mapperRequest(name, uuid string, flags uint32, target *mapperTarget) []byte {
	data := make([]byte, mapperRoom)
	order.PutUint32(data, 4) // The version of the interface: 4.0.0.
	order.PutUint32(data[12:], mapperRoom)
	order.PutUint32(data[16:], mapperHeader)
	order.PutUint32(data[28:], flags)
	copy(data[mapperName:mapperUUID-1], name)
	copy(data[mapperUUID:mapperUUID+128], uuid)
	if target != nil {
		order.PutUint32(data[20:], 1)
		spec := data[mapperHeader:]
		order.PutUint64(spec[8:], target.sectors)
		next := (mapperSpec + len(target.parameters) + 1 + 7) &^ 7
		order.PutUint32(spec[20:], uint32(next))
		copy(spec[24:mapperSpec-1], target.kind)
		copy(spec[mapperSpec:len(spec)-1], target.parameters)
	}
	return data
}

func (m *mapper) call(command uintptr, name, uuid string, flags uint32, target *mapperTarget) ([]byte, error) {
	data := mapperRequest(name, uuid, flags, target)
	request := 3<<30 | uintptr(mapperHeader)<<16 | 0xfd<<8 | command
	_, _, code := syscall.Syscall(syscall.SYS_IOCTL, m.control.Fd(), request, uintptr(unsafe.Pointer(&data[0])))
	runtime.KeepAlive(data)
	if code != 0 {
		return nil, code
	}
	return data, nil
}

// create makes a read-only device with one target, and returns its path.
func (m *mapper) create(name, uuid string, target mapperTarget) (string, error) {
	if _, err := m.call(mapperCreate, name, uuid, mapperReadOnly, nil); err != nil {
		return "", fmt.Errorf("making the device %s: %w", name, err)
	}
	answer, err := m.call(mapperTableLoad, name, "", mapperReadOnly, &target)
	if err == nil {
		// Without the flag of suspending it is the opposite.
		_, err = m.call(mapperSuspend, name, "", mapperReadOnly, nil)
	}
	var path string
	if err == nil {
		path, err = mapperNode(order.Uint64(answer[40:]))
	}
	if err != nil {
		_ = m.remove(name)
		return "", err
	}
	return path, nil
}

func (m *mapper) remove(name string) error {
	_, err := m.call(mapperRemove, name, "", 0, nil)
	return err
}

// status returns what the target of a device says of itself.
func (m *mapper) status(name string) (string, error) {
	answer, err := m.call(mapperTableStatus, name, "", 0, nil)
	if err != nil {
		return "", err
	}
	return mapperStatus(answer)
}

func mapperStatus(answer []byte) (string, error) {
	if len(answer) < mapperHeader || order.Uint32(answer[20:]) < 1 {
		return "", fmt.Errorf("the device has no table")
	}
	start := uint64(order.Uint32(answer[16:])) + mapperSpec
	if start > uint64(len(answer)) {
		return "", fmt.Errorf("the status of the device is too long")
	}
	text, _, found := bytes.Cut(answer[start:], []byte{0})
	if !found {
		return "", fmt.Errorf("the status of the device is too long")
	}
	return string(text), nil
}

// mapperNode returns the path of a device, and makes the node if the kernel has not.
func mapperNode(device uint64) (string, error) {
	major, minor := device>>8&0xfff, device&0xff|device>>12&0xfff00
	path := fmt.Sprintf("/dev/dm-%d", minor)
	if exists(path) {
		return path, nil
	}
	if err := syscall.Mknod(path, syscall.S_IFBLK|0o600, int(device)); err != nil {
		return "", fmt.Errorf("making the node of %d:%d: %w", major, minor, err)
	}
	return path, nil
}
