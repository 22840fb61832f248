package main

// Envelopes with signatures, DSSE: https://github.com/secure-systems-lab/dsse.

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
)

const payloadType = "application/vnd.dolmen.update+json"

type envelope struct {
	PayloadType string `json:"payloadType"`
	Payload     string `json:"payload"`
	Signatures  []struct {
		Sig string `json:"sig"`
	} `json:"signatures"`
}

// parseKeys reads the public keys of a PEM file; there are several while keys are replaced.
func parseKeys(text []byte) ([]*ecdsa.PublicKey, error) {
	var keys []*ecdsa.PublicKey
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("a PEM block of the type %s, not PUBLIC KEY", block.Type)
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		one, ok := key.(*ecdsa.PublicKey)
		if !ok || one.Curve != elliptic.P256() {
			return nil, fmt.Errorf("a key that is not of ECDSA P-256")
		}
		keys = append(keys, one)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("no public key is in it")
	}
	return keys, nil
}

// authenticated returns what is signed: the type and the payload, with their lengths.
func authenticated(kind string, payload []byte) []byte {
	var all bytes.Buffer
	fmt.Fprintf(&all, "DSSEv1 %d %s %d ", len(kind), kind, len(payload))
	all.Write(payload)
	return all.Bytes()
}

// decodeBase64 takes both alphabets, as the specification asks.
func decodeBase64(text string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		data, err = base64.URLEncoding.DecodeString(text)
	}
	return data, err
}

// openEnvelope returns the payload if one of the keys has signed it.
func openEnvelope(text []byte, keys []*ecdsa.PublicKey) ([]byte, error) {
	var found envelope
	if err := json.Unmarshal(text, &found); err != nil {
		return nil, fmt.Errorf("not an envelope: %w", err)
	}
	if found.PayloadType != payloadType {
		return nil, fmt.Errorf("the type of its payload is %q, not %s", found.PayloadType, payloadType)
	}
	payload, err := decodeBase64(found.Payload)
	if err != nil {
		return nil, fmt.Errorf("its payload is not base64: %w", err)
	}
	digest := sha256.Sum256(authenticated(found.PayloadType, payload))
	for _, one := range found.Signatures {
		signature, err := decodeBase64(one.Sig)
		if err != nil {
			continue
		}
		for _, key := range keys {
			if ecdsa.VerifyASN1(key, digest[:], signature) {
				return payload, nil
			}
		}
	}
	return nil, fmt.Errorf("none of its %d signatures is by a key of this system", len(found.Signatures))
}
