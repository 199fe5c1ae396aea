package debug

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// Limits of fault trees.
const (
	MaxGates  = 500
	MaxEvents = 256
	MaxInputs = 64     // of one gate
	MaxRows   = 20_000 // that the expansion keeps
)

// Kinds of gates.
const (
	And  = "and"
	Or   = "or"
	Vote = "vote" // at least K of its inputs
)

// Gate is an inner node of a fault tree. Inputs that are no gates are basic events.
type Gate struct {
	Kind   string
	K      int
	Inputs []string
}

// FaultTree is what must come together for the top event. It has no NOT, so it is
// coherent.
type FaultTree struct {
	Top   string
	Gates map[string]Gate
	// Probabilities of the basic events, which are independent. Either all have one,
	// or none is computed of the top.
	Probabilities map[string]float64
}

// Cut is basic events that bring the top event about together, and of which none
// can be left out.
type Cut struct {
	Events      []string `json:"events"`
	Probability *float64 `json:"probability,omitempty"`
}

// Importance is how much an event matters for the top event.
type Importance struct {
	Event         string  `json:"event"`
	Birnbaum      float64 `json:"birnbaum"`      // P(top | it happens) − P(top | it does not)
	FussellVesely float64 `json:"fussellVesely"` // share of P(top) from cuts with it
}

// Cuts is the analysis of a fault tree.
type Cuts struct {
	Cuts     []Cut `json:"minimalCutSets"` // the smallest first
	Complete bool  `json:"complete"`       // false: a limit was met, and there may be others
	Events   int   `json:"basicEvents"`

	Probability *float64     `json:"topProbability,omitempty"` // exact
	Lower       *float64     `json:"topAtLeast,omitempty"`     // where it is not
	Upper       *float64     `json:"topAtMost,omitempty"`
	Importance  []Importance `json:"importance,omitempty"` // the greatest Birnbaum measure first
	Missing     []string     `json:"withoutProbability,omitempty"`
}

// mocus is the state of an analysis.
type mocus struct {
	tree   *FaultTree
	events []string
	at     map[string]int
	depth  map[string]int // of gates: 1 while open, 2 when done
	meter  *budget.Meter
	cuts   []set
	cut    bool // a limit was met
}

// Analyze finds the minimal cut sets by MOCUS: the top gate is expanded downwards,
// an AND adds its inputs to a row, an OR makes a row of each, and what contains
// another cut is dropped. The probability of the top event is exact, by factoring
// the cut sets, where the budget allows, else between bounds (Esary & Proschan
// 1963).
func (t *FaultTree) Analyze(m *budget.Meter) (Cuts, error) {
	s := &mocus{tree: t, at: map[string]int{}, depth: map[string]int{}, meter: m}
	if len(t.Gates) > MaxGates {
		return Cuts{}, flaw("gates", fmt.Sprintf("at most %d gates", MaxGates), "%d", len(t.Gates))
	}
	if _, ok := t.Gates[t.Top]; !ok {
		return Cuts{}, flaw("top", "the name of a gate: "+list(sortedKeys(t.Gates)), "%.80q", t.Top)
	}
	if err := s.visit(t.Top); err != nil {
		return Cuts{}, err
	}
	for _, name := range sortedKeys(t.Probabilities) {
		if _, ok := s.at[name]; !ok {
			return Cuts{}, flaw("probabilities."+name, "a basic event below the top: "+list(s.events), "%.80q", name)
		}
		if p := t.Probabilities[name]; !isProbability(p) {
			return Cuts{}, flaw("probabilities."+name, "a probability", "%g", p)
		}
	}
	s.expand()
	if err := m.Err(); err != nil {
		return Cuts{}, err
	}
	return s.report()
}

// visit checks a gate and what is below it, and collects the basic events.
func (s *mocus) visit(name string) error {
	g, gate := s.tree.Gates[name]
	if !gate {
		if _, known := s.at[name]; !known {
			if err := checkName("gates", name); err != nil {
				return err
			}
			if len(s.events) == MaxEvents {
				return flaw("gates", fmt.Sprintf("at most %d basic events", MaxEvents), "more")
			}
			s.at[name] = len(s.events)
			s.events = append(s.events, name)
		}
		return nil
	}
	path := "gates." + name
	switch s.depth[name] {
	case 1:
		return flaw(path, "gates that do not depend on each other in a circle", "%.80q is below itself", name)
	case 2:
		return nil
	}
	s.depth[name] = 1
	n := len(g.Inputs)
	switch {
	case n < 1 || n > MaxInputs:
		return flaw(path+".inputs", fmt.Sprintf("1 to %d inputs", MaxInputs), "%d", n)
	case g.Kind != And && g.Kind != Or && g.Kind != Vote:
		return flaw(path+".type", "and, or or vote", "%.40q", g.Kind)
	case g.Kind == Vote && (g.K < 1 || g.K > n):
		return flaw(path+".k", fmt.Sprintf("from 1 to its %d inputs", n), "%d", g.K)
	}
	if _, err := named(path+".inputs", g.Inputs); err != nil {
		return err
	}
	for _, in := range g.Inputs {
		if err := s.visit(in); err != nil {
			return err
		}
	}
	s.depth[name] = 2
	return nil
}

// row is a set of events, and gates that are still to be expanded.
type row struct {
	events set
	gates  []string
}

// expand runs MOCUS, the newest row first.
func (s *mocus) expand() {
	rows := []row{{newSet(len(s.events)), []string{s.tree.Top}}}
	for len(rows) > 0 {
		r := rows[len(rows)-1]
		rows = rows[:len(rows)-1]
		if !s.meter.Step(int64(1 + len(s.cuts)/8)) {
			s.cut = true
			return
		}
		if s.covered(r.events) {
			continue
		}
		if len(r.gates) == 0 {
			s.keep(r.events)
			continue
		}
		name := r.gates[len(r.gates)-1]
		r.gates = r.gates[:len(r.gates)-1]
		g := s.tree.Gates[name]
		k := g.K
		switch g.Kind {
		case And:
			k = len(g.Inputs)
		case Or:
			k = 1
		}
		choose(len(g.Inputs), k, func(picked []int) bool {
			if len(rows)+len(s.cuts) >= MaxRows {
				s.cut = true
				return false
			}
			next := row{slices.Clone(r.events), slices.Clone(r.gates)}
			for _, i := range picked {
				if at, event := s.at[g.Inputs[i]]; event {
					next.events.add(at)
				} else {
					next.gates = append(next.gates, g.Inputs[i])
				}
			}
			rows = append(rows, next)
			return s.meter.Step(1)
		})
		if s.cut {
			return
		}
	}
}

// choose calls f with each way to pick k of n, in lexical order, until it returns
// false.
func choose(n, k int, f func([]int) bool) {
	picked := make([]int, k)
	for i := range picked {
		picked[i] = i
	}
	for f(picked) {
		i := k - 1
		for i >= 0 && picked[i] == n-k+i {
			i--
		}
		if i < 0 {
			return
		}
		picked[i]++
		for j := i + 1; j < k; j++ {
			picked[j] = picked[j-1] + 1
		}
	}
}

// covered reports whether a cut set is within events.
func (s *mocus) covered(events set) bool {
	return slices.ContainsFunc(s.cuts, func(c set) bool { return c.within(events) })
}

func (s set) within(t set) bool {
	for i := range s {
		if s[i]&^t[i] != 0 {
			return false
		}
	}
	return true
}

// keep adds a cut set and drops those that contain it.
func (s *mocus) keep(events set) {
	s.cuts = slices.DeleteFunc(s.cuts, func(c set) bool { return events.within(c) })
	s.cuts = append(s.cuts, events)
}

func (s *mocus) report() (Cuts, error) {
	out := Cuts{Cuts: []Cut{}, Complete: !s.cut, Events: len(s.events)}
	slices.SortFunc(s.cuts, func(a, b set) int {
		return cmp.Or(cmp.Compare(a.len(), b.len()), slices.CompareFunc(s.names(a), s.names(b), natural))
	})
	for _, e := range s.events {
		if _, ok := s.tree.Probabilities[e]; !ok {
			out.Missing = append(out.Missing, e)
		}
	}
	slices.SortFunc(out.Missing, natural)
	p := make([]float64, len(s.events))
	for i, e := range s.events {
		p[i] = s.tree.Probabilities[e]
	}
	for _, c := range s.cuts {
		cut := Cut{Events: s.names(c)}
		if len(out.Missing) == 0 {
			cut.Probability = new(product(c, p))
		}
		out.Cuts = append(out.Cuts, cut)
	}
	if len(out.Missing) == 0 {
		s.probabilities(p, &out)
	} else if len(out.Missing) == len(s.events) {
		out.Missing = nil // nobody asked
	}
	return out, s.meter.Err()
}

func (s *mocus) names(c set) []string {
	var out []string
	for i, e := range s.events {
		if c.has(i) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, natural)
	return out
}
