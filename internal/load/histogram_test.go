package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

// durations draws samples as latencies are spread: by orders of magnitude.
func durations() *rapid.Generator[[]time.Duration] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) time.Duration {
		if rapid.Bool().Draw(t, "equal") {
			return 3 * time.Millisecond
		}
		return time.Duration(math.Pow(10, rapid.Float64Range(3, math.Log10(float64(10*time.Minute))).Draw(t, "log")))
	}), 1, 400)
}

func record(all ...[]time.Duration) *Histogram {
	h := new(Histogram)
	for _, some := range all {
		for _, d := range some {
			h.Record(d)
		}
	}
	return h
}

// exact is the definition that Quantile approximates, for whole percentages.
func exact(sorted []time.Duration, percent, beyond int) (time.Duration, bool) {
	rank := max(1, ((len(sorted)+beyond)*percent+99)/100)
	if rank > len(sorted) {
		return 0, false
	}
	return sorted[rank-1], true
}

func TestQuantilesAreWithinOnePercent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sample := durations().Draw(t, "sample")
		beyond := rapid.IntRange(0, 50).Draw(t, "beyond")
		h := record(sample)
		slices.Sort(sample)
		last := time.Duration(0)
		for percent := range 101 {
			want, known := exact(sample, percent, beyond)
			got, ok := h.Quantile(float64(percent)/100, uint64(beyond))
			if ok != known {
				t.Fatalf("p%d of %d and %d beyond: known %v, want %v", percent, len(sample), beyond, ok, known)
			}
			if math.Abs(float64(got-want)) > 0.01*float64(want) {
				t.Fatalf("p%d = %s, exactly %s", percent, got, want)
			}
			if ok && got < last {
				t.Fatalf("p%d = %s is less than the quantile before it, %s", percent, got, last)
			}
			last = got
		}
		if h.Min() != sample[0] || h.Max() != sample[len(sample)-1] || h.Count() != uint64(len(sample)) {
			t.Fatalf("min %s, max %s, count %d of %v", h.Min(), h.Max(), h.Count(), sample)
		}
	})
}

func TestMergeIsAsIfCountedTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := durations().Draw(t, "a"), durations().Draw(t, "b")
		both := record(a, b)
		ab, ba := record(a), record(b)
		ab.Merge(record(b))
		ba.Merge(record(a))
		ba.Merge(new(Histogram))
		if *ab != *both || *ba != *both {
			t.Fatal("merging differs from counting together")
		}
		empty := new(Histogram)
		empty.Merge(both)
		if *empty != *both {
			t.Fatal("merging into an empty histogram differs")
		}
	})
}

func TestBucketsAreNarrowAndInOrder(t *testing.T) {
	for b := range buckets {
		m := middle(b)
		if got := bucketOf(m); m >= leastDuration && got != b {
			t.Fatalf("the middle of bucket %d, %s, is in bucket %d", b, m, got)
		}
		if b > 0 && m <= middle(b-1) {
			t.Fatalf("bucket %d is not above the one before", b)
		}
	}
}

func TestHistogramAtItsEnds(t *testing.T) {
	h := new(Histogram)
	if d, known := h.Quantile(0.5, 0); known || d != 0 || h.Mean() != 0 {
		t.Errorf("an empty histogram knows a median: %s", d)
	}
	h.Record(-time.Second)
	h.Record(1)
	h.Record(100 * time.Hour)
	if h.Min() != 0 || h.Max() != 100*time.Hour || h.Count() != 3 {
		t.Errorf("min %s, max %s, count %d", h.Min(), h.Max(), h.Count())
	}
	if p50, _ := h.Quantile(0.5, 0); p50 > 2*time.Microsecond {
		t.Errorf("p50 = %s, want about the least bucket", p50)
	}
	if p100, _ := h.Quantile(1, 0); p100 != 100*time.Hour {
		t.Errorf("p100 = %s, want the maximum", p100)
	}
	h = record([]time.Duration{time.Second, 2 * time.Second, 6 * time.Second})
	if h.Mean() != 3*time.Second {
		t.Errorf("mean = %s, want 3s", h.Mean())
	}
	// 7 % of 100 is the 7th, although 0.07·100 is 7.000000000000001.
	h = new(Histogram)
	for i := range 100 {
		h.Record(time.Duration(i+1) * time.Second)
	}
	if p7, _ := h.Quantile(0.07, 0); p7.Round(500*time.Millisecond) != 7*time.Second {
		t.Errorf("p7 of 1s to 100s = %s", p7)
	}
	if size := unsafe.Sizeof(*h); size > 20<<10 {
		t.Errorf("a histogram takes %d bytes", size)
	}
}

func samples() []time.Duration {
	rng := rand.New(rand.NewPCG(1, 2))
	s := make([]time.Duration, 4096)
	for i := range s {
		s[i] = time.Duration(rng.ExpFloat64() * float64(5*time.Millisecond))
	}
	return s
}

func BenchmarkHistogramRecord(b *testing.B) {
	h, s := new(Histogram), samples()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		h.Record(s[i&4095])
		i++
	}
}

func BenchmarkHistogramQuantile(b *testing.B) {
	h := record(samples())
	b.ReportAllocs()
	for b.Loop() {
		h.Quantile(0.99, 0)
	}
}

func BenchmarkHistogramMerge(b *testing.B) {
	h, other := new(Histogram), record(samples())
	b.ReportAllocs()
	for b.Loop() {
		h.Merge(other)
	}
}
