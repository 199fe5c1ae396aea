package filestore

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
)

// The payloads are fields in a fixed order: numbers as varints, strings and
// bytes behind their length, times as seconds and nanoseconds. Labels are
// sorted, so that equal records are equal bytes.

func appendBytes[T ~string | ~[]byte](b []byte, v T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

func appendTime(b []byte, t time.Time) []byte {
	return binary.AppendUvarint(binary.AppendVarint(b, t.Unix()), uint64(t.Nanosecond()))
}

func appendOwner(b []byte, o session.Owner) []byte {
	return appendBytes(appendBytes(appendBytes(b, o.Tenant), o.Issuer), o.Subject)
}

// encodeName is the payload of an index entry.
func encodeName(o session.Owner, id string) []byte { return appendBytes(appendOwner(nil, o), id) }

func encodeRecord(r *session.Record) []byte {
	b := make([]byte, 0, 256+len(r.Extra))
	b = appendBytes(appendOwner(b, r.Owner), r.ID)
	b = appendBytes(b, r.Name)
	b = binary.AppendUvarint(b, uint64(len(r.Labels)))
	for _, k := range slices.Sorted(maps.Keys(r.Labels)) {
		b = appendBytes(appendBytes(b, k), r.Labels[k])
	}
	for _, v := range []string{r.Client.Name, r.Client.Version, r.Client.Revision, r.Client.Transport} {
		b = appendBytes(b, v)
	}
	b = binary.AppendVarint(appendTime(b, r.Created), int64(r.IdleTTL))
	b = appendTime(appendTime(appendTime(b, r.AgeAt), r.LastUsed), r.Expires)
	for _, v := range []uint64{r.Calls, r.Errors, r.Version} {
		b = binary.AppendUvarint(b, v)
	}
	return appendBytes(binary.AppendVarint(b, r.Bytes), r.Extra)
}

func encodeCell(c session.Cell) []byte {
	b := make([]byte, 0, 32+len(c.Name)+len(c.Data))
	return appendBytes(binary.AppendUvarint(appendBytes(b, c.Name), c.Version), c.Data)
}

func encodeObject(o session.Object) []byte {
	b := make([]byte, 0, 128+len(o.ID)+len(o.Data))
	b = appendBytes(appendOwner(appendBytes(b, o.Kind), o.Owner), o.ID)
	return appendBytes(appendTime(b, o.Expires), o.Data)
}

var errMalformed = errors.New("its fields do not add up")

// reader takes fields off a payload. After the first that is not there all are
// zero and bad is set.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.rest, r.bad = nil, true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.rest, r.bad = nil, true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// bytes returns a part of the payload, nil if it is empty.
func (r *reader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.rest)) {
		r.rest, r.bad = nil, true
		return nil
	}
	v := r.rest[:n:n]
	r.rest = r.rest[n:]
	if n == 0 {
		return nil
	}
	return v
}

func (r *reader) string() string { return string(r.bytes()) }

func (r *reader) time() time.Time {
	sec, nsec := r.int(), r.uint()
	if r.bad {
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC()
}

func (r *reader) owner() session.Owner {
	return session.Owner{Tenant: r.string(), Issuer: r.string(), Subject: r.string()}
}

func (r *reader) end() error {
	if r.bad || len(r.rest) > 0 {
		return errMalformed
	}
	return nil
}

func decodeName(payload []byte) (o session.Owner, id string, err error) {
	r := &reader{rest: payload}
	o, id = r.owner(), r.string()
	return o, id, r.end()
}

func decodeRecord(payload []byte) (session.Record, error) {
	r := &reader{rest: payload}
	rec := session.Record{Key: session.Key{Owner: r.owner(), ID: session.ID(r.string())}, Name: r.string()}
	if n := r.uint(); n > 0 && n <= uint64(len(r.rest)) {
		rec.Labels = make(map[string]string, n)
		for range n {
			k := r.string()
			rec.Labels[k] = r.string()
		}
	} else if n > 0 {
		return rec, errMalformed
	}
	rec.Client = session.Client{Name: r.string(), Version: r.string(), Revision: r.string(), Transport: r.string()}
	rec.Created, rec.IdleTTL = r.time(), time.Duration(r.int())
	rec.AgeAt, rec.LastUsed, rec.Expires = r.time(), r.time(), r.time()
	rec.Calls, rec.Errors, rec.Version = r.uint(), r.uint(), r.uint()
	rec.Bytes, rec.Extra = r.int(), r.bytes()
	return rec, r.end()
}

func decodeCell(payload []byte) (session.Cell, error) {
	r := &reader{rest: payload}
	c := session.Cell{Name: r.string(), Version: r.uint(), Data: r.bytes()}
	return c, r.end()
}

func decodeObject(payload []byte) (session.Object, error) {
	r := &reader{rest: payload}
	o := session.Object{ObjectKey: session.ObjectKey{Kind: r.string(), Owner: r.owner(), ID: r.string()}}
	o.Expires, o.Data = r.time(), r.bytes()
	return o, r.end()
}
