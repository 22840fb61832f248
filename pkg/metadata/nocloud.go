package main

// NoCloud: the files of cloud-init's seed, on a file system with the label cidata.

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

type noCloud struct{ drives *volumes }

func newNoCloud() *noCloud { return &noCloud{newVolumes("cidata")} }

func (p *noCloud) name() string { return "NoCloud" }

func (p *noCloud) ask(ctx context.Context) (*metadata, error) {
	return p.drives.read(ctx, longestWait, readSeed)
}

// readSeed reads the files of a seed, of which there may be only the user data.
func readSeed(directory string) (*metadata, error) {
	texts := map[string][]byte{}
	for _, name := range []string{"user-data", "meta-data", "network-config"} {
		text, err := readSmall(filepath.Join(directory, name))
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		if err == nil {
			texts[name] = text
		}
	}
	if texts["user-data"] == nil && texts["meta-data"] == nil {
		return nil, nil
	}
	found, err := readCloudInit(texts["meta-data"], texts["network-config"])
	if err != nil {
		return nil, err
	}
	found.userdata = texts["user-data"]
	return found, nil
}

// readCloudInit reads metadata as cloud-init has it, and its configuration of the network.
func readCloudInit(about, links []byte) (*metadata, error) {
	found := &metadata{}
	parsed, err := parseYAML(string(about))
	if err != nil {
		return nil, fmt.Errorf("meta-data: %w", err)
	}
	values, _ := parsed.(map[string]any)
	hostname := yamlText(values["local-hostname"])
	if hostname == "" {
		hostname = yamlText(values["hostname"])
	}
	found.set("hostname", hostname)
	found.set("local_hostname", hostname)
	found.set("instance_id", yamlText(values["instance-id"]))
	for _, key := range yamlTexts(firstOf(values, "public-keys", "public_keys", "public-keys-data")) {
		found.addKeys(key)
	}
	if links != nil {
		// As the provider has it, for programs that read this form.
		found.keep("network-config", links)
		config, err := parseYAML(string(links))
		if err != nil {
			return nil, fmt.Errorf("network-config: %w", err)
		}
		found.network = networkOfCloudInit(config)
	} else if config, there := values["network"]; there {
		found.network = networkOfCloudInit(config)
	}
	return found, nil
}

func firstOf(values map[string]any, names ...string) any {
	for _, name := range names {
		if value, there := values[name]; there {
			return value
		}
	}
	return nil
}
