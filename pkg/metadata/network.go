package main

// The configuration of the network in one form, whatever the cloud's is: /run/config/network.json.

import (
	"net/netip"
	"sort"
	"strconv"
	"strings"
)

type network struct {
	Interfaces  []*networkInterface `json:"interfaces"`
	Nameservers []string            `json:"nameservers,omitempty"`
	Search      []string            `json:"search,omitempty"`
}

// networkInterface is an interface, known by its name, its MAC address or both.
type networkInterface struct {
	Name  string `json:"name,omitempty"`
	MAC   string `json:"mac,omitempty"`
	MTU   int    `json:"mtu,omitempty"`
	DHCP4 bool   `json:"dhcp4,omitempty"`
	// Also by router advertisements, where these give addresses.
	DHCP6     bool     `json:"dhcp6,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
	Routes    []route  `json:"routes,omitempty"`
}

// route says by which address a network is reached; everything is 0.0.0.0/0 or ::/0.
type route struct {
	To  string `json:"to"`
	Via string `json:"via"`
}

// orNothing returns no network for one without interfaces.
func (n *network) orNothing() *network {
	if n == nil || len(n.Interfaces) == 0 {
		return nil
	}
	return n
}

func (n *network) add(name, mac string) *networkInterface {
	one := &networkInterface{Name: name, MAC: cleanMAC(mac)}
	n.Interfaces = append(n.Interfaces, one)
	return one
}

func (n *network) addNameservers(texts ...string) {
	for _, text := range texts {
		address, err := netip.ParseAddr(strings.TrimSpace(text))
		if err == nil && !contains(n.Nameservers, address.String()) {
			n.Nameservers = append(n.Nameservers, address.String())
		}
	}
}

func (n *network) addSearch(names ...string) {
	for _, name := range names {
		if name != "" && !strings.ContainsAny(name, " \t\r\n") && !contains(n.Search, name) {
			n.Search = append(n.Search, name)
		}
	}
}

// addAddress adds an address with its prefix, mask or the length of its prefix. What is no address
// is left out, as what a cloud leaves empty.
func (i *networkInterface) addAddress(text, mask string) {
	if prefix, ok := prefixOf(text, mask); ok && !contains(i.Addresses, prefix.String()) {
		i.Addresses = append(i.Addresses, prefix.String())
	}
}

// addRoute adds a route to a network; without a network, to everything.
func (i *networkInterface) addRoute(to, mask, via string) {
	gateway, err := netip.ParseAddr(strings.TrimSpace(via))
	if err != nil || gateway.IsUnspecified() {
		return
	}
	if to == "" || to == "default" {
		to, mask = "0.0.0.0/0", ""
		if gateway.Is6() {
			to = "::/0"
		}
	}
	if prefix, ok := prefixOf(to, mask); ok {
		one := route{prefix.Masked().String(), gateway.String()}
		for _, other := range i.Routes {
			if other == one {
				return
			}
		}
		i.Routes = append(i.Routes, one)
	}
}

func prefixOf(text, mask string) (netip.Prefix, bool) {
	text, mask = strings.TrimSpace(text), strings.TrimSpace(mask)
	if address, length, found := strings.Cut(text, "/"); found {
		text, mask = address, length
	}
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" {
		return netip.Prefix{}, false
	}
	length := address.BitLen()
	if mask != "" {
		if number, err := strconv.Atoi(mask); err == nil {
			length = number
		} else if length, err = maskLength(mask); err != nil {
			return netip.Prefix{}, false
		}
	}
	prefix := netip.PrefixFrom(address, length)
	return prefix, prefix.IsValid()
}

// maskLength returns the length of a mask as 255.255.255.0.
func maskLength(mask string) (int, error) {
	address, err := netip.ParseAddr(mask)
	if err != nil {
		return 0, err
	}
	length := 0
	for _, b := range address.AsSlice() {
		for ; b&0x80 != 0; b <<= 1 {
			length++
		}
		if b != 0 {
			return 0, strconv.ErrSyntax
		}
	}
	if other, ok := prefixMask(address, length); !ok || other != address {
		return 0, strconv.ErrSyntax
	}
	return length, nil
}

// prefixMask returns the mask of a length, for addresses like the given one.
func prefixMask(like netip.Addr, length int) (netip.Addr, bool) {
	ones := make([]byte, like.BitLen()/8)
	for bit := 0; bit < length; bit++ {
		ones[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFromSlice(ones)
}

// cleanMAC writes an address with colons and small letters, or not at all if it is none.
func cleanMAC(text string) string {
	digits := strings.Map(func(r rune) rune {
		switch {
		case r == ':' || r == '-' || r == '.':
			return -1
		case r >= 'A' && r <= 'F':
			return r + 'a' - 'A'
		}
		return r
	}, strings.TrimSpace(text))
	if len(digits) != 12 || strings.Trim(digits, "0123456789abcdef") != "" {
		return ""
	}
	pairs := make([]string, 6)
	for i := range pairs {
		pairs[i] = digits[2*i : 2*i+2]
	}
	return strings.Join(pairs, ":")
}

func cleanMTU(text string) int {
	mtu, err := strconv.Atoi(text)
	if err != nil || mtu < 68 || mtu > 65535 {
		return 0
	}
	return mtu
}

func contains(list []string, text string) bool {
	for _, one := range list {
		if one == text {
			return true
		}
	}
	return false
}

func sortedKeys[V any](values map[string]V) []string {
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
