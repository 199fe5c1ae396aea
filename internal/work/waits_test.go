package work

import (
	"testing"
	"time"
)

func TestWaitBuckets(t *testing.T) {
	for ns := int64(1); ns < int64(100*time.Second); ns += 1 + ns/7 {
		b := waitBucket(ns)
		edge := waitEdge(b)
		if b == waitBuckets-1 {
			continue // whatever is longer
		}
		if int64(edge) <= ns || b > 1 && int64(waitEdge(b-1)) > ns {
			t.Errorf("%v is in bucket %d, which ends at %v", time.Duration(ns), b, edge)
		}
		if ns > 2000 && float64(edge) > 1.26*float64(ns) {
			t.Errorf("%v is reported as %v", time.Duration(ns), edge)
		}
	}
	if b := waitBucket(int64(time.Hour)); b != waitBuckets-1 || waitEdge(b) < time.Minute {
		t.Errorf("an hour is in bucket %d, which ends at %v", b, waitEdge(b))
	}
}

func TestWaitPercentiles(t *testing.T) {
	var w waitLog
	for i := range int64(1000) {
		w.add(i*int64(time.Millisecond), i)
	}
	near := func(got, want time.Duration) bool { return got >= want && got <= want*13/10 }
	s := w.sum()
	if s.Count != 1000 || !near(s.P50, 499*time.Millisecond) || !near(s.P95, 949*time.Millisecond) || !near(s.P99, 989*time.Millisecond) {
		t.Errorf("got %+v", s)
	}
	w.add(0, waitWindow) // the next window: both count
	if s := w.sum(); s.Count != 1001 {
		t.Errorf("count %d, want 1001", s.Count)
	}
	w.add(0, 2*waitWindow) // the first is forgotten
	if s := w.sum(); s.Count != 2 || s.P99 != 0 {
		t.Errorf("got %+v, want two waits of 0", s)
	}
	w.add(0, 9*waitWindow) // both are
	if s := w.sum(); s.Count != 1 {
		t.Errorf("count %d, want 1", s.Count)
	}
}
