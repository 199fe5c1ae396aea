package stats

import (
	"math"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// ShapiroWilk tests 3 to 5000 values for a normal distribution and returns W and
// its p value, by the approximation of Royston (1995), algorithm AS R94. Constant
// data are an InputError.
func ShapiroWilk(m *budget.Meter, x []float64) (w, p float64, err error) {
	if err := checkSample("x", x, 3); err != nil {
		return 0, 0, err
	}
	if len(x) > maxShapiro {
		return 0, 0, wrong("x", "at most 5000 values for the Shapiro-Wilk test", len(x))
	}
	s, err := sorted(m, x)
	if err != nil {
		return 0, 0, err
	}
	width := s[len(s)-1] - s[0]
	if width == 0 || math.IsInf(width, 0) {
		return 0, 0, wrong("x", "values that vary within the range of a 64-bit float", "a range of 0 or infinity")
	}
	w = shapiroW(s, width)
	return w, shapiroP(w, float64(len(s))), nil
}

// shapiroWeights returns the upper half of the antisymmetric weights, largest
// first.
func shapiroWeights(size int) []float64 {
	n := float64(size)
	half := make([]float64, size/2)
	if size == 3 {
		half[0] = math.Sqrt(0.5)
		return half
	}
	var square float64
	for i := range half {
		half[i] = -normQuantile((float64(i+1) - 0.375) / (n + 0.25))
		square += 2 * half[i] * half[i]
	}
	root := math.Sqrt(square)
	r := 1 / math.Sqrt(n)
	first := half[0]/root + poly(r, 0, 0.221157, -0.147981, -2.07119, 4.434685, -2.706056)
	from, scale := 1, 0.0
	if size > 5 {
		second := half[1]/root + poly(r, 0, 0.042981, -0.293762, -1.752461, 5.682633, -3.582633)
		scale = math.Sqrt((square - 2*half[0]*half[0] - 2*half[1]*half[1]) / (1 - 2*first*first - 2*second*second))
		half[1], from = second, 2
	} else {
		scale = math.Sqrt((square - 2*half[0]*half[0]) / (1 - 2*first*first))
	}
	half[0] = first
	for i := from; i < len(half); i++ {
		half[i] /= scale
	}
	return half
}

func shapiroW(s []float64, width float64) float64 {
	n := len(s)
	weights := shapiroWeights(n)
	var mean, numerator, ss float64
	for _, v := range s {
		mean += (v - s[0]) / width / float64(n)
	}
	for i, a := range weights {
		numerator += a * (s[n-1-i] - s[i]) / width
	}
	for _, v := range s {
		d := (v-s[0])/width - mean
		ss += d * d
	}
	return min(1, numerator*numerator/ss)
}

func shapiroP(w, n float64) float64 {
	if n == 3 {
		const low = 0.75 // the least W of three values
		p := 6 / math.Pi * (math.Asin(math.Sqrt(w)) - math.Asin(math.Sqrt(low)))
		return clamp(p)
	}
	y := math.Log1p(-w)
	var mu, sigma float64
	if n <= 11 {
		g := poly(n, -2.273, 0.459)
		if y >= g {
			return 0 // W is so small that the transformation ends; p < 1e-19
		}
		y = -math.Log(g - y)
		mu = poly(n, 0.544, -0.39978, 0.025054, -6.714e-4)
		sigma = math.Exp(poly(n, 1.3822, -0.77857, 0.062767, -0.0020322))
	} else {
		l := math.Log(n)
		mu = poly(l, -1.5861, -0.31082, -0.083751, 0.0038915)
		sigma = math.Exp(poly(l, -0.4803, -0.082676, 0.0030302))
	}
	return normSF((y - mu) / sigma)
}

// poly evaluates c[0] + c[1]·x + c[2]·x² + ….
func poly(x float64, c ...float64) float64 {
	var v float64
	for _, k := range slices.Backward(c) {
		v = v*x + k
	}
	return v
}
