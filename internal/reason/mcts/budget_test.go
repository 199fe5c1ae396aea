package mcts_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget/budgettest"
	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

func TestSameForAnyNumberOfWorkers(t *testing.T) {
	nim := must[problem.Model](t)(problem.Nim([]int{3, 5, 7}))
	shop := must[problem.Model](t)(problem.JobShop(problem.FT06()))
	for name, m := range map[string]problem.Model{"bernoulli": bernoulli{}, "nim": nim, "shop": shop} {
		for _, p := range []mcts.Policy{mcts.UCT, mcts.UCB1Tuned, mcts.PUCT} {
			o := mcts.Options{Simulations: 5000, Trees: 8, Policy: p}
			if name == "shop" { // all options together
				o.Rollout, o.RAVE, o.Widening = mcts.HeuristicRollout, 300, &mcts.Widening{K: 1, Alpha: .4}
			}
			render := func(workers int, seed uint64) string {
				meter := budget.New(t.Context(), budget.Limits{Steps: 40_000, Nodes: 20_000}, nil)
				o.Spread, o.Seed = meter.Spread(budgettest.Fan(workers), nil), seed
				r, err := mcts.Search(meter, m, o)
				if err != nil {
					t.Fatal(err)
				}
				steps, nodes := meter.Used()
				return string(must[[]byte](t)(json.Marshal([]any{r, steps, nodes, meter.Hit()})))
			}
			one := render(1, 7)
			for _, workers := range []int{2, 8} {
				if got := render(workers, 7); got != one {
					t.Errorf("%s, %s: %d workers find\n%s\none finds\n%s", name, p, workers, got, one)
				}
			}
			if render(1, 8) == one {
				t.Errorf("%s, %s: another seed gives the same result", name, p)
			}
		}
	}
}

func TestBudgetIsKept(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits budget.Limits
		hit    budget.Hit
	}{
		{"steps", budget.Limits{Steps: 3000}, budget.Steps},
		{"few steps", budget.Limits{Steps: 3}, budget.Steps},
		{"nodes", budget.Limits{Nodes: 500}, budget.Nodes},
		{"one node", budget.Limits{Nodes: 1}, budget.Nodes},
		{"time", budget.Limits{Time: 5 * time.Millisecond}, budget.Time},
		{"none", budget.Limits{Steps: 1e9, Nodes: 1e9}, budget.None},
	} {
		t.Run(c.name, func(t *testing.T) {
			meter := budget.New(t.Context(), c.limits, nil)
			sims := 20_000
			if c.hit == budget.Time {
				sims = 1 << 29
			}
			r, err := mcts.Search(meter, bernoulli{}, mcts.Options{Simulations: sims, Trees: 8, Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			if meter.Hit() != c.hit {
				t.Errorf("met %q, want %q", meter.Hit(), c.hit)
			}
			steps, nodes := meter.Used()
			if l := c.limits; l.Steps > 0 && steps > l.Steps || l.Nodes > 0 && nodes > l.Nodes || nodes != r.Nodes {
				t.Errorf("used %d steps and %d nodes of %+v; the result has %d nodes", steps, nodes, l, r.Nodes)
			}
			if full := c.hit == budget.Nodes || c.hit == budget.None; full != (r.Simulations == sims) {
				t.Errorf("%d simulations", r.Simulations)
			}
			if c.name == "few steps" && (r.Best != "" || r.Value != nil) {
				t.Errorf("without a simulation the best is %q", r.Best)
			}
		})
	}
}

func TestNodeLimitStillLearns(t *testing.T) {
	m := must[problem.Model](t)(problem.Bandit([]float64{.1, .9, .2}, 4))
	meter := budget.New(t.Context(), budget.Limits{Nodes: 5}, nil)
	r, err := mcts.Search(meter, m, mcts.Options{Simulations: 3000, Trees: 1, Seed: 1})
	if err != nil || r.Best != "arm 2" || r.Nodes > 5 || meter.Hit() != budget.Nodes {
		t.Errorf("best %q with %d nodes, hit %q, %v", r.Best, r.Nodes, meter.Hit(), err)
	}
}

// canceling is a model that cancels its own search after some moves and counts
// the moves made since.
type canceling struct {
	bernoulli
	after  int64
	made   *atomic.Int64
	cancel context.CancelCauseFunc
}

func (c canceling) Apply(s []float64, a int, rng *rand.Rand) (int, float64, error) {
	if c.made.Add(1) == c.after {
		c.cancel(errors.New("no longer wanted"))
	}
	return c.bernoulli.Apply(s, a, rng)
}

func TestCancelStopsWithinAFewMoves(t *testing.T) {
	for _, workers := range []int{1, 4} {
		ctx, cancel := context.WithCancelCause(t.Context())
		m := canceling{after: 10_000, made: new(atomic.Int64), cancel: cancel}
		meter := budget.New(ctx, budget.Limits{}, nil)
		_, err := mcts.Search(meter, m, mcts.Options{Simulations: 1 << 29, Spread: meter.Spread(budgettest.Fan(workers), nil)})
		if err == nil || !strings.Contains(err.Error(), "no longer wanted") {
			t.Errorf("error %v, want the cause", err)
		}
		// Each of the eight trees looks up at least every 128 moves.
		if late := m.made.Load() - m.after; late > 8*128 {
			t.Errorf("%d workers: %d moves after the end", workers, late)
		}
	}
}

func TestCancelStopsInTime(t *testing.T) {
	best := time.Hour
	for range 5 { // the best of some: the machine may be busy
		ctx, cancel := context.WithCancel(t.Context())
		var at time.Time
		_, err := mcts.Search(budget.New(ctx, budget.Limits{}, nil), bernoulli{}, mcts.Options{
			Simulations: 1 << 29,
			Progress: func(p mcts.Progress) {
				if at.IsZero() && p.Done > 10_000 {
					at = time.Now()
					cancel()
				}
			},
		})
		best = min(best, time.Since(at))
		cancel()
		if fault.KindOf(err) != fault.Canceled {
			t.Fatalf("error %v, want canceled", err)
		}
	}
	if best > 10*time.Millisecond {
		t.Errorf("stopped %v after the cancel, want at most 10ms", best)
	}
}

// The search gives way at least every 128 moves of each tree.
func TestYieldsEachQuantum(t *testing.T) {
	yields := 0
	meter := budget.New(t.Context(), budget.Limits{}, func(context.Context) error {
		yields++
		return nil
	})
	if _, err := mcts.Search(meter, bernoulli{}, mcts.Options{Simulations: 20_000, Trees: 2}); err != nil {
		t.Fatal(err)
	}
	if steps, _ := meter.Used(); int64(yields) < steps/128 {
		t.Errorf("%d yields in %d moves", yields, steps)
	}
}

func TestProgressGrows(t *testing.T) {
	var last mcts.Progress
	calls := 0
	m := must[problem.Model](t)(problem.Bandit([]float64{.1, .9}, 1))
	r := search(t, m, mcts.Options{Simulations: 10_000, Seed: 1, Progress: func(p mcts.Progress) {
		if p.Done <= last.Done || p.Total != 10_000 || p.Best == "" || p.Visits < 1 {
			t.Errorf("progress %+v after %+v", p, last)
		}
		last = p
		calls++
	}})
	if calls < 5 || last.Done != 10_000 || last.Best != r.Best {
		t.Errorf("%d reports, the last %+v", calls, last)
	}
}

// wide has more actions than a slab takes.
type wide struct{ bernoulli }

func (w wide) Traits() problem.Traits {
	t := w.bernoulli.Traits()
	t.Actions = 1025
	return t
}

func TestSearchErrors(t *testing.T) {
	good := must[problem.Model](t)(problem.Nim([]int{1, 2}))
	over := must[problem.Model](t)(problem.Nim([]int{0}))
	failing := must[*problem.Compiled](t)(problem.Compile(&problem.Spec{
		Variables: []problem.Variable{{Name: "x", Type: "int", Initial: "3"}},
		Actions:   []problem.Action{{Name: "down", Effects: map[string]string{"x": "x - 1"}}, {Name: "other"}},
		Reward:    "1 / x",
	}))
	ranged := must[*problem.Compiled](t)(problem.Compile(&problem.Spec{
		Variables: []problem.Variable{{Name: "x"}}, Actions: []problem.Action{{Name: "a"}}, Reward: "5", Horizon: 2, ValueRange: []float64{0, 1},
	}))
	badPrior := must[*problem.Compiled](t)(problem.Compile(&problem.Spec{
		Variables: []problem.Variable{{Name: "x"}}, Actions: []problem.Action{{Name: "a", Prior: "x - 1"}, {Name: "b"}},
	}))
	for name, c := range map[string]struct {
		m    problem.Model
		o    mcts.Options
		want string
	}{
		"simulations": {good, mcts.Options{Simulations: -1}, "simulations: -1; expected 1 to"},
		"trees":       {good, mcts.Options{Trees: 257}, "trees: 257; expected 1 to 256"},
		"constant":    {good, mcts.Options{Exploration: new(-1.0)}, "explorationConstant: -1"},
		"nan":         {good, mcts.Options{Exploration: new(math.NaN())}, "explorationConstant: NaN"},
		"rave":        {good, mcts.Options{RAVE: -1}, "rave: -1; expected a number of at least 0"},
		"widening":    {good, mcts.Options{Widening: &mcts.Widening{Alpha: .5}}, "widening: k=0"},
		"rollout":     {good, mcts.Options{Rollout: "neural"}, `rollout: "neural"; expected random or heuristic`},
		"heuristic":   {good, mcts.Options{Rollout: mcts.HeuristicRollout}, "rollout: \"heuristic\"; expected random: this problem has no heuristic"},
		"prior":       {badPrior, mcts.Options{Policy: mcts.PUCT}, "actions[0].prior: the prior is -1"},
		"policy":      {good, mcts.Options{Policy: "best"}, `policy: "best"; expected uct`},
		"criterion":   {good, mcts.Options{Criterion: "luck"}, `criterion: "luck"; expected visits`},
		"actions":     {wide{}, mcts.Options{}, "actions: 1025; expected at most 1024"},
		"over":        {over, mcts.Options{}, "over in the initial state"},
		"formula":     {failing, mcts.Options{Simulations: 2000}, "reward: 1:3: division by zero"},
		"range":       {ranged, mcts.Options{}, "valueRange: a run returned 10, outside [0, 1]"},
	} {
		_, err := mcts.Search(budget.New(t.Context(), budget.Limits{}, nil), c.m, c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: error %v of kind %v, want %q", name, err, fault.KindOf(err), c.want)
		}
	}
}

func TestDefaults(t *testing.T) {
	m := must[problem.Model](t)(problem.Bandit([]float64{.5, .6}, 1))
	if r := search(t, m, mcts.Options{}); r.Simulations != mcts.DefaultSimulations || r.Trees != 1 {
		t.Errorf("%d simulations in %d trees, want 100 in 1", r.Simulations, r.Trees)
	}
	if r := search(t, m, mcts.Options{Simulations: 80_000}); r.Trees != mcts.DefaultTrees {
		t.Errorf("%d trees, want %d", r.Trees, mcts.DefaultTrees)
	}
	if r := search(t, m, mcts.Options{Simulations: 3, Trees: 8}); r.Trees != 3 || r.Simulations != 3 {
		t.Errorf("%d simulations in %d trees, want 3 in 3", r.Simulations, r.Trees)
	}
}
