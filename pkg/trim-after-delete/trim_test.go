package main

import (
	"testing"
	"time"
)

func TestOneCallFollowsManySignals(t *testing.T) {
	signals := make(chan struct{})
	calls := make(chan time.Time, 10)
	began := time.Now()
	ended := make(chan struct{})
	go func() {
		after(signals, 100*time.Millisecond, time.Minute, func() { calls <- time.Now() })
		close(ended)
	}()
	for i := 0; i < 5; i++ {
		signals <- struct{}{}
		time.Sleep(10 * time.Millisecond)
	}
	if called := <-calls; called.Sub(began) < 140*time.Millisecond {
		t.Errorf("called after %v, before it was quiet", called.Sub(began))
	}
	signals <- struct{}{}
	<-calls
	close(signals)
	<-ended
	if len(calls) != 0 {
		t.Errorf("%d calls too many", len(calls))
	}
}

func TestSignalsWithoutEndAreFollowedByACall(t *testing.T) {
	signals := make(chan struct{})
	calls := make(chan struct{}, 100)
	go after(signals, time.Hour, 50*time.Millisecond, func() { calls <- struct{}{} })
	for {
		select {
		case signals <- struct{}{}:
			time.Sleep(time.Millisecond)
		case <-calls:
			close(signals)
			return
		case <-time.After(10 * time.Second):
			t.Fatal("no call")
		}
	}
}

func TestADirectoryThatIsNotThereIsAnError(t *testing.T) {
	if _, err := watch(t.TempDir() + "/none"); err == nil {
		t.Error("it is watched")
	}
	if _, err := watch("a\x00b"); err == nil {
		t.Error("it is watched")
	}
}
