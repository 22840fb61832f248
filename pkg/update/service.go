package main

// The service, and what is printed of the machine.

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"os"
	"time"
)

// someTime returns a random time up to a limit, so that not all machines ask at once.
func someTime(limit time.Duration) time.Duration {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(limit)+1))
	if err != nil {
		return limit
	}
	return time.Duration(n.Int64())
}

// serve checks and applies until it is ended. What fails is tried again at the next time.
func (c *command) serve(ctx context.Context) int {
	c.serving = true
	pause := someTime(c.jitter)
	for {
		select {
		case <-ctx.Done():
			return exitDone
		case <-time.After(pause):
		}
		pause = c.interval + someTime(c.jitter)
		if code := c.once(ctx, true); code == exitBusy && pause > time.Minute {
			// A release that has just come up is found healthy soon.
			pause = time.Minute
		}
	}
}

// printStatus says what is in the slots, and what the service has said last.
func (c *command) printStatus() int {
	s := newStatus(c.paths)
	last, err := os.ReadFile(s.path)
	s.path = ""
	if err == nil && !c.json {
		fmt.Printf("service: %s", last)
	}
	s.State = stateCurrent
	err = c.describe(s)
	s.end(err)
	if c.json {
		os.Stdout.Write(s.text())
		return s.Exit
	}
	if err != nil {
		say("%v", err)
		return s.Exit
	}
	fmt.Printf("product: %s\nrunning: %s\n", s.Product, s.Running)
	for _, one := range s.Slots {
		version := one.Version
		if version == "" {
			version = "free"
		}
		if one.IsRunning {
			version += " (runs)"
		}
		fmt.Printf("slot: partitions %d and %d, %d and %d bytes: %s\n", one.Root, one.Hash, one.RootSize, one.HashSize, version)
	}
	for _, name := range s.Entries {
		fmt.Printf("entry: %s\n", name)
	}
	return s.Exit
}

func (c *command) describe(s *status) error {
	m, err := readMachine(c.paths)
	if err != nil {
		return err
	}
	s.Product, s.Running = m.Product, m.Version
	t, err := openTarget(c.paths, m, false)
	if err != nil {
		return err
	}
	defer t.close()
	for _, one := range t.table.slots(m.Architecture) {
		s.Slots = append(s.Slots, slotStatus{one.version(), one.root.number, one.hash.number,
			t.table.size(one.root), t.table.size(one.hash), one.holds(m.rootHash)})
	}
	e, err := t.openESP()
	if err != nil {
		return err
	}
	defer e.Close()
	entries, err := entriesOf(e, m.Product)
	for _, one := range entries {
		s.Entries = append(s.Entries, one.file)
	}
	return err
}
