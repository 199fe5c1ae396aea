package mcpserve

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

type (
	countIn struct {
		N    int    `json:"n" default:"10"`
		Gate string `json:"gate"` // not empty: stop half way until the test goes on
	}
	countState struct {
		I   int    `json:"i"`
		Sum uint64 `json:"sum"`
	}
)

// longTools are for jobs: one that can go on from a checkpoint, and one that does
// not look at its context.
func longTools(g *gates) []tools.Tool {
	spec := func(name string) tools.Spec {
		return tools.Spec{
			Name: name, Family: "long", Title: name, Summary: "For tests.", Scope: policy.Reason, Lane: work.Interactive, Method: "test",
			Examples: []tools.Example{{Title: "x", Arguments: `{"operation":"` + name + `"}`}},
		}
	}
	return []tools.Tool{
		tools.Define(spec("count"), func(ctx context.Context, c *tools.Call, in countIn) (countState, error) {
			return count(ctx, c, in, g)
		}),
		tools.Define(spec("stubborn"), func(context.Context, *tools.Call, waitIn) (echoOut, error) {
			g.entered <- "stubborn"
			<-g.leave
			return echoOut{"at last"}, nil
		}),
	}
}

// count mixes its seed n times.
func count(ctx context.Context, c *tools.Call, in countIn, g *gates) (countState, error) {
	s := countState{Sum: c.Seed()}
	if err := c.Durable.Restartable(); err != nil {
		return s, err
	}
	if saved, ok := c.Durable.Resume(); ok {
		if err := json.Unmarshal(saved, &s); err != nil {
			return s, err
		}
	}
	save := func() error {
		b, err := json.Marshal(s)
		if err != nil {
			return err
		}
		return c.Durable.Checkpoint(b)
	}
	for ; s.I < in.N; s.I++ {
		if in.Gate != "" && s.I == in.N/2 {
			for deadline := time.Now().Add(10 * time.Second); !c.Durable.Due() && time.Now().Before(deadline); {
				if err := ctx.Err(); err != nil {
					return s, err
				}
			}
			s.Sum = s.Sum*6364136223846793005 + uint64(s.I) // this step, before the checkpoint
			s.I++
			if err := save(); err != nil {
				return s, err
			}
			g.entered <- in.Gate
			select {
			case <-g.leave:
			case <-ctx.Done():
				return s, ctx.Err()
			case <-c.Durable.Stop():
				return s, errors.Join(save(), tools.ErrCheckpointed)
			}
		}
		s.Sum = s.Sum*6364136223846793005 + uint64(s.I)
	}
	return s, nil
}

// A process that dies in the middle of a job loses nothing: the next one goes on
// from the checkpoint, to the result of a run that nobody disturbed.
func TestRecovery(t *testing.T) {
	w := newWorld(t, impatient)
	p := w.legacy("alice", rev202511)
	undisturbed, _ := p.call("1", "clear_thought", `{"operation":"count","seed":42,"parameters":{"n":1000}}`, "").result(t)
	for _, seed := range []string{`"seed":42,`, ``} {
		v, env := p.becomes(`{"operation":"count",` + seed + `"parameters":{"n":1000,"gate":"g"}}`)
		<-w.gates.entered
		dead := job.NewMemoryStore() // what the next process finds
		for rec, err := range w.store.All(t.Context()) {
			if err != nil || rec.ID == v.JobID && dead.Put(t.Context(), rec) != nil {
				t.Fatal(err)
			}
		}
		next := worldOver(t, dead, w.server.Sessions)
		found, err := next.server.Jobs.Recover(t.Context(), next.server.Resolve)
		if err != nil || found.Queued != 1 {
			t.Fatalf("recovered %+v, %v", found, err)
		}
		j := next.modern("alice").job(v.JobID, 10)
		var inner tools.Envelope
		if err := json.Unmarshal(j.Result, &inner); err != nil || j.State != job.Completed || j.Attempts != 2 {
			t.Fatalf("%+v", j)
		}
		w.gates.leave <- struct{}{}
		var first tools.Envelope
		if err := json.Unmarshal(p.job(v.JobID, 10).Result, &first); err != nil {
			t.Fatal(err)
		}
		if string(inner.Result) != string(first.Result) || *inner.Seed != *first.Seed || inner.SessionID != env.SessionID || inner.Operation != "count" {
			t.Errorf("resumed  %s seed %d\nwithout a crash %s seed %d", inner.Result, *inner.Seed, first.Result, *first.Seed)
		}
		if seed != "" && string(inner.Result) != string(undisturbed.Result) {
			t.Errorf("resumed %s, undisturbed %s", inner.Result, undisturbed.Result)
		}
	}
	for name, rec := range map[string]job.Record{
		"no input":          {},
		"unknown tool":      {Job: job.Job{Operation: "count"}, Input: json.RawMessage(`{"name":"nope"}`)},
		"unknown operation": {Job: job.Job{Operation: "gone"}, Input: json.RawMessage(`{"name":"clear_thought","arguments":{"operation":"gone"}}`)},
		"another operation": {Job: job.Job{Operation: "steps"}, Input: json.RawMessage(`{"name":"clear_thought","arguments":{"operation":"count"}}`)},
	} {
		if _, ok := w.server.Resolve(rec); ok {
			t.Errorf("%s: resolved", name)
		}
	}
}

// A drain lets a job that can checkpoint do so, and its request names the job.
func TestDrainCheckpoints(t *testing.T) {
	w := newWorld(t)
	p := w.modern("alice")
	got := make(chan answer, 1)
	go func() { got <- p.call("1", "clear_thought", `{"operation":"count","parameters":{"gate":"g"}}`, "") }()
	<-w.gates.entered
	if r := w.server.Drain(t.Context()); r.Checkpointed != 1 || r.Jobs != 1 || r.Calls != 1 || r.Cut+r.Canceled+r.Finished != 0 {
		t.Errorf("%+v", r)
	}
	env, bad := wait(t, "the answer", got).result(t)
	var v runningView
	if err := json.Unmarshal(env.Result, &v); err != nil || bad || v.Status != job.Queued {
		t.Fatalf("answered %s %+v", env.Result, env.Error)
	}
	next := worldOver(t, w.store, w.server.Sessions)
	if found, err := next.server.Jobs.Recover(t.Context(), next.server.Resolve); err != nil || found.Queued != 1 {
		t.Fatalf("recovered %+v, %v", found, err)
	}
	if j := next.modern("alice").job(v.JobID, 10); j.State != job.Completed {
		t.Errorf("%+v", j)
	}
}
