package mcpserve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
)

var legacyRevisions = []string{rev2024, rev202503, rev202506, rev202511}

func TestHandshakes(t *testing.T) {
	w := newWorld(t)
	for _, rev := range legacyRevisions {
		t.Run(rev, func(t *testing.T) {
			p := w.legacy("alice", rev)
			if a := p.do("POST", `{"jsonrpc":"2.0","id":"p","method":"ping"}`); string(a.body) != `{"jsonrpc":"2.0","id":"p","result":{}}` {
				t.Errorf("ping: %s", a.body)
			}
			if a := p.do("POST", `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`); !strings.Contains(string(a.body), `"clear_thought"`) || strings.Contains(string(a.body), "resultType") {
				t.Errorf("tools/list: %s", a.body)
			}
			env, bad := p.call(`3`, "clear_thought", `{"operation":"echo","parameters":{"text":"hi"}}`, "").result(t)
			if bad || string(env.Result) != `{"text":"hi"}` || !strings.HasPrefix(env.SessionID, "rs_") {
				t.Errorf("call: %+v", env)
			}
		})
	}
	for _, asked := range []string{rev2026, "1999-01-01"} {
		p := &peer{w: w, who: "alice"}
		a := p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"`+asked+`","capabilities":{},"clientInfo":{"name":"p","version":"1"}}}`)
		if !strings.Contains(string(a.body), `"protocolVersion":"2025-11-25"`) {
			t.Errorf("initialize %s: %s", asked, a.body)
		}
	}
	t.Run(rev2026, func(t *testing.T) {
		p := w.modern("alice")
		meta := strings.Replace(modernMeta, "%s", "", 1)
		a := p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{`+meta+`}}`, header(headerMethod, "server/discover"))
		for _, want := range []string{`"supportedVersions":["2026-07-28"`, `"resultType":"complete"`, `"cacheScope":"private"`, `"ttlMs":60000`} {
			if !strings.Contains(string(a.body), want) {
				t.Errorf("discover lacks %s: %s", want, a.body)
			}
		}
		if a.header.Get(headerSession) != "" {
			t.Error("a session id was minted")
		}
		if strings.Contains(string(a.body), `"tasks"`) || strings.Contains(string(a.body), `"listChanged":true`) {
			t.Errorf("discover declares what does not work: %s", a.body)
		}
		a = p.call(`"x"`, "clear_thought", `{"operation":"echo","parameters":{"text":"hi"}}`, "")
		if !strings.HasPrefix(string(a.body), `{"jsonrpc":"2.0","id":"x","result":`) || !strings.Contains(string(a.body), `"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"lyceum","version":"test"}}`) {
			t.Errorf("call: %s", a.body)
		}
	})
}

func header(k, v string) func(*http.Request) {
	return func(r *http.Request) {
		if v == "" {
			r.Header.Del(k)
			return
		}
		r.Header.Set(k, v)
	}
}

func TestBadRequests(t *testing.T) {
	w := newWorld(t)
	old := w.legacy("alice", rev202511)
	now := w.modern("alice")
	meta := strings.Replace(modernMeta, "%s", "", 1)
	call := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{},` + meta + `}}`
	modern := func(changes ...func(*http.Request)) []func(*http.Request) {
		return append([]func(*http.Request){header(headerMethod, "tools/call"), header(headerName, "echo")}, changes...)
	}
	tests := []struct {
		name   string
		peer   *peer
		method string
		body   string
		change []func(*http.Request)
		status int
		code   int
	}{
		{"empty body", old, "POST", ``, nil, 400, codeParse},
		{"malformed JSON", old, "POST", `{"jsonrpc":`, nil, 400, codeParse},
		{"duplicate key", old, "POST", `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}`, nil, 400, codeParse},
		{"key in the wrong case", old, "POST", `{"jsonrpc":"2.0","id":1,"METHOD":"ping"}`, nil, 400, codeInvalidRequest},
		{"not an object", old, "POST", `"ping"`, nil, 400, codeInvalidRequest},
		{"batch where there are none", old, "POST", `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, nil, 400, codeInvalidRequest},
		{"null id", old, "POST", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, nil, 400, codeInvalidRequest},
		{"content type", old, "POST", `{}`, []func(*http.Request){header("Content-Type", "text/plain")}, 415, 415},
		{"oversize", old, "POST", strings.Repeat(" ", 1<<20+1), nil, 413, 413},
		{"no session", &peer{w: w, who: "alice"}, "POST", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, nil, 400, codeInvalidRequest},
		{"another revision than negotiated", old, "POST", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, []func(*http.Request){header(headerVersion, rev202506)}, 400, codeInvalidRequest},
		{"unknown method", old, "POST", `{"jsonrpc":"2.0","id":1,"method":"nope"}`, nil, 200, codeNoMethod},
		{"unknown tool", old, "POST", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"nope"}}`, nil, 200, codeInvalidParams},
		{"bad log level", old, "POST", `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"loud"}}`, nil, 200, codeInvalidParams},
		{"PUT", old, "PUT", ``, nil, 405, 405},
		{"GET without a session", &peer{w: w, who: "alice"}, "GET", ``, nil, 405, 405},
		{"GET of the modern era", now, "GET", ``, nil, 405, 405},

		{"modern: no version header", now, "POST", call, modern(header(headerVersion, "")), 400, codeHeader},
		{"modern: other version header", now, "POST", call, modern(header(headerVersion, rev202511)), 400, codeHeader},
		{"modern: no method header", now, "POST", call, modern(header(headerMethod, "")), 400, codeHeader},
		{"modern: other method header", now, "POST", call, modern(header(headerMethod, "Tools/call")), 400, codeHeader},
		{"modern: no name header", now, "POST", call, modern(header(headerName, "")), 400, codeHeader},
		{"modern: other name header", now, "POST", call, modern(header(headerName, "clear_thought")), 400, codeHeader},
		{"modern: name header twice", now, "POST", call, modern(func(r *http.Request) { r.Header.Add(headerName, "echo") }), 400, codeHeader},
		{"modern: name header in bad base64", now, "POST", call, modern(header(headerName, "=?base64?!?=")), 400, codeHeader},
		{"modern: no _meta", now, "POST", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, modern(header(headerMethod, "tools/list")), 400, codeInvalidParams},
		{"modern: no capabilities", now, "POST", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`, modern(header(headerMethod, "tools/list")), 400, codeInvalidParams},
		{"modern: unknown version", now, "POST", strings.ReplaceAll(call, "2026-07-28", "2099-01-01"), modern(header(headerVersion, "2099-01-01")), 400, codeVersion},
		{"modern: removed method", now, "POST", `{"jsonrpc":"2.0","id":1,"method":"ping","params":{` + meta + `}}`, modern(header(headerMethod, "ping")), 404, codeNoMethod},
		{"modern: unknown method", now, "POST", `{"jsonrpc":"2.0","id":1,"method":"nope","params":{` + meta + `}}`, modern(header(headerMethod, "nope")), 404, codeNoMethod},
		{"modern: a response", now, "POST", `{"jsonrpc":"2.0","id":1,"result":{}}`, nil, 400, codeInvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := tt.peer.do(tt.method, tt.body, tt.change...)
			if a.status != tt.status {
				t.Errorf("status %d, want %d: %s", a.status, tt.status, a.body)
			}
			if code := a.code(t); code != tt.code {
				t.Errorf("code %d, want %d: %s", code, tt.code, a.body)
			}
			if a.status == 405 && a.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
	a := now.do("POST", strings.ReplaceAll(call, "2026-07-28", "2099-01-01"), modern(header(headerVersion, "2099-01-01"))...)
	if !strings.Contains(string(a.body), `"requested":"2099-01-01"`) || !strings.Contains(string(a.body), `"supported":["2026-07-28"`) {
		t.Errorf("the version error lacks its data: %s", a.body)
	}
	if a := now.call("1", "echo", `{"text":"x"}`, "", header(headerName, "=?base64?ZWNobw==?="), func(r *http.Request) { r.Header[headerMethod] = []string{"  tools/call\t"} }); a.status != 200 {
		t.Errorf("a base64 name and white space around a value were refused: %d %s", a.status, a.body)
	}
}

func TestBadArgumentsAreRepairable(t *testing.T) {
	w := newWorld(t)
	for _, p := range []*peer{w.legacy("alice", rev202511), w.modern("alice")} {
		tests := []struct{ name, args, code, path string }{
			{"no operation", `{}`, "invalid_arguments", "arguments.operation"},
			{"unknown operation", `{"operation":"ecko"}`, "unknown_operation", "arguments.operation"},
			{"wrong type", `{"operation":"steps","parameters":{"n":"many"}}`, "invalid_arguments", "parameters.n"},
			{"arguments is a list", `[]`, "invalid_arguments", "arguments"},
		}
		for _, tt := range tests {
			t.Run(p.rev+"/"+tt.name, func(t *testing.T) {
				env, isError := p.call(`1`, "clear_thought", tt.args, "").result(t)
				if !isError || env.Error == nil || env.Error.Code != tt.code || env.Error.Issues[0].Path != tt.path || env.Error.Example == nil {
					t.Errorf("isError %v, error %+v", isError, env.Error)
				}
			})
		}
	}
}

// A handle that is not the caller's, that has expired or was deleted, and one
// that never was give the same bytes on every way in.
func TestMissesAreIdentical(t *testing.T) {
	w := newWorld(t)
	mallory := w.modern("mallory")
	env, _ := w.modern("alice").call("1", "clear_thought", `{"operation":"remember","parameters":{"text":"x"}}`, "").result(t)
	foreign := env.SessionID
	env, _ = mallory.call("1", "clear_thought", `{"operation":"remember","parameters":{"text":"x"}}`, "").result(t)
	deleted := env.SessionID
	mallory.call("1", "session_delete", `{"sessionId":"`+deleted+`"}`, "")
	env, _ = mallory.call("1", "session_create", `{"maxTtlSeconds":1}`, "").result(t)
	var short sessionView
	if err := json.Unmarshal(env.Result, &short); err != nil {
		t.Fatal(err)
	}
	expire(t, func() bool {
		_, gone := mallory.call("1", "clear_thought", `{"operation":"echo","sessionId":"`+short.SessionID+`","parameters":{"text":"x"}}`, "").result(t)
		return gone
	})
	handles := map[string]string{"expired": short.SessionID, "foreign": foreign, "deleted": deleted, "unknown": "rs_" + strings.Repeat("a", 26), "nonsense": "hello"}
	for _, p := range []*peer{mallory, w.legacy("mallory", rev202511), w.legacy("mallory", rev2024)} {
		for _, call := range []struct{ tool, args string }{
			{"clear_thought", `{"operation":"echo","sessionId":"%s","parameters":{"text":"x"}}`},
			{"clear_thought", `{"operation":"remember","sessionId":"%s","parameters":{"text":"x"}}`},
			{"clear_thought", `{"operation":"hold","sessionId":"%s"}`},
			{"session_delete", `{"sessionId":"%s"}`},
		} {
			want := ""
			for kind, h := range handles {
				a := p.call("1", call.tool, fmt.Sprintf(call.args, h), "")
				got := fmt.Sprintf("%d %s", a.status, a.body)
				if want == "" {
					want = got
				}
				if got != want || !strings.Contains(got, "Session not found or expired") || !strings.Contains(got, `session_create`) {
					t.Errorf("%s %s %s: %s\nwant %s", p.rev, call.args, kind, got, want)
				}
			}
		}
	}

	alice := w.legacy("alice", rev202511)
	gone := w.legacy("mallory", rev202511)
	if a := gone.do("DELETE", ""); a.status != 204 {
		t.Fatalf("delete: %d", a.status)
	}
	for _, method := range []string{"POST", "GET", "DELETE"} {
		want := ""
		for kind, id := range map[string]string{"foreign": alice.session, "deleted": gone.session, "unknown": "ts_" + strings.Repeat("b", 26), "a reasoning session": foreign} {
			p := &peer{w: w, who: "mallory", rev: rev202511, session: id}
			a := p.do(method, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
			got := fmt.Sprintf("%d %s %s", a.status, a.header.Get("Content-Type"), a.body)
			if want == "" {
				want = got
			}
			if got != want || a.status != 404 {
				t.Errorf("%s %s: %s, want the same 404: %s", method, kind, got, want)
			}
		}
	}
	if a := alice.do("POST", `{"jsonrpc":"2.0","id":1,"method":"ping"}`); a.status != 200 {
		t.Errorf("the owner's session was harmed: %d", a.status)
	}
}

// expire waits until over says that a lifetime of a second has passed.
func expire(t *testing.T, over func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !over(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not expire")
		}
	}
}

// An expired transport session is the same 404 as one that never was.
func TestExpiredTransportSession(t *testing.T) {
	w := newWorld(t, func(_ *Config, s *session.Config) { s.MaxTTL = time.Second })
	gone := w.legacy("alice", rev202511)
	never := &peer{w: w, who: "alice", rev: rev202511, session: "ts_" + strings.Repeat("c", 26)}
	ask := func(p *peer, method string) string {
		a := p.do(method, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
		return fmt.Sprintf("%d %s %s", a.status, a.header.Get("Content-Type"), a.body)
	}
	expire(t, func() bool { return strings.HasPrefix(ask(gone, "POST"), "404") })
	for _, method := range []string{"POST", "GET", "DELETE"} {
		if got, want := ask(gone, method), ask(never, method); got != want {
			t.Errorf("%s: %s, want %s", method, got, want)
		}
	}
}

func TestMissingScopeIsHTTP403(t *testing.T) {
	w := newWorld(t)
	for _, p := range []*peer{w.legacy("alice", rev202506), w.modern("alice")} {
		a := p.call("1", "clear_thought", `{"operation":"run_code"}`, `"tok"`)
		if a.status != 403 || a.header.Get("WWW-Authenticate") != "Bearer this needs the scope code: needs scope code" {
			t.Errorf("%d %q %s", a.status, a.header.Get("WWW-Authenticate"), a.body)
		}
	}
}

func TestTransportSessionHasItsReasoningSession(t *testing.T) {
	w := newWorld(t)
	p := w.legacy("alice", rev202511)
	first, _ := p.call("1", "clear_thought", `{"operation":"remember","parameters":{"text":"a"}}`, "").result(t)
	second, _ := p.call("2", "clear_thought", `{"operation":"remember","parameters":{"text":"b"}}`, "").result(t)
	if first.SessionID != second.SessionID || string(second.Result) != `{"text":"a,b"}` || *second.Version != *first.Version+1 {
		t.Errorf("first %+v second %+v", first, second)
	}
	other, _ := w.legacy("alice", rev202511).call("1", "clear_thought", `{"operation":"remember","parameters":{"text":"c"}}`, "").result(t)
	if other.SessionID == first.SessionID {
		t.Error("two transport sessions share a reasoning session")
	}
	// The handle goes on without its transport session, and into the other era.
	p.do("DELETE", "")
	env, bad := w.modern("alice").call("1", "clear_thought", `{"operation":"remember","sessionId":"`+first.SessionID+`","parameters":{"text":"d"}}`, "").result(t)
	if bad || string(env.Result) != `{"text":"a,b,d"}` {
		t.Errorf("after the transport session: %+v", env)
	}
	// Deleting it and going on makes a new one.
	q := w.legacy("alice", rev202511)
	a, _ := q.call("1", "clear_thought", `{"operation":"remember","parameters":{"text":"a"}}`, "").result(t)
	q.call("2", "session_delete", `{"sessionId":"`+a.SessionID+`"}`, "")
	b, bad := q.call("3", "clear_thought", `{"operation":"remember","parameters":{"text":"z"}}`, "").result(t)
	if bad || b.SessionID == a.SessionID || string(b.Result) != `{"text":"z"}` {
		t.Errorf("after deleting the default: %+v", b)
	}
}

func TestModernCallsMintSessions(t *testing.T) {
	w := newWorld(t)
	p := w.modern("alice")
	a, _ := p.call("1", "clear_thought", `{"operation":"remember","parameters":{"text":"a"}}`, "").result(t)
	b, _ := p.call("1", "clear_thought", `{"operation":"remember","parameters":{"text":"b"}}`, "").result(t)
	if a.SessionID == b.SessionID || string(b.Result) != `{"text":"b"}` || a.ExpiresAt == nil {
		t.Errorf("%+v %+v", a, b)
	}
}

func TestIdempotencyAndVersions(t *testing.T) {
	w := newWorld(t)
	p := w.modern("alice")
	args := `{"operation":"remember","idempotencyKey":"k","parameters":{"text":"a"}}`
	first := p.call("1", "clear_thought", args, "")
	again := p.call("1", "clear_thought", args, "")
	if string(first.body) != string(again.body) {
		t.Errorf("a repeated call differs:\n%s\n%s", first.body, again.body)
	}
	env, bad := p.call("1", "clear_thought", strings.Replace(args, `"a"`, `"b"`, 1), "").result(t)
	if !bad || env.Error.Code != "idempotency_conflict" {
		t.Errorf("another call under the key: %+v", env.Error)
	}
	if env, bad := w.modern("bob").call("1", "clear_thought", strings.Replace(args, `"a"`, `"b"`, 1), "").result(t); bad {
		t.Errorf("somebody else's key got in the way: %+v", env.Error)
	}
	one, _ := first.result(t)
	next := fmt.Sprintf(`{"operation":"remember","sessionId":"%s","expectedVersion":%d,"parameters":{"text":"c"}}`, one.SessionID, *one.Version)
	if env, bad := p.call("1", "clear_thought", next, "").result(t); bad || string(env.Result) != `{"text":"a,c"}` {
		t.Errorf("at the expected version: %+v", env)
	}
	if env, bad := p.call("1", "clear_thought", next, "").result(t); !bad || env.Error.Code != "version_conflict" {
		t.Errorf("at a stale version: %+v", env)
	}
}

func TestSessionTools(t *testing.T) {
	w := newWorld(t)
	p := w.modern("alice")
	created, bad := p.call("1", "session_create", `{"name":"plan","idleTtlSeconds":60,"labels":{"k":"v"}}`, "").result(t)
	var v sessionView
	if json.Unmarshal(created.Result, &v) != nil || bad || v.Name != "plan" || v.Labels["k"] != "v" || !strings.HasPrefix(v.SessionID, "rs_") {
		t.Fatalf("create: %s", created.Result)
	}
	if env, bad := p.call("1", "session_create", `{"idleTtlSeconds":99999999}`, "").result(t); !bad || env.Error.Code != "invalid_arguments" {
		t.Errorf("a TTL over the ceiling: %+v", env)
	}
	for range 4 {
		p.call("1", "session_create", `{}`, "")
	}
	seen := map[string]bool{}
	before := ""
	for range 10 {
		env, _ := p.call("1", "session_list", `{"limit":2,"before":"`+before+`"}`, "").result(t)
		var out listOutput
		if err := json.Unmarshal(env.Result, &out); err != nil || out.Total != 5 {
			t.Fatalf("list: %s", env.Result)
		}
		for _, s := range out.Sessions {
			seen[s.SessionID] = true
		}
		if before = out.More; before == "" {
			break
		}
	}
	if len(seen) != 5 || !seen[v.SessionID] {
		t.Errorf("paging saw %d sessions, want 5", len(seen))
	}
	if env, _ := w.modern("bob").call("1", "session_list", `{}`, "").result(t); !strings.Contains(string(env.Result), `"sessions":[]`) {
		t.Errorf("bob sees %s", env.Result)
	}
	if env, bad := p.call("1", "session_delete", `{"sessionId":"`+v.SessionID+`"}`, "").result(t); bad || string(env.Result) != `{"deleted":true}` {
		t.Errorf("delete: %+v", env)
	}
}

func TestBatches(t *testing.T) {
	w := newWorld(t)
	p := w.legacy("alice", rev202503)
	a := p.do("POST", `[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/x"},{"jsonrpc":"2.0","id":"b","method":"tools/call","params":{"name":"echo","arguments":{"text":"q"},"_meta":{"progressToken":1}}},{"jsonrpc":"2.0","id":3,"method":"initialize"},7]`)
	var items []struct {
		ID    json.RawMessage `json:"id"`
		Error *struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	if a.status != 200 || json.Unmarshal(a.body, &items) != nil || len(items) != 4 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if string(items[0].ID) != "1" || string(items[1].ID) != `"b"` || items[1].Error != nil || items[2].Error.Code != codeInvalidRequest || string(items[3].ID) != "null" {
		t.Errorf("%s", a.body)
	}
	if a := p.do("POST", `[{"jsonrpc":"2.0","method":"notifications/x"}]`); a.status != 202 || len(a.body) > 0 {
		t.Errorf("only notifications: %d %q", a.status, a.body)
	}
	for _, body := range []string{`[]`, `[` + strings.Repeat(`{"jsonrpc":"2.0","id":1,"method":"ping"},`, 50) + `{"jsonrpc":"2.0","id":1,"method":"ping"}]`} {
		if a := p.do("POST", body); a.status != 400 {
			t.Errorf("%.20s: %d", body, a.status)
		}
	}
	if a := w.legacy("alice", rev2024).do("POST", `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`); a.status != 400 {
		t.Errorf("a batch of 2024-11-05: %d", a.status)
	}
}

func TestOutputIsBounded(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *session.Config) { c.MaxOutputBytes = 1000 })
	env, bad := w.modern("alice").call("1", "echo", `{"text":"`+strings.Repeat("x", 2000)+`"}`, "").result(t)
	if !bad || env.Error.Code != "output_too_large" {
		t.Errorf("%+v", env.Error)
	}
}

func TestPanicIsContained(t *testing.T) {
	w := newWorld(t)
	p := w.modern("alice")
	a := p.call("1", "clear_thought", `{"operation":"explode"}`, "")
	env, bad := a.result(t)
	if !bad || env.Error.Code != "internal" || strings.Contains(string(a.body), "secret") {
		t.Errorf("%s", a.body)
	}
	if st := w.server.Scheduler.Stats(); st.Running != 0 || w.server.InFlight() != 0 {
		t.Errorf("left behind: %d running, %d in flight", st.Running, w.server.InFlight())
	}
}
