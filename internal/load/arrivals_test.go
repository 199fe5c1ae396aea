package load

import (
	"math"
	"slices"
	"sync"
	"testing"
	"time"
)

func mixOf(weights ...int) []Share {
	var mix []Share
	for i, w := range weights {
		mix = append(mix, Share{Call: Call{Name: string(rune('a' + i)), Arguments: []byte(`{}`)}, Weight: w})
	}
	return mix
}

func takeAll(a *arrivals, n int) []arrival {
	out := make([]arrival, n)
	for i := range out {
		out[i] = a.take()
	}
	return out
}

func TestScheduleDependsOnTheSeedOnly(t *testing.T) {
	for _, poisson := range []bool{false, true} {
		schedule := func(seed uint64, group int) *arrivals {
			return newArrivals(1000, poisson, mixOf(3, 1), stream(seed, group, -1))
		}
		first := takeAll(schedule(7, 2), 1000)
		if !slices.Equal(first, takeAll(schedule(7, 2), 1000)) {
			t.Errorf("poisson %v: the same seed gives another schedule", poisson)
		}
		for _, other := range []*arrivals{schedule(8, 2), schedule(7, 3)} {
			if slices.Equal(first, takeAll(other, 1000)) {
				t.Errorf("poisson %v: another seed or group gives the same schedule", poisson)
			}
		}
		if !slices.IsSortedFunc(first, func(a, b arrival) int { return int(a.due - b.due) }) {
			t.Errorf("poisson %v: the schedule is not in order", poisson)
		}

		// Many connections take from one schedule: each arrival once.
		var mu sync.Mutex
		var together []arrival
		shared := schedule(7, 2)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range 100 {
					a := shared.take()
					mu.Lock()
					together = append(together, a)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		slices.SortFunc(together, func(a, b arrival) int { return int(a.due - b.due) })
		if !slices.Equal(first, together) {
			t.Errorf("poisson %v: taken by many the schedule is another", poisson)
		}
	}
}

func TestEvenArrivalsDoNotDrift(t *testing.T) {
	a := newArrivals(3, false, mixOf(1), stream(1, 0, -1))
	first := a.take().due
	if first < 0 || first >= time.Second/3 {
		t.Errorf("the first arrival is due at %s, want within the first gap", first)
	}
	var last time.Duration
	for range 3_000_000 {
		last = a.take().due
	}
	if off := last - first - 1_000_000*time.Second; off.Abs() > time.Microsecond {
		t.Errorf("after 3,000,000 arrivals the schedule is off by %s", off)
	}
}

// The gaps of a Poisson process are exponential: compared by Kolmogorov and
// Smirnov's distance, whose 0.1 % quantile for n gaps is 1.95/√n.
func TestPoissonGapsAreExponential(t *testing.T) {
	const n, rate = 20000, 250.0
	a := newArrivals(rate, true, mixOf(1), stream(3, 1, -1))
	gaps := make([]float64, n)
	last := time.Duration(0)
	for i := range gaps {
		due := a.take().due
		gaps[i] = (due - last).Seconds()
		last = due
	}
	slices.Sort(gaps)
	var distance float64
	for i, g := range gaps {
		cdf := 1 - math.Exp(-rate*g)
		distance = max(distance, math.Abs(cdf-float64(i)/n), math.Abs(cdf-float64(i+1)/n))
	}
	if limit := 1.95 / math.Sqrt(n); distance > limit {
		t.Errorf("the distance from an exponential distribution is %.4f, more than %.4f", distance, limit)
	}
}

func TestMixKeepsItsWeights(t *testing.T) {
	mix := mixOf(9, 1, 30)
	p := newPicker(mix)
	rng := stream(5, 0, 0)
	const n = 100_000
	var got [3]int
	for range n {
		got[p.pick(rng)]++
	}
	for i, s := range mix {
		share := float64(s.Weight) / 40
		sigma := math.Sqrt(n * share * (1 - share))
		if off := float64(got[i]) - n*share; math.Abs(off) > 4*sigma {
			t.Errorf("call %d was drawn %d times, want about %.0f", i, got[i], n*share)
		}
	}
}
