package main

// The program as it is called, with a disk in a file and the system partition in a directory.

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// bench is a machine in files.
type bench struct {
	t         *testing.T
	directory string
}

func newBench(t *testing.T, runs content, second *content, entries ...string) *bench {
	t.Helper()
	b := &bench{t, t.TempDir()}
	data, err := x509.MarshalPKIXPublicKey(&testKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	about, _ := json.Marshal(machine{Product: testProduct, Version: runs.release.Version, Architecture: "amd64"})
	b.write("etc/update.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: data}))
	b.write("etc/release.json", about)
	b.write("cmdline", []byte("quiet roothash="+runs.release.RootHash+"\n"))
	b.write("disk.img", install(t, runs, second))
	for _, name := range entries {
		b.write("esp/EFI/Linux/"+name, runs.kernel())
	}
	return b
}

func (b *bench) path(name string) string { return filepath.Join(b.directory, name) }

func (b *bench) write(name string, data []byte) {
	if err := os.MkdirAll(filepath.Dir(b.path(name)), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(b.path(name), data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) set(releases ...content) string {
	for name, data := range makeSet(releases...) {
		b.write("set/"+name, data)
	}
	return b.path("set")
}

// run calls the program and returns its status and what it says as JSON.
func (b *bench) run(words ...string) (int, status) {
	b.t.Helper()
	all := append(words, "--json", "--config", b.path("etc"), "--cmdline", b.path("cmdline"), "--state", b.path("state"),
		"--disk", b.path("disk.img"), "--esp", b.path("esp"), "--attempts", "1")
	keep := os.Stdout
	reader, writer, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	os.Stdout = writer
	code := run(all)
	os.Stdout = keep
	writer.Close()
	text, err := io.ReadAll(reader)
	if err != nil {
		b.t.Fatal(err)
	}
	var found status
	if err := json.Unmarshal(text, &found); err != nil && len(text) > 0 {
		b.t.Fatalf("%q: %v", text, err)
	}
	return code, found
}

func (b *bench) disk() []byte {
	data, err := os.ReadFile(b.path("disk.img"))
	if err != nil {
		b.t.Fatal(err)
	}
	return data
}

func (b *bench) entries() string {
	all, err := os.ReadDir(b.path("esp/EFI/Linux"))
	if err != nil {
		b.t.Fatal(err)
	}
	var names []string
	for _, one := range all {
		names = append(names, one.Name())
	}
	return strings.Join(names, " ")
}

func TestAnUpdateFromCheckToApplied(t *testing.T) {
	one, two := makeContent("1", 1), makeContent("2", 2)
	b := newBench(t, one, nil, "demo_1.efi")
	server := httptest.NewServer(http.FileServer(http.Dir(b.set(one, two))))
	defer server.Close()
	before := b.disk()
	if code, s := b.run("check", "--from", server.URL); code != exitAvailable || s.Available != "2" || s.Running != "1" || s.State != stateAvailable {
		t.Fatal(code, s)
	}
	if !bytes.Equal(before, b.disk()) || b.entries() != "demo_1.efi" {
		t.Fatal("the check has written something")
	}
	if code, s := b.run("apply", "--from", server.URL+"/index.json"); code != exitDone || s.State != stateApplied {
		t.Fatal(code, s)
	}
	if b.entries() != "demo_1.efi demo_2+3.efi" {
		t.Fatal(b.entries())
	}
	if got, err := os.ReadFile(b.path("esp/EFI/Linux/demo_2+3.efi")); err != nil || !bytes.Equal(got, two.kernel()) {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(b.path("state/status.json")); err != nil || !bytes.Contains(text, []byte(`"state":"applied"`)) {
		t.Fatalf("%s %v", text, err)
	}
	after := b.disk()
	if code, s := b.run("apply", "--from", server.URL); code != exitDone || s.State != stateApplied || !bytes.Equal(after, b.disk()) {
		t.Fatal("it was written twice", code, s)
	}
	code, s := b.run("status")
	if code != exitDone || len(s.Slots) != 2 || s.Slots[0].Version != "1" || !s.Slots[0].IsRunning || s.Slots[1].Version != "2" || s.Slots[1].IsRunning {
		t.Fatal(code, s)
	}
	if code, s := b.run("check", "--from", b.path("set"), "--version", "1"); code != exitDone || s.State != stateCurrent {
		t.Fatal(code, s)
	}
}

func TestUpdatesThatAreRefused(t *testing.T) {
	one, two, three := makeContent("1", 1), makeContent("2", 2), makeContent("3", 3)
	same, twin := makeContent("2", 7), makeContent("3", 2)
	large := makeContent("3", 3)
	data := make([]byte, testRootSize+16*blockSize)
	tree, rootHash := hashTree(data, nil)
	large = describe("3", rootHash, data, tree, large.kernel())
	broken := makeContent("3", 3)
	broken.files[broken.release.Files.Verity.Name][50]++
	foreign := makeContent("3", 3)
	foreign = describe("3", foreign.release.RootHash, foreign.files[foreign.release.Files.Root.Name],
		foreign.files[foreign.release.Files.Verity.Name], two.kernel())
	crooked := makeContent("3", 3)
	crooked.files[crooked.release.Files.Verity.Name][blockSize+5]++
	crooked = describe("3", crooked.release.RootHash, crooked.files[crooked.release.Files.Root.Name],
		crooked.files[crooked.release.Files.Verity.Name], crooked.kernel())
	for name, c := range map[string]struct {
		set     content
		entries string
		words   string
		code    int
		// What was written before it was refused.
		writes bool
	}{
		"older than the 2 that runs":         {one, "demo_2.efi", "", exitRefused, false},
		"has another root than the 2":        {same, "demo_2.efi", "--allow-downgrade", exitRefused, false},
		"has the root of the 2":              {twin, "demo_2.efi", "", exitRefused, false},
		"and partition 4 has":                {large, "demo_2.efi", "", exitRefused, false},
		"no entry of the 2":                  {three, "demo_1.efi", "", exitRefused, false},
		"has not been found healthy yet":     {three, "demo_2+2-1.efi", "", exitBusy, false},
		"tried on this machine and failed":   {three, "demo_2.efi demo_3+0-3.efi", "", exitRefused, false},
		"what was fetched has":               {broken, "demo_2.efi", "", exitRefused, true},
		"on its command line, and the index": {foreign, "demo_2.efi", "", exitRefused, false},
		"of the hash tree does not fit":      {crooked, "demo_2.efi", "", exitRefused, true},
		"the index has no release 9":         {three, "demo_2.efi", "--version=9", exitRefused, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, two, nil, strings.Fields(c.entries)...)
			from := b.set()
			for file, data := range makeSet(c.set) {
				b.write("set/"+file, data)
			}
			before := b.disk()
			words := append([]string{"apply", "--from", from}, strings.Fields(c.words)...)
			code, s := b.run(words...)
			if code != c.code || s.State != stateFailed || !strings.Contains(s.Error, name) {
				t.Errorf("%d: %s", code, s.Error)
			}
			if b.entries() != c.entries {
				t.Errorf("entries: %s", b.entries())
			}
			if same := bytes.Equal(before, b.disk()); same == c.writes {
				t.Errorf("nothing was written: %v", same)
			}
		})
	}
}

func TestIndexesOfOthersAreRefused(t *testing.T) {
	one := makeContent("1", 1)
	b := newBench(t, one, nil, "demo_1.efi")
	for want, change := range map[string]func(*index){
		`for the product "other"`:      func(i *index) { i.Product = "other" },
		`for the architecture "arm64"`: func(i *index) { i.Architecture = "arm64" },
		"schema is 2":                  func(i *index) { i.Schema = 2 },
		"has no release":               func(i *index) { i.Releases = nil },
	} {
		b.write("set/index.json", sealed(indexWith(change), payloadType, testKey))
		if code, s := b.run("check", "--from", b.path("set")); code != exitRefused || !strings.Contains(s.Error, want) {
			t.Errorf("%s: %d %s", want, code, s.Error)
		}
	}
	b.write("set/index.json", []byte(`{"payloadType":"x"}`))
	if code, _ := b.run("check", "--from", b.path("set")); code != exitRefused {
		t.Error(code)
	}
	b.write("cmdline", []byte("root=/dev/vda1"))
	if code, s := b.run("status"); code != exitRefused || !strings.Contains(s.Error, "verified root") {
		t.Error(code, s)
	}
}

func TestDowngradesAreTakenIfWanted(t *testing.T) {
	one, two := makeContent("1", 1), makeContent("2", 2)
	b := newBench(t, two, nil, "demo_2.efi")
	from := b.set(one)
	if code, s := b.run("apply", "--from", from, "--allow-downgrade"); code != exitDone || s.State != stateApplied {
		t.Fatal(code, s)
	}
	// The boot loader takes the newest that has tries left.
	if b.entries() != "demo_1+3.efi demo_2+0.efi" {
		t.Fatal(b.entries())
	}
	if code, s := b.run("apply", "--from", from, "--allow-downgrade"); code != exitDone || s.State != stateApplied {
		t.Fatal(code, s)
	}
}

func TestOneRunAtATime(t *testing.T) {
	one, two := makeContent("1", 1), makeContent("2", 2)
	b := newBench(t, one, nil, "demo_1.efi")
	from := b.set(two)
	for _, name := range []string{"state/lock", "disk.img"} {
		if name == "state/lock" {
			b.write(name, nil)
		}
		file, err := os.Open(b.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		if code, s := b.run("apply", "--from", from); code != exitBusy || !strings.Contains(s.Error, "has locked") {
			t.Error(name, code, s)
		}
		file.Close()
	}
}

func TestWordsThatAreWrong(t *testing.T) {
	for _, words := range []string{"", "check", "apply", "later", "check --from x more", "check --from x --attempts 0", "check --nothing"} {
		if code := run(strings.Fields(words)); code != exitUsage {
			t.Errorf("%s: %d", words, code)
		}
	}
}
