package main

// Keys that are sealed: a TPM encrypts them, and gives them out again if a policy allows it.

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

const (
	tokenType = "dolmen-tpm2"
	// Fixed to the TPM and to the storage key, only by the policy, and wrong attempts do not count.
	sealedAttributes = 0x00000492
)

// token is what the header of LUKS2 keeps beside the key slot. Nothing in it is secret.
type token struct {
	Type  string   `json:"type"`
	Slots []string `json:"keyslots"`
	// What the TPM has encrypted, for itself.
	Private []byte `json:"tpm2-private"`
	Public  []byte `json:"tpm2-public"`
	// The name of the storage key, by which the TPM is known again.
	Storage string `json:"tpm2-storage-key"`
	// The registers as they were, by number: to say which of them has changed.
	Values map[string]string `json:"tpm2-pcr-values"`
	// The key of signed policies of PCR 11; empty without.
	Signer string `json:"tpm2-pcr-public-key,omitempty"`
}

// request is what a key is sealed to.
type request struct {
	registers []int
	signer    *policySigner
}

func sealedTemplate(policy []byte) []byte {
	return pack(uint16(algKeyedHash), uint16(algSHA256), uint32(sealedAttributes), sized(policy), uint16(algNull), sized(nil))
}

// seal encrypts a key.
func (t *tpm) seal(key []byte, slot string, r request) (*token, error) {
	defer t.clear()
	values, err := t.readRegisters(r.registers)
	if err != nil {
		return nil, err
	}
	if err := checkMeasured(r.registers, values); err != nil {
		return nil, err
	}
	policy := make([]byte, sha256.Size)
	made := &token{Type: tokenType, Slots: []string{slot}, Values: map[string]string{}}
	if r.signer != nil {
		policy = afterAuthorize(objectName(r.signer.public))
		made.Signer = string(r.signer.pem)
	}
	if len(r.registers) > 0 {
		policy = afterRegisters(policy, r.registers, values)
	}
	for number, value := range values {
		made.Values[strconv.Itoa(number)] = hex.EncodeToString(value)
	}
	storage, err := t.primary()
	if err != nil {
		return nil, err
	}
	made.Storage = hex.EncodeToString(storage.name)
	s, err := t.startSession(sessionHMAC, storage)
	if err != nil {
		return nil, err
	}
	_, answer, err := t.run(s, ccCreate, storage.handle, storage.name,
		pack(sized(pack(sized(nil), sized(key))), sized(sealedTemplate(policy)), sized(nil), uint32(0)), encryptRequest, false)
	if err != nil {
		return nil, fmt.Errorf("sealing the key: %w", err)
	}
	made.Private, made.Public = answer.sized(), answer.sized()
	if answer.err != nil {
		return nil, answer.err
	}
	if !bytes.Equal(made.Public[:len(sealedTemplate(policy))-2], sealedTemplate(policy)[:len(sealedTemplate(policy))-2]) {
		return nil, errors.New("the TPM has sealed the key to something else")
	}
	return made, nil
}

// checkMeasured refuses registers that nothing was measured into: anybody could have them.
func checkMeasured(numbers []int, values map[int][]byte) error {
	for _, number := range numbers {
		// Nothing is added to most command lines.
		if number != 12 && bytes.Equal(values[number], make([]byte, sha256.Size)) {
			return fmt.Errorf("%s is empty: the system was not started by firmware and a program that measure", describeRegister(number))
		}
	}
	return nil
}

func parseToken(content []byte) (*token, error) {
	found := &token{}
	if err := json.Unmarshal(content, found); err != nil {
		return nil, fmt.Errorf("the token of the volume: %w", err)
	}
	if found.Type != tokenType {
		return nil, fmt.Errorf("the token of the volume is of the type %q, not %s", found.Type, tokenType)
	}
	return found, nil
}

func (k *token) registers() ([]int, error) {
	var words []string
	for number := range k.Values {
		words = append(words, number)
	}
	return parseRegisters(strings.Join(words, ","))
}

// unseal returns the key, if the TPM gives it out.
func (t *tpm) unseal(k *token, signatures []byte) ([]byte, error) {
	defer t.clear()
	numbers, err := k.registers()
	if err != nil {
		return nil, err
	}
	storage, err := t.primary()
	if err != nil {
		return nil, err
	}
	if k.Storage != hex.EncodeToString(storage.name) {
		return nil, errors.New("the key was sealed by another TPM, or this one was cleared")
	}
	// First what can be said better than by the TPM, which only says no.
	if err := t.compare(k, numbers); err != nil {
		return nil, err
	}
	s, err := t.startSession(sessionPolicy, storage)
	if err != nil {
		return nil, err
	}
	if k.Signer != "" {
		signer, err := parseSigner([]byte(k.Signer))
		if err != nil {
			return nil, err
		}
		if err := t.authorize(s, signer, signatures); err != nil {
			return nil, err
		}
	}
	if len(numbers) > 0 {
		if err := t.policyRegisters(s, numbers); err != nil {
			return nil, err
		}
	}
	answer, err := t.send(tagSessions, ccLoad, loadRequest(storage, k))
	if err != nil {
		return nil, err
	}
	handle := t.keep(answer.u32())
	_, answer, err = t.run(s, ccUnseal, handle, objectName(k.Public), nil, encryptAnswer, false)
	if err != nil {
		return nil, err
	}
	key := answer.sized()
	return key, answer.err
}

func loadRequest(storage primaryKey, k *token) []byte {
	area := pack(uint32(rsPassword), sized(nil), uint8(keepOpen), sized(nil))
	return pack(storage.handle, uint32(len(area)), area, sized(k.Private), sized(k.Public))
}

// compare tells which registers have other values than when the key was sealed.
func (t *tpm) compare(k *token, numbers []int) error {
	values, err := t.readRegisters(numbers)
	if err != nil {
		return err
	}
	var changed []string
	for _, number := range numbers {
		if hex.EncodeToString(values[number]) != k.Values[strconv.Itoa(number)] {
			changed = append(changed, describeRegister(number))
		}
	}
	if len(changed) > 0 {
		sort.Strings(changed)
		return fmt.Errorf("the system was started in another way than when the key was sealed: changed is %s",
			strings.Join(changed, ", "))
	}
	return nil
}

func encodeToken(k *token) []byte {
	content, err := json.Marshal(k)
	if err != nil {
		panic(err)
	}
	return append(content, '\n')
}
