package main

// Google Compute Engine: everything about the instance in one document.

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"
)

type gcp struct{ *service }

func newGCP() *gcp {
	// Every machine there resolves the name to this address without a name server.
	s := newService(linkLocal)
	s.host = "metadata.google.internal"
	s.header = map[string]string{"Metadata-Flavor": "Google"}
	return &gcp{s}
}

func (p *gcp) name() string { return "GCP" }

func (p *gcp) ask(ctx context.Context) (*metadata, error) {
	const version = "/computeMetadata/v1/"
	instance, header, err := p.request(ctx, "GET", version+"instance/?recursive=true", nil, nil)
	if err != nil {
		return nil, notThere(err)
	}
	if header.Get("Metadata-Flavor") != "Google" {
		return nil, notThere(fmt.Errorf("the service is none of Google's"))
	}
	attributes, err := p.optional(ctx, version+"project/attributes/?recursive=true")
	if err != nil {
		return nil, err
	}
	return readGCP(instance, attributes)
}

type gcpInstance struct {
	Attributes        map[string]string `json:"attributes"`
	Hostname          string            `json:"hostname"`
	ID                json.Number       `json:"id"`
	MachineType       string            `json:"machineType"`
	Zone              string            `json:"zone"`
	NetworkInterfaces []struct {
		AccessConfigs []struct {
			ExternalIP string `json:"externalIp"`
		} `json:"accessConfigs"`
		DNSServers []string `json:"dnsServers"`
		Gateway    string   `json:"gateway"`
		IP         string   `json:"ip"`
		IPv6       []string `json:"ipv6"`
		MAC        string   `json:"mac"`
		MTU        int      `json:"mtu"`
		Subnetmask string   `json:"subnetmask"`
	} `json:"networkInterfaces"`
}

// readGCP reads the documents about the instance and about the project, of which this is the keys.
func readGCP(instance, attributes []byte) (*metadata, error) {
	var about gcpInstance
	if err := json.Unmarshal(instance, &about); err != nil {
		return nil, fmt.Errorf("the document about the instance: %w", err)
	}
	project := map[string]string{}
	if attributes != nil {
		if err := json.Unmarshal(attributes, &project); err != nil {
			return nil, fmt.Errorf("the attributes of the project: %w", err)
		}
	}
	found := &metadata{}
	found.set("hostname", about.Hostname)
	found.set("instance_id", about.ID.String())
	// They come as projects/NUMBER/zones/NAME.
	found.set("availability_zone", lastPart(about.Zone))
	found.set("instance_type", lastPart(about.MachineType))
	found.addGCPKeys(about.Attributes["ssh-keys"])
	if !strings.EqualFold(about.Attributes["block-project-ssh-keys"], "true") {
		found.addGCPKeys(project["ssh-keys"])
	}
	// LinuxKit's documentation has the one name, its program the other.
	for _, name := range []string{"userdata", "user-data"} {
		if text, there := about.Attributes[name]; there {
			found.userdata = []byte(text)
		}
	}
	all := &network{}
	for number, one := range about.NetworkInterfaces {
		if number == 0 {
			found.set("local_ipv4", one.IP)
			if len(one.AccessConfigs) > 0 {
				found.set("public_ipv4", one.AccessConfigs[0].ExternalIP)
			}
		}
		card := all.add("", one.MAC)
		card.DHCP4, card.DHCP6 = one.IP != "", len(one.IPv6) > 0
		card.MTU = one.MTU
		card.addAddress(one.IP, one.Subnetmask)
		card.addRoute("", "", one.Gateway)
		for _, address := range one.IPv6 {
			card.addAddress(address, "")
		}
		all.addNameservers(one.DNSServers...)
	}
	found.network = all.orNothing()
	return found, nil
}

func lastPart(text string) string {
	if text == "" {
		return ""
	}
	return path.Base(text)
}

// addGCPKeys adds keys that have a user's name in front, which counts as root's.
func (m *metadata) addGCPKeys(text string) {
	for _, line := range strings.Split(text, "\n") {
		user, key, found := strings.Cut(line, ":")
		if found && !strings.Contains(user, " ") {
			m.addKeys(key)
		}
	}
}
