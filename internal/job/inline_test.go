package job

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/event"
)

// One job, one result, one way: however the end of the run, the patience of the
// caller, the caller's choice, a cancellation and lookups interleave, a result
// is delivered exactly once, or stored exactly once, or nobody wanted it.
func TestInlineOrStored(t *testing.T) {
	const total, workers = 10_000, 8
	store, bus := NewMemoryStore(), new(event.Bus[Event])
	r := New(Config{MaxRunning: 6, MaxRunningPerOwner: 4, MaxRetained: 4 * total, MaxRetainedPerOwner: 4 * total, MaxRetainedBytes: 1 << 40}, store, bus, discard())
	events := listen(bus)
	var ways [4]atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(w)))
			for range total / workers {
				ways[oneCall(t, r, rng)].Add(1)
			}
		})
	}
	wg.Wait()
	if err := r.Close(); err != nil { // what was canceled by then has ended
		t.Error(err)
	}
	finished := 0
	for _, e := range events() {
		if e.Kind == EventFinished {
			finished++
		}
	}
	checkInvariants(t, r)
	kept := int64(0)
	for id, rec := range stored(t, store) {
		kept++
		if !rec.State.Final() {
			t.Errorf("job %s is stored as %s", id, rec.State)
		}
	}
	t.Logf("delivered %d, stored %d, abandoned %d; finished events %d, missed %d",
		ways[0].Load(), ways[1].Load(), ways[2].Load(), finished, bus.Dropped())
	if kept != ways[1].Load() {
		t.Errorf("%d jobs are stored, want the %d that were detached", kept, ways[1].Load())
	}
	if n := uint64(finished); n > total || n+bus.Dropped() < total {
		t.Errorf("%d finished events and %d missed ones of any kind for %d jobs", n, bus.Dropped(), total)
	}
	for i := range 3 {
		if ways[i].Load() < total/50 {
			t.Errorf("way %d was taken %d times in %d: the interleavings are one-sided", i, ways[i].Load(), total)
		}
	}
}

// oneCall makes one call with everything about it drawn at random and returns
// what became of it: delivered, stored, abandoned.
func oneCall(t *testing.T, r *Runner, rng *rand.Rand) int {
	owner := alice
	if rng.IntN(2) == 0 {
		owner = bob
	}
	work, patience := rng.IntN(30), rng.IntN(30)
	cancels, choice := rng.IntN(5) == 0, rng.IntN(3)
	var runs atomic.Int64
	h, err := r.Start(context.Background(), Spec{Owner: owner, Operation: "race", Run: func(ctx context.Context, _ *Run) (json.RawMessage, error) {
		runs.Add(1)
		for range work {
			runtime.Gosched()
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
		return json.RawMessage("1"), nil
	}})
	if err != nil {
		t.Errorf("start: %v", err)
		return 3
	}
	var others sync.WaitGroup
	if cancels {
		others.Go(func() { _, _, _ = r.Cancel(context.Background(), owner, h.ID()) })
	}
	var delivered atomic.Int64
	try := func(limit time.Duration) {
		if out, done := h.Inline(context.Background(), limit); done {
			delivered.Add(1)
			if (string(out.Result) == "1") != (out.State == Completed) || (out.Err != nil) != (out.State != Completed) {
				t.Errorf("delivered %+v", out)
			}
		}
	}
	if rng.IntN(2) == 0 {
		others.Go(func() { try(time.Millisecond) }) // a second reader
	}
	for range patience {
		runtime.Gosched()
	}
	try(time.Duration(rng.IntN(3)) * 50 * time.Microsecond)
	switch choice {
	case 0:
		h.Abandon()
	default:
		h.Detach()
	}
	others.Wait()
	j, found := r.Get(context.Background(), owner, h.ID())
	switch n := delivered.Load(); {
	case n == 1 && found != nil:
		return 0
	case n == 0 && found == nil && choice != 0:
		j, err = r.Wait(context.Background(), owner, h.ID(), time.Minute)
		if err != nil || !j.State.Final() || (string(j.Result) == "1") != (j.State == Completed) || runs.Load() > 1 {
			t.Errorf("stored as %+v, %v after %d runs", j, err, runs.Load())
		}
		return 1
	case n == 0 && found != nil && choice == 0:
		return 2
	default:
		t.Errorf("delivered %d times, found %+v (%v), choice %d", n, j, found, choice)
		return 3
	}
}

// The same three parties at the very moment when the run ends, without luck:
// each order of the two that matter.
func TestInlineAtTheLastMoment(t *testing.T) {
	for _, endFirst := range []bool{true, false} {
		for _, choice := range []string{"inline", "detach", "abandon"} {
			store := NewMemoryStore()
			r := New(Config{}, store, nil, discard())
			o := newOp()
			h := start(t, r, o.spec(alice))
			<-o.started
			end := func() {
				o.end("1", nil)
				<-h.e.exited
			}
			if endFirst {
				end()
			}
			out, done := Outcome{}, false
			switch choice {
			case "inline":
				out, done = h.Inline(context.Background(), 0)
			case "detach":
				h.Detach()
			default:
				h.Abandon()
			}
			if !endFirst {
				if choice != "abandon" {
					end()
				}
				<-h.e.returned
			}
			if choice == "inline" && done != endFirst || done && string(out.Result) != "1" {
				t.Errorf("ended first %v, %s: delivered %+v, %v", endFirst, choice, out, done)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			rec, kept := stored(t, store)[h.ID()]
			if want := choice == "detach" || choice == "inline" && !done; kept != want || kept && string(rec.Result) != "1" {
				t.Errorf("ended first %v, %s: stored %v %+v, want %v", endFirst, choice, kept, rec.Job, want)
			}
		}
	}
}

// Whoever waits for a result that somebody else decides about is told at once.
func TestChoiceEndsTheWait(t *testing.T) {
	for name, choose := range map[string]func(*Handle){
		"detach": func(h *Handle) { h.Detach() }, "abandon": func(h *Handle) { h.Abandon() },
	} {
		synctest.Test(t, func(t *testing.T) {
			r := New(Config{}, NewMemoryStore(), nil, discard())
			defer r.Close()
			h := start(t, r, Spec{Owner: alice, Operation: "deaf", Run: func(context.Context, *Run) (json.RawMessage, error) {
				time.Sleep(time.Hour)
				return nil, nil
			}})
			time.AfterFunc(time.Second, func() { choose(h) })
			began := time.Now()
			if out, done := h.Inline(t.Context(), 30*time.Minute); done || time.Since(began) != time.Second {
				t.Errorf("%s: delivered %+v, %v after %v, want nothing after 1s", name, out, done, time.Since(began))
			}
			time.Sleep(time.Hour)
		})
	}
}
