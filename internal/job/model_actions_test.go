package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"pgregory.net/rapid"
)

func (m *model) Start(t *rapid.T) {
	j := &modelJob{
		owner: rapid.SampledFrom(modelOwners).Draw(t, "owner"), op: newOp(), resumable: rapid.Bool().Draw(t, "resumable"),
		ttl: rapid.SampledFrom([]time.Duration{40 * time.Second, time.Hour}).Draw(t, "ttl"), created: time.Now(), state: Queued,
	}
	own := func(states ...State) int {
		return m.count(func(o *modelJob) bool { return o.owner == j.owner && in(states...)(o) })
	}
	over := []State{Completed, Failed, Canceled}
	place := own(Running) < m.cfg.MaxRunningPerOwner && m.count(in(Running)) < m.cfg.MaxRunning
	want := ""
	switch {
	case own(over...) >= m.cfg.MaxRetainedPerOwner:
		want = "jobs_retained"
	case m.count(in(over...)) >= m.cfg.MaxRetained:
		want = "jobs_full"
	case place:
	case own(Queued) >= m.cfg.MaxQueuedPerOwner:
		want = "job_queue_full"
	case m.count(in(Queued)) >= m.cfg.MaxQueued:
		want = "jobs_full"
	}
	spec := j.op.spec(j.owner)
	spec.TTL, spec.Resumable = j.ttl, j.resumable
	h, err := m.r.Start(context.Background(), spec)
	if want != "" {
		m.seen["refused"]++
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Code != want {
			t.Fatalf("start: %v, want %s", err, want)
		}
		return
	}
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	j.id, j.handle = h.ID(), h
	m.jobs = append(m.jobs, j)
	if rapid.Bool().Draw(t, "detached") {
		h.Detach()
		j.handle = nil
	}
}

func (m *model) Detach(t *rapid.T) {
	if j := m.some(t, attachedJob); j != nil {
		j.handle.Detach()
		j.handle = nil
	}
}

func (m *model) Inline(t *rapid.T) {
	j := m.some(t, func(j *modelJob) bool { return attachedJob(j) && !j.live() })
	if j == nil {
		j = m.some(t, attachedJob)
	}
	if j == nil {
		return
	}
	out, done := j.handle.Inline(context.Background(), 0)
	if done == j.live() || done && (out.State != j.state || string(out.Result) != j.result || j.code != "" && failure(out.Err).Code != j.code) {
		t.Fatalf("delivered %+v, %v of a job that is %s with %q, %s", out, done, j.state, j.result, j.code)
	}
	if done {
		m.seen["delivered"]++
		m.drop(j)
	}
}

func (m *model) Abandon(t *rapid.T) {
	if j := m.some(t, attachedJob); j != nil {
		j.handle.Abandon()
		m.drop(j)
	}
}

func (m *model) End(t *rapid.T) {
	j := m.some(t, in(Running))
	if j == nil {
		return
	}
	if rapid.IntRange(0, 3).Draw(t, "how") == 0 {
		j.op.end("", fault.Newf(fault.Conflict, "no"))
		j.end(Failed, "conflict", "")
		return
	}
	result := fmt.Sprintf("%q", j.id)
	j.op.end(result, nil)
	j.end(Completed, "", result)
}

func (m *model) Checkpoint(t *rapid.T) {
	j := m.some(t, in(Running))
	if j == nil {
		return
	}
	at := fmt.Sprintf(`"%v"`, time.Now().UnixNano())
	due := time.Since(j.began) >= m.cfg.CheckpointEvery
	j.op.do(func(_ context.Context, run *Run) {
		if run.Due() != due {
			t.Errorf("due is %v, want %v", run.Due(), due)
		}
		if err := run.Checkpoint(json.RawMessage(at)); err != nil {
			t.Errorf("checkpoint: %v", err)
		}
	})
	j.mem = at
	if due {
		m.seen["checkpoint"]++
		j.disk, j.began = at, time.Now()
	}
}

func (m *model) Cancel(t *rapid.T) {
	j := m.some(t, anyJob)
	if j == nil {
		return
	}
	owner := rapid.SampledFrom(modelOwners).Draw(t, "owner")
	got, asked, err := m.r.Cancel(context.Background(), owner, j.id)
	switch {
	case owner != j.owner || !m.visible(j):
		m.wantMiss(t, err)
	case err != nil || asked != j.live():
		t.Fatalf("cancel of a %s job: %+v, %v, %v", j.state, got, asked, err)
	case asked:
		m.seen["canceled "+string(j.state)]++
		j.requested = true
		if j.state == Running { // the request is written, and all that is known with it
			j.disk = j.mem
		}
		j.end(Canceled, "", "")
		if j.handle != nil {
			j.code = "job_canceled" // told to the caller, not kept
		}
	}
}

func (m *model) Delete(t *rapid.T) {
	j := m.some(t, anyJob)
	if j == nil {
		return
	}
	owner := rapid.SampledFrom(modelOwners).Draw(t, "owner")
	err := m.r.Delete(context.Background(), owner, j.id)
	switch {
	case owner != j.owner || !m.visible(j):
		m.wantMiss(t, err)
	case j.live() || j.handle != nil:
		if fault.KindOf(err) != fault.Conflict {
			t.Fatalf("deleting a %s job: %v", j.state, err)
		}
	case err != nil:
		t.Fatalf("delete: %v", err)
	default:
		m.drop(j)
	}
}

func (m *model) Pass(t *rapid.T) {
	time.Sleep(rapid.SampledFrom([]time.Duration{time.Second, 6 * time.Second, 30 * time.Second}).Draw(t, "time"))
}

// Sweep forgets what has expired. The handle of one that has ended keeps its
// outcome, which TestTTL shows; here it is abandoned.
func (m *model) Sweep(*rapid.T) {
	for m.r.sweepStep() {
	}
	for _, j := range slices.Clone(m.jobs) {
		if !m.visible(j) {
			m.seen["expired"]++
			if j.handle != nil {
				j.handle.Abandon()
			}
			m.drop(j)
		}
	}
}

// StartMany keeps places and queues full.
func (m *model) StartMany(t *rapid.T) {
	for range 4 {
		m.Start(t)
		m.settle(t)
	}
}

// Restart is rare, so that there is something to lose.
func (m *model) Restart(t *rapid.T) {
	switch rapid.IntRange(0, 9).Draw(t, "restart") {
	case 0, 1:
		m.crash(t)
	case 2:
		m.shutDown(t)
	}
}

// crash kills the process: nothing is written from here on.
func (m *model) crash(t *rapid.T) {
	m.store.set(func() { m.store.dead = true })
	_ = m.r.Close()
	for _, j := range m.jobs {
		if j.handle != nil && !j.live() { // what nobody has chosen for is not written
			j.state, j.code, j.result, j.finished = Running, "", "", time.Time{}
			if j.attempts == 0 {
				j.state = Queued
			}
		}
		j.mem = j.disk
	}
	m.seen["crash"]++
	m.restart(t)
}

// shutDown lets the process end in order.
func (m *model) shutDown(t *rapid.T) {
	if err := m.r.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	for _, j := range m.jobs {
		j.disk = j.mem
	}
	m.seen["stop"]++
	m.restart(t)
}

// restart is the rule of recovery.
func (m *model) restart(t *rapid.T) {
	m.open()
	for _, j := range slices.Clone(m.jobs) {
		j.handle = nil
		switch {
		case !m.visible(j):
			m.drop(j)
		case !j.live():
		case j.requested:
			j.end(Canceled, "", "")
		case j.state == Running && !j.resumable:
			j.end(Failed, "interrupted", "")
		default:
			j.state = Queued
		}
	}
	m.seen["recovered"] += m.count(in(Queued))
	ops := map[ID]*op{}
	for _, j := range m.jobs {
		j.op = newOp()
		ops[j.id] = j.op
	}
	_, err := m.r.Recover(context.Background(), func(rec Record) (RunFunc, bool) { return ops[rec.ID].run, true })
	if err != nil {
		t.Fatalf("recover: %v", err)
	}
}
