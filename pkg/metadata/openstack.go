package main

// OpenStack: three documents, by HTTP or on a drive with the label config-2.

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const openStackFolder = "openstack/latest"

type openStack struct {
	*service
	drives *volumes
}

func newOpenStack() *openStack { return &openStack{newService(linkLocal), newVolumes("config-2")} }

func (p *openStack) name() string { return "openstack" }

// ask takes the drive, if there is one: then there may be no service.
func (p *openStack) ask(ctx context.Context) (*metadata, error) {
	// A drive is there at once or within its wait, while a service may never answer.
	found, err := p.drives.read(ctx, 0, readConfigDrive)
	if found != nil || err != nil {
		return found, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		found *metadata
		err   error
	}
	byHTTP, byDrive := make(chan answer, 1), make(chan answer, 1)
	go func() {
		found, err := p.askService(ctx)
		byHTTP <- answer{found, err}
	}()
	go func() {
		found, err := p.drives.read(ctx, longestWait, readConfigDrive)
		byDrive <- answer{found, err}
	}()
	for {
		select {
		case one := <-byHTTP:
			if one.err == nil {
				return one.found, nil
			}
			// There may still be a drive.
			if other := <-byDrive; other.found != nil || other.err != nil {
				return other.found, other.err
			}
			return nil, one.err
		case one := <-byDrive:
			if one.found != nil || one.err != nil {
				return one.found, one.err
			}
			other := <-byHTTP
			return other.found, other.err
		}
	}
}

func (p *openStack) askService(ctx context.Context) (*metadata, error) {
	about, err := p.get(ctx, "/"+openStackFolder+"/meta_data.json")
	if err != nil {
		return nil, notThere(err)
	}
	userdata, err := p.optional(ctx, "/"+openStackFolder+"/user_data")
	if err != nil {
		return nil, err
	}
	links, err := p.optional(ctx, "/"+openStackFolder+"/network_data.json")
	if err != nil {
		return nil, err
	}
	found, err := readOpenStack(about, userdata, links)
	if err != nil {
		return nil, err
	}
	// What its own documents do not have, and LinuxKit takes from there.
	return found, addEC2Files(ctx, p.service, found)
}

func readConfigDrive(directory string) (*metadata, error) {
	var texts [3][]byte
	for number, name := range []string{"meta_data.json", "user_data", "network_data.json"} {
		text, err := readSmall(filepath.Join(directory, openStackFolder, name))
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		texts[number] = text
	}
	if texts[0] == nil {
		return nil, nil
	}
	return readOpenStack(texts[0], texts[1], texts[2])
}

type openStackMetadata struct {
	UUID             string            `json:"uuid"`
	Hostname         string            `json:"hostname"`
	AvailabilityZone string            `json:"availability_zone"`
	PublicKeys       map[string]string `json:"public_keys"`
}

func readOpenStack(about, userdata, links []byte) (*metadata, error) {
	var values openStackMetadata
	if err := json.Unmarshal(about, &values); err != nil {
		return nil, fmt.Errorf("meta_data.json: %w", err)
	}
	found := &metadata{userdata: userdata}
	found.set("hostname", values.Hostname)
	found.set("local_hostname", values.Hostname)
	found.set("availability_zone", values.AvailabilityZone)
	found.set("instance_id", values.UUID)
	for _, name := range sortedKeys(values.PublicKeys) {
		found.addKeys(values.PublicKeys[name])
	}
	if links == nil {
		return found, nil
	}
	var err error
	found.network, err = readOpenStackNetwork(links)
	return found, err
}

type openStackService struct {
	Type    string `json:"type"`
	Address string `json:"address"`
}

type openStackNetwork struct {
	Links []struct {
		ID   string `json:"id"`
		Type string `json:"type"`
		MAC  string `json:"ethernet_mac_address"`
		MTU  int    `json:"mtu"`
	} `json:"links"`
	Networks []struct {
		Link      string `json:"link"`
		Type      string `json:"type"`
		IPAddress string `json:"ip_address"`
		Netmask   string `json:"netmask"`
		Gateway   string `json:"gateway"`
		Routes    []struct {
			Network string `json:"network"`
			Netmask string `json:"netmask"`
			Gateway string `json:"gateway"`
		} `json:"routes"`
		Services []openStackService `json:"services"`
	} `json:"networks"`
	Services []openStackService `json:"services"`
}

func readOpenStackNetwork(text []byte) (*network, error) {
	var about openStackNetwork
	if err := json.Unmarshal(text, &about); err != nil {
		return nil, fmt.Errorf("network_data.json: %w", err)
	}
	all := &network{}
	cards := map[string]*networkInterface{}
	for _, link := range about.Links {
		card := all.add("", link.MAC)
		card.MTU = link.MTU
		cards[link.ID] = card
	}
	for _, one := range about.Networks {
		card := cards[one.Link]
		if card == nil {
			continue
		}
		switch {
		case one.Type == "ipv4_dhcp":
			card.DHCP4 = true
		case strings.HasPrefix(one.Type, "ipv6_"):
			card.DHCP6 = true
		}
		card.addAddress(one.IPAddress, one.Netmask)
		card.addRoute("", "", one.Gateway)
		for _, route := range one.Routes {
			card.addRoute(route.Network, route.Netmask, route.Gateway)
		}
		addOpenStackServices(all, one.Services)
	}
	addOpenStackServices(all, about.Services)
	return all.orNothing(), nil
}

func addOpenStackServices(all *network, services []openStackService) {
	for _, one := range services {
		if one.Type == "dns" {
			all.addNameservers(one.Address)
		}
	}
}

// Drivers find drives in their own time.
const longestWait = 2 * time.Second
