package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

// BootstrapOptions say what is resampled, and how often.
type BootstrapOptions struct {
	Statistic string // mean, median, stddev or trimmed_mean
	Level     float64
	Resampling
}

// Bootstrap is a statistic with intervals that assume no distribution.
type Bootstrap struct {
	Statistic   string       `json:"statistic"`
	N           int          `json:"n"`
	GroupSizes  []int        `json:"groupSizes"`
	Estimate    float64      `json:"estimate"`
	Bias        *float64     `json:"bias,omitempty"`
	SE          *float64     `json:"standardError,omitempty"`
	Resamples   int          `json:"resamples"`
	Percentile  *Interval    `json:"percentileInterval"`
	BCa         *Interval    `json:"bcaInterval,omitempty"`
	Assumptions []Assumption `json:"assumptions"`
	Notes       []string     `json:"notes"`
}

// maxJackknife is the largest sample for which the acceleration is computed: it
// takes the statistic of every sample that lacks one value.
const maxJackknife = 2_000

// statistics of an unsorted slice, which they may reorder. Each notes whether it
// sorts.
var statistics = map[string]struct {
	of    func(x []float64) float64
	sorts bool
}{
	"mean":         {func(x []float64) float64 { return plainSum(x) / float64(len(x)) }, false},
	"median":       {func(x []float64) float64 { slices.Sort(x); return quantile(x, 0.5) }, true},
	"stddev":       {sampleSD, false},
	"trimmed_mean": {trimmedMean, true},
}

func sampleSD(x []float64) float64 {
	var r running
	for _, v := range x {
		r.add(v)
	}
	return math.Sqrt(r.m2 / (r.n - 1))
}

// trimmedMean leaves out a fifth of the values at either end (Wilcox 2012).
func trimmedMean(x []float64) float64 {
	slices.Sort(x)
	g := len(x) / 5
	return plainSum(x[g:len(x)-g]) / float64(len(x)-2*g)
}

// Resample bootstraps a statistic of x, or, with y, its difference x−y: resamples
// with replacement, the percentile interval (Efron 1979) and the bias-corrected
// and accelerated one (Efron 1987).
func Resample(m *budget.Meter, x, y []float64, o BootstrapOptions) (*Bootstrap, error) {
	stat, ok := statistics[o.Statistic]
	if !ok {
		return nil, wrong("statistic", "mean, median, stddev or trimmed_mean", o.Statistic)
	}
	if err := cmp.Or(levelArg("confidence", o.Level), o.Resampling.check(), checkSample("x", x, 3)); err != nil {
		return nil, err
	}
	samples := [][]float64{x}
	if y != nil {
		if err := cmp.Or(checkSample("y", y, 3), checkTotal("x and y", len(x)+len(y))); err != nil {
			return nil, err
		}
		samples = append(samples, y)
	}
	theta := func(s [][]float64) float64 {
		v := stat.of(s[0])
		if len(s) > 1 {
			v -= stat.of(s[1])
		}
		return v
	}
	out := &Bootstrap{Statistic: o.Statistic, GroupSizes: sizes(samples), N: len(x) + len(y), Notes: []string{}}
	out.Estimate = theta(clones(samples))
	if known(out.Estimate) == nil {
		return nil, wrong("x", "values whose statistic is within the range of a 64-bit float", "more")
	}
	cost := int64(out.N)/16 + 1
	if stat.sorts {
		cost *= 8
	}
	values, err := resamples(m, samples, theta, cost, o.Resampling)
	if err != nil {
		return nil, err
	}
	out.describe(values, o.Level)
	if out.Resamples < o.Resamples {
		out.Notes = append(out.Notes, fmt.Sprintf("the budget ended after %d of %d resamples", out.Resamples, o.Resamples))
	}
	return out, out.accelerate(m, samples, theta, values, o.Level)
}

func clones(samples [][]float64) [][]float64 {
	out := make([][]float64, len(samples))
	for i, s := range samples {
		out[i] = slices.Clone(s)
	}
	return out
}

// resamples returns the ascending statistics of random resamples.
func resamples(m *budget.Meter, samples [][]float64, theta func([][]float64) float64, cost int64, r Resampling) ([]float64, error) {
	parts, err := run(m, blocks{draws: r.Resamples, cost: cost, spread: r.Spread}, func(m *budget.Meter, block, count int) ([]float64, bool) {
		rng := seed.Stream(r.Seed, uint64(block))
		buf := clones(samples)
		out := make([]float64, count)
		for k := range out {
			if !m.Step(cost) {
				return nil, false
			}
			for g, s := range samples {
				for i := range s {
					buf[g][i] = s[rng.IntN(len(s))]
				}
			}
			out[k] = theta(buf)
		}
		return out, true
	})
	if err != nil {
		return nil, err
	}
	values := slices.Concat(parts...)
	slices.Sort(values) // at most MaxResamples
	return values, nil
}

func (b *Bootstrap) describe(values []float64, level float64) {
	var r running
	for _, v := range values {
		r.add(v)
	}
	b.Resamples, b.Bias, b.SE = len(values), known(r.mean-b.Estimate), known(math.Sqrt(r.m2/(r.n-1)))
	b.Percentile = &Interval{
		Low: known(quantile(values, (1-level)/2)), High: known(quantile(values, (1+level)/2)),
		Level: level, Method: "percentile (Efron 1979)",
	}
	b.Assumptions = []Assumption{
		{Name: "independent observations", Status: NotChecked, Detail: "follows from how the data were collected"},
		{Name: "sample large enough to stand for its population", Status: NotChecked, Detail: "intervals of fewer than about 20 values are too short"},
	}
}

// accelerate adds the BCa interval, where the jackknife is affordable and the
// statistic varies.
func (b *Bootstrap) accelerate(m *budget.Meter, samples [][]float64, theta func([][]float64) float64, values []float64, level float64) error {
	if b.N > maxJackknife {
		b.Notes = append(b.Notes, fmt.Sprintf("the BCa interval is computed for up to %d values; beyond, it hardly differs", maxJackknife))
		return nil
	}
	below, _ := slices.BinarySearch(values, b.Estimate)
	upTo, _ := slices.BinarySearch(values, math.Nextafter(b.Estimate, math.Inf(1)))
	share := (float64(below) + float64(upTo-below)/2) / float64(len(values))
	a, err := acceleration(m, samples, theta)
	if err != nil {
		return err
	}
	if share <= 0 || share >= 1 || known(a) == nil {
		b.Notes = append(b.Notes, "no BCa interval: the resampled statistic does not vary around the estimate")
		return nil
	}
	z0 := normQuantile(share)
	end := func(p float64) *float64 {
		z := z0 + normQuantile(p)
		return known(quantile(values, normCDF(z0+z/(1-a*z))))
	}
	b.BCa = &Interval{Low: end((1 - level) / 2), High: end((1 + level) / 2), Level: level, Method: "BCa (Efron 1987)"}
	return nil
}

// acceleration is a sixth of the skewness of the statistic's influence, by the
// jackknife over all samples.
func acceleration(m *budget.Meter, samples [][]float64, theta func([][]float64) float64) (float64, error) {
	var cubes, squares sum
	for g, s := range samples {
		n := float64(len(s))
		without := make([]float64, len(s))
		var mean sum
		for i := range s {
			if !m.Step(int64(len(s))/8 + 1) {
				return 0, spent(m)
			}
			rest := clones(samples)
			rest[g] = slices.Delete(rest[g], i, i+1)
			without[i] = theta(rest)
			mean.add(without[i] / n)
		}
		for _, v := range without {
			u := (n - 1) / n * (mean.value() - v)
			squares.add(u * u)
			cubes.add(u * u * u)
		}
	}
	return cubes.value() / (6 * math.Pow(squares.value(), 1.5)), nil
}
