package stats

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget/budgettest"
)

var errStopping = errors.New("saved")

// kept computes something in a process that has the given disk.
type kept func(m *budget.Meter, spread Spread, k *budget.Keeper) (any, error)

func resampling(n int, spread Spread, k *budget.Keeper) Resampling {
	return Resampling{Resamples: n, Seed: 5, Spread: spread, Keeper: k}
}

// long are computations of more blocks than one round has.
var long = map[string]struct {
	compute kept
	limits  budget.Limits
}{
	"bootstrap": {compute: func(m *budget.Meter, s Spread, k *budget.Keeper) (any, error) {
		o := BootstrapOptions{Statistic: "median", Level: 0.95, Resampling: resampling(300_000, s, k)}
		return Resample(m, normals(20, 0, 1, 1), normals(15, 1, 2, 2), o)
	}},
	"bootstrap of much": {compute: func(m *budget.Meter, s Spread, k *budget.Keeper) (any, error) {
		o := BootstrapOptions{Statistic: "trimmed_mean", Level: 0.9, Resampling: resampling(230, s, k)}
		return Resample(m, normals(20_000, 0, 1, 1), nil, o)
	}},
	"permutation": {compute: func(m *budget.Meter, s Spread, k *budget.Keeper) (any, error) {
		return PermutationTwo(m, normals(30, 0.4, 1, 3), normals(30, 0, 1, 4), two, resampling(300_000, s, k))
	}},
	"signs with a step limit": {limits: budget.Limits{Steps: 250_000}, compute: func(m *budget.Meter, s Spread, k *budget.Keeper) (any, error) {
		return PermutationPaired(m, "x", normals(70, 0.2, 1, 6), 0, two, resampling(200_000, s, k))
	}},
	"model": {compute: func(m *budget.Meter, s Spread, k *budget.Keeper) (any, error) {
		model := Model{
			Variables:  map[string]Distribution{"x": {Kind: "normal", Params: params{"mean": 0.1, "sd": 1}}, "y": {Kind: "uniform", Params: params{"min": -0.001, "max": 5}}},
			Expression: "x / sqrt(y)", Event: "result > 1",
		}
		o := draws(1_300_000)
		o.Spread, o.Keeper = s, k
		return Simulate(m, model, o)
	}},
}

func process(t *testing.T, f kept, l budget.Limits, workers int, d *budgettest.Disk) (string, error) {
	t.Helper()
	m := budget.New(t.Context(), l, nil)
	var k *budget.Keeper
	if d != nil {
		k = must[*budget.Keeper](t)(budget.Keep(d, errStopping, "key"))
	}
	v, err := f(m, m.Spread(budgettest.Fan(workers), nil), k)
	if err != nil {
		return "", err
	}
	steps, nodes := m.Used()
	return string(must[[]byte](t)(json.Marshal([]any{v, steps, nodes, m.Hit()}))), nil
}

// The process ends at every state that is kept, and another takes over with
// another number of goroutines.
func TestResumesToTheSameResult(t *testing.T) {
	for name, c := range long {
		t.Run(name, func(t *testing.T) {
			want := must[string](t)(process(t, c.compute, c.limits, 1, nil))
			if got := must[string](t)(process(t, c.compute, c.limits, 8, nil)); got != want {
				t.Errorf("8 goroutines find\n%s\none finds\n%s", got, want)
			}
			d := &budgettest.Disk{StopAfter: 1}
			for n := 1; ; n++ {
				got, err := process(t, c.compute, c.limits, n%3+1, d)
				if errors.Is(err, errStopping) && d.Saved == 1 {
					d = d.Again()
					continue
				}
				if err != nil || got != want {
					t.Errorf("process %d finds\n%s, %v\nan undisturbed one finds\n%s", n, got, err, want)
				}
				if n < 2 {
					t.Error("nothing was resumed")
				}
				return
			}
		})
	}
}

// A state that is not one of this computation is as good as none.
func TestBrokenStates(t *testing.T) {
	c := long["permutation"]
	want := must[string](t)(process(t, c.compute, c.limits, 1, nil))
	d := &budgettest.Disk{StopAfter: 2}
	if _, err := process(t, c.compute, c.limits, 1, d); !errors.Is(err, errStopping) {
		t.Fatal(err)
	}
	var k struct {
		Digest string  `json:"digest"`
		State  reached `json:"state"`
	}
	if err := json.Unmarshal(d.State, &k); err != nil || k.State.Blocks == 0 {
		t.Fatal(err, k)
	}
	good := k
	for name, spoil := range map[string]func(){
		"another digest": func() { k.Digest = "0" },
		"no harvest":     func() { k.State.Harvest = nil },
		"a long harvest": func() { k.State.Harvest = append(k.State.Harvest, 0) },
		"too far":        func() { k.State.Blocks = 1 << 40 },
	} {
		k = good
		spoil()
		d := &budgettest.Disk{State: must[[]byte](t)(json.Marshal(k))}
		if got, err := process(t, c.compute, c.limits, 1, d); err != nil || got != want {
			t.Errorf("%s: %s, %v\nwant\n%s", name, got, err, want)
		}
	}
}

// Even a single resample of a million values is left at once.
func TestCancelStopsLongDraws(t *testing.T) {
	x := normals(200_000, 0, 1, 1)
	for name, f := range map[string]func(m *budget.Meter, s Spread) error{
		"bootstrap": func(m *budget.Meter, s Spread) error {
			_, err := Resample(m, x, nil, BootstrapOptions{Statistic: "median", Level: 0.95, Resampling: resampling(MaxResamples, s, nil)})
			return err
		},
		"permutation": func(m *budget.Meter, s Spread) error {
			_, err := PermutationPaired(m, "x", x, 0, two, resampling(MaxResamples, s, nil))
			return err
		},
	} {
		best := time.Hour
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			var at time.Time
			looks := 0
			m := budget.New(ctx, budget.Limits{}, func(context.Context) error {
				if looks++; looks == 3000 {
					at = time.Now()
					cancel()
				}
				return nil
			})
			err := f(m, nil)
			if best = min(best, time.Since(at)); fault.KindOf(err) != fault.Canceled {
				t.Fatalf("%s: %v, want canceled", name, err)
			}
			cancel()
		}
		if best > 10*time.Millisecond {
			t.Errorf("%s stopped after %v, want at most 10ms", name, best)
		}
	}
}
