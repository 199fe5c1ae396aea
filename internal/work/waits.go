package work

import (
	"math/bits"
	"time"
)

const (
	waitUnit    = 8  // the finest bucket edge is 5 << waitUnit ns = 1.28 µs
	waitOctaves = 26 // up to 69 s
	waitBuckets = 1 + 4*waitOctaves
	waitWindow  = int64(30 * time.Second)
)

// waitLog is a histogram of recent waits in quarter octaves. It counts into one
// window while the window before it still counts in the percentiles.
type waitLog struct {
	began   int64 // of the current window
	current [waitBuckets]uint32
	last    [waitBuckets]uint32
}

// add records a wait that ended at now.
func (w *waitLog) add(wait, now int64) {
	w.turn(now)
	w.current[waitBucket(wait)]++
}

// turn starts a new window if the current one is over.
func (w *waitLog) turn(now int64) {
	age := now - w.began
	if age < waitWindow {
		return
	}
	w.last = w.current
	if age >= 2*waitWindow {
		w.last = [waitBuckets]uint32{}
	}
	w.current = [waitBuckets]uint32{}
	w.began = now
}

// sum returns the count and the percentiles.
func (w *waitLog) sum() Waits {
	in := func(bucket int) uint64 { return uint64(w.current[bucket]) + uint64(w.last[bucket]) }
	var s Waits
	for bucket := range waitBuckets {
		s.Count += in(bucket)
	}
	at := func(percent uint64) time.Duration {
		bucket := 0
		for seen := in(0); seen < (s.Count*percent+99)/100; seen += in(bucket) {
			bucket++
		}
		return waitEdge(bucket)
	}
	s.P50, s.P95, s.P99 = at(50), at(95), at(99)
	return s
}

// waitBucket returns the bucket of a wait of ns: 0 for none at all, the last
// one for whatever is longer than its edge.
func waitBucket(ns int64) int {
	if ns <= 0 {
		return 0
	}
	v := max(uint64(ns)>>waitUnit, 4)
	octave := bits.Len64(v) - 3
	return min(1+4*octave+int(v>>octave)&3, waitBuckets-1)
}

// waitEdge returns the upper edge of a bucket.
func waitEdge(bucket int) time.Duration {
	if bucket == 0 {
		return 0
	}
	octave, quarter := (bucket-1)/4, (bucket-1)%4
	return time.Duration(5+quarter) << octave << waitUnit
}
