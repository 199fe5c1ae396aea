package stats

import (
	"fmt"
	"math"
)

// Alternative is the direction of the alternative hypothesis.
type Alternative string

// The alternatives.
const (
	TwoSided Alternative = "two-sided"
	Less     Alternative = "less"
	Greater  Alternative = "greater"
)

// Options are common to all tests.
type Options struct {
	Alternative Alternative
	Alpha       float64 // significance level; intervals are at 1−Alpha
}

func (o Options) check() error {
	switch o.Alternative {
	case TwoSided, Less, Greater:
	default:
		return wrong("alternative", "two-sided, less or greater", o.Alternative)
	}
	return levelArg("alpha", o.Alpha)
}

// checkTwoSided refuses a direction for a test that has none.
func (o Options) checkTwoSided(test string) error {
	if err := o.check(); err != nil {
		return err
	}
	if o.Alternative != TwoSided {
		return wrong("alternative", "two-sided: "+test+" has no direction", o.Alternative)
	}
	return nil
}

func (o Options) level() float64 { return 1 - o.Alpha }

// p picks the tail of the alternative, given the probabilities of a statistic at
// most and at least as large as the one seen.
func (o Options) p(atMost, atLeast float64) float64 {
	switch o.Alternative {
	case Less:
		return clamp(atMost)
	case Greater:
		return clamp(atLeast)
	}
	return clamp(2 * min(atMost, atLeast))
}

// ways returns in how many directions the alternative looks.
func (o Options) ways() float64 {
	if o.Alternative == TwoSided {
		return 2
	}
	return 1
}

// around returns the interval center ± crit·se that goes with the alternative: a
// one-sided test has an interval with one end. crit maps a probability to a
// quantile.
func (o Options) around(center, se float64, crit func(p float64) float64, method string) *Interval {
	iv := &Interval{Level: o.level(), Method: method}
	p := 1 - o.Alpha
	if o.Alternative == TwoSided {
		p = 1 - o.Alpha/2
	}
	h := crit(p) * se
	if o.Alternative != Less {
		iv.Low = known(center - h)
	}
	if o.Alternative != Greater {
		iv.High = known(center + h)
	}
	return iv
}

func clamp(p float64) float64 { return min(1, max(0, p)) }

// How a p value was computed.
const (
	exact      = "exact"
	asymptotic = "asymptotic"
	resampled  = "random permutations"
)

// Estimate is a quantity with its uncertainty.
type Estimate struct {
	Name     string    `json:"name"`
	Value    *float64  `json:"value,omitempty"` // absent: not assessable, Note says why
	Interval *Interval `json:"interval,omitempty"`
	Note     string    `json:"note,omitempty"`
}

// The states of an assumption.
const (
	Met        = "no evidence against" // the data were looked at
	Doubtful   = "doubtful"            // the data speak against it
	NotChecked = "not checked"         // the data cannot tell, or were not looked at
)

// Assumption is something a method needs to be true.
type Assumption struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Detail string `json:"detail"`
}

// Test is the result of a hypothesis test.
type Test struct {
	Test          string       `json:"test"`   // the short name that selects it
	Method        string       `json:"method"` // the full name
	Source        string       `json:"source"`
	Null          string       `json:"nullHypothesis"`
	Alternative   Alternative  `json:"alternative"`
	StatisticName string       `json:"statisticName"`
	Statistic     float64      `json:"statistic"`
	DF            *float64     `json:"dof,omitempty"`
	DF2           *float64     `json:"dof2,omitempty"` // of the denominator
	PValue        float64      `json:"pValue"`
	PMethod       string       `json:"pMethod"`
	Alpha         float64      `json:"alpha"`
	Rejected      bool         `json:"nullRejected"`
	N             int          `json:"n"`
	GroupSizes    []int        `json:"groupSizes"`
	Effect        *float64     `json:"effectSize,omitempty"` // the value of the first of EffectSizes
	EffectSizes   []Estimate   `json:"effectSizes"`
	Estimates     []Estimate   `json:"estimates"`
	Assumptions   []Assumption `json:"assumptions"`
	Notes         []string     `json:"notes"`
}

// begin returns a Test with what is known before the computation.
func begin(o Options, short, method, source, null string, sizes ...int) *Test {
	t := &Test{
		Test: short, Method: method, Source: source, Null: null,
		Alternative: o.Alternative, Alpha: o.Alpha, GroupSizes: sizes,
		EffectSizes: []Estimate{}, Estimates: []Estimate{}, Assumptions: []Assumption{}, Notes: []string{},
	}
	for _, n := range sizes {
		t.N += n
	}
	return t
}

// decide sets the statistic and its p value.
func (t *Test) decide(name string, statistic, p float64, how string) {
	t.StatisticName, t.Statistic, t.PValue, t.PMethod = name, statistic, clamp(p), how
	t.Rejected = t.PValue <= t.Alpha
}

func (t *Test) note(format string, args ...any) {
	t.Notes = append(t.Notes, fmt.Sprintf(format, args...))
}

func (t *Test) assume(name, status, format string, args ...any) {
	t.Assumptions = append(t.Assumptions, Assumption{Name: name, Status: status, Detail: fmt.Sprintf(format, args...)})
}

// independent notes the assumption that no test can check.
func (t *Test) independent() {
	t.assume("independent observations", NotChecked, "follows from how the data were collected")
}

func (t *Test) estimate(name string, v float64, iv *Interval) {
	t.Estimates = append(t.Estimates, Estimate{Name: name, Value: known(v), Interval: iv})
}

func (t *Test) effect(e Estimate) {
	if len(t.EffectSizes) == 0 {
		t.Effect = e.Value
	}
	t.EffectSizes = append(t.EffectSizes, e)
}

// checkStatistic refuses a statistic that the data do not determine.
func checkStatistic(field string, v float64, why string) error {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return wrong(field, "values that vary, in units for which the statistic is a finite number", why)
	}
	return nil
}
