package job

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/event"
	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// What each record that a process can leave becomes in the next one.
func TestRecover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := now().Add(-time.Minute)
		record := func(state State, change func(*Record)) Record {
			r := Record{
				Job: Job{
					ID: "jb_1", Owner: alice, Operation: "op", Created: at, Updated: at, State: state, TTL: time.Hour, Expires: at.Add(time.Hour),
					Seed: 9, Attempts: 1, Started: at,
				},
				Input: json.RawMessage(`{"n": 1}`), Resumable: true,
			}
			if state == Queued {
				r.Attempts, r.Started = 0, time.Time{}
			}
			if state.Final() {
				r.Finished, r.Input, r.Resumable = at, nil, false
			}
			if change != nil {
				change(&r)
			}
			return r
		}
		checkpoint := func(r *Record) { r.Checkpoint = Checkpoint{At: at, Steps: 4, Data: json.RawMessage("[4]")} }
		for name, c := range map[string]struct {
			rec      Record
			want     State
			code     string // of the error
			attempts int
			found    Recovery
		}{
			"completed":   {record(Completed, func(r *Record) { r.Result = json.RawMessage("5") }), Completed, "", 1, Recovery{Retained: 1}},
			"failed":      {record(Failed, func(r *Record) { r.Error = Failure{"x", "y"} }), Failed, "x", 1, Recovery{Retained: 1}},
			"never begun": {record(Queued, nil), Completed, "", 1, Recovery{Queued: 1}},
			"never begun, not resumable": {
				record(Queued, func(r *Record) { r.Resumable = false }), Completed, "", 1, Recovery{Queued: 1},
			},
			"checkpointed":               {record(Queued, func(r *Record) { checkpoint(r); r.Attempts = 2 }), Completed, "", 3, Recovery{Queued: 1}},
			"running":                    {record(Running, nil), Completed, "", 2, Recovery{Queued: 1}},
			"running, with a checkpoint": {record(Running, checkpoint), Completed, "", 2, Recovery{Queued: 1}},
			"running, not resumable":     {record(Running, func(r *Record) { r.Resumable = false }), Failed, "interrupted", 1, Recovery{Failed: 1}},
			"interrupted":                {record(Interrupted, checkpoint), Completed, "", 2, Recovery{Queued: 1}},
			"running, asked to stop": {
				record(Running, func(r *Record) { r.Cancel.Requested = at }), Canceled, "", 1, Recovery{Canceled: 1},
			},
			"queued, asked to stop": {
				record(Queued, func(r *Record) { r.Cancel.Requested = at }), Canceled, "", 0, Recovery{Canceled: 1},
			},
			"no such operation": {
				record(Running, func(r *Record) { r.Operation = "gone" }), Failed, "operation_unavailable", 1, Recovery{Failed: 1},
			},
			"interrupted just not too often": {record(Running, func(r *Record) { r.Stalled = 4 }), Completed, "", 2, Recovery{Queued: 1}},
			"interrupted too often":          {record(Running, func(r *Record) { r.Stalled = 5 }), Failed, "interrupted", 1, Recovery{Failed: 1}},
			"parked too often":               {record(Interrupted, func(r *Record) { r.Stalled = 6 }), Failed, "interrupted", 1, Recovery{Failed: 1}},
			"expired":                        {record(Running, func(r *Record) { r.Expires = now() }), "", "", 0, Recovery{Expired: 1}},
			"expired when it was over":       {record(Completed, func(r *Record) { r.Expires = now() }), "", "", 0, Recovery{Expired: 1}},
		} {
			store, bus := NewMemoryStore(), new(event.Bus[Event])
			if err := store.Put(t.Context(), c.rec); err != nil {
				t.Fatal(err)
			}
			r := New(Config{MaxStalled: 5}, store, bus, discard())
			events := listen(bus)
			found, err := r.Recover(t.Context(), known(map[string]RunFunc{"op": func(_ context.Context, run *Run) (json.RawMessage, error) {
				from, ok := run.Resume()
				if ok != (c.rec.Checkpoint.Data != nil) || string(from) != string(c.rec.Checkpoint.Data) {
					t.Errorf("%s: resumes from %s, %v", name, from, ok)
				}
				if run.Seed() != 9 || string(run.Input()) != `{"n": 1}` || run.Attempt() != c.attempts {
					t.Errorf("%s: runs with seed %d, input %s, attempt %d", name, run.Seed(), run.Input(), run.Attempt())
				}
				return json.RawMessage("5"), nil
			}}))
			if err != nil || found != c.found {
				t.Errorf("%s: recovered %+v, %v, want %+v", name, found, err, c.found)
			}
			synctest.Wait()
			checkInvariants(t, r)
			rec, kept := stored(t, store)["jb_1"]
			if rec.State != c.want || kept != (c.want != "") {
				t.Errorf("%s: stored as %s, want %s", name, rec.State, c.want)
			}
			if kept {
				j := get(t, r, alice, "jb_1")
				if j.State != c.want || j.Error.Code != c.code || j.Attempts != c.attempts || j.Seed != 9 {
					t.Errorf("%s: it is %s, %+v, attempt %d, want %s, %s, attempt %d", name, j.State, j.Error, j.Attempts, c.want, c.code, c.attempts)
				}
				if c.want == Completed && string(j.Result) != "5" {
					t.Errorf("%s: its result is %s", name, j.Result)
				}
				if c.want == Canceled && (j.Cancel.Requested != at || j.Cancel.Stopped.IsZero()) {
					t.Errorf("%s: canceled as %+v", name, j.Cancel)
				}
				if len(r.List(alice)) != 1 {
					t.Errorf("%s: not listed", name)
				}
			}
			finished := 0
			for _, e := range events() {
				if e.Kind == EventFinished {
					finished++
				}
			}
			if over := c.found.Retained + c.found.Expired; finished != 1-over {
				t.Errorf("%s: %d finished events, want %d", name, finished, 1-over)
			}
			if err := r.Close(); err != nil {
				t.Errorf("%s: close: %v", name, err)
			}
		}
	})
}

// Recover all or nothing, and only at the start.
func TestRecoverRefuses(t *testing.T) {
	store := NewMemoryStore()
	r := open(t, Config{}, store)
	o := newOp()
	id := begin(t, r, o, o.spec(alice))
	if _, err := r.Recover(t.Context(), known(nil)); err == nil {
		t.Error("recovered jobs of its own")
	}
	o.end("1", nil)
	wait(t, r, alice, id)

	bad := open(t, Config{}, badStore{store})
	_, err := bad.Recover(t.Context(), known(nil))
	wantFault(t, err, fault.Unavailable, "job_store_unavailable")
	if st := bad.Stats(); st.Owners != 0 {
		t.Errorf("a store that cannot be read to its end left %+v", st)
	}

	odd := NewMemoryStore()
	if err := odd.Put(t.Context(), Record{Job: Job{ID: "jb_1", Owner: alice, State: "paused", Expires: now().Add(time.Hour)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, Config{}, odd).Recover(t.Context(), known(nil)); err == nil {
		t.Error("recovered a job in an unknown state")
	}
	closed := New(Config{}, NewMemoryStore(), nil, discard())
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := closed.Recover(t.Context(), known(nil)); fault.KindOf(err) != fault.Overloaded {
		t.Errorf("recover after close: %v", err)
	}
}

// More jobs than may run, or even wait, are all recovered: they had been let in.
func TestRecoverMany(t *testing.T) {
	store := NewMemoryStore()
	const n = 50
	at := now()
	for i := range n {
		err := store.Put(t.Context(), Record{
			Job: Job{ID: ID("jb_" + string(rune('A'+i))), Owner: owner(i % 3), Operation: "op", State: Queued, Created: at, TTL: time.Hour, Expires: at.Add(time.Hour)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	r := open(t, Config{MaxRunning: 2, MaxQueued: 3}, store)
	op := func(context.Context, *Run) (json.RawMessage, error) { return json.RawMessage("1"), nil }
	found, err := r.Recover(t.Context(), known(map[string]RunFunc{"op": op}))
	if err != nil || found.Queued != n || r.Stats().Recovered != n {
		t.Fatalf("recovered %+v, %v", found, err)
	}
	for id, rec := range stored(t, store) {
		if j := wait(t, r, rec.Owner, id); j.State != Completed {
			t.Errorf("%s is %s", id, j.State)
		}
	}
	for _, e := range r.entries() {
		<-e.exited
	}
	checkInvariants(t, r)
}
