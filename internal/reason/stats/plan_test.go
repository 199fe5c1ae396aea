package stats

import (
	"encoding/json"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

func TestPlanKnown(t *testing.T) {
	p := must[*Planned](t)(Plan(free(), Design{Test: "t_two_sample", N: new(20.0), Effect: new(1.0), Options: two}))
	near(t, "power of 20 per group at d = 1", p.Power, 0.8689528, 1e-6)
	if p.Solved != "power" || p.Total != 40 {
		t.Errorf("%+v", p)
	}
	p = must[*Planned](t)(Plan(free(), Design{Test: "t_two_sample", Power: new(0.9), Effect: new(1.0), Options: two}))
	if p.N != 23 || p.Solved != "n" || p.Power < 0.9 { // 22.02 per group
		t.Errorf("n = %d (power %g), want 23", p.N, p.Power)
	}
	p = must[*Planned](t)(Plan(free(), Design{Test: "proportion", Power: new(0.9), P: [2]float64{0.5, 0.75}, Options: two}))
	if p.N != 77 { // 76.7 per group
		t.Errorf("n = %d, want 77", p.N)
	}
	p = must[*Planned](t)(Plan(free(), Design{Test: "t_paired", N: new(34.0), Power: new(0.8), Options: two}))
	near(t, "smallest effect of 34 pairs", p.Effect, 0.4948, 2e-3) // Cohen's tables: 34 pairs for d = 0.5
}

func TestPlanRefuses(t *testing.T) {
	for what, c := range map[string]struct {
		d     Design
		field string
	}{
		"nothing given":    {Design{Test: "t_paired", Options: two}, "n"},
		"all given":        {Design{Test: "t_paired", N: new(5.0), Power: new(0.8), Effect: new(1.0), Options: two}, "n"},
		"no effect":        {Design{Test: "t_paired", N: new(5.0), Effect: new(0.0), Options: two}, "effect"},
		"one value":        {Design{Test: "t_paired", N: new(1.0), Effect: new(1.0), Options: two}, "n"},
		"power below":      {Design{Test: "t_paired", Power: new(0.01), Effect: new(1.0), Options: two}, "power"},
		"same proportions": {Design{Test: "proportion", N: new(10.0), P: [2]float64{0.5, 0.5}, Options: two}, "proportions"},
		"proportion 0":     {Design{Test: "proportion", N: new(10.0), P: [2]float64{0, 0.5}, Options: two}, "proportions[0]"},
		"wrong direction":  {Design{Test: "t_paired", Power: new(0.9), Effect: new(-1.0), Options: with(Greater)}, "effect"},
	} {
		_, err := Plan(free(), c.d)
		refused(t, what, err, c.field)
	}
}

func TestPlanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]string{"t_one_sample", "t_two_sample"}).Draw(t, "test")
		d := Design{Test: kind, Effect: new(rapid.Float64Range(0.2, 3).Draw(t, "d")), Power: new(rapid.Float64Range(0.2, 0.99).Draw(t, "power")), Options: two}
		p, err := Plan(free(), d)
		if err != nil {
			t.Fatal(err)
		}
		if p.Power < *d.Power || p.N > 2 && d.power(float64(p.N-1), *d.Effect) >= *d.Power {
			t.Errorf("n = %d is not the least for power %g: %g, one less %g", p.N, *d.Power, p.Power, d.power(float64(p.N-1), *d.Effect))
		}
		back, err := Plan(free(), Design{Test: kind, N: new(float64(p.N)), Power: &p.Power, Options: two})
		if err != nil {
			t.Fatal(err)
		}
		if p.Power < 1-1e-6 && math.Abs(back.Effect-*d.Effect) > 1e-4*(*d.Effect) {
			t.Errorf("effect %g came back as %g", *d.Effect, back.Effect)
		}
	})
}

// The power of the t test is how often it rejects.
func TestPlanAgainstSimulation(t *testing.T) {
	want := must[*Planned](t)(Plan(free(), Design{Test: "t_one_sample", N: new(12.0), Effect: new(0.8), Options: two}))
	const runs = 4000
	rng := seed.Stream(5, 0)
	hits := 0
	x := make([]float64, 12)
	for range runs {
		for i := range x {
			x[i] = 0.8 + rng.NormFloat64()
		}
		a, err := momentsOf(free(), x)
		if err != nil {
			t.Fatal(err)
		}
		if 2*tSF(math.Abs(a.Mean/a.SE()), 11) <= 0.05 {
			hits++
		}
	}
	near(t, "share of rejections", float64(hits)/runs, want.Power, 4*math.Sqrt(want.Power*(1-want.Power)/runs))
}

func boot(statistic string) BootstrapOptions {
	return BootstrapOptions{Statistic: statistic, Level: 0.95, Resampling: Resampling{Resamples: 4000, Seed: 3}}
}

func TestBootstrapOfAMean(t *testing.T) {
	x := normals(60, 10, 2, 1)
	b := must[*Bootstrap](t)(Resample(free(), x, nil, boot("mean")))
	m, _ := momentsOf(free(), x)
	near(t, "estimate", b.Estimate, m.Mean, 1e-13)
	// The ideal bootstrap error of a mean has divisor n.
	ideal := math.Sqrt(m.Variance * 59 / 60 / 60)
	near(t, "standard error", *b.SE/ideal, 1, 4/math.Sqrt(2*4000))
	near(t, "bias", *b.Bias, 0, 4*ideal/math.Sqrt(4000))
	for _, iv := range []*Interval{b.Percentile, b.BCa} {
		low, high := span(t, iv)
		near(t, iv.Method+": low", low, m.Mean-1.96*ideal, 0.25*ideal)
		near(t, iv.Method+": high", high, m.Mean+1.96*ideal, 0.25*ideal)
	}
}

func statisticOfOne(name string) theta {
	return func(m *budget.Meter, s [][]float64) (float64, error) { return statistics[name].of(m, s[0]) }
}

// On skewed data the BCa interval of a mean reaches further to the long side.
func TestBootstrapCorrectsForSkewness(t *testing.T) {
	x := mapped(normals(40, 0, 1, 4), math.Exp)
	b := must[*Bootstrap](t)(Resample(free(), x, nil, boot("mean")))
	l1, h1 := span(t, b.Percentile)
	l2, h2 := span(t, b.BCa)
	if !(l2 > l1 && h2 > h1) {
		t.Errorf("BCa [%g, %g] is not to the right of the percentiles [%g, %g]", l2, h2, l1, h1)
	}
	// The acceleration of a mean is the skewness over 6√n (Efron 1987).
	a, err := acceleration(free(), [][]float64{x}, statisticOfOne("mean"))
	if err != nil {
		t.Fatal(err)
	}
	c, _ := centralMoments(free(), x)
	near(t, "acceleration", a, c.m3/math.Pow(c.m2, 1.5)/6/math.Sqrt(40), 1e-10)
}

func TestBootstrapStatistics(t *testing.T) {
	x := []float64{3, 1, 4, 1, 5, 9, 2, 6, 5, 30}
	for statistic, want := range map[string]float64{"mean": 6.6, "median": 4.5, "trimmed_mean": 25.0 / 6, "stddev": math.Sqrt(73.6)} {
		b := must[*Bootstrap](t)(Resample(free(), x, nil, boot(statistic)))
		near(t, statistic, b.Estimate, want, 1e-7)
	}
	b := must[*Bootstrap](t)(Resample(free(), x, []float64{1, 2, 3}, boot("mean")))
	near(t, "difference", b.Estimate, 4.6, 1e-13)
	b = must[*Bootstrap](t)(Resample(free(), []float64{2, 2, 2}, nil, boot("mean")))
	if b.BCa != nil || len(b.Notes) == 0 || *b.SE != 0 {
		t.Errorf("constant data: %+v", b)
	}
	if x[0] != 3 || x[9] != 30 {
		t.Error("the data were reordered")
	}
	_, err := Resample(free(), x, nil, boot("mode"))
	refused(t, "statistic", err, "statistic")
	_, err = Resample(free(), []float64{1}, nil, boot("mean"))
	refused(t, "one value", err, "x")
}

func TestBootstrapDoesNotDependOnWorkers(t *testing.T) {
	var first string
	for _, workers := range []int{1, 2, 8} {
		o := boot("median")
		o.Resamples, o.Spread = 20_000, crew(workers)
		b := must[*Bootstrap](t)(Resample(free(), normals(25, 0, 1, 9), normals(30, 1, 1, 8), o))
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(text)
		}
		if string(text) != first {
			t.Errorf("%d workers:\n%s\nwant\n%s", workers, text, first)
		}
	}
}
