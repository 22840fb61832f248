package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree makes cgroups with files, by their paths.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func get(root, path string) (int, string) {
	answer := httptest.NewRecorder()
	handler(root).ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
	return answer.Code, answer.Body.String()
}

func TestFiguresOfAllGroupsAreThere(t *testing.T) {
	root := tree(t, map[string]string{
		"cpu.stat":                  "usage_usec 3500000\nuser_usec 2000000\n",
		"a/web/memory.current":      "4096\n",
		"a/web/memory.stat":         "anon 1024\ninactive_file 1000\n",
		"a/web/memory.max":          "max\n",
		"a/web/io.stat":             "8:0 rbytes=10 wbytes=1 rios=2\n8:16 rbytes=5 wbytes=0 rios=1\n",
		"a/web/memory.swap.current": "nonsense",
		`b"x/pids.current`:          "7\n",
	})
	code, text := get(root, "/metrics")
	for _, wanted := range []string{
		"# TYPE container_cpu_usage_seconds_total counter\ncontainer_cpu_usage_seconds_total{id=\"/\",name=\"/\"} 3.5\n",
		`container_memory_usage_bytes{id="/a/web",name="web"} 4096`,
		`container_memory_working_set_bytes{id="/a/web",name="web"} 3096`,
		`container_memory_rss{id="/a/web",name="web"} 1024`,
		`container_fs_reads_bytes_total{id="/a/web",name="web"} 15`,
		`container_threads{id="/b\"x",name="b\"x"} 7`,
	} {
		if !strings.Contains(text, wanted) {
			t.Errorf("there is no %q in:\n%s", wanted, text)
		}
	}
	for _, unwanted := range []string{"container_spec_memory_limit_bytes", "container_memory_swap"} {
		if code != 200 || strings.Contains(text, unwanted) {
			t.Errorf("%d, and there is %s in:\n%s", code, unwanted, text)
		}
	}
}

func TestWorkingSetIsNeverNegative(t *testing.T) {
	root := tree(t, map[string]string{"memory.current": "10", "memory.stat": "inactive_file 20\n"})
	if _, text := get(root, "/metrics"); !strings.Contains(text, `container_memory_working_set_bytes{id="/",name="/"} 0`) {
		t.Error(text)
	}
}

func TestASystemWithoutGroupsIsAnError(t *testing.T) {
	if code, text := get(t.TempDir()+"/none", "/metrics"); code != 500 {
		t.Errorf("%d: %s", code, text)
	}
	if code, text := get("/none", "/healthz"); code != 200 || text != "ok" {
		t.Errorf("%d: %s", code, text)
	}
}
