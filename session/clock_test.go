package session

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A process that starts with a clock two days ahead does not find the sessions,
// for by its clock they have expired; but it erases nothing before it has run
// for an hour, so one that starts with the right clock has them all. (A clock
// that is behind: TestAClockBehindTheStore.)
func TestAClockAheadAtTheStartLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		d, _ := mustRestore(t, Config{}, f)
		h := mustOpen(t, d, alice, Params{})
		mustUpdate(t, chain, h, add("a"))
		id := h.ID()
		h.Release()
		d.Close()

		const ahead = 48 * time.Hour
		time.Sleep(ahead)
		wrong, found := mustRestore(t, Config{}, f)
		if found.Sessions != 0 || found.Expired != 1 {
			t.Fatalf("with the clock ahead: %+v", found)
		}
		if _, err := wrong.Acquire(t.Context(), alice, id); err != errMiss {
			t.Errorf("acquire with the clock ahead: %v", err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = wrong.Run(ctx) })
		time.Sleep(55 * time.Minute)
		stop()
		running.Wait()
		wrong.Close()

		// The clock is set right: to the store it is as if its times moved.
		s := f.sessions[Key{alice, id}]
		if s == nil {
			t.Fatal("the record was erased in the first hour")
		}
		for _, at := range []*time.Time{&s.Created, &s.AgeAt, &s.LastUsed, &s.Expires} {
			*at = at.Add(ahead + 55*time.Minute)
		}
		right, found := mustRestore(t, Config{}, f)
		if found.Sessions != 1 {
			t.Fatalf("with the clock right: %+v", found)
		}
		h = mustAcquire(t, right, alice, id)
		if got := mustRead(t, chain, h); len(got.Steps) != 1 || got.Steps[0] != "a" {
			t.Errorf("the state is %v", got)
		}
		h.Release()
		checkInvariants(t, right)
	})
}

// While a process runs, only the monotonic clock counts: a step of the wall clock
// moves no session nearer to its end. That hangs on the monotonic reading of the
// directory's start, which time.Since needs.
func TestOnlyTheMonotonicClockCountsWhileRunning(t *testing.T) {
	d := New(Config{}, nil)
	if !strings.Contains(d.epoch.String(), " m=") {
		t.Errorf("the start %v has no monotonic reading", d.epoch)
	}
	stored := d.wall(d.now())
	if strings.Contains(stored.String(), " m=") || stored.Location() != time.UTC {
		t.Errorf("a stored time is %v, want UTC without a monotonic reading", stored)
	}
}
