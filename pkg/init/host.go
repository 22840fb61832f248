package main

// What there is once for the whole machine: cgroups, its name, loopback, resolv.conf.

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const cgroupRoot = "/sys/fs/cgroup"

func prepareHost() {
	o := readOptions()
	if o.oldCgroups {
		say("linuxkit.unified_cgroup_hierarchy=0 has no effect: there are only version 2 cgroups here")
	}
	enableControllers(cgroupRoot)
	if name := first(o.hostname, firstLine("/etc/hostname")); name != "" {
		if err := syscall.Sethostname([]byte(name)); err != nil {
			say("the hostname %q cannot be set: %v", name, err)
		}
	}
	if err := loopbackUp(); err != nil {
		say("the loopback interface cannot be set up: %v", err)
	}
	// /etc/resolv.conf is a link to this file, and containers bind it.
	if err := makeFile("/run/resolvconf/resolv.conf"); err != nil {
		say("resolv.conf cannot be made: %v", err)
	}
	for _, directory := range []string{"/var/log", "/var/lib", "/var/tmp", "/run/containers", "/run/init"} {
		_ = os.MkdirAll(directory, 0o755)
	}
	_ = os.Symlink("/run", "/var/run")
}

// enableControllers passes all controllers on to the cgroups below one.
func enableControllers(directory string) {
	content, _ := os.ReadFile(filepath.Join(directory, "cgroup.controllers"))
	for _, name := range strings.Fields(string(content)) {
		// One at a time: one that cannot be passed on must not keep the others.
		control := filepath.Join(directory, "cgroup.subtree_control")
		_ = os.WriteFile(control, []byte("+"+name), 0o644)
	}
}

// makeCgroup makes a cgroup, with all controllers in it.
func makeCgroup(path string) error {
	directory := cgroupRoot
	for _, part := range strings.Split(strings.Trim(filepath.Clean("/"+path), "/"), "/") {
		enableControllers(directory)
		directory = filepath.Join(directory, part)
		if err := os.Mkdir(directory, 0o755); err != nil && !os.IsExist(err) {
			return err
		}
	}
	return nil
}

func firstLine(path string) string {
	content, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(content), "\n")
	return strings.TrimSpace(line)
}
