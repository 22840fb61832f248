package main

// The root filesystem: one that containers can leave by pivot_root, and that can be written.

import (
	"fmt"
	"os"
	"syscall"
)

const (
	ramfsMagic = 0x858458f6
	tmpfsMagic = 0x01021994
)

// leaveInitramfs makes the root filesystem one that pivot_root works in.
//
// The kernel's first root has no parent, which pivot_root wants. So it is bound to a directory of
// itself, and this second view of it moved over the first: nothing has to be copied.
func leaveInitramfs() error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs("/", &fs); err != nil {
		return err
	}
	if fs.Flags&syscall.MS_RDONLY != 0 {
		return overlayRoot()
	}
	if !inMemory(fs) {
		return nil
	}
	if uint32(fs.Type) == ramfsMagic {
		return moveToTmpfs()
	}
	const view = "/.root"
	if err := os.MkdirAll(view, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("/", view, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("binding the root to %s: %w", view, err)
	}
	if err := enter(view); err != nil {
		return err
	}
	return os.Remove(view)
}

func inMemory(fs syscall.Statfs_t) bool {
	kind := uint32(fs.Type)
	return kind == ramfsMagic || kind == tmpfsMagic
}

// overlayRoot puts a tmpfs over a root that the kernel itself has mounted, and that cannot be written.
func overlayRoot() error {
	// The one directory that is surely there, empty, and not yet used.
	root, err := overlay("/", "/sys", openModules())
	if err != nil {
		return err
	}
	if err := syscall.Mount("/dev", root+"/dev", "", syscall.MS_MOVE, ""); err != nil {
		return err
	}
	return enter(root)
}

// enter makes a mounted directory the root.
func enter(directory string) error {
	if err := os.Chdir(directory); err != nil {
		return err
	}
	if err := syscall.Mount(".", "/", "", syscall.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving %s to the root: %w", directory, err)
	}
	if err := syscall.Chroot("."); err != nil {
		return err
	}
	return os.Chdir("/")
}
