package main

// Update sets and disks for tests, made here from the formats' descriptions.

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"debug/pe"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	mathrand "math/rand"
	"testing"
)

const (
	testProduct  = "demo"
	testSector   = 512
	testRootSize = 130 * blockSize
	testESPSize  = 2 << 20
)

// content is a release with its files.
type content struct {
	release release
	files   map[string][]byte
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// hashTree makes a hash partition: all levels are computed at once, top first.
func hashTree(data, salt []byte) ([]byte, string) {
	digest := func(block []byte) []byte {
		sum := sha256.Sum256(append(append([]byte{}, salt...), block...))
		return sum[:]
	}
	var levels [][]byte
	for level := data; len(level) > blockSize; {
		var next []byte
		for at := 0; at < len(level); at += blockSize {
			next = append(next, digest(level[at:at+blockSize])...)
		}
		for len(next)%blockSize != 0 {
			next = append(next, 0)
		}
		levels = append(levels, next)
		level = next
	}
	top := data
	if len(levels) > 0 {
		top = levels[len(levels)-1]
	}
	head := make([]byte, blockSize)
	copy(head, "verity\x00\x00")
	little := binary.LittleEndian
	little.PutUint32(head[8:], 1)
	little.PutUint32(head[12:], 1)
	copy(head[32:], "sha256")
	little.PutUint32(head[64:], blockSize)
	little.PutUint32(head[68:], blockSize)
	little.PutUint64(head[72:], uint64(len(data)/blockSize))
	little.PutUint16(head[80:], uint16(len(salt)))
	copy(head[88:], salt)
	all := head
	for level := len(levels) - 1; level >= 0; level-- {
		all = append(all, levels[level]...)
	}
	return all, hex.EncodeToString(digest(top))
}

// unifiedKernel makes a program for UEFI that has sections and nothing to run.
func unifiedKernel(sections map[string]string, size int) []byte {
	names := []string{".osrel", ".cmdline", ".linux"}
	sections[".linux"] = string(bytes.Repeat([]byte{0x90}, size))
	var out bytes.Buffer
	head := make([]byte, 64)
	copy(head, "MZ")
	head[0x3c] = 64
	out.Write(head)
	out.WriteString("PE\x00\x00")
	write := func(value any) { _ = binary.Write(&out, binary.LittleEndian, value) }
	write(pe.FileHeader{Machine: pe.IMAGE_FILE_MACHINE_AMD64, NumberOfSections: uint16(len(names)), SizeOfOptionalHeader: 240})
	write(pe.OptionalHeader64{Magic: 0x20b, NumberOfRvaAndSizes: 16})
	at := uint32(1024)
	for n, name := range names {
		header := pe.SectionHeader32{VirtualSize: uint32(len(sections[name])), VirtualAddress: uint32(n+1) << 20,
			SizeOfRawData: uint32(len(sections[name])+511) &^ 511, PointerToRawData: at}
		copy(header.Name[:], name)
		write(header)
		at += header.SizeOfRawData
	}
	for _, name := range names {
		out.Write(make([]byte, (512-out.Len()%512)%512))
		for out.Len() < 1024 {
			out.WriteByte(0)
		}
		out.WriteString(sections[name])
	}
	out.Write(make([]byte, (512-out.Len()%512)%512))
	return out.Bytes()
}

func makeContent(version string, seed int64) content {
	random := mathrand.New(mathrand.NewSource(seed))
	data := make([]byte, testRootSize)
	random.Read(data)
	salt := make([]byte, 32)
	random.Read(salt)
	tree, rootHash := hashTree(data, salt)
	kernel := unifiedKernel(map[string]string{
		".cmdline": "console=ttyS0 roothash=" + rootHash,
		".osrel":   fmt.Sprintf("ID=demo\nIMAGE_ID=\"%s\"\nIMAGE_VERSION=%s\n", testProduct, version),
	}, 40<<10)
	return describe(version, rootHash, data, tree, kernel)
}

func describe(version, rootHash string, data, tree, kernel []byte) content {
	c := content{files: map[string][]byte{}}
	c.release.Version, c.release.RootHash = version, rootHash
	add := func(ending string, data []byte) file {
		name := fmt.Sprintf("%s_%s_amd64.%s", testProduct, version, ending)
		c.files[name] = data
		return file{name, int64(len(data)), sumOf(data)}
	}
	c.release.Files.Root = add("root", data)
	c.release.Files.Verity = add("verity", tree)
	c.release.Files.EFI = add("efi", kernel)
	return c
}

var testKey = func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}()

// sealed signs a payload.
func sealed(payload []byte, kind string, key *ecdsa.PrivateKey) []byte {
	all := fmt.Sprintf("DSSEv1 %d %s %d %s", len(kind), kind, len(payload), payload)
	digest := sha256.Sum256([]byte(all))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		panic(err)
	}
	encode := base64.StdEncoding.EncodeToString
	text, _ := json.Marshal(map[string]any{"payloadType": kind, "payload": encode(payload),
		"signatures": []map[string]string{{"keyid": "", "sig": encode(signature)}}})
	return text
}

// makeSet returns the files of an update set.
func makeSet(releases ...content) map[string][]byte {
	all := index{Schema: 1, Product: testProduct, Architecture: "amd64"}
	files := map[string][]byte{}
	for _, one := range releases {
		all.Releases = append(all.Releases, one.release)
		for name, data := range one.files {
			files[name] = data
		}
	}
	payload, _ := json.Marshal(all)
	files[indexName] = sealed(payload, payloadType, testKey)
	return files
}

// layout describes partitions of a test: a system partition, and two slots.
type layout struct {
	kind, id guid
	label    string
	size     int64
}

// makeDisk writes a table of partitions, each on a boundary of 64 KiB, and returns the disk.
func makeDisk(parts []layout) []byte {
	const gap = 128
	at := int64(gap)
	entries := make([]byte, 128*128)
	little := binary.LittleEndian
	for n, p := range parts {
		sectors := (p.size/testSector + gap - 1) / gap * gap
		raw := entries[n*128:]
		copy(raw, p.kind[:])
		copy(raw[16:], p.id[:])
		little.PutUint64(raw[32:], uint64(at))
		little.PutUint64(raw[40:], uint64(at+sectors-1))
		for i, c := range p.label {
			little.PutUint16(raw[56+2*i:], uint16(c))
		}
		at += sectors
	}
	total := at + gap
	image := make([]byte, total*testSector)
	header := func(lba, other, place int64) []byte {
		raw := make([]byte, testSector)
		copy(raw, "EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00")
		little.PutUint64(raw[24:], uint64(lba))
		little.PutUint64(raw[32:], uint64(other))
		little.PutUint64(raw[40:], 34)
		little.PutUint64(raw[48:], uint64(total-34))
		copy(raw[56:], bytes.Repeat([]byte{0xd5}, 16))
		little.PutUint64(raw[72:], uint64(place))
		little.PutUint32(raw[80:], 128)
		little.PutUint32(raw[84:], 128)
		little.PutUint32(raw[88:], crc32.ChecksumIEEE(entries))
		little.PutUint32(raw[16:], crc32.ChecksumIEEE(raw[:92]))
		return raw
	}
	copy(image[testSector:], header(1, total-1, 2))
	copy(image[2*testSector:], entries)
	copy(image[(total-33)*testSector:], entries)
	copy(image[(total-1)*testSector:], header(total-1, 1, total-33))
	return image
}

// usualLayout has a release in the first slot; the second one is free or has another.
func usualLayout(first content, second *content) []layout {
	pair := kinds["amd64"]
	root, hash := halves(first.release.RootHash)
	v := first.release.Version
	all := []layout{
		{espKind, guid{1}, "ESP", 64 << 10},
		{pair[0], root, rootLabel + v, testRootSize},
		{pair[1], hash, hashLabel + v, 16 * blockSize},
		{pair[0], guid{2}, emptyLabel, testRootSize},
		{pair[1], guid{3}, emptyLabel, 16 * blockSize},
		{mustGUID("0fc63daf-8483-4772-8e79-3d69d8477de4"), guid{4}, "data", 64 << 10},
	}
	if second != nil {
		v = second.release.Version
		all[3].id, all[4].id = halves(second.release.RootHash)
		all[3].label, all[4].label = rootLabel+v, hashLabel+v
	}
	return all
}

// install makes a disk with one or two releases.
func install(t *testing.T, first content, second *content) []byte {
	t.Helper()
	image := makeDisk(usualLayout(first, second))
	found, err := readTable(bytes.NewReader(image), int64(len(image)), testSector)
	if err != nil {
		t.Fatal(err)
	}
	slots := found.slots("amd64")
	fill := func(s slot, c content) {
		copy(image[found.start(s.root):], c.files[c.release.Files.Root.Name])
		copy(image[found.start(s.hash):], c.files[c.release.Files.Verity.Name])
	}
	fill(slots[0], first)
	if second != nil {
		fill(slots[1], *second)
	}
	return image
}

func (c content) kernel() []byte { return c.files[c.release.Files.EFI.Name] }
