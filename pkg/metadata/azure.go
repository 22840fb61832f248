package main

// Azure: one document, and a report to the host that the machine is ready. Without it Azure takes
// the start for failed after some minutes.

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
)

type azure struct {
	*service
	wire *service
}

func newAzure() *azure {
	instance, wire := newService(linkLocal), newService(wireServer)
	instance.header = map[string]string{"Metadata": "true"}
	// While the machine is being made, the service does not know it yet.
	instance.again = []int{http.StatusNotFound, http.StatusGone}
	wire.header = map[string]string{"x-ms-version": "2012-11-30", "x-ms-agent-name": "dolmen"}
	return &azure{instance, wire}
}

func (p *azure) name() string { return "Azure" }

func (p *azure) ask(ctx context.Context) (*metadata, error) {
	document, err := p.get(ctx, "/metadata/instance?api-version=2021-02-01&format=json")
	if err != nil {
		return nil, notThere(err)
	}
	found, err := readAzure(document)
	if err != nil {
		return nil, err
	}
	found.report = p.reportHealth
	return found, nil
}

type azureInstance struct {
	Compute struct {
		Name       string `json:"name"`
		VMID       string `json:"vmId"`
		VMSize     string `json:"vmSize"`
		Location   string `json:"location"`
		Zone       string `json:"zone"`
		UserData   string `json:"userData"`
		PublicKeys []struct {
			KeyData string `json:"keyData"`
		} `json:"publicKeys"`
	} `json:"compute"`
	Network struct {
		Interface []struct {
			IPv4       azureAddresses `json:"ipv4"`
			IPv6       azureAddresses `json:"ipv6"`
			MACAddress string         `json:"macAddress"`
		} `json:"interface"`
	} `json:"network"`
}

type azureAddresses struct {
	IPAddress []struct {
		Private string `json:"privateIpAddress"`
		Public  string `json:"publicIpAddress"`
	} `json:"ipAddress"`
	Subnet []struct {
		Address string `json:"address"`
		Prefix  string `json:"prefix"`
	} `json:"subnet"`
}

func readAzure(document []byte) (*metadata, error) {
	var about azureInstance
	if err := json.Unmarshal(document, &about); err != nil {
		return nil, fmt.Errorf("the document about the instance: %w", err)
	}
	compute := about.Compute
	found := &metadata{}
	found.set("hostname", compute.Name)
	found.set("instance_id", compute.VMID)
	found.set("instance_type", compute.VMSize)
	found.set("region", compute.Location)
	found.set("availability_zone", compute.Zone)
	// LinuxKit's names.
	found.set("compute_vmId", compute.VMID)
	found.set("compute_zone", compute.Zone)
	for _, key := range compute.PublicKeys {
		// It may be broken into several lines.
		found.addKeys(strings.NewReplacer("\r", "", "\n", "").Replace(key.KeyData))
	}
	if compute.UserData != "" {
		data, err := base64.StdEncoding.DecodeString(compute.UserData)
		if err != nil {
			return nil, fmt.Errorf("the user data: %w", err)
		}
		found.userdata = data
	}
	all := &network{}
	for number, one := range about.Network.Interface {
		card := all.add("", one.MACAddress)
		card.DHCP4, card.DHCP6 = len(one.IPv4.IPAddress) > 0, len(one.IPv6.IPAddress) > 0
		one.IPv4.addTo(card)
		one.IPv6.addTo(card)
		if number == 0 && len(one.IPv4.IPAddress) > 0 {
			first := one.IPv4.IPAddress[0]
			const linuxkit = "network_interface_0_ipv4_ipAddress_0_"
			found.set(linuxkit+"privateIpAddress", first.Private)
			found.set(linuxkit+"publicIpAddress", first.Public)
			found.set("local_ipv4", first.Private)
			found.set("public_ipv4", first.Public)
		}
	}
	found.network = all.orNothing()
	return found, nil
}

func (a azureAddresses) addTo(card *networkInterface) {
	prefix := ""
	if len(a.Subnet) > 0 {
		prefix = a.Subnet[0].Prefix
	}
	for _, address := range a.IPAddress {
		card.addAddress(address.Private, prefix)
	}
}

// goalState is what Azure wants of the machine; a report has to repeat its names.
type goalState struct {
	Incarnation string `xml:"Incarnation"`
	ContainerID string `xml:"Container>ContainerId"`
	InstanceID  string `xml:"Container>RoleInstanceList>RoleInstance>InstanceId"`
}

func readGoalState(document []byte) (goalState, error) {
	var state goalState
	if err := xml.Unmarshal(document, &state); err != nil {
		return state, fmt.Errorf("the goal state: %w", err)
	}
	if state.ContainerID == "" || state.InstanceID == "" {
		return state, fmt.Errorf("the goal state has no container or no instance")
	}
	return state, nil
}

type healthReport struct {
	XMLName     xml.Name       `xml:"Health"`
	Incarnation string         `xml:"GoalStateIncarnation"`
	ContainerID string         `xml:"Container>ContainerId"`
	InstanceID  string         `xml:"Container>RoleInstanceList>Role>InstanceId"`
	State       string         `xml:"Container>RoleInstanceList>Role>Health>State"`
	Details     *healthDetails `xml:"Container>RoleInstanceList>Role>Health>Details,omitempty"`
}

type healthDetails struct {
	SubStatus   string `xml:"SubStatus"`
	Description string `xml:"Description"`
}

const longestDescription = 512

func writeHealthReport(state goalState, failure error) ([]byte, error) {
	report := healthReport{
		Incarnation: state.Incarnation, ContainerID: state.ContainerID, InstanceID: state.InstanceID,
		State: "Ready",
	}
	if failure != nil {
		text := failure.Error()
		if len(text) > longestDescription {
			text = strings.ToValidUTF8(text[:longestDescription], "")
		}
		report.State = "NotReady"
		report.Details = &healthDetails{"ProvisioningFailed", text}
	}
	text, err := xml.Marshal(report)
	return append([]byte(`<?xml version="1.0" encoding="utf-8"?>`), text...), err
}

// reportHealth says that the machine is ready, or why it is not.
func (p *azure) reportHealth(ctx context.Context, failure error) error {
	document, err := p.wire.get(ctx, "/machine/?comp=goalstate")
	if err != nil {
		return err
	}
	state, err := readGoalState(document)
	if err != nil {
		return err
	}
	report, err := writeHealthReport(state, failure)
	if err != nil {
		return err
	}
	kind := map[string]string{"Content-Type": "text/xml; charset=utf-8"}
	_, _, err = p.wire.request(ctx, http.MethodPost, "/machine?comp=health", kind, bytes.TrimSpace(report))
	if err == nil {
		say("Azure knows that this machine is %s", map[bool]string{true: "ready", false: "not ready"}[failure == nil])
	}
	return err
}
