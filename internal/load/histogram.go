package load

import (
	"math"
	"math/bits"
	"time"
)

// The buckets of a histogram: 64 of equal width in every octave from 2^9 ns,
// which is below 1 µs, to 2^42 ns, which is 73 minutes. A bucket is at most 1/64
// of its lower end wide, so its middle is within 0.8 % of everything in it.
const (
	subBits    = 6
	firstPower = 9
	lastPower  = 41
	buckets    = (lastPower - firstPower + 1) << subBits

	leastDuration = time.Microsecond
	mostDuration  = 1<<(lastPower+1) - 1
)

// Histogram counts durations in log-linear buckets (the layout of HdrHistogram;
// Tene 2012): 17 KB however many it counts. From 1 µs to 73 minutes a quantile is
// within 1 % of the exact one; beyond, durations count as the nearest that is
// inside. The zero value is empty. It is for one goroutine at a time.
type Histogram struct {
	counts   [buckets]uint64
	n        uint64
	sum      uint64 // ns; 584 years of latency fit
	min, max time.Duration
}

// bucketOf returns the bucket of d, which is clamped to what there are buckets
// for.
func bucketOf(d time.Duration) int {
	v := uint64(min(max(d, leastDuration), mostDuration))
	power := bits.Len64(v) - 1
	return (power-firstPower)<<subBits | int(v>>(power-subBits))&(1<<subBits-1)
}

// middle returns the middle of a bucket.
func middle(bucket int) time.Duration {
	shift := bucket>>subBits + firstPower - subBits
	low := (1<<subBits | bucket&(1<<subBits-1)) << shift
	return time.Duration(low + 1<<shift/2)
}

// Record counts one duration; a negative one counts as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	if h.n == 0 || d < h.min {
		h.min = d
	}
	h.max = max(h.max, d)
	h.counts[bucketOf(d)]++
	h.n++
	h.sum += uint64(d)
}

// Merge adds what other has counted. The result is the same as if one histogram
// had counted everything, in whatever order.
func (h *Histogram) Merge(other *Histogram) {
	if other.n == 0 {
		return
	}
	if h.n == 0 || other.min < h.min {
		h.min = other.min
	}
	h.max = max(h.max, other.max)
	for i, c := range other.counts {
		h.counts[i] += c
	}
	h.n += other.n
	h.sum += other.sum
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.n }

// Min and Max return the least and the greatest duration, exactly, and 0 when
// there is none.
func (h *Histogram) Min() time.Duration { return h.min }

// Max is described at Min.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean returns the exact mean, rounded down to nanoseconds, and 0 when there is
// none.
func (h *Histogram) Mean() time.Duration {
	if h.n == 0 {
		return 0
	}
	return time.Duration(h.sum / h.n)
}

// Quantile returns the q-quantile of the durations recorded together with beyond
// more that took longer than every one of them: the ⌈q·n⌉-th of n in ascending
// order. It reports false when that is one of those beyond, or when n is 0: the
// quantile is then not known. q is clamped to [0, 1].
func (h *Histogram) Quantile(q float64, beyond uint64) (time.Duration, bool) {
	total := h.n + beyond
	// 0.07·100 is a little more than 7 in floating point, and means the 7th.
	rank := uint64(max(1, math.Ceil(min(max(q, 0), 1)*float64(total)*(1-1e-12))))
	if rank > h.n {
		return 0, false
	}
	if rank == h.n {
		return h.max, true
	}
	var below uint64
	for i, c := range h.counts {
		if below += c; below >= rank {
			return min(max(middle(i), h.min), h.max), true
		}
	}
	return h.max, true
}
