package job

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/event"
	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// sweeping runs the sweeper until the test is over.
func sweeping(t *testing.T, r *Runner) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newBrittleStore()
		r := New(Config{Retention: 10 * time.Minute, MaxTTL: time.Hour}, store, nil, discard())
		sweeping(t, r)
		o := newOp()
		id := begin(t, r, o, o.spec(alice))
		time.Sleep(20 * time.Minute)
		o.end("1", nil)
		late := start(t, r, func() Spec { s := o.spec(bob); s.TTL = 5 * time.Minute; return s }())
		<-o.started
		late.Detach()
		time.Sleep(time.Minute)
		o.end("2", nil) // its TTL ends before its retention would
		time.Sleep(4*time.Minute - time.Nanosecond)
		if j := get(t, r, bob, late.ID()); j.Expires != j.Created.Add(5*time.Minute) {
			t.Errorf("expires %v after its start, want 5m", j.Expires.Sub(j.Created))
		}
		time.Sleep(time.Nanosecond)
		_, err := r.Get(t.Context(), bob, late.ID())
		wantMiss(t, err)
		if j := get(t, r, alice, id); j.Expires != j.Finished.Add(10*time.Minute) {
			t.Errorf("expires %v after its end, want 10m", j.Expires.Sub(j.Finished))
		}
		time.Sleep(5*time.Minute - time.Nanosecond)
		get(t, r, alice, id)
		time.Sleep(time.Nanosecond)
		_, err = r.Get(t.Context(), alice, id)
		wantMiss(t, err)
		time.Sleep(DefaultSweepEvery)
		synctest.Wait()
		if st := r.Stats(); len(stored(t, store)) != 0 || st.Owners != 0 || st.RetainedBytes != 0 || st.Expired != 2 {
			t.Errorf("left are %v, %+v", stored(t, store), st)
		}
	})
}

// The TTL ends whatever a job does: running, queued, deaf, or undecided.
func TestTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, bus := newBrittleStore(), new(event.Bus[Event])
		r := New(Config{MaxRunning: 3}, store, bus, discard())
		events := listen(bus)
		sweeping(t, r)
		var cause error
		short := func(run RunFunc) *Handle {
			return start(t, r, Spec{Owner: alice, Operation: "short", TTL: time.Minute, Run: run})
		}
		obeys := short(func(ctx context.Context, _ *Run) (json.RawMessage, error) {
			if at, ok := ctx.Deadline(); !ok || time.Until(at) != time.Minute {
				t.Errorf("the run's deadline is %v, want its TTL", at)
			}
			<-ctx.Done()
			cause = context.Cause(ctx)
			return nil, ctx.Err()
		})
		obeys.Detach()
		deaf := short(func(context.Context, *Run) (json.RawMessage, error) {
			time.Sleep(time.Hour)
			return json.RawMessage("1"), nil
		})
		deaf.Detach()
		undecided := short(func(context.Context, *Run) (json.RawMessage, error) { return json.RawMessage("2"), nil })
		inline := short(func(ctx context.Context, _ *Run) (json.RawMessage, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		waiting := short(func(context.Context, *Run) (json.RawMessage, error) { return json.RawMessage("3"), nil })
		waiting.Detach()
		synctest.Wait()
		if st := r.Stats(); st.Running != 3 || st.Queued != 1 || st.Retained != 1 {
			t.Fatalf("stats %+v", st)
		}
		outcome, done := inline.Inline(t.Context(), time.Hour)
		if !done || outcome.State != Failed || outcome.Err != ErrExpired || fault.KindOf(outcome.Err) != fault.Timeout {
			t.Errorf("delivered %+v, %v, want a timeout", outcome, done)
		}
		time.Sleep(DefaultSweepEvery)
		synctest.Wait()
		if cause != ErrExpired {
			t.Errorf("the cause was %v, want ErrExpired", cause)
		}
		for _, h := range []*Handle{obeys, deaf, undecided, inline, waiting} {
			_, err := r.Get(t.Context(), alice, h.ID())
			wantMiss(t, err)
		}
		if out, done := undecided.Inline(t.Context(), 0); !done || string(out.Result) != "2" {
			t.Errorf("delivered %+v, %v: the handle still has its result", out, done)
		}
		if len(stored(t, store)) != 0 {
			t.Errorf("stored are %v", stored(t, store))
		}
		if st := r.Stats(); st.Running != 1 || st.Goroutines != 1 || st.Retained != 0 || st.Queued != 0 {
			t.Errorf("stats %+v: the deaf one still has its place, nothing else is left", st)
		}
		checkInvariants(t, r)
		time.Sleep(time.Hour)
		synctest.Wait()
		if st := r.Stats(); st.Owners != 0 || st.Goroutines != 0 || len(stored(t, store)) != 0 {
			t.Errorf("stats %+v", st)
		}
		finished := map[ID]int{}
		for _, e := range events() {
			if e.Kind == EventFinished {
				finished[e.Job.ID]++
			}
		}
		for _, h := range []*Handle{obeys, deaf, undecided, inline, waiting} {
			if finished[h.ID()] != 1 {
				t.Errorf("%d finished events of one job, want 1", finished[h.ID()])
			}
		}
	})
}

// Checkpoints are written at most every CheckpointEvery, the newest one, and
// Due says when.
func TestCheckpointPacing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newBrittleStore()
		r := New(Config{CheckpointEvery: 5*time.Second - 1, MaxCheckpoint: 64}, store, nil, discard())
		defer r.Close()
		written := map[time.Duration]string{}
		var started time.Time
		id := start(t, r, Spec{Owner: alice, Operation: "paced", Resumable: true, Run: func(ctx context.Context, run *Run) (json.RawMessage, error) {
			started = time.Now()
			for i := range 300 { // 30 s
				due, puts := run.Due(), len(store.written())
				if err := run.Checkpoint(fmt.Appendf(nil, `{"i": %d}`, i)); err != nil {
					t.Errorf("checkpoint %d: %v", i, err)
				}
				if wrote := len(store.written()) > puts; wrote != due {
					t.Errorf("after %v: due %v, written %v", time.Since(started), due, wrote)
				} else if wrote {
					written[time.Since(started)] = string(stored(t, store)[run.ID()].Checkpoint.Data)
				}
				time.Sleep(100 * time.Millisecond)
			}
			for range 10 {
				if run.Due() {
					break
				}
				time.Sleep(time.Second)
			}
			for _, bad := range []json.RawMessage{nil, json.RawMessage("{"), json.RawMessage(strings.Repeat("1", 65))} {
				if run.Checkpoint(bad) == nil {
					t.Errorf("checkpoint %s was taken", bad)
				}
			}
			store.set(func() { store.failPuts = true })
			if err := run.Checkpoint(json.RawMessage("0")); fault.KindOf(err) != fault.Unavailable || !run.Due() {
				t.Errorf("checkpoint into a broken store: %v, due %v", err, run.Due())
			}
			store.set(func() { store.failPuts = false })
			return nil, nil
		}}).Detach().ID
		j := wait(t, r, alice, id)
		want := map[time.Duration]string{
			5 * time.Second: `{"i": 50}`, 10 * time.Second: `{"i": 100}`, 15 * time.Second: `{"i": 150}`,
			20 * time.Second: `{"i": 200}`, 25 * time.Second: `{"i": 250}`,
		}
		if fmt.Sprint(written) != fmt.Sprint(want) {
			t.Errorf("written at %v, want %v", written, want)
		}
		if j.Checkpoint.Steps != 301 || j.Checkpoint.Data != nil || r.Stats().Checkpoints != 5 {
			t.Errorf("in the end %+v, %d written", j.Checkpoint, r.Stats().Checkpoints)
		}
	})
}

func TestProgressLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := new(event.Bus[Event])
		r := New(Config{ProgressEvery: time.Second}, NewMemoryStore(), bus, discard())
		defer r.Close()
		events := listen(bus)
		o := newOp()
		id := begin(t, r, o, o.spec(alice))
		began := now()
		o.do(func(_ context.Context, run *Run) {
			for i := range 1000 { // 100 s
				run.Progress(float64(i), 1000, fmt.Sprint("step ", i))
				if i%10 == 9 {
					synctest.Wait() // let the listener keep up
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
		j := get(t, r, alice, id)
		if len(j.Log) != maxNotes || j.Progress != (Progress{999, 1000, "step 999"}) {
			t.Errorf("%d notes, %+v", len(j.Log), j.Progress)
		}
		for i, n := range j.Log {
			second := 100 - maxNotes + i
			last := second*10 + 9 // the newest report of each second
			if n.Done != float64(last) || n.At != began.Add(time.Duration(last)*100*time.Millisecond) {
				t.Errorf("note %d is %+v at %v, want report %d", i, n.Progress, n.At.Sub(began), last)
			}
		}
		o.do(func(_ context.Context, run *Run) {
			run.Progress(5, math.Inf(1), "back")
			run.Progress(math.NaN(), math.NaN(), "not a number")
			run.Progress(math.Inf(1), -1, strings.Repeat("ü", 200)+"\xff")
		})
		if p := get(t, r, alice, id).Progress; p.Done != 999 || p.Total != 0 || p.Message != strings.Repeat("ü", maxMessage/2) {
			t.Errorf("progress %+v, want 999 done of an unknown total", p)
		}
		o.do(func(_ context.Context, run *Run) { run.Progress(0, 0, strings.Repeat("€", 100)) })
		if p := get(t, r, alice, id).Progress; p.Message != strings.Repeat("€", maxMessage/3) {
			t.Errorf("a long message became %q", p.Message)
		}
		o.end("1", nil)
		wait(t, r, alice, id)
		synctest.Wait()
		told := 0
		for _, e := range events() {
			if e.Kind == EventProgress {
				told++
			}
		}
		if told < 100 || told > 102 {
			t.Errorf("%d progress events in 100 s, want one a second", told)
		}
	})
}

// A thousand jobs that expire together are swept in steps.
func TestSweepInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newBrittleStore()
		r := New(Config{Retention: time.Minute, MaxRetainedPerOwner: 1 << 20, MaxRetained: 1 << 20}, store, nil, discard())
		sweeping(t, r)
		const n = 1000
		for i := range n {
			start(t, r, instant(owner(i%7), "1", nil)).Detach()
			synctest.Wait()
		}
		time.Sleep(time.Minute - time.Nanosecond)
		if st := r.Stats(); st.Retained != n || len(stored(t, store)) != n {
			t.Fatalf("stats %+v", st)
		}
		time.Sleep(DefaultSweepEvery)
		synctest.Wait()
		if st := r.Stats(); st.Retained != 0 || st.Expired != n || st.Owners != 0 || len(stored(t, store)) != 0 {
			t.Errorf("stats %+v, %d stored", st, len(stored(t, store)))
		}
		checkInvariants(t, r)

		// As many whose removal failed take several rounds.
		for i := range n {
			start(t, r, instant(owner(i%7), "1", nil)).Detach()
			synctest.Wait()
		}
		store.set(func() { store.failDeletes = true })
		time.Sleep(time.Minute + DefaultSweepEvery)
		synctest.Wait()
		if st := r.Stats(); st.Retained != n || st.Unsaved != n {
			t.Errorf("stats %+v, want %d to be removed", st, n)
		}
		store.set(func() { store.failDeletes = false })
		time.Sleep(DefaultSweepEvery)
		synctest.Wait()
		if st := r.Stats(); st.Unsaved != n-sweepBatch {
			t.Errorf("stats %+v, want %d removed in the first round", st, sweepBatch)
		}
		time.Sleep(10 * DefaultSweepEvery)
		synctest.Wait()
		if st := r.Stats(); st.Unsaved != 0 || st.Owners != 0 || len(stored(t, store)) != 0 {
			t.Errorf("stats %+v, %d stored", st, len(stored(t, store)))
		}
	})
}
