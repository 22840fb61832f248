package main

// The small initrd that leads to a root filesystem elsewhere: it waits for the device, mounts it,
// puts an overlay over what cannot be written, and hands over to the init that is there.

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// What makes an initrd one of this kind; others use the same name for it.
	earlyMark    = "/etc/initrd-release"
	rootPatience = 30 * time.Second
	// Buses are looked through again for devices that have come, but not all the time.
	lookAgain = 200 * time.Millisecond
)

// rootOptions are the kernel's own words about the root filesystem.
type rootOptions struct {
	device   string
	kinds    []string
	data     string
	writable bool
	delay    time.Duration
	// How long to wait for the device; 0 is without end.
	patience time.Duration
	programs []string
}

func parseRootOptions(line string) rootOptions {
	o := rootOptions{programs: []string{"/init", "/sbin/init"}, patience: rootPatience}
	for _, word := range strings.Fields(line) {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "root":
			o.device = value
		case "rootfstype":
			o.kinds = diskFilesystems(value)
		case "rootflags":
			o.data = value
		case "rw":
			o.writable = true
		case "ro":
			o.writable = false
		case "rootwait":
			o.patience, _ = time.ParseDuration(value + "s")
		case "rootdelay":
			o.delay, _ = time.ParseDuration(value + "s")
		case "init":
			o.programs = []string{value}
		}
	}
	return o
}

// diskFilesystems returns the names in a list that are not of filesystems in memory: those are meant
// for the initrd.
func diskFilesystems(list string) []string {
	var kinds []string
	for _, kind := range strings.Split(list, ",") {
		if kind != "" && kind != "ramfs" && kind != "tmpfs" {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// isEarly tells whether this is only the way to another root filesystem.
func isEarly() bool {
	if !exists(earlyMark) {
		return false
	}
	var fs syscall.Statfs_t
	return syscall.Statfs("/", &fs) == nil && inMemory(fs)
}

// goToRoot is all that such an initrd is for; it does not come back.
func goToRoot() {
	for target, kind := range map[string]string{"/proc": "proc", "/sys": "sysfs"} {
		_ = os.MkdirAll(target, 0o755)
		_ = syscall.Mount(kind, target, kind, nosuid|nodev|noexec, "")
	}
	findConsoles()
	checkUnpacking()
	o := parseRootOptions(commandLine())
	verified, err := parseVerityOptions(commandLine())
	modules := openModules()
	if err != nil {
		// The system before may have a better one.
		verityOptions{mode: modeFallback}.refuse(fmt.Errorf("the command line: %w", err), modules)
	}
	if verified.rootHash != "" {
		time.Sleep(o.delay)
		verified.refuse(goToVerifiedRoot(o, verified, modules), modules)
	}
	if o.device == "" {
		lastWord("the command line does not say where the root filesystem is: root=/dev/vda, for example")
	}
	time.Sleep(o.delay)
	path, found := awaitRoot(o, modules)
	if path == "" {
		lastWord("the root filesystem %s did not come within %s; there is %s", o.device, o.patience, blockDevices())
	}
	if err := switchToRoot(o, path, found, modules); err != nil {
		lastWord("the root filesystem %s: %v", o.device, err)
	}
	lastWord("the root filesystem %s: %v", o.device, o.execute())
}

// execute hands over to the init of the root filesystem, and comes back if that fails only.
func (o rootOptions) execute() error {
	for _, program := range o.programs {
		if exists(program) {
			err := syscall.Exec(program, append([]string{program}, os.Args[1:]...), os.Environ())
			return fmt.Errorf("%s cannot be executed: %w", program, err)
		}
	}
	return fmt.Errorf("it has no %s", strings.Join(o.programs, ", and no "))
}

// awaitRoot waits for the device.
func awaitRoot(o rootOptions, modules *moduleIndex) (path string, found superblock) {
	awaitDevices("the root filesystem "+o.device, o.patience, modules, func() bool {
		path, found = findRoot(o.device)
		return path != ""
	})
	return path, found
}

// awaitDevices waits until something is there, and loads modules for what appears meanwhile.
func awaitDevices(what string, patience time.Duration, modules *moduleIndex, isThere func() bool) bool {
	began := time.Now()
	socket, _ := openUevents()
	if socket >= 0 {
		defer syscall.Close(socket)
	}
	plug := newColdplug(modules, socket)
	looked := time.Now()
	plug.all()
	told := false
	for {
		if time.Since(looked) > lookAgain {
			plug.all()
			looked = time.Now()
		} else if socket >= 0 {
			plug.news()
		}
		if isThere() {
			return true
		}
		waited := time.Since(began)
		if waited > 3*time.Second && !told {
			told = true
			say("waiting for %s", what)
		}
		if waited > patience && patience > 0 {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Where the root filesystem is mounted at first.
const (
	rootPlace = "/.root"
	rootDisk  = rootPlace + "/disk"
)

// switchToRoot makes the device the root of everything.
func switchToRoot(o rootOptions, path string, found superblock, modules *moduleIndex) error {
	if err := mountRoot(o, path, found, modules); err != nil {
		return err
	}
	return enterRoot(modules)
}

// mountRoot mounts the device.
func mountRoot(o rootOptions, path string, found superblock, modules *moduleIndex) error {
	if err := os.MkdirAll(rootDisk, 0o755); err != nil {
		return err
	}
	kinds := o.kinds
	if len(kinds) == 0 {
		if found.kind == "" {
			return fmt.Errorf("%s has no filesystem that is known here; rootfstype= names it", path)
		}
		kinds = []string{found.kind}
	}
	flags := uintptr(syscall.MS_RDONLY)
	if o.writable {
		flags = 0
	}
	var failure error
	for _, kind := range kinds {
		// Alias of filesystems; those without one are called as their modules are.
		if modules.load("fs-"+kind, "") != nil {
			_ = modules.load(kind, "")
		}
		if failure = syscall.Mount(path, rootDisk, kind, flags, o.data); failure == nil {
			break
		}
		failure = fmt.Errorf("mounting %s as %s: %w", path, kind, failure)
	}
	return failure
}

// enterRoot makes what is mounted the root of everything.
func enterRoot(modules *moduleIndex) error {
	root := rootDisk
	var fs syscall.Statfs_t
	if err := syscall.Statfs(rootDisk, &fs); err != nil {
		return err
	}
	if fs.Flags&syscall.MS_RDONLY != 0 {
		var err error
		if root, err = overlay(rootDisk, rootPlace+"/memory", modules); err != nil {
			return err
		}
	}
	for _, name := range []string{"/dev", "/proc", "/sys"} {
		if err := os.MkdirAll(root+name, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(name, root+name, "", syscall.MS_MOVE, ""); err != nil {
			return fmt.Errorf("moving %s: %w", name, err)
		}
	}
	carryStubFiles(stubFiles, root+policyFiles)
	forgetInitrd()
	return enter(root)
}

// Files of systemd's stub in the initrd, and where systemd has them in the running system.
const (
	stubFiles   = "/.extra"
	policyFiles = "/run/systemd"
	// More is not worth the memory.
	largestStubFile = 64 << 10
)

// carryStubFiles copies the signed policies of PCR 11, and their key, to a directory of the system.
func carryStubFiles(source, target string) {
	for _, name := range []string{"tpm2-pcr-signature.json", "tpm2-pcr-public-key.pem"} {
		file, err := os.Open(filepath.Join(source, name))
		if err != nil {
			continue
		}
		content, err := io.ReadAll(io.LimitReader(file, largestStubFile))
		file.Close()
		if err == nil {
			err = os.MkdirAll(target, 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(target, name), content, 0o444)
		}
		if err != nil {
			say("%s is not there in the system: %v", name, err)
		}
	}
}

// overlay lets a tree that cannot be written be written in memory; the outcome is below `place`.
func overlay(lower, place string, modules *moduleIndex) (string, error) {
	if !knownFilesystem("overlay") {
		// The modules of the initrd need not be all; those of the root filesystem are.
		if modules.load("overlay", "") != nil {
			for _, base := range []string{"/usr/lib/modules/", "/lib/modules/"} {
				if directory := filepath.Join(lower, base, kernelRelease()); isDirectory(directory) {
					_ = readModules(directory).load("overlay", "")
					break
				}
			}
		}
	}
	if err := os.MkdirAll(place, 0o755); err != nil {
		return "", err
	}
	if err := syscall.Mount("tmpfs", place, "tmpfs", 0, "mode=0755"); err != nil {
		return "", err
	}
	for _, name := range []string{"/upper", "/work", "/root"} {
		if err := os.Mkdir(place+name, 0o755); err != nil {
			return "", err
		}
	}
	data := "lowerdir=" + lower + ",upperdir=" + place + "/upper,workdir=" + place + "/work"
	if err := syscall.Mount("overlay", place+"/root", "overlay", 0, data); err != nil {
		return "", fmt.Errorf("an overlay over what cannot be written: %w", err)
	}
	return place + "/root", nil
}

// knownFilesystem tells whether the kernel has a filesystem already. Without /proc it does not know.
func knownFilesystem(kind string) bool {
	content, _ := os.ReadFile("/proc/filesystems")
	for _, line := range strings.Split(string(content), "\n") {
		if words := strings.Fields(line); len(words) > 0 && words[len(words)-1] == kind {
			return true
		}
	}
	return false
}

// forgetInitrd removes the initrd's own files, which are memory.
func forgetInitrd() {
	var root syscall.Stat_t
	if syscall.Lstat("/", &root) == nil {
		removeOn(root.Dev, "/")
	}
}

// removeOn removes what is below a directory, as far as it is on one device.
func removeOn(device uint64, directory string) {
	entries, _ := os.ReadDir(directory)
	for _, entry := range entries {
		path := filepath.Join(directory, entry.Name())
		var found syscall.Stat_t
		if syscall.Lstat(path, &found) != nil || found.Dev != device {
			continue
		}
		if entry.IsDir() {
			removeOn(device, path)
		}
		_ = os.Remove(path)
	}
}
