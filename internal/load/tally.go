package load

import (
	"sync"
	"time"
)

// tally counts what became of the calls of one group in the time that is
// measured.
type tally struct {
	mu       sync.Mutex
	warmup   uint64 // calls that were not measured
	count    [outcomes]uint64
	statuses map[int]uint64
	// Refusals with a Retry-After that can be read, and without.
	after   [outcomes]uint64
	noAfter [outcomes]uint64
	// The first text of each outcome: more would be more of the same.
	texts    [outcomes]string
	late     uint64
	progress uint64
	retries  uint64
	bytes    int64
	good     Histogram // all good answers
	refusals Histogram
	lag      Histogram // by how much the generator itself sent late, with a connection free
	calls    []callTally
	opened   int // sessions
	revision string
}

// callTally is the part of one call of the mix.
type callTally struct {
	good    Histogram
	count   uint64 // due
	endless uint64
}

func newTally(calls int) *tally {
	return &tally{statuses: map[int]uint64{}, calls: make([]callTally, calls)}
}

// sample is one call that was due.
type sample struct {
	call    int
	latency time.Duration // from when it was due
	late    bool
	lag     time.Duration // negative: not known
	answer  answer
}

// warm counts a call of the warm-up.
func (t *tally) warm() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.warmup++
}

// add counts a call.
func (t *tally) add(s sample) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a, c := &s.answer, &t.calls[s.call]
	t.count[a.outcome]++
	t.progress += uint64(a.progress)
	t.retries += uint64(a.retries)
	t.bytes += a.bytes
	if a.status != 0 {
		t.statuses[a.status]++
	}
	if a.outcome != cut {
		c.count++
	}
	if s.late {
		t.late++
	}
	if s.lag >= 0 {
		t.lag.Record(s.lag)
	}
	if t.texts[a.outcome] == "" {
		t.texts[a.outcome] = a.text
	}
	switch {
	case a.outcome == ok:
		t.good.Record(s.latency)
		c.good.Record(s.latency)
	case a.outcome.refused():
		t.refusals.Record(s.latency)
		if a.retryAfter {
			t.after[a.outcome]++
		} else {
			t.noAfter[a.outcome]++
		}
	case a.outcome.endless():
		c.endless++
	}
}

// leave counts what a connection knows at its end.
func (t *tally) leave(k *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.opened += k.opened
	t.revision = k.revision
}

// merge adds other, which is at rest, leaving out what belongs to a mix: the
// calls of two groups need not be the same.
func (t *tally) merge(other *tally) {
	t.warmup += other.warmup
	for o := range outcomes {
		t.count[o] += other.count[o]
		t.after[o] += other.after[o]
		t.noAfter[o] += other.noAfter[o]
		if t.texts[o] == "" {
			t.texts[o] = other.texts[o]
		}
	}
	for status, n := range other.statuses {
		t.statuses[status] += n
	}
	t.late += other.late
	t.progress += other.progress
	t.retries += other.retries
	t.bytes += other.bytes
	t.good.Merge(&other.good)
	t.refusals.Merge(&other.refusals)
	t.lag.Merge(&other.lag)
	t.opened += other.opened
	t.revision = other.revision
}

// endless returns how many calls took longer than can be measured.
func (t *tally) endless() uint64 { return t.count[unsent] + t.count[timedOut] }

// due returns how many calls were due and not cut off by an interruption.
func (t *tally) due() uint64 {
	var n uint64
	for o := range outcomes {
		if o != cut {
			n += t.count[o]
		}
	}
	return n
}
