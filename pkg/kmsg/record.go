package main

import (
	"fmt"
	"strconv"
	"strings"
)

var levels = [8]string{"emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"}

var facilities = [12]string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
}

// record is one message of the kernel, or of a program that wrote it to the kernel's log.
type record struct {
	priority     int
	microseconds int64
	text         string
}

// parse reads `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS[,…];TEXT`; lines after the first are of machines.
func parse(data []byte) (record, bool) {
	head, rest, found := strings.Cut(string(data), ";")
	fields := strings.Split(head, ",")
	if !found || len(fields) < 3 {
		return record{}, false
	}
	priority, err := strconv.Atoi(fields[0])
	if err != nil || priority < 0 {
		return record{}, false
	}
	microseconds, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || microseconds < 0 {
		return record{}, false
	}
	text, _, _ := strings.Cut(rest, "\n")
	return record{priority, microseconds, text}, true
}

// String is the message as `dmesg -x` shows it.
func (r record) String() string {
	facility := strconv.Itoa(r.priority >> 3)
	if r.priority>>3 < len(facilities) {
		facility = facilities[r.priority>>3]
	}
	return fmt.Sprintf("%-6s:%-6s: [%5d.%06d] %s", facility, levels[r.priority&7], r.microseconds/1e6, r.microseconds%1e6, r.text)
}

// isOfInit tells whether init has written it: that is in the logs already, and if init shows the output
// of services, showing this would make another message, without end.
func (r record) isOfInit() bool {
	return r.priority == 1<<3|7 && strings.HasPrefix(r.text, "init: ")
}
