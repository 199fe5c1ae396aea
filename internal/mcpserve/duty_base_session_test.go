package mcpserve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/job"
)

func faultFrom(text string) *fault.Error { return fault.From(errors.New(text)) }

// The ids of transport sessions: made by initialize alone, random, of visible ASCII,
// needed by everything else, and gone when they are ended.
func TestDutyTransportSessions(t *testing.T) {
	w := newWorld(t)
	ids := map[string]bool{}
	form := regexp.MustCompile(`^ts_[a-z2-7]{26}$`) // 130 bits
	for _, rev := range legacyRevisions {
		for range 20 {
			id := w.legacy("alice", rev).session
			if !form.MatchString(id) || ids[id] {
				t.Errorf("%s: session %q", rev, id)
			}
			ids[id] = true
		}
		p := w.legacy("alice", rev)
		none := &peer{w: w, who: "alice", rev: p.rev}
		for what, a := range map[string]answer{
			"a request":      none.do("POST", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`),
			"a notification": none.do("POST", `{"jsonrpc":"2.0","method":"notifications/initialized"}`),
			"two of them":    p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, raw(headerSession, p.session, p.session)),
		} {
			if a.status != 400 || a.code(t) != codeInvalidRequest {
				t.Errorf("%s without one session, %s: %d %s", what, rev, a.status, a.body)
			}
		}
		for _, method := range []string{"GET", "DELETE"} {
			if a := none.do(method, ""); a.status != 405 || a.header.Get("Allow") == "" {
				t.Errorf("%s without a session: %d", method, a.status)
			}
		}
		if a := p.do("GET", "", header("Accept", "application/json")); a.status != 405 {
			t.Errorf("a GET that takes no stream: %d", a.status)
		}
		if a := p.do("DELETE", ""); a.status != 204 || len(a.body) > 0 {
			t.Errorf("DELETE: %d %s", a.status, a.body)
		}
		for method, body := range map[string]string{"POST": `{"jsonrpc":"2.0","id":1,"method":"ping"}`, "GET": "", "DELETE": ""} {
			if a := p.do(method, body); a.status != 404 {
				t.Errorf("%s after DELETE: %d", method, a.status)
			}
		}
		if a := p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"`+rev+`","capabilities":{},"clientInfo":{"name":"p","version":"1"}}}`); a.status != 200 || a.header.Get(headerSession) == p.session {
			t.Errorf("initialize in an ended session: %d %v", a.status, a.header)
		}
	}
}

// Handles are random and nobody can guess the next one; the lists of what can be done
// are the same before and after they are made, on every connection.
func TestDutyListsDoNotVary(t *testing.T) {
	w := newWorld(t)
	lists := func(p *peer) (out []string) {
		for _, method := range []string{"tools/list", "prompts/list", "resources/templates/list"} {
			out = append(out, string(p.request(`1`, method, `{}`).body))
		}
		return out
	}
	form := regexp.MustCompile(`^rs_[a-z2-7]{26}$`)
	for _, p := range w.everyPeer() {
		before := lists(p)
		seen := map[string]bool{}
		for range 10 {
			env, _ := p.call("1", "session_create", `{}`, "").result(t)
			var v sessionView
			if err := json.Unmarshal(env.Result, &v); err != nil || !form.MatchString(v.SessionID) || seen[v.SessionID] {
				t.Fatalf("handle %s", env.Result)
			}
			seen[v.SessionID] = true
			p.call("1", "clear_thought", `{"operation":"remember","sessionId":"`+v.SessionID+`","parameters":{"text":"x"}}`, "")
		}
		other := &peer{w: w, who: "bob", rev: p.rev}
		if p.rev != rev2026 {
			other = w.legacy("bob", map[string]string{"": rev2024}[p.rev]+p.rev)
			if p.rev == "" {
				other = p // the revision is not in its headers: the same client once more
			}
		}
		if !slices.Equal(lists(p), before) || !slices.Equal(lists(other), before) {
			t.Errorf("%s: the lists have changed", p.name())
		}
	}
}

// Knowing a handle is nothing without being its owner; what a client says of itself in
// the body makes nobody its owner.
func TestDutyHandlesAreNoAuthentication(t *testing.T) {
	w := newWorld(t)
	env, _ := w.modern("alice").call("1", "clear_thought", `{"operation":"remember","parameters":{"text":"x"}}`, "").result(t)
	for _, who := range []string{"bob", "alice@other", "Alice", "alice "} {
		for _, p := range []*peer{w.modern(who), w.legacy(who, rev202511)} {
			args := fmt.Sprintf(`{"operation":"remember","sessionId":%q,"parameters":{"text":"x"},"subject":"alice","owner":"t/i/alice","userId":"alice"}`, env.SessionID)
			got, bad := p.call("1", "clear_thought", args, "", header("X-Subject", "alice"), header("Mcp-Param-Subject", "alice")).result(t)
			if strings.TrimSpace(who) == "alice" {
				continue // white space around a token is none of it
			}
			if !bad || got.Error.Code != "session_unavailable" || !strings.Contains(got.Error.Message, "not found or expired") {
				t.Errorf("%s: %+v", who, got)
			}
		}
	}
}

// What cancels and what does not, beyond the calls that TestCancellation cancels:
// a session's opening, a call that has become a task or a job, and an id that is over.
func TestDutyCancelTouchesNothingElse(t *testing.T) {
	w := newWorld(t, impatient)
	alice := w.modern("alice")
	v := alice.rpc("tools/call", "clear_thought", `"name":"clear_thought","arguments":{"operation":"hold"}`, canTask).asks(t)
	<-w.gates.entered
	old := w.legacy("alice", rev202511)
	run, _ := old.becomes(`{"operation":"hold"}`)
	<-w.gates.entered
	for _, p := range []*peer{alice, old} {
		for _, id := range []string{`9`, `5`, `"i"`, `"` + v.TaskID + `"`, `1`, `null`, `1.5`, `{}`} {
			meta := ""
			if p == alice {
				meta = `,"_meta":{"` + metaVersion + `":"` + rev2026 + `"}`
			}
			if a := p.do("POST", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":`+id+`,"reason":"x"`+meta+`}}`); a.status != 202 || len(a.body) > 0 {
				t.Errorf("%s: %d %s", id, a.status, a.body)
			}
		}
	}
	select {
	case err := <-w.gates.ended:
		t.Fatalf("a task or a job was canceled: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if got := alice.task("tasks/get", v.TaskID, "", canTask).asks(t); got.Status != taskWorking {
		t.Errorf("the task: %+v", got)
	}
	if got := old.job(run.JobID, 0); got.State != job.Running {
		t.Errorf("the job: %+v", got)
	}
	alice.task("tasks/cancel", v.TaskID, "", canTask)
	if err := wait(t, "the end of the task", w.gates.ended); err == nil {
		t.Error("tasks/cancel did not cancel")
	}
	w.gates.leave <- struct{}{}
	if err := wait(t, "the end of the job", w.gates.ended); err != nil {
		t.Errorf("the job ended with %v", err)
	}
}

// A cancel and the end of its call may meet in any order: there is one answer or none,
// and whatever comes next is served.
func TestDutyCancelRaces(t *testing.T) {
	w := newWorld(t)
	p := w.legacy("alice", rev202506)
	for i := range 40 {
		var wg sync.WaitGroup
		wg.Go(func() {
			a := p.call(fmt.Sprint(i), "clear_thought", `{"operation":"steps","parameters":{"n":1}}`, "")
			if a.status != 200 && a.status != http.StatusNoContent {
				t.Errorf("call %d: %d %s", i, a.status, a.body)
			}
		})
		wg.Go(func() {
			for range i % 4 {
				p.do("POST", `{"jsonrpc":"2.0","id":"between","method":"ping"}`)
			}
			if a := p.do("POST", fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}`, i)); a.status != 202 {
				t.Errorf("cancel %d: %d", i, a.status)
			}
		})
		wg.Wait()
	}
	if n := w.server.InFlight(); n != 0 {
		t.Errorf("%d calls are left", n)
	}
}

// The disconnect of an older client is no cancel, whichever of the revisions; under
// 2026-07-28 it is, and nothing is left of the call.
func TestDutyDisconnect(t *testing.T) {
	w := newWorld(t)
	for _, p := range w.everyPeer() {
		ctx, cancel := context.WithCancel(t.Context())
		p.hold(ctx)
		cancel()
		if p.rev == rev2026 {
			if err := wait(t, "the end", w.gates.ended); err == nil {
				t.Error("the call was not canceled")
			}
		} else {
			// That it is kept as a job says that the loss has been noticed.
			until(t, "the end of the connection", func() bool {
				return slices.ContainsFunc(p.jobs().Jobs, func(j jobView) bool { return j.State == job.Running })
			})
			w.gates.leave <- struct{}{}
			if err := wait(t, "the end", w.gates.ended); err != nil {
				t.Errorf("%s: canceled: %v", p.name(), err)
			}
		}
		until(t, "the end of the call", func() bool { return w.server.InFlight() == 0 })
	}
}

// After the client has closed the response there is nothing more on it: in process a
// host would read it as an answer to what it has canceled.
func TestDutyNothingAfterTheCancel(t *testing.T) {
	w := newWorld(t)
	for _, operation := range []string{"hold", "steps"} {
		ctx, cancel := context.WithCancel(t.Context())
		p := w.modern("alice")
		body, heads := p.message(`1`, "tools/call", `{"_meta":{"progressToken":1},"name":"clear_thought","arguments":{"operation":"`+operation+`"}}`)
		req := httptest.NewRequestWithContext(ctx, "POST", "/mcp", strings.NewReader(body))
		req.Header = http.Header{"Authorization": {"Bearer alice"}, "Content-Type": {"application/json"}, headerVersion: {rev2026}}
		for _, f := range heads {
			f(req)
		}
		rec := &closing{ResponseRecorder: httptest.NewRecorder(), after: "notifications/progress", close: cancel}
		done := make(chan struct{})
		go func() { defer close(done); as(w.server).ServeHTTP(rec, req) }()
		if operation == "hold" {
			<-w.gates.entered
			cancel()
			<-w.gates.ended
		}
		wait(t, "the end of the request", done)
		if got := rec.Body.String(); strings.Contains(got, `"id":1`) || strings.Contains(got, "result") {
			t.Errorf("%s: after the cancel: %s", operation, got)
		}
		cancel()
	}
}

// closing closes the request at the first write that has a text in it.
type closing struct {
	*httptest.ResponseRecorder
	after string
	close func()
}

func (c *closing) Write(b []byte) (int, error) {
	n, err := c.ResponseRecorder.Write(b)
	if strings.Contains(string(b), c.after) {
		c.close()
	}
	return n, err
}

// Malformed trace contexts are ignored and fail nothing.
func TestDutyBadTraceContext(t *testing.T) {
	w := newWorld(t)
	for _, p := range w.everyPeer() {
		for _, trace := range []string{
			`"traceparent":"nonsense"`, `"traceparent":7`, `"traceparent":"00-00000000000000000000000000000000-0000000000000000-00"`,
			`"traceparent":"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"`, `"tracestate":"` + strings.Repeat("a=b,", 100) + `"`,
			`"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","tracestate":"=,=","baggage":"` + strings.Repeat("x", 9000) + `"`, `"baggage":[]`,
		} {
			s := p.request(`1`, "tools/call", `{"_meta":{`+trace+`},"name":"echo","arguments":{"text":"x"}}`, header("Traceparent", "nonsense"))
			if env, bad := s.result(t); bad || string(env.Result) != `{"text":"x"}` || strings.Contains(string(s.body), "trace") {
				t.Errorf("%s: %.60s: %d %s", p.name(), trace, s.status, s.body)
			}
		}
	}
}

// What a client declares as a transport session belongs to that session: another one of
// the same user is not asked in its place.
func TestDutyOnlyWhatWasNegotiated(t *testing.T) {
	w := askingWorld(t)
	hello := func(caps string) *peer {
		a := w.hello(`{"protocolVersion":"2025-06-18","capabilities":` + caps + `,"clientInfo":{"name":"p","version":"1"}}`)
		return &peer{w: w, who: "alice", rev: rev202506, session: a.header.Get(headerSession)}
	}
	able, unable := hello(canElicit), hello(`{"sampling":{}}`)
	s := able.open("POST", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"twice","arguments":{}}}`)
	if q := s.next(t); !strings.Contains(q, `"method":"elicitation/create"`) {
		t.Errorf("%s", q)
	}
	s.cancel()
	if env, bad := unable.call("1", "twice", `{}`, "").result(t); !bad || env.Error.Code != "missing_client_capability" {
		t.Errorf("%+v", env)
	}
}
