package load_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/app"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/load"
)

// log keeps the records of a server.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// start runs a whole server and returns it with the log that it writes.
func start(t *testing.T, perToken int) *app.App {
	t.Helper()
	cfg := config.Default()
	cfg.Dev, cfg.Addr, cfg.Data = true, "127.0.0.1:0", t.TempDir()
	cfg.Log.Level = "error"
	cfg.Limits.PerAddress, cfg.Limits.PerToken = 1e9, perToken
	records := new(log)
	a, err := app.New(t.Context(), cfg, app.Options{Log: records})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the server stopped with %v", err)
		}
		records.mu.Lock()
		defer records.mu.Unlock()
		if records.b.Len() > 0 {
			t.Errorf("the server logged errors: %s", records.b.Bytes())
		}
	})
	return a
}

func tokens(t *testing.T, a *app.App, subjects ...string) []string {
	t.Helper()
	var out []string
	for _, s := range subjects {
		token, err := a.Issuer().Token(devidp.TokenRequest{Sub: s})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, token)
	}
	return out
}

// Every built-in class is a good call of the real server, in both eras.
func TestAgainstTheServer(t *testing.T) {
	a := start(t, 1e9)
	for _, era := range []string{load.Era2025, load.Era2026} {
		var groups []load.Group
		for _, c := range load.Classes() {
			g := load.Group{Name: c.Name, Tokens: tokens(t, a, c.Name+"-1", c.Name+"-2"), Connections: 2, Mix: []load.Share{{Call: c, Weight: 1}}}
			if c.Name == "heavy" {
				g.Connections = 1
			}
			groups = append(groups, g)
		}
		r, err := load.Run(t.Context(), load.Plan{URL: a.URL() + "/mcp", Era: era, Groups: groups, Duration: 500 * time.Millisecond, Timeout: time.Minute, Progress: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range r.Phases[0].Groups {
			if g.Outcomes["ok"] == 0 || g.Outcomes["ok"] != g.Due {
				t.Errorf("%s %s: outcomes %v, %v", era, g.Name, g.Outcomes, g.Texts)
			}
			wantSessions := 0
			if era == load.Era2025 {
				wantSessions = g.Connections
			}
			if g.Sessions != wantSessions || g.Name == "heavy" && g.ProgressEvents == 0 {
				t.Errorf("%s %s: %d sessions, %d progress events", era, g.Name, g.Sessions, g.ProgressEvents)
			}
		}
		if r.Target.Revision != era {
			t.Errorf("%s: the server negotiated %s", era, r.Target.Revision)
		}
	}
}

// What the server refuses says when to come back, and the other token's calls
// are untouched.
func TestAgainstTheLimitsOfTheServer(t *testing.T) {
	const limit = 200
	a := start(t, limit)
	both := tokens(t, a, "greedy", "modest")
	light := []load.Share{{Call: load.Classes()[0], Weight: 1}}
	r, err := load.Run(t.Context(), load.Plan{URL: a.URL() + "/mcp", Duration: 2 * time.Second, Groups: []load.Group{
		{Name: "greedy", Tokens: both[:1], Connections: 16, Rate: 400, Mix: light},
		{Name: "modest", Tokens: both[1:], Connections: 4, Rate: 20, Mix: light},
	}})
	if err != nil {
		t.Fatal(err)
	}
	greedy, modest := r.Phases[0].Groups[0], r.Phases[0].Groups[1]
	if fmt.Sprint(greedy.Outcomes["ok"]) != fmt.Sprint(limit-greedy.Connections) || greedy.Outcomes["http_429"] == 0 ||
		greedy.Outcomes["http_429"]+greedy.Outcomes["ok"]+greedy.Outcomes["unsent"] != greedy.Due {
		t.Errorf("greedy: %v, want %d good answers less one for opening each connection, then 429", greedy.Outcomes, limit)
	}
	if len(greedy.Refusals) != 1 || greedy.Refusals[0].MissingRetryAfter != 0 || greedy.Refusals[0].RetryAfter != greedy.Outcomes["http_429"] {
		t.Errorf("greedy: refusals %+v", greedy.Refusals)
	}
	if modest.Outcomes["ok"] != modest.Due {
		t.Errorf("modest: %v", modest.Outcomes)
	}
}
