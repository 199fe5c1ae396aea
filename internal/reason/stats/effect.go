package stats

import "math"

// standardised adds Cohen's d and Hedges' g of a t statistic. root is what turns
// d into the noncentrality of t, such as √n. The interval is central whatever the
// alternative.
func (t *Test) standardised(d, stat, nu, root float64, o Options) {
	low, high := noncentralTBounds(stat, nu, o.level())
	const method = "noncentral t (Steiger & Fouladi 1997)"
	t.effect(Estimate{Name: "Cohen d", Value: known(d), Interval: between(low/root, high/root, o, method)})
	j := hedges(nu)
	t.effect(Estimate{Name: "Hedges g", Value: known(d * j), Interval: between(j*low/root, j*high/root, o, method)})
}

// hedges returns the factor that removes the bias of d (Hedges 1981).
func hedges(nu float64) float64 {
	if nu > 1e5 {
		return 1 - 3/(4*nu-1)
	}
	if nu <= 1 {
		return math.NaN() // d has no expectation
	}
	return math.Exp(logGamma(nu/2)-logGamma((nu-1)/2)) / math.Sqrt(nu/2)
}

// bonett adds the standardised mean difference for unequal variances: the
// denominator is the root mean square of both sds (Bonett 2008).
func (t *Test) bonett(a, b Moments, mu float64, o Options) {
	s2 := (a.Variance + b.Variance) / 2
	d := (a.Mean - b.Mean - mu) / math.Sqrt(s2)
	fa, fb := a.Variance/s2, b.Variance/s2
	se := math.Sqrt(d*d/8*(fa*fa/(a.N-1)+fb*fb/(b.N-1)) + fa/(a.N-1) + fb/(b.N-1))
	z := normQuantile(1 - o.Alpha/2)
	const method = "normal approximation for unequal variances (Bonett 2008)"
	t.effect(Estimate{Name: "Cohen d", Value: known(d), Interval: between(d-z*se, d+z*se, o, method), Note: "divisor: root mean square of the two sds"})
	j := 1 - 3/(4*(a.N+b.N)-9)
	t.effect(Estimate{Name: "Hedges g", Value: known(d * j), Interval: between(j*(d-z*se), j*(d+z*se), o, method)})
}

// between returns a central interval at 1−alpha.
func between(low, high float64, o Options, method string) *Interval {
	return &Interval{Low: known(low), High: known(high), Level: o.level(), Method: method}
}

// superiority returns an interval for θ = P(X > Y) + P(X = Y)/2 from its
// estimate: Newcombe's method 5 (2006), which like Wilson's uses the variance at
// the end point and so works for 0 and 1 too.
func superiority(theta, n1, n2, level float64) (low, high float64) {
	z := normQuantile((1 + level) / 2)
	star := (n1+n2)/2 - 1
	gap := func(t float64) float64 {
		v := t * (1 - t) * (1 + star*((1-t)/(2-t)+t/(1+t))) / (n1 * n2)
		return z * math.Sqrt(v)
	}
	const edge = 1e-12 // keeps the trivial roots 0 and 1 out
	if theta > 0 {
		low = solve(func(t float64) float64 { return t + gap(t) - theta }, 0, min(theta, 1-edge))
	}
	high = 1
	if theta < 1 {
		high = solve(func(t float64) float64 { return t - gap(t) - theta }, max(theta, edge), 1)
	}
	return low, high
}

// logRatio returns the interval of a ratio whose logarithm has standard error se.
func logRatio(ratio, se float64, o Options, method string) *Interval {
	z := normQuantile(1 - o.Alpha/2)
	return between(ratio*math.Exp(-z*se), ratio*math.Exp(z*se), o, method)
}
