package main

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestATreeIsMovedWithItsLinksAndAttributes(t *testing.T) {
	source, target := t.TempDir(), t.TempDir()
	leftOut := filepath.Join(source, "new")
	day := time.Unix(1700000000, 0)
	for _, step := range []error{
		os.Mkdir(leftOut, 0o755),
		os.Mkdir(filepath.Join(source, "closed"), 0o700),
		os.WriteFile(filepath.Join(source, "closed", "first"), []byte("content"), 0o751),
		os.Link(filepath.Join(source, "closed", "first"), filepath.Join(source, "second")),
		os.Symlink("closed/first", filepath.Join(source, "third")),
		os.Chtimes(filepath.Join(source, "second"), day, day),
		os.Chtimes(filepath.Join(source, "closed"), day, day),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	var root syscall.Stat_t
	if err := syscall.Lstat(source, &root); err != nil {
		t.Fatal(err)
	}
	m := treeMove{device: root.Dev, leftOut: leftOut, links: map[uint64]string{}}
	if err := m.move(source, target); err != nil {
		t.Fatal(err)
	}
	rest, _ := os.ReadDir(source)
	if len(rest) != 1 || rest[0].Name() != "new" {
		t.Errorf("%v is left", rest)
	}
	if exists(filepath.Join(target, "new")) {
		t.Error("what is to be left out is moved as well")
	}
	var first, second syscall.Stat_t
	if syscall.Stat(filepath.Join(target, "closed", "first"), &first) != nil ||
		syscall.Stat(filepath.Join(target, "second"), &second) != nil || first.Ino != second.Ino {
		t.Error("the hard link is lost")
	}
	if first.Mode&0o7777 != 0o751 || first.Mtim.Sec != day.Unix() || first.Nlink != 2 {
		t.Errorf("%+v", first)
	}
	if content, _ := os.ReadFile(filepath.Join(target, "third")); string(content) != "content" {
		t.Errorf("%q", content)
	}
	found, err := os.Stat(filepath.Join(target, "closed"))
	if err != nil || found.Mode().Perm() != 0o700 || !found.ModTime().Equal(day) {
		t.Errorf("%v, %v", found, err)
	}
}

func TestALargeFileIsMovedInPieces(t *testing.T) {
	folder := t.TempDir()
	source, target := filepath.Join(folder, "source"), filepath.Join(folder, "target")
	content := make([]byte, 2*movedAtOnce+3)
	for i := range content {
		content[i] = byte(i / 1000)
	}
	for _, size := range []int{2*movedAtOnce + 3, 2 * movedAtOnce, 5, 0} {
		if err := os.WriteFile(source, content[:size], 0o640); err != nil {
			t.Fatal(err)
		}
		var found syscall.Stat_t
		if err := syscall.Lstat(source, &found); err != nil {
			t.Fatal(err)
		}
		if err := moveEntry(source, target, &found); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(target); !bytes.Equal(got, content[:size]) {
			t.Errorf("%d bytes: %d came", size, len(got))
		}
		if rest, _ := os.Stat(source); size > movedAtOnce && rest.Size() != 0 {
			t.Errorf("%d bytes: %d are left", size, rest.Size())
		}
		if rest, _ := os.Stat(target); rest.Mode().Perm() != 0o640 {
			t.Errorf("%d bytes: %v", size, rest.Mode())
		}
	}
}

func TestTheLimitOfTheRootLeavesHalfOfTheRest(t *testing.T) {
	for _, c := range []struct{ memory, used, want uint64 }{{100, 0, 50}, {100, 60, 80}, {100, 120, 120}} {
		if got := limitOfRoot(c.memory, c.used); got != c.want {
			t.Errorf("%d of %d: %d", c.used, c.memory, got)
		}
	}
}
