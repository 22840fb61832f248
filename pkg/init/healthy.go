package main

// The health of a system: when it is good, the entry of the boot loader that has started it is
// blessed; when it is not in time, the machine restarts, and the boot loader counts one try less.

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	usualHealthyAfter = 10 * time.Second
	usualHealthyLimit = 5 * time.Minute
	healthPause       = 500 * time.Millisecond
	slowestCheck      = 30 * time.Second
)

// healthCheck is one of the conditions of dolmen.healthy=: a service runs, or a command in it succeeds.
type healthCheck struct {
	service string
	command []string
}

type healthOptions struct {
	// None are all services of the image.
	checks       []healthCheck
	after, limit time.Duration
	// The command line asks for it, or for a verified root filesystem.
	wanted bool
}

func parseHealthOptions(line string) (healthOptions, error) {
	o := healthOptions{after: usualHealthyAfter, limit: usualHealthyLimit}
	for _, word := range commandWords(line) {
		name, value, _ := strings.Cut(word, "=")
		var err error
		switch name {
		case "roothash":
			o.wanted = true
		case "dolmen.healthy":
			o.wanted = true
			o.checks, err = parseChecks(value)
		case "dolmen.healthy-after":
			o.wanted = true
			o.after, err = parseHealthTime(value)
		case "dolmen.healthy-limit":
			o.wanted = true
			o.limit, err = parseHealthTime(value)
		}
		if err != nil {
			return o, fmt.Errorf("%s=%s: %w", name, value, err)
		}
	}
	return o, nil
}

func parseHealthTime(value string) (time.Duration, error) {
	length, err := time.ParseDuration(value)
	if err != nil || length < 0 {
		return 0, fmt.Errorf("not a time such as 10s or 5m")
	}
	return length, nil
}

func parseChecks(value string) ([]healthCheck, error) {
	var checks []healthCheck
	for _, part := range strings.Split(value, ",") {
		if part == "" {
			continue
		}
		rest, isCommand := cutPrefix(part, "exec:")
		if !isCommand {
			checks = append(checks, healthCheck{service: part})
			continue
		}
		service, command, _ := strings.Cut(rest, ":")
		words := strings.Fields(command)
		if service == "" || len(words) == 0 {
			return nil, fmt.Errorf("%s is not exec:SERVICE:COMMAND", part)
		}
		checks = append(checks, healthCheck{service, words})
	}
	return checks, nil
}

// commandWords splits the kernel's command line as the kernel does: blanks between double quotes
// belong to a word.
func commandWords(line string) []string {
	quoted := false
	var words []string
	var word strings.Builder
	for _, r := range line {
		switch {
		case r == '"':
			quoted = !quoted
		case !quoted && (r == ' ' || r == '\t' || r == '\n'):
			if word.Len() > 0 {
				words = append(words, word.String())
				word.Reset()
			}
		default:
			word.WriteRune(r)
		}
	}
	if word.Len() > 0 {
		words = append(words, word.String())
	}
	return words
}

// health is what is known so far.
type health struct {
	lock    sync.Mutex
	text    string
	healthy bool
}

func (h *health) set(text string, healthy bool) {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.text, h.healthy = text, healthy
}

func (h *health) describe() (string, bool) {
	h.lock.Lock()
	defer h.lock.Unlock()
	return first(h.text, "nothing is watched: the command line has no dolmen.healthy= and no roothash="), h.healthy
}

// watchHealth waits for the system to be healthy, and blesses its entry.
func (s *system) watchHealth() {
	o, err := parseHealthOptions(commandLine())
	if !o.wanted {
		return
	}
	s.health.set("not healthy yet", false)
	if err != nil {
		say("healthy: the command line: %v", err)
		s.health.set(err.Error(), false)
	}
	entry := &countedEntry{}
	entry.loader, entry.err = readLoaderState(systemModules)
	go func() {
		healthy := make(chan struct{})
		go func() {
			// A mistake in the command line is no health.
			if err == nil {
				s.awaitHealth(o)
				close(healthy)
			}
		}()
		select {
		case <-healthy:
			entry.bless(&s.health)
		case <-time.After(o.limit):
			s.giveUp(o, entry)
			<-healthy
			entry.bless(&s.health)
		}
	}()
}

// awaitHealth comes back when all conditions have held for some time.
func (s *system) awaitHealth(o healthOptions) {
	var since time.Time
	starts := 0
	for ; ; time.Sleep(healthPause) {
		reason, now := s.checkHealth(o.checks)
		switch {
		case reason != "":
			since = time.Time{}
			s.health.set("not healthy yet: "+reason, false)
		case since.IsZero() || now != starts:
			since, starts = time.Now(), now
		}
		if !since.IsZero() && time.Since(since) >= o.after {
			return
		}
	}
}

// checkHealth returns why the system is not healthy, or nothing, and how often services were started.
func (s *system) checkHealth(checks []healthCheck) (string, int) {
	if !s.started.Load() {
		return "not all is started", 0
	}
	starts := 0
	if len(checks) == 0 {
		for _, one := range s.all() {
			// What ends in success has done its work.
			if running, count, last := one.healthState(); running || last == "exit status 0" {
				starts += count
			} else {
				return fmt.Sprintf("%s does not run: %s", one.name, last), 0
			}
		}
		return "", starts
	}
	for _, check := range checks {
		one := s.find(check.service)
		if one == nil {
			return "there is no service " + check.service, 0
		}
		running, count, last := one.healthState()
		if !running {
			return fmt.Sprintf("%s does not run: %s", one.name, last), 0
		}
		starts += count
		if err := s.checkCommand(one, check.command); err != nil {
			return fmt.Sprintf("%s in %s: %v", strings.Join(check.command, " "), one.name, err), 0
		}
	}
	return "", starts
}

func (one *service) healthState() (running bool, starts int, last string) {
	one.lock.Lock()
	defer one.lock.Unlock()
	return one.container != nil, one.starts, one.last
}

// checkCommand runs a command in a service; what takes too long has failed.
func (s *system) checkCommand(one *service, command []string) error {
	if len(command) == 0 {
		return nil
	}
	files := []*os.File{s.null, s.null, s.null}
	pid, ended, err := s.reaper.start(s.engine.execCommand(one.bundle, command), files)
	if err != nil {
		return err
	}
	select {
	case status := <-ended:
		if status.ExitStatus() != 0 {
			return errors.New(describeEnd(status))
		}
		return nil
	case <-time.After(slowestCheck):
		_ = syscall.Kill(pid, syscall.SIGKILL)
		return fmt.Errorf("it did not end within %s", slowestCheck)
	}
}

// countedEntry is the entry of the boot loader that runs, as far as it is known.
type countedEntry struct {
	loader loaderState
	err    error
}

// bless takes the counter off the entry.
func (c *countedEntry) bless(h *health) {
	if c.err != nil {
		text := fmt.Sprintf("the system is healthy; there is no entry to bless: %v", c.err)
		h.set(text, true)
		say("healthy: %s", text)
		return
	}
	espLock.Lock()
	defer espLock.Unlock()
	var entry bootEntry
	err := withESP(c.loader, func(directory string) (err error) {
		entry, err = blessIn(directory, c.loader)
		return err
	})
	text := fmt.Sprintf("entry %s is blessed", entry.base)
	if err != nil {
		text = fmt.Sprintf("the system is healthy, but its entry cannot be blessed: %v", err)
	} else if !entry.counted {
		text = fmt.Sprintf("entry %s was blessed before", entry.base)
	}
	h.set(text, true)
	say("healthy: %s", text)
}

// giveUp restarts the machine if its entry is not blessed, and something else may come of it.
func (s *system) giveUp(o healthOptions, c *countedEntry) {
	if s.ending.Load() {
		return
	}
	state, _ := s.health.describe()
	say("healthy: after %s: %s", o.limit, state)
	if c.err != nil || c.loader.countPath == "" {
		say("healthy: the entry has no counter, and the system stays")
		return
	}
	espLock.Lock()
	var running, next bootEntry
	err := withESP(c.loader, func(directory string) error {
		files, err := listFiles(directory)
		if err != nil {
			return err
		}
		entries := parseEntries(files)
		if running, err = c.loader.running(entries); err == nil {
			next = nextTry(entries, running)
		}
		return err
	})
	espLock.Unlock()
	switch {
	case err != nil:
		say("healthy: the system stays: %v", err)
	case !running.counted:
		say("healthy: entry %s was blessed before, and the system stays", running.base)
	case next.file == "":
		say("healthy: entry %s has no tries left, and there is no other one: the system stays", running.base)
	default:
		say("healthy: entry %s has %d tries left; the machine restarts", running.base, running.left)
		s.end(restart)
	}
}

// nextTry is the entry that the boot loader starts next, or none.
func nextTry(entries []bootEntry, running bootEntry) bootEntry {
	if running.isUsable() {
		return running
	}
	next, _ := otherUsable(entries, running)
	return next
}
