package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

func TestNamesOfEntries(t *testing.T) {
	for file, want := range map[string]bootEntry{
		"x_2.efi":          {base: "x_2"},
		"X_2.EFI":          {base: "X_2"},
		"x_2+3.efi":        {base: "x_2", counted: true, left: 3},
		"x_2+2-1.efi":      {base: "x_2", counted: true, left: 2, done: 1},
		"x_2+0-12.efi":     {base: "x_2", counted: true, done: 12},
		"x_1.0+5+3.efi":    {base: "x_1.0+5", counted: true, left: 3},
		"x_2+.efi":         {base: "x_2+"},
		"x_2+a.efi":        {base: "x_2+a"},
		"x_2+1-.efi":       {base: "x_2+1-"},
		"x_2+1-2-3.efi":    {base: "x_2+1-2-3"},
		"x_2+-1.efi":       {base: "x_2+-1"},
		"+3.efi":           {base: "+3"},
		"x+1234567890.efi": {base: "x+1234567890"},
	} {
		want.file = file
		if got, fine := parseEntryName(file); !fine || got != want {
			t.Errorf("%s: %+v, %v", file, got, fine)
		}
	}
	for _, file := range []string{"", ".efi", "x.conf", "xefi", "a/x.efi", `a\x.efi`, "x\x00.efi"} {
		if got, fine := parseEntryName(file); fine {
			t.Errorf("%q: %+v", file, got)
		}
	}
}

func TestTheEntryThatRuns(t *testing.T) {
	files := []string{"x_1.efi", "x_2+2-1.efi", "x_3+0-3.efi", "notes.txt"}
	for _, c := range []struct {
		countPath, selected, want string
	}{
		{`\EFI\Linux\x_2+2-1.efi`, "x_2+3.efi", "x_2+2-1.efi"},
		// Renamed since.
		{`\EFI\Linux\x_2+3.efi`, "", "x_2+2-1.efi"},
		{"", "x_1.efi", "x_1.efi"},
		{"", "X_1.efi@1", "x_1.efi"},
		{"", "x_3+1-2.efi", "x_3+0-3.efi"},
	} {
		l := loaderState{countPath: c.countPath, selected: c.selected}
		if got, err := l.running(parseEntries(files)); err != nil || got.file != c.want {
			t.Errorf("%+v: %+v, %v", l, got, err)
		}
	}
	for _, l := range []loaderState{{}, {selected: "x_4.efi"}, {selected: "auto-windows"}, {countPath: `\loader\entries\x+3.conf`}} {
		if got, err := l.running(parseEntries(files)); err == nil {
			t.Errorf("%+v: %+v", l, got)
		}
	}
	if got, err := (loaderState{selected: "x_1.efi"}).running(parseEntries([]string{"x_1+3.efi", "x_1.efi"})); err != nil || got.counted {
		t.Errorf("of two names for one: %+v, %v", got, err)
	}
	for path, want := range map[string]string{
		"": "EFI/Linux", `\EFI\Linux\a.efi`: "EFI/Linux", `\..\..\etc\a.efi`: "etc", `a.efi`: "EFI/Linux",
	} {
		if got := (loaderState{countPath: path}).directory(); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func entriesIn(t *testing.T, files ...string) string {
	t.Helper()
	directory := t.TempDir()
	for _, file := range files {
		write(t, filepath.Join(directory, file), file)
	}
	return directory
}

func TestEntriesAreBlessed(t *testing.T) {
	directory := entriesIn(t, "x_1.efi", "x_2+2-1.efi")
	counted := loaderState{countPath: `\EFI\Linux\x_2+2-1.efi`}
	for i, wasCounted := range []bool{true, false} {
		entry, err := blessIn(directory, counted)
		if err != nil || entry.base != "x_2" || entry.counted != wasCounted {
			t.Errorf("%d: %+v, %v", i, entry, err)
		}
		if files, _ := listFiles(directory); !reflect.DeepEqual(files, []string{"x_1.efi", "x_2.efi"}) {
			t.Error(files)
		}
	}
	directory = entriesIn(t, "x_2.efi", "x_2+2-1.efi")
	if _, err := blessIn(directory, counted); err == nil {
		t.Error("an entry is written over")
	}
}

func TestEntriesAreMarkedAsBad(t *testing.T) {
	for _, c := range []struct {
		files    []string
		selected string
		next     string
		left     []string
	}{
		{[]string{"x_1.efi", "x_2.efi"}, "x_2.efi", "x_1", []string{"x_1.efi", "x_2+0-1.efi"}},
		{[]string{"x_1.efi", "x_2+2-1.efi"}, "x_2.efi", "x_1", []string{"x_1.efi", "x_2+0-1.efi"}},
		{[]string{"x_1+1.efi", "x_2+1-2.efi"}, "x_2.efi", "x_1", []string{"x_1+1.efi", "x_2+0-2.efi"}},
		{[]string{"x_1.efi", "x_2+0-1.efi", "x_2.efi"}, "x_2.efi", "x_1", []string{"x_1.efi", "x_2+0-1.efi", "x_2+0-2.efi"}},
		{[]string{"x_1+0-3.efi", "x_2.efi"}, "x_2.efi", "", []string{"x_1+0-3.efi", "x_2.efi"}},
		{[]string{"x_2+1.efi", "x_2.efi"}, "x_2.efi", "", []string{"x_2+1.efi", "x_2.efi"}},
	} {
		directory := entriesIn(t, c.files...)
		_, next, err := markBadIn(directory, loaderState{selected: c.selected})
		if next.base != c.next || (err == nil) != (c.next != "") {
			t.Errorf("%v: %+v, %v", c.files, next, err)
		}
		if files, _ := listFiles(directory); !reflect.DeepEqual(files, c.left) {
			t.Errorf("%v: %v", c.files, files)
		}
	}
}

func TestWhatIsStartedAfterASystemThatIsNotHealthy(t *testing.T) {
	for _, c := range []struct {
		files   []string
		running string
		want    string
	}{
		{[]string{"x_1.efi", "x_2+2-1.efi"}, "x_2+2-1.efi", "x_2"},
		{[]string{"x_1.efi", "x_2+0-3.efi"}, "x_2+0-3.efi", "x_1"},
		{[]string{"x_1+0-1.efi", "x_2+0-3.efi"}, "x_2+0-3.efi", ""},
	} {
		running, _ := parseEntryName(c.running)
		if got := nextTry(parseEntries(c.files), running); got.base != c.want {
			t.Errorf("%v: %+v", c.files, got)
		}
	}
}

func encoded(text string) []byte {
	data := []byte{6, 0, 0, 0}
	for _, unit := range utf16.Encode([]rune(text + "\x00")) {
		data = append(data, byte(unit), byte(unit>>8))
	}
	return data
}

func TestVariablesOfTheFirmware(t *testing.T) {
	for _, want := range []string{"", `\EFI\Linux\x_2+3.efi`, "ä😀"} {
		if got, err := parseVariable(encoded(want)); err != nil || got != want {
			t.Errorf("%q: %q, %v", want, got, err)
		}
	}
	if got, err := parseVariable([]byte{6, 0, 0, 0, 'a', 0}); err != nil || got != "a" {
		t.Errorf("without an end: %q, %v", got, err)
	}
	for _, wrong := range [][]byte{nil, {6, 0, 0}, {6, 0, 0, 0, 'a'}} {
		if got, err := parseVariable(wrong); err == nil {
			t.Errorf("%v: %q", wrong, got)
		}
	}
}

func TestWhatHealthIs(t *testing.T) {
	usual := healthOptions{after: 10 * time.Second, limit: 5 * time.Minute}
	asked := usual
	asked.wanted = true
	many := healthOptions{[]healthCheck{{"web", nil}, {"db", []string{"redis-cli", "ping"}}}, time.Second, time.Minute, true}
	for line, want := range map[string]healthOptions{
		"console=ttyS0":        usual,
		"roothash=" + someHash: asked,
		"dolmen.healthy=":      asked,
		`"dolmen.healthy=web,exec:db:redis-cli ping" dolmen.healthy-after=1s dolmen.healthy-limit=1m`: many,
		`dolmen.healthy="web,exec:db:redis-cli ping" dolmen.healthy-after=1s dolmen.healthy-limit=1m`: many,
	} {
		if got, err := parseHealthOptions(line); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
	for _, line := range []string{"dolmen.healthy=exec:db", "dolmen.healthy=exec::x", "dolmen.healthy-after=soon", "dolmen.healthy-limit=-1s"} {
		if got, err := parseHealthOptions(line); err == nil || !got.wanted {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
}

func TestWhetherServicesAreHealthy(t *testing.T) {
	s := &system{}
	add := func(name string, running bool, last string) *service {
		one := &service{bundle: bundle{name: name}, last: last, starts: 1}
		if running {
			one.container = &container{}
		}
		s.services = append(s.services, one)
		return one
	}
	web, once := add("web", true, "running"), add("once", false, "exit status 0")
	if reason, _ := s.checkHealth(nil); reason != "not all is started" {
		t.Error(reason)
	}
	s.started.Store(true)
	if reason, starts := s.checkHealth(nil); reason != "" || starts != 2 {
		t.Error(reason, starts)
	}
	for _, c := range []struct{ name, want string }{
		{"web", ""}, {"once", "once does not run: exit status 0"}, {"none", "there is no service none"},
	} {
		if reason, _ := s.checkHealth([]healthCheck{{service: c.name}}); reason != c.want {
			t.Errorf("%s: %s", c.name, reason)
		}
	}
	once.last = "exit status 1"
	if reason, _ := s.checkHealth(nil); reason != "once does not run: exit status 1" {
		t.Error(reason)
	}
	once.last = "exit status 0"
	began := time.Now()
	go func() {
		time.Sleep(700 * time.Millisecond)
		web.lock.Lock()
		defer web.lock.Unlock()
		web.starts++
	}()
	s.awaitHealth(healthOptions{after: time.Second})
	if took := time.Since(began); took < 1700*time.Millisecond {
		t.Errorf("a service that was started again is healthy after %s", took)
	}
}

func TestTheCommandForHealth(t *testing.T) {
	s := &system{}
	ask := func() (string, int) {
		path := filepath.Join(t.TempDir(), "out")
		out, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		status := s.perform(call{[]string{"health"}, []*os.File{out, out, out}})
		content, _ := os.ReadFile(path)
		return string(content), status
	}
	if text, status := ask(); status != 1 || !strings.HasPrefix(text, "nothing is watched") {
		t.Errorf("%q, %d", text, status)
	}
	s.health.set("not healthy yet: web does not run", false)
	if text, status := ask(); status != 1 || text != "not healthy yet: web does not run\n" {
		t.Errorf("%q, %d", text, status)
	}
	s.health.set("entry x_2 is blessed", true)
	if text, status := ask(); status != 0 || text != "entry x_2 is blessed\n" {
		t.Errorf("%q, %d", text, status)
	}
}

func FuzzEntryNames(f *testing.F) {
	f.Add("x_2+3-1.efi")
	f.Add("x+.efi")
	f.Fuzz(func(t *testing.T, file string) {
		entry, fine := parseEntryName(file)
		if !fine {
			return
		}
		if entry.base == "" || entry.left < 0 || entry.done < 0 || strings.ContainsAny(entry.base, "/\\\x00") {
			t.Errorf("%q: %+v", file, entry)
		}
		bad, fine := parseEntryName(entry.badName(func(string) bool { return false }))
		if !fine || bad.base != entry.base || bad.isUsable() {
			t.Errorf("%q: %+v", file, bad)
		}
	})
}

func FuzzVariables(f *testing.F) {
	f.Add(encoded(`\EFI\Linux\x_2+3.efi`))
	f.Fuzz(func(t *testing.T, content []byte) {
		text, err := parseVariable(content)
		if err != nil {
			return
		}
		l := loaderState{countPath: text, selected: text}
		if strings.HasPrefix(l.directory(), "..") || strings.HasPrefix(l.directory(), "/") {
			t.Errorf("%q: %s", text, l.directory())
		}
		_, _ = l.running(parseEntries([]string{"x_2.efi"}))
	})
}

func FuzzHealthOptions(f *testing.F) {
	f.Add(`dolmen.healthy="web,exec:db:redis-cli ping" roothash=ab`)
	f.Fuzz(func(t *testing.T, line string) {
		o, err := parseHealthOptions(line)
		if err == nil && (o.after < 0 || o.limit < 0) {
			t.Errorf("%q: %+v", line, o)
		}
		_, _ = parseVerityOptions(line)
	})
}
