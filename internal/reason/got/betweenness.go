package got

import (
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"

	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// Centrality says through which thoughts the shortest ways lead.
type Centrality struct {
	// Values are the betweenness of each node: the sum, over all pairs of other
	// nodes, of the share of the shortest ways from one to the other that lead
	// through it. At most (n-1)(n-2).
	Values  []float64 `json:"values"`
	Sources int       `json:"sources"` // nodes whose ways are counted
	All     bool      `json:"all"`     // every node; else the values are lower bounds
}

// Betweenness returns the betweenness of n nodes (Freeman, 1977) by the
// accumulation of Brandes (2001). Ways follow the arcs in their direction and
// count them, whatever they weigh; arcs of weight 0, arcs from a node to itself and
// second arcs between the same two do not count. A step is an arc, or a node,
// for each source: in all about n(n+m).
//
// The budget can end it after some of the sources.
func Betweenness(meter *budget.Meter, n int, arcs []Arc) (Centrality, error) {
	out := make([][]int, n)
	seen := make(map[[2]int]bool, len(arcs))
	for i, a := range arcs {
		if a.From < 0 || a.From >= n || a.To < 0 || a.To >= n {
			return Centrality{}, problem.Bad("arcs", "nodes that exist", "arc %d", i)
		}
		if key := [2]int{a.From, a.To}; a.From != a.To && a.Weight > 0 && !seen[key] {
			seen[key] = true
			out[a.From] = append(out[a.From], a.To)
		}
	}
	c := Centrality{Values: make([]float64, n)}
	b := brandes{out: out, level: make([]int, n), ways: make([]ways, n), owed: make([]float64, n)}
	for s := range n {
		if !b.from(meter, s, c.Values) {
			return c, meter.Err()
		}
		c.Sources++
	}
	c.All = true
	return c, nil
}

// ways is how many shortest ways there are: count·2^(512·scale), with a count
// below 2^512. A graph of a few thousand arcs has more than a float64 can hold.
type ways struct {
	count float64
	scale int
}

const (
	ceiling = 0x1p512
	shrink  = 0x1p-512
)

// plus returns a sum.
func (a ways) plus(b ways) ways {
	if a.scale < b.scale {
		a, b = b, a
	}
	for ; b.scale < a.scale && b.count > 0; b.scale++ {
		b.count *= shrink
	}
	if a.count += b.count; a.count >= ceiling {
		a.count *= shrink
		a.scale++
	}
	return a
}

// over returns a/b, where a is at most b.
func (a ways) over(b ways) float64 {
	r := a.count / b.count
	for ; a.scale < b.scale && r > 0; a.scale++ {
		r *= shrink
	}
	return r
}

// brandes is the room that one source after the other works in.
type brandes struct {
	out   [][]int
	level []int // edges from the source
	ways  []ways
	owed  []float64 // the dependency of the source on each node
	order []int     // of the search
}

// from adds the dependencies of one source to values, or nothing when the budget
// ends.
func (b *brandes) from(meter *budget.Meter, source int, values []float64) bool {
	for i := range b.level {
		b.level[i], b.ways[i], b.owed[i] = -1, ways{}, 0
	}
	b.level[source], b.ways[source].count = 0, 1
	b.order = append(b.order[:0], source)
	if !meter.Step(int64(len(b.level))) {
		return false
	}
	for k := 0; k < len(b.order); k++ {
		at := b.order[k]
		if !meter.Step(int64(len(b.out[at]))) {
			return false
		}
		for _, to := range b.out[at] {
			if b.level[to] < 0 {
				b.level[to] = b.level[at] + 1
				b.order = append(b.order, to)
			}
			if b.level[to] == b.level[at]+1 {
				b.ways[to] = b.ways[to].plus(b.ways[at])
			}
		}
	}
	for k := len(b.order) - 1; k > 0; k-- {
		at := b.order[k]
		for _, to := range b.out[at] {
			if b.level[to] == b.level[at]+1 {
				b.owed[at] += float64(b.ways[at].over(b.ways[to]) * (1 + b.owed[to]))
			}
		}
		values[at] += b.owed[at]
	}
	return true
}
