package got_test

import (
	"math"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/got"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

func arcsOf(pairs ...[2]int) (out []got.Arc) {
	for _, p := range pairs {
		out = append(out, got.Arc{From: p[0], To: p[1], Weight: 1})
	}
	return out
}

func TestBetweennessKnown(t *testing.T) {
	star := arcsOf([2]int{0, 1}, [2]int{1, 0}, [2]int{0, 2}, [2]int{2, 0}, [2]int{0, 3}, [2]int{3, 0}, [2]int{0, 4}, [2]int{4, 0})
	for name, c := range map[string]struct {
		n    int
		arcs []got.Arc
		want []float64
	}{
		"path":    {4, arcsOf([2]int{0, 1}, [2]int{1, 2}, [2]int{2, 3}), []float64{0, 2, 2, 0}},
		"diamond": {4, arcsOf([2]int{0, 1}, [2]int{0, 2}, [2]int{1, 3}, [2]int{2, 3}), []float64{0, .5, .5, 0}},
		"star":    {5, star, []float64{12, 0, 0, 0, 0}}, // (n-1)(n-2)
		"circle":  {4, arcsOf([2]int{0, 1}, [2]int{1, 2}, [2]int{2, 3}, [2]int{3, 0}), []float64{3, 3, 3, 3}},
		"doubled, looped and weightless": {4, append(arcsOf([2]int{0, 1}, [2]int{0, 1}, [2]int{1, 1}, [2]int{0, 2}, [2]int{1, 3}, [2]int{2, 3}),
			got.Arc{From: 0, To: 3}), []float64{0, .5, .5, 0}},
		"nothing": {0, nil, nil},
	} {
		b := must[got.Centrality](t)(got.Betweenness(meter(t), c.n, c.arcs))
		if !b.All || b.Sources != c.n || len(b.Values) != c.n {
			t.Errorf("%s: %+v", name, b)
		}
		for i, want := range c.want {
			if math.Abs(b.Values[i]-want) > 1e-12 {
				t.Errorf("%s: node %d has %v, want %v", name, i, b.Values[i], want)
			}
		}
	}
	if _, err := got.Betweenness(meter(t), 1, arcsOf([2]int{0, 1})); err == nil {
		t.Error("an arc to no node")
	}
}

// Small graphs are counted way by way.
func TestBetweennessAgainstAllWays(t *testing.T) {
	for s := range uint64(200) {
		rng := seed.Stream(s, 0)
		n := 1 + rng.IntN(7)
		var arcs []got.Arc
		next := make([][]bool, n)
		for i := range next {
			next[i] = make([]bool, n)
		}
		for range rng.IntN(3 * n) {
			a := got.Arc{From: rng.IntN(n), To: rng.IntN(n), Weight: float64(rng.IntN(4))}
			arcs = append(arcs, a)
			next[a.From][a.To] = next[a.From][a.To] || a.Weight > 0 && a.From != a.To
		}
		want := make([]float64, n)
		for from := range n {
			for to := range n {
				if from == to {
					continue
				}
				found := shortest(next, from, to)
				for _, way := range found {
					for _, at := range way[1 : len(way)-1] {
						want[at] += 1 / float64(len(found))
					}
				}
			}
		}
		b := must[got.Centrality](t)(got.Betweenness(meter(t), n, arcs))
		for i := range want {
			if math.Abs(b.Values[i]-want[i]) > 1e-9 {
				t.Errorf("seed %d: node %d has %v, want %v", s, i, b.Values[i], want[i])
			}
		}
	}
}

// shortest returns all shortest ways, by trying all simple ones.
func shortest(next [][]bool, from, to int) (found [][]int) {
	best := len(next) + 1
	used := make([]bool, len(next))
	var walk func(way []int)
	walk = func(way []int) {
		at := way[len(way)-1]
		switch {
		case len(way) > best:
		case at == to:
			if len(way) < best {
				best, found = len(way), nil
			}
			found = append(found, append([]int(nil), way...))
		default:
			used[at] = true
			for other, ok := range next[at] {
				if ok && !used[other] {
					walk(append(way, other))
				}
			}
			used[at] = false
		}
	}
	walk([]int{from})
	return found
}

// Four by four in 700 layers there are 4^699 ways, which no float64 holds: the
// nodes of the layer in the middle share what crosses it.
func TestBetweennessCountsManyWays(t *testing.T) {
	const wide, layers = 4, 700
	var arcs []got.Arc
	for l := range layers - 1 {
		for i := range wide {
			for j := range wide {
				arcs = append(arcs, got.Arc{From: wide*l + i, To: wide*(l+1) + j, Weight: 1})
			}
		}
	}
	b := must[got.Centrality](t)(got.Betweenness(meter(t), wide*layers, arcs))
	for _, l := range []int{1, layers / 2, layers - 2} {
		want := float64(wide*l*(layers-1-l)*wide) / wide
		if v := b.Values[wide*l]; math.Abs(v-want) > 1e-6*want {
			t.Errorf("layer %d: %v, want %v", l, v, want)
		}
	}
}

func TestBetweennessHasABudget(t *testing.T) {
	m := budget.New(t.Context(), budget.Limits{Steps: 20}, nil)
	b, err := got.Betweenness(m, 6, arcsOf([2]int{0, 1}, [2]int{1, 2}, [2]int{2, 3}, [2]int{3, 4}, [2]int{4, 5}))
	if err != nil || b.All || b.Sources < 1 || b.Sources > 3 || b.Values[1] != 4 || m.Hit() == "" {
		t.Errorf("%+v, %v, hit %q", b, err, m.Hit())
	}
}
