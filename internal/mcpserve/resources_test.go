package mcpserve

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools/sessions"
)

func TestResourceGolden(t *testing.T) {
	w := demoWorld(t, demoTools())
	now, old := w.modern("alice"), w.legacy("alice", rev2024)
	for name, p := range map[string]*peer{"2026": now, "2024": old} {
		golden(t, "resources_list_"+name+".json", p.ask("resources/list", `{}`).body)
		golden(t, "resource_templates_"+name+".json", p.ask("resources/templates/list", `{}`).body)
		golden(t, "prompts_list_"+name+".json", p.ask("prompts/list", `{}`).body)
	}
	golden(t, "prompt_demo.json", now.ask("prompts/get", `{"name":"demo","arguments":{"task":"which one?"}}`).body)
	golden(t, "prompt_weigh.json", now.ask("prompts/get", `{"name":"demo","arguments":{"task":"which one?","operation":"weigh","rule":"product"}}`).body)
	golden(t, "guide.md", []byte(now.read("lyceum://guide")))
	golden(t, "operations.md", []byte(now.read("lyceum://operations")))
	golden(t, "operation_weigh.md", []byte(now.read("lyceum://operations/weigh")))
	golden(t, "schema_weigh.json", []byte(now.read("lyceum://operations/weigh/schema")))
}

func TestCapabilities(t *testing.T) {
	w := demoWorld(t, demoTools())
	const want = `"prompts":{},"resources":{"subscribe":true}`
	for _, rev := range legacyRevisions {
		p := &peer{w: w, who: "alice"}
		a := p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"`+rev+`","capabilities":{},"clientInfo":{"name":"p","version":"1"}}}`)
		if !strings.Contains(string(a.body), want) || !strings.Contains(string(a.body), `"completions":{}`) {
			t.Errorf("%s: %s", rev, a.body)
		}
	}
	if a := w.modern("alice").ask("server/discover", `{}`); !strings.Contains(string(a.body), want) {
		t.Errorf("%s", a.body)
	}
	for _, method := range []string{"resources/subscribe", "resources/unsubscribe"} { // gone with 2026-07-28
		if a := w.modern("alice").ask(method, `{"uri":"lyceum://guide"}`); a.status != 404 || a.code(t) != codeNoMethod {
			t.Errorf("%s: %d %s", method, a.status, a.body)
		}
	}
}

// Results of 2026-07-28 say for how long and for whom they may be kept; nothing of
// an owner's is for everybody. Older revisions know none of that.
func TestCacheHints(t *testing.T) {
	w := demoWorld(t, demoTools())
	now, old := w.modern("alice"), w.legacy("alice", rev202511)
	id := now.put("", "n", "x").SessionID
	for _, c := range []struct{ method, params, scope string }{
		{"resources/list", `{}`, "private"},
		{"resources/templates/list", `{}`, "public"},
		{"prompts/list", `{}`, "public"},
		{"resources/read", `{"uri":"lyceum://guide"}`, "public"},
		{"resources/read", `{"uri":"lyceum://operations/put/examples"}`, "public"},
		{"resources/read", `{"uri":"lyceum://sessions/` + id + `"}`, "private"},
		{"resources/read", `{"uri":"lyceum://sessions/` + id + `/slots/note%2Fn"}`, "private"},
		{"resources/read", `{"uri":"lyceum://sessions/` + id + `/export"}`, "private"},
		{"prompts/get", `{"name":"demo","arguments":{"task":"x"}}`, ""},
		{"completion/complete", `{"ref":{"type":"ref/prompt","name":"demo"},"argument":{"name":"operation","value":""}}`, ""},
	} {
		a := now.ask(c.method, c.params)
		var r struct {
			ResultType string `json:"resultType"`
			TTL        *int   `json:"ttlMs"`
			Scope      string `json:"cacheScope"`
		}
		a.into(t, &r)
		if r.ResultType != "complete" || r.Scope != c.scope || (r.TTL == nil) != (c.scope == "") || r.TTL != nil && c.scope == "private" && *r.TTL != 0 {
			t.Errorf("%s %s: %+v", c.method, c.params, r)
		}
		if !strings.Contains(string(a.body), metaServerInfo) {
			t.Errorf("%s lacks serverInfo: %s", c.method, a.body)
		}
		if b := string(old.ask(c.method, c.params).body); strings.Contains(b, "resultType") || strings.Contains(b, "cacheScope") || strings.Contains(b, metaServerInfo) {
			t.Errorf("%s of an older revision: %s", c.method, b)
		}
	}
}

func TestReadSession(t *testing.T) {
	w := demoWorld(t, demoTools())
	for _, p := range w.peers("alice") {
		id := p.put("", "n1", "hello").SessionID
		env := p.put(id, "n2", "you")
		if want := "lyceum://sessions/" + id + "/slots/note%2Fn2"; env.Resource != want {
			t.Errorf("resource %q, want %q", env.Resource, want)
		}
		var info struct {
			Session   sessions.InfoOutput `json:"session"`
			Export    string              `json:"export"`
			SlotCount int                 `json:"slotCount"`
			Slots     []slotLine          `json:"slots"`
		}
		if err := json.Unmarshal([]byte(p.read("lyceum://sessions/"+id)), &info); err != nil {
			t.Fatal(err)
		}
		if info.Session.SessionID != id || info.SlotCount != 2 || len(info.Slots) != 2 || info.Slots[1].URI != env.Resource || info.Slots[1].Version != 2 {
			t.Errorf("%+v", info)
		}
		want := fmt.Sprintf(`{"sessionId":%q,"slot":"note/n2","version":2,"schema":1,"data":{"text":"you"}}`, id)
		for _, uri := range []string{env.Resource, "lyceum://sessions/" + id + "/slots/note/n2"} {
			if got := p.read(uri); got != want {
				t.Errorf("%s: %s", uri, got)
			}
		}
		export := info.Export
		var page struct {
			sessions.ExportOutput
			Next string `json:"next"`
		}
		if err := json.Unmarshal([]byte(p.read(export)), &page); err != nil {
			t.Fatal(err)
		}
		op, _ := p.call("1", "clear_thought", `{"operation":"put","sessionId":"`+id+`","parameters":{"id":"n2","drop":true}}`, "").result(t)
		if op.Resource != "lyceum://sessions/"+id {
			t.Errorf("what was removed cannot be read: %q", op.Resource)
		}
		snap, err := session.DecodeDocument(page.Document, session.DocumentLimits{})
		if err != nil || len(snap.Cells) != 2 || snap.Version != 2 || !page.Page.Complete || page.Next != "" {
			t.Errorf("%v: %+v", err, page)
		}
	}
	if env, _ := w.modern("alice").call("1", "clear_thought", `{"operation":"weigh","parameters":{"options":[{"name":"a"}]}}`, "").result(t); env.Resource != "" {
		t.Errorf("a call that changed nothing names %q", env.Resource)
	}
}

// A large session comes in pages, which make the document; a change between two of
// them is told.
func TestReadExportPages(t *testing.T) {
	w := demoWorld(t, demoTools())
	p := w.modern("alice")
	id := p.put("", "n0", "x").SessionID
	for i := range 4 {
		p.put(id, fmt.Sprint("n", i), strings.Repeat(`\"é`, 30_000))
	}
	if env := p.put(id, "n4", "x"); env.Resource != "lyceum://sessions/"+id {
		t.Errorf("a large session: %q", env.Resource)
	}
	var pages []session.DocumentPage
	uri, second := "lyceum://sessions/"+id+"/export", ""
	for uri != "" {
		var page struct {
			sessions.ExportOutput
			Next string `json:"next"`
		}
		text := p.read(uri)
		if err := json.Unmarshal([]byte(text), &page); err != nil || page.DocumentPage == nil || len(pages) > 20 {
			t.Fatalf("%v: %.300s", err, text)
		}
		pages = append(pages, *page.DocumentPage)
		if uri = page.Next; second == "" {
			second = page.Next
		}
	}
	if len(pages) < 3 {
		t.Fatalf("%d pages", len(pages))
	}
	doc, err := session.JoinPages(pages, 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	if snap, err := session.DecodeDocument(doc, session.DocumentLimits{}); err != nil || len(snap.Cells) != 5 {
		t.Errorf("%v, %d slots", err, len(snap.Cells))
	}
	// The operation gives the same bytes.
	if env, bad := p.call("1", "clear_thought", `{"operation":"put","sessionId":"`+id+`","parameters":{"id":"n4","text":"y"}}`, "").result(t); bad {
		t.Fatalf("%+v", env.Error)
	}
	if a := p.ask("resources/read", `{"uri":"`+second+`"}`); a.status != 200 || a.code(t) != 409 || !strings.Contains(string(a.body), "version_conflict") {
		t.Errorf("a page of an older version: %d %s", a.status, a.body)
	}
	if a := p.ask("resources/read", `{"uri":"lyceum://sessions/`+id+`/export/nonsense"}`); a.code(t) != codeInvalidParams {
		t.Errorf("a page that never was: %s", a.body)
	}
}

func TestReadTooLarge(t *testing.T) {
	w := demoWorld(t, demoTools(), func(c *Config, _ *session.Config) { c.MaxOutputBytes = 4000 })
	p := w.modern("alice")
	id := p.put("", "n", strings.Repeat("x", 5000)).SessionID
	a := p.ask("resources/read", `{"uri":"lyceum://sessions/`+id+`/slots/note%2Fn"}`)
	if a.status != 200 || a.code(t) != 413 || !strings.Contains(string(a.body), "output_too_large") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Examples hold what the operation really computes, once for everybody; what needs
// another scope is not run.
func TestReadExamples(t *testing.T) {
	w := demoWorld(t, demoTools())
	p := w.modern("alice")
	var got struct {
		Examples []struct {
			Arguments json.RawMessage `json:"arguments"`
			Result    struct {
				Result    json.RawMessage `json:"result"`
				Seed      int             `json:"seed"`
				SessionID string          `json:"sessionId"`
			} `json:"result"`
			Note string `json:"note"`
		} `json:"examples"`
	}
	text := p.read("lyceum://operations/weigh/examples")
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if e := got.Examples[0]; string(e.Result.Result) != `{"best":"b"}` || e.Result.Seed != exampleSeed || e.Result.SessionID != "" {
		t.Errorf("%s", text)
	}
	if again := w.modern("bob").read("lyceum://operations/weigh/examples"); again != text {
		t.Errorf("another reader: %s", again)
	}
	if code := p.read("lyceum://operations/run/examples"); strings.Contains(code, `"result"`) || !strings.Contains(code, "needs the scope code") {
		t.Errorf("%s", code)
	}
	if n := len(w.server.Sessions.List(session.Owner{Tenant: "t", Issuer: "i", Subject: "alice"})); n != 0 {
		t.Errorf("reading made %d sessions", n)
	}
}

// missed is an answer without the URI that it repeats from the request.
func missed(a answer, uri string) string {
	return fmt.Sprintf("%d %s", a.status, strings.ReplaceAll(string(a.body), `"data":{"uri":"`+uri+`"}`, `"data":{"uri":"…"}`))
}

// Whoever is not the owner gets one answer to every URI on every verb: that to a
// URI that never was.
func TestResourceIsolation(t *testing.T) {
	w := demoWorld(t, demoTools())
	alice := w.modern("alice")
	theirs := alice.put("", "n", "secret")
	mine := w.modern("mallory").put("", "n", "x").SessionID
	deleted := w.modern("mallory").put("", "n", "x").SessionID
	w.modern("mallory").call("1", "session_delete", `{"sessionId":"`+deleted+`"}`, "")
	env, _ := w.modern("mallory").call("1", "session_create", `{"maxTtlSeconds":1}`, "").result(t)
	var short sessionView
	if err := json.Unmarshal(env.Result, &short); err != nil {
		t.Fatal(err)
	}
	owner := session.Owner{Tenant: "t", Issuer: "i", Subject: "mallory"}
	expire(t, func() bool {
		return !slices.ContainsFunc(w.server.Sessions.List(owner), func(i session.Info) bool { return string(i.ID) == short.SessionID })
	})
	ids := map[string]string{"foreign": theirs.SessionID, "deleted": deleted, "expired": short.SessionID, "unknown": "rs_" + strings.Repeat("a", 26), "nonsense": "x"}
	for _, p := range w.peers("mallory") {
		code := codeNoResource
		if p.rev == rev2026 {
			code = codeInvalidParams
		}
		for _, form := range []string{
			"lyceum://sessions/%s", "lyceum://sessions/%s/slots/note%%2Fn", "lyceum://sessions/%s/slots/other",
			"lyceum://sessions/%s/export", "lyceum://sessions/%s/export/1.0.0.x",
			"lyceum://sessions/%s/slots/note%%2Fn/svg", "lyceum://sessions/%s/slots/note%%2Fn/json-graph", "lyceum://sessions/%s/slots/note%%2Fn/json-graph/1.0",
		} {
			for _, method := range []string{"resources/read", "resources/subscribe", "resources/unsubscribe"} {
				if p.rev == rev2026 && method != "resources/read" {
					continue
				}
				want := ""
				for kind, id := range ids {
					uri := fmt.Sprintf(form, id)
					a := p.ask(method, `{"uri":"`+uri+`"}`)
					if got := missed(a, uri); want == "" {
						want = got
					} else if got != want {
						t.Errorf("%s %s of a session that is %s:\n%s\nwant\n%s", method, form, kind, got, want)
					}
					if method != "resources/unsubscribe" && a.code(t) != code {
						t.Errorf("%s: %s", method, a.body)
					}
				}
			}
		}
		// What is missing in one's own session is the same miss.
		for _, uri := range []string{"lyceum://sessions/" + mine + "/slots/nope", "lyceum://sessions/" + mine + "/slots/nope/svg", "lyceum://operations/nope", "lyceum://nope", "file:///etc/passwd", "lyceum://sessions/" + mine + "?x"} {
			a := p.ask("resources/read", `{"uri":"`+uri+`"}`)
			const never = "lyceum://sessions/x"
			if b := p.ask("resources/read", `{"uri":"`+never+`"}`); missed(a, uri) != missed(b, never) {
				t.Errorf("%s: %s", uri, a.body)
			}
		}
		for kind, id := range ids {
			a := p.ask("completion/complete", `{"ref":{"type":"ref/resource","uri":"lyceum://sessions/{sessionId}/slots/{slot}"},"argument":{"name":"slot","value":""},"context":{"arguments":{"sessionId":"`+id+`"}}}`)
			if !strings.Contains(string(a.body), `"completion":{"values":[],"total":0,"hasMore":false}`) {
				t.Errorf("completion in a session that is %s: %s", kind, a.body)
			}
			a = p.ask("prompts/get", `{"name":"demo","arguments":{"task":"x","sessionId":"`+id+`"}}`)
			if a.code(t) != codeInvalidParams || strings.Contains(string(a.body), id) && id != "x" {
				t.Errorf("a prompt for a session that is %s: %s", kind, a.body)
			}
		}
		for _, a := range []answer{
			p.ask("resources/list", `{}`),
			p.ask("completion/complete", `{"ref":{"type":"ref/resource","uri":"lyceum://sessions/{sessionId}"},"argument":{"name":"sessionId","value":""}}`),
		} {
			if b := string(a.body); strings.Contains(b, theirs.SessionID) || !strings.Contains(b, mine) {
				t.Errorf("%s", b)
			}
		}
	}
	_, ack := w.modern("mallory").listen("lyceum://sessions/"+theirs.SessionID, theirs.Resource, theirs.Resource+"/svg", "lyceum://sessions/"+mine, "lyceum://guide", "lyceum://operations/nope", "x://y",
		"lyceum://sessions/"+mine+"/slots/nope", "lyceum://sessions/"+mine+"/slots/nope/svg", "lyceum://sessions/"+deleted)
	if want := `"notifications":{"resourceSubscriptions":["lyceum://sessions/` + mine + `","lyceum://guide"]}`; !strings.Contains(ack, want) {
		t.Errorf("ack %s, want %s", ack, want)
	}
	if got := alice.read(theirs.Resource); !strings.Contains(got, "secret") {
		t.Errorf("the owner reads %s", got)
	}
}

func TestResourcesNeedTheScope(t *testing.T) {
	w := demoWorld(t, demoTools())
	id := w.modern("alice").put("", "n", "x").SessionID
	for _, p := range w.peers("bare") {
		a := p.ask("resources/read", `{"uri":"lyceum://sessions/`+id+`"}`)
		if a.status != 403 || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%d %s", a.status, a.body)
		}
		if text := p.read("lyceum://guide"); text == "" {
			t.Error("the guide needs no scope")
		}
	}
}

// Looking at a session does not keep it alive.
func TestReadsDoNotSlideTheIdleTTL(t *testing.T) {
	w := demoWorld(t, demoTools())
	p := w.modern("alice")
	id := p.put("", "n", "x").SessionID
	owner := session.Owner{Tenant: "t", Issuer: "i", Subject: "alice"}
	before := w.server.Sessions.List(owner)[0].LastUsed
	for _, part := range []string{"", "/slots/note%2Fn", "/export"} {
		p.read("lyceum://sessions/" + id + part)
	}
	p.ask("resources/list", `{}`)
	p.listen("lyceum://sessions/" + id)
	if after := w.server.Sessions.List(owner)[0]; !after.LastUsed.Equal(before) || after.InFlight+after.Streams != 0 {
		t.Errorf("%+v, last used before at %s", after, before)
	}
}
