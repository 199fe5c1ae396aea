package stats

import (
	"fmt"
	"math"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// maxOutliers is how many outliers a summary lists; it counts all of them.
const maxOutliers = 50

// SummaryOptions say what to report beside the fixed measures.
type SummaryOptions struct {
	Level     float64   // of the confidence interval of the mean
	Quantiles []float64 // in [0, 1]; none asked: the quartiles and the 5 % tails
	Fence     float64   // outliers lie this many IQR beyond a quartile (Tukey 1977: 1.5)
}

// Quantile is one point of a distribution function.
type Quantile struct {
	P     float64 `json:"p"`
	Value float64 `json:"value"`
}

// Interval is an interval estimate. An absent end is unbounded.
type Interval struct {
	Low    *float64 `json:"low,omitempty"`
	High   *float64 `json:"high,omitempty"`
	Level  float64  `json:"level"`
	Method string   `json:"method"`
}

// Outlier is a value beyond a fence.
type Outlier struct {
	Index int     `json:"index"`
	Value float64 `json:"value"`
}

// Outliers are the values beyond Tukey's fences.
type Outliers struct {
	Count     int       `json:"count"`
	LowFence  float64   `json:"lowFence"`
	HighFence float64   `json:"highFence"`
	Listed    []Outlier `json:"listed"` // the first of them, in the order of the data
}

// Summary describes a sample. Absent fields are not assessable; Notes say why.
// Variance and Stddev have divisor n, as the names always meant here; the
// sample forms have n−1.
type Summary struct {
	N                    int          `json:"n"`
	Mean                 float64      `json:"mean"`
	Sum                  *float64     `json:"sum,omitempty"`
	Variance             *float64     `json:"variance,omitempty"`
	Stddev               *float64     `json:"stddev,omitempty"`
	SampleVariance       *float64     `json:"sampleVariance,omitempty"`
	SampleStddev         *float64     `json:"sampleStddev,omitempty"`
	StandardError        *float64     `json:"standardError,omitempty"`
	MeanCI               *Interval    `json:"meanConfidenceInterval,omitempty"`
	Min                  float64      `json:"min"`
	Max                  float64      `json:"max"`
	Range                *float64     `json:"range,omitempty"`
	Median               float64      `json:"median"`
	Quantiles            []Quantile   `json:"quantiles"`
	IQR                  *float64     `json:"iqr,omitempty"`
	MAD                  float64      `json:"mad"`                            // median |x − median|, not scaled
	Skewness             *float64     `json:"skewness,omitempty"`             // g1, of the moments
	SampleSkewness       *float64     `json:"sampleSkewness,omitempty"`       // G1, adjusted for small n
	ExcessKurtosis       *float64     `json:"excessKurtosis,omitempty"`       // g2
	SampleExcessKurtosis *float64     `json:"sampleExcessKurtosis,omitempty"` // G2
	Outliers             *Outliers    `json:"outliers,omitempty"`
	Assumptions          []Assumption `json:"assumptions"`
	Notes                []string     `json:"notes"`
}

// Summarize describes x in O(n log n). Moments are compensated two-pass sums,
// quantiles are of type 7 (Hyndman & Fan 1996), skewness and kurtosis those of
// Joanes & Gill (1998).
func Summarize(m *budget.Meter, x []float64, o SummaryOptions) (*Summary, error) {
	if err := checkSummary(x, o); err != nil {
		return nil, err
	}
	c, err := centralMoments(m, x)
	if err != nil {
		return nil, err
	}
	s := &Summary{N: len(x), Mean: c.mean, Sum: known(c.mean * c.n), Notes: []string{}}
	s.Assumptions = []Assumption{
		{Name: "independent observations", Status: NotChecked, Detail: "needed for the standard error and the interval; follows from how the data were collected"},
		{Name: "mean close to normal", Status: NotChecked, Detail: "needed for the interval; true of normal data and of large samples with a finite variance"},
	}
	s.spread(c, o.Level)
	s.shape(c)
	return s, s.order(m, x, o)
}

func checkSummary(x []float64, o SummaryOptions) error {
	if err := checkSample("data", x, 1); err != nil {
		return err
	}
	if err := levelArg("confidence", o.Level); err != nil {
		return err
	}
	if !(o.Fence >= 0) || math.IsInf(o.Fence, 0) {
		return wrong("fence", "a finite number, 0 or above", o.Fence)
	}
	if len(o.Quantiles) > MaxQuantiles {
		return wrong("quantiles", fmt.Sprintf("at most %d of them", MaxQuantiles), len(o.Quantiles))
	}
	for i, p := range o.Quantiles {
		if err := probabilityArg(fmt.Sprintf("quantiles[%d]", i), p); err != nil {
			return err
		}
	}
	return nil
}

func (s *Summary) note(text string) { s.Notes = append(s.Notes, text) }

func (s *Summary) spread(c central, level float64) {
	sd := c.scale * math.Sqrt(c.m2)
	s.Variance, s.Stddev = known(c.scale*c.scale*c.m2), known(sd)
	if s.Variance == nil {
		s.note("the variance is too large for a 64-bit float")
	}
	if c.n < 2 {
		s.note("one value has no sample variance, standard error or interval")
		return
	}
	bessel := c.n / (c.n - 1)
	s.SampleVariance, s.SampleStddev = known(c.scale*c.scale*c.m2*bessel), known(sd*math.Sqrt(bessel))
	se := sd / math.Sqrt(c.n-1)
	s.StandardError = known(se)
	h := tQuantile((1+level)/2, c.n-1) * se
	s.MeanCI = &Interval{Low: known(c.mean - h), High: known(c.mean + h), Level: level, Method: "Student t, n-1 degrees of freedom"}
}

func (s *Summary) shape(c central) {
	if c.m2 == 0 {
		s.note("all values are equal: skewness and kurtosis are not assessable")
		return
	}
	g1 := c.m3 / (c.m2 * math.Sqrt(c.m2))
	g2 := c.m4/(c.m2*c.m2) - 3
	s.Skewness, s.ExcessKurtosis = known(g1), known(g2)
	n := c.n
	if n > 2 {
		s.SampleSkewness = known(g1 * math.Sqrt(n*(n-1)) / (n - 2))
	}
	if n > 3 {
		s.SampleExcessKurtosis = known((n - 1) / ((n - 2) * (n - 3)) * ((n+1)*g2 + 6))
	}
}

func (s *Summary) order(m *budget.Meter, x []float64, o SummaryOptions) error {
	asc, err := sorted(m, x)
	if err != nil {
		return err
	}
	s.Min, s.Max = asc[0], asc[len(asc)-1]
	s.Range = known(s.Max - s.Min)
	s.Median = quantile(asc, 0.5)
	s.MAD = medianDeviation(asc, s.Median)
	ps := o.Quantiles
	if len(ps) == 0 {
		ps = []float64{0.05, 0.25, 0.5, 0.75, 0.95}
	}
	for _, p := range ps {
		s.Quantiles = append(s.Quantiles, Quantile{P: p, Value: quantile(asc, p)})
	}
	q1, q3 := quantile(asc, 0.25), quantile(asc, 0.75)
	iqr := q3 - q1
	s.IQR = known(iqr)
	low, high := q1-o.Fence*iqr, q3+o.Fence*iqr
	if s.IQR == nil || known(low) == nil || known(high) == nil {
		s.note("the fences are too large for a 64-bit float: outliers are not assessable")
		return nil
	}
	out := &Outliers{LowFence: low, HighFence: high, Listed: []Outlier{}}
	s.Outliers = out
	return each(m, len(x), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			if x[i] < low || x[i] > high {
				out.Count++
				if len(out.Listed) < maxOutliers {
					out.Listed = append(out.Listed, Outlier{Index: i, Value: x[i]})
				}
			}
		}
	})
}
