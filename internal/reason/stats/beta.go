package stats

import "math"

// incBeta returns the regularised incomplete beta function I_x(a, b) and its
// complement, for a, b > 0 and y = 1−x. Whichever of the two is small keeps its
// relative precision: it is the continued fraction of Lentz's form (Didonato &
// Morris 1992), never one minus something. Taking y as well as x keeps the
// precision where x is close to 1. It takes about √max(a, b) steps.
func incBeta(a, b, x, y float64) (p, q float64) {
	switch {
	case x <= 0:
		return 0, 1
	case y <= 0:
		return 1, 0
	case x > (a+1)/(a+b+2):
		q, p = incBeta(b, a, y, x)
		return p, q
	}
	front := math.Exp(a*logOf(x, y)+b*logOf(y, x)-logBeta(a, b)) / a
	p = min(1, front*betaFraction(a, b, x))
	return p, 1 - p
}

// logOf returns log(x), given y = 1−x.
func logOf(x, y float64) float64 {
	if y < 0.5 {
		return math.Log1p(-y)
	}
	return math.Log(x)
}

// betaFraction evaluates the continued fraction by the modified Lentz method.
func betaFraction(a, b, x float64) float64 {
	const tiny = 1e-300
	guard := func(v float64) float64 {
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c, d := 1.0, 1/guard(1-(a+b)*x/(a+1))
	h := d
	for i := 1; i < 100_000; i++ {
		m := float64(i)
		k := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d = 1 / guard(1+k*d)
		c = guard(1 + k/c)
		h *= d * c
		k = -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d = 1 / guard(1+k*d)
		c = guard(1 + k/c)
		step := d * c
		h *= step
		if math.Abs(step-1) < 1e-16 {
			break
		}
	}
	return h
}

// logBeta returns the logarithm of the beta function. For large arguments the
// leading terms of the gamma functions are cancelled by hand (Loader 2000).
func logBeta(a, b float64) float64 {
	if a > b {
		a, b = b, a
	}
	switch {
	case a >= 10:
		corr := stirling(a) + stirling(b) - stirling(a+b)
		return -0.5*math.Log(b) + halfLog2Pi + corr + (a-0.5)*math.Log(a/(a+b)) + b*math.Log1p(-a/(a+b))
	case b >= 10:
		corr := stirling(b) - stirling(a+b)
		return logGamma(a) + corr + a - a*math.Log(a+b) + (b-0.5)*math.Log1p(-a/(a+b))
	}
	return logGamma(a) + logGamma(b) - logGamma(a+b)
}

const halfLog2Pi = 0.91893853320467274178

// stirling returns log Γ(x) − [(x−½)·log x − x + ½·log 2π] for x ≥ 10.
func stirling(x float64) float64 {
	i := 1 / (x * x)
	return (1.0/12 - i*(1.0/360-i*(1.0/1260-i*(1.0/1680-i*(1.0/1188-i*691.0/360360))))) / x
}

// logChoose returns the logarithm of the binomial coefficient.
func logChoose(n, k float64) float64 { return -logBeta(n-k+1, k+1) - math.Log(n+1) }
