package stats

import (
	"fmt"
	"math"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// summarise merges the blocks in their order.
func (p *plan) summarise(m *budget.Meter, all drawn, s Sampling) (*MonteCarlo, error) {
	failure := all.failure
	r := all.moments
	mc := &MonteCarlo{
		Assumptions: []Assumption{{Name: "independent variables", Status: NotChecked, Detail: "each is drawn without regard to the others; express dependence in the formula"}},
		Requested:   s.Draws, Samples: int(r.n) + all.undefined, Undefined: all.undefined,
		Percentile: map[string]float64{}, Quantiles: []SampledQuantile{}, Inputs: p.inputs(), Notes: []string{},
	}
	if r.n == 0 {
		return nil, wrong("expression", "a formula that is defined on at least some draws", fmt.Sprintf("none of %d; the first failed with: %v", mc.Samples, failure))
	}
	if all.undefined > 0 {
		mc.note("%d of %d draws have no result (the first: %v); everything here is conditional on the others", all.undefined, mc.Samples, failure)
	}
	if mc.Samples < s.Draws {
		mc.note("the budget ended after %d of %d draws", mc.Samples, s.Draws)
	}
	if err := mc.location("expression", r, s.Level); err != nil {
		return nil, err
	}
	if err := mc.quantiles(m, all.kept, s); err != nil {
		return nil, err
	}
	if p.event != nil {
		if err := mc.event(p.text, all, failure, s.Level); err != nil {
			return nil, err
		}
	}
	mc.converge(r)
	for _, v := range p.vars {
		if _, variance := v.dist.moments(); math.IsInf(variance, 0) || math.IsNaN(variance) {
			mc.Convergence.Stable = false
			mc.note("%s has no finite variance: unless the expression bounds it, the standard error and the interval of the mean mean nothing; use the quantiles", v.name)
		}
	}
	return mc, nil
}

// DescribeDraws summarises draws that a client made itself.
func DescribeDraws(m *budget.Meter, draws []float64, level float64, quantiles []float64) (*MonteCarlo, error) {
	if err := checkSample("samples", draws, 1); err != nil {
		return nil, err
	}
	s := Sampling{Draws: len(draws), Level: level, Quantiles: quantiles}
	if err := s.check(); err != nil {
		return nil, err
	}
	var r running
	err := each(m, len(draws), func(lo, hi int) {
		for _, v := range draws[lo:hi] {
			r.add(v)
		}
	})
	if err != nil {
		return nil, err
	}
	mc := &MonteCarlo{
		Requested: len(draws), Samples: len(draws), Percentile: map[string]float64{}, Quantiles: []SampledQuantile{},
		Inputs: []SampledVariable{}, Notes: []string{},
		Assumptions: []Assumption{{Name: "independent draws", Status: NotChecked, Detail: "the draws were made by the caller; draws of a Markov chain have a larger standard error"}},
	}
	if err := mc.location("samples", r, level); err != nil {
		return nil, err
	}
	if err := mc.quantiles(m, draws, s); err != nil {
		return nil, err
	}
	mc.converge(r)
	return mc, nil
}

func (mc *MonteCarlo) note(format string, args ...any) {
	mc.Notes = append(mc.Notes, fmt.Sprintf(format, args...))
}

func (p *plan) inputs() []SampledVariable {
	out := make([]SampledVariable, len(p.vars))
	for i, v := range p.vars {
		mean, variance := v.dist.moments()
		out[i] = SampledVariable{Name: v.name, Distribution: v.dist.String(), Mean: known(mean), SD: known(math.Sqrt(variance))}
	}
	return out
}

func (mc *MonteCarlo) location(field string, r running, level float64) error {
	if known(r.mean) == nil {
		return wrong(field, "values whose mean is within the range of a 64-bit float", fmt.Sprintf("values from %g to %g", r.low, r.high))
	}
	mc.Mean, mc.Min, mc.Max = r.mean, r.low, r.high
	if r.n < 2 {
		mc.note("one draw has no standard error")
		return nil
	}
	sd := math.Sqrt(r.m2 / (r.n - 1))
	se := sd / math.Sqrt(r.n)
	mc.Stddev, mc.StandardError = known(sd), known(se)
	h := tQuantile((1+level)/2, r.n-1) * se
	if known(h) != nil {
		mc.MeanCI = &Interval{Low: known(r.mean - h), High: known(r.mean + h), Level: level, Method: "Student t over independent draws"}
	}
	return nil
}

func (mc *MonteCarlo) quantiles(m *budget.Meter, kept []float64, s Sampling) error {
	// What was drawn is sorted even when drawing used up the budget; only the end
	// of the caller stops it.
	asc, err := sorted(m.Fork(budget.Limits{}), kept)
	if err != nil {
		if gone := m.Err(); gone != nil {
			return gone
		}
		asc = slices.Clone(kept)
		slices.Sort(asc)
	}
	mc.QuantileDraws = len(asc)
	if len(asc) < mc.Samples-mc.Undefined {
		mc.note("quantiles are of the first %d draws", len(asc))
	}
	ps := s.Quantiles
	if len(ps) == 0 {
		ps = []float64{0.05, 0.25, 0.5, 0.75, 0.95}
	}
	for _, p := range ps {
		mc.Quantiles = append(mc.Quantiles, SampledQuantile{P: p, Value: quantile(asc, p), Interval: orderInterval(asc, p, s.Level)})
	}
	for name, p := range map[string]float64{"p05": 0.05, "p50": 0.5, "p95": 0.95} {
		mc.Percentile[name] = quantile(asc, p)
	}
	return nil
}

// orderInterval returns the order statistics whose ranks hold the p-quantile
// with the given confidence; an end that no draw reaches is absent.
func orderInterval(asc []float64, p, level float64) *Interval {
	n := float64(len(asc))
	half := normQuantile((1+level)/2) * math.Sqrt(n*p*(1-p))
	iv := &Interval{Level: level, Method: "order statistics (Thompson 1936), normal approximation of ranks"}
	if lo := math.Floor(n*p - half); lo >= 1 {
		iv.Low = known(asc[int(lo)-1])
	}
	if hi := math.Ceil(n*p+half) + 1; hi <= n {
		iv.High = known(asc[int(hi)-1])
	}
	return iv
}

func (mc *MonteCarlo) event(text string, all drawn, failure error, level float64) error {
	if all.events == 0 {
		return wrong("event", "a condition that is defined on at least some draws", failure)
	}
	n, k := float64(all.events), float64(all.hits)
	p := k / n
	low, high := Wilson(k, n, level)
	mc.Event = &EventEstimate{
		Event: text, Hits: all.hits, Probability: p, SE: math.Sqrt(p * (1 - p) / n),
		Interval: &Interval{Low: known(low), High: known(high), Level: level, Method: "Wilson score"},
	}
	if missed := mc.Samples - mc.Undefined - all.events; missed > 0 {
		mc.note("the event is undefined on %d draws, which are left out", missed)
	}
	return nil
}

// dominance is the share of the variance that one draw may have before the
// standard error is called unreliable.
const dominance = 0.1

func (mc *MonteCarlo) converge(r running) {
	c := &mc.Convergence
	if mc.StandardError == nil || r.m2 == 0 {
		c.Stable = mc.StandardError != nil
		c.Note = "the result does not vary"
		if mc.StandardError == nil {
			c.Note = "not assessable: too few draws, or a variance beyond a 64-bit float"
		}
		return
	}
	far := max(r.high-r.mean, r.mean-r.low)
	share := far * (far / r.m2)
	c.LargestShare = known(share)
	c.Stable = share <= dominance
	if r.mean != 0 {
		rel := *mc.StandardError / math.Abs(r.mean)
		c.RelativeError = known(rel)
		c.DrawsForOne = known(math.Ceil(r.n * (rel / 0.01) * (rel / 0.01)))
	}
	c.Note = fmt.Sprintf("the standard error falls with the root of the draws: 4 times as many halve %.3g", *mc.StandardError)
	if !c.Stable {
		c.Note = fmt.Sprintf("one draw makes up %.0f %% of the variance: too few draws, or a tail so heavy that the variance may be infinite; do not rely on the standard error", 100*share)
	}
}
