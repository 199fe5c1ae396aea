package job

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/event"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

// The request ends, the job does not; what it does can be seen.
func TestJobOutlivesItsRequest(t *testing.T) {
	store, bus := newBrittleStore(), new(event.Bus[Event])
	r := New(Config{}, store, bus, discard())
	events := listen(bus)
	ctx, cancel := context.WithCancel(context.Background())
	o := newOp()
	spec := o.spec(alice)
	spec.SessionID = "rs_1"
	h, err := r.Start(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	if rec := stored(t, store)[h.ID()]; rec.State != Running || rec.Attempts != 1 || string(rec.Input) != "{}" {
		t.Errorf("when Start returns the store has %+v", rec)
	}
	if !strings.HasPrefix(string(h.ID()), "jb_") || len(h.ID()) != 3+26 {
		t.Errorf("the id is %s, want jb_ and 130 bits in base 32", h.ID())
	}
	run := <-o.started
	cancel()
	if _, done := h.Inline(ctx, time.Hour); done {
		t.Error("Inline delivered to a caller who is gone")
	}
	if j := h.Detach(); j.State != Running || j.SessionID != "rs_1" || j.Seed != 7 || j.Operation != "op" {
		t.Errorf("detached %+v", j)
	}
	o.do(func(ctx context.Context, _ *Run) {
		if ctx.Err() != nil || ctx.Done() == nil {
			t.Errorf("the run's context ended with the request: %v", ctx.Err())
		}
		if _, resumes := run.Resume(); resumes || run.Seed() != 7 || string(run.Input()) != "{}" || run.Attempt() != 1 || run.ID() != h.ID() {
			t.Errorf("the run is %+v", run)
		}
		run.Progress(1, 4, "a quarter")
		if err := run.Partial(json.RawMessage(`{"best": 1}`)); err != nil {
			t.Error(err)
		}
	})
	j := get(t, r, alice, h.ID())
	if j.Progress != (Progress{1, 4, "a quarter"}) || len(j.Log) != 1 || string(j.Partial) != `{"best": 1}` {
		t.Errorf("while it runs it is %+v", j)
	}
	o.end(`{"answer": 42}`, nil)
	j = wait(t, r, alice, h.ID())
	if j.State != Completed || string(j.Result) != `{"answer": 42}` || j.Partial != nil || j.Finished.IsZero() {
		t.Errorf("it ended as %+v", j)
	}
	rec := stored(t, store)[h.ID()]
	if rec.State != Completed || string(rec.Result) != `{"answer": 42}` || rec.Input != nil || !rec.Expires.Equal(j.Finished.Add(DefaultRetention)) {
		t.Errorf("the store has %+v", rec)
	}
	run.Progress(4, 4, "too late")
	if err := run.Checkpoint(json.RawMessage("1")); err == nil || run.Partial(json.RawMessage("1")) == nil {
		t.Error("a run that has returned can still write")
	}
	if again := get(t, r, alice, h.ID()); again.Progress.Done != 1 {
		t.Errorf("a run that has returned made progress: %+v", again.Progress)
	}
	if want := []State{Running, Completed}; !slices.Equal(store.written(), want) {
		t.Errorf("written as %v, want %v", store.written(), want)
	}
	checkInvariants(t, r)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	var kinds []EventKind
	for _, e := range events() {
		kinds = append(kinds, e.Kind)
		if e.Job.ID != h.ID() || e.Job.Owner != alice || e.Job.Result != nil || e.Job.Log != nil || !e.Kept || e.At.IsZero() {
			t.Errorf("event %+v", e)
		}
	}
	if want := []EventKind{EventStarted, EventProgress, EventFinished}; !slices.Equal(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
}

// A short call never looks like a job.
func TestInlineLeavesNoRecord(t *testing.T) {
	store, bus := newBrittleStore(), new(event.Bus[Event])
	r := New(Config{}, store, bus, discard())
	defer r.Close()
	events := listen(bus)
	boom := fault.Newf(fault.Invalid, "boom")
	for _, c := range []struct {
		result string
		err    error
		want   Outcome
	}{
		{`{"x": 1}`, nil, Outcome{State: Completed, Result: json.RawMessage(`{"x": 1}`)}},
		{``, nil, Outcome{State: Completed, Result: json.RawMessage(`null`)}},
		{``, boom, Outcome{State: Failed, Err: boom}},
	} {
		h := start(t, r, instant(alice, c.result, c.err))
		out, done := h.Inline(context.Background(), time.Minute)
		if !done || out.State != c.want.State || string(out.Result) != string(c.want.Result) || out.Err != c.want.Err {
			t.Errorf("delivered %+v, %v, want %+v", out, done, c.want)
		}
		if again, twice := h.Inline(context.Background(), time.Minute); twice {
			t.Errorf("delivered a second time: %+v", again)
		}
		_, err := r.Get(context.Background(), alice, h.ID())
		wantMiss(t, err)
		h.Detach()  // too late
		h.Abandon() // too late
		_, err = r.Get(context.Background(), alice, h.ID())
		wantMiss(t, err)
	}
	if left := stored(t, store); len(left) != 0 {
		t.Errorf("the store has %v", left)
	}
	st := r.Stats()
	if st.Delivered != 3 || st.Completed != 2 || st.Failed != 1 || st.Running+st.Queued+st.Retained+st.Owners != 0 {
		t.Errorf("stats %+v", st)
	}
	checkInvariants(t, r)
	finished := 0
	for _, e := range events() {
		if e.Kind == EventFinished {
			finished++
			if e.Kept || !e.Job.State.Final() {
				t.Errorf("event %+v, want one of a job that is over and not kept", e)
			}
		}
	}
	if finished != 3 {
		t.Errorf("%d finished events, want 3", finished)
	}
}

// While the handle has the choice, the job is its caller's own business.
func TestAttachedJobIsNotListed(t *testing.T) {
	r := open(t, Config{}, NewMemoryStore())
	o := newOp()
	h := start(t, r, o.spec(alice))
	<-o.started
	if all := r.List(alice); len(all) != 0 {
		t.Errorf("listed %v, want nothing", all)
	}
	if j := get(t, r, alice, h.ID()); j.State != Running {
		t.Errorf("by id it is %s, want running", j.State)
	}
	o.end("1", nil)
	<-h.e.returned
	if j := get(t, r, alice, h.ID()); j.State != Running || j.Result != nil || h.Job().State != Running {
		t.Errorf("before the choice it is %s with %s, want running without a result", j.State, j.Result)
	}
	if err := r.Delete(context.Background(), alice, h.ID()); fault.KindOf(err) != fault.Conflict {
		t.Errorf("deleting it: %v, want a conflict", err)
	}
	if j, asked, err := r.Cancel(context.Background(), alice, h.ID()); err != nil || asked || j.State != Completed || j.Result != nil {
		t.Errorf("canceling it: %+v, %v, %v, want that it has completed, without the result", j, asked, err)
	}
	if j := h.Detach(); j.State != Completed || string(j.Result) != "1" {
		t.Errorf("detached as %+v", j)
	}
	if all := r.List(alice); len(all) != 1 || all[0].ID != h.ID() || all[0].Result != nil || all[0].State != Completed {
		t.Errorf("listed %+v", all)
	}
	if _, done := h.Inline(context.Background(), 0); done {
		t.Error("delivered what is stored")
	}
}

func TestAbandon(t *testing.T) {
	store := newBrittleStore()
	r := open(t, Config{MaxRunningPerOwner: 1}, store)
	o, waiting := newOp(), newOp()
	h, q := start(t, r, o.spec(alice)), start(t, r, waiting.spec(alice))
	run := <-o.started
	var seen, told error
	entered := make(chan struct{})
	o.steps <- func(ctx context.Context, _ *Run) (json.RawMessage, error, bool) {
		close(entered)
		<-ctx.Done()
		seen, told = context.Cause(ctx), run.Checkpoint(json.RawMessage("1"))
		return nil, ctx.Err(), true
	}
	<-entered
	q.Abandon()
	h.Abandon()
	h.Abandon()
	if len(stored(t, store)) != 0 {
		t.Errorf("the store has %v", stored(t, store))
	}
	for _, id := range []ID{h.ID(), q.ID()} {
		_, err := r.Get(context.Background(), alice, id)
		wantMiss(t, err)
	}
	<-h.e.exited
	if seen != ErrAbandoned || told != ErrAbandoned {
		t.Errorf("the run saw %v and was told %v, want ErrAbandoned", seen, told)
	}
	if st := r.Stats(); st.Abandoned != 2 || st.Canceled != 2 || st.Owners != 0 || st.Goroutines != 0 {
		t.Errorf("stats %+v", st)
	}
	if _, done := h.Inline(context.Background(), 0); done {
		t.Error("delivered what is abandoned")
	}

	// One that has ended already.
	h = start(t, r, instant(alice, "1", nil))
	<-h.e.returned
	h.Abandon()
	if st := r.Stats(); len(stored(t, store)) != 0 || st.Owners != 0 || st.Abandoned != 3 {
		t.Errorf("stats %+v", st)
	}
	checkInvariants(t, r)
}

// Whatever an operation does, its job ends, its place is free again and its
// owner is told no more than is safe.
func TestBadOperations(t *testing.T) {
	r := open(t, Config{MaxResult: 100, MaxRunning: 1}, NewMemoryStore())
	for name, c := range map[string]struct {
		run  RunFunc
		want Failure
	}{
		"error":    {func(context.Context, *Run) (json.RawMessage, error) { return nil, errors.New("secret") }, Failure{"internal", "internal error"}},
		"fault":    {func(context.Context, *Run) (json.RawMessage, error) { return nil, fault.Newf(fault.Invalid, "bad x") }, Failure{"invalid", "bad x"}},
		"panic":    {func(context.Context, *Run) (json.RawMessage, error) { panic("secret") }, Failure{"job_panicked", "internal error"}},
		"goexit":   {func(context.Context, *Run) (json.RawMessage, error) { runtime.Goexit(); return nil, nil }, Failure{"job_panicked", "internal error"}},
		"not JSON": {func(context.Context, *Run) (json.RawMessage, error) { return json.RawMessage("{"), nil }, Failure{"internal", "internal error"}},
		"too large": {
			func(context.Context, *Run) (json.RawMessage, error) {
				return json.RawMessage(strings.Repeat("1", 101)), nil
			},
			Failure{"job_result_too_large", "the result has 101 bytes: the limit is 100"},
		},
		"own context": {
			func(context.Context, *Run) (json.RawMessage, error) { return nil, context.Canceled },
			Failure{"canceled", "the request was canceled"},
		},
		"unasked": {func(context.Context, *Run) (json.RawMessage, error) { return nil, ErrCheckpointed }, Failure{"internal", "internal error"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, r, Spec{Owner: alice, Operation: name, Run: c.run, Resumable: true})
			h.Detach()
			j := wait(t, r, alice, h.ID())
			if j.State != Failed || j.Error != c.want || j.StatusMessage != c.want.Message || j.Result != nil {
				t.Errorf("it is %s with %+v (%s), want failed with %+v", j.State, j.Error, j.StatusMessage, c.want)
			}
			checkInvariants(t, r)
		})
	}
}

func TestStartRefusesBadSpecs(t *testing.T) {
	store := NewMemoryStore()
	r := open(t, Config{MaxInput: 10, MaxTTL: time.Hour, Retention: time.Minute}, store)
	for name, c := range map[string]struct {
		change func(*Spec)
		kind   fault.Kind
	}{
		"no owner":          {func(s *Spec) { s.Owner = session.Owner{Tenant: "acme"} }, fault.Internal},
		"nothing to run":    {func(s *Spec) { s.Run = nil }, fault.Internal},
		"no name":           {func(s *Spec) { s.Operation = "" }, fault.Internal},
		"a long name":       {func(s *Spec) { s.Operation = strings.Repeat("x", 129) }, fault.Internal},
		"large input":       {func(s *Spec) { s.Input = json.RawMessage("12345678901") }, fault.TooLarge},
		"input not JSON":    {func(s *Spec) { s.Input = json.RawMessage("{") }, fault.Invalid},
		"negative TTL":      {func(s *Spec) { s.TTL = -1 }, fault.Invalid},
		"TTL above ceiling": {func(s *Spec) { s.TTL = time.Hour + 1 }, fault.Invalid},
	} {
		spec := instant(alice, "1", nil)
		c.change(&spec)
		if _, err := r.Start(context.Background(), spec); fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Start(ctx, instant(alice, "1", nil)); fault.KindOf(err) != fault.Canceled {
		t.Errorf("start for a caller who is gone: %v", err)
	}
	if len(stored(t, store)) != 0 || r.Stats().Owners != 0 {
		t.Errorf("something is left: %v, %+v", stored(t, store), r.Stats())
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{}, NewMemoryStore(), nil, discard())
		defer r.Close()
		o := newOp()
		id := begin(t, r, o, o.spec(alice))
		began := time.Now()
		if j, err := r.Wait(t.Context(), alice, id, 3*time.Second); err != nil || j.State != Running || time.Since(began) != 3*time.Second {
			t.Errorf("%s, %v after %v, want running after 3s", j.State, err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Wait(ctx, alice, id, time.Hour); fault.KindOf(err) != fault.Timeout {
			t.Errorf("wait of a caller who went away: %v", err)
		}
		time.AfterFunc(time.Minute, func() { o.end("1", nil) })
		began = time.Now()
		if j, err := r.Wait(t.Context(), alice, id, time.Hour); err != nil || j.State != Completed || time.Since(began) != time.Minute {
			t.Errorf("%s, %v after %v, want completed after 1m", j.State, err, time.Since(began))
		}
		// A job that its handle takes away while others wait for it.
		h := start(t, r, o.spec(alice))
		time.AfterFunc(time.Minute, func() {
			o.end("1", nil)
			h.Inline(context.Background(), time.Hour)
		})
		began = time.Now()
		_, err := r.Wait(t.Context(), alice, h.ID(), time.Hour)
		wantMiss(t, err)
		if time.Since(began) != time.Minute {
			t.Errorf("waited %v, want 1m", time.Since(began))
		}
	})
}
