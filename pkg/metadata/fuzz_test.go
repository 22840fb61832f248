package main

// Whatever a service or a disk has, it ends in metadata or in an error.

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// checkNetwork fails if a network has what programs could not use.
func checkNetwork(t *testing.T, n *network) {
	t.Helper()
	if n == nil {
		return
	}
	for _, one := range n.Interfaces {
		for _, text := range one.Addresses {
			if _, err := netip.ParsePrefix(text); err != nil {
				t.Error(err)
			}
		}
		for _, route := range one.Routes {
			if _, err := netip.ParsePrefix(route.To); err != nil {
				t.Error(err)
			}
			if _, err := netip.ParseAddr(route.Via); err != nil {
				t.Error(err)
			}
		}
	}
	for _, text := range n.Nameservers {
		if _, err := netip.ParseAddr(text); err != nil {
			t.Error(err)
		}
	}
}

func check(t *testing.T, found *metadata, err error) {
	t.Helper()
	if err != nil {
		return
	}
	checkNetwork(t, found.network)
	for _, key := range found.keys {
		if key == "" || strings.ContainsAny(key, "\r\n") {
			t.Errorf("the key %q", key)
		}
	}
	for path := range found.files {
		if !staysInside(path) {
			t.Errorf("the path %q", path)
		}
	}
}

// fuzzDocument fuzzes a parser, beginning with what a cloud answers.
func fuzzDocument(f *testing.F, cloud string, read func([]byte) (*metadata, error)) {
	_, clouds := readClouds(f)
	for _, route := range append(clouds[cloud].Routes, clouds[cloud].Wire...) {
		f.Add([]byte(route.Answer))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := read(text)
		check(t, found, err)
	})
}

func FuzzGCP(f *testing.F) {
	fuzzDocument(f, "gcp", func(text []byte) (*metadata, error) { return readGCP(text, nil) })
}

func FuzzAzure(f *testing.F) { fuzzDocument(f, "azure", readAzure) }

func FuzzGoalState(f *testing.F) {
	fuzzDocument(f, "azure", func(text []byte) (*metadata, error) {
		state, err := readGoalState(text)
		if err == nil {
			_, err = writeHealthReport(state, nil)
		}
		return &metadata{}, err
	})
}

func FuzzOpenStack(f *testing.F) {
	fuzzDocument(f, "openstack", func(text []byte) (*metadata, error) { return readOpenStack(text, nil, nil) })
}

func FuzzOpenStackNetwork(f *testing.F) {
	fuzzDocument(f, "openstack", func(text []byte) (*metadata, error) {
		found, err := readOpenStackNetwork(text)
		return &metadata{network: found}, err
	})
}

func FuzzDigitalOcean(f *testing.F) { fuzzDocument(f, "digitalocean", readDigitalOcean) }

func FuzzHetzner(f *testing.F) {
	fuzzDocument(f, "hetzner", func(text []byte) (*metadata, error) { return readHetzner(text, text) })
}

func FuzzVultr(f *testing.F) { fuzzDocument(f, "vultr", readVultr) }

func FuzzScaleway(f *testing.F) { fuzzDocument(f, "scaleway", readScaleway) }

func FuzzCloudInit(f *testing.F) {
	f.Add([]byte("local-hostname: web\npublic-keys: [a]\n"), []byte(versionOne))
	f.Add([]byte("instance-id: |\n  x\n"), []byte(versionTwo))
	f.Fuzz(func(t *testing.T, about, links []byte) {
		found, err := readCloudInit(about, links)
		check(t, found, err)
	})
}

func FuzzYAML(f *testing.F) {
	for _, text := range []string{versionOne, versionTwo, "a: [b, {c: 'd'}]\n", "- >+\n  x\n\n- \"\\n\"\n", "? a\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if value, err := parseYAML(text); err != nil && value != nil && err.Error() == "" {
			t.Errorf("%v", value)
		}
	})
}

func FuzzLabel(f *testing.F) {
	f.Add(discImage("cidata"))
	f.Add(fatImage("CIDATA", false))
	f.Add(fatImage("CIDATA", true))
	f.Fuzz(func(t *testing.T, image []byte) {
		if kind, label := readLabel(bytes.NewReader(image)); kind == "" && label != "" || len(label) > discLabelSize {
			t.Errorf("%q %q", kind, label)
		}
	})
}

func FuzzGuestinfo(f *testing.F) {
	f.Add("dGV4dA==", "base64")
	f.Add(packed("text"), "gzip+base64")
	f.Fuzz(func(t *testing.T, value, encoding string) {
		if data, err := decodeVariable(value, encoding); err == nil && encoding == "" && string(data) != value {
			t.Errorf("%q became %q", value, data)
		}
	})
}

func FuzzTree(f *testing.F) {
	f.Add([]byte(`{"a": {"entries": {"b": {"perm": "0600", "content": "x"}}}, "hostname": "web"}`))
	f.Add([]byte(`{"../a": "x", "b/../../c": "y"}`))
	f.Fuzz(func(t *testing.T, userdata []byte) {
		parent := t.TempDir()
		directory := filepath.Join(parent, "config")
		_ = write(directory, "test", metadata{userdata: userdata})
		if entries, _ := os.ReadDir(parent); len(entries) > 1 {
			t.Errorf("%v", entries)
		}
		_ = filepath.Walk(directory, func(path string, about os.FileInfo, err error) error {
			if err == nil && about.IsDir() {
				// So that it can be removed.
				_ = os.Chmod(path, 0o700)
			}
			return nil
		})
	})
}
