package stats

import (
	"math"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// Moments are the sizes a t test needs of a sample. A client that has no data
// but a table with n, mean and sd can give these.
type Moments struct {
	N        float64 // values
	Mean     float64
	Variance float64 // with divisor n−1
}

// SD returns the standard deviation with divisor n−1.
func (s Moments) SD() float64 { return math.Sqrt(s.Variance) }

// SE returns the standard error of the mean.
func (s Moments) SE() float64 { return math.Sqrt(s.Variance / s.N) }

// sum adds with a running compensation (Neumaier 1974): its error does not grow
// with the number of terms.
type sum struct{ total, lost float64 }

func (s *sum) add(v float64) {
	t := s.total + v
	if math.Abs(s.total) >= math.Abs(v) {
		s.lost += (s.total - t) + v
	} else {
		s.lost += (v - t) + s.total
	}
	s.total = t
}

func (s *sum) value() float64 {
	if math.IsInf(s.total, 0) {
		return s.total // the compensation is meaningless after an overflow
	}
	return s.total + s.lost
}

// central holds a mean and the second to fourth central moments of the values
// divided by scale: no square overflows or vanishes on the way.
type central struct {
	n          float64
	mean       float64
	scale      float64 // the largest |x−mean|; 0 for constant data
	m2, m3, m4 float64 // means of ((x−mean)/scale)^k
}

// centralMoments makes three passes: mean, largest deviation, powers. The
// two-pass form with a correction for the rounding of the mean (Chan, Golub &
// LeVeque 1983) is the most accurate for data that are in memory.
func centralMoments(m *budget.Meter, x []float64) (central, error) {
	c := central{n: float64(len(x))}
	mean, err := meanOf(m, x)
	if err != nil {
		return c, err
	}
	c.mean = mean
	err = each(m, len(x), func(lo, hi int) {
		for _, v := range x[lo:hi] {
			c.scale = max(c.scale, math.Abs(v-mean))
		}
	})
	if math.IsInf(c.scale, 0) {
		return c, fault.Newf(fault.Invalid, "the distance of the values from their mean %g is beyond the range of a 64-bit float: send smaller units", mean)
	}
	if err != nil || c.scale == 0 {
		return c, err
	}
	var s1, s2, s3, s4 sum
	err = each(m, len(x), func(lo, hi int) {
		for _, v := range x[lo:hi] {
			d := (v - mean) / c.scale
			q := d * d
			s1.add(d)
			s2.add(q)
			s3.add(q * d)
			s4.add(q * q)
		}
	})
	e := s1.value() / c.n // what the rounding of the mean left over
	c.m2 = s2.value()/c.n - e*e
	c.m3, c.m4 = s3.value()/c.n, s4.value()/c.n
	if constantBut(x, c) {
		c.m2, c.m3, c.m4, c.scale = 0, 0, 0, 0
	}
	return c, err
}

// constantBut reports that all values are equal and the deviations only the
// rounding of the mean.
func constantBut(x []float64, c central) bool {
	if c.scale > 1e-9*math.Abs(c.mean) {
		return false
	}
	for _, v := range x {
		if v != x[0] {
			return false
		}
	}
	return true
}

// meanOf returns the mean of a non-empty x. When the sum overflows it adds
// x/n instead.
func meanOf(m *budget.Meter, x []float64) (float64, error) {
	var s sum
	err := each(m, len(x), func(lo, hi int) {
		for _, v := range x[lo:hi] {
			s.add(v)
		}
	})
	n := float64(len(x))
	if err != nil || !math.IsInf(s.total, 0) && !math.IsNaN(s.total) {
		return s.value() / n, err
	}
	s = sum{}
	err = each(m, len(x), func(lo, hi int) {
		for _, v := range x[lo:hi] {
			s.add(v / n)
		}
	})
	return s.value(), err
}

// Mean returns the mean of x, which must not be empty.
func Mean(m *budget.Meter, field string, x []float64) (float64, error) {
	if err := checkSample(field, x, 1); err != nil {
		return 0, err
	}
	return meanOf(m, x)
}

// momentsOf returns the moments of a sample of at least two values. A variance
// that no float holds is an error: what stands on it would be wrong.
func momentsOf(m *budget.Meter, x []float64) (Moments, error) {
	c, err := centralMoments(m, x)
	if err != nil {
		return Moments{}, err
	}
	s := Moments{N: c.n, Mean: c.mean, Variance: c.scale * c.scale * c.m2 * c.n / (c.n - 1)}
	if math.IsInf(s.Variance, 0) || s.Variance == 0 && c.scale > 0 {
		return s, fault.Newf(fault.Invalid, "the variance of values at most %g from their mean is beyond the range of a 64-bit float: send other units", c.scale)
	}
	return s, nil
}

// checkMoments refuses moments that no sample has.
func checkMoments(field string, s Moments) error {
	if err := countArg(field+".n", s.N); err != nil {
		return err
	}
	if s.N < 2 {
		return wrong(field+".n", "at least 2 values", s.N)
	}
	if err := finiteArg(field+".mean", s.Mean); err != nil {
		return err
	}
	if !(s.Variance >= 0) || math.IsInf(s.Variance, 0) {
		return wrong(field+".sd", "a number, 0 or above, whose square is finite", s.SD())
	}
	return nil
}
