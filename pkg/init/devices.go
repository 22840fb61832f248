package main

// Devices: modules for those that are there and for those that come, and the power button.

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"unsafe"
)

const (
	uevents       = 15 // NETLINK_KOBJECT_UEVENT
	keyEvent      = 1
	powerKey      = 116
	timevalLength = 16
)

// systemModules are the modules of the running system, once they are known.
var systemModules *moduleIndex

// loadModules loads what devices and /etc/modules ask for, and goes on with devices that come.
func loadModules(s *system) {
	index := openModules()
	systemModules = index
	if self := "/usr/sbin/modprobe"; exists(self) {
		_ = os.WriteFile("/proc/sys/kernel/modprobe", []byte(self), 0o644)
	}
	socket, err := openUevents()
	if err != nil {
		say("devices that come later are not seen: %v", err)
	}
	newColdplug(index, socket).all()
	// Not waited for: containers need these soon, and not the first one at once.
	for _, kind := range rootFilesystems("/containers") {
		go func(kind string) { _ = index.load("fs-"+kind, "") }(kind)
	}
	content, _ := os.ReadFile("/etc/modules")
	for _, line := range strings.Split(string(content), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if err := index.load(words[0], strings.Join(words[1:], " ")); err != nil {
			say("the module %s of /etc/modules: %v", words[0], err)
		}
	}
	buttons, _ := filepath.Glob("/dev/input/event*")
	for _, path := range buttons {
		s.watchButton(path)
	}
	if err == nil {
		go s.hotplug(socket, index)
	}
}

// needFilesystem loads the module of a filesystem. The kernel would start a process for it.
func needFilesystem(kind string) {
	if systemModules != nil {
		_ = systemModules.load("fs-"+kind, "")
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// coldplug loads modules for devices: those that are there, and those that appear meanwhile.
type coldplug struct {
	index *moduleIndex
	// Where the kernel tells of devices; negative if it does not.
	uevents int
	seen    map[string]bool
	wait    sync.WaitGroup
}

func newColdplug(index *moduleIndex, uevents int) *coldplug {
	return &coldplug{index: index, uevents: uevents, seen: map[string]bool{}}
}

// all loads modules until no new devices appear on new buses.
func (c *coldplug) all() {
	c.walk()
	for before := 0; len(c.seen) > before; {
		before = len(c.seen)
		c.wait.Wait()
		if c.uevents < 0 {
			c.walk()
		} else {
			c.news()
		}
	}
}

// load loads what a device asks for. To load a module is mostly to wait for the kernel, so that
// several at a time take less.
func (c *coldplug) load(name string) {
	if name == "" || c.seen[name] {
		return
	}
	c.seen[name] = true
	c.wait.Add(1)
	go func() {
		defer c.wait.Done()
		_ = c.index.load(name, "")
	}()
}

// walk looks at all devices. Their folders named power have no devices, and are half of all.
func (c *coldplug) walk() {
	_ = filepath.WalkDir("/sys/devices", func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if entry.IsDir() {
			if entry.Name() == "power" {
				return filepath.SkipDir
			}
		} else if entry.Name() == "modalias" {
			content, _ := os.ReadFile(path)
			c.load(strings.TrimSpace(string(content)))
		}
		return nil
	})
}

// news looks at the devices that the kernel has told of, without waiting for more.
func (c *coldplug) news() {
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := syscall.Recvfrom(c.uevents, buffer, syscall.MSG_DONTWAIT)
		if err == syscall.EINTR {
			continue
		}
		if err == syscall.ENOBUFS {
			// Too many devices at a time: some messages are lost.
			c.walk()
			continue
		}
		if err != nil {
			return
		}
		if event := kernelEvent(buffer[:n], from); event["ACTION"] == "add" {
			c.load(event["MODALIAS"])
		}
	}
}

func openUevents() (int, error) {
	socket, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, uevents)
	if err != nil {
		return -1, err
	}
	_ = syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 1<<20)
	if err := syscall.Bind(socket, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK, Groups: 1}); err != nil {
		syscall.Close(socket)
		return -1, err
	}
	return socket, nil
}

// parseUevent returns the variables of a message of the kernel.
func parseUevent(message []byte) map[string]string {
	variables := map[string]string{}
	for _, part := range bytes.Split(message, []byte{0}) {
		if name, value, found := strings.Cut(string(part), "="); found {
			variables[name] = value
		}
	}
	return variables
}

// kernelEvent returns the variables of a message if it is one of the kernel; others could speak, too.
func kernelEvent(message []byte, from syscall.Sockaddr) map[string]string {
	if sender, known := from.(*syscall.SockaddrNetlink); !known || sender.Pid != 0 {
		return nil
	}
	return parseUevent(message)
}

func (s *system) hotplug(socket int, index *moduleIndex) {
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := syscall.Recvfrom(socket, buffer, 0)
		if err == syscall.EINTR || err == syscall.ENOBUFS {
			continue
		}
		if err != nil {
			return
		}
		event := kernelEvent(buffer[:n], from)
		if event["ACTION"] != "add" {
			continue
		}
		if name := event["MODALIAS"]; name != "" {
			_ = index.load(name, "")
		}
		if name := event["DEVNAME"]; strings.HasPrefix(name, "input/event") {
			s.watchButton("/dev/" + name)
		}
	}
}

// watchButton ends the system when the power key of an input device is pressed.
func (s *system) watchButton(path string) {
	device, err := os.OpenFile(path, os.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	if !hasKey(device, powerKey) {
		device.Close()
		return
	}
	go func() {
		defer device.Close()
		event := make([]byte, timevalLength+8)
		for {
			if n, err := device.Read(event); err != nil || n != len(event) {
				return
			}
			kind := order.Uint16(event[timevalLength:])
			code := order.Uint16(event[timevalLength+2:])
			value := order.Uint32(event[timevalLength+4:])
			if kind == keyEvent && code == powerKey && value == 1 {
				if s.end(powerOff) {
					say("the power button was pressed")
				}
			}
		}
	}()
}

func hasKey(device *os.File, key int) bool {
	var bits [96]byte
	// EVIOCGBIT(EV_KEY, 96)
	request := uintptr(2<<30 | len(bits)<<16 | 'E'<<8 | (0x20 + keyEvent))
	_, _, code := syscall.Syscall(syscall.SYS_IOCTL, device.Fd(), request, uintptr(unsafe.Pointer(&bits[0])))
	return code == 0 && bits[key/8]&(1<<(key%8)) != 0
}
