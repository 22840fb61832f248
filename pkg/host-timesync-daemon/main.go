// Sets the clock by the host's, which the hypervisor shows.
//
//	host-timesync-daemon [-1] [-device /dev/ptp0] [-interval 1m] [-port 62372]
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(arguments []string) int {
	flags := flag.NewFlagSet("host-timesync-daemon", flag.ContinueOnError)
	once := flags.Bool("1", false, "set the clock once and end")
	device := flags.String("device", "", "the clock of the host, `/dev/ptpN` or /dev/rtcN (found by default)")
	interval := flags.Duration("interval", time.Minute, "how often to compare the clocks; 0: only when asked by vsock")
	port := flags.Uint("port", 0xf3a4, "vsock port at which a connection sets the clock; 0: none")
	if err := flags.Parse(arguments); err != nil {
		return 2
	}
	if flags.NArg() > 0 || *interval < 0 || *port >= anyPort {
		say("usage: host-timesync-daemon [-1] [-device DEVICE] [-interval DURATION] [-port PORT]")
		return 2
	}
	find := func() (clock, error) { return findClock(*device, ptpClocks) }
	if *once {
		return status(synchronize(find))
	}
	return serve(find, *interval, uint32(*port))
}

func status(err error) int {
	if err != nil {
		say("%v", err)
		return 1
	}
	return 0
}

// serve compares the clocks now, at each interval, and for each connection by vsock.
func serve(find func() (clock, error), interval time.Duration, port uint32) int {
	requests := make(chan func())
	if port != 0 {
		listener, err := listenVsock(port)
		if err == nil {
			say("a connection to the vsock port %d sets the clock", port)
			go func() {
				err := acceptAll(listener, requests)
				say("vsock: %v", err)
			}()
		} else if interval == 0 || !errors.Is(err, errNoVsock) {
			return status(err)
		}
	}
	var ticks <-chan time.Time
	if interval > 0 {
		ticks = time.NewTicker(interval).C
	}
	// A failure is said once, and not again until something else happens.
	last := ""
	for {
		text := ""
		if err := synchronize(find); err != nil {
			text = err.Error()
			if text != last {
				say("%s", text)
			}
		}
		last = text
		select {
		case <-ticks:
		case done := <-requests:
			if err := synchronize(find); err != nil {
				say("%v", err)
			}
			done()
		}
	}
}

// acceptAll asks for the time at each connection, which ends when the clock is set.
func acceptAll(listener *vsockListener, requests chan<- func()) error {
	for {
		connection, err := listener.accept()
		if err != nil {
			return err
		}
		requests <- func() { connection.Close() }
	}
}

func synchronize(find func() (clock, error)) error {
	source, err := find()
	if err != nil {
		return err
	}
	defer source.close()
	offset, err := source.offset()
	if err != nil {
		return fmt.Errorf("%s: %w", source.name(), err)
	}
	change := source.change(offset)
	if change == nothing {
		return nil
	}
	if err := change.apply(offset); err != nil {
		return fmt.Errorf("the clock cannot be set: %w", err)
	}
	say("the clock is %s by %s, as %s says", change.verb(), offset.Round(time.Microsecond), source.name())
	return nil
}

func say(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
}
