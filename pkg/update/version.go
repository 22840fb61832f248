package main

// The order of versions. It is that of systemd-boot (UAPI.10, version format), since that decides
// which of two entries comes up: an update that the boot loader takes for older would never run.

import (
	"fmt"
	"regexp"
	"strings"
)

// A label of a partition has 36 characters, and "root_" is before the version.
var versionForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.~^-]{0,30}$`)

func checkVersion(text string) error {
	if !versionForm.MatchString(text) {
		return fmt.Errorf("%q is not a version: up to 31 of the characters A-Z a-z 0-9 . ~ ^ -", text)
	}
	return nil
}

func sign(a, b int) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// head splits the characters of one kind off the front of a text.
func head(text string, kind func(byte) bool) (string, string) {
	n := 0
	for n < len(text) && kind(text[n]) {
		n++
	}
	return text[:n], text[n:]
}

func startsWith(text string, c byte) int {
	if text != "" && text[0] == c {
		return 1
	}
	return 0
}

// compareVersions returns -1, 0 or 1 as a is older than, equal to or newer than b.
func compareVersions(a, b string) int {
	unknown := func(c byte) bool { return !isDigit(c) && !isLetter(c) && !strings.ContainsRune("~-^.", rune(c)) }
	for {
		_, a = head(a, unknown)
		_, b = head(b, unknown)
		// A tilde is before everything, also before the end.
		left, right := startsWith(a, '~'), startsWith(b, '~')
		if left != right {
			return sign(right, left)
		}
		a, b = a[left:], b[right:]
		if a == "" || b == "" {
			return sign(len(a), len(b))
		}
		// Each of these ends a part, and what goes on with the part is newer.
		for _, c := range []byte("-^.") {
			left, right = startsWith(a, c), startsWith(b, c)
			if left != right {
				return sign(right, left)
			}
			a, b = a[left:], b[right:]
		}
		var one, other string
		if startsWithDigit(a) || startsWithDigit(b) {
			one, a = head(a, isDigit)
			other, b = head(b, isDigit)
			if one == "" || other == "" {
				return sign(len(one), len(other))
			}
			one, other = strings.TrimLeft(one, "0"), strings.TrimLeft(other, "0")
			if len(one) != len(other) {
				return sign(len(one), len(other))
			}
		} else {
			one, a = head(a, isLetter)
			other, b = head(b, isLetter)
		}
		if order := strings.Compare(one, other); order != 0 {
			return order
		}
		if a == "" && b == "" {
			return 0
		}
	}
}

func startsWithDigit(text string) bool { return text != "" && isDigit(text[0]) }
