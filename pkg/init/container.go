package main

// What is around a container: its root prepared, connected to others, run to its end, its log.

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

// prepare does what comes before a container is created.
func prepare(b bundle, spec runtimeSpec) error {
	for _, path := range spec.Cgroups {
		if err := makeCgroup(path); err != nil {
			return fmt.Errorf("making the cgroup %s: %w", path, err)
		}
	}
	for _, path := range spec.Mkdir {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return fmt.Errorf("making the directory: %w", err)
		}
	}
	return lasting.mountAll(b, spec.Mounts)
}

// lastingMounts are those outside of bundles: they stay when a container ends, since others may use
// them, and its next start finds them.
type lastingMounts struct {
	mount     func(mountSpec) error
	isMounted func(string) bool

	lock sync.Mutex
	made map[string]bool
}

var lasting = newLastingMounts(mountSpec.mount, func(path string) bool {
	content, _ := os.ReadFile("/proc/self/mountinfo")
	return isMountPoint(string(content), path)
})

func newLastingMounts(mount func(mountSpec) error, isMounted func(string) bool) *lastingMounts {
	return &lastingMounts{mount: mount, isMounted: isMounted, made: map[string]bool{}}
}

// mountAll makes the mounts of a bundle; those that last, once.
func (l *lastingMounts) mountAll(b bundle, mounts []mountSpec) error {
	l.lock.Lock()
	defer l.lock.Unlock()
	for _, m := range mounts {
		key := fmt.Sprintf("%q", m)
		lasts := !m.isInside(b)
		if lasts && l.made[key] && l.isMounted(m.Destination) {
			continue
		}
		if err := l.mount(m); err != nil {
			return err
		}
		if lasts {
			l.made[key] = true
		}
	}
	return nil
}

// isInside tells whether a mount is in the directory of a bundle.
func (m mountSpec) isInside(b bundle) bool { return strings.HasPrefix(m.Destination, b.directory+"/") }

// isMountPoint tells whether something is mounted at a path, in the words of /proc/self/mountinfo.
func isMountPoint(table, path string) bool {
	for _, line := range strings.Split(table, "\n") {
		if fields := strings.Fields(line); len(fields) > 4 && unescape(fields[4]) == filepath.Clean(path) {
			return true
		}
	}
	return false
}

// release unmounts what was mounted for a container's root.
func release(b bundle, spec runtimeSpec) {
	for i := len(spec.Mounts) - 1; i >= 0; i-- {
		if m := spec.Mounts[i]; m.isInside(b) {
			_ = syscall.Unmount(m.Destination, syscall.MNT_DETACH)
		}
	}
}

// connects tells whether something is due between creating and starting.
func (r runtimeSpec) connects() bool {
	for _, path := range r.BindNS {
		if path != "" {
			return true
		}
	}
	return len(r.Interfaces) > 0
}

// connect gives a container that was created its interfaces, and keeps its namespaces.
func (r runtimeSpec) connect(pid int) error {
	for _, path := range r.BindNS {
		// What an earlier run has left there would keep its interfaces.
		_ = syscall.Unmount(path, syscall.MNT_DETACH)
	}
	for _, i := range r.Interfaces {
		if err := i.give(pid); err != nil {
			return err
		}
	}
	return bindNamespaces(pid, r.BindNS)
}

// bindNamespaces keeps namespaces at paths where other containers can join them.
func bindNamespaces(pid int, wanted map[string]string) error {
	kinds := make([]string, 0, len(wanted))
	for kind, path := range wanted {
		if path != "" {
			kinds = append(kinds, kind)
		}
	}
	sort.Strings(kinds)
	for _, kind := range kinds {
		path := wanted[kind]
		if err := makeFile(path); err != nil {
			return fmt.Errorf("keeping the namespace %s at %s: %w", kind, path, err)
		}
		if err := syscall.Mount(fmt.Sprintf("/proc/%d/ns/%s", pid, kind), path, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("keeping the namespace %s at %s: %w", kind, path, err)
		}
	}
	return nil
}

// runOnce runs a container to its end, and says on the console what went wrong. No limit is 0.
func (s *system) runOnce(b bundle, limit time.Duration) error {
	log := s.logOf(b)
	began := time.Now()
	say("%s", b)
	err := s.runToEnd(b, log, limit)
	if err != nil {
		say("%s failed after %.1f s: %v%s", b, time.Since(began).Seconds(), err, log.tail())
	}
	return err
}

func (s *system) runToEnd(b bundle, log *containerLog, limit time.Duration) error {
	if _, err := b.containerSpec(); err != nil {
		return err
	}
	spec, err := b.runtimeSpec()
	if err != nil {
		return err
	}
	defer release(b, spec)
	if err := prepare(b, spec); err != nil {
		return err
	}
	c, err := s.direct.launch(b, spec, log)
	if err != nil {
		return err
	}
	defer s.direct.forget(b)
	var tooLate <-chan time.Time
	if limit > 0 {
		tooLate = time.After(limit)
	}
	select {
	case status := <-c.ended:
		if status.ExitStatus() != 0 {
			return fmt.Errorf("%s", describeEnd(status))
		}
		return nil
	case <-tooLate:
		s.direct.kill(c, syscall.SIGKILL)
		<-c.ended
		return fmt.Errorf("it did not end within %s and was killed", limit)
	}
}

func (s *system) logOf(b bundle) *containerLog {
	name := b.name
	if b.kind != "services" {
		name = b.kind + "." + filepath.Base(b.directory)
	}
	shownAs := ""
	if s.options.showOutput {
		shownAs = b.name
	}
	return newLog("/var/log/"+name+".log", shownAs)
}
