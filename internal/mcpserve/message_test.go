package mcpserve

import (
	"testing"
)

func TestDecodeMessage(t *testing.T) {
	m, bad := parse([]byte(`{"jsonrpc":"2.0","id":"7","method":"tools/call","params":{"name":"x","arguments":{"a":[1,{"b":"}"}]},"_meta":{"progressToken":5,"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`))
	if bad != nil {
		t.Fatal(bad)
	}
	if string(m.id) != `"7"` || m.name != "x" || string(m.arguments) != `{"a":[1,{"b":"}"}]}` || string(m.meta.progressToken) != "5" || m.meta.version != rev2026 {
		t.Errorf("decoded %+v", m)
	}
	tests := map[string]int{
		`{"jsonrpc":"2.0","id":null,"method":"x"}`:                                     codeInvalidRequest,
		`{"jsonrpc":"2.0","id":1.5,"method":"x"}`:                                      codeInvalidRequest,
		`{"jsonrpc":"2.0","id":{},"method":"x"}`:                                       codeInvalidRequest,
		`{"jsonrpc":"1.0","id":1,"method":"x"}`:                                        codeInvalidRequest,
		`{"id":1,"method":"x"}`:                                                        codeInvalidRequest,
		`{"jsonrpc":"2.0","id":1}`:                                                     codeInvalidRequest,
		`{"jsonrpc":"2.0","id":1,"method":5}`:                                          codeInvalidRequest,
		`{"jsonrpc":"2.0","id":1,"Method":"x"}`:                                        codeInvalidRequest,
		`{"jsonrpc":"2.0","id":1,"method":"x","params":{"Name":"y"}}`:                  codeInvalidRequest,
		`{"jsonrpc":"2.0","id":1,"method":"x","params":{"argumentſ":{}}}`:              codeInvalidRequest, // folds to "arguments"
		`{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"ProgressToken":1}}}`: codeInvalidRequest,
		`{"jsonrpc":"2.0","id":1,"method":"x","params":7}`:                             codeInvalidRequest,
		`{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":7}}`:                   codeInvalidParams,
		`{"jsonrpc":"2.0","id":1,"method":"x","result":{}}`:                            codeInvalidRequest,
		`{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}`:                                 codeParse,
		`5`: codeInvalidRequest,
	}
	for body, code := range tests {
		if _, bad := parse([]byte(body)); bad == nil || bad.code != code {
			t.Errorf("%s: %v, want code %d", body, bad, code)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"progressToken":"x"},"arguments":[]}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":1}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, bad := parse(b)
		if bad == nil && m.method == "" && !m.response {
			t.Fatalf("%q has neither a method nor a result", b)
		}
	})
}

func FuzzHeaderValue(f *testing.F) {
	f.Add("=?base64?w6k=?=")
	f.Add("plain")
	f.Add("=?base64??=")
	f.Fuzz(func(t *testing.T, v string) { _, _ = decodeHeader(v) })
}

func TestDecodeHeader(t *testing.T) {
	for v, want := range map[string]string{"plain": "plain", "=?base64?w6k=?=": "é", "=?base64??=": "", "=?base64?abc": "=?base64?abc", "=?BASE64?w6k=?=": "=?BASE64?w6k=?="} {
		if got, bad := decodeHeader(v); bad != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", v, got, bad, want)
		}
	}
	for _, v := range []string{"=?base64?w6k?=", "=?base64?****?="} {
		if _, bad := decodeHeader(v); bad == nil {
			t.Errorf("%q was accepted", v)
		}
	}
}
