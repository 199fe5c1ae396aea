package job

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/lyceum-mcp/lyceum/session"
)

// Record is a job as it is stored: the job, and what another process needs to
// go on with it.
type Record struct {
	Job
	Input     json.RawMessage `json:"input,omitempty"`     // dropped when the job is over
	Resumable bool            `json:"resumable,omitempty"` // may be run again after an interruption
	Stalled   int             `json:"stalled,omitempty"`   // interruptions since the last checkpoint
}

// Key returns the record's place in a store. No other record has it.
func (r Record) Key() (session.Owner, ID) { return r.Owner, r.ID }

// Clone returns a copy that shares nothing with r.
func (r Record) Clone() Record {
	r.Log = slices.Clone(r.Log)
	for _, blob := range r.blobs() {
		*blob = slices.Clone(*blob)
	}
	return r
}

// blobs returns the places of the JSON that must survive byte for byte.
func (r *Record) blobs() [4]*json.RawMessage {
	return [4]*json.RawMessage{&r.Input, &r.Partial, &r.Checkpoint.Data, &r.Result}
}

// recordFormat is the first byte of an encoded record.
const recordFormat = 1

var errRecord = errors.New("not an encoded job record")

// MarshalBinary encodes the record for a store that keeps bytes: a format byte,
// then five parts, each after its length as a uvarint: the record as JSON
// without its blobs, then the input, the partial result, the checkpoint and the
// result. The blobs stay outside because JSON encoders reformat what they
// embed, and a resumed run must find its checkpoint byte for byte.
func (r Record) MarshalBinary() ([]byte, error) {
	blobs := r.blobs()
	parts := make([][]byte, 1, 1+len(blobs))
	size := 1
	for _, blob := range blobs {
		parts = append(parts, *blob)
		size += binary.MaxVarintLen64 + len(*blob)
		*blob = nil // of our copy of the record
	}
	head, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode job record: %w", err)
	}
	parts[0] = head
	b := make([]byte, 1, size+binary.MaxVarintLen64+len(head))
	b[0] = recordFormat
	for _, part := range parts {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b, nil
}

// UnmarshalBinary decodes what MarshalBinary made. It keeps nothing of b.
func (r *Record) UnmarshalBinary(b []byte) error {
	if len(b) == 0 || b[0] != recordFormat {
		return errRecord
	}
	head, b, ok := takePart(b[1:])
	if !ok {
		return errRecord
	}
	var rec Record
	if err := json.Unmarshal(head, &rec); err != nil {
		return fmt.Errorf("%w: %w", errRecord, err)
	}
	for _, blob := range rec.blobs() {
		var part []byte
		if part, b, ok = takePart(b); !ok {
			return errRecord
		}
		*blob = nil
		if len(part) > 0 {
			*blob = slices.Clone(part)
		}
	}
	if len(b) > 0 || !rec.State.known() || rec.ID == "" {
		return errRecord
	}
	*r = rec
	return nil
}

// takePart cuts a length and as many bytes off b.
func takePart(b []byte) (part, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	end := n + int(size)
	return b[n:end], b[end:], true
}
