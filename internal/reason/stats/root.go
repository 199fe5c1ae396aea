package stats

import "math"

// solve returns a root of f in [lo, hi], where f changes sign, by the method of
// Brent (1973): inverse quadratic and secant steps that fall back to bisection.
// It stops at a relative width of about 1e-15; where f has one sign it returns
// the end with the smaller value.
func solve(f func(float64) float64, lo, hi float64) float64 {
	a, b := lo, hi
	fa, fb := f(a), f(b)
	if fa == 0 || fb == 0 || (fa > 0) == (fb > 0) {
		if math.Abs(fa) < math.Abs(fb) {
			return a
		}
		return b
	}
	c, fc := a, fa
	d := b - a
	e := d
	for range 300 {
		if (fb > 0) == (fc > 0) {
			c, fc = a, fa
			d = b - a
			e = d
		}
		if math.Abs(fc) < math.Abs(fb) { // b is the best so far, c on the other side
			a, b, c = b, c, b
			fa, fb, fc = fb, fc, fb
		}
		tol := 1e-15*math.Abs(b) + 5e-324
		half := (c - b) / 2
		if math.Abs(half) <= tol || fb == 0 {
			return b
		}
		if math.Abs(e) >= tol && math.Abs(fa) > math.Abs(fb) {
			d, e = interpolate(a, b, c, fa, fb, fc, half, d, e, tol)
		} else {
			d, e = half, half
		}
		a, fa = b, fb
		if math.Abs(d) > tol {
			b += d
		} else {
			b += math.Copysign(tol, half)
		}
		fb = f(b)
	}
	return b
}

// interpolate returns the next step and the one before it: the interpolated step
// where it stays well inside the bracket and shrinks, else half the bracket.
func interpolate(a, b, c, fa, fb, fc, half, d, e, tol float64) (step, before float64) {
	s := fb / fa
	p, q := 2*half*s, 1-s
	if a != c {
		r, t := fb/fc, fa/fc
		p = s * (2*half*t*(t-r) - (b-a)*(r-1))
		q = (t - 1) * (r - 1) * (s - 1)
	}
	if p > 0 {
		q = -q
	}
	p = math.Abs(p)
	if 2*p < min(3*half*q-math.Abs(tol*q), math.Abs(e*q)) {
		return p / q, d
	}
	return half, half
}
