package stats

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

// crew is a Spread over some goroutines, each taking the next call.
func crew(workers int) Spread {
	return func(n int, f func(*budget.Meter, int)) error {
		var wg sync.WaitGroup
		var next atomic.Int64
		for range workers {
			wg.Go(func() {
				for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
					f(free(), int(i))
				}
			})
		}
		wg.Wait()
		return nil
	}
}

func draws(n int) Sampling { return Sampling{Draws: n, Seed: 42, Level: 0.95} }

// anyOf holds one distribution of every kind.
var anyOf = []Distribution{
	{Kind: "normal", Params: params{"mean": -3, "sd": 2}},
	{Kind: "lognormal", Params: params{"mu": 0.5, "sigma": 0.6}},
	{Kind: "uniform", Params: params{"min": -1, "max": 4}},
	{Kind: "triangular", Params: params{"min": 1, "mode": 2, "max": 7}},
	{Kind: "triangular", Params: params{"min": 1, "mode": 1, "max": 7}},
	{Kind: "beta", Params: params{"alpha": 2, "beta": 5}},
	{Kind: "beta", Params: params{"alpha": 0.05, "beta": 0.08}},
	{Kind: "gamma", Params: params{"shape": 3.5, "rate": 2}},
	{Kind: "gamma", Params: params{"shape": 0.1, "rate": 1}},
	{Kind: "exponential", Params: params{"rate": 4}},
	{Kind: "student_t", Params: params{"df": 7, "location": 2, "scale": 3}},
	{Kind: "bernoulli", Params: params{"p": 0.3}},
	{Kind: "binomial", Params: params{"n": 12, "p": 0.7}},
	{Kind: "binomial", Params: params{"n": 400, "p": 0.001}},
	{Kind: "binomial", Params: params{"n": 1000, "p": 0.4}},
	{Kind: "poisson", Params: params{"rate": 3}},
	{Kind: "poisson", Params: params{"rate": 250}},
	{Kind: "discrete", Values: []float64{1, 5, 9, 2}, Weights: []float64{0.1, 0.2, 0, 3}},
	{Kind: "discrete", Values: []float64{4, 6}},
}

// Mean and variance of the draws against the exact ones, within 4 standard
// errors: that of a variance is √((κ−1)/n)·σ², with κ estimated from the draws.
func TestSamplersMatchTheirMoments(t *testing.T) {
	const n = 200_000
	for k, d := range anyOf {
		draw, err := d.sampler("x")
		if err != nil {
			t.Fatal(err)
		}
		rng := seed.Stream(7, uint64(k))
		x := make([]float64, n)
		for i := range x {
			x[i] = draw(rng)
		}
		c, err := centralMoments(free(), x)
		if err != nil {
			t.Fatal(err)
		}
		mean, variance := d.moments()
		near(t, d.String()+": mean", c.mean, mean, 4*math.Sqrt(variance/n)/max(1, math.Abs(mean)))
		kurtosis := c.m4 / (c.m2 * c.m2)
		got := c.scale * c.scale * c.m2
		if math.Abs(got-variance) > 4*variance*math.Sqrt((kurtosis-1)/n) {
			t.Errorf("%s: variance %g, want %g", d, got, variance)
		}
	}
}

// Draws of the continuous distributions pass the Kolmogorov-Smirnov test of
// their own distribution function.
func TestSamplersMatchTheirDistribution(t *testing.T) {
	for k, d := range anyOf {
		// A beta of tiny parameters has draws that round to 1 and so are not
		// continuous; a lattice is not either.
		if _, err := d.continuousCDF("x"); err != nil || d.Params["alpha"] == 0.05 {
			continue
		}
		draw, _ := d.sampler("x")
		rng := seed.Stream(8, uint64(k))
		x := make([]float64, 20_000)
		for i := range x {
			x[i] = draw(rng)
		}
		tt, err := KSOne(free(), x, d, two)
		if err != nil {
			t.Fatal(err)
		}
		if tt.PValue < 1e-4 {
			t.Errorf("%s: D = %g, p = %g", d, tt.Statistic, tt.PValue)
		}
	}
}

func TestSimulateAgainstAnalysis(t *testing.T) {
	model := Model{
		Variables: map[string]Distribution{
			"x": {Kind: "normal", Params: params{"mean": 1, "sd": 2}},
			"y": {Kind: "exponential", Params: params{"rate": 0.5}},
			"k": {Kind: "poisson", Params: params{"rate": 3}},
		},
		Constants:  map[string]float64{"c": 10},
		Expression: "c + x * y - k",
		Event:      "x > 0 && result > c",
	}
	// E = 10 + 1·2 − 3; Var(xy) = E x²·E y² − (1·2)² = 5·8 − 4 = 36; Var k = 3.
	mc := must[*MonteCarlo](t)(Simulate(free(), model, draws(400_000)))
	near(t, "mean", mc.Mean, 9, 4**mc.StandardError/9)
	near(t, "standard error", *mc.StandardError, math.Sqrt(39.0/400_000), 0.01)
	low, high := span(t, mc.MeanCI)
	if low > 9 || high < 9 || mc.Samples != 400_000 || mc.Undefined != 0 || !mc.Convergence.Stable {
		t.Errorf("interval [%g, %g], %d draws, %+v", low, high, mc.Samples, mc.Convergence)
	}
	if e := mc.Event; e == nil || *e.Interval.Low > e.Probability || *e.Interval.High < e.Probability || e.Probability > 0.7 {
		t.Errorf("event %+v", e)
	}
	// Without an expression, the one variable is the result: quantiles and
	// probabilities are known.
	one := Model{Variables: map[string]Distribution{"x": {Kind: "normal", Params: params{"mean": 0, "sd": 1}}}, Event: "x > 1"}
	s := draws(200_000)
	s.Quantiles = []float64{0.025, 0.5, 0.975}
	mc = must[*MonteCarlo](t)(Simulate(free(), one, s))
	for i, want := range []float64{-1.959964, 0, 1.959964} {
		q := mc.Quantiles[i]
		l, h := span(t, q.Interval)
		if width := h - l; math.Abs(q.Value-want) > 2*width || l > q.Value || h < q.Value {
			t.Errorf("quantile %g = %g in [%g, %g], want %g", q.P, q.Value, l, h, want)
		}
	}
	near(t, "P(x > 1)", mc.Event.Probability, normSF(1), 4*mc.Event.SE)
	// A condition as the expression has its probability as mean.
	one.Expression = "x > 1"
	mc = must[*MonteCarlo](t)(Simulate(free(), one, draws(200_000)))
	near(t, "mean of a condition", mc.Mean, normSF(1), 4**mc.StandardError)
}

func TestSimulateDoesNotDependOnWorkers(t *testing.T) {
	model := Model{
		Variables: map[string]Distribution{
			"a": {Kind: "gamma", Params: params{"shape": 0.7, "rate": 1}},
			"b": {Kind: "student_t", Params: params{"df": 4}},
			"c": {Kind: "discrete", Values: []float64{1, 2, 3}, Weights: []float64{1, 2, 3}},
		},
		Expression: "a * b + c^2", Event: "result > 4",
	}
	var first []byte
	for _, workers := range []int{1, 2, 8} {
		s := draws(50_001) // not a multiple of the block
		s.Spread = crew(workers)
		mc := must[*MonteCarlo](t)(Simulate(free(), model, s))
		text, err := json.Marshal(mc)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = text
		}
		if string(text) != string(first) {
			t.Errorf("%d workers:\n%s\nwant\n%s", workers, text, first)
		}
	}
	s := draws(50_001)
	s.Seed++
	mc := must[*MonteCarlo](t)(Simulate(free(), model, s))
	if text, _ := json.Marshal(mc); string(text) == string(first) {
		t.Error("another seed gives the same result")
	}
}

func TestSimulateWithinItsBudget(t *testing.T) {
	model := Model{Variables: map[string]Distribution{"x": {Kind: "uniform", Params: params{"min": 0, "max": 1}}}}
	var first []byte
	for _, workers := range []int{1, 4} {
		m := budget.New(t.Context(), budget.Limits{Steps: 10_001}, nil)
		s := draws(1_000_000)
		s.Spread = crew(workers)
		mc := must[*MonteCarlo](t)(Simulate(m, model, s))
		if mc.Samples != 10_000 || m.Hit() != budget.Steps || mc.Requested != 1_000_000 || len(mc.Notes) == 0 {
			t.Errorf("%d draws, hit %q, notes %v; want 10000 and maxSteps", mc.Samples, m.Hit(), mc.Notes)
		}
		text, _ := json.Marshal(mc)
		if first == nil {
			first = text
		}
		if string(first) != string(text) {
			t.Error("a step limit cuts differently for more workers")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Simulate(budget.New(ctx, budget.Limits{}, nil), model, draws(1000))
	if fault.KindOf(err) != fault.Canceled {
		t.Errorf("err = %v, want canceled", err)
	}
	if _, err = Simulate(budget.New(t.Context(), budget.Limits{Steps: 1}, nil), model, draws(1000)); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("no room for a draw: err = %v, want too_large", err)
	}
}

func TestSimulateReportsProgress(t *testing.T) {
	last := 0
	const n = mostRound*blockSize + 1
	s := draws(n)
	s.Progress = func(done, total int) {
		if done <= last || total != n || done%blockSize != 0 && done != n {
			t.Errorf("%d of %d done after %d", done, total, last)
		}
		last = done
	}
	model := Model{Variables: map[string]Distribution{"x": {Kind: "bernoulli", Params: params{"p": 0.5}}}}
	must[*MonteCarlo](t)(Simulate(free(), model, s))
	if last != n {
		t.Errorf("the last report is of %d draws, want %d", last, n)
	}
}

func TestSimulateCountsUndefinedDraws(t *testing.T) {
	model := Model{
		Variables:  map[string]Distribution{"x": {Kind: "uniform", Params: params{"min": -1, "max": 1}}},
		Expression: "log(x)",
	}
	mc := must[*MonteCarlo](t)(Simulate(free(), model, draws(20_000)))
	near(t, "share without a result", float64(mc.Undefined)/20_000, 0.5, 4*math.Sqrt(0.25/20_000))
	near(t, "mean of the others", mc.Mean, -1, 4**mc.StandardError) // E log U = −1
	if mc.Samples != 20_000 || !strings.Contains(mc.Notes[0], "have no result") {
		t.Errorf("%d draws, notes %v", mc.Samples, mc.Notes)
	}
	model.Expression = "1 / (x - x)"
	_, err := Simulate(free(), model, draws(100))
	refused(t, "never defined", err, "expression")
}

func TestSimulateWarnsOfHeavyTails(t *testing.T) {
	model := Model{Variables: map[string]Distribution{"x": {Kind: "student_t", Params: params{"df": 1}}}}
	mc := must[*MonteCarlo](t)(Simulate(free(), model, draws(20_000)))
	if mc.Convergence.Stable || len(mc.Notes) == 0 || mc.Inputs[0].Mean != nil || mc.Inputs[0].SD != nil {
		t.Errorf("a Cauchy variable: %+v, notes %v, inputs %+v", mc.Convergence, mc.Notes, mc.Inputs)
	}
	// The median of a Cauchy distribution is fine.
	q := mc.Quantiles[slices.IndexFunc(mc.Quantiles, func(q SampledQuantile) bool { return q.P == 0.5 })]
	near(t, "median", q.Value, 0, 4*math.Pi/2/math.Sqrt(20_000))
}

func TestSimulateRefuses(t *testing.T) {
	x := map[string]Distribution{"x": {Kind: "normal", Params: params{"mean": 0, "sd": 1}}}
	pair := map[string]Distribution{"x": x["x"], "y": x["x"]}
	for what, c := range map[string]struct {
		model Model
		draws int
		field string
	}{
		"no variables":        {Model{Expression: "1"}, 100, "variables"},
		"no expression":       {Model{Variables: pair}, 100, "expression"},
		"bad expression":      {Model{Variables: x, Expression: "x +"}, 100, "expression"},
		"unknown name":        {Model{Variables: x, Expression: "z"}, 100, "expression"},
		"bad event":           {Model{Variables: x, Event: "x + 1"}, 100, "event"},
		"no draws":            {Model{Variables: x}, 0, "draws"},
		"too many draws":      {Model{Variables: x}, MaxDraws + 1, "draws"},
		"bad name":            {Model{Variables: map[string]Distribution{"1x": x["x"]}}, 100, "variables"},
		"unknown kind":        {Model{Variables: map[string]Distribution{"x": {Kind: "cauchy"}}}, 100, "variables.x.distribution"},
		"missing parameter":   {Model{Variables: map[string]Distribution{"x": {Kind: "normal", Params: params{"mean": 0}}}}, 100, "variables.x.sd"},
		"parameter of others": {Model{Variables: map[string]Distribution{"x": {Kind: "normal", Params: params{"mean": 0, "sd": 1, "rate": 2}}}}, 100, "variables.x.rate"},
		"sd 0":                {Model{Variables: map[string]Distribution{"x": {Kind: "normal", Params: params{"mean": 0, "sd": 0}}}}, 100, "variables.x.sd"},
		"empty range":         {Model{Variables: map[string]Distribution{"x": {Kind: "uniform", Params: params{"min": 1, "max": 1}}}}, 100, "variables.x.max"},
		"mode outside":        {Model{Variables: map[string]Distribution{"x": {Kind: "triangular", Params: params{"min": 0, "mode": 3, "max": 1}}}}, 100, "variables.x.mode"},
		"weights":             {Model{Variables: map[string]Distribution{"x": {Kind: "discrete", Values: []float64{1}, Weights: []float64{0}}}}, 100, "variables.x.weights"},
		"result taken":        {Model{Variables: map[string]Distribution{"result": x["x"]}, Event: "result > 0"}, 100, "variables.result"},
	} {
		_, err := Simulate(free(), c.model, draws(max(0, c.draws)))
		refused(t, what, err, c.field)
	}
}

func TestRunningMergesLikeOneStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.SliceOfN(rapid.Float64Range(-1e3, 1e3), 1, 50).Draw(t, "x")
		cut := rapid.IntRange(0, len(x)).Draw(t, "cut")
		var whole, left, right running
		for i, v := range x {
			whole.add(v)
			if i < cut {
				left.add(v)
			} else {
				right.add(v)
			}
		}
		left.merge(right)
		same(t, "n", left.n, whole.n)
		same(t, "mean", left.mean, whole.mean)
		if math.Abs(left.m2-whole.m2) > 1e-9*(1+whole.m2) || left.low != whole.low || left.high != whole.high {
			t.Errorf("merged %+v, want %+v", left, whole)
		}
	})
}
