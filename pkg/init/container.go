package main

// What is around a container: its root prepared, connected to others, run to its end, its log.

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"
)

// prepare does what comes before a container is created.
func prepare(spec runtimeSpec) error {
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
	for _, m := range spec.Mounts {
		if err := m.mount(); err != nil {
			return err
		}
	}
	return nil
}

// release unmounts what was mounted for a container's root.
func release(b bundle, spec runtimeSpec) {
	for i := len(spec.Mounts) - 1; i >= 0; i-- {
		target := spec.Mounts[i].Destination
		if strings.HasPrefix(target, b.directory+"/") {
			_ = syscall.Unmount(target, syscall.MNT_DETACH)
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
	if err := prepare(spec); err != nil {
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
