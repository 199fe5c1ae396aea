package stats

import (
	"math"
	"slices"
	"sync"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mathext"
)

// Intervals of effect sizes come from inverting noncentral distributions: the
// ends are the noncentralities under which the observed statistic is at the edge
// of being surprising (Steiger & Fouladi 1997).

// noncentralT returns P(T ≤ t) for noncentrality delta, as the mean of
// Φ(t·s−δ) over s = √(χ²/ν). The integrand is smooth and positive; panels split
// where Φ climbs, so the rule holds for any delta. The density is normalised by
// the same rule, which removes the error of its constant. Panels are in v = s^¼:
// for small ν the density has a kink at 0 that this irons out.
func noncentralT(t, nu, delta float64) float64 {
	spread := 11 / math.Sqrt(2*nu)
	lo, hi := max(0, 1-spread), 1+spread
	cuts := []float64{lo, hi}
	if t != 0 {
		at, width := delta/t, 9/math.Abs(t)
		for _, c := range []float64{at - width, at - width/4, at, at + width/4, at + width} {
			if c > lo && c < hi {
				cuts = append(cuts, c)
			}
		}
		slices.Sort(cuts)
	}
	for i, s := range cuts {
		cuts[i] = math.Sqrt(math.Sqrt(s))
	}
	density := func(v float64) float64 { // with the derivative of s but for a constant
		if v <= 0 {
			return 0
		}
		s := v * v * v * v
		return math.Exp((4*nu-1)*math.Log(v) - nu*(s*s-1)/2)
	}
	rule := legendre()
	const panels = 4
	var mass, hit float64
	for i := range len(cuts) - 1 {
		w := (cuts[i+1] - cuts[i]) / panels
		for k := range panels {
			middle := cuts[i] + (float64(k)+0.5)*w
			for n, x := range rule.nodes {
				v := middle + x*w/2
				d := density(v) * rule.weights[n] * w
				mass += d
				hit += d * normCDF(t*v*v*v*v-delta)
			}
		}
	}
	return min(1, hit/mass)
}

// gauss is a Gauss-Legendre rule on [-1, 1].
type gauss struct{ nodes, weights []float64 }

var legendre = sync.OnceValue(func() gauss {
	const n = 20
	g := gauss{nodes: make([]float64, n), weights: make([]float64, n)}
	quad.Legendre{}.FixedLocations(g.nodes, g.weights, -1, 1)
	return g
})

// noncentralTBounds returns the noncentralities whose central interval at level
// just holds t.
func noncentralTBounds(t, nu, level float64) (low, high float64) {
	reach := 12 * math.Sqrt(1+t*t/(2*nu))
	tail := (1 - level) / 2
	low = solve(func(d float64) float64 { return noncentralT(t, nu, d) - (1 - tail) }, t-reach, t+reach)
	high = solve(func(d float64) float64 { return noncentralT(t, nu, d) - tail }, t-reach, t+reach)
	return low, high
}

// maxNoncentrality bounds the Poisson sums below; they take about √λ terms.
const maxNoncentrality = 1e7

// poissonRange returns the indices that hold all but 1e-16 of a Poisson
// distribution.
func poissonRange(mean float64) (lo, hi int) {
	w := 9*math.Sqrt(mean) + 40
	return max(0, int(mean-w)), int(mean + w)
}

func poissonLog(k, mean float64) float64 {
	if mean == 0 {
		if k == 0 {
			return 0
		}
		return math.Inf(-1)
	}
	return k*math.Log(mean) - mean - logGamma(k+1)
}

// noncentralChi returns P(X ≤ x) as a Poisson mixture of central distributions.
// The central ones follow from the last by a recurrence that only adds.
func noncentralChi(x, df, lambda float64) float64 {
	if x <= 0 {
		return 0
	}
	lo, hi := poissonRange(lambda / 2)
	a, y := df/2+float64(hi), x/2
	cdf := mathext.GammaIncReg(a, y)
	var total float64
	for k := hi; k >= lo; k-- {
		total += math.Exp(poissonLog(float64(k), lambda/2)) * cdf
		a--
		cdf = min(1, cdf+math.Exp(a*math.Log(y)-y-logGamma(a+1)))
	}
	return min(1, total)
}

// noncentralF returns P(X ≤ x), in the same way.
func noncentralF(x, d1, d2, lambda float64) float64 {
	if x <= 0 {
		return 0
	}
	lo, hi := poissonRange(lambda / 2)
	u, b := d1*x/(d1*x+d2), d2/2
	logU, logV := math.Log(u), -math.Log1p(d1*x/d2)
	a := d1/2 + float64(hi)
	cdf, _ := incBeta(a, b, u, d2/(d1*x+d2))
	var total float64
	for k := hi; k >= lo; k-- {
		total += math.Exp(poissonLog(float64(k), lambda/2)) * cdf
		a--
		cdf = min(1, cdf+math.Exp(a*logU+b*logV+logGamma(a+b)-logGamma(a+1)-logGamma(b)))
	}
	return min(1, total)
}

// noncentralBounds inverts cdf, which falls as its noncentrality grows, at both
// tails of level. An end is 0 where even no noncentrality makes the statistic
// large; ok is false where the answer is beyond what is computed.
func noncentralBounds(cdf func(lambda float64) float64, level float64) (low, high float64, ok bool) {
	tail := (1 - level) / 2
	end := func(p float64) float64 {
		if cdf(0) <= p {
			return 0
		}
		hi := 1.0
		for cdf(hi) > p {
			if hi *= 4; hi > maxNoncentrality {
				return math.NaN()
			}
		}
		return solve(func(l float64) float64 { return cdf(l) - p }, 0, hi)
	}
	low, high = end(1-tail), end(tail)
	return low, high, !math.IsNaN(low) && !math.IsNaN(high)
}
