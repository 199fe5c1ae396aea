package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/audit"
)

var audited = flag.Int("audited", 20_000, "calls that TestAuditSurvivesKill has answered before it kills the server")

// A server that is killed in the middle of many calls has recorded every one that
// was answered, by policy: always on the disk, and the log is whole.
func TestAuditSurvivesKill(t *testing.T) {
	data := t.TempDir()
	flags := []string{"--audit-fsync", "always", "--limits-per-token", "1000000000", "--limits-per-address", "1000000000", "--log-level", "error"}
	p := serveIn(t, data, flags...)
	token, endpoint := p.token("--sub", "alice"), p.url+"/mcp"

	const callers = 64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	defer client.CloseIdleConnections()
	answered := make([][]string, callers) // request ids, each of one goroutine
	var total atomic.Int64
	var killed atomic.Bool
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for {
				id, err := callOnce(client, endpoint, token)
				if err != nil {
					if !killed.Load() && total.Load() < int64(*audited) {
						t.Errorf("a call before the kill: %v", err)
					}
					return
				}
				answered[i] = append(answered[i], id)
				total.Add(1)
			}
		})
	}
	begin := time.Now()
	for deadline := begin.Add(10 * time.Minute); total.Load() < int64(*audited); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) || t.Failed() {
			break
		}
	}
	killed.Store(true)
	p.kill()
	wg.Wait()
	t.Logf("%d calls were answered in %v", total.Load(), time.Since(begin))

	verify := func(want ...string) {
		t.Helper()
		out, err := lyceum("audit", "verify", filepath.Join(data, "audit"))
		if err != nil {
			t.Errorf("verify: %v\n%s", err, out)
		}
		wantIn(t, "verify", out, append(want, "intact:")...)
	}
	verify()
	found := map[string]int{}
	for e, err := range audit.Query(context.Background(), filepath.Join(data, "audit"), audit.Filter{Kind: audit.Call}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Operation != "session_list" || e.Subject != "alice" || e.Outcome != audit.OK || e.Digest == "" {
			t.Fatalf("recorded %s", e.Line)
		}
		found[e.RequestID]++
	}
	missing := 0
	for _, ids := range answered {
		for _, id := range ids {
			if found[id] != 1 {
				missing++
			}
		}
	}
	if missing > 0 || total.Load() < int64(*audited) {
		t.Errorf("%d of %d answered calls have no record", missing, total.Load())
	}
	// The next process goes on with the same chain and seals it when it stops.
	p = serveIn(t, data, flags...)
	p.call(token, "session_create", `{}`)
	if code := p.stop(); code != 0 {
		t.Errorf("exit status %d\n%s", code, p.stderr)
	}
	verify()
	if out, err := lyceum("audit", "verify", "--sealed", filepath.Join(data, "audit")); err != nil {
		t.Errorf("sealed: %v\n%s", err, out)
	}
}

// callOnce calls an operation that computes nothing, and returns the id of the
// request.
func callOnce(client *http.Client, endpoint, token string) (string, error) {
	const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"session_list","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
		`"io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, endpoint, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer " + token, "Content-Type": "application/json", "Accept": "application/json",
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "session_list",
	} {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || bytes.Contains(b, []byte(`"isError"`))) {
		err = fmt.Errorf("%d %s", resp.StatusCode, b)
	}
	return resp.Header.Get("X-Request-Id"), err
}

// request sends one request, whatever comes of it, and returns the status.
func (p *proc) request(method, path, token, body string, head ...string) int {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i+1 < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// Whatever matters to somebody who asks later who did what is found with lyceum
// audit query.
func TestAuditQuery(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "lyceum.yaml")
	settings := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fixed := "limits:\n  operations: [{operation: mcts, owner_rate: 1, owner_burst: 1}]\nsessions:\n  max_per_owner: 2\njobs:\n  inline_limit: 100ms\n"
	settings(fixed)
	p := serve(t, "--config", file)
	log := filepath.Join(p.data, "audit")
	alice, bob, olga := p.token("--sub", "alice"), p.token("--sub", "bob"), p.token("--sub", "olga", "--scope", "admin.write")

	id := text(t, p.call(alice, "session_create", `{"name":"plan"}`), "result", "sessionId")
	p.call(alice, "session_share", `{"subject":"bob","access":"read"}`, "--session", id)
	p.call(alice, "session_unshare", `{"subject":"bob"}`, "--session", id)
	for range 2 {
		_, _ = lyceum("call", "mcts", "--json", `{"action":"list"}`, "--session", id, "--url", p.url+"/mcp", "--token", bob)
	}
	p.call(alice, "session_create", `{}`)
	p.call(alice, "session_create", `{}`) // the first makes room
	if got := p.request("POST", "/mcp", "lies", "{}"); got != 401 {
		t.Errorf("a bad token: %d", got)
	}
	if got := p.request("GET", "/api/v1/sessions", alice, ""); got != 403 {
		t.Errorf("a token without the scope: %d", got)
	}
	for _, body := range []string{`{"tenant":"dev","subject":"bob"}`, `{"tenant":"dev","subject":"alice"}`} {
		if got := p.request("POST", "/api/v1/purge", olga, body); got != 200 {
			t.Errorf("purge: %d", got)
		}
	}
	deny := fmt.Sprintf(`{"issuer":%q,"sub":"mallory","reason":"stolen laptop"}`, p.url+"/dev/idp")
	if got := p.request("POST", "/api/v1/deny", olga, deny); got != 201 {
		t.Errorf("deny: %d", got)
	}
	if got := p.request("GET", "/api/v1/backup", olga, ""); got != 200 {
		t.Errorf("backup: %d", got)
	}
	if got := p.request("POST", "/auth/backchannel-logout", "", url.Values{"logout_token": {"lies"}}.Encode(), "Content-Type", "application/x-www-form-urlencoded"); got != 400 {
		t.Errorf("a bad logout token: %d", got)
	}
	settings(fixed + "work:\n  max_queued: 777\n")
	p.reload(`"changed":["work.max_queued"]`)
	settings("work:\n  max_queued: none\n")
	p.reload(`"msg":"the settings are as they were`)

	find := func(flags ...string) []map[string]any {
		t.Helper()
		out, err := lyceum(append([]string{"audit", "query", log}, flags...)...)
		if err != nil {
			t.Fatalf("query %v: %v %s", flags, err, out)
		}
		var all []map[string]any
		for line := range strings.Lines(out) {
			var r map[string]any
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			all = append(all, r)
		}
		return all
	}
	check := func(name string, flags []string, want map[string]any) {
		t.Helper()
		for _, r := range find(flags...) {
			good := true
			for key, v := range want {
				got := fmt.Sprint(r[key])
				if part, is := strings.CutPrefix(fmt.Sprint(v), "*"); is {
					good = good && strings.Contains(got, part)
				} else {
					good = good && got == v
				}
			}
			if good {
				return
			}
		}
		t.Errorf("%s: %v finds no %v in %v", name, flags, want, find())
	}
	// Records are written a little after the fact; a query finds what was.
	for deadline := time.Now().Add(10 * time.Second); len(find("--kind", "config_reload")) < 2 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
	}
	for _, tt := range []struct {
		name  string
		flags []string
		want  map[string]any
	}{
		{"the start", []string{"--kind", "start"}, map[string]any{"outcome": "ok", "reason": "*127.0.0.1:"}},
		{"a call", []string{"--kind", "call", "--operation", "session_create"}, map[string]any{"subject": "alice", "decision": "allow", "outcome": "ok", "args": "*sha256:", "address": "127.0.0.1"}},
		{"a call by its session", []string{"--session", id, "--operation", "session_share"}, map[string]any{"kind": "call", "subject": "alice"}},
		{"an opening by its session", []string{"--session", id, "--kind", "session"}, map[string]any{"action": "opened", "subject": "alice", "operation": "reasoning"}},
		{"a grant", []string{"--session", id, "--kind", "session"}, map[string]any{"action": "granted", "code": "read", "reason": "*bob of "}},
		{"its end", []string{"--session", id, "--kind", "session"}, map[string]any{"action": "revoked", "reason": "*bob of "}},
		{"an eviction", []string{"--session", id, "--code", "owner_cap"}, map[string]any{"action": "evicted", "subject": "alice"}},
		{"a foreign session", []string{"--kind", "call", "--subject", "bob"}, map[string]any{"outcome": "not_found", "code": "session_unavailable", "operation": "mcts"}},
		{"a limit", []string{"--kind", "limited"}, map[string]any{"subject": "bob", "operation": "mcts", "decision": "deny", "outcome": "rate_limited"}},
		{"a refused login", []string{"--kind", "auth_failure", "--code", "invalid_token"}, map[string]any{"decision": "deny", "address": "127.0.0.1"}},
		{"a refused logout", []string{"--kind", "auth_failure"}, map[string]any{"action": "logout", "decision": "deny"}},
		{"a denied scope", []string{"--kind", "denied"}, map[string]any{"subject": "alice", "code": "insufficient_scope", "decision": "deny"}},
		{"a purge", []string{"--kind", "admin", "--subject", "olga"}, map[string]any{"action": "purge", "reason": "*subject alice of tenant dev, any issuer: 2 sessions"}},
		{"an end by an operator", []string{"--kind", "session", "--code", "operator"}, map[string]any{"action": "ended", "subject": "alice"}},
		{"a denial", []string{"--kind", "admin"}, map[string]any{"action": "deny", "reason": "*subject mallory: stolen laptop"}},
		{"a backup", []string{"--kind", "admin"}, map[string]any{"action": "backup", "outcome": "ok"}},
		{"a reload", []string{"--kind", "config_reload"}, map[string]any{"outcome": "ok", "reason": "changed: work.max_queued; need a restart: none"}},
		{"a reload that failed", []string{"--kind", "config_reload"}, map[string]any{"outcome": "invalid", "reason": "*max_queued"}},
	} {
		t.Run(tt.name, func(t *testing.T) { check(tt.name, tt.flags, tt.want) })
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	check("the drain", []string{"--kind", "drain"}, map[string]any{"action": "done"})
	check("the stop", []string{"--kind", "stop"}, map[string]any{"outcome": "ok"})
	out, err := lyceum("audit", "verify", "--sealed", log)
	if err != nil || strings.Contains(out, id) {
		t.Errorf("verify: %v %s", err, out)
	}
	for _, name := range mustGlob(t, filepath.Join(log, "*.jsonl")) {
		raw, err := os.ReadFile(name)
		if err != nil || bytes.Contains(raw, []byte(id)) {
			t.Errorf("%s holds the handle of a session (%v)", name, err)
		}
	}
}

// reload makes the server read its settings again and waits for what it says.
func (p *proc) reload(want string) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		p.t.Fatal(err)
	}
	p.wantLog(want)
}
