package main

// Where metadata comes from. A cloud is a further provider: a type with these two methods, and a
// line in the table.

import "strings"

// provider is one way in which a machine can be told something.
type provider interface {
	// name is what /run/config/provider says.
	name() string
	// ask returns what there is, or nothing where this provider has nothing to say. An error
	// is for what is there and cannot be read.
	ask() (*told, error)
}

// told is what a provider knows.
type told struct {
	// For the machine's owner to use as wished; see tree.go.
	userdata []byte
	// Files of the provider's own, by their paths below /run/config.
	files map[string]string
}

// providerTable says how a provider is made of what stands behind its name and an equals sign.
var providerTable = map[string]func(argument string) provider{
	"cdrom": func(string) provider { return newDiscs() },
	"file":  func(path string) provider { return fileProvider(path) },
}

var usualProviders = []string{"cdrom"}

func knownProviders() []string { return []string{"cdrom", "file=PATH"} }

// chooseProviders returns the providers of these names, and the names that nobody has.
func chooseProviders(names []string) (chosen []provider, strangers []string) {
	for _, name := range names {
		kind, argument, hasArgument := strings.Cut(name, "=")
		create := providerTable[kind]
		if create == nil || (kind == "file") != hasArgument {
			strangers = append(strangers, name)
			continue
		}
		chosen = append(chosen, create(argument))
	}
	return chosen, strangers
}
