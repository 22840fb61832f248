package main

// Writing the partition table so that a power cut at any point leaves a right one at the start of
// the disk. A header of one sector is written whole or not at all, but the entries that it has the
// checksum of are elsewhere. So new entries are written beside the old ones first, the header then
// names their place, and afterwards the same is done back to the usual place.

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// disk is what is written to: a device or an image of one.
type disk interface {
	ReadAt(p []byte, offset int64) (int, error)
	WriteAt(p []byte, offset int64) (int, error)
	// Sync returns when everything written is on the medium.
	Sync() error
	Size() int64
}

// sectors returns how many sectors the entries take.
func (t *table) sectors() uint64 {
	return (uint64(len(t.entries)) + uint64(t.sector) - 1) / uint64(t.sector)
}

// headerFor returns the header at one place, for entries at another.
func (t *table) headerFor(lba, other, at uint64, entries []byte) []byte {
	little := binary.LittleEndian
	raw := append([]byte{}, t.header...)
	little.PutUint64(raw[24:], lba)
	little.PutUint64(raw[32:], other)
	little.PutUint64(raw[72:], at)
	little.PutUint32(raw[88:], crc32.ChecksumIEEE(entries))
	little.PutUint32(raw[16:], 0)
	little.PutUint32(raw[16:], crc32.ChecksumIEEE(raw[:little.Uint32(raw[12:])]))
	return raw
}

// place writes entries and then the header that names them, each before what follows.
func (t *table) place(d disk, lba, other, at uint64, entries []byte) error {
	padded := make([]byte, int64(t.sectors())*t.sector)
	copy(padded, entries)
	if _, err := d.WriteAt(padded, int64(at)*t.sector); err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return err
	}
	if _, err := d.WriteAt(t.headerFor(lba, other, at, entries), int64(lba)*t.sector); err != nil {
		return err
	}
	return d.Sync()
}

// write writes the copy at the end and then the first table.
func (t *table) write(d disk) error {
	spare := tableStart + t.sectors()
	for _, p := range t.partitions() {
		if p.first < spare+t.sectors() {
			return fmt.Errorf("partition %d leaves no room to replace the partition table", p.number)
		}
	}
	if t.copy <= t.sectors() || int64(t.copy+1)*t.sector > d.Size() {
		return fmt.Errorf("the copy of the partition table is not on the disk")
	}
	for _, p := range t.partitions() {
		if p.last >= t.copy-t.sectors() {
			return fmt.Errorf("partition %d overlaps the copy of the partition table", p.number)
		}
	}
	if t.broken {
		// The copy is the only table, and is not written before there is another.
		if err := t.place(d, 1, t.copy, tableStart, t.saved); err != nil {
			return err
		}
		t.broken, t.at = false, tableStart
	}
	if err := t.place(d, t.copy, 1, t.copy-t.sectors(), t.entries); err != nil {
		return err
	}
	if t.at != spare {
		if err := t.place(d, 1, t.copy, spare, t.entries); err != nil {
			return err
		}
		t.at = spare
	}
	if err := t.place(d, 1, t.copy, tableStart, t.entries); err != nil {
		return err
	}
	t.at = tableStart
	return nil
}
