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

// runOnce runs a tool as one process would that has the disk, nil for none, and a
// scheduler with so many tickets.
func runOnce(t *testing.T, tool tools.Tool, parameters string, d *budgettest.Disk, tickets int) (string, error) {
	t.Helper()
	s := work.New(work.Config{Tickets: tickets})
	ticket, err := s.Acquire(t.Context(), work.Claim{Tenant: "acme", Subject: "alice", Lane: work.Interactive})
	if err != nil {
		t.Fatal(err)
	}
	defer ticket.Release()
	c := &tools.Call{Ticket: ticket, Limits: budget.Limits{Steps: 10_000_000, Nodes: 1_000_000}}
	if d != nil {
		c.Durable = d
	}
	last := 0.0
	c.OnProgress = func(done, total float64, message string) {
		if done < last || total > 0 && done > total || message == "" {
			t.Errorf("progress %v of %v after %v: %q", done, total, last, message)
		}
		last = done
	}
	raw, err := tool.Invoke(work.NewContext(t.Context(), ticket), c, json.RawMessage(parameters))
	return string(raw), err
}

const (
	switches = `{"variables":[{"name":"x","type":"int"},{"name":"y","type":"int"}],` +
		`"actions":[{"name":"a","effects":{"x":"x + 1"},"reward":"sin(x * 3 + y)"},{"name":"b","effects":{"y":"y + 2"},"reward":"cos(x + y * 5)"},{"name":"c","effects":{"x":"x + y % 3"},"reward":"sin(y) * 0.9"}],"horizon":12}`
	six = `"domain":"game24","numbers":[3,5,7,11,13,17],"target":239`
)

var runs = []struct {
	tool       tools.Tool
	parameters string
	least      int // processes that it takes, stopped after each state
}{
	{Beam, `{"problem":` + switches + `,"beamWidth":100,"best":3}`, 8},
	{Beam, `{"problem":` + switches + `,"beamWidth":200,"groups":4,"heuristic":"x * 0.1"}`, 8},
	{Beam, `{"problem":` + switches + `,"beamWidth":200,"maxNodes":1500}`, 3},
	{TreeOfThought, `{"problem":` + switches + `,"breadth":60}`, 8},
	{TreeOfThought, `{` + six + `,"strategy":"depth-first","maxSteps":4000}`, 8},
	{TreeOfThought, `{"problem":` + switches + `,"strategy":"best-first","maxSteps":3000}`, 8},
}

func TestSearchesResumeToTheSameResult(t *testing.T) {
	for _, x := range runs {
		want, err := runOnce(t, x.tool, x.parameters, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := runOnce(t, x.tool, x.parameters, nil, 8); err != nil || got != want {
			t.Errorf("%s: eight workers: %v\n%s\nwant\n%s", x.parameters, err, got, want)
		}
		d := &budgettest.Disk{StopAfter: 1}
		for n := 1; ; n++ {
			got, err := runOnce(t, x.tool, x.parameters, d, n%2+1)
			if !d.Asked {
				t.Fatal("the call did not say that it may be restarted")
			}
			if errors.Is(err, tools.ErrCheckpointed) && n < 100_000 {
				d = d.Again()
				if n >= 50 { // the rest in larger parts
					d.StopAfter = 200
				}
				continue
			}
			if err != nil || got != want {
				t.Errorf("process %d: %v\n%s\nwant\n%s", n, err, got, want)
			}
			if n < x.least {
				t.Errorf("%s: %d processes: nothing was resumed", x.parameters, n)
			}
			break
		}
	}
}

// Another limit or parameter is another search.
func TestSearchesDoNotResumeAnother(t *testing.T) {
	d := &budgettest.Disk{StopAfter: 3}
	if _, err := runOnce(t, Beam, `{"problem":`+switches+`,"beamWidth":50}`, d, 1); !errors.Is(err, tools.ErrCheckpointed) {
		t.Fatal(err)
	}
	for _, x := range []struct {
		tool       tools.Tool
		parameters string
	}{
		{Beam, `{"problem":` + switches + `,"beamWidth":51}`},
		{Beam, `{"problem":` + switches + `,"beamWidth":50,"maxSteps":900}`},
		{Beam, `{"problem":` + switches + `,"beamWidth":50,"heuristic":"x"}`},
		{TreeOfThought, `{"problem":` + switches + `,"breadth":50}`},
	} {
		want, err := runOnce(t, x.tool, x.parameters, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := runOnce(t, x.tool, x.parameters, &budgettest.Disk{State: d.State}, 1); err != nil || got != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", x.parameters, err, got, want)
		}
	}
}

func TestSearchesCanceled(t *testing.T) {
	for _, x := range []struct {
		tool       tools.Tool
		parameters string
	}{
		{Beam, `{"problem":` + switches + `,"beamWidth":1000}`},
		{TreeOfThought, `{` + six + `,"strategy":"best-first","targetValue":2}`},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		c := &tools.Call{Durable: &budgettest.Disk{}, OnProgress: func(float64, float64, string) { cancel() }}
		if _, err := x.tool.Invoke(ctx, c, json.RawMessage(x.parameters)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want canceled", x.parameters, err)
		}
		cancel()
	}
}
