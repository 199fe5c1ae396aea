package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
)

const ping = `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{` + modernMeta + `}}`

var discover = []string{"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "server/discover"}

// Everything that is turned away at the door, and how.
func TestDoor(t *testing.T) {
	s := start(t, nil)
	good := s.token(devidp.TokenRequest{Sub: "alice"})
	forge := func(header, claims map[string]any) string {
		tok, err := s.app.Issuer().Forge(header, claims)
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	metadata := fmt.Sprintf(`resource_metadata="%s/.well-known/oauth-protected-resource/mcp"`, s.app.URL())
	tests := []struct {
		name      string
		method    string
		path      string
		auth      string
		body      string
		head      []string
		status    int
		challenge string // a part of WWW-Authenticate
		text      string // a part of the body
	}{
		{"good", "POST", "/mcp", "Bearer " + good, ping, nil, 200, "", "supportedVersions"},
		{"scheme in another case", "POST", "/mcp", "bEARER " + good, ping, nil, 200, "", ""},
		{"no token", "POST", "/mcp", "", ping, nil, 401, `Bearer realm="lyceum", scope="reason", ` + metadata, "bearer token"},
		{"another scheme", "POST", "/mcp", "Basic YTpi", ping, nil, 401, `Bearer realm="lyceum", scope=`, ""},
		{"garbage", "POST", "/mcp", "Bearer abc", ping, nil, 401, `error="invalid_token"`, "not valid"},
		{"empty token", "POST", "/mcp", "Bearer ", ping, nil, 400, `error="invalid_request"`, ""},
		{"two tokens in one", "POST", "/mcp", "Bearer " + good + ", Bearer " + good, ping, nil, 400, `error="invalid_request"`, ""},
		{"huge token", "POST", "/mcp", "Bearer " + strings.Repeat("a", 17<<10), ping, nil, 400, `error="invalid_request"`, ""},
		{"token in the query", "POST", "/mcp?access_token=" + good, "", ping, nil, 400, `error="invalid_request"`, ""},
		{"wrong audience", "POST", "/mcp", "Bearer " + forge(nil, map[string]any{"aud": "https://elsewhere.example/mcp"}), ping, nil, 401, `error="invalid_token"`, ""},
		{"no audience", "POST", "/mcp", "Bearer " + forge(nil, map[string]any{"aud": nil}), ping, nil, 401, `error="invalid_token"`, ""},
		{"another issuer", "POST", "/mcp", "Bearer " + forge(nil, map[string]any{"iss": "https://evil.example"}), ping, nil, 401, `error="invalid_token"`, ""},
		{"expired", "POST", "/mcp", "Bearer " + forge(nil, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}), ping, nil, 401, `error="invalid_token"`, "expired"},
		{"alg none", "POST", "/mcp", "Bearer " + forge(map[string]any{"alg": "none"}, nil), ping, nil, 401, `error="invalid_token"`, ""},
		{"HS256 with the public key", "POST", "/mcp", "Bearer " + forge(map[string]any{"alg": "HS256"}, nil), ping, nil, 401, `error="invalid_token"`, ""},
		{"an ID token", "POST", "/mcp", "Bearer " + forge(map[string]any{"typ": "JWT"}, map[string]any{"nonce": "n"}), ping, nil, 401, `error="invalid_token"`, ""},
		{"foreign origin", "POST", "/mcp", "Bearer " + good, ping, []string{"Origin", "https://evil.example"}, 403, "", "web origin"},
		{"null origin", "POST", "/mcp", "Bearer " + good, ping, []string{"Origin", "null"}, 403, "", "web origin"},
		{"own origin", "POST", "/mcp", "Bearer " + good, ping, []string{"Origin", s.app.URL()}, 200, "", ""},
		{"foreign host", "POST", "/mcp", "Bearer " + good, ping, []string{"Host", "evil.example"}, 403, "", "host name"},
		{"foreign host without a token", "POST", "/mcp", "", ping, []string{"Host", "evil.example"}, 403, "", ""},
		{"a probe by address", "GET", "/readyz", "", "", []string{"Host", "10.1.2.3:8383"}, 200, "", "ready"},
		{"oversize", "POST", "/mcp", "Bearer " + good, strings.Repeat(" ", 1<<20) + ping, nil, 413, "", "limit is 1048576"},
		{"no such path", "GET", "/nothing", "", "", nil, 404, "", `"type":"about:blank"`},
		{"wrong method on a route", "POST", "/healthz", "", "", nil, 405, "", "does not take that method"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			head := append(append([]string{}, discover...), tt.head...)
			if tt.auth != "" {
				head = append(head, "Authorization", tt.auth)
			}
			u := &user{site: s}
			resp, body := u.do(tt.method, tt.path, tt.body, head...)
			if resp.StatusCode != tt.status || !strings.Contains(string(body), tt.text) {
				t.Errorf("%d %s, want %d with %q", resp.StatusCode, body, tt.status, tt.text)
			}
			if c := resp.Header.Get("WWW-Authenticate"); !strings.Contains(c, tt.challenge) || (tt.challenge == "") != (c == "") {
				t.Errorf("challenge %q, want one with %q", c, tt.challenge)
			}
			if resp.Header.Get("X-Request-Id") == "" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers are missing: %v", resp.Header)
			}
			if tt.status >= 400 && tt.path == "/mcp" {
				var rpc struct {
					JSONRPC string `json:"jsonrpc"`
					Error   struct {
						Code int `json:"code"`
					} `json:"error"`
				}
				if json.Unmarshal(body, &rpc) != nil || rpc.JSONRPC != "2.0" || rpc.Error.Code == 0 {
					t.Errorf("not a JSON-RPC error: %s", body)
				}
			}
			if tt.auth != "" && strings.Contains(s.log.String(), strings.TrimPrefix(tt.auth, "Bearer ")) && len(tt.auth) > 20 {
				t.Error("the token is in the log")
			}
		})
	}
}

func TestStepUpChallenge(t *testing.T) {
	s := start(t, nil)
	u := &user{site: s, token: s.token(devidp.TokenRequest{Sub: "alice", Scope: "code"})}
	_, resp := u.call("1", `{"operation":"sequential_thinking","prompt":"x"}`)
	want := fmt.Sprintf(`Bearer realm="lyceum", error="insufficient_scope", error_description="this needs the scope reason", scope="reason", resource_metadata="%s/.well-known/oauth-protected-resource/mcp"`, s.app.URL())
	if resp.StatusCode != 403 || resp.Header.Get("WWW-Authenticate") != want {
		t.Errorf("%d %s\nwant %s", resp.StatusCode, resp.Header.Get("WWW-Authenticate"), want)
	}
}

func TestRateLimits(t *testing.T) {
	s := start(t, nil, func(c *config.Config) { c.Limits.PerToken, c.Limits.PerAddress, c.Limits.Window = 5, 12, time.Minute })
	try := func(u *user) *http.Response {
		resp, _ := u.do("POST", "/mcp", ping, discover...)
		return resp
	}
	alice, bob := s.user("alice"), s.user("bob")
	for i := range 5 {
		if r := try(alice); r.StatusCode != 200 {
			t.Fatalf("call %d: %d", i, r.StatusCode)
		}
	}
	r := try(alice)
	if r.StatusCode != 429 || r.Header.Get("Retry-After") == "" || r.Header.Get("RateLimit") != `"token";r=0;t=60` || r.Header.Get("RateLimit-Policy") != `"token";q=5;w=60` {
		t.Errorf("over the token's limit: %d %v", r.StatusCode, r.Header)
	}
	for i := range 5 {
		if r := try(bob); r.StatusCode != 200 {
			t.Fatalf("bob's call %d: %d", i, r.StatusCode)
		}
	}
	try(s.user("carol"))
	if r := try(s.user("dave")); r.StatusCode != 429 || !strings.HasPrefix(r.Header.Get("RateLimit"), `"address"`) {
		t.Errorf("over the address's limit: %d %v", r.StatusCode, r.Header)
	}
}

func TestMetadataAndHealth(t *testing.T) {
	s := start(t, nil)
	u := &user{site: s}
	want := fmt.Sprintf(`{"resource":"%[1]s/mcp","authorization_servers":["%[1]s/dev/idp"],"scopes_supported":["reason"],"bearer_methods_supported":["header"],"dpop_signing_alg_values_supported":["ES256","ES384","EdDSA"],"resource_name":"Lyceum"}`, s.app.URL())
	for _, path := range []string{"/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"} {
		resp, body := u.do("GET", path, "", "Origin", "https://anywhere.example")
		if resp.StatusCode != 200 || strings.TrimSpace(string(body)) != want || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	for path, text := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/metrics": "lyceum_"} {
		if resp, body := u.do("GET", path, ""); resp.StatusCode != 200 || !strings.Contains(string(body), text) {
			t.Errorf("%s: %d %.200s", path, resp.StatusCode, body)
		}
	}
	resp, _ := u.do("OPTIONS", "/mcp", "", "Origin", s.app.URL(), "Access-Control-Request-Method", "POST")
	if resp.StatusCode != 204 || !strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "Mcp-Session-Id") {
		t.Errorf("preflight: %d %v", resp.StatusCode, resp.Header)
	}
}

// A token that was minted with the data directory alone is good on whatever
// port, and belongs to the same owner as one from the issuer's endpoints.
func TestTokenFromDataDirectory(t *testing.T) {
	var dir string
	s := start(t, nil, func(c *config.Config) { dir = c.Data })
	minted, err := devidp.MintFromDir(dir, devidp.TokenRequest{Sub: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	a := &user{site: s, token: minted}
	e, _ := a.call("1", `{"operation":"sequential_thinking","prompt":"first"}`)
	b := s.user("alice")
	e2, _ := b.call("2", `{"operation":"sequential_thinking","prompt":"second","sessionId":"`+e.SessionID+`"}`)
	if e.SessionID == "" || e2.SessionID != e.SessionID || e2.Error != nil {
		t.Errorf("%+v %+v", e, e2.Error)
	}
}
