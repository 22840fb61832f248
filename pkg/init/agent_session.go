package main

// A session of the agent: one request of the host, and what comes of it.

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// What the host may send without having been told that it was used.
	inputWindow = 64 << 10
	// How often it is looked whether a service has been added, during the boot.
	lookForService = 100 * time.Millisecond
	// Input in parts that are smaller than this on average is refused.
	mostInputParts = 1 << 10
)

// agentRequest is what the host wants.
type agentRequest struct {
	Do      string   `json:"do"`
	Service string   `json:"service"`
	Command []string `json:"command"`
	// Of logs: go on with what comes, and wait for the service during the boot.
	Follow bool `json:"follow"`
	// Of exec: with standard input, and on a terminal of a size and type.
	Input    bool   `json:"input"`
	Terminal bool   `json:"terminal"`
	Columns  uint16 `json:"columns"`
	Rows     uint16 `json:"rows"`
	Type     string `json:"type"`
}

// agentEnd is the last frame of a session.
type agentEnd struct {
	Status int    `json:"status"`
	Error  string `json:"error,omitempty"`
}

type agentSession struct {
	port *agentPort
	// Closed when the host has gone.
	done    chan struct{}
	endOnce sync.Once
	asked   bool
	over    atomic.Bool
	input   chan []byte
	unused  atomic.Int64
	closed  bool
	signals chan byte
	sizes   chan [2]uint16
}

func newAgentSession(port *agentPort) *agentSession {
	return &agentSession{
		port: port, done: make(chan struct{}), input: make(chan []byte, mostInputParts),
		signals: make(chan byte, 8), sizes: make(chan [2]uint16, 1),
	}
}

func (s *agentSession) end() { s.endOnce.Do(func() { close(s.done) }) }

func (s *agentSession) send(kind byte, payload []byte) error { return s.port.send(s, kind, payload) }

func (s *agentSession) sendJSON(kind byte, value any) {
	if data, err := json.Marshal(value); err == nil {
		_ = s.send(kind, data)
	}
}

// finish is the last word of a session; only the first counts.
func (s *agentSession) finish(status int, problem string) {
	if s.over.CompareAndSwap(false, true) {
		// In JSON a character may be six.
		if len(problem) > largestFrame/8 {
			problem = strings.ToValidUTF8(problem[:largestFrame/8], "")
		}
		s.sendJSON(frameEnd, agentEnd{status, problem})
	}
}

func (s *agentSession) handle(kind byte, payload []byte) {
	if s.over.Load() {
		return
	}
	switch {
	case kind == frameRequest && !s.asked:
		s.asked = true
		var r agentRequest
		if err := json.Unmarshal(payload, &r); err != nil {
			s.finish(1, fmt.Sprintf("not a request: %v", err))
			return
		}
		go s.perform(r)
	case kind == frameInput && !s.closed:
		s.takeInput(payload)
	case kind == frameSignal && len(payload) == 1:
		offer(s.signals, payload[0])
	case kind == frameSize && len(payload) == 4:
		// Only the last size counts.
		select {
		case <-s.sizes:
		default:
		}
		offer(s.sizes, [2]uint16{binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])})
	default:
		s.finish(1, fmt.Sprintf("a frame of kind %d does not belong here", kind))
	}
}

// offer hands something over if there is room for it.
func offer[T any](to chan<- T, value T) bool {
	select {
	case to <- value:
		return true
	default:
		return false
	}
}

// takeInput keeps what was typed until it is used; an empty frame is the end of it.
func (s *agentSession) takeInput(payload []byte) {
	if len(payload) == 0 {
		s.closed = true
		close(s.input)
		return
	}
	if s.unused.Add(int64(len(payload))) > inputWindow || !offer(s.input, append([]byte(nil), payload...)) {
		s.finish(1, "there is more input than was allowed")
	}
}

// used allows the host as much input again.
func (s *agentSession) used(count int) {
	s.unused.Add(-int64(count))
	var payload [4]byte
	binary.BigEndian.PutUint32(payload[:], uint32(count))
	_ = s.send(frameCredit, payload[:])
}

func (s *agentSession) perform(r agentRequest) {
	switch r.Do {
	case "services":
		s.sendServices()
	case "logs":
		s.logs(r)
	case "exec":
		s.exec(r)
	default:
		s.finish(1, fmt.Sprintf("the agent does not know %q", r.Do))
	}
}

// frameWriter sends what is written as frames of a kind.
type frameWriter struct {
	session *agentSession
	kind    byte
}

func (w frameWriter) Write(data []byte) (int, error) {
	written := 0
	for len(data) > 0 {
		part := data
		if len(part) > largestFrame {
			part = part[:largestFrame]
		}
		if err := w.session.send(w.kind, part); err != nil {
			return written, err
		}
		written += len(part)
		data = data[len(part):]
	}
	return written, nil
}

// sendServices sends a line of JSON for each service.
func (s *agentSession) sendServices() {
	encoder := json.NewEncoder(frameWriter{s, frameOutput})
	for _, one := range s.port.all() {
		_ = encoder.Encode(map[string]string{"name": one.name, "state": one.state()})
	}
	s.finish(0, "")
}

// awaitService returns a service; during the boot it may have to be waited for.
func (s *agentSession) awaitService(name string) (*service, error) {
	names := []string{}
	isListed := false
	for _, b := range bundles("services") {
		names = append(names, b.name)
		isListed = isListed || b.name == name
	}
	for {
		if one := s.port.find(name); one != nil {
			return one, nil
		}
		if !isListed {
			sort.Strings(names)
			return nil, fmt.Errorf("there is no service %s; services: %s", name, first(strings.Join(names, ", "), "none"))
		}
		select {
		case <-s.done:
			return nil, errSessionEnded
		case <-time.After(lookForService):
		}
	}
}

// logs sends what a service has printed. What ran in onboot has a log, too, which is not followed.
func (s *agentSession) logs(r agentRequest) {
	output := frameWriter{s, frameOutput}
	if !r.Follow && writeLogs(output, r.Service) {
		s.finish(0, "")
		return
	}
	one, err := s.awaitService(r.Service)
	if err != nil {
		s.finish(1, err.Error())
		return
	}
	if !r.Follow {
		// It has printed nothing so far.
		s.finish(0, "")
		return
	}
	if memory != nil {
		memory.follow(output, one.log.source(), s.done)
	} else {
		one.log.follow(output, s.done)
	}
}

// follow writes the lines of a source until the session ends.
func (m *memlog) follow(to io.Writer, source string, done <-chan struct{}) {
	m.lock.Lock()
	from := m.first()
	m.lock.Unlock()
	wanted := true
	go func() {
		<-done
		m.lock.Lock()
		defer m.lock.Unlock()
		wanted = false
		m.changed.Broadcast()
	}()
	for {
		var lines []memlogLine
		lines, from = m.since(from, func() bool { return wanted })
		if len(lines) == 0 {
			return
		}
		for _, line := range lines {
			if line.Source == source {
				if _, err := fmt.Fprintln(to, line.Text); err != nil {
					return
				}
			}
		}
	}
}

// logWatcher gets the lines of a log as they come.
type logWatcher struct {
	lines chan []byte
	lost  atomic.Int64
}

const mostWatchedLines = 256

// watch hands the kept files of a log over, and then each line that comes.
func (l *containerLog) watch() (*logWatcher, []io.Reader) {
	w := &logWatcher{lines: make(chan []byte, mostWatchedLines)}
	l.lock.Lock()
	defer l.lock.Unlock()
	var kept []io.Reader
	for _, path := range []string{l.path + ".1", l.path} {
		file, err := os.Open(path)
		if err != nil {
			continue
		}
		if found, err := file.Stat(); err == nil {
			kept = append(kept, io.LimitReader(file, found.Size()))
		}
	}
	if l.watchers == nil {
		l.watchers = map[*logWatcher]bool{}
	}
	l.watchers[w] = true
	return w, kept
}

func (l *containerLog) unwatch(w *logWatcher) {
	l.lock.Lock()
	defer l.lock.Unlock()
	delete(l.watchers, w)
}

// tell hands a line to who watches, who may be too slow for it; the lock is held.
func (l *containerLog) tell(line []byte) {
	for w := range l.watchers {
		if !offer(w.lines, append([]byte(nil), line...)) {
			w.lost.Add(1)
		}
	}
}

// follow writes a log and its new lines until the session ends.
func (l *containerLog) follow(to io.Writer, done <-chan struct{}) {
	w, kept := l.watch()
	defer l.unwatch(w)
	for _, reader := range kept {
		if _, err := io.Copy(to, reader); err != nil {
			return
		}
	}
	for {
		select {
		case <-done:
			return
		case line := <-w.lines:
			if _, err := to.Write(line); err != nil {
				return
			}
			if lost := w.lost.Swap(0); lost > 0 {
				fmt.Fprintf(to, "(%d lines came faster than they could be read)\n", lost)
			}
		}
	}
}
