package got_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/got"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

func TestPageRankKnown(t *testing.T) {
	arcs := []got.Arc{{From: 0, To: 1, Weight: 1}, {From: 1, To: 2, Weight: 1}, {From: 2, To: 0, Weight: 1}, {From: 0, To: 2, Weight: 1}}
	r := must[got.Rank](t)(got.PageRank(meter(t), 3, arcs, .85, 1e-14, 1000))
	for i, want := range []float64{.3878, .2148, .3974} {
		if math.Abs(r.Ranks[i]-want) > 5e-5 {
			t.Errorf("rank %d is %v, want %v", i, r.Ranks[i], want)
		}
	}
}

// The fixed point of small graphs, dangling nodes among them, is solved in
// rationals.
func TestPageRankExact(t *testing.T) {
	for s := range uint64(30) {
		rng := seed.Stream(s, 0)
		n := 2 + rng.IntN(5)
		var arcs []got.Arc
		for range rng.IntN(2 * n) {
			arcs = append(arcs, got.Arc{From: rng.IntN(n), To: rng.IntN(n), Weight: float64(1 + rng.IntN(4))})
		}
		r := must[got.Rank](t)(got.PageRank(meter(t), n, arcs, .75, 1e-15, 10_000))
		want := fixedPoint(n, arcs, big.NewRat(3, 4))
		var sum float64
		for i := range n {
			w, _ := want[i].Float64()
			sum += r.Ranks[i]
			if math.Abs(r.Ranks[i]-w) > 1e-12 {
				t.Errorf("seed %d: rank %d is %v, want %v", s, i, r.Ranks[i], w)
			}
		}
		if math.Abs(sum-1) > 1e-12 {
			t.Errorf("seed %d: the sum is %v", s, sum)
		}
	}
}

// fixedPoint solves x = d·Pᵀx + (1-d)/n by elimination.
func fixedPoint(n int, arcs []got.Arc, d *big.Rat) []*big.Rat {
	out := make([]int64, n)
	for _, a := range arcs {
		out[a.From] += int64(a.Weight)
	}
	m := make([][]*big.Rat, n)
	for i := range m {
		m[i] = make([]*big.Rat, n+1)
		for j := range m[i] {
			m[i][j] = new(big.Rat)
		}
		m[i][i].SetInt64(1)
		m[i][n].Mul(new(big.Rat).Sub(big.NewRat(1, 1), d), big.NewRat(1, int64(n)))
	}
	take := func(to, from int, share *big.Rat) { m[to][from].Sub(m[to][from], new(big.Rat).Mul(d, share)) }
	for _, a := range arcs {
		take(a.To, a.From, big.NewRat(int64(a.Weight), out[a.From]))
	}
	for j := range n {
		for i := 0; out[j] == 0 && i < n; i++ {
			take(i, j, big.NewRat(1, int64(n)))
		}
	}
	for c := range n {
		p := c
		for m[p][c].Sign() == 0 {
			p++
		}
		m[c], m[p] = m[p], m[c]
		for i := range n {
			if i == c {
				continue
			}
			f := new(big.Rat).Quo(m[i][c], m[c][c])
			for j := c; j <= n; j++ {
				m[i][j].Sub(m[i][j], new(big.Rat).Mul(f, m[c][j]))
			}
		}
	}
	x := make([]*big.Rat, n)
	for i := range n {
		x[i] = new(big.Rat).Quo(m[i][n], m[i][i])
	}
	return x
}

// random returns a graph of supports with some contradictions.
func random(t *testing.T, rng *rand.Rand, n, edges int) *got.Graph {
	var roots []string
	for i := range n {
		roots = append(roots, fmt.Sprint("t", i))
	}
	g := must[*got.Graph](t)(got.New(roots, nil, ""))
	for range edges {
		e := got.Edge{From: rng.IntN(n), To: rng.IntN(n), Relation: got.Supports, Weight: float64(rng.IntN(11)) / 10}
		if e.From != e.To {
			if err := g.Connect(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	return g
}

func TestStrongestPathAgainstAllPaths(t *testing.T) {
	for s := range uint64(60) {
		rng := seed.Stream(s, 0)
		n := 2 + rng.IntN(6)
		g := random(t, rng, n, 3*n)
		for _, by := range []got.Measure{got.MaxProduct, got.Widest} {
			best := 0.0
			var walk func(at int, seen []bool, strength float64)
			walk = func(at int, seen []bool, strength float64) {
				if at == n-1 {
					best = max(best, strength)
					return
				}
				seen[at] = true
				for _, e := range g.Edges {
					if e.From == at && !seen[e.To] {
						if by == got.Widest {
							walk(e.To, seen, min(strength, e.Weight))
						} else {
							walk(e.To, seen, strength*e.Weight)
						}
					}
				}
				seen[at] = false
			}
			walk(0, make([]bool, n), 1)
			p, ok, err := g.Strongest(meter(t), 0, n-1, by)
			if err != nil || ok != (best > 0) || math.Abs(p.Strength-best) > 1e-12 {
				t.Errorf("seed %d, %s: %v %t %v, want %v", s, by, p, ok, err, best)
			}
		}
	}
}

// Components, circles and articulation against their definitions.
func TestConnectivityAgainstDefinitions(t *testing.T) {
	for s := range uint64(80) {
		rng := seed.Stream(s, 0)
		n := 2 + rng.IntN(8)
		g := random(t, rng, n, n)
		reach := func(without int, both bool) [][]bool {
			r := make([][]bool, n)
			for i := range r {
				r[i] = make([]bool, n)
				r[i][i] = i != without
			}
			for _, e := range g.Edges {
				if e.From != without && e.To != without {
					r[e.From][e.To] = true
					r[e.To][e.From] = r[e.To][e.From] || both
				}
			}
			for k := range n {
				for i := range n {
					for j := range n {
						r[i][j] = r[i][j] || r[i][k] && r[k][j]
					}
				}
			}
			return r
		}
		groups := func(r [][]bool) (count int, sets [][]int) {
			seen := make([]bool, n)
			for i := range n {
				if seen[i] || !r[i][i] {
					continue
				}
				var set []int
				for j := range n {
					if r[i][j] && r[j][i] {
						seen[j] = true
						set = append(set, j)
					}
				}
				sets = append(sets, set)
			}
			return len(sets), sets
		}
		whole, _ := groups(reach(-1, true))
		if got := len(g.Components()); got != whole {
			t.Errorf("seed %d: %d components, want %d", s, got, whole)
		}
		_, sets := groups(reach(-1, false))
		sets = slices.DeleteFunc(sets, func(s []int) bool { return len(s) < 2 })
		if got := g.Circles(); fmt.Sprint(got) != fmt.Sprint(sets) {
			t.Errorf("seed %d: circles %v, want %v", s, got, sets)
		}
		cut := []int{}
		for i := range n {
			if parts, _ := groups(reach(i, true)); parts > whole {
				cut = append(cut, i)
			}
		}
		if got := g.Articulation(); !slices.Equal(got, cut) {
			t.Errorf("seed %d: articulation %v, want %v", s, got, cut)
		}
	}
}

func TestContradictions(t *testing.T) {
	g := must[*got.Graph](t)(got.New([]string{"a", "b", "for a", "for b"}, nil, ""))
	for _, e := range []got.Edge{{From: 0, To: 1, Relation: got.Contradicts, Weight: 1}, {From: 2, To: 0, Relation: got.Supports, Weight: .5}} {
		if err := g.Connect(e); err != nil {
			t.Fatal(err)
		}
	}
	if c := g.Contradictions(); len(c) != 1 || c[0].Conflict || !slices.Equal(c[0].ForFrom, []int{2}) {
		t.Errorf("%+v", c)
	}
	if err := g.Connect(got.Edge{From: 3, To: 1, Relation: got.Derives, Weight: .5}); err != nil {
		t.Fatal(err)
	}
	if c := g.Contradictions(); !c[0].Conflict {
		t.Errorf("%+v", c)
	}
}

func BenchmarkPageRank(b *testing.B) {
	rng := seed.Stream(1, 0)
	var arcs []got.Arc
	for range 20_000 {
		arcs = append(arcs, got.Arc{From: rng.IntN(5000), To: rng.IntN(5000), Weight: 1})
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = must[got.Rank](b)(got.PageRank(meter(b), 5000, arcs, .85, 1e-9, 200))
	}
}
