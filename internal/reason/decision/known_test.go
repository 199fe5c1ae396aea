package decision

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

func free(t testing.TB) *budget.Meter {
	return budget.New(t.Context(), budget.Limits{}, nil)
}

// run analyses p and fails the test on an error.
func run(t testing.TB, p Problem, s Settings) *Result {
	t.Helper()
	r, err := Analyze(free(t), p, s, 1)
	if err != nil {
		t.Fatalf("Analyze: %v", err)
	}
	return r
}

func near(t testing.TB, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s = %.12g, want %.12g ± %g", what, got, want, tol)
	}
}

// table makes a problem of rows of values; a criterion whose name begins with −
// is to be minimized.
func table(weights []float64, names []string, rows map[string][]float64) Problem {
	var p Problem
	for j, name := range names {
		c := Criterion{Name: name, Weight: &weights[j]}
		if name[0] == '-' {
			c.Name, c.Minimize = name[1:], true
		}
		p.Criteria = append(p.Criteria, c)
	}
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		o := Option{ID: key, Attributes: map[string]float64{}}
		for j, x := range rows[key] {
			o.Attributes[p.Criteria[j].Name] = x
		}
		p.Options = append(p.Options, o)
	}
	return p
}

// invest is the payoff table of Lyceum's documentation: three investments in
// three states of the economy.
func invest() Problem {
	rows := map[string][]float64{"bonds": {40, 45, 5}, "stocks": {70, 30, -13}, "funds": {53, 45, -5}}
	p := Problem{States: []string{"growth", "stagnation", "slump"}, Payoffs: map[string]map[string]float64{}}
	for name, row := range rows {
		p.Options = append(p.Options, Option{Name: name})
		p.Payoffs[name] = map[string]float64{}
		for s, x := range row {
			p.Payoffs[name][p.States[s]] = x
		}
	}
	slices.SortFunc(p.Options, func(a, b Option) int { return len(a.Name) - len(b.Name) })
	return p
}

func withChances(p Problem, chance ...float64) Problem {
	p.Probabilities = map[string]float64{}
	for s, q := range chance {
		p.Probabilities[p.States[s]] = q
	}
	return p
}

func TestTOPSIS(t *testing.T) {
	p := table([]float64{.5, .3, .2}, []string{"-price", "storage", "camera"}, map[string][]float64{
		"a": {250, 16, 12}, "b": {200, 16, 8}, "c": {300, 32, 16},
	})
	r := run(t, p, Settings{Method: TOPSIS})
	for key, want := range map[string]float64{"a": .3268, "b": .4431, "c": .5569} {
		near(t, "closeness of "+key, r.MultiCriteriaScores[key], want, 5e-5)
		d := r.Distances[key]
		near(t, "ratio of distances of "+key, d.ToWorst/(d.ToWorst+d.ToIdeal), r.MultiCriteriaScores[key], 1e-15)
	}
	if r.Recommendation != "c" {
		t.Errorf("recommendation %q, want c", r.Recommendation)
	}
}

func TestPayoffRules(t *testing.T) {
	p := withChances(invest(), .5, .3, .2)
	for _, tc := range []struct {
		method Method
		want   string
		score  float64
	}{
		{Maximax, "stocks", 70},
		{Maximin, "bonds", 5},
		{MinimaxRegret, "funds", -17},
		{Laplace, "funds", 31},
		{Hurwicz, "stocks", 28.5}, // α = ½: bonds 25, stocks 28.5, funds 24
		{ExpectedUtility, "stocks", 41.4},
		{EVPI, "stocks", 41.4},
	} {
		t.Run(string(tc.method), func(t *testing.T) {
			r := run(t, p, Settings{Method: tc.method, HurwiczAlpha: .5})
			if r.Recommendation != tc.want {
				t.Errorf("recommendation %q (tied %q), want %s", r.Recommendation, r.Tied, tc.want)
			}
			near(t, "score", r.Ranking[0].Score, tc.score, 1e-9)
			for key, want := range map[string]float64{"bonds": 34.5, "stocks": 41.4, "funds": 39} {
				near(t, "expected value of "+key, r.ExpectedValues[key], want, 1e-9)
			}
			near(t, "EVPI", r.Information.Value, 8.1, 1e-9)
			near(t, "with perfect information", r.Information.WithPerfect, 49.5, 1e-9)
			regrets := map[string]float64{"bonds": 30, "stocks": 18, "funds": 17}
			for _, row := range r.Regrets.Rows {
				near(t, "regret of "+row.Option, row.Max, regrets[row.Option], 1e-9)
			}
			if first := r.Regrets.Rows[0]; first.Option != "funds" || first.In != "growth" {
				t.Errorf("least regret row: %+v", first)
			}
		})
	}
}

func TestExpectedUtilityOfOutcomes(t *testing.T) {
	outcome := func(option string, p, v float64) Outcome { return Outcome{option, &p, v} }
	p := Problem{
		Options: []Option{{ID: "stocks", Name: "Stock Portfolio"}, {ID: "bonds"}, {ID: "estate", Name: "Real Estate"}, {ID: "cash"}},
		Outcomes: []Outcome{
			outcome("Stock Portfolio", .6, 15000), outcome("stocks", .4, -5000), outcome("bonds", .8, 5000),
			outcome("bonds", .2, 1000), outcome("estate", .7, 8000), outcome("estate", .3, 2000),
		},
	}
	r := run(t, p, Settings{Method: ExpectedUtility})
	want := map[string]float64{"stocks": 7000, "bonds": 4200, "estate": 6200}
	if !maps.EqualFunc(r.ExpectedValues, want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }) {
		t.Errorf("expected values %v, want %v", r.ExpectedValues, want)
	}
	if r.Recommendation != "stocks" || r.Next != GatherMoreData {
		t.Errorf("recommendation %q, next %q (cash has no outcomes)", r.Recommendation, r.Next)
	}
	if len(r.NotAssessable) != 1 || r.NotAssessable[0].Option != "cash" {
		t.Errorf("not assessable: %+v", r.NotAssessable)
	}
	if r = run(t, p, Settings{Method: ExpectedUtility, Risk: Risk{Attitude: Averse, Coefficient: new(.0005)}}); r.Recommendation != "estate" {
		t.Errorf("a cautious decider gets %q, want estate", r.Recommendation)
	}
}

func TestStochasticDominance(t *testing.T) {
	outcome := func(option string, p, v float64) Outcome { return Outcome{option, &p, v} }
	// b passes every level at least as likely as a; c has a worse floor than a
	// and a better top.
	p := Problem{Outcomes: []Outcome{
		outcome("a", .5, 10), outcome("a", .5, 0), outcome("b", .3, 0), outcome("b", .2, 5), outcome("b", .5, 12),
		outcome("c", .5, -1), outcome("c", .5, 20), outcome("d", .25, 0), outcome("d", .5, 10), outcome("d", .25, 0),
	}}
	d := run(t, p, Settings{Method: ExpectedUtility}).Dominance
	if len(d.Dominated) != 2 || d.Dominated[0].Option != "a" || d.Dominated[1].Option != "d" || !slices.Equal(d.Undominated, []string{"b", "c"}) {
		t.Errorf("dominance %+v", d)
	}
	if !slices.EqualFunc(d.Identical, [][]string{{"a", "d"}}, slices.Equal) {
		t.Errorf("a and d are one distribution: %v", d.Identical)
	}
}

func TestUtilityForms(t *testing.T) {
	lottery := prospect{[]float64{0, 100}, []float64{.5, .5}}
	for _, tc := range []struct {
		name string
		risk Risk
		want float64
	}{
		{"neutral", Risk{}, 50},
		{"CARA a=.01", Risk{Attitude: Averse, Coefficient: new(.01)}, -math.Log((1+math.Exp(-1))/2) / .01},
		{"CARA a=-.01", Risk{Attitude: Seeking, Coefficient: new(-.01)}, math.Log((1+math.Exp(1))/2) / .01},
		{"derived", Risk{Attitude: Averse}, -math.Log((1+math.Exp(-1))/2) / .01},
		{"nearly neutral", Risk{Coefficient: new(1e-13)}, 50 - 1e-13*2500/2},
		{"log", Risk{Form: CRRA, Coefficient: new(1.), Wealth: 100}, math.Sqrt(100*200) - 100},
		{"CRRA γ=2", Risk{Form: CRRA, Coefficient: new(2.), Wealth: 100}, 2/(1./100+1./200) - 100},
		{"CRRA γ=-1", Risk{Form: CRRA, Coefficient: new(-1.), Wealth: 100}, math.Sqrt((100*100+200*200)/2.) - 100},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u, err := tc.risk.makeUtility([]prospect{lottery})
			if err != nil {
				t.Fatal(err)
			}
			ce := u.certain(lottery)
			near(t, "certainty equivalent", ce, tc.want, 1e-9)
			near(t, "utility of the certainty equivalent", u.of(ce), (u.of(0)+u.of(100))/2, 1e-12*max(1, math.Abs(u.of(0))))
		})
	}
}

func TestWeightedProduct(t *testing.T) {
	p := table([]float64{2, 2}, []string{"speed", "-cost"}, map[string][]float64{"a": {8, 2}, "b": {18, 2}, "c": {18, 8}})
	r := run(t, p, Settings{Method: WeightedProduct})
	for key, want := range map[string]float64{"a": 2, "b": 3, "c": 1.5} {
		near(t, key, r.MultiCriteriaScores[key], want, 1e-12)
		near(t, "product of the contributions of "+key, r.Contributions[key]["speed"]*r.Contributions[key]["cost"], want, 1e-12)
	}
}

func TestNormalizations(t *testing.T) {
	x := []float64{1, 2, 5}
	for _, tc := range []struct {
		n        Normalization
		up, down []float64
	}{
		{MinMax, []float64{0, .25, 1}, []float64{1, .75, 0}},
		{Sum, []float64{.125, .25, .625}, []float64{1 / 1.7, .5 / 1.7, .2 / 1.7}},
		{Vector, []float64{1 / math.Sqrt(30), 2 / math.Sqrt(30), 5 / math.Sqrt(30)}, []float64{1 - 1/math.Sqrt(30), 1 - 2/math.Sqrt(30), 1 - 5/math.Sqrt(30)}},
		{ZScore, nil, nil}, // below
		{Raw, []float64{1, 2, 5}, []float64{-1, -2, -5}},
	} {
		t.Run(string(tc.n), func(t *testing.T) {
			if tc.n == ZScore { // mean 8/3, population variance 26/9
				sd := math.Sqrt(26. / 9)
				tc.up = []float64{(1 - 8./3) / sd, (2 - 8./3) / sd, (5 - 8./3) / sd}
				tc.down = []float64{-tc.up[0], -tc.up[1], -tc.up[2]}
			}
			for minimize, want := range map[bool][]float64{false: tc.up, true: tc.down} {
				got, not := normalizeColumn(slices.Clone(x), minimize, tc.n)
				if not != nil {
					t.Fatal(not.want)
				}
				for i := range want {
					near(t, fmt.Sprintf("minimize=%v [%d]", minimize, i), got[i], want[i], 1e-12)
				}
			}
		})
	}
}

func TestSatisficing(t *testing.T) {
	p := table([]float64{1, 1}, []string{"quality", "-cost"}, map[string][]float64{"a": {7, 120}, "b": {6, 90}, "c": {9, 80}, "d": {3, 100}})
	p.Options[0], p.Options[2] = p.Options[2], p.Options[0]
	s := Settings{Method: Satisficing}
	p.Aspirations = map[string]float64{"quality": 7, "cost": 100}
	r := run(t, p, s)
	if r.Recommendation != "c" || r.Satisfaction.First != "c" {
		t.Errorf("recommendation %q, first %q, want c", r.Recommendation, r.Satisfaction.First)
	}
	if got := r.Satisfaction.Shortfalls["a"]; len(got) != 1 || got[0].By != 20 {
		t.Errorf("a misses cost 100 by 20: %+v", got)
	}
	p.Aspirations = map[string]float64{"quality": 6, "cost": 100}
	if r = run(t, p, s); r.Recommendation != "" || !slices.Equal(r.Tied, []string{"b", "c"}) || r.Satisfaction.First != "c" {
		t.Errorf("two satisfy: %q, tied %q, first %q", r.Recommendation, r.Tied, r.Satisfaction.First)
	}
	p.Aspirations = map[string]float64{"quality": 10, "cost": 100}
	if r = run(t, p, s); r.Recommendation != "" || r.Tied != nil || r.Next != GatherMoreData {
		t.Errorf("nobody satisfies: %q, tied %q, next %q", r.Recommendation, r.Tied, r.Next)
	}
}

func TestPareto(t *testing.T) {
	p := table([]float64{1, 1, 0}, []string{"quality", "-cost", "noise"}, map[string][]float64{
		"a": {9, 9, 0}, "b": {5, 5, 0}, "c": {4, 6, 9}, "d": {1, 9, 9}, "e": {5, 5, 5},
	})
	r := run(t, p, Settings{Method: Pareto})
	want := [][]string{{"a", "b", "e"}, {"c"}, {"d"}}
	if !slices.EqualFunc(r.Fronts, want, slices.Equal) {
		t.Errorf("fronts %v, want %v", r.Fronts, want)
	}
	if !slices.EqualFunc(r.Dominance.Identical, [][]string{{"b", "e"}}, slices.Equal) {
		t.Errorf("identical %v: a criterion of weight 0 must not tell b and e apart", r.Dominance.Identical)
	}
	r = run(t, invest(), Settings{Method: Pareto})
	if len(r.Fronts) != 1 {
		t.Errorf("no investment dominates another: %v", r.Fronts)
	}
}

func TestRankReversal(t *testing.T) {
	// d is the worst on q. With it, a (4, 1) scores ½·1 + ½·1/9 and c (0.4, 9)
	// ½·0.1 + ½·1; without it a falls to ½ and c wins.
	p := table([]float64{1, 1}, []string{"p", "q"}, map[string][]float64{"a": {4, 1}, "b": {0, 3}, "c": {.4, 9}, "d": {0, 0}})
	r := run(t, p, Settings{Method: WeightedSum})
	near(t, "a", r.MultiCriteriaScores["a"], 5./9, 1e-12)
	near(t, "c", r.MultiCriteriaScores["c"], .55, 1e-12)
	if r.Recommendation != "a" || r.Reversals.Checked != 3 || r.Reversals.OrderChanges != 1 || len(r.Reversals.WinnerChanges) != 1 {
		t.Fatalf("recommendation %q, reversals %+v", r.Recommendation, r.Reversals)
	}
	if c := r.Reversals.WinnerChanges[0]; c.Dropped != "d" || !slices.Equal(c.After, []string{"c"}) {
		t.Errorf("reversal %+v, want c after dropping d", c)
	}
	regret := Problem{
		Options: []Option{{Name: "a"}, {Name: "b"}, {Name: "c"}}, States: []string{"s", "t"},
		Payoffs: map[string]map[string]float64{"a": {"s": 10, "t": 0}, "b": {"s": 5, "t": 4}, "c": {"s": 0, "t": 11}},
	}
	// Regrets: a 0/11, b 5/7, c 10/0. Without c: a 0/4, b 5/0, so a wins.
	r = run(t, regret, Settings{Method: MinimaxRegret})
	if r.Recommendation != "b" || len(r.Reversals.WinnerChanges) != 2 {
		t.Fatalf("recommendation %q, reversals %+v", r.Recommendation, r.Reversals)
	}
	for _, c := range r.Reversals.WinnerChanges {
		if c.Dropped == "c" && !slices.Equal(c.After, []string{"a"}) {
			t.Errorf("without c: %v, want a", c.After)
		}
	}
}

func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Analyze(budget.New(ctx, budget.Limits{}, nil), invest(), Settings{Method: Maximin}, 1)
	if err == nil {
		t.Error("an ended context must be an error")
	}
}
