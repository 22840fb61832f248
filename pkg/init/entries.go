package main

// Entries of the boot loader: the unified kernel images of the ESP, with counters in their names.

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// bootEntry is a file NAME_VERSION.efi, NAME_VERSION+LEFT.efi or NAME_VERSION+LEFT-DONE.efi.
type bootEntry struct {
	file string
	// NAME_VERSION.
	base    string
	counted bool
	// Tries that are left and that were made.
	left, done int
}

func parseEntryName(file string) (bootEntry, bool) {
	const suffix = ".efi"
	if len(file) <= len(suffix) || !strings.EqualFold(file[len(file)-len(suffix):], suffix) {
		return bootEntry{}, false
	}
	if strings.ContainsAny(file, "/\\\x00") {
		return bootEntry{}, false
	}
	stem := file[:len(file)-len(suffix)]
	entry := bootEntry{file: file, base: stem}
	plus := strings.LastIndexByte(stem, '+')
	if plus <= 0 {
		return entry, true
	}
	leftText, doneText, both := strings.Cut(stem[plus+1:], "-")
	left, fine := parseCounter(leftText)
	done := 0
	if both && fine {
		done, fine = parseCounter(doneText)
	}
	if fine {
		entry.base, entry.counted, entry.left, entry.done = stem[:plus], true, left, done
	}
	return entry, true
}

func parseCounter(text string) (int, bool) {
	if text == "" || len(text) > 9 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// isUsable tells whether the boot loader starts an entry while there are others.
func (e bootEntry) isUsable() bool { return !e.counted || e.left > 0 }

// sameSystem tells whether two entries are one, perhaps with different counters.
func (e bootEntry) sameSystem(other bootEntry) bool { return strings.EqualFold(e.base, other.base) }

// blessedName has no counter.
func (e bootEntry) blessedName() string { return e.base + ".efi" }

// badName says that no tries are left; it is the first one that is not taken.
func (e bootEntry) badName(taken func(string) bool) string {
	done := e.done
	if done < 1 {
		done = 1
	}
	for {
		name := fmt.Sprintf("%s+0-%d.efi", e.base, done)
		if !taken(name) {
			return name
		}
		done++
	}
}

// parseEntries takes the entries out of the files of a directory.
func parseEntries(files []string) []bootEntry {
	var entries []bootEntry
	for _, file := range files {
		if entry, fine := parseEntryName(file); fine {
			entries = append(entries, entry)
		}
	}
	return entries
}

// loaderState is what the boot loader has said in variables.
type loaderState struct {
	// The path of the counted entry that runs, with backslashes; empty if it is not counted.
	countPath string
	// The identifier of the entry that runs.
	selected string
	// The partition that the boot loader is on.
	partition string
}

// directory is where the entries are, relative to the ESP.
func (l loaderState) directory() string {
	if at := strings.LastIndexByte(l.countPath, '\\'); at > 0 {
		path := filepath.Clean("/" + strings.ReplaceAll(l.countPath[:at], "\\", "/"))
		return strings.TrimPrefix(path, "/")
	}
	return "EFI/Linux"
}

// running finds the entry that runs among all.
func (l loaderState) running(entries []bootEntry) (bootEntry, error) {
	file := l.countPath[strings.LastIndexByte(l.countPath, '\\')+1:]
	if file == "" {
		// Of several profiles in one file, the identifier has the number behind.
		file, _, _ = strings.Cut(l.selected, "@")
	}
	if file == "" {
		return bootEntry{}, fmt.Errorf("the boot loader does not say which entry runs")
	}
	wanted, fine := parseEntryName(file)
	if !fine {
		return bootEntry{}, fmt.Errorf("the entry that runs, %s, is not a unified kernel image", file)
	}
	best, found := bootEntry{}, false
	for _, entry := range entries {
		if strings.EqualFold(entry.file, file) {
			return entry, nil
		}
		// What was renamed since; that without counter first.
		if entry.sameSystem(wanted) && (!found || !entry.counted) {
			best, found = entry, true
		}
	}
	if !found {
		return bootEntry{}, fmt.Errorf("the entry that runs, %s, is not on the ESP", file)
	}
	return best, nil
}

// otherUsable finds an entry of another system that the boot loader would start.
func otherUsable(entries []bootEntry, running bootEntry) (bootEntry, bool) {
	for _, entry := range entries {
		if entry.isUsable() && !entry.sameSystem(running) {
			return entry, true
		}
	}
	return bootEntry{}, false
}

// listFiles lists the files of a directory that are not empty.
func listFiles(directory string) ([]string, error) {
	found, err := os.ReadDir(directory)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, one := range found {
		if about, err := one.Info(); err == nil && about.Mode().IsRegular() && about.Size() > 0 {
			files = append(files, one.Name())
		}
	}
	return files, nil
}

// blessIn renames the running entry of a directory to what it is called without counter.
//
// A rename over another file could free what a torn rename has left to both names.
func blessIn(directory string, loader loaderState) (bootEntry, error) {
	files, err := listFiles(directory)
	if err != nil {
		return bootEntry{}, err
	}
	entry, err := loader.running(parseEntries(files))
	if err != nil || !entry.counted {
		return entry, err
	}
	return entry, renameSynced(directory, entry.file, entry.blessedName())
}

// markBadIn renames the running entry of a directory, so that the boot loader starts another one. It
// returns both, and changes nothing if there is no other.
func markBadIn(directory string, loader loaderState) (running, next bootEntry, err error) {
	files, err := listFiles(directory)
	if err != nil {
		return running, next, err
	}
	entries := parseEntries(files)
	if running, err = loader.running(entries); err != nil {
		return running, next, err
	}
	next, found := otherUsable(entries, running)
	if !found {
		return running, next, fmt.Errorf("the ESP has no other entry that can be started")
	}
	for _, entry := range entries {
		if entry.sameSystem(running) && entry.isUsable() {
			name := entry.badName(func(name string) bool { return exists(filepath.Join(directory, name)) })
			if err := renameSynced(directory, entry.file, name); err != nil {
				return running, next, err
			}
		}
	}
	return running, next, nil
}

// renameSynced renames a file where nothing is called so yet, and waits until the disk has it.
func renameSynced(directory, from, to string) error {
	if exists(filepath.Join(directory, to)) {
		return fmt.Errorf("%s cannot be renamed: there is a %s", from, to)
	}
	folder, err := os.Open(directory)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := os.Rename(filepath.Join(directory, from), filepath.Join(directory, to)); err != nil {
		return err
	}
	if err := folder.Sync(); err != nil {
		return err
	}
	return syncFilesystem(folder)
}
