package audit

import (
	"bytes"
	"context"
	"iter"
	"sync"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// DefaultMemory is how many records a Memory keeps by default.
const DefaultMemory = 4096

// Memory keeps the newest records in memory, in the format of a Log: for tests,
// and for a server that keeps nothing. What it forgets, and all of it when the
// process ends, is gone.
type Memory struct {
	encoder encoder
	most    int

	mu sync.Mutex
	// Under mu:
	chain  chain
	lines  [][]byte // a ring; line seq stands at (seq-1) modulo most
	closed bool
}

var (
	_ Sink = (*Log)(nil)
	_ Sink = (*Memory)(nil)
)

// NewMemory returns a Memory of most records; 0 is DefaultMemory. Of cfg it uses
// what concerns the content of records: Arguments and NoAddresses.
func NewMemory(most int, cfg Config) (*Memory, error) {
	if most <= 0 {
		most = DefaultMemory
	}
	key, err := GenerateKey()
	if err != nil {
		return nil, err
	}
	m := &Memory{encoder: encoder{key: key, arguments: cfg.withDefaults().Arguments, noAddresses: cfg.NoAddresses}, most: most}
	copy(m.chain.prev[:], zeroHash)
	return m, nil
}

// Append implements Sink.
func (m *Memory) Append(_ context.Context, r Record) error {
	if r.Kind == "" || r.Kind.reserved() {
		return fault.Newf(fault.Internal, "audit records of kind %q are not for callers", r.Kind)
	}
	part := m.encoder.record(nil, &r)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return unavailable("audit_closed", "the audit log is closed", nil)
	}
	at := int(m.chain.seq % uint64(m.most))
	line := bytes.TrimSuffix(m.chain.append(nil, part, nil), []byte{'\n'})
	if at < len(m.lines) {
		m.lines[at] = line
	} else {
		m.lines = append(m.lines, line)
	}
	return nil
}

// Flush implements Sink: there is nothing to do.
func (m *Memory) Flush(context.Context) error { return nil }

// Query implements Sink.
func (m *Memory) Query(ctx context.Context, f Filter) iter.Seq2[Entry, error] {
	f.Session = sessionHash(m.encoder.key, f.Session)
	match := f.matcher()
	return newest(f.Limit, func(yield func(Entry, error) bool) {
		m.mu.Lock()
		n := uint64(len(m.lines))
		last := m.chain.seq
		lines := make([][]byte, 0, n)
		for i := last - n; i < last; i++ {
			lines = append(lines, m.lines[i%uint64(m.most)])
		}
		m.mu.Unlock()
		for _, text := range lines {
			if err := ctx.Err(); err != nil {
				yield(Entry{}, err)
				return
			}
			if !match.match(text) {
				continue
			}
			e, err := ParseEntry(text)
			if !yield(e, err) || err != nil {
				return
			}
		}
	})
}

// Key returns the key of the session hashes.
func (m *Memory) Key() *Key { return m.encoder.key }

// Stats implements Sink.
func (m *Memory) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Stats{Appended: m.chain.seq, Seq: m.chain.seq}
}

// Health implements Sink: memory does not fail.
func (m *Memory) Health() error { return nil }

// Close implements Sink.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}
