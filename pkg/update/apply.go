package main

// Writing an update. At every moment the running release, or the new one, can be booted:
//
//  1. The new kernel goes to the system partition without its first sector: the boot loader ignores it.
//  2. Entries of the slot's older release are removed.
//  3. The slot is marked as free.
//  4. Root and hash tree are written, and read back from the medium.
//  5. The slot gets its names, by which the new kernel finds it.
//  6. The kernel gets its first sector.
//
// A file that got its name last would not do: a rename on FAT takes several sectors, and a power cut
// between them leaves an empty file, or two names of the same clusters.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
)

// Bytes between two moments from which an update that was ended can go on.
var stride int64 = 64 << 20

// What a medium writes as a whole.
const headSize = 512

type updater struct {
	*plan
	from     source
	settings settings
	status   *status
	// The first sector of the kernel.
	head []byte
}

func (u *updater) say(format string, values ...any) { u.settings.say(format, values...) }

// apply writes the release; nothing of it is done again that is right already.
func (u *updater) apply(ctx context.Context) error {
	one := u.release
	u.status.enter(stateWriting)
	u.say("writing release %s to partitions %d and %d", one.Version, u.slot.root.number, u.slot.hash.number)
	if err := u.stageKernel(ctx); err != nil {
		return err
	}
	if !u.slot.holds(one.RootHash) || u.check() != nil {
		if err := u.fillSlot(ctx); err != nil {
			u.dropKernel(err)
			return err
		}
	}
	if err := u.enterKernel(); err != nil {
		return err
	}
	u.forget()
	u.status.enter(stateApplied)
	u.say("release %s is written and is started at the next boot", one.Version)
	return nil
}

// stageKernel writes the kernel under its temporary name and removes the older release's entries.
func (u *updater) stageKernel(ctx context.Context) error {
	e, err := u.target.openESP()
	if err != nil {
		return err
	}
	defer e.Close()
	files, err := e.List()
	if err != nil {
		return err
	}
	name := u.entryName()
	var gone []entry
	for _, one := range u.removable() {
		if one.file != name {
			gone = append(gone, one)
		}
	}
	_, exists := files[name]
	if !exists || !u.isStaged(ctx, e) {
		if exists {
			if err := e.Remove(name); err != nil {
				return err
			}
		}
		if gone, err = u.makeRoom(e, gone); err != nil {
			return err
		}
		if err := u.writeKernel(ctx, e); err != nil {
			_ = e.Remove(name)
			return err
		}
	}
	for _, one := range gone {
		if err := u.remove(e, one); err != nil {
			return err
		}
	}
	return nil
}

// dropKernel removes the kernel of a release that is refused; after other failures it is used again.
func (u *updater) dropKernel(err error) {
	if exitCode(err) != exitRefused {
		return
	}
	if e, err := u.target.openESP(); err == nil {
		_ = e.Remove(u.entryName())
		_ = e.Close()
	}
}

// makeRoom removes entries until the kernel fits, and returns those that are left to remove.
func (u *updater) makeRoom(e esp, gone []entry) ([]entry, error) {
	need := u.release.Files.EFI.Size + espSlack
	for {
		room, err := e.Free()
		if err != nil || room >= need {
			return gone, err
		}
		if len(gone) == 0 {
			return nil, refuse("the system partition has room for %d bytes, and %s needs %d", room, u.release.Files.EFI.Name, need)
		}
		if err := u.remove(e, gone[0]); err != nil {
			return nil, err
		}
		gone = gone[1:]
	}
}

func (u *updater) remove(e esp, one entry) error {
	u.say("removing %s", one.file)
	return e.Remove(one.file)
}

func (u *updater) entryName() string { return freshEntry(u.machine.Product, u.release.Version) }

// isStaged tells whether the kernel is there already, but for its first sector.
func (u *updater) isStaged(ctx context.Context, e esp) bool {
	f := u.release.Files.EFI
	body, err := u.from.open(ctx, f.Name, 0)
	if err != nil {
		return false
	}
	defer body.Close()
	u.head = make([]byte, headSize)
	if _, err := io.ReadFull(body, u.head); err != nil {
		return false
	}
	medium, err := e.Medium(u.entryName())
	if err != nil {
		return false
	}
	defer medium.Close()
	first := make([]byte, headSize)
	if _, err := medium.ReadAt(first, 0); err != nil || !bytes.Equal(first, make([]byte, headSize)) {
		return false
	}
	return u.checkKernel(e, u.head) == nil
}

// writeKernel writes the kernel with zeros instead of its first sector.
func (u *updater) writeKernel(ctx context.Context, e esp) error {
	f := u.release.Files.EFI
	if f.Size < headSize {
		return refuse("%s has %d bytes", f.Name, f.Size)
	}
	out, err := e.Create(u.entryName())
	if err != nil {
		return err
	}
	// The cluster may have the first sector of a kernel that was removed: it goes before the file grows.
	if _, err = out.WriteAt(make([]byte, headSize), 0); err == nil {
		err = out.Sync()
	}
	u.head = nil
	sum := sha256.New()
	done := int64(0)
	if err == nil {
		err = fetch(ctx, u.from, u.settings, f, 0, func(data []byte) error {
			sum.Write(data)
			at := done
			done += int64(len(data))
			u.status.progress(f.Name, done, f.Size)
			if missing := headSize - len(u.head); missing > 0 {
				if missing > len(data) {
					missing = len(data)
				}
				u.head = append(u.head, data[:missing]...)
				data, at = data[missing:], at+int64(missing)
			}
			_, err := out.WriteAt(data, at)
			return err
		})
	}
	if err == nil {
		err = compareSum(f, sum, "was fetched")
	}
	if err == nil {
		err = out.Sync()
	}
	if failure := out.Close(); err == nil {
		err = failure
	}
	if err != nil {
		return err
	}
	return u.checkKernel(e, u.head)
}

// headed is a file whose first sector is another one.
type headed struct {
	io.ReaderAt
	head []byte
}

func (h headed) ReadAt(p []byte, offset int64) (int, error) {
	n, err := h.ReaderAt.ReadAt(p, offset)
	if offset < int64(len(h.head)) {
		copy(p[:n], h.head[offset:])
	}
	return n, err
}

// checkKernel reads the kernel back from the medium, with the first sector that it is to get.
func (u *updater) checkKernel(e esp, head []byte) error {
	medium, err := e.Medium(u.entryName())
	if err != nil {
		return err
	}
	defer medium.Close()
	content := headed{medium, head}
	if err := checkContent(content, u.release.Files.EFI, "is on the system partition"); err != nil {
		return err
	}
	return checkKernel(content, u.machine.Product, u.release)
}

func checkContent(r io.ReaderAt, f file, where string) error {
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, onlyReader{io.NewSectionReader(r, 0, f.Size)}, make([]byte, piece)); err != nil {
		return err
	}
	return compareSum(f, sum, where)
}

// onlyReader hides what else a reader can do, so that copies take the buffer they are given.
type onlyReader struct{ io.Reader }

func compareSum(f file, sum hash.Hash, where string) error {
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
		return refuse("%s has the SHA-256 %s in the index, and what %s has %s", f.Name, f.SHA256, where, got)
	}
	return nil
}

// fillSlot writes the release to the slot and names it.
func (u *updater) fillSlot(ctx context.Context) error {
	t := u.target
	if !u.slot.isEmpty() {
		t.table.clear(u.slot)
		if err := t.table.write(t.disk); err != nil {
			return err
		}
	}
	for _, one := range []struct {
		file file
		part partition
	}{{u.release.Files.Root, u.slot.root}, {u.release.Files.Verity, u.slot.hash}} {
		if err := u.writeFile(ctx, one.file, one.part); err != nil {
			return err
		}
	}
	if err := u.check(); err != nil {
		return err
	}
	t.table.fill(u.slot, u.release)
	return t.table.write(t.disk)
}

// writeFile writes a file to a partition, and goes on where an earlier attempt was ended.
func (u *updater) writeFile(ctx context.Context, f file, p partition) error {
	d, start := u.target.disk, u.target.table.start(p)
	sum := sha256.New()
	done := u.resumed(f, p)
	if done > 0 {
		if _, err := io.CopyBuffer(sum, onlyReader{io.NewSectionReader(d, start, done)}, make([]byte, piece)); err != nil {
			return err
		}
		u.say("going on with %s after %d of %d bytes", f.Name, done, f.Size)
	}
	kept := done
	err := fetch(ctx, u.from, u.settings, f, done, func(data []byte) error {
		sum.Write(data)
		if _, err := d.WriteAt(data, start+done); err != nil {
			return err
		}
		done += int64(len(data))
		u.status.progress(f.Name, done, f.Size)
		if done-kept < stride && done < f.Size {
			return nil
		}
		// The cache is not to fill with gigabytes that the medium has to take at once.
		if err := d.Sync(); err != nil {
			return err
		}
		kept = done
		u.remember(f, p, done)
		return nil
	})
	if err != nil {
		return err
	}
	if err := compareSum(f, sum, "was fetched"); err != nil {
		// The partial file may be wrong, so the next attempt starts over.
		u.forget()
		return err
	}
	return d.Sync()
}

// check reads both partitions back from the medium: digests, and the tree against data and root hash.
func (u *updater) check() error {
	u.status.enter(stateVerifying)
	medium, err := u.target.disk.Medium()
	if err != nil {
		return err
	}
	defer medium.Close()
	// Each has a buffer of its own.
	other, err := u.target.disk.Medium()
	if err != nil {
		return err
	}
	defer other.Close()
	files := u.release.Files
	tree := io.NewSectionReader(other, u.target.table.start(u.slot.hash), files.Verity.Size)
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, onlyReader{tree}, make([]byte, piece)); err != nil {
		return err
	}
	if err := compareSum(files.Verity, sum, "is on the disk"); err != nil {
		return err
	}
	sum.Reset()
	data := io.TeeReader(io.NewSectionReader(medium, u.target.table.start(u.slot.root), files.Root.Size), sum)
	if err := checkTree(data, files.Root.Size, tree, files.Verity.Size, u.release.RootHash); err != nil {
		return refuse("release %s: %v", u.release.Version, err)
	}
	if _, err := io.CopyBuffer(io.Discard, onlyReader{data}, make([]byte, piece)); err != nil {
		return err
	}
	return compareSum(files.Root, sum, "is on the disk")
}

// enterKernel gives the kernel its first sector: from then on the boot loader takes it.
func (u *updater) enterKernel() error {
	e, err := u.target.openESP()
	if err != nil {
		return err
	}
	err = u.writeHead(e)
	if err == nil {
		err = u.checkKernel(e, nil)
	}
	if err == nil && u.older {
		err = u.yield(e)
	}
	if failure := e.Close(); err == nil {
		err = failure
	}
	return err
}

func (u *updater) writeHead(e esp) error {
	out, err := e.Open(u.entryName())
	if err != nil {
		return err
	}
	if _, err = out.WriteAt(u.head, 0); err == nil {
		err = out.Sync()
	}
	if failure := out.Close(); err == nil {
		err = failure
	}
	return err
}

// yield has the boot loader put the running release last: it prefers newer ones otherwise.
func (u *updater) yield(e esp) error {
	for _, one := range u.entries {
		if one.version == u.machine.Version && !one.failed() {
			last := fmt.Sprintf("%s_%s+0%s", u.machine.Product, one.version, entryEnding)
			if err := e.Rename(one.file, last); err != nil {
				return err
			}
		}
	}
	return nil
}

// part says how much of a file is on the medium.
type part struct {
	SHA256    string `json:"sha256"`
	Partition int    `json:"partition"`
	Done      int64  `json:"done"`
}

func (u *updater) partPath() string {
	if u.settings.state == "" {
		return ""
	}
	return filepath.Join(u.settings.state, "part.json")
}

func (u *updater) remember(f file, p partition, done int64) {
	if path := u.partPath(); path != "" {
		text, err := json.Marshal(part{f.SHA256, p.number, done})
		if err == nil {
			_ = os.WriteFile(path, text, 0o600)
		}
	}
}

func (u *updater) forget() {
	if path := u.partPath(); path != "" {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			u.say("%v", err)
		}
	}
}

// resumed returns how much of a file need not be fetched again; digests are checked all the same.
func (u *updater) resumed(f file, p partition) int64 {
	path := u.partPath()
	if path == "" || !u.slot.isEmpty() {
		return 0
	}
	var found part
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &found) != nil {
		return 0
	}
	if found.SHA256 != f.SHA256 || found.Partition != p.number || found.Done < 0 || found.Done > f.Size {
		return 0
	}
	return found.Done
}
