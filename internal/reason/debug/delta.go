package debug

import (
	"fmt"
	"slices"
	"strings"
)

// MaxElements is how many parts a failing input may have.
const MaxElements = 1024

// Delta makes a failing input minimal by ddmin: it asks for subsets and their
// complements, halving or doubling the parts as outcomes say. All elements together
// fail, which the client knows before. What it finds is 1-minimal: without any
// single element of it the test does not fail any more. It takes at most about
// n² + 3n tests, and about 2·log₂ n if one element alone is the cause.
type Delta struct {
	Elements []string `json:"elements"`
	Log      string   `json:"log,omitempty"` // one letter for each outcome, in the order they were asked for
}

// ddmin is the state of the algorithm: it tests the parts of set, then their
// complements.
type ddmin struct {
	set         []int
	sums        []mark // [i]: of the first i members of set
	n           int    // parts
	at          int    // the part that is next
	complements bool   // the parts themselves are done
	last        bool   // a single element is left: whether nothing at all fails is asked
	done        bool
	probe       mark             // names the set that is asked for
	seen        map[mark]Outcome // of the sets so far
}

// mark names a set: the sum of 128 well mixed bits of each member. So those of the
// parts of a set and of what remains without them cost a subtraction, and playing
// a log again costs no pass over the elements for each test.
type mark [2]uint64

func (m mark) String() string { return fmt.Sprintf("%016x%016x", m[0], m[1]) }

func (m mark) plus(o mark) mark  { return mark{m[0] + o[0], m[1] + o[1]} }
func (m mark) minus(o mark) mark { return mark{m[0] - o[0], m[1] - o[1]} }

// markOf mixes by the finisher of SplitMix64 (Steele, Lea and Flood, 2014).
func markOf(element int) mark {
	mix := func(z uint64) uint64 {
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
	const golden = 0x9e3779b97f4a7c15
	z := uint64(2*element+1) * golden
	return mark{mix(z), mix(z + golden)}
}

func (d *Delta) replay() (*ddmin, error) {
	s := &ddmin{seen: map[mark]Outcome{}}
	all := make([]int, len(d.Elements))
	for i := range all {
		all[i] = i
	}
	s.reduce(all, 2)
	s.advance()
	for i := range len(d.Log) {
		o, ok := outcomes[d.Log[i]]
		if !ok || s.done {
			return nil, flaw("log", "one of the letters p, f and u for each test that was asked for", "letter %d is %q", i+1, d.Log[i])
		}
		s.seen[s.probe] = o
		s.step(o)
		s.advance()
	}
	return s, nil
}

var outcomes = map[byte]Outcome{'p': Pass, 'f': Fail, 'u': Unresolved}

// reduce goes on with a set, in n parts.
func (s *ddmin) reduce(set []int, n int) {
	s.set, s.n, s.at, s.complements = set, n, 0, false
	s.sums = make([]mark, len(set)+1)
	for i, e := range set {
		s.sums[i+1] = s.sums[i].plus(markOf(e))
	}
}

// advance moves on until the outcome of a set is needed that the log does not have.
func (s *ddmin) advance() {
	for !s.done {
		s.probe = s.next()
		o, known := s.seen[s.probe]
		if !known {
			return
		}
		s.step(o)
	}
}

// next names the set whose outcome is needed.
func (s *ddmin) next() mark {
	if len(s.set) == 1 {
		s.last = true
		return mark{}
	}
	lo, hi := s.part()
	m := s.sums[hi].minus(s.sums[lo])
	if s.complements {
		m = s.sums[len(s.set)].minus(m)
	}
	return m
}

// part returns the bounds of the part that is next.
func (s *ddmin) part() (lo, hi int) {
	return s.at * len(s.set) / s.n, (s.at + 1) * len(s.set) / s.n
}

// asked returns the set that probe names.
func (s *ddmin) asked() []int {
	if s.last {
		return nil
	}
	lo, hi := s.part()
	if !s.complements {
		return s.set[lo:hi]
	}
	return append(slices.Clone(s.set[:lo]), s.set[hi:]...)
}

// step is one step of ddmin, with the outcome of probe.
func (s *ddmin) step(o Outcome) {
	switch {
	case s.last:
		s.done = true
		if o == Fail {
			s.set = nil
		}
	case o == Fail && s.complements:
		s.reduce(s.asked(), max(s.n-1, 2))
	case o == Fail:
		s.reduce(s.asked(), 2)
	case s.at+1 < s.n:
		s.at++
	case !s.complements:
		s.at, s.complements = 0, true
	case s.n < len(s.set):
		s.n = min(2*s.n, len(s.set))
		s.at, s.complements = 0, false
	default:
		s.done = true
	}
}

// names returns the elements of a set.
func (d *Delta) names(set []int) []string {
	out := make([]string, len(set))
	for i, e := range set {
		out[i] = d.Elements[e]
	}
	return out
}

// Ask returns the set to test next, nil when the rest is minimal, and what is left.
func (d *Delta) Ask() (*Query, Finding, error) {
	s, err := d.replay()
	if err != nil {
		return nil, Finding{}, err
	}
	f := Finding{Done: s.done, Candidates: len(s.set), Told: len(d.Log)}
	if s.done {
		f.Found = d.names(s.set)
		f.Why = fmt.Sprintf("these %d of %d elements are 1-minimal: without any one of them the test did not fail", len(s.set), len(d.Elements))
		if len(s.set) == 0 {
			f.Why = "it fails with no element at all: none of them is the cause"
		}
		return nil, f, nil
	}
	f.Why = fmt.Sprintf("%d of %d elements are left, in %d parts", len(s.set), len(d.Elements), s.n)
	asked := s.asked()
	q := &Query{Test: s.probe.String(), Set: d.names(asked)}
	q.Do = fmt.Sprintf("test with only these %d elements: fail if it shows the same fault, pass if it works, unresolved otherwise", len(asked))
	if len(asked) == 0 {
		q.Set = []string{}
		q.Do = "test with no element at all: it should pass"
	}
	return q, f, nil
}

// Tell notes the outcome of the set that Ask named; "" means that one. Telling
// again what a set came to changes nothing.
func (d *Delta) Tell(test string, o Outcome) error {
	if err := checkOutcome(o); err != nil {
		return err
	}
	if err := room(len(d.Log)); err != nil {
		return err
	}
	s, err := d.replay()
	if err != nil {
		return err
	}
	var m mark
	if _, err := fmt.Sscanf(test, "%016x%016x", &m[0], &m[1]); err == nil && m.String() == test {
		if old, told := s.seen[m]; told && old == o {
			return nil
		} else if told {
			return flaw("outcome", fmt.Sprintf("%s, as this set came to before; one that varies is unresolved", old), "%s", o)
		}
	}
	if s.done || test != "" && test != s.probe.String() {
		return flaw("test", "the test that action ask names", "%.40q", test)
	}
	d.Log += string(o[0])
	return nil
}

// Validate reports whether Tell could have made the log.
func (d *Delta) Validate() error {
	if len(d.Elements) < 1 || len(d.Elements) > MaxElements {
		return flaw("elements", fmt.Sprintf("1 to %d elements", MaxElements), "%d", len(d.Elements))
	}
	for i, e := range d.Elements {
		if len(e) > MaxName || strings.ToValidUTF8(e, "") != e {
			return flaw(fmt.Sprintf("elements[%d]", i), fmt.Sprintf("at most %d bytes in UTF-8", MaxName), "%d bytes", len(e))
		}
	}
	if len(d.Log) > MaxTests {
		return flaw("log", fmt.Sprintf("at most %d outcomes", MaxTests), "%d", len(d.Log))
	}
	_, err := d.replay()
	return err
}
