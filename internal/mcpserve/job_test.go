package mcpserve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

func impatient(c *Config, _ *session.Config) { c.InlineLimit = 10 * time.Millisecond }

// job asks for a job by id.
func (p *peer) job(id job.ID, wait int) jobView {
	p.w.t.Helper()
	env, bad := p.call("7", "job_result", fmt.Sprintf(`{"jobId":%q,"waitSeconds":%d}`, id, wait), "").result(p.w.t)
	var v jobView
	if err := json.Unmarshal(env.Result, &v); err != nil || bad {
		p.w.t.Fatalf("job_result: %+v", env.Error)
	}
	return v
}

func (p *peer) jobs() jobListOutput {
	p.w.t.Helper()
	env, _ := p.call("7", "job_list", `{}`, "").result(p.w.t)
	var l jobListOutput
	if err := json.Unmarshal(env.Result, &l); err != nil {
		p.w.t.Fatal(err)
	}
	return l
}

// becomes makes a call that becomes a job and returns what it is answered with.
func (p *peer) becomes(arguments string) (runningView, tools.Envelope) {
	p.w.t.Helper()
	env, bad := p.call("5", "clear_thought", arguments, "").result(p.w.t)
	var v runningView
	if err := json.Unmarshal(env.Result, &v); err != nil || bad || !strings.HasPrefix(string(v.JobID), "jb_") {
		p.w.t.Fatalf("no job: %s %+v", env.Result, env.Error)
	}
	return v, env
}

// until polls a condition that others bring about.
func until(t testing.TB, what string, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%s did not come about", what)
		}
		time.Sleep(200 * time.Microsecond) // real time: others run on real sockets
	}
	return time.Since(began)
}

func TestLongCallBecomesAJob(t *testing.T) {
	w := newWorld(t, impatient)
	for _, p := range []*peer{w.modern("alice"), w.legacy("alice", rev202511), w.legacy("alice", rev2024)} {
		v, env := p.becomes(`{"operation":"hold"}`)
		<-w.gates.entered
		if v.Status != job.Running || v.PollAfterMillis <= 0 || env.Operation != "hold" || env.Basis == "" || env.SessionID == "" {
			t.Errorf("answered %+v", env)
		}
		if len(env.Next) != 1 || env.Next[0].Operation != "job_result" || env.Next[0].Parameters["jobId"] != string(v.JobID) {
			t.Errorf("next %+v", env.Next)
		}
		if n := w.server.InFlight(); n != 0 {
			t.Errorf("%d requests in flight", n)
		}
		found := false
		for rec := range w.store.All(t.Context()) {
			found = found || rec.ID == v.JobID
		}
		if !found {
			t.Error("a job was answered that is not stored")
		}
		if j := p.job(v.JobID, 0); j.State != job.Running || j.Result != nil || j.SessionID != session.ID(env.SessionID) {
			t.Errorf("while it runs: %+v", j)
		}
		w.gates.leave <- struct{}{}
		j := p.job(v.JobID, 10)
		var inner tools.Envelope
		if err := json.Unmarshal(j.Result, &inner); err != nil || j.State != job.Completed || string(inner.Result) != `{"text":"left"}` || inner.SessionID != env.SessionID {
			t.Errorf("at the end: %+v", j)
		}
		if l := p.jobs(); l.Jobs[0].JobID != v.JobID || l.Jobs[0].Result != nil {
			t.Errorf("listed %+v", l)
		}
	}
	if st := w.server.Scheduler.Stats(); st.Running != 0 {
		t.Errorf("%d tickets are left", st.Running)
	}
}

// A short call leaves no trace in the store and in the list.
func TestShortCallIsNoJob(t *testing.T) {
	w := newWorld(t)
	p := w.modern("alice")
	p.call("1", "clear_thought", `{"operation":"steps"}`, "").result(t)
	if l := p.jobs(); l.Total != 0 || w.server.Jobs.Stats().Retained != 0 {
		t.Errorf("%+v", l)
	}
}

// The connection of an older revision is lost: the call goes on, its owner finds
// the result, and the id of the request still cancels it.
func TestLostConnectionKeepsTheResult(t *testing.T) {
	w := newWorld(t)
	p := w.legacy("alice", rev202511)
	ctx, lose := context.WithCancel(t.Context())
	p.hold(ctx)
	lose()
	until(t, "the job", func() bool { return p.jobs().Total == 1 })
	w.gates.leave <- struct{}{}
	j := p.job(p.jobs().Jobs[0].JobID, 10)
	if j.State != job.Completed || !strings.Contains(string(j.Result), `"left"`) {
		t.Errorf("%+v", j)
	}
	<-w.gates.ended
	ctx, lose = context.WithCancel(t.Context())
	p.hold(ctx)
	lose()
	until(t, "the job", func() bool { return p.jobs().Total == 2 })
	p.do("POST", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	if err := wait(t, "the end", w.gates.ended); !errors.Is(err, job.ErrCanceled) {
		t.Errorf("ended with %v", err)
	}
	until(t, "the end of the requests", func() bool { return w.server.InFlight() == 0 })
}

func TestJobCancel(t *testing.T) {
	w := newWorld(t, impatient)
	p := w.modern("alice")
	cancel := func(id job.ID) (out jobCancelOutput) {
		env, bad := p.call("7", "job_cancel", fmt.Sprintf(`{"jobId":%q,"reason":"enough"}`, id), "").result(t)
		if err := json.Unmarshal(env.Result, &out); err != nil || bad {
			t.Fatalf("%+v", env.Error)
		}
		return out
	}
	v, _ := p.becomes(`{"operation":"hold"}`)
	<-w.gates.entered
	if out := cancel(v.JobID); !out.Asked || out.Cancel == "" {
		t.Errorf("%+v", out)
	}
	if j := p.job(v.JobID, 10); j.State != job.Canceled || j.Cancel != "stopped" {
		t.Errorf("%+v", j)
	}
	if out := cancel(v.JobID); out.Asked {
		t.Errorf("a job that is over was asked: %+v", out)
	}
	v, _ = p.becomes(`{"operation":"stubborn"}`)
	<-w.gates.entered
	cancel(v.JobID)
	if j := p.job(v.JobID, 0); j.State != job.Running || j.Cancel != "requested" {
		t.Errorf("one that does not look: %+v", j)
	}
	w.gates.leave <- struct{}{}
	if j := p.job(v.JobID, 10); j.State != job.Completed {
		t.Errorf("one that completes in spite of it: %+v", j)
	}
}

// However a call ends early, its ticket or its place in the queue is free at once.
func TestCancelFreesAtOnce(t *testing.T) {
	w := newWorld(t)
	w.server.Scheduler.Resize(1)
	stats := func() work.Stats { return w.server.Scheduler.Stats() }
	free := func(stage string, took time.Duration) {
		t.Logf("%s: %v", stage, took)
		if took > 10*time.Millisecond+slack {
			t.Errorf("%s: %v until its place was free", stage, took)
		}
	}
	p := w.legacy("alice", rev202511)
	p.hold(t.Context()) // takes the only ticket
	queued := func(p *peer, id string) context.CancelFunc {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			meta, change := "", []func(*http.Request){}
			if p.rev == rev2026 {
				meta = "," + strings.Replace(modernMeta, "%s", "", 1)
				change = append(change, header(headerMethod, "tools/call"), header(headerName, "clear_thought"))
			}
			p.send(ctx, `{"jsonrpc":"2.0","id":`+id+`,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"hold"}`+meta+`}}`, change...)
		}()
		until(t, "the queue", func() bool { return stats().Queued == 1 })
		return cancel
	}
	empty := func() bool { return stats().Queued == 0 }
	queued(w.modern("alice"), `9`)()
	free("queued, stream closed", until(t, "an empty queue", empty))
	queued(p, `9`)
	p.do("POST", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}`)
	free("queued, canceled", until(t, "an empty queue", empty))
	p.do("POST", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	free("running, canceled", until(t, "a free ticket", func() bool { return stats().Running == 0 }))
	<-w.gates.ended
	ctx, leave := context.WithCancel(t.Context())
	w.modern("alice").hold(ctx)
	leave()
	free("running, stream closed", until(t, "a free ticket", func() bool { return stats().Running == 0 }))
	if l := p.jobs(); l.Total != 0 {
		t.Errorf("calls that nobody waits for are listed: %+v", l)
	}
}

// send sends a request whose answer nobody reads.
func (p *peer) send(ctx context.Context, body string, change ...func(*http.Request)) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.w.http.URL+"/mcp", strings.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Authorization", "Bearer "+p.who)
	req.Header.Set("Content-Type", "application/json")
	if p.session != "" {
		req.Header.Set(headerSession, p.session)
	}
	if p.rev != "" {
		req.Header.Set(headerVersion, p.rev)
	}
	for _, f := range change {
		f(req)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

// A full queue is an HTTP answer, whether it is that of the scheduler or that of
// the jobs.
func TestRefusalsAreHTTP(t *testing.T) {
	w := newWorld(t)
	w.server.Scheduler = work.New(work.Config{Tickets: 1, MaxQueuedPerSubject: 1})
	p := w.modern("alice")
	ctx, cancel := context.WithCancel(t.Context())
	p.hold(ctx)
	go p.send(ctx, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"hold"},`+strings.Replace(modernMeta, "%s", "", 1)+`}}`,
		header(headerMethod, "tools/call"), header(headerName, "clear_thought"))
	until(t, "the queue", func() bool { return w.server.Scheduler.Stats().Queued == 1 })
	if a := p.call("3", "clear_thought", `{"operation":"hold"}`, "1"); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
	cancel()
	until(t, "the end", func() bool { return w.server.InFlight() == 0 && w.server.Jobs.Stats().Goroutines == 0 })
	w.server.Jobs.Drain(t.Context())
	if a := p.call("3", "clear_thought", `{"operation":"hold"}`, "1"); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// A job id that is not the caller's, one that has expired and one that never was
// give the same bytes.
func TestJobMissesAreIdentical(t *testing.T) {
	w := newWorld(t, impatient)
	w.server.Jobs = job.New(job.Config{Retention: 5 * time.Millisecond}, w.store, nil, slog.New(slog.DiscardHandler))
	alice, mallory := w.modern("alice"), w.modern("mallory")
	foreign, _ := alice.becomes(`{"operation":"hold"}`)
	<-w.gates.entered
	expired, _ := mallory.becomes(`{"operation":"hold"}`)
	<-w.gates.entered
	w.server.Jobs.Cancel(t.Context(), session.Owner{Tenant: "t", Issuer: "i", Subject: "mallory"}, expired.JobID)
	<-w.gates.ended
	until(t, "the expiry", func() bool { return mallory.jobs().Total == 0 })
	ids := map[string]job.ID{"foreign": foreign.JobID, "expired": expired.JobID, "unknown": job.ID("jb_" + strings.Repeat("a", 26)), "nonsense": "hello"}
	for _, p := range []*peer{mallory, w.legacy("mallory", rev202511)} {
		for _, call := range []struct{ tool, args string }{
			{"job_result", `{"jobId":"%s"}`}, {"job_result", `{"jobId":"%s","waitSeconds":5}`}, {"job_cancel", `{"jobId":"%s"}`},
		} {
			want := ""
			for kind, id := range ids {
				a := p.call("1", call.tool, fmt.Sprintf(call.args, id), "")
				got := fmt.Sprintf("%d %s", a.status, a.body)
				if want == "" {
					want = got
				}
				if got != want || !strings.Contains(got, "Job not found or expired") {
					t.Errorf("%s %s: %s\nwant %s", call.tool, kind, got, want)
				}
			}
		}
	}
	if j := alice.job(foreign.JobID, 0); j.State != job.Running || j.Cancel != "" {
		t.Errorf("the owner's job was harmed: %+v", j)
	}
	w.gates.leave <- struct{}{}
	alice.job(foreign.JobID, 10)
	if err := w.server.Jobs.Close(); err != nil {
		t.Error(err)
	}
}

// A tool that ignores its deadline: its caller is answered, its ticket stays
// taken until it returns.
func TestOverrun(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *session.Config) { c.CallTimeout = 10 * time.Millisecond })
	env, bad := w.modern("alice").call("1", "clear_thought", `{"operation":"stubborn"}`, "").result(t)
	if !bad || env.Error.Code != "timeout" {
		t.Errorf("%+v", env.Error)
	}
	if now, total := w.server.Overruns(); now != 1 || total != 1 || w.server.Scheduler.Stats().Running != 1 || w.server.InFlight() != 0 {
		t.Errorf("%d of %d overrun, %d tickets", now, total, w.server.Scheduler.Stats().Running)
	}
	w.gates.leave <- struct{}{}
	until(t, "the ticket", func() bool { return w.server.Scheduler.Stats().Running == 0 })
	until(t, "the count", func() bool { now, _ := w.server.Overruns(); return now == 0 })
	if env, bad := w.modern("alice").call("1", "clear_thought", `{"operation":"hold"}`, "").result(t); !bad || env.Error.Code != "timeout" {
		t.Errorf("one that does look: %+v", env.Error)
	}
	if _, total := w.server.Overruns(); total != 1 {
		t.Errorf("%d overruns", total)
	}
}

// Repeating a call that became a job names the same job.
func TestIdempotentJob(t *testing.T) {
	w := newWorld(t, impatient)
	p := w.modern("alice")
	args := `{"operation":"hold","idempotencyKey":"k"}`
	first, _ := p.becomes(args)
	<-w.gates.entered
	if again, _ := p.becomes(args); again != first {
		t.Errorf("%+v, then %+v", first, again)
	}
	w.gates.leave <- struct{}{}
	p.job(first.JobID, 10)
}

// slack is what a machine with other work may add to a bound in real time.
const slack = 40 * time.Millisecond
