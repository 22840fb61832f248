package main

// Entries of the boot loader: EFI/Linux/NAME_VERSION[+LEFT[-DONE]].efi on the system partition.

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	entryEnding = ".efi"
	freshTries  = 3
)

// entry is the name of a file that the boot loader starts.
type entry struct {
	file    string
	version string
	size    int64
	counted bool
	left    int
}

// parseEntry reads the name of an entry of a product; others are left alone.
func parseEntry(product, name string) (entry, bool) {
	stem := strings.TrimSuffix(name, entryEnding)
	if stem == name || !strings.HasPrefix(stem, product+"_") {
		return entry{}, false
	}
	found := entry{file: name}
	version, counter, counted := strings.Cut(stem[len(product)+1:], "+")
	found.version, found.counted = version, counted
	if counted {
		left, done, more := strings.Cut(counter, "-")
		tries, ok := parseCount(left)
		if _, right := parseCount(done); !ok || (more && !right) {
			return entry{}, false
		}
		found.left = tries
	}
	return found, checkVersion(found.version) == nil
}

func parseCount(text string) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err == nil && text[0] != '+'
}

// failed tells whether the boot loader has given an entry up.
func (e entry) failed() bool { return e.counted && e.left == 0 }

func freshEntry(product, version string) string {
	return fmt.Sprintf("%s_%s+%d%s", product, version, freshTries, entryEnding)
}

// standing is what the entries of a version say of it.
type standing struct {
	// There is an entry, and there is one that the boot loader need not count.
	present, blessed bool
	// All entries were given up.
	failed bool
}

func standingOf(entries []entry, version string) standing {
	found := standing{failed: true}
	for _, one := range entries {
		if one.version != version {
			continue
		}
		found.present = true
		found.blessed = found.blessed || !one.counted
		found.failed = found.failed && one.failed()
	}
	found.failed = found.failed && found.present
	return found
}
