package main

// Metadata becomes files below /run/config. Userdata that is a JSON object of entries becomes
// directories and files; any other text is only kept.

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// entry is a file, if it has content, or a directory.
type entry struct {
	Perm    string           `json:"perm"`
	Content *string          `json:"content"`
	Entries map[string]entry `json:"entries"`
}

// UnmarshalJSON takes a text for a file with that content as well.
func (e *entry) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*e = entry{Content: &text}
		return nil
	}
	type plain entry
	return json.Unmarshal(data, (*plain)(e))
}

// write puts everything into the directory: the provider's name and files, keys, the network,
// userdata, and last the tree in the userdata, whose files replace those of the provider.
func write(directory, provider string, found metadata) error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	files := map[string]entry{}
	add := func(path, content, perm string) { files[path] = entry{Content: &content, Perm: perm} }
	for path, content := range found.files {
		add(path, content, "")
	}
	add("provider", provider, "")
	if len(found.keys) > 0 {
		add("ssh/authorized_keys", strings.Join(found.keys, "\n")+"\n", "0600")
	}
	if found.network != nil {
		text, err := json.MarshalIndent(found.network, "", "  ")
		if err != nil {
			return err
		}
		add("network.json", string(text)+"\n", "")
	}
	if found.userdata != nil {
		add("userdata", string(found.userdata), "")
	}
	if err := putAll(directory, files); err != nil || found.userdata == nil {
		return err
	}
	var tree map[string]entry
	if json.Unmarshal(found.userdata, &tree) != nil {
		say("%d bytes of userdata, which are no tree of files", len(found.userdata))
		return nil
	}
	return putAll(directory, tree)
}

func putAll(directory string, tree map[string]entry) error {
	names := make([]string, 0, len(tree))
	for name := range tree {
		names = append(names, name)
	}
	// The same order at each start.
	sort.Strings(names)
	for _, name := range names {
		if err := put(directory, name, tree[name]); err != nil {
			return err
		}
	}
	return nil
}

// put makes one entry, and everything below it.
func put(directory, name string, e entry) error {
	if !staysInside(name) {
		return fmt.Errorf("%q is no name for a file below %s", name, directory)
	}
	path := filepath.Join(directory, name)
	if (e.Content == nil) == (e.Entries == nil) {
		// Userdata may be JSON that is meant for somebody else.
		say("%s is left out: it has neither content nor entries, or both", path)
		return nil
	}
	usual := os.FileMode(0o644)
	if e.Content == nil {
		usual = 0o755
	}
	mode, err := modeOf(e.Perm, usual)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	parent := path
	if e.Content != nil {
		parent = filepath.Dir(path)
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	if e.Content == nil {
		// After what is in it: it might not be writable.
		if err := putAll(path, e.Entries); err != nil {
			return err
		}
		return os.Chmod(path, mode)
	}
	// Never readable for more than it is meant to be, and not through a link.
	_ = os.Remove(path)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode&0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.WriteString(*e.Content); err != nil {
		return err
	}
	return file.Chmod(mode)
}

func modeOf(text string, usual os.FileMode) (os.FileMode, error) {
	if text == "" {
		return usual, nil
	}
	mode, err := strconv.ParseUint(text, 8, 32)
	if err != nil || mode > 0o777 {
		return 0, fmt.Errorf("perm %q is no mode as 0644", text)
	}
	return os.FileMode(mode), nil
}

// staysInside tells whether a name leads to nothing outside of its directory.
func staysInside(name string) bool {
	for _, part := range strings.Split(name, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsRune(part, 0) {
			return false
		}
	}
	return true
}
