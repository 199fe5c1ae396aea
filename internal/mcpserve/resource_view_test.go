package mcpserve

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/tools/catalog"
)

func TestReadViews(t *testing.T) {
	w := demoWorld(t, demoTools())
	for _, p := range w.peers("alice") {
		env := p.put("", "n", `one two&lt; <script>alert(1)</script> \"];x`)
		for form, want := range map[string]struct{ mime, text string }{
			"mermaid": {"application/vnd.mermaid", `n2["#60;script#62;alert#40;1#41;#60;#47;script#62;"]`},
			"dot":     {"text/vnd.graphviz", `n3 [label="\"];x"];`},
			"svg":     {"image/svg+xml", `&lt;script&gt;alert(1)&lt;/script&gt;`},
		} {
			var out contents
			p.ask("resources/read", `{"uri":"`+env.Resource+"/"+form+`"}`).into(t, &out)
			if c := out.Contents[0]; c.MIMEType != want.mime || !strings.Contains(c.Text, want.text) || strings.Contains(c.Text, "left out") {
				t.Errorf("%s: %+v", form, c)
			}
		}
		env = p.put(env.SessionID, "n", "a b")
		want := fmt.Sprintf(`{"sessionId":%q,"slot":"note/n","version":2,"nodeCount":2,"edgeCount":1,"nodes":[{"id":"0","label":"a"},{"id":"1","label":"b"}],"edges":[{"from":"0","to":"1"}]}`, env.SessionID)
		if got := p.read(env.Resource + "/json-graph"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		var info sessionBody
		if err := json.Unmarshal([]byte(p.read("lyceum://sessions/"+env.SessionID)), &info); err != nil || info.Slots[0].Drawing != env.Resource+"/svg" {
			t.Errorf("%v, %+v", err, info)
		}
		for variable, want := range map[string]string{"slot": `["note/n"]`, "format": `["mermaid","dot","svg","json-graph"]`} {
			a := p.ask("completion/complete", `{"ref":{"type":"ref/resource","uri":"`+uriTemplates[uriView]+`"},"argument":{"name":"`+variable+`","value":""},"context":{"arguments":{"sessionId":"`+env.SessionID+`"}}}`)
			if !strings.Contains(string(a.body), `"values":`+want) {
				t.Errorf("%s: %s", variable, a.body)
			}
		}
	}
}

// Drawings of large graphs say what they leave out; the pages of a graph have all
// of it, each part once, and only of one version.
func TestLargeViews(t *testing.T) {
	w := demoWorld(t, demoTools())
	p := w.modern("alice")
	const n = 9000
	env := p.put("", "n", strings.TrimSpace(strings.Repeat("word ", n)))
	object := "lyceum://sessions/" + env.SessionID + "/slots/note%2Fn" // too large a session for env.Resource to name it
	for _, form := range []string{"mermaid", "dot", "svg"} {
		if text := p.read(object + "/" + form); !strings.Contains(text, fmt.Sprintf(" %d nodes, %d edges", n-200, n-200)) {
			t.Errorf("%s: %.200s", form, text)
		}
	}
	nodes, edges, pages := 0, 0, 0
	last := ""
	for uri := object + "/json-graph"; uri != ""; pages++ {
		var page graphContent
		text := p.read(uri)
		if err := json.Unmarshal([]byte(text), &page); err != nil || len(text) > 2*viewPage || page.NodeCount != n || page.EdgeCount != n-1 {
			t.Fatalf("%v, %d bytes, %.200s", err, len(text), text)
		}
		if len(page.Nodes) > 0 && (page.Nodes[0].ID != fmt.Sprint(nodes) || edges > 0) {
			t.Fatalf("after %d nodes and %d edges comes %s", nodes, edges, page.Nodes[0].ID)
		}
		nodes, edges = nodes+len(page.Nodes), edges+len(page.Edges)
		last, uri = uri, page.Next
	}
	if nodes != n || edges != n-1 || pages < 3 {
		t.Errorf("%d nodes and %d edges on %d pages", nodes, edges, pages)
	}
	if a := p.ask("resources/read", `{"uri":"`+object+`/json-graph/1.999999"}`); a.code(t) != codeInvalidParams {
		t.Errorf("a page after the last: %s", a.body)
	}
	p.put(env.SessionID, "n", "a b c")
	if a := p.ask("resources/read", `{"uri":"`+last+`"}`); !strings.Contains(string(a.body), "begin again at "+object+"/json-graph") {
		t.Errorf("a page of an older version: %s", a.body)
	}
}

func TestViewsOfWhatIsNoGraph(t *testing.T) {
	w := demoWorld(t, demoTools())
	w.server.Drawers = nil
	p := w.modern("alice")
	env := p.put("", "n", "a b")
	const missing = "lyceum://sessions/x/slots/y/svg"
	want := strings.ReplaceAll(string(p.ask("resources/read", `{"uri":"`+missing+`"}`).body), missing, "")
	a := p.ask("resources/read", `{"uri":"`+env.Resource+`/svg"}`)
	if got := strings.ReplaceAll(string(a.body), env.Resource+"/svg", ""); got != want || a.code(t) != codeInvalidParams {
		t.Errorf("%s, want %s", got, want)
	}
	if _, ack := p.listen(env.Resource + "/svg"); strings.Contains(ack, "resourceSubscriptions") {
		t.Errorf("%s", ack)
	}
	if text := p.read("lyceum://sessions/" + env.SessionID); strings.Contains(text, "drawing") {
		t.Errorf("%s", text)
	}
}

// A drawing is told of when its object changes, and only then.
func TestViewsAreWatched(t *testing.T) {
	w := demoWorld(t, demoTools())
	p := w.modern("alice")
	env := p.put("", "n", "a b")
	s, ack := p.listen(env.Resource+"/svg", env.Resource+"/json-graph/1.0")
	if !strings.Contains(ack, `["`+env.Resource+`/svg"]`) {
		t.Fatalf("%s", ack)
	}
	p.put(env.SessionID, "other", "x")
	p.put(env.SessionID, "n", "a b c")
	if uri := updated(t, s.next(t)); uri != env.Resource+"/svg" {
		t.Errorf("told of %s", uri)
	}
	select {
	case e := <-s.events:
		t.Errorf("told of more: %s", e)
	case <-time.After(50 * time.Millisecond):
	}
}

// Every tree and graph that an operation keeps can be read in every form, with
// what clients wrote as text and nothing else.
func TestEveryGraphIsDrawn(t *testing.T) {
	w := demoWorld(t, catalog.All())
	w.server.Drawers = catalog.Drawers()
	p := w.modern("alice")
	const bad = `<script href='x' onload='y'>alert(1)</script>`
	id := ""
	for _, c := range []struct{ operation, parameters string }{
		{"mcts", `{"root":"BAD","candidates":["BAD","b"]}`},
		{"beam_search", `{"root":"BAD","candidates":["BAD","b"],"scores":[0.1,0.2]}`},
		{"tree_of_thought", `{"root":"BAD","branches":[{"content":"BAD","value":0.5},{"content":"b","value":0.2}]}`},
		{"graph_of_thought", `{"nodes":[{"id":"a","content":"BAD","type":"evidence"},{"id":"b","content":"b"}],"edges":[{"from":"a","to":"b","type":"supports"}]}`},
		{"pdr_reasoning", `{"question":"BAD","subjects":["BAD","b","c"]}`},
		{"sequential_thinking", `{"thought":"BAD","nextThoughtNeeded":true}`},
		{"sequential_thinking", `{"thought":"2+2=5","revisesThought":1,"nextThoughtNeeded":true}`},
		{"decision_framework", `{"decisionStatement":"BAD","options":[{"name":"BAD","attributes":{"x":1}},{"name":"b","attributes":{"x":2}}],"criteria":[{"name":"x"}]}`},
		{"decision_framework", `{"analysisType":"maximin","payoffs":{"BAD":{"BAD":1,"s":2},"b":{"BAD":2,"s":0}},"options":[{"name":"BAD"},{"name":"b"}]}`},
	} {
		session := ""
		if id != "" {
			session = `"sessionId":"` + id + `",`
		}
		env, failed := p.call("1", "clear_thought", `{"operation":"`+c.operation+`",`+session+`"parameters":`+strings.ReplaceAll(c.parameters, "BAD", bad)+`}`, "").result(t)
		if failed {
			t.Fatalf("%s: %+v", c.operation, env.Error)
		}
		id = env.SessionID
	}
	var info sessionBody
	if err := json.Unmarshal([]byte(p.read("lyceum://sessions/"+id)), &info); err != nil {
		t.Fatal(err)
	}
	var drawn []string
	for _, line := range info.Slots {
		base, _, _ := strings.Cut(line.Slot, "/")
		drawn = append(drawn, base)
		if line.Drawing == "" {
			t.Errorf("%s has no drawing", line.Slot)
			continue
		}
		wellFormed(t, p.read(line.Drawing))
		for _, form := range viewForms {
			text := p.read(line.URI + "/" + form)
			if form != formGraph && strings.Contains(text, "<script") && form != formDOT || form == formGraph && !strings.Contains(text, "alert(1)") {
				t.Errorf("%s as %s: %s", line.Slot, form, text)
			}
		}
	}
	for _, d := range catalog.Drawers() {
		if !slices.Contains(drawn, d.Slot) {
			t.Errorf("no object of %s among %v", d.Slot, drawn)
		}
	}
}

// wellFormed checks that an SVG document has nothing that acts.
func wellFormed(t *testing.T, svg string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		for _, a := range e.Attr {
			if name := a.Name.Local; strings.HasPrefix(name, "on") || strings.Contains(name, "href") {
				t.Errorf("attribute %s", name)
			}
		}
		if slices.Contains([]string{"script", "a", "foreignObject", "image", "use", "style"}, e.Name.Local) {
			t.Errorf("element %s", e.Name.Local)
		}
	}
}
