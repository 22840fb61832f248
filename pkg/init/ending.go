package main

// The end of a system: who asks for it, and what is done.

import (
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

type ending struct {
	name    string
	command int
}

var (
	powerOff = ending{"power off", syscall.LINUX_REBOOT_CMD_POWER_OFF}
	restart  = ending{"reboot", syscall.LINUX_REBOOT_CMD_RESTART}
	halt     = ending{"halt", syscall.LINUX_REBOOT_CMD_HALT}
)

// How long a container of onshutdown may take, without a timeout of its own.
const usualShutdownTimeout = time.Minute

// What signals mean, as busybox and others send them.
var signalEndings = map[os.Signal]ending{
	syscall.SIGUSR1: halt, syscall.SIGUSR2: powerOff, syscall.SIGPWR: powerOff,
	syscall.SIGTERM: restart, syscall.SIGINT: restart,
}

func catchSignals() <-chan os.Signal {
	// Control-alt-delete comes as SIGINT in place of a reboot at once.
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_CAD_OFF)
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	signals := make(chan os.Signal, 4)
	for one := range signalEndings {
		signal.Notify(signals, one)
	}
	return signals
}

// end asks for the end; only the first to ask counts, and is told so.
func (s *system) end(how ending) bool {
	if !s.asked.CompareAndSwap(false, true) {
		return false
	}
	select {
	case s.ends <- how:
		return true
	default:
		return false
	}
}

func (s *system) awaitEnd(signals <-chan os.Signal) ending {
	select {
	case how := <-s.ends:
		return how
	case one := <-signals:
		s.asked.Store(true)
		return signalEndings[one]
	}
}

// shutdown stops everything in order, and the machine.
func (s *system) shutdown(how ending) {
	s.ending.Store(true)
	began := time.Now()
	say("%s: stopping services", how.name)
	var stopping sync.WaitGroup
	for _, one := range s.all() {
		stopping.Add(1)
		go func(one *service) {
			defer stopping.Done()
			s.stop(one)
		}(one)
	}
	stopping.Wait()
	for _, b := range bundles("onshutdown") {
		config, _ := b.containerSpec()
		_ = s.runOnce(b, config.stopTimeout(usualShutdownTimeout))
	}
	_ = syscall.Kill(-1, syscall.SIGTERM)
	time.Sleep(200 * time.Millisecond)
	_ = syscall.Kill(-1, syscall.SIGKILL)
	syscall.Sync()
	swapOff()
	unmountAll()
	syscall.Sync()
	say("%s: all is stopped, after %.1f s", how.name, time.Since(began).Seconds())
	drainConsoles()
	if err := syscall.Reboot(how.command); err != nil {
		lastWord("%s: %v", how.name, err)
	}
	select {}
}

// swapOff stops using all swap: a file of it keeps its file system from being unmounted.
func swapOff() {
	content, _ := os.ReadFile("/proc/swaps")
	mounts, _ := os.ReadFile("/proc/self/mounts")
	paths := swapsIn(string(content))
	for _, path := range paths {
		// Of a file that a container has named, the kernel only says where it is in its file system.
		places := append([]string{"", "/dev"}, unmountOrder(string(mounts))...)
		if !stopsAt(path, places, swapOffOne) {
			say("swap in %s is still used", path)
		}
	}
	if len(paths) > 0 {
		// Devices that were made for it, and hold its file, go in their own time.
		time.Sleep(300 * time.Millisecond)
	}
}

// stopsAt tries a path at several places until it was the right one.
func stopsAt(path string, places []string, try func(string) bool) bool {
	for _, place := range places {
		if try(place + path) {
			return true
		}
	}
	return false
}

// swapOffOne refuses, as the kernel does, what is no swap.
func swapOffOne(path string) bool {
	name, err := syscall.BytePtrFromString(path)
	if err != nil {
		return false
	}
	_, _, code := syscall.Syscall(syscall.SYS_SWAPOFF, uintptr(unsafe.Pointer(name)), 0, 0)
	return code == 0
}

// swapsIn lists files and devices, below a line of headings.
func swapsIn(table string) []string {
	var paths []string
	for _, line := range strings.Split(table, "\n")[1:] {
		if fields := strings.Fields(line); len(fields) > 1 {
			paths = append(paths, unescape(fields[0]))
		}
	}
	return paths
}

// unmountAll unmounts what can be, the last first, and makes the rest read-only.
func unmountAll() {
	content, _ := os.ReadFile("/proc/self/mounts")
	for _, target := range unmountOrder(string(content)) {
		if syscall.Unmount(target, 0) != nil {
			_ = syscall.Mount("", target, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
		}
	}
}

// unmountOrder lists the mounts that hold data, the last mounted first.
func unmountOrder(mounts string) []string {
	lines := strings.Split(strings.TrimSpace(mounts), "\n")
	var targets []string
	for i := len(lines) - 1; i >= 0; i-- {
		fields := strings.Fields(lines[i])
		if len(fields) < 3 {
			continue
		}
		switch fields[2] {
		case "proc", "sysfs", "devtmpfs", "devpts", "cgroup2", "mqueue", "securityfs", "rootfs":
			continue
		}
		if fields[1] != "/" {
			targets = append(targets, unescape(fields[1]))
		}
	}
	return targets
}

// unescape undoes how the kernel writes blanks in paths.
func unescape(text string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(text)
}
