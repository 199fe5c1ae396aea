package stats

import (
	"math"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// Upper tails are computed as such, never as one minus the lower tail: a p value
// of 1e-30 keeps its digits.

func normCDF(z float64) float64 { return 0.5 * math.Erfc(-z/math.Sqrt2) }

func normSF(z float64) float64 { return 0.5 * math.Erfc(z/math.Sqrt2) }

// normQuantile returns z with P(Z ≤ z) = p for p in (0, 1).
func normQuantile(p float64) float64 { return distuv.UnitNormal.Quantile(p) }

// tSF returns P(T > t) for nu degrees of freedom.
func tSF(t, nu float64) float64 {
	if math.IsInf(t*t, 0) {
		return normSF(t) // 0 or 1
	}
	if nu > 1e5 {
		return normSF(math.Copysign(hill(t, nu), t))
	}
	p, _ := incBeta(nu/2, 0.5, nu/(nu+t*t), t*t/(nu+t*t))
	if t >= 0 {
		return p / 2
	}
	return 1 - p/2
}

// hill returns the normal deviate of |t| (Hill 1970, algorithm 395). Its error
// falls with a high power of nu; here it is below that of a float, whereas the
// incomplete beta function cancels for large nu.
func hill(t, nu float64) float64 {
	a := nu - 0.5
	b := 48 * a * a
	y := a * math.Log1p(t*t/nu)
	return (((((-0.4*y-3.3)*y-24)*y-85.5)/(0.8*y*y+100+b)+y+3)/b + 1) * math.Sqrt(y)
}

// tQuantile returns t with P(T ≤ t) = p.
func tQuantile(p, nu float64) float64 {
	if p < 0.5 {
		return -tQuantile(1-p, nu)
	}
	hi := 2 + math.Abs(normQuantile(p))
	for tSF(hi, nu) > 1-p && hi < 1e300 {
		hi *= 2
	}
	return solve(func(t float64) float64 { return tSF(t, nu) - (1 - p) }, 0, hi)
}

// chiSF returns P(X > x) of the chi-squared distribution.
func chiSF(x, df float64) float64 {
	switch {
	case x <= 0:
		return 1
	case math.IsInf(x, 1):
		return 0
	}
	return mathext.GammaIncRegComp(df/2, x/2)
}

// fSF returns P(X > x) of the F distribution.
func fSF(x, d1, d2 float64) float64 {
	switch {
	case x <= 0:
		return 1
	case math.IsInf(x, 1):
		return 0
	}
	p, _ := incBeta(d2/2, d1/2, d2/(d2+d1*x), d1*x/(d2+d1*x))
	return p
}

// betaQuantile returns x with I_x(a, b) = p.
func betaQuantile(p, a, b float64) float64 {
	return solve(func(x float64) float64 {
		lower, _ := incBeta(a, b, x, 1-x)
		return lower - p
	}, 0, 1)
}

// gammaQuantile returns x with P(G ≤ x) = p for unit rate.
func gammaQuantile(p, shape float64) float64 {
	hi := shape + 10*math.Sqrt(shape) + 10
	for mathext.GammaIncReg(shape, hi) < p && hi < 1e300 {
		hi *= 2
	}
	return solve(func(x float64) float64 { return mathext.GammaIncReg(shape, x) - p }, 0, hi)
}

// logGamma is math.Lgamma without the sign, for positive arguments.
func logGamma(x float64) float64 {
	v, _ := math.Lgamma(x)
	return v
}

// logAdd returns log(e^a + e^b).
func logAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(b, -1) {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}
