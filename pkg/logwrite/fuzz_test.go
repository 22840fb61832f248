package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func FuzzLines(f *testing.F) {
	f.Add(`{"time": "2026-01-02T03:04:05Z", "source": "web", "msg": "hello"}`)
	f.Add(`{"source": "../../etc/x", "msg": "a\nb"}{"source": "..", "msg": ""}`)
	f.Add(`{"source": "\u0000/", "msg": 5}`)
	f.Fuzz(func(t *testing.T, text string) {
		parent := t.TempDir()
		directory := filepath.Join(parent, "logs")
		if err := os.Mkdir(directory, 0o755); err != nil {
			t.Fatal(err)
		}
		to := newFiles(directory, 1, 64)
		if copyLines(strings.NewReader(text), to) == nil {
			t.Error("the end of lines is no error")
		}
		for _, one := range to.open {
			one.file.Close()
		}
		if entries, _ := os.ReadDir(parent); len(entries) != 1 {
			t.Errorf("%v", entries)
		}
	})
}
