package main

// Policies: the TPM gives the key out if its registers (PCRs) are as they were when it was sealed, and
// if PCR 11 has a value that the maker of the system has signed.

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

const (
	// The register of unified kernel images: kernel, initrd, command line.
	kernelRegister = 11
	registers      = 24
	// May sign and decrypt, without a password; systemd's attributes, which are part of the name.
	signerAttributes = 0x00060040
	usualExponent    = 65537
)

var registerUses = map[int]string{
	0:  "the firmware",
	1:  "the firmware's settings",
	2:  "the firmware of extension cards",
	4:  "the boot loader and the kernel",
	5:  "the partition table",
	7:  "the state of Secure Boot and its keys",
	9:  "the initrd and the command line",
	11: "the unified kernel image with its command line",
	12: "what was added to the command line",
}

func describeRegister(number int) string {
	if use := registerUses[number]; use != "" {
		return fmt.Sprintf("PCR %d (%s)", number, use)
	}
	return fmt.Sprintf("PCR %d", number)
}

// parseRegisters reads a list as 7,12.
func parseRegisters(list string) ([]int, error) {
	seen := map[int]bool{}
	var numbers []int
	for _, word := range strings.FieldsFunc(list, func(c rune) bool { return c == ',' || c == '+' }) {
		number, err := strconv.Atoi(word)
		if err != nil || number < 0 || number >= registers {
			return nil, fmt.Errorf("%q is no PCR: these are 0 to %d", word, registers-1)
		}
		if !seen[number] {
			seen[number] = true
			numbers = append(numbers, number)
		}
	}
	sort.Ints(numbers)
	return numbers, nil
}

// selection is a list of registers as commands have it: the bank of SHA-256, and a bit each.
func selection(numbers []int) []byte {
	bits := make([]byte, registers/8)
	for _, number := range numbers {
		bits[number/8] |= 1 << (number % 8)
	}
	return pack(uint32(1), uint16(algSHA256), uint8(len(bits)), bits)
}

// readRegisters returns the values of registers.
func (t *tpm) readRegisters(numbers []int) (map[int][]byte, error) {
	values := map[int][]byte{}
	for _, number := range numbers {
		answer, err := t.plain(ccPCRRead, nil, selection([]int{number}))
		if err != nil {
			return nil, err
		}
		answer.u32()
		for banks := answer.u32(); banks > 0 && answer.err == nil; banks-- {
			answer.u16()
			answer.take(int(answer.take(1)[0]))
		}
		count, value := answer.u32(), []byte(nil)
		if count > 0 {
			value = answer.sized()
		}
		if answer.err != nil {
			return nil, answer.err
		}
		if len(value) != sha256.Size {
			return nil, fmt.Errorf("the TPM has no PCR %d of SHA-256: this bank is off in the firmware's settings", number)
		}
		values[number] = value
	}
	return values, nil
}

// afterRegisters is the policy after TPM2_PolicyPCR.
func afterRegisters(policy []byte, numbers []int, values map[int][]byte) []byte {
	return digest(policy, uint32(ccPolicyPCR), selection(numbers), digestOf(numbers, values))
}

func digestOf(numbers []int, values map[int][]byte) []byte {
	var all []byte
	for _, number := range numbers {
		all = append(all, values[number]...)
	}
	return digest(all)
}

// afterAuthorize is the policy after TPM2_PolicyAuthorize, which replaces what was before.
func afterAuthorize(signer []byte) []byte {
	return digest(digest(make([]byte, sha256.Size), uint32(ccPolicyAuthorize), signer))
}

// policySigner is the key that signs policies of PCR 11.
type policySigner struct {
	pem    []byte
	key    *rsa.PublicKey
	public []byte
}

func parseSigner(content []byte) (*policySigner, error) {
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, errors.New("the key of signed policies is no PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the key of signed policies: %w", err)
	}
	key, isRSA := parsed.(*rsa.PublicKey)
	if !isRSA {
		return nil, errors.New("the key of signed policies is not one of RSA")
	}
	exponent := uint32(key.E)
	if key.E == usualExponent {
		exponent = 0
	}
	public := pack(uint16(algRSA), uint16(algSHA256), uint32(signerAttributes), sized(nil), uint16(algNull), uint16(algNull),
		uint16(key.N.BitLen()), exponent, sized(key.N.Bytes()))
	return &policySigner{content, key, public}, nil
}

// fingerprint is what signed policies name their key by.
func (s *policySigner) fingerprint() string {
	sum := sha256.Sum256(x509.MarshalPKCS1PublicKey(s.key))
	return hex.EncodeToString(sum[:])
}

// signedPolicy is an entry of tpm2-pcr-signature.json.
type signedPolicy struct {
	Registers   []int  `json:"pcrs"`
	Fingerprint string `json:"pkfp"`
	Policy      string `json:"pol"`
	Signature   string `json:"sig"`
}

// findPolicy returns the signature of the policy for the present value of PCR 11.
func findPolicy(content []byte, signer *policySigner, wanted []byte) ([]byte, error) {
	if len(content) == 0 {
		return nil, errors.New("the running system has no signed policy (.pcrsig)")
	}
	var banks map[string][]signedPolicy
	if err := json.Unmarshal(content, &banks); err != nil {
		return nil, fmt.Errorf("the signed policies cannot be read: %w", err)
	}
	strangers := 0
	for _, entry := range banks["sha256"] {
		if !strings.EqualFold(entry.Fingerprint, signer.fingerprint()) {
			strangers++
			continue
		}
		policy, err := hex.DecodeString(entry.Policy)
		if err != nil || !bytes.Equal(policy, wanted) {
			continue
		}
		return base64.StdEncoding.DecodeString(entry.Signature)
	}
	if strangers > 0 && strangers == len(banks["sha256"]) {
		return nil, errors.New("the running system has signed policies of another key (.pcrpkey) than that of the volume")
	}
	return nil, fmt.Errorf("no signed policy allows the value of %s", describeRegister(kernelRegister))
}

// authorize lets a session go on from the signed policy of PCR 11.
func (t *tpm) authorize(s *session, signer *policySigner, signatures []byte) error {
	numbers := []int{kernelRegister}
	values, err := t.readRegisters(numbers)
	if err != nil {
		return err
	}
	policy := afterRegisters(make([]byte, sha256.Size), numbers, values)
	signature, err := findPolicy(signatures, signer, policy)
	if err != nil {
		return err
	}
	if err := t.policyRegisters(s, numbers); err != nil {
		return err
	}
	answer, err := t.plain(ccLoadExternal, nil, pack(sized(nil), sized(signer.public), uint32(rhOwner)))
	if err != nil {
		return fmt.Errorf("loading the key of signed policies: %w", err)
	}
	key := t.keep(answer.u32())
	defer t.remove(key)
	answer, err = t.plain(ccVerifySignature, []uint32{key},
		pack(sized(digest(policy)), uint16(algRSASSA), uint16(algSHA256), sized(signature)))
	if err != nil {
		return fmt.Errorf("the signed policy of PCR 11: %w", err)
	}
	// The rest is the ticket.
	_, err = t.plain(ccPolicyAuthorize, []uint32{s.handle},
		pack(sized(policy), sized(nil), sized(objectName(signer.public)), answer.rest))
	return err
}

func (t *tpm) policyRegisters(s *session, numbers []int) error {
	_, err := t.plain(ccPolicyPCR, []uint32{s.handle}, pack(sized(nil), selection(numbers)))
	return err
}
