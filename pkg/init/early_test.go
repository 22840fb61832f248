package main

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

func TestWhereTheRootFilesystemIs(t *testing.T) {
	usual := []string{"/init", "/sbin/init"}
	for line, want := range map[string]rootOptions{
		"console=ttyS0": {programs: usual, patience: rootPatience},
		"root=/dev/vda ro rootfstype=erofs,squashfs rootflags=a,b": {device: "/dev/vda",
			kinds: []string{"erofs", "squashfs"}, data: "a,b", programs: usual, patience: rootPatience},
		// That is of the initrd, whatever the root filesystem is.
		"rootfstype=ramfs root=/dev/vda":         {device: "/dev/vda", programs: usual, patience: rootPatience},
		"rw root=LABEL=x=y rootdelay=2 rootwait": {device: "LABEL=x=y", writable: true, delay: 2 * time.Second, programs: usual},
		"rw ro rootwait=5 init=/sbin/other":      {patience: 5 * time.Second, programs: []string{"/sbin/other"}},
	} {
		if got := parseRootOptions(line); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v", line, got)
		}
	}
}

func TestSignedPoliciesAreCarriedOver(t *testing.T) {
	source, target := t.TempDir(), t.TempDir()+"/run/systemd"
	carryStubFiles(source, target)
	if exists(target) {
		t.Error("nothing was there, and a directory is made")
	}
	write(t, source+"/tpm2-pcr-signature.json", "{}")
	write(t, source+"/tpm2-pcr-public-key.pem", "a key")
	write(t, source+"/os-release", "ID=linux")
	carryStubFiles(source, target)
	// Once more, as after a restart of init.
	carryStubFiles(source, target)
	for name, want := range map[string]string{"tpm2-pcr-signature.json": "{}", "tpm2-pcr-public-key.pem": "a key", "os-release": ""} {
		if content, _ := os.ReadFile(target + "/" + name); string(content) != want {
			t.Errorf("%s: %q", name, content)
		}
	}
}

func TestSuperblocks(t *testing.T) {
	image := func(parts map[int]string) []byte {
		data := make([]byte, superblockReach)
		for at, text := range parts {
			copy(data[at:], text)
		}
		return data
	}
	id := "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef"
	text := "01234567-89ab-cdef-0123-456789abcdef"
	for want, data := range map[superblock][]byte{
		{}:                            image(nil),
		{kind: "squashfs"}:            image(map[int]string{0: "hsqs"}),
		{"erofs", "root", text}:       image(map[int]string{1024: "\xe2\xe1\xf5\xe0", 1072: id, 1088: "root"}),
		{"ext4", "a b", text}:         image(map[int]string{1080: "\x53\xef", 1128: id, 1144: "a b"}),
		{"xfs", "twelve-chars", text}: image(map[int]string{0: "XFSB", 32: id, 108: "twelve-chars"}),
		{kind: "iso9660", label: "CD"}: image(map[int]string{32769: "CD001",
			32808: "CD" + strings.Repeat(" ", 30) + "x"}),
		{"btrfs", "disk", text}: image(map[int]string{65600: "_BHRfS_M", 65568: id, 65835: "disk"}),
	} {
		if got := parseSuperblock(data); got != want {
			t.Errorf("%+v, not %+v", got, want)
		}
	}
	if got := parseSuperblock([]byte("hsqs")); got.kind != "squashfs" {
		t.Errorf("of a small device: %+v", got)
	}
	path := t.TempDir() + "/disk"
	write(t, path, "XFSB")
	if got := readSuperblock(path); got.kind != "xfs" {
		t.Errorf("from a file: %+v", got)
	}
}

func TestNamesInTablesOfPartitions(t *testing.T) {
	disk := make([]byte, 1<<15)
	copy(disk[440:], "\x78\x56\x34\x12")
	copy(disk[510:], "\x55\xaa")
	table := func() (string, string) {
		path := t.TempDir() + "/disk"
		write(t, path, string(disk))
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		return tableNames(file, 2, 512, int64(len(disk)))
	}
	if id, label := table(); id != "12345678-02" || label != "" {
		t.Errorf("of an MBR: %q %q", id, label)
	}
	copy(disk[512:], "EFI PART")
	binary.LittleEndian.PutUint64(disk[512+72:], 2)
	binary.LittleEndian.PutUint32(disk[512+80:], 128)
	binary.LittleEndian.PutUint32(disk[512+84:], 128)
	setTableChecksum(disk[512:1024])
	second := disk[1024+128:]
	copy(second[16:], "\x67\x45\x23\x01\xab\x89\xef\xcd\x01\x23\x45\x67\x89\xab\xcd\xef")
	for i, unit := range utf16.Encode([]rune("die Wurzel")) {
		binary.LittleEndian.PutUint16(second[56+2*i:], unit)
	}
	if id, label := table(); id != "01234567-89ab-cdef-0123-456789abcdef" || label != "die Wurzel" {
		t.Errorf("of a GPT: %q %q", id, label)
	}
	copy(disk[len(disk)-512:], disk[512:1024])
	disk[512+80] = 1
	if id, label := table(); id != "01234567-89ab-cdef-0123-456789abcdef" || label != "die Wurzel" {
		t.Errorf("of the copy of a GPT that is damaged: %q %q", id, label)
	}
	setTableChecksum(disk[512:1024])
	if id, label := table(); id != "" || label != "" {
		t.Errorf("of a partition that is not there: %q %q", id, label)
	}
}

// setTableChecksum makes the header of a GPT one that is taken.
func setTableChecksum(header []byte) {
	binary.LittleEndian.PutUint32(header[12:], 92)
	binary.LittleEndian.PutUint32(header[16:], 0)
	binary.LittleEndian.PutUint32(header[16:], crc32.ChecksumIEEE(header[:92]))
}
