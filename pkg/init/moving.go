package main

// Moving the root filesystem from a ramfs into a tmpfs, which has a limit.
//
// The kernel unpacks the initrd into a tmpfs that may fill half of the memory, and counts the packed
// initrd as if it stayed. With rootfstype=ramfs there is no limit, so that less memory suffices.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

const movedAtOnce = 1 << 20

// moveToTmpfs makes a tmpfs with the content of the ramfs the root filesystem.
func moveToTmpfs() error {
	const place = "/.root"
	var root syscall.Stat_t
	if err := syscall.Lstat("/", &root); err != nil {
		return err
	}
	if err := os.MkdirAll(place, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("rootfs", place, "tmpfs", 0, "mode=0755,size=100%"); err != nil {
		return fmt.Errorf("mounting a tmpfs: %w", err)
	}
	m := treeMove{device: root.Dev, leftOut: place, links: map[uint64]string{}}
	if err := m.move("/", place); err != nil {
		return fmt.Errorf("moving the ramfs to a tmpfs: %w", err)
	}
	if err := setAttributes(place, &root); err != nil {
		return err
	}
	var fs syscall.Statfs_t
	var memory syscall.Sysinfo_t
	if syscall.Statfs(place, &fs) == nil && syscall.Sysinfo(&memory) == nil {
		used := (fs.Blocks - fs.Bfree) * uint64(fs.Bsize)
		size := fmt.Sprintf("size=%d", limitOfRoot(uint64(memory.Totalram)*uint64(memory.Unit), used))
		_ = syscall.Mount("", place, "", syscall.MS_REMOUNT, size)
	}
	if err := enter(place); err != nil {
		return err
	}
	// The memory of the old program is free when it no longer runs.
	_ = syscall.Exec(os.Args[0], os.Args, os.Environ())
	return nil
}

// limitOfRoot returns the size of a root filesystem: its content, and half of what that leaves.
func limitOfRoot(memory, used uint64) uint64 {
	if used > memory {
		return used
	}
	return used + (memory-used)/2
}

// treeMove moves a tree to another filesystem piece by piece, so that hardly anything is there twice.
type treeMove struct {
	device  uint64
	leftOut string
	// By inode: the new path of a file with several links.
	links map[uint64]string
}

// move moves what is in a directory; what is mounted there is mounted at the new place.
func (m *treeMove) move(source, target string) error {
	entries, err := os.ReadDir(source)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		from, to := filepath.Join(source, entry.Name()), filepath.Join(target, entry.Name())
		var found syscall.Stat_t
		if err := syscall.Lstat(from, &found); err != nil {
			return err
		}
		switch {
		case from == m.leftOut:
			continue
		case found.Dev != m.device:
			if err := os.Mkdir(to, 0o755); err != nil {
				return err
			}
			if err := syscall.Mount(from, to, "", syscall.MS_MOVE, ""); err != nil {
				return fmt.Errorf("moving the mount %s: %w", from, err)
			}
			// Under it there may be more, which was never seen.
			continue
		case entry.IsDir():
			if err := os.Mkdir(to, 0o755); err != nil {
				return err
			}
			if err := m.move(from, to); err != nil {
				return err
			}
			if err := setAttributes(to, &found); err != nil {
				return err
			}
		case m.links[found.Ino] != "":
			if err := os.Link(m.links[found.Ino], to); err != nil {
				return err
			}
		default:
			if err := moveEntry(from, to, &found); err != nil {
				return err
			}
			if found.Nlink > 1 {
				m.links[found.Ino] = to
			}
		}
		if err := os.Remove(from); err != nil {
			return err
		}
	}
	return nil
}

// moveEntry copies what is not a directory; the content of a file goes from one to the other.
func moveEntry(source, target string, found *syscall.Stat_t) error {
	if found.Mode&syscall.S_IFMT != syscall.S_IFREG || found.Size <= movedAtOnce {
		return copyEntry(source, target)
	}
	in, err := os.OpenFile(source, os.O_RDWR, 0)
	if errors.Is(err, syscall.ETXTBSY) {
		// This program itself.
		return copyEntry(source, target)
	}
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	// From the end, where a file can be made shorter.
	for end := found.Size; end > 0; {
		start := (end - 1) / movedAtOnce * movedAtOnce
		if _, err := out.Seek(start, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.Copy(out, io.NewSectionReader(in, start, end-start)); err != nil {
			return err
		}
		if err := in.Truncate(start); err != nil {
			return err
		}
		end = start
	}
	return setAttributes(target, found)
}
