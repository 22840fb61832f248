package main

import (
	"strings"
	"testing"
)

func TestAnInitrdThatIsNotUnpackedWholeIsSeen(t *testing.T) {
	log := "<6>[    0.1] Trying to unpack rootfs image as initramfs...\n"
	if reason, _ := parseUnpacking([]byte(log + "<6>[    1.2] Freeing initrd memory: 12288K\n")); reason != "" {
		t.Errorf("a whole initrd is taken for one that is not: %s", reason)
	}
	log += "<0>[    1.1] Initramfs unpacking failed: write error\n<6>[    1.2] Freeing initrd memory: 12288K\n"
	reason, packed := parseUnpacking([]byte(log))
	if reason != "write error" || packed != 12 {
		t.Errorf("%q, %d MiB", reason, packed)
	}
	// 49 MiB, the packed initrd, and twice its unpacked part.
	text := describeUnpacking(reason, packed, 20, 90)
	for _, part := range []string{"write error", "has 90 MiB", "more than 101 MiB"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q lacks %q", text, part)
		}
	}
	if reason, packed := parseUnpacking([]byte("Initramfs unpacking failed: junk")); reason != "junk" || packed != 0 {
		t.Errorf("%q, %d MiB", reason, packed)
	}
}
