package stats

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"
)

// The wanted values were computed with 30 digits.
func TestTails(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"t", tSF(0.72761, 7), 0.24523355928041057},
		{"t", tSF(2, 1), 0.14758361765043327},
		{"t", tSF(5, 3), 0.0076962190366511505},
		{"t", tSF(30, 10), 1.9808961710156621e-11},
		{"t", tSF(1e-3, 5), 0.49962039338609883},
		{"t", tSF(-1.5, 4.3), 0.89843547201456971},
		{"t", tSF(4, 1e6), 3.1673517005024052e-5},
		{"t", tSF(0.5, 1e6), 0.30853759373618569},
		{"t", tSF(12, 200), 1.2110680026233157e-25},
		{"chi", chiSF(1.44, 1), 0.23013934044341654},
		{"chi", chiSF(6.667, 1), 0.0098214373578095788},
		{"chi", chiSF(200, 3), 4.2185411071920423e-43},
		{"chi", chiSF(0.1, 10), 0.99999999750204866},
		{"chi", chiSF(1000, 1000), 0.49405285382923964},
		{"chi", chiSF(1e-6, 1), 0.99920211557217787},
		{"F", fSF(3, 2, 10), 0.095367431640625},
		{"F", fSF(50, 4, 20), 3.8904822842434567e-10},
		{"F", fSF(1, 5, 5), 0.5},
		{"F", fSF(1e-3, 2, 7), 0.99900064252056444},
		{"F", fSF(1.1, 1000, 1e5), 0.015052537262233549},
		{"t", tSF(2, 99_999), 0.022751481742251236},
		{"t", tSF(2, 100_001), 0.022751481715255497},
		{"t", tSF(2, 1e12), 0.022750131948314185},
		{"t", tSF(9, 2e5), 1.1381088842164101e-19},
		{"t quantile", tQuantile(0.975, 7), 2.36462425159279},
		{"t quantile", tQuantile(0.995, 3), 5.84090930973336},
		{"t quantile", tQuantile(0.025, 7), -2.36462425159279},
	} {
		closeTo(t, c.name, c.got, c.want, 1e-11)
	}
	if tSF(math.MaxFloat64, 3) != 0 || chiSF(math.Inf(1), 2) != 0 || fSF(math.Inf(1), 1, 1) != 0 || chiSF(0, 2) != 1 || fSF(-1, 1, 1) != 1 {
		t.Error("tails at the ends of the range are not 0 and 1")
	}
}

func TestQuantilesInvertTails(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.Float64Range(1e-6, 1-1e-6).Draw(t, "p")
		nu := rapid.Float64Range(0.5, 1e5).Draw(t, "nu")
		if q := 1 - tSF(tQuantile(p, nu), nu); math.Abs(q-p) > 1e-9 {
			t.Errorf("t: F(Q(%g)) = %g for nu %g", p, q, nu)
		}
		a, b := rapid.Float64Range(0.5, 1e4).Draw(t, "a"), rapid.Float64Range(1, 1e4).Draw(t, "b")
		if q := (distuv.Beta{Alpha: a, Beta: b}).CDF(betaQuantile(p, a, b)); math.Abs(q-p) > 1e-8 {
			t.Errorf("beta(%g, %g): F(Q(%g)) = %g", a, b, p, q)
		}
		if q := (distuv.Gamma{Alpha: a, Beta: 1}).CDF(gammaQuantile(p, a)); math.Abs(q-p) > 1e-8 {
			t.Errorf("gamma(%g): F(Q(%g)) = %g", a, p, q)
		}
	})
}

// The wanted values were computed with 30 digits.
func TestNoncentral(t *testing.T) {
	for _, c := range []struct{ x, nu, delta, want float64 }{
		{2, 7, 1, 0.794505011661017},
		{0.7, 7, 0.3, 0.643976779839232},
		{-1, 5, 0.5, 0.0824440910567235},
		{10, 20, 8, 0.842988442441923},
		{0, 4, 1.2, 0.115069670221708},
		{3, 3, -1, 0.996276952998712},
		{40, 30, 35, 0.812010600613308},
		{2.5, 1, 1, 0.684489366597676},
	} {
		closeTo(t, "noncentral t", noncentralT(c.x, c.nu, c.delta), c.want, 1e-9)
	}
	closeTo(t, "noncentral chi-squared", noncentralChi(5, 1, 2), 0.794289143656529, 1e-11)
	closeTo(t, "noncentral chi-squared", noncentralChi(10, 3, 20), 0.0572925020550763, 1e-11)
	closeTo(t, "noncentral chi-squared", noncentralChi(300, 4, 250), 0.921971256060601, 1e-11)
	closeTo(t, "noncentral F", noncentralF(3, 2, 10, 4), 0.548967890878535, 1e-11)
	closeTo(t, "noncentral F", noncentralF(20, 4, 40, 60), 0.749578864507211, 1e-11)
	closeTo(t, "central chi-squared", noncentralChi(1, 2, 0), 1-chiSF(1, 2), 1e-12)
	closeTo(t, "central F", noncentralF(1, 3, 30, 0), 1-fSF(1, 3, 30), 1e-12)
}

func TestNoncentralTAgainstSeries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nu := rapid.Float64Range(1, 500).Draw(t, "nu")
		delta := rapid.Float64Range(-5, 25).Draw(t, "delta")
		x := rapid.Float64Range(0, 60).Draw(t, "x")
		want := distuv.NoncentralT{Nu: nu, Mu: delta}.CDF(x)
		if got := noncentralT(x, nu, delta); math.Abs(got-want) > 1e-7 {
			t.Errorf("P(T ≤ %g; %g, %g) = %.12g, want %.12g", x, nu, delta, got, want)
		}
	})
}

func TestNoncentralBoundsCoverTheStatistic(t *testing.T) {
	for _, c := range []struct{ t, nu float64 }{{2, 7}, {0, 10}, {-3, 4}, {50, 12}, {1000, 30}, {5, 1e6}} {
		low, high := noncentralTBounds(c.t, c.nu, 0.95)
		near(t, "upper tail at the low bound", 1-noncentralT(c.t, c.nu, low), 0.025, 1e-8)
		near(t, "lower tail at the high bound", noncentralT(c.t, c.nu, high), 0.025, 1e-8)
		if !(low < c.t*1.2+3 && high > low) {
			t.Errorf("bounds of t = %g: %g to %g", c.t, low, high)
		}
	}
	low, high, ok := noncentralBounds(func(l float64) float64 { return noncentralChi(0.5, 1, l) }, 0.95)
	if low != 0 || !ok || high <= 0 {
		t.Errorf("bounds of a small chi-squared: %g to %g, %v; want 0 to something", low, high, ok)
	}
	if _, _, ok := noncentralBounds(func(l float64) float64 { return noncentralChi(1e9, 1, l) }, 0.95); ok {
		t.Error("a noncentrality beyond the bound was computed")
	}
}
