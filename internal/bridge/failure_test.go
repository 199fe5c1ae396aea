package bridge

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Each way a login fails is said once, on a line of its own, and to the host.
func TestLoginFails(t *testing.T) {
	drop := func(name string) func(url.Values) { return func(q url.Values) { q.Del(name) } }
	set := func(pairs ...string) func(url.Values) {
		return func(q url.Values) {
			for i := 0; i < len(pairs); i += 2 {
				q.Set(pairs[i], pairs[i+1])
			}
		}
	}
	tests := []struct {
		name   string
		change func(*authority)
		want   string
	}{
		{"denied", func(a *authority) { a.redirect = set("error", "access_denied", "error_description", "not today") }, `the login was denied: "not today"`},
		{"the server fails", func(a *authority) { a.redirect = set("error", "server_error", "error_description", "oh\nno") }, `the authorization server could not do it: "server_error" "oh\nno"`},
		{"no code", func(a *authority) { a.redirect = drop("code") }, "the answer has no code"},
		{"another issuer", func(a *authority) { a.redirect = set("iss", "https://evil.example") }, `the answer is from "https://evil.example": want`},
		{"no issuer where one was promised", func(a *authority) { a.redirect = drop("iss") }, `the answer is from "": want`},
		{"an error of another issuer", func(a *authority) { a.redirect = set("iss", "https://evil.example", "error", "access_denied") }, "the answer is from"},
		{"a wrong state", func(a *authority) { a.redirect = set("state", "wrong") }, "nobody logged in within"},
		{"no PKCE", func(a *authority) { a.metadata = map[string]any{"code_challenge_methods_supported": []string{"plain"}} }, "it does not offer PKCE with S256"},
		{"nothing about PKCE", func(a *authority) { a.metadata = map[string]any{"code_challenge_methods_supported": nil} }, "it does not offer PKCE with S256"},
		{"metadata of another issuer", func(a *authority) { a.metadata = map[string]any{"issuer": "https://evil.example"} }, `is the metadata of "https://evil.example": want`},
		{"another resource", func(a *authority) { a.resource = "https://evil.example/mcp" }, `the server calls itself "https://evil.example/mcp"`},
		{"a longer resource", func(a *authority) { a.resource = a.URL + "/mcp/more" }, "the server calls itself"},
		{"a token endpoint in the clear", func(a *authority) { a.metadata = map[string]any{"token_endpoint": "http://example.com/token"} }, "want https"},
		{"the code is refused", func(a *authority) { a.refuse = "invalid_grant" }, `exchange the code: the authorization server answered "invalid_grant" "for a test"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t)
			tt.change(a)
			var out bytes.Buffer
			log := a.exchange(t, strings.NewReader(pingLine), &out, Login{CacheDir: t.TempDir(), Open: a.open, Wait: 500 * time.Millisecond})
			if !strings.Contains(out.String(), `"error"`) || len(a.tokens) != 0 {
				t.Errorf("%s", out.String())
			}
			lines := 0
			for line := range strings.Lines(log) {
				if strings.HasPrefix(line, "lyceum stdio: no login: ") && strings.Contains(line, tt.want) {
					lines++
				}
			}
			if lines != 1 || strings.Contains(log, "logged in,") {
				t.Errorf("%d lines say %q:\n%s", lines, tt.want, log)
			}
			if tt.name == "a wrong state" && strings.Count(log, "an answer with a wrong state came") != 1 {
				t.Errorf("nothing of the state:\n%s", log)
			}
		})
	}
}

// An issuer that does not announce RFC 9207 may leave itself out of its answer; the
// resource may be the whole origin of the endpoint.
func TestLoginWithLess(t *testing.T) {
	a := newAuthority(t)
	a.resource = a.URL
	a.metadata = map[string]any{"authorization_response_iss_parameter_supported": nil}
	a.redirect = func(q url.Values) { q.Del("iss") }
	if out, log := a.visit(t, Login{CacheDir: t.TempDir(), Open: a.open}); !strings.Contains(out, `"result"`) || a.asked[0].Get("resource") != a.URL {
		t.Errorf("%s\n%s", out, log)
	}
}

// A server that moved to another issuer is logged in to there: nothing of the old
// login is of use, and the old issuer's refresh token least of all.
func TestServerMovedToAnotherIssuer(t *testing.T) {
	a, b := newAuthority(t), newAuthority(t)
	login := Login{CacheDir: t.TempDir(), Open: a.open}
	if out, log := a.visit(t, login); !strings.Contains(out, `"result"`) {
		t.Fatalf("%s\n%s", out, log)
	}
	a.mu.Lock()
	a.tokens = map[string]string{}
	a.mu.Unlock()
	// The same endpoint now says that b is its issuer.
	old := a.Config.Handler
	a.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == metaPath {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"resource":"` + a.URL + `/mcp","authorization_servers":["` + b.URL + `"]}`))
			return
		}
		old.ServeHTTP(w, r)
	})
	b.resource = "any"
	out, log := a.visit(t, login)
	a.users.Wait()
	if len(b.clients) != 1 || len(b.asked) != 1 || b.asked[0].Get("client_id") != b.clients[0] || len(a.forms) != 1 {
		t.Errorf("%s: %d clients, %v, %d requests for tokens of the old issuer\n%s", out, len(b.clients), b.asked, len(a.forms), log)
	}
}

// A server without any metadata is logged in to as 2025-03-26 had it, if it takes a
// registration there; otherwise the message says what to do.
func TestServerWithoutMetadata(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/mcp" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer srv.Close()
	a := &authority{Server: srv}
	out, log := a.visit(t, Login{CacheDir: t.TempDir()})
	if !strings.Contains(out, "give it a token with --token") || strings.Contains(log, "Open this page") {
		t.Errorf("%s\n%s", out, log)
	}
}
