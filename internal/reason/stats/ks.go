package stats

import (
	"fmt"
	"math"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

const (
	exactKS      = 2_000      // largest one-sample size with an exact two-sided p
	exactKSCells = 10_000_000 // largest product of two sample sizes with an exact p
)

// KSOne tests whether x comes from the distribution d, all of whose parameters
// are given. The one-sided p is exact; the two-sided one is up to 2000 values and
// correct to 5 digits beyond.
func KSOne(m *budget.Meter, x []float64, d Distribution, o Options) (*Test, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := checkSample("x", x, 1); err != nil {
		return nil, err
	}
	cdf, err := d.continuousCDF("distribution")
	if err != nil {
		return nil, err
	}
	s, err := sorted(m, x)
	if err != nil {
		return nil, err
	}
	n := float64(len(s))
	var plus, minus float64
	var tied bool
	err = each(m, len(s), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			if i%256 == 255 { // some distributions take microseconds; each sees if it has to stop
				m.Pause()
			}
			f := cdf(s[i])
			plus = max(plus, float64(i+1)/n-f)
			minus = max(minus, f-float64(i)/n)
			tied = tied || i > 0 && s[i] == s[i-1]
		}
	})
	if err != nil {
		return nil, err
	}
	t := begin(o, "ks_one_sample", "Kolmogorov-Smirnov test, one sample", "Kolmogorov 1933; Smirnov 1939",
		fmt.Sprintf("x comes from %s", d), len(x))
	stat := t.distance(plus, minus)
	p, how, err := ksOneP(m, stat, len(s), o.Alternative)
	if err != nil {
		return nil, err
	}
	t.decide(t.StatisticName, stat, p, how)
	t.untied(tied)
	t.assume("parameters not fitted to x", NotChecked, "with parameters estimated from the same values p is far too large (Lilliefors 1967)")
	t.independent()
	return t, nil
}

// distance names and returns the statistic that goes with the alternative.
func (t *Test) distance(plus, minus float64) float64 {
	t.StatisticName = "D"
	v := max(plus, minus)
	switch t.Alternative {
	case Greater:
		t.StatisticName, v = "D+", plus
	case Less:
		t.StatisticName, v = "D-", minus
	}
	if t.Alternative != TwoSided {
		t.note("the direction is that of the distribution function of x: greater means that it lies above, so that the values of x are smaller")
	}
	t.effect(Estimate{Name: "largest distance of the distribution functions", Value: known(v)})
	return v
}

func (t *Test) untied(tied bool) {
	if tied {
		t.assume("continuous distribution", Doubtful, "there are equal values")
	} else {
		t.assume("continuous distribution", Met, "all values differ")
	}
}

func ksOneP(m *budget.Meter, d float64, n int, alt Alternative) (p float64, how string, err error) {
	size := float64(n)
	if alt != TwoSided {
		p, err = smirnovSF(m, d, n)
		return p, exact, err
	}
	nd2 := size * d * d
	switch {
	case d >= 0.5 || nd2 >= 4:
		// Both tails together: what they share is nothing for d ≥ ½, else below
		// 1e-10 of them (Miller 1956; Simard & L'Ecuyer 2011).
		p, err = smirnovSF(m, d, n)
		return 2 * p, exact, err
	case n <= exactKS:
		p, err = kolmogorovCDF(m, d, n)
		return 1 - p, exact, err
	}
	x := d * math.Sqrt(size)
	return kolmogorovSF(x + 1/(6*math.Sqrt(size)) + (x-1)/(4*size)), asymptotic, nil // Vrbik 2018
}

// smirnovSF returns P(D+ ≥ d) for n values in O(n) (Birnbaum & Tingey 1951). All
// terms are positive.
func smirnovSF(m *budget.Meter, d float64, n int) (float64, error) {
	if d <= 0 {
		return 1, nil
	}
	if d >= 1 {
		return 0, nil
	}
	size := float64(n)
	last := int(math.Floor(size * (1 - d)))
	var s sum
	err := each(m, last+1, func(lo, hi int) {
		for k := lo; k < hi; k++ {
			j := float64(k)
			rest := 1 - d - j/size
			if rest <= 0 {
				if k == n {
					s.add(math.Pow(d+j/size, j-1))
				}
				continue
			}
			s.add(math.Exp(logChoose(size, j) + (j-1)*math.Log(d+j/size) + (size-j)*math.Log(rest)))
		}
	})
	return clamp(d * s.value()), err
}

// kolmogorovSF is the limiting distribution of √n·D.
func kolmogorovSF(x float64) float64 {
	switch {
	case x <= 0:
		return 1
	case x < 1: // the theta series of the other end
		var s float64
		for k := 1; k <= 7; k += 2 {
			s += math.Exp(-float64(k*k) * math.Pi * math.Pi / (8 * x * x))
		}
		return clamp(1 - math.Sqrt(2*math.Pi)/x*s)
	}
	var s float64
	for k := 1; k <= 10; k++ {
		term := math.Exp(-2 * float64(k*k) * x * x)
		if k%2 == 0 {
			term = -term
		}
		s += term
	}
	return clamp(2 * s)
}

// kolmogorovCDF returns P(D < d) for n values by the matrix power of Durbin
// (1973) in the form of Marsaglia, Tsang & Wang (2003).
func kolmogorovCDF(m *budget.Meter, d float64, n int) (float64, error) {
	size := float64(n)
	k := int(size*d) + 1
	order := 2*k - 1
	h := newDurbin(order, float64(k)-size*d)
	q, e, err := h.power(m, n)
	if err != nil {
		return 0, err
	}
	s := q[k-1][k-1]
	for i := 1; i <= n; i++ {
		s *= float64(i) / size
		if s < 1e-140 {
			s *= 1e140
			e -= 140
		}
	}
	return clamp(s * math.Pow(10, float64(e))), nil
}

type matrix [][]float64

// newDurbin builds the matrix H whose power counts the paths between the bands.
func newDurbin(order int, h float64) matrix {
	a := make(matrix, order)
	for i := range a {
		a[i] = make([]float64, order)
		for j := range a[i] {
			if i-j+1 >= 0 {
				a[i][j] = 1
			}
		}
	}
	for i := range order {
		a[i][0] -= math.Pow(h, float64(i+1))
		a[order-1][i] -= math.Pow(h, float64(order-i))
	}
	if 2*h-1 > 0 {
		a[order-1][0] += math.Pow(2*h-1, float64(order))
	}
	for i := range a {
		for j := range a[i] {
			for g := 1; g <= i-j+1; g++ {
				a[i][j] /= float64(g)
			}
		}
	}
	return a
}

// power returns the n-th power times 10^-e.
func (a matrix) power(m *budget.Meter, n int) (p matrix, e int, err error) {
	if n == 1 {
		return a, 0, nil
	}
	half, e, err := a.power(m, n/2)
	if err != nil {
		return nil, 0, err
	}
	e *= 2
	if p, err = half.times(m, half); err != nil {
		return nil, 0, err
	}
	if n%2 == 1 {
		if p, err = p.times(m, a); err != nil {
			return nil, 0, err
		}
	}
	if p[len(p)/2][len(p)/2] > 1e140 {
		for _, row := range p {
			for j := range row {
				row[j] *= 1e-140
			}
		}
		e += 140
	}
	return p, e, nil
}

func (a matrix) times(m *budget.Meter, b matrix) (matrix, error) {
	n := len(a)
	c := make(matrix, n)
	for i := range c {
		if !m.Step(int64(n*n/256 + 1)) {
			return nil, spent(m)
		}
		c[i] = make([]float64, n)
		for k, v := range a[i] {
			if v == 0 {
				continue
			}
			for j, w := range b[k] {
				c[i][j] += v * w
			}
		}
	}
	return c, nil
}

// KSTwo tests whether x and y come from one distribution. p is exact,
// conditional on ties, while the product of the sizes is at most 10^7.
func KSTwo(m *budget.Meter, x, y []float64, o Options) (*Test, error) {
	if err := checkTwo(x, y, o); err != nil {
		return nil, err
	}
	all, err := pool(m, x, y)
	if err != nil {
		return nil, err
	}
	n1, n2 := int64(len(x)), int64(len(y))
	var plus, minus int64 // of n1·n2 times the distance: whole numbers, so ties are exact
	var i, j int64
	ends := make([]bool, len(all)+1) // at which positions no tie is open
	var tied bool
	err = each(m, len(all), func(lo, hi int) {
		for k := lo; k < hi; k++ {
			if all[k].group == 0 {
				i++
			} else {
				j++
			}
			if k+1 < len(all) && all[k+1].value == all[k].value {
				tied = true
				continue
			}
			ends[k+1] = true
			plus, minus = max(plus, i*n2-j*n1), max(minus, j*n1-i*n2)
		}
	})
	if err != nil {
		return nil, err
	}
	t := begin(o, "ks_two_sample", "Kolmogorov-Smirnov test, two samples", "Smirnov 1939; exact p: Hodges 1958, Schroer & Trenkler 1995",
		"x and y come from one distribution", len(x), len(y))
	scale := float64(n1) * float64(n2)
	stat := t.distance(float64(plus)/scale, float64(minus)/scale)
	if n1*n2 <= exactKSCells {
		d := max(plus, minus)
		switch o.Alternative {
		case Greater:
			d = plus
		case Less:
			d = minus
		}
		p, err := latticeP(m, n1, n2, d, ends, o.Alternative)
		if err != nil {
			return nil, err
		}
		t.decide(t.StatisticName, stat, p, exact)
	} else {
		en := float64(n1) * (float64(n2) / float64(n1+n2))
		p := kolmogorovSF(math.Sqrt(en) * stat)
		if o.Alternative != TwoSided {
			p = math.Exp(-2 * en * stat * stat)
		}
		t.decide(t.StatisticName, stat, p, asymptotic)
	}
	t.untied(tied)
	t.independent()
	return t, nil
}

// latticeP returns the share of the orders of the pooled sample whose distance
// reaches d, in O(n1·n2): a path of steps to the right (an x) and up (a y)
// reaches it where |i·n2−j·n1| ≥ d at a position that is not inside a tie.
func latticeP(m *budget.Meter, n1, n2, d int64, ends []bool, alt Alternative) (float64, error) {
	if d <= 0 {
		return 1, nil
	}
	reached := func(i, j int64) bool {
		if !ends[i+j] {
			return false
		}
		v := i*n2 - j*n1
		return alt != Less && v >= d || alt != Greater && -v >= d
	}
	share := make([]float64, n2+1) // of the paths to (i, j) that have reached d
	for i := range n1 + 1 {
		if !m.Step((n2+1)/16 + 1) {
			return 0, spent(m)
		}
		for j := range n2 + 1 {
			switch {
			case reached(i, j):
				share[j] = 1
			case j > 0:
				share[j] = (float64(i)*share[j] + float64(j)*share[j-1]) / float64(i+j)
			}
		}
	}
	return share[n2], nil
}
