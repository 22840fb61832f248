// The kernel's messages, as dmesg shows them, on standard output as they come.
//
//	kmsg [-device FILE]
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"syscall"
)

// longestRecord is more than the kernel makes of one message.
const longestRecord = 16 << 10

func main() {
	path := flag.String("device", "/dev/kmsg", "the device of the kernel's messages")
	flag.Parse()
	device, err := os.Open(*path)
	if err == nil {
		err = follow(device, os.Stdout)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "kmsg: %v\n", err)
		os.Exit(1)
	}
}

// follow writes all messages of a device, each read of which gives one.
func follow(device io.Reader, output io.Writer) error {
	buffer := make([]byte, longestRecord)
	for {
		n, err := device.Read(buffer)
		switch {
		case errors.Is(err, syscall.EPIPE):
			// The kernel has overwritten messages before they were read; the next read goes on.
			if _, err := io.WriteString(output, "kmsg: messages were lost\n"); err != nil {
				return err
			}
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if one, ok := parse(buffer[:n]); ok && !one.isOfInit() {
			if _, err := io.WriteString(output, one.String()+"\n"); err != nil {
				return err
			}
		}
	}
}
