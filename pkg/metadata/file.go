package main

// Metadata in a file: of an image, of a disk that was mounted, of a folder shared with the host.

import (
	"context"
	"fmt"
	"io"
	"os"
)

const largestFile = 16 << 20

type fileProvider string

func (p fileProvider) name() string { return string(p) }

func (p fileProvider) ask(context.Context) (*metadata, error) {
	data, err := readSmall(string(p))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &metadata{userdata: data}, nil
}

// readSmall reads a file that is no larger than metadata ever is.
func readSmall(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, largestFile+1))
	if err == nil && len(data) > largestFile {
		err = fmt.Errorf("%s is larger than 16 MiB", path)
	}
	return data, err
}
