package main

// Vultr: one document; user data is where EC2 has it.

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
)

type vultr struct{ *service }

func newVultr() *vultr { return &vultr{newService(linkLocal)} }

func (p *vultr) name() string { return "Vultr" }

func (p *vultr) ask(ctx context.Context) (*metadata, error) {
	document, err := p.get(ctx, "/v1.json")
	if err != nil {
		return nil, notThere(err)
	}
	found, err := readVultr(document)
	if err != nil || found.userdata != nil {
		return found, err
	}
	found.userdata, err = p.optional(ctx, "/latest/user-data")
	return found, err
}

type vultrInterface struct {
	IPv4 struct {
		Address    string `json:"address"`
		Gateway    string `json:"gateway"`
		Netmask    string `json:"netmask"`
		Additional []struct {
			Address string `json:"address"`
			Netmask string `json:"netmask"`
		} `json:"additional"`
	} `json:"ipv4"`
	IPv6 struct {
		Address string `json:"address"`
		Prefix  prefix `json:"prefix"`
	} `json:"ipv6"`
	MAC         string `json:"mac"`
	NetworkType string `json:"network-type"`
}

// prefix is a number, or a text with one.
type prefix string

func (p *prefix) UnmarshalJSON(data []byte) error {
	var number int
	var text string
	if json.Unmarshal(data, &number) == nil {
		text = strconv.Itoa(number)
	} else if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	*p = prefix(text)
	return nil
}

// lines is a list of texts, or a text with one in each line.
type lines []string

func (l *lines) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*l = lines{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(l))
}

func readVultr(document []byte) (*metadata, error) {
	var about struct {
		Hostname   string           `json:"hostname"`
		InstanceID string           `json:"instanceid"`
		Interfaces []vultrInterface `json:"interfaces"`
		PublicKeys lines            `json:"public-keys"`
		Region     struct {
			RegionCode string `json:"regioncode"`
		} `json:"region"`
		UserData *string `json:"user-data"`
	}
	if err := json.Unmarshal(document, &about); err != nil {
		return nil, fmt.Errorf("v1.json: %w", err)
	}
	found := &metadata{}
	found.set("hostname", about.Hostname)
	found.set("instance_id", about.InstanceID)
	found.set("region_code", about.Region.RegionCode)
	for _, key := range about.PublicKeys {
		found.addKeys(key)
	}
	if about.UserData != nil {
		found.userdata = []byte(*about.UserData)
	}
	all := &network{}
	for number, one := range about.Interfaces {
		switch number {
		case 0:
			found.set("public_ipv4", one.IPv4.Address)
		case 1:
			found.set("private_ipv4", one.IPv4.Address)
			found.set("private_netmask", one.IPv4.Netmask)
		}
		card := all.add("", one.MAC)
		public := one.NetworkType == "public"
		card.DHCP4, card.DHCP6 = public, public && one.IPv6.Address != ""
		card.addAddress(one.IPv4.Address, one.IPv4.Netmask)
		for _, other := range one.IPv4.Additional {
			card.addAddress(other.Address, other.Netmask)
		}
		card.addAddress(one.IPv6.Address, string(one.IPv6.Prefix))
		if public {
			card.addRoute("", "", one.IPv4.Gateway)
		}
	}
	found.network = all.orNothing()
	return found, nil
}
