package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/app"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

// requestID is what differs between two answers that are the same.
var requestID = regexp.MustCompile(`"requestId":"[^"]*"`)

// everyRequest is one of each kind that the endpoint serves: method, body, and the
// method that the headers of 2026-07-28 name, "" before.
func everyRequest() [][3]string {
	all := [][3]string{
		{"GET", "", ""},
		{"DELETE", "", ""},
		{"PUT", "", ""},
		{"OPTIONS", "", ""},
		{"POST", "", ""},
		{"POST", "not JSON", ""},
		{"POST", `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, ""},
		{"POST", `{"jsonrpc":"2.0","id":1,"result":{}}`, ""},
		{"POST", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`, ""},
		{"POST", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, ""},
	}
	for _, method := range []string{
		"server/discover", "tools/list", "tools/call", "prompts/list", "prompts/get", "resources/list", "resources/templates/list", "resources/read",
		"completion/complete", "subscriptions/listen", "tasks/get", "tasks/update", "tasks/cancel", "ping", "nonsense",
	} {
		all = append(all, [3]string{"POST", `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + modernMeta + `}}`, method}, [3]string{"POST", `{"jsonrpc":"2.0","id":1,"method":"` + method + `"}`, ""})
	}
	return all
}

// Nothing is answered to whoever has no good token, not even which methods and
// tools there are or what is wrong with a message: each request is refused by
// itself, with the same bytes whatever it asks for and whatever session it names.
func TestDutyEveryRequestNeedsAToken(t *testing.T) {
	s := start(t, nil)
	owner := s.user("alice")
	owner.initialize()
	expired, err := s.app.Issuer().Forge(nil, map[string]any{"exp": 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"none": "", "nonsense": "abc", "expired": expired} {
		want := ""
		for _, r := range everyRequest() {
			var head []string
			if r[2] != "" {
				head = []string{"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", r[2]}
			}
			for _, session := range []string{"", owner.session} {
				resp, body := (&user{site: s, token: token, session: session}).do(r[0], "/mcp", r[1], head...)
				got := fmt.Sprintf("%d %s %s", resp.StatusCode, resp.Header["Www-Authenticate"], requestID.ReplaceAll(body, nil))
				if want == "" {
					want = got
				}
				if got != want || resp.StatusCode != http.StatusUnauthorized || len(resp.Header["Www-Authenticate"]) == 0 || resp.Header.Get("Mcp-Session-Id") != "" {
					t.Fatalf("%s, %s %.80s: %s, want %s", name, r[0], r[1], got, want)
				}
			}
		}
	}
	if resp, body := owner.do("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"ping"}`); resp.StatusCode != http.StatusOK {
		t.Errorf("the owner: %d %s", resp.StatusCode, body)
	}
}

// codeTool is an operation that needs the scope code.
func codeTool() tools.Tool {
	return tools.Define(tools.Spec{
		Name: "needs_code", Family: "test", Title: "x", Summary: "For tests.", Scope: policy.Code, Lane: work.Inline, Effect: tools.ReadOnly, Stateless: true, Method: "test",
		Examples: []tools.Example{{Title: "x", Arguments: `{}`}},
	}, func(context.Context, *tools.Call, struct{}) (struct{}, error) { return struct{}{}, nil })
}

// challengeForm is one challenge with its parameters, in the order in which we
// write them.
var challengeForm = regexp.MustCompile(`^(Bearer|DPoP) realm="lyceum"(?:, error="([a-z_]+)", error_description="[\x20\x21\x23-\x5b\x5d-\x7e]*")?(?:, scope="([a-z. ]+)")?(?:, algs="[A-Za-z0-9 ]+")?, resource_metadata="([^"]+)"$`)

// Each way to be refused has its status and its challenge: no error code where no
// credential came, one that says what to do otherwise, and the scopes that this very
// request needs, all of them and no other. Long-lived access is never asked for.
func TestDutyChallenges(t *testing.T) {
	s := start(t, []tools.Tool{codeTool()})
	token := func(scope string) string { return s.token(devidp.TokenRequest{Sub: "alice", Scope: scope}) }
	reason, code, reader := token("reason"), token("code"), token("admin.read")
	call := func(tool, arguments string) [4]string {
		return [4]string{"/mcp", "POST", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":` + arguments + `,` + modernMeta + `}}`, "tools/call " + tool}
	}
	listing := [4]string{"/mcp", "POST", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + modernMeta + `}}`, "tools/list"}
	session := [4]string{"/mcp", "POST", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"lyceum://sessions/rs_x",` + modernMeta + `}}`, "resources/read lyceum://sessions/rs_x"}
	task := [4]string{"/mcp", "POST", `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"x",` + strings.Replace(modernMeta, `Capabilities":{}`, `Capabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}`, 1) + `}}`, "tasks/get x"}
	operators := [4]string{"/api/v1/sessions", "GET", "", ""}
	denying := [4]string{"/api/v1/deny", "POST", `{"issuer":"x","sub":"y"}`, ""}
	for _, c := range []struct {
		name    string
		auth    string
		request [4]string
		status  int
		code    string
		scopes  string
	}{
		{"no credential", "", listing, 401, "", "reason"},
		{"another scheme", "Basic YTpi", listing, 401, "", "reason"},
		{"a bad token", "Bearer abc", listing, 401, "invalid_token", "reason"},
		{"a bad token, for operators", "Bearer abc", operators, 401, "invalid_token", "reason"},
		{"two tokens", "Bearer a, Bearer b", listing, 400, "invalid_request", "reason"},
		{"no token behind the scheme", "Bearer ", listing, 400, "invalid_request", "reason"},
		{"an operation", "Bearer " + code, call("clear_thought", `{"operation":"session_info"}`), 403, "insufficient_scope", "reason"},
		{"a tool of its own name", "Bearer " + code, call("session_list", `{}`), 403, "insufficient_scope", "reason"},
		{"the well-known tool", "Bearer " + reader, call("sequentialthinking", `{}`), 403, "insufficient_scope", "reason"},
		{"an operation that runs code", "Bearer " + reason, call("clear_thought", `{"operation":"needs_code"}`), 403, "insufficient_scope", "code"},
		{"a session's resource", "Bearer " + code, session, 403, "insufficient_scope", "reason"},
		{"a task", "Bearer " + code, task, 403, "insufficient_scope", "reason"},
		{"an operators' route", "Bearer " + reason, operators, 403, "insufficient_scope", "admin.read"},
		{"an operators' route that writes", "Bearer " + reader, denying, 403, "insufficient_scope", "admin.write"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var head []string
			if c.auth != "" {
				head = append(head, "Authorization", c.auth)
			}
			if method, name, named := strings.Cut(c.request[3], " "); method != "" {
				head = append(head, "Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", method)
				if named {
					head = append(head, "Mcp-Name", name)
				}
			}
			resp, body := (&user{site: s}).do(c.request[1], c.request[0], c.request[2], head...)
			if resp.StatusCode != c.status || strings.Contains(resp.Header.Get("Content-Type"), "event-stream") {
				t.Errorf("%d %s, want %d", resp.StatusCode, body, c.status)
			}
			bearers := 0
			for _, text := range resp.Header["Www-Authenticate"] {
				m := challengeForm.FindStringSubmatch(text)
				if m == nil {
					t.Fatalf("challenge %s", text)
				}
				if m[1] == "DPoP" && m[2] == "" { // the other way in
					continue
				}
				if m[1] == "Bearer" {
					bearers++
				}
				if m[2] != c.code || m[3] != c.scopes || m[4] != s.app.URL()+"/.well-known/oauth-protected-resource/mcp" || strings.Contains(text, "offline_access") {
					t.Errorf("challenge %s; want the error %q and the scopes %q", text, c.code, c.scopes)
				}
			}
			if bearers != 1 {
				t.Errorf("%d challenges of the scheme Bearer: %s", bearers, resp.Header["Www-Authenticate"])
			}
		})
	}
	// What is granted is enough, and more is too: admin.write can read.
	for name, r := range map[string]struct{ token, method, path, body string }{
		"code":           {code, "POST", "/mcp", call("clear_thought", `{"operation":"needs_code"}`)[2]},
		"admin.write":    {token("admin.write"), "GET", "/api/v1/sessions", ""},
		"several scopes": {token("code reason admin.read"), "GET", "/api/v1/sessions", ""},
	} {
		resp, body := (&user{site: s, token: r.token}).do(r.method, r.path, r.body, "Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "clear_thought")
		if resp.StatusCode != http.StatusOK || strings.Contains(string(body), `"isError":true`) {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
}

// A token in the query is refused on every route, even if a good one is in the
// header, and is not looked at.
func TestDutyNoTokenInTheQuery(t *testing.T) {
	s := start(t, nil)
	good := s.token(devidp.TokenRequest{Sub: "alice", Scope: "reason admin.read admin.write"})
	for _, path := range []string{"/mcp", "/api/v1/sessions", "/api/v1/status"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			for _, token := range []string{"", good} {
				resp, body := (&user{site: s, token: token}).do(method, path+"?x=1&access_token="+good, ping, discover...)
				if resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusMethodNotAllowed && resp.StatusCode != http.StatusNotFound || strings.Contains(string(body), "supportedVersions") {
					t.Errorf("%s %s: %d %s", method, path, resp.StatusCode, body)
				}
				if path == "/mcp" && (resp.StatusCode != http.StatusBadRequest || !strings.Contains(resp.Header.Get("WWW-Authenticate"), `error="invalid_request"`)) {
					t.Errorf("%s %s: %d %s", method, path, resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
				}
			}
		}
	}
	if strings.Contains(s.log.String(), good) {
		t.Error("the token is in the log")
	}
}

// From a challenge a client finds its way with nothing else: the metadata names the
// URL that it has called, and an authorization server whose own metadata has that
// very name. What it says does not depend on the request's Host or forwarded names.
func TestDutyMetadataLeadsToTheIssuer(t *testing.T) {
	s := start(t, nil)
	u := &user{site: s}
	resp, _ := u.do("POST", "/mcp", ping, discover...)
	m := challengeForm.FindStringSubmatch(resp.Header.Get("WWW-Authenticate"))
	if m == nil {
		t.Fatalf("challenge %s", resp.Header.Get("WWW-Authenticate"))
	}
	at, err := url.Parse(m[4])
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
		Methods  []string `json:"bearer_methods_supported"`
	}
	first := ""
	for _, head := range [][]string{nil, {"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https"}, {"Forwarded", "host=evil.example;proto=https"}, {"Host", strings.Replace(at.Host, "127.0.0.1", "localhost", 1)}} {
		for _, path := range []string{at.Path, "/.well-known/oauth-protected-resource"} {
			resp, body := u.do("GET", path, "", head...)
			if first == "" {
				first = string(body)
			}
			if resp.StatusCode != http.StatusOK || string(body) != first || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(resp.Header.Get("Cache-Control"), "max-age") {
				t.Errorf("%s with %v: %d %s %v", path, head, resp.StatusCode, body, resp.Header)
			}
		}
	}
	if err := json.Unmarshal([]byte(first), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Resource != s.app.URL()+"/mcp" || len(doc.Servers) == 0 || !slices.Equal(doc.Scopes, []string{"reason"}) || !slices.Equal(doc.Methods, []string{"header"}) {
		t.Errorf("%s", first)
	}
	issuer, err := url.Parse(doc.Servers[0])
	if err != nil {
		t.Fatal(err)
	}
	resp, body := u.do("GET", "/.well-known/oauth-authorization-server"+issuer.Path, "")
	var as struct {
		Issuer string `json:"issuer"`
	}
	if err := json.Unmarshal(body, &as); err != nil || resp.StatusCode != http.StatusOK || as.Issuer != doc.Servers[0] {
		t.Errorf("%d %s (%v), want the issuer %s", resp.StatusCode, body, err, doc.Servers[0])
	}
	if resp, _ := u.do("POST", at.Path, "{}"); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", resp.StatusCode)
	}
}

// A server that no issuer makes tokens for names none, rather than null.
func TestDutyMetadataWithoutAnIssuer(t *testing.T) {
	_, hash := identity.NewStaticToken()
	cfg := config.Default()
	cfg.Addr, cfg.Data, cfg.PublicURL = "127.0.0.1:0", t.TempDir(), "http://127.0.0.1:8383/"
	cfg.HTTP.AllowedHosts = []string{"127.0.0.1"}
	cfg.Auth.Tokens = []config.StaticToken{{Hash: hash, Tenant: "acme", Subject: "robot", Scopes: []string{"reason"}}}
	s := startWith(t, cfg, app.Options{})
	resp, err := s.http.Get("http://" + s.app.Addr() + "/.well-known/oauth-protected-resource/mcp")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"resource":"http://127.0.0.1:8383/mcp","scopes_supported":["reason"],"bearer_methods_supported":["header"],"resource_name":"Lyceum"}`
	if resp.StatusCode != http.StatusOK || strings.TrimSpace(string(body)) != want {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}
