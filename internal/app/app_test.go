package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lyceum-mcp/lyceum/internal/app"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a whole server in development mode, on a port of its own.
type site struct {
	t    *testing.T
	app  *app.App
	http *http.Client
	stop context.CancelFunc
	done chan error
	log  *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t *testing.T, extra []tools.Tool, change ...func(*config.Config)) *site {
	t.Helper()
	cfg := config.Default()
	cfg.Dev, cfg.Addr, cfg.Data = true, "127.0.0.1:0", t.TempDir()
	cfg.Limits.PerAddress, cfg.Limits.PerToken = 1e9, 1e9
	for _, f := range change {
		f(cfg)
	}
	return startWith(t, cfg, app.Options{Extra: extra})
}

func startWith(t *testing.T, cfg *config.Config, o app.Options) *site {
	t.Helper()
	s := &site{t: t, log: &lockedBuffer{}, done: make(chan error, 1)}
	o.Log = s.log
	a, err := app.New(t.Context(), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	s.app = a
	s.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}, Timeout: time.Minute}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = sync.OnceFunc(cancel)
	go func() { s.done <- a.Run(ctx) }()
	t.Cleanup(func() {
		s.stop()
		if err := <-s.done; err != nil {
			t.Errorf("the server stopped with %v", err)
		}
		s.http.CloseIdleConnections()
	})
	return s
}

func (s *site) token(r devidp.TokenRequest) string {
	s.t.Helper()
	tok, err := s.app.Issuer().Token(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return tok
}

// user is somebody with a token, and a transport session if it has one.
type user struct {
	site    *site
	token   string
	session string
}

func (s *site) user(name string) *user {
	return &user{site: s, token: s.token(devidp.TokenRequest{Sub: name})}
}

func (u *user) do(method, path, body string, head ...string) (*http.Response, []byte) {
	req, err := http.NewRequestWithContext(context.Background(), method, u.site.app.URL()+path, strings.NewReader(body))
	if err != nil {
		u.site.t.Error(err)
		return &http.Response{}, nil
	}
	if u.token != "" {
		req.Header.Set("Authorization", "Bearer "+u.token)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if u.session != "" {
		req.Header.Set("Mcp-Session-Id", u.session)
	}
	for i := 0; i+1 < len(head); i += 2 {
		if req.Header.Set(head[i], head[i+1]); head[i] == "Host" {
			req.Host = head[i+1]
		}
	}
	resp, err := u.site.http.Do(req)
	if err != nil {
		u.site.t.Error(err)
		return &http.Response{Header: http.Header{}}, nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		u.site.t.Error(err)
	}
	return resp, b
}

const modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`

// call calls clear_thought: with a transport session if the user has one, as
// 2026-07-28 otherwise.
func (u *user) call(id, arguments string) (tools.Envelope, *http.Response) {
	body := `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"clear_thought","arguments":` + arguments
	var head []string
	if u.session == "" {
		body += "," + modernMeta
		head = []string{"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "clear_thought"}
	}
	resp, b := u.do("POST", "/mcp", body+"}}", head...)
	var r struct {
		ID     json.RawMessage `json:"id"`
		Result struct {
			Structured tools.Envelope `json:"structuredContent"`
		} `json:"result"`
	}
	if err := json.Unmarshal(b, &r); err != nil {
		u.site.t.Errorf("%d %s: %v", resp.StatusCode, b, err)
	}
	if resp.StatusCode == 200 && string(r.ID) != id {
		u.site.t.Errorf("answer to %s has the id %s", id, r.ID)
	}
	return r.Result.Structured, resp
}

func (u *user) initialize() {
	u.site.t.Helper()
	resp, b := u.do("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
	u.session = resp.Header.Get("Mcp-Session-Id")
	if u.session == "" {
		u.site.t.Fatalf("initialize: %d %s", resp.StatusCode, b)
	}
}

// Two principals on 64 connections, 2,000 mixed calls each, half of the
// connections in the era with sessions and half in the one without. No answer
// may cross, and each chain of thought must be exactly what its client sent.
func TestTwoPrincipalsAtOnce(t *testing.T) {
	s := start(t, nil)
	const connections, calls = 64, 2000
	var wg sync.WaitGroup
	for c := range connections {
		who := []string{"alice", "bob"}[c%2]
		u := s.user(who)
		if c%4 < 2 {
			u.initialize()
		}
		wg.Go(func() {
			handle, sent := "", 0
			for i := range calls * 2 / connections {
				name := fmt.Sprintf("%s-%d-%d", who, c, i)
				id := fmt.Sprintf("%q", name)
				arg := func(op, rest string) string {
					sid := ""
					if handle != "" {
						sid = `"sessionId":"` + handle + `",`
					}
					return `{"operation":"` + op + `",` + sid + rest + `}`
				}
				switch i % 4 {
				case 0, 1:
					sent++
					e, _ := u.call(id, arg("sequential_thinking", fmt.Sprintf(`"prompt":%q,"parameters":{"thoughtNumber":%d,"totalThoughts":%d,"nextThoughtNeeded":true}`, name, sent, sent)))
					if e.Error != nil || handle != "" && e.SessionID != handle {
						t.Errorf("%s: %+v", name, e.Error)
						return
					}
					handle = e.SessionID
				case 2:
					e, _ := u.call(id, arg("decision_framework", fmt.Sprintf(`"parameters":{"options":[{"name":%q,"attributes":{"x":1}},{"name":"other","attributes":{"x":0}}],"criteria":[{"name":"x","weight":1}],"seed":1}`, name)))
					if e.Error != nil || !strings.Contains(string(e.Result), name) {
						t.Errorf("%s: %+v %s", name, e.Error, e.Result)
						return
					}
				case 3:
					e, _ := u.call(id, arg("sequential_thinking", `"parameters":{"action":"read"}`))
					if e.Error != nil {
						t.Errorf("%s: %+v", name, e.Error)
						return
					}
				}
			}
			e, _ := u.call(`"end"`, `{"operation":"sequential_thinking","sessionId":"`+handle+`","parameters":{"action":"read"}}`)
			got := string(e.Result)
			if n := strings.Count(got, fmt.Sprintf(`%s-%d-`, who, c)); n != sent {
				t.Errorf("connection %d: its chain has %d of its %d thoughts: %.300s", c, n, sent, got)
			}
			for _, foreign := range []string{"alice", "bob"} {
				if n := strings.Count(got, foreign+"-"); foreign != who && n > 0 {
					t.Errorf("connection %d of %s sees %d thoughts of %s", c, who, n, foreign)
				}
			}
		})
	}
	wg.Wait()
}

// A server that is told to stop under load answers every call it took and exits
// in order.
func TestStopUnderLoad(t *testing.T) {
	entered := make(chan struct{}, 1000)
	slow := tools.Define(tools.Spec{
		Name: "slow", Family: "test", Title: "Slow", Summary: "Takes a while.", Scope: policy.Reason, Lane: work.Interactive, Method: "none",
		Examples: []tools.Example{{Title: "x", Arguments: `{"operation":"slow"}`}},
	}, func(ctx context.Context, c *tools.Call, _ struct{}) (struct{}, error) {
		entered <- struct{}{}
		end := time.Now().Add(20 * time.Millisecond)
		for m := c.Meter(ctx); time.Now().Before(end) && m.Step(64); {
		}
		return struct{}{}, ctx.Err()
	})
	s := start(t, []tools.Tool{slow})
	var wg sync.WaitGroup
	var mu sync.Mutex
	outcomes := map[int]int{}
	halt := make(chan struct{})
	for c := range 16 {
		u := s.user(fmt.Sprintf("user-%d", c))
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-halt:
					return
				default:
				}
				req, _ := http.NewRequest("POST", s.app.URL()+"/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"slow"},`+modernMeta+`}}`))
				for k, v := range map[string]string{"Authorization": "Bearer " + u.token, "Content-Type": "application/json", "Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "clear_thought"} {
					req.Header.Set(k, v)
				}
				resp, err := s.http.Do(req)
				status := -1 // refused at the socket: the listener is closed
				if err == nil {
					b, readErr := io.ReadAll(resp.Body)
					resp.Body.Close()
					status = resp.StatusCode
					if readErr != nil || status == 200 && !bytes.Contains(b, []byte(`"result":{}`)) {
						status = -2 // taken, and not answered
					}
				} else if strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), "reset") {
					status = -3
				}
				mu.Lock()
				outcomes[status]++
				mu.Unlock()
				if status < 0 {
					return
				}
			}
		})
	}
	for range 100 {
		<-entered
	}
	s.stop()
	err := <-s.done
	s.done <- err
	close(halt)
	wg.Wait()
	if err != nil {
		t.Errorf("the server stopped with %v", err)
	}
	if outcomes[-2] != 0 || outcomes[200] == 0 {
		t.Errorf("outcomes by status: %v; no call that was taken may go unanswered", outcomes)
	}
	for status := range outcomes {
		if status != 200 && status != 503 && status >= 0 {
			t.Errorf("unexpected status %d: %v", status, outcomes)
		}
	}
	if !strings.Contains(s.log.String(), `"msg":"drained"`) || !strings.Contains(s.log.String(), `"jobs_cut":0`) {
		t.Errorf("no record of the drain: %s", s.log)
	}
}
