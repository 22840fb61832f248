package main

// Sources: servers that break off, redirect, send something else or nothing, and registries.

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var testSettings = settings{stall: 5 * time.Second, pause: time.Millisecond, attempts: 2, say: quiet}

// read fetches a file of a source from an offset on.
func read(from string, f file, offset int64, s settings) ([]byte, error) {
	ctx := context.Background()
	source, err := openSource(ctx, from, s)
	if err != nil {
		return nil, err
	}
	defer source.close()
	var all []byte
	err = fetch(ctx, source, s, f, offset, func(data []byte) error {
		all = append(all, data...)
		return nil
	})
	return all, err
}

func TestBrokenConnectionsGoOn(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 30000)
	for _, ranges := range []bool{true, false} {
		requests := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests++
			if !ranges {
				r.Header.Del("Range")
			}
			if requests < 4 {
				panicking := &breaking{ResponseWriter: w, left: 30000 * requests}
				http.ServeContent(panicking, r, "x", time.Time{}, bytes.NewReader(data))
				panic(http.ErrAbortHandler)
			}
			http.ServeContent(w, r, "x", time.Time{}, bytes.NewReader(data))
		}))
		got, err := read(server.URL+"/set/index.json", file{Name: "x", Size: int64(len(data))}, 10, testSettings)
		server.Close()
		if err != nil || !bytes.Equal(got, data[10:]) || requests != 4 {
			t.Errorf("ranges %v: %d bytes in %d requests: %v", ranges, len(got), requests, err)
		}
	}
}

// breaking sends a part of an answer.
type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	if len(p) > b.left {
		_, _ = b.ResponseWriter.Write(p[:b.left])
		b.ResponseWriter.(http.Flusher).Flush()
		b.left = 0
		return 0, errors.New("broken off")
	}
	b.left -= len(p)
	return b.ResponseWriter.Write(p)
}

func TestServersThatAreRefused(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	counts := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		counts[r.URL.Path]++
		switch r.URL.Path {
		case "/scheme/x":
			http.Redirect(w, r, secure.URL, http.StatusFound)
		case "/loop/x":
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		case "/range/x":
			w.Header().Set("Content-Range", "bytes 0-9/10")
			w.WriteHeader(http.StatusPartialContent)
		case "/busy/x":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/silent/x":
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/short/x":
			fmt.Fprint(w, "12345")
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	s := testSettings
	s.stall = 300 * time.Millisecond
	for path, want := range map[string]struct {
		text     string
		requests int
	}{
		"scheme": {"redirects from http to https", 1},
		"loop":   {"more than 5 times", 6},
		"range":  {`sent the range "bytes 0-9/10"`, 2},
		"busy":   {"status 503", 2},
		"silent": {"ended after 1 of 10 bytes", 2},
		"none":   {"status 404", 1},
	} {
		_, err := read(server.URL+"/"+path, file{Name: "x", Size: 10}, 1, s)
		if err == nil || !strings.Contains(err.Error(), want.text) && path != "silent" || counts["/"+path+"/x"] != want.requests {
			t.Errorf("%s: %v after %d requests", path, err, counts["/"+path+"/x"])
		}
	}
	if _, err := read(server.URL+"/short", file{Name: "x", Size: 10}, 0, s); err == nil || !strings.Contains(err.Error(), "ended after") {
		t.Error(err)
	}
	for _, from := range []string{"ftp://host/x", "https:///x", "file://host/x", "set", "oci://host/UPPER", "oci:///x"} {
		if _, err := read(from, file{Name: "x", Size: 1}, 0, s); exitCode(err) != exitRefused {
			t.Errorf("%s: %v", from, err)
		}
	}
}

func TestLargeIndexesAreRefused(t *testing.T) {
	set := memory{indexName: make([]byte, largestIndex+1)}
	if _, err := readIndex(context.Background(), set, testSettings); exitCode(err) != exitRefused {
		t.Error(err)
	}
}

func TestTimeIsLimited(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	s := testSettings
	s.attempts = 1000
	began := time.Now()
	err := attempt(ctx, s, func() (bool, error) { return true, errors.New("again") })
	if err == nil || time.Since(began) > 10*time.Second {
		t.Error(err)
	}
}

// A registry that gives tokens to who has the right password.
func testRegistry(t *testing.T, set map[string][]byte, password string) *httptest.Server {
	t.Helper()
	var server *httptest.Server
	layers := []map[string]any{}
	blobs := map[string][]byte{}
	for name, data := range set {
		digest := "sha256:" + sumOf(data)
		blobs[digest] = data
		layers = append(layers, map[string]any{"digest": digest, "size": len(data), "annotations": map[string]string{titleKey: name}})
	}
	manifest, _ := json.Marshal(map[string]any{"schemaVersion": 2, "layers": layers})
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			_, given, _ := r.BasicAuth()
			if given != password || r.URL.Query().Get("scope") != "repository:team/demo:pull" || r.URL.Query().Get("service") != "here" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			fmt.Fprint(w, `{"token":"secret"}`)
			return
		}
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+server.URL+`/token",service="here"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		kind, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/team/demo/"), "/")
		switch {
		case kind == "manifests" && (name == "stable" || name == "sha256:"+sumOf(manifest) || strings.HasPrefix(name, "sha256:00")):
			_, _ = w.Write(manifest)
		case kind == "blobs" && blobs[name] != nil:
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(blobs[name]))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	manifestDigest = "sha256:" + sumOf(manifest)
	return server
}

var manifestDigest string

func TestRegistries(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 1000)
	set := map[string][]byte{"x": data}
	server := testRegistry(t, set, "")
	host := strings.TrimPrefix(server.URL, "http://")
	f := file{Name: "x", Size: int64(len(data))}
	for _, reference := range []string{":stable", "@" + manifestDigest} {
		if got, err := read("oci+http://"+host+"/team/demo"+reference, f, 7, testSettings); err != nil || !bytes.Equal(got, data[7:]) {
			t.Errorf("%s: %d bytes, %v", reference, len(got), err)
		}
	}
	for reference, want := range map[string]string{
		":none":                              "status 404",
		"@sha256:" + strings.Repeat("0", 64): "the manifest is not sha256:00",
	} {
		if _, err := read("oci+http://"+host+"/team/demo"+reference, f, 0, testSettings); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", reference, err)
		}
	}
	f.Name = "y"
	if _, err := read("oci+http://"+host+"/team/demo:stable", f, 0, testSettings); exitCode(err) != exitRefused {
		t.Error(err)
	}
}

func TestRegistriesWithPasswords(t *testing.T) {
	server := testRegistry(t, map[string][]byte{"x": []byte("data")}, "pass")
	host := strings.TrimPrefix(server.URL, "http://")
	s := testSettings
	f := file{Name: "x", Size: 4}
	if _, err := read("oci+http://"+host+"/team/demo:stable", f, 0, s); err == nil || !strings.Contains(err.Error(), "status 401") {
		t.Error(err)
	}
	s.auth = filepath.Join(t.TempDir(), "config.json")
	text, _ := json.Marshal(map[string]any{"auths": map[string]any{
		host: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("user:pass"))}}})
	if err := os.WriteFile(s.auth, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := read("oci+http://"+host+"/team/demo:stable", f, 0, s); err != nil || string(got) != "data" {
		t.Error(got, err)
	}
}
