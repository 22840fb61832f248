package main

// Versions, names, indexes, signatures and tables.

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os/exec"
	"strings"
	"testing"
)

// From the oldest to the newest, as systemd-boot sorts them.
var ordered = []string{"~", "", "0", "0.9", "1~rc1", "1", "1-1", "1-2", "1^2", "1.0", "1.1", "1.2", "1.10", "1.10a", "2",
	"12", "2024.1.1", "20240101"}

func TestVersionsAreOrdered(t *testing.T) {
	for i, a := range ordered {
		for j, b := range ordered {
			if got := compareVersions(a, b); got != sign(i, j) {
				t.Errorf("%q and %q: %d", a, b, got)
			}
		}
	}
	if compareVersions("1.01", "1.1") != 0 || compareVersions("1_1", "1+1") != 0 {
		t.Error("zeros and unknown characters count")
	}
}

// The judge is systemd, whose boot loader has the same function.
func TestVersionsAreOrderedAsBySystemd(t *testing.T) {
	judge, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	signs := map[int]string{-1: "lt", 0: "eq", 1: "gt"}
	for _, pair := range [][2]string{{"1", "1.0"}, {"1~rc1", "1"}, {"1-1", "1.1"}, {"1^1", "1.1"}, {"1.a", "1.1"},
		{"1a", "1"}, {"1.a", "1.B"}, {"1.10", "1.9"}, {"2", "10"}, {"1-1", "1^1"}, {"a~b", "a"}, {"1.0", "1.00"}, {"1..1", "1.1"}} {
		got := compareVersions(pair[0], pair[1])
		if err := exec.Command(judge, "compare-versions", pair[0], signs[got], pair[1]).Run(); err != nil {
			t.Errorf("%v is %s: %v", pair, signs[got], err)
		}
	}
}

func TestEntriesAreRead(t *testing.T) {
	for name, want := range map[string]entry{
		"demo_1.efi":       {"demo_1.efi", "1", 0, false, 0},
		"demo_1.2+3.efi":   {"demo_1.2+3.efi", "1.2", 0, true, 3},
		"demo_1+0-3.efi":   {"demo_1+0-3.efi", "1", 0, true, 0},
		"demo_1-2+2-1.efi": {"demo_1-2+2-1.efi", "1-2", 0, true, 2},
	} {
		if got, ok := parseEntry("demo", name); !ok || got != want {
			t.Errorf("%s: %+v %v", name, got, ok)
		}
	}
	for _, name := range []string{"demo_.efi", "demo_1", "other_1.efi", "demo_1+.efi", "demo_1+3-.efi", "demo_1+-3.efi",
		"demo_1+a.efi", "demo1.efi", "demo_1_amd64.efi", "demo_1++3.efi"} {
		if got, ok := parseEntry("demo", name); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestEnvelopes(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := sealed([]byte("payload"), payloadType, testKey)
	if got, err := openEnvelope(text, publicKeys(other, testKey)); err != nil || string(got) != "payload" {
		t.Fatalf("%q %v", got, err)
	}
	changed := bytes.Replace(text, []byte("cGF5"), []byte("cGF6"), 1)
	if bytes.Equal(changed, text) {
		t.Fatal("nothing was changed")
	}
	for name, wrong := range map[string][]byte{
		"none of its 1 signatures is by a key of this system": text,
		"none of its 1 signatures is by a key":                changed,
		"none of its 0 signatures is by a key":                []byte(`{"payloadType":"` + payloadType + `","payload":""}`),
		"the type of its payload is":                          sealed([]byte("payload"), "text/plain", testKey),
		"not an envelope":                                     []byte("{"),
	} {
		keys := publicKeys(testKey)
		if bytes.Equal(wrong, text) {
			keys = publicKeys(other)
		}
		if _, err := openEnvelope(wrong, keys); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeysAreRead(t *testing.T) {
	encode := func(key any) []byte {
		data, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: data})
	}
	other, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	right := encode(&testKey.PublicKey)
	if keys, err := parseKeys(append(append([]byte{}, right...), right...)); err != nil || len(keys) != 2 {
		t.Fatal(keys, err)
	}
	for _, wrong := range [][]byte{nil, []byte("text"), encode(&other.PublicKey), append(right, encode(&other.PublicKey)...)} {
		if _, err := parseKeys(wrong); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}

// indexWith returns an index that is right but for one change.
func indexWith(change func(*index)) []byte {
	one := index{Schema: 1, Product: testProduct, Architecture: "amd64", Releases: []release{makeContent("1", 1).release}}
	change(&one)
	text, _ := json.Marshal(one)
	return text
}

func TestIndexesAreChecked(t *testing.T) {
	if _, err := parseIndex(indexWith(func(*index) {})); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*index){
		"schema is 2":        func(i *index) { i.Schema = 2 },
		"is not a version":   func(i *index) { i.Releases[0].Version = "1_2" },
		"name of a file":     func(i *index) { i.Releases[0].Files.Root.Name = "../x" },
		"has 0 bytes":        func(i *index) { i.Releases[0].Files.EFI.Size = 0 },
		"not a SHA-256":      func(i *index) { i.Releases[0].RootHash = strings.Repeat("A", 64) },
		"blocks of 4096":     func(i *index) { i.Releases[0].Files.Verity.Size++ },
		`"" cannot be the`:   func(i *index) { i.Releases[0].Files.Verity = file{} },
		"not a version: up ": func(i *index) { i.Releases[0].Version = strings.Repeat("1", 32) },
	} {
		if _, err := parseIndex(indexWith(change)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestIdentifiersAreHalvesOfTheHash(t *testing.T) {
	root, hash := halves("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	if root.String() != "00010203-0405-0607-0809-0a0b0c0d0e0f" || hash.String() != "10111213-1415-1617-1819-1a1b1c1d1e1f" {
		t.Error(root, hash)
	}
	if root[0] != 3 || root[4] != 5 || root[8] != 8 {
		t.Error(root[:])
	}
	// RFC 4122 names this one.
	space := mustGUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
	if got := space.derive("www.example.com").String(); got != "2ed6657d-e927-568b-95e1-2665a8aea6a2" {
		t.Error(got)
	}
}

func TestTablesAreReadFromTheCopy(t *testing.T) {
	image := install(t, makeContent("1", 1), nil)
	size := int64(len(image))
	whole, err := readTable(bytes.NewReader(image), size, 0)
	if err != nil || whole.broken || len(whole.partitions()) != 6 {
		t.Fatal(err)
	}
	for _, at := range []int{testSector + 1, testSector + 60, 2*testSector + 5} {
		wrong := append([]byte{}, image...)
		wrong[at]++
		found, err := readTable(bytes.NewReader(wrong), size, testSector)
		if err != nil || !found.broken || !bytes.Equal(found.entries, whole.entries) {
			t.Errorf("%d: %v", at, err)
		}
		wrong[len(wrong)-testSector]++
		if _, err := readTable(bytes.NewReader(wrong), size, testSector); err == nil {
			t.Errorf("%d: a table without a copy", at)
		}
	}
}

func TestSlotsAreChosen(t *testing.T) {
	one, two, three := makeContent("1", 1), makeContent("2", 2), makeContent("3", 3)
	read := func(parts []layout) *table {
		image := makeDisk(parts)
		found, err := readTable(bytes.NewReader(image), int64(len(image)), testSector)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	choose := func(parts []layout, running, wanted content) (slot, error) {
		_, free, err := read(parts).chooseSlots("amd64", running.release.RootHash, wanted.release.RootHash)
		return free, err
	}
	if free, err := choose(usualLayout(one, nil), one, two); err != nil || free.root.number != 4 || free.hash.number != 5 {
		t.Error(free, err)
	}
	if free, err := choose(usualLayout(one, &two), two, three); err != nil || free.root.number != 2 {
		t.Error(free, err)
	}
	swapped := usualLayout(one, &two)
	swapped[2], swapped[4] = swapped[4], swapped[2]
	for want, parts := range map[string][]layout{
		"only the first has the root that runs": swapped,
		"0 slots of the disk have the root":     usualLayout(three, &two),
		"no second slot":                        usualLayout(one, nil)[:3],
	} {
		if free, err := choose(parts, one, two); err == nil || !strings.Contains(err.Error(), want) {
			t.Error(want, free, err)
		}
	}
	if free, err := choose(append(usualLayout(two, &three), layout{kinds["amd64"][0], guid{9}, rootLabel + "1", blockSize},
		layout{kinds["amd64"][1], guid{8}, hashLabel + "1", blockSize}), two, one); err != nil || free.root.number != 7 {
		t.Error("the oldest is overwritten first", free, err)
	}
}

func TestTreesAreChecked(t *testing.T) {
	for _, blocks := range []int{1, 2, 128, 129, 128*128 + 1} {
		data := bytes.Repeat([]byte("0123456789abcdef"), blocks*blockSize/16)
		tree, rootHash := hashTree(data, []byte("salt"))
		check := func(data, tree []byte, rootHash string) error {
			return checkTree(bytes.NewReader(data), int64(len(data)), bytes.NewReader(tree), int64(len(tree)), rootHash)
		}
		if err := check(data, tree, rootHash); err != nil {
			t.Errorf("%d blocks: %v", blocks, err)
		}
		data[len(data)/2]++
		if check(data, tree, rootHash) == nil {
			t.Errorf("%d blocks: other data is taken", blocks)
		}
		data[len(data)/2]--
		if tree[len(tree)-1]++; blocks > 1 && check(data, tree, rootHash) == nil {
			t.Errorf("%d blocks: another tree is taken", blocks)
		}
		if tree[len(tree)-1]--; check(data, tree, strings.Repeat("0", 64)) == nil || check(data[:len(data)-blockSize], tree, rootHash) == nil {
			t.Errorf("%d blocks: another root hash or less data is taken", blocks)
		}
	}
}

func TestKernelsFitTheirRelease(t *testing.T) {
	c := makeContent("1", 1)
	hash := "roothash=" + c.release.RootHash
	about := "IMAGE_ID=demo\nIMAGE_VERSION=1\n"
	for want, sections := range map[string]map[string]string{
		"":                     {".cmdline": hash, ".osrel": about},
		"it has no section":    {".osrel": about, ".cmdline": ""},
		"has IMAGE_VERSION=2":  {".cmdline": hash, ".osrel": "IMAGE_VERSION=2"},
		"has IMAGE_ID=another": {".cmdline": hash, ".osrel": "IMAGE_ID=another"},
		"has roothash=" + strings.Repeat("0", 64): {".cmdline": hash + " roothash=" + strings.Repeat("0", 64), ".osrel": about},
	} {
		image := unifiedKernel(sections, 100)
		if want == "it has no section" {
			image = bytes.Replace(image, []byte(".cmdline"), []byte(".another"), 1)
		}
		err := checkKernel(bytes.NewReader(image), testProduct, c.release)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	if err := checkKernel(strings.NewReader("text"), testProduct, c.release); err == nil {
		t.Error("a text is taken for a kernel")
	}
}
