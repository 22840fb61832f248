package main

// Sessions: what goes over the bus between processor and TPM is encrypted with a key that only the
// TPM and this program have.

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/big"
)

const (
	sessionHMAC   = 0x00
	sessionPolicy = 0x01

	// The session stays; the first parameter of the command or of the answer is encrypted.
	keepOpen       = 0x01
	encryptRequest = 0x20
	encryptAnswer  = 0x40

	rsPassword = 0x40000009
	nonceSize  = 32
)

func digest(parts ...interface{}) []byte {
	sum := sha256.Sum256(pack(parts...))
	return sum[:]
}

func mac(key []byte, parts ...interface{}) []byte {
	hash := hmac.New(sha256.New, key)
	hash.Write(pack(parts...))
	return hash.Sum(nil)
}

// derive is KDFa of the specification.
func derive(key []byte, label string, first, second []byte, bits uint32) []byte {
	var out []byte
	for counter := uint32(1); len(out)*8 < int(bits); counter++ {
		out = append(out, mac(key, counter, []byte(label), uint8(0), first, second, bits)...)
	}
	return out[:bits/8]
}

// session is a session of a TPM, salted with a secret for one of its keys.
type session struct {
	handle     uint32
	key        []byte
	ours, tpms []byte
}

// startSession opens a session; only who has the key, the TPM, learns the salt.
func (t *tpm) startSession(kind uint8, to primaryKey) (*session, error) {
	curve := elliptic.P256()
	private, x, y, err := elliptic.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, err
	}
	shared, _ := curve.ScalarMult(to.x, to.y, private)
	ownX := coordinate(x)
	salt := digest(uint32(1), coordinate(shared), []byte("SECRET\x00"), ownX, coordinate(to.x))
	point := append(sized(ownX), sized(coordinate(y))...)
	s := &session{ours: randomBytes(nonceSize)}
	answer, err := t.plain(ccStartAuthSession, []uint32{to.handle, rhNull}, pack(sized(s.ours), sized(point), kind,
		uint16(algAES), uint16(128), uint16(algCFB), uint16(algSHA256)))
	if err != nil {
		return nil, err
	}
	s.handle, s.tpms = answer.u32(), answer.sized()
	if answer.err != nil {
		return nil, answer.err
	}
	t.keep(s.handle)
	s.key = derive(salt, "ATH", s.tpms, s.ours, 256)
	return s, nil
}

func coordinate(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }

func randomBytes(n int) []byte {
	out := make([]byte, n)
	if _, err := rand.Read(out); err != nil {
		panic(err)
	}
	return out
}

// crypt encrypts or decrypts the first parameter, in its place.
func (s *session) crypt(parameters, newer, older []byte, encrypts bool) error {
	r := &reader{rest: parameters}
	content := r.sized()
	if r.err != nil {
		return r.err
	}
	material := derive(s.key, "CFB", newer, older, 256)
	block, err := aes.NewCipher(material[:16])
	if err != nil {
		return err
	}
	stream := cipher.NewCFBDecrypter(block, material[16:])
	if encrypts {
		stream = cipher.NewCFBEncrypter(block, material[16:])
	}
	stream.XORKeyStream(content, content)
	return nil
}

// run carries out a command under the authorization of the session. The name is that of the object
// that the handle is of; the answer's handle comes first, if there is one.
func (t *tpm) run(s *session, command, handle uint32, name, parameters []byte, attributes uint8, gives bool) (uint32, *reader, error) {
	attributes |= keepOpen
	s.ours = randomBytes(nonceSize)
	parameters = append([]byte(nil), parameters...)
	if attributes&encryptRequest != 0 {
		if err := s.crypt(parameters, s.ours, s.tpms, true); err != nil {
			return 0, nil, err
		}
	}
	asked := mac(s.key, digest(command, name, parameters), s.ours, s.tpms, attributes)
	area := pack(s.handle, sized(s.ours), attributes, sized(asked))
	answer, err := t.send(tagSessions, command, pack(handle, uint32(len(area)), area, parameters))
	if err != nil {
		return 0, nil, err
	}
	var made uint32
	if gives {
		made = t.keep(answer.u32())
	}
	found := answer.take(int(answer.u32() % largestAnswer))
	s.tpms = answer.sized()
	said := answer.take(1)[0]
	proof := answer.sized()
	if answer.err != nil {
		return 0, nil, answer.err
	}
	expected := mac(s.key, digest(uint32(0), command, found), s.tpms, s.ours, said)
	if subtle.ConstantTimeCompare(proof, expected) != 1 {
		return 0, nil, errors.New("an answer is not the TPM's: something is between processor and TPM")
	}
	if attributes&encryptAnswer != 0 {
		if err := s.crypt(found, s.tpms, s.ours, false); err != nil {
			return 0, nil, err
		}
	}
	return made, &reader{rest: found}, nil
}

// primaryKey is the storage key that a TPM derives from its seed: the same each time, until the TPM
// is cleared.
type primaryKey struct {
	handle uint32
	name   []byte
	x, y   *big.Int
}

// primaryTemplate is that of the TCG for storage keys with the curve P-256: fixed to the TPM,
// restricted to decryption.
func primaryTemplate(x, y []byte) []byte {
	return pack(uint16(algECC), uint16(algSHA256), uint32(0x00030472), sized(nil),
		uint16(algAES), uint16(128), uint16(algCFB), uint16(algNull), uint16(curveP256), uint16(algNull), sized(x), sized(y))
}

// primary makes the storage key. What the TPM says of it is compared with the template: its name is
// the hash of it.
func (t *tpm) primary() (primaryKey, error) {
	none := primaryKey{}
	area := pack(uint32(rsPassword), sized(nil), uint8(keepOpen), sized(nil))
	answer, err := t.send(tagSessions, ccCreatePrimary, pack(uint32(rhOwner), uint32(len(area)), area,
		sized(pack(sized(nil), sized(nil))), sized(primaryTemplate(nil, nil)), sized(nil), uint32(0)))
	if err != nil {
		return none, fmt.Errorf("making the storage key: %w", err)
	}
	handle := t.keep(answer.u32())
	answer.u32()
	public := answer.sized()
	if answer.err != nil || len(public) < len(primaryTemplate(nil, nil)) {
		return none, errShort
	}
	point := &reader{rest: public[len(primaryTemplate(nil, nil))-4:]}
	x, y := point.sized(), point.sized()
	if point.err != nil || string(public) != string(primaryTemplate(x, y)) {
		return none, errors.New("the TPM has made another key than it was asked for")
	}
	key := primaryKey{handle, objectName(public), new(big.Int).SetBytes(x), new(big.Int).SetBytes(y)}
	if !elliptic.P256().IsOnCurve(key.x, key.y) {
		return none, errors.New("the TPM's storage key is not on its curve")
	}
	return key, nil
}

// objectName is what a TPM calls an object by.
func objectName(public []byte) []byte { return pack(uint16(algSHA256), digest(public)) }
