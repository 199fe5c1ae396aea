package app_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
)

// rpcError is the error of a refusal at the door.
type rpcRefusal struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Error   struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func refusalOf(t *testing.T, body []byte) (r rpcRefusal) {
	t.Helper()
	if err := json.Unmarshal(body, &r); err != nil || r.JSONRPC != "2.0" || r.Error.Message == "" || len(r.ID) > 0 && string(r.ID) != "null" {
		t.Errorf("no error without an id: %s (%v)", body, err)
	}
	return r
}

// Host and Origin are looked at on every method, before anything else, and with every
// way to write an address.
func TestDutyHostAndOrigin(t *testing.T) {
	s := start(t, nil)
	_, port, err := net.SplitHostPort(s.app.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host, origin string
		served       bool
	}{
		{"127.0.0.1:" + port, "", true},
		{"localhost:" + port, "", true},
		{"localhost", "", true},
		{"LocalHost:1", "", true},
		{"[::1]:" + port, "", true},
		{"[::1]", "", true},
		{"127.0.0.1:" + port, "http://127.0.0.1:" + port, true},
		{"127.0.0.1:" + port, "http://localhost:3000", true},
		{"[::1]:" + port, "http://[::1]:3000", true},
		{"evil.example", "", false},
		{"evil.example:" + port, "", false},
		{"127.0.0.1.evil.example:" + port, "", false},
		{"127.0.0.2:" + port, "", false},
		{"[::2]:" + port, "", false},
		{"[::ffff:10.0.0.1]:" + port, "", false},
		{"127.0.0.1:" + port, "null", false},
		{"127.0.0.1:" + port, "http://evil.example", false},
		{"127.0.0.1:" + port, "http://127.0.0.1.evil.example:" + port, false},
		{"127.0.0.1:" + port, "http://[::2]:" + port, false},
		{"127.0.0.1:" + port, "http://user@127.0.0.1:" + port, false},
		{"127.0.0.1:" + port, "", true},
		{"evil.example", "http://evil.example", false},
	} {
		for _, u := range []*user{s.user("alice"), {site: s}} {
			for _, method := range []string{"POST", "GET", "DELETE", "OPTIONS", "PUT"} {
				head := append([]string{"Host", c.host}, discover...)
				if c.origin != "" {
					head = append(head, "Origin", c.origin)
				}
				resp, body := u.do(method, "/mcp", ping, head...)
				refused := resp.StatusCode == http.StatusForbidden
				if refused == c.served {
					t.Errorf("%s, host %q, origin %q, token %v: %d %s", method, c.host, c.origin, u.token != "", resp.StatusCode, body)
				}
				if refused {
					refusalOf(t, body)
					if resp.Header.Get("Access-Control-Allow-Origin") != "" || resp.Header.Get("WWW-Authenticate") != "" {
						t.Errorf("%s from %q: %v", method, c.origin, resp.Header)
					}
				}
			}
		}
	}
}

// Unless it is told otherwise, the server listens on an address that only this machine
// reaches.
func TestDutyListensOnLoopback(t *testing.T) {
	addr, err := netip.ParseAddrPort(config.Default().Addr)
	if err != nil || !addr.Addr().IsLoopback() {
		t.Errorf("the default address is %s (%v)", config.Default().Addr, err)
	}
	s := start(t, nil)
	if got, err := netip.ParseAddrPort(s.app.Addr()); err != nil || !got.Addr().IsLoopback() {
		t.Errorf("it listens on %s (%v)", s.app.Addr(), err)
	}
}

// A session id is no token: each request under it is judged by its own, and by nothing
// of an earlier one.
func TestDutySessionsAreNoAuthentication(t *testing.T) {
	s := start(t, nil)
	alice := s.user("alice")
	resp, _ := alice.do("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
	id := resp.Header.Get("Mcp-Session-Id")
	if id == "" {
		t.Fatalf("initialize: %d", resp.StatusCode)
	}
	expired, err := s.app.Issuer().Forge(nil, map[string]any{"sub": "alice", "exp": time.Now().Add(-time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		token  string
		status int
	}{
		"no token":                        {"", 401},
		"an expired one":                  {expired, 401},
		"garbage":                         {"abc", 401},
		"somebody else":                   {s.token(devidp.TokenRequest{Sub: "bob"}), 404},
		"the same name in another tenant": {s.token(devidp.TokenRequest{Sub: "alice", Tenant: "elsewhere"}), 404},
	} {
		u := &user{site: s, token: c.token, session: id}
		for method, body := range map[string]string{"POST": `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, "GET": "", "DELETE": ""} {
			resp, _ := u.do(method, "/mcp", body)
			if resp.StatusCode != c.status || resp.Header.Get("Mcp-Session-Id") != "" {
				t.Errorf("%s with %s: %d %v, want %d", method, what, resp.StatusCode, resp.Header, c.status)
			}
		}
	}
	// Another token of hers is as good as the first: the session is the person's.
	again := &user{site: s, token: s.token(devidp.TokenRequest{Sub: "alice"}), session: id}
	if resp, body := again.do("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"ping"}`); resp.StatusCode != 200 {
		t.Errorf("a fresh token: %d %s", resp.StatusCode, body)
	}
}

// What the chain refuses before the endpoint sees it: the status, the code, and an
// error that names no request.
func TestDutyDoorStatusTable(t *testing.T) {
	s := start(t, nil, func(c *config.Config) { c.Limits.PerToken, c.Limits.Window = 3, time.Minute })
	good := s.token(devidp.TokenRequest{Sub: "alice"})
	for _, c := range []struct {
		what, auth string
		head       []string
		status     int
		challenge  string
	}{
		{"origin", "", []string{"Origin", "https://evil.example"}, 403, ""},
		{"no token", "", nil, 401, "Bearer realm="},
		{"a bad token", "Bearer x.y.z", nil, 401, `error="invalid_token"`},
		{"two methods", "Bearer " + good, []string{"Authorization", "Bearer " + good + ", Basic YTpi"}, 400, `error="invalid_request"`},
		{"bad syntax", "Bearer", nil, 400, `error="invalid_request"`},
		{"a token in the query", "query", nil, 400, `error="invalid_request"`},
	} {
		u, path := &user{site: s}, "/mcp"
		head := append([]string{}, discover...)
		switch c.auth {
		case "":
		case "query":
			path += "?access_token=" + good
		default:
			head = append(head, "Authorization", c.auth)
		}
		resp, body := u.do("POST", path, ping, append(head, c.head...)...)
		if resp.StatusCode != c.status || !strings.Contains(resp.Header.Get("WWW-Authenticate"), c.challenge) {
			t.Errorf("%s: %d %v, want %d", c.what, resp.StatusCode, resp.Header, c.status)
		}
		if r := refusalOf(t, body); r.Error.Code != c.status && (c.status != 400 || r.Error.Code != -32602) {
			t.Errorf("%s: code %d", c.what, r.Error.Code)
		}
	}
	u := &user{site: s, token: s.token(devidp.TokenRequest{Sub: "bob"})}
	for i := range 4 {
		resp, body := u.do("POST", "/mcp", ping, discover...)
		if i < 3 {
			if resp.StatusCode != 200 {
				t.Fatalf("call %d: %d %s", i, resp.StatusCode, body)
			}
			continue
		}
		if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" || refusalOf(t, body).Error.Code != 429 {
			t.Errorf("over the rate: %d %v %s", resp.StatusCode, resp.Header, body)
		}
	}
}

// What a header repeats of the body decides nothing: a scope, a tenant or a lane is
// looked up for what the body asks, by who the token says is asking; and headers that
// are too long are refused unread.
func TestDutyHeadersDecideNothing(t *testing.T) {
	s := start(t, nil)
	u := &user{site: s, token: s.token(devidp.TokenRequest{Sub: "alice", Scope: "code"})}
	call := func(params string, head ...string) (*http.Response, []byte) {
		return u.do("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{`+params+`,`+modernMeta+`}}`,
			append([]string{"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "clear_thought"}, head...)...)
	}
	const think = `"name":"clear_thought","arguments":{"operation":"sequential_thinking","prompt":"x"}`
	for _, head := range [][]string{
		nil,
		{"Mcp-Param-Scope", "reason"},
		{"Mcp-Param-Tenant", "admin"},
		{"X-Scope", "reason"},
		{"X-Forwarded-User", "root"},
		{"Mcp-Param-Operation", "describe"},
	} {
		resp, body := call(think, head...)
		if resp.StatusCode != 403 || !strings.Contains(resp.Header.Get("WWW-Authenticate"), `scope="reason"`) {
			t.Errorf("%v: %d %s", head, resp.StatusCode, body)
		}
	}
	for _, head := range [][]string{{"Mcp-Method", "tools/list"}, {"Mcp-Method", "ping"}, {"Mcp-Name", "session_list"}} {
		resp, body := call(think, head...)
		var r struct{ Error struct{ Code int } }
		if json.Unmarshal(body, &r) != nil || resp.StatusCode != 400 || r.Error.Code != -32020 {
			t.Errorf("%v: %d %s", head, resp.StatusCode, body)
		}
	}
	long := "=?base64?" + strings.Repeat("QUFB", 40<<10) + "?="
	for _, name := range []string{"Mcp-Name", "Mcp-Param-Region"} {
		got := s.exchange(fmt.Sprintf("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer %s\r\n%s: %s\r\nContent-Length: 2\r\n\r\n{}", u.token, name, long))
		if !strings.HasPrefix(got, "HTTP/1.1 431 ") {
			t.Errorf("%s of %d bytes: %.80q", name, len(long), got)
		}
	}
}

// A computation that takes long reports now and then, not at each of its steps.
func TestDutyProgressIsRare(t *testing.T) {
	s := start(t, nil)
	u := s.user("alice")
	began := time.Now()
	const simulations = 20_000
	resp, body := u.do("POST", "/mcp", fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"mcts","parameters":{"action":"run","domain":"tictactoe","simulations":%d,"seed":1}},%s}}`,
		simulations, strings.Replace(modernMeta, `"_meta":{`, `"_meta":{"progressToken":"t",`, 1)),
		"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "clear_thought")
	reports := strings.Count(string(body), `"notifications/progress"`)
	if most := 110 + int(time.Since(began)/(100*time.Millisecond)); resp.StatusCode != 200 || reports == 0 || reports > most {
		t.Errorf("%d: %d reports of %d simulations, want at most %d", resp.StatusCode, reports, simulations, most)
	}
}
