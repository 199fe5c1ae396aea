package job

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/event"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

// late makes a spec one that is stored late.
func late(s Spec) Spec {
	s.Late, s.Input = func() (json.RawMessage, error) { return json.RawMessage(`{"late":true}`), nil }, nil
	return s
}

// A late job that is delivered inline costs no write and no event.
func TestLateIsSilent(t *testing.T) {
	store, bus := &countingStore{Store: NewMemoryStore()}, new(event.Bus[Event])
	r := New(Config{}, store, bus, discard())
	events := listen(bus)
	h := start(t, r, late(instant(alice, "1", nil)))
	if out, done := h.Inline(t.Context(), time.Minute); !done || string(out.Result) != "1" {
		t.Errorf("delivered %+v, %v", out, done)
	}
	o := newOp()
	h = start(t, r, late(o.spec(alice)))
	run := <-o.started
	o.do(func(context.Context, *Run) { run.Progress(1, 2, "half") })
	h.Abandon()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if n := store.count(); n != 0 {
		t.Errorf("%d uses of the store, want 0", n)
	}
	if all := events(); len(all) != 0 {
		t.Errorf("told %+v", all)
	}
	checkInvariants(t, r)
}

type countingStore struct {
	Store
	mu sync.Mutex
	n  int // owned by mu
}

func (s *countingStore) add() { s.mu.Lock(); s.n++; s.mu.Unlock() }

func (s *countingStore) count() int { s.mu.Lock(); defer s.mu.Unlock(); return s.n }

func (s *countingStore) Put(ctx context.Context, r Record) error { s.add(); return s.Store.Put(ctx, r) }

func (s *countingStore) Delete(ctx context.Context, o session.Owner, id ID) error {
	s.add()
	return s.Store.Delete(ctx, o, id)
}

// Whatever makes a late job known puts it into the store first, with its input.
func TestLateIsStored(t *testing.T) {
	for name, act := range map[string]func(r *Runner, h *Handle, o *op){
		"keep":   func(_ *Runner, h *Handle, _ *op) { _ = h.Keep() },
		"detach": func(_ *Runner, h *Handle, _ *op) { h.Detach() },
		"checkpoint": func(r *Runner, _ *Handle, o *op) {
			o.do(func(_ context.Context, run *Run) {
				run.e.due.Store(true)
				_ = run.Checkpoint(json.RawMessage(`{"n":1}`))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := NewMemoryStore()
			r, o := open(t, Config{}, store), newOp()
			h := start(t, r, late(o.spec(alice)))
			<-o.started
			if n := len(stored(t, store)); n != 0 {
				t.Fatalf("%d records before", n)
			}
			act(r, h, o)
			rec := stored(t, store)[h.ID()]
			if rec.State != Running || string(rec.Input) != `{"late":true}` || rec.Resumable {
				t.Errorf("stored as %+v", rec)
			}
			o.end("7", nil)
			if name == "detach" {
				if j := wait(t, r, alice, h.ID()); string(j.Result) != "7" {
					t.Errorf("ended as %+v", j)
				}
				return
			}
			if out, done := h.Inline(t.Context(), time.Minute); !done || string(out.Result) != "7" {
				t.Errorf("delivered %+v, %v", out, done)
			}
			if n := len(stored(t, store)); n != 0 {
				t.Errorf("%d records are left", n)
			}
		})
	}
}

// A job that may be restarted is stored so; its first checkpoint is due soon.
func TestRestartable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := NewMemoryStore()
		r, o := open(t, Config{PersistAfter: 100 * time.Millisecond}, store), newOp()
		h := start(t, r, late(o.spec(alice)))
		run := <-o.started
		o.do(func(context.Context, *Run) {
			if err := run.Restartable(); err != nil {
				t.Error(err)
			}
		})
		if len(stored(t, store)) != 0 || run.Due() {
			t.Error("a short call is written")
		}
		time.Sleep(101 * time.Millisecond)
		synctest.Wait()
		if !run.Due() {
			t.Fatal("no checkpoint is due")
		}
		o.do(func(context.Context, *Run) {
			if err := run.Checkpoint(json.RawMessage(`{"n":5}`)); err != nil {
				t.Error(err)
			}
		})
		if rec := stored(t, store)[h.ID()]; !rec.Resumable || string(rec.Checkpoint.Data) != `{"n":5}` {
			t.Errorf("stored as %+v", rec)
		}
		o.end("1", nil)
		h.Inline(t.Context(), time.Minute)

		h = start(t, r, o.spec(alice))
		run = <-o.started
		o.do(func(context.Context, *Run) {
			if err := run.Restartable(); err != nil {
				t.Error(err)
			}
		})
		if rec := stored(t, store)[h.ID()]; !rec.Resumable {
			t.Error("a job that is in the store is restartable as soon as that is said")
		}
		o.end("1", nil)
		h.Inline(t.Context(), time.Minute)
		if err := run.Restartable(); err == nil {
			t.Error("after the end")
		}
	})
}

// What cannot be kept stays attached, and is delivered.
func TestKeepFails(t *testing.T) {
	r := open(t, Config{MaxInput: 8, MaxRetained: 1, MaxRetainedPerOwner: 1}, NewMemoryStore())
	o := newOp()
	h := start(t, r, late(o.spec(alice)))
	<-o.started
	wantFault(t, h.Keep(), fault.TooLarge, "job_input_too_large")
	o.end("1", nil)
	if _, done := h.Inline(t.Context(), time.Minute); !done {
		t.Error("not delivered")
	}
	start(t, r, instant(alice, "1", nil)).Detach()
	for r.Stats().Retained == 0 {
		runtime.Gosched()
	}
	h = start(t, r, late(o.spec(alice))) // starts though the owner keeps all it may
	<-o.started
	wantFault(t, h.Keep(), fault.RateLimited, "jobs_retained")
	o.end("1", nil)
	if _, done := h.Inline(t.Context(), time.Minute); !done {
		t.Error("not delivered")
	}
	checkInvariants(t, r)
}

// A drain leaves a late job that checkpoints in the store, for the next process.
func TestLateSurvivesDrain(t *testing.T) {
	store := NewMemoryStore()
	r, o := open(t, Config{}, store), newOp()
	h := start(t, r, late(o.spec(alice)))
	run := <-o.started
	drained := make(chan Summary, 1)
	go func() { drained <- r.Drain(t.Context()) }()
	<-run.Stop()
	o.do(func(context.Context, *Run) {
		if run.Restartable() != nil || run.Checkpoint(json.RawMessage(`{"n":3}`)) != nil {
			t.Error("refused during a drain")
		}
	})
	o.end("", ErrCheckpointed)
	if sum := <-drained; sum.Checkpointed != 1 {
		t.Errorf("%+v", sum)
	}
	if _, done := h.Inline(t.Context(), time.Minute); done {
		t.Error("delivered what is left for the next process")
	}
	h.Detach()
	rec := stored(t, store)[h.ID()]
	if rec.State != Queued || string(rec.Input) != `{"late":true}` || string(rec.Checkpoint.Data) != `{"n":3}` {
		t.Errorf("stored as %+v", rec)
	}
}

// However keeping, detaching, abandoning and the end of a late job interleave,
// its result is delivered once or stored once.
func TestLateRaces(t *testing.T) {
	const total, workers = 4000, 4
	store := NewMemoryStore()
	r := New(Config{MaxRetained: 4 * total, MaxRetainedPerOwner: 4 * total, MaxRetainedBytes: 1 << 40}, store, nil, discard())
	var wg sync.WaitGroup
	want := make([]map[ID]bool, workers)
	for w := range workers {
		want[w] = map[ID]bool{}
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(2, uint64(w)))
			for range total / workers {
				steps := rng.IntN(20)
				h := start(t, r, late(Spec{Owner: alice, Operation: "race", Run: func(ctx context.Context, run *Run) (json.RawMessage, error) {
					for range steps {
						runtime.Gosched()
					}
					run.e.due.Store(true)
					_ = run.Checkpoint(json.RawMessage("2")) // refused when it was abandoned
					return json.RawMessage("1"), ctx.Err()
				}}))
				for range rng.IntN(20) {
					runtime.Gosched()
				}
				if rng.IntN(2) == 0 {
					_ = h.Keep()
				}
				if rng.IntN(4) == 0 {
					h.Abandon()
				} else if _, done := h.Inline(context.Background(), time.Duration(rng.IntN(2))*10*time.Microsecond); !done {
					h.Detach()
					want[w][h.ID()] = true
				}
			}
		})
	}
	wg.Wait()
	r.Drain(t.Context()) // lets what runs finish
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	checkInvariants(t, r)
	all, n := stored(t, store), 0
	for _, ids := range want {
		for id := range ids {
			n++
			if rec := all[id]; string(rec.Result) != "1" {
				t.Errorf("a detached job is stored as %+v", rec.Job)
			}
		}
	}
	if len(all) != n || n < total/50 {
		t.Errorf("%d records, want those of the %d detached jobs", len(all), n)
	}
}

// BenchmarkLate is what a short call pays for being a late job.
func BenchmarkLate(b *testing.B) {
	r := open(b, Config{}, NewMemoryStore())
	spec := late(instant(alice, `{"answer": 42}`, nil))
	b.ReportAllocs()
	for b.Loop() {
		h, err := r.Start(context.Background(), spec)
		if err != nil {
			b.Fatal(err)
		}
		if _, done := h.Inline(context.Background(), time.Minute); !done {
			b.Fatal("not delivered")
		}
	}
}
