package main

// The options on the kernel's command line that are meant for us.

import (
	"os"
	"strings"
)

type options struct {
	// Stop the boot if something of onboot fails; else it is said, and the boot goes on.
	stopOnFailure bool
	// Show what containers print on the console as well.
	showOutput bool
	// Let the OCI runtime say what it does.
	debug bool
	// The OCI runtime to use: crun or runc; empty is what there is.
	runtime string
	// Run services without containerd, also if it is there.
	noContainerd bool
	// The old hierarchy of cgroups is asked for, which we do not have.
	oldCgroups bool
	// Let the host read logs and run commands.
	agent    bool
	hostname string
}

func commandLine() string {
	content, _ := os.ReadFile("/proc/cmdline")
	return string(content)
}

func readOptions() options { return parseOptions(commandLine()) }

// parseOptions knows our own names and LinuxKit's.
func parseOptions(line string) options {
	var o options
	for _, word := range strings.Fields(line) {
		name, value, given := strings.Cut(word, "=")
		on := !given || value == "1" || value == "true" || value == "yes"
		switch name {
		case "dolmen.onboot":
			o.stopOnFailure = value == "stop"
		case "dolmen.output", "linuxkit.runc_console":
			o.showOutput = on || value == "console"
		case "dolmen.debug", "linuxkit.runc_debug":
			o.debug = on
		case "dolmen.runtime":
			o.runtime = value
		case "dolmen.containerd":
			o.noContainerd = !on
		case "dolmen.agent":
			o.agent = on
		case "dolmen.hostname":
			o.hostname = value
		case "linuxkit.unified_cgroup_hierarchy":
			o.oldCgroups = given && !on
		}
	}
	return o
}

func hasOption(line, wanted string) bool {
	for _, word := range strings.Fields(line) {
		if name, _, _ := strings.Cut(word, "="); name == wanted {
			return true
		}
	}
	return false
}
