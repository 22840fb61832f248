// What a machine is told by whoever starts it: from a CD, or a file, into /run/config.
//
//	metadata [PROVIDER…]
//
// The providers are asked in their order, and the first that knows something counts.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const configDirectory = "/run/config"

func main() {
	names := os.Args[1:]
	if len(names) == 0 {
		names = usualProviders
	}
	os.Exit(run(names, configDirectory, syscall.Sethostname))
}

// run asks the providers and writes what the first of them knows; setHostname is the kernel's.
func run(names []string, directory string, setHostname func([]byte) error) int {
	providers, strangers := chooseProviders(names)
	for _, name := range strangers {
		say("there is no provider %s; there are %s", name, strings.Join(knownProviders(), ", "))
	}
	for _, one := range providers {
		found, err := one.ask()
		if err != nil {
			say("%s: %v", one.name(), err)
			return 1
		}
		if found == nil {
			say("%s: nothing there", one.name())
			continue
		}
		if err := write(directory, one.name(), *found); err != nil {
			say("%s: %v", one.name(), err)
			return 1
		}
		if err := applyHostname(directory, setHostname); err != nil {
			say("%v", err)
			return 1
		}
		return 0
	}
	if len(strangers) > 0 {
		return 1
	}
	say("nobody has told this machine anything")
	return 0
}

// applyHostname gives the system the name in the file `hostname`, if there is one.
func applyHostname(directory string, setHostname func([]byte) error) error {
	text, err := os.ReadFile(filepath.Join(directory, "hostname"))
	if os.IsNotExist(err) {
		return nil
	}
	name := strings.TrimSpace(string(text))
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

func say(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
}
