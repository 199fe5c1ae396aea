package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

// Resampling says how a permutation test draws.
type Resampling struct {
	Resamples int    // random permutations when there are too many to list
	Seed      uint64 // used only then
	Spread    Spread // nil: on the caller's goroutine

	Keeper   *budget.Keeper        // of the random ones; may be nil
	Progress func(done, total int) // of the random ones; may be nil; called by the caller's goroutine
}

// blocks describes the random ones, of the given cost in steps.
func (r Resampling) blocks(cost int64) blocks {
	return blocks{draws: r.Resamples, cost: cost, spread: r.Spread, keeper: r.Keeper, progress: r.Progress}
}

// maxListedPermutations is how many arrangements are enumerated instead of drawn.
const maxListedPermutations = 200_000

func (r Resampling) check() error {
	if r.Resamples < 99 || r.Resamples > MaxResamples {
		return wrong("resamples", fmt.Sprintf("99 to %d", MaxResamples), r.Resamples)
	}
	return nil
}

// PermutationTwo tests whether x and y come from one distribution by the
// difference of their means over all divisions of the pooled values, or over
// random ones. A random p counts the observed division itself (Phipson & Smyth
// 2010), so it is never 0.
func PermutationTwo(m *budget.Meter, x, y []float64, o Options, r Resampling) (*Test, error) {
	if err := checkTwo(x, y, o); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	pooled := slices.Concat(x, y)
	c, err := centralMoments(m, pooled)
	if err != nil {
		return nil, err
	}
	if c.scale == 0 || math.IsInf(c.scale, 0) {
		return nil, wrong("x and y", "values that vary", "equal values only")
	}
	for i, v := range pooled { // centred and scaled: sums stay small and exact enough
		pooled[i] = (v - c.mean) / c.scale
	}
	mx, err := meanOf(m, x)
	if err != nil {
		return nil, err
	}
	my, err := meanOf(m, y)
	if err != nil {
		return nil, err
	}
	t := begin(o, "permutation", "permutation test of the difference of means", "Fisher 1935; Pitman 1937",
		"x and y come from one distribution", len(x), len(y))
	n1, n2 := float64(len(x)), float64(len(y))
	// The sum over x decides the difference of means, for the total is fixed.
	observed, total := plainSum(pooled[:len(x)]), plainSum(pooled)
	slack := 1e-12 * (n1 + n2)
	center := total * n1 / (n1 + n2)
	tally := tally{observed: observed, center: center, slack: slack}
	ways := math.Exp(logChoose(n1+n2, n1))
	if ways <= maxListedPermutations+0.5 {
		err = tally.subsets(m, pooled, len(x))
	} else {
		err = tally.draw(m, r, func(m *budget.Meter, rng *rand.Rand, buf []float64) (float64, bool) {
			return randomSubset(m, rng, buf, len(x))
		}, pooled)
	}
	if err != nil {
		return nil, err
	}
	tally.finish(t, "mean difference x-y", mx-my, o)
	t.estimate("mean difference x-y", mx-my, nil)
	return t, t.permutedEffect(m, x, y, o)
}

// PermutationPaired tests whether the differences d−mu are symmetric about 0 by
// their mean over all sign patterns, or over random ones.
func PermutationPaired(m *budget.Meter, field string, d []float64, mu float64, o Options, r Resampling) (*Test, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := finiteArg("mu", mu); err != nil {
		return nil, err
	}
	if err := checkSample(field, d, 1); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	var scale float64
	for _, v := range d {
		scale = max(scale, math.Abs(v-mu))
	}
	if scale == 0 || math.IsInf(scale, 0) {
		return nil, wrong(field, fmt.Sprintf("a value other than %g", mu), "none")
	}
	signed := make([]float64, len(d))
	for i, v := range d {
		signed[i] = (v - mu) / scale
	}
	mean, err := meanOf(m, d)
	if err != nil {
		return nil, err
	}
	t := begin(o, "permutation_paired", "sign-flip permutation test of a mean", "Fisher 1935",
		fmt.Sprintf("the values are symmetric about %g", mu), len(d))
	tally := tally{observed: plainSum(signed), slack: 1e-12 * float64(len(d))}
	if len(d) < 63 && 1<<len(d) <= maxListedPermutations {
		err = tally.signs(m, signed)
	} else {
		err = tally.draw(m, r, randomSigns, signed)
	}
	if err != nil {
		return nil, err
	}
	tally.finish(t, "mean", mean, o)
	t.estimate("mean", mean, nil)
	t.assume("symmetric under the null hypothesis", NotChecked, "signs could as well have been the other way")
	return t, nil
}

func plainSum(x []float64) float64 {
	var s sum
	for _, v := range x {
		s.add(v)
	}
	return s.value()
}

// tally counts arrangements by where their statistic lies.
type tally struct {
	observed, center, slack        float64
	count, atMost, atLeast, beyond int
	random                         bool
}

func (a *tally) see(v float64) {
	a.count++
	if v <= a.observed+a.slack {
		a.atMost++
	}
	if v >= a.observed-a.slack {
		a.atLeast++
	}
	if math.Abs(v-a.center) >= math.Abs(a.observed-a.center)-a.slack {
		a.beyond++
	}
}

func (a *tally) finish(t *Test, name string, statistic float64, o Options) {
	hits := map[Alternative]int{Less: a.atMost, Greater: a.atLeast, TwoSided: a.beyond}[o.Alternative]
	if !a.random {
		t.decide(name, statistic, float64(hits)/float64(a.count), exact)
		t.note("all %d arrangements were counted", a.count)
	} else {
		n := float64(a.count)
		p := float64(hits+1) / (n + 1)
		t.decide(name, statistic, p, resampled)
		t.note("%d random arrangements; standard error of p %.2g", a.count, math.Sqrt(p*(1-p)/n))
	}
	t.assume("exchangeable under the null hypothesis", NotChecked, "follows from how the data were collected")
}

// subsets enumerates the sums of all k-subsets of x with a running sum per depth.
func (a *tally) subsets(m *budget.Meter, x []float64, k int) error {
	pick := make([]int, k)
	for i := range pick {
		pick[i] = i
	}
	for {
		if !m.Step(1) {
			return spent(m)
		}
		var s float64
		for _, i := range pick {
			s += x[i]
		}
		a.see(s)
		i := k - 1
		for i >= 0 && pick[i] == len(x)-k+i {
			i--
		}
		if i < 0 {
			return nil
		}
		pick[i]++
		for j := i + 1; j < k; j++ {
			pick[j] = pick[j-1] + 1
		}
	}
}

// signs enumerates all sign patterns.
func (a *tally) signs(m *budget.Meter, x []float64) error {
	for pattern := range 1 << len(x) {
		if !m.Step(1) {
			return spent(m)
		}
		var s float64
		for i, v := range x {
			if pattern>>i&1 == 1 {
				v = -v
			}
			s += v
		}
		a.see(s)
	}
	return nil
}

// draw counts r.Resamples random arrangements, in blocks. arrange returns the
// statistic of a random arrangement and may reorder buf; it returns false when
// the meter says stop.
func (a *tally) draw(m *budget.Meter, r Resampling, arrange func(*budget.Meter, *rand.Rand, []float64) (float64, bool), x []float64) error {
	cost := int64(len(x)/64 + 1) // an arrangement visits every value
	a.random = true
	return run(m, r.blocks(cost), a, func(m *budget.Meter, block, count int) (tally, bool) {
		part := tally{observed: a.observed, center: a.center, slack: a.slack}
		rng := seed.Stream(r.Seed, uint64(block))
		buf := slices.Clone(x)
		for range count {
			if !m.Step(cost) {
				return part, false
			}
			v, ok := arrange(m, rng, buf)
			if !ok {
				return part, false
			}
			part.see(v)
		}
		return part, true
	})
}

func (a *tally) add(part tally) {
	a.count += part.count
	a.atMost += part.atMost
	a.atLeast += part.atLeast
	a.beyond += part.beyond
}

func (a *tally) state() []byte {
	return pack([]int64{int64(a.count), int64(a.atMost), int64(a.atLeast), int64(a.beyond)})
}

func (a *tally) restore(state []byte) bool {
	v := make([]int64, 4)
	if !unpack(state, v) {
		return false
	}
	a.count, a.atMost, a.atLeast, a.beyond = int(v[0]), int(v[1]), int(v[2]), int(v[3])
	return true
}

// stretch is how many values are visited between two looks at the scheduler
// within one step.
const stretch = 8192

// randomSubset returns the sum of k values drawn without replacement: the first k
// steps of a Fisher-Yates shuffle.
func randomSubset(m *budget.Meter, rng *rand.Rand, buf []float64, k int) (float64, bool) {
	var s float64
	for i := range k {
		if i%stretch == stretch-1 && !m.Pause() {
			return 0, false
		}
		j := i + rng.IntN(len(buf)-i)
		buf[i], buf[j] = buf[j], buf[i]
		s += buf[i]
	}
	return s, true
}

// randomSigns returns the sum of buf with random signs, 64 of them per word.
func randomSigns(m *budget.Meter, rng *rand.Rand, buf []float64) (float64, bool) {
	var s float64
	var word uint64
	for i, v := range buf {
		if i%64 == 0 {
			word = rng.Uint64()
		}
		if i%stretch == stretch-1 && !m.Pause() {
			return 0, false
		}
		if word&1 == 1 {
			v = -v
		}
		word >>= 1
		s += v
	}
	return s, true
}

// permutedEffect adds the standardised difference where both samples have one.
func (t *Test) permutedEffect(m *budget.Meter, x, y []float64, o Options) error {
	if len(x) < 2 || len(y) < 2 {
		return nil
	}
	m = uncounted(m) // also where the draws met the step limit
	a, err := momentsOf(m, x)
	if err != nil {
		return err
	}
	b, err := momentsOf(m, y)
	if err != nil {
		return err
	}
	if a.Variance+b.Variance > 0 {
		t.bonett(a, b, 0, o)
	}
	return nil
}
