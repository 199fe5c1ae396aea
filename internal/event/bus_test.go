package event

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEverySubscriberGetsEverythingInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bus Bus[int]
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		got := make([][]int, 3)
		for i := range got {
			seq := bus.Subscribe(ctx)
			wg.Go(func() {
				for v := range seq {
					got[i] = append(got[i], v)
				}
			})
		}
		for v := range 1000 {
			bus.Publish(v)
			if v%100 == 0 {
				synctest.Wait() // let them catch up
			}
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		for i, g := range got {
			if len(g) != 1000 || !slices.IsSorted(g) {
				t.Errorf("subscriber %d got %d events, sorted %v: want all 1000 in order", i, len(g), slices.IsSorted(g))
			}
		}
		if bus.Dropped() != 0 || bus.Subscribers() != 0 {
			t.Errorf("dropped %d, subscribers %d: want 0 and 0", bus.Dropped(), bus.Subscribers())
		}
	})
}

func TestSlowSubscriberMissesAndIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bus Bus[int]
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		slow, quick := bus.Subscribe(ctx), bus.Subscribe(ctx)
		var seen int
		var wg sync.WaitGroup
		wg.Go(func() {
			for range quick {
				seen++
			}
		})
		for v := range Buffer + 44 {
			bus.Publish(v) // must not block although slow reads nothing
			synctest.Wait()
		}
		if got := bus.Dropped(); got != 44 {
			t.Errorf("dropped %d, want 44", got)
		}
		var first []int
		for v := range slow {
			first = append(first, v)
			if len(first) == Buffer {
				break
			}
		}
		if first[0] != 0 || first[Buffer-1] != Buffer-1 {
			t.Errorf("the slow one got %d…%d, want the first %d events", first[0], first[Buffer-1], Buffer)
		}
		cancel()
		wg.Wait()
		if seen != Buffer+44 {
			t.Errorf("the quick one saw %d, want %d", seen, Buffer+44)
		}
	})
}

func TestSubscriptionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bus Bus[string]
		ctx, cancel := context.WithCancel(t.Context())

		// By leaving the loop.
		seq := bus.Subscribe(ctx)
		bus.Publish("a")
		for v := range seq {
			if v != "a" {
				t.Errorf("got %q, want a", v)
			}
			break
		}
		if n := bus.Subscribers(); n != 0 {
			t.Errorf("after break: %d subscribers, want 0", n)
		}
		for v := range seq {
			t.Errorf("a second loop got %q, want nothing", v)
		}

		// By the context, without ever being ranged over.
		bus.Subscribe(ctx)
		if n := bus.Subscribers(); n != 1 {
			t.Errorf("%d subscribers, want 1", n)
		}
		cancel()
		synctest.Wait()
		if n := bus.Subscribers(); n != 0 {
			t.Errorf("after cancel: %d subscribers, want 0", n)
		}

		// A context that was over before.
		for v := range bus.Subscribe(ctx) {
			t.Errorf("got %q from a subscription with an ended context", v)
		}
		bus.Publish("nobody")
		if d := bus.Dropped(); d != 0 {
			t.Errorf("dropped %d, want 0: nobody listened", d)
		}
	})
}

// Publishers, subscribers, and subscribers that come and go, all at once: what
// each subscriber gets of one publisher is in order, whatever it misses.
func TestConcurrent(t *testing.T) {
	type note struct{ from, n int }
	const publishers, each, subscribers = 4, 2000, 3
	last := note{from: -1}
	var bus Bus[note]
	var readers, writers sync.WaitGroup
	finished := make(chan int, subscribers)
	for i := range subscribers {
		seq := bus.Subscribe(t.Context())
		readers.Go(func() {
			at := [publishers]int{-1, -1, -1, -1}
			got := 0
			for v := range seq {
				if v == last {
					break
				}
				if v.n <= at[v.from] {
					t.Errorf("subscriber %d: event %d of publisher %d after %d", i, v.n, v.from, at[v.from])
				}
				at[v.from] = v.n
				got++
			}
			finished <- got
		})
	}
	for p := range publishers {
		writers.Go(func() {
			for n := range each {
				bus.Publish(note{p, n})
			}
		})
	}
	writers.Go(func() {
		for range 200 {
			ctx, cancel := context.WithCancel(t.Context())
			bus.Subscribe(ctx)
			cancel()
		}
	})
	writers.Wait()
	for left := subscribers; left > 0; {
		bus.Publish(last)
		select {
		case got := <-finished:
			left--
			if got == 0 {
				t.Error("a subscriber with an empty buffer got nothing")
			}
		default:
			runtime.Gosched()
		}
	}
	readers.Wait()
}

func BenchmarkPublish(b *testing.B) {
	for _, c := range []struct {
		name string
		subs int
	}{{"nobody", 0}, {"full", 1}} {
		b.Run(c.name, func(b *testing.B) {
			var bus Bus[[8]uint64]
			for range c.subs {
				bus.Subscribe(b.Context())
			}
			b.ReportAllocs()
			for b.Loop() {
				bus.Publish([8]uint64{})
			}
		})
	}
}
