package main

// Commands that the host runs in a service's container: with pipes or on a terminal.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// How long a command may take to end when the host has gone.
const lastMercy = 2 * time.Second

var terminalTypes = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,31}$`)

// agentCommand is a command that runs: its process, and our ends of its files.
type agentCommand struct {
	pid   int
	ended <-chan syscall.WaitStatus
	// What is typed goes here; nil if nothing is.
	in io.WriteCloser
	// What it prints, each with the kind of its frames.
	out      map[*os.File]byte
	terminal *os.File
}

func (s *agentSession) exec(r agentRequest) {
	one, err := s.awaitService(r.Service)
	switch {
	case err != nil:
	case len(r.Command) == 0:
		err = errors.New("exec wants a command")
	case s.port.ending.Load():
		err = errors.New("the system is ending")
	case !one.isRunning():
		err = fmt.Errorf("%s does not run: %s", one.name, one.state())
	}
	if err != nil {
		s.finish(1, err.Error())
		return
	}
	start := s.withPipes
	if r.Terminal {
		start = s.onTerminal
	}
	command, err := start(one, r)
	if err != nil {
		s.finish(startStatus(err), err.Error())
		return
	}
	s.finish(shellStatus(s.attend(command)), "")
}

// withPipes starts a command whose output and errors are apart.
func (s *agentSession) withPipes(one *service, r agentRequest) (*agentCommand, error) {
	where := s.port.execPath()
	pidFile := where + ".pid"
	defer os.Remove(pidFile)
	ours, theirs, err := threePipes()
	defer closeAll(theirs)
	if err != nil {
		closeAll(ours)
		return nil, err
	}
	config, _ := one.containerSpec()
	options := append(environmentOptions(config.Process.Env, ""), "--detach", "--pid-file", pidFile)
	words := s.port.engine.execCommand(one.bundle, r.Command, options...)
	_, runtimeEnded, err := s.port.reaper.start(words, theirs)
	if err != nil {
		closeAll(ours)
		return nil, err
	}
	status := <-runtimeEnded
	if status != 0 {
		said := make([]byte, 4<<10)
		_ = ours[2].SetReadDeadline(time.Now().Add(lastOutput))
		n, _ := ours[2].Read(said)
		closeAll(ours)
		return nil, newStartError(lastLine(said[:n], status), status)
	}
	pid, err := readPid(pidFile)
	if err != nil {
		closeAll(ours)
		return nil, err
	}
	command := &agentCommand{
		pid: pid, ended: s.port.reaper.adopt(pid),
		out: map[*os.File]byte{ours[1]: frameOutput, ours[2]: frameErrors},
	}
	if r.Input {
		command.in = ours[0]
	} else {
		ours[0].Close()
	}
	return command, nil
}

// threePipes returns our and a command's ends of its standard files.
func threePipes() (ours, theirs []*os.File, err error) {
	for number := 0; number < 3; number++ {
		reading, writing, err := os.Pipe()
		if err != nil {
			return ours, theirs, err
		}
		if number == 0 {
			reading, writing = writing, reading
		}
		ours, theirs = append(ours, reading), append(theirs, writing)
	}
	return ours, theirs, nil
}

func closeAll(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
}

// onTerminal starts a command on a terminal of its own.
func (s *agentSession) onTerminal(one *service, r agentRequest) (*agentCommand, error) {
	config, _ := one.containerSpec()
	options := environmentOptions(config.Process.Env, r.Type)
	terminal, pid, ended, err := s.port.startOnTerminal(one, r.Command, options...)
	if err != nil {
		return nil, err
	}
	setSize(terminal, r.Columns, r.Rows)
	return &agentCommand{
		pid: pid, ended: ended, in: terminalInput{terminal}, terminal: terminal,
		out: map[*os.File]byte{terminal: frameOutput},
	}, nil
}

// environmentOptions adds a path and the type of the terminal to a container's variables, which are
// repeated: with an option for one, crun leaves the others out.
func environmentOptions(variables []string, terminal string) []string {
	kept := []string{}
	hasPath := false
	hasTerminal := terminalTypes.MatchString(terminal)
	for _, one := range variables {
		hasPath = hasPath || strings.HasPrefix(one, "PATH=")
		if !hasTerminal || !strings.HasPrefix(one, "TERM=") {
			kept = append(kept, one)
		}
	}
	if hasPath && !hasTerminal {
		return nil
	}
	if !hasPath {
		kept = append(kept, "PATH="+os.Getenv("PATH"))
	}
	if hasTerminal {
		kept = append(kept, "TERM="+terminal)
	}
	options := []string{}
	for _, one := range kept {
		options = append(options, "--env", one)
	}
	return options
}

// terminalInput is what is typed: its end is a key, since more is printed afterwards.
type terminalInput struct{ *os.File }

func (t terminalInput) Close() error {
	_, err := t.Write([]byte{4})
	return err
}

func setSize(terminal *os.File, columns, rows uint16) {
	if columns > 0 && rows > 0 {
		size := [4]uint16{rows, columns, 0, 0}
		_ = control(terminal, syscall.TIOCSWINSZ, unsafe.Pointer(&size))
	}
}

// attend carries what is typed and printed until the command has ended, and returns its end.
func (s *agentSession) attend(c *agentCommand) syscall.WaitStatus {
	_ = s.send(frameStarted, nil)
	over := make(chan struct{})
	if c.in != nil {
		go s.typeInput(c.in, over)
	}
	printed := make(chan struct{}, len(c.out))
	for file, kind := range c.out {
		go func(file *os.File, kind byte) {
			carry(file, frameWriter{s, kind})
			printed <- struct{}{}
		}(file, kind)
	}
	status := s.awaitCommand(c)
	for file := range c.out {
		// What the command left behind may have it open for ever.
		_ = file.SetDeadline(time.Now())
	}
	for range c.out {
		<-printed
	}
	close(over)
	for file := range c.out {
		file.Close()
	}
	return status
}

// awaitCommand passes signals and sizes on, and ends the command if the host goes.
func (s *agentSession) awaitCommand(c *agentCommand) syscall.WaitStatus {
	gone := s.done
	var tooLate <-chan time.Time
	for {
		select {
		case status := <-c.ended:
			return status
		case number := <-s.signals:
			if number > 0 && number < 65 {
				signalCommand(c.pid, syscall.Signal(number))
			}
		case size := <-s.sizes:
			if c.terminal != nil {
				setSize(c.terminal, size[0], size[1])
			}
		case <-gone:
			gone = nil
			signalCommand(c.pid, syscall.SIGHUP)
			signalCommand(c.pid, syscall.SIGTERM)
			tooLate = time.After(lastMercy)
		case <-tooLate:
			signalCommand(c.pid, syscall.SIGKILL)
		}
	}
}

// signalCommand is for all processes of a command if it leads a group, as a shell's terminal does.
func signalCommand(pid int, signal syscall.Signal) {
	if group, err := syscall.Getpgid(pid); err == nil && group == pid {
		pid = -pid
	}
	_ = syscall.Kill(pid, signal)
}

// typeInput writes what the host sends, and says what was used. A command that reads no more
// loses it.
func (s *agentSession) typeInput(to io.WriteCloser, over <-chan struct{}) {
	if _, isTerminal := to.(terminalInput); !isTerminal {
		defer to.Close()
	}
	broken := false
	for {
		select {
		case data, more := <-s.input:
			if !more {
				_ = to.Close()
				return
			}
			if !broken {
				_, err := to.Write(data)
				broken = err != nil
			}
			s.used(len(data))
		case <-s.done:
			return
		case <-over:
			return
		}
	}
}

// carry copies what is printed. Once there is a deadline, it ends as soon as nothing more comes.
func carry(from *os.File, to io.Writer) {
	buffer := make([]byte, largestFrame)
	ending := false
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			// If the host has gone, the command is not held up until it ends.
			_, _ = to.Write(buffer[:n])
		}
		if err != nil && (ending || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return
		}
		ending = ending || err != nil
		if ending {
			_ = from.SetReadDeadline(time.Now().Add(lastOutput))
		}
	}
}
