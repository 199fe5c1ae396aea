package mcts_test

import (
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget/budgettest"
	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

// bernoulli is a tree of 8 actions and depth 6 whose leaves pay 1 with a
// probability that a hash of the path gives: a model that costs next to
// nothing, so that what is measured is the search.
type bernoulli struct{}

const (
	branching = 8
	levels    = 6
)

func (bernoulli) Traits() problem.Traits {
	return problem.Traits{Size: 2, Actions: branching, Players: 1, Discount: 1, Horizon: levels, Bounded: true, High: 1, Weight: 1}
}

func (bernoulli) Start(s []float64)                { s[0], s[1] = 0, 0 }
func (bernoulli) Player([]float64) int             { return 1 }
func (bernoulli) Value([]float64) (float64, error) { return 0, nil }
func (bernoulli) Label(a int) string               { return strconv.Itoa(a) }
func (bernoulli) Actions(s []float64, buf []int) ([]int, error) {
	if s[0] == levels {
		return buf, nil
	}
	return append(buf, 0, 1, 2, 3, 4, 5, 6, 7), nil
}

func (bernoulli) Apply(s []float64, a int, rng *rand.Rand) (int, float64, error) {
	s[0]++
	s[1] = s[1]*branching + float64(a)
	if s[0] < levels {
		return 0, 0, nil
	}
	h := uint64(s[1]) * 0x9e3779b97f4a7c15
	if rng.Float64() < float64(h>>11)/(1<<53) {
		return 0, 1, nil
	}
	return 0, 0, nil
}

func BenchmarkUCT(b *testing.B) {
	for _, c := range []struct{ trees, workers int }{{1, 1}, {8, 1}, {8, 2}} {
		b.Run("trees="+strconv.Itoa(c.trees)+"/workers="+strconv.Itoa(c.workers), func(b *testing.B) {
			const sims = 100_000
			b.ReportAllocs()
			for b.Loop() {
				meter := budget.New(b.Context(), budget.Limits{}, nil)
				r, err := mcts.Search(meter, bernoulli{}, mcts.Options{Simulations: sims, Trees: c.trees, Spread: meter.Spread(budgettest.Fan(c.workers), nil), Seed: 1})
				if err != nil || r.Simulations != sims {
					b.Fatal(r, err)
				}
			}
			b.ReportMetric(sims*float64(b.N)/b.Elapsed().Seconds()/1e6, "Msims/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// A declarative problem pays for its formulas.
func BenchmarkDeclared(b *testing.B) {
	m, err := problem.Compile(&problem.Spec{
		Variables: []problem.Variable{{Name: "stock", Type: "int", Initial: "2"}},
		Actions: []problem.Action{
			{Name: "sell", Guard: "stock > 0", Outcomes: []problem.Outcome{
				{Probability: "0.7", Effects: map[string]string{"stock": "stock - 1"}, Reward: "5"}, {Probability: "0.3"},
			}},
			{Name: "order", Guard: "stock < 5", Effects: map[string]string{"stock": "stock + 1"}, Reward: "-2"},
		},
		Reward: "-0.1 * stock", Horizon: 6,
	})
	if err != nil {
		b.Fatal(err)
	}
	const sims = 50_000
	for b.Loop() {
		if _, err := mcts.Search(budget.New(b.Context(), budget.Limits{}, nil), m, mcts.Options{Simulations: sims, Trees: 1}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(sims*float64(b.N)/b.Elapsed().Seconds()/1e6, "Msims/s")
	b.ReportMetric(0, "ns/op")
}

// bareNode and bareUCT are the same search on the same model written out by
// hand, without an interface, chance, budgets, or intervals: the mark that
// BenchmarkUCT is compared with.
type bareNode struct {
	sum   float64
	n     int32
	first int32
}

func bareUCT(sims int, rng *rand.Rand) int {
	nodes := make([]bareNode, 1+branching, 1<<16)
	nodes[0].first = 1
	var path [levels + 1]int32
	for range sims {
		at, depth, leaf := int32(0), 0, 0
		path[0] = 0
		for depth < levels {
			if nodes[at].first == 0 {
				if nodes[at].n == 0 {
					break
				}
				nodes[at].first = int32(len(nodes))
				nodes = append(nodes, make([]bareNode, branching)...)
			}
			k := math.Sqrt2 * math.Sqrt(math.Log(float64(nodes[at].n)))
			best, pick := math.Inf(-1), int32(0)
			for i, c := range nodes[nodes[at].first : nodes[at].first+branching] {
				s := math.Inf(1)
				if c.n > 0 {
					s = c.sum/float64(c.n) + k/math.Sqrt(float64(c.n))
				}
				if s > best {
					best, pick = s, int32(i)
				}
			}
			at = nodes[at].first + pick
			leaf = leaf*branching + int(pick)
			depth++
			path[depth] = at
		}
		top := depth
		for ; depth < levels; depth++ {
			leaf = leaf*branching + rng.IntN(branching)
		}
		h := uint64(leaf) * 0x9e3779b97f4a7c15
		reward := 0.0
		if rng.Float64() < float64(h>>11)/(1<<53) {
			reward = 1
		}
		for _, i := range path[:top+1] {
			nodes[i].sum += reward
			nodes[i].n++
		}
	}
	return len(nodes)
}

func BenchmarkBareUCT(b *testing.B) {
	const sims = 100_000
	for b.Loop() {
		if bareUCT(sims, seed.Stream(1, 0)) < sims {
			b.Fatal("the tree did not grow")
		}
	}
	b.ReportMetric(sims*float64(b.N)/b.Elapsed().Seconds()/1e6, "Msims/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkKeep saves a tree of about 300,000 nodes.
func BenchmarkKeep(b *testing.B) {
	var states, size int
	for b.Loop() {
		meter := budget.New(b.Context(), budget.Limits{Nodes: 300_000}, nil)
		d := &budgettest.Disk{}
		k, err := budget.Keep(d, nil, 1)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := mcts.Search(meter, bernoulli{}, mcts.Options{Simulations: 60_000, Trees: 8, Seed: 1, Keeper: k}); err != nil {
			b.Fatal(err)
		}
		states, size = states+d.Saved, len(d.State)
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(states), "ms/state")
	b.ReportMetric(float64(size)/(1<<20), "MiB")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkMemory says how many bytes a node takes, of moves and positions
// together, with what the options add to it.
func BenchmarkMemory(b *testing.B) {
	game := must[problem.Model](b)(problem.ConnectFour(7, 6, ""))
	for _, c := range []struct {
		name string
		m    problem.Model
		o    mcts.Options
	}{
		{"chance", bernoulli{}, mcts.Options{}},
		{"deterministic", game, mcts.Options{}},
		{"all options", game, mcts.Options{Policy: mcts.PUCT, RAVE: 500}},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.o.Simulations, c.o.Trees = 200_000, 1
			var before, after runtime.MemStats
			var bytes, nodes float64
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				// Progress is called while the trees live.
				seen := false
				c.o.Progress = func(p mcts.Progress) {
					if p.Done == p.Total && !seen {
						seen = true
						runtime.GC()
						runtime.ReadMemStats(&after)
					}
				}
				r, err := mcts.Search(budget.New(b.Context(), budget.Limits{}, nil), c.m, c.o)
				if err != nil || !seen {
					b.Fatal(err, seen)
				}
				bytes += float64(after.HeapAlloc) - float64(before.HeapAlloc)
				nodes += float64(r.Nodes)
			}
			b.ReportMetric(bytes/nodes, "B/node")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkDomains says how fast the built-in problems are searched.
func BenchmarkDomains(b *testing.B) {
	for name, c := range map[string]struct {
		m       problem.Model
		rollout mcts.Rollout
	}{
		"connect-four/random":    {must[problem.Model](b)(problem.ConnectFour(7, 6, "")), mcts.RandomRollout},
		"connect-four/heuristic": {must[problem.Model](b)(problem.ConnectFour(7, 6, "")), mcts.HeuristicRollout},
		"ft06/random":            {must[problem.Model](b)(problem.JobShop(problem.FT06())), mcts.RandomRollout},
		"ft06/heuristic":         {must[problem.Model](b)(problem.JobShop(problem.FT06())), mcts.HeuristicRollout},
		"tsp20/heuristic":        {must[problem.Model](b)(problem.TSP(ring(20))), mcts.HeuristicRollout},
	} {
		b.Run(name, func(b *testing.B) {
			const sims = 10_000
			for b.Loop() {
				if _, err := mcts.Search(budget.New(b.Context(), budget.Limits{}, nil), c.m, mcts.Options{Simulations: sims, Trees: 1, Rollout: c.rollout}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(sims*float64(b.N)/b.Elapsed().Seconds()/1e3, "ksims/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
