package main

// What the system knows of itself: release, keys, root hash and disk.

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// paths are where things are; tests have others.
type paths struct {
	config, commandLine, state string
	// A disk, or a file with the image of one; the one that the system runs from if it is empty.
	disk string
	// A directory that has the system partition's files; it is mounted if this is empty.
	esp string
}

// machine is the system that runs.
type machine struct {
	Product      string `json:"product"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
	rootHash     string
	keys         []*ecdsa.PublicKey
}

func readMachine(p paths) (machine, error) {
	var m machine
	about := filepath.Join(p.config, "release.json")
	text, err := os.ReadFile(about)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err == nil && (m.Product == "" || strings.ContainsAny(m.Product, "/+\x00")) {
		err = fmt.Errorf("%q is not a product", m.Product)
	}
	if err == nil {
		err = checkVersion(m.Version)
	}
	if err != nil {
		return m, fmt.Errorf("%s: %w", about, err)
	}
	if _, ok := kinds[m.Architecture]; !ok {
		return m, refuse("there are no slots for the architecture %q", m.Architecture)
	}
	public := filepath.Join(p.config, "update.pub")
	if text, err = os.ReadFile(public); err == nil {
		m.keys, err = parseKeys(text)
	}
	if err != nil {
		return m, fmt.Errorf("%s: %w", public, err)
	}
	if text, err = os.ReadFile(p.commandLine); err != nil {
		return m, err
	}
	m.rootHash = wordOf(string(text), "roothash=")
	if checkDigest(m.rootHash) != nil {
		return m, refuse("the system does not run from a verified root: there is no roothash= on its command line")
	}
	return m, nil
}

const (
	blockDirectory  = "/sys/block"
	deviceDirectory = "/dev"
)

// findDisk returns the disk that has the partition with the root that runs.
func findDisk(m machine) (string, error) {
	all, err := os.ReadDir(blockDirectory)
	if err != nil {
		return "", err
	}
	var found []string
	for _, one := range all {
		kind := strings.TrimRight(one.Name(), "0123456789")
		switch kind {
		case "loop", "ram", "zram", "sr", "fd", "dm-", "md", "mtdblock":
			continue
		}
		path := filepath.Join(deviceDirectory, strings.ReplaceAll(one.Name(), "!", "/"))
		if hasRoot(path, m) {
			found = append(found, path)
		}
	}
	sort.Strings(found)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", refuse("no disk has the root that runs")
	}
	return "", refuse("the root that runs is on %s: name one with --disk", strings.Join(found, " and "))
}

func hasRoot(path string, m machine) bool {
	d, err := openDevice(path, os.O_RDONLY)
	if err != nil {
		return false
	}
	defer d.Close()
	t, err := readTable(d, d.size, d.sector)
	if err != nil {
		return false
	}
	root, _ := halves(m.rootHash)
	for _, p := range t.partitions() {
		if p.kind == kinds[m.Architecture][0] && p.id == root {
			return true
		}
	}
	return false
}

// partitionPath returns the device of a partition.
func partitionPath(disk string, number int) string {
	last := disk[len(disk)-1]
	if isDigit(last) {
		return fmt.Sprintf("%sp%d", disk, number)
	}
	return fmt.Sprintf("%s%d", disk, number)
}

// target is the disk with what is on it.
type target struct {
	path  string
	disk  storage
	table *table
	// Opens the system partition.
	openESP func() (esp, error)
	close   func()
}

// storage is a disk that can be read past the cache.
type storage interface {
	disk
	Medium() (mediumReader, error)
}

// openTarget opens the disk; for writing it is locked.
func openTarget(p paths, m machine, writing bool) (*target, error) {
	path := p.disk
	if path == "" {
		found, err := findDisk(m)
		if err != nil {
			return nil, err
		}
		path = found
	}
	flags := os.O_RDONLY
	if writing {
		flags = os.O_RDWR
	}
	d, err := openDevice(path, flags)
	if err != nil {
		return nil, err
	}
	t := &target{path: path, disk: d, close: func() { d.Close() }}
	if writing {
		err = lockFile(d.File)
	}
	if err == nil {
		t.table, err = readTable(d, d.size, d.sector)
	}
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t.openESP = func() (esp, error) {
		if p.esp != "" {
			return &mounted{root: p.esp}, nil
		}
		for _, one := range t.table.partitions() {
			if one.kind == espKind {
				return mountESP(partitionPath(path, one.number), filepath.Join(p.state, "esp"))
			}
		}
		return nil, refuse("%s has no system partition", path)
	}
	return t, nil
}
