package mcpserve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// everyPeer returns a client of alice of each revision.
func (w *world) everyPeer() []*peer {
	w.t.Helper()
	var all []*peer
	for _, rev := range legacyRevisions {
		all = append(all, w.legacy("alice", rev))
	}
	return append(all, w.modern("alice"))
}

// name tells the peers of a test apart.
func (p *peer) name() string {
	if p.rev == "" {
		return "no version header"
	}
	return p.rev
}

// An id comes back byte for byte: its type, its digits and its escapes, in results
// and errors, in a body and at the end of a stream.
func TestDutyIDsAreEchoed(t *testing.T) {
	w := newWorld(t)
	for _, p := range w.everyPeer() {
		for _, id := range []string{`0`, `-7`, `9007199254740993`, `123456789012345678901234567890`, `""`, `"7"`, `"a\"b\\\u0041\n😀"`, `"` + strings.Repeat("x", 200) + `"`} {
			for what, s := range map[string]*said{
				"a result":       p.request(id, "tools/call", `{"name":"echo","arguments":{"text":"x"}}`),
				"of mcp-go":      p.request(id, "tools/list", `{}`),
				"an error":       p.request(id, "tools/call", `{"name":"nope","arguments":{}}`),
				"unknown method": p.request(id, "nope", `{}`),
				"a stream":       p.request(id, "tools/call", `{"_meta":{"progressToken":1},"name":"clear_thought","arguments":{"operation":"steps"}}`),
			} {
				all := s.messages()
				if last := all[len(all)-1]; !strings.HasPrefix(string(last), `{"jsonrpc":"2.0","id":`+id+`,`) {
					t.Errorf("%s, %s of %s: %s", p.name(), what, id, last)
				}
			}
		}
	}
}

// What cannot be an id is refused, and the answer has none; an id that can be read is
// in the answer even if the rest of the request cannot.
func TestDutyBadIDs(t *testing.T) {
	w := newWorld(t)
	for _, p := range w.everyPeer() {
		for _, id := range []string{`null`, `1.5`, `1.0`, `1e3`, `true`, `[1]`, `{"a":1}`, `"` + strings.Repeat("x", 300) + `"`} {
			if s := p.request(id, "tools/list", `{}`); s.status != 400 || s.code(t) != codeInvalidRequest || !strings.HasPrefix(string(s.body), `{"jsonrpc":"2.0","id":null,`) {
				t.Errorf("%s: id %.20s: %d %s", p.name(), id, s.status, s.body)
			}
		}
		for _, body := range []string{
			`{"jsonrpc":"1.0","id":"mine","method":"tools/list"}`, `{"id":"mine","method":"tools/list"}`, `{"jsonrpc":"2.0","id":"mine"}`,
			`{"jsonrpc":"2.0","id":"mine","method":7}`, `{"jsonrpc":"2.0","id":"mine","method":"tools/list","result":{}}`,
			`{"jsonrpc":"2.0","id":"mine","METHOD":"tools/list"}`, `{"jsonrpc":"2.0","method":"tools/list","Params":{},"id":"mine"}`,
			`{"jsonrpc":"2.0","id":"mine","method":"tools/list","params":"x"}`,
		} {
			if a := p.do("POST", body); a.status != 400 || a.code(t) != codeInvalidRequest || !strings.HasPrefix(string(a.body), `{"jsonrpc":"2.0","id":"mine",`) {
				t.Errorf("%s: %s: %d %s", p.name(), body, a.status, a.body)
			}
		}
	}
}

// Two clients, and two requests of one client, may use the same id at the same time;
// each gets its own answer.
func TestDutyEqualIDs(t *testing.T) {
	w := newWorld(t)
	alice := w.legacy("alice", rev202511)
	peers := []*peer{alice, alice, w.legacy("bob", rev202511), w.modern("alice"), w.modern("bob"), w.modern("bob")}
	var held []<-chan answer
	for _, p := range peers {
		held = append(held, p.hold(t.Context()))
	}
	var wg sync.WaitGroup
	for i, p := range peers {
		wg.Go(func() {
			for n := range 20 {
				text := fmt.Sprintf("%d-%d", i, n)
				env, bad := p.request(`1`, "tools/call", `{"name":"echo","arguments":{"text":"`+text+`"}}`).result(t)
				if bad || string(env.Result) != `{"text":"`+text+`"}` {
					t.Errorf("%s got %s", text, env.Result)
				}
			}
		})
	}
	wg.Wait()
	for range held {
		w.gates.leave <- struct{}{}
	}
	for i, h := range held {
		if a := wait(t, "an answer", h); a.status != 200 {
			t.Errorf("call %d: %d", i, a.status)
		}
	}
}

// A notification is never answered, whatever it says, and does nothing that only a
// request can ask for.
func TestDutyNotificationsAreNotAnswered(t *testing.T) {
	w := newWorld(t)
	for _, p := range w.everyPeer() {
		before := len(w.server.Sessions.List(owner(principalOf("alice"))))
		for _, rest := range []string{
			`"method":"notifications/initialized"`, `"method":"notifications/unheard-of","params":{"x":1}`, `"method":"notifications/roots/list_changed"`,
			`"method":"notifications/cancelled"`, `"method":"notifications/cancelled","params":{"requestId":{}}`, `"method":"notifications/cancelled","params":{"requestId":"never was"}`,
			`"method":"notifications/progress","params":{"progressToken":1,"progress":1}`, `"method":"ping"`, `"method":"initialize"`, `"method":"nope"`,
			`"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"remember","parameters":{"text":"x"}}}`,
		} {
			if a := p.do("POST", `{"jsonrpc":"2.0",`+rest+`}`); a.status != http.StatusAccepted || len(a.body) > 0 {
				t.Errorf("%s: %s: %d %s", p.name(), rest, a.status, a.body)
			}
		}
		if after := len(w.server.Sessions.List(owner(principalOf("alice")))); after != before {
			t.Errorf("%s: a call without an id ran", p.name())
		}
	}
	// A refusal is a status, not an answer with an id.
	lost := &peer{w: w, who: "alice"}
	if a := lost.do("POST", `{"jsonrpc":"2.0","method":"notifications/initialized"}`); a.status != 400 || !strings.HasPrefix(string(a.body), `{"jsonrpc":"2.0","id":null,`) {
		t.Errorf("without a session: %d %s", a.status, a.body)
	}
}

// Batches belong to one revision. There they work with everything that a message
// can be; in all others an array is refused before anything in it runs.
func TestDutyBatchesByRevision(t *testing.T) {
	w := newWorld(t)
	const batch = `[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":"2","method":"nope"},{"jsonrpc":"2.0","method":"notifications/x"},` +
		`{"jsonrpc":"2.0","id":3,"method":"initialize","params":{"protocolVersion":"2025-03-26"}},{"x":1}]`
	p := w.legacy("alice", rev202503)
	for _, head := range []string{"", rev202503} {
		a := p.do("POST", batch, header(headerVersion, head))
		var got []wire
		if err := json.Unmarshal(a.body, &got); err != nil || a.status != 200 || len(got) != 4 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		for i, want := range []string{"1 ", `"2" -32601`, "3 -32600", "null -32600"} {
			id, code := string(got[i].ID), ""
			if got[i].Error != nil {
				code = string(got[i].Error.Code)
			}
			if id+" "+code != want {
				t.Errorf("answer %d: %s %s, want %s", i, id, code, want)
			}
		}
	}
	refused := func(what string, p *peer, body string, code int, change ...func(*http.Request)) {
		t.Helper()
		a := p.do("POST", body, change...)
		if a.status != 400 || a.code(t) != code || !strings.HasPrefix(string(a.body), `{"jsonrpc":"2.0","id":null,`) {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	refused("an empty one", p, ` [ ] `, codeInvalidRequest)
	refused("one too long", p, `[`+strings.Repeat(`1,`, DefaultMaxBatch)+`1]`, codeInvalidRequest)
	refused("one that is cut", p, `[{"jsonrpc":"2.0","id":1,"method":"ping"}`, codeParse)
	refused("under another version", p, batch, codeInvalidRequest, header(headerVersion, rev202506))
	refused("without a session", &peer{w: w, who: "alice"}, batch, codeInvalidRequest)
	for _, rev := range []string{rev2024, rev202506, rev202511} {
		q := w.legacy("alice", rev)
		refused(rev, q, batch, codeInvalidRequest)
		refused(rev+" without its header", q, batch, codeInvalidRequest, header(headerVersion, ""))
		refused(rev+" under the header of the one that has them", q, batch, codeInvalidRequest, header(headerVersion, rev202503))
	}
	refused(rev2026, w.modern("alice"), batch, codeInvalidRequest)
	if a := p.do("POST", `[{"jsonrpc":"2.0","method":"notifications/a"},{"jsonrpc":"2.0","method":"notifications/b"}]`); a.status != 202 || len(a.body) > 0 {
		t.Errorf("nothing but notifications: %d %q", a.status, a.body)
	}
	if a := p.do("POST", `[{"jsonrpc":"2.0","id":4,"method":"tools/list","params":{"_meta":{"`+metaVersion+`":"2026-07-28"}}}]`); !strings.Contains(string(a.body), `"id":4,"error":{"code":-32600`) {
		t.Errorf("a request of %s inside: %s", rev2026, a.body)
	}
	if got := (&peer{w: w, who: "mallory", session: p.session}).do("POST", batch); got.status != 404 {
		t.Errorf("in somebody else's session: %d", got.status)
	}
}
