package mcpserve

import (
	"context"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

// turningTools computes, and yields, until it may leave.
func turningTools(g *gates) []tools.Tool {
	return []tools.Tool{tools.Define(tools.Spec{
		Name: "turn", Family: "long", Title: "turn", Summary: "For tests.", Scope: policy.Reason, Lane: work.Interactive, Method: "test",
		Examples: []tools.Example{{Title: "x", Arguments: `{"operation":"turn"}`}},
	}, func(ctx context.Context, c *tools.Call, in waitIn) (echoOut, error) {
		g.entered <- in.Gate
		for {
			select {
			case <-g.leave:
				return echoOut{"left"}, nil
			default:
			}
			if err := c.Ticket.Yield(ctx); err != nil {
				return echoOut{}, err
			}
		}
	})}
}

// batch is how many computations run or wait in the batch lane.
func (w *world) batch() int {
	for _, l := range w.server.Scheduler.Stats().Lanes {
		if l.Lane == work.Batch {
			return l.Running + l.Queued + l.Resuming
		}
	}
	return 0
}

func TestCallAsksForTheBatchLane(t *testing.T) {
	w := newWorld(t)
	for _, in := range []struct {
		arguments string
		want      int
	}{
		{`{"operation":"hold"}`, 0},
		{`{"operation":"hold","advanced":{"lane":"interactive"}}`, 0},
		{`{"operation":"hold","advanced":{"lane":"batch"}}`, 1},
	} {
		answered := make(chan answer)
		go func() { answered <- w.modern("alice").call("1", "clear_thought", in.arguments, "") }()
		<-w.gates.entered
		if n := w.batch(); n != in.want {
			t.Errorf("%s: %d calls in the batch lane, want %d", in.arguments, n, in.want)
		}
		w.gates.leave <- struct{}{}
		if env, bad := (<-answered).result(t); bad {
			t.Errorf("%s: %+v", in.arguments, env.Error)
		}
		<-w.gates.ended
	}
	if env, bad := w.modern("alice").call("1", "clear_thought", `{"operation":"hold","advanced":{"lane":"express"}}`, "").result(t); !bad {
		t.Errorf("a lane that does not exist: %+v", env)
	}
}

// Nobody waits at the line for a job: where others wait for the CPU it makes way
// from its next turn on.
func TestJobMovesToTheBatchLane(t *testing.T) {
	w := newWorld(t, impatient)
	w.server.Scheduler.Resize(1)
	p := w.modern("alice")
	first, _ := p.becomes(`{"operation":"turn"}`)
	<-w.gates.entered
	second, _ := p.becomes(`{"operation":"turn"}`) // so that somebody waits
	<-w.gates.entered
	until(t, "both in the batch lane", func() bool { return w.batch() == 2 })
	w.gates.leave <- struct{}{}
	w.gates.leave <- struct{}{}
	p.job(first.JobID, 10)
	p.job(second.JobID, 10)
	if n := w.batch(); n != 0 {
		t.Errorf("%d are left in the batch lane", n)
	}
}
