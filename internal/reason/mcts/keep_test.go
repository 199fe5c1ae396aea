package mcts_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget/budgettest"
	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

var errStopping = errors.New("saved")

// process makes a search in a process that has the given disk.
func process(t *testing.T, m problem.Model, o mcts.Options, l budget.Limits, workers int, d *budgettest.Disk) (string, error) {
	t.Helper()
	meter := budget.New(t.Context(), l, nil)
	o.Spread = meter.Spread(budgettest.Fan(workers), nil)
	if d != nil {
		o.Keeper = must[*budget.Keeper](t)(budget.Keep(d, errStopping, o.Seed))
	}
	r, err := mcts.Search(meter, m, o)
	if err != nil {
		return "", err
	}
	steps, nodes := meter.Used()
	return string(must[[]byte](t)(json.Marshal([]any{r, steps, nodes, meter.Hit()}))), nil
}

// The process ends at every checkpoint and another takes over, with another
// number of goroutines.
func TestResumesToTheSameResult(t *testing.T) {
	for name, c := range map[string]struct {
		m      problem.Model
		o      mcts.Options
		limits budget.Limits
		least  int // processes
	}{
		"chance":          {bernoulli{}, mcts.Options{Simulations: 9000, Trees: 5}, budget.Limits{}, 8},
		"tuned":           {bernoulli{}, mcts.Options{Simulations: 4000, Trees: 2, Policy: mcts.UCB1Tuned}, budget.Limits{}, 8},
		"one tree":        {bernoulli{}, mcts.Options{Simulations: 3000, Trees: 1, Policy: mcts.PUCT}, budget.Limits{}, 8},
		"steps":           {bernoulli{}, mcts.Options{Simulations: 9000, Trees: 7}, budget.Limits{Steps: 20_001}, 5},
		"nodes":           {bernoulli{}, mcts.Options{Simulations: 9000, Trees: 3}, budget.Limits{Nodes: 2_000}, 8},
		"solved":          {must[problem.Model](t)(problem.Nim([]int{3, 4, 5})), mcts.Options{Simulations: 50_000, Trees: 4}, budget.Limits{}, 3},
		"transpositions":  {must[problem.Model](t)(problem.Nim([]int{9, 11, 13})), mcts.Options{Simulations: 8000, Trees: 4}, budget.Limits{}, 5},
		"best run":        {must[problem.Model](t)(problem.JobShop(problem.FT06())), mcts.Options{Simulations: 3000, Trees: 3}, budget.Limits{}, 5},
		"priors":          {must[problem.Model](t)(problem.ConnectFour(7, 6, "")), mcts.Options{Simulations: 3000, Trees: 2, Policy: mcts.PUCT, Rollout: mcts.HeuristicRollout}, budget.Limits{}, 5},
		"rave":            {must[problem.Model](t)(problem.ConnectFour(7, 6, "")), mcts.Options{Simulations: 3000, Trees: 2, RAVE: 500}, budget.Limits{}, 5},
		"widening":        {must[problem.Model](t)(problem.TSP(ring(12))), mcts.Options{Simulations: 3000, Trees: 2, Widening: &mcts.Widening{K: 1, Alpha: .5}, Policy: mcts.PUCT}, budget.Limits{}, 5},
		"more than chunk": {must[problem.Model](t)(problem.Bandit([]float64{.2, .4, .3}, 2000)), mcts.Options{Simulations: 600, Trees: 2}, budget.Limits{}, 6},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Seed = 3
			want := must[string](t)(process(t, c.m, c.o, c.limits, 1, nil))
			for _, workers := range []int{2, 8} {
				if got := must[string](t)(process(t, c.m, c.o, c.limits, workers, nil)); got != want {
					t.Errorf("%d workers find\n%s\none finds\n%s", workers, got, want)
				}
			}
			d := &budgettest.Disk{StopAfter: 1}
			for n := 1; ; n++ {
				got, err := process(t, c.m, c.o, c.limits, n%3+1, d)
				if errors.Is(err, errStopping) && d.Saved == 1 {
					d = d.Again()
					continue
				}
				if err != nil || got != want {
					t.Errorf("process %d finds\n%s, %v\nan undisturbed search finds\n%s", n, got, err, want)
				}
				if n < c.least {
					t.Errorf("%d processes, want at least %d", n, c.least)
				}
				return
			}
		})
	}
}

// A process that dies without warning leaves an older state.
func TestResumesFromAnyState(t *testing.T) {
	o := mcts.Options{Simulations: 6000, Trees: 3, Seed: 9}
	want := must[string](t)(process(t, bernoulli{}, o, budget.Limits{}, 1, nil))
	for n := 1; n <= 8; n += 3 {
		first := &budgettest.Disk{StopAfter: n}
		if _, err := process(t, bernoulli{}, o, budget.Limits{}, 2, first); !errors.Is(err, errStopping) {
			t.Fatal(err)
		}
		second := &budgettest.Disk{State: first.State}
		if got := must[string](t)(process(t, bernoulli{}, o, budget.Limits{}, 2, second)); got != want {
			t.Errorf("from state %d on\n%s\nundisturbed\n%s", n, got, want)
		}
	}
}

// What is not a state of this search is not resumed.
func TestForeignAndBrokenStates(t *testing.T) {
	o := mcts.Options{Simulations: 3000, Trees: 2, Seed: 1}
	want := must[string](t)(process(t, bernoulli{}, o, budget.Limits{}, 1, nil))
	d := &budgettest.Disk{StopAfter: 6}
	other := o
	other.Seed = 2
	if _, err := process(t, bernoulli{}, other, budget.Limits{}, 1, d); !errors.Is(err, errStopping) {
		t.Fatal(err)
	}
	states := map[string]json.RawMessage{"foreign": d.State, "text": json.RawMessage(`"x"`)}
	d = &budgettest.Disk{StopAfter: 6}
	if _, err := process(t, bernoulli{}, o, budget.Limits{}, 1, d); !errors.Is(err, errStopping) {
		t.Fatal(err)
	}
	var k struct {
		Digest string `json:"digest"`
		State  struct {
			Next  int    `json:"next"`
			Trees []byte `json:"trees"`
		} `json:"state"`
	}
	if err := json.Unmarshal(d.State, &k); err != nil || len(k.State.Trees) < 1000 {
		t.Fatal(err, len(k.State.Trees))
	}
	whole := k.State.Trees
	for name, trees := range map[string][]byte{"empty": nil, "cut": whole[:len(whole)/2], "garbled": append([]byte{1, 2, 3}, whole...)} {
		k.State.Trees = trees
		states[name] = must[[]byte](t)(json.Marshal(k))
	}
	for name, state := range states {
		got, err := process(t, bernoulli{}, o, budget.Limits{}, 1, &budgettest.Disk{State: state})
		if err != nil || got != want {
			t.Errorf("%s: %s, %v\nwant\n%s", name, got, err, want)
		}
	}
}

// The last state that fitted stands.
func TestStateTooLarge(t *testing.T) {
	o := mcts.Options{Simulations: 20_000, Trees: 4, Seed: 5}
	want := must[string](t)(process(t, bernoulli{}, o, budget.Limits{}, 1, nil))
	d := &budgettest.Disk{Limit: 20_000}
	if got := must[string](t)(process(t, bernoulli{}, o, budget.Limits{}, 2, d)); got != want || d.Refused != 1 || d.Saved < 2 {
		t.Errorf("with %d states kept and %d refused\n%s\nwant\n%s", d.Saved, d.Refused, got, want)
	}
	if got := must[string](t)(process(t, bernoulli{}, o, budget.Limits{}, 2, d.Again())); got != want {
		t.Errorf("from the last state that fitted\n%s\nwant\n%s", got, want)
	}
	d = &budgettest.Disk{Limit: 10}
	d.BeginStop()
	if _, err := process(t, bernoulli{}, o, budget.Limits{}, 2, d); !errors.Is(err, errStopping) || d.Saved > 0 {
		t.Errorf("stopped without a state: %v, %d states", err, d.Saved)
	}
}

func TestShowsTheBestSoFar(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	enough := errors.New("seen enough")
	_, err := mcts.Search(budget.New(ctx, budget.Limits{}, nil), bernoulli{}, mcts.Options{
		Simulations: 1 << 29,
		Partial: func(r *mcts.Result) error {
			if r.Best == "" || r.Value == nil || r.Simulations == 0 || len(r.Variation) == 0 {
				t.Errorf("the best so far is %+v", r)
			}
			return enough
		},
	})
	if !errors.Is(err, enough) {
		t.Errorf("error %v, want that of the reader", err)
	}
}

// With several goroutines, and while trees are saved again and again.
func TestCancelStopsSpreadSearchInTime(t *testing.T) {
	best := time.Hour
	for range 5 {
		ctx, cancel := context.WithCancelCause(t.Context())
		meter := budget.New(ctx, budget.Limits{Nodes: 300_000}, nil)
		var at time.Time
		_, err := mcts.Search(meter, bernoulli{}, mcts.Options{
			Simulations: 1 << 29,
			Spread:      meter.Spread(budgettest.Fan(2), nil),
			Keeper:      must[*budget.Keeper](t)(budget.Keep(&budgettest.Disk{}, errStopping, 1)),
			Progress: func(p mcts.Progress) {
				if at.IsZero() && p.Done > 50_000 {
					at = time.Now()
					cancel(fault.Newf(fault.Canceled, "no longer wanted"))
				}
			},
		})
		best = min(best, time.Since(at))
		if fault.KindOf(err) != fault.Canceled || !strings.Contains(err.Error(), "no longer wanted") {
			t.Fatalf("error %v, want canceled", err)
		}
	}
	if best > 10*time.Millisecond {
		t.Errorf("stopped %v after the cancel, want at most 10ms", best)
	}
}
