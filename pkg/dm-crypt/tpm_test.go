package main

// The program with an emulated TPM, which is swtpm.

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// What ends the emulator with a state.
var running = map[string]func(){}

// emulator is swtpm with its state in a directory; the machine before it had the same state.
func emulator(t *testing.T, state string) string {
	t.Helper()
	if _, err := exec.LookPath("swtpm"); err != nil {
		t.Skip("swtpm is not installed")
	}
	if before := running[state]; before != nil {
		before()
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	var said bytes.Buffer
	command := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+state, "--fd", "3",
		"--flags", "not-need-init,startup-clear")
	command.ExtraFiles, command.Stderr = []*os.File{theirs}, &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	// Names of sockets are short.
	directory, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(directory, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		listener.Close()
		// It ends with its only connection.
		ours.Close()
		_ = command.Wait()
		os.RemoveAll(directory)
		if said.Len() > 0 {
			t.Logf("swtpm: %s", said.String())
		}
	}
	running[state] = stop
	t.Cleanup(stop)
	go serve(listener, ours)
	return socket
}

// serve lets one program after the other use the emulator.
func serve(listener net.Listener, emulator io.ReadWriter) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		for {
			if !forward(client, emulator) || !forward(emulator, client) {
				break
			}
		}
		client.Close()
	}
}

func forward(from io.Reader, to io.Writer) bool {
	content := make([]byte, largestAnswer)
	n, err := from.Read(content)
	if err != nil {
		return false
	}
	_, err = to.Write(content[:n])
	return err == nil
}

// extend measures something.
func extend(t *testing.T, socket string, register int, what string) {
	t.Helper()
	device, err := openTPM(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer device.close()
	area := pack(uint32(rsPassword), sized(nil), uint8(keepOpen), sized(nil))
	sum := sha256.Sum256([]byte(what))
	_, err = device.send(tagSessions, 0x182, pack(uint32(register), uint32(len(area)), area, uint32(1), uint16(algSHA256), sum[:]))
	if err != nil {
		t.Fatal(err)
	}
}

// maker signs policies of PCR 11.
type maker struct{ key *rsa.PrivateKey }

func newMaker(t *testing.T) maker {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return maker{key}
}

func (m maker) pem(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&m.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// sign allows the value of PCR 11 after one measurement.
func (m maker) sign(t *testing.T, what string) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte(what))
	value := sha256.Sum256(append(make([]byte, 32), sum[:]...))
	policy := afterRegisters(make([]byte, 32), []int{11}, map[int][]byte{11: value[:]})
	hash := sha256.Sum256(policy)
	signature, err := rsa.SignPKCS1v15(rand.Reader, m.key, crypto.SHA256, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	fingerprint := sha256.Sum256(x509.MarshalPKCS1PublicKey(&m.key.PublicKey))
	content, err := json.Marshal(map[string]interface{}{"sha256": []map[string]interface{}{{
		"pcrs": []int{11}, "pkfp": hex.EncodeToString(fingerprint[:]), "pol": hex.EncodeToString(policy), "sig": signature}}})
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func write(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// boot starts a machine: an emulator with the measurements of a system.
func boot(t *testing.T, state, secure, kernel, added string) string {
	t.Helper()
	socket := emulator(t, state)
	extend(t, socket, 7, secure)
	extend(t, socket, 11, kernel)
	if added != "" {
		extend(t, socket, 12, added)
	}
	return socket
}

var testKey = []byte("a key of thirty-two bytes in all")

func call(input []byte, words ...string) ([]byte, error) {
	var out bytes.Buffer
	err := run(words, bytes.NewReader(input), &out)
	return out.Bytes(), err
}

func TestSealedToLiteralRegisters(t *testing.T) {
	state := t.TempDir()
	none := filepath.Join(state, "none")
	words := func(command, socket string) []string {
		return []string{command, "-device", socket, "-public-key", none, "-signatures", none}
	}
	sealed, err := call(testKey, words("seal", boot(t, state, "on", "kernel", ""))...)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, testKey) {
		t.Fatal("the key is in the token")
	}
	// After the machine was started again.
	found, err := call(sealed, words("unseal", boot(t, state, "on", "kernel", ""))...)
	if err != nil || !bytes.Equal(found, testKey) {
		t.Fatalf("%q, %v", found, err)
	}
	for want, machine := range map[string][3]string{
		"PCR 7 (the state of Secure Boot and its keys)":           {"off", "kernel", ""},
		"PCR 11 (the unified kernel image with its command line)": {"on", "other", ""},
		"PCR 12 (what was added to the command line)":             {"on", "kernel", "init=/bin/sh"},
	} {
		socket := boot(t, state, machine[0], machine[1], machine[2])
		found, err := call(sealed, words("unseal", socket)...)
		if err == nil || !strings.Contains(err.Error(), "changed is "+want) || len(found) > 0 {
			t.Errorf("%q, %v, not %s", found, err, want)
		}
		// Whoever changes the token is stopped by the TPM.
		forged := forge(t, sealed, socket)
		found, err = call(forged, words("unseal", socket)...)
		if err == nil || !strings.Contains(err.Error(), "the policy of the key does not allow it") || len(found) > 0 {
			t.Errorf("%q, %v", found, err)
		}
	}
	if _, err := call(sealed, words("unseal", boot(t, t.TempDir(), "on", "kernel", ""))...); err == nil ||
		err.Error() != "the key was sealed by another TPM, or this one was cleared" {
		t.Error(err)
	}
}

// forge writes the present values into a token.
func forge(t *testing.T, sealed []byte, socket string) []byte {
	t.Helper()
	k, err := parseToken(sealed)
	if err != nil {
		t.Fatal(err)
	}
	device, err := openTPM(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer device.close()
	numbers, err := k.registers()
	if err != nil {
		t.Fatal(err)
	}
	values, err := device.readRegisters(numbers)
	if err != nil {
		t.Fatal(err)
	}
	for number, value := range values {
		k.Values[strconv.Itoa(number)] = hex.EncodeToString(value)
	}
	return encodeToken(k)
}

func TestSealedToSignedPolicies(t *testing.T) {
	state := t.TempDir()
	owner, stranger := newMaker(t), newMaker(t)
	public := write(t, filepath.Join(state, "public"), owner.pem(t))
	words := func(command, socket string, signatures []byte) []string {
		file := write(t, filepath.Join(state, "signatures"), signatures)
		return []string{command, "-device", socket, "-public-key", public, "-signatures", file}
	}
	socket := boot(t, state, "on", "version 1", "")
	if _, err := call(testKey, words("seal", socket, owner.sign(t, "version 2"))...); err == nil ||
		!strings.Contains(err.Error(), "no signed policy allows the value of PCR 11") {
		t.Errorf("a system that is not signed seals: %v", err)
	}
	sealed, err := call(testKey, words("seal", socket, owner.sign(t, "version 1"))...)
	if err != nil {
		t.Fatal(err)
	}
	// An update, which is signed.
	found, err := call(sealed, words("unseal", boot(t, state, "on", "version 2", ""), owner.sign(t, "version 2"))...)
	if err != nil || !bytes.Equal(found, testKey) {
		t.Fatalf("%q, %v", found, err)
	}
	wrong := owner.sign(t, "version 3")
	var banks map[string][]signedPolicy
	if err := json.Unmarshal(wrong, &banks); err != nil {
		t.Fatal(err)
	}
	copied := banks["sha256"][0]
	if err := json.Unmarshal(owner.sign(t, "version 2"), &banks); err != nil {
		t.Fatal(err)
	}
	copied.Signature = banks["sha256"][0].Signature
	forged, err := json.Marshal(map[string][]signedPolicy{"sha256": {copied}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		secure, kernel, added string
		signatures            []byte
		want                  string
	}{
		{"off", "version 2", "", owner.sign(t, "version 2"), "PCR 7"},
		{"on", "version 2", "init=/bin/sh", owner.sign(t, "version 2"), "PCR 12"},
		{"on", "version 3", "", owner.sign(t, "version 2"), "no signed policy allows"},
		{"on", "version 3", "", forged, "the signature is not right"},
		{"on", "version 3", "", stranger.sign(t, "version 3"), "of another key"},
		{"on", "version 3", "", nil, "has no signed policy"},
	} {
		found, err := call(sealed, words("unseal", boot(t, state, c.secure, c.kernel, c.added), c.signatures)...)
		if err == nil || !strings.Contains(err.Error(), c.want) || len(found) > 0 {
			t.Errorf("%q, %v, not %q", found, err, c.want)
		}
	}
}

func TestNothingMeasured(t *testing.T) {
	state := t.TempDir()
	_, err := call(testKey, "seal", "-device", emulator(t, state), "-public-key", state+"/none")
	if err == nil || !strings.HasPrefix(err.Error(), "PCR 7 (the state of Secure Boot and its keys) is empty") {
		t.Error(err)
	}
}

func TestNewKeys(t *testing.T) {
	socket := emulator(t, t.TempDir())
	one, err := call(nil, "new", "-device", socket)
	if err != nil || len(one) != keySize {
		t.Fatalf("%d bytes, %v", len(one), err)
	}
	phrase, err := call(nil, "passphrase")
	if err != nil || len(phrase) != 71 || strings.Count(string(phrase), "-") != 7 {
		t.Errorf("%q, %v", phrase, err)
	}
	if got := string(passphrase([]byte{0, 0x1f, 0xe8, 0x27, 0xff})); got != "ccbvujdi-vv" {
		t.Error(got)
	}
}

func TestAnswersAreWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "device")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	opened, err := openTPM(path)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.device.Close()
	raw, err := opened.device.(*os.File).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(handle uintptr) {
		flags, _, code := syscall.Syscall(syscall.SYS_FCNTL, handle, syscall.F_GETFL, 0)
		if code != 0 || flags&syscall.O_NONBLOCK != 0 {
			t.Errorf("flags %o, %v: reads do not wait", flags, code)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWrongWords(t *testing.T) {
	for want, words := range map[string][]string{
		"usage: ":               {},
		"usage: tpm-key new":    {"open"},
		"flag provided but not": {"new", "-x"},
		`"24" is no PCR`:        {"seal", "-pcrs", "7,24", "-public-key", "/none"},
		"there is no TPM 2.0":   {"seal", "-device", "/none", "-public-key", "/none"},
		"of the type \"other\"": {"unseal", "-device", "/none"},
	} {
		if _, err := call([]byte(`{"type": "other"}`), words...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", words, err)
		}
	}
}
