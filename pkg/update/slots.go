package main

// Slots: the n-th partition for a root and the n-th for its hash tree belong together.

import (
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	emptyLabel = "_empty"
	rootLabel  = "root_"
	hashLabel  = "hash_"
)

var espKind = mustGUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")

// kinds are the types of partitions of the Discoverable Partitions Specification: root, verity.
var kinds = map[string][2]guid{
	"amd64":   {mustGUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"), mustGUID("2c7357ed-ebd2-46d9-aec1-23d437ec2bf5")},
	"arm64":   {mustGUID("b921b045-1df0-41c3-af44-4c6f280d3fae"), mustGUID("df3300ce-d69f-4c92-978c-9bfb0f38d820")},
	"riscv64": {mustGUID("72ec70a6-cf74-40e6-bd49-4bda08e8f224"), mustGUID("b6ed5582-440b-4209-b8da-5ff7c419ea3d")},
}

type slot struct{ root, hash partition }

// version returns the release that is in the slot, or nothing if there is none.
func (s slot) version() string {
	version := strings.TrimPrefix(s.root.label, rootLabel)
	if version == s.root.label || s.hash.label != hashLabel+version {
		return ""
	}
	return version
}

// halves returns the identifiers of the partitions that have a root hash.
func halves(rootHash string) (guid, guid) {
	data, err := hex.DecodeString(rootHash)
	if err != nil || len(data) != 32 {
		return guid{}, guid{}
	}
	return guidOf(data[:16]), guidOf(data[16:])
}

// holds tells whether the table says that a root hash is in the slot.
func (s slot) holds(rootHash string) bool {
	root, hash := halves(rootHash)
	return root != (guid{}) && s.root.id == root && s.hash.id == hash
}

func (t *table) slots(architecture string) []slot {
	pair := kinds[architecture]
	var all []slot
	var roots, hashes []partition
	for _, p := range t.partitions() {
		switch p.kind {
		case pair[0]:
			roots = append(roots, p)
		case pair[1]:
			hashes = append(hashes, p)
		}
	}
	for n := 0; n < len(roots) && n < len(hashes); n++ {
		all = append(all, slot{roots[n], hashes[n]})
	}
	return all
}

// chooseSlots returns the slot that the system runs from and the one to write to: the slot that has
// the release already, else a free one, else the one with the oldest release.
func (t *table) chooseSlots(architecture, rootHash, wanted string) (slot, slot, error) {
	var running []slot
	var others []slot
	root, _ := halves(rootHash)
	for _, one := range t.slots(architecture) {
		switch {
		case one.holds(rootHash):
			running = append(running, one)
		case one.root.id == root:
			return slot{}, slot{}, refuse("partitions %d and %d are a slot, and only the first has the root that runs",
				one.root.number, one.hash.number)
		default:
			others = append(others, one)
		}
	}
	if len(running) != 1 {
		return slot{}, slot{}, refuse("%d slots of the disk have the root that runs", len(running))
	}
	if len(others) == 0 {
		return slot{}, slot{}, refuse("the disk has no second slot")
	}
	best := others[0]
	for _, one := range others {
		if one.holds(wanted) {
			return running[0], one, nil
		}
		if best.version() != "" && (one.version() == "" || compareVersions(one.version(), best.version()) < 0) {
			best = one
		}
	}
	return running[0], best, nil
}

// clear marks a slot as free; its identifiers are derived from the disk's.
func (t *table) clear(s slot) {
	for _, p := range []partition{s.root, s.hash} {
		t.set(p.number, emptyLabel, t.emptyID(p))
	}
}

func (t *table) emptyID(p partition) guid {
	return t.disk.derive(fmt.Sprintf("dolmen:empty:%d", p.number))
}

// fill names the release that a slot has.
func (t *table) fill(s slot, one release) {
	root, hash := halves(one.RootHash)
	t.set(s.root.number, rootLabel+one.Version, root)
	t.set(s.hash.number, hashLabel+one.Version, hash)
}

func (s slot) isEmpty() bool { return s.root.label == emptyLabel && s.hash.label == emptyLabel }
