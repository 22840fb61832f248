package main

// What dm-verity needs to check a root filesystem: the root hash and the mode of the command line,
// and the superblock in front of the hash tree.

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	// Data and hashes are in blocks of this size; a block has the hashes of 128 others.
	verityBlock     = 4096
	verityHashes    = verityBlock / 32
	veritySectors   = verityBlock / 512
	veritySuperSize = 512
	verityLargest   = 1 << 48

	// What the kernel does about a block that is not what was signed: it answers with an error,
	// and init marks the entry as bad; or it ends the system itself.
	modeFallback = "fallback"
	modeRestart  = "restart"
	modePanic    = "panic"
)

// verityOptions is what the command line says of the root filesystem.
type verityOptions struct {
	// 64 lower-case digits; empty without verity.
	rootHash string
	mode     string
}

func parseVerityOptions(line string) (verityOptions, error) {
	o := verityOptions{mode: modeFallback}
	for _, word := range strings.Fields(line) {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "roothash":
			value = strings.ToLower(value)
			if digest, err := hex.DecodeString(value); err != nil || len(digest) != 32 {
				return verityOptions{}, fmt.Errorf("roothash=%s is not a SHA-256 in 64 hexadecimal digits", value)
			}
			if o.rootHash != "" && o.rootHash != value {
				return verityOptions{}, fmt.Errorf("the command line has two different roothash=")
			}
			o.rootHash = value
		case "dolmen.verity":
			switch value {
			case modeFallback, modeRestart, modePanic:
				o.mode = value
			default:
				return verityOptions{}, fmt.Errorf("dolmen.verity=%s is none of fallback, restart and panic", value)
			}
		}
	}
	return o, nil
}

// partitionIDs returns the PARTUUIDs of the root and the hash partition: the halves of the root hash.
func (o verityOptions) partitionIDs() (root, hashes string) {
	return dashed(o.rootHash[:32]), dashed(o.rootHash[32:])
}

// dashed writes 32 digits as a UUID.
func dashed(digits string) string {
	return strings.Join([]string{digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]}, "-")
}

// veritySuperblock is what the hash partition begins with. It is not signed: what is wrong in it
// leads to other hashes.
type veritySuperblock struct {
	uuid string
	// How many blocks the data has.
	blocks uint64
	salt   []byte
}

func parseVeritySuperblock(data []byte) (veritySuperblock, error) {
	var none veritySuperblock
	if len(data) < veritySuperSize || string(data[:8]) != "verity\x00\x00" {
		return none, fmt.Errorf("it has no superblock of dm-verity")
	}
	little := binary.LittleEndian
	if version, kind := little.Uint32(data[8:]), little.Uint32(data[12:]); version != 1 || kind != 1 {
		return none, fmt.Errorf("its superblock has version %d and format %d, not 1 and 1", version, kind)
	}
	if algorithm, _, _ := bytes.Cut(data[32:64], []byte{0}); string(algorithm) != "sha256" {
		return none, fmt.Errorf("its hashes are by %q, not by sha256", algorithm)
	}
	if of, by := little.Uint32(data[64:]), little.Uint32(data[68:]); of != verityBlock || by != verityBlock {
		return none, fmt.Errorf("its blocks have %d and %d bytes, not %d", of, by, verityBlock)
	}
	blocks := little.Uint64(data[72:])
	if blocks == 0 || blocks > verityLargest {
		return none, fmt.Errorf("it is for %d blocks of data", blocks)
	}
	size := int(little.Uint16(data[80:]))
	if size > 256 {
		return none, fmt.Errorf("its salt has %d bytes, more than 256", size)
	}
	return veritySuperblock{dashed(hex.EncodeToString(data[16:32])), blocks, data[88 : 88+size : 88+size]}, nil
}

// treeBlocks is how many blocks all levels of the tree have.
func (s veritySuperblock) treeBlocks() (total uint64) {
	for level := s.blocks; level > 1; {
		level = (level + verityHashes - 1) / verityHashes
		total += level
	}
	return total
}

// fits tells whether two partitions are as large as the superblock says; sizes are in bytes.
func (s veritySuperblock) fits(dataSize, hashSize uint64) error {
	if s.blocks > dataSize/verityBlock {
		return fmt.Errorf("its superblock is for %d blocks of data, and the root partition has %d",
			s.blocks, dataSize/verityBlock)
	}
	if need := 1 + s.treeBlocks(); need > hashSize/verityBlock {
		return fmt.Errorf("its tree needs %d blocks, and the hash partition has %d", need, hashSize/verityBlock)
	}
	return nil
}

// target is the table's line; devices are major:minor, and a key is the name of a signature.
func (s veritySuperblock) target(o verityOptions, data, hashes, key string, onError bool) mapperTarget {
	salt := "-"
	if len(s.salt) > 0 {
		salt = hex.EncodeToString(s.salt)
	}
	var extras []string
	if o.mode != modeFallback {
		extras = append(extras, o.mode+"_on_corruption")
		if onError {
			extras = append(extras, o.mode+"_on_error")
		}
	}
	if key != "" {
		extras = append(extras, "root_hash_sig_key_desc", key)
	}
	line := fmt.Sprintf("1 %s %s %d %d %d 1 sha256 %s %s", data, hashes, verityBlock, verityBlock, s.blocks, o.rootHash, salt)
	if len(extras) > 0 {
		line += fmt.Sprintf(" %d %s", len(extras), strings.Join(extras, " "))
	}
	return mapperTarget{"verity", s.blocks * veritySectors, line}
}
