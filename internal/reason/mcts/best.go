package mcts

import (
	"math"

	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// Answer is what a Tree says at the moment.
type Answer struct {
	Criterion Criterion `json:"criterion"`
	Path      []Rated   `json:"path"`              // from the best child of the root down
	Children  []Rated   `json:"children"`          // of the root
	Entropy   *float64  `json:"entropy,omitempty"` // of their visits in bits; nil without visits
	Visits    int64     `json:"visits"`            // of the root
	Value     *float64  `json:"value,omitempty"`   // mean of the root
	Nodes     int       `json:"treeNodes"`
	Open      int       `json:"openTickets"`
	Tells     int64     `json:"tells"`
	Revisits  int64     `json:"revisits,omitempty"`
}

// Rated is a node with what is known about its value.
type Rated struct {
	Node     int       `json:"node"`
	Content  string    `json:"content"`
	Visits   int64     `json:"visits"`
	Value    *float64  `json:"value,omitempty"` // mean; nil if it was never visited
	Interval *Interval `json:"interval,omitempty"`
	Prior    float64   `json:"prior"` // share among its siblings
	Terminal bool      `json:"terminal,omitempty"`
}

// Best picks at every level the child that the criterion prefers, as far as
// there are visits; an earlier child wins a tie. Intervals are computed by the
// given method; LCB ranks by their lower ends, and a child without one last.
func (t *Tree) Best(c Criterion, method IntervalMethod) (Answer, error) {
	if err := c.check(); err != nil {
		return Answer{}, err
	}
	if method != Hoeffding && method != Normal {
		return Answer{}, problem.Bad("interval", "hoeffding or normal", "%.32q", string(method))
	}
	root := &t.Nodes[0]
	a := Answer{
		Criterion: c, Path: []Rated{}, Children: []Rated{}, Entropy: t.entropy(root), Visits: root.Visits,
		Nodes: len(t.Nodes), Open: len(t.Open), Tells: t.Tells, Revisits: t.Revisits,
	}
	if root.Visits > 0 {
		a.Value = new(root.Mean)
	}
	priors := t.priors(root)
	for _, i := range root.Children {
		a.Children = append(a.Children, t.rated(i, priors, method))
	}
	for at := 0; ; {
		best, next := math.Inf(-1), -1
		var step Rated
		priors = t.priors(&t.Nodes[at])
		for _, i := range t.Nodes[at].Children {
			r := t.rated(i, priors, method)
			if r.Visits == 0 {
				continue
			}
			if rank := r.rank(c); next < 0 || rank > best || rank == best && *r.Value > *step.Value {
				best, next, step = rank, i, r
			}
		}
		if next < 0 {
			return a, nil
		}
		a.Path = append(a.Path, step)
		at = next
	}
}

func (r *Rated) rank(c Criterion) float64 {
	switch {
	case c == ByVisits:
		return float64(r.Visits)
	case c == ByValue:
		return *r.Value
	case r.Interval == nil:
		return math.Inf(-1)
	}
	return r.Interval.Low
}

// rated describes a node; priors are those of its parent.
func (t *Tree) rated(at int, priors float64, method IntervalMethod) Rated {
	n := &t.Nodes[at]
	r := Rated{Node: at, Content: n.Content, Visits: n.Visits, Terminal: n.Terminal, Prior: n.share(&t.Nodes[n.Parent], priors)}
	if n.Visits == 0 {
		return r
	}
	r.Value = new(n.Mean)
	if method == Normal {
		r.Interval = n.sample().normal()
		return r
	}
	low, high := t.Settings.Low, t.Settings.High
	if t.Settings.Discount < 1 { // discounting moves values towards 0
		low, high = min(low, 0), max(high, 0)
	}
	r.Interval = n.sample().hoeffding(low, high)
	return r
}

// entropy is how undecided the visits of a node's children are.
func (t *Tree) entropy(n *Node) *float64 {
	visits := make([]int64, len(n.Children))
	for k, i := range n.Children {
		visits[k] = t.Nodes[i].Visits
	}
	return entropy(visits)
}

// entropy is 0 if all visits are of one child, log₂ k if they are spread evenly
// over k, and nil if there are none.
func entropy(visits []int64) *float64 {
	var total float64
	for _, n := range visits {
		total += float64(n)
	}
	if total == 0 {
		return nil
	}
	h := 0.0
	for _, n := range visits {
		if p := float64(n) / total; p > 0 {
			h -= p * math.Log2(p)
		}
	}
	return new(max(h, 0))
}
