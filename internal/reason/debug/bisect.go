package debug

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
)

// Limits of ranges.
const (
	MaxRange  = 1 << 40 // numbered items
	MaxLabels = 20_000  // named ones
)

// Range is the ordered items one of which is the first bad one: either Labels, or
// N whole numbers from First on. The last one is known to be bad, and what comes
// before the first one to be good.
type Range struct {
	First  int      `json:"first,omitempty"`
	N      int      `json:"n"`
	Labels []string `json:"labels,omitempty"`
}

// Validate reports what is wrong with the range.
func (r *Range) Validate() error {
	if len(r.Labels) > 0 {
		if len(r.Labels) > MaxLabels || r.N != len(r.Labels) || r.First != 0 {
			return flaw("items", fmt.Sprintf("at most %d names, and no number of items besides", MaxLabels), "%d names", len(r.Labels))
		}
		_, err := named("items", r.Labels)
		return err
	}
	if r.N < 1 || r.N > MaxRange || r.First < -MaxRange || r.First > MaxRange {
		return flaw("items", fmt.Sprintf("1 to %d items from a number of at most %d on", MaxRange, MaxRange), "%d items from %d on", r.N, r.First)
	}
	return nil
}

// label names item i, from 1 to N.
func (r *Range) label(i int) string {
	if len(r.Labels) > 0 {
		return r.Labels[i-1]
	}
	return strconv.Itoa(r.First + i - 1)
}

// index finds the item of a name.
func (r *Range) index(label string) (int, error) {
	if len(r.Labels) > 0 {
		if i := slices.Index(r.Labels, label); i >= 0 {
			return i + 1, nil
		}
		return 0, flaw("test", "one of the items: "+list(r.Labels), "%.80q", label)
	}
	n, err := strconv.Atoi(label)
	if err != nil || n < r.First || n-r.First >= r.N {
		return 0, flaw("test", fmt.Sprintf("a whole number from %s to %s", r.label(1), r.label(r.N)), "%.80q", label)
	}
	return n - r.First + 1, nil
}

// names lists at most a few of the items lo to hi.
func (r *Range) names(lo, hi int) []string {
	const most = 100
	var out []string
	for i := lo; i <= hi && len(out) < most; i++ {
		out = append(out, r.label(i))
	}
	return out
}

// Told is the outcome of testing one item of a range.
type Told struct {
	Item    int     `json:"item"` // from 1
	Outcome Outcome `json:"outcome"`
}

// Bisect is a binary search for the first bad item. Without unresolved tests it
// takes at most ⌈log₂ n⌉ of them.
type Bisect struct {
	Range
	Log []Told `json:"log,omitempty"`
}

// bounds is what a log says: the first bad item is one of good+1 to bad.
type bounds struct {
	good, bad int
	skipped   map[int]bool
}

func (b *Bisect) bounds() (bounds, error) {
	s := bounds{bad: b.N, skipped: map[int]bool{}}
	for i, t := range b.Log {
		if err := s.tell(&b.Range, t); err != nil {
			return s, fmt.Errorf("log[%d]: %w", i, err)
		}
	}
	return s, nil
}

func (s *bounds) tell(r *Range, t Told) error {
	if err := checkOutcome(t.Outcome); err != nil {
		return err
	}
	switch {
	case t.Item < 1 || t.Item > r.N:
		return flaw("test", "an item of the range", "item %d of %d", t.Item, r.N)
	case t.Outcome == Unresolved && t.Item > s.good && t.Item < s.bad:
		s.skipped[t.Item] = true
	case t.Outcome == Pass && t.Item >= s.bad:
		return flaw("outcome", "fail: "+contradiction, "pass at %s, but %s is bad", r.label(t.Item), r.label(s.bad))
	case t.Outcome == Fail && t.Item <= s.good:
		return flaw("outcome", "pass: "+contradiction, "fail at %s, but %s is good", r.label(t.Item), r.label(s.good))
	case t.Outcome == Pass:
		s.good = max(s.good, t.Item)
	case t.Outcome == Fail:
		s.bad = min(s.bad, t.Item)
	}
	return nil
}

const contradiction = "once bad, all later ones are; if outcomes can be wrong, start again with errorRate"

// probe returns the item to test: the middle one, or the nearest to it that can be
// tested; 0 for none.
func (s *bounds) probe() int {
	mid := s.good + (s.bad-s.good)/2
	for d := 0; ; d++ {
		lo, hi := mid-d, mid+d
		if lo <= s.good && hi >= s.bad {
			return 0
		}
		if lo > s.good && !s.skipped[lo] {
			return lo
		}
		if hi < s.bad && !s.skipped[hi] {
			return hi
		}
	}
}

// Ask returns the test to make next, nil if there is none, and what is known.
func (b *Bisect) Ask() (*Query, Finding, error) {
	s, err := b.bounds()
	if err != nil {
		return nil, Finding{}, err
	}
	f := Finding{Candidates: s.bad - s.good, Told: len(b.Log)}
	probe := 0
	if f.Candidates > 1 {
		probe = s.probe()
	}
	if probe == 0 {
		f.Done, f.AtMost = true, new(0)
		f.Found = b.names(s.good+1, s.bad)
		f.Why = fmt.Sprintf("%s is the first bad one", b.label(s.bad))
		if f.Candidates > 1 {
			f.Why = fmt.Sprintf("the first bad one is among %d: those before the last of them cannot be tested", f.Candidates)
		}
		return nil, f, nil
	}
	f.Why = fmt.Sprintf("%s is bad", b.label(s.bad))
	if s.good > 0 {
		f.Why = fmt.Sprintf("%s is good, %s is bad", b.label(s.good), b.label(s.bad))
	}
	if len(s.skipped) == 0 {
		f.AtMost = new(bits.Len(uint(f.Candidates - 1)))
	}
	name := b.label(probe)
	return &Query{Test: name, Do: fmt.Sprintf("test %s: fail if it shows the fault, pass if it does not", name)}, f, nil
}

// Tell notes the outcome of testing the item of that name. It may be another one
// than was asked for. An outcome that cannot be true beside the others is refused.
func (b *Bisect) Tell(test string, o Outcome) error {
	if err := room(len(b.Log)); err != nil {
		return err
	}
	i, err := b.index(test)
	if err != nil {
		return err
	}
	s, err := b.bounds()
	if err != nil {
		return err
	}
	t := Told{i, o}
	if err := s.tell(&b.Range, t); err != nil {
		return err
	}
	b.Log = append(b.Log, t)
	return nil
}

// Validate reports whether Tell could have made the log.
func (b *Bisect) Validate() error {
	if err := b.Range.Validate(); err != nil {
		return err
	}
	if len(b.Log) > MaxTests {
		return flaw("log", fmt.Sprintf("at most %d outcomes", MaxTests), "%d", len(b.Log))
	}
	_, err := b.bounds()
	return err
}
