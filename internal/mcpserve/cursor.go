package mcpserve

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
)

// Bounds of a cursor.
const (
	cursorLife = time.Hour
	maxCursor  = 512 // characters
)

// sealer makes cursors: places in a list that only the owner they were made
// for can use, with the method they were made by, for a while, and that tell
// nothing to anybody. The key is of the process: after a restart a list begins
// anew.
type sealer struct{ aead cipher.AEAD }

func newSealer() (*sealer, error) {
	var key [32]byte
	_, _ = rand.Read(key[:]) // crypto/rand.Read never fails
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &sealer{aead}, nil
}

// seal returns a cursor for o in method that leads to place.
func (s *sealer) seal(o session.Owner, method string, place []byte) string {
	return s.sealUntil(o, method, place, time.Now().Add(cursorLife))
}

// sealUntil is seal for something else that a client keeps for us, good until end.
func (s *sealer) sealUntil(o session.Owner, method string, place []byte, end time.Time) string {
	plain := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(place)), uint64(end.Unix()))
	nonce := make([]byte, s.aead.NonceSize())
	_, _ = rand.Read(nonce) // crypto/rand.Read never fails
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nonce, nonce, append(plain, place...), bound(o, method)))
}

// open returns the place that a cursor leads to. false is the one answer to a
// cursor that is forged, damaged, too old, another owner's or another method's.
func (s *sealer) open(o session.Owner, method, cursor string) ([]byte, bool) {
	return s.openWithin(o, method, cursor, maxCursor)
}

// openWithin is open for what has at most limit characters.
func (s *sealer) openWithin(o session.Owner, method, cursor string, limit int) ([]byte, bool) {
	// The decoder would read past a line break, even a strict one.
	if len(cursor) > limit || strings.ContainsAny(cursor, "\r\n") {
		return nil, false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	n := s.aead.NonceSize()
	if err != nil || len(sealed) < n {
		return nil, false
	}
	plain, err := s.aead.Open(nil, sealed[:n], sealed[n:], bound(o, method))
	if err != nil || len(plain) < 8 || time.Now().Unix() >= int64(binary.BigEndian.Uint64(plain)) {
		return nil, false
	}
	return plain[8:], true
}

// bound is what a cursor is good for: the parts are told apart by their lengths.
func bound(o session.Owner, method string) []byte {
	var b []byte
	for _, part := range []string{o.Tenant, o.Issuer, o.Subject, method} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}
