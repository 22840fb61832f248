package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// group is a cgroup: its path in the system, and its directory.
type group struct {
	id        string
	directory string
}

// findGroups finds the cgroups of a tree, the root first, in the order of their paths.
func findGroups(root string) ([]group, error) {
	var found []group
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case os.IsNotExist(err) && path != root:
			// It has ended meanwhile.
			return fs.SkipDir
		case err != nil:
			return err
		case entry.IsDir():
			id := "/" + strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
			found = append(found, group{id, path})
		}
		return nil
	})
	return found, err
}

// number reads a file with one number; false if it is not there, or has another text, such as max.
func (g group) number(file string) (float64, bool) {
	text, err := os.ReadFile(filepath.Join(g.directory, file))
	if err != nil {
		return 0, false
	}
	value, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return float64(value), err == nil
}

// field reads the number behind a name in a file with a name and a number on each line.
func (g group) field(file, name string) (float64, bool) {
	text, err := os.ReadFile(filepath.Join(g.directory, file))
	if err != nil {
		return 0, false
	}
	for _, line := range strings.Split(string(text), "\n") {
		key, value, _ := strings.Cut(line, " ")
		if key == name {
			number, err := strconv.ParseUint(value, 10, 64)
			return float64(number), err == nil
		}
	}
	return 0, false
}

// disk reads a figure of all disks together, from io.stat: `8:0 rbytes=1 wbytes=2 rios=3`.
func (g group) disk(name string) (float64, bool) {
	text, err := os.ReadFile(filepath.Join(g.directory, "io.stat"))
	if err != nil {
		return 0, false
	}
	var sum float64
	for _, word := range strings.Fields(string(text)) {
		key, value, _ := strings.Cut(word, "=")
		if number, err := strconv.ParseUint(value, 10, 64); key == name && err == nil {
			sum += float64(number)
		}
	}
	return sum, true
}
