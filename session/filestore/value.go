package filestore

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"

	bolt "go.etcd.io/bbolt"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

// The buckets. Their first bytes differ.
const (
	bucketMeta     = "meta"
	bucketSessions = "sessions"
	bucketCells    = "cells"
	bucketObjects  = "objects"
	bucketChunks   = "chunks"

	bucketSessionExpiry = "session_expiry"
	bucketObjectExpiry  = "object_expiry"
)

// The formats of a value.
const (
	formatPlain  = 1
	formatSealed = 2
)

const (
	headerSize = 1 + len(stamp{})
	// chunkSize is how much payload one value holds: bbolt writes a value as one
	// run of pages, and long runs are hard to find in a file with gaps.
	chunkSize = 1<<20 - 256
	// maxPayload bounds one slot or object.
	maxPayload = 256 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// DamageError says that a stored value is not what was written. Key is a hash
// of its key, as Check lists it.
type DamageError struct {
	Bucket string
	Key    string
	Err    error
}

// Error names the place and what is wrong there.
func (e *DamageError) Error() string {
	return fmt.Sprintf("the stored value %s in %s is damaged: %v", e.Key, e.Bucket, e.Err)
}

// readError says what a caller can do about a damaged record. To ask again is of
// no use, so it has a code of its own.
func readError(err error) error {
	if _, ok := errors.AsType[*DamageError](err); !ok && !errors.Is(err, errPage) {
		return err
	}
	return &fault.Error{
		Kind: fault.Unavailable, Code: session.CodeDamaged, Err: err,
		Public: "the stored record of the session is damaged and cannot be read: the operator of the server can restore a backup; session_delete ends the session",
	}
}

// Unwrap returns what is wrong.
func (e *DamageError) Unwrap() error { return e.Err }

func damage(bucket string, key []byte, err error) error {
	sum := sha256.Sum256(key)
	return &DamageError{Bucket: bucket, Key: hex.EncodeToString(sum[:8]), Err: err}
}

var (
	errChecksum  = errors.New("its checksum is wrong")
	errSeal      = errors.New("its seal is wrong")
	errFormat    = errors.New("its format is unknown")
	errPlain     = errors.New("it is plain in an encrypted store")
	errChunk     = errors.New("a part of it is missing or of another version")
	errOrphan    = errors.New("what it belongs to is not there")
	errUnindexed = errors.New("the expiry index does not have it")
	errElsewhere = errors.New("it belongs to another key")
)

// vault seals and opens values. It does not change after Open.
type vault struct {
	current keyID // of first
	first   xaes
	keys    map[keyID]xaes // nil: the file is plain
	plainOK bool           // plain values may be there
}

func newVault(keys []Key) *vault {
	if len(keys) == 0 {
		return &vault{plainOK: true}
	}
	v := &vault{current: keys[0].id(), first: newXAES(keys[0]), keys: map[keyID]xaes{}}
	for _, k := range keys {
		v.keys[k.id()] = newXAES(k)
	}
	return v
}

// pair is one key with its value.
type pair struct{ key, value []byte }

// entry is a record that is ready to be stored.
type entry struct {
	bucket string
	pair
	chunks []pair
	index  pair // of a record that expires
	at     stamp
}

func (e *entry) size() int {
	n := len(e.key) + len(e.value) + len(e.index.key) + len(e.index.value)
	for _, c := range e.chunks {
		n += len(c.key) + len(c.value)
	}
	return n
}

// entry seals a payload for its place, in chunks if it is large.
func (v *vault) entry(bucket string, key []byte, at stamp, payload []byte) entry {
	e := entry{bucket: bucket, at: at, pair: pair{key: key}}
	more := max(0, (len(payload)-1)/chunkSize)
	head := binary.AppendUvarint(make([]byte, 0, 16+min(len(payload), chunkSize)), uint64(more))
	if more == 0 {
		e.value = v.seal(bucket, key, at, append(head, payload...))
		return e
	}
	var generation [8]byte // keeps chunks of two versions apart
	_, _ = rand.Read(generation[:])
	head = append(head, generation[:]...)
	e.value = v.seal(bucket, key, at, append(head, payload[:chunkSize]...))
	for i := range more {
		part := payload[(i+1)*chunkSize : min((i+2)*chunkSize, len(payload))]
		k := chunkKey(bucket, key, i)
		e.chunks = append(e.chunks, pair{k, v.seal(bucketChunks, k, stamp{}, append(generation[:8:8], part...))})
	}
	return e
}

func chunkPrefix(bucket string, key []byte) []byte {
	return append(append(make([]byte, 0, len(key)+5), bucket[0]), key...)
}

func chunkKey(bucket string, key []byte, i int) []byte {
	return binary.BigEndian.AppendUint32(chunkPrefix(bucket, key), uint32(i))
}

// where is what a value's check covers besides the value.
func where(bucket string, key, header []byte) []byte {
	b := make([]byte, 0, len(bucket)+1+len(key)+len(header))
	b = append(append(b, bucket...), 0)
	return append(append(b, key...), header...)
}

func (v *vault) seal(bucket string, key []byte, at stamp, payload []byte) []byte {
	value := make([]byte, 0, headerSize+len(keyID{})+nonceSize+16+len(payload))
	if v.keys == nil {
		value = append(append(value, formatPlain), at[:]...)
		sum := crc32.Update(crc32.Checksum(where(bucket, key, value), castagnoli), castagnoli, payload)
		return append(binary.BigEndian.AppendUint32(value, sum), payload...)
	}
	value = append(append(value, formatSealed), at[:]...)
	value = append(value, v.current[:]...)
	return v.first.seal(value, payload, where(bucket, key, value))
}

// unseal returns a payload of its own memory.
func (v *vault) unseal(bucket string, key, value []byte) ([]byte, error) {
	payload, err := v.unsealed(bucket, key, value)
	if err != nil {
		return nil, damage(bucket, key, err)
	}
	return payload, nil
}

func (v *vault) unsealed(bucket string, key, value []byte) ([]byte, error) {
	if len(value) < headerSize+4 {
		return nil, errTooShort
	}
	switch value[0] {
	case formatPlain:
		if !v.plainOK {
			return nil, errPlain
		}
		head, body := value[:headerSize], value[headerSize+4:]
		sum := crc32.Update(crc32.Checksum(where(bucket, key, head), castagnoli), castagnoli, body)
		if sum != binary.BigEndian.Uint32(value[headerSize:]) {
			return nil, errChecksum
		}
		return bytes.Clone(body), nil
	case formatSealed:
		const end = headerSize + len(keyID{})
		if len(value) < end {
			return nil, errTooShort
		}
		id := keyID(value[headerSize:end])
		x, ok := v.keys[id]
		if !ok {
			return nil, fmt.Errorf("it is encrypted with key %s, which is not given", id)
		}
		payload, err := x.open(value[end:], where(bucket, key, value[:end]))
		if err != nil {
			return nil, errSeal
		}
		return payload, nil
	}
	return nil, errFormat
}

// fresh reports whether a value is sealed as it would be now.
func (v *vault) fresh(value []byte) bool {
	if v.keys == nil {
		return true
	}
	const end = headerSize + len(keyID{})
	return len(value) >= end && value[0] == formatSealed && keyID(value[headerSize:end]) == v.current
}

// stampIn returns the expiry in a value's header.
func stampIn(value []byte) (s stamp) {
	if len(value) >= headerSize {
		copy(s[:], value[1:])
	}
	return s
}

// load opens a value with its chunks.
func (v *vault) load(tx *bolt.Tx, bucket string, key, value []byte) ([]byte, error) {
	head, err := v.unseal(bucket, key, value)
	if err != nil {
		return nil, err
	}
	more, n := binary.Uvarint(head)
	if n <= 0 || more > maxPayload/chunkSize {
		return nil, damage(bucket, key, errMalformed)
	}
	payload := head[n:]
	if more == 0 {
		return payload, nil
	}
	if len(payload) < 8 {
		return nil, damage(bucket, key, errTooShort)
	}
	generation := payload[:8]
	payload = append(make([]byte, 0, int(more+1)*chunkSize), payload[8:]...)
	chunks := tx.Bucket([]byte(bucketChunks))
	for i := range int(more) {
		k := chunkKey(bucket, key, i)
		raw := chunks.Get(k)
		if raw == nil {
			return nil, damage(bucket, key, errChunk)
		}
		part, err := v.unseal(bucketChunks, k, raw)
		if err != nil {
			return nil, damage(bucket, key, err)
		}
		if len(part) < 8 || !bytes.Equal(part[:8], generation) {
			return nil, damage(bucket, key, errChunk)
		}
		payload = append(payload, part[8:]...)
	}
	return payload, nil
}
