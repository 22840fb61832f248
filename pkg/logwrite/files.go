package main

// Files of logs: NAME.log, and older ones as NAME.log.1 and so on, the highest number the oldest.

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// files are all logs in a directory.
type files struct {
	directory string
	older     int
	largest   int64
	open      map[string]*log
}

// log is the file that is written at the moment.
type log struct {
	file *os.File
	size int64
}

func newFiles(directory string, older int, largest int64) *files {
	return &files{directory: directory, older: older, largest: largest, open: map[string]*log{}}
}

// write appends a line to the file of its source.
func (f *files) write(next line) error {
	path := filepath.Join(f.directory, fileName(next.Source)+".log")
	one, err := f.at(path)
	if err != nil {
		return err
	}
	n, err := fmt.Fprintf(one.file, "%s %s %s\n", next.Time.Format(time.RFC3339), next.Source, next.Text)
	one.size += int64(n)
	if err != nil || one.size >= f.largest {
		one.file.Close()
		delete(f.open, path)
	}
	if err == nil && one.size >= f.largest {
		err = f.rotate(path)
	}
	return err
}

func (f *files) at(path string) (*log, error) {
	if one := f.open[path]; one != nil {
		return one, nil
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, err
	}
	one := &log{file: file}
	if found, err := file.Stat(); err == nil {
		one.size = found.Size()
	}
	f.open[path] = one
	return one, nil
}

// rotate gives each file the next number; the one that would have too high a number is no more.
func (f *files) rotate(path string) error {
	if f.older == 0 {
		return os.Remove(path)
	}
	for number := f.older; number > 0; number-- {
		from := fmt.Sprintf("%s.%d", path, number-1)
		if number == 1 {
			from = path
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", path, number)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// fileName makes a name of a file of any source.
func fileName(source string) string {
	name := strings.Map(func(r rune) rune {
		if r == '/' || r < ' ' {
			return '_'
		}
		return r
	}, source)
	if name == "" || name == "." || name == ".." {
		return "_"
	}
	return name
}
