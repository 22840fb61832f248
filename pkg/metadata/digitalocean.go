package main

// DigitalOcean: one document.

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
)

type digitalOcean struct{ *service }

func newDigitalOcean() *digitalOcean { return &digitalOcean{newService(linkLocal)} }

func (p *digitalOcean) name() string { return "DigitalOcean" }

func (p *digitalOcean) ask(ctx context.Context) (*metadata, error) {
	document, err := p.get(ctx, "/metadata/v1.json")
	if err != nil {
		return nil, notThere(err)
	}
	return readDigitalOcean(document)
}

type digitalOceanAddress struct {
	IPAddress string `json:"ip_address"`
	Netmask   string `json:"netmask"`
	CIDR      int    `json:"cidr"`
	Gateway   string `json:"gateway"`
}

type digitalOceanInterface struct {
	IPv4       *digitalOceanAddress `json:"ipv4"`
	IPv6       *digitalOceanAddress `json:"ipv6"`
	AnchorIPv4 *digitalOceanAddress `json:"anchor_ipv4"`
	MAC        string               `json:"mac"`
}

func readDigitalOcean(document []byte) (*metadata, error) {
	var about struct {
		DropletID  json.Number `json:"droplet_id"`
		Hostname   string      `json:"hostname"`
		UserData   *string     `json:"user_data"`
		PublicKeys []string    `json:"public_keys"`
		Region     string      `json:"region"`
		Interfaces struct {
			Public  []digitalOceanInterface `json:"public"`
			Private []digitalOceanInterface `json:"private"`
		} `json:"interfaces"`
		DNS struct {
			Nameservers []string `json:"nameservers"`
		} `json:"dns"`
	}
	if err := json.Unmarshal(document, &about); err != nil {
		return nil, fmt.Errorf("v1.json: %w", err)
	}
	found := &metadata{}
	found.set("hostname", about.Hostname)
	found.set("region", about.Region)
	found.set("id", about.DropletID.String())
	found.set("instance_id", about.DropletID.String())
	for _, key := range about.PublicKeys {
		found.addKeys(key)
	}
	if about.UserData != nil {
		found.userdata = []byte(*about.UserData)
	}
	all := &network{}
	for number, one := range about.Interfaces.Public {
		if number == 0 && one.IPv4 != nil {
			found.set("public_ipv4", one.IPv4.IPAddress)
		}
		card := all.add("", one.MAC)
		one.IPv4.addTo(card, true)
		one.IPv6.addTo(card, true)
		one.AnchorIPv4.addTo(card, false)
	}
	for number, one := range about.Interfaces.Private {
		if number == 0 && one.IPv4 != nil {
			found.set("private_ipv4", one.IPv4.IPAddress)
		}
		// Its gateway leads to no other networks.
		card := all.add("", one.MAC)
		one.IPv4.addTo(card, false)
		one.IPv6.addTo(card, false)
	}
	all.addNameservers(about.DNS.Nameservers...)
	found.network = all.orNothing()
	return found, nil
}

func (a *digitalOceanAddress) addTo(card *networkInterface, gateway bool) {
	if a == nil {
		return
	}
	mask := a.Netmask
	if mask == "" && a.CIDR > 0 {
		mask = strconv.Itoa(a.CIDR)
	}
	card.addAddress(a.IPAddress, mask)
	if gateway {
		card.addRoute("", "", a.Gateway)
	}
}
