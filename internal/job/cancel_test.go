package job

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Requested, acknowledged and stopped are three moments, and each is true.
func TestCancelIsHonest(t *testing.T) {
	for name, look := range map[string]func(ctx context.Context, r *Run){
		"looks at its context": func(ctx context.Context, _ *Run) {
			if ctx.Err() == nil {
				t.Error("the context has not ended")
			}
		},
		"looks at a context with a value": func(ctx context.Context, _ *Run) {
			if context.WithValue(ctx, alice, 1).Err() == nil {
				t.Error("the context has not ended")
			}
		},
		"is told by Checkpoint": func(_ context.Context, r *Run) {
			if err := r.Checkpoint(json.RawMessage("1")); err != ErrCanceled {
				t.Errorf("checkpoint: %v, want ErrCanceled", err)
			}
		},
		"is told by Partial": func(_ context.Context, r *Run) {
			if err := r.Partial(json.RawMessage("1")); err != ErrCanceled {
				t.Errorf("partial: %v, want ErrCanceled", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newBrittleStore()
				r := New(Config{}, store, nil, discard())
				defer r.Close()
				spec := instant(alice, "", nil)
				spec.Run = func(ctx context.Context, r *Run) (json.RawMessage, error) {
					derived, cancel := context.WithCancel(ctx) // nobody looks at it: no sign of having seen
					defer cancel()
					time.Sleep(10 * time.Second) // deaf
					look(ctx, r)
					time.Sleep(5 * time.Second) // tidies up
					return nil, derived.Err()
				}
				id := start(t, r, spec).Detach().ID
				time.Sleep(time.Second)
				asked := now()
				j, ok, err := r.Cancel(t.Context(), alice, id)
				if err != nil || !ok || j.State != Running || (j.Cancel != Cancel{Requested: asked}) {
					t.Errorf("asked: %+v, %v, %v", j, ok, err)
				}
				if rec := stored(t, store)[id]; rec.Cancel.Requested != asked {
					t.Errorf("the store has %+v: a process that dies now would go on with the job", rec.Cancel)
				}
				time.Sleep(time.Second)
				if j, ok, err = r.Cancel(t.Context(), alice, id); err != nil || !ok || (j.Cancel != Cancel{Requested: asked}) {
					t.Errorf("asked again: %+v, %v, %v, want the same request", j.Cancel, ok, err)
				}
				time.Sleep(9 * time.Second) // the run looks 10 s after its start
				want := Cancel{Requested: asked, Acknowledged: asked.Add(9 * time.Second)}
				if j := get(t, r, alice, id); j.State != Running || j.Cancel != want {
					t.Errorf("when it has seen it: %s, %+v, want %+v", j.State, j.Cancel, want)
				}
				time.Sleep(10 * time.Second)
				want.Stopped = asked.Add(14 * time.Second)
				j = get(t, r, alice, id)
				if j.State != Canceled || j.Cancel != want || j.Finished != want.Stopped || j.StatusMessage != statusCanceled {
					t.Errorf("in the end: %s, %+v, want %+v", j.State, j.Cancel, want)
				}
				checkInvariants(t, r)

				before, puts := j, len(store.written())
				if j, ok, err = r.Cancel(t.Context(), alice, id); err != nil || ok || j.State != Canceled || j.Updated != before.Updated {
					t.Errorf("canceled when it was over: %+v, %v, %v", j, ok, err)
				}
				if len(store.written()) != puts {
					t.Error("canceling a job that is over wrote something")
				}
			})
		})
	}
}

// An operation may finish, or fail for its own reason, in spite of a request.
func TestCanceledTooLate(t *testing.T) {
	r := open(t, Config{}, NewMemoryStore())
	for _, c := range []struct {
		result string
		err    error
		want   State
	}{
		{"1", nil, Completed},
		{"", errors.New("no disk"), Failed},
		{"", context.Canceled, Canceled},
		{"", fault.Wrap(fault.Canceled, errors.New("x"), "stopped"), Canceled},
		{"", ErrCheckpointed, Canceled},
	} {
		seen := make(chan struct{})
		id := start(t, r, Spec{Owner: alice, Operation: "stubborn", Resumable: true, Run: func(ctx context.Context, _ *Run) (json.RawMessage, error) {
			close(seen)
			<-ctx.Done()
			return json.RawMessage(c.result), c.err
		}}).Detach().ID
		<-seen
		if _, asked, err := r.Cancel(context.Background(), alice, id); err != nil || !asked {
			t.Fatalf("cancel: %v, %v", asked, err)
		}
		j := wait(t, r, alice, id)
		if j.State != c.want || j.Cancel.Requested.IsZero() || j.Cancel.Stopped.IsZero() || string(j.Result) != c.result {
			t.Errorf("returning %q, %v it is %s with %s, %+v, want %s", c.result, c.err, j.State, j.Result, j.Cancel, c.want)
		}
	}
}

// A queued job that is canceled makes room at once, before anything is written.
func TestCancelQueuedFreesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newBrittleStore()
		r := New(Config{MaxRunning: 1, MaxQueuedPerOwner: 2}, store, nil, discard())
		defer r.Close()
		o := newOp()
		begin(t, r, o, o.spec(alice))
		first := start(t, r, instant(alice, "1", nil)).Detach().ID
		inline := start(t, r, instant(alice, "2", nil))
		if _, err := r.Start(t.Context(), instant(alice, "3", nil)); fault.KindOf(err) != fault.RateLimited {
			t.Fatalf("start over the bound: %v", err)
		}
		held := make(chan struct{})
		store.set(func() { store.held = held })
		canceled := make(chan Job)
		go func() {
			j, asked, err := r.Cancel(t.Context(), alice, first)
			if err != nil || !asked {
				t.Errorf("cancel: %v, %v", asked, err)
			}
			canceled <- j
		}()
		synctest.Wait() // it is being written
		if st := r.Stats(); st.Queued != 1 {
			t.Errorf("%d queued, want 1", st.Queued)
		}
		if j := get(t, r, alice, first); j.State != Queued || j.Cancel.Requested.IsZero() {
			t.Errorf("before it is stored it is seen as %s, %+v", j.State, j.Cancel)
		}
		over := make(chan Job)
		go func() {
			j, asked, err := r.Cancel(t.Context(), alice, first) // again, meanwhile
			if err != nil || asked {
				t.Errorf("second cancel: %v, %v, want that it was over", asked, err)
			}
			over <- j
		}()
		synctest.Wait()
		close(held)
		if j := <-canceled; j.State != Canceled || j.Cancel.Stopped.IsZero() || !j.Started.IsZero() {
			t.Errorf("canceled as %+v", j)
		}
		if j := <-over; j.State != Canceled {
			t.Errorf("the second cancel saw it %s", j.State)
		}
		store.set(func() { store.held = nil })
		if stored(t, store)[first].State != Canceled {
			t.Errorf("stored as %+v", stored(t, store)[first])
		}

		// One whose caller waits inline.
		if _, asked, err := r.Cancel(t.Context(), alice, inline.ID()); err != nil || !asked {
			t.Errorf("cancel: %v, %v", asked, err)
		}
		if out, done := inline.Inline(t.Context(), time.Hour); !done || out.State != Canceled || out.Err != ErrCanceled {
			t.Errorf("delivered %+v, %v", out, done)
		}
		checkInvariants(t, r)
		o.end("1", nil)
		synctest.Wait()
		checkInvariants(t, r)
	})
}

func TestDelete(t *testing.T) {
	store := newBrittleStore()
	r := open(t, Config{}, store)
	o := newOp()
	id := begin(t, r, o, o.spec(alice))
	if err := r.Delete(context.Background(), alice, id); fault.KindOf(err) != fault.Conflict {
		t.Errorf("deleting a running job: %v, want a conflict", err)
	}
	o.end("1", nil)
	wait(t, r, alice, id)
	if err := r.Delete(context.Background(), alice, id); err != nil {
		t.Errorf("delete: %v", err)
	}
	wantMiss(t, r.Delete(context.Background(), alice, id))
	if st := r.Stats(); len(stored(t, store)) != 0 || st.Retained != 0 || st.RetainedBytes != 0 || st.Owners != 0 {
		t.Errorf("left are %v, %+v", stored(t, store), st)
	}

	// When the store fails the job is gone all the same, and counts until it is.
	id = start(t, r, instant(alice, "1", nil)).Detach().ID
	wait(t, r, alice, id)
	store.set(func() { store.failDeletes = true })
	wantFault(t, r.Delete(context.Background(), alice, id), fault.Unavailable, "job_store_unavailable")
	_, err := r.Get(context.Background(), alice, id)
	wantMiss(t, err)
	if st := r.Stats(); st.Retained != 1 || st.Unsaved != 1 || st.StoreErrors != 1 {
		t.Errorf("stats %+v", st)
	}
	checkInvariants(t, r)
	store.set(func() { store.failDeletes = false })
	r.retry()
	if st := r.Stats(); len(stored(t, store)) != 0 || st.Retained != 0 || st.Owners != 0 || st.Unsaved != 0 {
		t.Errorf("left are %v, %+v", stored(t, store), st)
	}
}
