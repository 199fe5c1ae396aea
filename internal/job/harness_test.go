package job

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/event"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	alice = session.Owner{Tenant: "acme", Issuer: "https://issuer.example", Subject: "alice"}
	bob   = session.Owner{Tenant: "acme", Issuer: "https://issuer.example", Subject: "bob"}
	carol = session.Owner{Tenant: "globex", Issuer: "https://issuer.example", Subject: "carol"}
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// open returns a runner that is closed with the test.
func open(t testing.TB, cfg Config, store Store) *Runner {
	t.Helper()
	r := New(cfg, store, nil, discard())
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// op is an operation that does what the test tells it, step by step.
type op struct {
	started chan *Run // gets the run of each attempt
	steps   chan func(ctx context.Context, r *Run) (json.RawMessage, error, bool)
}

func newOp() *op {
	return &op{started: make(chan *Run, 64), steps: make(chan func(context.Context, *Run) (json.RawMessage, error, bool))}
}

// run follows the steps until one says that it was the last, or ctx ends.
func (o *op) run(ctx context.Context, r *Run) (json.RawMessage, error) {
	o.started <- r
	for {
		select {
		case step := <-o.steps:
			if result, err, last := step(ctx, r); last {
				return result, err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// do makes the operation call f and waits until it has.
func (o *op) do(f func(ctx context.Context, r *Run)) {
	done := make(chan struct{})
	o.steps <- func(ctx context.Context, r *Run) (json.RawMessage, error, bool) {
		defer close(done)
		f(ctx, r)
		return nil, nil, false
	}
	<-done
}

// end makes the operation return.
func (o *op) end(result string, err error) {
	o.steps <- func(context.Context, *Run) (json.RawMessage, error, bool) { return json.RawMessage(result), err, true }
}

func (o *op) spec(owner session.Owner) Spec {
	return Spec{Owner: owner, Operation: "op", Input: json.RawMessage(`{}`), Seed: 7, Run: o.run}
}

// instant returns a spec of an operation that ends at once.
func instant(owner session.Owner, result string, err error) Spec {
	return Spec{Owner: owner, Operation: "instant", Run: func(context.Context, *Run) (json.RawMessage, error) {
		return json.RawMessage(result), err
	}}
}

func start(t testing.TB, r *Runner, spec Spec) *Handle {
	t.Helper()
	h, err := r.Start(context.Background(), spec)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return h
}

// begin starts an operation as a job of its owner and waits until it runs.
func begin(t testing.TB, r *Runner, o *op, spec Spec) ID {
	t.Helper()
	h := start(t, r, spec)
	h.Detach()
	<-o.started
	return h.ID()
}

func get(t testing.TB, r *Runner, owner session.Owner, id ID) Job {
	t.Helper()
	j, err := r.Get(context.Background(), owner, id)
	if err != nil {
		t.Fatalf("get %s: %v", id, err)
	}
	return j
}

// wait returns the job when it is over.
func wait(t testing.TB, r *Runner, owner session.Owner, id ID) Job {
	t.Helper()
	j, err := r.Wait(context.Background(), owner, id, time.Minute)
	if err != nil {
		t.Fatalf("wait for %s: %v", id, err)
	}
	return j
}

func wantMiss(t testing.TB, err error) {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != fault.NotFound || f.Code != "job_unavailable" {
		t.Errorf("got %v, want job_unavailable", err)
	}
}

func wantFault(t testing.TB, err error, kind fault.Kind, code string) *fault.Error {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != kind || f.MachineCode() != code {
		t.Fatalf("got %v, want %v with code %s", err, kind, code)
	}
	return f
}

// stored returns what is in the store, by id.
func stored(t testing.TB, s Store) map[ID]Record {
	t.Helper()
	all := map[ID]Record{}
	for r, err := range s.All(context.Background()) {
		if err != nil {
			t.Fatalf("all: %v", err)
		}
		all[r.ID] = r
	}
	return all
}

// brittleStore is a memory store that can fail, hang, and die.
type brittleStore struct {
	*MemoryStore
	mu sync.Mutex
	// Owned by mu.
	failPuts, failDeletes bool
	dead                  bool // as if the process were gone: nothing is written any more
	puts                  []State
	deletes               int
	held                  chan struct{} // nil, or what writes wait for
}

var errBrittle = errors.New("disk full")

func newBrittleStore() *brittleStore { return &brittleStore{MemoryStore: NewMemoryStore()} }

func (s *brittleStore) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// enter waits while writes are held and says whether this one fails.
func (s *brittleStore) enter(ctx context.Context, fails *bool) error {
	s.mu.Lock()
	held := s.held
	s.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if *fails || s.dead {
		return errBrittle
	}
	return nil
}

func (s *brittleStore) Put(ctx context.Context, r Record) error {
	if err := s.enter(ctx, &s.failPuts); err != nil {
		return err
	}
	s.set(func() { s.puts = append(s.puts, r.State) })
	return s.MemoryStore.Put(ctx, r)
}

func (s *brittleStore) Delete(ctx context.Context, o session.Owner, id ID) error {
	if err := s.enter(ctx, &s.failDeletes); err != nil {
		return err
	}
	s.set(func() { s.deletes++ })
	return s.MemoryStore.Delete(ctx, o, id)
}

func (s *brittleStore) written() []State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.puts)
}

// badStore cannot be read to its end.
type badStore struct{ Store }

func (s badStore) All(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for r, err := range s.Store.All(ctx) {
			if !yield(r, err) {
				return
			}
		}
		yield(Record{}, errBrittle)
	}
}

// listen collects the events of a bus until stop is called, those that were
// published by then included.
func listen(bus *event.Bus[Event]) (stop func() []Event) {
	const last = EventKind("last")
	events := bus.Subscribe(context.Background())
	var all []Event
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range events {
			if e.Kind == last {
				return
			}
			all = append(all, e)
		}
	}()
	return func() []Event {
		for {
			bus.Publish(Event{Kind: last}) // until there is room for it
			select {
			case <-done:
				return all
			default:
				runtime.Gosched()
			}
		}
	}
}

// reporter is what checkInvariants tells: a *testing.T or a *rapid.T.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// checkInvariants compares every index and counter of r with a naive count over
// its entries. Nothing else may use r meanwhile.
func checkInvariants(t reporter, r *Runner) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var total [phases]int
	var bytes int64
	seen := map[*entry]bool{}
	for o, tl := range r.owners {
		var counts [phases]int
		var own int64
		add := func(e *entry) {
			if seen[e] {
				return
			}
			seen[e] = true
			counts[e.phase]++
			if e.phase == retained {
				own += e.size
			}
		}
		for id, e := range tl.jobs {
			add(e)
			e.mu.Lock()
			checkEntryLocked(t, e)
			e.mu.Unlock()
			if e.id != id || e.owner != o || e.tally != tl || e.gone || e.place < 0 || r.deadlines.items[e.place] != e {
				t.Errorf("job %s of %v is misplaced", id, o)
			}
		}
		for e := range r.live {
			if e.tally == tl && e.phase != uncounted {
				add(e)
			}
		}
		for e := range r.unerased {
			if e.tally == tl {
				add(e)
			}
		}
		for _, e := range tl.queue {
			if e.phase != queued || tl.jobs[e.id] != e {
				t.Errorf("job %s is in the queue in phase %d", e.id, e.phase)
			}
		}
		if counts[uncounted] != 0 {
			t.Errorf("%v has %d findable jobs that nobody counts", o, counts[uncounted])
		}
		if counts != tl.counts || own != tl.bytes {
			t.Errorf("%v counts %v and %d bytes, want %v and %d", o, tl.counts, tl.bytes, counts, own)
		}
		if counts[running] > r.cfg.MaxRunningPerOwner {
			t.Errorf("%v runs %d jobs, more than %d", o, counts[running], r.cfg.MaxRunningPerOwner)
		}
		if !r.draining && r.mayRunLocked(tl) && r.counts[running] < r.cfg.MaxRunning {
			t.Errorf("%v has a job waiting and a place for it", o)
		}
		if len(tl.jobs) == 0 && counts == [phases]int{} {
			t.Errorf("%v is remembered for nothing", o)
		}
		for p := range counts {
			total[p] += counts[p]
		}
		bytes += own
	}
	if total != r.counts || bytes != r.bytes {
		t.Errorf("the runner counts %v and %d bytes, want %v and %d", r.counts, r.bytes, total, bytes)
	}
	if total[running] > r.cfg.MaxRunning {
		t.Errorf("%d jobs run, more than %d", total[running], r.cfg.MaxRunning)
	}
	for i := range r.deadlines.items {
		if parent := (i - 1) / 2; i > 0 && r.deadlines.Less(i, parent) {
			t.Errorf("deadline %d comes before its parent", i)
		}
	}
}

func checkEntryLocked(t reporter, e *entry) {
	t.Helper()
	j := e.rec.Job
	final := j.State.Final()
	switch {
	case final != (e.phase == retained && e.hold == detached):
		t.Errorf("job %s is %s in phase %d held by %d", j.ID, j.State, e.phase, e.hold)
	case (j.State == Running) != (e.phase == running || e.phase == retained && e.hold == attached && e.rec.Attempts > 0):
		t.Errorf("job %s is %s in phase %d", j.ID, j.State, e.phase)
	case final != !j.Finished.IsZero():
		t.Errorf("job %s is %s, finished at %v", j.ID, j.State, j.Finished)
	case (j.State == Completed) != (len(j.Result) > 0):
		t.Errorf("job %s is %s with result %s", j.ID, j.State, j.Result)
	case (j.State == Failed) != (j.Error != Failure{}):
		t.Errorf("job %s is %s with error %v", j.ID, j.State, j.Error)
	case j.State == Canceled && (j.Cancel.Requested.IsZero() || j.Cancel.Acknowledged.IsZero() || j.Cancel.Stopped.IsZero()):
		t.Errorf("job %s is canceled: %+v", j.ID, j.Cancel)
	case final && (len(e.rec.Input) > 0 || len(j.Checkpoint.Data) > 0 || e.fn != nil):
		t.Errorf("job %s is over and keeps what only a running one needs", j.ID)
	case len(j.Log) > maxNotes:
		t.Errorf("job %s has %d notes", j.ID, len(j.Log))
	case !final && !e.dueAt.Equal(j.Created.Add(j.TTL)), final && !e.dueAt.Equal(j.Expires), e.dueAt.After(j.Created.Add(j.TTL)):
		t.Errorf("job %s is due at %v, expires %v", j.ID, e.dueAt, j.Expires)
	}
}
