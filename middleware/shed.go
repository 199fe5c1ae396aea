package middleware

import (
	"sync"
	"sync/atomic"
	"time"
)

// Pressure tells how long calls wait. It is asked a few times a second.
type Pressure interface {
	// Pressure returns for how long the call has waited that waits longest, or
	// false when none waits.
	Pressure() (wait time.Duration, ok bool)
}

// Shed says when calls wait too long. A burst that the server works off is let
// be; a wait that stays above the target for an interval is a standing queue,
// which more calls only make longer (CoDel: Nichols and Jacobson 2012, with
// refusal at the door in place of drops from the queue). It is over with the
// first look that finds the wait below the target.
//
// While it lasts, a gate refuses ordinary calls of tenants that hold at least an
// equal part of what is inside: those that made the queue. A tenant with nothing
// inside is never refused for it.
type Shed struct {
	from     Pressure
	target   time.Duration
	interval time.Duration
	every    time.Duration
	base     time.Time

	next atomic.Int64 // time of the next look, since base
	wait atomic.Int64 // the wait while shedding; 0 is not shedding

	mu    sync.Mutex
	seen  time.Duration // time of the latest look, since base
	above time.Duration // since when every look has found the wait too long
	over  bool          // above says something
}

// NewShed returns a Shed that looks at from, ten times an interval while
// requests come. Target and interval must be positive.
func NewShed(from Pressure, target, interval time.Duration) *Shed {
	return &Shed{from: from, target: target, interval: interval, every: max(interval/10, time.Millisecond), base: time.Now()}
}

// active returns the wait while calls wait too long. Of those that ask at the
// same time, one takes the look and the others go by the one before.
func (s *Shed) active() (time.Duration, bool) {
	now := time.Since(s.base)
	if due := s.next.Load(); int64(now) >= due && s.next.CompareAndSwap(due, int64(now+s.every)) {
		wait, ok := s.from.Pressure()
		s.look(now, wait, ok)
	}
	wait := time.Duration(s.wait.Load())
	return wait, wait > 0
}

func (s *Shed) look(now, wait time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now < s.seen { // overtaken by a later look
		return
	}
	unseen := now - s.seen
	s.seen = now
	if !ok || wait < s.target {
		s.over = false
		s.wait.Store(0)
		return
	}
	if !s.over || unseen > s.interval { // nobody knows what was in between
		s.over, s.above = true, now
		s.wait.Store(0)
	}
	if now-s.above >= s.interval {
		s.wait.Store(int64(wait))
	}
}
