package main

// Where metadata comes from. A cloud is a type with two methods, and a line in the table.

import (
	"context"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// provider is a source of metadata.
type provider interface {
	// name is what /run/config/provider says.
	name() string
	// ask returns the metadata, or nothing where this provider is not there. An error
	// is for what is there and cannot be read.
	ask(ctx context.Context) (*metadata, error)
}

// metadata is the answer of a provider.
type metadata struct {
	// For the machine's owner to use as wished; see tree.go.
	userdata []byte
	// Files of the provider's own, by their paths below /run/config.
	files map[string]string
	// Public keys for ssh, each a line of authorized_keys.
	keys []string
	// The configuration of the network, if the provider gives one.
	network *network
	// report tells the cloud that the machine is ready, or why it is not; most do not ask.
	report func(ctx context.Context, failure error) error
}

// set adds a file, unless the value is empty: clouds leave out what a machine does not have.
func (m *metadata) set(path, value string) {
	if value = strings.TrimSpace(value); value == "" {
		return
	}
	if m.files == nil {
		m.files = map[string]string{}
	}
	m.files[path] = value
}

// keep adds a file with a document as it is, if there is one.
func (m *metadata) keep(path string, document []byte) {
	if m.set(path, string(document)); m.files[path] != "" {
		m.files[path] = string(document)
	}
}

// addKeys adds the lines of a text that are keys.
func (m *metadata) addKeys(text string) {
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = strings.TrimSpace(line); line != "" {
			m.keys = append(m.keys, line)
		}
	}
}

// providerTable says how a provider is made of what stands behind its name and an equals sign.
var providerTable = map[string]func(argument string) provider{
	"aws":          func(string) provider { return newAWS() },
	"azure":        func(string) provider { return newAzure() },
	"cdrom":        func(string) provider { return newDiscs() },
	"cidata":       func(string) provider { return newNoCloud() },
	"digitalocean": func(string) provider { return newDigitalOcean() },
	"file":         func(path string) provider { return fileProvider(path) },
	"gcp":          func(string) provider { return newGCP() },
	"hetzner":      func(string) provider { return newHetzner() },
	"nocloud":      func(string) provider { return newNoCloud() },
	"openstack":    func(string) provider { return newOpenStack() },
	"scaleway":     func(string) provider { return newScaleway() },
	"vmware":       func(string) provider { return newVMware() },
	"vultr":        func(string) provider { return newVultr() },
}

func knownProviders() []string {
	var names []string
	for name := range providerTable {
		if name == "file" {
			name = "file=PATH"
		}
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// chooseProviders returns the providers of these names, and the names that no provider has.
func chooseProviders(names []string) (chosen []provider, unknown []string) {
	for _, name := range names {
		kind, argument, hasArgument := strings.Cut(name, "=")
		create := providerTable[kind]
		if create == nil || (kind == "file") != hasArgument {
			unknown = append(unknown, name)
			continue
		}
		chosen = append(chosen, create(argument))
	}
	return chosen, unknown
}

const smbiosDirectory = "/sys/class/dmi/id"

// smbiosTable has what clouds write into the SMBIOS of their machines, and the provider of each.
var smbiosTable = []struct{ file, value, provider string }{
	{"sys_vendor", "Amazon EC2", "aws"},
	{"sys_vendor", "DigitalOcean", "digitalocean"},
	{"sys_vendor", "Hetzner", "hetzner"},
	{"sys_vendor", "Scaleway", "scaleway"},
	{"sys_vendor", "Vultr", "vultr"},
	{"sys_vendor", "VMware, Inc.", "vmware"},
	{"product_name", "Google Compute Engine", "gcp"},
	{"product_name", "OpenStack Nova", "openstack"},
	{"product_name", "OpenStack Compute", "openstack"},
	{"chassis_asset_tag", "OpenStack Nova", "openstack"},
	{"chassis_asset_tag", "OpenStack Compute", "openstack"},
	{"chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77", "azure"},
}

// usualProviders returns who is asked where no names are given: the cloud that the SMBIOS names,
// and drives. Asking every cloud would be slow, and on a machine of a user the answer might be
// that of the host.
func usualProviders(smbios string) []string {
	for _, row := range smbiosTable {
		text, err := os.ReadFile(filepath.Join(smbios, row.file))
		if err == nil && strings.TrimSpace(string(text)) == row.value {
			return []string{row.provider, "cdrom"}
		}
	}
	return []string{"cdrom"}
}
