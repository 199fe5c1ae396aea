package mcpserve

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/tools"
)

func principalOf(sub string) *identity.Principal {
	return &identity.Principal{Tenant: "t", Issuer: "i", Subject: sub, Scopes: []string{"reason"}}
}

func clientOf() *client.Context { return &client.Context{Transport: client.HTTP, Revision: rev2026} }

func TestCheckAnswer(t *testing.T) {
	form := tools.Form("f", "m", json.RawMessage(`{"type":"object","required":["s"],"properties":{
		"s":{"type":"string","minLength":2,"maxLength":3},"i":{"type":"integer","minimum":1,"maximum":9},"n":{"type":"number"},"b":{"type":"boolean"},
		"e":{"type":"string","enum":["x","y"]},"o":{"type":"string","oneOf":[{"const":"p","title":"P"}]},
		"m":{"type":"array","minItems":1,"maxItems":2,"items":{"type":"string","enum":["x","y"]}},"a":{"type":"array","items":{"anyOf":[{"const":"p"}]}}}}`))
	accept := func(content string) string { return `{"action":"accept","content":` + content + `}` }
	for _, c := range []struct {
		q    tools.Question
		raw  string
		good bool
	}{
		{form, `{"action":"decline"}`, true},
		{form, `{"action":"cancel","content":7}`, true},
		{form, `{"action":"later"}`, false},
		{form, `7`, false},
		{form, `null`, false},
		{form, accept(`{}`), false},
		{form, accept(`[]`), false},
		{form, accept(`{"s":"ab"}`), true},
		{form, accept(`{"s":"éé"}`), true},
		{form, accept(`{"s":"a"}`), false},
		{form, accept(`{"s":"abcd"}`), false},
		{form, accept(`{"s":"ab","more":[1]}`), true},
		{form, accept(`{"s":"ab","i":3}`), true},
		{form, accept(`{"s":"ab","i":3.5}`), false},
		{form, accept(`{"s":"ab","i":10}`), false},
		{form, accept(`{"s":"ab","n":"1"}`), false},
		{form, accept(`{"s":"ab","b":0}`), false},
		{form, accept(`{"s":"ab","e":"\u0078"}`), true},
		{form, accept(`{"s":"ab","e":"z"}`), false},
		{form, accept(`{"s":"ab","o":"p"}`), true},
		{form, accept(`{"s":"ab","o":"P"}`), false},
		{form, accept(`{"s":"ab","m":["x"]}`), true},
		{form, accept(`{"s":"ab","m":[]}`), false},
		{form, accept(`{"s":"ab","m":["x","y","x"]}`), false},
		{form, accept(`{"s":"ab","m":["z"]}`), false},
		{form, accept(`{"s":"ab","a":["p"]}`), true},
		{form, accept(`{"s":"ab","a":["q"]}`), false},
		{tools.Sample("f", "t", 5), `{"role":"assistant","content":{"type":"text","text":"x"},"model":"m"}`, true},
		{tools.Sample("f", "t", 5), `{"role":"assistant","content":[{"type":"text","text":"x"}]}`, true},
		{tools.Sample("f", "t", 5), `{"content":{"type":"text"}}`, false},
		{tools.Sample("f", "t", 5), `{"role":"assistant","content":"x"}`, false},
		{tools.Roots("f"), `{"roots":[]}`, true},
		{tools.Roots("f"), `{"roots":{}}`, false},
	} {
		if err := checkAnswer(c.q, json.RawMessage(c.raw)); (err == nil) != c.good {
			t.Errorf("%s %s: %v", c.q.Method, c.raw, err)
		}
	}
}

const headerSchema = `{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},` +
	`"deep":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"},"b":{"type":"boolean","x-mcp-header":"B"}}}}}`

func TestParamHeaders(t *testing.T) {
	w := askingWorld(t)
	for _, c := range []struct {
		arguments string
		headers   map[string]string
		good      bool
	}{
		{`{}`, nil, true},
		{`{"region":null}`, nil, true},
		{`{"region":"eu"}`, map[string]string{"mcp-param-region": " eu "}, true},
		{`{"region":"eu"}`, nil, false},
		{`{"region":"eu"}`, map[string]string{"Mcp-Param-Region": "EU"}, false},
		{`{}`, map[string]string{"Mcp-Param-Region": "eu"}, false},
		{`{"region":"Hello"}`, map[string]string{"Mcp-Param-Region": "=?base64?SGVsbG8=?="}, true},
		{`{"region":"Hello"}`, map[string]string{"Mcp-Param-Region": "=?base64?SGVsbG8?="}, false},
		{`{"region":"SGVsbG8="}`, map[string]string{"Mcp-Param-Region": "SGVsbG8="}, true},
		{`{"deep":{"n":42}}`, map[string]string{"Mcp-Param-N": "42.0"}, true},
		{`{"deep":{"n":42}}`, map[string]string{"Mcp-Param-N": "43"}, false},
		{`{"deep":{"n":9007199254740993}}`, map[string]string{"Mcp-Param-N": "9007199254740992"}, false},
		{`{"deep":{"n":1e999999999}}`, map[string]string{"Mcp-Param-N": "1e999999998"}, false},
		{`{"deep":{"b":true}}`, map[string]string{"Mcp-Param-B": "true", "Mcp-Param-Other": "x"}, true},
		{`{"deep":{"b":true}}`, map[string]string{"Mcp-Param-B": "false"}, false},
	} {
		a := w.modern("alice").rpc("tools/call", "header", `"name":"header","arguments":`+c.arguments, `{}`, func(r *http.Request) {
			for k, v := range c.headers {
				r.Header[http.CanonicalHeaderKey(k)] = []string{v}
			}
		})
		if good := a.status == 200; good != c.good || !good && a.code(t) != codeHeader {
			t.Errorf("%s %v: %d %s", c.arguments, c.headers, a.status, a.body)
		}
	}
	for _, bad := range []string{
		`{"properties":{"a":{"type":"string","x-mcp-header":"A b"}}}`,
		`{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}`,
		`{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}`,
		`{"properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}}`,
	} {
		if h, err := paramHeaders(json.RawMessage(bad)); err == nil {
			t.Errorf("%s: %v", bad, h)
		}
	}
}
