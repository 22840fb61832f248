package main

// What runs containers: an OCI runtime that is called directly, or containerd.

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// engine runs containers whose root is prepared.
type engine interface {
	// launch creates a container, gives it its interfaces, and starts it.
	launch(b bundle, spec runtimeSpec, log *containerLog) (*container, error)
	kill(c *container, signal syscall.Signal)
	// forget removes what is still known of a container that has ended.
	forget(b bundle)
	// execCommand is the call that runs a command in a container.
	execCommand(b bundle, words []string, options ...string) []string
}

// container is one that was started.
type container struct {
	bundle
	pid   int
	ended <-chan syscall.WaitStatus
}

// direct calls an OCI runtime; its containers are our own children.
type direct struct {
	*system
}

func (d direct) launch(b bundle, spec runtimeSpec, log *containerLog) (*container, error) {
	d.forget(b)
	output, drained, err := log.attach()
	if err != nil {
		return nil, err
	}
	pidFile := pidFileOf(b)
	words := []string{"create"}
	if !spec.connects() {
		// Nothing is due before its start, so one call does both.
		words = []string{"run", "--detach"}
	}
	words = append(words, "--bundle", b.directory, "--pid-file", pidFile, b.id())
	err = d.withOutput(d.command(words...), output)
	output.Close()
	if err != nil {
		d.forget(b)
		// Nobody holds the pipe any more, so what was said about it is all there in a moment.
		waitShortly(drained)
		return nil, fmt.Errorf("the container cannot be created (%w)", err)
	}
	pid, err := readPid(pidFile)
	if err != nil {
		return nil, err
	}
	c := &container{bundle: b, pid: pid, ended: d.reaper.adopt(pid)}
	if !spec.connects() {
		return c, nil
	}
	if err := d.startCreated(c, spec, log); err != nil {
		d.forget(b)
		waitShortly(drained)
		return nil, err
	}
	return c, nil
}

// startCreated does what is due between creating and starting, and starts.
func (d direct) startCreated(c *container, spec runtimeSpec, log *containerLog) error {
	if err := spec.connect(c.pid); err != nil {
		return err
	}
	output, _, err := log.attach()
	if err != nil {
		return err
	}
	defer output.Close()
	if err := d.withOutput(d.command("start", c.id()), output); err != nil {
		return fmt.Errorf("the container cannot be started (%w)", err)
	}
	return nil
}

func (d direct) kill(c *container, signal syscall.Signal) {
	_ = d.withOutput(d.command("kill", c.id(), strconv.Itoa(int(signal))), d.null)
}

func (d direct) forget(b bundle) {
	if exists(filepath.Join("/run/containers", filepath.Base(d.runtime), b.id())) {
		_ = d.withOutput(d.command("delete", "--force", b.id()), d.null)
	}
}

func (d direct) execCommand(b bundle, words []string, options ...string) []string {
	return append(append(append(d.command("exec"), options...), b.id()), words...)
}

// command is a call of the OCI runtime.
func (d direct) command(words ...string) []string {
	command := []string{d.runtime, "--root", "/run/containers/" + filepath.Base(d.runtime)}
	if d.options.debug {
		command = append(command, "--debug")
	}
	return append(command, words...)
}

func pidFileOf(b bundle) string { return filepath.Join("/run/containers", b.id()+".pid") }

func readPid(path string) (int, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(content)))
}

// withOutput runs a program to its end, with what it prints going into a file.
func (s *system) withOutput(command []string, output *os.File) error {
	return s.reaper.runProgram(command, []*os.File{s.null, output, output})
}

func waitShortly(done <-chan struct{}) {
	select {
	case <-done:
	case <-time.After(300 * time.Millisecond):
	}
}
