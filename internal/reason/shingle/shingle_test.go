package shingle

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestJaccard(t *testing.T) {
	for _, x := range []struct {
		a, b string
		want float64
	}{
		{"", "", 0},
		{"", "one", 0},
		{"one", "One!", 1},
		{"one", "two", 0},
		{"keep the sessions in memory", "Keep the sessions, in memory.", 1},
		// abc bcd cde of abcde; abc bcd cdf of abcdf: two of four.
		{"a b c d e", "a b c d f", 0.5},
		// Of eight and nine shingles eight are common.
		{"a b c d e f g h i j", "a b c d e f g h i j k", 8.0 / 9},
		{"one two", "two one", 0},
		{"a a a a a", "a a a", 1},
	} {
		if got := Jaccard(Of(x.a), Of(x.b)); got != x.want || got != Jaccard(Of(x.b), Of(x.a)) {
			t.Errorf("%q, %q: %v, want %v", x.a, x.b, got, x.want)
		}
	}
}

func TestReachIsJaccardAtLeast(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	set := func() []uint64 {
		var out []uint64
		for range rng.IntN(12) {
			out = append(out, rng.Uint64N(10))
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	reached := 0
	for range 20_000 {
		a, b := set(), set()
		limits := []float64{rng.Float64() + 1e-9, 1, 0.5, 1.5}
		if j := Jaccard(a, b); j > 0 {
			limits = append(limits, j)
		}
		for _, limit := range limits {
			want := Jaccard(a, b) >= limit
			if got := Reach(a, b, limit); got != want {
				t.Fatalf("%v, %v, %v: %t, want %t", a, b, limit, got, want)
			}
			if want {
				reached++
			}
		}
	}
	if reached < 1000 {
		t.Errorf("%d cases reach their limit", reached)
	}
}
