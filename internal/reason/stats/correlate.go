package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

func checkPairs(x, y []float64, least int, o Options) error {
	if err := o.check(); err != nil {
		return err
	}
	if err := checkSample("x", x, least); err != nil {
		return err
	}
	if err := checkSample("y", y, least); err != nil {
		return err
	}
	if len(x) != len(y) {
		return wrong("y", fmt.Sprintf("as many values as x (%d), each the partner of one", len(x)), len(y))
	}
	return nil
}

// product returns Pearson's coefficient of two samples of one length.
func product(m *budget.Meter, x, y []float64) (float64, error) {
	a, err := centralMoments(m, x)
	if err != nil {
		return 0, err
	}
	b, err := centralMoments(m, y)
	if err != nil {
		return 0, err
	}
	for field, c := range []central{a, b} {
		if c.m2 == 0 {
			return 0, wrong([]string{"x", "y"}[field], "values that vary", "equal values only")
		}
	}
	var s sum
	err = each(m, len(x), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			s.add((x[i] - a.mean) / a.scale * ((y[i] - b.mean) / b.scale))
		}
	})
	r := s.value() / a.n / math.Sqrt(a.m2*b.m2)
	if known(r) == nil {
		return 0, wrong("x and y", "values whose spread is within the range of a 64-bit float", "more")
	}
	if 1-math.Abs(r) < 1e-14 { // an exact relation up to rounding
		r = math.Copysign(1, r)
	}
	return r, err
}

// Pearson tests whether the linear correlation of x and y is 0.
func Pearson(m *budget.Meter, x, y []float64, o Options) (*Test, error) {
	if err := checkPairs(x, y, 3, o); err != nil {
		return nil, err
	}
	r, err := product(m, x, y)
	if err != nil {
		return nil, err
	}
	t := begin(o, "pearson", "Pearson correlation", "Pearson 1896; Fisher 1915", "the linear correlation is 0", len(x))
	t.correlated("r", r, float64(len(x)), exact)
	t.effect(Estimate{Name: "Pearson r", Value: known(r), Interval: t.fisherZ(r, 1/math.Sqrt(float64(len(x))-3), o, "Fisher z")})
	t.independent()
	t.assume("linear relation", NotChecked, "look at a plot; Spearman and Kendall need only a monotone one")
	return t, t.normality(m, Sample{Field: "x", Values: x}, Sample{Field: "y", Values: y})
}

// correlated decides by the t statistic of a coefficient.
func (t *Test) correlated(name string, r, n float64, how string) {
	nu := n - 2
	stat := r * math.Sqrt(nu/((1-r)*(1+r)))
	t.DF = known(nu)
	p := Options{Alternative: t.Alternative}.p(tSF(-stat, nu), tSF(stat, nu))
	if math.Abs(r) == 1 {
		t.note("the relation is exact: t is infinite and the coefficient stands in its place")
		t.decide(name, r, p, how)
		return
	}
	t.decide("t of "+name, stat, p, how)
}

// fisherZ returns the interval of a coefficient whose inverse hyperbolic tangent
// has standard error se; nil where there is none.
func (t *Test) fisherZ(r, se float64, o Options, method string) *Interval {
	if math.Abs(r) == 1 || math.IsInf(se, 0) || math.IsNaN(se) {
		t.note("no interval: it needs a coefficient inside (-1, 1) and a few more values")
		return nil
	}
	z := math.Atanh(r)
	iv := o.around(z, se, normQuantile, method)
	if iv.Low != nil {
		iv.Low = known(math.Tanh(*iv.Low))
	}
	if iv.High != nil {
		iv.High = known(math.Tanh(*iv.High))
	}
	return iv
}

// Spearman tests whether x and y are monotonically related, by Pearson's
// coefficient of their midranks. p is exact for up to 9 pairs, beyond that the t
// approximation.
func Spearman(m *budget.Meter, x, y []float64, o Options) (*Test, error) {
	if err := checkPairs(x, y, 3, o); err != nil {
		return nil, err
	}
	rx, tx, err := midranks(m, x)
	if err != nil {
		return nil, err
	}
	ry, ty, err := midranks(m, y)
	if err != nil {
		return nil, err
	}
	r, err := product(m, rx, ry)
	if err != nil {
		return nil, err
	}
	n := float64(len(x))
	t := begin(o, "spearman", "Spearman rank correlation", "Spearman 1904", "x and y are unrelated", len(x))
	if len(x) <= exactSpearman {
		atMost, atLeast, err := permutedProducts(m, rx, ry)
		if err != nil {
			return nil, err
		}
		t.decide("rho", r, o.p(atMost, atLeast), exact)
	} else {
		t.correlated("rho", r, n, asymptotic)
		// No order of n values is less likely than 1/n!, whatever t says.
		t.PValue = max(t.PValue, o.ways()*math.Exp(-logGamma(n+1)))
		t.assume("t approximation", NotChecked, "good for 10 or more pairs; %d groups of ties in x, %d in y", tx.groups, ty.groups)
	}
	t.effect(Estimate{
		Name: "Spearman rho", Value: known(r),
		Interval: t.fisherZ(r, math.Sqrt((1+r*r/2)/(n-3)), o, "Fisher z, variance of Bonett & Wright 2000"),
	})
	t.independent()
	return t, nil
}

// exactSpearman is the largest sample whose orders are all listed: 9! = 362,880.
const exactSpearman = 9

// permutedProducts returns the shares of the orders of y whose product with x is
// at most and at least the one seen, by Heap's algorithm (1963). Midranks are
// multiples of a half, so sums are exact and ties are found.
func permutedProducts(m *budget.Meter, x, y []float64) (atMost, atLeast float64, err error) {
	dot := func(y []float64) (s float64) {
		for i := range x {
			s += x[i] * y[i]
		}
		return s
	}
	seen := dot(y)
	var count, low, high float64
	see := func(v float64) {
		count++
		if v <= seen {
			low++
		}
		if v >= seen {
			high++
		}
	}
	y = slices.Clone(y)
	see(seen)
	turn := make([]int, len(y))
	for i := 1; i < len(y); {
		if turn[i] == i {
			turn[i] = 0
			i++
			continue
		}
		if !m.Step(1) {
			return 0, 0, spent(m)
		}
		j := 0
		if i%2 == 1 {
			j = turn[i]
		}
		y[i], y[j] = y[j], y[i]
		see(dot(y))
		turn[i]++
		i = 1
	}
	return low / count, high / count, nil
}

// exactKendall is the largest sample for which Kendall's test counts.
const exactKendall = 50

// Kendall tests whether x and y are monotonically related by tau-b, in
// O(n log n) (Knight 1966). p is exact for up to 50 pairs without ties.
func Kendall(m *budget.Meter, x, y []float64, o Options) (*Test, error) {
	if err := checkPairs(x, y, 3, o); err != nil {
		return nil, err
	}
	k, err := concordance(m, x, y)
	if err != nil {
		return nil, err
	}
	n := float64(len(x))
	pairs := n * (n - 1) / 2
	if k.x.pairs == pairs || k.y.pairs == pairs {
		return nil, wrong("x and y", "values that vary", "equal values only")
	}
	tau := k.s / math.Sqrt(pairs-k.x.pairs) / math.Sqrt(pairs-k.y.pairs)
	tau = max(-1, min(1, tau))
	t := begin(o, "kendall", "Kendall rank correlation, tau-b", "Kendall 1938; Knight 1966", "x and y are unrelated", len(x))
	if len(x) <= exactKendall && k.x.pairs == 0 && k.y.pairs == 0 {
		atMost, atLeast := countTails(inversionCounts(len(x)), int((k.s+pairs)/2))
		t.decide("S", k.s, o.p(atMost, atLeast), exact)
	} else {
		z := k.s / math.Sqrt(k.variance(n))
		t.decide("z", z, o.p(normCDF(z), normSF(z)), asymptotic)
	}
	t.effect(Estimate{
		Name: "Kendall tau-b", Value: known(tau),
		Interval: t.fisherZ(tau, math.Sqrt(0.437/(n-4)), o, "Fisher z, variance of Fieller, Hartley & Pearson 1957"),
	})
	t.independent()
	return t, nil
}

// tieSums are sums over the groups of t equal values.
type tieSums struct{ pairs, triples, spread float64 } // t(t−1)/2, t(t−1)(t−2), t(t−1)(2t+5)

func (s *tieSums) add(t float64) {
	s.pairs += t * (t - 1) / 2
	s.triples += t * (t - 1) * (t - 2)
	s.spread += t * (t - 1) * (2*t + 5)
}

type kendall struct {
	s    float64 // concordant minus discordant pairs
	x, y tieSums
}

// variance is that of s under the null hypothesis, with ties (Kendall 1970).
func (k kendall) variance(n float64) float64 {
	v := (n*(n-1)*(2*n+5) - k.x.spread - k.y.spread) / 18
	v += 2 * k.x.pairs * k.y.pairs / (n * (n - 1))
	return v + k.x.triples*k.y.triples/(9*n*(n-1)*(n-2))
}

type pair struct{ x, y float64 }

func concordance(m *budget.Meter, x, y []float64) (kendall, error) {
	var k kendall
	ps := make([]pair, len(x))
	for i := range x {
		ps[i] = pair{x[i], y[i]}
	}
	err := sortBy(m, ps, func(a, b pair) int { return cmp.Or(cmp.Compare(a.x, b.x), cmp.Compare(a.y, b.y)) })
	if err != nil {
		return k, err
	}
	var both tieSums
	runs(len(ps), func(i, j int) bool { return ps[i].x == ps[j].x }, k.x.add)
	runs(len(ps), func(i, j int) bool { return ps[i] == ps[j] }, both.add)
	ys := make([]float64, len(ps))
	for i, p := range ps {
		ys[i] = p.y
	}
	swaps, err := countSwaps(m, ys)
	if err != nil {
		return k, err
	}
	runs(len(ys), func(i, j int) bool { return ys[i] == ys[j] }, k.y.add)
	n := float64(len(x))
	k.s = n*(n-1)/2 - k.x.pairs - k.y.pairs + both.pairs - 2*swaps
	return k, nil
}

// runs calls fn with the length of each maximal run of equal neighbours.
func runs(n int, same func(i, j int) bool, fn func(float64)) {
	for lo := 0; lo < n; {
		hi := lo + 1
		for hi < n && same(lo, hi) {
			hi++
		}
		fn(float64(hi - lo))
		lo = hi
	}
}

// countSwaps sorts y by merging and returns how many neighbours a bubble sort
// would have exchanged.
func countSwaps(m *budget.Meter, y []float64) (float64, error) {
	var swaps float64
	from, to := y, make([]float64, len(y))
	for width := 1; width < len(y); width *= 2 {
		if !m.Step(int64(len(y))/valuesPerStep + 1) {
			return 0, spent(m)
		}
		for lo := 0; lo < len(y); lo += 2 * width {
			mid, hi := min(len(y), lo+width), min(len(y), lo+2*width)
			a, b := from[lo:mid], from[mid:hi]
			for k := lo; k < hi; k++ {
				if len(b) == 0 || len(a) > 0 && a[0] <= b[0] {
					to[k], a = a[0], a[1:]
				} else {
					to[k], b = b[0], b[1:]
					swaps += float64(len(a))
				}
			}
		}
		from, to = to, from
	}
	if len(y) > 0 && &from[0] != &y[0] {
		copy(y, from)
	}
	return swaps, nil
}

// inversionCounts returns how many orders of n distinct values have each number
// of inversions.
func inversionCounts(n int) []float64 {
	counts := []float64{1}
	for k := 2; k <= n; k++ {
		next := make([]float64, len(counts)+k-1)
		for i, c := range counts {
			for j := range k {
				next[i+j] += c
			}
		}
		counts = next
	}
	return counts
}
