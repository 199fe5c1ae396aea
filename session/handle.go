package session

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"
	"unique"
)

// Handle is one call's hold on a session: while it is not released, no cap and
// no idle TTL ends the session. Its methods may be called from any goroutine of
// the call.
type Handle struct {
	e     *entry
	guest *Owner // by whose grant it came about; nil for the session's owner
	marks marks

	// The version that the next write demands, if expecting. Set before the
	// writes of a call, then owned by whoever holds the state's turn.
	expected atomic.Uint64
}

// mark is something that is true of a handle from some moment on.
type mark uint32

const (
	released mark = 1 << iota
	failed
	looked
	expecting
)

// marks are those of one handle. They share a word, for a call makes a handle.
type marks struct{ word atomic.Uint32 }

func (m *marks) has(x mark) bool       { return m.word.Load()&uint32(x) != 0 }
func (m *marks) set(x mark) (was bool) { return m.word.Or(uint32(x))&uint32(x) != 0 }

// ID returns the session's id, which only its owner and those to whom it is
// granted may see.
func (h *Handle) ID() ID { return h.e.id }

// Owner returns whose session it is.
func (h *Handle) Owner() Owner { return h.e.own.Owner }

// Info returns a snapshot of the session. It is not a use.
func (h *Handle) Info() Info {
	s := h.e.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	return h.e.infoLocked(s.dir.now())
}

// Version returns how many commits the session has seen.
func (h *Handle) Version() uint64 {
	if st := h.e.state.Load(); st != nil {
		return st.currentVersion()
	}
	return 0
}

// Expires returns when the session ends if no call follows those in flight.
func (h *Handle) Expires() time.Time {
	s := h.e.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dir.time(h.e.expiresLocked(s.dir.now()))
}

// Context returns a context that is canceled, with an *Ended as its cause, when
// the session is deleted, ended by an operator or closed; and when it is over
// age and the calls then in flight are done. It is made on first use.
func (h *Handle) Context() context.Context {
	s := h.e.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	return h.e.contextLocked()
}

// Release ends the call: it counts as completed, and the idle TTL starts anew.
// Releasing twice is the same as once.
func (h *Handle) Release() {
	if h.marks.set(released) {
		return
	}
	e := h.e
	s := e.shard
	s.mu.Lock()
	if e.phase == ended {
		s.mu.Unlock()
		return
	}
	now := s.dir.now()
	e.inFlight--
	s.tally.inFlight--
	e.calls++
	if h.marks.has(failed) {
		e.errors++
	}
	if !h.marks.has(looked) {
		e.lastUsed = now
		if e.phase == live {
			e.own.part.touchLocked(e, now)
		}
	}
	s.touchLocked(e)
	p := s.unpinnedLocked(e, now)
	s.mu.Unlock()
	p.finish()
}

// Look marks the call as one that only looks at the session itself, such as a
// report of its age: Release will count it, but not slide the idle TTL, so that
// watching a session does not keep it alive.
func (h *Handle) Look() { h.marks.set(looked) }

// Fail marks the call as failed: Release will count it among the errors too.
func (h *Handle) Fail() { h.marks.set(failed) }

// Stream holds the session for an open stream until release is called. A
// stream keeps the idle TTL and the caps away but is not a call: letting go of
// it slides nothing. It may outlive the handle. Calling release twice is fine.
func (h *Handle) Stream() (release func()) {
	e := h.e
	s := e.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.phase == ended {
		return func() {}
	}
	if e.phase == live {
		s.pinLocked(e)
	}
	e.streams++
	s.tally.streams++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		if e.phase == ended {
			s.mu.Unlock()
			return
		}
		e.streams--
		s.tally.streams--
		p := s.unpinnedLocked(e, s.dir.now())
		s.mu.Unlock()
		p.finish()
	})
}

// SetClient notes which program uses the session now. That of a grantee is not
// noted.
func (h *Handle) SetClient(c Client) {
	if h.guest != nil {
		return
	}
	e := h.e
	s := e.shard
	client := unique.Make(c.cut())
	s.mu.Lock()
	if e.client == client || e.phase == ended {
		s.mu.Unlock()
		return
	}
	e.client = client
	s.touchLocked(e)
	var p parting
	e.tellLocked(&p, EventChanged, s.dir.now())
	s.mu.Unlock()
	p.finish()
}

// OnEnd registers fn to run when the session has ended: exactly once, after
// what was registered later, under no lock, on the goroutine that ended it.
// If it has ended already, fn runs at once. remove takes fn back if it has not
// begun to run.
func (h *Handle) OnEnd(fn func(Reason)) (remove func()) {
	e := h.e
	s := e.shard
	s.mu.Lock()
	id := e.addHookLocked(fn)
	why := e.reason
	s.mu.Unlock()
	if id == 0 {
		fn(why)
		return func() {}
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		e.removeHookLocked(id)
	}
}

// Expect makes the writes of this handle fail with a Conflict, code
// "version_conflict", unless the session is at version. The handle's own
// commits move the expectation along.
func (h *Handle) Expect(version uint64) {
	h.expected.Store(version)
	h.marks.set(expecting)
}

// Keys returns the ids of all slots that were made by Key from the slot name
// and hold something, sorted. It costs a look at every slot of the session. It
// may be called until the handle is released. Once the caller's grant is over
// there are none, here and in Export.
func (h *Handle) Keys(name string) []string {
	if st := h.e.state.Load(); st != nil && h.may(AccessRead) == nil {
		return st.keys(name)
	}
	return nil
}

// Export returns a copy of the committed state: the envelope of every slot,
// {"schema":…,"data":…}, by the slot's name. It may be called until the handle is
// released.
func (h *Handle) Export() map[string]json.RawMessage {
	if st := h.e.state.Load(); st != nil && h.may(AccessRead) == nil {
		return st.export()
	}
	return map[string]json.RawMessage{}
}
