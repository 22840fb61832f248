package main

// Copying trees with owners, modes and times.

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// copyTree copies what is in a directory into another one that is there.
func copyTree(source, target string) error {
	entries, err := os.ReadDir(source)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := copyEntry(filepath.Join(source, entry.Name()), filepath.Join(target, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyEntry(source, target string) error {
	found, err := os.Lstat(source)
	if err != nil {
		return err
	}
	stat := found.Sys().(*syscall.Stat_t)
	switch {
	case found.IsDir():
		if err := os.Mkdir(target, 0o755); err != nil && !os.IsExist(err) {
			return err
		}
		if err := copyTree(source, target); err != nil {
			return err
		}
	case found.Mode()&os.ModeSymlink != 0:
		goal, err := os.Readlink(source)
		if err != nil {
			return err
		}
		if err := os.Symlink(goal, target); err != nil {
			return err
		}
		return os.Lchown(target, int(stat.Uid), int(stat.Gid))
	case found.Mode().IsRegular():
		if err := copyFile(source, target); err != nil {
			return err
		}
	default:
		if err := syscall.Mknod(target, stat.Mode, int(stat.Rdev)); err != nil {
			return err
		}
	}
	return setAttributes(target, stat)
}

func setAttributes(target string, stat *syscall.Stat_t) error {
	if err := os.Lchown(target, int(stat.Uid), int(stat.Gid)); err != nil {
		return err
	}
	if err := syscall.Chmod(target, stat.Mode&0o7777); err != nil {
		return err
	}
	return syscall.UtimesNano(target, []syscall.Timespec{stat.Atim, stat.Mtim})
}

func copyFile(source, target string) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
