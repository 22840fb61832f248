package main

// The hash tree of dm-verity, as cryptsetup writes it: a superblock, and then the levels of the tree
// from the top down.

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"
)

const (
	superblockSize  = 512
	longestSalt     = 256
	digestsPerBlock = blockSize / sha256.Size
)

type superblock struct {
	blocks int64
	salt   []byte
}

func readSuperblock(raw []byte) (superblock, error) {
	little := binary.LittleEndian
	if len(raw) < superblockSize || string(raw[:8]) != "verity\x00\x00" {
		return superblock{}, fmt.Errorf("no superblock of dm-verity")
	}
	algorithm := strings.TrimRight(string(raw[32:64]), "\x00")
	version, kind := little.Uint32(raw[8:]), little.Uint32(raw[12:])
	data, tree := little.Uint32(raw[64:]), little.Uint32(raw[68:])
	blocks, salt := little.Uint64(raw[72:]), int(little.Uint16(raw[80:]))
	if version != 1 || kind != 1 || algorithm != "sha256" || data != blockSize || tree != blockSize {
		return superblock{}, fmt.Errorf("dm-verity of version %d, type %d, %q, blocks of %d and %d bytes", version, kind, algorithm, data, tree)
	}
	if blocks == 0 || blocks > 1<<40 || salt > longestSalt {
		return superblock{}, fmt.Errorf("dm-verity of %d blocks with a salt of %d bytes", blocks, salt)
	}
	return superblock{int64(blocks), append([]byte{}, raw[88:88+salt]...)}, nil
}

// levels returns where each level begins, in blocks, from the lowest up, and the end of all.
func (s superblock) levels() ([]int64, int64) {
	var sizes []int64
	for n := s.blocks; n > 1; {
		n = (n + digestsPerBlock - 1) / digestsPerBlock
		sizes = append(sizes, n)
	}
	at := int64(1)
	starts := make([]int64, len(sizes))
	for level := len(sizes) - 1; level >= 0; level-- {
		starts[level] = at
		at += sizes[level]
	}
	return starts, at
}

// climber computes a tree block by block and compares it with the one that is there.
type climber struct {
	sum    hash.Hash
	salt   []byte
	tree   io.ReaderAt
	next   []int64
	full   [][]byte
	stored []byte
	top    []byte
}

func (c *climber) digest(block []byte) []byte {
	c.sum.Reset()
	c.sum.Write(c.salt)
	c.sum.Write(block)
	return c.sum.Sum(nil)
}

// add takes the digest of a block into a level; the last level's block has the root hash.
func (c *climber) add(level int, digest []byte) error {
	if level == len(c.next) {
		c.top = digest
		return nil
	}
	c.full[level] = append(c.full[level], digest...)
	if len(c.full[level]) < blockSize {
		return nil
	}
	return c.finish(level)
}

func (c *climber) finish(level int) error {
	block := make([]byte, blockSize)
	copy(block, c.full[level])
	c.full[level] = c.full[level][:0]
	at := c.next[level]
	c.next[level]++
	if _, err := c.tree.ReadAt(c.stored, at*blockSize); err != nil {
		return err
	}
	if !bytes.Equal(block, c.stored) {
		return fmt.Errorf("block %d of the hash tree does not fit the data", at)
	}
	return c.add(level+1, c.digest(block))
}

// checkTree reads the data and fails if tree and root hash do not fit it.
func checkTree(data io.Reader, size int64, tree io.ReaderAt, treeSize int64, rootHash string) error {
	raw := make([]byte, blockSize)
	if _, err := tree.ReadAt(raw, 0); err != nil {
		return err
	}
	found, err := readSuperblock(raw)
	if err != nil {
		return err
	}
	starts, end := found.levels()
	if found.blocks*blockSize > size || end*blockSize > treeSize {
		return fmt.Errorf("dm-verity has %d blocks of data and %d of hashes, and the files are smaller", found.blocks, end)
	}
	c := &climber{sum: sha256.New(), salt: found.salt, tree: tree, next: starts,
		full: make([][]byte, len(starts)), stored: make([]byte, blockSize)}
	for n := int64(0); n < found.blocks; n++ {
		if _, err := io.ReadFull(data, raw); err != nil {
			return err
		}
		if err := c.add(0, c.digest(raw)); err != nil {
			return err
		}
	}
	for level := range c.full {
		if len(c.full[level]) > 0 {
			if err := c.finish(level); err != nil {
				return err
			}
		}
	}
	if got := hex.EncodeToString(c.top); got != rootHash {
		return fmt.Errorf("the root hash is %s, not %s", got, rootHash)
	}
	return nil
}
