package main

// The socket that `service` speaks to. The caller hands over its standard files, and whatever there
// is to say is written into them; the answer is only a status.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

const (
	controlPath    = "/run/init/control"
	largestRequest = 64 << 10
)

// call is a request with the files of who asks.
type call struct {
	arguments []string
	files     []*os.File
}

func (c call) out(format string, values ...any) { fmt.Fprintf(c.files[1], format, values...) }
func (c call) fail(format string, values ...any) int {
	fmt.Fprintf(c.files[2], "service: "+format+"\n", values...)
	return 1
}

func (s *system) serveControl() {
	_ = os.Remove(controlPath)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: controlPath, Net: "unix"})
	if err == nil {
		err = os.Chmod(controlPath, 0o600)
	}
	if err != nil {
		say("the command service will not work: %v", err)
		return
	}
	go func() {
		for {
			connection, err := listener.AcceptUnix()
			if err != nil {
				return
			}
			go s.answer(connection)
		}
	}()
}

func (s *system) answer(connection *net.UnixConn) {
	defer connection.Close()
	c, err := receiveCall(connection)
	if err != nil {
		return
	}
	defer func() {
		for _, file := range c.files {
			file.Close()
		}
	}()
	status := s.perform(c)
	_ = json.NewEncoder(connection).Encode(status)
}

func receiveCall(connection *net.UnixConn) (call, error) {
	data := make([]byte, largestRequest)
	files, n, err := receiveFiles(connection, data, 3)
	if err != nil {
		return call{}, err
	}
	c := call{files: files}
	if err := json.Unmarshal(data[:n], &c.arguments); err != nil || len(files) != 3 {
		for _, file := range files {
			file.Close()
		}
		return call{}, fmt.Errorf("not a request")
	}
	return c, nil
}

// receiveFiles takes the files that come with a message, and the length of the message.
func receiveFiles(connection *net.UnixConn, data []byte, most int) ([]*os.File, int, error) {
	rights := make([]byte, syscall.CmsgSpace(most*4))
	n, length, _, _, err := connection.ReadMsgUnix(data, rights)
	if err != nil {
		return nil, 0, err
	}
	messages, err := syscall.ParseSocketControlMessage(rights[:length])
	if err != nil {
		return nil, 0, err
	}
	var files []*os.File
	for _, message := range messages {
		descriptors, err := syscall.ParseUnixRights(&message)
		if err != nil {
			continue
		}
		for _, descriptor := range descriptors {
			syscall.CloseOnExec(descriptor)
			files = append(files, os.NewFile(uintptr(descriptor), "received"))
		}
	}
	return files, n, nil
}

// perform does what a caller asks for and returns the status to exit with.
func (s *system) perform(c call) int {
	if len(c.arguments) == 0 {
		c.arguments = []string{"list"}
	}
	verb, rest := c.arguments[0], c.arguments[1:]
	switch verb {
	case "list":
		for _, one := range s.all() {
			c.out("%-20s %s\n", one.name, one.state())
		}
		return 0
	case "health":
		text, healthy := s.health.describe()
		c.out("%s\n", text)
		if !healthy {
			return 1
		}
		return 0
	case "poweroff", "reboot", "halt":
		s.end(map[string]ending{"poweroff": powerOff, "reboot": restart, "halt": halt}[verb])
		return 0
	case "start", "stop", "restart", "logs", "exec", "take-output":
	default:
		return c.fail("there is no command %s; `service help` lists them", verb)
	}
	if verb == "logs" && len(rest) == 0 && memory != nil {
		memory.print(c.files[1], "")
		return 0
	}
	if len(rest) == 0 {
		return c.fail("%s wants the name of a service", verb)
	}
	if verb == "logs" {
		return printLogs(c, rest[0])
	}
	one := s.find(rest[0])
	if one == nil {
		return c.fail("there is no service %s; `service list` lists them", rest[0])
	}
	if verb == "take-output" {
		return s.takeOutput(c, one)
	}
	if s.ending.Load() {
		return c.fail("the system is ending")
	}
	switch verb {
	case "stop", "restart":
		s.stop(one)
	case "exec":
		return s.exec(c, one, rest[1:])
	}
	if verb != "stop" {
		<-s.start(one)
		if !one.isRunning() {
			return c.fail("%s does not run: %s", one.name, one.state())
		}
	}
	return 0
}

func (one *service) isRunning() bool {
	one.lock.Lock()
	defer one.lock.Unlock()
	return one.container != nil
}

func printLogs(c call, name string) int {
	if strings.ContainsRune(name, '/') {
		return c.fail("%s is no name", name)
	}
	if writeLogs(c.files[1], name) {
		return 0
	}
	if memory != nil {
		return c.fail("there is no output of %s; service logs shows all there is", name)
	}
	return c.fail("there is no log of %s; see /var/log", name)
}

// writeLogs writes what is kept of a container's output; it tells whether there is something.
func writeLogs(to io.Writer, name string) (found bool) {
	if strings.ContainsRune(name, '/') {
		return false
	}
	if memory != nil {
		return memory.print(to, name)
	}
	for _, path := range []string{"/var/log/" + name + ".log.1", "/var/log/" + name + ".log"} {
		if file, err := os.Open(path); err == nil {
			_, _ = io.Copy(to, file)
			file.Close()
			found = true
		}
	}
	return found
}

// exec runs a command in a service's container, with the caller's files.
func (s *system) exec(c call, one *service, command []string) int {
	if len(command) == 0 {
		return c.fail("exec wants a command")
	}
	if isTerminal(c.files[0]) && isTerminal(c.files[1]) {
		return s.execOnTerminal(c, one, command)
	}
	if !one.isRunning() {
		return c.fail("%s does not run: %s", one.name, one.state())
	}
	pidFile := s.execPath() + ".pid"
	defer os.Remove(pidFile)
	// Detached, as only then the status of the runtime is not that of the command.
	runtime := s.engine.execCommand(one.bundle, command, "--detach", "--pid-file", pidFile)
	_, ended, err := s.reaper.start(runtime, c.files)
	if err != nil {
		return c.fail("%v", err)
	}
	if status := <-ended; status != 0 {
		// The caller has seen the reason, but it is not known here.
		return statusNotFound
	}
	pid, err := readPid(pidFile)
	if err != nil {
		return c.fail("%v", err)
	}
	return shellStatus(<-s.reaper.adopt(pid))
}

// What a shell returns for a program that cannot be executed, and for one that is missing.
const (
	statusNotExecutable = 126
	statusNotFound      = 127
)

// startError is the reason why the runtime has not started a command, with the status of a shell.
type startError struct {
	text   string
	status int
}

func (e startError) Error() string { return e.text }

// newStartError reads the reason: the status of a runtime is the same for all of them.
func newStartError(text string, status syscall.WaitStatus) startError {
	lower := strings.ToLower(text)
	switch {
	case strings.Contains(lower, "permission denied"):
		return startError{text, statusNotExecutable}
	case strings.Contains(lower, "not found"), strings.Contains(lower, "no such file or directory"):
		return startError{text, statusNotFound}
	}
	return startError{text, shellStatus(status)}
}

// startStatus is the status of a command that has not started.
func startStatus(err error) int {
	var known startError
	if errors.As(err, &known) {
		return known.status
	}
	return 1
}

// shellStatus is what a shell makes of the end of a command.
func shellStatus(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
