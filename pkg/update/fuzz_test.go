package main

// Whatever comes from a server, a disk or a system partition, it ends in an answer or in an error.

import (
	"bytes"
	"testing"
)

func FuzzEnvelope(f *testing.F) {
	f.Add(sealed([]byte("payload"), payloadType, testKey))
	keys := publicKeys(testKey)
	f.Fuzz(func(t *testing.T, text []byte) {
		if payload, err := openEnvelope(text, keys); err == nil && string(payload) != "payload" {
			t.Errorf("%q was never signed", payload)
		}
	})
}

func FuzzIndex(f *testing.F) {
	f.Add(indexWith(func(*index) {}))
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := parseIndex(text)
		if err != nil {
			return
		}
		for _, one := range found.Releases {
			if err := one.check(); err != nil {
				t.Error(err)
			}
		}
	})
}

func FuzzTable(f *testing.F) {
	image := makeDisk(usualLayout(makeContent("1", 1), nil))
	f.Add(image[:34*testSector])
	f.Fuzz(func(t *testing.T, head []byte) {
		size := int64(len(image))
		all := append(append([]byte{}, head...), make([]byte, len(image))...)[:len(image)]
		found, err := readTable(bytes.NewReader(all), size, testSector)
		if err != nil {
			return
		}
		for _, p := range found.partitions() {
			if found.start(p) < 0 || found.start(p)+found.size(p) > size {
				t.Errorf("partition %d is outside", p.number)
			}
		}
		w := newWorld(all, nil)
		if found.write(w) != nil {
			return
		}
		again, err := readTable(w, size, testSector)
		if err != nil || !bytes.Equal(again.entries, found.entries) {
			t.Errorf("what was written is not what is read: %v", err)
		}
	})
}

func FuzzNames(f *testing.F) {
	f.Add("demo_1.2+3-1.efi", "1.2")
	f.Fuzz(func(t *testing.T, name, version string) {
		if one, ok := parseEntry("demo", name); ok {
			if checkVersion(one.version) != nil || one.left < 0 {
				t.Errorf("%+v", one)
			}
		}
		a := compareVersions(name, version)
		if b := compareVersions(version, name); a != -b || compareVersions(name, name) != 0 {
			t.Errorf("%q and %q: %d and %d", name, version, a, b)
		}
	})
}

func FuzzSuperblock(f *testing.F) {
	tree, rootHash := hashTree(make([]byte, 3*blockSize), []byte("salt"))
	f.Add(tree)
	f.Fuzz(func(t *testing.T, tree []byte) {
		data := make([]byte, 3*blockSize)
		_ = checkTree(bytes.NewReader(data), int64(len(data)), bytes.NewReader(tree), int64(len(tree)), rootHash)
	})
}

func FuzzKernel(f *testing.F) {
	c := makeContent("1", 1)
	f.Add(unifiedKernel(map[string]string{".cmdline": "roothash=" + c.release.RootHash, ".osrel": ""}, 10))
	f.Fuzz(func(t *testing.T, image []byte) {
		_ = checkKernel(bytes.NewReader(image), testProduct, c.release)
	})
}
