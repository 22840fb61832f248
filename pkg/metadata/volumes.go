package main

// File systems with a certain label, on CDs, disks and partitions: clouds without a network service
// pass metadata so.

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"
)

// volumes looks for the file systems with a label, in whatever case.
type volumes struct {
	label      string
	devices    func() []string
	mount      func(device, kind, directory string) error
	unmount    func(directory string)
	mountPoint string
}

func newVolumes(label string) *volumes {
	return &volumes{
		label:   label,
		devices: func() []string { return append(blockDevices(), partitions()...) },
		mount: func(device, kind, directory string) error {
			const flags = syscall.MS_RDONLY | syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC
			return syscall.Mount(device, directory, kind, flags, "")
		},
		unmount:    func(directory string) { _ = syscall.Unmount(directory, 0) },
		mountPoint: filepath.Join(os.TempDir(), label),
	}
}

// read mounts each volume with the label until one has what is wanted, or the wait is over.
func (v *volumes) read(ctx context.Context, wait time.Duration, read func(directory string) (*metadata, error)) (*metadata, error) {
	for end := time.Now().Add(wait); ; time.Sleep(50 * time.Millisecond) {
		for _, device := range v.devices() {
			kind, label := volumeOf(device)
			if !strings.EqualFold(label, v.label) {
				continue
			}
			found, err := v.readOne(device, kind, read)
			if found != nil || err != nil {
				return found, err
			}
		}
		if !time.Now().Before(end) || ctx.Err() != nil {
			return nil, nil
		}
	}
}

func (v *volumes) readOne(device, kind string, read func(string) (*metadata, error)) (*metadata, error) {
	if err := os.MkdirAll(v.mountPoint, 0o700); err != nil {
		return nil, err
	}
	if err := v.mount(device, kind, v.mountPoint); err != nil {
		return nil, fmt.Errorf("%s cannot be mounted: %w", device, err)
	}
	defer v.unmount(v.mountPoint)
	found, err := read(v.mountPoint)
	if found != nil {
		say("found on %s", device)
	}
	return found, err
}

// volumeOf returns kind and label of the file system on a device, or nothing if it is another one.
func volumeOf(device string) (kind, label string) {
	file, err := os.Open(device)
	if err != nil {
		return "", ""
	}
	defer file.Close()
	return readLabel(file)
}

const (
	// The volume descriptor of a CD, and its label there.
	descriptorStart = 16 * 2048
	discLabelAt     = descriptorStart + 40
	discLabelSize   = 32
	sectorSize      = 512
	fatLabelSize    = 11
	fatEntrySize    = 32
	fatVolumeEntry  = 0x08
	fatLongName     = 0x0f
	// The root directory has the label among its first entries.
	fatEntries = 512
)

func readLabel(file io.ReaderAt) (kind, label string) {
	descriptor := make([]byte, discLabelAt-descriptorStart+discLabelSize)
	if _, err := file.ReadAt(descriptor, descriptorStart); err == nil && string(descriptor[1:6]) == "CD001" {
		return "iso9660", trimLabel(descriptor[discLabelAt-descriptorStart:])
	}
	sector := make([]byte, sectorSize)
	if _, err := file.ReadAt(sector, 0); err != nil || sector[510] != 0x55 || sector[511] != 0xaa {
		return "", ""
	}
	// The label of a file system with 32 bits is further behind: there are more fields.
	switch {
	case bytes.Equal(sector[82:87], []byte("FAT32")):
		label = fatLabel(file, sector, true, sector[71:71+fatLabelSize])
	case bytes.Equal(sector[54:57], []byte("FAT")):
		label = fatLabel(file, sector, false, sector[43:43+fatLabelSize])
	default:
		return "", ""
	}
	return "vfat", label
}

// fatLabel returns the label in the root directory, or that in the boot sector if it has none.
func fatLabel(file io.ReaderAt, sector []byte, large bool, usual []byte) string {
	number := func(at int) int64 { return int64(binary.LittleEndian.Uint16(sector[at:])) }
	bytesPerSector, reserved := number(11), number(14)
	root := reserved + int64(sector[16])*number(22)
	if large {
		perFAT := int64(binary.LittleEndian.Uint32(sector[36:]))
		cluster := int64(binary.LittleEndian.Uint32(sector[44:]))
		root = reserved + int64(sector[16])*perFAT + (cluster-2)*int64(sector[13])
	}
	one := make([]byte, fatEntrySize)
	for i := int64(0); i < fatEntries; i++ {
		if _, err := file.ReadAt(one, root*bytesPerSector+i*fatEntrySize); err != nil || one[0] == 0 {
			break
		}
		if one[0] != 0xe5 && one[11]&fatVolumeEntry != 0 && one[11] != fatLongName {
			return trimLabel(one[:fatLabelSize])
		}
	}
	return trimLabel(usual)
}

func trimLabel(text []byte) string { return strings.TrimRight(string(text), " \x00") }

// partitions lists the partitions of disks.
func partitions() []string {
	found, _ := filepath.Glob("/sys/block/*/*/partition")
	for i, path := range found {
		found[i] = "/dev/" + filepath.Base(filepath.Dir(path))
	}
	sort.Strings(found)
	return found
}
