package main

// The partition table. Linux takes the copy at the end of the disk only with `gpt` on its command
// line, so the first table has to be right at every moment: see write.

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"unicode/utf16"
)

const (
	headerSize    = 92
	tableStart    = 2
	largestTable  = 1 << 20
	longestLabel  = 36
	entryLabel    = 56
	smallestEntry = 128
)

// guid is an identifier as tables have it: the first three fields begin with their last byte.
type guid [16]byte

// guidOf returns the identifier whose text has the bytes in reading order.
func guidOf(b []byte) guid {
	return guid{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6],
		b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]}
}

func (g guid) bytes() []byte {
	other := guidOf(g[:])
	return other[:]
}

func (g guid) String() string {
	text := hex.EncodeToString(g.bytes())
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}

func parseGUID(text string) (guid, error) {
	data, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(data) != 16 {
		return guid{}, fmt.Errorf("%q is not a UUID", text)
	}
	return guidOf(data), nil
}

func mustGUID(text string) guid {
	found, err := parseGUID(text)
	if err != nil {
		panic(err)
	}
	return found
}

// derive returns an identifier made of another one and a name (UUID, version 5).
func (g guid) derive(name string) guid {
	sum := sha1.New()
	sum.Write(g.bytes())
	sum.Write([]byte(name))
	data := sum.Sum(nil)[:16]
	data[6] = data[6]&0x0f | 0x50
	data[8] = data[8]&0x3f | 0x80
	return guidOf(data)
}

// partition is an entry that is used; numbers begin with 1, as in names of devices.
type partition struct {
	number      int
	kind, id    guid
	first, last uint64
	label       string
}

// table is a partition table and where it was found.
type table struct {
	sector    int64
	header    []byte
	entries   []byte
	entrySize int
	disk      guid
	// Where the first table has its entries.
	at uint64
	// Where the copy has its header.
	copy uint64
	// The first table was broken; the entries are those of the copy.
	broken bool
	saved  []byte
}

var errNoTable = errors.New("no partition table")

// readTable reads the table of a disk; a file does not say how large its sectors are.
func readTable(r io.ReaderAt, size int64, sector int64) (*table, error) {
	sectors := []int64{sector}
	if sector == 0 {
		sectors = []int64{512, 4096}
	}
	var failure error
	for _, one := range sectors {
		first, err := readHeader(r, size, one, 1)
		if err == nil {
			return first, nil
		}
		last := uint64(size/one) - 1
		other, failed := readHeader(r, size, one, last)
		if failed == nil {
			other.broken = true
			other.copy, other.at = last, tableStart
			other.saved = append([]byte{}, other.entries...)
			return other, nil
		}
		if failure == nil || !errors.Is(err, errNoTable) {
			failure = err
		}
	}
	return nil, failure
}

func readHeader(r io.ReaderAt, size, sector int64, lba uint64) (*table, error) {
	raw := make([]byte, sector)
	if size < 4*sector {
		return nil, errNoTable
	}
	if _, err := r.ReadAt(raw, int64(lba)*sector); err != nil {
		return nil, err
	}
	little := binary.LittleEndian
	length := little.Uint32(raw[12:])
	if string(raw[:8]) != "EFI PART" {
		return nil, errNoTable
	}
	if length < headerSize || int64(length) > sector {
		return nil, fmt.Errorf("the header of the partition table has %d bytes", length)
	}
	sum := little.Uint32(raw[16:])
	checked := append([]byte{}, raw[:length]...)
	little.PutUint32(checked[16:], 0)
	if crc32.ChecksumIEEE(checked) != sum || little.Uint64(raw[24:]) != lba {
		return nil, fmt.Errorf("the checksum of the partition table is wrong")
	}
	count, each := uint64(little.Uint32(raw[80:])), uint64(little.Uint32(raw[84:]))
	total := count * each
	t := &table{sector: sector, header: raw, entrySize: int(each), at: little.Uint64(raw[72:]), copy: little.Uint64(raw[32:])}
	copy(t.disk[:], raw[56:])
	if each < smallestEntry || each%8 != 0 || count == 0 || total > largestTable {
		return nil, fmt.Errorf("a partition table of %d entries with %d bytes", count, each)
	}
	if t.at < tableStart || t.at > uint64(size/sector) || int64(t.at)*sector+int64(total) > size {
		return nil, fmt.Errorf("the partition table is outside of the disk")
	}
	t.entries = make([]byte, total)
	if _, err := r.ReadAt(t.entries, int64(t.at)*sector); err != nil {
		return nil, err
	}
	if crc32.ChecksumIEEE(t.entries) != little.Uint32(raw[88:]) {
		return nil, fmt.Errorf("the checksum of the partition table's entries is wrong")
	}
	for _, p := range t.partitions() {
		if p.first > p.last || p.last >= uint64(size/sector) {
			return nil, fmt.Errorf("partition %d is outside of the disk", p.number)
		}
	}
	return t, nil
}

func (t *table) entry(number int) []byte {
	return t.entries[(number-1)*t.entrySize : number*t.entrySize]
}

func (t *table) partitions() []partition {
	var all []partition
	for number := 1; number <= len(t.entries)/t.entrySize; number++ {
		raw := t.entry(number)
		p := partition{number: number}
		copy(p.kind[:], raw)
		copy(p.id[:], raw[16:])
		if p.kind == (guid{}) {
			continue
		}
		p.first = binary.LittleEndian.Uint64(raw[32:])
		p.last = binary.LittleEndian.Uint64(raw[40:])
		var units []uint16
		for i := 0; i < longestLabel; i++ {
			unit := binary.LittleEndian.Uint16(raw[entryLabel+2*i:])
			if unit == 0 {
				break
			}
			units = append(units, unit)
		}
		p.label = string(utf16.Decode(units))
		all = append(all, p)
	}
	return all
}

// set gives a partition a label and an identifier; the rest of its entry stays.
func (t *table) set(number int, label string, id guid) {
	raw := t.entry(number)
	copy(raw[16:32], id[:])
	units := utf16.Encode([]rune(label))
	for i := 0; i < longestLabel; i++ {
		unit := uint16(0)
		if i < len(units) {
			unit = units[i]
		}
		binary.LittleEndian.PutUint16(raw[entryLabel+2*i:], unit)
	}
}

func (t *table) start(p partition) int64 { return int64(p.first) * t.sector }
func (t *table) size(p partition) int64  { return int64(p.last-p.first+1) * t.sector }
