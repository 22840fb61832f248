package main

// Amazon EC2: values one by one, with the token of version 2 of its service; and other clouds with
// the same interface, which have version 1.

import (
	"context"
	"net/http"
	"strconv"
	"strings"
)

type aws struct{ *service }

func newAWS() *aws { return &aws{newService(linkLocal)} }

func (p *aws) name() string { return "AWS" }

// ec2Files has the files and where their values are.
var ec2Files = []struct{ file, path string }{
	{"public_ipv4", "public-ipv4"},
	{"local_ipv4", "local-ipv4"},
	{"availability_zone", "placement/availability-zone"},
	{"instance_type", "instance-type"},
	{"instance_id", "instance-id"},
	{"local_hostname", "local-hostname"},
}

const ec2Values = "/latest/meta-data/"

func (p *aws) ask(ctx context.Context) (*metadata, error) {
	// Good for five minutes, which are more than this takes.
	seconds := map[string]string{"X-aws-ec2-metadata-token-ttl-seconds": "300"}
	token, _, err := p.request(ctx, http.MethodPut, "/latest/api/token", seconds, nil)
	if err == nil {
		p.header = map[string]string{"X-aws-ec2-metadata-token": strings.TrimSpace(string(token))}
	} else if !isRefusal(err) {
		return nil, notThere(err)
	}
	hostname, err := p.get(ctx, ec2Values+"hostname")
	if err != nil {
		return nil, notThere(err)
	}
	found := &metadata{}
	found.set("hostname", string(hostname))
	if err := addEC2Files(ctx, p.service, found); err != nil {
		return nil, err
	}
	if err := p.addKeys(ctx, found); err != nil {
		return nil, err
	}
	if err := p.addNetwork(ctx, found); err != nil {
		return nil, err
	}
	found.userdata, err = p.optional(ctx, "/latest/user-data")
	return found, err
}

func addEC2Files(ctx context.Context, s *service, found *metadata) error {
	for _, row := range ec2Files {
		value, err := s.text(ctx, ec2Values+row.path)
		if err != nil {
			return err
		}
		found.set(row.file, value)
	}
	return nil
}

// addKeys fetches the keys that a list as "0=name" has.
func (p *aws) addKeys(ctx context.Context, found *metadata) error {
	list, err := p.text(ctx, ec2Values+"public-keys/")
	if err != nil {
		return err
	}
	for _, line := range strings.Fields(list) {
		number, _, _ := strings.Cut(line, "=")
		if _, err := strconv.ParseUint(number, 10, 16); err != nil {
			continue
		}
		key, err := p.text(ctx, ec2Values+"public-keys/"+number+"/openssh-key")
		if err != nil {
			return err
		}
		found.addKeys(key)
	}
	return nil
}

func (p *aws) addNetwork(ctx context.Context, found *metadata) error {
	const macs = ec2Values + "network/interfaces/macs/"
	list, err := p.text(ctx, macs)
	if err != nil {
		return err
	}
	all := &network{}
	for _, line := range strings.Fields(list) {
		mac := strings.TrimSuffix(line, "/")
		if cleanMAC(mac) == "" {
			continue
		}
		one := all.add("", mac)
		for _, family := range []struct{ addresses, subnets string }{
			{"local-ipv4s", "subnet-ipv4-cidr-block"},
			{"ipv6s", "subnet-ipv6-cidr-blocks"},
		} {
			addresses, err := p.text(ctx, macs+mac+"/"+family.addresses)
			if err != nil {
				return err
			}
			if addresses == "" {
				continue
			}
			subnet, err := p.text(ctx, macs+mac+"/"+family.subnets)
			if err != nil {
				return err
			}
			one.DHCP4 = one.DHCP4 || family.addresses == "local-ipv4s"
			one.DHCP6 = one.DHCP6 || family.addresses == "ipv6s"
			for _, address := range strings.Fields(addresses) {
				_, length, _ := strings.Cut(strings.SplitN(subnet, "\n", 2)[0], "/")
				one.addAddress(address, length)
			}
		}
	}
	found.network = all.orNothing()
	return nil
}
