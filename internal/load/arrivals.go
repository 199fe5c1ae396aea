package load

import (
	"math/rand/v2"
	"sync"
	"time"
)

// stream returns the generator of one connection of one group, or with
// connection −1 that of the group's arrivals. It depends on nothing else, so a
// seed makes the same calls however the goroutines run.
func stream(seed uint64, group, connection int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(group)<<32|uint64(uint32(connection+1))))
}

// arrival is one call of an open loop.
type arrival struct {
	due  time.Duration // after the start of the phase
	call int           // index in the mix
}

// arrivals is the schedule of an open loop. It is fixed by its seed before
// anything is sent and does not wait for anybody: taking an arrival late does
// not make the next one later.
type arrivals struct {
	gap     float64 // mean distance, ns
	poisson bool
	picker  picker

	mu   sync.Mutex
	rng  *rand.Rand
	next float64 // ns after the start
	even float64 // index of the next evenly spaced arrival
	from float64 // when the first of those is due
}

// newArrivals makes a schedule of rate arrivals a second. Evenly spaced ones
// begin within the first gap, at a time that the seed says, so that groups with
// the same rate do not move in step.
func newArrivals(rate float64, poisson bool, mix []Share, rng *rand.Rand) *arrivals {
	a := &arrivals{gap: float64(time.Second) / rate, poisson: poisson, picker: newPicker(mix), rng: rng}
	if poisson {
		a.next = rng.ExpFloat64() * a.gap
	} else {
		a.from = rng.Float64() * a.gap
		a.next = a.from
	}
	return a
}

// take returns the next arrival. Each is returned once, in order of time.
func (a *arrivals) take() arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := arrival{due: time.Duration(a.next), call: a.picker.pick(a.rng)}
	if a.poisson {
		a.next += a.rng.ExpFloat64() * a.gap
	} else {
		a.even++
		a.next = a.from + a.even*a.gap // not by adding up, which would drift
	}
	return out
}
