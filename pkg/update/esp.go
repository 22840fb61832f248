package main

// The system partition.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"syscall"
)

const (
	entryDirectory = "EFI/Linux"
	// What a file may take besides its size: the rest of a cluster, and one of the directory.
	espSlack = 128 << 10
)

// esp is the directory of the boot loader's entries.
type esp interface {
	// List returns the files and their sizes.
	List() (map[string]int64, error)
	Free() (int64, error)
	Create(name string) (espFile, error)
	Open(name string) (espFile, error)
	// Medium reads a file past the cache.
	Medium(name string) (mediumReader, error)
	// Rename and Remove return when the directory is on the medium.
	Rename(from, to string) error
	Remove(name string) error
	Close() error
}

type espFile interface {
	io.WriterAt
	Sync() error
	Close() error
}

// mounted is a file system that is mounted here, or that someone else has mounted.
type mounted struct {
	root string
	// Where it was mounted for this; empty if it was not.
	point string
}

// mountESP mounts the partition. MS_DIRSYNC: a file that gets another name has the new one before it
// loses the old one.
func mountESP(device, point string) (esp, error) {
	if err := os.MkdirAll(point, 0o700); err != nil {
		return nil, err
	}
	flags := uintptr(syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC | syscall.MS_DIRSYNC)
	if err := syscall.Mount(device, point, "vfat", flags, "umask=0077"); err != nil {
		return nil, fmt.Errorf("%s cannot be mounted: %w", device, err)
	}
	return &mounted{root: point, point: point}, nil
}

func (m *mounted) path(name string) string { return filepath.Join(m.root, entryDirectory, name) }

func (m *mounted) List() (map[string]int64, error) {
	all, err := os.ReadDir(m.path(""))
	if errors.Is(err, os.ErrNotExist) {
		return nil, refuse("the system partition has no directory %s", entryDirectory)
	}
	if err != nil {
		return nil, err
	}
	found := map[string]int64{}
	for _, one := range all {
		about, err := one.Info()
		if err != nil {
			return nil, err
		}
		if about.Mode().IsRegular() {
			found[one.Name()] = about.Size()
		}
	}
	return found, nil
}

func (m *mounted) Free() (int64, error) {
	var about syscall.Statfs_t
	if err := syscall.Statfs(m.path(""), &about); err != nil {
		return 0, err
	}
	return int64(about.Bavail) * int64(about.Bsize), nil
}

func (m *mounted) Create(name string) (espFile, error) {
	return os.OpenFile(m.path(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

func (m *mounted) Open(name string) (espFile, error) {
	return os.OpenFile(m.path(name), os.O_RDWR, 0)
}

func (m *mounted) Medium(name string) (mediumReader, error) { return openMedium(m.path(name)) }

// sync writes everything of the file system to the medium.
func (m *mounted) sync() error {
	directory, err := os.Open(m.path(""))
	if err != nil {
		return err
	}
	defer directory.Close()
	if err := directory.Sync(); err != nil {
		return err
	}
	_, _, number := syscall.Syscall(sysSyncfs, directory.Fd(), 0, 0)
	if number != 0 {
		return number
	}
	return nil
}

func (m *mounted) Rename(from, to string) error {
	if err := os.Rename(m.path(from), m.path(to)); err != nil {
		return err
	}
	return m.sync()
}

// Remove takes the name away before the clusters are free: otherwise a power cut could leave a name
// whose clusters the next file gets.
func (m *mounted) Remove(name string) error {
	file, err := os.Open(m.path(name))
	if err != nil {
		return err
	}
	err = os.Remove(m.path(name))
	if err == nil {
		err = m.sync()
	}
	file.Close()
	if err == nil {
		err = m.sync()
	}
	return err
}

func (m *mounted) Close() error {
	if m.point == "" {
		return nil
	}
	return syscall.Unmount(m.point, 0)
}

// entriesOf returns the entries of a product, the newest first.
func entriesOf(e esp, product string) ([]entry, error) {
	files, err := e.List()
	if err != nil {
		return nil, err
	}
	var all []entry
	for name, size := range files {
		if one, ok := parseEntry(product, name); ok {
			one.size = size
			all = append(all, one)
		}
	}
	sort.Slice(all, func(i, j int) bool {
		if order := compareVersions(all[i].version, all[j].version); order != 0 {
			return order > 0
		}
		return all[i].file < all[j].file
	})
	return all, nil
}
