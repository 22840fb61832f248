package main

// The TPM's commands and answers as bytes: numbers are big-endian, and a buffer has its size before
// it in 16 bits.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// Commands, by the names of the TPM's specification.
const (
	ccCreatePrimary    = 0x131
	ccCreate           = 0x153
	ccLoad             = 0x157
	ccUnseal           = 0x15e
	ccFlushContext     = 0x165
	ccLoadExternal     = 0x167
	ccPolicyAuthorize  = 0x16a
	ccStartAuthSession = 0x176
	ccVerifySignature  = 0x177
	ccGetRandom        = 0x17b
	ccPCRRead          = 0x17e
	ccPolicyPCR        = 0x17f
)

const (
	tagPlain    = 0x8001
	tagSessions = 0x8002

	rhOwner = 0x40000001
	rhNull  = 0x40000007

	algAES       = 0x0006
	algKeyedHash = 0x0008
	algSHA256    = 0x000b
	algNull      = 0x0010
	algRSASSA    = 0x0014
	algRSA       = 0x0001
	algECC       = 0x0023
	algCFB       = 0x0043
	curveP256    = 0x0003

	largestAnswer = 4096
)

// pack puts bytes together; a uint8, a uint16 and a uint32 are numbers of their size.
func pack(parts ...interface{}) []byte {
	var out []byte
	for _, part := range parts {
		switch value := part.(type) {
		case uint8:
			out = append(out, value)
		case uint16:
			out = binary.BigEndian.AppendUint16(out, value)
		case uint32:
			out = binary.BigEndian.AppendUint32(out, value)
		case []byte:
			out = append(out, value...)
		default:
			panic(fmt.Sprintf("%T in a command", part))
		}
	}
	return out
}

// sized is a buffer with its size before it.
func sized(content []byte) []byte { return pack(uint16(len(content)), content) }

var errShort = errors.New("the TPM's answer is too short")

// reader takes an answer apart; after a failure everything is empty.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) take(n int) []byte {
	if n > len(r.rest) || r.err != nil {
		r.err = errShort
		return make([]byte, n)
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) u16() uint16   { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) u32() uint32   { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) sized() []byte { return r.take(int(r.u16())) }

// tpmError is what a TPM answers to a command that it does not carry out.
type tpmError struct {
	command uint32
	code    uint32
}

const (
	rcPolicyFail = 0x09d
	rcAuthFail   = 0x08e
	rcBadAuth    = 0x0a2
	rcIntegrity  = 0x09f
	rcSignature  = 0x09b
	rcRetry      = 0x922
	rcYielded    = 0x908
	rcTesting    = 0x90a
)

// kind is the code without the number of the parameter that it is about.
func (e tpmError) kind() uint32 {
	if e.code&0x80 != 0 {
		return e.code & 0xbf
	}
	return e.code
}

func (e tpmError) Error() string {
	text := map[uint32]string{
		rcPolicyFail: "the policy of the key does not allow it",
		rcAuthFail:   "it wants a password",
		rcBadAuth:    "it wants a password",
		rcIntegrity:  "the key was sealed by another TPM, or this one was cleared",
		rcSignature:  "the signature is not right",
	}[e.kind()]
	if text == "" {
		text = "it refuses"
	}
	return fmt.Sprintf("the TPM: %s (command 0x%x, error 0x%x)", text, e.command, e.code)
}

// tpm is a TPM 2.0.
type tpm struct {
	device io.ReadWriteCloser
	// Objects and sessions that are to be removed from it.
	open []uint32
}

// openTPM opens the kernel's resource manager, or a socket of an emulator.
func openTPM(path string) (*tpm, error) {
	found, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no TPM 2.0: %s does not exist", path)
	}
	if err != nil {
		return nil, err
	}
	if found.Mode()&os.ModeSocket != 0 {
		connection, err := net.Dial("unix", path)
		return &tpm{device: connection}, err
	}
	// Not by os.OpenFile, which lets the kernel not wait: then an answer that is not there yet is
	// read as nothing.
	handle, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return &tpm{device: os.NewFile(uintptr(handle), path)}, nil
}

// clear removes objects and sessions, of which a TPM has room for three.
func (t *tpm) clear() {
	for i := len(t.open) - 1; i >= 0; i-- {
		_, _ = t.plain(ccFlushContext, nil, pack(t.open[i]))
	}
	t.open = nil
}

// remove removes one of them.
func (t *tpm) remove(handle uint32) {
	_, _ = t.plain(ccFlushContext, nil, pack(handle))
	for i, one := range t.open {
		if one == handle {
			t.open = append(t.open[:i], t.open[i+1:]...)
			break
		}
	}
}

func (t *tpm) close() {
	t.clear()
	t.device.Close()
}

// keep notes an object that has to be removed at the end.
func (t *tpm) keep(handle uint32) uint32 {
	t.open = append(t.open, handle)
	return handle
}

// plain carries out a command without authorization.
func (t *tpm) plain(command uint32, handles []uint32, parameters []byte) (*reader, error) {
	body := parameters
	if len(handles) > 0 {
		body = append(handleBytes(handles), parameters...)
	}
	return t.send(tagPlain, command, body)
}

func handleBytes(handles []uint32) []byte {
	var out []byte
	for _, handle := range handles {
		out = append(out, pack(handle)...)
	}
	return out
}

// send carries out a command; a TPM that is busy is asked again.
func (t *tpm) send(tag uint16, command uint32, body []byte) (*reader, error) {
	request := pack(tag, uint32(10+len(body)), command, body)
	for attempt := 0; ; attempt++ {
		if _, err := t.device.Write(request); err != nil {
			return nil, fmt.Errorf("writing to the TPM: %w", err)
		}
		answer := make([]byte, largestAnswer)
		n, err := t.device.Read(answer)
		if err != nil {
			return nil, fmt.Errorf("reading from the TPM: %w", err)
		}
		r := &reader{rest: answer[:n]}
		r.u16()
		size, code := r.u32(), r.u32()
		switch {
		case r.err != nil || int(size) != n:
			return nil, errShort
		case (code == rcRetry || code == rcYielded || code == rcTesting) && attempt < 50:
			time.Sleep(100 * time.Millisecond)
		case code != 0:
			return nil, tpmError{command, code}
		default:
			return r, nil
		}
	}
}
