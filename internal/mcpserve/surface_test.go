package mcpserve

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/lyceum-mcp/lyceum/session"
)

// listed is a tool as tools/list shows it.
type listed struct {
	Name         string          `json:"name"`
	Title        string          `json:"title"`
	Description  string          `json:"description"`
	InputSchema  json.RawMessage `json:"inputSchema"`
	OutputSchema json.RawMessage `json:"outputSchema"`
	Annotations  struct {
		ReadOnly    *bool `json:"readOnlyHint"`
		Destructive *bool `json:"destructiveHint"`
	} `json:"annotations"`
}

// shows returns a client of a server with the surface, and what it lists.
func shows(t *testing.T, surface, revision string) (*peer, map[string]listed, []string) {
	t.Helper()
	w := newWorld(t, func(c *Config, _ *session.Config) { c.Surface = surface })
	p, params := w.modern("alice"), `{`+strings.Replace(modernMeta, "%s", "", 1)+`}`
	if revision != rev2026 {
		p, params = w.legacy("alice", revision), `{}`
	}
	a := p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":`+params+`}`, header(headerMethod, "tools/list"))
	var r struct {
		Result struct {
			Tools []listed `json:"tools"`
		} `json:"result"`
	}
	if err := json.Unmarshal(a.body, &r); err != nil || a.status != 200 {
		t.Fatalf("tools/list: %d %s", a.status, a.body)
	}
	byName, names := map[string]listed{}, []string{}
	for _, l := range r.Result.Tools {
		byName[l.Name], names = l, append(names, l.Name)
	}
	return p, byName, names
}

// conforms checks a value against a schema of ours.
func conforms(t *testing.T, schema, value json.RawMessage) {
	t.Helper()
	if err := visit(t, schema, value); err != nil {
		t.Errorf("%s does not conform: %v", value, err)
	}
}

func visit(t *testing.T, schema, value json.RawMessage) error {
	t.Helper()
	var s openapi3.Schema
	if err := json.Unmarshal(schema, &s); err != nil {
		t.Fatalf("%v: %s", err, schema)
	}
	var v any
	if err := json.Unmarshal(value, &v); err != nil {
		t.Fatalf("%v: %q", err, value)
	}
	return s.VisitJSON(v, openapi3.MultiErrors())
}

// structured returns a call's structured content as it was sent, or nil.
func (a answer) structured() json.RawMessage {
	var r struct {
		Result struct {
			Structured json.RawMessage `json:"structuredContent"`
		} `json:"result"`
	}
	_ = json.Unmarshal(a.body, &r) // no JSON has none
	return r.Result.Structured
}

func TestSurfaceNames(t *testing.T) {
	families, beside := []string{"lyceum_single", "lyceum_test"}, []string{"echo", "session_create"}
	for surface, want := range map[string][]string{
		"": {"clear_thought"}, "facade": {"clear_thought"}, "families": families, "both": append([]string{"clear_thought"}, families...),
	} {
		for _, revision := range []string{rev2026, rev202506} {
			_, byName, names := shows(t, surface, revision)
			for _, n := range append(slices.Clone(want), beside...) {
				if _, there := byName[n]; !there {
					t.Errorf("%q, %s: %s is not listed: %v", surface, revision, n, names)
				}
			}
			for _, n := range append([]string{"clear_thought"}, families...) {
				if _, there := byName[n]; there && !slices.Contains(want, n) {
					t.Errorf("%q, %s: %s is listed", surface, revision, n)
				}
			}
			if len(byName) != len(names) {
				t.Errorf("%q, %s: a name twice in %v", surface, revision, names)
			}
		}
	}
	if _, err := surface("everything", nil); err == nil || !strings.Contains(err.Error(), "must be facade, families or both") {
		t.Errorf("an unknown surface: %v", err)
	}
}

func TestFamilyToolsAreTyped(t *testing.T) {
	_, byName, _ := shows(t, "both", rev2026)
	for _, c := range []struct {
		name      string
		enum      string
		required  string
		parameter string
	}{
		{"lyceum_single", `["alone"]`, `null`, `"n"`},
		{"lyceum_test", `["echo","remember","hold","steps","explode","run_code"]`, `["operation"]`, `"text"`},
	} {
		l := byName[c.name]
		var in struct {
			Type       string                     `json:"type"`
			Properties map[string]json.RawMessage `json:"properties"`
			Required   json.RawMessage            `json:"required"`
		}
		if err := json.Unmarshal(l.InputSchema, &in); err != nil || in.Type != "object" {
			t.Fatalf("%s: input schema %s", c.name, l.InputSchema)
		}
		if op := string(in.Properties["operation"]); !strings.Contains(op, `"enum":`+c.enum) {
			t.Errorf("%s: operation is %s, want the enum %s", c.name, op, c.enum)
		}
		if got := string(in.Required); got != c.required && (c.required != "null" || len(in.Required) > 0) {
			t.Errorf("%s: required %s, want %s", c.name, got, c.required)
		}
		if !strings.Contains(string(in.Properties["parameters"]), c.parameter) {
			t.Errorf("%s: parameters are not described: %s", c.name, in.Properties["parameters"])
		}
		var out struct {
			Type       string                     `json:"type"`
			Properties map[string]json.RawMessage `json:"properties"`
		}
		if err := json.Unmarshal(l.OutputSchema, &out); err != nil || out.Type != "object" || !strings.Contains(string(out.Properties["result"]), `"text"`) {
			t.Errorf("%s: output schema %s", c.name, l.OutputSchema)
		}
		for _, wrong := range []string{`{}`, `{"operation":1}`, `{"operation":"x","result":{"text":1}}`} {
			if visit(t, l.OutputSchema, json.RawMessage(wrong)) == nil {
				t.Errorf("%s: the output schema takes %s", c.name, wrong)
			}
		}
		if l.Title == "" || l.Description == "" || l.Annotations.ReadOnly == nil {
			t.Errorf("%s: %+v", c.name, l)
		}
	}
	if facade := byName["clear_thought"]; facade.OutputSchema != nil {
		t.Errorf("clear_thought promises one shape for everything: %s", facade.OutputSchema)
	}
	if single, several := byName["lyceum_single"], byName["lyceum_test"]; !*single.Annotations.ReadOnly || *several.Annotations.ReadOnly {
		t.Error("a family is read-only exactly when all its operations are")
	}
}

func TestFamilyCalls(t *testing.T) {
	for _, surface := range []string{"families", "both"} {
		for _, revision := range []string{rev2026, rev202511} {
			p, byName, _ := shows(t, surface, revision)
			for _, c := range []struct{ name, tool, arguments, operation, result string }{
				{"by its operation", "lyceum_test", `{"operation":"echo","parameters":{"text":"hi"}}`, "echo", `{"text":"hi"}`},
				{"the only one, named", "lyceum_single", `{"operation":"alone","parameters":{"n":2}}`, "alone", `{"text":"aa"}`},
				{"the only one, not named", "lyceum_single", `{"parameters":{"n":2}}`, "alone", `{"text":"aa"}`},
				{"no arguments at all", "lyceum_single", `{}`, "alone", `{"text":"aaa"}`},
				{"parameters beside", "lyceum_single", `{"n":1}`, "alone", `{"text":"a"}`},
			} {
				t.Run(surface+"/"+revision+"/"+c.name, func(t *testing.T) {
					a := p.call(`1`, c.tool, c.arguments, "")
					env, bad := a.result(t)
					if bad || env.Operation != c.operation || string(env.Result) != c.result || env.Basis == "" {
						t.Errorf("%s", a.body)
					}
					conforms(t, byName[c.tool].OutputSchema, a.structured())
				})
			}
			for _, c := range []struct{ name, tool, arguments string }{
				{"no operation of several", "lyceum_test", `{"parameters":{"text":"hi"}}`},
				{"an operation of another family", "lyceum_test", `{"operation":"alone"}`},
				{"an unknown operation", "lyceum_single", `{"operation":"nonsense"}`},
				{"bad parameters", "lyceum_single", `{"parameters":{"n":"many"}}`},
				{"describe is not of a family", "lyceum_test", `{"operation":"describe"}`},
			} {
				t.Run(surface+"/"+revision+"/"+c.name, func(t *testing.T) {
					a := p.call(`2`, c.tool, c.arguments, "")
					env, bad := a.result(t)
					if !bad || env.Error == nil || env.Error.Code == "" || len(env.Error.Issues) == 0 {
						t.Errorf("%s", a.body)
					}
					// What has an output schema must keep to it in failure too.
					conforms(t, byName[c.tool].OutputSchema, a.structured())
				})
			}
		}
	}
}

// A family's tool is no way around the scope of its operations.
func TestFamilyCallsNeedTheScope(t *testing.T) {
	p, _, _ := shows(t, "families", rev2026)
	if a := p.call(`1`, "lyceum_test", `{"operation":"run_code"}`, ""); a.status != 403 || a.header.Get("WWW-Authenticate") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := p.call(`1`, "clear_thought", `{"operation":"echo"}`, ""); a.code(t) != codeInvalidParams {
		t.Errorf("the facade answers although it is not offered: %s", a.body)
	}
}
