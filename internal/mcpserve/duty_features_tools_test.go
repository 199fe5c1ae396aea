package mcpserve

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/catalog"
)

var surfaces = []string{"facade", "families", "both"}

// shippedWorld is a server with all that is shipped, under a surface.
func shippedWorld(t testing.TB, surface string, change ...func(*Config, *session.Config)) *world {
	t.Helper()
	w := demoWorld(t, catalog.All(), append(change, func(c *Config, _ *session.Config) { c.Surface = surface })...)
	for _, tool := range catalog.Direct() {
		s := tool.Spec()
		w.server.offer(s.Name, s.Summary, s.Title, tool.InputSchema(), nil, annotations(s.Effect), &direct{tool: tool})
	}
	return w
}

// listedAs is a tool with every member that tools/list shows of it.
func listedAs(t testing.TB, p *peer) []map[string]json.RawMessage {
	t.Helper()
	var out struct {
		Tools []map[string]json.RawMessage `json:"tools"`
	}
	p.ask("tools/list", `{}`).into(t, &out)
	return out.Tools
}

func (w *world) speaking(who, revision string) *peer {
	if revision == rev2026 {
		return w.modern(who)
	}
	return w.legacy(who, revision)
}

var allRevisions = append(slices.Clone(legacyRevisions), rev2026)

// A revision is not shown what only a later one has: annotations came with
// 2025-03-26, titles and output schemas with 2025-06-18.
func TestDutyToolListKeepsToItsRevision(t *testing.T) {
	known := map[string][]string{
		rev2024:   {"description", "inputSchema", "name"},
		rev202503: {"annotations", "description", "inputSchema", "name"},
		rev202506: {"annotations", "description", "inputSchema", "name", "outputSchema", "title"},
	}
	known[rev202511], known[rev2026] = known[rev202506], known[rev202506]
	for _, surface := range surfaces {
		w := shippedWorld(t, surface)
		for _, revision := range allRevisions {
			outputs := 0
			for _, tool := range listedAs(t, w.speaking("alice", revision)) {
				for member := range tool {
					if !slices.Contains(known[revision], member) {
						t.Errorf("%s, %s: %s has %s", surface, revision, tool["name"], member)
					}
				}
				for _, member := range known[revision] {
					if member != "outputSchema" && len(tool[member]) == 0 {
						t.Errorf("%s, %s: %s lacks %s", surface, revision, tool["name"], member)
					}
				}
				if tool["outputSchema"] != nil {
					outputs++
				}
			}
			if typed := surface != "facade" && slices.Contains(known[revision], "outputSchema"); typed != (outputs > 0) {
				t.Errorf("%s, %s: %d output schemas", surface, revision, outputs)
			}
		}
	}
}

// The list of tools is the same bytes for every principal, on every connection and
// after every call, and in the order of names.
func TestDutyToolListIsTheSameForEverybody(t *testing.T) {
	for _, surface := range []string{"facade", "both"} {
		w := shippedWorld(t, surface)
		for _, revision := range []string{rev2024, rev202503, rev2026} { // one for each form of the list
			alice := w.speaking("alice", revision)
			want := string(alice.ask("tools/list", `{}`).body)
			check := func(what string, p *peer) {
				t.Helper()
				if got := string(p.ask("tools/list", `{}`).body); got != want {
					t.Errorf("%s, %s: %s sees another list:\n%.300s\nwant\n%.300s", surface, revision, what, got, want)
				}
			}
			check("another principal", w.speaking("bob", revision))
			check("a principal without a scope", w.speaking("bare", revision))
			check("the same principal on another connection", w.speaking("alice", revision))
			for tool, arguments := range map[string]string{
				"session_create": `{}`, "sequentialthinking": `{"thought":"x","thoughtNumber":1,"totalThoughts":1,"nextThoughtNeeded":false}`, "nothing": `{}`,
				"clear_thought": `{"operation":"session_info"}`, "lyceum_sessions": `{"operation":"session_info"}`,
			} {
				alice.call("1", tool, arguments, "")
			}
			check("who has called tools", alice)
			var names []string
			for _, tool := range listedAs(t, alice) {
				names = append(names, string(tool["name"]))
			}
			if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
				t.Errorf("%s, %s: %v", surface, revision, names)
			}
		}
	}
	// A server that was made anew lists the same.
	one, other := shippedWorld(t, "both").modern("alice"), shippedWorld(t, "both").modern("alice")
	if string(one.ask("tools/list", `{}`).body) != string(other.ask("tools/list", `{}`).body) {
		t.Error("two servers of one version list their tools otherwise")
	}
}

// What a host pays for the list of tools, every time that it puts it before a model.
// A token is taken for four bytes of the result, which is near enough for JSON and
// the same on every run.
func TestDutyToolListCost(t *testing.T) {
	for _, c := range []struct {
		surface string
		tools   int
		tokens  int // at most
	}{
		{"facade", 8, 1900},
		{"families", 13, 26500},
		{"both", 14, 27000},
	} {
		p := shippedWorld(t, c.surface).modern("alice")
		var out struct {
			Tools json.RawMessage `json:"tools"`
		}
		p.ask("tools/list", `{}`).into(t, &out)
		list := listedAs(t, p)
		tokens := len(out.Tools) / 4
		t.Logf("%s: %d tools, %d bytes, about %d tokens", c.surface, len(list), len(out.Tools), tokens)
		if len(list) != c.tools || tokens > c.tokens || tokens < c.tokens*3/4 {
			t.Errorf("%s: %d tools for about %d tokens; want %d for at most %d, and a bound that is near", c.surface, len(list), tokens, c.tools, c.tokens)
		}
		for _, tool := range list {
			var text string
			if err := json.Unmarshal(tool["description"], &text); err != nil || text == "" || len(text) > maxDescription {
				t.Errorf("%s: the description of %s has %d characters", c.surface, tool["name"], len(text))
			}
		}
	}
}

// A cursor that is not of the list gives the one answer, whatever it is.
func TestDutyToolListHasOnePage(t *testing.T) {
	w := shippedWorld(t, "facade")
	for _, revision := range allRevisions {
		p := w.speaking("alice", revision)
		var list map[string]json.RawMessage
		p.ask("tools/list", `{}`).into(t, &list)
		if list["nextCursor"] != nil {
			t.Errorf("%s: %s", revision, list["nextCursor"])
		}
		for _, cursor := range []string{`"abc"`, `"am9iX2NhbmNlbA=="`, `""`, `7`, `{}`} {
			a := p.ask("tools/list", `{"cursor":`+cursor+`}`)
			if a.status != 200 || a.code(t) != codeInvalidParams || !strings.Contains(string(a.body), errBadCursor.message) {
				t.Errorf("%s, %s: %d %s", revision, cursor, a.status, a.body)
			}
		}
		if a := p.ask("tools/list", `{"cursor":null}`); a.code(t) != 0 {
			t.Errorf("%s: null is no cursor: %s", revision, a.body)
		}
	}
}

var toolName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)

// Names are what every host takes, and schemas are objects that need nothing from
// elsewhere. No argument is to be repeated in a header: the handle of a session
// would be seen on its way.
func TestDutyToolNamesAndSchemas(t *testing.T) {
	for _, tool := range listedAs(t, shippedWorld(t, "both").modern("alice")) {
		var name string
		if err := json.Unmarshal(tool["name"], &name); err != nil || !toolName.MatchString(name) {
			t.Errorf("%s (%v)", tool["name"], err)
		}
		for _, member := range []string{"inputSchema", "outputSchema"} {
			raw := tool[member]
			if raw == nil {
				continue
			}
			var root struct {
				Type       string                     `json:"type"`
				Properties map[string]json.RawMessage `json:"properties"`
			}
			if err := json.Unmarshal(raw, &root); err != nil || root.Type != "object" || len(root.Properties) == 0 {
				t.Errorf("%s: %s is no schema of an object with members: %.200s", name, member, raw)
			}
			for _, word := range []string{`"$ref"`, `"$schema"`, `"x-mcp-header"`} {
				if strings.Contains(string(raw), word) {
					t.Errorf("%s: %s has %s", name, member, word)
				}
			}
			if depth := depthOf(t, raw); depth > 24 {
				t.Errorf("%s: %s nests %d levels deep", name, member, depth)
			}
		}
	}
}

func depthOf(t testing.TB, raw json.RawMessage) int {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	var deep func(v any) int
	deep = func(v any) (most int) {
		switch x := v.(type) {
		case map[string]any:
			for _, sub := range x {
				most = max(most, deep(sub))
			}
		case []any:
			for _, sub := range x {
				most = max(most, deep(sub))
			}
		default:
			return 0
		}
		return most + 1
	}
	return deep(v)
}

// hintsOf returns what a client is told of the effect of each tool.
func hintsOf(t testing.TB, p *peer) map[string]map[string]bool {
	t.Helper()
	out := map[string]map[string]bool{}
	for _, tool := range listedAs(t, p) {
		var name string
		hints := map[string]bool{}
		if json.Unmarshal(tool["name"], &name) != nil || json.Unmarshal(tool["annotations"], &hints) != nil {
			t.Fatalf("%s", tool)
		}
		for _, hint := range []string{"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"} {
			if _, told := hints[hint]; !told {
				t.Errorf("%s lacks %s", name, hint) // the defaults are the worst
			}
		}
		out[name] = hints
	}
	return out
}

// What a tool is said to do is true of each of its operations: those that only read
// leave the session at its version and with its objects, and what can take
// something away is said to be destructive.
func TestDutyAnnotationsAreTrue(t *testing.T) {
	w := shippedWorld(t, "both")
	p := w.modern("alice")
	hints := hintsOf(t, p)
	state := func(id string) string {
		t.Helper()
		h, err := w.server.Sessions.Acquire(t.Context(), session.Owner{Tenant: "t", Issuer: "i", Subject: "alice"}, session.ID(id))
		if err != nil {
			t.Fatal(err)
		}
		defer h.Release()
		snap, err := h.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(h.Version(), " ", snap.Cells)
	}
	for _, tool := range catalog.All() {
		s := tool.Spec()
		family := hints["lyceum_"+s.Family]
		if family == nil {
			t.Fatalf("%s is in no tool", s.Name)
		}
		if s.Effect != tools.ReadOnly && (family["readOnlyHint"] || hints["clear_thought"]["readOnlyHint"]) {
			t.Errorf("%s changes a session, and its tool is said to read only", s.Name)
		}
		removes := regexp.MustCompile(`"enum":\[[^\]]*"(delete|remove|replace)"`).Match(tool.InputSchema())
		if s.Hints().Destructive != (removes || s.Name == "session_unshare") || s.Hints().Destructive && !family["destructiveHint"] {
			t.Errorf("%s: destructive %v; an action of it removes: %v; its tool says %v", s.Name, s.Hints().Destructive, removes, family["destructiveHint"])
		}
		if !s.Hints().ReadOnly {
			continue
		}
		for _, e := range s.Examples {
			id := p.create()
			p.call("1", "sequentialthinking", `{"sessionId":"`+id+`","thought":"There is something here.","thoughtNumber":1,"totalThoughts":2,"nextThoughtNeeded":true}`, "")
			before := state(id)
			env, bad := p.call("1", "clear_thought", strings.Replace(e.Arguments, "{", `{"sessionId":"`+id+`",`, 1), "").result(t)
			if bad {
				t.Fatalf("%s: %+v", e.Arguments, env.Error)
			}
			if after := state(id); after != before {
				t.Errorf("%s is said to read only and has changed %.200s to %.200s", e.Arguments, before, after)
			}
		}
	}
	for name, want := range map[string]string{ // read only, destructive, idempotent
		"clear_thought": "false true false", "sequentialthinking": "false false false", "session_create": "false false false",
		"session_list": "true false true", "session_delete": "false true true",
		"job_list": "true false true", "job_result": "true false true", "job_cancel": "false true true",
		"lyceum_sample": "true false true", "lyceum_guide": "true false true", "lyceum_sessions": "false true false",
	} {
		h := hints[name]
		if got := fmt.Sprint(h["readOnlyHint"], " ", h["destructiveHint"], " ", h["idempotentHint"]); got != want || h["openWorldHint"] {
			t.Errorf("%s: %s, open world %v; want %s", name, got, h["openWorldHint"], want)
		}
	}
}
