// Updates of a system that runs from a verified root: writes a release to the slot that does not run.
//
//	dolmen-update check|apply|status|service [OPTION…]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: dolmen-update COMMAND [OPTION…]

  check     say whether the source has a newer release (status 3: yes)
  apply     write the newer release to the slot that does not run
  status    say what is in the slots, and what the service does
  service   apply again and again

  --from SOURCE        the update set: an https:, http:, oci: or file: URL, a directory or a disk
  --version VERSION    the release to take, instead of the newest
  --allow-downgrade    take a release that is older than the one that runs
  --again              take a release that has failed on this machine
  --reboot             reboot when a release is written
  --json               print the result as JSON
  --auth FILE          credentials of registries, like Docker's config.json
  --time-limit 4h      the longest time of an update
  --stall 1m           how long a connection may be silent
  --attempts 8         attempts in a row that may fail
  --interval 6h        the time between two checks of the service
  --jitter 30m         the longest random time added to that, and before the first check
  --config DIRECTORY   where release.json and update.pub are: /etc/dolmen
  --cmdline FILE       the kernel's command line: /proc/cmdline
  --state DIRECTORY    where status.json is: /run/dolmen-update
  --disk DISK          the disk, or a file with the image of one: the one that the system runs from
  --esp DIRECTORY      the files of the system partition, if it is not to be mounted
`

// command is what the user has asked for.
type command struct {
	paths    paths
	options  options
	settings settings
	from     string
	limit    time.Duration
	json     bool
	reboot   bool
	serving  bool
	interval time.Duration
	jitter   time.Duration
}

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(arguments []string) int {
	c := command{}
	flags := flag.NewFlagSet("dolmen-update", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	flags.StringVar(&c.from, "from", "", "")
	flags.StringVar(&c.options.version, "version", "", "")
	flags.BoolVar(&c.options.downgrade, "allow-downgrade", false, "")
	flags.BoolVar(&c.options.again, "again", false, "")
	flags.BoolVar(&c.reboot, "reboot", false, "")
	flags.BoolVar(&c.json, "json", false, "")
	flags.StringVar(&c.settings.auth, "auth", "", "")
	flags.DurationVar(&c.limit, "time-limit", 4*time.Hour, "")
	flags.DurationVar(&c.settings.stall, "stall", time.Minute, "")
	flags.IntVar(&c.settings.attempts, "attempts", 8, "")
	flags.DurationVar(&c.interval, "interval", 6*time.Hour, "")
	flags.DurationVar(&c.jitter, "jitter", 30*time.Minute, "")
	flags.StringVar(&c.paths.config, "config", "/etc/dolmen", "")
	flags.StringVar(&c.paths.commandLine, "cmdline", "/proc/cmdline", "")
	flags.StringVar(&c.paths.state, "state", "/run/dolmen-update", "")
	flags.StringVar(&c.paths.disk, "disk", "", "")
	flags.StringVar(&c.paths.esp, "esp", "", "")
	verb := ""
	for rest := arguments; ; {
		if err := flags.Parse(rest); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return exitDone
			}
			return exitUsage
		}
		if flags.NArg() == 0 {
			break
		}
		if verb != "" {
			say("%s is one word too many", flags.Arg(0))
			return exitUsage
		}
		verb, rest = flags.Arg(0), flags.Args()[1:]
	}
	c.settings.say, c.settings.state, c.settings.pause = say, c.paths.state, time.Second
	known := map[string]bool{"check": true, "apply": true, "service": true, "status": true}
	switch {
	case !known[verb]:
		flags.Usage()
		return exitUsage
	case verb != "status" && c.from == "":
		say("%s wants --from", verb)
		return exitUsage
	case c.settings.attempts < 1 || c.settings.stall <= 0 || c.limit <= 0 || c.interval <= 0 || c.jitter < 0:
		say("times and attempts are more than nothing")
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := os.MkdirAll(c.paths.state, 0o755); err != nil {
		say("%v", err)
		return exitFailure
	}
	switch verb {
	case "status":
		return c.printStatus()
	case "service":
		return c.serve(ctx)
	}
	return c.once(ctx, verb == "apply")
}

func say(format string, values ...any) { fmt.Fprintf(os.Stderr, format+"\n", values...) }

// once checks, and applies if it is to; it returns the status to end with.
func (c *command) once(ctx context.Context, applying bool) int {
	s := newStatus(c.paths)
	if !applying {
		s.path = ""
	}
	written, err := c.update(ctx, s, applying)
	s.end(err)
	if err == nil && !applying && s.State == stateAvailable {
		s.Exit = exitAvailable
	}
	if c.json {
		os.Stdout.Write(s.text())
	} else if err != nil {
		say("%v", err)
	}
	// The service reboots for what it has written alone: a boot loader that goes on with the running
	// release would have it reboot for ever.
	if c.reboot && (written || applying && s.State == stateApplied && !c.serving) {
		if err := reboot(); err != nil {
			say("the system cannot be rebooted: %v", err)
			return exitFailure
		}
	}
	return s.Exit
}

// update returns whether a release was written.
func (c *command) update(ctx context.Context, s *status, applying bool) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	m, err := readMachine(c.paths)
	if err != nil {
		return false, err
	}
	s.Product, s.Running = m.Product, m.Version
	if applying {
		lock, err := os.OpenFile(filepath.Join(c.paths.state, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return false, err
		}
		defer lock.Close()
		if err := lockFile(lock); err != nil {
			// The status is that of who has the lock.
			s.path = ""
			return false, err
		}
	}
	from, err := openSource(ctx, c.from, c.settings)
	if err != nil {
		return false, err
	}
	defer from.close()
	one, err := readRelease(ctx, m, from, c.settings, c.options)
	if err != nil {
		return false, err
	}
	t, err := openTarget(c.paths, m, applying)
	if err != nil {
		return false, err
	}
	defer t.close()
	p, err := makePlan(m, t, one, c.options)
	if errors.Is(err, errCurrent) {
		s.enter(stateCurrent)
		c.tell("release %s runs, and there is nothing newer", m.Version)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s.Available = one.Version
	switch {
	case p.applied:
		s.enter(stateApplied)
		c.tell("release %s is written and is started at the next boot; %s runs", one.Version, m.Version)
		return false, nil
	case !applying:
		s.enter(stateAvailable)
		c.tell("release %s is available; %s runs", one.Version, m.Version)
		return false, nil
	}
	u := &updater{plan: p, from: from, settings: c.settings, status: s}
	err = u.apply(ctx)
	return err == nil, err
}

func (c *command) tell(format string, values ...any) {
	if !c.json {
		say(format, values...)
	}
}

// reboot ends the system in order: init does it if it is started by this name.
func reboot() error {
	program, err := exec.LookPath("reboot")
	if err != nil {
		program = "/usr/sbin/reboot"
	}
	text, err := exec.Command(program).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(text)))
	}
	return nil
}
