package mcpserve

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/limit"
	"github.com/lyceum-mcp/lyceum/internal/work"
)

// budgeted is a world whose owners have n calls an hour, and one CPU second.
func budgeted(t *testing.T, n int64, more ...limit.Limit) *world {
	t.Helper()
	w := newWorld(t)
	l, err := limit.New(limit.Config{Limits: append([]limit.Limit{
		{Name: "owner_calls", Per: limit.PerOwner, Unit: limit.Calls, Amount: n, Period: time.Hour},
	}, more...)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.server.Budgets = l
	return w
}

func (w *world) counts(t *testing.T) limit.Stat {
	t.Helper()
	for _, c := range w.server.Budgets.(*limit.Limiter).Stats().Limits {
		if c.Name == "owner_calls" {
			return c
		}
	}
	t.Fatal("no such limit")
	return limit.Stat{}
}

func TestBudgetIsAnHTTPAnswer(t *testing.T) {
	for _, rev := range []string{rev2026, rev202511} {
		t.Run(rev, func(t *testing.T) {
			w := budgeted(t, 2)
			p := w.modern("alice")
			if rev != rev2026 {
				p = w.legacy("alice", rev)
			}
			for range 2 {
				a := p.call("1", "clear_thought", `{"operation":"echo","parameters":{"text":"x"}}`, "")
				if a.status != http.StatusOK || a.header.Get("RateLimit") == "" || a.header.Get("RateLimit-Policy") == "" {
					t.Errorf("within the budget: %d %v", a.status, a.header)
				}
			}
			a := p.call("1", "clear_thought", `{"operation":"echo","parameters":{"text":"x"}}`, `"p"`)
			if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" || a.header.Get("RateLimit") == "" {
				t.Errorf("over it: %d %v %s", a.status, a.header, a.body)
			}
			// Neither a new session nor a new token gives anything back.
			fresh := w.modern("alice")
			if a := fresh.call("1", "clear_thought", `{"operation":"echo"}`, ""); a.status != http.StatusTooManyRequests {
				t.Errorf("from a new session: %d", a.status)
			}
			if a := w.modern("bob").call("1", "clear_thought", `{"operation":"echo","parameters":{"text":"x"}}`, ""); a.status != http.StatusOK {
				t.Errorf("somebody else: %d %s", a.status, a.body)
			}
		})
	}
}

// What may not be called costs nothing; what never ran is given back.
func TestRefusedCallsSpendNothing(t *testing.T) {
	w := budgeted(t, 100)
	p := w.modern("alice")
	if a := p.call("1", "clear_thought", `{"operation":"run_code"}`, ""); a.status != http.StatusForbidden {
		t.Fatalf("without the scope: %d", a.status)
	}
	if c := w.counts(t); c.Allowed != 0 || c.Refused != 0 {
		t.Errorf("a call without its scope: %+v", c)
	}
	w.server.Scheduler.Resize(1)
	p.hold(t.Context())
	ctx, leave := context.WithCancel(t.Context())
	go p.send(ctx, `{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"hold"},`+strings.Replace(modernMeta, "%s", "", 1)+`}}`,
		header(headerMethod, "tools/call"), header(headerName, "clear_thought"))
	until(t, "the queue", func() bool { return w.server.Scheduler.Stats().Queued == 1 })
	leave()
	until(t, "a refund", func() bool { return w.counts(t).Refunded == 1 })
	w.gates.leave <- struct{}{}
	<-w.gates.ended
	until(t, "a settlement", func() bool { return w.counts(t).Settled == 1 })

	w.server.Scheduler = work.New(work.Config{Tickets: 1, MaxQueuedPerSubject: 1})
	busy, err := w.server.Scheduler.Acquire(t.Context(), work.Claim{Tenant: "x", Lane: work.Interactive})
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Release()
	ctx, leave = context.WithCancel(t.Context())
	defer leave()
	go p.send(ctx, `{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"hold"},`+strings.Replace(modernMeta, "%s", "", 1)+`}}`,
		header(headerMethod, "tools/call"), header(headerName, "clear_thought"))
	until(t, "the queue", func() bool { return w.server.Scheduler.Stats().Queued == 1 })
	if a := p.call("1", "clear_thought", `{"operation":"hold"}`, ""); a.status != http.StatusTooManyRequests {
		t.Fatalf("with a full queue: %d %s", a.status, a.body)
	}
	until(t, "a refund of what the queue refused", func() bool { return w.counts(t).Refunded == 2 })
	if a := p.call("1", "clear_thought", `{"operation":"echo","parameters":{"text":7,"nonsense":[]}}`, ""); a.status != http.StatusOK {
		t.Fatalf("bad arguments: %d", a.status)
	}
	until(t, "a settlement of bad arguments", func() bool { return w.counts(t).Settled == 2 })
}

// A computing call is charged what it used, a job when it ends.
func TestCPUTimeIsSettled(t *testing.T) {
	w := budgeted(t, 100, limit.Limit{Name: "owner_cpu", Per: limit.PerOwner, Unit: limit.CPU, Amount: int64(time.Hour), Period: 24 * time.Hour, Burst: int64(20 * time.Millisecond), Debt: int64(time.Hour)})
	w.server.cfg.InlineLimit = 10 * time.Millisecond
	p := w.modern("alice")
	v, _ := p.becomes(`{"operation":"turn"}`)
	<-w.gates.entered
	if c := w.counts(t); c.Settled != 0 {
		t.Errorf("settled while it runs: %+v", c)
	}
	until(t, "some CPU time", func() bool {
		for _, l := range w.server.Scheduler.Stats().Tenants {
			return l.Running > 0
		}
		return false
	})
	time.Sleep(50 * time.Millisecond) // of real computing
	w.gates.leave <- struct{}{}
	until(t, "the settlement", func() bool { return w.counts(t).Settled >= 1 })
	if a := p.call("1", "clear_thought", `{"operation":"echo","parameters":{"text":"x"}}`, ""); a.status != http.StatusTooManyRequests {
		t.Errorf("after more CPU time than the burst: %d %s (job %s)", a.status, a.body, v.JobID)
	}
}

func TestOpeningSessionsHasABudget(t *testing.T) {
	w := newWorld(t)
	l, err := limit.New(limit.Config{Limits: []limit.Limit{
		{Name: "sessions_open", Per: limit.PerOwner, Operation: limit.SessionsOpen, Unit: limit.Calls, Amount: 3, Period: time.Hour},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.server.Budgets = l
	p := w.modern("alice")
	codes := []int{}
	for range 3 {
		codes = append(codes, p.call("1", "clear_thought", `{"operation":"echo","parameters":{"text":"x"}}`, "").status)
	}
	if a := p.call("1", "clear_thought", `{"operation":"echo","parameters":{"text":"x"}}`, ""); a.status != http.StatusTooManyRequests {
		t.Errorf("after %v a fourth session: %d %s", codes, a.status, a.body)
	}
	if a := p.call("1", "session_create", `{}`, ""); a.status != http.StatusTooManyRequests {
		t.Errorf("session_create: %d %s", a.status, a.body)
	}
	old := &peer{w: w, who: "alice"}
	if a := old.do("POST", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`); a.status != http.StatusTooManyRequests {
		t.Errorf("initialize: %d %s", a.status, a.body)
	}
}
