package filestore

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
)

// hashSize is how much of a SHA-256 is in a key. 128 bits do not collide by
// accident, and the secret keeps anybody from making them collide.
const hashSize = 16

// secret is hashed before every name of one file.
type secret [32]byte

// hash appends the hash of a name to a key. Lengths are hashed with the parts,
// so that ("a", "bc") and ("ab", "c") differ.
func (s *secret) hash(key []byte, what string, parts ...string) []byte {
	var room [256]byte
	b := append(room[:0], s[:]...)
	b = append(b, what...)
	b = append(b, 0)
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	return append(key, sum[:hashSize]...)
}

func (s *secret) owner(key []byte, o session.Owner) []byte {
	return s.hash(key, "owner", o.Tenant, o.Issuer, o.Subject)
}

func (s *secret) session(k session.Key) []byte {
	key := make([]byte, 0, 3*hashSize) // room for a cell
	return s.hash(s.owner(key, k.Owner), "session", string(k.ID))
}

func (s *secret) cell(session []byte, name string) []byte {
	return s.hash(slices.Clip(session), "cell", name)
}

func (s *secret) object(k session.ObjectKey) []byte {
	return s.hash(s.objects(k.Kind, &k.Owner), "object", k.ID)
}

// objects is the prefix of all objects of one kind, of o if it is not nil.
func (s *secret) objects(kind string, o *session.Owner) []byte {
	key := make([]byte, maxKind, maxKind+2*hashSize)
	copy(key, kind)
	if o != nil {
		key = s.owner(key, *o)
	}
	return key
}

// maxKind is the length of the longest kind. Shorter ones are filled with zeros.
const maxKind = 16

// stamp is an expiry as bytes that sort by time. The zero stamp is never.
type stamp [12]byte

func stampOf(t time.Time) (s stamp) {
	if t.IsZero() {
		return s
	}
	binary.BigEndian.PutUint64(s[:], uint64(t.Unix())^1<<63)
	binary.BigEndian.PutUint32(s[8:], uint32(t.Nanosecond()))
	return s
}

// indexKey is the place of a record in the index of its bucket.
func indexKey(at stamp, key []byte) []byte {
	return append(append(make([]byte, 0, len(at)+len(key)), at[:]...), key...)
}
