package job

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// known resolves every record to the operations by name.
func known(ops map[string]RunFunc) func(Record) (RunFunc, bool) {
	return func(r Record) (RunFunc, bool) {
		fn, ok := ops[r.Operation]
		return fn, ok
	}
}

// What each kind of job does when the process stops, what the summary says, and
// what the next process makes of it.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newBrittleStore()
		var text strings.Builder
		r := New(Config{MaxRunningPerOwner: 7, MaxRunning: 7, Grace: time.Second}, store, nil, slog.New(slog.NewTextHandler(&text, nil)))
		release := make(chan struct{})
		ops := map[string]RunFunc{
			"finishes": func(_ context.Context, run *Run) (json.RawMessage, error) {
				<-run.Stop()
				time.Sleep(5 * time.Second)
				return json.RawMessage("1"), nil
			},
			"checkpoints": func(_ context.Context, run *Run) (json.RawMessage, error) {
				if at, ok := run.Resume(); ok {
					return at, nil
				}
				if run.Due() {
					t.Error("a checkpoint is due at the start")
				}
				<-run.Stop()
				if !run.Due() {
					t.Error("no checkpoint is due in a drain")
				}
				if err := run.Checkpoint(json.RawMessage(`"so far"`)); err != nil || !run.Due() {
					t.Errorf("checkpoint: %v, due %v", err, run.Due())
				}
				return nil, ErrCheckpointed
			},
			"last moment": func(ctx context.Context, run *Run) (json.RawMessage, error) {
				if at, ok := run.Resume(); ok {
					return at, nil
				}
				<-ctx.Done()
				if context.Cause(ctx) != ErrDraining {
					t.Errorf("the cause is %v", context.Cause(ctx))
				}
				if err := run.Checkpoint(json.RawMessage(`"at last"`)); err != nil {
					t.Errorf("checkpoint: %v", err)
				}
				return nil, ErrCheckpointed
			},
			"obeys": func(ctx context.Context, run *Run) (json.RawMessage, error) {
				if run.Attempt() == 2 {
					return json.RawMessage("2"), nil
				}
				<-ctx.Done()
				return nil, ctx.Err()
			},
			"deaf": func(_ context.Context, run *Run) (json.RawMessage, error) {
				if run.Attempt() == 2 {
					return json.RawMessage("3"), nil
				}
				<-release
				return json.RawMessage(`"too late"`), nil
			},
			"waits": func(context.Context, *Run) (json.RawMessage, error) { return json.RawMessage("4"), nil },
		}
		begin := func(name string, resumable bool) *Handle {
			return start(t, r, Spec{Owner: alice, Operation: name, Resumable: resumable, Run: ops[name], Seed: 3})
		}
		finishes, checkpoints, last := begin("finishes", false), begin("checkpoints", true), begin("last moment", true)
		obeys, brittle, deaf := begin("obeys", true), begin("obeys", false), begin("deaf", true)
		inline := begin("checkpoints", true)
		waiting, waitsInline := begin("waits", false), begin("waits", false)
		for _, h := range []*Handle{finishes, checkpoints, last, obeys, brittle, deaf, waiting} {
			h.Detach()
		}
		synctest.Wait()
		type answer struct {
			done bool
			at   time.Duration
		}
		answers := make(chan answer, 2)
		began := time.Now()
		for _, h := range []*Handle{inline, waitsInline} {
			go func() {
				_, done := h.Inline(t.Context(), time.Hour)
				answers <- answer{done, time.Since(began)}
			}()
		}
		waited := make(chan Job, 1)
		go func() {
			j, err := r.Wait(t.Context(), alice, waiting.ID(), time.Hour)
			if err != nil {
				t.Error(err)
			}
			waited <- j
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		synctest.Wait()
		got := r.Drain(ctx)
		want := Summary{InFlight: 7, Queued: 2, Finished: 1, Checkpointed: 3, Interrupted: 2, Lost: 1, Took: 11 * time.Second}
		if got != want {
			t.Errorf("drained %+v\nwant    %+v", got, want)
		}
		for range 2 {
			if a := <-answers; a.done || a.at != 0 {
				t.Errorf("Inline answered %v after %v, want at once that there is no result", a.done, a.at)
			}
		}
		if j := <-waited; j.State != Queued {
			t.Errorf("Wait returned a %s job", j.State)
		}
		_, err := r.Start(t.Context(), instant(bob, "1", nil))
		wantRefused(t, err, fault.Overloaded, "draining")
		if j := inline.Detach(); j.State != Queued || j.StatusMessage != statusCheckpointed {
			t.Errorf("the caller who waited is told %s, %s", j.State, j.StatusMessage)
		}
		waitsInline.Abandon()
		if j := get(t, r, alice, brittle.ID()); j.State != Failed || j.Error.Code != "interrupted" {
			t.Errorf("one that cannot be resumed is %s, %+v", j.State, j.Error)
		}
		if j := get(t, r, alice, obeys.ID()); j.State != Interrupted || j.StatusMessage != statusInterrupted {
			t.Errorf("one that can be resumed is %s, %s", j.State, j.StatusMessage)
		}
		checkInvariants(t, r)
		if err := r.Close(); err == nil || !strings.Contains(err.Error(), "1 ignore their context") {
			t.Errorf("close: %v, want that one job was lost", err)
		}
		for _, want := range []string{
			"jobs stopped", "in_flight=7 queued=2 finished=1 checkpointed=3 interrupted=2 lost=1 duration_ms=11000",
			"job ignores its context", "operation=deaf",
		} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, text.String())
			}
		}
		if strings.Contains(text.String(), string(deaf.ID())) {
			t.Error("the log shows an id")
		}
		before := stored(t, store)
		close(release)
		synctest.Wait()
		if after := stored(t, store); after[deaf.ID()].State != Running || len(after) != len(before) || len(after) != 8 {
			t.Errorf("a lost job wrote to the store after Close: %+v", after[deaf.ID()])
		}

		next := New(Config{}, store, nil, discard())
		defer next.Close()
		found, err := next.Recover(t.Context(), known(ops))
		if want := (Recovery{Queued: 6, Retained: 2}); err != nil || found != want {
			t.Errorf("recovered %+v, %v, want %+v", found, err, want)
		}
		for h, want := range map[*Handle]string{
			checkpoints: `"so far"`, inline: `"so far"`, last: `"at last"`, obeys: "2", deaf: "3", waiting: "4", finishes: "1",
		} {
			if j := wait(t, next, alice, h.ID()); j.State != Completed || string(j.Result) != want || j.Seed != 3 {
				t.Errorf("%s ended %s with %s, want %s", j.Operation, j.State, j.Result, want)
			}
		}
		checkInvariants(t, next)
	})
}

// A drain of jobs that are quick takes no longer than they do.
func TestDrainIsNoLongerThanNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{}, NewMemoryStore(), nil, discard())
		if got := r.Drain(t.Context()); got != (Summary{}) {
			t.Errorf("nothing to drain: %+v", got)
		}
		r = New(Config{}, NewMemoryStore(), nil, discard())
		h := start(t, r, Spec{Owner: alice, Operation: "x", Run: func(context.Context, *Run) (json.RawMessage, error) {
			time.Sleep(2 * time.Second)
			return nil, nil
		}})
		if got, want := r.Drain(t.Context()), (Summary{InFlight: 1, Finished: 1, Took: 2 * time.Second}); got != want {
			t.Errorf("drained %+v, want %+v", got, want)
		}
		if got := r.Drain(t.Context()); got != (Summary{}) {
			t.Errorf("drained twice: %+v", got)
		}
		if out, done := h.Inline(t.Context(), 0); !done || out.State != Completed {
			t.Errorf("delivered %+v, %v after the drain", out, done)
		}
		for range 2 {
			if err := r.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	})
}

// Close loses no result: one that nobody has chosen for is stored, and a write
// that failed is tried once more.
func TestCloseKeepsResults(t *testing.T) {
	store := newBrittleStore()
	r := New(Config{}, store, nil, discard())
	undecided := start(t, r, instant(alice, "1", nil))
	<-undecided.e.exited
	o := newOp()
	id := begin(t, r, o, o.spec(alice))
	store.set(func() { store.failPuts = true })
	o.end("2", nil)
	wait(t, r, alice, id)
	store.set(func() { store.failPuts = false })
	if err := r.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	all := stored(t, store)
	if a, b := all[undecided.ID()], all[id]; string(a.Result) != "1" || string(b.Result) != "2" {
		t.Errorf("stored are %s and %s, want 1 and 2", a.Result, b.Result)
	}

	r = New(Config{}, store, nil, discard())
	o = newOp()
	begin(t, r, o, o.spec(bob))
	store.set(func() { store.failPuts = true })
	if err := r.Close(); err == nil || !strings.Contains(err.Error(), "1 could not be written") {
		t.Errorf("close over a broken store: %v", err)
	}
}

// ErrCheckpointed from a job that cannot be resumed must not lose it silently.
func TestCheckpointedButNotResumable(t *testing.T) {
	r := New(Config{}, NewMemoryStore(), nil, discard())
	h := start(t, r, Spec{Owner: alice, Operation: "x", Run: func(_ context.Context, run *Run) (json.RawMessage, error) {
		<-run.Stop()
		return nil, ErrCheckpointed
	}})
	h.Detach()
	r.Drain(context.Background())
	if j := get(t, r, alice, h.ID()); j.State != Failed || j.Error.Code != "internal" {
		t.Errorf("it is %s, %+v", j.State, j.Error)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// A Start that is writing when a drain begins is refused and leaves nothing.
func TestDrainDuringStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newBrittleStore()
		r := New(Config{}, store, nil, discard())
		held := make(chan struct{})
		store.set(func() { store.held = held })
		refused := make(chan error)
		go func() {
			_, err := r.Start(t.Context(), instant(alice, "1", nil))
			refused <- err
		}()
		synctest.Wait()
		if got := r.Drain(t.Context()); got != (Summary{}) {
			t.Errorf("drained %+v", got)
		}
		store.set(func() { store.held = nil })
		close(held)
		wantRefused(t, <-refused, fault.Overloaded, "draining")
		if st := r.Stats(); len(stored(t, store)) != 0 || st.Owners != 0 || st.Started != 0 {
			t.Errorf("left are %v, %+v", stored(t, store), st)
		}
		checkInvariants(t, r)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}
