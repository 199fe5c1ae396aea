package mcpserve

import (
	"net/http"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/session"
)

// The table of HTTP status, code and id of 2026-07-28, row by row. What the chain in
// front refuses is in internal/app.
func TestDutyStatusTable(t *testing.T) {
	w := askingWorld(t, func(c *Config, _ *session.Config) { c.MaxStreamsPerUser = 1 })
	p := w.modern("alice")
	post := func(body string, heads ...func(*http.Request)) *said {
		return &said{answer: p.do("POST", body, heads...), id: "null"}
	}
	call := func(params string, heads ...func(*http.Request)) *said {
		return p.request(`"t"`, "tools/call", params, heads...)
	}
	const echo = `{"name":"echo","arguments":{"text":"x"}}`
	unmeta, unmetaHeads := `{"jsonrpc":"2.0","id":"t","method":"tools/list","params":{"_meta":{"`+metaVersion+`":"2026-07-28"}}}`, header(headerMethod, "tools/list")
	version, versionHeads := p.message(`"t"`, "tools/list", `{}`)
	undeclaredBody := strings.Replace(version, "tools/list", "tools/call", 1)
	undeclaredBody = strings.Replace(strings.Replace(undeclaredBody, canAll, `{}`, 1), `"params":{`, `"params":{"name":"twice",`, 1)
	rows := []struct {
		what         string
		got          *said
		status, code int
		text         string
	}{
		{"insufficient scope", call(`{"name":"clear_thought","arguments":{"operation":"run_code"}}`), 403, 403, "scope"},
		{"bad JSON", post(`{"jsonrpc":"2.0","id":"t",`), 400, codeParse, ""},
		{"invalid UTF-8", post("{\"jsonrpc\":\"2.0\",\"id\":\"\xff\",\"method\":\"tools/list\"}"), 400, codeParse, ""},
		{"no body", post(``), 400, codeParse, ""},
		{"an array", post(`[]`), 400, codeInvalidRequest, ""},
		{"no request", post(`{}`), 400, codeInvalidRequest, ""},
		{"a response", post(`{"jsonrpc":"2.0","id":"t","result":{}}`), 400, codeInvalidRequest, ""},
		{"a header is missing", call(echo, header(headerMethod, "")), 400, codeHeader, "Mcp-Method"},
		{"a header differs", call(echo, header(headerName, "other")), 400, codeHeader, "Mcp-Name"},
		{"a header cannot be decoded", call(echo, header(headerName, "=?base64?*?=")), 400, codeHeader, "base64"},
		{"a field of _meta is missing", post(unmeta, unmetaHeads), 400, codeInvalidParams, metaCapabilities},
		{"an unsupported version", post(strings.Replace(version, rev2026, "2030-01-01", 1), append(versionHeads, header(headerVersion, "2030-01-01"))...), 400, codeVersion, `"requested":"2030-01-01"`},
		{"a capability is missing", post(undeclaredBody, header(headerMethod, "tools/call"), header(headerName, "twice")), 400, codeCapability, `"requiredCapabilities":{"elicitation":{}}`},
		{"an unknown method", p.request(`"t"`, "nope", `{}`), 404, codeNoMethod, ""},
		{"an unknown tool", call(`{"name":"nope","arguments":{}}`), 200, codeInvalidParams, ""},
		{"a bad cursor of tools", p.request(`"t"`, "tools/list", `{"cursor":"x"}`), 200, codeInvalidParams, ""},
		{"a bad cursor of resources", p.request(`"t"`, "resources/list", `{"cursor":"x"}`), 200, codeInvalidParams, ""},
		{"no such resource", p.request(`"t"`, "resources/read", `{"uri":"lyceum://nope"}`), 200, codeInvalidParams, `"uri":"lyceum://nope"`},
		{"no such task", p.request(`"t"`, "tasks/get", `{"taskId":"jb_no"}`), 200, codeInvalidParams, ""},
		{"no such prompt", p.request(`"t"`, "prompts/get", `{"name":"nope"}`), 200, codeInvalidParams, ""},
		{"a tool that breaks", call(`{"name":"clear_thought","arguments":{"operation":"explode"}}`), 200, 0, `"isError":true`},
		{"bad arguments", call(`{"name":"clear_thought","arguments":{"operation":"steps","parameters":{"n":"x"}}}`), 200, 0, `"isError":true`},
		{"an unknown handle", call(`{"name":"clear_thought","arguments":{"operation":"echo","sessionId":"rs_no"}}`), 200, 0, `"isError":true`},
		{"another content type", post(version, append(versionHeads, header("Content-Type", "text/plain"))...), 415, 415, ""},
		{"a body over the limit", post(strings.Repeat(" ", 1<<20) + version), 413, 413, ""},
	}
	for _, r := range rows {
		code := r.got.code(t)
		if r.got.status != r.status || code != r.code || !strings.Contains(string(r.got.body), r.text) {
			t.Errorf("%s: %d, code %d, want %d, %d: %s", r.what, r.got.status, code, r.status, r.code, r.got.body)
		}
		id := `"t"` // unless it could not be known
		if r.got.id == "null" && (code == codeParse || code == codeInvalidRequest || r.status == 415 || r.status == 413) {
			id = "null"
		}
		if !strings.HasPrefix(string(r.got.body), `{"jsonrpc":"2.0","id":`+id+`,`) {
			t.Errorf("%s: want id %s: %s", r.what, id, r.got.body)
		}
		if r.got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v", r.what, r.got.header)
		}
	}
	if a := p.do("POST", `{"jsonrpc":"2.0","method":"notifications/x"}`); a.status != 202 || len(a.body) > 0 {
		t.Errorf("a notification: %d %s", a.status, a.body)
	}
	// A rate of its own is 429 with the time to wait, and says so in the code too.
	body, heads := p.message(`"one"`, "subscriptions/listen", `{"notifications":{}}`)
	open := p.open("POST", body, heads...)
	open.next(t)
	if a := p.request(`"t"`, "subscriptions/listen", `{"notifications":{}}`); a.status != 429 || a.code(t) != 429 || a.header.Get("Retry-After") == "" || !strings.Contains(string(a.body), "retryAfterMs") {
		t.Errorf("one stream too many: %d %v %s", a.status, a.header, a.body)
	}
}

// A failure inside the server is told by the code of JSON-RPC, without a word of what
// it was.
func TestDutyInternalError(t *testing.T) {
	e := toRPC(faultFrom("a secret of the inside"))
	if e.code != codeInternal || e.status != 500 || strings.Contains(e.message, "secret") {
		t.Errorf("%+v", e)
	}
}
