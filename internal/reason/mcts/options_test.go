package mcts_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// ring is n cities on a circle, of which the order around it is the best tour.
func ring(n int) [][]float64 {
	points := make([][]float64, n)
	for i := range points {
		a := 2 * math.Pi * float64(i*7%n) / float64(n)
		points[i] = []float64{math.Cos(a), math.Sin(a)}
	}
	d, err := problem.Distances(points)
	if err != nil {
		panic(err) // more than MaxCities
	}
	return d
}

// choices is one move among many, of which the weights say which are good.
type choices struct {
	n       int
	weights []float64
	noise   float64
}

func (c choices) Traits() problem.Traits {
	return problem.Traits{Size: 1, Actions: c.n, Players: 1, Discount: 1, Horizon: 1, Bounded: true, High: 1, Weight: 1, Guided: c.weights != nil}
}
func (c choices) Start(s []float64)                { s[0] = 0 }
func (c choices) Player([]float64) int             { return 1 }
func (c choices) Value([]float64) (float64, error) { return 0, nil }
func (c choices) Label(a int) string               { return string(rune('a' + a)) }
func (c choices) Actions(s []float64, buf []int) ([]int, error) {
	for a := range c.n {
		if s[0] == 0 {
			buf = append(buf, a)
		}
	}
	return buf, nil
}

func (c choices) Apply(s []float64, a int, rng *rand.Rand) (int, float64, error) {
	s[0] = 1
	if rng.Float64() < c.noise {
		return 0, 1, nil
	}
	return 0, 0, nil
}

func (c choices) Weigh(_ []float64, acts []int, weights []float64) error {
	for i, a := range acts {
		weights[i] = c.weights[a]
	}
	return nil
}

func visits(r *mcts.Result) []int64 {
	var out []int64
	for _, a := range r.Actions {
		out = append(out, a.Visits)
	}
	return out
}

// All moves are alike, so that only what the options do tells them apart.
func TestPriorsSpreadVisits(t *testing.T) {
	m := choices{n: 4, weights: []float64{8, 4, 4, 0}, noise: .5}
	v := visits(search(t, m, mcts.Options{Simulations: 4000, Trees: 1, Policy: mcts.PUCT, Seed: 1, Exploration: new(50.0)}))
	// With a large c visits go by priors: 1/2, 1/4, 1/4, 0.
	for i, want := range []float64{2000, 1000, 1000, 0} {
		if math.Abs(float64(v[i])-want) > 200 {
			t.Errorf("visits %v, want about 2000, 1000, 1000, 0", v)
			break
		}
	}
	v = visits(search(t, m, mcts.Options{Simulations: 4000, Trees: 1, Seed: 1, Exploration: new(50.0)}))
	if slices.Min(v) < 900 {
		t.Errorf("UCT visits %v: it takes no priors", v)
	}
}

func TestWideningLimitsMoves(t *testing.T) {
	m := choices{n: 26, noise: .5}
	for _, c := range []struct {
		sims, tried int
		w           mcts.Widening
	}{{1000, 3, mcts.Widening{K: 3, Alpha: 0}}, {100, 10, mcts.Widening{K: 1, Alpha: .5}}, {400, 20, mcts.Widening{K: 1, Alpha: .5}}} {
		r := search(t, m, mcts.Options{Simulations: c.sims, Trees: 1, Widening: &c.w, Seed: 2})
		tried := 0
		for _, n := range visits(r) {
			if n > 0 {
				tried++
			}
		}
		if tried != c.tried {
			t.Errorf("%d simulations under %+v tried %d moves, want %d", c.sims, c.w, tried, c.tried)
		}
	}
	// The promising first.
	m.weights = make([]float64, 26)
	m.weights[20], m.weights[9] = 5, 7
	v := visits(search(t, m, mcts.Options{Simulations: 500, Trees: 1, Widening: &mcts.Widening{K: 2}, Seed: 2}))
	if v[20]+v[9] != 500 || v[20] == 0 || v[9] == 0 {
		t.Errorf("visits %v, want all of j and u", v)
	}
}

// Moves left out by widening are looked at when those before them are settled.
func TestWideningStillProves(t *testing.T) {
	m := must[problem.Model](t)(problem.Nim([]int{3, 4, 5}))
	r := search(t, m, mcts.Options{Simulations: 60_000, Trees: 1, Seed: 1, Widening: &mcts.Widening{K: 1, Alpha: .2}})
	if !r.Solved || *r.Value != 1 || r.Best != "take 2 from heap 1" {
		t.Errorf("%s at %v, solved %v", r.Best, *r.Value, r.Solved)
	}
}

// order is a game for one of n moves in any order, of which one is worth 1
// whenever it is made: what RAVE is for.
type order struct{ n, good int }

func (o order) Traits() problem.Traits {
	return problem.Traits{Size: o.n + 1, Actions: o.n, Players: 1, Discount: 1, Horizon: 4, Bounded: true, High: 1, Weight: 1}
}
func (o order) Start(s []float64)                { clear(s) }
func (o order) Player([]float64) int             { return 1 }
func (o order) Value([]float64) (float64, error) { return 0, nil }
func (o order) Label(a int) string               { return string(rune('a' + a)) }
func (o order) Actions(s []float64, buf []int) ([]int, error) {
	for a := range o.n {
		if s[o.n] < 4 && s[a] == 0 {
			buf = append(buf, a)
		}
	}
	return buf, nil
}

func (o order) Apply(s []float64, a int, _ *rand.Rand) (int, float64, error) {
	s[a] = 1
	s[o.n]++
	if a == o.good {
		return 0, 1, nil
	}
	return 0, 0, nil
}

func TestRAVELearnsFromLaterMoves(t *testing.T) {
	with, without := int64(0), int64(0)
	for i := range uint64(20) {
		m := order{n: 60, good: 10 + int(i)}
		o := mcts.Options{Simulations: 50, Trees: 1, Seed: i, Exploration: new(.1)}
		without += visits(search(t, m, o))[m.good]
		o.RAVE = 1000
		with += visits(search(t, m, o))[m.good]
	}
	if with < 2*without || with < 100 {
		t.Errorf("the good move gets %d visits with RAVE, %d without", with, without)
	}
}

func TestHeuristicPlayouts(t *testing.T) {
	m := must[problem.Model](t)(problem.TSP(ring(20)))
	mean := func(r mcts.Rollout) (mean, best float64) {
		for i := range uint64(5) {
			res := search(t, m, mcts.Options{Simulations: 200, Trees: 1, Seed: i, Rollout: r, Widening: &mcts.Widening{K: 99}})
			for _, a := range res.Actions {
				if a.Value != nil {
					mean += *a.Value * a.Share / 5
				}
			}
			best += res.Run.Value / 5
			if got := replay(t, m, res.Run); math.Abs(got-res.Run.Value) > 1e-9 {
				t.Errorf("the best run pays %v, it says %v", got, res.Run.Value)
			}
		}
		return mean, best
	}
	random, randomBest := mean(mcts.RandomRollout)
	guided, guidedBest := mean(mcts.HeuristicRollout)
	if guided < random/2 || guidedBest < randomBest {
		t.Errorf("tours by the heuristic: mean %v, best %v; at random %v, %v", guided, guidedBest, random, randomBest)
	}
}

func TestEntropyOfTheSearch(t *testing.T) {
	m := choices{n: 4, noise: .5}
	r := search(t, m, mcts.Options{Simulations: 4000, Trees: 2, Seed: 1, Exploration: new(50.0)})
	if r.Entropy == nil || math.Abs(*r.Entropy-2) > .01 {
		t.Errorf("entropy %v of %v, want about 2 bits", r.Entropy, visits(r))
	}
	if r.Run != nil {
		t.Errorf("a problem with chance has a best run: %+v", r.Run)
	}
	r = search(t, choices{n: 1}, mcts.Options{Simulations: 10, Seed: 1})
	if r.Entropy == nil || *r.Entropy != 0 {
		t.Errorf("entropy %v of one action", r.Entropy)
	}
}

// Two trees that prove different parts still give one run that pays its value.
func TestBestRunOfSeveralTrees(t *testing.T) {
	for i := range uint64(30) {
		m := must[problem.Model](t)(problem.SlidingTiles(3, []int{1, 2, 3, 4, 0, 6, 7, 5, 8}, 6))
		r := search(t, m, mcts.Options{Simulations: 4000, Trees: 4, Seed: i})
		if !r.Solved || *r.Value != -2 || replay(t, m, r.Run) != r.Run.Value || r.Run.Value != -2 {
			t.Errorf("seed %d: %v, solved %v, run %+v", i, *r.Value, r.Solved, r.Run)
		}
	}
}
