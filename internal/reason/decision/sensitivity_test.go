package decision

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
	"pgregory.net/rapid"
)

func twoByTwo() Problem {
	return table([]float64{1, 1}, []string{"x", "y"}, map[string][]float64{"A": {8, 2}, "B": {5, 6}})
}

func TestFlipWeight(t *testing.T) {
	r := run(t, twoByTwo(), Settings{Method: WeightedSum, Normalization: Raw})
	f := r.Sensitivity.Flips
	if r.Recommendation != "B" || len(f) != 2 {
		t.Fatalf("recommendation %q, flips %+v", r.Recommendation, f)
	}
	if f[0].Above == nil || f[0].Below != nil || f[1].Below == nil || f[1].Above != nil {
		t.Fatalf("x flips only upwards and y only downwards: %+v", f)
	}
	near(t, "flip weight of x", f[0].Above.Weight, 4./7, 1e-15)
	near(t, "flip weight of y", f[1].Below.Weight, 3./7, 1e-15)
	if !slices.Equal(f[0].Above.To, []string{"A"}) {
		t.Errorf("to %q", f[0].Above.To)
	}
}

func TestOneWayShift(t *testing.T) {
	r := run(t, twoByTwo(), Settings{Method: WeightedSum, Normalization: Raw})
	// x at 0.5·1.2/1.1 = .5454 < 4/7 and at .4444: B stays.
	for _, s := range r.Sensitivity.OneWay {
		if s.Changes || !slices.Equal(s.Less, []string{"B"}) || !slices.Equal(s.More, []string{"B"}) {
			t.Errorf("shift %+v must not change the winner", s)
		}
	}
	p := twoByTwo()
	p.Criteria[0].Weight = new(1.25) // .5556; ×1.2 → .6 > 4/7
	r = run(t, p, Settings{Method: WeightedSum, Normalization: Raw})
	if s := r.Sensitivity.OneWay[0]; !s.Changes || !slices.Equal(s.More, []string{"A"}) || !slices.Equal(s.Less, []string{"B"}) {
		t.Errorf("shift %+v must change to A upwards only", s)
	}
}

func TestFlipsUnassessed(t *testing.T) {
	for name, p := range map[string]Problem{
		"one option":    table([]float64{1, 1}, []string{"x", "y"}, map[string][]float64{"A": {8, 2}}),
		"one criterion": table([]float64{1, 0}, []string{"x", "y"}, map[string][]float64{"A": {8, 2}, "B": {1, 3}}),
		"a tie":         table([]float64{1, 1}, []string{"x", "y"}, map[string][]float64{"A": {8, 2}, "B": {2, 8}}),
	} {
		r := run(t, p, Settings{Method: WeightedSum, Draws: 100})
		if r.Sensitivity.Flips != nil || r.Sensitivity.Unassessed == "" {
			t.Errorf("%s: %+v", name, r.Sensitivity)
		}
		if name != "a tie" && r.Sensitivity.MonteCarlo != nil {
			t.Errorf("%s: nothing can be drawn: %+v", name, r.Sensitivity.MonteCarlo)
		}
	}
	twins := table([]float64{1, 1}, []string{"x", "y"}, map[string][]float64{"A": {8, 2}, "A2": {8, 2}, "B": {5, 6}})
	if r := run(t, twins, Settings{Method: WeightedSum, Normalization: Raw}); len(r.Sensitivity.Flips) != 2 {
		t.Errorf("copies of the loser change nothing: %+v", r.Sensitivity)
	}
	twins.Options[2].Attributes["y"] = 0
	r := run(t, twins, Settings{Method: WeightedSum, Normalization: Raw})
	if !slices.Equal(r.Tied, []string{"A", "A2"}) || len(r.Sensitivity.Flips) != 2 || !r.Sensitivity.Flips[0].Stable {
		t.Errorf("two copies of the best, which dominates: tied %q, %+v", r.Tied, r.Sensitivity)
	}
}

func TestHurwiczFlip(t *testing.T) {
	r := run(t, invest(), Settings{Method: Hurwicz, HurwiczAlpha: .5})
	f := r.Sensitivity.Flips[0] // 5+40α against −13+83α
	if r.Recommendation != "stocks" || f.Above != nil || f.Below == nil || !slices.Equal(f.Below.To, []string{"bonds"}) {
		t.Fatalf("recommendation %q, flip %+v", r.Recommendation, f)
	}
	near(t, "α", f.Below.Weight, 18./43, 1e-15)
}

func TestProbabilityFlip(t *testing.T) {
	r := run(t, withChances(invest(), .5, .3, .2), Settings{Method: ExpectedUtility})
	// Growth at q, the rest 3:2 — stocks: 12.8+57.2q, funds: 25+28q, bonds: 29+11q.
	f := r.Sensitivity.Flips[0]
	if f.Name != "growth" || f.Below == nil || f.Above != nil {
		t.Fatalf("flip %+v", f)
	}
	near(t, "probability of growth", f.Below.Weight, (25-12.8)/(57.2-28), 1e-12)
	if !slices.Equal(f.Below.To, []string{"funds"}) {
		t.Errorf("to %q", f.Below.To)
	}
}

// problem draws a decision that every method takes: positive values, not all
// options alike.
func problem(rt *rapid.T) Problem {
	n := rapid.IntRange(2, 8).Draw(rt, "options")
	m := rapid.IntRange(2, 6).Draw(rt, "criteria")
	var p Problem
	for j := range m {
		p.Criteria = append(p.Criteria, Criterion{
			Name:     string(rune('p' + j)),
			Weight:   new(float64(rapid.IntRange(1, 20).Draw(rt, "weight"))),
			Minimize: rapid.Bool().Draw(rt, "minimize"),
		})
	}
	for i := range n {
		o := Option{ID: string(rune('A' + i)), Attributes: map[string]float64{}}
		for _, c := range p.Criteria {
			o.Attributes[c.Name] = float64(rapid.IntRange(1, 1000).Draw(rt, "value")) / 8
		}
		p.Options = append(p.Options, o)
	}
	p.Options[0].Attributes["p"] += 200 // so that not all are alike
	return p
}

// TestFlipsBisection finds the same flip weights by bisection: the winner's lead
// over the best of the others is concave in a weight, so it changes sign once to
// each side.
func TestFlipsBisection(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := problem(rt)
		s := Settings{Method: rapid.SampledFrom([]Method{WeightedSum, WeightedProduct}).Draw(rt, "method")}
		if s.Method == WeightedSum {
			s.Normalization = rapid.SampledFrom(Normalizations()).Draw(rt, "normalization")
		}
		md, err := compile(free(t), &p, &s)
		if err != nil {
			rt.Fatal(err)
		}
		rows, x := md.attributes(md.active)
		b, err := md.buildBoard(rows, x)
		if err != nil {
			rt.Fatal(err)
		}
		winners := best(b.scores(b.w), b.scorer.tolerance(b.w))
		flips, why := md.flips(b)
		if len(winners) != 1 {
			return
		}
		if why != "" {
			rt.Fatal(why)
		}
		for j, f := range flips {
			lead := func(w float64) float64 {
				weights := make([]float64, len(b.w))
				moved(b.w, j, w, weights)
				out := b.scores(weights)
				top := math.Inf(-1)
				for i, score := range out {
					if i != winners[0] {
						top = max(top, score)
					}
				}
				return out[winners[0]] - top
			}
			for end, got := range map[float64]*FlipPoint{0: f.Below, 1: f.Above} {
				checkFlip(rt, f.Name, lead, b.w[j], end, got, b.scorer.tolerance(b.w))
			}
		}
	})
}

func checkFlip(rt *rapid.T, name string, lead func(float64) float64, from, end float64, got *FlipPoint, tol float64) {
	switch last := lead(end); {
	case last >= -10*tol && last <= 10*tol: // a tie at the very end
		if got != nil && math.Abs(got.Weight-end) > 1e-6 {
			rt.Fatalf("%s: flip at %v, but only a tie at %v", name, got.Weight, end)
		}
	case last > 0:
		if got != nil {
			rt.Fatalf("%s: flip at %v, but the winner leads by %v at %v", name, got.Weight, last, end)
		}
	default:
		lo, hi := from, end
		for range 100 {
			if mid := (lo + hi) / 2; lead(mid) > 0 {
				lo = mid
			} else {
				hi = mid
			}
		}
		if got == nil || math.Abs(got.Weight-hi) > 1e-9 {
			rt.Fatalf("%s: flip %+v, bisection %v", name, got, hi)
		}
	}
}

// TestTOPSISFlips checks that the winner leads before a reported flip weight and
// not after it.
func TestTOPSISFlips(t *testing.T) {
	seen := 0
	rapid.Check(t, func(rt *rapid.T) {
		p := problem(rt)
		r := run(t, p, Settings{Method: TOPSIS})
		for j, f := range r.Sensitivity.Flips {
			for _, at := range []*FlipPoint{f.Below, f.Above} {
				if at == nil {
					continue
				}
				seen++
				w := make([]float64, len(p.Criteria))
				now := make([]float64, len(p.Criteria))
				for k, c := range p.Criteria {
					now[k] = r.Weights[c.Name]
				}
				for _, side := range []float64{-1e-7, 1e-7} {
					beyond := (side > 0) == (at.Weight > f.Weight)
					weight := at.Weight + side
					if weight < 0 || weight > 1 {
						continue
					}
					moved(now, j, weight, w)
					again := p
					again.Criteria = slices.Clone(p.Criteria)
					for k := range w {
						again.Criteria[k].Weight = new(w[k])
					}
					top := run(t, again, Settings{Method: TOPSIS}).Ranking[0].Option
					if slices.Contains(winners(r), top) == beyond {
						rt.Fatalf("%s at %v (beyond the flip: %v): %s leads", f.Name, weight, beyond, top)
					}
				}
			}
		}
	})
	if seen == 0 {
		t.Error("no flip was drawn")
	}
}

func TestMonteCarloShare(t *testing.T) {
	const draws = 20000
	s := Settings{Method: WeightedSum, Normalization: Raw, Draws: draws}
	r := run(t, twoByTwo(), s)
	mc := r.Sensitivity.MonteCarlo
	if mc.Draws != draws || mc.Options[0].Option != "B" {
		t.Fatalf("%+v", mc)
	}
	// A wins when the weight of x, uniform on [0, 1], is above 4/7.
	se := math.Sqrt(3. / 7 * 4 / 7 / draws)
	near(t, "acceptability of B", mc.Options[0].Index, 4./7, 4*se)
	near(t, "standard error", mc.Options[0].StandardError, se, se/20)
	near(t, "mean weight of x for A", mc.Options[1].CentralWeights["x"], (4./7+1)/2, .01)
	near(t, "sum of acceptabilities", mc.Options[0].Index+mc.Options[1].Index, 1, 1e-12)

	s.Concentration = 1e6 // weights within about .0005 of ½, where B leads
	if got := run(t, twoByTwo(), s).Sensitivity.MonteCarlo.Options[0]; got.Option != "B" || got.Index != 1 || got.StandardError != 0 {
		t.Errorf("around the given weights: %+v", got)
	}
}

// TestDirichletMoments compares mean and variance with the formulas.
func TestDirichletMoments(t *testing.T) {
	for _, concentration := range []float64{0, 1, 8} {
		mean, n := []float64{.5, .3, .2}, 40000
		alpha := []float64{1, 1, 1}
		if concentration > 0 {
			for j := range alpha {
				alpha[j] = concentration * mean[j]
			}
		}
		sum := alpha[0] + alpha[1] + alpha[2]
		draw := dirichlet(mean, concentration, seed.Source(7, 0))
		first, second, w := make([]float64, 3), make([]float64, 3), make([]float64, 3)
		for range n {
			draw(w)
			for j, x := range w {
				first[j] += x / float64(n)
				second[j] += x * x / float64(n)
			}
		}
		for j := range w {
			m := alpha[j] / sum
			v := m * (1 - m) / (sum + 1)
			near(t, "mean", first[j], m, 5*math.Sqrt(v/float64(n)))
			near(t, "variance", second[j]-first[j]*first[j], v, .05*v)
		}
	}
}

func TestMonteCarloSeeds(t *testing.T) {
	p := table([]float64{3, 2, 1}, []string{"x", "y", "-z"}, map[string][]float64{"A": {8, 2, 3}, "B": {5, 6, 4}, "C": {6, 4, 1}})
	encode := func(seed uint64) string {
		r, err := Analyze(free(t), p, Settings{Method: TOPSIS, Draws: 1000}, seed)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first, again := encode(42), encode(42)
	if first != again {
		t.Error("the same seed must give the same bytes")
	}
	if encode(42) == encode(43) {
		t.Error("another seed must give other draws")
	}
}

func TestBudget(t *testing.T) {
	p := table([]float64{3, 2}, []string{"x", "y"}, map[string][]float64{"A": {8, 2}, "B": {5, 6}, "C": {6, 4}})
	m := budget.New(t.Context(), budget.Limits{Steps: 500}, nil)
	r, err := Analyze(m, p, Settings{Method: WeightedSum, Draws: 2000}, 1)
	if err != nil {
		t.Fatal(err)
	}
	mc := r.Sensitivity.MonteCarlo
	if m.Hit() != budget.Steps || mc == nil || mc.Draws == 0 || mc.Draws >= mc.Requested || len(r.Ranking) != 3 {
		t.Errorf("hit %q, monte carlo %+v, ranking %+v", m.Hit(), mc, r.Ranking)
	}
	if !slices.ContainsFunc(r.Notes, func(n Note) bool { return n.Code == "budget" }) {
		t.Errorf("no note about the budget: %+v", r.Notes)
	}
	m = budget.New(t.Context(), budget.Limits{Steps: 1}, nil)
	if r, err = Analyze(m, p, Settings{Method: WeightedSum, Draws: 2000}, 1); err != nil || len(r.Ranking) != 3 || r.Sensitivity.MonteCarlo != nil {
		t.Errorf("one step still ranks: %+v, %v", r, err)
	}
	m = budget.New(t.Context(), budget.Limits{Steps: 1}, nil)
	if _, err = Analyze(m, p, Settings{Method: Pareto}, 1); err == nil {
		t.Error("without comparing all pairs there is no Pareto set")
	}
}
