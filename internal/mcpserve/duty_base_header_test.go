package mcpserve

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools/catalog"
)

// raw sets the values of a header as they stand, under a name as it stands.
func raw(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del(name)
		if len(values) > 0 {
			r.Header[name] = values
		}
	}
}

// encoded is the form of a value that is not plain ASCII.
func encoded(v string) string {
	return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(v)) + "?="
}

// The headers that repeat the body, for every method that has a target: present,
// once, and equal once they are decoded.
func TestDutyRoutingHeaders(t *testing.T) {
	w := askingWorld(t)
	p := w.modern("alice")
	task := p.request(`1`, "tools/call", `{"name":"both","arguments":{}}`).asks(t).TaskID
	targets := map[string]struct{ params, name string }{
		"tools/call":     {`{"name":"echo","arguments":{"text":"x"}}`, "echo"},
		"prompts/get":    {`{"name":"test","arguments":{"task":"x"}}`, "test"},
		"resources/read": {`{"uri":"lyceum://guide"}`, "lyceum://guide"},
		"tasks/get":      {`{"taskId":"` + task + `"}`, task},
		"tasks/update":   {`{"taskId":"` + task + `","inputResponses":{}}`, task},
		"tasks/cancel":   {`{"taskId":"` + task + `"}`, task},
		"tools/list":     {`{}`, ""},
	}
	for method, c := range targets {
		both := func(name string, bad ...string) map[string]func(*http.Request) {
			out := map[string]func(*http.Request){}
			for _, v := range bad {
				out[name+" "+v] = raw(name, v)
			}
			return out
		}
		refused := both(headerMethod, "", " ", strings.ToUpper(method), method+" x", method+"/", "ping", encoded(method), "é")
		refused["method twice"] = raw(headerMethod, method, method)
		refused["method missing"] = raw(headerMethod)
		refused["version missing"] = raw(headerVersion)
		refused["version twice"] = raw(headerVersion, rev2026, rev2026)
		refused["version differs"] = raw(headerVersion, rev202511)
		refused["version of nobody"] = raw(headerVersion, "2099-01-01")
		served := map[string]func(*http.Request){
			"white space": raw(headerMethod, " \t"+method+"\t "),
			"lower case":  raw("mcp-method", method),
			"upper case":  raw("MCP-PROTOCOL-VERSION", rev2026),
			"strangers":   raw("Mcp-Param-Unheard-Of", "é =?base64?!?="),
		}
		if n := c.name; n != "" {
			maps.Copy(refused, both(headerName, "", strings.ToUpper(n), n+"x", "x"+n, n+", "+n, `"`+n+`"`, "é",
				encoded(n+"x"), encoded(""), "=?base64??=", "=?base64?!?=", "=?base64?"+strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(n+n)), "=")+"=?=",
				"=?BASE64?"+base64.StdEncoding.EncodeToString([]byte(n))+"?=", "=?base64?"+base64.StdEncoding.EncodeToString([]byte(n)), encoded(encoded(n)),
				encoded("\xff\xfe"), "=?base64? "+base64.StdEncoding.EncodeToString([]byte(n))+" ?=", "=?utf-8?b?"+base64.StdEncoding.EncodeToString([]byte(n))+"?="))
			refused["name twice"] = raw(headerName, n, n)
			refused["name missing"] = raw(headerName)
			served["name with white space"] = raw(headerName, "\t "+n+" ")
			served["name in lower case"] = raw("mcp-name", n)
			served["name in base64"] = raw(headerName, encoded(n))
			served["name in base64 with white space"] = raw(headerName, " "+encoded(n)+" ")
		}
		for what, change := range refused {
			s := p.request(`"r"`, method, c.params, change)
			if s.status != 400 || s.code(t) != codeHeader || !strings.HasPrefix(string(s.body), `{"jsonrpc":"2.0","id":"r",`) {
				t.Errorf("%s, %s: %d %s", method, what, s.status, s.body)
			}
		}
		if method == "tasks/cancel" {
			served = map[string]func(*http.Request){"name in base64": served["name in base64"]}
		}
		for what, change := range served {
			if s := p.request(`1`, method, c.params, change); s.status != 200 || s.code(t) != 0 {
				t.Errorf("%s, %s: %d %s", method, what, s.status, s.body)
			}
		}
	}
}

// Names that are not plain ASCII, or look like the sentinel, arrive in base64 and are
// compared after it: the answer is that of the body's name, whatever it is.
func TestDutyEncodedNames(t *testing.T) {
	w := newWorld(t)
	p := w.modern("alice")
	for _, name := range []string{"é", "日本", " echo", "a\nb", "=?base64?ZWNobw==?=", "=?base64?", "?="} {
		j, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		if s := p.request(`1`, "tools/call", `{"name":`+string(j)+`,"arguments":{}}`, raw(headerName, encoded(name))); s.status != 200 || s.code(t) != codeInvalidParams {
			t.Errorf("%q in base64: %d %s", name, s.status, s.body)
		}
		literal := strings.ContainsAny(name, "=?") && (!strings.HasPrefix(name, base64Prefix) || !strings.HasSuffix(name, base64Suffix))
		s := p.request(`1`, "tools/call", `{"name":`+string(j)+`,"arguments":{}}`, raw(headerName, strings.ReplaceAll(name, "\n", " ")))
		if want := map[bool]int{true: codeInvalidParams, false: codeHeader}[literal]; s.code(t) != want {
			t.Errorf("%q as it stands: %s, want code %d", name, s.body, want)
		}
	}
}

// A header that a tool's schema asks for: once, in characters that are allowed, and
// absent exactly where the argument is.
func TestDutyParamHeaders(t *testing.T) {
	w := askingWorld(t)
	p := w.modern("alice")
	for _, c := range []struct {
		what, arguments string
		change          func(*http.Request)
		good            bool
	}{
		{"equal", `{"region":"eu"}`, raw("Mcp-Param-Region", "eu"), true},
		{"name in another case", `{"region":"eu"}`, raw("MCP-PARAM-REGION", "eu"), true},
		{"beside strangers", `{"region":"eu"}`, func(r *http.Request) {
			r.Header["Mcp-Param-Region"], r.Header["Mcp-Param-Else"] = []string{"eu"}, []string{"\xff"}
		}, true},
		{"twice", `{"region":"eu"}`, raw("Mcp-Param-Region", "eu", "eu"), false},
		{"beside another spelling", `{"region":"eu"}`, func(r *http.Request) {
			r.Header["Mcp-Param-Region"], r.Header["mcp-param-region"] = []string{"eu"}, []string{"us"}
		}, false},
		{"not ASCII, as it stands", `{"region":"zürich"}`, raw("Mcp-Param-Region", "zürich"), false},
		{"not ASCII, in base64", `{"region":"zürich"}`, raw("Mcp-Param-Region", encoded("zürich")), true},
		{"an empty value", `{"region":""}`, raw("Mcp-Param-Region", ""), true},
		{"an empty value in base64", `{"region":""}`, raw("Mcp-Param-Region", encoded("")), true},
		{"an empty value without a header", `{"region":""}`, raw("Mcp-Param-Region"), false},
		{"a header without a value", `{}`, raw("Mcp-Param-Region", ""), false},
		{"a header beside null", `{"region":null}`, raw("Mcp-Param-Region", "null"), false},
		{"value with white space in base64", `{"region":" eu "}`, raw("Mcp-Param-Region", encoded(" eu ")), true},
		{"value with white space as it stands", `{"region":" eu "}`, raw("Mcp-Param-Region", " eu "), false},
		{"a boolean in another case", `{"deep":{"b":true}}`, raw("Mcp-Param-B", "True"), false},
		{"an integer with zeros", `{"deep":{"n":7}}`, raw("Mcp-Param-N", "007.0"), true},
		{"an integer as a fraction", `{"deep":{"n":7}}`, raw("Mcp-Param-N", "14/2"), false},
		{"half of two", `{"deep":{"n":7,"b":false}}`, raw("Mcp-Param-N", "7"), false},
		{"no object where the value would be", `{"deep":"x"}`, raw("Mcp-Param-N"), true},
	} {
		s := p.request(`1`, "tools/call", `{"name":"header","arguments":`+c.arguments+`}`, c.change)
		if good := s.status == 200; good != c.good || !good && s.code(t) != codeHeader {
			t.Errorf("%s: %d %s", c.what, s.status, s.body)
		}
	}
}

// Under 2026-07-28 there are no sessions of the transport and no resumption: the
// headers of both are ignored, and a stream has no event ids.
func TestDutyModernKnowsNoResumption(t *testing.T) {
	w := newWorld(t)
	p := w.modern("alice")
	for _, head := range []string{w.legacy("alice", rev202511).session, w.legacy("bob", rev202511).session, "nonsense"} {
		s := p.request(`1`, "tools/call", `{"_meta":{"progressToken":1},"name":"clear_thought","arguments":{"operation":"steps"}}`, raw(headerSession, head), raw("Last-Event-Id", "1"))
		if s.status != 200 || len(s.events) != 4 || s.header.Get(headerSession) != "" || regexp.MustCompile(`(?m)^(id|retry):`).Match(s.body) {
			t.Errorf("session %q: %d %v %s", head, s.status, s.header, s.body)
		}
		for _, method := range []string{"GET", "DELETE", "PUT", "PATCH", "HEAD"} {
			a := p.do(method, "", raw(headerSession, head), raw("Last-Event-Id", "1"))
			if a.status != 405 || a.header.Get("Allow") == "" || a.header.Get(headerSession) != "" {
				t.Errorf("%s in %q: %d %v", method, head, a.status, a.header)
			}
		}
	}
}

// Every stream says to proxies that they must not keep it back.
func TestDutyStreamsPassProxies(t *testing.T) {
	w := demoWorld(t, demoTools())
	for _, p := range []*peer{w.legacy("alice", rev202511), w.modern("alice")} {
		method, body := "GET", ""
		var heads []func(*http.Request)
		if p.rev == rev2026 {
			method = "POST"
			body, heads = p.message(`"s"`, "subscriptions/listen", `{"notifications":{}}`)
		}
		req, err := http.NewRequestWithContext(t.Context(), method, w.http.URL+"/mcp", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Authorization": {"Bearer alice"}, "Content-Type": {"application/json"}, "Accept": {"text/event-stream"}, headerVersion: {p.rev}, headerSession: {p.session}}
		for _, f := range heads {
			f(req)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 || resp.Header.Get("X-Accel-Buffering") != "no" || resp.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%s: %d %v", p.rev, resp.StatusCode, resp.Header)
		}
	}
}

// No schema of ours breaks what clients hold it to, in any surface: an object, no
// dialect but the default, no reference that leaves it, no header for an argument.
func TestDutySchemas(t *testing.T) {
	w := demoWorld(t, catalog.All(), func(c *Config, _ *session.Config) { c.Surface = "both" })
	var list struct{ Tools []listed }
	w.modern("alice").ask("tools/list", `{}`).into(t, &list)
	all := map[string]json.RawMessage{}
	for _, tool := range list.Tools {
		all[tool.Name+" input"] = tool.InputSchema
		if tool.OutputSchema != nil {
			all[tool.Name+" output"] = tool.OutputSchema
		}
	}
	for _, tool := range catalog.All() {
		all[tool.Spec().Name] = tool.InputSchema()
	}
	if len(all) < 30 {
		t.Fatalf("%d schemas", len(all))
	}
	for name, raw := range all {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if root, ok := v.(map[string]any); !ok || root["type"] != "object" {
			t.Errorf("%s: the root is no object: %.80s", name, raw)
		}
		checkSchema(t, name, v, 0)
	}
}

// checkSchema looks at a schema and at those in it.
func checkSchema(t *testing.T, at string, v any, depth int) {
	t.Helper()
	node, ok := v.(map[string]any)
	if !ok {
		if _, simple := v.(bool); !simple {
			t.Errorf("%s: %v is no schema", at, v)
		}
		return
	}
	if depth > 24 {
		t.Errorf("%s: too deep for clients that bound it", at)
		return
	}
	for key, sub := range node {
		at := at + "/" + key
		switch key {
		case "properties", "$defs", "patternProperties":
			for name, s := range sub.(map[string]any) {
				checkSchema(t, at+"/"+name, s, depth+1)
			}
		case "items", "additionalProperties", "not", "propertyNames":
			checkSchema(t, at, sub, depth+1)
		case "anyOf", "oneOf", "allOf":
			for _, s := range sub.([]any) {
				checkSchema(t, at, s, depth+1)
			}
		case "$schema":
			if sub != "https://json-schema.org/draft/2020-12/schema" {
				t.Errorf("%s: %v", at, sub)
			}
		case "$ref":
			if ref, ok := sub.(string); !ok || !strings.HasPrefix(ref, "#") {
				t.Errorf("%s: %v leaves the document", at, sub)
			}
		case "x-mcp-header", "$dynamicRef", "$id", "definitions", "dependencies":
			t.Errorf("%s: not in a schema of ours", at)
		case "required":
			props, _ := node["properties"].(map[string]any)
			for _, name := range sub.([]any) {
				if props != nil && props[name.(string)] == nil {
					t.Errorf("%s: %v is required and not described", at, name)
				}
			}
		}
	}
}
