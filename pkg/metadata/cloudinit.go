package main

// The configuration of the network in the versions 1 and 2 of cloud-init's form.

// networkOfCloudInit returns the network of a parsed configuration, or nothing.
func networkOfCloudInit(config any) *network {
	about, _ := config.(map[string]any)
	if inner, there := about["network"].(map[string]any); there {
		about = inner
	}
	all := &network{}
	switch yamlText(about["version"]) {
	case "1":
		addVersion1(all, about["config"])
	case "2":
		addVersion2(all, about)
	}
	return all.orNothing()
}

func addVersion1(all *network, config any) {
	entries, _ := config.([]any)
	for _, entry := range entries {
		one, _ := entry.(map[string]any)
		switch yamlText(one["type"]) {
		case "nameserver":
			all.addNameservers(yamlTexts(one["address"])...)
			all.addSearch(yamlTexts(one["search"])...)
		case "physical":
			card := all.add(yamlText(one["name"]), yamlText(one["mac_address"]))
			card.MTU = cleanMTU(yamlText(one["mtu"]))
			subnets, _ := one["subnets"].([]any)
			for _, subnet := range subnets {
				addSubnet(all, card, subnet)
			}
		}
	}
}

func addSubnet(all *network, card *networkInterface, config any) {
	one, _ := config.(map[string]any)
	switch yamlText(one["type"]) {
	case "dhcp", "dhcp4":
		card.DHCP4 = true
	case "dhcp6", "ipv6_dhcpv6-stateful", "ipv6_dhcpv6-stateless", "ipv6_slaac":
		card.DHCP6 = true
	}
	card.addAddress(yamlText(one["address"]), yamlText(one["netmask"]))
	card.addRoute("", "", yamlText(one["gateway"]))
	all.addNameservers(yamlTexts(one["dns_nameservers"])...)
	all.addSearch(yamlTexts(one["dns_search"])...)
	routes, _ := one["routes"].([]any)
	for _, entry := range routes {
		route, _ := entry.(map[string]any)
		mask := yamlText(firstOf(route, "netmask", "prefix"))
		card.addRoute(yamlText(firstOf(route, "network", "destination")), mask, yamlText(route["gateway"]))
	}
}

func addVersion2(all *network, about map[string]any) {
	cards, _ := about["ethernets"].(map[string]any)
	for _, name := range sortedKeys(cards) {
		one, _ := cards[name].(map[string]any)
		match, _ := one["match"].(map[string]any)
		if len(match) > 0 {
			// Then the key is no name, unless the interface gets it.
			name = yamlText(firstOf(one, "set-name"))
			if name == "" {
				name = yamlText(match["name"])
			}
		}
		card := all.add(name, yamlText(match["macaddress"]))
		card.MTU = cleanMTU(yamlText(one["mtu"]))
		card.DHCP4, card.DHCP6 = yamlTrue(one["dhcp4"]), yamlTrue(one["dhcp6"])
		for _, address := range yamlTexts(one["addresses"]) {
			card.addAddress(address, "")
		}
		card.addRoute("", "", yamlText(one["gateway4"]))
		card.addRoute("", "", yamlText(one["gateway6"]))
		servers, _ := one["nameservers"].(map[string]any)
		all.addNameservers(yamlTexts(servers["addresses"])...)
		all.addSearch(yamlTexts(servers["search"])...)
		routes, _ := one["routes"].([]any)
		for _, entry := range routes {
			route, _ := entry.(map[string]any)
			card.addRoute(yamlText(route["to"]), "", yamlText(route["via"]))
		}
	}
}
