package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

const someHash = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef"

func TestWhatTheCommandLineSaysOfVerity(t *testing.T) {
	for line, want := range map[string]verityOptions{
		"root=/dev/vda":                         {"", "fallback"},
		"a roothash=" + someHash + " b\n":       {someHash, "fallback"},
		"roothash=" + strings.ToUpper(someHash): {someHash, "fallback"},
		"dolmen.verity=panic roothash=" + someHash + " roothash=" + someHash: {someHash, "panic"},
	} {
		if got, err := parseVerityOptions(line); err != nil || got != want {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
	for _, line := range []string{
		"roothash=", "roothash=" + someHash[1:], "roothash=x" + someHash[1:], "dolmen.verity=maybe",
		"roothash=" + someHash + " roothash=" + strings.Repeat("0", 64),
	} {
		if got, err := parseVerityOptions(line); err == nil {
			t.Errorf("%q: %+v", line, got)
		}
	}
	root, hashes := verityOptions{rootHash: someHash}.partitionIDs()
	if root != "00112233-4455-6677-8899-aabbccddeeff" || hashes != "01234567-89ab-cdef-0123-456789abcdef" {
		t.Error(root, hashes)
	}
}

func someSuperblock(blocks uint64, salt int) []byte {
	data := make([]byte, veritySuperSize)
	copy(data, "verity\x00\x00")
	binary.LittleEndian.PutUint32(data[8:], 1)
	binary.LittleEndian.PutUint32(data[12:], 1)
	copy(data[16:], "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef")
	copy(data[32:], "sha256")
	binary.LittleEndian.PutUint32(data[64:], 4096)
	binary.LittleEndian.PutUint32(data[68:], 4096)
	binary.LittleEndian.PutUint64(data[72:], blocks)
	binary.LittleEndian.PutUint16(data[80:], uint16(salt))
	copy(data[88:], bytes.Repeat([]byte{0xab}, 256))
	return data
}

func TestTheSuperblockOfVerity(t *testing.T) {
	got, err := parseVeritySuperblock(someSuperblock(129, 2))
	want := veritySuperblock{"01234567-89ab-cdef-0123-456789abcdef", 129, []byte{0xab, 0xab}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for message, change := range map[string]func([]byte){
		"no superblock":   func(b []byte) { b[0] = 'V' },
		"version 2":       func(b []byte) { b[8] = 2 },
		"format 0":        func(b []byte) { b[12] = 0 },
		"not by sha256":   func(b []byte) { copy(b[32:], "sha512") },
		"blocks have 512": func(b []byte) { binary.LittleEndian.PutUint32(b[64:], 512) },
		"and 512 bytes":   func(b []byte) { binary.LittleEndian.PutUint32(b[68:], 512) },
		"for 0 blocks":    func(b []byte) { binary.LittleEndian.PutUint64(b[72:], 0) },
		"for 18446744073": func(b []byte) { binary.LittleEndian.PutUint64(b[72:], 1<<64-1) },
		"salt has 257":    func(b []byte) { b[80], b[81] = 1, 1 },
	} {
		data := someSuperblock(129, 2)
		change(data)
		if _, err := parseVeritySuperblock(data); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %v", message, err)
		}
	}
	if _, err := parseVeritySuperblock(someSuperblock(1, 0)[:511]); err == nil {
		t.Error("a part of a superblock is enough")
	}
}

func TestWhetherTheTreeFits(t *testing.T) {
	for blocks, tree := range map[uint64]uint64{1: 0, 2: 1, 128: 1, 129: 3, 128 * 128: 129, 128*128 + 1: 129 + 2 + 1} {
		s := veritySuperblock{blocks: blocks}
		if got := s.treeBlocks(); got != tree {
			t.Errorf("%d blocks: %d", blocks, got)
		}
		if err := s.fits(blocks*4096, (1+tree)*4096); err != nil {
			t.Error(err)
		}
		if s.fits(blocks*4096-1, 1<<40) == nil || s.fits(1<<40, (1+tree)*4096-1) == nil {
			t.Errorf("%d blocks fit into less", blocks)
		}
	}
}

func TestTheLineOfTheTable(t *testing.T) {
	s := veritySuperblock{blocks: 3, salt: []byte{1, 2}}
	usual := "1 254:2 254:3 4096 4096 3 1 sha256 " + someHash + " "
	for _, c := range []struct {
		mode, key string
		onError   bool
		want      string
	}{
		{modeFallback, "", true, "0102"},
		{modeFallback, "k", true, "0102 2 root_hash_sig_key_desc k"},
		{modeRestart, "", true, "0102 2 restart_on_corruption restart_on_error"},
		{modePanic, "k", false, "0102 3 panic_on_corruption root_hash_sig_key_desc k"},
	} {
		got := s.target(verityOptions{someHash, c.mode}, "254:2", "254:3", c.key, c.onError)
		if want := (mapperTarget{"verity", 24, usual + c.want}); got != want {
			t.Errorf("%+v", got)
		}
	}
	if got := (veritySuperblock{blocks: 3}).target(verityOptions{someHash, modeFallback}, "a", "b", "", true); !strings.HasSuffix(got.parameters, " -") {
		t.Errorf("without salt: %+v", got)
	}
}

func TestRequestsForTheDeviceMapper(t *testing.T) {
	data := mapperRequest("name", "id", mapperReadOnly, &mapperTarget{"verity", 24, "1 a b"})
	if len(data) != mapperRoom || order.Uint32(data) != 4 || order.Uint32(data[12:]) != mapperRoom ||
		order.Uint32(data[16:]) != 312 || order.Uint32(data[20:]) != 1 || order.Uint32(data[28:]) != 1 {
		t.Errorf("%v", data[:48])
	}
	if !bytes.HasPrefix(data[48:], []byte("name\x00")) || !bytes.HasPrefix(data[176:], []byte("id\x00")) {
		t.Error("names are elsewhere")
	}
	spec := data[312:]
	if order.Uint64(spec) != 0 || order.Uint64(spec[8:]) != 24 || order.Uint32(spec[20:]) != 48 ||
		!bytes.HasPrefix(spec[24:], []byte("verity\x00")) || !bytes.HasPrefix(spec[40:], []byte("1 a b\x00")) {
		t.Errorf("%v", spec[:64])
	}
	if text, err := mapperStatus(data); err != nil || text != "1 a b" {
		t.Errorf("%q, %v", text, err)
	}
	for _, change := range []func([]byte) []byte{
		func(b []byte) []byte { return b[:311] },
		func(b []byte) []byte { order.PutUint32(b[20:], 0); return b },
		func(b []byte) []byte { order.PutUint32(b[16:], 1<<32-1); return b },
		func(b []byte) []byte { return bytes.TrimRight(b, "\x00") },
	} {
		if text, err := mapperStatus(change(append([]byte(nil), data...))); err == nil {
			t.Errorf("%q", text)
		}
	}
	table := " 60 vga_arbiter\n236 device-mapper\n144 nvram\n"
	if minor, found := miscMinor(table, "device-mapper"); !found || minor != 236 {
		t.Error(minor, found)
	}
	for _, wrong := range []string{"", "236 other\n", "x device-mapper", "256 device-mapper", "-1 device-mapper"} {
		if minor, found := miscMinor(wrong, "device-mapper"); found {
			t.Errorf("%q: %d", wrong, minor)
		}
	}
}

func TestWhichPairOfPartitionsIsFirst(t *testing.T) {
	disk := func(name string) string { return name[:1] }
	got := pairSources([]string{"a2", "b2"}, []string{"a3", "b3"}, disk, "b")
	want := []veritySources{{"b2", "b3"}, {"a2", "a3"}, {"a2", "b3"}, {"b2", "a3"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

func TestAProgramIsReadThroughLinks(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/usr/lib/program", "content")
	for link, target := range map[string]string{
		"/init": "/sbin/init", "/sbin": "usr/lib", "/usr/lib/init": "program", "/broken": "nowhere", "/circle": "circle",
	} {
		if err := os.Symlink(target, root+link); err != nil {
			t.Fatal(err)
		}
	}
	for program, fine := range map[string]bool{
		"/init": true, "/usr/lib/program": true, "/broken": true, "/missing": true, "/circle": false, "/usr": false,
	} {
		if err := readWhole(root, program); (err == nil) != fine {
			t.Errorf("%s: %v", program, err)
		}
	}
}

func TestWhereAFileIsInMemory(t *testing.T) {
	maps := "00400000-005a4000 r-xp 00000000 00:17 12                 /init\n" +
		"005a4000-00782000 r--p 001a4000 00:17 12                 /init\n" +
		"c000000000-c000400000 rw-p 00000000 00:00 0 \n" +
		"7f0000-7f1000 r-xp 00000000 00:17 13 /initial\nbad\n"
	got := mappingsOf(maps, "/init")
	want := [][2]uintptr{{0x400000, 0x5a4000}, {0x5a4000, 0x782000}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%x", got)
	}
	own, err := os.ReadFile("/proc/self/maps")
	program, err2 := os.Readlink("/proc/self/exe")
	if err != nil || err2 != nil || len(mappingsOf(string(own), program)) == 0 {
		t.Error("this program is nowhere")
	}
}

func TestMessagesAboutWrongBlocks(t *testing.T) {
	event := parseUevent([]byte("change@/devices/virtual/block/dm-0\x00ACTION=change\x00DEVNAME=dm-0\x00DM_VERITY_ERR_BLOCK_NR=1,17\x00"))
	if got := corruption(event, "dm-0"); got != "block of hashes 17 of the root filesystem is not what was signed" {
		t.Error(got)
	}
	if got := corruption(event, "dm-1"); got != "" {
		t.Errorf("of another device: %s", got)
	}
	delete(event, verityError)
	if got := corruption(event, "dm-0"); got != "" {
		t.Errorf("of something else: %s", got)
	}
	if kernelEvent([]byte("a=b"), &syscall.SockaddrNetlink{Pid: 7}) != nil {
		t.Error("others than the kernel are believed")
	}
}

func TestTheTableOfAnotherDiskDoesNotHarm(t *testing.T) {
	disk := make([]byte, 4096)
	copy(disk[512:], "EFI PART")
	for _, start := range []uint64{0, 1 << 62, 1<<64 - 1} {
		binary.LittleEndian.PutUint64(disk[512+72:], start)
		binary.LittleEndian.PutUint32(disk[512+80:], 1<<32-1)
		binary.LittleEndian.PutUint32(disk[512+84:], 4096)
		setTableChecksum(disk[512:1024])
		if id, _ := tableNames(bytes.NewReader(disk), 1<<30, 512, int64(len(disk))); id != "" {
			t.Errorf("%d: %s", start, id)
		}
	}
}

func FuzzVeritySuperblock(f *testing.F) {
	f.Add(someSuperblock(129, 32), uint64(1<<20), uint64(1<<20))
	f.Fuzz(func(t *testing.T, data []byte, dataSize, hashSize uint64) {
		s, err := parseVeritySuperblock(data)
		if err != nil || s.fits(dataSize, hashSize) != nil {
			return
		}
		if s.blocks*4096 > dataSize || (1+s.treeBlocks())*4096 > hashSize || len(s.salt) > 256 {
			t.Errorf("%+v fits into %d and %d", s, dataSize, hashSize)
		}
		line := s.target(verityOptions{someHash, modePanic}, "1:2", "3:4", "key", true).parameters
		if words := strings.Fields(line); len(words) != 15 {
			t.Errorf("%q", line)
		}
	})
}

func FuzzMapperStatus(f *testing.F) {
	f.Add(mapperRequest("name", "", 0, &mapperTarget{"verity", 8, "V"})[:400])
	f.Fuzz(func(t *testing.T, answer []byte) {
		if text, err := mapperStatus(answer); err == nil && strings.ContainsRune(text, 0) {
			t.Errorf("%q", text)
		}
	})
}

func FuzzTableNames(f *testing.F) {
	disk := make([]byte, 2048)
	copy(disk[512:], "EFI PART")
	disk[512+72], disk[512+80], disk[512+84] = 2, 4, 128
	setTableChecksum(disk[512:1024])
	f.Add(disk, 1, int64(512))
	f.Fuzz(func(t *testing.T, disk []byte, number int, block int64) {
		id, _ := tableNames(bytes.NewReader(disk), number, block, int64(len(disk)))
		if id != "" && len(id) < 11 {
			t.Errorf("%q", id)
		}
		if len(disk) >= 512 {
			if id, _ := tableEntry(bytes.NewReader(disk), disk[:512], number, block); id != "" && len(id) != 36 {
				t.Errorf("%q", id)
			}
		}
	})
}

func TestRenamesAreSynced(t *testing.T) {
	directory := t.TempDir()
	write(t, filepath.Join(directory, "a"), "1")
	write(t, filepath.Join(directory, "b"), "2")
	if err := renameSynced(directory, "a", "b"); err == nil {
		t.Error("a file is written over")
	}
	if err := renameSynced(directory, "a", "c"); err != nil {
		t.Error(err)
	}
	if files, _ := listFiles(directory); !reflect.DeepEqual(files, []string{"b", "c"}) {
		t.Error(files)
	}
}
