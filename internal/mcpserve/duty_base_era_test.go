package mcpserve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/tools"
)

// helloTo sends an initialize with the given params and headers.
func (w *world) hello(params string, change ...func(*http.Request)) answer {
	w.t.Helper()
	return (&peer{w: w, who: "alice"}).do("POST", `{"jsonrpc":"2.0","id":"i","method":"initialize","params":`+params+`}`, change...)
}

// initialize answers the revision that was asked for if it has a handshake, and the
// newest that has one otherwise. What is no handshake opens no session.
func TestDutyInitialize(t *testing.T) {
	w := newWorld(t)
	for asked, want := range map[string]string{
		rev2024: rev2024, rev202503: rev202503, rev202506: rev202506, rev202511: rev202511,
		rev2026: rev202511, "1999-01-01": rev202511, "2099-12-31": rev202511, "latest": rev202511,
	} {
		for _, head := range []string{"", rev2024, rev202511} { // not negotiated yet: it says nothing
			a := w.hello(`{"protocolVersion":"`+asked+`","capabilities":{},"clientInfo":{"name":"p","version":"1"}}`, header(headerVersion, head))
			var r struct {
				Version string `json:"protocolVersion"`
			}
			a.into(t, &r)
			if r.Version != want || a.header.Get(headerSession) == "" {
				t.Errorf("asked for %s under %q: %s, session %q", asked, head, r.Version, a.header.Get(headerSession))
			}
		}
	}
	open := w.server.Transports.Stats().Sessions
	meta := `"_meta":{"` + metaVersion + `":"` + rev2026 + `","` + metaCapabilities + `":{}}`
	for what, a := range map[string]answer{
		"under the headers of 2026-07-28": w.hello(`{"protocolVersion":"2026-07-28","capabilities":{},"clientInfo":{"name":"p","version":"1"},`+meta+`}`, header(headerVersion, rev2026), header(headerMethod, "initialize")),
		"no object":                       w.hello(`"x"`),
		"a version that is no string":     w.hello(`{"protocolVersion":7,"capabilities":{},"clientInfo":{"name":"p","version":"1"}}`),
	} {
		if a.status == 200 && a.code(t) == 0 || a.header.Get(headerSession) != "" {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	if now := w.server.Transports.Stats().Sessions; now != open {
		t.Errorf("%d sessions were opened", now-open)
	}
}

// What a request of 2026-07-28 must say in _meta, what it may leave out, and that
// what it calls itself decides nothing.
func TestDutyPerRequestMeta(t *testing.T) {
	w := newWorld(t)
	p := w.modern("alice")
	send := func(method, params, meta string) answer {
		return p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":{`+params+`"_meta":`+meta+`}}`, header(headerMethod, method), header(headerName, "clear_thought"))
	}
	const version, caps = `"` + metaVersion + `":"2026-07-28"`, `"` + metaCapabilities + `":{}`
	for _, meta := range []string{
		`{}`, `{` + version + `}`, `{` + caps + `}`, `null`, `[]`, `7`, `{` + version + `,"` + metaCapabilities + `":null}`,
		`{` + version + `,"` + metaCapabilities + `":[]}`, `{` + version + `,"` + metaCapabilities + `":"x"}`,
	} {
		if a := send("tools/list", "", meta); a.status != 400 || a.code(t) != codeInvalidParams || !strings.HasPrefix(string(a.body), `{"jsonrpc":"2.0","id":1,`) {
			t.Errorf("%s: %d %s", meta, a.status, a.body)
		}
	}
	want, forbidden := "", ""
	for _, info := range []string{
		``, `,"` + metaClientInfo + `":{"name":"probe","version":"1"}`, `,"` + metaClientInfo + `":{"name":"admin","version":"99","title":"Administrator"}`,
		`,"` + metaClientInfo + `":{}`, `,"` + metaClientInfo + `":null`, `,"` + metaClientInfo + `":"x"`,
	} {
		meta := `{` + version + `,` + caps + info + `}`
		list, denied := send("tools/list", "", meta), send("tools/call", `"name":"clear_thought","arguments":{"operation":"run_code"},`, meta)
		if want == "" {
			want, forbidden = string(list.body), string(denied.body)
		}
		if list.status != 200 || string(list.body) != want || denied.status != 403 || string(denied.body) != forbidden {
			t.Errorf("%s: %d %.200s; %d %s", info, list.status, list.body, denied.status, denied.body)
		}
	}
}

// Nothing of an earlier request on the connection counts for a later one: not its
// capabilities, its session, its log level or its revision.
func TestDutyNoMemoryOfTheConnection(t *testing.T) {
	w := askingWorld(t)
	p := w.modern("alice")
	if v := p.rpc("tools/call", "twice", `"name":"twice","arguments":{}`, canElicit).asks(t); v.ResultType != "input_required" {
		t.Fatalf("%+v", v)
	}
	if a := p.rpc("tools/call", "twice", `"name":"twice","arguments":{}`, `{}`); a.status != 400 || a.code(t) != codeCapability || !strings.Contains(string(a.body), `"requiredCapabilities":{"elicitation":{}}`) {
		t.Errorf("a capability of an earlier request: %d %s", a.status, a.body)
	}
	old := &peer{w: w, who: "alice"}
	hello := w.hello(`{"protocolVersion":"2025-11-25","capabilities":` + canElicit + `,"clientInfo":{"name":"p","version":"1"}}`)
	old.session, old.rev = hello.header.Get(headerSession), rev202511
	first, _ := old.call("1", "clear_thought", `{"operation":"remember","parameters":{"text":"a"}}`, "").result(t)
	if a := old.do("POST", `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"debug"}}`); a.code(t) != 0 {
		t.Errorf("%s", a.body)
	}
	for what, id := range map[string]string{"a session of the same user": old.session, "somebody else's": w.legacy("bob", rev202511).session, "none at all": "nonsense"} {
		change := header(headerSession, id)
		a := p.rpc("tools/call", "twice", `"name":"twice","arguments":{}`, `{}`, change)
		if a.status != 400 || a.code(t) != codeCapability || a.header.Get(headerSession) != "" {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
		env, bad := p.rpc("tools/call", "clear_thought", `"name":"clear_thought","arguments":{"operation":"remember","parameters":{"text":"b"}}`, `{}`, change).result(t)
		if bad || env.SessionID == first.SessionID || string(env.Result) != `{"text":"b"}` {
			t.Errorf("%s: the call went on in %s", what, env.Result)
		}
		if a := p.rpc("tools/call", "clear_thought", `"name":"clear_thought","arguments":{"operation":"steps"}`, `{}`, change); len(a.events) > 0 {
			t.Errorf("%s: a log level of another request: %s", what, a.body)
		}
	}
	// The state itself is named in each request, and is found from any connection.
	other := &http.Client{Transport: &http.Transport{}}
	defer other.CloseIdleConnections()
	body, heads := p.message(`1`, "tools/call", `{"name":"clear_thought","arguments":{"operation":"remember","sessionId":"`+first.SessionID+`","parameters":{"text":"c"}}}`)
	req, err := http.NewRequestWithContext(t.Context(), "POST", w.http.URL+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Authorization": {"Bearer alice"}, "Content-Type": {"application/json"}, headerVersion: {rev2026}}
	for _, f := range heads {
		f(req)
	}
	resp, err := other.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var r struct {
		Result struct {
			Structured struct {
				Result struct{ Text string }
			} `json:"structuredContent"`
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil || r.Result.Structured.Result.Text != "a,c" {
		t.Errorf("from another connection: %+v (%v)", r, err)
	}
}

// An unsupported version is told with what is supported, as server/discover tells it.
func TestDutyUnsupportedVersion(t *testing.T) {
	w := newWorld(t)
	p := w.modern("alice")
	var found struct {
		Versions   []string        `json:"supportedVersions"`
		ServerInfo json.RawMessage `json:"serverInfo"`
		TTL        *int            `json:"ttlMs"`
		Scope      string          `json:"cacheScope"`
		Caps       json.RawMessage `json:"capabilities"`
	}
	p.request(`1`, "server/discover", `{}`).into(t, &found)
	if !slices.Equal(found.Versions, supported) || found.ServerInfo != nil || found.TTL == nil || found.Scope == "" || found.Caps == nil {
		t.Errorf("discover %+v", found)
	}
	for _, v := range []string{"2099-01-01", "1999-01-01", "v999", "DRAFT-2026", "é"} {
		body, heads := p.message(`"v"`, "tools/list", `{}`)
		sent := v
		if v == "é" { // what is not plain ASCII is no header value at all
			sent = rev2026
		}
		a := p.do("POST", strings.Replace(body, rev2026, v, 1), append(heads, header(headerVersion, sent))...)
		var e struct {
			ID    string
			Error struct {
				Code int
				Data struct {
					Supported []string
					Requested string
				}
			}
		}
		if err := json.Unmarshal(a.body, &e); err != nil || a.status != 400 || e.ID != "v" {
			t.Fatalf("%s: %d %s", v, a.status, a.body)
		}
		if sent == v && (e.Error.Code != codeVersion || e.Error.Data.Requested != v || !slices.Equal(e.Error.Data.Supported, found.Versions)) || sent != v && e.Error.Code != codeHeader {
			t.Errorf("%s: %s", v, a.body)
		}
		note := p.do("POST", `{"jsonrpc":"2.0","method":"notifications/x"}`, header(headerVersion, v))
		if note.status != 400 {
			t.Errorf("a notification under %s: %d", v, note.status)
		}
	}
}

// The version header of the older revisions: absent is fine, another than the one
// negotiated is refused, on everything that is sent.
func TestDutyVersionHeader(t *testing.T) {
	w := newWorld(t)
	for _, rev := range legacyRevisions {
		p := w.legacy("alice", rev)
		p.rev = ""
		for _, v := range slices.Concat([]string{""}, supported, []string{"2000-01-01", "2099-01-01", "invalid", "2025-06-18, 2025-06-18"}) {
			for what, body := range map[string]string{
				"a request": `{"jsonrpc":"2.0","id":1,"method":"ping"}`, "a notification": `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}`,
			} {
				a := p.do("POST", body, header(headerVersion, v))
				served := a.status == 200 || a.status == 202
				want := v == "" || v == rev
				if what == "a notification" && v == rev2026 {
					continue // it is one of the modern era, and stands alone
				}
				if served != want || !served && a.status != 400 {
					t.Errorf("%s, %s under %q: %d %s", rev, what, v, a.status, a.body)
				}
			}
		}
	}
}

// A capability that is declared works, and a method of one that is not declared does
// not exist; so it is in every revision.
func TestDutyCapabilitiesAreTrue(t *testing.T) {
	of := map[string][]string{ // by capability
		"tools": {"tools/list", "tools/call"}, "resources": {"resources/list", "resources/templates/list", "resources/read"},
		"prompts": {"prompts/list", "prompts/get"}, "completions": {"completion/complete"}, "logging": {"logging/setLevel"},
		"resources.subscribe": {"resources/subscribe", "resources/unsubscribe"}, "extensions." + tools.TasksExtension: {"tasks/get", "tasks/update", "tasks/cancel"},
		"tasks": {"tasks/list", "tasks/result"}, "": {"sampling/createMessage", "roots/list", "elicitation/create", "nope"},
	}
	w := askingWorld(t)
	for _, rev := range supported {
		declared := map[string]bool{}
		var caps map[string]map[string]json.RawMessage
		hello := w.hello(`{"protocolVersion":"` + rev + `","capabilities":{},"clientInfo":{"name":"p","version":"1"}}`)
		p := &peer{w: w, who: "alice", session: hello.header.Get(headerSession)}
		if rev == rev2026 {
			p = w.modern("alice")
			hello = p.request(`1`, "server/discover", `{}`).answer
		}
		var r struct {
			Caps json.RawMessage `json:"capabilities"`
		}
		hello.into(t, &r)
		if err := json.Unmarshal(r.Caps, &caps); err != nil {
			t.Fatalf("%v: %s", err, r.Caps)
		}
		for name, more := range caps {
			declared[name] = true
			for sub, value := range more {
				declared[name+"."+sub] = string(value) != "false"
			}
			if string(more["listChanged"]) == "true" {
				t.Errorf("%s: %s promises changes that never are", rev, name)
			}
		}
		if rev == rev2026 {
			for ext := range caps["extensions"] {
				if vendor, name, ok := strings.Cut(ext, "/"); !ok || name == "" || !strings.Contains(vendor, ".") {
					t.Errorf("the extension %q has no prefix", ext)
				}
			}
		}
		for name, list := range of {
			for _, method := range list {
				exists := p.request(`2`, method, `{}`).code(t) != codeNoMethod
				want := declared[name]
				switch name {
				case "logging", "resources.subscribe": // under 2026-07-28 other requests ask for these
					want = want && rev != rev2026
				case "extensions." + tools.TasksExtension:
					want = want && rev == rev2026
				}
				if exists != want {
					t.Errorf("%s: %q is declared: %v; %s exists: %v", rev, name, declared[name], method, exists)
				}
			}
		}
	}
}

// What 2026-07-28 has removed, and what nobody has, is an HTTP status of its own with
// the id of the request.
func TestDutyUnknownMethods(t *testing.T) {
	w := newWorld(t)
	p := w.modern("alice")
	for _, method := range append(slices.Clone(removed), "nope", "notifications/initialized", "rpc.discover", "tools/list/", "Tools/List", "elicitation/create") {
		for _, change := range [][]func(*http.Request){nil, {header(headerSession, w.legacy("alice", rev202511).session)}} {
			a := p.request(`"u"`, method, `{"uri":"lyceum://guide","level":"debug"}`, change...)
			if a.status != 404 || a.code(t) != codeNoMethod || !strings.HasPrefix(string(a.body), `{"jsonrpc":"2.0","id":"u",`) {
				t.Errorf("%s: %d %s", method, a.status, a.body)
			}
		}
	}
	for _, rev := range legacyRevisions {
		old := w.legacy("alice", rev)
		for _, method := range []string{"nope", "server/discover", "subscriptions/listen", "tasks/get", "tasks/list", "tasks/result"} {
			if a := old.request(`1`, method, `{}`); a.status != 200 || a.code(t) != codeNoMethod {
				t.Errorf("%s: %s: %d %s", rev, method, a.status, a.body)
			}
		}
	}
}

// A request whose _meta names an older revision is answered by the rules of that
// revision, which wants a session: there is no older request that stands alone.
func TestDutyLegacyVersionInMeta(t *testing.T) {
	w := newWorld(t)
	for _, rev := range legacyRevisions {
		for _, head := range []string{rev, ""} {
			for _, session := range []string{"", w.legacy("alice", rev).session} {
				p := &peer{w: w, who: "alice", rev: head, session: session}
				a := p.do("POST", fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{%q:%q,%q:{}}}}`, metaVersion, rev, metaCapabilities), header(headerMethod, "tools/list"))
				if code := a.code(t); a.status != 400 || code != codeInvalidRequest && (head != "" || code != codeHeader) {
					t.Errorf("%s under %q: %d %s", rev, head, a.status, a.body)
				}
			}
		}
	}
}
