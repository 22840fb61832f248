package main

// The clocks of hosts, and how ours is set by them.

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const (
	ptpClocks = "/sys/class/ptp"
	realTime  = 0
	readRTC   = 0x80247009 // RTC_RD_TIME
	slewOnce  = 0x8001     // ADJ_OFFSET_SINGLESHOT
)

// The clocks that show the host's time; those of network cards show what someone has set.
var hypervisorClocks = map[string]bool{"KVM virtual PTP": true, "hyperv": true, "ptp_vmw": true}

// A clock is one of the host.
type clock interface {
	name() string
	// offset returns what has to be added to our clock.
	offset() (time.Duration, error)
	change(offset time.Duration) change
	close()
}

// findClock opens the given clock, or else the best one present.
func findClock(device, directory string) (clock, error) {
	if device == "" {
		device = findDevice(directory, "/dev")
	}
	if device == "" {
		return nil, errors.New("no clock of the host is there: neither a PTP clock of the hypervisor " +
			"(of KVM: the module ptp_kvm) nor /dev/rtc0")
	}
	file, err := os.Open(device)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(filepath.Base(device), "rtc") {
		return rtcClock{file}, nil
	}
	return ptpClock{file}, nil
}

func findDevice(directory, devices string) string {
	paths, _ := filepath.Glob(filepath.Join(directory, "*", "clock_name"))
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err == nil && hypervisorClocks[strings.TrimSpace(string(content))] {
			return filepath.Join(devices, filepath.Base(filepath.Dir(path)))
		}
	}
	if path := filepath.Join(devices, "rtc0"); exists(path) {
		return path
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// A change is what is done about an offset.
type change int

const (
	nothing change = iota
	slew
	step
)

func (c change) verb() string {
	if c == slew {
		return "adjusted"
	}
	return "set"
}

func (c change) apply(offset time.Duration) error {
	if c == slew {
		adjustment := syscall.Timex{Modes: slewOnce, Offset: int64(offset / time.Microsecond)}
		_, err := syscall.Adjtimex(&adjustment)
		return os.NewSyscallError("adjtimex", err)
	}
	at := syscall.NsecToTimespec(time.Now().Add(offset).UnixNano())
	_, _, code := syscall.Syscall(syscall.SYS_CLOCK_SETTIME, realTime, uintptr(unsafe.Pointer(&at)), 0)
	if code != 0 {
		return os.NewSyscallError("clock_settime", code)
	}
	return nil
}

// A ptpClock is exact: it shows the host's clock while a call lasts.
type ptpClock struct{ *os.File }

func (c ptpClock) name() string { return c.Name() }

func (c ptpClock) close() { c.Close() }

func (c ptpClock) change(offset time.Duration) change { return exactChange(offset) }

// exactChange leaves alone what cannot be measured, and lets time run backwards only if it must.
func exactChange(offset time.Duration) change {
	switch size := offset.Abs(); {
	case size < time.Millisecond:
		return nothing
	case size < 500*time.Millisecond:
		return slew
	}
	return step
}

func (c ptpClock) offset() (time.Duration, error) {
	// CLOCKFD: a clock for each open device.
	number := ^int(c.Fd())<<3 | 3
	read := func() (time.Time, error) {
		var at syscall.Timespec
		_, _, code := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(number), uintptr(unsafe.Pointer(&at)), 0)
		if code != 0 {
			return time.Time{}, os.NewSyscallError("clock_gettime", code)
		}
		return time.Unix(at.Unix()), nil
	}
	return exactOffset(read, time.Now)
}

// exactOffset compares two clocks several times, and takes the comparison that lasted least.
func exactOffset(host func() (time.Time, error), own func() time.Time) (time.Duration, error) {
	var best, shortest time.Duration
	for i := 0; i < 5; i++ {
		before := own()
		at, err := host()
		if err != nil {
			return 0, err
		}
		lasted := own().Sub(before)
		if i == 0 || lasted < shortest {
			// Round strips the monotonic time, of which the host has none.
			best, shortest = at.Sub(before.Round(0).Add(lasted/2)), lasted
		}
	}
	return best, nil
}

// An rtcClock is the hardware clock: it shows whole seconds, in UTC.
type rtcClock struct{ *os.File }

func (c rtcClock) name() string { return c.Name() }

func (c rtcClock) close() { c.Close() }

func (c rtcClock) change(offset time.Duration) change {
	if offset == 0 {
		return nothing
	}
	return step
}

func (c rtcClock) offset() (time.Duration, error) {
	var fields [9]int32
	_, _, code := syscall.Syscall(syscall.SYS_IOCTL, c.Fd(), readRTC, uintptr(unsafe.Pointer(&fields)))
	if code != 0 {
		return 0, os.NewSyscallError("RTC_RD_TIME", code)
	}
	return wholeSecondsOffset(rtcTime(fields), time.Now()), nil
}

// rtcTime converts the kernel's struct rtc_time: seconds to years, months from 0, years from 1900.
func rtcTime(fields [9]int32) time.Time {
	f := func(i int) int { return int(fields[i]) }
	return time.Date(f(5)+1900, time.Month(f(4)+1), f(3), f(2), f(1), f(0), 0, time.UTC)
}

// wholeSecondsOffset returns nothing if our clock may be right: the host's shows no fractions, and
// may have gone on since it was read.
func wholeSecondsOffset(host, own time.Time) time.Duration {
	if own.Before(host.Add(-time.Second)) || !own.Before(host.Add(2*time.Second)) {
		return host.Add(500 * time.Millisecond).Sub(own)
	}
	return 0
}
