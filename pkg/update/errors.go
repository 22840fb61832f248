package main

import (
	"errors"
	"fmt"
)

// The status of the program at its end.
const (
	exitDone      = 0
	exitFailure   = 1
	exitUsage     = 2
	exitAvailable = 3
	exitRefused   = 4
	exitBusy      = 5
)

// refusal is an update that is not for this machine: another try gives the same.
type refusal struct{ text string }

func (r refusal) Error() string { return r.text }

func refuse(format string, values ...any) error { return refusal{fmt.Sprintf(format, values...)} }

// notNow is an update for which the machine is not ready yet.
type notNow struct{ text string }

func (n notNow) Error() string { return n.text }

func wait(format string, values ...any) error { return notNow{fmt.Sprintf(format, values...)} }

func exitCode(err error) int {
	var no refusal
	var later notNow
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &no):
		return exitRefused
	case errors.As(err, &later):
		return exitBusy
	}
	return exitFailure
}
