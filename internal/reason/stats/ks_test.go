package stats

import (
	"math"
	"testing"
)

func TestKolmogorovDistributions(t *testing.T) {
	sf := func(d float64, n int) float64 {
		p, err := smirnovSF(free(), d, n)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	// With 30 digits, by the sum of Birnbaum and Tingey.
	closeTo(t, "one-sided", sf(0.3, 5), 0.34282, 1e-13)
	closeTo(t, "one-sided", sf(0.1, 100), 0.126590658456282, 1e-12)
	closeTo(t, "one-sided", sf(0.02, 1000), 0.443424988439494, 1e-11)
	closeTo(t, "one-sided", sf(0.6, 10), 0.0002840836, 1e-12)
	if sf(0, 3) != 1 || sf(1, 3) != 0 {
		t.Error("P(D+ ≥ 0) and P(D+ ≥ 1) are not 1 and 0")
	}
	closeTo(t, "one value", sf(0.25, 1), 0.75, 1e-14)
	// By the matrix power, exactly; the first is the example of Marsaglia et al.
	for _, c := range []struct {
		d    float64
		n    int
		want float64
	}{{0.274, 10, 1 - 0.371520384543496}, {0.1, 50, 1 - 0.662311270465818}, {0.05, 300, 1 - 0.427441622391802}} {
		got, err := kolmogorovCDF(free(), c.d, c.n)
		if err != nil {
			t.Fatal(err)
		}
		closeTo(t, "two-sided", got, c.want, 1e-12)
	}
	for x, want := range map[float64]float64{0.5: 0.963945243664875, 0.8: 0.544142411574198, 1: 0.269999671677355, 1.36: 0.0494858767553779, 2: 0.000670925255779695} {
		closeTo(t, "limit", kolmogorovSF(x), want, 1e-12)
	}
	if kolmogorovSF(0) != 1 {
		t.Error("limit at 0 is not 1")
	}
}

// The three ways to a two-sided p meet where one gives way to the other.
func TestKolmogorovRegimesAgree(t *testing.T) {
	p := func(d float64, n int) float64 {
		v, _, err := ksOneP(free(), d, n, TwoSided)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, n := range []int{20, 100, 1000} {
		d := math.Sqrt(4 / float64(n))
		cdf, err := kolmogorovCDF(free(), d, n)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "doubled tail against the matrix", p(d, n), 1-cdf, 1e-12)
	}
	for _, root := range []float64{0.6, 1, 1.4} {
		small, large := p(root/math.Sqrt(exactKS), exactKS), p(root/math.Sqrt(exactKS+1), exactKS+1)
		near(t, "matrix against the limit", small, large, 5e-5)
	}
}

func TestKSOneUsesEveryContinuousDistribution(t *testing.T) {
	for kind, c := range map[string]struct {
		p     params
		x     []float64
		wantD float64
	}{
		"uniform":     {params{"min": 0, "max": 1}, []float64{0.1, 0.4, 0.7}, 0.3},
		"normal":      {params{"mean": 0, "sd": 1}, []float64{0}, 0.5},
		"exponential": {params{"rate": 2}, []float64{math.Ln2 / 2}, 0.5},
		"lognormal":   {params{"mu": 1, "sigma": 2}, []float64{math.E}, 0.5},
		"triangular":  {params{"min": 0, "mode": 1, "max": 2}, []float64{1}, 0.5},
		"beta":        {params{"alpha": 2, "beta": 2}, []float64{0.5}, 0.5},
		"gamma":       {params{"shape": 1, "rate": 1}, []float64{math.Ln2}, 0.5},
		"student_t":   {params{"df": 3}, []float64{0}, 0.5},
	} {
		tt, err := KSOne(free(), c.x, Distribution{Kind: kind, Params: c.p}, two)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		near(t, kind+": D", tt.Statistic, c.wantD, 1e-12)
	}
	_, err := KSOne(free(), []float64{1}, Distribution{Kind: "poisson", Params: params{"rate": 1}}, two)
	refused(t, "lattice", err, "distribution.distribution")
}
