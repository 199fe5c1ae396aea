package mcpserve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// strictJSON is what a body must be, said with encoding/json: one value, UTF-8, no
// key twice in an object, no value in more than 256 others.
func strictJSON(b []byte) bool {
	if !json.Valid(b) || !utf8.Valid(b) {
		return false
	}
	type open struct {
		keys  map[string]bool // nil in an array
		value bool            // the next token is the value of a key
	}
	var stack []open
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	for {
		tok, err := d.Token()
		if err != nil {
			return true // the end: it is valid
		}
		if c, ok := tok.(json.Delim); ok && (c == '}' || c == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if n := len(stack); n > 0 && stack[n-1].keys != nil {
			top := &stack[n-1]
			if !top.value {
				key := tok.(string)
				if top.keys[key] {
					return false
				}
				top.keys[key], top.value = true, true
				continue
			}
			top.value = false
		}
		if len(stack) > 256 {
			return false
		}
		switch tok {
		case json.Delim('{'):
			stack = append(stack, open{keys: map[string]bool{}})
		case json.Delim('['):
			stack = append(stack, open{})
		}
	}
}

// folder is a struct with a field for each key, as a program has that decodes
// messages with encoding/json, which takes keys whatever their case is.
func folder(keys []string) reflect.Type {
	var fields []reflect.StructField
	for i, k := range keys {
		fields = append(fields, reflect.StructField{
			Name: fmt.Sprintf("F%d", i), Type: reflect.TypeFor[json.RawMessage](), Tag: reflect.StructTag(fmt.Sprintf("json:%q", k)),
		})
	}
	return reflect.StructOf(fields)
}

var folders = map[string]reflect.Type{"top": folder(topKeys), "params": folder(paramsKeys), "meta": folder(metaKeys)}

// members decodes an object. alike tells that a program which folds case would
// read something else in it.
func members(kind string, raw []byte) (exact map[string]json.RawMessage, alike bool) {
	if json.Unmarshal(raw, &exact) != nil {
		return nil, false
	}
	for key := range exact {
		one, err := json.Marshal(map[string]bool{key: true})
		v := reflect.New(folders[kind])
		if err != nil || json.Unmarshal(one, v.Interface()) != nil {
			panic("an object of one member")
		}
		for i := range v.Elem().NumField() {
			name := strings.TrimSuffix(strings.TrimPrefix(string(v.Elem().Type().Field(i).Tag), `json:"`), `"`)
			alike = alike || v.Elem().Field(i).Len() > 0 && name != key
		}
	}
	return exact, alike
}

func textOrNone(raw json.RawMessage) (s string) {
	_ = json.Unmarshal(raw, &s) // what is no string is ""
	return s
}

// idLike is what an id and a progress token may be.
func idLike(raw json.RawMessage) bool {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&v) != nil || len(raw) > 256 {
		return false
	}
	n, number := v.(json.Number)
	_, text := v.(string)
	return text || number && !strings.ContainsAny(n.String(), ".eE")
}

// kindOf is the first character of a JSON text, 0 without one.
func kindOf(raw json.RawMessage) byte {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 {
		return 0
	}
	return raw[0]
}

// reference decodes a message with encoding/json alone; ok is false for what must
// be refused.
func reference(body []byte) (m message, ok bool) {
	if kindOf(body) != '{' {
		return m, false
	}
	top, alike := members("top", body)
	id, named := top["id"]
	if alike || textOrNone(top["jsonrpc"]) != "2.0" || named && !idLike(id) {
		return m, false
	}
	m.id, m.method, m.params = id, textOrNone(top["method"]), top["params"]
	m.result, m.failure = top["result"], top["error"]
	m.response = m.result != nil || m.failure != nil
	if m.response || m.method == "" || len(m.method) > 128 {
		return m, m.response && m.method == ""
	}
	if m.params == nil {
		return m, true
	}
	params, alike := members("params", m.params)
	if alike || !strings.ContainsRune("{[n", rune(kindOf(m.params))) {
		return m, false
	}
	m.name, m.uri, m.taskID = textOrNone(params["name"]), textOrNone(params["uri"]), textOrNone(params["taskId"])
	m.reason, m.level = textOrNone(params["reason"]), textOrNone(params["level"])
	m.requestID, m.arguments = params["requestId"], params["arguments"]
	m.inputResponses, m.requestState = params["inputResponses"], params["requestState"]
	raw, named := params["_meta"]
	if !named {
		return m, true
	}
	said, alike := members("meta", raw)
	if alike || !strings.ContainsRune("{n", rune(kindOf(raw))) {
		return m, false
	}
	m.meta.present = kindOf(raw) == '{'
	m.meta.version = textOrNone(said[metaVersion])
	_, m.meta.hasVersion = said[metaVersion]
	m.meta.clientInfo, m.meta.capabilities = said[metaClientInfo], said[metaCapabilities]
	m.meta.logLevel = textOrNone(said[metaLogLevel])
	m.meta.traceparent, m.meta.tracestate = textOrNone(said["traceparent"]), textOrNone(said["tracestate"])
	if idLike(said["progressToken"]) {
		m.meta.progressToken = said["progressToken"]
	}
	return m, true
}

// same compares two messages but for what is kept beside them.
func same(a, b message) bool {
	a.raw, b.raw = nil, nil
	return reflect.DeepEqual(a, b)
}

// A body is taken exactly if a strict decoder takes it, and means the same to it,
// byte by byte where bytes are kept.
func FuzzBody(f *testing.F) {
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":[1,{"b":"}"}]},"_meta":{"progressToken":"p","io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`,
		` { "jsonrpc" : "2.0" , "id" : "\u00e9" , "method" : "resources/read" , "params" : { "uri" : "x" , "_meta" : null } } `,
		`{"jsonrpc":"2.0","id":-0,"result":{},"method":""}`, `{"jsonrpc":"2.0","id":1,"error":null,"result":1}`, `{"jsonrpc":"2.0","id":1,"method":"m","result":{}}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a","reason":"r"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}`, `{"jsonrpc":"2.0","id":1,"method":"m","params":null}`, `{"jsonrpc":"2.0","id":1,"method":"m","params":""}`,
		`{"jsonrpc":"2.0","id":1,"method":"m","params":{"requestState":"s","inputResponses":{"a":1},"taskId":"t","level":"info"}}`,
		`{"jsonrpc":"2.0","id":1,"ID":2,"method":"m"}`, `{"jsonrpc":"2.0","\u0069d":1,"method":"m"}`, `{"jsonrpc":"2.0","id":1,"id":1,"method":"m"}`,
		`{"jsonrpc":"2.0","id":1,"method":"m","params":{"argumentſ":1}}`, `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"progressToKen":1}}}`,
		`{"jsonrpc":"2.0","id":1e0,"method":"m"}`, `{"jsonrpc":"2.0","id":null,"method":"m"}`, `{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat("m", 129) + `"}`,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}", "\ufeff{}", `[]`, `"x"`, `{"a":"\ud800"}`, `{} {}`, ``,
		strings.Repeat("[", 256) + "1" + strings.Repeat("]", 256), strings.Repeat("[", 257) + strings.Repeat("]", 257), strings.Repeat("[", 257) + "1" + strings.Repeat("]", 257),
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, bad := parse(bytes.Clone(body))
		strict := strictJSON(body)
		if broken := bad != nil && bad.code == codeParse; broken == strict {
			t.Fatalf("%q: %v; a strict decoder says %v", body, bad, strict)
		}
		if !strict {
			return
		}
		want, ok := reference(body)
		if (bad == nil) != ok {
			t.Fatalf("%q: %v; a strict decoder says %v", body, bad, ok)
		}
		if ok && !same(*m, want) {
			t.Fatalf("%q\nis   %+v\nwant %+v", body, *m, want)
		}
		if bad == nil || m == nil || m.id == nil {
			return
		}
		// What is refused is refused under the id that it came with.
		if top, _ := members("top", body); !idLike(m.id) || !bytes.Equal(m.id, top["id"]) {
			t.Fatalf("%q is refused as %s", body, m.id)
		}
	})
}

// An id and a progress token come back as they were written, over the wire; what
// can be neither is refused, or asks for no progress.
func FuzzEcho(f *testing.F) {
	w := newWorld(f)
	for _, pair := range [][2]string{
		{`1`, `"p"`},
		{`"\u00e9\/"`, `-0`},
		{`9007199254740993`, `12345678901234567890`},
		{`""`, `1.0`},
		{`1e3`, `1`},
		{`null`, `2`},
		{`"é"`, `{}`},
		{`"` + strings.Repeat("i", 254) + `"`, `"` + strings.Repeat("p", 255) + `"`},
		{`true`, `"😀"`},
	} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, id, token string) {
		if !strictJSON([]byte(id)) || !strictJSON([]byte(token)) || strings.TrimSpace(id) != id || strings.TrimSpace(token) != token {
			return // it would not stand alone in the body
		}
		if len(id)+len(token) > 1<<10 {
			return
		}
		body := `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"steps"},` +
			strings.Replace(modernMeta, "%s", `,"progressToken":`+token, 1) + `}}`
		r := httptest.NewRequest("POST", "/mcp", strings.NewReader(body)).WithContext(t.Context())
		r.Header.Set("Authorization", "Bearer alice")
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set(headerVersion, rev2026)
		r.Header.Set(headerMethod, "tools/call")
		r.Header.Set(headerName, "clear_thought")
		rec := httptest.NewRecorder()
		w.http.Config.Handler.ServeHTTP(rec, r)

		type said struct {
			ID     json.RawMessage `json:"id"`
			Result json.RawMessage `json:"result"`
			Params struct {
				Token json.RawMessage `json:"progressToken"`
			} `json:"params"`
		}
		var messages []said
		for line := range strings.Lines(rec.Body.String()) {
			line = strings.TrimPrefix(line, "data: ")
			var m said
			if strings.HasPrefix(line, "{") {
				if err := json.Unmarshal([]byte(line), &m); err != nil {
					t.Fatalf("%v: %s", err, line)
				}
				messages = append(messages, m)
			}
		}
		if len(messages) == 0 {
			t.Fatalf("id %s, token %s: %d %s", id, token, rec.Code, rec.Body)
		}
		last := messages[len(messages)-1]
		if !idLike(json.RawMessage(id)) {
			if rec.Code != 400 || string(last.ID) != "null" || last.Result != nil || len(messages) != 1 {
				t.Fatalf("id %s: %d %s", id, rec.Code, rec.Body)
			}
			return
		}
		if string(last.ID) != id || last.Result == nil {
			t.Fatalf("id %s: %s", id, rec.Body)
		}
		progress := 0
		if idLike(json.RawMessage(token)) {
			progress = 3
		}
		if len(messages) != progress+1 {
			t.Fatalf("token %s: %d messages before the answer, want %d\n%s", token, len(messages)-1, progress, rec.Body)
		}
		for _, m := range messages[:progress] {
			if string(m.Params.Token) != token {
				t.Fatalf("token %s: %s", token, rec.Body)
			}
		}
	})
}
