// tpm-key keeps the key of an encrypted volume in a TPM 2.0: sealed to how the system was started.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

const usage = `usage: tpm-key new                              print a new key
       tpm-key passphrase                       print a new passphrase
       tpm-key seal [-pcrs LIST] [-slot N] <KEY print the token of the sealed key
       tpm-key unseal <TOKEN                    print the key of a token`

const (
	keySize      = 32
	largestInput = 64 << 10
	// Those of the literal part of a policy. Without signed policies, PCR 11 is in it, too.
	usualRegisters = "7,12"
	allRegisters   = "7,11,12"
)

// options are the words of the command line.
type options struct {
	device, public, signatures, registers, slot string
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(words []string, in io.Reader, out io.Writer) error {
	if len(words) == 0 {
		return errors.New(usage)
	}
	var o options
	flags := flag.NewFlagSet(words[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.device, "device", "/dev/tpmrm0", "")
	flags.StringVar(&o.public, "public-key", "/etc/tpm2/tpm2-pcr-public-key.pem", "")
	flags.StringVar(&o.signatures, "signatures", "/etc/tpm2/tpm2-pcr-signature.json", "")
	flags.StringVar(&o.registers, "pcrs", "", "")
	flags.StringVar(&o.slot, "slot", "0", "")
	if err := flags.Parse(words[1:]); err != nil {
		return fmt.Errorf("%w\n%s", err, usage)
	}
	if flags.NArg() > 0 {
		return errors.New(usage)
	}
	var made []byte
	var err error
	switch words[0] {
	case "new":
		made, err = o.newKey()
	case "passphrase":
		made = passphrase(randomBytes(keySize))
	case "seal":
		made, err = o.seal(in)
	case "unseal":
		made, err = o.unseal(in)
	default:
		return errors.New(usage)
	}
	if err != nil {
		return err
	}
	_, err = out.Write(made)
	return err
}

// newKey is random as the kernel and as the TPM are: one of both suffices.
func (o options) newKey() ([]byte, error) {
	t, err := openTPM(o.device)
	if err != nil {
		return nil, err
	}
	defer t.close()
	answer, err := t.plain(ccGetRandom, nil, pack(uint16(keySize)))
	if err != nil {
		return nil, err
	}
	return digest(randomBytes(keySize), answer.sized()), answer.err
}

// passphrase writes bytes with letters that are at the same place on most keyboards, as systemd does.
func passphrase(content []byte) []byte {
	const letters = "cbdefghijklnrtuv"
	var out []byte
	for i, one := range content {
		if i > 0 && i%4 == 0 {
			out = append(out, '-')
		}
		out = append(out, letters[one>>4], letters[one&15])
	}
	return out
}

func (o options) seal(in io.Reader) ([]byte, error) {
	key, err := io.ReadAll(io.LimitReader(in, largestInput))
	if err != nil {
		return nil, err
	}
	if len(key) == 0 || len(key) > 128 {
		return nil, fmt.Errorf("a key has 1 to 128 bytes, not %d", len(key))
	}
	r := request{}
	if content := readIfThere(o.public); len(content) > 0 {
		if r.signer, err = parseSigner(content); err != nil {
			return nil, err
		}
	}
	list := o.registers
	switch {
	case list != "":
	case r.signer != nil:
		list = usualRegisters
	default:
		list = allRegisters
	}
	if r.registers, err = parseRegisters(list); err != nil {
		return nil, err
	}
	t, err := openTPM(o.device)
	if err != nil {
		return nil, err
	}
	defer t.close()
	made, err := t.seal(key, o.slot, r)
	if err != nil {
		return nil, err
	}
	// A key that the TPM would not give out is of no use: better to know it now.
	found, err := t.unseal(made, readIfThere(o.signatures))
	if err != nil {
		return nil, fmt.Errorf("the TPM does not give out what it has sealed just now: %w", err)
	}
	if !bytes.Equal(found, key) {
		return nil, errors.New("the TPM gives out another key than it has sealed")
	}
	return encodeToken(made), nil
}

func (o options) unseal(in io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(in, largestInput))
	if err != nil {
		return nil, err
	}
	sealed, err := parseToken(content)
	if err != nil {
		return nil, err
	}
	t, err := openTPM(o.device)
	if err != nil {
		return nil, err
	}
	defer t.close()
	return t.unseal(sealed, readIfThere(o.signatures))
}

// readIfThere returns the content of a file; without it, nothing.
func readIfThere(path string) []byte {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	content, _ := io.ReadAll(io.LimitReader(file, largestInput))
	return content
}
