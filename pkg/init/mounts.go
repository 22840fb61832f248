package main

// Mounting: what every system has, what runtime.json asks for, and the volumes.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
)

const (
	nosuid = syscall.MS_NOSUID
	nodev  = syscall.MS_NODEV
	noexec = syscall.MS_NOEXEC
)

var basics = []struct {
	target, kind string
	flags        uintptr
	data         string
	// Whether a system works without it.
	optional bool
}{
	{"/proc", "proc", nosuid | nodev | noexec, "", false},
	{"/sys", "sysfs", nosuid | nodev | noexec, "", false},
	{"/dev", "devtmpfs", nosuid, "mode=0755", false},
	{"/run", "tmpfs", nosuid | nodev, "size=10%,mode=0755", false},
	{"/tmp", "tmpfs", nosuid | nodev, "size=10%,mode=1777", false},
	{"/dev/pts", "devpts", nosuid | noexec, "gid=5,mode=0620,ptmxmode=0666", false},
	{"/dev/shm", "tmpfs", nosuid | nodev | noexec, "mode=1777", false},
	{"/dev/mqueue", "mqueue", nosuid | nodev | noexec, "", true},
	{"/sys/kernel/security", "securityfs", nosuid | nodev | noexec, "", true},
	{"/sys/firmware/efi/efivars", "efivarfs", nosuid | nodev | noexec, "", true},
	{"/sys/fs/cgroup", "cgroup2", nosuid | nodev | noexec, "nsdelegate", false},
}

// mountBasics mounts what programs expect; what the image has in /run, /tmp and /var is kept.
func mountBasics() {
	for _, b := range basics {
		if mounted(b.target) {
			continue
		}
		if b.kind == "tmpfs" && !strings.HasPrefix(b.target, "/dev/") {
			if err := mountOver(b.target, b.flags, b.data); err != nil {
				say("%s cannot be mounted: %v", b.target, err)
			}
			continue
		}
		err := os.MkdirAll(b.target, 0o755)
		if err == nil {
			err = syscall.Mount(b.kind, b.target, b.kind, b.flags, b.data)
		}
		if err != nil && !errors.Is(err, syscall.EBUSY) && !b.optional {
			say("%s cannot be mounted: %v", b.target, err)
		}
	}
	if err := mountOver("/var", nosuid|nodev, "size=50%,mode=0755"); err != nil {
		say("/var cannot be mounted: %v", err)
	}
	for link, target := range map[string]string{
		"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0",
		"/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2",
	} {
		_ = os.Symlink(target, link)
	}
	// Volumes and mounts are to be seen in containers that bind them with rshared.
	_ = syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, "")
}

// mounted tells whether something is mounted at a path already.
func mounted(path string) bool {
	var here, above syscall.Stat_t
	if syscall.Stat(path, &here) != nil || syscall.Stat(filepath.Dir(path), &above) != nil {
		return false
	}
	return here.Dev != above.Dev
}

// mountOver mounts a tmpfs on a directory and copies what was in it.
func mountOver(directory string, flags uintptr, data string) error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	before, err := os.Open(directory)
	if err != nil {
		return err
	}
	defer before.Close()
	if err := syscall.Mount("tmpfs", directory, "tmpfs", flags, data); err != nil {
		return err
	}
	// The directory under the mount is still to be had through what was opened before.
	if err := syscall.Fchdir(int(before.Fd())); err != nil {
		return err
	}
	defer os.Chdir("/")
	return copyTree(".", directory)
}

// mountSpec is a mount as runtime.json has it.
type mountSpec struct {
	Destination string   `json:"destination"`
	Type        string   `json:"type"`
	Source      string   `json:"source"`
	Options     []string `json:"options"`
}

var mountFlags = map[string]uintptr{
	"ro": syscall.MS_RDONLY, "nosuid": nosuid, "nodev": nodev, "noexec": noexec,
	"bind": syscall.MS_BIND, "rbind": syscall.MS_BIND | syscall.MS_REC,
	"remount": syscall.MS_REMOUNT, "noatime": syscall.MS_NOATIME,
	"nodiratime": syscall.MS_NODIRATIME, "relatime": syscall.MS_RELATIME,
	"strictatime": syscall.MS_STRICTATIME, "sync": syscall.MS_SYNCHRONOUS,
	"dirsync": syscall.MS_DIRSYNC, "mand": syscall.MS_MANDLOCK, "silent": syscall.MS_SILENT,
}

var propagations = map[string]uintptr{
	"private": syscall.MS_PRIVATE, "rprivate": syscall.MS_PRIVATE | syscall.MS_REC,
	"shared": syscall.MS_SHARED, "rshared": syscall.MS_SHARED | syscall.MS_REC,
	"slave": syscall.MS_SLAVE, "rslave": syscall.MS_SLAVE | syscall.MS_REC,
	"unbindable": syscall.MS_UNBINDABLE, "runbindable": syscall.MS_UNBINDABLE | syscall.MS_REC,
}

// Options that say what is the case anyway.
var usualOptions = map[string]bool{
	"rw": true, "defaults": true, "suid": true, "dev": true, "exec": true, "async": true,
	"atime": true, "diratime": true, "norelatime": true, "nostrictatime": true, "loud": true,
	"nomand": true,
}

// parse splits options into flags, propagation and data.
func (m mountSpec) parse() (flags, propagation uintptr, data string) {
	var rest []string
	for _, option := range m.Options {
		if flag, known := mountFlags[option]; known {
			flags |= flag
		} else if kind, known := propagations[option]; known {
			propagation = kind
		} else if !usualOptions[option] {
			rest = append(rest, option)
		}
	}
	return flags, propagation, strings.Join(rest, ",")
}

// mount does what one entry of runtime.json says.
func (m mountSpec) mount() error {
	flags, propagation, data := m.parse()
	if err := m.makePlace(flags); err != nil {
		return err
	}
	for _, option := range m.Options {
		if path, found := cutPrefix(option, "upperdir="); found {
			_ = os.MkdirAll(path, 0o755)
		} else if path, found := cutPrefix(option, "workdir="); found {
			_ = os.MkdirAll(path, 0o755)
		}
	}
	if m.Type != "" && flags&(syscall.MS_BIND|syscall.MS_REMOUNT) == 0 {
		needFilesystem(m.Type)
	}
	if err := syscall.Mount(m.Source, m.Destination, m.Type, flags, data); err != nil {
		return fmt.Errorf("mounting %s (%s) on %s: %w", m.Source, first(m.Type, "bind"), m.Destination, err)
	}
	// A bind does not look at other flags; they are set by mounting it again.
	restrictions := flags &^ (syscall.MS_BIND | syscall.MS_REC | syscall.MS_SILENT)
	if flags&syscall.MS_BIND != 0 && flags&syscall.MS_REMOUNT == 0 && restrictions != 0 {
		again := restrictions | syscall.MS_BIND | syscall.MS_REMOUNT
		if err := syscall.Mount("", m.Destination, "", again, ""); err != nil {
			return fmt.Errorf("setting the options of %s: %w", m.Destination, err)
		}
	}
	if propagation != 0 {
		if err := syscall.Mount("", m.Destination, "", propagation, ""); err != nil {
			return fmt.Errorf("setting the propagation of %s: %w", m.Destination, err)
		}
	}
	return nil
}

// makePlace makes a directory to mount on, or a file if a file is bound.
func (m mountSpec) makePlace(flags uintptr) error {
	if flags&syscall.MS_REMOUNT != 0 {
		return nil
	}
	if flags&syscall.MS_BIND != 0 {
		if found, err := os.Stat(m.Source); err == nil && !found.IsDir() {
			return makeFile(m.Destination)
		}
	}
	return os.MkdirAll(m.Destination, 0o755)
}

func makeFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o644)
	if err == nil {
		err = file.Close()
	}
	return err
}

// mountVolumes makes the volumes usable, as the directories say.
func mountVolumes() {
	const base = "/containers/volumes"
	entries, _ := os.ReadDir(base)
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
	for _, entry := range entries {
		for _, m := range volumeMounts(filepath.Join(base, entry.Name())) {
			if err := m.mount(); err != nil {
				say("the volume %s: %v", entry.Name(), err)
				break
			}
		}
	}
}

func volumeMounts(directory string) []mountSpec {
	lower, tmp, merged := directory+"/lower", directory+"/tmp", directory+"/merged"
	if !isDirectory(lower) || !isDirectory(merged) {
		return nil
	}
	if !isDirectory(tmp) {
		return []mountSpec{{Source: lower, Destination: merged, Options: []string{"bind", "ro"}}}
	}
	overlay := []string{"lowerdir=" + lower, "upperdir=" + tmp + "/upper", "workdir=" + tmp + "/work"}
	return []mountSpec{
		{Source: "tmpfs", Type: "tmpfs", Destination: tmp},
		{Source: "overlay", Type: "overlay", Destination: merged, Options: overlay},
	}
}

func isDirectory(path string) bool {
	found, err := os.Stat(path)
	return err == nil && found.IsDir()
}

func cutPrefix(text, prefix string) (string, bool) {
	return strings.TrimPrefix(text, prefix), strings.HasPrefix(text, prefix)
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
