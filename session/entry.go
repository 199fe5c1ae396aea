package session

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"
	"unique"
)

// moment is a point in time in nanoseconds of the monotonic clock since the
// directory was made: smaller than a time.Time, and a step of the wall clock
// expires nothing.
type moment int64

func (m moment) add(d time.Duration) moment { return m + moment(d) }

// phase is what of a session's state must be stored; the rest follows from its
// pins.
type phase uint8

const (
	live phase = iota // active or idle
	draining
	ended
)

// entry is one session. It is small, for there may be very many idle ones:
// what few sessions need is in extra and state, made on first use.
type entry struct {
	shard   *shard
	own     *owner
	id      ID
	name    string
	labels  map[string]string // never changed
	created moment
	ageAt   moment // the absolute TTL's end
	idleTTL time.Duration

	state atomic.Pointer[state] // nil until the first write; set under shard.mu

	// Owned by shard.mu.
	client   unique.Handle[Client]
	lastUsed moment // the last completed call, at first the opening
	recent   moment // rank among the tenant's sessions: lastUsed, or later if it was parked
	due      moment // rank in shard.deadlines
	calls    uint64
	errors   uint64
	inFlight int32
	streams  int32
	place    int32 // in shard.deadlines
	phase    phase
	parked   bool
	canceled bool // the context is, or will be when somebody asks for it
	stored   bool // the store has a record of it
	perhaps  bool // it may have one: an attempt to store it had no answer
	touched  bool // it is in shard.touched
	reason   Reason
	extra    *extra
}

// extra is what only some sessions have. Owned by shard.mu.
type extra struct {
	ctx      context.Context
	cancel   context.CancelCauseFunc
	hooks    []hook // in order of registration
	lastHook uint64
	sharing  *sharing // nil if it was never shared
}

type hook struct {
	id uint64
	fn func(Reason)
}

func (e *entry) key() key    { return key{e.own.Issuer, e.own.Subject, e.id} }
func (e *entry) pins() int32 { return e.inFlight + e.streams }

// expiredLocked reports whether e's time has passed, and which.
func (e *entry) expiredLocked(now moment) (Reason, bool) {
	switch {
	case now >= e.ageAt:
		return ReasonAge, true
	case e.pins() == 0 && now >= e.lastUsed.add(e.idleTTL):
		return ReasonIdle, true
	}
	return "", false
}

// dueLocked returns when the sweeper must look at e next, if nothing happens to
// it before.
func (e *entry) dueLocked(now moment) moment {
	due := e.stateDueLocked(now)
	for _, g := range e.grantsLocked() {
		due = min(due, g.expires)
	}
	return due
}

func (e *entry) stateDueLocked(now moment) moment {
	d := e.shard.dir
	if e.pins() > 0 {
		if e.stored { // its record would expire meanwhile
			return min(e.ageAt, now.add(e.idleTTL))
		}
		return e.ageAt
	}
	due := min(e.ageAt, e.lastUsed.add(e.idleTTL))
	if st := e.state.Load(); st != nil {
		if st.warm.Load() {
			due = min(due, max(e.lastUsed.add(warmFor), now+1))
		}
		if e.stored && !st.cold.Load() {
			due = min(due, max(e.lastUsed.add(d.cfg.ColdAfter), now+1))
		}
	}
	return due
}

// expiresLocked returns when e ends if nothing more is done with it than what
// is in flight now.
func (e *entry) expiresLocked(now moment) moment {
	at := e.lastUsed.add(e.idleTTL)
	switch {
	case e.inFlight > 0:
		at = now.add(e.idleTTL)
	case e.streams > 0:
		at = max(at, now)
	}
	return min(at, e.ageAt)
}

func (e *entry) stateLocked() State {
	switch {
	case e.phase == draining:
		return StateDraining
	case e.phase == ended:
		return StateEnded
	case e.pins() > 0:
		return StateActive
	}
	return StateIdle
}

func (e *entry) infoLocked(now moment) Info {
	d := e.shard.dir
	info := Info{
		ID: e.id, Ref: e.id.Ref(), Owner: e.own.Owner, Name: e.name, Labels: maps.Clone(e.labels), Client: e.client.Value(),
		State: e.stateLocked(), Created: d.time(e.created), LastUsed: d.time(e.lastUsed), Expires: d.time(e.expiresLocked(now)),
		InFlight: int(e.inFlight), Streams: int(e.streams), Calls: e.calls, Errors: e.errors,
	}
	if st := e.state.Load(); st != nil {
		info.Version, info.Bytes, info.Slots = st.summary()
	}
	for _, g := range e.grantsLocked() {
		if now < g.expires {
			info.Grants++
		}
	}
	return info
}

// isEmpty reports whether no slot holds anything.
func (e *entry) isEmpty() bool {
	st := e.state.Load()
	return st == nil || st.isEmpty()
}

// doomedLocked reports whether e has ended, or drains, never to be found again
// in this process or the next.
func (e *entry) doomedLocked() bool {
	return e.phase == ended && e.reason != ReasonShutdown || e.phase == draining && e.reason != ReasonAge
}

// coldLocked reports whether it is time for the state to leave memory.
func (e *entry) coldLocked(now moment) bool {
	st := e.state.Load()
	return st != nil && e.stored && !st.cold.Load() && now >= e.lastUsed.add(e.shard.dir.cfg.ColdAfter)
}

func (e *entry) extraLocked() *extra {
	if e.extra == nil {
		e.extra = new(extra)
	}
	return e.extra
}

// cancelLocked marks the context as canceled and returns the cancelling, which
// runs foreign code and so must wait for the unlock.
func (e *entry) cancelLocked() parting {
	if e.canceled {
		return parting{}
	}
	e.canceled = true
	if e.extra == nil || e.extra.cancel == nil {
		return parting{}
	}
	return parting{why: e.reason, cancel: e.extra.cancel}
}

// contextLocked returns the session's context and makes it on first use.
func (e *entry) contextLocked() context.Context {
	x := e.extraLocked()
	if x.ctx == nil {
		x.ctx, x.cancel = context.WithCancelCause(context.Background())
		if e.canceled {
			x.cancel(&Ended{e.reason}) // nobody listens yet, so nothing foreign runs
		}
	}
	return x.ctx
}

// addHookLocked registers fn and returns its number, or 0 if the session has
// ended.
func (e *entry) addHookLocked(fn func(Reason)) uint64 {
	if e.phase == ended {
		return 0
	}
	x := e.extraLocked()
	x.lastHook++
	x.hooks = append(x.hooks, hook{x.lastHook, fn})
	return x.lastHook
}

func (e *entry) removeHookLocked(id uint64) {
	if e.extra != nil {
		e.extra.hooks = slices.DeleteFunc(e.extra.hooks, func(h hook) bool { return h.id == id })
	}
}

// tellLocked adds to p that e's state changed, if anybody listens.
func (e *entry) tellLocked(p *parting, kind EventKind, now moment) {
	if d := e.shard.dir; d.watched() {
		p.dir = d
		p.event = &Event{Kind: kind, Info: e.infoLocked(now), Reason: e.reason, At: d.time(now)}
	}
}

// parting is what is left to do for a session that ends or drains, to be done
// by the goroutine that caused it and under no lock. The zero parting is
// nothing to do.
type parting struct {
	why    Reason
	cancel context.CancelCauseFunc // nil if nobody asked for the context
	hooks  []hook
	dir    *Directory
	end    *Ending // nil if nobody must be told
	event  *Event  // nil if nobody listens
}

// finish cancels the context, tells the listeners and runs the teardown hooks,
// the last registered first. A hook that panics does not keep the others from
// running.
func (p *parting) finish() {
	for _, h := range p.hooks {
		defer h.fn(p.why)
	}
	if p.cancel != nil {
		p.cancel(&Ended{p.why})
	}
	if p.end != nil {
		p.dir.cfg.OnEnd(*p.end)
	}
	if p.event != nil {
		p.dir.publish(*p.event)
	}
}
