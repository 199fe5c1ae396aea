package stats

import (
	"math"
	"testing"
)

func TestChoose(t *testing.T) {
	skewed := []float64{0.1, 0.2, 0.1, 0.3, 0.2, 0.1, 0.2, 25}
	for what, c := range map[string]struct {
		d    Data
		want string
	}{
		"sparse table":       {Data{Table: [][]float64{{3, 1}, {1, 3}}}, "fisher_exact"},
		"full table":         {Data{Table: [][]float64{{30, 10}, {10, 30}}}, "chi_square_independence"},
		"large sparse table": {Data{Table: [][]float64{{3, 1, 1}, {1, 3, 1}}}, "chi_square_independence"},
		"counts":             {Data{Observed: []float64{3, 4}}, "chi_square_gof"},
		"few trials":         {Data{Successes: []float64{3}, Trials: []float64{8}, P0: 0.5}, "binomial"},
		"many trials":        {Data{Successes: []float64{30}, Trials: []float64{80}, P0: 0.5}, "proportion_z"},
		"two groups, few":    {Data{Successes: []float64{3, 1}, Trials: []float64{8, 9}}, "fisher_exact"},
		"two groups, many":   {Data{Successes: []float64{30, 20}, Trials: []float64{80, 90}}, "proportion_z"},
		"normal groups":      {Data{Groups: plants}, "anova"},
		"skewed groups":      {Data{Groups: [][]float64{plants[0], skewed}}, "kruskal_wallis"},
		"unequal variances":  {Data{Groups: [][]float64{normals(40, 0, 1, 1), normals(40, 0, 9, 2)}}, "kruskal_wallis"},
		"one sample":         {Data{X: plants[0]}, "t_one_sample"},
		"one skewed sample":  {Data{X: skewed}, "wilcoxon_signed_rank"},
		"tiny sample":        {Data{X: []float64{1, 2}}, "wilcoxon_signed_rank"},
		"constant sample":    {Data{X: []float64{2, 2, 2, 2}}, "wilcoxon_signed_rank"},
		"two samples":        {Data{X: plants[0], Y: plants[1]}, "t_welch"},
		"two, one skewed":    {Data{X: plants[0], Y: skewed}, "mann_whitney"},
		"pairs":              {Data{X: plants[0], Y: plants[1], Paired: true}, "t_paired"},
		"skewed pairs":       {Data{X: skewed, Y: make([]float64, 8), Paired: true}, "wilcoxon_signed_rank"},
	} {
		got, rule, err := Choose(free(), c.d)
		if err != nil || got != c.want || rule == "" {
			t.Errorf("%s: %q by %q (%v), want %q", what, got, rule, err, c.want)
		}
	}
	_, _, err := Choose(free(), Data{})
	refused(t, "nothing", err, "x")
}

func TestTestsRefuse(t *testing.T) {
	m := free()
	good, flat := []float64{1, 2, 3, 5}, []float64{2, 2, 2}
	run := func(_ *Test, err error) error { return err }
	for what, c := range map[string]struct {
		err   error
		field string
	}{
		"empty x":               {run(TTestOne(m, Sample{Field: "x", Values: []float64{}}, 0, two)), "x"},
		"one value":             {run(TTestOne(m, values("x", []float64{1}), 0, two)), "x"},
		"constant x":            {run(TTestOne(m, values("x", flat), 0, two)), "x"},
		"constant x and y":      {run(TTestWelch(m, values("x", flat), values("y", flat), 0, two)), "x and y"},
		"pairs of other length": {run(TTestPaired(m, good, flat, 0, two)), "y"},
		"infinite value":        {run(MannWhitney(m, good, []float64{math.Inf(1)}, two)), "y[0]"},
		"all tied":              {run(MannWhitney(m, []float64{1, 1}, []float64{1}, two)), "x and y"},
		"no difference":         {run(SignedRank(m, "x", flat, 2, two)), "x"},
		"alternative":           {run(MannWhitney(m, good, flat, Options{Alternative: "bigger", Alpha: 0.05})), "alternative"},
		"alpha":                 {run(MannWhitney(m, good, flat, Options{Alternative: TwoSided, Alpha: 1})), "alpha"},
		"direction of F":        {run(OneWay(m, plants, with(Less))), "alternative"},
		"one group":             {run(OneWay(m, plants[:1], two)), "groups"},
		"no variation within":   {run(OneWay(m, [][]float64{{1, 1}, {2, 2}}, two)), "groups"},
		"groups all tied":       {run(KruskalWallis(m, [][]float64{{1, 1}, {1, 1}}, two)), "groups"},
		"ragged table":          {run(Independence([][]float64{{1, 2}, {3}}, false, two)), "table[1]"},
		"fraction in table":     {run(Independence([][]float64{{1, 2}, {3, 0.5}}, false, two)), "table[1][1]"},
		"empty column":          {run(Independence([][]float64{{0, 2}, {0, 5}}, false, two)), "table"},
		"empty row":             {run(Independence([][]float64{{0, 0}, {1, 5}}, false, two)), "table[0]"},
		"Yates of 2x3":          {run(Independence([][]float64{{1, 2, 3}, {3, 2, 1}}, true, two)), "yates"},
		"Fisher of 2x3":         {run(FisherExact(m, [][]float64{{1, 2, 3}, {3, 2, 1}}, two)), "table"},
		"expected sum":          {run(GoodnessOfFit([]float64{3, 4}, []float64{3, 9}, 0, two)), "expected"},
		"no degrees of freedom": {run(GoodnessOfFit([]float64{3, 4}, nil, 1, two)), "estimatedParameters"},
		"more successes":        {run(ProportionOne(5, 4, 0.5, two)), "successes[0]"},
		"p0":                    {run(ProportionOne(3, 4, 1, two)), "p0"},
		"no success at all":     {run(ProportionTwo(0, 4, 0, 5, two)), "successes"},
		"sigma":                 {run(ZTest(m, good, 0, 0, two)), "sigma"},
		"sigmaY":                {run(ZTestTwo(m, good, good, 0, 1, -1, two)), "sigmaY"},
		"resamples":             {run(PermutationTwo(m, good, flat, two, Resampling{Resamples: 10})), "resamples"},
		"constant for r":        {run(Pearson(m, good[:3], flat, two)), "y"},
		"sd of a table":         {run(TTestOne(m, Sample{Field: "summaries[0]", Moments: Moments{N: 5, Variance: math.NaN()}}, 0, two)), "summaries[0].sd"},
		"n of a table":          {run(TTestOne(m, Sample{Field: "summaries[0]", Moments: Moments{N: 1, Variance: 1}}, 0, two)), "summaries[0].n"},
	} {
		refused(t, what, c.err, c.field)
	}
}

// Moments alone give the test that the values give.
func TestMomentsStandInForValues(t *testing.T) {
	a, _ := momentsOf(free(), sleep1)
	b, _ := momentsOf(free(), sleep2)
	x, y := Sample{Field: "summaries[0]", Moments: a}, Sample{Field: "summaries[1]", Moments: b}
	for name, pair := range map[string][2]*Test{
		"one": {must[*Test](t)(TTestOne(free(), values("x", sleep1), 1, two)), must[*Test](t)(TTestOne(free(), x, 1, two))},
		"pooled": {
			must[*Test](t)(TTestPooled(free(), values("x", sleep1), values("y", sleep2), 0, two)),
			must[*Test](t)(TTestPooled(free(), x, y, 0, two)),
		},
		"Welch": {
			must[*Test](t)(TTestWelch(free(), values("x", sleep1), values("y", sleep2), 0, two)),
			must[*Test](t)(TTestWelch(free(), x, y, 0, two)),
		},
	} {
		near(t, name+": p", pair[1].PValue, pair[0].PValue, 1e-14)
		if pair[1].N != pair[0].N {
			t.Errorf("%s: n = %d, want %d", name, pair[1].N, pair[0].N)
		}
		var unchecked bool
		for _, as := range pair[1].Assumptions {
			unchecked = unchecked || as.Name == "normal distribution" && as.Status == NotChecked
		}
		if !unchecked {
			t.Errorf("%s: normality of moments was not left unchecked: %v", name, pair[1].Assumptions)
		}
	}
}

func TestEffectSizes(t *testing.T) {
	one := must[*Test](t)(TTestOne(free(), values("x", []float64{5.1, 4.9, 5.6, 4.7, 5.3, 5.0, 5.2, 4.8}), 5, two))
	d, g := effect(t, one, "Cohen"), effect(t, one, "Hedges")
	near(t, "d", *d.Value, 0.72761/math.Sqrt(8), 2e-6)
	near(t, "g/d", *g.Value / *d.Value, 0.88820290767, 1e-10) // Γ(3.5)/(√3.5·Γ(3))
	low, high := span(t, d.Interval)
	near(t, "upper tail at the low end", 1-noncentralT(one.Statistic, 7, low*math.Sqrt(8)), 0.025, 1e-9)
	near(t, "lower tail at the high end", noncentralT(one.Statistic, 7, high*math.Sqrt(8)), 0.025, 1e-9)

	u := must[*Test](t)(MannWhitney(free(), []float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}, two))
	r := effect(t, u, "rank-biserial")
	if l, h := span(t, r.Interval); *r.Value != -1 || l != -1 || !(h > -1 && h < 0.5) {
		t.Errorf("complete separation: r = %g in [%g, %g]", *r.Value, l, h)
	}
	props := must[*Test](t)(ProportionTwo(10, 20, 5, 20, two))
	near(t, "risk ratio", *effect(t, props, "risk").Value, 2, 1e-14)
	or := effect(t, props, "odds ratio")
	near(t, "odds ratio", *or.Value, 3, 1e-14)
	low, high = span(t, or.Interval)
	near(t, "log odds ratio is central", low*high, 9, 1e-12)
	near(t, "Woolf", math.Log(high/3), 1.959963984540054*math.Sqrt(0.1+0.1+0.2+1.0/15), 1e-12)
	none := must[*Test](t)(ProportionTwo(0, 20, 5, 20, two))
	if e := effect(t, none, "odds ratio"); e.Value != nil || e.Note == "" {
		t.Errorf("odds ratio with an empty cell: %+v", e)
	}
}

// One-sided tests have intervals with one end, which excludes the null value
// exactly when the test rejects.
func TestIntervalsGoWithTheAlternative(t *testing.T) {
	for _, a := range alternatives {
		for _, mu := range []float64{-1, 0, 0.7, 2, 3} {
			tt := must[*Test](t)(TTestOne(free(), values("x", sleep1), mu, with(a)))
			iv := tt.Estimates[0].Interval
			if (iv.Low == nil) != (a == Less) || (iv.High == nil) != (a == Greater) {
				t.Fatalf("%s: interval %+v", a, iv)
			}
			inside := (iv.Low == nil || *iv.Low < mu) && (iv.High == nil || mu < *iv.High)
			if inside == tt.Rejected {
				t.Errorf("%s, mu = %g: rejected %v, but inside the interval is %v", a, mu, tt.Rejected, inside)
			}
		}
	}
}

func TestLargeSamples(t *testing.T) {
	x, y := normals(200_000, 0.02, 1, 1), normals(200_000, 0, 1, 2)
	u := must[*Test](t)(MannWhitney(free(), x, y, two))
	w := must[*Test](t)(TTestWelch(free(), values("x", x), values("y", y), 0, two))
	k := must[*Test](t)(KSTwo(free(), x, y, two))
	for name, tt := range map[string]*Test{"Mann-Whitney": u, "Welch": w, "Kolmogorov-Smirnov": k} {
		if !(tt.PValue > 0 && tt.PValue < 1e-3) {
			t.Errorf("%s: p = %g", name, tt.PValue)
		}
	}
	tau := must[*Test](t)(Kendall(free(), x, y, two))
	near(t, "tau of independent samples", *tau.Effect, 0, 4*2.0/3/math.Sqrt(200_000))
}

// A sample that does not vary spoils a check of its shape, not the test.
func TestConstantSampleBesideOneThatVaries(t *testing.T) {
	tt := must[*Test](t)(TTestWelch(free(), values("x", []float64{1, 2, 3, 4}), values("y", []float64{5, 5, 5}), 0, two))
	last := tt.Assumptions[len(tt.Assumptions)-1]
	if last.Status != Doubtful || !(tt.PValue > 0 && tt.PValue < 0.05) {
		t.Errorf("p = %g, %+v", tt.PValue, last)
	}
}
