package main

// Scaleway: one document; user data is only for root, which a source port below 1024 proves.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
)

type scaleway struct {
	*service
	// The source ports that prove it.
	lowest, highest int
}

func newScaleway() *scaleway {
	return &scaleway{newService("http://169.254.42.42", "http://[fd00:42::42]"), 600, 1023}
}

func (p *scaleway) name() string { return "Scaleway" }

func (p *scaleway) ask(ctx context.Context) (*metadata, error) {
	document, err := p.get(ctx, "/conf?format=json")
	if err != nil {
		return nil, notThere(err)
	}
	found, err := readScaleway(document)
	if err != nil {
		return nil, err
	}
	found.userdata, err = p.userdata(ctx)
	return found, err
}

// userdata fetches the user data; each connection comes from another port.
func (p *scaleway) userdata(ctx context.Context) ([]byte, error) {
	privileged := *p.service
	ports := &lowPorts{next: p.highest, lowest: p.lowest, highest: p.highest}
	privileged.client = newClient(ports.dial)
	defer privileged.client.CloseIdleConnections()
	return privileged.optional(ctx, "/user_data/cloud-init")
}

// lowPorts makes connections from the ports of a range, from its end to its beginning.
type lowPorts struct{ next, lowest, highest int }

func (l *lowPorts) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var connection net.Conn
	err := error(syscall.EADDRINUSE)
	for tries := l.highest - l.lowest; tries >= 0 && isTaken(err); tries-- {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{Port: l.next}}
		if l.next--; l.next < l.lowest {
			l.next = l.highest
		}
		connection, err = dialer.DialContext(ctx, network, address)
	}
	if errors.Is(err, syscall.EACCES) {
		err = fmt.Errorf("a port below 1024 needs CAP_NET_BIND_SERVICE: %w", err)
	}
	return connection, err
}

func isTaken(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

func readScaleway(document []byte) (*metadata, error) {
	type address struct {
		Address string `json:"address"`
		Netmask prefix `json:"netmask"`
		Gateway string `json:"gateway"`
	}
	var about struct {
		ID             string    `json:"id"`
		Hostname       string    `json:"hostname"`
		CommercialType string    `json:"commercial_type"`
		PublicIP       *address  `json:"public_ip"`
		PublicIPs      []address `json:"public_ips"`
		PrivateIP      *string   `json:"private_ip"`
		IPv6           *address  `json:"ipv6"`
		Location       struct {
			ZoneID string `json:"zone_id"`
		} `json:"location"`
		SSHPublicKeys []struct {
			Key string `json:"key"`
		} `json:"ssh_public_keys"`
		Tags []string `json:"tags"`
	}
	if err := json.Unmarshal(document, &about); err != nil {
		return nil, fmt.Errorf("the document about the instance: %w", err)
	}
	found := &metadata{}
	found.set("hostname", about.Hostname)
	found.set("instance_id", about.ID)
	found.set("instance_type", about.CommercialType)
	found.set("instance_location", about.Location.ZoneID)
	if about.PrivateIP != nil {
		found.set("private_ip", *about.PrivateIP)
	}
	for _, key := range about.SSHPublicKeys {
		found.addKeys(key.Key)
	}
	for _, tag := range about.Tags {
		if key := strings.TrimPrefix(tag, "AUTHORIZED_KEY="); key != tag {
			// No tag has spaces.
			found.addKeys(strings.ReplaceAll(key, "_", " "))
		}
	}
	all := &network{}
	card := all.add("", "")
	card.DHCP4 = true
	public := about.PublicIPs
	if about.PublicIP != nil {
		found.set("public_ip", about.PublicIP.Address)
		public = append([]address{*about.PublicIP}, public...)
	}
	if about.IPv6 != nil {
		public = append(public, *about.IPv6)
	}
	for _, one := range public {
		card.addAddress(one.Address, string(one.Netmask))
		card.addRoute("", "", one.Gateway)
	}
	if len(card.Addresses) > 0 {
		found.network = all
	}
	return found, nil
}
