package main

// What the program is doing, for others: a file that is replaced as a whole.

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"
)

// States of an update.
const (
	stateCurrent   = "current"
	stateAvailable = "available"
	stateWriting   = "writing"
	stateVerifying = "verifying"
	stateApplied   = "applied"
	stateFailed    = "failed"
)

type status struct {
	Schema    int          `json:"schema"`
	State     string       `json:"state"`
	Product   string       `json:"product,omitempty"`
	Running   string       `json:"running,omitempty"`
	Available string       `json:"available,omitempty"`
	Slots     []slotStatus `json:"slots,omitempty"`
	Entries   []string     `json:"entries,omitempty"`
	File      string       `json:"file,omitempty"`
	Done      int64        `json:"done,omitempty"`
	Size      int64        `json:"size,omitempty"`
	Error     string       `json:"error,omitempty"`
	Exit      int          `json:"exit"`
	Time      string       `json:"time"`
	// Where it is written to; nowhere if it is empty.
	path string
	last time.Time
}

type slotStatus struct {
	Version   string `json:"version"`
	Root      int    `json:"root"`
	Hash      int    `json:"hash"`
	RootSize  int64  `json:"root_size"`
	HashSize  int64  `json:"hash_size"`
	IsRunning bool   `json:"running"`
}

func newStatus(p paths) *status {
	return &status{Schema: 1, path: filepath.Join(p.state, "status.json")}
}

func (s *status) text() []byte {
	s.Time = time.Now().UTC().Format(time.RFC3339)
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return append(text, '\n')
}

// write replaces the file. An update goes on if that fails: it is only told.
func (s *status) write() {
	if s.path == "" {
		return
	}
	s.last = time.Now()
	fresh := s.path + ".new"
	if os.WriteFile(fresh, s.text(), 0o644) == nil {
		_ = os.Rename(fresh, s.path)
	}
}

func (s *status) enter(state string) {
	s.State, s.File, s.Done, s.Size = state, "", 0, 0
	s.write()
}

// progress says how much of a file is done, once a second.
func (s *status) progress(name string, done, size int64) {
	s.File, s.Done, s.Size = name, done, size
	if time.Since(s.last) >= time.Second {
		s.write()
	}
}

func (s *status) end(err error) {
	s.Exit = exitCode(err)
	if err != nil {
		s.State, s.Error = stateFailed, err.Error()
	}
	s.write()
}
