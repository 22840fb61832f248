package main

// The first process inherits all orphans. Everything that ends is reaped in one place, and whoever
// waits for a process is told.

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// How many ends of processes nobody waited for are remembered, for who asks a moment later.
const mostOrphans = 512

type reaper struct {
	lock    sync.Mutex
	waiting map[int]chan syscall.WaitStatus
	orphans map[int]syscall.WaitStatus
	order   []int
}

func newReaper() *reaper {
	return &reaper{waiting: map[int]chan syscall.WaitStatus{}, orphans: map[int]syscall.WaitStatus{}}
}

func (r *reaper) run() {
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, syscall.SIGCHLD)
	for {
		for r.reap() {
		}
		<-changes
	}
}

func (r *reaper) reap() bool {
	r.lock.Lock()
	defer r.lock.Unlock()
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	if err == syscall.EINTR {
		return true
	}
	if err != nil || pid <= 0 {
		return false
	}
	if channel, found := r.waiting[pid]; found {
		delete(r.waiting, pid)
		channel <- status
		return true
	}
	r.orphans[pid] = status
	r.order = append(r.order, pid)
	if len(r.order) > mostOrphans {
		delete(r.orphans, r.order[0])
		r.order = r.order[1:]
	}
	return true
}

// start starts a program; the channel gets its end.
func (r *reaper) start(command []string, files []*os.File) (int, <-chan syscall.WaitStatus, error) {
	// The lock keeps the end from being reaped before somebody waits for it.
	r.lock.Lock()
	defer r.lock.Unlock()
	process, err := os.StartProcess(command[0], command, &os.ProcAttr{Dir: "/", Files: files, Env: os.Environ()})
	if err != nil {
		return 0, nil, err
	}
	pid := process.Pid
	_ = process.Release()
	delete(r.orphans, pid)
	channel := make(chan syscall.WaitStatus, 1)
	r.waiting[pid] = channel
	return pid, channel, nil
}

// adopt waits for a process that another one has left to us.
func (r *reaper) adopt(pid int) <-chan syscall.WaitStatus {
	r.lock.Lock()
	defer r.lock.Unlock()
	channel := make(chan syscall.WaitStatus, 1)
	if status, found := r.orphans[pid]; found && syscall.Kill(pid, 0) != nil {
		delete(r.orphans, pid)
		channel <- status
		return channel
	}
	r.waiting[pid] = channel
	return channel
}

// run starts a program and waits for its end.
func (r *reaper) runProgram(command []string, files []*os.File) error {
	_, ended, err := r.start(command, files)
	if err != nil {
		return err
	}
	if status := <-ended; status.ExitStatus() != 0 {
		return fmt.Errorf("%s", describeEnd(status))
	}
	return nil
}

func describeEnd(status syscall.WaitStatus) string {
	if status.Signaled() {
		return fmt.Sprintf("killed by signal %d (%s)", status.Signal(), status.Signal())
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}
