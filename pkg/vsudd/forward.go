package main

import (
	"errors"
	"io"
	"net"
	"time"
)

// A stream is a connection whose directions end separately.
type stream interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// An acceptor gives the connections that the host makes.
type acceptor interface {
	accept() (stream, error)
}

// acceptAll connects each connection of the host to one of its own in the system.
func acceptAll(from acceptor, dial func() (stream, error)) error {
	for {
		outer, err := from.accept()
		if err != nil {
			return err
		}
		go func() {
			inner, err := dial()
			if err != nil {
				say("%v", err)
				outer.Close()
				return
			}
			join(outer, inner)
		}()
	}
}

// join copies in both directions until both have ended.
func join(one, other stream) {
	done := make(chan struct{})
	go func() {
		pass(one, other)
		close(done)
	}()
	pass(other, one)
	<-done
	one.Close()
	other.Close()
}

// pass copies until the end, and hands the end on; after an error neither direction has a use.
func pass(to, from stream) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	_ = to.CloseWrite()
}

// A hostPort is one end of a virtio-serial port: a stream that the host opens and closes.
type hostPort interface {
	// Read calls connected before it waits for data of a host that has opened the port; io.EOF says
	// that the host has closed it.
	read(data []byte, connected func()) (int, error)
	Write(data []byte) (int, error)
	SetWriteDeadline(when time.Time) error
}

// The kernel has no way to wait for the host.
var pause = 200 * time.Millisecond

// forwardPort connects the port to a connection in the system for as long as the host has it open.
func forwardPort(port hostPort, dial func() (stream, error)) error {
	data := make([]byte, 1<<16)
	for {
		var inner stream
		var answered chan struct{}
		opened := false
		open := func() {
			if opened {
				return
			}
			opened = true
			made, err := dial()
			if err != nil {
				// What the host sends until it closes the port is dropped.
				say("%v", err)
				return
			}
			inner, answered = made, make(chan struct{})
			go func() {
				defer close(answered)
				_, _ = io.Copy(port, made)
			}()
		}
		var err error
		for err == nil {
			var count int
			if count, err = port.read(data, open); count > 0 {
				open()
				if inner != nil {
					if _, failed := inner.Write(data[:count]); failed != nil && !errors.Is(failed, net.ErrClosed) {
						inner.Close()
					}
				}
			}
		}
		if inner != nil {
			inner.Close()
			// An answer that the host did not read is not for the next who opens the port.
			_ = port.SetWriteDeadline(time.Now())
			<-answered
			_ = port.SetWriteDeadline(time.Time{})
		}
		if !errors.Is(err, io.EOF) {
			return err
		}
		time.Sleep(pause)
	}
}
