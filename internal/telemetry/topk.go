package telemetry

import (
	"slices"
	"sync"
	"time"
)

// Other is the label of all values that have none of their own.
const Other = "other"

const (
	topWindow  = time.Minute // after which counts of candidates are halved
	maxLabel   = 128         // bytes
	candidates = 4           // for each place
)

// TopK counts calls by a label that comes from outside, such as the tenant, with a
// bounded number of labels: those always shown, the k values with the most calls
// of late, and Other for the rest.
//
// Candidates are found with the Space-Saving sketch (Metwally, Agrawal and El
// Abbadi 2005) over counts that are halved every minute. A newcomer takes a place
// when it has twice the calls of the one that has least; the counts of that one
// are then part of Other. So every series only grows while it is shown, as
// counters must. It is safe for concurrent use.
type TopK struct {
	k   int
	now func() time.Time

	mu     sync.Mutex
	shown  map[string]*topEntry
	waits  map[string]*uint64 // candidates, by calls of late
	other  topEntry
	halved time.Time
}

// topEntry is what is known of one label.
type topEntry struct {
	calls, failed uint64 // since it is shown
	late          uint64 // calls of late
	always        bool
}

// NewTopK returns an empty count. always is shown from its first call on and
// besides the k.
func NewTopK(always []string, k int) *TopK {
	t := &TopK{k: k, now: time.Now, shown: map[string]*topEntry{}, waits: map[string]*uint64{}, halved: time.Now()}
	for _, v := range always {
		t.shown[v] = &topEntry{always: true}
	}
	return t
}

// Add counts a call. It costs a lock and a lookup, and for values that are rare a
// look at every candidate.
func (t *TopK) Add(value string, failed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.now(); now.Sub(t.halved) >= topWindow {
		t.halved = now
		t.halveLocked()
	}
	e := t.shown[value]
	if e == nil {
		if e = t.promoteLocked(value); e == nil {
			e = &t.other
		}
	}
	e.calls++
	e.late++
	if failed {
		e.failed++
	}
}

// promoteLocked counts a call of a value that is not shown and returns its entry
// if that has earned it a place.
func (t *TopK) promoteLocked(value string) *topEntry {
	if t.k == 0 || value == "" || len(value) > maxLabel || value == Other {
		return nil
	}
	n := t.candidateLocked(value)
	least, places := "", 0
	for v, e := range t.shown {
		if e.always {
			continue
		}
		if places++; least == "" || e.late < t.shown[least].late || e.late == t.shown[least].late && v < least {
			least = v
		}
	}
	if places >= t.k {
		out := t.shown[least]
		if *n < 2*out.late+2 {
			return nil
		}
		t.other.calls += out.calls
		t.other.failed += out.failed
		delete(t.shown, least)
	}
	e := &topEntry{late: *n - 1}
	delete(t.waits, value)
	t.shown[value] = e
	return e
}

// candidateLocked counts a call of a candidate; a new one takes over the count of
// the rarest when there is no room.
func (t *TopK) candidateLocked(value string) *uint64 {
	n := t.waits[value]
	if n == nil {
		n = new(uint64)
		if len(t.waits) >= candidates*t.k {
			rarest := ""
			for v, c := range t.waits {
				if rarest == "" || *c < *t.waits[rarest] || *c == *t.waits[rarest] && v < rarest {
					rarest = v
				}
			}
			*n = *t.waits[rarest]
			delete(t.waits, rarest)
		}
		t.waits[value] = n
	}
	*n++
	return n
}

func (t *TopK) halveLocked() {
	for _, e := range t.shown {
		e.late /= 2
	}
	for v, n := range t.waits {
		if *n /= 2; *n == 0 {
			delete(t.waits, v)
		}
	}
}

// Label returns the label that a value has now: itself, or Other.
func (t *TopK) Label(value string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shown[value] != nil {
		return value
	}
	return Other
}

// TopCount is one label of a TopK.
type TopCount struct {
	Label         string
	Calls, Failed uint64
}

// Counts returns every label, sorted, and Other last.
func (t *TopK) Counts() []TopCount {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]TopCount, 0, len(t.shown)+1)
	rest := TopCount{Other, t.other.calls, t.other.failed}
	for v, e := range t.shown {
		if v == Other { // somebody is called so
			rest.Calls, rest.Failed = rest.Calls+e.calls, rest.Failed+e.failed
			continue
		}
		out = append(out, TopCount{v, e.calls, e.failed})
	}
	slices.SortFunc(out, func(a, b TopCount) int {
		if a.Label < b.Label {
			return -1
		}
		return 1
	})
	return append(out, rest)
}
