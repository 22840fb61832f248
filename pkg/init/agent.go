package main

// The agent: it gives the host logs of services and runs its commands, over ports of virtio-serial.
// It exists only if `dolmen.agent` is on the kernel's command line.

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

const (
	agentPorts = "/sys/class/virtio-ports"
	// What the ports for us are called: each has a number after it, and carries one session.
	agentPortName = "org.dolmen.agent."
	longestNonce  = 64
	agentReads    = 32 << 10
)

var errSessionEnded = errors.New("the host has gone")

// startAgent serves the ports that are there and those that come.
func (s *system) startAgent() {
	say("the host may read logs and run commands: dolmen.agent is on the command line")
	socket, err := openUevents()
	if err != nil {
		say("the agent sees no ports that come later: %v", err)
	}
	a := &agent{system: s, ports: map[string]bool{}}
	a.openPorts()
	if err == nil {
		go a.awaitPorts(socket)
	}
}

type agent struct {
	*system
	lock  sync.Mutex
	ports map[string]bool
}

// awaitPorts opens ports when the kernel reports a change of them.
func (a *agent) awaitPorts(socket int) {
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := syscall.Recvfrom(socket, buffer, 0)
		if err == syscall.EINTR || err == syscall.ENOBUFS {
			continue
		}
		if err != nil {
			return
		}
		sender, known := from.(*syscall.SockaddrNetlink)
		if known && sender.Pid == 0 && parseUevent(buffer[:n])["SUBSYSTEM"] == "virtio-ports" {
			a.openPorts()
		}
	}
}

func (a *agent) openPorts() {
	names, _ := filepath.Glob(agentPorts + "/*/name")
	a.lock.Lock()
	defer a.lock.Unlock()
	for _, path := range names {
		device := "/dev/" + filepath.Base(filepath.Dir(path))
		if a.ports[device] || !strings.HasPrefix(firstLine(path), agentPortName) {
			continue
		}
		file, err := os.OpenFile(device, os.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		if err != nil {
			say("the agent cannot open %s: %v", device, err)
			continue
		}
		a.ports[device] = true
		go func() {
			defer func() {
				file.Close()
				a.lock.Lock()
				delete(a.ports, device)
				a.lock.Unlock()
			}()
			(&agentPort{system: a.system, file: file}).serve()
		}()
	}
}

// agentPort is a port and the session of who is connected to it.
type agentPort struct {
	*system
	file   *os.File
	parser frameParser

	lock    sync.Mutex
	session *agentSession
}

// serve reads frames until the port is gone.
func (p *agentPort) serve() {
	defer p.begin(nil)
	connection, err := p.file.SyscallConn()
	if err != nil {
		return
	}
	buffer := make([]byte, agentReads)
	for {
		count := 0
		var problem error
		err := connection.Read(func(fd uintptr) bool {
			for {
				if count, problem = syscall.Read(int(fd), buffer); problem != syscall.EINTR {
					break
				}
			}
			if problem == syscall.EAGAIN {
				return false
			}
			if count <= 0 && problem == nil {
				// No host is connected. The next edge means that one has sent something.
				p.parser = frameParser{}
				p.begin(nil)
				return false
			}
			return true
		})
		if err != nil || problem != nil {
			return
		}
		p.parser.feed(buffer[:count], p.handle)
	}
}

// begin makes a session the port's, and ends the one before.
func (p *agentPort) begin(next *agentSession) {
	p.lock.Lock()
	before := p.session
	p.session = next
	p.lock.Unlock()
	if before != nil {
		before.end()
	}
}

// send writes a frame of a session, unless another one has the port.
func (p *agentPort) send(from *agentSession, kind byte, payload []byte) error {
	data, err := encodeFrame(kind, payload)
	if err != nil {
		return err
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.session != from {
		return errSessionEnded
	}
	_, err = p.file.Write(data)
	return err
}

// handle takes a frame from the host. It never waits for the host or a command.
func (p *agentPort) handle(kind byte, payload []byte) {
	p.lock.Lock()
	session := p.session
	p.lock.Unlock()
	switch kind {
	case frameReset:
		p.begin(nil)
	case frameDamaged:
		if session != nil {
			session.finish(1, "what came is no frame")
		}
		p.begin(nil)
	case frameHello:
		p.hello(payload)
	default:
		if session != nil {
			session.handle(kind, payload)
		}
	}
}

// agentHello is the first frame of both sides.
type agentHello struct {
	Protocol int    `json:"protocol"`
	Nonce    string `json:"nonce"`
}

func (p *agentPort) hello(payload []byte) {
	var hello agentHello
	if json.Unmarshal(payload, &hello) != nil || len(hello.Nonce) > longestNonce {
		p.begin(nil)
		return
	}
	session := newAgentSession(p)
	p.begin(session)
	// The nonce tells the host that what follows is for it, and not for an earlier one.
	session.sendJSON(frameHello, agentHello{agentProtocol, hello.Nonce})
	if hello.Protocol < agentProtocol {
		session.finish(1, fmt.Sprintf("the agent speaks version %d of the protocol", agentProtocol))
	}
}
