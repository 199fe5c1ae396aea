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
// sorts. They count no steps but give way, and fail when they must stop.
var statistics = map[string]struct {
	of    func(m *budget.Meter, x []float64) (float64, error)
	sorts bool
}{
	"mean": {func(m *budget.Meter, x []float64) (float64, error) {
		total, err := sumOf(m, x)
		return total / float64(len(x)), err
	}, false},
	"median": {func(m *budget.Meter, x []float64) (float64, error) {
		err := sortPlain(m, x)
		return quantile(x, 0.5), err
	}, true},
	"stddev":       {sampleSD, false},
	"trimmed_mean": {trimmedMean, true},
}

// uncounted returns a meter that gives way and stops like m, and whose steps do
// not count: those of a draw are counted beforehand.
func uncounted(m *budget.Meter) *budget.Meter { return m.Fork(budget.Limits{}) }

// sortPlain sorts x; short ones as fast as can be.
func sortPlain(m *budget.Meter, x []float64) error {
	if len(x) <= sortRun {
		slices.Sort(x)
		return nil
	}
	return sortBy(uncounted(m), x, cmp.Compare[float64])
}

func sumOf(m *budget.Meter, x []float64) (float64, error) {
	var s sum
	err := each(uncounted(m), len(x), func(lo, hi int) {
		for _, v := range x[lo:hi] {
			s.add(v)
		}
	})
	return s.value(), err
}

func sampleSD(m *budget.Meter, x []float64) (float64, error) {
	r, err := runningOf(m, x)
	return math.Sqrt(r.m2 / (r.n - 1)), err
}

func runningOf(m *budget.Meter, x []float64) (running, error) {
	var r running
	err := each(uncounted(m), len(x), func(lo, hi int) {
		for _, v := range x[lo:hi] {
			r.add(v)
		}
	})
	return r, err
}

// trimmedMean leaves out a fifth of the values at either end (Wilcox 2012).
func trimmedMean(m *budget.Meter, x []float64) (float64, error) {
	if err := sortPlain(m, x); err != nil {
		return 0, err
	}
	g := len(x) / 5
	total, err := sumOf(m, x[g:len(x)-g])
	return total / float64(len(x)-2*g), err
}

// theta is the statistic of one sample, or its difference between two.
type theta func(m *budget.Meter, samples [][]float64) (float64, error)

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
	theta := func(m *budget.Meter, s [][]float64) (float64, error) {
		v, err := stat.of(m, s[0])
		if len(s) > 1 && err == nil {
			var w float64
			w, err = stat.of(m, s[1])
			v -= w
		}
		return v, err
	}
	out := &Bootstrap{Statistic: o.Statistic, GroupSizes: sizes(samples), N: len(x) + len(y), Notes: []string{}}
	var err error
	if out.Estimate, err = theta(m, clones(samples)); err != nil {
		return nil, err
	}
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
	if err := out.describe(m, values, o.Level); err != nil {
		return nil, err
	}
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
func resamples(m *budget.Meter, samples [][]float64, theta theta, cost int64, r Resampling) ([]float64, error) {
	var all drawnValues
	err := run(m, r.blocks(cost), &all, func(m *budget.Meter, block, count int) ([]float64, bool) {
		rng := seed.Stream(r.Seed, uint64(block))
		buf := clones(samples)
		out := make([]float64, count)
		for k := range out {
			if !m.Step(cost) {
				return nil, false
			}
			for g, s := range samples {
				for i := range s {
					if i%stretch == stretch-1 && !m.Pause() {
						return nil, false
					}
					buf[g][i] = s[rng.IntN(len(s))]
				}
			}
			var err error
			if out[k], err = theta(m, buf); err != nil {
				return nil, false
			}
		}
		return out, true
	})
	if err != nil {
		return nil, err
	}
	return all, sortPlain(m, all) // at most MaxResamples
}

// drawnValues keeps the values of all draws.
type drawnValues []float64

func (d *drawnValues) add(part []float64) { *d = append(*d, part...) }
func (d *drawnValues) state() []byte      { return pack([]float64(*d)) }

func (d *drawnValues) restore(state []byte) bool {
	*d = make([]float64, len(state)/8)
	return unpack(state, []float64(*d))
}

func (b *Bootstrap) describe(m *budget.Meter, values []float64, level float64) error {
	r, err := runningOf(m, values)
	if err != nil {
		return err
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
	return nil
}

// accelerate adds the BCa interval, where the jackknife is affordable and the
// statistic varies.
func (b *Bootstrap) accelerate(m *budget.Meter, samples [][]float64, theta theta, values []float64, level float64) error {
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
func acceleration(m *budget.Meter, samples [][]float64, theta theta) (float64, error) {
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
			var err error
			if without[i], err = theta(m, rest); err != nil {
				return 0, err
			}
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
