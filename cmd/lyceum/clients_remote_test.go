package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startRemote starts mcp-remote, which speaks MCP on stdin and stdout and with the
// server over HTTP.
func (p *proc) startRemote(env []string, args ...string) *host {
	p.t.Helper()
	args = append([]string{"node_modules/mcp-remote/dist/proxy.js", p.url + "/mcp"}, args...)
	return startClient(p.t, nodeCommand(p.t, env, args...))
}

// startClient starts a program that is spoken to like a server over stdio.
func startClient(t *testing.T, cmd *exec.Cmd) *host {
	t.Helper()
	h := &host{t: t, err: &syncBuffer{}, cmd: cmd}
	h.cmd.Stderr = h.err
	var err error
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.out = bufio.NewScanner(out)
	h.out.Buffer(nil, 8<<20)
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return h
}

// result sends a request and returns its result.
func (h *host) result(id int, method, params string) json.RawMessage {
	h.t.Helper()
	h.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, id, method, params))
	for {
		m := h.next()
		if string(m.ID) != strconv.Itoa(id) {
			continue
		}
		if m.Error != nil {
			h.t.Fatalf("%s: %+v\n%s", method, m.Error, h.err)
		}
		return m.Result
	}
}

// converse uses the server through the bridge, ends it, and returns a session that
// it opened.
func (h *host) converse() (session string) {
	h.t.Helper()
	began := h.result(1, "initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"host","version":"1"}}`)
	if !strings.Contains(string(began), `"protocolVersion":"2025-11-25"`) || !strings.Contains(string(began), `"name":"lyceum"`) {
		h.t.Errorf("initialize: %s", began)
	}
	h.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	var list struct{ Tools []struct{ Name string } }
	if err := json.Unmarshal(h.result(2, "tools/list", `{}`), &list); err != nil || len(list.Tools) != 8 || list.Tools[0].Name != "clear_thought" {
		h.t.Errorf("tools/list: %v, %v", err, list)
	}
	var created, called struct {
		IsError           bool
		Content           []struct{ Text string }
		StructuredContent struct {
			Result struct {
				SessionID string
				Summary   struct{ Mean float64 }
			}
		}
	}
	if err := json.Unmarshal(h.result(3, "tools/call", `{"name":"session_create","arguments":{"name":"mine"}}`), &created); err != nil || created.IsError {
		h.t.Fatalf("session_create: %v, %v", err, created)
	}
	raw := h.result(4, "tools/call", `{"name":"clear_thought","arguments":{"operation":"statistical_reasoning","parameters":{"mode":"summary","data":[1,2,3,4]}}}`)
	if err := json.Unmarshal(raw, &called); err != nil || called.IsError || len(called.Content) != 1 || !strings.Contains(called.Content[0].Text, `"mean":2.5`) {
		h.t.Errorf("statistical_reasoning: %v, %s", err, raw)
	}
	if guide := h.result(5, "resources/read", `{"uri":"lyceum://guide"}`); !strings.Contains(string(guide), "# Lyceum") {
		h.t.Errorf("resources/read: %s", guide)
	}
	h.end()
	if log := loggedRefusal.ReplaceAllString(h.err.String(), ""); stackTrace.MatchString(log) {
		h.t.Errorf("a stack trace:\n%s", log)
	}
	return created.StructuredContent.Result.SessionID
}

// browserDelay is how long a person takes at least: mcp-remote opens the browser
// before it listens for the answer.
const browserDelay = 1200 * time.Millisecond

// loggedRefusal is how mcp-remote tells that it has to log in again: with the place
// in its own source.
var loggedRefusal = regexp.MustCompile(`Error from remote server: UnauthorizedError: Unauthorized\n(\s+at .*\n)+`)

const modernUpstream = "Remote server speaks MCP 2026-07-28"

// mcp-remote with a token, and as a client with a secret, in both eras.
func TestRemoteBridge(t *testing.T) {
	t.Parallel()
	p := serve(t)
	for _, protocol := range []string{"legacy", "auto"} {
		t.Run(protocol+" token", func(t *testing.T) {
			t.Parallel()
			p := p.in(t)
			h := p.startRemote(nil, "--header", "Authorization: Bearer "+p.token("--sub", "alice"), "--protocol", protocol)
			p.wantOwner(h.converse(), "alice")
			if modern := strings.Contains(h.err.String(), modernUpstream); modern != (protocol == "auto") {
				t.Errorf("2026-07-28 with the server: %v\n%s", modern, h.err)
			}
		})
	}
	t.Run("credentials", func(t *testing.T) {
		t.Parallel()
		p := p.in(t)
		id, secret := p.registered(`{"grant_types":["client_credentials"]}`)
		info, err := json.Marshal(map[string]string{"client_id": id, "client_secret": secret})
		if err != nil {
			t.Fatal(err)
		}
		mine := p.startRemote(nil, "--client-credentials", "--static-oauth-client-info", string(info)).converse()
		if list := p.call(p.token("--sub", id), "session_list", `{}`); !strings.Contains(list, mine) {
			t.Errorf("the client's own sessions: %s", list)
		}
	})
}

// mcp-remote logs in in a browser, and uses the login again, refreshed.
func TestRemoteBridgeLogin(t *testing.T) {
	t.Parallel()
	document, certificate := clientSite(t)
	p := serveTrusting(t, certificate)
	start := func(p *proc, b *browser, home string, port int, args ...string) *host {
		p.t.Helper()
		return p.startRemote(append(b.env, "HOME="+home), append([]string{strconv.Itoa(port), "--host", "127.0.0.1"}, args...)...)
	}
	t.Run("registers and refreshes", func(t *testing.T) {
		t.Parallel()
		p := p.in(t)
		b, home := newBrowser(t, browserDelay, visit{User: "carol", TTL: 2}), t.TempDir()
		port := freePort(t) // another one would be another client, and another login
		p.wantOwner(start(p, b, home, port).converse(), "carol")
		old := storedToken(t, home)
		p.soonExpired(old)
		h := start(p, b, home, port, "--protocol", "auto")
		p.wantOwner(h.converse(), "carol")
		if !strings.Contains(h.err.String(), modernUpstream) {
			t.Errorf("not 2026-07-28 with the server:\n%s", h.err)
		}
		if pages := b.pages(); len(pages) != 1 || !strings.Contains(pages[0].Page, "scope=reason&") {
			t.Errorf("logins: %+v", pages)
		}
		if storedToken(t, home) == old {
			t.Error("the token was not refreshed")
		}
	})
	t.Run("document", func(t *testing.T) {
		t.Parallel()
		p := p.in(t)
		b := newBrowser(t, browserDelay, visit{User: "alice"})
		p.wantOwner(start(p, b, t.TempDir(), freePort(t), "--client-metadata-url", document).converse(), "alice")
		if pages := b.pages(); len(pages) != 1 || !strings.Contains(pages[0].Page, "client.json") {
			t.Errorf("logins: %+v", pages)
		}
	})
	for _, protocol := range []string{"legacy", "auto"} {
		t.Run("step-up "+protocol, func(t *testing.T) {
			t.Parallel()
			p := p.in(t)
			b := newBrowser(t, browserDelay, visit{User: "bob", Scope: "code"}, visit{User: "bob"})
			p.wantOwner(start(p, b, t.TempDir(), freePort(t), "--protocol", protocol).converse(), "bob")
			if pages := b.pages(); len(pages) != 2 {
				t.Errorf("logins: %+v", pages)
			}
		})
	}
}

// storedToken returns the access token that mcp-remote keeps.
func storedToken(t *testing.T, home string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(home, ".mcp-auth", "*", "*_tokens.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("stored logins: %v, %v", files, err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var stored struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(raw, &stored); err != nil || stored.Token == "" {
		t.Fatalf("the stored login: %v\n%s", err, raw)
	}
	return stored.Token
}

// soonExpired waits until the server takes a token no longer.
func (p *proc) soonExpired(token string) {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+"/mcp", nil)
		if err != nil {
			p.t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			p.t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusUnauthorized {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("the token is still good: status %d", resp.StatusCode)
		}
	}
}
