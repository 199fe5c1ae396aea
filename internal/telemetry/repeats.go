package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// RequestMessage is the message of the one record that every request leaves.
const RequestMessage = "request"

const (
	repeatsMost  = 20               // records of one message
	repeatsIn    = 10 * time.Second // in this time
	maxMessages  = 1024             // that are told apart
	messageBytes = 32               // by which they are
)

// repeats passes on the first repeatsMost records of a message in every repeatsIn,
// so that what fails a thousand times a second does not fill the disk. How many
// were left out is on the next one that is written. Debug records all pass.
type repeats struct {
	next   slog.Handler
	except string
	seen   *seenMessages // shared by all handlers made from one
}

// seenMessages counts records by the beginning of their message: what follows may
// come from a client.
type seenMessages struct {
	now func() time.Time

	mu  sync.Mutex
	all map[string]*seenMessage
}

type seenMessage struct {
	since   time.Time
	written int
	left    int
}

func newRepeats(next slog.Handler, except string) *repeats {
	return &repeats{next: next, except: except, seen: &seenMessages{now: time.Now, all: map[string]*seenMessage{}}}
}

// take counts a record and says whether it is written, and how many were left out
// before it.
func (s *seenMessages) take(message string) (write bool, left int) {
	if len(message) > messageBytes {
		message = message[:messageBytes]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	m := s.all[message]
	if m == nil {
		if len(s.all) >= maxMessages {
			clear(s.all)
		}
		m = &seenMessage{since: now}
		s.all[message] = m
	}
	if now.Sub(m.since) >= repeatsIn {
		m.since, m.written = now, 0
	}
	if m.written >= repeatsMost {
		m.left++
		return false, 0
	}
	m.written++
	left, m.left = m.left, 0
	return true, left
}

// Enabled asks the wrapped handler.
func (r *repeats) Enabled(ctx context.Context, level slog.Level) bool {
	return r.next.Enabled(ctx, level)
}

// Handle passes the record on, or counts it.
func (r *repeats) Handle(ctx context.Context, rec slog.Record) error {
	if rec.Level < slog.LevelInfo || rec.Message == r.except {
		return r.next.Handle(ctx, rec)
	}
	write, left := r.seen.take(rec.Message)
	if !write {
		return nil
	}
	if left > 0 {
		rec = rec.Clone()
		rec.AddAttrs(slog.Int("left_out", left))
	}
	return r.next.Handle(ctx, rec)
}

// WithAttrs returns a handler whose records carry attrs.
func (r *repeats) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &repeats{next: r.next.WithAttrs(attrs), except: r.except, seen: r.seen}
}

// WithGroup returns a handler whose records lie in the group.
func (r *repeats) WithGroup(name string) slog.Handler {
	return &repeats{next: r.next.WithGroup(name), except: r.except, seen: r.seen}
}
