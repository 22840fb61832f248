package main

// Where an update set comes from, and reading its files with as many attempts as it takes.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// source gives the files of an update set.
type source interface {
	// open returns the content of a file from an offset on.
	open(ctx context.Context, name string, offset int64) (io.ReadCloser, error)
	close()
}

// settings are what network sources need.
type settings struct {
	// Without data for so long a connection counts as broken.
	stall time.Duration
	// Attempts without any data, one after the other.
	attempts int
	// Before the second attempt; then it doubles.
	pause time.Duration
	// Credentials, as container engines keep them.
	auth  string
	state string
	say   func(format string, values ...any)
}

// permanent is a failure that another attempt does not mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

func openSource(ctx context.Context, from string, s settings) (source, error) {
	if strings.HasPrefix(from, "/") {
		return openPath(from, s)
	}
	where, err := url.Parse(from)
	if err != nil {
		return nil, err
	}
	switch where.Scheme {
	case "http", "https":
		return newWeb(where, s)
	case "oci", "oci+http":
		return newRegistry(ctx, where, s)
	case "file":
		if where.Host == "" || where.Host == "localhost" {
			return openPath(where.Path, s)
		}
	}
	return nil, refuse("%s: a source is an https:, http:, oci: or file: URL, or a path", from)
}

// directory is an update set in a directory, maybe one that was mounted for it.
type directory struct{ path, point string }

func openPath(path string, s settings) (source, error) {
	about, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if about.Mode()&os.ModeDevice != 0 {
		return mountSource(path, filepath.Join(s.state, "source"))
	}
	if !about.IsDir() {
		path = filepath.Dir(path)
	}
	return &directory{path: path}, nil
}

func mountSource(device, point string) (source, error) {
	if err := os.MkdirAll(point, 0o700); err != nil {
		return nil, err
	}
	flags := uintptr(syscall.MS_RDONLY | syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC)
	for _, kind := range []string{"vfat", "ext4", "iso9660", "squashfs", "erofs", "xfs"} {
		if err := syscall.Mount(device, point, kind, flags, ""); err == nil {
			return &directory{path: point, point: point}, nil
		}
	}
	return nil, refuse("%s has no file system that can be read", device)
}

func (d *directory) open(_ context.Context, name string, offset int64) (io.ReadCloser, error) {
	file, err := os.Open(filepath.Join(d.path, name))
	if err == nil {
		_, err = file.Seek(offset, io.SeekStart)
	}
	if err != nil {
		return nil, permanent{err}
	}
	return file, nil
}

func (d *directory) close() {
	if d.point != "" {
		_ = syscall.Unmount(d.point, syscall.MNT_DETACH)
	}
}

// readIndex reads the index, which says nothing of its size before.
func readIndex(ctx context.Context, from source, s settings) ([]byte, error) {
	var text []byte
	err := attempt(ctx, s, func() (bool, error) {
		body, err := from.open(ctx, indexName, 0)
		if err != nil {
			return false, err
		}
		defer body.Close()
		text, err = io.ReadAll(io.LimitReader(body, largestIndex+1))
		if err == nil && len(text) > largestIndex {
			err = refuse("%s has more than %d bytes", indexName, largestIndex)
		}
		return false, err
	})
	return text, err
}

// attempt repeats what may fail for a while; it begins to count again after progress.
func attempt(ctx context.Context, s settings, do func() (bool, error)) error {
	pause := s.pause
	for failures := 0; ; {
		moved, err := do()
		var last permanent
		var no refusal
		if err == nil || ctx.Err() != nil || errors.As(err, &last) || errors.As(err, &no) {
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("the time is over: %w", ctx.Err())
			}
			if ctx.Err() != nil && err != nil {
				return fmt.Errorf("ended: %w", ctx.Err())
			}
			return err
		}
		if moved {
			failures, pause = 0, s.pause
		}
		if failures++; failures >= s.attempts {
			return err
		}
		s.say("%v; another attempt in %s", err, pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		if pause *= 2; pause > time.Minute {
			pause = time.Minute
		}
	}
}

// fetch hands a file on piece by piece, from an offset on; broken connections go on where they were.
func fetch(ctx context.Context, from source, s settings, f file, offset int64, sink func([]byte) error) error {
	buffer := make([]byte, piece)
	return attempt(ctx, s, func() (bool, error) {
		begun := offset
		body, err := from.open(ctx, f.Name, offset)
		if err != nil {
			return false, err
		}
		defer body.Close()
		for offset < f.Size {
			want := buffer
			if left := f.Size - offset; left < int64(len(want)) {
				want = want[:left]
			}
			n, err := io.ReadFull(body, want)
			if n > 0 {
				if failure := sink(want[:n]); failure != nil {
					return true, permanent{failure}
				}
				offset += int64(n)
			}
			if err != nil {
				return offset > begun, fmt.Errorf("%s ended after %d of %d bytes: %w", f.Name, offset, f.Size, err)
			}
		}
		return true, nil
	})
}
