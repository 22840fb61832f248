package main

// Metadata on a CD, or on a disk with the content of one: in the file `config`, or as cloud-init
// has it in `user-data` and `meta-data`.

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"
)

const (
	// Where the first descriptor of a CD is, and what it begins with.
	descriptorAt = 16*2048 + 1
	descriptor   = "CD001"
)

// discs looks at all drives and disks of the machine.
type discs struct {
	devices    func() []string
	mount      func(device, directory string) error
	unmount    func(directory string)
	mountPoint string
}

func newDiscs() *discs {
	return &discs{
		devices: blockDevices,
		mount: func(device, directory string) error {
			const flags = syscall.MS_RDONLY | syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC
			return syscall.Mount(device, directory, "iso9660", flags, "")
		},
		unmount:    func(directory string) { _ = syscall.Unmount(directory, 0) },
		mountPoint: filepath.Join(os.TempDir(), "cd"),
	}
}

func (d *discs) name() string { return "CDROM" }

func (d *discs) ask(ctx context.Context) (*metadata, error) {
	for end := time.Now().Add(longestWait); ; time.Sleep(50 * time.Millisecond) {
		for _, device := range d.devices() {
			if found, err := d.look(device); found != nil || err != nil {
				return found, err
			}
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return nil, nil
		}
	}
}

// look returns what is on a device, or nothing if it is no CD or has none of the files.
func (d *discs) look(device string) (*metadata, error) {
	if !isDisc(device) {
		return nil, nil
	}
	if err := os.MkdirAll(d.mountPoint, 0o700); err != nil {
		return nil, err
	}
	if err := d.mount(device, d.mountPoint); err != nil {
		return nil, fmt.Errorf("%s cannot be mounted: %w", device, err)
	}
	defer d.unmount(d.mountPoint)
	found, err := readDisc(d.mountPoint)
	if found != nil {
		say("found on %s", device)
	}
	return found, err
}

func readDisc(directory string) (*metadata, error) {
	data, err := readSmall(filepath.Join(directory, "config"))
	if err == nil {
		return &metadata{userdata: data}, nil
	}
	if !os.IsNotExist(err) {
		return nil, err
	}
	return readSeed(directory)
}

func isDisc(device string) bool {
	file, err := os.Open(device)
	if err != nil {
		return false
	}
	defer file.Close()
	found := make([]byte, len(descriptor))
	_, err = file.ReadAt(found, descriptorAt)
	return err == nil && string(found) == descriptor
}

// blockDevices lists drives first, then whole disks.
func blockDevices() []string {
	entries, _ := os.ReadDir("/sys/block")
	var drives, disks []string
	for _, entry := range entries {
		name := entry.Name()
		switch device := "/dev/" + name; {
		case strings.HasPrefix(name, "sr"):
			drives = append(drives, device)
		case strings.HasPrefix(name, "sd"), strings.HasPrefix(name, "vd"), strings.HasPrefix(name, "xvd"),
			strings.HasPrefix(name, "nvme"):
			disks = append(disks, device)
		}
	}
	sort.Strings(drives)
	sort.Strings(disks)
	return append(drives, disks...)
}
