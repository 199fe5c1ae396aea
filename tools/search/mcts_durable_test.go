package search

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget/budgettest"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

// searchOnce runs the operation as one process would that has the disk, nil for
// none, and a scheduler with so many tickets.
func searchOnce(t *testing.T, parameters string, d *budgettest.Disk, tickets int) (string, error) {
	t.Helper()
	s := work.New(work.Config{Tickets: tickets})
	ticket, err := s.Acquire(t.Context(), work.Claim{Tenant: "acme", Subject: "alice", Lane: work.Interactive})
	if err != nil {
		t.Fatal(err)
	}
	defer ticket.Release()
	c := &tools.Call{SeedHint: new(uint64(3)), Ticket: ticket, Limits: budget.Limits{Steps: 10_000_000, Nodes: 1_000_000}}
	if d != nil {
		c.Durable = d
	}
	last := 0.0
	c.OnProgress = func(done, total float64, _ string) {
		if done < last || done > total {
			t.Errorf("progress %v of %v after %v", done, total, last)
		}
		last = done
	}
	raw, err := MCTS.Invoke(work.NewContext(t.Context(), ticket), c, json.RawMessage(parameters))
	return string(raw), err
}

func TestMCTSResumesToTheSameResult(t *testing.T) {
	for _, parameters := range []string{
		`{"action":"run","domain":"bandit","arms":[0.4,0.45,0.5],"pulls":20,"simulations":8000,"trees":4}`,
		`{"action":"run","domain":"job-shop","instance":"ft06","policy":"puct","rollout":"heuristic","rave":300,"simulations":6000,"trees":4}`,
		`{"action":"run","domain":"nim","heaps":[9,11,13],"simulations":8000,"trees":4,"maxNodes":20000}`,
	} {
		want, err := searchOnce(t, parameters, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		d := &budgettest.Disk{StopAfter: 1}
		for n := 1; ; n++ {
			got, err := searchOnce(t, parameters, d, n%2+1)
			if !d.Asked {
				t.Fatal("the call did not say that it may be restarted")
			}
			if errors.Is(err, tools.ErrCheckpointed) {
				d = d.Again()
				continue
			}
			if err != nil || got != want {
				t.Errorf("process %d: %v\n%s\nwant\n%s", n, err, got, want)
			}
			if n < 5 {
				t.Errorf("%d processes: nothing was resumed", n)
			}
			break
		}
	}
}

// Another seed or limit is another search.
func TestMCTSDoesNotResumeAnother(t *testing.T) {
	d := &budgettest.Disk{StopAfter: 3}
	if _, err := searchOnce(t, `{"domain":"bandit","arms":[0.4,0.5],"simulations":8000,"seed":1}`, d, 1); !errors.Is(err, tools.ErrCheckpointed) {
		t.Fatal(err)
	}
	for _, parameters := range []string{
		`{"domain":"bandit","arms":[0.4,0.5],"simulations":8000,"seed":2}`,
		`{"domain":"bandit","arms":[0.4,0.5],"simulations":8000,"seed":1,"maxSteps":3000}`,
		`{"domain":"bandit","arms":[0.4,0.6],"simulations":8000,"seed":1}`,
	} {
		want, err := searchOnce(t, parameters, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := searchOnce(t, parameters, &budgettest.Disk{State: d.State}, 1); err != nil || got != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", parameters, err, got, want)
		}
	}
}

func TestMCTSCanceledWhileDurable(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := &tools.Call{SeedHint: new(uint64(3)), Durable: &budgettest.Disk{}}
	c.OnProgress = func(done, _ float64, _ string) {
		if done > 5000 {
			cancel()
		}
	}
	_, err := MCTS.Invoke(ctx, c, json.RawMessage(`{"domain":"bandit","arms":[0.4,0.5],"pulls":9,"simulations":100000000}`))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want canceled", err)
	}
}
