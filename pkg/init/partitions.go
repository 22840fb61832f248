package main

// Block devices, and how root= may name them: by path, by what the filesystem is called, or by what
// the table of partitions calls them.

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"unicode/utf16"
)

// findRoot returns the device that a value of root= stands for, if it is there.
func findRoot(wanted string) (string, superblock) {
	kind, name, named := strings.Cut(wanted, "=")
	if !named {
		if !strings.HasPrefix(wanted, "/dev/") {
			wanted = "/dev/" + wanted
		}
		// The device is there before a disk in it is.
		if deviceSize(filepath.Base(wanted)) == 0 {
			return "", superblock{}
		}
		return wanted, readSuperblock(wanted)
	}
	for _, device := range listBlockDevices() {
		path := "/dev/" + device
		switch kind {
		case "LABEL", "UUID":
			found := readSuperblock(path)
			if (kind == "LABEL" && found.label == name) || (found.uuid != "" && strings.EqualFold(found.uuid, name)) {
				return path, found
			}
		case "PARTUUID", "PARTLABEL":
			id, label := partitionNames(device)
			if (kind == "PARTLABEL" && label == name) || (id != "" && strings.EqualFold(id, name)) {
				return path, readSuperblock(path)
			}
		}
	}
	return "", superblock{}
}

// listBlockDevices returns the names of all devices that hold something.
func listBlockDevices() []string {
	entries, _ := os.ReadDir("/sys/class/block")
	var names []string
	for _, entry := range entries {
		if deviceSize(entry.Name()) > 0 {
			names = append(names, entry.Name())
		}
	}
	sort.Strings(names)
	return names
}

// blockDevices describes them in a sentence.
func blockDevices() string {
	var texts []string
	for _, name := range listBlockDevices() {
		// A drive without a disc cannot be opened.
		if file, err := os.Open("/dev/" + name); err == nil {
			file.Close()
		} else {
			continue
		}
		found := readSuperblock("/dev/" + name)
		texts = append(texts, strings.TrimSpace(fmt.Sprintf("/dev/%s %s", name, found.kind)))
	}
	if len(texts) == 0 {
		return "no disk at all: perhaps the kernel lacks the module of its controller"
	}
	return strings.Join(texts, ", ")
}

// partitionsOf returns the partitions with an id, by name.
func partitionsOf(id string) []string {
	var found []string
	for _, device := range listBlockDevices() {
		if own := partitionID(device); own != "" && strings.EqualFold(own, id) {
			found = append(found, device)
		}
	}
	return found
}

// partitionID returns the id of a partition, which newer kernels know themselves.
func partitionID(device string) string {
	content, _ := os.ReadFile("/sys/class/block/" + device + "/uevent")
	for _, line := range strings.Split(string(content), "\n") {
		if id, found := cutPrefix(line, "PARTUUID="); found {
			return id
		}
	}
	id, _ := partitionNames(device)
	return id
}

// diskOf returns the disk that a partition is on; of a disk, that is itself.
func diskOf(device string) string {
	directory := "/sys/class/block/" + device
	if real, err := filepath.EvalSymlinks(directory); err == nil && exists(directory+"/partition") {
		return filepath.Base(filepath.Dir(real))
	}
	return device
}

func deviceSize(name string) int {
	size, _ := strconv.Atoi(firstLine("/sys/class/block/" + name + "/size"))
	return size
}

// partitionNames returns the id and the name of a partition, as its disk's table has them.
func partitionNames(device string) (id, label string) {
	directory := "/sys/class/block/" + device
	number, err := strconv.Atoi(firstLine(directory + "/partition"))
	if err != nil {
		return "", ""
	}
	disk := diskOf(device)
	block, err := strconv.Atoi(firstLine("/sys/class/block/" + disk + "/queue/logical_block_size"))
	if err != nil || block < 512 || block > 1<<16 {
		block = 512
	}
	file, err := os.Open("/dev/" + disk)
	if err != nil {
		return "", ""
	}
	defer file.Close()
	return tableNames(file, number, int64(block), int64(deviceSize(disk))*512)
}

// readerAt is a disk, or a part of one.
type readerAt interface {
	ReadAt([]byte, int64) (int, error)
}

// tableNames reads what a GPT, or else an MBR, has to say of a partition. With gpt on its command line
// the kernel also takes the copy of a GPT at the end of the disk.
func tableNames(disk readerAt, number int, block, size int64) (id, label string) {
	header := make([]byte, 512)
	for _, place := range []int64{block, size - block} {
		if _, err := disk.ReadAt(header, place); err == nil && isTable(header) {
			return tableEntry(disk, header, number, block)
		}
	}
	if _, err := disk.ReadAt(header, 0); err == nil && header[510] == 0x55 && header[511] == 0xaa {
		return fmt.Sprintf("%08x-%02x", binary.LittleEndian.Uint32(header[440:]), number), ""
	}
	return "", ""
}

// isTable tells whether a block is the header of a GPT that the kernel takes.
func isTable(header []byte) bool {
	size := binary.LittleEndian.Uint32(header[12:])
	if string(header[:8]) != "EFI PART" || size < 92 || size > uint32(len(header)) {
		return false
	}
	whole := append([]byte(nil), header[:size]...)
	copy(whole[16:20], "\x00\x00\x00\x00")
	return crc32.ChecksumIEEE(whole) == binary.LittleEndian.Uint32(header[16:])
}

// tableEntry reads an entry of a GPT.
func tableEntry(disk readerAt, header []byte, number int, block int64) (id, label string) {
	start := binary.LittleEndian.Uint64(header[72:])
	count := binary.LittleEndian.Uint32(header[80:])
	size := int64(binary.LittleEndian.Uint32(header[84:]))
	if number < 1 || uint64(number) > uint64(count) || size < 128 || size > 4096 || start > 1<<40 {
		return "", ""
	}
	entry := make([]byte, 128)
	if _, err := disk.ReadAt(entry, int64(start)*block+int64(number-1)*size); err != nil {
		return "", ""
	}
	var units []uint16
	for i := 56; i < 128; i += 2 {
		unit := binary.LittleEndian.Uint16(entry[i:])
		if unit == 0 {
			break
		}
		units = append(units, unit)
	}
	return guidText(entry[16:32]), string(utf16.Decode(units))
}
