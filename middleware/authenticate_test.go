package middleware

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/telemetry"
)

const metadataURL = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"

var alice = &identity.Principal{Tenant: "acme", Subject: "alice", Scopes: []string{"admin.read", "reason"}, TokenKey: "k"}

// verifier knows one good token; others fail in a way of their own.
var verifier = identity.VerifierFunc(func(_ context.Context, token string) (*identity.Principal, error) {
	switch token {
	case "good":
		return alice, nil
	case "down":
		return nil, fault.Newf(fault.Unavailable, "the issuer does not answer")
	}
	return nil, &fault.Error{Kind: fault.Unauthenticated, Public: "the \"token\" is\\not\r\ngood: ü"}
})

func TestAuthenticateTable(t *testing.T) {
	const (
		none      = `Bearer realm="lyceum", scope="reason", resource_metadata="` + metadataURL + `"`
		invalid   = `Bearer realm="lyceum", error="invalid_token", error_description="the 'token' is'not''good: '", scope="reason", resource_metadata="` + metadataURL + `"`
		malformed = `Bearer realm="lyceum", error="invalid_request", error_description="`
	)
	for _, c := range []struct {
		name, target string
		headers      []string
		status       int
		challenge    string // a prefix
	}{
		{"good", "/mcp", []string{"Bearer good"}, 200, ""},
		{"scheme in lower case", "/mcp", []string{"bearer good"}, 200, ""},
		{"several spaces", "/mcp", []string{"Bearer   good"}, 200, ""},
		{"no header", "/mcp", nil, 401, none},
		{"empty header", "/mcp", []string{""}, 401, none},
		{"another scheme", "/mcp", []string{"Basic Z29vZDpnb29k"}, 401, none},
		{"scheme with a tab", "/mcp", []string{"Bearer\tgood"}, 401, none},
		{"longer scheme", "/mcp", []string{"BearerX good"}, 401, none},
		{"bad token", "/mcp", []string{"Bearer bad"}, 401, invalid},
		{"scheme only", "/mcp", []string{"Bearer"}, 400, malformed},
		{"no token", "/mcp", []string{"Bearer "}, 400, malformed},
		{"two headers", "/mcp", []string{"Bearer good", "Bearer good"}, 400, malformed},
		{"two tokens", "/mcp", []string{"Bearer good, Bearer good"}, 400, malformed},
		{"a parameter", "/mcp", []string{`Bearer token="good"`}, 400, malformed},
		{"a trailing space", "/mcp", []string{"Bearer good "}, 400, malformed},
		{"too long", "/mcp", []string{"Bearer " + strings.Repeat("a", maxToken+1)}, 400, malformed},
		{"token in the query", "/mcp?access_token=good", nil, 400, malformed},
		{"token in both", "/mcp?x=1&access_token=good", []string{"Bearer good"}, 400, malformed},
		{"a like parameter", "/mcp?my_access_token=good", []string{"Bearer good"}, 200, ""},
		{"issuer down", "/mcp", []string{"Bearer down"}, 503, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request("POST", c.target)
			if c.headers != nil {
				r.Header["Authorization"] = c.headers
			}
			var ran bool
			w := serve(func(_ http.ResponseWriter, r *http.Request) {
				ran = true
				if identity.FromContext(r.Context()) != alice || clientOf(t, r).Principal != alice || telemetry.Tenant(r.Context()) != "acme" {
					t.Errorf("principal %v, client %v, tenant %q", identity.FromContext(r.Context()), clientOf(t, r).Principal, telemetry.Tenant(r.Context()))
				}
			}, r,

				Authenticate(verifier, metadataURL, []policy.Scope{policy.Reason}), Client())

			if w.Code != c.status || ran != (c.status == 200) {
				t.Errorf("status %d, handler ran %v; want %d", w.Code, ran, c.status)
			}
			got := w.Header().Get("WWW-Authenticate")
			if !strings.HasPrefix(got, c.challenge) || (c.challenge == "") != (got == "") {
				t.Errorf("challenge %s, want %s", got, c.challenge)
			}
			if strings.Contains(w.Body.String(), "good:") && strings.Contains(got, "ü") {
				t.Errorf("challenge with characters that RFC 6750 does not allow: %s", got)
			}
			if c.status == 503 && w.Header().Get("Retry-After") == "" {
				t.Error("an outage without Retry-After")
			}
		})
	}
}

// A request whose principal is there already is not asked for a token, and its
// headers change nothing.
func TestAuthenticateKnowsTheStdioHost(t *testing.T) {
	local := &identity.Principal{Tenant: "local", Issuer: "local", Subject: "me"}
	never := identity.VerifierFunc(func(context.Context, string) (*identity.Principal, error) {
		t.Error("a token was verified")
		return alice, nil
	})
	w := serve(func(w http.ResponseWriter, r *http.Request) {
		if identity.FromContext(r.Context()) != local {
			t.Errorf("principal %v", identity.FromContext(r.Context()))
		}
		ok(w, r)
	}, request("POST", "/mcp", "Authorization", "Bearer good"),

		asPrincipal(local), Authenticate(never, "", nil))

	if w.Code != 200 {
		t.Errorf("status %d", w.Code)
	}
}

func TestEveryRequestIsJudgedAnew(t *testing.T) {
	asked := 0
	m := Authenticate(identity.VerifierFunc(func(context.Context, string) (*identity.Principal, error) {
		if asked++; asked > 1 {
			return nil, fault.Newf(fault.Unauthenticated, "revoked")
		}
		return alice, nil
	}), "", nil)
	for i, want := range []int{200, 401, 401} {
		if w := serve(ok, request("POST", "/mcp", "Authorization", "Bearer good", "Mcp-Session-Id", "known"), m); w.Code != want {
			t.Errorf("request %d: %d, want %d", i, w.Code, want)
		}
	}
}

func TestClientEndsWithTheRequest(t *testing.T) {
	var order []string
	func() {
		defer func() { _ = recover() }()
		serve(func(_ http.ResponseWriter, r *http.Request) {
			clientOf(t, r).Defer(func() { order = append(order, "cleanup") })
			order = append(order, "handler")
			panic("boom")
		}, request("POST", "/mcp"),

			Client())
	}()
	if len(order) != 2 || order[1] != "cleanup" {
		t.Errorf("ran %v, want the handler and then the cleanup", order)
	}
}

func TestRequireScope(t *testing.T) {
	const stepUp = `Bearer realm="lyceum", error="insufficient_scope", error_description="this needs the scope %", scope="%", resource_metadata="` + metadataURL + `"`
	for _, c := range []struct {
		p      *identity.Principal
		need   policy.Scope
		status int
	}{
		{alice, policy.Reason, 200},
		{alice, policy.AdminRead, 200},
		{&identity.Principal{Scopes: []string{"admin.write"}}, policy.AdminRead, 200},
		{alice, policy.AdminWrite, 403},
		{alice, policy.Code, 403},
		{nil, policy.Reason, 403},
	} {
		var m []Middleware
		if c.p != nil {
			m = append(m, asPrincipal(c.p))
		}
		w := serve(ok, request("GET", "/api/v1/sessions"), append(m, RequireScope(metadataURL, c.need))...)
		want := ""
		if c.status == 403 {
			want = strings.ReplaceAll(stepUp, "%", string(c.need))
		}
		if got := w.Header().Get("WWW-Authenticate"); w.Code != c.status || got != want {
			t.Errorf("%v needs %s: %d %s; want %d %s", c.p, c.need, w.Code, got, c.status, want)
		}
	}
}

// The challenge names all that the action needs, so that one step-up is enough,
// and only a missing scope gets one.
func TestForbid(t *testing.T) {
	forbid := Forbid("")
	w := httptest.NewRecorder()
	forbid(w, policy.Require(alice, policy.Reason, policy.Code))
	if got, want := w.Header().Get("WWW-Authenticate"), `Bearer realm="lyceum", error="insufficient_scope", error_description="this needs the scope reason code", scope="reason code"`; got != want {
		t.Errorf("challenge %s, want %s", got, want)
	}
	w = httptest.NewRecorder()
	forbid(w, fault.Newf(fault.Forbidden, "not yours"))
	if got := w.Header().Get("WWW-Authenticate"); got != "" {
		t.Errorf("challenge %s for what no scope would allow", got)
	}
}
