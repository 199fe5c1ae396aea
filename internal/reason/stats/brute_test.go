package stats

import (
	"math"
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// divisions calls fn with every way to call len(x) of the pooled values x and the
// rest y; the first is the given one.
func divisions(x, y []float64, fn func(x, y []float64)) {
	pooled := slices.Concat(x, y)
	given := uint(1)<<len(x) - 1
	split := func(mask uint) {
		var a, b []float64
		for i, v := range pooled {
			if mask>>i&1 == 1 {
				a = append(a, v)
			} else {
				b = append(b, v)
			}
		}
		fn(a, b)
	}
	split(given)
	for mask := range uint(1) << len(pooled) {
		if bits.OnesCount(mask) == len(x) && mask != given {
			split(mask)
		}
	}
}

// shares returns how many of the values, whose first is the one seen, are at most
// and at least as large as it, and as far from the center.
func shares(v []float64, center float64) map[Alternative]float64 {
	const slack = 1e-9
	var low, high, far float64
	for _, w := range v {
		if w <= v[0]+slack {
			low++
		}
		if w >= v[0]-slack {
			high++
		}
		if math.Abs(w-center) >= math.Abs(v[0]-center)-slack {
			far++
		}
	}
	n := float64(len(v))
	return map[Alternative]float64{Less: low / n, Greater: high / n, TwoSided: far / n}
}

var alternatives = []Alternative{TwoSided, Less, Greater}

// distinct draws n values without ties.
func distinct(t *rapid.T, label string, n int) []float64 {
	return rapid.SliceOfNDistinct(rapid.Map(rapid.IntRange(-999, 999), func(i int) float64 { return float64(i) / 8 }),
		n, n, rapid.ID[float64]).Draw(t, label)
}

// few draws values from a handful, so that there are ties.
func few(t *rapid.T, label string, n int) []float64 {
	return rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 4), func(i int) float64 { return float64(i) }), n, n).Draw(t, label)
}

func pairsAbove(x, y []float64) (u float64) {
	for _, a := range x {
		for _, b := range y {
			switch {
			case a > b:
				u++
			case a == b:
				u += 0.5
			}
		}
	}
	return u
}

func TestMannWhitneyAgainstEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n1, n2 := rapid.IntRange(1, 5).Draw(t, "n1"), rapid.IntRange(1, 5).Draw(t, "n2")
		all := distinct(t, "values", n1+n2)
		x, y := all[:n1], all[n1:]
		var us []float64
		divisions(x, y, func(x, y []float64) { us = append(us, pairsAbove(x, y)) })
		want := shares(us, float64(n1*n2)/2)
		for _, a := range alternatives {
			tt, err := MannWhitney(free(), x, y, with(a))
			if err != nil {
				t.Fatal(err)
			}
			if tt.Statistic != us[0] || math.Abs(tt.PValue-want[a]) > 1e-12 || tt.PMethod != exact {
				t.Errorf("%s: U = %g, p = %g (%s); want %g, %g", a, tt.Statistic, tt.PValue, tt.PMethod, us[0], want[a])
			}
		}
	})
}

func TestPermutationAgainstEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y := few(t, "x", rapid.IntRange(1, 5).Draw(t, "n1")), few(t, "y", rapid.IntRange(1, 5).Draw(t, "n2"))
		x = append(x, 7) // so that the values vary
		var d []float64
		divisions(x, y, func(x, y []float64) {
			d = append(d, plainSum(x)/float64(len(x))-plainSum(y)/float64(len(y)))
		})
		want := shares(d, 0)
		for _, a := range alternatives {
			tt, err := PermutationTwo(free(), x, y, with(a), Resampling{Resamples: 999})
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(tt.Statistic-d[0]) > 1e-12 || math.Abs(tt.PValue-want[a]) > 1e-12 {
				t.Errorf("%s: %g, p = %g; want %g, %g", a, tt.Statistic, tt.PValue, d[0], want[a])
			}
		}
	})
}

// patterns returns a statistic under every choice of signs; the first are the
// given ones.
func patterns(d []float64, fn func(d []float64) float64) []float64 {
	var out []float64
	for mask := range 1 << len(d) {
		flipped := slices.Clone(d)
		for i := range d {
			if mask>>i&1 == 1 {
				flipped[i] = -d[i]
			}
		}
		out = append(out, fn(flipped))
	}
	return out
}

func TestSignTestsAgainstEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "n")
		d := rapid.SliceOfNDistinct(rapid.Map(rapid.IntRange(1, 999), func(i int) float64 { return float64(i) }), n, n, rapid.ID[float64]).Draw(t, "d")
		for i := range d {
			if rapid.Bool().Draw(t, "sign") {
				d[i] = -d[i]
			}
		}
		w := patterns(d, func(d []float64) (w float64) {
			for _, v := range d {
				if v > 0 {
					for _, o := range d {
						if math.Abs(o) <= v {
							w++
						}
					}
				}
			}
			return w
		})
		means := patterns(d, func(d []float64) float64 { return plainSum(d) / float64(n) })
		rank, mean := shares(w, float64(n*(n+1))/4), shares(means, 0)
		for _, a := range alternatives {
			s, err := SignedRank(free(), "x", d, 0, with(a))
			if err != nil {
				t.Fatal(err)
			}
			if s.Statistic != w[0] || math.Abs(s.PValue-rank[a]) > 1e-12 {
				t.Errorf("signed rank %s: W = %g, p = %g; want %g, %g", a, s.Statistic, s.PValue, w[0], rank[a])
			}
			p, err := PermutationPaired(free(), "x", d, 0, with(a), Resampling{Resamples: 999})
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(p.PValue-mean[a]) > 1e-12 {
				t.Errorf("sign flips %s: p = %g, want %g", a, p.PValue, mean[a])
			}
		}
	})
}

// choose is the binomial coefficient of small numbers, exactly.
func choose(n, k int) float64 {
	if k < 0 || k > n {
		return 0
	}
	c := 1.0
	for i := range k {
		c = c * float64(n-i) / float64(i+1)
	}
	return math.Round(c)
}

func TestFisherAgainstEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var v [4]int
		for i := range v {
			v[i] = rapid.IntRange(0, 9).Draw(t, "cell")
		}
		v[0]++ // no empty margin
		v[3]++
		r, k, n := v[0]+v[1], v[0]+v[2], v[0]+v[1]+v[2]+v[3]
		ways := func(x int) float64 { return choose(r, x) * choose(n-r, k-x) }
		want := map[Alternative]float64{}
		for x := range min(r, k) + 1 {
			p := ways(x) / choose(n, k)
			if x <= v[0] {
				want[Less] += p
			}
			if x >= v[0] {
				want[Greater] += p
			}
			if ways(x) <= ways(v[0]) {
				want[TwoSided] += p
			}
		}
		table := [][]float64{{float64(v[0]), float64(v[1])}, {float64(v[2]), float64(v[3])}}
		for _, a := range alternatives {
			tt, err := FisherExact(free(), table, with(a))
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(tt.PValue-want[a]) > 1e-11 {
				t.Errorf("%v %s: p = %.12g, want %.12g", table, a, tt.PValue, want[a])
			}
		}
	})
}

func TestBinomialAgainstEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 25).Draw(t, "n")
		k := rapid.IntRange(0, n).Draw(t, "k")
		p0 := rapid.Float64Range(0.05, 0.95).Draw(t, "p0")
		pmf := func(x int) float64 {
			return choose(n, x) * math.Pow(p0, float64(x)) * math.Pow(1-p0, float64(n-x))
		}
		want := map[Alternative]float64{}
		for x := range n + 1 {
			if x <= k {
				want[Less] += pmf(x)
			}
			if x >= k {
				want[Greater] += pmf(x)
			}
			if pmf(x) <= pmf(k)*(1+1e-7) {
				want[TwoSided] += pmf(x)
			}
		}
		for _, a := range alternatives {
			tt, err := BinomialExact(free(), float64(k), float64(n), p0, with(a))
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(tt.PValue-min(1, want[a])) > 1e-11 {
				t.Errorf("%d of %d at %g, %s: p = %g, want %g", k, n, p0, a, tt.PValue, want[a])
			}
		}
	})
}

// supremum returns the largest of F(x)−F(y) at any point.
func supremum(x, y []float64) float64 {
	share := func(s []float64, at float64) (n float64) {
		for _, v := range s {
			if v <= at {
				n++
			}
		}
		return n / float64(len(s))
	}
	var d float64
	for _, v := range slices.Concat(x, y) {
		d = max(d, share(x, v)-share(y, v))
	}
	return d
}

func TestKolmogorovAgainstEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n1, n2 := rapid.IntRange(1, 5).Draw(t, "n1"), rapid.IntRange(1, 5).Draw(t, "n2")
		x, y := few(t, "x", n1), few(t, "y", n2) // with ties: p is conditional on them
		var plus, minus, both []float64
		divisions(x, y, func(x, y []float64) {
			p, m := supremum(x, y), supremum(y, x)
			plus, minus, both = append(plus, p), append(minus, m), append(both, max(p, m))
		})
		for a, v := range map[Alternative][]float64{Greater: plus, Less: minus, TwoSided: both} {
			tt, err := KSTwo(free(), x, y, with(a))
			if err != nil {
				t.Fatal(err)
			}
			if want := shares(v, 0)[Greater]; math.Abs(tt.Statistic-v[0]) > 1e-12 || math.Abs(tt.PValue-want) > 1e-12 {
				t.Errorf("%s: D = %g, p = %g; want %g, %g", a, tt.Statistic, tt.PValue, v[0], want)
			}
		}
	})
}

// orders returns a statistic of every order of y; the first is the given one.
func orders(y []float64, fn func(y []float64) float64) []float64 {
	var out []float64
	y = slices.Clone(y)
	var rec func(k int)
	rec = func(k int) {
		if k == len(y) {
			out = append(out, fn(y))
			return
		}
		for i := k; i < len(y); i++ {
			y[k], y[i] = y[i], y[k]
			rec(k + 1)
			y[k], y[i] = y[i], y[k]
		}
	}
	rec(0)
	return out
}

func TestRankCorrelationsAgainstEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(3, 6).Draw(t, "n")
		x, y := distinct(t, "x", n), distinct(t, "y", n)
		score := orders(y, func(y []float64) (s float64) {
			for i := range x {
				for j := range i {
					s += float64(sign(x[i]-x[j]) * sign(y[i]-y[j]))
				}
			}
			return s
		})
		tx, _, _ := midranks(free(), x)
		rho := orders(y, func(y []float64) float64 {
			r, _, _ := midranks(free(), y)
			v, _ := product(free(), tx, r)
			return v
		})
		for _, a := range alternatives {
			k, err := Kendall(free(), x, y, with(a))
			if err != nil {
				t.Fatal(err)
			}
			if want := shares(score, 0)[a]; k.Statistic != score[0] || math.Abs(k.PValue-want) > 1e-12 {
				t.Errorf("Kendall %s: S = %g, p = %g; want %g, %g", a, k.Statistic, k.PValue, score[0], want)
			}
			s, err := Spearman(free(), x, y, with(a))
			if err != nil {
				t.Fatal(err)
			}
			if want := shares(rho, 0)[a]; math.Abs(s.Statistic-rho[0]) > 1e-12 || math.Abs(s.PValue-want) > 1e-12 {
				t.Errorf("Spearman %s: rho = %g, p = %g; want %g, %g", a, s.Statistic, s.PValue, rho[0], want)
			}
		}
	})
}

func sign(v float64) int {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return 0
}

func TestKendallSumsAgainstPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(3, 40).Draw(t, "n")
		x, y := few(t, "x", n), few(t, "y", n)
		var s, tx, ty float64
		for i := range x {
			for j := range i {
				s += float64(sign(x[i]-x[j]) * sign(y[i]-y[j]))
				tx += float64(1 - abs(sign(x[i]-x[j])))
				ty += float64(1 - abs(sign(y[i]-y[j])))
			}
		}
		k, err := concordance(free(), x, y)
		if err != nil || k.s != s || k.x.pairs != tx || k.y.pairs != ty {
			t.Errorf("S = %g, ties %g and %g (%v); want %g, %g, %g", k.s, k.x.pairs, k.y.pairs, err, s, tx, ty)
		}
	})
}

func abs(v int) int { return max(v, -v) }
