package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/thought"
	"github.com/lyceum-mcp/lyceum/session"
)

// arguments writes arguments of a call into a file and returns how to name it.
func arguments(t *testing.T, members map[string]any) string {
	t.Helper()
	b, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "arguments.json")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return "@" + name
}

// importing are the arguments of a call that imports a document.
func importing(t *testing.T, document any, more ...any) string {
	t.Helper()
	parameters := map[string]any{"document": document}
	members := map[string]any{"parameters": parameters}
	for i := 0; i+1 < len(more); i += 2 {
		if key, _ := more[i].(string); key == "idempotencyKey" {
			members[key] = more[i+1]
		} else {
			parameters[key] = more[i+1]
		}
	}
	return arguments(t, members)
}

// A session goes from one server to another, and is the same there.
func TestSessionMoves(t *testing.T) {
	a, b := serve(t), serve(t)
	alice, there := a.token("--sub", "alice"), b.token("--sub", "alice")
	id := text(t, a.call(alice, "sequential_thinking", `{"thought":"17*23 = 391, so 391 is no prime.","nextThoughtNeeded":true}`), "sessionId")
	tree := text(t, a.call(alice, "mcts", `{"action":"start","root":"Which store?","candidates":["memory","file"]}`, "--session", id), "result", "treeId")
	a.call(alice, "decision_framework", `{"analysisType":"maximin","payoffs":{"bonds":[40,5],"stocks":[70,-13]}}`, "--session", id)
	document := field(t, a.call(alice, "session_export", `{"form":"document"}`, "--session", id), "result", "document")
	digest := func(p *proc, token, id string) string {
		return text(t, p.call(token, "session_export", `{}`, "--session", id), "result", "digest")
	}

	moved := b.call(there, "session_import", importing(t, document, "idempotencyKey", "move-1"))
	to := text(t, moved, "sessionId")
	if got, want := digest(b, there, to), digest(a, alice, id); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	if said, own := text(t, moved, "result", "digest"), document.(map[string]any)["digest"]; said != own {
		t.Errorf("the import reports the digest %s of the document, which says %s", said, own)
	}
	if again := b.call(there, "session_import", importing(t, document, "idempotencyKey", "move-1")); again != moved {
		t.Errorf("repeated:\n%s\nfirst:\n%s", again, moved)
	}
	if out := b.refused(there, "session_import", importing(t, document, "mode", "replace", "idempotencyKey", "move-1")); !strings.Contains(out, "idempotency_conflict") {
		t.Errorf("another import with the key: %s", out)
	}
	if out := b.call(there, "session_import", importing(t, document), "--session", to); field(t, out, "result", "changed") != false {
		t.Errorf("imported again: %s", out)
	}

	// Both have gone on: the tree comes as another one, or replaces what is there.
	b.call(there, "mcts", `{"action":"ask","treeId":"`+tree+`"}`, "--session", to)
	out := b.call(there, "session_import", importing(t, document), "--session", to)
	other := text(t, out, "result", "remapped", tree)
	b.call(there, "mcts", `{"action":"ask","treeId":"`+other+`"}`, "--session", to)
	b.call(there, "session_import", importing(t, document, "mode", "replace"), "--session", to)
	if got, want := digest(b, there, to), digest(a, alice, id); got != want {
		t.Errorf("replaced: digest %s, want %s", got, want)
	}

	// What is damaged, forged, of another schema or too large changes nothing.
	raw, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	forge := func(old, new string) any {
		t.Helper()
		s, err := session.DecodeDocument(raw, session.DocumentLimits{})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for i, c := range s.Cells {
			data := strings.Replace(string(c.Data), old, new, 1)
			found = found || data != string(c.Data)
			s.Cells[i].Data = json.RawMessage(data)
		}
		doc, err := session.EncodeDocument(s)
		if err != nil || !found {
			t.Fatalf("%s: %v", old, err)
		}
		return json.RawMessage(doc)
	}
	version := field(t, b.call(there, "session_info", `{}`, "--session", to), "result", "version")
	for name, tt := range map[string]struct {
		document any
		want     []string
	}{
		"damaged":         {strings.Replace(string(raw), "391", "392", 1), []string{"document_corrupted"}},
		"a circle":        {forge(`"parent":0`, `"parent":1`), []string{"document_invalid", tree, "nodes[1].parent"}},
		"visits":          {forge(`"prior":1`, `"visits":1e300,"prior":1`), []string{"document_invalid", "visits"}},
		"another thought": {forge("no prime", "my prime"), []string{"document_invalid", "thoughts[0].hash"}},
		"another verdict": {forge(`"recommendation":"bonds"`, `"recommendation":"gold"`), []string{"document_invalid", "last.recommendation"}},
		"a newer schema":  {forge(`{"schema":1`, `{"schema":7`), []string{"slot_schema", "newer server"}},
	} {
		out := b.refused(there, "session_import", importing(t, tt.document, "mode", "replace"), "--session", to)
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %s, want %s", name, out, want)
			}
		}
	}
	if after := field(t, b.call(there, "session_info", `{}`, "--session", to), "result", "version"); after != version {
		t.Errorf("refused imports led from version %v to %v", version, after)
	}
}

// large is the document of a session with a chain of n long thoughts.
func large(t *testing.T, n int) []byte {
	t.Helper()
	var chain thought.Chain
	s := session.Snapshot{Record: session.Record{Version: 1, Created: time.Unix(1_700_000_000, 0)}}
	put := func(name string, v any) {
		data, err := json.Marshal(map[string]any{"schema": 1, "data": v})
		if err != nil {
			t.Fatal(err)
		}
		s.Cells = append(s.Cells, session.Cell{Name: name, Version: 1, Data: data})
	}
	for i := range n {
		if _, err := chain.Add(thought.Draft{Text: fmt.Sprint(i, strings.Repeat(" Größe", 4000)), At: time.Unix(1_700_000_000, 0)}); err != nil {
			t.Fatal(err)
		}
		if b, ok := chain.Sealable(); ok {
			put(fmt.Sprintf("%s_texts/%03d", thought.SlotName, b.Number), b)
			chain.Seal(b.Number)
		}
	}
	put(thought.SlotName, chain)
	doc, err := session.EncodeDocument(s)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// A session of three megabytes goes in pages, where the server takes a body as
// large.
func TestLargeSessionMoves(t *testing.T) {
	doc := large(t, 100)
	if len(doc) < 3<<20 {
		t.Fatalf("%d bytes", len(doc))
	}
	small, wide := serve(t), serve(t, "--http-max-body-bytes", "8MiB")
	if out := small.refused(small.token("--sub", "alice"), "session_import", importing(t, json.RawMessage(doc))); !strings.Contains(out, "limit") {
		t.Errorf("a body that is too large: %s", out)
	}
	alice := wide.token("--sub", "alice")
	pages, err := session.Pages(doc, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	id := text(t, wide.call(alice, "session_import", arguments(t, map[string]any{"parameters": map[string]any{"pages": pages}})), "sessionId")

	var got []any
	cursor := ""
	for {
		out := wide.call(alice, "session_export", fmt.Sprintf(`{"form":"document","maxBytes":524288,"cursor":%q}`, cursor), "--session", id)
		got = append(got, field(t, out, "result", "documentPage"))
		page, _ := field(t, out, "result", "page").(map[string]any)
		if cursor, _ = page["nextCursor"].(string); cursor == "" {
			break
		}
	}
	if len(got) < 6 {
		t.Errorf("%d pages", len(got))
	}
	began := time.Now()
	again := wide.call(alice, "session_import", arguments(t, map[string]any{"parameters": map[string]any{"pages": got}}))
	t.Logf("%d bytes in %d pages imported in %v", len(doc), len(got), time.Since(began))
	digest := func(id string) string {
		return text(t, wide.call(alice, "session_export", `{"maxBytes":1024}`, "--session", id), "result", "digest")
	}
	if digest(text(t, again, "sessionId")) != digest(id) {
		t.Error("the two sessions differ")
	}
	got = got[1:]
	if out := wide.refused(alice, "session_import", arguments(t, map[string]any{"parameters": map[string]any{"pages": got}})); !strings.Contains(out, "document_pages") {
		t.Errorf("a page is missing: %s", out)
	}

	tight := serve(t, "--http-max-body-bytes", "8MiB", "--sessions-max-bytes", "1MiB")
	if out := tight.refused(tight.token("--sub", "alice"), "session_import", arguments(t, map[string]any{"parameters": map[string]any{"pages": pages}})); !strings.Contains(out, "session_too_large") {
		t.Errorf("over the session's bytes: %s", out)
	}
}
