package main

// Which filesystem a device holds, and what it is called: read out of its first bytes.

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
)

// superblock is what a filesystem says of itself.
type superblock struct {
	kind, label, uuid string
}

// As far as the superblock of btrfs reaches, which lies furthest from the beginning.
const superblockReach = 65536 + 4096

var superblocks = []struct {
	kind      string
	magicAt   int
	magic     string
	labelAt   int
	labelSize int
	uuidAt    int
}{
	{"squashfs", 0, "hsqs", 0, 0, 0},
	{"erofs", 1024, "\xe2\xe1\xf5\xe0", 1024 + 64, 16, 1024 + 48},
	{"iso9660", 32769, "CD001", 32768 + 40, 32, 0},
	{"ext4", 1024 + 56, "\x53\xef", 1024 + 120, 16, 1024 + 104},
	{"xfs", 0, "XFSB", 108, 12, 32},
	{"btrfs", 65536 + 64, "_BHRfS_M", 65536 + 299, 256, 65536 + 32},
}

// readSuperblock looks at a device; of one that cannot be read, or holds something else, nothing is known.
func readSuperblock(path string) superblock {
	file, err := os.Open(path)
	if err != nil {
		return superblock{}
	}
	defer file.Close()
	data := make([]byte, superblockReach)
	// A small device ends earlier, and the rest stays zero.
	n := 0
	for n < len(data) {
		read, err := file.Read(data[n:])
		n += read
		if err != nil || read == 0 {
			break
		}
	}
	return parseSuperblock(data)
}

func parseSuperblock(data []byte) superblock {
	for _, s := range superblocks {
		end := s.magicAt + len(s.magic)
		if len(data) < end || string(data[s.magicAt:end]) != s.magic {
			continue
		}
		found := superblock{kind: s.kind}
		if end := s.labelAt + s.labelSize; s.labelSize > 0 && len(data) >= end {
			label, _, _ := bytes.Cut(data[s.labelAt:end], []byte{0})
			found.label = strings.TrimRight(string(label), " ")
		}
		if s.uuidAt > 0 && len(data) >= s.uuidAt+16 {
			found.uuid = uuidText(data[s.uuidAt : s.uuidAt+16])
		}
		return found
	}
	return superblock{}
}

func uuidText(b []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// guidText is that of partition tables, whose first fields have their bytes the other way round.
func guidText(b []byte) string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(b),
		binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:]), b[8:10], b[10:16])
}
