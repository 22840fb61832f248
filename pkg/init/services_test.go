package main

import (
	"testing"
	"time"
)

func TestAServiceThatIsStartingIsWaitedForToStopIt(t *testing.T) {
	one := &service{}
	done := make(chan struct{})
	launched := &container{pid: 7}
	go func() {
		time.Sleep(50 * time.Millisecond)
		one.lock.Lock()
		one.container = launched
		one.lock.Unlock()
	}()
	if found, _ := one.whenLaunched(done, time.Now().Add(10*time.Second)); found != launched {
		t.Errorf("the container is %v", found)
	}
	one.container = nil
	if found, _ := one.whenLaunched(done, time.Now().Add(50*time.Millisecond)); found != nil {
		t.Errorf("a container that was never there: %v", found)
	}
	close(done)
	if found, _ := one.whenLaunched(done, time.Now().Add(time.Hour)); found != nil {
		t.Errorf("a container of a service that has ended: %v", found)
	}
}
