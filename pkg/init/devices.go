package main

// Devices: modules for those that are there and for those that come, and the power button.

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

const (
	uevents       = 15 // NETLINK_KOBJECT_UEVENT
	keyEvent      = 1
	powerKey      = 116
	timevalLength = 16
)

// loadModules loads what devices and /etc/modules ask for, and goes on with devices that come.
func loadModules(s *system) {
	index := openModules()
	if self := "/usr/sbin/modprobe"; exists(self) {
		_ = os.WriteFile("/proc/sys/kernel/modprobe", []byte(self), 0o644)
	}
	socket, err := openUevents()
	if err != nil {
		say("devices that come later are not seen: %v", err)
	}
	coldplug(index)
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

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// coldplug loads modules for the devices there are, until no new ones appear on new buses.
func coldplug(index *moduleIndex) {
	seen := map[string]bool{}
	for {
		before := len(seen)
		_ = filepath.WalkDir("/sys/devices", func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.Name() == "modalias" && !entry.IsDir() {
				content, _ := os.ReadFile(path)
				name := strings.TrimSpace(string(content))
				if name != "" && !seen[name] {
					seen[name] = true
					_ = index.load(name, "")
				}
			}
			return nil
		})
		if len(seen) == before {
			return
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
		// Only the kernel speaks here; others could.
		if sender, known := from.(*syscall.SockaddrNetlink); !known || sender.Pid != 0 {
			continue
		}
		event := parseUevent(buffer[:n])
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
