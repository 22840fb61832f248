package main

// Services: started in order, watched, started again, stopped.

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	usualStopTimeout = 10 * time.Second
	shortestPause    = time.Second
	longestPause     = 30 * time.Second
	// A service that ran for so long has not failed at once.
	longRun = time.Minute
	// When a service that has just been started is ready for signals, or never will be.
	slowestHandler = 5 * time.Second
)

// system is all that is known of the running system.
type system struct {
	options options
	reaper  *reaper
	runtime string
	direct  direct
	// What services run in, and the daemon behind it if there is one.
	engine engine
	daemon *containerd
	null   *os.File
	ending atomic.Bool
	asked  atomic.Bool
	// All services have been started once.
	started atomic.Bool
	health  health
	ends    chan ending

	lock     sync.Mutex
	services []*service
}

func newSystem(o options) *system {
	null, _ := os.OpenFile("/dev/null", os.O_RDWR, 0)
	s := &system{options: o, reaper: newReaper(), null: null, ends: make(chan ending, 1)}
	if s.runtime = findProgram("crun", "runc"); o.runtime != "" {
		s.runtime = findProgram(o.runtime)
	}
	s.direct = direct{s}
	s.engine = s.direct
	if s.daemon = findContainerd(s); s.daemon != nil {
		s.engine = s.daemon
	}
	return s
}

// findProgram returns where the first of some programs is that is there at all.
func findProgram(names ...string) string {
	for _, name := range names {
		for _, directory := range []string{"/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/", "/usr/local/bin/"} {
			if exists(directory + name) {
				return directory + name
			}
		}
	}
	return ""
}

// service is a container that is to run as long as the system does.
type service struct {
	bundle
	log *containerLog

	lock      sync.Mutex
	wanted    bool
	container *container
	starts    int
	since     time.Time
	last      string
	// Closed when the watching of it has ended; nil while nobody watches.
	done chan struct{}
	wake chan struct{}
}

func (s *system) add(b bundle) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.services = append(s.services, &service{bundle: b, log: s.logOf(b), last: "not started"})
}

func (s *system) all() []*service {
	s.lock.Lock()
	defer s.lock.Unlock()
	return append([]*service(nil), s.services...)
}

func (s *system) find(name string) *service {
	for _, one := range s.all() {
		if one.name == name {
			return one
		}
	}
	return nil
}

// startAll starts one service after the other, since one may use what another has made.
func (s *system) startAll() {
	for _, one := range s.all() {
		if s.ending.Load() {
			return
		}
		<-s.start(one)
	}
}

// start lets a service run; the channel is closed after the first attempt.
func (s *system) start(one *service) <-chan struct{} {
	attempted := make(chan struct{})
	one.lock.Lock()
	defer one.lock.Unlock()
	if one.done != nil {
		close(attempted)
		return attempted
	}
	one.wanted = true
	one.done = make(chan struct{})
	one.wake = make(chan struct{})
	go s.watch(one, attempted)
	return attempted
}

// watch runs a service again and again, as long as it is wanted.
func (s *system) watch(one *service, attempted chan struct{}) {
	defer func() {
		one.lock.Lock()
		close(one.done)
		one.done, one.container = nil, nil
		one.lock.Unlock()
	}()
	pause := shortestPause
	prepared := false
	spec, err := one.runtimeSpec()
	config, configError := one.containerSpec()
	if err == nil {
		err = configError
	}
	defer release(one.bundle, spec)
	for {
		began := time.Now()
		if err == nil && !prepared {
			if err = prepare(one.bundle, spec); err == nil {
				prepared = true
			} else {
				release(one.bundle, spec)
			}
		}
		failed := true
		if err == nil {
			failed, err = s.runService(one, spec, attempted)
		}
		closeOnce(attempted)
		if !one.stillWanted() || s.ending.Load() {
			return
		}
		reason := one.last
		if err != nil {
			reason = err.Error()
			one.note(reason)
		}
		if configError != nil {
			say("%s cannot run: %s", one, reason)
			return
		}
		if !config.restarts(failed) {
			if failed {
				say("%s ended: %s%s", one, reason, one.log.tail())
			}
			return
		}
		if time.Since(began) > longRun {
			pause = shortestPause
		}
		say("%s ended: %s; it is started again in %s%s", one, reason, pause, one.log.tail())
		select {
		case <-time.After(pause):
		case <-one.wake:
			return
		}
		pause = nextPause(pause)
		err = nil
		one.log.forget()
	}
}

func nextPause(pause time.Duration) time.Duration {
	if pause *= 2; pause > longestPause {
		return longestPause
	}
	return pause
}

// runService is one run; it tells whether it ended in failure.
func (s *system) runService(one *service, spec runtimeSpec, attempted chan struct{}) (bool, error) {
	c, err := s.engine.launch(one.bundle, spec, one.log)
	if err != nil {
		return true, err
	}
	one.lock.Lock()
	one.container, one.since = c, time.Now()
	one.starts++
	one.last = "running"
	one.lock.Unlock()
	closeOnce(attempted)
	status := <-c.ended
	one.lock.Lock()
	one.container = nil
	one.lock.Unlock()
	one.note(describeEnd(status))
	s.engine.forget(one.bundle)
	return status.ExitStatus() != 0, nil
}

// stop ends a service: SIGTERM, and SIGKILL after its timeout.
func (s *system) stop(one *service) {
	one.lock.Lock()
	done := one.done
	if done != nil && one.wanted {
		one.wanted = false
		close(one.wake)
	}
	one.lock.Unlock()
	if done == nil {
		return
	}
	config, _ := one.containerSpec()
	timeout := config.stopTimeout(usualStopTimeout)
	end := time.Now().Add(timeout)
	running, since := one.whenLaunched(done, end)
	if running != nil {
		most := time.Until(since.Add(slowestHandler))
		if most > timeout {
			most = timeout
		}
		awaitHandler(running.pid, syscall.SIGTERM, most, done)
		s.engine.kill(running, syscall.SIGTERM)
	}
	select {
	case <-done:
		return
	case <-time.After(time.Until(end)):
	}
	say("%s did not end within %s and is killed", one, timeout)
	if running == nil {
		running, _ = one.whenLaunched(done, time.Now().Add(5*time.Second))
	}
	if running != nil {
		s.engine.kill(running, syscall.SIGKILL)
	}
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		say("%s cannot be killed", one)
	}
}

// whenLaunched returns the container of a service that may be starting, and since when it runs; or
// nothing if it has ended, or has not started by then. One that is starting can run already.
func (one *service) whenLaunched(done <-chan struct{}, end time.Time) (*container, time.Time) {
	for {
		one.lock.Lock()
		running, since := one.container, one.since
		one.lock.Unlock()
		if running != nil || !time.Now().Before(end) {
			return running, since
		}
		select {
		case <-done:
			return nil, since
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// awaitHandler waits until a signal to a process would not be lost.
func awaitHandler(pid int, signal syscall.Signal, most time.Duration, done <-chan struct{}) {
	for end := time.Now().Add(most); time.Now().Before(end); {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil || !losesSignal(string(status), signal) {
			return
		}
		select {
		case <-done:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// losesSignal tells, of the status of a process, whether a signal would do nothing: the first
// process of a container gets only those that it has a handler for, or blocks until it reads them.
func losesSignal(status string, signal syscall.Signal) bool {
	first, kept := false, uint64(0)
	for _, line := range strings.Split(status, "\n") {
		name, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		switch {
		case name == "NSpid" && len(fields) > 1:
			first = fields[len(fields)-1] == "1"
		case (name == "SigCgt" || name == "SigBlk") && len(fields) == 1:
			mask, _ := strconv.ParseUint(fields[0], 16, 64)
			kept |= mask
		}
	}
	return first && kept&(1<<(signal-1)) == 0
}

func (one *service) stillWanted() bool {
	one.lock.Lock()
	defer one.lock.Unlock()
	return one.wanted
}

func (one *service) note(text string) {
	one.lock.Lock()
	defer one.lock.Unlock()
	one.last, one.since = text, time.Now()
}

// state describes a service in one line.
func (one *service) state() string {
	one.lock.Lock()
	defer one.lock.Unlock()
	if one.container != nil {
		return fmt.Sprintf("running  pid %d  since %s  starts %d", one.container.pid,
			time.Since(one.since).Round(time.Second), one.starts)
	}
	if one.done != nil {
		return "waiting  " + one.last
	}
	return "stopped  " + one.last
}

func closeOnce(channel chan struct{}) {
	select {
	case <-channel:
	default:
		close(channel)
	}
}
