package main

// What containers print: a file for each with one older one, or memlog.go's memory, and the last lines
// for messages.

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

const (
	largestLog  = 1 << 20
	lastLines   = 12
	longestLine = 8 << 10
)

// containerLog takes the output of one container.
type containerLog struct {
	path string
	// Also show each line on the console, under this name.
	shownAs string

	lock  sync.Mutex
	file  *os.File
	size  int64
	last  []string
	broke bool
	// Who follows the log.
	watchers map[*logWatcher]bool
}

func newLog(path, shownAs string) *containerLog {
	return &containerLog{path: path, shownAs: shownAs}
}

// source is what the output is called where all of it is together.
func (l *containerLog) source() string { return strings.TrimSuffix(filepath.Base(l.path), ".log") }

// attach returns the end of a pipe for a container, and a channel that is closed when nobody can
// write into it any more.
func (l *containerLog) attach() (*os.File, <-chan struct{}, error) {
	reading, writing, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer reading.Close()
		l.drain(reading)
	}()
	return writing, done, nil
}

func (l *containerLog) drain(from io.Reader) {
	reader := bufio.NewReaderSize(from, longestLine)
	for {
		// A line that is longer is cut into several.
		line, err := reader.ReadSlice('\n')
		if len(line) > 0 {
			l.add(line)
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

func (l *containerLog) add(line []byte) {
	l.lock.Lock()
	defer l.lock.Unlock()
	text := strings.TrimRight(string(line), "\r\n")
	l.last = append(l.last, text)
	if len(l.last) > lastLines {
		l.last = l.last[1:]
	}
	if l.shownAs != "" {
		show(l.shownAs + ": " + text)
	}
	if memory != nil {
		memory.add(l.source(), text)
		return
	}
	l.tell(line)
	if err := l.write(line); err != nil && !l.broke {
		l.broke = true
		say("the log %s cannot be written: %v", l.path, err)
	} else if err == nil {
		l.broke = false
	}
}

func (l *containerLog) write(line []byte) error {
	if l.file == nil {
		file, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
		if err != nil {
			return err
		}
		l.file, l.size = file, 0
		if found, err := file.Stat(); err == nil {
			l.size = found.Size()
		}
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	if l.size >= largestLog {
		l.file.Close()
		l.file = nil
		if err := os.Rename(l.path, l.path+".1"); err != nil {
			return err
		}
	}
	return err
}

// tail returns the last lines as they are shown on the console.
func (l *containerLog) tail() string {
	l.lock.Lock()
	defer l.lock.Unlock()
	var text strings.Builder
	for _, line := range l.last {
		text.WriteString("\n    | " + line)
	}
	return text.String()
}

func (l *containerLog) forget() {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.last = nil
}
