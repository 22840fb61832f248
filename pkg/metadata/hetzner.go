package main

// Hetzner: values one by one; lists are YAML.

import (
	"context"
	"fmt"
)

type hetzner struct{ *service }

func newHetzner() *hetzner { return &hetzner{newService(linkLocal)} }

func (p *hetzner) name() string { return "Hetzner" }

func (p *hetzner) ask(ctx context.Context) (*metadata, error) {
	const values = "/hetzner/v1/metadata"
	document, err := p.get(ctx, values)
	if err != nil {
		return nil, notThere(err)
	}
	private, err := p.optional(ctx, values+"/private-networks")
	if err != nil {
		return nil, err
	}
	found, err := readHetzner(document, private)
	if err != nil {
		return nil, err
	}
	found.userdata, err = p.optional(ctx, "/hetzner/v1/userdata")
	return found, err
}

// readHetzner reads the document about the server, and the list of its private networks.
func readHetzner(document, private []byte) (*metadata, error) {
	parsed, err := parseYAML(string(document))
	if err != nil {
		return nil, fmt.Errorf("the document about the server: %w", err)
	}
	about, _ := parsed.(map[string]any)
	found := &metadata{}
	found.set("hostname", yamlText(about["hostname"]))
	found.set("instance_id", yamlText(about["instance-id"]))
	found.set("public_ipv4", yamlText(about["public-ipv4"]))
	found.set("availability_zone", yamlText(about["availability-zone"]))
	found.set("region", yamlText(about["region"]))
	for _, key := range yamlTexts(about["public-keys"]) {
		found.addKeys(key)
	}
	all := networkOfCloudInit(about["network-config"])
	if all == nil {
		all = &network{}
	}
	list, err := parseYAML(string(private))
	if err != nil {
		return nil, fmt.Errorf("the private networks: %w", err)
	}
	entries, _ := list.([]any)
	for number, entry := range entries {
		one, _ := entry.(map[string]any)
		if number == 0 {
			found.set("local_ipv4", yamlText(one["ip"]))
		}
		card := all.add("", yamlText(one["mac_address"]))
		card.DHCP4 = true
		card.addAddress(yamlText(one["ip"]), "32")
		card.addRoute(yamlText(one["network"]), "", yamlText(one["gateway"]))
	}
	found.network = all.orNothing()
	return found, nil
}
