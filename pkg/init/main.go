// The first process of a system built by Dolmen, and its helpers, in one static program.
//
// It is called by several names: /init (or /sbin/init) is the first process, `service` speaks to
// it, `logread` reads what is printed, `modprobe` loads kernel modules, for the kernel as well,
// `poweroff`, `reboot` and `halt` end the system, and containerd calls it as `container-log` and
// `container-hook`.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

func main() {
	name := filepath.Base(os.Args[0])
	arguments := os.Args[1:]
	// By name first: in a container a helper may be the first process as well.
	switch {
	case name == "service":
		os.Exit(serviceMain(arguments))
	case name == "modprobe":
		os.Exit(modprobeMain(arguments))
	case name == "poweroff" || name == "reboot" || name == "halt":
		os.Exit(serviceMain([]string{name}))
	case name == "logread":
		os.Exit(logreadMain(arguments))
	case name == "container-log":
		os.Exit(containerLogMain())
	case name == "container-hook":
		os.Exit(containerHookMain(arguments))
	case os.Getpid() == 1:
		runInit()
	default:
		fmt.Fprintf(os.Stderr, "%s is the first process of a system; here it is not. See `service`.\n", name)
		os.Exit(1)
	}
}

// runInit is the whole life of a system, in order.
func runInit() {
	openConsole()
	defer func() {
		if problem := recover(); problem != nil {
			lastWord("a mistake in init itself: %v", problem)
		}
	}()
	if isEarly() {
		goToRoot()
	}
	os.Clearenv()
	os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	syscall.Umask(0o022)
	if err := leaveInitramfs(); err != nil {
		lastWord("the root filesystem cannot be prepared: %v", err)
	}
	mountBasics()
	// Of a system that is in its initrd as a whole.
	carryStubFiles(stubFiles, policyFiles)
	findConsoles()
	options := readOptions()
	keepInMemory()
	system := newSystem(options)
	system.watchVerity()
	signals := catchSignals()
	go system.reaper.run()
	startMemlog()
	host := make(chan struct{})
	go func() {
		defer close(host)
		checkUnpacking()
		prepareHost()
	}()
	loadModules(system)
	<-host
	mountVolumes()
	system.serveControl()
	if options.agent {
		system.startAgent()
	}

	go func() {
		// Whoever asks first; the rest of the boot is not waited for.
		how := system.awaitEnd(signals)
		system.shutdown(how)
	}()
	system.watchHealth()
	system.boot()
	select {}
}

// boot runs what onboot lists and starts the services.
func (s *system) boot() {
	if s.runtime == "" && (len(bundles("onboot")) > 0 || len(bundles("services")) > 0) {
		lastWord("there is no OCI runtime: put a package that has crun or runc into the list `init` of the YAML")
	}
	for _, b := range bundles("onboot") {
		if s.ending.Load() {
			return
		}
		if err := s.runOnce(b, 0); err != nil && s.options.stopOnFailure {
			lastWord("onboot %s failed, and dolmen.onboot=stop is on the command line", b.name)
		}
	}
	if s.ending.Load() {
		return
	}
	say("onboot is done, starting services")
	if s.daemon != nil {
		go s.daemon.keepRunning()
	}
	for _, b := range bundles("services") {
		s.add(b)
	}
	s.startAll()
	if s.ending.Load() {
		return
	}
	s.started.Store(true)
	say("started in %s", uptime())
}
