package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// runWith runs with limits that tests have time for.
func runWith(names []string, directory string, setHostname func([]byte) error) int {
	return run(names, limits{provider: 3 * time.Second, grace: 200 * time.Millisecond, total: 6 * time.Second}, directory, setHostname)
}

func refuseHostname([]byte) error { return errors.New("not here") }

// disc makes a file that looks like a CD, and what mounting it would show.
func disc(t *testing.T, files map[string]string) *discs {
	t.Helper()
	directory := t.TempDir()
	device := filepath.Join(directory, "sr0")
	image := make([]byte, descriptorAt, descriptorAt+len(descriptor))
	if err := os.WriteFile(device, append(image, descriptor...), 0o600); err != nil {
		t.Fatal(err)
	}
	blank := filepath.Join(directory, "sda")
	if err := os.WriteFile(blank, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return &discs{
		devices: func() []string { return []string{blank, device} },
		mount: func(mounted, at string) error {
			if mounted != device {
				return errors.New("not the CD")
			}
			for name, content := range files {
				if err := os.WriteFile(filepath.Join(at, name), []byte(content), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
		unmount:    func(string) {},
		mountPoint: filepath.Join(directory, "cd"),
	}
}

func content(t *testing.T, parts ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func writeText(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUserdataBecomesFiles(t *testing.T) {
	text := `{"ssh": {"entries": {"authorized_keys": {"perm": "0600", "content": "key\n"}}},
		"hostname": "web", "a/b": {"content": ""}, "locked": {"perm": "0500", "entries": {"x": "y"}}}`
	to := t.TempDir()
	var name string
	status := runWith([]string{"file=" + writeText(t, text)}, to, func(n []byte) error { name = string(n); return nil })
	if status != 0 || name != "web" {
		t.Fatalf("status %d, hostname %q", status, name)
	}
	if got := content(t, to, "userdata"); got != text {
		t.Errorf("userdata is %q", got)
	}
	if got := content(t, to, "ssh", "authorized_keys"); got != "key\n" {
		t.Errorf("the key is %q", got)
	}
	if got := content(t, to, "locked", "x"); got != "y" {
		t.Errorf("x is %q", got)
	}
	for path, want := range map[string]os.FileMode{"ssh/authorized_keys": 0o600, "a/b": 0o644, "locked": 0o500 | os.ModeDir} {
		found, err := os.Stat(filepath.Join(to, path))
		if err != nil || found.Mode() != want {
			t.Errorf("%s: %v, %v; wanted %v", path, found, err, want)
		}
	}
	_ = os.Chmod(filepath.Join(to, "locked"), 0o700)
}

func TestTextIsKeptAsItIs(t *testing.T) {
	for _, text := range []string{"#cloud-config\n", "", "[1, 2]", `{"a": 1}`, `{"ignition": {"version": "3.0.0"}}`} {
		to := t.TempDir()
		if status := runWith([]string{"file=" + writeText(t, text)}, to, refuseHostname); status != 0 {
			t.Errorf("%q: status %d", text, status)
		}
		if got := content(t, to, "userdata"); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestNothingIsWrittenOutside(t *testing.T) {
	for _, name := range []string{"../x", "/etc/x", "a/../../x", "", ".", "a//b", "a\\u0000b"} {
		parent := t.TempDir()
		text := `{"` + name + `": {"content": "x"}}`
		if status := runWith([]string{"file=" + writeText(t, text)}, filepath.Join(parent, "config"), refuseHostname); status == 0 {
			t.Errorf("%q was accepted", name)
		}
		if entries, _ := os.ReadDir(parent); len(entries) != 1 {
			t.Errorf("%q: %v", name, entries)
		}
	}
}

func TestMistakesInTheTree(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": {"content": "", "perm": "rw"}}`:     "no mode",
		`{"a": {"content": "", "perm": "100644"}}`: "no mode",
	} {
		err := write(t.TempDir(), "test", metadata{userdata: []byte(text)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestOfACD(t *testing.T) {
	for _, c := range []struct {
		files    map[string]string
		userdata string
		hostname string
	}{
		{map[string]string{"config": "one"}, "one", ""},
		{map[string]string{"user-data": "two", "meta-data": "instance-id: 1\nlocal-hostname: 'web'\n"}, "two", "web"},
		{map[string]string{"user-data": "three"}, "three", ""},
	} {
		found, err := disc(t, c.files).ask(context.Background())
		if err != nil || found == nil || string(found.userdata) != c.userdata || found.files["hostname"] != c.hostname {
			t.Errorf("%v: %v, %v", c.files, found, err)
		}
	}
}

func TestOtherCDsAreNone(t *testing.T) {
	one := disc(t, map[string]string{"readme": ""})
	if found, err := one.look(one.devices()[1]); found != nil || err != nil {
		t.Errorf("%v, %v", found, err)
	}
}

func TestProviders(t *testing.T) {
	chosen, unknown := chooseProviders([]string{"cdrom", "packet", "file=/a=b", "file", "cdrom=x"})
	if len(chosen) != 2 || chosen[1].name() != "/a=b" {
		t.Errorf("chosen: %v", chosen)
	}
	if strings.Join(unknown, " ") != "packet file cdrom=x" {
		t.Errorf("unknown: %v", unknown)
	}
	missing := "file=" + filepath.Join(t.TempDir(), "none")
	if status := runWith([]string{missing}, t.TempDir(), refuseHostname); status != 0 {
		t.Errorf("nothing there is a failure: %d", status)
	}
	if status := runWith([]string{"packet", missing}, t.TempDir(), refuseHostname); status != 1 {
		t.Errorf("an unknown provider is none: %d", status)
	}
	// What another knows counts all the same.
	if status := runWith([]string{"packet", "file=" + writeText(t, "x")}, t.TempDir(), refuseHostname); status != 0 {
		t.Errorf("status %d", status)
	}
}
