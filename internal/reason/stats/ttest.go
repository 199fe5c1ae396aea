package stats

import (
	"fmt"
	"math"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// Sample is what a t test reads: values, or, where a client has only a table,
// their moments.
type Sample struct {
	Field   string    // the parameter it came from
	Values  []float64 // nil when only the moments are known
	Moments Moments   // used when Values is nil
}

// read checks s and returns its moments.
func (s Sample) read(m *budget.Meter) (Moments, error) {
	if s.Values == nil {
		return s.Moments, checkMoments(s.Field, s.Moments)
	}
	if err := checkSample(s.Field, s.Values, 2); err != nil {
		return Moments{}, err
	}
	return momentsOf(m, s.Values)
}

const studentSource = "Student 1908; Fisher 1925"

// TTestOne tests whether the mean of s is mu.
func TTestOne(m *budget.Meter, s Sample, mu float64, o Options) (*Test, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := finiteArg("mu", mu); err != nil {
		return nil, err
	}
	a, err := s.read(m)
	if err != nil {
		return nil, err
	}
	t := begin(o, "t_one_sample", "Student t test, one sample", studentSource,
		fmt.Sprintf("the mean is %g", mu), int(a.N))
	t.estimate("mean", a.Mean, nil)
	return t, t.finishOne(m, s, a, mu, o)
}

// finishOne computes a one-sample t test of a against mu.
func (t *Test) finishOne(m *budget.Meter, s Sample, a Moments, mu float64, o Options) error {
	nu := a.N - 1
	stat := (a.Mean - mu) / a.SE()
	if err := checkStatistic(s.Field, stat, "a standard deviation of 0, or a mean too far from mu"); err != nil {
		return err
	}
	t.DF = known(nu)
	t.decide("t", stat, o.p(tSF(-stat, nu), tSF(stat, nu)), exact)
	t.Estimates[0].Interval = o.around(a.Mean, a.SE(), func(p float64) float64 { return tQuantile(p, nu) }, "Student t")
	d := stat / math.Sqrt(a.N)
	t.standardised(d, stat, nu, math.Sqrt(a.N), o)
	t.independent()
	return t.normality(m, s)
}

// TTestPaired tests whether the mean of x−y is mu.
func TTestPaired(m *budget.Meter, x, y []float64, mu float64, o Options) (*Test, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := finiteArg("mu", mu); err != nil {
		return nil, err
	}
	d, err := Differences(x, y)
	if err != nil {
		return nil, err
	}
	s := Sample{Field: "x-y", Values: d}
	a, err := s.read(m)
	if err != nil {
		return nil, err
	}
	t := begin(o, "t_paired", "Student t test, paired", studentSource,
		fmt.Sprintf("the mean of the differences x-y is %g", mu), len(d))
	t.estimate("mean difference x-y", a.Mean, nil)
	return t, t.finishOne(m, s, a, mu, o)
}

// Differences returns x−y of two samples whose values belong together.
func Differences(x, y []float64) ([]float64, error) {
	if err := checkSample("x", x, 1); err != nil {
		return nil, err
	}
	if err := checkSample("y", y, 1); err != nil {
		return nil, err
	}
	if len(x) != len(y) {
		return nil, wrong("y", fmt.Sprintf("as many values as x (%d), each the partner of one", len(x)), len(y))
	}
	d := make([]float64, len(x))
	for i := range x {
		d[i] = x[i] - y[i]
		if math.IsInf(d[i], 0) {
			return nil, wrong(fmt.Sprintf("y[%d]", i), "a value whose difference to x is finite", y[i])
		}
	}
	return d, nil
}

// TTestPooled tests whether the means of two samples with equal variances differ
// by mu.
func TTestPooled(m *budget.Meter, x, y Sample, mu float64, o Options) (*Test, error) {
	a, b, err := readTwo(m, x, y, mu, o)
	if err != nil {
		return nil, err
	}
	nu := a.N + b.N - 2
	variance := ((a.N-1)*a.Variance + (b.N-1)*b.Variance) / nu
	se := math.Sqrt(variance * (1/a.N + 1/b.N))
	stat := (a.Mean - b.Mean - mu) / se
	if err := checkStatistic(x.Field+" and "+y.Field, stat, "standard deviations of 0, or means too far apart"); err != nil {
		return nil, err
	}
	t := begin(o, "t_pooled", "Student t test, two samples, pooled variance", studentSource,
		fmt.Sprintf("the means differ by %g", mu), int(a.N), int(b.N))
	t.DF = known(nu)
	t.decide("t", stat, o.p(tSF(-stat, nu), tSF(stat, nu)), exact)
	t.estimate("mean difference x-y", a.Mean-b.Mean, o.around(a.Mean-b.Mean, se, func(p float64) float64 { return tQuantile(p, nu) }, "Student t"))
	t.meansOf(a, b)
	root := math.Sqrt(a.N * b.N / (a.N + b.N))
	t.standardised(stat/root, stat, nu, root, o)
	t.independent()
	if err := t.normality(m, x, y); err != nil {
		return nil, err
	}
	return t, t.equalVariances(m, x, y)
}

// TTestWelch tests whether the means of two samples differ by mu, whatever their
// variances.
func TTestWelch(m *budget.Meter, x, y Sample, mu float64, o Options) (*Test, error) {
	a, b, err := readTwo(m, x, y, mu, o)
	if err != nil {
		return nil, err
	}
	va, vb := a.Variance/a.N, b.Variance/b.N
	se := math.Sqrt(va + vb)
	stat := (a.Mean - b.Mean - mu) / se
	if err := checkStatistic(x.Field+" and "+y.Field, stat, "standard deviations of 0, or means too far apart"); err != nil {
		return nil, err
	}
	fa := va / (va + vb) // scaled first: the squares cannot overflow
	nu := 1 / (fa*fa/(a.N-1) + (1-fa)*(1-fa)/(b.N-1))
	t := begin(o, "t_welch", "Welch t test, two samples, unequal variances", "Welch 1947; Satterthwaite 1946",
		fmt.Sprintf("the means differ by %g", mu), int(a.N), int(b.N))
	t.DF = known(nu)
	t.decide("t", stat, o.p(tSF(-stat, nu), tSF(stat, nu)), "approximate degrees of freedom")
	t.estimate("mean difference x-y", a.Mean-b.Mean, o.around(a.Mean-b.Mean, se, func(p float64) float64 { return tQuantile(p, nu) }, "Welch-Satterthwaite"))
	t.meansOf(a, b)
	t.bonett(a, b, mu, o)
	t.independent()
	t.assume("equal variances", "not needed", "Welch's form allows unequal variances")
	return t, t.normality(m, x, y)
}

func readTwo(m *budget.Meter, x, y Sample, mu float64, o Options) (a, b Moments, err error) {
	if err = o.check(); err != nil {
		return a, b, err
	}
	if err = finiteArg("mu", mu); err != nil {
		return a, b, err
	}
	if a, err = x.read(m); err != nil {
		return a, b, err
	}
	if b, err = y.read(m); err != nil {
		return a, b, err
	}
	return a, b, checkTotal("x and y", len(x.Values)+len(y.Values))
}

func (t *Test) meansOf(a, b Moments) {
	t.estimate("mean x", a.Mean, nil)
	t.estimate("mean y", b.Mean, nil)
	t.estimate("sd x", a.SD(), nil)
	t.estimate("sd y", b.SD(), nil)
}

// maxShapiro is the largest sample of Royston's approximation.
const maxShapiro = 5000

// normality notes what the samples say about the normal distribution.
func (t *Test) normality(m *budget.Meter, samples ...Sample) error {
	const name = "normal distribution"
	for _, s := range samples {
		n := len(s.Values)
		switch {
		case s.Values == nil:
			t.assume(name, NotChecked, "%s: only n, mean and sd were given", s.Field)
		case n < 3:
			t.assume(name, NotChecked, "%s: too few values to tell", s.Field)
		case n > maxShapiro:
			t.assume(name, NotChecked, "%s: n = %d; the test of a mean hardly depends on it at this size", s.Field, n)
		case slices.Min(s.Values) == slices.Max(s.Values):
			t.assume(name, Doubtful, "%s: all values are equal", s.Field)
		default:
			w, p, err := ShapiroWilk(m, s.Values)
			if err != nil {
				return err
			}
			status := Met
			if p < 0.05 {
				status = Doubtful
			}
			t.assume(name, status, "%s: Shapiro-Wilk W = %.4f, p = %.4g", s.Field, w, p)
		}
	}
	return nil
}

// equalVariances notes the Brown-Forsythe test of the samples.
func (t *Test) equalVariances(m *budget.Meter, samples ...Sample) error {
	const name = "equal variances"
	groups := make([][]float64, 0, len(samples))
	for _, s := range samples {
		if s.Values == nil {
			t.assume(name, NotChecked, "only n, mean and sd were given")
			return nil
		}
		groups = append(groups, s.Values)
	}
	f, p, ok, err := brownForsythe(m, groups)
	switch {
	case err != nil:
		return err
	case !ok:
		t.assume(name, NotChecked, "the deviations do not vary")
	case p < 0.05:
		t.assume(name, Doubtful, "Brown-Forsythe F = %.4g, p = %.4g", f, p)
	default:
		t.assume(name, Met, "Brown-Forsythe F = %.4g, p = %.4g", f, p)
	}
	return nil
}
