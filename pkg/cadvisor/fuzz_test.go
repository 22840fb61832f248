package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func FuzzGroups(f *testing.F) {
	f.Add("web", []byte("anon 5\nfile 7\nusage_usec 9\n"))
	f.Add("a\"b\\c\nd", []byte("8:0 rbytes=1 wbytes=2 rios=3\n"))
	f.Add("x", []byte("18446744073709551616"))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		root := t.TempDir()
		directory := filepath.Join(root, filepath.Base("/"+name))
		if strings.ContainsRune(name, '/') || os.MkdirAll(directory, 0o755) != nil {
			return
		}
		for _, file := range []string{"cpu.stat", "memory.stat", "memory.current", "io.stat", "pids.current"} {
			if err := os.WriteFile(filepath.Join(directory, file), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		groups, err := findGroups(root)
		if err != nil {
			t.Fatal(err)
		}
		var output bytes.Buffer
		if err := writeMetrics(&output, groups); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(output.String(), "\n") {
			if line != "" && !strings.HasPrefix(line, "# ") && !strings.Contains(line, "{id=\"/") {
				t.Errorf("%q is no sample", line)
			}
		}
	})
}
