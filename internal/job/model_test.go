package job

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
	"pgregory.net/rapid"
)

// model is a runner as one would write it without a thought for speed, crashes
// or concurrency: a list of jobs, and rules.
type model struct {
	cfg   Config
	disk  *MemoryStore // what survives a crash
	store *brittleStore
	r     *Runner
	jobs  []*modelJob // that may still be found
	seen  map[string]int
}

type modelJob struct {
	id        ID
	owner     session.Owner
	op        *op
	resumable bool
	handle    *Handle // nil once it is detached
	state     State   // Completed, Failed, Canceled as soon as it has ended
	code      string  // of its failure
	result    string
	attempts  int
	requested bool
	created   time.Time
	ttl       time.Duration
	finished  time.Time
	began     time.Time // the running attempt, or its last written checkpoint
	mem, disk string    // last checkpoint, and what of it survives a crash
}

func (j *modelJob) live() bool { return !j.state.Final() }

func (j *modelJob) expires(cfg Config) time.Time {
	end := j.created.Add(j.ttl)
	if kept := j.finished.Add(cfg.Retention); j.handle == nil && !j.live() && kept.Before(end) {
		return kept
	}
	return end
}

func (m *model) visible(j *modelJob) bool { return time.Now().Before(j.expires(m.cfg)) }

func (m *model) count(keep func(*modelJob) bool) (n int) {
	for _, j := range m.jobs {
		if keep(j) {
			n++
		}
	}
	return n
}

func in(states ...State) func(*modelJob) bool {
	return func(j *modelJob) bool { return slices.Contains(states, j.state) }
}

func (j *modelJob) end(state State, code, result string) {
	j.state, j.code, j.result, j.finished = state, code, result, time.Now()
}

// drop is the rule of everything that leaves no record.
func (m *model) drop(j *modelJob) {
	m.jobs = slices.DeleteFunc(m.jobs, func(o *modelJob) bool { return o == j })
}

func (m *model) some(t *rapid.T, keep func(*modelJob) bool) *modelJob {
	var fit []*modelJob
	for _, j := range m.jobs {
		if keep(j) {
			fit = append(fit, j)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return rapid.SampledFrom(fit).Draw(t, "job")
}

func anyJob(*modelJob) bool        { return true }
func attachedJob(j *modelJob) bool { return j.handle != nil }

var modelOwners = []session.Owner{alice, bob, carol}

func (m *model) open() {
	m.store = &brittleStore{MemoryStore: m.disk}
	m.r = New(m.cfg, m.store, nil, discard())
}

func (m *model) wantMiss(t *rapid.T, err error) {
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Code != "job_unavailable" {
		t.Fatalf("got %v, want job_unavailable", err)
	}
}

// settle learns which queued jobs were begun, which must be the oldest of their
// owner, and lets the TTL of running ones pass.
func (m *model) settle(t *rapid.T) {
	synctest.Wait()
	for _, owner := range modelOwners {
		var waits time.Time // since when one that was not begun waits
		for _, j := range m.jobs {
			if j.owner != owner || j.state != Queued {
				continue
			}
			select {
			case run := <-j.op.started:
				from, resumes := run.Resume()
				older := !waits.IsZero() && waits.Before(j.created)
				if older || string(from) != j.mem || resumes != (j.mem != "") {
					t.Fatalf("begun is a job from %s, %v, an older one waits: %v; want from %q", from, resumes, older, j.mem)
				}
				j.state, j.began, j.disk = Running, m.entry(j).snapshot().Updated, j.mem
				j.attempts++
			default:
				if e := m.entry(j); !m.visible(j) && e.phase == retained {
					j.end(Failed, "job_expired", "") // got its place too late to begin
				} else if waits.IsZero() {
					waits = j.created
				}
			}
		}
	}
	for _, j := range m.jobs {
		if j.live() && j.state == Running && !m.visible(j) {
			j.end(Failed, "job_expired", "")
		}
	}
}

func (m *model) entry(j *modelJob) *entry {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	return m.r.owners[j.owner].jobs[j.id]
}

// Check compares everything that can be seen with the model.
func (m *model) Check(t *rapid.T) {
	m.settle(t)
	checkInvariants(t, m.r)
	onDisk := map[ID]Record{}
	for rec, err := range m.disk.All(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		onDisk[rec.ID] = rec
	}
	if len(onDisk) != len(m.jobs) {
		t.Fatalf("%d records in the store, want %d", len(onDisk), len(m.jobs))
	}
	listed := map[session.Owner][]ID{}
	for _, j := range m.jobs {
		if j.handle == nil && m.visible(j) {
			listed[j.owner] = append(listed[j.owner], j.id)
		}
		m.checkJob(t, j, onDisk[j.id])
	}
	for _, o := range modelOwners {
		var got []ID
		for _, j := range m.r.List(o) {
			got = append(got, j.ID)
		}
		slices.Sort(got)
		slices.Sort(listed[o])
		if !slices.Equal(got, listed[o]) {
			t.Fatalf("%v lists %v, want %v", o, got, listed[o])
		}
	}
	st := m.r.Stats()
	if r, q := m.count(in(Running)), m.count(in(Queued)); st.Running != r || st.Queued != q || st.Retained != len(m.jobs)-r-q || st.Unsaved != 0 {
		t.Fatalf("stats %+v, want %d running, %d queued of %d", st, r, q, len(m.jobs))
	}
}

func (m *model) checkJob(t *rapid.T, j *modelJob, rec Record) {
	got, err := m.r.Get(context.Background(), j.owner, j.id)
	if !m.visible(j) {
		m.wantMiss(t, err)
		return
	}
	want, result, code := j.state, j.result, j.code
	if j.handle != nil && !j.live() { // not seen yet
		want, result, code = Running, "", ""
		if j.attempts == 0 {
			want = Queued
		}
	}
	if want == Canceled {
		code = ""
	}
	if err != nil || got.State != want || string(got.Result) != result || got.Error.Code != code || got.Attempts != j.attempts ||
		got.Cancel.Requested.IsZero() == j.requested || !got.Expires.Equal(j.expires(m.cfg)) {
		t.Fatalf("%s is %+v, %v\nwant %s with %q, %q, attempt %d, asked to stop %v", j.id, got, err, want, result, code, j.attempts, j.requested)
	}
	if want.Final() || rec.State == want {
		if rec.State != want || string(rec.Result) != result || want == Running && string(rec.Checkpoint.Data) != j.disk {
			t.Fatalf("%s is stored as %s with %s from %s, want %s with %q from %q", j.id, rec.State, rec.Result, rec.Checkpoint.Data, want, result, j.disk)
		}
	}
	for _, o := range modelOwners {
		if _, err := m.r.Get(context.Background(), o, j.id); o != j.owner {
			m.wantMiss(t, err)
		}
	}
}

// noDeadline hides that a *testing.T has a deadline, which a bubble refuses to
// tell.
type noDeadline struct{ rapid.TB }

func TestModel(t *testing.T) {
	seen := map[string]int{}
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(noDeadline{t}, func(t *rapid.T) {
			m := &model{
				cfg: Config{
					MaxRunning: 3, MaxRunningPerOwner: 2, MaxQueued: 4, MaxQueuedPerOwner: 3, MaxRetained: 6, MaxRetainedPerOwner: 4,
					Retention: time.Minute, MaxTTL: time.Hour, CheckpointEvery: 5*time.Second - 1, MaxStalled: 1000,
				}.withDefaults(),
				disk: NewMemoryStore(), seen: seen,
			}
			m.open()
			defer func() {
				if err := m.r.Close(); err != nil {
					t.Error(err)
				}
			}()
			for range 3 {
				t.Repeat(rapid.StateMachineActions(m))
			}
		})
	})
	t.Logf("%v", seen)
	for _, what := range []string{
		"refused", "delivered", "checkpoint", "canceled running", "canceled queued", "expired", "crash", "stop", "recovered",
	} {
		if seen[what] == 0 {
			t.Errorf("%s never happened: the actions do not reach that rule", what)
		}
	}
}
