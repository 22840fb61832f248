package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAnExactClockIsComparedBetweenTwoReadingsOfOurs(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	// Ours is read twice per comparison; the third comparison lasts least.
	lasted := []time.Duration{9 * time.Second, 7 * time.Second, 2 * time.Second, 5 * time.Second, 4 * time.Second}
	now, reading := start, 0
	own := func() time.Time {
		if reading%2 == 1 {
			now = now.Add(lasted[reading/2])
		}
		reading++
		return now
	}
	host := func() (time.Time, error) {
		at := now.Add(lasted[reading/2] / 2).Add(time.Minute)
		if reading/2 != 2 {
			at = at.Add(3 * time.Second)
		}
		return at, nil
	}
	offset, err := exactOffset(host, own)
	if err != nil || offset != time.Minute {
		t.Error(offset, err)
	}
	broken := errors.New("broken")
	_, err = exactOffset(func() (time.Time, error) { return start, broken }, time.Now)
	if err != broken {
		t.Error(err)
	}
}

func TestSmallOffsetsAreSlewedAndLargeOnesSet(t *testing.T) {
	for offset, want := range map[time.Duration]change{
		0:                       nothing,
		999 * time.Microsecond:  nothing,
		-999 * time.Microsecond: nothing,
		time.Millisecond:        slew,
		-499 * time.Millisecond: slew,
		500 * time.Millisecond:  step,
		-time.Hour:              step,
	} {
		if found := exactChange(offset); found != want {
			t.Errorf("%v: %v", offset, found)
		}
	}
}

func TestAClockOfWholeSecondsIsBelievedIfOursIsClearlyWrong(t *testing.T) {
	host := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for own, want := range map[time.Duration]time.Duration{
		0:                            0,
		-time.Second:                 0,
		1999 * time.Millisecond:      0,
		2 * time.Second:              -1500 * time.Millisecond,
		-1001 * time.Millisecond:     1501 * time.Millisecond,
		-time.Hour:                   time.Hour + 500*time.Millisecond,
		24 * 365 * 50 * time.Hour:    500*time.Millisecond - 24*365*50*time.Hour,
		900 * time.Millisecond:       0,
		-999999999 * time.Nanosecond: 0,
	} {
		if found := wholeSecondsOffset(host, host.Add(own)); found != want {
			t.Errorf("%v: %v", own, found)
		}
	}
}

func TestFieldsOfTheHardwareClockAreATime(t *testing.T) {
	found := rtcTime([9]int32{5, 4, 3, 29, 1, 124, 4, 59, 0})
	if want := time.Date(2024, 2, 29, 3, 4, 5, 0, time.UTC); !found.Equal(want) {
		t.Error(found)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestClocksOfNetworkCardsAreLeftAlone(t *testing.T) {
	directory, devices := t.TempDir(), t.TempDir()
	if found := findDevice(directory, devices); found != "" {
		t.Error(found)
	}
	write(t, filepath.Join(directory, "ptp0", "clock_name"), "card\n")
	write(t, filepath.Join(devices, "rtc0"), "")
	if found := findDevice(directory, devices); found != filepath.Join(devices, "rtc0") {
		t.Error(found)
	}
	write(t, filepath.Join(directory, "ptp1", "clock_name"), "KVM virtual PTP\n")
	if found := findDevice(directory, devices); found != filepath.Join(devices, "ptp1") {
		t.Error(found)
	}
}

func TestAMissingClockIsSaid(t *testing.T) {
	if _, err := findClock(filepath.Join(t.TempDir(), "ptp0"), ""); !os.IsNotExist(err) {
		t.Error(err)
	}
	directory := t.TempDir()
	if exists("/dev/rtc0") {
		t.Skip("this machine has a hardware clock")
	}
	if _, err := findClock("", directory); err == nil || !strings.Contains(err.Error(), "the module ptp_kvm") {
		t.Error(err)
	}
}

func TestWrongCommandLinesAreRefused(t *testing.T) {
	for _, arguments := range [][]string{{"more"}, {"-interval", "-1s"}, {"-port", "4294967295"}, {"-fast"}} {
		if status := run(arguments); status != 2 {
			t.Errorf("%v: %d", arguments, status)
		}
	}
}

func TestAMissingDeviceIsAFailure(t *testing.T) {
	if status := run([]string{"-1", "-device", filepath.Join(t.TempDir(), "rtc7")}); status != 1 {
		t.Error(status)
	}
}
