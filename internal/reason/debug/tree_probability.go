package debug

import (
	"cmp"
	"slices"
)

// product returns the probability that all events of a set happen.
func product(c set, p []float64) float64 {
	x := 1.0
	for i := range p {
		if c.has(i) {
			x *= p[i]
		}
	}
	return x
}

// probabilities fills in what is known of the top event.
func (s *mocus) probabilities(p []float64, out *Cuts) {
	exact, ok := s.union(s.cuts, p)
	if ok && out.Complete {
		out.Probability = &exact
		s.importance(p, exact, out)
		return
	}
	lower, none := 0.0, 1.0
	for _, c := range s.cuts {
		x := product(c, p)
		lower, none = max(lower, x), none*(1-x)
	}
	if ok {
		lower = exact // the cuts that were found
	}
	out.Lower = &lower
	if out.Complete {
		out.Upper = new(1 - none)
	}
}

// importance fills in the measures of the events, as far as the budget goes.
func (s *mocus) importance(p []float64, top float64, out *Cuts) {
	for i, e := range s.events {
		q := slices.Clone(p)
		q[i] = 1
		with, ok := s.union(s.cuts, q)
		q[i] = 0
		without, ok2 := s.union(s.cuts, q)
		through, ok3 := s.union(slices.DeleteFunc(slices.Clone(s.cuts), func(c set) bool { return !c.has(i) }), p)
		if !ok || !ok2 || !ok3 {
			out.Importance = nil
			return
		}
		m := Importance{Event: e, Birnbaum: with - without}
		if top > 0 {
			m.FussellVesely = through / top
		}
		out.Importance = append(out.Importance, m)
	}
	slices.SortFunc(out.Importance, func(a, b Importance) int {
		return cmp.Or(cmp.Compare(b.Birnbaum, a.Birnbaum), natural(a.Event, b.Event))
	})
}

// union returns the probability that all events of at least one cut happen, by
// factoring on the event that is in most of them. ok is false when the budget ends.
func (s *mocus) union(cuts []set, p []float64) (x float64, ok bool) {
	if !s.meter.Step(int64(1 + len(cuts))) {
		return 0, false
	}
	switch len(cuts) {
	case 0:
		return 0, true
	case 1:
		return product(cuts[0], p), true
	}
	most, event := 0, -1
	for i := range p {
		n := 0
		for _, c := range cuts {
			if c.has(i) {
				n++
			}
		}
		if n > most {
			most, event = n, i
		}
	}
	if event < 0 { // an empty cut: nothing is needed
		return 1, true
	}
	var with, without []set
	for _, c := range cuts {
		if c.has(event) {
			c = slices.Clone(c)
			c[event/64] &^= 1 << (event % 64)
		} else {
			without = append(without, c)
		}
		with = append(with, c)
	}
	a, ok := s.union(minimal(with), p)
	if !ok {
		return 0, false
	}
	b, ok := s.union(without, p)
	return p[event]*a + (1-p[event])*b, ok
}

// minimal drops the sets that contain another one.
func minimal(sets []set) []set {
	slices.SortStableFunc(sets, func(a, b set) int { return cmp.Compare(a.len(), b.len()) })
	var out []set
	for _, c := range sets {
		if !slices.ContainsFunc(out, func(o set) bool { return o.within(c) }) {
			out = append(out, c)
		}
	}
	return out
}
