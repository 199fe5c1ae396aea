package decision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget/budgettest"
)

var errStopping = errors.New("saved")

// large has options whose values are random.
func large(options, criteria int) Problem {
	r := rand.New(rand.NewPCG(1, 2))
	var p Problem
	for j := range criteria {
		p.Criteria = append(p.Criteria, Criterion{Name: fmt.Sprint("c", j), Weight: new(1 + r.Float64())})
	}
	for i := range options {
		o := Option{Name: fmt.Sprint("o", i), Attributes: map[string]float64{}}
		for j := range criteria {
			o.Attributes[fmt.Sprint("c", j)] = r.Float64()
		}
		p.Options = append(p.Options, o)
	}
	return p
}

func process(t *testing.T, p Problem, s Settings, l budget.Limits, workers int, d *budgettest.Disk) (string, error) {
	t.Helper()
	m := budget.New(t.Context(), l, nil)
	r := Run{Seed: 7, Spread: m.Spread(budgettest.Fan(workers), nil)}
	if d != nil {
		k, err := budget.Keep(d, errStopping, "key")
		if err != nil {
			t.Fatal(err)
		}
		r.Keeper = k
	}
	res, err := r.Analyze(m, p, s)
	if err != nil {
		return "", err
	}
	steps, nodes := m.Used()
	text, err := json.Marshal([]any{res, res.Notes, steps, nodes, m.Hit()})
	return string(text), err
}

// The process ends at every state that is kept, and another takes over with
// another number of goroutines.
func TestResumesToTheSameResult(t *testing.T) {
	for name, c := range map[string]struct {
		s Settings
		l budget.Limits
	}{
		"weighted sum": {s: Settings{Method: WeightedSum, Draws: 5000}},
		"topsis":       {s: Settings{Method: TOPSIS, Draws: 4000, Concentration: 20}},
		"steps":        {Settings{Method: WeightedSum, Draws: 50_000}, budget.Limits{Steps: 200_000}},
	} {
		t.Run(name, func(t *testing.T) {
			p := large(40, 12)
			want, err := process(t, p, c.s, c.l, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, workers := range []int{2, 8} {
				if got, err := process(t, p, c.s, c.l, workers, nil); err != nil || got != want {
					t.Errorf("%d goroutines find\n%s, %v\none finds\n%s", workers, got, err, want)
				}
			}
			d := &budgettest.Disk{StopAfter: 1}
			for n := 1; ; n++ {
				got, err := process(t, p, c.s, c.l, n%3+1, d)
				if errors.Is(err, errStopping) && d.Saved == 1 {
					d = d.Again()
					continue
				}
				if err != nil || got != want {
					t.Errorf("process %d finds\n%s, %v\nan undisturbed one finds\n%s", n, got, err, want)
				}
				if n < 3 {
					t.Errorf("%d processes: nothing was resumed", n)
				}
				return
			}
		})
	}
}

// A state of other options or criteria is as good as none.
func TestForeignState(t *testing.T) {
	s := Settings{Method: WeightedSum, Draws: 20_000}
	d := &budgettest.Disk{StopAfter: 1}
	if _, err := process(t, large(40, 12), s, budget.Limits{}, 1, d); !errors.Is(err, errStopping) {
		t.Fatal(err)
	}
	p := large(40, 11)
	want, err := process(t, p, s, budget.Limits{}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := process(t, p, s, budget.Limits{}, 1, &budgettest.Disk{State: d.State}); err != nil || got != want {
		t.Errorf("%s, %v\nwant\n%s", got, err, want)
	}
}

func TestMonteCarloReportsProgress(t *testing.T) {
	m := free(t)
	last := 0
	r := Run{Progress: func(done, total int) {
		if done <= last || total != 20_000 {
			t.Errorf("%d of %d after %d", done, total, last)
		}
		last = done
	}}
	if _, err := r.Analyze(m, large(5, 3), Settings{Method: WeightedSum, Draws: 20_000}); err != nil || last != 20_000 {
		t.Errorf("ended at %d, %v", last, err)
	}
}

func TestCancelStopsAnalysisInTime(t *testing.T) {
	best := time.Hour
	p := large(MaxOptions, MaxCriteria)
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		var at time.Time
		r := Run{Progress: func(done, _ int) {
			if at.IsZero() {
				at = time.Now()
				cancel()
			}
		}}
		m := budget.New(ctx, budget.Limits{}, nil)
		r.Spread = m.Spread(budgettest.Fan(2), nil)
		_, err := r.Analyze(m, p, Settings{Method: WeightedSum, Draws: MaxDraws})
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
