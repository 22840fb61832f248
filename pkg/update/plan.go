package main

// Whether a release is one for this machine, and where it would go. Nothing is written here.

import (
	"context"
	"errors"
	"sort"
)

// options are the wishes of the user.
type options struct {
	version   string
	downgrade bool
	again     bool
}

// plan is an update that may begin.
type plan struct {
	machine machine
	target  *target
	release release
	running slot
	slot    slot
	entries []entry
	// The slot has the release, and its entry will be tried: only a reboot is missing.
	applied bool
	older   bool
	// The slot has the release, and so has an entry.
	complete bool
}

// errCurrent says that the release of the index runs already.
var errCurrent = errors.New("there is nothing newer")

func readRelease(ctx context.Context, m machine, from source, s settings, o options) (release, error) {
	text, err := readIndex(ctx, from, s)
	if err != nil {
		return release{}, err
	}
	payload, err := openEnvelope(text, m.keys)
	if err != nil {
		return release{}, refuse("%s: %v", indexName, err)
	}
	found, err := parseIndex(payload)
	if err != nil {
		return release{}, refuse("%s: %v", indexName, err)
	}
	if found.Product != m.Product {
		return release{}, refuse("the update is for the product %q, and this is %q", found.Product, m.Product)
	}
	if found.Architecture != m.Architecture {
		return release{}, refuse("the update is for the architecture %q, and this is %q", found.Architecture, m.Architecture)
	}
	return found.choose(o.version)
}

// makePlan decides; the error is errCurrent if the release runs already.
func makePlan(m machine, t *target, one release, o options) (*plan, error) {
	order := compareVersions(one.Version, m.Version)
	switch {
	case order == 0 && one.RootHash == m.rootHash:
		return nil, errCurrent
	case order == 0:
		return nil, refuse("release %s has another root than the %s that runs: a changed release needs a version of its own", one.Version, m.Version)
	case one.RootHash == m.rootHash:
		return nil, refuse("release %s has the root of the %s that runs", one.Version, m.Version)
	case order < 0 && !o.downgrade:
		return nil, refuse("release %s is older than the %s that runs; --allow-downgrade would take it", one.Version, m.Version)
	}
	running, free, err := t.table.chooseSlots(m.Architecture, m.rootHash, one.RootHash)
	if err != nil {
		return nil, err
	}
	p := &plan{machine: m, target: t, release: one, running: running, slot: free, older: order < 0}
	for _, fit := range []struct {
		file file
		part partition
	}{{one.Files.Root, free.root}, {one.Files.Verity, free.hash}} {
		if room := t.table.size(fit.part); fit.file.Size > room {
			return nil, refuse("%s has %d bytes, and partition %d has %d", fit.file.Name, fit.file.Size, fit.part.number, room)
		}
	}
	if err := p.readEntries(); err != nil {
		return nil, err
	}
	own := standingOf(p.entries, m.Version)
	theirs := standingOf(p.entries, one.Version)
	switch {
	case !own.present:
		return nil, refuse("the system partition has no entry of the %s that runs: nothing could be gone back to", m.Version)
	case p.kept(one.Version):
		return nil, refuse("another slot has a release %s with another root", one.Version)
	case p.complete && (!p.older || own.failed):
		p.applied = true
	case theirs.failed && !o.again:
		return nil, refuse("release %s has been tried on this machine and failed; --again would try it once more", one.Version)
	case !own.blessed:
		return nil, wait("the %s that runs has not been found healthy yet, and the other slot is what it goes back to", m.Version)
	}
	return p, nil
}

// readEntries looks at the boot loader's entries and at the room for another.
func (p *plan) readEntries() error {
	e, err := p.target.openESP()
	if err != nil {
		return err
	}
	defer e.Close()
	if p.entries, err = entriesOf(e, p.machine.Product); err != nil {
		return err
	}
	room, err := e.Free()
	if err != nil {
		return err
	}
	for _, one := range p.removable() {
		room += one.size
	}
	if need := p.release.Files.EFI.Size + espSlack; room < need {
		return refuse("the system partition has room for %d bytes, and %s needs %d", room, p.release.Files.EFI.Name, need)
	}
	for _, one := range p.entries {
		if one.version == p.release.Version && p.slot.holds(p.release.RootHash) && !one.failed() {
			p.complete = p.complete || isComplete(e, one, p.release.Files.EFI)
		}
	}
	return nil
}

func isComplete(e esp, one entry, f file) bool {
	medium, err := e.Medium(one.file)
	if err != nil {
		return false
	}
	defer medium.Close()
	return checkContent(medium, f, "") == nil
}

// kept tells whether a release is in a slot that stays as it is.
func (p *plan) kept(version string) bool {
	if version == p.machine.Version {
		return true
	}
	for _, one := range p.target.table.slots(p.machine.Architecture) {
		if one.root.number != p.slot.root.number && one.version() == version {
			return true
		}
	}
	return false
}

// removable returns the entries that go: those of the slot's release last, orphans first.
func (p *plan) removable() []entry {
	var all []entry
	for _, one := range p.entries {
		if !p.kept(one.version) {
			all = append(all, one)
		}
	}
	of := func(one entry) bool { return one.version == p.slot.version() }
	sort.SliceStable(all, func(i, j int) bool { return !of(all[i]) && of(all[j]) })
	return all
}
