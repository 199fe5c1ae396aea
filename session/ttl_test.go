package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// swept runs f in a bubble with a directory that is being swept.
func swept(t *testing.T, cfg Config, f func(t *testing.T, d *Directory)) {
	synctest.Test(t, func(t *testing.T) {
		d := New(cfg, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := d.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		f(t, d)
		synctest.Wait()
		checkInvariants(t, d)
		cancel()
		wg.Wait()
	})
}

// Watching a session does not keep it alive.
func TestLookingSlidesNothing(t *testing.T) {
	swept(t, Config{IdleTTL: time.Minute}, func(t *testing.T, d *Directory) {
		h := mustOpen(t, d, alice, Params{})
		id := h.ID()
		h.Release()
		looks := 0
		for has(d, alice, id) && looks < 10 {
			time.Sleep(20 * time.Second)
			h, err := d.Acquire(t.Context(), alice, id)
			if err != nil {
				break
			}
			h.Look()
			h.Release()
			looks++
		}
		if looks != 2 {
			t.Errorf("%d looks in the last minute of a session, want 2", looks)
		}
		if st := d.Stats(); st.Sessions != 0 || st.Ended[ReasonIdle] != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestIdleTTLCountsFromTheLastCompletedCall(t *testing.T) {
	swept(t, Config{IdleTTL: time.Minute}, func(t *testing.T, d *Directory) {
		h := mustOpen(t, d, alice, Params{})
		id := h.ID()
		time.Sleep(10 * time.Minute) // a long call does not make its session idle
		h.Release()
		for range 5 {
			time.Sleep(50 * time.Second)
			mustAcquire(t, d, alice, id).Release()
		}
		// None of these is a use.
		time.Sleep(30 * time.Second)
		h.Info()
		h.Expires()
		d.List(alice)
		d.Stats()
		for range d.All() {
		}
		if want := 30 * time.Second; time.Until(h.Expires()) != want {
			t.Errorf("expires in %v, want %v", time.Until(h.Expires()), want)
		}
		time.Sleep(30*time.Second - 1)
		synctest.Wait()
		if !has(d, alice, id) {
			t.Error("gone before its idle TTL")
		}
		time.Sleep(1 + DefaultSweepEvery)
		synctest.Wait()
		if st := d.Stats(); st.Sessions != 0 || st.Ended[ReasonIdle] != 1 {
			t.Errorf("after the idle TTL: %+v", st)
		}
	})
}

func TestExpiryIsCheckedAtTheLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // nobody sweeps
		d := New(Config{IdleTTL: time.Minute, MaxTTL: time.Hour}, nil)
		var why Reason
		h := mustOpen(t, d, alice, Params{})
		h.OnEnd(func(r Reason) { why = r })
		h.Release()
		time.Sleep(time.Minute - 1)
		mustAcquire(t, d, alice, h.ID()).Release()
		time.Sleep(time.Minute)
		if has(d, alice, h.ID()) {
			t.Error("an expired session is listed")
		}
		if _, err := d.Acquire(t.Context(), alice, h.ID()); err != errMiss {
			t.Errorf("acquired an expired session: %v", err)
		}
		if st := d.Stats(); why != ReasonIdle || st.Sessions != 0 || st.Ended[ReasonIdle] != 1 {
			t.Errorf("ended by %q, %+v", why, st)
		}
		old := mustIdle(t, d, alice, Params{})
		for range 70 { // kept in use until it is too old
			time.Sleep(59 * time.Second)
			if h, err := d.Acquire(t.Context(), alice, old); err == nil {
				h.Release()
			}
		}
		if err := d.Delete(t.Context(), alice, old); err != errMiss {
			t.Errorf("deleted a session over age: %v", err)
		}
		if n := d.Stats().Ended[ReasonAge]; n != 1 {
			t.Errorf("%d ended by age, want 1", n)
		}
		checkInvariants(t, d)
	})
}

func TestARequestMayAskForShorterTTLs(t *testing.T) {
	swept(t, Config{IdleTTL: time.Hour, MaxTTL: 4 * time.Hour}, func(t *testing.T, d *Directory) {
		short := mustIdle(t, d, alice, Params{IdleTTL: time.Minute})
		brief := mustIdle(t, d, alice, Params{MaxTTL: 30 * time.Minute})
		usual := mustIdle(t, d, alice, Params{})
		at := func(want ...ID) {
			t.Helper()
			synctest.Wait()
			if got := d.List(alice); len(got) != len(want) {
				t.Errorf("after %v: %d sessions, want %d", time.Since(d.epoch), len(got), len(want))
			}
			for _, id := range want {
				if !has(d, alice, id) {
					t.Errorf("after %v: %s is gone", time.Since(d.epoch), id)
				}
			}
		}
		at(short, brief, usual)
		time.Sleep(time.Minute + DefaultSweepEvery)
		at(brief, usual)
		time.Sleep(29 * time.Minute)
		at(usual)
		time.Sleep(30 * time.Minute)
		at()
		if st := d.Stats(); st.Sessions != 0 || st.Ended[ReasonIdle] != 2 || st.Ended[ReasonAge] != 1 {
			t.Errorf("stats: %+v", st)
		}
	})
}

// Over age and in use: nobody finds it, the calls finish undisturbed, then the
// context is canceled, which ends the streams, then the session ends.
func TestAgeDrains(t *testing.T) {
	swept(t, Config{IdleTTL: time.Minute, MaxTTL: time.Hour}, func(t *testing.T, d *Directory) {
		call := mustOpen(t, d, alice, Params{})
		letGo := call.Stream()
		ctx := call.Context()
		var why Reason
		call.OnEnd(func(r Reason) { why = r })
		time.Sleep(time.Hour + DefaultSweepEvery)
		synctest.Wait()
		if s := call.Info().State; s != StateDraining {
			t.Errorf("state %s, want draining", s)
		}
		if _, err := d.Acquire(t.Context(), alice, call.ID()); err != errMiss {
			t.Errorf("acquired a session over age: %v", err)
		}
		if ctx.Err() != nil {
			t.Error("the call in flight was canceled")
		}
		if err := NewSlot[int]("n").Update(ctx, call, func(n *int) error { *n = 1; return nil }); err != nil {
			t.Errorf("the call in flight cannot commit: %v", err)
		}
		call.Release()
		if ended := new(Ended); !errors.As(context.Cause(ctx), &ended) || ended.Reason != ReasonAge || why != "" {
			t.Errorf("calls done: cause %v, hooks ran %q: want that the context tells the streams of the age", context.Cause(ctx), why)
		}
		letGo()
		if st := d.Stats(); why != ReasonAge || st.Sessions != 0 || call.Info().State != StateEnded {
			t.Errorf("after the last user: ended by %q, %+v", why, st)
		}
	})
}

func TestAgeEndsASessionThatOnlyAStreamHolds(t *testing.T) {
	swept(t, Config{IdleTTL: time.Minute, MaxTTL: time.Hour}, func(t *testing.T, d *Directory) {
		h := mustOpen(t, d, alice, Params{})
		letGo := h.Stream()
		context.AfterFunc(h.Context(), letGo)
		h.Release()
		time.Sleep(time.Hour - 1)
		synctest.Wait()
		if !has(d, alice, h.ID()) {
			t.Error("an open stream did not hold the session")
		}
		time.Sleep(1 + DefaultSweepEvery)
		synctest.Wait()
		if st := d.Stats(); st.Sessions != 0 || st.Ended[ReasonAge] != 1 {
			t.Errorf("stats: %+v", st)
		}
	})
}

func TestAStreamKeepsTheIdleTTLAwayButSlidesNothing(t *testing.T) {
	swept(t, Config{IdleTTL: time.Minute}, func(t *testing.T, d *Directory) {
		h := mustOpen(t, d, alice, Params{})
		id := h.ID()
		letGo := h.Stream()
		h.Release()
		lastUsed := h.Info().LastUsed
		time.Sleep(50 * time.Second)
		letGo()
		letGo()
		if i := h.Info(); !i.LastUsed.Equal(lastUsed) || i.Streams != 0 || i.Calls != 1 {
			t.Errorf("after a stream: %+v", i)
		}
		time.Sleep(10*time.Second + DefaultSweepEvery)
		synctest.Wait()
		if has(d, alice, id) {
			t.Error("closing a stream slid the idle TTL")
		}

		h = mustOpen(t, d, alice, Params{})
		letGo = h.Stream()
		h.Release()
		time.Sleep(time.Hour)
		synctest.Wait()
		if !has(d, alice, h.ID()) {
			t.Error("the session went while a stream was open")
		}
		mustAcquire(t, d, alice, h.ID()).Release()
		time.Sleep(30 * time.Second)
		letGo()
		time.Sleep(30*time.Second - 1)
		synctest.Wait()
		if !has(d, alice, h.ID()) {
			t.Error("gone before the idle TTL from the last call")
		}
		time.Sleep(1 + DefaultSweepEvery)
		synctest.Wait()
		if n := d.Stats().Sessions; n != 0 {
			t.Errorf("%d sessions, want 0", n)
		}
	})
}

// Many more sessions end at once than one hold of a lock may look at.
func TestSweeperTakesEverythingInSteps(t *testing.T) {
	swept(t, Config{IdleTTL: time.Minute, Shards: 2, MaxPerOwner: 4}, func(t *testing.T, d *Directory) {
		const n = 5 * sweepBatch
		var mu sync.Mutex
		var hooks int
		for i := range n {
			h := mustOpen(t, d, Owner{"acme", "i", fmt.Sprint(i)}, Params{})
			h.OnEnd(func(Reason) {
				mu.Lock() // would deadlock, as would this, if the shard were locked
				defer mu.Unlock()
				hooks++
				d.Stats()
			})
			h.Release()
		}
		time.Sleep(time.Minute)
		time.Sleep(DefaultSweepEvery)
		synctest.Wait()
		if st := d.Stats(); st.Sessions != 0 || hooks != n || st.Owners != 0 || st.Tenants != 0 {
			t.Errorf("hooks %d of %d, %+v", hooks, n, st)
		}
	})
}

func TestSweepStepsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Config{IdleTTL: time.Minute, Shards: 1}, nil)
		for range 25 {
			mustIdle(t, d, alice, Params{})
		}
		step := func(want int, wantMore bool) {
			t.Helper()
			ends, _, _, more := d.shards[0].sweep(10)
			finishAll(ends)
			if len(ends) != want || more != wantMore {
				t.Errorf("a step of 10 ended %d sessions, more %v: want %d, %v", len(ends), more, want, wantMore)
			}
			checkInvariants(t, d)
		}
		step(0, false) // not their time
		time.Sleep(time.Minute)
		step(10, true)
		step(10, true)
		step(5, false)
	})
}

func TestSweeperDropsDecodedValuesOfIdleSessions(t *testing.T) {
	slot := NewSlot[map[string]int]("m")
	swept(t, Config{}, func(t *testing.T, d *Directory) {
		h := mustOpen(t, d, alice, Params{})
		if err := slot.Update(t.Context(), h, func(m *map[string]int) error { *m = map[string]int{"a": 1}; return nil }); err != nil {
			t.Fatal(err)
		}
		warm := func() bool {
			st := h.e.state.Load()
			st.turn <- struct{}{}
			defer st.end()
			c := st.cells["m"]
			return c.decoded != nil || c.holder != nil
		}
		time.Sleep(2 * warmFor)
		synctest.Wait()
		if !warm() {
			t.Error("dropped while the session was in use")
		}
		h.Release()
		time.Sleep(warmFor - 1)
		synctest.Wait()
		if !warm() {
			t.Error("dropped too early")
		}
		time.Sleep(1 + DefaultSweepEvery)
		synctest.Wait()
		if warm() {
			t.Error("an idle session keeps its decoded values")
		}
		h = mustAcquire(t, d, alice, h.ID())
		defer h.Release()
		if m, _, err := slot.Read(h); err != nil || m["a"] != 1 {
			t.Errorf("read %v, %v", m, err)
		}
	})
}

func TestExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Config{IdleTTL: time.Minute, MaxTTL: 5 * time.Minute}, nil)
		h := mustOpen(t, d, alice, Params{})
		want := func(in time.Duration) {
			t.Helper()
			if got := time.Until(h.Expires()); got != in || !h.Info().Expires.Equal(h.Expires()) {
				t.Errorf("expires in %v, want %v", got, in)
			}
		}
		want(time.Minute)
		time.Sleep(2 * time.Minute)
		want(time.Minute) // a call is in flight: the TTL begins when it is done
		letGo := h.Stream()
		h.Release()
		time.Sleep(30 * time.Second)
		want(30 * time.Second)
		time.Sleep(time.Minute)
		want(0) // as soon as the stream closes
		time.Sleep(time.Minute)
		h2 := mustAcquire(t, d, alice, h.ID())
		h2.Release()
		letGo()
		want(30 * time.Second) // the absolute TTL comes first
	})
}
