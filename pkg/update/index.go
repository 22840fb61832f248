package main

// The index of an update set: which releases there are, and their files.

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
)

const (
	indexName    = "index.json"
	indexSchema  = 1
	largestIndex = 4 << 20
	blockSize    = 4096
)

var fileNameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~^+-]{0,199}$`)

// file is one file of a release.
type file struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

type release struct {
	Version  string `json:"version"`
	RootHash string `json:"roothash"`
	Files    struct {
		Root   file `json:"root"`
		Verity file `json:"verity"`
		EFI    file `json:"efi"`
	} `json:"files"`
}

type index struct {
	Schema       int       `json:"schema"`
	Product      string    `json:"product"`
	Architecture string    `json:"architecture"`
	Releases     []release `json:"releases"`
}

func checkDigest(text string) error {
	data, err := hex.DecodeString(text)
	if err != nil || len(data) != 32 || hex.EncodeToString(data) != text {
		return fmt.Errorf("%q is not a SHA-256 digest in lower case", text)
	}
	return nil
}

func (f file) check() error {
	if !fileNameForm.MatchString(f.Name) {
		return fmt.Errorf("%q cannot be the name of a file", f.Name)
	}
	if f.Size <= 0 {
		return fmt.Errorf("%s has %d bytes", f.Name, f.Size)
	}
	return checkDigest(f.SHA256)
}

func (r release) check() error {
	if err := checkVersion(r.Version); err != nil {
		return err
	}
	if err := checkDigest(r.RootHash); err != nil {
		return err
	}
	for _, one := range []file{r.Files.Root, r.Files.Verity, r.Files.EFI} {
		if err := one.check(); err != nil {
			return err
		}
	}
	if r.Files.Root.Size%blockSize != 0 || r.Files.Verity.Size%blockSize != 0 {
		return fmt.Errorf("root and verity have blocks of %d bytes", blockSize)
	}
	return nil
}

// parseIndex reads a payload whose signature is right; its own mistakes are refused all the same.
func parseIndex(payload []byte) (index, error) {
	var head struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(payload, &head); err != nil {
		return index{}, err
	}
	if head.Schema != indexSchema {
		return index{}, fmt.Errorf("its schema is %d, and this program knows %d", head.Schema, indexSchema)
	}
	var found index
	if err := json.Unmarshal(payload, &found); err != nil {
		return index{}, err
	}
	for _, one := range found.Releases {
		if err := one.check(); err != nil {
			return index{}, fmt.Errorf("release %q: %w", one.Version, err)
		}
	}
	return found, nil
}

// choose returns the release with a version, or the newest one.
func (i index) choose(version string) (release, error) {
	var best *release
	for n := range i.Releases {
		one := &i.Releases[n]
		if version != "" && one.Version != version {
			continue
		}
		if best == nil || compareVersions(one.Version, best.Version) > 0 {
			best = one
		}
	}
	switch {
	case best != nil:
		return *best, nil
	case version != "":
		return release{}, refuse("the index has no release %s", version)
	}
	return release{}, refuse("the index has no release")
}
