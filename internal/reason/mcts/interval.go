package mcts

import "math"

// IntervalMethod says how a confidence interval is computed.
type IntervalMethod string

// The methods.
const (
	// Hoeffding needs only that the values lie in a known range (Hoeffding,
	// 1963). It is wide, and never wrong about independent values.
	Hoeffding IntervalMethod = "hoeffding"
	// Normal is mean ± 1.96·s/√n with the sample's standard deviation s. It
	// needs two values, and about thirty to be trusted.
	Normal IntervalMethod = "normal"
)

// Level is the confidence level of every interval.
const Level = 0.95

// z is the two-sided 95 % quantile of the standard normal distribution.
const z = 1.959963984540054

// Interval is a confidence interval of a mean. It is nominal: the values that a
// search backs up are not independent, because it learns while it samples.
type Interval struct {
	Low    float64        `json:"low"`
	High   float64        `json:"high"`
	Level  float64        `json:"level"`
	Method IntervalMethod `json:"method"`
}

// sample is what is known about the values behind a mean.
type sample struct {
	n        float64
	mean, m2 float64 // m2: sum of squared deviations from the mean
}

// add joins the values of o (Chan, Golub and LeVeque, 1979).
func (s *sample) add(o sample) {
	if o.n == 0 {
		return
	}
	if s.n == 0 {
		*s = o
		return
	}
	n := s.n + o.n
	d := o.mean - s.mean
	s.mean += d * o.n / n
	s.m2 += o.m2 + d*d*s.n*o.n/n
	s.n = n
}

// variance returns the population variance, never below 0.
func (s sample) variance() float64 { return max(s.m2, 0) / max(s.n, 1) }

// hoeffding returns the interval for values in [low, high], nil without any.
func (s sample) hoeffding(low, high float64) *Interval {
	if s.n < 1 {
		return nil
	}
	half := (high - low) * math.Sqrt(math.Log(2/(1-Level))/(2*s.n))
	return &Interval{max(low, s.mean-half), min(high, s.mean+half), Level, Hoeffding}
}

// normal returns the interval by the normal approximation, nil for fewer than
// two values.
func (s sample) normal() *Interval {
	if s.n < 2 {
		return nil
	}
	half := z * math.Sqrt(max(s.m2, 0)/(s.n-1)/s.n)
	return &Interval{s.mean - half, s.mean + half, Level, Normal}
}
