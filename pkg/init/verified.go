package main

// The way to a root filesystem that dm-verity checks: found by the root hash, opened, mounted. What
// is not as it was signed is refused, and the system before it is started instead.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	verifiedName      = "dolmen-root"
	verifiedSignature = "/verity/root.p7s"
	largestSignature  = 64 << 10
	// The kernel has this only if it can check signatures of root hashes.
	verifiedSigned = "/sys/module/dm_verity/parameters/require_signatures"
	// The keyring of the thread, which ends with it.
	threadKeyring = ^uintptr(0)
	espPatience   = 10 * time.Second
)

// veritySources are the partitions of a root filesystem, by name.
type veritySources struct{ data, hashes string }

// goToVerifiedRoot comes back if the root filesystem cannot be used only, with the reason.
func goToVerifiedRoot(o rootOptions, v verityOptions, modules *moduleIndex) error {
	for _, name := range []string{"dm-mod", "crypto-sha256", "dm-verity"} {
		if err := modules.load(name, ""); err != nil && !errors.Is(err, errNoModule) {
			say("%v", err)
		}
	}
	var sources []veritySources
	dataID, hashID := v.partitionIDs()
	awaitDevices("the partitions "+dataID+" and "+hashID, o.patience, modules, func() bool {
		data, hashes := partitionsOf(dataID), partitionsOf(hashID)
		if len(data) > 0 && len(hashes) > 0 {
			sources = pairSources(data, hashes, diskOf, loaderDisk(modules))
		}
		return len(sources) > 0
	})
	if len(sources) == 0 {
		return fmt.Errorf("the partitions %s and %s did not come within %s; there is %s",
			dataID, hashID, o.patience, describePartitions())
	}
	// What a fallback needs cannot be loaded later from what is damaged.
	loadEspModules(modules)
	path, err := v.openFirst(sources)
	if err != nil {
		return err
	}
	o.writable = false
	found := readSuperblock(path)
	if err := mountRoot(o, path, found, modules); err != nil {
		return err
	}
	for _, program := range o.programs {
		if err := readWhole(rootDisk, program); err != nil {
			return fmt.Errorf("reading %s: %w", program, err)
		}
	}
	if err := enterRoot(modules); err != nil {
		return err
	}
	return o.execute()
}

// loaderDisk is the disk that the boot loader was on.
func loaderDisk(modules *moduleIndex) string {
	loader, err := readLoaderState(modules)
	if err != nil {
		return ""
	}
	for _, device := range partitionsOf(loader.partition) {
		return diskOf(device)
	}
	return ""
}

// pairSources combines partitions; those on the boot loader's disk come first, then those that are
// on one disk. A copy of a disk has the same ids.
func pairSources(data, hashes []string, diskOf func(string) string, preferred string) []veritySources {
	var pairs []veritySources
	for _, d := range data {
		for _, h := range hashes {
			pairs = append(pairs, veritySources{d, h})
		}
	}
	rank := func(p veritySources) int {
		switch disk := diskOf(p.data); {
		case disk != diskOf(p.hashes):
			return 2
		case disk != preferred:
			return 1
		default:
			return 0
		}
	}
	sort.SliceStable(pairs, func(i, j int) bool { return rank(pairs[i]) < rank(pairs[j]) })
	return pairs
}

// describePartitions lists the partitions with their ids.
func describePartitions() string {
	var texts []string
	for _, device := range listBlockDevices() {
		if id := partitionID(device); id != "" {
			texts = append(texts, fmt.Sprintf("/dev/%s %s", device, strings.ToLower(id)))
		}
	}
	if len(texts) == 0 {
		return "no partition; of disks there is " + blockDevices()
	}
	return strings.Join(texts, ", ")
}

// openFirst opens the first pair that can be.
func (v verityOptions) openFirst(sources []veritySources) (string, error) {
	m, err := openMapper()
	if err != nil {
		return "", err
	}
	defer m.close()
	var failures []string
	for _, pair := range sources {
		path, err := v.open(m, pair)
		if err == nil {
			say("the root filesystem /dev/%s is checked by the hashes of /dev/%s", pair.data, pair.hashes)
			return path, nil
		}
		failures = append(failures, fmt.Sprintf("/dev/%s: %v", pair.hashes, err))
	}
	return "", errors.New(strings.Join(failures, "; "))
}

func (v verityOptions) open(m *mapper, pair veritySources) (string, error) {
	file, err := os.Open("/dev/" + pair.hashes)
	if err != nil {
		return "", err
	}
	defer file.Close()
	data := make([]byte, veritySuperSize)
	if _, err := io.ReadFull(file, data); err != nil {
		return "", err
	}
	super, err := parseVeritySuperblock(data)
	if err != nil {
		return "", err
	}
	if err := super.fits(uint64(deviceSize(pair.data))*512, uint64(deviceSize(pair.hashes))*512); err != nil {
		return "", err
	}
	// The kernel looks for the key among those of the thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	key, onError := addSignature(), true
	for {
		target := super.target(v, deviceNumber(pair.data), deviceNumber(pair.hashes), key, onError)
		id := "CRYPT-VERITY-" + strings.ReplaceAll(super.uuid, "-", "") + "-" + verifiedName
		path, err := m.create(verifiedName, id, target)
		switch {
		case errors.Is(err, syscall.ENOKEY) && key != "":
			say("the kernel has no key for the signature of the root hash: only the root hash is checked")
			key = ""
		case errors.Is(err, syscall.EINVAL) && v.mode != modeFallback && onError:
			say("the kernel does not know %s_on_error: blocks that cannot be read are errors only", v.mode)
			onError = false
		case err != nil:
			return "", fmt.Errorf("dm-verity: %w%s", err, signatureHint(err, key))
		default:
			return path, nil
		}
	}
}

func signatureHint(err error, key string) string {
	if key != "" && (errors.Is(err, syscall.EKEYREJECTED) || errors.Is(err, syscall.EBADMSG)) {
		return ": the signature of the root hash is not right"
	}
	return ""
}

func deviceNumber(device string) string { return firstLine("/sys/class/block/" + device + "/dev") }

// addSignature gives the signature of the root hash to the kernel, and returns how it is called; it
// is empty if there is none, or if the kernel does not check it.
func addSignature() string {
	content, err := os.ReadFile(verifiedSignature)
	if err != nil {
		return ""
	}
	if len(content) == 0 || len(content) > largestSignature {
		say("the signature of the root hash has %d bytes: only the root hash is checked", len(content))
		return ""
	}
	if !exists(verifiedSigned) {
		say("the kernel checks no signature of root hashes: only the root hash is checked")
		return ""
	}
	const name = "dolmen:root"
	kind, _ := syscall.BytePtrFromString("user")
	description, _ := syscall.BytePtrFromString(name)
	_, _, code := syscall.Syscall6(syscall.SYS_ADD_KEY, uintptr(unsafe.Pointer(kind)),
		uintptr(unsafe.Pointer(description)), uintptr(unsafe.Pointer(&content[0])), uintptr(len(content)),
		threadKeyring, 0)
	runtime.KeepAlive(content)
	if code != 0 {
		say("the signature of the root hash cannot be given to the kernel (%v): only the root hash is checked", code)
		return ""
	}
	return name
}

// readWhole reads a program below a directory, so that damage is found before it is needed. One that
// is not there is no damage.
func readWhole(root, program string) error {
	path := program
	for links := 0; links < 20; links++ {
		target, err := os.Readlink(filepath.Join(root, path))
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	file, err := os.Open(filepath.Join(root, path))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(io.Discard, file)
	return err
}

// refuse ends a boot into what is not as it was signed. It does not come back.
func (v verityOptions) refuse(reason error, modules *moduleIndex) {
	say("the verified root filesystem cannot be used: %v", reason)
	switch v.mode {
	case modeRestart:
		say("dolmen.verity=restart: the machine restarts in 5 seconds")
		time.Sleep(5 * time.Second)
		restartNow()
	case modePanic:
		say("dolmen.verity=panic: the kernel ends the system")
		drainConsoles()
		os.Exit(1)
	}
	fallBack(modules)
	stayStopped()
}

// One change of the ESP at a time.
var espLock sync.Mutex

// fallBack marks the running entry as bad and restarts the machine; it comes back if there is no
// other entry, and has said so.
func fallBack(modules *moduleIndex) {
	espLock.Lock()
	defer espLock.Unlock()
	loader, err := readLoaderState(modules)
	if err != nil {
		say("cannot go on: there is no other system to fall back to: %v", err)
		return
	}
	if modules != nil {
		// A boot that has ended early has not looked at the disks yet.
		awaitDevices("the ESP", espPatience, modules, func() bool { return len(partitionsOf(loader.partition)) > 0 })
	}
	var running, next bootEntry
	err = withESP(loader, func(directory string) (err error) {
		running, next, err = markBadIn(directory, loader)
		return err
	})
	if next.file == "" || err != nil {
		say("cannot go on: there is no other system to fall back to: %v", err)
		return
	}
	say("entry %s is marked as bad; the machine restarts with %s", running.base, next.base)
	restartNow()
}

// restartNow restarts the machine without stopping anything before.
func restartNow() {
	synced := make(chan struct{})
	go func() {
		syscall.Sync()
		close(synced)
	}()
	select {
	case <-synced:
	case <-time.After(5 * time.Second):
	}
	drainConsoles()
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART)
	stayStopped()
}

// stayStopped keeps the machine on and ignores panic=: another boot would fail the same way.
func stayStopped() {
	say("the system stays as it is; the power button or the emulator ends it")
	for {
		time.Sleep(time.Hour)
	}
}
