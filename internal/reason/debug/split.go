package debug

import (
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"
)

// MaxParts is how many components a system may have.
const MaxParts = 512

// Part is a component of a system. Testing the system behind it fails if the fault
// is in it or in anything that it depends on.
type Part struct {
	Name   string   `json:"name"`
	After  []string `json:"after,omitempty"` // what it depends on
	Weight float64  `json:"weight"`          // how likely the fault is there, beside the others
}

// Probed is the outcome of testing behind a component.
type Probed struct {
	Part    int     `json:"part"`
	Outcome Outcome `json:"outcome"`
}

// Split looks for the one faulty component of a system whose output is wrong: each
// test is made behind the component that has nearest to half of what is still
// suspected before it.
type Split struct {
	Parts []Part   `json:"parts"`
	Log   []Probed `json:"log,omitempty"`
}

// set is a set of small numbers.
type set []uint64

func newSet(n int) set       { return make(set, (n+63)/64) }
func (s set) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s set) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

func (s set) len() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

func (s set) union(t set) {
	for i := range s {
		s[i] |= t[i]
	}
}

// covered returns, for each component, the set of those that a test behind it
// sees: itself and all before it. It fails where they depend on each other in a
// circle.
func (s *Split) covered() ([]set, error) {
	names := make([]string, len(s.Parts))
	for i := range s.Parts {
		names[i] = s.Parts[i].Name
	}
	at, err := named("components", names)
	if err != nil {
		return nil, err
	}
	out := make([]set, len(s.Parts))
	open := make([]bool, len(s.Parts))
	var visit func(i int) error
	visit = func(i int) error {
		if out[i] != nil {
			return nil
		}
		if open[i] {
			return flaw(fmt.Sprintf("components[%d].after", i), "components that do not depend on each other in a circle", "%.80q depends on itself", names[i])
		}
		open[i] = true
		seen := newSet(len(s.Parts))
		seen.add(i)
		for _, name := range s.Parts[i].After {
			j, ok := at[name]
			if !ok {
				return flaw(fmt.Sprintf("components[%d].after", i), "names of components", "%.80q", name)
			}
			if err := visit(j); err != nil {
				return err
			}
			seen.union(out[j])
		}
		out[i] = seen
		return nil
	}
	for i := range s.Parts {
		if err := visit(i); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// suspects returns what may be faulty after the log, and which tests were
// unresolved.
func (s *Split) suspects(covered []set) (left set, skipped map[int]bool, err error) {
	left, skipped = newSet(len(s.Parts)), map[int]bool{}
	for i, p := range s.Parts {
		if p.Weight > 0 {
			left.add(i)
		}
	}
	for n, t := range s.Log {
		if err := checkOutcome(t.Outcome); err != nil {
			return nil, nil, fmt.Errorf("log[%d]: %w", n, err)
		}
		if t.Part < 0 || t.Part >= len(s.Parts) {
			return nil, nil, flaw("test", "one of the components", "component %d of %d", t.Part, len(s.Parts))
		}
		for i := range left {
			switch t.Outcome {
			case Fail:
				left[i] &= covered[t.Part][i]
			case Pass:
				left[i] &^= covered[t.Part][i]
			}
		}
		if t.Outcome == Unresolved {
			skipped[t.Part] = true
		}
		if left.len() == 0 {
			return nil, nil, flaw("outcome", "an outcome that one faulty component can have: there may be two, or the fault comes and goes", "%s behind %.80q leaves none", t.Outcome, s.Parts[t.Part].Name)
		}
	}
	return left, skipped, nil
}

// Ask returns the component to test behind, nil when no test parts the suspects.
func (s *Split) Ask() (*Query, Finding, error) {
	covered, err := s.covered()
	if err != nil {
		return nil, Finding{}, err
	}
	left, skipped, err := s.suspects(covered)
	if err != nil {
		return nil, Finding{}, err
	}
	total, before := 0.0, make([]float64, len(s.Parts))
	p := make([]float64, len(s.Parts))
	for i := range s.Parts {
		if left.has(i) {
			p[i] = s.Parts[i].Weight
			total += p[i]
		}
	}
	best, share := -1, 0.0
	for i := range s.Parts {
		p[i] /= total
		for j := range s.Parts {
			if left.has(j) && covered[i].has(j) {
				before[i] += s.Parts[j].Weight
			}
		}
		before[i] /= total
		parts := parts(left, covered[i])
		if parts && !skipped[i] && (best < 0 || math.Abs(before[i]-0.5) < math.Abs(share-0.5)-1e-12) {
			best, share = i, before[i]
		}
	}
	f := Finding{Candidates: left.len(), Told: len(s.Log), Ranking: ranking(p, func(i int) string { return s.Parts[i].Name })}
	if best < 0 {
		f.Done = true
		for i := range s.Parts {
			if left.has(i) {
				f.Found = append(f.Found, s.Parts[i].Name)
			}
		}
		f.Why = fmt.Sprintf("the fault is in %s", list(f.Found))
		if len(f.Found) > 1 {
			f.Why += ": no test that can be made parts them"
		}
		return nil, f, nil
	}
	name := s.Parts[best].Name
	f.Why = fmt.Sprintf("%d of %d components are suspected", f.Candidates, len(s.Parts))
	return &Query{Test: name, Do: fmt.Sprintf("test behind %s: fail if its output is wrong already, pass if it is right", name), Bits: new(entropy(share, 1-share))}, f, nil
}

// parts reports whether a test that sees one set has some of left on either side.
func parts(left, sees set) bool {
	in, out := false, false
	for i := range left {
		in = in || left[i]&sees[i] != 0
		out = out || left[i]&^sees[i] != 0
	}
	return in && out
}

// Tell notes the outcome of testing behind the component of that name. One that no
// single faulty component can have is refused.
func (s *Split) Tell(test string, o Outcome) error {
	if err := checkOutcome(o); err != nil {
		return err
	}
	if err := room(len(s.Log)); err != nil {
		return err
	}
	i := slices.IndexFunc(s.Parts, func(p Part) bool { return p.Name == test })
	if i < 0 {
		var names []string
		for _, p := range s.Parts {
			names = append(names, p.Name)
		}
		return flaw("test", "one of the components: "+list(names), "%.80q", test)
	}
	covered, err := s.covered()
	if err != nil {
		return err
	}
	log := s.Log
	s.Log = append(slices.Clip(s.Log), Probed{i, o})
	if _, _, err := s.suspects(covered); err != nil {
		s.Log = log
		return err
	}
	return nil
}

// Validate reports what is wrong with the system or the log.
func (s *Split) Validate() error {
	if len(s.Parts) < 1 || len(s.Parts) > MaxParts {
		return flaw("components", fmt.Sprintf("1 to %d components", MaxParts), "%d", len(s.Parts))
	}
	weights := make([]float64, len(s.Parts))
	for i, p := range s.Parts {
		weights[i] = p.Weight
		if len(p.After) > MaxParts {
			return flaw(fmt.Sprintf("components[%d].after", i), fmt.Sprintf("at most %d names", MaxParts), "%d", len(p.After))
		}
	}
	if err := checkWeights("components", weights, len(weights)); err != nil {
		return err
	}
	if len(s.Log) > MaxTests {
		return flaw("log", fmt.Sprintf("at most %d outcomes", MaxTests), "%d", len(s.Log))
	}
	covered, err := s.covered()
	if err != nil {
		return err
	}
	_, _, err = s.suspects(covered)
	return err
}

// sortedKeys returns the keys of m in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
