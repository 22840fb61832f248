package main

import "crypto/ecdsa"

func publicKeys(keys ...*ecdsa.PrivateKey) []*ecdsa.PublicKey {
	var all []*ecdsa.PublicKey
	for _, one := range keys {
		all = append(all, &one.PublicKey)
	}
	return all
}
