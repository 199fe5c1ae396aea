package mcpserve

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/audit"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/session"
)

// ledger is an Auditor whose log can fail in either of the two ways.
type ledger struct {
	mu      sync.Mutex
	records []audit.Record
	closed  error // what Ready says
	full    error // what Append says
}

func (l *ledger) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *ledger) Append(_ context.Context, r audit.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full == nil {
		l.records = append(l.records, r)
	}
	return l.full
}

func (l *ledger) Note(r audit.Record) { _ = l.Append(context.Background(), r) }

func (l *ledger) fail(ready, write error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed, l.full = ready, write
}

func (l *ledger) take() []audit.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.records
	l.records = nil
	return all
}

// line is what a test compares of a record.
func line(r audit.Record) string {
	return strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s %s %s", r.Kind, r.Action, r.Operation, r.Decision, r.Outcome, r.Code)), " ")
}

func (l *ledger) want(t *testing.T, what string, lines ...string) []audit.Record {
	t.Helper()
	all := l.take()
	var got []string
	for _, r := range all {
		got = append(got, line(r))
	}
	if !slices.Equal(got, lines) {
		t.Errorf("%s: recorded %q, want %q", what, got, lines)
		return make([]audit.Record, len(lines))
	}
	return all
}

func audited(t *testing.T, change ...func(*Config, *session.Config)) (*world, *ledger) {
	t.Helper()
	w, l := newWorld(t, change...), &ledger{}
	w.server.Audit = l
	return w, l
}

// Every call of a tool leaves one record, whatever becomes of it.
func TestCallsAreRecorded(t *testing.T) {
	w, l := audited(t)
	alice := w.modern("alice@acme")
	for _, tt := range []struct{ what, tool, arguments, want string }{
		{"an operation", "clear_thought", `{"operation":"echo","parameters":{"text":"x"}}`, "call echo allow ok"},
		{"one that computes", "clear_thought", `{"operation":"steps"}`, "call steps allow ok"},
		{"a tool by its name", "echo", `{"text":"x"}`, "call echo allow ok"},
		{"a bad argument", "clear_thought", `{"operation":"steps","parameters":{"n":"many"}}`, "call steps allow invalid invalid_arguments"},
		{"no such operation", "clear_thought", `{"operation":"nothing"}`, "call clear_thought allow invalid unknown_operation"},
		{"no such tool", "nothing", `{}`, "call nothing allow invalid unknown_tool"},
		{"a scope that is missing", "clear_thought", `{"operation":"run_code"}`, "denied run_code deny forbidden insufficient_scope"},
		{"no such session", "clear_thought", `{"operation":"echo","sessionId":"rs_none"}`, "call echo allow not_found session_unavailable"},
		{"a panic", "clear_thought", `{"operation":"explode"}`, "call explode allow internal internal"},
	} {
		alice.call("7", tt.tool, tt.arguments, "")
		r := l.want(t, tt.what, tt.want)[0]
		if r.Tenant != "acme" || r.Subject != "alice" || r.Issuer != "i" || r.Time.IsZero() || r.Duration <= 0 || string(r.Arguments) != tt.arguments {
			t.Errorf("%s: %+v", tt.what, r)
		}
	}

	id := alice.create()
	if r := l.want(t, "session_create", "call session_create allow ok")[0]; r.Session != "" {
		t.Errorf("session_create in a session: %+v", r)
	}
	alice.on(id, "remember", `{"text":"x"}`)
	alice.call("1", "session_delete", fmt.Sprintf(`{"sessionId":%q}`, id), "")
	for _, r := range l.want(t, "in a session", "call remember allow ok", "call session_delete allow ok") {
		if r.Session != id {
			t.Errorf("%s: session %q, want %q", r.Operation, r.Session, id)
		}
	}

	keyed := `{"operation":"echo","idempotencyKey":"k","parameters":{"text":"x"}}`
	alice.call("1", "clear_thought", keyed, "")
	alice.call("1", "clear_thought", keyed, "")
	l.want(t, "a key", "call echo allow ok", "call echo allow ok replayed")

	legacy := w.legacy("bob", rev202503)
	legacy.do("POST", `[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"a"}}},`+
		`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"nothing"}},{"jsonrpc":"2.0","id":3,"method":"ping"}]`)
	l.want(t, "a batch", "call echo allow ok", "call nothing allow invalid unknown_tool")

	w.server.draining.Store(true)
	alice.call("1", "echo", `{"text":"x"}`, "")
	l.want(t, "while the server drains", "limited echo deny overloaded draining")
	w.server.draining.Store(false)
}

var errLog error = &fault.Error{Kind: fault.Unavailable, Code: "audit_failing", Public: "the audit log cannot be written", RetryAfter: time.Second}

// While the log fails nothing is computed; when it fails under a call, the answer
// is that it did, as a status or as a result of a stream that has begun.
func TestUnrecordedCallsAreNotAnswered(t *testing.T) {
	w, l := audited(t)
	alice := w.modern("alice")
	id := alice.create()
	l.take()
	l.fail(errLog, errLog)
	a := alice.call("1", "clear_thought", `{"operation":"hold"}`, "")
	if a.status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(string(a.body), "audit_failing") || len(w.gates.entered) != 0 {
		t.Errorf("before it computes: %d %s", a.status, a.body)
	}
	if got := (&peer{w: w, who: "bob"}).do("POST", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"probe","version":"1"}}}`); got.status != 503 {
		t.Errorf("initialize: %d %s", got.status, got.body)
	}
	l.fail(nil, errLog)
	keyed := fmt.Sprintf(`{"operation":"remember","sessionId":%q,"idempotencyKey":"k","parameters":{"text":"once"}}`, id)
	if a := alice.call("1", "clear_thought", keyed, ""); a.status != 503 || strings.Contains(string(a.body), "once") {
		t.Errorf("after it computed: %d %s", a.status, a.body)
	}
	a = alice.call("1", "clear_thought", `{"operation":"steps"}`, `"p"`)
	if env, bad := a.result(t); len(a.events) < 2 || !bad || env.Error == nil || env.Error.Code != "audit_failing" {
		t.Errorf("on a stream: %s", a.body)
	}
	l.fail(nil, nil)
	env, bad := alice.call("1", "clear_thought", keyed, "").result(t)
	if bad || string(env.Result) != `{"text":"once"}` {
		t.Errorf("the same key, when the log works: %+v", env)
	}
	l.want(t, "what was recorded", "call remember allow ok replayed")
}

// A call that goes on as a job leaves a record when it is answered and one when the
// job ends; both lead to the request.
func TestJobsAreRecorded(t *testing.T) {
	w, l := audited(t, impatient)
	p := w.modern("alice")
	v, env := p.becomes(`{"operation":"hold"}`)
	<-w.gates.entered
	for _, r := range l.want(t, "answered", "job started hold", "call hold allow running") {
		if r.Session != env.SessionID || r.Subject != "alice" {
			t.Errorf("%+v", r)
		}
	}
	w.gates.leave <- struct{}{}
	p.job(v.JobID, 10)
	var r audit.Record
	until(t, "the record of the end", func() bool {
		all := l.take()
		i := slices.IndexFunc(all, func(r audit.Record) bool { return r.Kind == audit.Job })
		if i >= 0 {
			r = all[i]
		}
		return i >= 0
	})
	if line(r) != "job finished hold ok" || r.Session != env.SessionID || r.CPU <= 0 || r.Reason != "job "+v.JobID.Ref() || r.Duration <= 0 {
		t.Errorf("at its end: %+v", r)
	}
	if n := len(w.server.kept.byID); n != 0 {
		t.Errorf("%d jobs are still known", n)
	}

	v, _ = p.becomes(`{"operation":"hold"}`)
	<-w.gates.entered
	p.call("1", "job_cancel", fmt.Sprintf(`{"jobId":%q}`, v.JobID), "")
	until(t, "the record of the cancellation", func() bool {
		return slices.ContainsFunc(l.take(), func(r audit.Record) bool { return line(r) == "job canceled hold canceled" })
	})
}

// The end of a job is recorded once, and that of one which an earlier process has
// lost is recorded too.
func TestEndsOfJobsAreRecordedOnce(t *testing.T) {
	w, l := audited(t, impatient)
	before, _ := w.modern("alice").becomes(`{"operation":"hold"}`)
	<-w.gates.entered
	l.take()
	ended := jobEvent(before.JobID)
	w.server.JobEnded(ended) // as at the end; its task is known once
	ended.Kept = false
	w.server.JobEnded(ended)
	l.want(t, "told twice", "job canceled hold canceled")
	ended.Job.ID, ended.Kept, ended.Job.State = "jb_other", true, "failed"
	w.server.JobEnded(ended)
	l.want(t, "of a process that is gone", "job lost hold unavailable")
	w.gates.leave <- struct{}{}
}

func jobEvent(id job.ID) job.Event {
	at := time.Now()
	return job.Event{Kind: job.EventFinished, At: at, Kept: true, Job: job.Job{
		ID: id, Owner: session.Owner{Tenant: "t", Issuer: "i", Subject: "alice"}, Operation: "hold", State: job.Canceled, Created: at.Add(-time.Second), Finished: at,
	}}
}
