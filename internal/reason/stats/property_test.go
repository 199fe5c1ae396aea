package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// sampleTests are the tests of two samples, each with what moving and stretching
// the data must leave alone.
var sampleTests = map[string]func(x, y []float64, o Options) (*Test, error){
	"pooled t": func(x, y []float64, o Options) (*Test, error) {
		return TTestPooled(free(), values("x", x), values("y", y), 0, o)
	},
	"Welch t": func(x, y []float64, o Options) (*Test, error) {
		return TTestWelch(free(), values("x", x), values("y", y), 0, o)
	},
	"Mann-Whitney":       func(x, y []float64, o Options) (*Test, error) { return MannWhitney(free(), x, y, o) },
	"Kolmogorov-Smirnov": func(x, y []float64, o Options) (*Test, error) { return KSTwo(free(), x, y, o) },
	"permutation": func(x, y []float64, o Options) (*Test, error) {
		return PermutationTwo(free(), x, y, o, Resampling{Resamples: 199, Seed: 5})
	},
}

func mapped(x []float64, fn func(float64) float64) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = fn(v)
	}
	return out
}

func TestTwoSampleProperties(t *testing.T) {
	for name, run := range sampleTests {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { checkTwoSample(t, run) })
		})
	}
}

func checkTwoSample(t *rapid.T, run func(x, y []float64, o Options) (*Test, error)) {
	whole := rapid.Map(rapid.IntRange(-64, 64), func(i int) float64 { return float64(i) })
	x := append(rapid.SliceOfN(whole, 2, 7).Draw(t, "x"), 100) // so that both vary
	y := append(rapid.SliceOfN(whole, 2, 7).Draw(t, "y"), -100)
	p := map[Alternative]*Test{}
	for _, a := range alternatives {
		tt, err := run(x, y, with(a))
		if err != nil {
			t.Fatal(err)
		}
		p[a] = tt
		if !(tt.PValue >= 0 && tt.PValue <= 1) {
			t.Errorf("%s: p = %g", a, tt.PValue)
		}
		// Exchanging the samples exchanges the directions.
		mirror := map[Alternative]Alternative{TwoSided: TwoSided, Less: Greater, Greater: Less}[a]
		other, err := run(y, x, with(mirror))
		if err != nil {
			t.Fatal(err)
		}
		same(t, "exchanged", other.PValue, tt.PValue)
		// A change of units and a new order change nothing; powers of two keep
		// the values exact, so that ties stay ties.
		unit := func(v float64) float64 { return v*4 + 1024 }
		xs, ys := mapped(x, unit), mapped(y, unit)
		slices.Reverse(xs)
		slices.Sort(ys)
		moved, err := run(xs, ys, with(a))
		if err != nil {
			t.Fatal(err)
		}
		same(t, "other units and order", moved.PValue, tt.PValue)
		if tt.Effect != nil && moved.Effect != nil {
			same(t, "effect size in other units", *moved.Effect, *tt.Effect)
		}
	}
	// The probability of at most and of at least what was seen overlap, except for
	// the two one-sided distances, which are different statistics.
	if low := p[Less].PValue + p[Greater].PValue; low < 1-1e-9 && p[Less].StatisticName == p[Greater].StatisticName {
		t.Errorf("the one-sided p values add up to %g, below 1", low)
	}
}

func same(t *rapid.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*(1+math.Abs(want)) {
		t.Errorf("%s: %.12g, want %.12g", what, got, want)
	}
}

func TestGroupProperties(t *testing.T) {
	for name, run := range map[string]func(g [][]float64) (*Test, error){
		"anova":          func(g [][]float64) (*Test, error) { return OneWay(free(), g, two) },
		"kruskal_wallis": func(g [][]float64) (*Test, error) { return KruskalWallis(free(), g, two) },
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				value := rapid.Map(rapid.IntRange(-80, 80), func(i int) float64 { return float64(i) / 8 })
				g := rapid.SliceOfN(rapid.SliceOfN(value, 2, 6), 2, 5).Draw(t, "groups")
				g[0] = append(g[0], 30, -30) // variation within
				a, err := run(g)
				if err != nil {
					t.Fatal(err)
				}
				h := slices.Clone(g)
				slices.Reverse(h)
				for i := range h {
					h[i] = mapped(h[i], func(v float64) float64 { return 2*v - 16 })
					slices.Sort(h[i])
				}
				b, err := run(h)
				if err != nil {
					t.Fatal(err)
				}
				same(t, "statistic", b.Statistic, a.Statistic)
				same(t, "p", b.PValue, a.PValue)
				if a.PValue < 0 || a.PValue > 1 || *a.Effect < 0 || *a.Effect > 1+1e-9 {
					t.Errorf("p = %g, effect size %g", a.PValue, *a.Effect)
				}
			})
		})
	}
}

// Two groups: F is t², H is the tie-corrected z² of Mann and Whitney.
func TestTwoGroupsAgreeWithTwoSamples(t *testing.T) {
	f := must[*Test](t)(OneWay(free(), [][]float64{sleep1, sleep2}, two))
	tt := must[*Test](t)(TTestPooled(free(), values("x", sleep1), values("y", sleep2), 0, two))
	near(t, "F", f.Statistic, tt.Statistic*tt.Statistic, 1e-12)
	near(t, "p", f.PValue, tt.PValue, 1e-12)
	h := must[*Test](t)(KruskalWallis(free(), [][]float64{sleep1, sleep2}, two))
	u := pairsAbove(sleep1, sleep2)
	// 20 values with the pairs −0.1, 0.8, 1.1… among them; the formula of H for
	// two groups, with the correction for ties.
	_, tied, err := midranks(free(), slices.Concat(sleep1, sleep2))
	if err != nil {
		t.Fatal(err)
	}
	variance := 100.0 / 12 * (21 - tied.cubes/(20*19))
	near(t, "H", h.Statistic, (u-50)*(u-50)/variance, 1e-12)
}

func TestTablesProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, cols := rapid.IntRange(2, 4).Draw(t, "rows"), rapid.IntRange(2, 4).Draw(t, "cols")
		table := make([][]float64, rows)
		turned := make([][]float64, cols)
		for i := range table {
			table[i] = make([]float64, cols)
			for j := range table[i] {
				table[i][j] = float64(rapid.IntRange(1, 30).Draw(t, "cell"))
			}
		}
		for j := range turned {
			turned[j] = make([]float64, rows)
			for i := range table {
				turned[j][rows-1-i] = table[i][j]
			}
		}
		a, err := Independence(table, false, two)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Independence(turned, false, two)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "turned", b.Statistic, a.Statistic)
		v := a.EffectSizes[len(a.EffectSizes)-1]
		for _, e := range a.EffectSizes {
			if e.Name == "Cramer V" {
				v = e
			}
		}
		if !(*v.Value >= 0 && *v.Value <= 1+1e-12) || (v.Interval == nil) == (v.Note == "") {
			t.Errorf("Cramer V %g, interval %v, note %q", *v.Value, v.Interval, v.Note)
		}
		if iv := v.Interval; iv != nil && !(*iv.Low <= *v.Value && *iv.Low <= *iv.High) {
			t.Errorf("Cramer V %g in [%g, %g]", *v.Value, *iv.Low, *iv.High)
		}
	})
}

// The asymptotic variance of phi, from its definition: the gradient of phi in the
// four cells, by differences, and the multinomial covariance.
func TestPhiIntervalIsTheDeltaMethod(t *testing.T) {
	for _, cells := range [][4]float64{{10, 20, 20, 10}, {30, 5, 12, 40}, {3, 9, 14, 2}} {
		n := cells[0] + cells[1] + cells[2] + cells[3]
		phi := func(c [4]float64) float64 {
			return (c[0]*c[3] - c[1]*c[2]) / math.Sqrt((c[0]+c[1])*(c[2]+c[3])*(c[0]+c[2])*(c[1]+c[3]))
		}
		var mean, square float64
		for i := range cells {
			up, down := cells, cells
			up[i] += 1e-4
			down[i] -= 1e-4
			g := (phi(up) - phi(down)) / 2e-4 * n
			mean += cells[i] / n * g
			square += cells[i] / n * g * g
		}
		se := math.Sqrt((square - mean*mean) / n)
		tt := must[*Test](t)(Independence([][]float64{{cells[0], cells[1]}, {cells[2], cells[3]}}, false, two))
		low, high := span(t, effect(t, tt, "phi").Interval)
		near(t, "half width", (high-low)/2, 1.959963984540054*se, 1e-6)
	}
}

func TestPermutationApproachesExact(t *testing.T) {
	x, y := normals(9, 0.4, 1, 1), normals(9, 0, 1, 2) // 48,620 divisions: listed
	want := must[*Test](t)(PermutationTwo(free(), x, y, two, Resampling{Resamples: 999}))
	if want.PMethod != exact {
		t.Fatalf("p is %s, want exact", want.PMethod)
	}
	long := normals(40, 0.4, 1, 3)
	var first *Test
	for _, workers := range []int{1, 2, 8} {
		got := must[*Test](t)(PermutationTwo(free(), long, normals(40, 0, 1, 4), two, Resampling{Resamples: 20_000, Seed: 11, Spread: crew(workers)}))
		if first == nil {
			first = got
		}
		if got.PValue != first.PValue || got.PMethod != resampled {
			t.Errorf("%d workers: p = %g, want %g", workers, got.PValue, first.PValue)
		}
	}
	// Close to the t test, whose assumptions hold.
	tt := must[*Test](t)(TTestPooled(free(), values("x", long), values("y", normals(40, 0, 1, 4)), 0, two))
	near(t, "random permutations against t", first.PValue, tt.PValue, 0.02)
}

func TestRandomPermutationsMatchEnumeration(t *testing.T) {
	x, y := normals(8, 0.6, 1, 5), normals(8, 0, 1, 6)
	full := must[*Test](t)(PermutationTwo(free(), x, y, two, Resampling{Resamples: 999}))
	pooled := slices.Concat(x, y)
	c, _ := centralMoments(free(), pooled)
	scaled := mapped(pooled, func(v float64) float64 { return (v - c.mean) / c.scale })
	a := tally{observed: plainSum(scaled[:8]), center: plainSum(scaled) / 2, slack: 1e-11}
	r := Resampling{Resamples: 100_000, Seed: 3, Spread: crew(2)}
	err := a.draw(free(), r, func(m *budget.Meter, rng *rand.Rand, buf []float64) (float64, bool) {
		return randomSubset(m, rng, buf, 8)
	}, scaled)
	if err != nil {
		t.Fatal(err)
	}
	p := float64(a.beyond) / float64(a.count)
	near(t, "share of random divisions", p, full.PValue, 4*math.Sqrt(full.PValue*(1-full.PValue)/1e5))
	d := normals(12, 0.5, 1, 8)
	flips := must[*Test](t)(PermutationPaired(free(), "x", d, 0, two, Resampling{Resamples: 999}))
	b := tally{observed: plainSum(d), slack: 1e-11}
	if err := b.draw(free(), r, randomSigns, d); err != nil {
		t.Fatal(err)
	}
	p = float64(b.beyond) / float64(b.count)
	near(t, "share of random signs", p, flips.PValue, 4*math.Sqrt(flips.PValue*(1-flips.PValue)/1e5))
}
