// Runs a command after files were deleted, once for many of them.
//
//	trim-after-delete [-watch DIRECTORY] [-delay DURATION] [-- COMMAND…]
//
// It watches the file system of the directory, by default the last argument of the command.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

var usualCommand = []string{"/sbin/fstrim", "/var/lib"}

func main() {
	watched := flag.String("watch", "", "the directory whose file system is watched; by default the last argument of the command")
	delay := flag.Duration("delay", 10*time.Second, "how long nothing is deleted before the command runs")
	limit := flag.Duration("limit", 10*time.Minute, "how long the command waits at most while files are deleted")
	flag.Parse()
	command := flag.Args()
	if len(command) == 0 {
		command = usualCommand
	}
	if *watched == "" {
		*watched = command[len(command)-1]
	}
	deletions, err := watch(*watched)
	if err != nil {
		say("%s cannot be watched: %v", *watched, err)
		os.Exit(1)
	}
	say("%s is watched", *watched)
	after(deletions, *delay, *limit, func() {
		// A file system with a journal has free blocks only when the deletion is on the disk.
		syscall.Sync()
		run := exec.Command(command[0], command[1:]...)
		run.Stdout, run.Stderr = os.Stdout, os.Stderr
		if err := run.Run(); err != nil {
			say("%q: %v", command, err)
			return
		}
		say("%q is done", command)
	})
	say("%s is not watched any more", *watched)
	os.Exit(1)
}

// after calls a function when signals have come and then none for a delay, or not even then after a limit.
// It ends with the channel.
func after(signals <-chan struct{}, delay, limit time.Duration, act func()) {
	for range signals {
		latest := time.After(limit)
		open := true
	waiting:
		for open {
			select {
			case _, open = <-signals:
			case <-latest:
				break waiting
			case <-time.After(delay):
				break waiting
			}
		}
		act()
	}
}

func say(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
}
