package stats

import (
	"cmp"
	"context"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

func TestSortBy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 3*sortRun+5).Draw(t, "n")
		x := make([]float64, n)
		for i := range x {
			x[i] = float64((i*7919 + i*i) % 1009)
		}
		want := slices.Clone(x)
		slices.Sort(want)
		if err := sortBy(free(), x, cmp.Compare[float64]); err != nil || !slices.Equal(x, want) {
			t.Fatalf("%d values were not sorted (%v)", n, err)
		}
	})
}

func TestQuantileType7(t *testing.T) {
	s := []float64{1, 2, 4, 8, 16}
	for p, want := range map[float64]float64{0: 1, 0.1: 1.4, 0.25: 2, 0.5: 4, 0.6: 5.6, 0.9: 12.8, 1: 16} {
		near(t, "quantile", quantile(s, p), want, 1e-15)
	}
	if v := quantile([]float64{-math.MaxFloat64, math.MaxFloat64}, 0.5); v != 0 {
		t.Errorf("median of the largest floats = %g, want 0", v)
	}
	if v := quantile([]float64{3}, 0.7); v != 3 {
		t.Errorf("quantile of one value = %g", v)
	}
}

func TestMedianDeviation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.SliceOfN(rapid.Float64Range(-100, 100), 1, 30).Draw(t, "x")
		if rapid.Bool().Draw(t, "whole") {
			for i := range x {
				x[i] = math.Round(x[i] / 20)
			}
		}
		slices.Sort(x)
		mid := quantile(x, 0.5)
		d := make([]float64, len(x))
		for i, v := range x {
			d[i] = math.Abs(v - mid)
		}
		slices.Sort(d)
		if got, want := medianDeviation(x, mid), quantile(d, 0.5); math.Abs(got-want) > 1e-12 {
			t.Errorf("MAD of %v = %g, want %g", x, got, want)
		}
	})
}

func TestMidranks(t *testing.T) {
	r, tied, err := midranks(free(), []float64{10, 20, 10, 30, 20, 10})
	if err != nil || !slices.Equal(r, []float64{2, 4.5, 2, 6, 4.5, 2}) {
		t.Errorf("midranks = %v, %v", r, err)
	}
	if tied.groups != 2 || tied.cubes != 24+6 {
		t.Errorf("ties = %+v, want 2 groups and 30", tied)
	}
}

func TestLoopsStopWithTheirBudget(t *testing.T) {
	x := normals(100_000, 0, 1, 1)
	m := budget.New(t.Context(), budget.Limits{Steps: 500}, nil)
	if _, err := Summarize(m, x, SummaryOptions{Level: 0.95, Fence: 1.5}); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("steps: err = %v, want too_large", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m = budget.New(ctx, budget.Limits{}, nil)
	if _, err := Summarize(m, x, SummaryOptions{Level: 0.95, Fence: 1.5}); fault.KindOf(err) != fault.Canceled {
		t.Errorf("canceled: err = %v, want canceled", err)
	}
	m = budget.New(t.Context(), budget.Limits{Time: 1}, nil)
	if _, err := MannWhitney(m, x, x, two); fault.KindOf(err) != fault.Timeout {
		t.Errorf("time: err = %v, want timeout", err)
	}
}
