package main

// The terminal of a command that `service exec` runs: the runtime makes it in the container and
// hands us its other end, and we carry what is typed and printed between it and the caller's.
//
// Not left to the runtime: crun prints what a short command said last as if it were its own error.

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	// How long output is awaited when the command has ended, if something it left behind has the
	// terminal open; otherwise the terminal itself says that nothing can come any more.
	lastOutput = 100 * time.Millisecond
	// How often the size of the caller's terminal is looked at: its signal goes to the caller.
	lookAtSize = 300 * time.Millisecond
	// How long the terminal of a runtime that has ended well is awaited.
	terminalPatience = 10 * time.Second
)

var terminals atomic.Int64

// execOnTerminal runs a command in a container, on a terminal of its own.
func (s *system) execOnTerminal(c call, one *service, command []string) int {
	terminal, _, commandEnded, err := s.startOnTerminal(one, command)
	if err != nil {
		c.fail("%v", err)
		return startStatus(err)
	}
	defer terminal.Close()
	restore := makeRaw(c.files[0])
	defer restore()
	return shellStatus(relay(c.files[0], c.files[1], terminal, commandEnded))
}

// execPath is where files of one more command may be.
func (s *system) execPath() string { return fmt.Sprintf("/run/init/exec-%d", terminals.Add(1)) }

// startOnTerminal starts a command in a container, on a terminal whose other end is returned.
func (s *system) startOnTerminal(
	one *service, command []string, options ...string,
) (*os.File, int, <-chan syscall.WaitStatus, error) {
	where := s.execPath()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: where, Net: "unix"})
	if err != nil {
		return nil, 0, nil, err
	}
	defer listener.Close()
	pidFile := where + ".pid"
	defer os.Remove(pidFile)
	options = append(options, "--tty", "--detach", "--console-socket", where, "--pid-file", pidFile)
	runtime := s.engine.execCommand(one.bundle, command, options...)
	said, err := os.CreateTemp("/run/init", "said-")
	if err != nil {
		return nil, 0, nil, err
	}
	defer said.Close()
	_ = os.Remove(said.Name())
	_, ended, err := s.reaper.start(runtime, []*os.File{s.null, said, said})
	if err != nil {
		return nil, 0, nil, err
	}
	status := <-ended
	// If the runtime has handed it over it is there, however late this machine looks.
	patience := lastOutput
	if status == 0 {
		patience = terminalPatience
	}
	terminal, err := receiveTerminal(listener, patience)
	if status != 0 {
		err = newStartError(why(said, terminal, status), status)
	}
	pid := 0
	if err == nil {
		pid, err = readPid(pidFile)
	}
	if err != nil {
		if terminal != nil {
			terminal.Close()
		}
		return nil, 0, nil, err
	}
	return terminal, pid, s.reaper.adopt(pid), nil
}

// relay carries what is typed and printed until the command has ended, and returns its end.
func relay(in, out, terminal *os.File, commandEnded <-chan syscall.WaitStatus) syscall.WaitStatus {
	printed, typed, stop := make(chan struct{}), make(chan struct{}), make(chan struct{})
	// Closing its other end wakes who waits for something to be typed.
	wake, wakes, err := os.Pipe()
	if err != nil {
		// Without that nothing can be typed, but everything is seen.
		close(typed)
	} else {
		go func() {
			defer close(typed)
			defer wake.Close()
			typeAll(int(in.Fd()), terminal, int(wake.Fd()))
		}()
	}
	go func() {
		defer close(printed)
		printAll(int(out.Fd()), terminal)
	}()
	go followSize(in, terminal, stop)
	status := <-commandEnded
	// For who reads and for who still writes: what the command left behind may never read it.
	_ = terminal.SetDeadline(time.Now())
	<-printed
	close(stop)
	wakes.Close()
	<-typed
	return status
}

// printAll copies what the terminal prints. Once there is a deadline, it ends as soon as nothing more comes.
func printAll(out int, terminal *os.File) {
	buffer := make([]byte, 16<<10)
	ending := false
	for {
		n, err := terminal.Read(buffer)
		writeAll(out, buffer[:n])
		if err != nil && (ending || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return
		}
		ending = ending || err != nil
		if ending {
			_ = terminal.SetReadDeadline(time.Now().Add(lastOutput))
		}
	}
}

// typeAll copies what is typed. The end of the caller's terminal is that of the command's, too.
func typeAll(in int, terminal *os.File, wake int) {
	buffer := make([]byte, 4<<10)
	for {
		// struct pollfd: a file, what is awaited of it, and what has happened.
		type polled struct {
			file            int32
			awaited, events int16
		}
		files := [2]polled{{file: int32(in), awaited: 1}, {file: int32(wake), awaited: 1}}
		_, _, code := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&files[0])), 2, 0, 0, 0, 0)
		if code == syscall.EINTR {
			continue
		}
		if code != 0 || files[1].events != 0 {
			return
		}
		n, err := syscall.Read(in, buffer)
		if err == syscall.EINTR || err == syscall.EAGAIN {
			continue
		}
		if err != nil || n == 0 {
			terminal.Close()
			return
		}
		if _, err := terminal.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// followSize gives the terminal the size of the caller's.
func followSize(in, terminal *os.File, stop <-chan struct{}) {
	var last [8]byte
	ticks := time.NewTicker(lookAtSize)
	defer ticks.Stop()
	for {
		var size [8]byte
		if control(in, syscall.TIOCGWINSZ, unsafe.Pointer(&size)) == nil && size != last {
			_ = control(terminal, syscall.TIOCSWINSZ, unsafe.Pointer(&size))
			last = size
		}
		select {
		case <-stop:
			return
		case <-ticks.C:
		}
	}
}

// makeRaw lets keys through as they are, and returns what makes it as it was.
func makeRaw(file *os.File) func() {
	var before syscall.Termios
	if control(file, syscall.TCGETS, unsafe.Pointer(&before)) != nil {
		return func() {}
	}
	raw := before
	raw.Iflag &^= syscall.IGNBRK | syscall.BRKINT | syscall.PARMRK | syscall.ISTRIP |
		syscall.INLCR | syscall.IGNCR | syscall.ICRNL | syscall.IXON
	raw.Oflag &^= syscall.OPOST
	raw.Lflag &^= syscall.ECHO | syscall.ECHONL | syscall.ICANON | syscall.ISIG | syscall.IEXTEN
	raw.Cc[syscall.VMIN], raw.Cc[syscall.VTIME] = 1, 0
	_ = control(file, syscall.TCSETS, unsafe.Pointer(&raw))
	return func() { _ = control(file, syscall.TCSETS, unsafe.Pointer(&before)) }
}

// control is an ioctl that leaves the file as blocking as it is.
func control(file *os.File, request uintptr, value unsafe.Pointer) error {
	connection, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var code syscall.Errno
	if err := connection.Control(func(fd uintptr) {
		_, _, code = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(value))
	}); err != nil {
		return err
	}
	if code != 0 {
		return code
	}
	return nil
}

// receiveTerminal takes the terminal that a runtime has made and handed over before it ended.
func receiveTerminal(listener *net.UnixListener, patience time.Duration) (*os.File, error) {
	_ = listener.SetDeadline(time.Now().Add(patience))
	connection, err := listener.AcceptUnix()
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	files, _, err := receiveFiles(connection, make([]byte, 4<<10), 1)
	if err != nil {
		return nil, err
	}
	if len(files) != 1 {
		return nil, fmt.Errorf("the runtime has handed over no terminal")
	}
	// Go waits for files without blocking a thread only if they do not block themselves.
	descriptor, err := syscall.Dup(int(files[0].Fd()))
	files[0].Close()
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(descriptor)
	_ = syscall.SetNonblock(descriptor, true)
	return os.NewFile(uintptr(descriptor), "terminal"), nil
}

var (
	colours = regexp.MustCompile("\x1b\\[[0-9;]*m")
	// crun puts the time in front.
	times = regexp.MustCompile(`^\d{4}-\d\d-\d\dT[0-9:.]+Z: `)
)

// why returns what a runtime said last, be it on the terminal that it has made for the command.
func why(said, terminal *os.File, status syscall.WaitStatus) string {
	content := make([]byte, 4<<10)
	n, _ := said.ReadAt(content, 0)
	if n == 0 && terminal != nil {
		_ = terminal.SetReadDeadline(time.Now().Add(lastOutput))
		n, _ = terminal.Read(content)
	}
	return lastLine(content[:n], status)
}

// lastLine is the last of what a runtime said.
func lastLine(said []byte, status syscall.WaitStatus) string {
	lines := strings.Split(strings.TrimSpace(colours.ReplaceAllString(string(said), "")), "\n")
	last := printable(times.ReplaceAllString(lines[len(lines)-1], ""))
	return first(last, "the runtime: "+describeEnd(status))
}
