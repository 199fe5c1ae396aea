package oidc

import (
	"sync"
	"time"
)

const (
	breakAfter = 5 // failures in a row
	firstBreak = time.Second
	maxBreak   = 30 * time.Second
)

// breaker keeps callers from a place that failed breakAfter times in a row: for a
// second, and twice as long after each trial that fails too, up to maxBreak. When
// that time is over, one caller tries. Its zero value is ready.
type breaker struct {
	mu sync.Mutex

	// owned by mu
	failures int
	until    time.Time // nobody tries before
	pause    time.Duration
	trying   bool
}

// enter returns how long to stay away, 0 to go ahead, and whether this is the
// trial. Who goes ahead calls leave.
func (b *breaker) enter(now time.Time) (trial bool, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.failures < breakAfter:
		return false, 0
	case b.trying || now.Before(b.until):
		return false, max(b.until.Sub(now), firstBreak)
	}
	b.trying = true
	return true, 0
}

// leave says how it went. A call that was given up says nothing, so it counts as
// neither: a trial that was given up makes room for the next one.
func (b *breaker) leave(trial bool, result outcome, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if trial {
		b.trying = false
	}
	switch result {
	case worked:
		b.failures, b.pause = 0, 0
	case failed:
		if b.failures++; b.failures == breakAfter || trial {
			b.pause = min(max(2*b.pause, firstBreak), maxBreak)
			b.until = now.Add(b.pause)
		}
	}
}

// outcome is how a call ended.
type outcome int

const (
	worked outcome = iota
	failed
	givenUp
)
