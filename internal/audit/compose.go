package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"time"
)

// chain is where the log stands: what the next line needs to know of those
// before it. A copy of it undoes a batch.
type chain struct {
	seq        uint64
	prev       [hashLen]byte // hash of the last line
	unsigned   int           // lines since the last signature
	since      time.Time     // when the first of them was composed
	checkpoint uint64        // seq of the last signed line
}

func (w *writer) compose(now time.Time, b *batch) {
	start := 0
	for _, end := range b.ends {
		w.line(now, b.buf[start:end])
		start = end
	}
}

// line composes a line of a caller's part, and a checkpoint when one is due. It
// may be due before, when a kill has cut off the last one.
func (w *writer) line(now time.Time, part []byte) {
	if w.chain.unsigned >= w.cfg.CheckpointEvery {
		w.checkpoint(now)
	}
	if w.chain.unsigned == 0 {
		w.chain.since = now
	}
	w.chain.unsigned++
	w.out = w.chain.append(w.out, part, nil)
	if w.chain.unsigned >= w.cfg.CheckpointEvery {
		w.checkpoint(now)
	}
}

// signed composes a line that vouches for all before it.
func (w *writer) signed(part []byte) {
	part = appendText(part, "key", w.log.key.id, maxName)
	w.out = w.chain.append(w.out, part, w.log.key)
	w.chain.unsigned = 0
	w.chain.checkpoint = w.chain.seq
	w.log.counters.signatures.Add(1)
}

func (w *writer) checkpoint(now time.Time) {
	w.signed(appendText(appendTime(nil, now), "kind", string(Checkpoint), maxKind))
}

// append completes a line: number before it, links behind it.
func (c *chain) append(out, part []byte, key *Key) []byte {
	start := len(out)
	c.seq++
	out = append(out, lineStart...)
	out = strconv.AppendUint(out, c.seq, 10)
	out = append(out, part...)
	out = append(out, prevStart...)
	out = append(out, c.prev[:]...)
	out = append(out, '"')
	if key != nil {
		sig := key.sign(out[start:])
		out = append(out, sigStart...)
		out = base64.StdEncoding.AppendEncode(out, sig)
		out = append(out, '"')
	}
	sum := sha256.Sum256(out[start:])
	hex.Encode(c.prev[:], sum[:])
	out = append(out, hashStart...)
	out = append(out, c.prev[:]...)
	return append(append(out, lineEnd...), '\n')
}
