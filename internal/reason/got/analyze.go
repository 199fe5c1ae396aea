package got

import (
	"cmp"
	"container/heap"
	"math"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// Volume returns the number of thoughts that could have contributed to one: its
// ancestors along acyclic relations (Besta et al., 2023).
func (g *Graph) Volume(at int) int {
	in := g.lists(Relation.Acyclic, true)
	seen := map[int]bool{at: true}
	queue := []int{at}
	for k := 0; k < len(queue); k++ {
		for _, e := range in[queue[k]] {
			if from := g.Edges[e].From; !seen[from] {
				seen[from] = true
				queue = append(queue, from)
			}
		}
	}
	return len(queue) - 1
}

// Latency returns, for each thought, the number of edges of the longest path
// along acyclic relations that ends there.
func (g *Graph) Latency() []int {
	out := g.lists(Relation.Acyclic, false)
	waits := make([]int, len(g.Thoughts))
	for _, e := range g.Edges {
		if e.Relation.Acyclic() {
			waits[e.To]++
		}
	}
	longest := make([]int, len(g.Thoughts))
	var ready []int
	for i, w := range waits {
		if w == 0 {
			ready = append(ready, i)
		}
	}
	for k := 0; k < len(ready); k++ {
		for _, e := range out[ready[k]] {
			to := g.Edges[e].To
			longest[to] = max(longest[to], longest[ready[k]]+1)
			if waits[to]--; waits[to] == 0 {
				ready = append(ready, to)
			}
		}
	}
	return longest
}

// Contradiction is a contradicts edge, with what speaks for its two sides.
type Contradiction struct {
	From     int     `json:"from"`
	To       int     `json:"to"`
	Weight   float64 `json:"weight"`
	ForFrom  []int   `json:"forFrom"` // thoughts that support it directly
	ForTo    []int   `json:"forTo"`
	Conflict bool    `json:"conflict"` // both sides are supported: one support must be wrong
}

// Contradictions returns the contradicts edges, in their order.
func (g *Graph) Contradictions() []Contradiction {
	in := g.lists(backs, true)
	support := func(at int) []int {
		out := []int{}
		for _, e := range in[at] {
			if g.Edges[e].Weight > 0 {
				out = append(out, g.Edges[e].From)
			}
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	out := []Contradiction{}
	for _, e := range g.Edges {
		if e.Relation == Contradicts {
			c := Contradiction{From: e.From, To: e.To, Weight: e.Weight, ForFrom: support(e.From), ForTo: support(e.To)}
			c.Conflict = len(c.ForFrom) > 0 && len(c.ForTo) > 0
			out = append(out, c)
		}
	}
	return out
}

// backs reports whether an edge's beginning speaks for its end.
func backs(r Relation) bool { return r == Supports || r == Derives || r == LeadsTo }

// Measure is how the strength of a path follows from that of its edges.
type Measure string

// The measures.
const (
	MaxProduct Measure = "product" // as of independent steps, each of which must hold
	Widest     Measure = "widest"  // the weakest edge
)

// Path is a path and its strength.
type Path struct {
	Thoughts []int   `json:"thoughts"`
	Strength float64 `json:"strength"` // 0 to 1
}

// Strongest returns the path of support from one thought to another that has the
// highest strength, by Dijkstra's algorithm: along supports, derives and
// leads-to edges of weight above 0. It reports false if there is none. A step is
// an edge.
func (g *Graph) Strongest(meter *budget.Meter, from, to int, by Measure) (Path, bool, error) {
	n := len(g.Thoughts)
	if from < 0 || from >= n || to < 0 || to >= n {
		return Path{}, false, problem.Bad("from", "two thoughts of the graph", "%d and %d", from, to)
	}
	if by != MaxProduct && by != Widest {
		return Path{}, false, problem.Bad("measure", "product or widest", "%.32q", string(by))
	}
	out := g.lists(backs, false)
	best := make([]float64, n)
	before := make([]int, n)
	done := make([]bool, n)
	for i := range before {
		before[i] = -1
	}
	best[from] = 1
	q := &front{{from, 1}}
	for q.Len() > 0 {
		at := heap.Pop(q).(reached).at
		if done[at] {
			continue
		}
		if done[at] = true; at == to {
			break
		}
		for _, i := range out[at] {
			if !meter.Step(1) {
				return Path{}, false, meter.Err()
			}
			e := g.Edges[i]
			s := best[at] * e.Weight
			if by == Widest {
				s = min(best[at], e.Weight)
			}
			if s > best[e.To] && !done[e.To] {
				best[e.To], before[e.To] = s, at
				heap.Push(q, reached{e.To, s})
			}
		}
	}
	if !done[to] {
		return Path{}, false, nil
	}
	p := Path{Strength: best[to]}
	for at := to; at >= 0; at = before[at] {
		p.Thoughts = append(p.Thoughts, at)
	}
	slices.Reverse(p.Thoughts)
	return p, true, nil
}

type reached struct {
	at       int
	strength float64
}

// front is a heap of reached thoughts, strongest first.
type front []reached

func (f front) Len() int { return len(f) }
func (f front) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(f[j].strength, f[i].strength), f[i].at-f[j].at) < 0
}
func (f front) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *front) Push(v any)   { *f = append(*f, v.(reached)) }
func (f *front) Pop() any {
	last := len(*f) - 1
	v := (*f)[last]
	*f = (*f)[:last]
	return v
}

// Rank is the result of PageRank.
type Rank struct {
	Ranks      []float64 `json:"ranks"` // of each node; the sum is 1
	Iterations int       `json:"iterations"`
	Change     float64   `json:"change"` // sum of the changes of the last iteration
	Converged  bool      `json:"converged"`
}

// Arc is a weighted edge of PageRank.
type Arc struct {
	From, To int
	Weight   float64 // at least 0
}

// PageRank returns the share of time that a walker spends at each of n nodes,
// who follows an arc in proportion to its weight with probability damping, 0 to
// below 1, and jumps anywhere otherwise, as from a node without a way out (Brin
// and Page, 1998). It ends when the sum of the changes is at most tolerance, or
// after most iterations. A step is an arc, or a node.
func PageRank(meter *budget.Meter, n int, arcs []Arc, damping, tolerance float64, most int) (Rank, error) {
	switch {
	case !(damping >= 0 && damping < 1):
		return Rank{}, problem.Bad("damping", "at least 0 and below 1", "%v", damping)
	case !(tolerance >= 0 && tolerance <= 1):
		return Rank{}, problem.Bad("tolerance", "0 to 1", "%v", tolerance)
	case most < 1 || most > 100_000:
		return Rank{}, problem.Bad("iterations", "1 to 100000", "%d", most)
	}
	out := make([]float64, n)
	for i, a := range arcs {
		if a.From < 0 || a.From >= n || a.To < 0 || a.To >= n || !(a.Weight >= 0 && a.Weight <= MaxScore) {
			return Rank{}, problem.Bad("arcs", "nodes that exist and a weight of at least 0", "arc %d", i)
		}
		out[a.From] += a.Weight
	}
	r := Rank{Ranks: make([]float64, n), Change: 1}
	if n == 0 {
		r.Change, r.Converged = 0, true
		return r, nil
	}
	for i := range r.Ranks {
		r.Ranks[i] = 1 / float64(n)
	}
	next := make([]float64, n)
	for r.Iterations < most && !r.Converged {
		if !r.iterate(meter, next, arcs, out, damping) {
			break
		}
		r.Ranks, next = next, r.Ranks
		r.Iterations++
		r.Converged = r.Change <= tolerance
	}
	return r, meter.Err()
}

func (r *Rank) iterate(meter *budget.Meter, next []float64, arcs []Arc, out []float64, damping float64) bool {
	var lost, sum float64
	for i, v := range r.Ranks {
		if out[i] == 0 {
			lost += v
		}
	}
	for i := range next {
		next[i] = (1 - damping + float64(damping*lost)) / float64(len(next))
	}
	if !meter.Step(int64(len(next))) {
		return false
	}
	for _, a := range arcs {
		if !meter.Step(1) {
			return false
		}
		if a.Weight > 0 {
			next[a.To] += float64(damping * float64(r.Ranks[a.From]*(a.Weight/out[a.From])))
		}
	}
	for _, v := range next {
		sum += v
	}
	r.Change = 0
	for i := range next {
		next[i] /= sum
		r.Change += math.Abs(next[i] - r.Ranks[i])
	}
	return true
}

// Arcs returns the edges that PageRank follows: all but contradictions, each as
// its weight.
func (g *Graph) Arcs() []Arc {
	out := []Arc{}
	for _, e := range g.Edges {
		if e.Relation != Contradicts {
			out = append(out, Arc{e.From, e.To, e.Weight})
		}
	}
	return out
}
