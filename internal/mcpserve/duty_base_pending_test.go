package mcpserve

import (
	"encoding/json"
	"strings"
	"testing"
)

// Under 2025-03-26 answers may come in a batch too, also without anything else in it.
func TestDutyAnswersInABatch(t *testing.T) {
	w := askingWorld(t)
	p := &peer{w: w, who: "alice"}
	p.session = w.hello(`{"protocolVersion":"2025-03-26","capabilities":` + canElicit + `,"clientInfo":{"name":"p","version":"1"}}`).header.Get(headerSession)
	s := p.open("POST", `{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"twice","arguments":{}}}`)
	for _, name := range []string{"Ann", "Ben"} {
		var q wire
		if err := json.Unmarshal([]byte(s.next(t)), &q); err != nil || q.Method != "elicitation/create" {
			t.Fatalf("%+v (%v)", q, err)
		}
		if a := p.do("POST", `[{"jsonrpc":"2.0","id":`+string(q.ID)+`,"result":{"action":"accept","content":{"name":"`+name+`"}}}]`); a.status != 202 || len(a.body) > 0 {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if end := s.next(t); !strings.Contains(end, "Ann") || !strings.Contains(end, "Ben") {
		t.Errorf("%s", end)
	}
}

// The version header is held against the session on GET and DELETE as on POST, and an
// answer needs a session as everything else does.
func TestDutyVersionHeaderOnEveryMethod(t *testing.T) {
	w := newWorld(t)
	p := w.legacy("alice", rev202506)
	for _, method := range []string{"GET", "DELETE"} {
		for _, v := range []string{rev202511, rev202503, "2099-01-01", "nonsense"} {
			if a := p.do(method, "", header(headerVersion, v)); a.status != 400 {
				t.Errorf("%s under %s: %d %s", method, v, a.status, a.body)
			}
		}
		if a := p.do(method, "", header(headerVersion, rev2026)); a.status != 405 {
			t.Errorf("%s under %s: %d", method, rev2026, a.status)
		}
	}
	const answer = `{"jsonrpc":"2.0","id":"ask_x","result":{}}`
	if a := (&peer{w: w, who: "alice"}).do("POST", answer); a.status != 400 || a.code(t) != codeInvalidRequest {
		t.Errorf("an answer without a session: %d %s", a.status, a.body)
	}
	if a := p.do("POST", answer, header(headerVersion, rev202511)); a.status != 400 {
		t.Errorf("an answer under another version: %d %s", a.status, a.body)
	}
	if a := p.do("POST", answer); a.status != 202 || len(a.body) > 0 {
		t.Errorf("an answer to nothing: %d %s", a.status, a.body)
	}
}
