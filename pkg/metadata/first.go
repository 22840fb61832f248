package main

// The order of preference: all providers are asked at once, so that a slow one delays the others by
// no more than the grace.

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// silenceError says that a provider has not answered: it is not there, or not in time.
type silenceError struct{ cause error }

func (e silenceError) Error() string { return e.cause.Error() }
func (e silenceError) Unwrap() error { return e.cause }

// silence tells whether an error means that the provider is not there.
func silence(err error) bool {
	var silent silenceError
	return errors.As(err, &silent)
}

type outcome struct {
	number int
	found  *metadata
	err    error
	after  time.Duration
}

// firstAnswer returns the first provider in the order of preference that has answered, with its
// answer or its error. The ones before it get the grace to do so, too.
func firstAnswer(ctx context.Context, providers []provider, limit limits) (provider, *metadata, error) {
	ctx, cancel := context.WithTimeout(ctx, limit.provider)
	// Those that are slower than the one that counts need not go on.
	defer cancel()
	began := time.Now()
	arrivals := make(chan outcome, len(providers))
	for number, one := range providers {
		go func(number int, one provider) {
			found, err := one.ask(ctx)
			arrivals <- outcome{number, found, err, time.Since(began)}
		}(number, one)
	}
	outcomes := make([]*outcome, len(providers))
	var graceEnd <-chan time.Time
	// A provider that does not heed its limit is not waited for.
	end := time.NewTimer(limit.provider + limit.grace)
	defer end.Stop()
	hurry := false
	for {
		number, done := decide(providers, outcomes, hurry)
		if done && number < 0 {
			return nil, nil, nil
		}
		if done {
			chosen := outcomes[number]
			say("%s answered after %.1fs", providers[number].name(), chosen.after.Seconds())
			return providers[number], chosen.found, chosen.err
		}
		select {
		case one := <-arrivals:
			outcomes[one.number] = &one
			if silence(one.err) {
				say("%s: nothing there: %v", providers[one.number].name(), one.err)
				one.err = nil
			} else if one.found == nil && one.err == nil {
				say("%s: nothing there", providers[one.number].name())
			} else if one.err == nil && graceEnd == nil {
				graceEnd = time.After(limit.grace)
			}
		case <-graceEnd:
			hurry = true
		case <-end.C:
			hurry = true
		}
	}
}

// decide returns the provider that counts, or -1 if none is left that could; and whether this is
// final. In a hurry those that have not answered yet are passed over.
func decide(providers []provider, outcomes []*outcome, hurry bool) (int, bool) {
	var late []string
	for number, one := range outcomes {
		switch {
		case one == nil && !hurry:
			return -1, false
		case one == nil:
			late = append(late, providers[number].name())
		case one.found != nil || one.err != nil:
			for _, name := range late {
				say("%s: no answer yet, and %s has answered", name, providers[number].name())
			}
			return number, true
		}
	}
	for _, name := range late {
		say("%s: no answer in time", name)
	}
	return -1, true
}

// notThere makes an error of a request an answer: this provider is not there.
func notThere(err error) error {
	return silenceError{fmt.Errorf("%w", err)}
}
