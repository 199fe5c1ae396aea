package mcpserve

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/session"
)

func TestProgress(t *testing.T) {
	w := newWorld(t)
	for _, p := range []*peer{w.legacy("alice", rev202506), w.modern("alice")} {
		for _, token := range []string{`"tok"`, `17`} {
			a := p.call("9", "clear_thought", `{"operation":"steps"}`, token)
			if len(a.events) != 4 || a.header.Get("X-Accel-Buffering") != "no" {
				t.Fatalf("%d events: %s", len(a.events), a.body)
			}
			last := 0.0
			for _, e := range a.events[:3] {
				var n struct {
					Method string `json:"method"`
					Params struct {
						Token    json.RawMessage `json:"progressToken"`
						Progress float64         `json:"progress"`
						Total    float64         `json:"total"`
						Message  string          `json:"message"`
					} `json:"params"`
				}
				if err := json.Unmarshal(e, &n); err != nil {
					t.Fatal(err)
				}
				if n.Method != "notifications/progress" || string(n.Params.Token) != token || n.Params.Progress <= last || n.Params.Total != 3 || n.Params.Message != "step" {
					t.Errorf("event %s", e)
				}
				last = n.Params.Progress
			}
			if env, bad := a.result(t); bad || string(env.Result) != `{"text":"done"}` {
				t.Errorf("last event %s", a.events[3])
			}
		}
		if a := p.call("9", "clear_thought", `{"operation":"steps"}`, ""); len(a.events) != 0 || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("nobody asked for progress: %s", a.body)
		}
		if a := p.call("9", "clear_thought", `{"operation":"steps"}`, "1", header("Accept", "application/json")); len(a.events) != 0 {
			t.Errorf("the client takes no streams: %s", a.body)
		}
	}
}

// Many calls at once, each with its own token: no event may be lost, be out of
// order, or land on another call's stream.
func TestProgressStaysOnItsStream(t *testing.T) {
	w := newWorld(t)
	old := w.legacy("alice", rev202511)
	now := w.modern("bob")
	const clients, rounds, steps = 32, 20, 5
	var wg sync.WaitGroup
	for i := range clients {
		p := old
		if i%2 == 1 {
			p = now
		}
		wg.Go(func() {
			for r := range rounds {
				token := fmt.Sprintf(`"c%d-%d"`, i, r)
				a := p.call(fmt.Sprint(i*1000+r), "clear_thought", fmt.Sprintf(`{"operation":"steps","parameters":{"n":%d}}`, steps), token)
				events := slices.DeleteFunc(a.events, func(e json.RawMessage) bool {
					return strings.Contains(string(e), "waiting for a turn") && strings.Contains(string(e), `"progressToken":`+token)
				})
				if len(events) != steps+1 {
					t.Errorf("%s: %d events, want %d", token, len(events), steps+1)
					return
				}
				for k, e := range events[:steps] {
					if want := fmt.Sprintf(`"progressToken":%s,"progress":%d,`, token, k+1); !strings.Contains(string(e), want) {
						t.Errorf("event %d of %s is %s", k, token, e)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestLogMessages(t *testing.T) {
	w := newWorld(t)
	p := w.legacy("alice", rev202506)
	call := func() int {
		n := 0
		for _, e := range p.call("1", "clear_thought", `{"operation":"steps"}`, "1").events {
			if strings.Contains(string(e), "notifications/message") {
				n++
			}
		}
		return n
	}
	if n := call(); n != 0 {
		t.Errorf("%d log messages before a level was set", n)
	}
	p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"warning"}}`)
	if n := call(); n != 1 {
		t.Errorf("%d log messages at warning, want 1", n)
	}
	p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"error"}}`)
	if n := call(); n != 0 {
		t.Errorf("%d log messages at error, want 0", n)
	}
	p = w.legacy("alice", rev202506)
	if n := call(); n != 0 {
		t.Error("the level of one session reached another")
	}
}

// hold starts a call that stays in its tool; it returns when it is there.
func (p *peer) hold(ctx context.Context) <-chan answer {
	out := make(chan answer, 1)
	meta, head := "", map[string]string{}
	if p.rev == rev2026 {
		meta = "," + strings.Replace(modernMeta, "%s", "", 1)
		head = map[string]string{headerMethod: "tools/call", headerName: "clear_thought"}
	}
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"hold","parameters":{"gate":"g"}}` + meta + `}}`
	go func() {
		defer close(out)
		req, err := http.NewRequestWithContext(ctx, "POST", p.w.http.URL+"/mcp", strings.NewReader(body))
		if err != nil {
			return
		}
		for k, v := range map[string]string{"Authorization": "Bearer " + p.who, "Content-Type": "application/json", headerSession: p.session, headerVersion: p.rev} {
			if v != "" {
				req.Header.Set(k, v)
			}
		}
		for k, v := range head {
			req.Header.Set(k, v)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		out <- answer{status: resp.StatusCode}
	}()
	<-p.w.gates.entered
	return out
}

func wait[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

func TestCancellation(t *testing.T) {
	w := newWorld(t)
	t.Run("modern: closing the response cancels", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w.modern("alice").hold(ctx)
		cancel()
		if err := wait(t, "the end", w.gates.ended); err == nil {
			t.Error("the tool was not canceled")
		}
	})
	t.Run("modern: a notification cancels nobody's call", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w.modern("alice").hold(ctx)
		p := w.modern("alice")
		if a := p.do("POST", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,`+strings.Replace(modernMeta, "%s", "", 1)+`}}`); a.status != 202 {
			t.Errorf("status %d", a.status)
		}
		select {
		case err := <-w.gates.ended:
			t.Errorf("the call ended with %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		cancel()
		wait(t, "the end", w.gates.ended)
	})
	t.Run("legacy: a lost connection does not cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w.legacy("alice", rev202511).hold(ctx)
		cancel()
		select {
		case err := <-w.gates.ended:
			t.Errorf("the call ended with %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		w.gates.leave <- struct{}{}
		if err := wait(t, "the end", w.gates.ended); err != nil {
			t.Errorf("the tool was canceled: %v", err)
		}
	})
	t.Run("legacy: the notification cancels, by session and by the id as written", func(t *testing.T) {
		p := w.legacy("alice", rev202511)
		out := p.hold(t.Context())
		note := func(q *peer, id string) {
			if a := q.do("POST", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":`+id+`,"reason":"enough"}}`); a.status != 202 {
				t.Errorf("status %d", a.status)
			}
		}
		note(p, `"1"`)                            // another id: a string
		note(w.legacy("alice", rev202511), `1`)   // the same id in another session of the same owner
		note(w.legacy("mallory", rev202511), `1`) // and in somebody else's
		note(p, `99`)                             // nothing there
		select {
		case err := <-w.gates.ended:
			t.Errorf("the call ended with %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		note(p, `1`)
		if err := wait(t, "the end", w.gates.ended); !errors.Is(err, job.ErrAbandoned) {
			t.Errorf("ended with %v", err)
		}
		if a := wait(t, "the answer", out); a.status != http.StatusNoContent {
			t.Errorf("status %d: a canceled request has no response", a.status)
		}
		note(p, `1`) // too late: harmless
	})
}

func TestStandingStreams(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *session.Config) { c.KeepAlive, c.MaxStreamsPerUser = 10*time.Millisecond, 2 })
	p := w.legacy("alice", rev202511)
	get := func(p *peer) (*http.Response, *bufio.Reader) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", w.http.URL+"/mcp", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+p.who)
		req.Header.Set("Accept", "text/event-stream")
		req.Header.Set(headerSession, p.session)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp, bufio.NewReader(resp.Body)
	}
	a, lines := get(p)
	defer a.Body.Close()
	for i, want := range []string{"id: ", "retry: 1000\n", "data:\n", "\n", ":\n"} {
		if line, err := lines.ReadString('\n'); err != nil || line != want && (i > 0 || !strings.HasPrefix(line, want)) {
			t.Errorf("line %d is %q, want %q (%v)", i, line, want, err)
		}
	}
	b, _ := get(p)
	defer b.Body.Close()
	c, _ := get(p)
	c.Body.Close()
	if c.StatusCode != http.StatusTooManyRequests || c.Header.Get("Retry-After") == "" {
		t.Errorf("a stream over the cap: %d", c.StatusCode)
	}
	if bob, _ := get(w.legacy("bob", rev202511)); bob.StatusCode != 200 {
		t.Errorf("bob's stream: %d", bob.StatusCode)
	} else {
		bob.Body.Close()
	}
	p.do("DELETE", "") // ends its streams
	ended := make(chan error, 1)
	go func() { _, err := lines.ReadString('x'); ended <- err }()
	if err := wait(t, "the end of the stream", ended); err == nil {
		t.Error("the stream went on")
	}
}

func TestListen(t *testing.T) {
	w := newWorld(t)
	meta := strings.Replace(modernMeta, "%s", "", 1)
	got := make(chan answer, 1)
	go func() {
		got <- w.modern("alice").do("POST", `{"jsonrpc":"2.0","id":"sub","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["x://foreign"]},`+meta+`}}`, header(headerMethod, "subscriptions/listen"))
	}()
	for deadline := time.Now().Add(10 * time.Second); w.server.Streams() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("no stream")
		}
		time.Sleep(time.Millisecond)
	}
	w.server.Drain(t.Context())
	a := wait(t, "the stream", got)
	if len(a.events) != 2 {
		t.Fatalf("%s", a.body)
	}
	if want := `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{},"_meta":{"io.modelcontextprotocol/subscriptionId":"sub"}}}`; string(a.events[0]) != want {
		t.Errorf("ack %s", a.events[0])
	}
	if want := `{"jsonrpc":"2.0","id":"sub","result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":"sub"}}}`; string(a.events[1]) != want {
		t.Errorf("end %s", a.events[1])
	}
}

func TestDrain(t *testing.T) {
	w := newWorld(t)
	p := w.modern("alice")
	out := p.hold(t.Context())
	drained := make(chan DrainReport, 1)
	go func() { drained <- w.server.Drain(t.Context()) }()
	for deadline := time.Now().Add(10 * time.Second); !w.server.draining.Load(); {
		if time.Now().After(deadline) {
			t.Fatal("not draining")
		}
		time.Sleep(time.Millisecond)
	}
	if a := p.call("2", "echo", `{}`, ""); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("new work while draining: %d", a.status)
	}
	w.gates.leave <- struct{}{}
	if a := wait(t, "the answer", out); a.status != 200 {
		t.Errorf("the call in flight: %d", a.status)
	}
	if r := wait(t, "the drain", drained); r.Jobs != 1 || r.Calls != 1 || r.Finished != 1 || r.Cut+r.Canceled != 0 {
		t.Errorf("%+v", r)
	}

	w = newWorld(t)
	w.modern("alice").hold(t.Context())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if r := w.server.Drain(ctx); r.Cut != 1 || r.Finished+r.Canceled != 0 {
		t.Errorf("%+v", r)
	}
	if err := wait(t, "the end", w.gates.ended); !errors.Is(err, job.ErrDraining) {
		t.Errorf("cut with %v", err)
	}
}

// A silent call turns into a stream with comments, and still ends with its
// answer.
func TestKeepAliveDuringCall(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *session.Config) { c.KeepAlive = 5 * time.Millisecond })
	got := make(chan answer, 1)
	go func() { got <- w.modern("alice").call("1", "clear_thought", `{"operation":"hold"}`, "") }()
	<-w.gates.entered
	time.Sleep(30 * time.Millisecond) // real time: comments go over a real socket
	w.gates.leave <- struct{}{}
	a := wait(t, "the answer", got)
	if !strings.HasPrefix(string(a.body), ":\n\n") || len(a.events) != 1 {
		t.Errorf("%q", a.body)
	}
}
