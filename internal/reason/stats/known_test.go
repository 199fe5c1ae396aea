package stats

import (
	"testing"
)

// Data sets of textbooks, with the answers of R.
var (
	sleep1 = []float64{0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0} // Student 1908
	sleep2 = []float64{1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4}
	plants = [][]float64{ // Dobson 1983
		{4.17, 5.58, 5.18, 6.11, 4.50, 4.61, 5.17, 4.53, 5.33, 5.14},
		{4.81, 4.17, 4.41, 3.59, 5.87, 3.83, 6.03, 4.89, 4.32, 4.69},
		{6.31, 5.12, 5.54, 5.50, 5.37, 5.29, 4.92, 6.15, 5.80, 5.26},
	}
	tuna   = []float64{44.4, 45.9, 41.9, 53.3, 44.7, 44.1, 50.7, 45.2, 60.1} // Hollander & Wolfe 1973
	rating = []float64{2.6, 3.1, 2.5, 5.0, 3.6, 4.0, 5.2, 2.8, 3.8}
)

func values(field string, x []float64) Sample { return Sample{Field: field, Values: x} }

func TestKnownAnswers(t *testing.T) {
	x, y := values("x", sleep1), values("y", sleep2)
	scale := []float64{5.1, 4.9, 5.6, 4.7, 5.3, 5.0, 5.2, 4.8}
	m := free()
	for _, c := range []struct {
		name    string
		run     func() (*Test, error)
		stat, p float64
		df      float64 // 0: none
		tol     float64
	}{
		{"one-sample t", func() (*Test, error) { return TTestOne(m, values("x", scale), 5, two) }, 0.72761, 0.49047, 7, 6e-6},
		{"pooled t", func() (*Test, error) { return TTestPooled(m, x, y, 0, two) }, -1.8608, 0.07919, 18, 5e-5},
		{"Welch t", func() (*Test, error) { return TTestWelch(m, x, y, 0, two) }, -1.8608, 0.07939, 17.776, 5e-5},
		{"paired t", func() (*Test, error) { return TTestPaired(m, sleep1, sleep2, 0, two) }, -4.0621, 0.002833, 9, 5e-5},
		{"signed rank", func() (*Test, error) { return SignedRank(m, "x", diff(sleep1, sleep2), 0, two) }, 0, 0.009091, 0, 5e-7},
		{"Mann-Whitney", func() (*Test, error) {
			return MannWhitney(m, []float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}, two)
		}, 0, 0.0079365, 0, 5e-8},
		{"one proportion", func() (*Test, error) { return ProportionOne(44, 100, 0.5, two) }, -1.2, 0.2301393, 0, 1e-7},
		{"two proportions", func() (*Test, error) { return ProportionTwo(200, 1000, 250, 1000, two) }, -2.677, 0.00742, 0, 5e-4},
		{"binomial", func() (*Test, error) { return BinomialExact(m, 682, 925, 0.75, two) }, 682, 0.3825, 0, 5e-5},
		{"goodness of fit", func() (*Test, error) {
			return GoodnessOfFit([]float64{44, 56}, []float64{50, 50}, 0, two)
		}, 1.44, 0.23014, 1, 5e-6},
		{"independence", func() (*Test, error) {
			return Independence([][]float64{{10, 20}, {20, 10}}, false, two)
		}, 20.0 / 3, 0.009823, 1, 1e-6},
		{"Yates", func() (*Test, error) { return Independence([][]float64{{10, 20}, {20, 10}}, true, two) }, 5.4, 0.02014, 1, 5e-6},
		{"tea tasting", func() (*Test, error) {
			return FisherExact(m, [][]float64{{4, 0}, {0, 4}}, with(Greater))
		}, 4, 1.0 / 70, 0, 1e-13},
		{"tea tasting, one wrong", func() (*Test, error) {
			return FisherExact(m, [][]float64{{3, 1}, {1, 3}}, two)
		}, 3, 34.0 / 70, 0, 1e-12},
		{"Kruskal-Wallis", func() (*Test, error) { return KruskalWallis(m, plants, two) }, 7.9882, 0.01842, 2, 5e-5},
		{"analysis of variance", func() (*Test, error) { return OneWay(m, plants, two) }, 4.846, 0.01591, 2, 5e-4},
		{"Pearson", func() (*Test, error) { return Pearson(m, tuna, rating, two) }, 1.8411, 0.1082, 7, 5e-5},
		{"Spearman", func() (*Test, error) { return Spearman(m, tuna, rating, two) }, 0.6, 0.0968, 0, 5e-5},
		{"Kendall", func() (*Test, error) { return Kendall(m, tuna, rating, two) }, 16, 0.1194, 0, 5e-5},
		{"Kendall with ties", func() (*Test, error) {
			return Kendall(m, []float64{12, 2, 1, 12, 2}, []float64{1, 4, 7, 1, 0}, two)
		}, -1.0742, 0.2827454599327748, 0, 5e-5},
	} {
		tt, err := c.run()
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		near(t, c.name+": statistic", tt.Statistic, c.stat, max(c.tol, 5e-4*min(1, c.tol*1e4)))
		near(t, c.name+": p", tt.PValue, c.p, c.tol)
		if c.df != 0 {
			near(t, c.name+": df", *tt.DF, c.df, 5e-5)
		}
		if tt.Rejected != (tt.PValue <= 0.05) || tt.N == 0 || len(tt.Assumptions) == 0 || tt.Source == "" || tt.Null == "" {
			t.Errorf("%s: incomplete result %+v", c.name, tt)
		}
	}
}

func diff(x, y []float64) []float64 {
	d := make([]float64, len(x))
	for i := range x {
		d[i] = x[i] - y[i]
	}
	return d
}

func TestKnownIntervals(t *testing.T) {
	m := free()
	check := func(what string, iv *Interval, low, high, tol float64) {
		t.Helper()
		l, h := span(t, iv)
		near(t, what+": low", l, low, tol)
		near(t, what+": high", h, high, tol)
	}
	welch := must[*Test](t)(TTestWelch(m, values("x", sleep1), values("y", sleep2), 0, two))
	check("Welch", welch.Estimates[0].Interval, -3.3654832, 0.2054832, 5e-8)
	paired := must[*Test](t)(TTestPaired(m, sleep1, sleep2, 0, two))
	check("paired", paired.Estimates[0].Interval, -2.4598858, -0.7001142, 5e-8)
	low, high := Wilson(8, 10, 0.95)
	near(t, "Wilson low", low, 0.4902, 5e-5)
	near(t, "Wilson high", high, 0.9433, 5e-5)
	props := must[*Test](t)(ProportionTwo(56, 70, 48, 80, two))
	check("Newcombe", props.Estimates[2].Interval, 0.0524, 0.3339, 5e-5)
	binomial := must[*Test](t)(BinomialExact(m, 682, 925, 0.75, two))
	check("Clopper-Pearson", binomial.Estimates[0].Interval, 0.7076683, 0.7654066, 5e-8)
	tea := must[*Test](t)(FisherExact(m, [][]float64{{3, 1}, {1, 3}}, two))
	or := effect(t, tea, "odds ratio")
	// Roots of the quartic with weights 1, 16, 36, 16, 1, to 15 digits.
	near(t, "conditional odds ratio", *or.Value, 6.40831965819967, 1e-12)
	check("odds ratio", or.Interval, 0.211735595446579, 626.243530588814, 1e-12)
	pearson := must[*Test](t)(Pearson(m, tuna, rating, two))
	check("Fisher z", effect(t, pearson, "Pearson").Interval, -0.1497426, 0.8955795, 5e-8)
	near(t, "Kendall tau", *must[*Test](t)(Kendall(m, tuna, rating, two)).Effect, 0.4444444, 5e-8)
	near(t, "Kendall tau-b", *must[*Test](t)(Kendall(m, []float64{12, 2, 1, 12, 2}, []float64{1, 4, 7, 1, 0}, two)).Effect, -0.47140452079103173, 1e-14)
	phi := effect(t, must[*Test](t)(Independence([][]float64{{20, 10}, {10, 20}}, false, two)), "phi")
	near(t, "phi", *phi.Value, 1.0/3, 1e-14)
	eta := effect(t, must[*Test](t)(OneWay(m, plants, two)), "eta")
	near(t, "eta squared", *eta.Value, 0.2641, 5e-5)
}

func TestShapiroWilkKnown(t *testing.T) {
	for _, c := range []struct {
		x    []float64
		w, p float64
	}{
		{[]float64{0.11, 7.87, 4.61, 10.14, 7.95, 3.14, 0.46, 4.43, 0.21, 4.75, 0.71, 1.52, 3.24, 0.93, 0.42, 4.97, 9.53, 4.55, 0.47, 6.66}, 0.90047299861907959, 0.042089745402336121},
		{[]float64{1.36, 1.14, 2.92, 2.55, 1.46, 1.06, 5.27, -1.11, 3.48, 1.10, 0.88, -0.51, 1.46, 0.52, 6.20, 1.69, 0.08, 3.67, 2.81, 3.49}, 0.9590270, 0.52460},
	} {
		w, p, err := ShapiroWilk(free(), c.x)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "W", w, c.w, 1e-5)
		near(t, "p", p, c.p, 2e-4)
	}
	if w, p, err := ShapiroWilk(free(), []float64{1, 2, 3}); err != nil || w < 1-1e-12 || p < 1-1e-6 {
		t.Errorf("three equally spaced values: W = %g, p = %g, %v; want 1 and 1", w, p, err)
	}
	_, _, err := ShapiroWilk(free(), []float64{4, 4, 4})
	refused(t, "constant", err, "x")
	if _, p, _ := ShapiroWilk(free(), append(make([]float64, 9), 1e6)); p > 1e-6 {
		t.Errorf("one far value in ten: p = %g", p)
	}
}

func TestCorrections(t *testing.T) {
	c, err := AdjustPValues(free(), []float64{0.01, 0.02, 0.03, 0.04, 0.05}, 0.05)
	if err != nil {
		t.Fatal(err)
	}
	if c.BH.Count != 5 || c.Holm.Count != 1 || !c.Holm.Rejected[0] {
		t.Errorf("rejections: BH %d, Holm %d; want 5 and 1", c.BH.Count, c.Holm.Count)
	}
	for i, want := range []float64{0.05, 0.08, 0.09, 0.09, 0.09} {
		near(t, "Holm", c.Holm.Adjusted[i], want, 1e-15)
		near(t, "BH", c.BH.Adjusted[i], 0.05, 1e-15)
	}
	c, _ = AdjustPValues(free(), []float64{0.9, 0.001, 0.04}, 0.05) // in any order
	near(t, "Holm of the smallest", c.Holm.Adjusted[1], 0.003, 1e-15)
	near(t, "BH of the middle", c.BH.Adjusted[2], 0.06, 1e-15)
	_, err = AdjustPValues(free(), nil, 0.05)
	refused(t, "none", err, "pValues")
	_, err = AdjustPValues(free(), []float64{0.5, 1.5}, 0.05)
	refused(t, "above 1", err, "pValues[1]")
}
