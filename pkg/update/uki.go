package main

// Sections of a unified kernel image that must fit the release. Its signature is the firmware's to
// check; its digest is in the index.

import (
	"bytes"
	"debug/pe"
	"fmt"
	"io"
	"strings"
)

const largestSection = 64 << 10

// checkKernel fails if the image would start another root, or names another release.
func checkKernel(r io.ReaderAt, product string, one release) (err error) {
	defer func() {
		if found := recover(); found != nil {
			err = refuse("%s is broken: %v", one.Files.EFI.Name, found)
		}
	}()
	image, err := pe.NewFile(r)
	if err != nil {
		return refuse("%s is not a program for UEFI: %v", one.Files.EFI.Name, err)
	}
	line, err := sectionText(image, ".cmdline")
	if err != nil {
		return refuse("%s: %v", one.Files.EFI.Name, err)
	}
	if got := wordOf(line, "roothash="); got != one.RootHash {
		return refuse("%s has roothash=%s on its command line, and the index has %s", one.Files.EFI.Name, got, one.RootHash)
	}
	about, err := sectionText(image, ".osrel")
	if err != nil {
		return refuse("%s: %v", one.Files.EFI.Name, err)
	}
	for key, want := range map[string]string{"IMAGE_ID": product, "IMAGE_VERSION": one.Version} {
		if got, ok := osReleaseValue(about, key); ok && got != want {
			return refuse("%s has %s=%s, and the index has %s", one.Files.EFI.Name, key, got, want)
		}
	}
	return nil
}

func sectionText(image *pe.File, name string) (string, error) {
	section := image.Section(name)
	if section == nil {
		return "", fmt.Errorf("it has no section %s", name)
	}
	size := section.VirtualSize
	if section.Size < size {
		size = section.Size
	}
	if size > largestSection {
		return "", fmt.Errorf("its section %s has %d bytes", name, size)
	}
	data := make([]byte, size)
	if _, err := section.ReadAt(data, 0); err != nil && err != io.EOF {
		return "", err
	}
	return string(bytes.TrimRight(data, "\x00")), nil
}

// wordOf returns the value of the last word of a command line with a prefix, as the kernel takes it.
func wordOf(line, prefix string) string {
	value := ""
	for _, word := range strings.Fields(line) {
		if strings.HasPrefix(word, prefix) {
			value = word[len(prefix):]
		}
	}
	return value
}

func osReleaseValue(text, key string) (string, bool) {
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, key+"=") {
			return strings.Trim(line[len(key)+1:], `"'`), true
		}
	}
	return "", false
}
