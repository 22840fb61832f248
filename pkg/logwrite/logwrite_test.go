package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func stream(lines ...line) io.Reader {
	var text strings.Builder
	for _, one := range lines {
		_ = json.NewEncoder(&text).Encode(one)
	}
	return strings.NewReader(text.String())
}

func content(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func TestEachSourceHasAFile(t *testing.T) {
	directory := t.TempDir()
	then := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	lines := stream(line{then, "web", "one"}, line{then, "onboot.000-a", "x"}, line{then, "../../etc/x", "y"},
		line{then, "logwrite", "no"}, line{then, "web", "two"})
	if err := copyLines(lines, newFiles(directory, 3, 1000)); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if got := content(directory + "/web.log"); got != "2026-01-02T03:04:05Z web one\n2026-01-02T03:04:05Z web two\n" {
		t.Errorf("%q", got)
	}
	found, _ := filepath.Glob(directory + "/*")
	if len(found) != 3 {
		t.Errorf("%v", found)
	}
}

func TestOldFilesGo(t *testing.T) {
	for _, older := range []int{0, 1, 3} {
		directory := t.TempDir()
		logs := newFiles(directory, older, 100)
		for i := 0; i < 100; i++ {
			if err := logs.write(line{Source: "web", Text: fmt.Sprintf("line %d", i)}); err != nil {
				t.Fatal(err)
			}
		}
		found, _ := filepath.Glob(directory + "/*")
		for _, path := range found {
			if state, err := os.Stat(path); err != nil || state.Size() > 150 {
				t.Errorf("%s: %v, %v", path, state, err)
			}
		}
		if len(found) != older && len(found) != older+1 {
			t.Errorf("%d older: %v", older, found)
		}
		if older > 0 && !strings.Contains(content(directory+"/web.log")+content(directory+"/web.log.1"), "line 99") {
			t.Errorf("the last line is lost")
		}
	}
}

func TestAFileGoesOnAfterARestart(t *testing.T) {
	directory := t.TempDir()
	for i := 0; i < 3; i++ {
		if err := newFiles(directory, 3, 70).write(line{Source: "web", Text: "0123456789"}); err != nil {
			t.Fatal(err)
		}
	}
	if old := content(directory + "/web.log.1"); strings.Count(old, "0123456789") != 2 {
		t.Errorf("%q", old)
	}
}

func TestADirectoryThatIsMissingEndsNothing(t *testing.T) {
	logs := newFiles(t.TempDir()+"/missing", 3, 70)
	if err := copyLines(stream(line{Source: "web"}, line{Source: "web"}), logs); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}
