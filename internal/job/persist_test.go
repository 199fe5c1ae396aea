package job

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// What could not be written is written when the store is back, and what is seen
// meanwhile is the truth.
func TestStoreComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newBrittleStore()
		r := New(Config{}, store, nil, discard())
		sweeping(t, r)
		o := newOp()
		id := begin(t, r, o, o.spec(alice))
		inline := start(t, r, instant(alice, "2", nil))
		store.set(func() { store.failPuts, store.failDeletes = true, true })
		_, err := r.Start(t.Context(), instant(alice, "3", nil))
		if f := wantFault(t, err, fault.Unavailable, "job_store_unavailable"); f.RetryAfter <= 0 {
			t.Errorf("retry after %v", f.RetryAfter)
		}
		o.end("1", nil)
		if j := wait(t, r, alice, id); j.State != Completed || string(j.Result) != "1" {
			t.Errorf("it is %+v", j)
		}
		if out, done := inline.Inline(t.Context(), time.Hour); !done || string(out.Result) != "2" {
			t.Errorf("delivered %+v, %v", out, done)
		}
		if all := stored(t, store); len(all) != 2 || all[id].State != Running {
			t.Errorf("stored are %v", all)
		}
		time.Sleep(3 * time.Second)
		if st := r.Stats(); st.Unsaved != 3 {
			t.Errorf("stats %+v, want 3 unsaved", st)
		}
		checkInvariants(t, r)
		store.set(func() { store.failPuts, store.failDeletes = false, false })
		time.Sleep(DefaultSweepEvery)
		synctest.Wait()
		if all := stored(t, store); len(all) != 1 || all[id].State != Completed || string(all[id].Result) != "1" {
			t.Errorf("stored are %v", all)
		}
		if st := r.Stats(); st.Unsaved != 0 || st.Retained != 1 {
			t.Errorf("stats %+v", st)
		}
		checkInvariants(t, r)
	})
}

// A store that hangs holds nobody longer than StoreTimeout, and no lock.
func TestStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newBrittleStore()
		r := New(Config{StoreTimeout: 2 * time.Second}, store, nil, discard())
		defer r.Close()
		o := newOp()
		id := begin(t, r, o, o.spec(alice))
		held := make(chan struct{})
		store.set(func() { store.held = held })
		began := time.Now()
		if _, err := r.Start(t.Context(), instant(bob, "1", nil)); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("start: %v", err)
		}
		if took := time.Since(began); took != 4*time.Second { // the write, and the removal of what it may have written
			t.Errorf("start took %v, want 4s", took)
		}
		go r.Cancel(t.Context(), alice, id)
		synctest.Wait()
		began = time.Now()
		get(t, r, alice, id)
		r.List(alice)
		r.Stats()
		if time.Since(began) != 0 {
			t.Error("reading waited for the store")
		}
		store.set(func() { store.held = nil })
		close(held)
		if j := wait(t, r, alice, id); j.State != Canceled {
			t.Errorf("it is %s", j.State)
		}
	})
}

// That a queued job runs must be stored before it does: otherwise it could run
// again after a crash.
func TestQueuedJobDoesNotRunUnrecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newBrittleStore()
		r := New(Config{MaxRunning: 1}, store, nil, discard())
		defer r.Close()
		o := newOp()
		begin(t, r, o, o.spec(alice))
		h := start(t, r, Spec{Owner: bob, Operation: "x", Run: func(context.Context, *Run) (json.RawMessage, error) {
			t.Error("it ran")
			return nil, nil
		}})
		store.set(func() { store.failPuts = true })
		o.end("1", nil)
		out, done := h.Inline(t.Context(), time.Hour)
		if !done || out.State != Failed {
			t.Errorf("delivered %+v, %v", out, done)
		}
		wantFault(t, out.Err, fault.Unavailable, "job_store_unavailable")
		store.set(func() { store.failPuts = false })
	})
}

// What is being written does not change under the store's hands.
func TestWriteIsASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newBrittleStore()
		r := New(Config{}, store, nil, discard())
		defer r.Close()
		o := newOp()
		h := start(t, r, o.spec(alice))
		h.Detach()
		run := <-o.started
		run.Progress(1, 9, "one")
		time.Sleep(DefaultCheckpointEvery + time.Second)
		run.Progress(2, 9, "two")
		held := make(chan struct{})
		store.set(func() { store.held = held })
		done := make(chan error)
		go func() { done <- run.Checkpoint(json.RawMessage("2")) }()
		synctest.Wait()
		run.Progress(3, 9, "three") // merged into the note "two"
		store.set(func() { store.held = nil })
		close(held)
		if err := <-done; err != nil {
			t.Error(err)
		}
		rec := stored(t, store)[h.ID()]
		if len(rec.Log) != 2 || rec.Log[1].Progress != rec.Progress || rec.Progress.Message != "two" {
			t.Errorf("stored with progress %+v and log %+v", rec.Progress, rec.Log)
		}
		if j := get(t, r, alice, h.ID()); j.Progress.Message != "three" || j.Log[1].Message != "three" {
			t.Errorf("it is %+v, %+v", j.Progress, j.Log)
		}
		o.end("1", nil)
	})
}
