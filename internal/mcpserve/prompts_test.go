package mcpserve

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

func TestPromptArguments(t *testing.T) {
	w := demoWorld(t, demoTools())
	for _, p := range w.peers("alice") {
		id := p.put("", "n", "x").SessionID
		for _, c := range []struct{ name, params, message string }{
			{"unknown", `{"name":"nope"}`, "unknown prompt"},
			{"no name", `{"name":"x"}`, "unknown prompt"},
			{"missing", `{"name":"demo"}`, "task is required"},
			{"empty", `{"name":"demo","arguments":{"task":""}}`, "task is required"},
			{"not an object", `{"name":"demo","arguments":["task"]}`, "must be an object"},
			{"not a string", `{"name":"demo","arguments":{"task":7}}`, "task must be a string"},
			{"no such argument", `{"name":"demo","arguments":{"task":"x","colour":"red"}}`, "colour is not an argument"},
			{"an operation of another family", `{"name":"demo","arguments":{"task":"x","operation":"run"}}`, "must be one of weigh, put"},
			{"no such value", `{"name":"demo","arguments":{"task":"x","rule":"max"}}`, "must be one of sum, product"},
			{"of another operation", `{"name":"demo","arguments":{"task":"x","operation":"put","rule":"sum"}}`, "put does not take sum"},
			{"too long", `{"name":"demo","arguments":{"task":"` + strings.Repeat("x", maxTask+1) + `"}}`, "the limit is 8000"},
		} {
			a := p.ask("prompts/get", c.params)
			if a.status != 200 || a.code(t) != codeInvalidParams || !strings.Contains(string(a.body), c.message) {
				t.Errorf("%s %s: %d %.300s", p.rev, c.name, a.status, a.body)
			}
		}
		var out promptResult
		p.ask("prompts/get", `{"name":"demo","arguments":{"task":"Which \"one\"?","sessionId":"`+id+`","operation":"put","mode":"loud"}}`).into(t, &out)
		text := out.Messages[0].Content.Text
		for _, want := range []string{`Which "one"?`, `Set parameters.mode to "loud"`, fmt.Sprintf(`"sessionId": %q`, id), "- put:"} {
			if !strings.Contains(text, want) {
				t.Errorf("lacks %s: %s", want, text)
			}
		}
		if strings.Contains(text, "weigh") || out.Messages[0].Role != "user" || out.Messages[0].Content.Type != "text" {
			t.Errorf("%+v", out)
		}
	}
}

// The calls in a prompt are calls that the server takes.
func TestPromptCallsWork(t *testing.T) {
	for surface, tool := range map[string]string{"facade": "clear_thought", "families": "lyceum_demo"} {
		w := demoWorld(t, demoTools(), func(c *Config, _ *session.Config) { c.Surface = surface })
		p := w.modern("alice")
		var out promptResult
		p.ask("prompts/get", `{"name":"demo","arguments":{"task":"x"}}`).into(t, &out)
		calls := 0
		for line := range strings.Lines(out.Messages[0].Content.Text) {
			_, text, found := strings.Cut(line, "A call that works as it stands: ")
			if !found {
				continue
			}
			var call struct {
				Name      string          `json:"name"`
				Arguments json.RawMessage `json:"arguments"`
			}
			if err := json.Unmarshal([]byte(text), &call); err != nil || call.Name != tool {
				t.Fatalf("%v: %s", err, text)
			}
			if env, bad := p.call("1", call.Name, string(call.Arguments), "").result(t); bad {
				t.Errorf("%s: %+v", text, env.Error)
			}
			calls++
		}
		if calls != 2 {
			t.Errorf("%d calls", calls)
		}
	}
}

func TestCompletion(t *testing.T) {
	w := demoWorld(t, demoTools())
	for _, p := range w.peers("alice") {
		p.who += p.rev // sessions of its own
		if p.rev != rev2026 {
			p = w.legacy(p.who, rev202506)
		}
		id := p.put("", "n1", "x").SessionID
		p.put(id, "m1", "x")
		second := p.w.modern(p.who).put("", "n", "x").SessionID
		const template = `"ref":{"type":"ref/resource","uri":"lyceum://sessions/{sessionId}/slots/{slot}"}`
		for _, c := range []struct {
			name, params string
			want         []string
		}{
			{"operations of a family", `"ref":{"type":"ref/prompt","name":"demo"},"argument":{"name":"operation","value":""}`, []string{"weigh", "put"}},
			{"a prefix", `"ref":{"type":"ref/prompt","name":"demo"},"argument":{"name":"operation","value":"P"}`, []string{"put"}},
			{"values of an enumeration", `"ref":{"type":"ref/prompt","name":"demo"},"argument":{"name":"rule","value":""}`, []string{"sum", "product"}},
			{"a prefix before what holds it", `"ref":{"type":"ref/prompt","name":"demo"},"argument":{"name":"mode","value":"l"}`, []string{"loud", "plain"}},
			{"of the chosen operation", `"ref":{"type":"ref/prompt","name":"demo"},"argument":{"name":"mode","value":""},"context":{"arguments":{"operation":"put"}}`, []string{"plain", "loud"}},
			{"not of the chosen operation", `"ref":{"type":"ref/prompt","name":"demo"},"argument":{"name":"mode","value":""},"context":{"arguments":{"operation":"weigh"}}`, nil},
			{"free text", `"ref":{"type":"ref/prompt","name":"demo"},"argument":{"name":"task","value":"x"}`, nil},
			{"sessions, newest first", `"ref":{"type":"ref/prompt","name":"demo"},"argument":{"name":"sessionId","value":"rs_"}`, []string{second, id}},
			{"operations", `"ref":{"type":"ref/resource","uri":"lyceum://operations/{name}/schema"},"argument":{"name":"name","value":"u"}`, []string{"put", "run"}},
			{"a session", template + `,"argument":{"name":"sessionId","value":"` + id[:8] + `"}`, []string{id}},
			{"slots", template + `,"argument":{"name":"slot","value":""},"context":{"arguments":{"sessionId":"` + id + `"}}`, []string{"note/m1", "note/n1"}},
			{"slots of no session", template + `,"argument":{"name":"slot","value":""}`, nil},
			{"a cursor", `"ref":{"type":"ref/resource","uri":"lyceum://sessions/{sessionId}/export/{cursor}"},"argument":{"name":"cursor","value":""}`, nil},
		} {
			var out completeResult
			p.ask("completion/complete", `{`+c.params+`}`).into(t, &out)
			if fmt.Sprint(out.Completion.Values) != fmt.Sprint(c.want) || out.Completion.Total != len(c.want) || out.Completion.HasMore {
				t.Errorf("%s: %+v, want %v", c.name, out, c.want)
			}
		}
		for name, params := range map[string]string{
			"nothing": `"x":1`, "ref type": `"ref":{"type":"x"},"argument":{"name":"a","value":""}`,
			"prompt":   `"ref":{"type":"ref/prompt","name":"x"},"argument":{"name":"task","value":""}`,
			"argument": `"ref":{"type":"ref/prompt","name":"demo"},"argument":{"name":"x","value":""}`,
			"template": `"ref":{"type":"ref/resource","uri":"lyceum://x"},"argument":{"name":"x","value":""}`,
			"variable": template + `,"argument":{"name":"x","value":""}`,
			"context":  template + `,"argument":{"name":"slot","value":""},"context":{"arguments":{"sessionId":1}}`,
			"value":    template + `,"argument":{"name":"slot","value":1}`,
		} {
			if a := p.ask("completion/complete", `{`+params+`}`); a.status != 200 || a.code(t) != codeInvalidParams {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
		}
	}
}

func TestMatchIsBounded(t *testing.T) {
	var all []string
	for i := range 250 {
		all = append(all, fmt.Sprintf("x%d", i))
	}
	if c := match(all, "x"); len(c.Values) != maxValues || c.Total != 250 || !c.HasMore || c.Values[0] != "x0" {
		t.Errorf("%+v", c)
	}
	if c := match(nil, "x"); c.Values == nil || c.Total != 0 || c.HasMore {
		t.Errorf("%+v", c)
	}
}

// What a schema of ours can hold, a table of parameters can show.
func TestParameterRows(t *testing.T) {
	type deep struct {
		A []struct {
			B map[string]struct {
				C *int64 `json:"c" min:"2"`
			} `json:"b"`
		} `json:"a"`
		Any any             `json:"any"`
		Raw json.RawMessage `json:"raw"`
	}
	tool := tools.Define(tools.Spec{Name: "x"}, func(context.Context, *tools.Call, deep) (echoOut, error) { return echoOut{}, nil })
	rows, err := parameterRows(tool.InputSchema())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a|array of object|", "a[].b|object of object|", "a[].b.*.c|integer|≥ 2", "any|any|", "raw|any|"}
	var got []string
	for _, r := range rows {
		got = append(got, r.path+"|"+r.typ+"|"+r.bounds)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q", got)
	}
}
