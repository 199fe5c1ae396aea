package search_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/search"
)

// mctsClient is one owner with one session.
type mctsClient struct {
	testing.TB
	dir    *session.Directory
	facade *tools.Facade
	owner  session.Owner
	id     session.ID
	limits budget.Limits
	onDone func(done, total float64, message string)
}

func newMCTSClient(tb testing.TB) *mctsClient {
	tb.Helper()
	r, err := tools.NewRegistry(search.MCTS)
	if err != nil {
		tb.Fatal(err)
	}
	c := &mctsClient{
		TB: tb, dir: session.New(session.Config{}, nil), facade: tools.NewFacade(r),
		owner:  session.Owner{Tenant: "acme", Issuer: "https://id.example", Subject: "alice"},
		limits: budget.Limits{Time: time.Minute, Steps: 50_000_000, Nodes: 2_000_000},
	}
	tb.Cleanup(func() { c.dir.Close() })
	c.open()
	return c
}

// open starts another session.
func (c *mctsClient) open() {
	c.Helper()
	h, err := c.dir.Open(c.Context(), c.owner, session.Params{})
	if err != nil {
		c.Fatal(err)
	}
	defer h.Release()
	c.id = h.ID()
}

// send calls the facade as the transport does.
func (c *mctsClient) send(arguments string) (search.MCTSOutput, *tools.Envelope, error) {
	c.Helper()
	var out search.MCTSOutput
	arguments = strings.Replace(arguments, `"operation":"mcts"`, `"operation":"mcts","advanced":{}`, 1)
	r, err := c.facade.Decode(json.RawMessage(arguments))
	if err != nil {
		c.Fatalf("%s: %v", arguments, err)
	}
	h, err := c.dir.Acquire(c.Context(), c.owner, c.id)
	if err != nil {
		c.Fatal(err)
	}
	defer h.Release()
	call := &tools.Call{Session: h, Limits: c.limits, OnProgress: c.onDone}
	r.Start(call)
	result, err := r.Tool.Invoke(c.Context(), call, r.Parameters)
	e := call.Envelope(r.Tool.Spec(), result, err)
	if err == nil {
		if err := json.Unmarshal(e.Result, &out); err != nil {
			c.Fatal(err)
		}
	}
	return out, e, err
}

func mctsArguments(parameters string) string {
	return `{"operation":"mcts","parameters":` + parameters + `}`
}

// must is send for calls that have to work.
func (c *mctsClient) must(format string, args ...any) (search.MCTSOutput, *tools.Envelope) {
	c.Helper()
	out, e, err := c.send(mctsArguments(fmt.Sprintf(format, args...)))
	if err != nil {
		c.Fatalf("%s: %v", fmt.Sprintf(format, args...), err)
	}
	return out, e
}

// refused asserts that a call fails at path and says want.
func (c *mctsClient) refused(path, want, format string, args ...any) {
	c.Helper()
	_, e, err := c.send(mctsArguments(fmt.Sprintf(format, args...)))
	bad, ok := errors.AsType[*tools.BadArguments](err)
	if !ok {
		c.Errorf(format+": got %v, want bad arguments", append(args, err)...)
		return
	}
	if bad.Issues[0].Path != path || !strings.Contains(bad.Error(), want) {
		c.Errorf(format+": got %+v, want %s: %q", append(args, bad.Issues, path, want)...)
	}
	if e.Error == nil || len(e.Error.Example) == 0 {
		c.Errorf(format+": the failure has no example", args...)
	}
}

func warned(e *tools.Envelope, code string) bool {
	for _, w := range e.Warnings {
		if w.Code == code {
			return true
		}
	}
	return false
}
