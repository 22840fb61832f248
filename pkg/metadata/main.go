// The metadata of a machine: from its cloud, a CD, a disk or a file, into /run/config.
//
//	metadata [--timeout 20s] [--grace 2s] [--total 60s] [-v] [PROVIDER…]
//
// All providers are asked at once; of those that answer, the first in the order of the names counts.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const configDirectory = "/run/config"

// The kernel's limit of a hostname.
const longestHostname = 64

// limits bound the time that providers take.
type limits struct {
	// For each provider, until it has answered.
	provider time.Duration
	// For the providers before the one that has answered first.
	grace time.Duration
	// For everything, also reports to the cloud.
	total time.Duration
}

var usualLimits = limits{provider: 20 * time.Second, grace: 2 * time.Second, total: 60 * time.Second}

func main() {
	limit := usualLimits
	flags := flag.NewFlagSet("metadata", flag.ExitOnError)
	flags.DurationVar(&limit.provider, "timeout", limit.provider, "the longest wait for a provider")
	flags.DurationVar(&limit.grace, "grace", limit.grace, "the longest wait for a provider once a later one has answered")
	flags.DurationVar(&limit.total, "total", limit.total, "the longest time in all")
	flags.BoolVar(&verbose, "v", false, "print each request that failed")
	_ = flags.Parse(os.Args[1:])
	names := flags.Args()
	if len(names) == 0 {
		names = usualProviders(smbiosDirectory)
	}
	os.Exit(run(names, limit, configDirectory, syscall.Sethostname))
}

// run asks the providers and writes the first one's answer; setHostname is the kernel's.
func run(names []string, limit limits, directory string, setHostname func([]byte) error) int {
	ctx, cancel := context.WithTimeout(context.Background(), limit.total)
	defer cancel()
	providers, unknown := chooseProviders(names)
	for _, name := range unknown {
		say("there is no provider %s; there are %s", name, strings.Join(knownProviders(), ", "))
	}
	one, found, err := firstAnswer(ctx, providers, limit)
	if err != nil {
		say("%s: %v", one.name(), err)
		return 1
	}
	if found == nil {
		if len(unknown) > 0 {
			return 1
		}
		say("there is no metadata for this machine")
		return 0
	}
	err = write(directory, one.name(), *found)
	if err == nil {
		err = applyHostname(directory, setHostname)
	}
	if found.report != nil {
		if failure := found.report(ctx, err); failure != nil && err == nil {
			err = fmt.Errorf("the cloud does not know that this machine is ready: %w", failure)
		}
	}
	if err != nil {
		say("%s: %v", one.name(), err)
		return 1
	}
	return 0
}

// applyHostname gives the system the name in the file `hostname`, if there is one.
func applyHostname(directory string, setHostname func([]byte) error) error {
	text, err := os.ReadFile(filepath.Join(directory, "hostname"))
	if os.IsNotExist(err) {
		return nil
	}
	name := strings.TrimSpace(string(text))
	if len(name) > longestHostname {
		// Names with a domain, as GCP gives them, may be longer than the kernel allows.
		name, _, _ = strings.Cut(name, ".")
	}
	if err == nil && name == "" {
		err = fmt.Errorf("it is empty")
	}
	if err == nil {
		err = setHostname([]byte(name))
	}
	if err != nil {
		return fmt.Errorf("the hostname cannot be set: %w", err)
	}
	say("the hostname is %s", name)
	return nil
}

var verbose bool

func say(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
}
