package main

// Power cuts: an update is ended before each write and each sync in turn. What was not synced is on
// the medium in part, sector by sector. Whatever is there must boot.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	mathrand "math/rand"
	"os"
	"sort"
	"testing"
	"time"
)

// cut is what ends an update in a test.
type cut struct{}

// world is a machine with a disk and a system partition, which both have a cache.
type world struct {
	random *mathrand.Rand
	// Steps until the power is cut; never if it is negative.
	left  int
	steps int

	medium []byte
	cache  map[int64][]byte

	names, keptNames map[string]*node
	room             int64
}

// node is a file of the system partition.
type node struct{ data, kept []byte }

func newWorld(image []byte, names map[string][]byte) *world {
	w := &world{random: mathrand.New(mathrand.NewSource(1)), left: -1, medium: append([]byte{}, image...),
		cache: map[int64][]byte{}, names: map[string]*node{}, room: testESPSize}
	for name, data := range names {
		w.names[name] = &node{data, data}
	}
	w.keepNames()
	return w
}

func (w *world) step() {
	if w.left == 0 {
		panic(cut{})
	}
	w.left--
	w.steps++
}

func (w *world) Size() int64 { return int64(len(w.medium)) }

func (w *world) ReadAt(p []byte, offset int64) (int, error) {
	n, err := bytes.NewReader(w.medium).ReadAt(p, offset)
	for at := 0; at < n && len(w.cache) > 0; {
		place := offset + int64(at)
		skip := int(place % testSector)
		if sector, ok := w.cache[place/testSector]; ok {
			copy(p[at:n], sector[skip:])
		}
		at += testSector - skip
	}
	return n, err
}

func (w *world) WriteAt(p []byte, offset int64) (int, error) {
	if offset+int64(len(p)) > w.Size() {
		return 0, fmt.Errorf("a write of %d bytes at %d", len(p), offset)
	}
	w.step()
	first := offset / testSector
	count := (offset+int64(len(p))+testSector-1)/testSector - first
	whole := make([]byte, count*testSector)
	if _, err := w.ReadAt(whole, first*testSector); err != nil {
		return 0, err
	}
	copy(whole[offset-first*testSector:], p)
	for n := int64(0); n < count; n++ {
		w.cache[first+n] = whole[n*testSector : (n+1)*testSector]
	}
	return len(p), nil
}

func (w *world) Sync() error {
	w.step()
	for sector, data := range w.cache {
		copy(w.medium[sector*testSector:], data)
	}
	w.cache = map[int64][]byte{}
	return nil
}

type mediumOf struct{ *bytes.Reader }

func (mediumOf) Close() error { return nil }

func (w *world) Medium() (mediumReader, error) { return mediumOf{bytes.NewReader(w.medium)}, nil }

func (w *world) keepNames() {
	w.keptNames = map[string]*node{}
	for name, one := range w.names {
		w.keptNames[name] = one
		one.kept = one.data
	}
}

// lose cuts the power: of what is not synced, some is kept.
func (w *world) lose(chance float64) {
	keeps := func() bool { return w.random.Float64() < chance }
	for _, sector := range sortedSectors(w.cache) {
		if keeps() {
			copy(w.medium[sector*testSector:], w.cache[sector])
		}
	}
	w.cache = map[int64][]byte{}
	found := map[string]*node{}
	for _, name := range sortedNames(w.names, w.keptNames) {
		now, before := w.names[name], w.keptNames[name]
		if keeps() {
			before = now
		}
		if before != nil {
			found[name] = before
		}
	}
	w.names = map[string]*node{}
	for _, name := range sortedNames(found, nil) {
		data := found[name].kept
		if keeps() {
			data = found[name].data
		} else if len(found[name].data) > len(data) && keeps() {
			data = found[name].data[:w.random.Intn(len(found[name].data))]
		}
		w.names[name] = &node{data, data}
	}
	w.keepNames()
}

func sortedSectors(all map[int64][]byte) []int64 {
	var found []int64
	for one := range all {
		found = append(found, one)
	}
	sort.Slice(found, func(i, j int) bool { return found[i] < found[j] })
	return found
}

func sortedNames(all ...map[string]*node) []string {
	seen := map[string]bool{}
	var found []string
	for _, names := range all {
		for one := range names {
			if !seen[one] {
				seen[one] = true
				found = append(found, one)
			}
		}
	}
	sort.Strings(found)
	return found
}

// partition as the kernel's file system has it: names and contents are synced apart.
type worldESP struct{ *world }

func (e worldESP) List() (map[string]int64, error) {
	found := map[string]int64{}
	for name, one := range e.names {
		found[name] = int64(len(one.data))
	}
	return found, nil
}

func (e worldESP) Free() (int64, error) {
	room := e.room
	for _, one := range e.names {
		room -= int64(len(one.data))
	}
	return room, nil
}

func (e worldESP) Create(name string) (espFile, error) {
	e.step()
	// Clusters are used again: what was there before is a kernel's first sector.
	one := &node{kept: []byte("MZ")}
	e.names[name] = one
	return worldFile{e, one}, nil
}

func (e worldESP) Open(name string) (espFile, error) { return worldFile{e, e.names[name]}, nil }

func (e worldESP) Medium(name string) (mediumReader, error) {
	one := e.names[name]
	if one == nil {
		return nil, os.ErrNotExist
	}
	return mediumOf{bytes.NewReader(one.kept)}, nil
}

func (e worldESP) Rename(from, to string) error {
	e.step()
	if e.names[from] == nil {
		return os.ErrNotExist
	}
	e.names[to] = e.names[from]
	delete(e.names, from)
	e.step()
	e.keepNames()
	return nil
}

func (e worldESP) Remove(name string) error {
	e.step()
	delete(e.names, name)
	e.step()
	e.keepNames()
	return nil
}

func (e worldESP) Close() error { return nil }

type worldFile struct {
	esp  worldESP
	node *node
}

func (f worldFile) WriteAt(p []byte, offset int64) (int, error) {
	f.esp.step()
	data := append([]byte{}, f.node.data...)
	for int64(len(data)) < offset+int64(len(p)) {
		data = append(data, 0)
	}
	copy(data[offset:], p)
	f.node.data = data
	return len(p), nil
}

func (f worldFile) Sync() error {
	f.esp.step()
	f.node.kept = f.node.data
	return nil
}

func (f worldFile) Close() error { return nil }

// memory is an update set in memory.
type memory map[string][]byte

func (m memory) open(_ context.Context, name string, offset int64) (io.ReadCloser, error) {
	data, ok := m[name]
	if !ok {
		return nil, permanent{os.ErrNotExist}
	}
	return io.NopCloser(bytes.NewReader(data[offset:])), nil
}

func (m memory) close() {}

func (w *world) target(t testing.TB) *target {
	found, err := readTable(w, w.Size(), testSector)
	if err != nil {
		t.Fatal(err)
	}
	return &target{path: "disk", disk: w, table: found, openESP: func() (esp, error) { return worldESP{w}, nil }}
}

func machineOf(c content) machine {
	return machine{Product: testProduct, Version: c.release.Version, Architecture: "amd64",
		rootHash: c.release.RootHash, keys: publicKeys(testKey)}
}

func quiet(string, ...any) {}

// update runs an update; the result is whether the power was cut.
func (w *world) update(t testing.TB, runs content, set memory, o options, state string) (ended bool, err error) {
	defer func() {
		if found := recover(); found != nil {
			if _, ok := found.(cut); !ok {
				panic(found)
			}
			ended = true
		}
	}()
	s := settings{stall: time.Second, attempts: 1, say: quiet, state: state}
	m := machineOf(runs)
	one, err := readRelease(context.Background(), m, set, s, o)
	if err != nil {
		return false, err
	}
	p, err := makePlan(m, w.target(t), one, o)
	if err != nil || p.applied {
		return false, err
	}
	u := &updater{plan: p, from: set, settings: s, status: &status{}}
	return false, u.apply(context.Background())
}

// boot returns the release that comes up: that of the first entry, which must be whole. Linux reads
// the first partition table alone.
func (w *world) boot(t testing.TB, known ...content) string {
	t.Helper()
	all, err := entriesOf(worldESP{w}, testProduct)
	var entries []entry
	for _, one := range all {
		// Other files are no programs to the boot loader.
		if data := w.names[one.file].data; len(data) > headSize && string(data[:2]) == "MZ" {
			entries = append(entries, one)
		}
	}
	if err != nil || len(entries) == 0 {
		t.Fatalf("no entries: %v", err)
	}
	sort.SliceStable(entries, func(i, j int) bool { return !entries[i].failed() && entries[j].failed() })
	first := entries[0]
	found, err := readHeader(w, w.Size(), testSector, 1)
	if err != nil {
		t.Fatalf("the first partition table: %v", err)
	}
	for _, one := range known {
		if one.release.Version != first.version {
			continue
		}
		if !bytes.Equal(w.names[first.file].data, one.kernel()) {
			t.Fatalf("%s is not whole", first.file)
		}
		for _, s := range found.slots("amd64") {
			if !s.holds(one.release.RootHash) {
				continue
			}
			files := one.release.Files
			data := io.NewSectionReader(w, found.start(s.root), files.Root.Size)
			tree := io.NewSectionReader(w, found.start(s.hash), files.Verity.Size)
			if err := checkTree(data, files.Root.Size, tree, files.Verity.Size, one.release.RootHash); err != nil {
				t.Fatal(err)
			}
			return one.release.Version
		}
		t.Fatalf("%s is first, and no slot has its root", first.file)
	}
	t.Fatalf("%s is of no release", first.file)
	return ""
}

// story is an update whose power is cut everywhere.
type story struct {
	name       string
	runs, next content
	before     *content
	names      map[string][]byte
	options    options
	room       int64
	broken     bool
}

func stories() []story {
	one, two, three := makeContent("1", 1), makeContent("2", 2), makeContent("3", 3)
	return []story{
		{name: "free", runs: one, next: two, names: map[string][]byte{"demo_1.efi": one.kernel()}},
		{name: "older in the slot", runs: two, next: three, before: &one,
			names: map[string][]byte{"demo_1.efi": one.kernel(), "demo_2.efi": two.kernel(), "demo_0.9+0-3.efi": one.kernel(), "other_1.efi": []byte("x")}},
		{name: "no room for three", runs: two, next: three, before: &one, room: 240 << 10,
			names: map[string][]byte{"demo_1.efi": one.kernel(), "demo_2.efi": two.kernel()}},
		{name: "downgrade", runs: two, next: one, options: options{downgrade: true},
			names: map[string][]byte{"demo_2.efi": two.kernel()}},
		{name: "failed before", runs: one, next: two, before: &two, options: options{again: true},
			names: map[string][]byte{"demo_1.efi": one.kernel(), "demo_2+0-3.efi": two.kernel()}},
		{name: "broken table", runs: one, next: two, broken: true, names: map[string][]byte{"demo_1.efi": one.kernel()}},
	}
}

func (s story) world(t *testing.T) *world {
	image := install(t, s.runs, s.before)
	if s.broken {
		image[testSector+100]++
		image[2*testSector+60]++
	}
	w := newWorld(image, s.names)
	if s.room > 0 {
		w.room = s.room
	}
	return w
}

func TestPowerCuts(t *testing.T) {
	for _, s := range stories() {
		s := s
		t.Run(s.name, func(t *testing.T) {
			set := memory(makeSet(s.next))
			whole := s.world(t)
			if ended, err := whole.update(t, s.runs, set, s.options, ""); ended || err != nil {
				t.Fatal(err)
			}
			if got := whole.boot(t, s.runs, s.next); got != s.next.release.Version {
				t.Fatalf("after the update %s comes up", got)
			}
			came := map[string]int{}
			for at := 0; at < whole.steps; at++ {
				for round, chance := range []float64{0, 1, 0.5, 0.9} {
					w := s.world(t)
					w.left = at
					w.random = mathrand.New(mathrand.NewSource(int64(100*at + round)))
					ended, err := w.update(t, s.runs, set, s.options, "")
					if !ended {
						t.Fatalf("step %d: %v", at, err)
					}
					w.lose(chance)
					w.left = -1
					if _, err := readHeader(w, w.Size(), testSector, 1); s.broken && err != nil {
						// It was so before; the first thing that is written mends it.
						continue
					}
					version := w.boot(t, s.runs, s.next)
					came[version]++
					if version != s.runs.release.Version {
						continue
					}
					// The old release goes on with it, wherever it was.
					if ended, err := w.update(t, s.runs, set, s.options, ""); ended || err != nil {
						t.Fatalf("step %d, round %d: %v", at, round, err)
					}
					if got := w.boot(t, s.runs, s.next); got != s.next.release.Version {
						t.Fatalf("step %d: afterwards %s comes up", at, got)
					}
				}
			}
			if len(came) != 2 {
				t.Fatalf("power cuts at %d steps: %v", whole.steps, came)
			}
			t.Logf("power cuts at %d steps, what came up: %v", whole.steps, came)
		})
	}
}

// A program that is ended leaves everything it has written; the next one goes on.
func TestKilledAnywhere(t *testing.T) {
	stride = 64 << 10
	defer func() { stride = 64 << 20 }()
	s := stories()[1]
	set := memory(makeSet(s.next))
	whole := s.world(t)
	if _, err := whole.update(t, s.runs, set, s.options, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < whole.steps; at++ {
		w, state := s.world(t), t.TempDir()
		w.left = at
		if ended, err := w.update(t, s.runs, set, s.options, state); !ended {
			t.Fatal(err)
		}
		w.left = -1
		w.boot(t, s.runs, s.next)
		if _, err := w.update(t, s.runs, set, s.options, state); err != nil {
			t.Fatalf("step %d: %v", at, err)
		}
		if got := w.boot(t, s.runs, s.next); got != "3" {
			t.Fatalf("step %d: %s comes up", at, got)
		}
		for _, name := range sortedNames(w.names) {
			if name == "demo_0.9+0-3.efi" || name == "demo_1.efi" {
				t.Fatalf("step %d: %s is left", at, name)
			}
		}
		if w.names["other_1.efi"] == nil || w.names["demo_2.efi"] == nil {
			t.Fatalf("step %d: too much was removed", at)
		}
	}
}

// slow is an update set whose files break off at first.
type slow struct {
	memory
	seen map[string]bool
}

func (s slow) open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	body, err := s.memory.open(ctx, name, offset)
	if err == nil && !s.seen[name] && name != indexName {
		s.seen[name] = true
		return io.NopCloser(io.LimitReader(body, 100)), nil
	}
	return body, err
}

func TestFilesThatBreakOffEarly(t *testing.T) {
	s := stories()[0]
	w := s.world(t)
	from := slow{makeSet(s.next), map[string]bool{}}
	settings := settings{attempts: 2, say: quiet}
	one, err := readRelease(context.Background(), machineOf(s.runs), from, settings, s.options)
	if err != nil {
		t.Fatal(err)
	}
	p, err := makePlan(machineOf(s.runs), w.target(t), one, s.options)
	if err != nil {
		t.Fatal(err)
	}
	u := &updater{plan: p, from: from, settings: settings, status: &status{}}
	if err := u.apply(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := w.boot(t, s.runs, s.next); got != "2" || len(from.seen) != 3 {
		t.Fatalf("%s comes up, after %v", got, from.seen)
	}
}

// What the running slot has is never written to.
func TestTheRunningSlotStays(t *testing.T) {
	for _, s := range stories() {
		w := s.world(t)
		found := w.target(t).table
		running := found.slots("amd64")[0]
		from, to := found.start(running.root), found.start(running.hash)+found.size(running.hash)
		before := append([]byte{}, w.medium[from:to]...)
		if _, err := w.update(t, s.runs, makeSet(s.next), s.options, ""); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(before, w.medium[from:to]) {
			t.Fatal(s.name)
		}
	}
}
