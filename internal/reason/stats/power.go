package stats

import (
	"fmt"
	"math"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// Design is a planned experiment. Exactly one of N, Power and, for the t tests,
// Effect is nil: that one is computed.
type Design struct {
	Test    string // t_one_sample, t_paired, t_two_sample or proportion
	N       *float64
	Power   *float64
	Effect  *float64   // Cohen's d
	P       [2]float64 // the two proportions
	Options Options
}

// Planned is a completed design.
type Planned struct {
	Design      string       `json:"design"`
	Method      string       `json:"method"`
	Source      string       `json:"source"`
	Solved      string       `json:"solvedFor"` // n, power or effect
	N           int          `json:"n"`         // values, pairs, or values per group
	Total       int          `json:"totalN"`
	Effect      float64      `json:"effect"` // Cohen's d, or Cohen's h of proportions
	Power       float64      `json:"power"`
	Alpha       float64      `json:"alpha"`
	Alternative Alternative  `json:"alternative"`
	Assumptions []Assumption `json:"assumptions"`
}

// maxPlanned is the largest sample that is looked for.
const maxPlanned = 10_000_000

// Plan computes the power of a design, the smallest sample that reaches a power,
// or the smallest effect that a sample finds with it. The t tests use the
// noncentral t distribution, proportions the normal approximation (Fleiss 1981).
func Plan(m *budget.Meter, d Design) (*Planned, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	out := &Planned{
		Design: d.Test, Alpha: d.Options.Alpha, Alternative: d.Options.Alternative,
		Method: "power of the t test, noncentral t", Source: "Cohen 1988", Assumptions: planned(d.Test),
	}
	if d.Test == "proportion" {
		out.Method, out.Source = "power of the z test of two proportions", "Fleiss 1981"
		out.Effect = 2*math.Asin(math.Sqrt(d.P[0])) - 2*math.Asin(math.Sqrt(d.P[1]))
	} else if d.Effect != nil {
		out.Effect = *d.Effect
	}
	if err := d.solve(m, out); err != nil {
		return nil, err
	}
	out.Total = out.N
	if d.Test == "t_two_sample" || d.Test == "proportion" {
		out.Total *= 2
	}
	return out, nil
}

func planned(test string) []Assumption {
	a := []Assumption{{Name: "effect known beforehand", Status: NotChecked, Detail: "the power computed from an effect that was estimated from the same data says no more than its p value"}}
	if test == "proportion" {
		return append(a, Assumption{Name: "groups of one size", Status: NotChecked, Detail: "n is per group"})
	}
	return append(a, Assumption{Name: "normal distribution with one variance", Status: NotChecked, Detail: "as the t test itself"})
}

func (d Design) check() error {
	if err := d.Options.check(); err != nil {
		return err
	}
	if d.N != nil && !(*d.N >= 2 && *d.N <= maxPlanned && *d.N == math.Trunc(*d.N)) {
		return wrong("n", fmt.Sprintf("a whole number from 2 to %d", maxPlanned), *d.N)
	}
	if d.Power != nil {
		if !(*d.Power > d.Options.Alpha && *d.Power < 1) {
			return wrong("power", "a power above alpha and below 1", *d.Power)
		}
	}
	given := 0
	for _, v := range []*float64{d.N, d.Power, d.Effect} {
		if v != nil {
			given++
		}
	}
	if d.Test == "proportion" {
		for i, p := range d.P {
			if err := levelArg(fmt.Sprintf("proportions[%d]", i), p); err != nil {
				return err
			}
		}
		if d.P[0] == d.P[1] {
			return wrong("proportions", "two that differ", d.P[0])
		}
		if d.Effect != nil || given != 1 {
			return wrong("n", "one of n and power, beside the two proportions", fmt.Sprintf("%d of n, power and effect", given))
		}
		return nil
	}
	if given != 2 {
		return wrong("n", "two of n, power and effect; the third is computed", fmt.Sprintf("%d of them", given))
	}
	if d.Effect != nil && (*d.Effect == 0 || math.Abs(*d.Effect) > 1e3 || math.IsNaN(*d.Effect)) {
		return wrong("effect", "a difference in standard deviations (Cohen d) other than 0, at most 1000", *d.Effect)
	}
	return nil
}

func (d Design) solve(m *budget.Meter, out *Planned) error {
	switch {
	case d.N != nil && d.Power != nil:
		out.Solved, out.N, out.Power = "effect", int(*d.N), *d.Power
		side := 1.0
		if d.Options.Alternative == Less {
			side = -1
		}
		gap := func(e float64) float64 { return d.power(*d.N, side*e) - *d.Power }
		high := 1.0
		for gap(high) < 0 && high < 1e6 {
			high *= 2
		}
		out.Effect = side * solve(gap, 0, high)
		return nil
	case d.N != nil:
		out.Solved, out.N, out.Power = "power", int(*d.N), d.power(*d.N, out.Effect)
		return nil
	}
	out.Solved = "n"
	low, high := 1, 2 // the power at low is too small, unless it is 1
	for d.power(float64(high), out.Effect) < *d.Power {
		if !m.Step(100) {
			return spent(m)
		}
		low = high
		if high *= 2; high > maxPlanned {
			return wrong("effect", fmt.Sprintf("an effect in the direction of the alternative that %d values can find", maxPlanned), out.Effect)
		}
	}
	for high-low > 1 {
		if !m.Step(100) {
			return spent(m)
		}
		if mid := (low + high) / 2; d.power(float64(mid), out.Effect) < *d.Power {
			low = mid
		} else {
			high = mid
		}
	}
	out.N, out.Power = high, d.power(float64(high), out.Effect)
	return nil
}

// power returns the probability of rejection with n values, pairs, or values per
// group.
func (d Design) power(n, effect float64) float64 {
	alpha, alt := d.Options.Alpha, d.Options.Alternative
	if d.Test == "proportion" {
		p, q := d.P[0], d.P[1]
		mean := (p + q) / 2
		null, other := math.Sqrt(2*mean*(1-mean)), math.Sqrt(p*(1-p)+q*(1-q))
		shift := (p - q) * math.Sqrt(n)
		reject := func(z float64) float64 { return normSF((z*null - shift) / other) }
		return tailPower(alt, alpha, normQuantile, reject, func(z float64) float64 { return normCDF((-z*null - shift) / other) })
	}
	nu, delta := n-1, effect*math.Sqrt(n)
	if d.Test == "t_two_sample" {
		nu, delta = 2*n-2, effect*math.Sqrt(n/2)
	}
	return tailPower(alt, alpha, func(p float64) float64 { return tQuantile(p, nu) },
		func(t float64) float64 { return 1 - noncentralT(t, nu, delta) },
		func(t float64) float64 { return noncentralT(-t, nu, delta) })
}

// tailPower adds the tails beyond the critical value that the alternative has.
func tailPower(alt Alternative, alpha float64, quantile, above, below func(float64) float64) float64 {
	switch alt {
	case Greater:
		return above(quantile(1 - alpha))
	case Less:
		return below(quantile(1 - alpha))
	}
	c := quantile(1 - alpha/2)
	return clamp(above(c) + below(c))
}
