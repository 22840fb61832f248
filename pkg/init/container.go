package main

// One run of a container: prepared, created, given interfaces, started, waited for.

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// container is one that was started.
type container struct {
	bundle
	pid   int
	ended <-chan syscall.WaitStatus
}

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

// launch creates and starts a container whose root is prepared.
func (s *system) launch(b bundle, spec runtimeSpec, log *containerLog) (*container, error) {
	s.forgetContainer(b)
	output, drained, err := log.attach()
	if err != nil {
		return nil, err
	}
	pidFile := filepath.Join("/run/containers", b.id()+".pid")
	create := s.runtimeCommand("create", "--bundle", b.directory, "--pid-file", pidFile, b.id())
	err = s.withOutput(create, output)
	output.Close()
	if err != nil {
		// Nobody holds the pipe any more, so what was said about it is all there in a moment.
		waitShortly(drained)
		return nil, fmt.Errorf("the container cannot be created (%w)", err)
	}
	content, err := os.ReadFile(pidFile)
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return nil, err
	}
	c := &container{bundle: b, pid: pid, ended: s.reaper.adopt(pid)}
	if err := s.startCreated(c, spec, log); err != nil {
		s.forgetContainer(b)
		waitShortly(drained)
		return nil, err
	}
	return c, nil
}

// startCreated does what is due between creating and starting, and starts.
func (s *system) startCreated(c *container, spec runtimeSpec, log *containerLog) error {
	for _, i := range spec.Interfaces {
		if err := i.give(c.pid); err != nil {
			return err
		}
	}
	if err := bindNamespaces(c.pid, spec.BindNS); err != nil {
		return err
	}
	output, _, err := log.attach()
	if err != nil {
		return err
	}
	defer output.Close()
	if err := s.withOutput(s.runtimeCommand("start", c.id()), output); err != nil {
		return fmt.Errorf("the container cannot be started (%w)", err)
	}
	return nil
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
		// What an earlier run has left there.
		_ = syscall.Unmount(path, syscall.MNT_DETACH)
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
	c, err := s.launch(b, spec, log)
	if err != nil {
		return err
	}
	defer s.forgetContainer(b)
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
		s.kill(b, "KILL")
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

// runtimeCommand is a call of the OCI runtime.
func (s *system) runtimeCommand(words ...string) []string {
	command := []string{s.runtime, "--root", "/run/containers/" + filepath.Base(s.runtime)}
	if s.options.debug {
		command = append(command, "--debug")
	}
	return append(command, words...)
}

func (s *system) withOutput(command []string, output *os.File) error {
	return s.reaper.runProgram(command, []*os.File{s.null, output, output})
}

func (s *system) kill(b bundle, signal string) {
	_ = s.withOutput(s.runtimeCommand("kill", b.id(), signal), s.null)
}

// forgetContainer removes what the runtime still knows of a container that has ended.
func (s *system) forgetContainer(b bundle) {
	if exists(filepath.Join("/run/containers", filepath.Base(s.runtime), b.id())) {
		_ = s.withOutput(s.runtimeCommand("delete", "--force", b.id()), s.null)
	}
}

func waitShortly(done <-chan struct{}) {
	select {
	case <-done:
	case <-time.After(300 * time.Millisecond):
	}
}
