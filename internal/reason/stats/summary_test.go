package stats

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

var plain = SummaryOptions{Level: 0.95, Fence: 1.5}

func TestSummaryKnown(t *testing.T) {
	s := must[*Summary](t)(Summarize(free(), []float64{2, 4, 4, 4, 5, 5, 7, 9}, plain))
	near(t, "mean", s.Mean, 5, 0)
	near(t, "population variance", *s.Variance, 4, 1e-15)
	near(t, "sample variance", *s.SampleVariance, 32.0/7, 1e-15)
	near(t, "sd", *s.Stddev, 2, 1e-15)
	near(t, "median", s.Median, 4.5, 0)
	near(t, "g1", *s.Skewness, 0.65625, 1e-14)
	near(t, "G1", *s.SampleSkewness, 0.65625*math.Sqrt(56)/6, 1e-14)
	near(t, "g2", *s.ExcessKurtosis, 44.5/16-3, 1e-14)
	near(t, "G2", *s.SampleExcessKurtosis, 7.0/30*(9*(44.5/16-3)+6), 1e-14)
	near(t, "MAD", s.MAD, 0.5, 0)
	near(t, "IQR", *s.IQR, 1.5, 1e-15)
	low, high := span(t, s.MeanCI)
	half := 2.36462425159279 * math.Sqrt(32.0/7/8)
	near(t, "CI low", low, 5-half, 1e-12)
	near(t, "CI high", high, 5+half, 1e-12)
	if o := s.Outliers; o.Count != 1 || o.Listed[0] != (Outlier{Index: 7, Value: 9}) {
		t.Errorf("outliers = %+v, want the 9 above %g", o, 5.5+2.25)
	}
}

func TestSummaryRefusesWhatHasNoStatistics(t *testing.T) {
	_, err := Summarize(free(), nil, plain)
	refused(t, "empty", err, "data")
	_, err = Summarize(free(), []float64{1, math.NaN()}, plain)
	refused(t, "NaN", err, "data[1]")
	_, err = Summarize(free(), make([]float64, MaxValues+1), plain)
	refused(t, "too long", err, "data")
	_, err = Summarize(free(), []float64{1}, SummaryOptions{Level: 1, Fence: 1.5})
	refused(t, "level", err, "confidence")
	_, err = Summarize(free(), []float64{1}, SummaryOptions{Level: 0.9, Fence: 1.5, Quantiles: []float64{2}})
	refused(t, "quantile", err, "quantiles[0]")
	_, err = Summarize(free(), []float64{1}, SummaryOptions{Level: 0.9, Fence: -1})
	refused(t, "fence", err, "fence")
}

func TestSummaryLeavesOutWhatIsNotAssessable(t *testing.T) {
	s := must[*Summary](t)(Summarize(free(), []float64{7}, plain))
	if s.Mean != 7 || s.SampleVariance != nil || s.MeanCI != nil || s.Skewness != nil || len(s.Notes) == 0 {
		t.Errorf("one value: %+v", s)
	}
	s = must[*Summary](t)(Summarize(free(), []float64{0.1, 0.1, 0.1}, plain))
	if *s.Variance != 0 || *s.SampleVariance != 0 || s.Skewness != nil {
		t.Errorf("constant data: variance %g, skewness %v", *s.Variance, s.Skewness)
	}
	s = must[*Summary](t)(Summarize(free(), []float64{1, 2}, plain))
	if s.SampleSkewness != nil || s.SampleExcessKurtosis != nil {
		t.Error("two values have a sample skewness or kurtosis")
	}
}

func TestSummaryIsStable(t *testing.T) {
	// The classical failure of the textbook formula: a variance of 30 on 1e9.
	s := must[*Summary](t)(Summarize(free(), []float64{1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16}, plain))
	near(t, "sample variance", *s.SampleVariance, 30, 1e-15)
	// Sums and squares that overflow or vanish.
	s = must[*Summary](t)(Summarize(free(), []float64{1e308, 1.5e308, 1.7e308}, plain))
	closeTo(t, "mean", s.Mean, 1.4e308, 1e-15)
	closeTo(t, "sd", *s.Stddev, 1e308*math.Sqrt(0.26/3), 1e-13)
	if s.Variance != nil || s.Sum != nil {
		t.Error("a variance beyond the range of a float is there")
	}
	s = must[*Summary](t)(Summarize(free(), []float64{1e-300, 2e-300, 3e-300}, plain))
	closeTo(t, "sd", *s.SampleStddev, 1e-300, 1e-14)
}

func TestSummaryOfAMillion(t *testing.T) {
	x := make([]float64, MaxValues)
	for i := range x {
		x[i] = float64((i*7919)%MaxValues) + 1 // a permutation of 1…10^6
	}
	s := must[*Summary](t)(Summarize(free(), x, plain))
	n := float64(MaxValues)
	closeTo(t, "mean", s.Mean, (n+1)/2, 1e-15)
	closeTo(t, "variance", *s.Variance, (n*n-1)/12, 1e-13)
	near(t, "skewness", *s.Skewness, 0, 1e-12)
	if s.Min != 1 || s.Max != n || s.Median != (n+1)/2 || s.Outliers.Count != 0 || s.N != MaxValues {
		t.Errorf("min %g, max %g, median %g, %d outliers", s.Min, s.Max, s.Median, s.Outliers.Count)
	}
}

func TestSummaryProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.SliceOfN(rapid.Float64Range(-50, 50), 4, 40).Draw(t, "x")
		x = append(x, 60, -60) // so that the data vary
		shift := rapid.Float64Range(-100, 100).Draw(t, "shift")
		scale := rapid.Float64Range(0.1, 10).Draw(t, "scale")
		a, err := Summarize(free(), x, plain)
		if err != nil {
			t.Fatal(err)
		}
		y := make([]float64, len(x))
		for i, v := range x {
			y[len(x)-1-i] = v*scale + shift // moved, stretched and in another order
		}
		b, err := Summarize(free(), y, plain)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			what      string
			got, want float64
		}{
			{"mean", b.Mean, a.Mean*scale + shift},
			{"sd", *b.SampleStddev, *a.SampleStddev * scale},
			{"median", b.Median, a.Median*scale + shift},
			{"MAD", b.MAD, a.MAD * scale},
			{"IQR", *b.IQR, *a.IQR * scale},
			{"skewness", *b.Skewness, *a.Skewness},
			{"kurtosis", *b.ExcessKurtosis, *a.ExcessKurtosis},
		} {
			if math.Abs(c.got-c.want) > 1e-8*(1+math.Abs(c.want)) {
				t.Errorf("%s = %g, want %g", c.what, c.got, c.want)
			}
		}
		if !(a.Min <= a.Median && a.Median <= a.Max && *a.Variance >= 0 && *a.ExcessKurtosis >= *a.Skewness**a.Skewness-2-1e-9) {
			t.Errorf("order or moment inequality broken: %+v", a)
		}
	})
}

func TestValuesAcrossTheWholeRange(t *testing.T) {
	x := []float64{-math.MaxFloat64, -math.MaxFloat64, math.MaxFloat64}
	if _, err := Summarize(free(), x, plain); fault.KindOf(err) != fault.Invalid {
		t.Errorf("summary: err = %v, want invalid", err)
	}
	if _, err := DescribeDraws(free(), x, 0.95, nil); fault.KindOf(err) != fault.Invalid {
		t.Errorf("draws: err = %v, want invalid", err)
	}
	if _, err := Pearson(free(), x, x, two); fault.KindOf(err) != fault.Invalid {
		t.Errorf("correlation: err = %v, want invalid", err)
	}
	if _, err := Regress(free(), append(x, 1), []Column{{Name: "x", Values: append(x, 2)}}, 0.95); fault.KindOf(err) != fault.Invalid {
		t.Errorf("regression: err = %v, want invalid", err)
	}
}

func TestDescribeDraws(t *testing.T) {
	mc := must[*MonteCarlo](t)(DescribeDraws(free(), []float64{1, 2, 3, 4, 100}, 0.95, nil))
	if mc.Samples != 5 || mc.Mean != 22 || mc.Percentile["p50"] != 3 || mc.Min != 1 || mc.Max != 100 || mc.Convergence.Stable {
		t.Errorf("%+v", mc)
	}
	_, err := DescribeDraws(free(), []float64{}, 0.95, nil)
	refused(t, "empty", err, "samples")
}
