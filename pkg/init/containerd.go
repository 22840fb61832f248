package main

// Services in containerd, as its clients see them: started and watched by its own `ctr`, in the
// namespace that the YAML names.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	containerdSocket   = "/run/containerd/containerd.sock"
	containerdPatience = time.Minute
	// Where LinuxKit's services are as well, if nothing else is said.
	usualNamespace = "services.linuxkit"
	// Links to init: what containerd calls for us.
	logHelper  = "/usr/lib/dolmen/container-log"
	hookHelper = "/usr/lib/dolmen/container-hook"
)

// containerd is the daemon, if the image brings it.
type containerd struct {
	*system
	program, client string

	lock sync.Mutex
	// Containers that it may know of, by id.
	known map[string]bool
}

func findContainerd(s *system) *containerd {
	program, client := findProgram("containerd"), findProgram("ctr")
	if program == "" || client == "" || s.options.noContainerd {
		return nil
	}
	return &containerd{system: s, program: program, client: client, known: map[string]bool{}}
}

// keepRunning starts the daemon, and again whenever it ends.
func (c *containerd) keepRunning() {
	log := newLog("/var/log/containerd.log", "")
	pause := shortestPause
	for !c.ending.Load() {
		began := time.Now()
		reason := c.runDaemon(log)
		if c.ending.Load() {
			return
		}
		if time.Since(began) > longRun {
			pause = shortestPause
		}
		say("containerd ended: %s; it is started again in %s%s", reason, pause, log.tail())
		log.forget()
		time.Sleep(pause)
		pause = nextPause(pause)
	}
}

func (c *containerd) runDaemon(log *containerLog) string {
	output, _, err := log.attach()
	if err != nil {
		return err.Error()
	}
	defer output.Close()
	command := append([]string{c.program}, commandLineOptions("/etc/containerd/runtime-config.toml")...)
	_, ended, err := c.reaper.start(command, []*os.File{c.null, output, output})
	if err != nil {
		return err.Error()
	}
	return describeEnd(<-ended)
}

// commandLineOptions reads `cliopts = "…"`, as images for LinuxKit have it.
func commandLineOptions(path string) []string {
	content, _ := os.ReadFile(path)
	for _, line := range strings.Split(string(content), "\n") {
		name, value, found := strings.Cut(line, "=")
		if found && strings.TrimSpace(name) == "cliopts" {
			if text, err := strconv.Unquote(strings.TrimSpace(value)); err == nil {
				return strings.Fields(text)
			}
		}
	}
	return nil
}

// await waits until the daemon answers.
func (c *containerd) await() error {
	end := time.Now().Add(containerdPatience)
	for {
		connection, err := net.Dial("unix", containerdSocket)
		if err == nil {
			connection.Close()
			return nil
		}
		if time.Now().After(end) || c.ending.Load() {
			return fmt.Errorf("containerd does not answer: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (c *containerd) launch(b bundle, spec runtimeSpec, log *containerLog) (*container, error) {
	if err := c.await(); err != nil {
		return nil, err
	}
	c.forget(b)
	config := filepath.Join("/run/containers", b.id()+".json")
	if err := writeContainerdSpec(b, spec, config); err != nil {
		return nil, err
	}
	c.remember(b, true)
	if err := c.start(b, config, log); err != nil {
		// Its state may have outlived the system, on a disk.
		if !strings.Contains(log.tail(), "already exists") {
			c.forgetAll(b)
			return nil, err
		}
		c.forgetAll(b)
		log.forget()
		if err := c.start(b, config, log); err != nil {
			return nil, err
		}
	}
	pid, err := readPid(pidFileOf(b))
	if err != nil {
		return nil, err
	}
	ended := make(chan syscall.WaitStatus, 1)
	go func() {
		awaitProcess(pid)
		ended <- c.collect(b)
	}()
	return &container{bundle: b, pid: pid, ended: ended}, nil
}

func (c *containerd) start(b bundle, config string, log *containerLog) error {
	output, drained, err := log.attach()
	if err != nil {
		return err
	}
	_ = os.Remove(hookFailure(b.directory))
	err = c.withOutput(c.command(b, "run", "--detach", "--runc-binary", c.runtime,
		"--pid-file", pidFileOf(b), "--log-uri", "binary://"+logHelper, "--config", config, b.id()), output)
	output.Close()
	if err != nil {
		waitShortly(drained)
		if reason, missing := os.ReadFile(hookFailure(b.directory)); missing == nil {
			return errors.New(string(reason))
		}
		return fmt.Errorf("containerd cannot start the container (%w)", err)
	}
	return nil
}

// collect returns how a container has ended, which containerd tells once.
func (c *containerd) collect(b bundle) syscall.WaitStatus {
	// A daemon that is being started again will know, too.
	_ = c.await()
	reading, writing, err := os.Pipe()
	if err != nil {
		return exitStatus(1)
	}
	defer reading.Close()
	_, ended, err := c.reaper.start(c.command(b, "tasks", "rm", b.id()), []*os.File{c.null, writing, writing})
	writing.Close()
	if err != nil {
		return exitStatus(1)
	}
	said, _ := io.ReadAll(io.LimitReader(reading, 64<<10))
	return exitStatus(exitCode(string(said), (<-ended).ExitStatus()))
}

// exitCode is that of the container: the client exits with it, or has a warning about it.
func exitCode(said string, status int) int {
	if _, rest, found := strings.Cut(said, "non-zero exit code "); found && status == 0 {
		digits := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if digits < 0 {
			digits = len(rest)
		}
		if code, err := strconv.Atoi(rest[:digits]); err == nil {
			return code
		}
	}
	return status
}

// exitStatus is what a shell's number of an exit stands for: from 128 on a signal.
func exitStatus(code int) syscall.WaitStatus {
	if code > 128 && code <= 128+64 {
		return syscall.WaitStatus(code - 128)
	}
	return syscall.WaitStatus(code & 0xff << 8)
}

func (c *containerd) kill(one *container, signal syscall.Signal) { _ = syscall.Kill(one.pid, signal) }

func (c *containerd) forget(b bundle) {
	c.lock.Lock()
	known := c.known[b.id()]
	c.lock.Unlock()
	if known {
		_ = c.withOutput(c.command(b, "containers", "rm", b.id()), c.null)
		c.remember(b, false)
	}
}

// forgetAll removes a container whatever its state.
func (c *containerd) forgetAll(b bundle) {
	_ = c.withOutput(c.command(b, "tasks", "rm", "--force", b.id()), c.null)
	c.remember(b, true)
	c.forget(b)
	c.remember(b, true)
}

func (c *containerd) remember(b bundle, known bool) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.known[b.id()] = known
}

// execCommand asks the OCI runtime, which knows containerd's containers as well, and is quicker.
func (c *containerd) execCommand(b bundle, words []string, options ...string) []string {
	command := []string{c.runtime, "--root", "/run/containerd/runc/" + c.namespace(b), "exec"}
	return append(append(append(command, options...), b.id()), words...)
}

func (c *containerd) namespace(b bundle) string {
	spec, _ := b.runtimeSpec()
	return first(spec.Namespace, usualNamespace)
}

// command is a call of containerd's client, in the namespace of a container.
func (c *containerd) command(b bundle, words ...string) []string {
	command := []string{c.client, "--namespace", c.namespace(b)}
	if c.options.debug {
		command = append(command, "--debug")
	}
	return append(command, words...)
}

// writeContainerdSpec writes the config.json that containerd is given: it knows no bundle, so the
// root is where it is, and what is due before the start is done by a hook.
func writeContainerdSpec(b bundle, spec runtimeSpec, path string) error {
	original, err := os.Open(filepath.Join(b.directory, "config.json"))
	if err != nil {
		return err
	}
	defer original.Close()
	var config map[string]any
	decoder := json.NewDecoder(original)
	// Limits may be larger than what a float holds exactly.
	decoder.UseNumber()
	if err := decoder.Decode(&config); err != nil {
		return fmt.Errorf("%s: %w", original.Name(), err)
	}
	if config == nil {
		return fmt.Errorf("%s: it is empty", original.Name())
	}
	root, _ := config["root"].(map[string]any)
	if root == nil {
		root = map[string]any{}
	}
	if place, _ := root["path"].(string); !filepath.IsAbs(place) {
		root["path"] = filepath.Join(b.directory, first(place, "rootfs"))
	}
	config["root"] = root
	if spec.connects() {
		hooks, _ := config["hooks"].(map[string]any)
		if hooks == nil {
			hooks = map[string]any{}
		}
		given, _ := hooks["createRuntime"].([]any)
		ours := map[string]any{"path": hookHelper, "args": []string{filepath.Base(hookHelper), b.directory}}
		hooks["createRuntime"] = append([]any{ours}, given...)
		config["hooks"] = hooks
	}
	content, err := json.Marshal(config)
	if err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}

// awaitProcess waits for the end of a process that is not our child.
func awaitProcess(pid int) {
	handle, _, code := syscall.Syscall(sysPidfdOpen, uintptr(pid), 0, 0)
	if code != 0 {
		return
	}
	defer syscall.Close(int(handle))
	// struct pollfd: readable when the process has ended.
	wanted := struct {
		fd              int32
		events, revents int16
	}{int32(handle), 1, 0}
	for {
		_, _, code := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&wanted)), 1, 0, 0, 0, 0)
		if code != syscall.EINTR {
			return
		}
	}
}
