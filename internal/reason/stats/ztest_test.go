package stats

import (
	"math"
	"testing"
)

func TestZTests(t *testing.T) {
	one := must[*Test](t)(ZTest(free(), []float64{1, 3}, 0, 2, two))
	near(t, "z", one.Statistic, math.Sqrt2, 1e-15)
	near(t, "p", one.PValue, 0.157299207050285, 1e-14)
	low, high := span(t, one.Estimates[0].Interval)
	near(t, "low", low, 2-1.959963984540054*math.Sqrt2, 1e-12)
	near(t, "high", high, 2+1.959963984540054*math.Sqrt2, 1e-12)
	near(t, "d", *one.Effect, 1, 1e-15)
	pair := must[*Test](t)(ZTestTwo(free(), []float64{1, 3}, []float64{0, 0, 0}, 0, 3, 4, with(Greater)))
	near(t, "z", pair.Statistic, 2/math.Sqrt(4.5+16.0/3), 1e-15)
	near(t, "p", pair.PValue, normSF(pair.Statistic), 1e-15)
	if pair.N != 5 || pair.Estimates[0].Interval.High != nil {
		t.Errorf("n = %d, interval %+v", pair.N, pair.Estimates[0].Interval)
	}
	_, err := ZTest(free(), []float64{1, 3}, 1e308, 1e-3, two)
	refused(t, "infinite z", err, "mu")
	_, err = ZTest(free(), []float64{1, 3}, math.NaN(), 1, two)
	refused(t, "mu", err, "mu")
}

func TestExactRelations(t *testing.T) {
	var x, y []float64
	for i := range 15 {
		x, y = append(x, float64(i)), append(y, 7-float64(i)/3)
	}
	for name, run := range map[string]func() (*Test, error){
		"Pearson":  func() (*Test, error) { return Pearson(free(), x, y, two) },
		"Spearman": func() (*Test, error) { return Spearman(free(), x, y, two) },
		"Kendall":  func() (*Test, error) { return Kendall(free(), x, y, two) },
	} {
		tt := must[*Test](t)(run())
		if *tt.Effect != -1 || tt.PValue > 1e-9 || tt.EffectSizes[0].Interval != nil || len(tt.Notes) == 0 {
			t.Errorf("%s: %+v", name, tt)
		}
	}
	rho := must[*Test](t)(Spearman(free(), x, y, two))
	closeTo(t, "p of one order in 15!", rho.PValue, 2/1307674368000.0, 1e-10)
	_, err := Pearson(free(), x, y[:14], two)
	refused(t, "lengths", err, "y")
	_, err = Spearman(free(), x[:2], y[:2], two)
	refused(t, "two pairs", err, "x")
}

// For ten and more pairs p is that of the t approximation.
func TestSpearmanOfManyPairs(t *testing.T) {
	x, y := normals(60, 0, 1, 1), normals(60, 0, 1, 2)
	for i := range y {
		y[i] += 0.5 * x[i]
	}
	tt := must[*Test](t)(Spearman(free(), x, y, two))
	r := *tt.Effect
	near(t, "t", tt.Statistic, r*math.Sqrt(58/(1-r*r)), 1e-12)
	near(t, "p", tt.PValue, 2*tSF(tt.Statistic, 58), 1e-14)
	low, high := span(t, tt.EffectSizes[0].Interval)
	near(t, "interval", math.Atanh(high)-math.Atanh(low), 2*1.959963984540054*math.Sqrt((1+r*r/2)/57), 1e-12)
}

func TestBayesFactorsInWords(t *testing.T) {
	for l, want := range map[float64]string{
		0.5: "not worth more than a bare mention", -0.99: "not worth more than a bare mention",
		2: "positive evidence for the prior over the fixed value", -4: "strong evidence for the fixed value",
		-50: "very strong evidence for the fixed value",
	} {
		if got := reading(l); got != want {
			t.Errorf("reading(%g) = %q, want %q", l, got, want)
		}
	}
}
