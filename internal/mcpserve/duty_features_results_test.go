package mcpserve

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/tools/catalog"
)

// exampleCall is the call of an example by one of its tools.
type exampleCall struct{ tool, arguments string }

// namesAll checks that a schema has a place for everything in a value: it is
// fitting, and it says something.
func namesAll(at string, schema, value any, deep int) error {
	node, _ := schema.(map[string]any)
	if object, ok := value.(map[string]any); ok && deep > 0 {
		props, closed := node["properties"].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(object)) {
			if closed && props[key] == nil {
				return fmt.Errorf("%s.%s is in no schema", at, key)
			}
			if err := namesAll(at+"."+key, props[key], object[key], deep-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// What an operation returns fits the schema that describe, the resources and the
// family's tool give of it, on every surface and in every revision, as structured
// content and as the same JSON in the one block of text. Before 2025-06-18 there is
// only the text.
func TestDutyResultsFitTheirSchemas(t *testing.T) {
	w := shippedWorld(t, "both")
	listing := map[string]json.RawMessage{}
	for _, tool := range listedAs(t, w.modern("alice")) {
		var name string
		_ = json.Unmarshal(tool["name"], &name)
		listing[name] = tool["outputSchema"]
	}
	parse := func(raw json.RawMessage) (v any) {
		t.Helper()
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatalf("%v: %.200s", err, raw)
		}
		return v
	}
	for _, tool := range catalog.All() {
		s := tool.Spec()
		family := "lyceum_" + s.Family
		own, whole := parse(tool.OutputSchema()), parse(listing[family])
		for _, e := range s.Examples {
			for _, c := range []exampleCall{{"clear_thought", e.Arguments}, {family, e.Arguments}} {
				for _, revision := range allRevisions {
					a := w.speaking("alice", revision).call("1", c.tool, c.arguments, "")
					env, bad := a.result(t) // holds the text against the structured content
					if bad || env.Result[0] != '{' {
						t.Fatalf("%s, %s: %s", c.tool, revision, a.body)
					}
					content := a.structured()
					if has := revision != rev2024 && revision != rev202503; has != (content != nil) || strings.Contains(string(a.body), `"annotations"`) {
						t.Errorf("%s, %s: %.300s", c.tool, revision, a.body)
					}
					if content == nil {
						continue
					}
					result := parse(env.Result)
					if err := (&schema{}).check("result", own, result); err != nil {
						t.Errorf("%s by %s: %v", e.Arguments, c.tool, err)
					}
					if err := namesAll("result", own, result, 1); err != nil {
						t.Errorf("%s by %s: %v", e.Arguments, c.tool, err)
					}
					if err := (&schema{}).check("$", whole, parse(content)); err != nil {
						t.Errorf("%s by %s: %v", e.Arguments, c.tool, err)
					}
				}
			}
		}
	}
}

// What cannot be a call of a tool is an error of the protocol; what a model can mend
// is a result, in every revision.
func TestDutyErrorsAndResults(t *testing.T) {
	w := shippedWorld(t, "both")
	for _, revision := range allRevisions {
		p := w.speaking("alice", revision)
		meta := ""
		var heads []func(*http.Request)
		if revision == rev2026 {
			meta = "," + strings.Replace(modernMeta, "%s", "", 1)
			heads = []func(*http.Request){header(headerMethod, "tools/call"), header(headerName, "nope")}
		}
		for _, params := range []string{`"name":"nope"`, `"name":"nope","arguments":7`} {
			a := p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{`+params+meta+`}}`, heads...)
			if a.status != 200 || a.code(t) != codeInvalidParams {
				t.Errorf("%s, %s: %d %s", revision, params, a.status, a.body)
			}
		}
		for tool, arguments := range map[string]string{
			"clear_thought": `{"operation":"mcts","parameters":{"action":"ask"}}`, "lyceum_decide": `{"operation":"nope"}`,
			"sequentialthinking": `{"thought":"x"}`, "session_delete": `{"sessionId":"rs_nope"}`, "job_result": `{"jobId":"jb_nope"}`, "session_create": `{"idleTtlSeconds":0}`,
		} {
			env, bad := p.call("1", tool, arguments, "").result(t)
			if !bad || env.Error == nil || env.Error.Code == "" || env.Error.Message == "" {
				t.Errorf("%s, %s: %+v", revision, tool, env)
			}
		}
	}
}

// Nothing that is shipped asks its client anything, so nothing depends on what is
// deprecated for that, and no user is asked for a secret or sent to a URL.
func TestDutyNothingShippedAsks(t *testing.T) {
	w := shippedWorld(t, "both")
	for name, d := range w.server.direct {
		if d.tool != nil && (d.tool.Spec().Asks || native(d.tool)) {
			t.Errorf("%s asks, or makes contents of its own", name)
		}
	}
	for _, tool := range catalog.All() {
		if tool.Spec().Asks || native(tool) {
			t.Errorf("%s asks, or makes contents of its own", tool.Spec().Name)
		}
	}
	if len(w.server.More.Prompts)+len(w.server.More.Resources) > 0 {
		t.Errorf("%+v", w.server.More)
	}
}
