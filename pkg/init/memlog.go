package main

// All output in memory: the last lines of all containers and of init, in place of files in /var/log,
// if pkg/memlogd is in the image. Whoever wants to keep them follows them at a socket, in the way that
// LinuxKit's memlogd speaks: one byte says what is wanted, and lines of JSON come back.

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	memlogSettings = "/etc/memlogd.conf"
	memlogSocket   = "/run/log/memlogdq.sock"
	// Where LinuxKit has it.
	memlogUsualSocket = "/run/memlogdq.sock"

	wantDump, wantFollow, wantDumpAndFollow = 0, 1, 2

	largestMemlog = 1 << 20
	// So many lines are handed over at a time, without holding up who prints.
	memlogBatch = 256
)

// memory is what takes all output; nil if files do.
var memory *memlog

// memlogLine is one line, as it is handed over.
type memlogLine struct {
	Time   time.Time `json:"time"`
	Source string    `json:"source"`
	Text   string    `json:"msg"`
}

// memlog keeps the last lines; lines are counted from the first that ever was.
type memlog struct {
	longest int

	lock    sync.Mutex
	changed *sync.Cond
	lines   []memlogLine
	next    int
}

func newMemlog(count, longest int) *memlog {
	m := &memlog{longest: longest, lines: make([]memlogLine, count)}
	m.changed = sync.NewCond(&m.lock)
	return m
}

// add takes a line, in place of the oldest if there are too many. Without a memlog nothing happens.
func (m *memlog) add(source, text string) {
	if m == nil {
		return
	}
	if len(text) > m.longest {
		text = strings.ToValidUTF8(text[:m.longest], "")
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	m.lines[m.next%len(m.lines)] = memlogLine{time.Now(), source, text}
	m.next++
	m.changed.Broadcast()
}

// first is the number of the oldest line; the lock is held.
func (m *memlog) first() int {
	if m.next > len(m.lines) {
		return m.next - len(m.lines)
	}
	return 0
}

// since returns lines from a number on, and the number to go on with. What has been lost in between
// is told by a line. It waits for at least one line as long as isWanted, which may be nil.
func (m *memlog) since(from int, isWanted func() bool) ([]memlogLine, int) {
	m.lock.Lock()
	defer m.lock.Unlock()
	for from == m.next && isWanted != nil && isWanted() {
		m.changed.Wait()
	}
	var found []memlogLine
	if oldest := m.first(); from < oldest {
		text := fmt.Sprintf("%d lines came faster than they could be read", oldest-from)
		found = append(found, memlogLine{m.lines[oldest%len(m.lines)].Time, "memlogd", text})
		from = oldest
	}
	for ; from < m.next && len(found) < memlogBatch; from++ {
		found = append(found, m.lines[from%len(m.lines)])
	}
	return found, from
}

// print writes the lines of a source as they were printed; of all sources if it is empty.
func (m *memlog) print(to io.Writer, source string) (found bool) {
	m.lock.Lock()
	from, end := m.first(), m.next
	m.lock.Unlock()
	for from < end {
		var lines []memlogLine
		lines, from = m.since(from, nil)
		for _, line := range lines {
			if source != "" && line.Source != source {
				continue
			}
			found = true
			if source == "" {
				fmt.Fprintf(to, "%s: ", line.Source)
			}
			fmt.Fprintln(to, line.Text)
		}
	}
	return found
}

// startMemlog keeps output in memory from now on, if the image says so.
func startMemlog() {
	content, err := os.ReadFile(memlogSettings)
	if err != nil {
		return
	}
	count, longest, problem := readMemlogSettings(string(content))
	memory = newMemlog(count, longest)
	if problem != "" {
		say("%s: %s", memlogSettings, problem)
	}
	_ = os.MkdirAll("/run/log", 0o755)
	_ = os.Remove(memlogSocket)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: memlogSocket, Net: "unix"})
	if err == nil {
		err = os.Chmod(memlogSocket, 0o600)
	}
	if err != nil {
		say("nobody can read the output: %v", err)
		return
	}
	_ = os.Symlink("log/memlogdq.sock", memlogUsualSocket)
	go memory.serve(listener)
}

func readMemlogSettings(text string) (count, longest int, problem string) {
	count, longest = 5000, 1024
	for _, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		value := 0
		if len(words) == 2 {
			value, _ = strconv.Atoi(words[1])
		}
		switch {
		case value < 1 || value > largestMemlog:
			problem = fmt.Sprintf("%q wants a number from 1 to %d", line, largestMemlog)
		case words[0] == "max-lines":
			count = value
		case words[0] == "max-line-len":
			longest = value
		default:
			problem = fmt.Sprintf("there is no setting %s", words[0])
		}
	}
	return count, longest, problem
}

func (m *memlog) serve(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			m.handOver(connection)
		}()
	}
}

// handOver writes lines to a reader until there are no more, or the reader has gone.
func (m *memlog) handOver(reader io.ReadWriter) {
	mode := make([]byte, 1)
	if _, err := io.ReadFull(reader, mode); err != nil {
		return
	}
	m.lock.Lock()
	from, end := m.first(), m.next
	m.lock.Unlock()
	var isThere func() bool
	if mode[0] != wantDump {
		gone := false
		isThere = func() bool { return !gone }
		go func() {
			// Readers say no more; the end of this is their end.
			_, _ = io.Copy(io.Discard, reader)
			m.lock.Lock()
			defer m.lock.Unlock()
			gone = true
			m.changed.Broadcast()
		}()
	}
	if mode[0] == wantFollow {
		from = end
	}
	encoder := json.NewEncoder(reader)
	for isThere != nil || from < end {
		var lines []memlogLine
		lines, from = m.since(from, isThere)
		if len(lines) == 0 {
			return
		}
		for _, line := range lines {
			if encoder.Encode(line) != nil {
				return
			}
		}
	}
}
