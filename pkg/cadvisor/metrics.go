package main

import (
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
)

// metric is a figure that each cgroup has, or has not.
type metric struct {
	name string
	kind string
	help string
	read func(group) (float64, bool)
}

func field(file, name string, factor float64) func(group) (float64, bool) {
	return func(g group) (float64, bool) {
		value, ok := g.field(file, name)
		return value * factor, ok
	}
}

func number(file string) func(group) (float64, bool) {
	return func(g group) (float64, bool) { return g.number(file) }
}

func disk(name string) func(group) (float64, bool) {
	return func(g group) (float64, bool) { return g.disk(name) }
}

// workingSet is the memory that cannot be taken back: without pages of files that are not in use.
func workingSet(g group) (float64, bool) {
	used, ok := g.number("memory.current")
	if !ok {
		return 0, false
	}
	unused, _ := g.field("memory.stat", "inactive_file")
	if unused > used {
		return 0, true
	}
	return used - unused, true
}

var metrics = []metric{
	{"container_cpu_usage_seconds_total", "counter", "Time of processors.", field("cpu.stat", "usage_usec", 1e-6)},
	{"container_cpu_user_seconds_total", "counter", "Time of processors in programs.", field("cpu.stat", "user_usec", 1e-6)},
	{"container_cpu_system_seconds_total", "counter", "Time of processors in the kernel.", field("cpu.stat", "system_usec", 1e-6)},
	{"container_cpu_cfs_periods_total", "counter", "Periods with a limit of time.", field("cpu.stat", "nr_periods", 1)},
	{"container_cpu_cfs_throttled_periods_total", "counter", "Periods in which the limit was reached.", field("cpu.stat", "nr_throttled", 1)},
	{"container_cpu_cfs_throttled_seconds_total", "counter", "Time of waiting because of the limit.", field("cpu.stat", "throttled_usec", 1e-6)},
	{"container_memory_usage_bytes", "gauge", "Memory in use.", number("memory.current")},
	{"container_memory_working_set_bytes", "gauge", "Memory that cannot be taken back.", workingSet},
	{"container_memory_max_usage_bytes", "gauge", "The most memory that was in use.", number("memory.peak")},
	{"container_memory_rss", "gauge", "Memory without a file.", field("memory.stat", "anon", 1)},
	{"container_memory_cache", "gauge", "Memory of files.", field("memory.stat", "file", 1)},
	{"container_memory_swap", "gauge", "Swap in use.", number("memory.swap.current")},
	{"container_oom_events_total", "counter", "Processes that were killed for lack of memory.", field("memory.events", "oom_kill", 1)},
	{"container_spec_memory_limit_bytes", "gauge", "The limit of memory, if there is one.", number("memory.max")},
	{"container_fs_reads_bytes_total", "counter", "Bytes read from disks.", disk("rbytes")},
	{"container_fs_writes_bytes_total", "counter", "Bytes written to disks.", disk("wbytes")},
	{"container_fs_reads_total", "counter", "Reads from disks.", disk("rios")},
	{"container_fs_writes_total", "counter", "Writes to disks.", disk("wios")},
	{"container_threads", "gauge", "Processes and threads.", number("pids.current")},
	{"container_threads_max", "gauge", "The limit of processes and threads, if there is one.", number("pids.max")},
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// writeMetrics writes all figures in Prometheus' form.
func writeMetrics(output io.Writer, groups []group) error {
	for _, one := range metrics {
		started := false
		for _, g := range groups {
			value, ok := one.read(g)
			if !ok {
				continue
			}
			if !started {
				if _, err := fmt.Fprintf(output, "# HELP %s %s\n# TYPE %s %s\n", one.name, one.help, one.name, one.kind); err != nil {
					return err
				}
				started = true
			}
			id, name := escapes.Replace(g.id), escapes.Replace(path.Base(g.id))
			if _, err := fmt.Fprintf(output, "%s{id=\"%s\",name=\"%s\"} %s\n", one.name, id, name, strconv.FormatFloat(value, 'f', -1, 64)); err != nil {
				return err
			}
		}
	}
	return nil
}
