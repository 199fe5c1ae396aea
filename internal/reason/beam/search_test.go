package beam_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/beam"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget/budgettest"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

// layers is a graph of levels of places; a move goes to a place of the next
// level, and what it earns is in a table.
type layers struct {
	depth, places int
	gamma         float64
	earn          []float64
}

func newLayers(s uint64, depth, places int, gamma float64) *layers {
	m := &layers{depth, places, gamma, nil}
	rng := seed.Stream(s, 0)
	for range depth * places * places {
		m.earn = append(m.earn, float64(rng.IntN(2001)-1000)/8)
	}
	return m
}

func (m *layers) Traits() problem.Traits {
	return problem.Traits{Size: 2, Actions: m.places, Players: 1, Discount: m.gamma, Horizon: m.depth, Deterministic: true, Weight: 1}
}
func (m *layers) Start(s []float64)       { s[0], s[1] = 0, 0 }
func (m *layers) Player([]float64) int    { return 1 }
func (m *layers) Label(action int) string { return strconv.Itoa(action) }
func (m *layers) Actions(s []float64, buf []int) ([]int, error) {
	if int(s[0]) < m.depth {
		for a := range m.places {
			buf = append(buf, a)
		}
	}
	return buf, nil
}

func (m *layers) Apply(s []float64, a int, _ *rand.Rand) (int, float64, error) {
	r := m.earn[(int(s[0])*m.places+int(s[1]))*m.places+a]
	s[0]++
	s[1] = float64(a)
	return 0, r, nil
}
func (m *layers) Value(s []float64) (float64, error) { return s[1] / 4, nil }

// optimum is the highest return from a place, by trying everything.
func (m *layers) optimum(s [2]float64) float64 {
	if int(s[0]) == m.depth {
		v, _ := m.Value(s[:])
		return v
	}
	best := math.Inf(-1)
	for a := range m.places {
		next := s
		_, r, _ := m.Apply(next[:], a, nil)
		best = max(best, r+m.gamma*m.optimum(next))
	}
	return best
}

func TestWideBeamIsExhaustive(t *testing.T) {
	for s := range uint64(40) {
		m := newLayers(s, 5, 3, []float64{1, .9}[s%2])
		r, err := beam.Search(budget.New(t.Context(), budget.Limits{}, nil), m, beam.Options{Width: 3})
		if err != nil {
			t.Fatal(err)
		}
		want := m.optimum([2]float64{})
		if got := r.Runs[0]; math.Abs(got.Value-want) > 1e-9 || !r.Exhaustive || !got.Finished {
			t.Errorf("seed %d: %v (exhaustive %t), want %v", s, got, r.Exhaustive, want)
		}
		narrow, err := beam.Search(budget.New(t.Context(), budget.Limits{}, nil), m, beam.Options{Width: 1})
		if err != nil {
			t.Fatal(err)
		}
		if narrow.Exhaustive || narrow.Runs[0].Value > want+1e-9 {
			t.Errorf("seed %d: a beam of one finds %v, the optimum is %v", s, narrow.Runs[0].Value, want)
		}
	}
}

// With the exact value of what is ahead a beam of one goes straight there.
func TestPerfectHeuristic(t *testing.T) {
	m := newLayers(5, 6, 4, .9)
	exact := func(s []float64) (float64, error) { return m.optimum([2]float64{s[0], s[1]}), nil }
	r, err := beam.Search(budget.New(t.Context(), budget.Limits{}, nil), m, beam.Options{Width: 1, Heuristic: exact})
	if err != nil {
		t.Fatal(err)
	}
	if want := m.optimum([2]float64{}); math.Abs(r.Runs[0].Value-want) > 1e-9 {
		t.Errorf("%v, want %v", r.Runs[0].Value, want)
	}
}

var errStopping = errors.New("stopped")

func render(t *testing.T, m problem.Model, o beam.Options, l budget.Limits, workers int, d *budgettest.Disk) (string, error) {
	t.Helper()
	meter := budget.New(t.Context(), l, nil)
	o.Spread = meter.Spread(budgettest.Fan(workers), nil)
	if d != nil {
		o.Keeper = must[*budget.Keeper](t)(budget.Keep(d, errStopping, "key"))
	}
	r, err := beam.Search(meter, m, o)
	if err != nil {
		return "", err
	}
	steps, nodes := meter.Used()
	return string(must[[]byte](t)(json.Marshal([]any{r, steps, nodes, meter.Hit()}))), nil
}

func TestSameForWorkersAndProcesses(t *testing.T) {
	m := newLayers(9, 30, 12, .99)
	for name, c := range map[string]struct {
		o beam.Options
		l budget.Limits
	}{
		"plain":  {beam.Options{Width: 7, Best: 3}, budget.Limits{}},
		"groups": {beam.Options{Width: 9, Groups: 3, Diversity: new(40.0), Best: 3}, budget.Limits{}},
		"steps":  {beam.Options{Width: 7}, budget.Limits{Steps: 1000}},
		"nodes":  {beam.Options{Width: 7}, budget.Limits{Nodes: 50}},
	} {
		want := must[string](t)(render(t, m, c.o, c.l, 1, nil))
		for _, workers := range []int{2, 8} {
			if got := must[string](t)(render(t, m, c.o, c.l, workers, nil)); got != want {
				t.Errorf("%s: %d workers find\n%s\none finds\n%s", name, workers, got, want)
			}
		}
		d := &budgettest.Disk{StopAfter: 1}
		processes, got := 0, ""
		for err := errStopping; errors.Is(err, errStopping); processes++ {
			next := &budgettest.Disk{StopAfter: 1, State: d.State}
			got, err = render(t, m, c.o, c.l, processes%3+1, next)
			if err != nil && !errors.Is(err, errStopping) {
				t.Fatal(err)
			}
			d = next
		}
		if got != want || processes < 4 {
			t.Errorf("%s: %d processes find\n%s\none finds\n%s", name, processes, got, want)
		}
	}
}

func TestCancel(t *testing.T) {
	m := newLayers(1, 1000, 60, 1)
	best := time.Hour
	for range 5 { // the best of some: the machine may be busy
		ctx, cancel := context.WithCancel(t.Context())
		var canceled time.Time
		_, err := beam.Search(budget.New(ctx, budget.Limits{}, nil), m, beam.Options{Width: 60, Progress: func(p beam.Progress) {
			if p.Generation == 3 {
				canceled = time.Now()
				cancel()
			}
		}})
		best = min(best, time.Since(canceled))
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want canceled", err)
		}
	}
	if best > cancelWithin {
		t.Errorf("stopped %v after the cancel, want at most %v", best, cancelWithin)
	}
}

func TestRefusesChance(t *testing.T) {
	bandit := must[problem.Model](t)(problem.Bandit([]float64{.2, .4}, 3))
	if _, err := beam.Search(budget.New(t.Context(), budget.Limits{}, nil), bandit, beam.Options{}); err == nil {
		t.Error("a problem with chance is searched")
	}
}

func BenchmarkSearch(b *testing.B) {
	m := newLayers(1, 50, 20, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := beam.Search(budget.New(b.Context(), budget.Limits{}, nil), m, beam.Options{Width: 10}); err != nil {
			b.Fatal(err)
		}
	}
}
