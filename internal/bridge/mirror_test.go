package bridge

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

const toolList = `{"tools":[
{"name":"good","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},
 "n":{"type":"integer","x-mcp-header":"N"},"deep":{"type":"object","properties":{"on":{"type":"boolean","x-mcp-header":"On"}}},"other":{"type":"string"}}}},
{"name":"plain","inputSchema":{"type":"object"},"x-more":[1, 2]},
{"name":"object","inputSchema":{"properties":{"a":{"type":"object","x-mcp-header":"A"}}}},
{"name":"number","inputSchema":{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}},
{"name":"empty","inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":""}}}},
{"name":"null","inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":null}}}},
{"name":"space","inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"A B"}}}},
{"name":"twice","inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}},
{"name":"items","inputSchema":{"properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}}}
],"ttlMs":5}`

const mirrorMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`

// Arguments that a schema marks are repeated in headers; tools whose marks break
// the rules are left out of the list, and the rest of it stays as it is.
func TestMirror(t *testing.T) {
	var mu sync.Mutex
	var calls []map[string]string
	f := newFar(t, func(w http.ResponseWriter, r *http.Request, body []byte) {
		if bytes.Contains(body, []byte(`"tools/list"`)) {
			answer(w, `{"jsonrpc":"2.0","id":1,"result":`+toolList+`}`)
			return
		}
		got := map[string]string{}
		for name, v := range r.Header {
			if strings.HasPrefix(name, "Mcp-Param-") {
				got[name] = v[0]
			}
		}
		mu.Lock()
		calls = append(calls, got)
		mu.Unlock()
		answer(w, `{"jsonrpc":"2.0","id":2,"result":{}}`)
	})
	k := newTalk(t, f.URL)
	k.say(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + mirrorMeta + `}}`)
	list := k.hear()
	if !strings.Contains(list, `"good"`) || !strings.Contains(list, `{"name":"plain","inputSchema":{"type":"object"},"x-more":[1,2]}`) || strings.Count(list, `"name"`) != 2 || !strings.Contains(list, `"ttlMs":5`) {
		t.Errorf("the list: %s", list)
	}
	tests := []struct {
		tool, arguments string
		want            map[string]string
	}{
		{"good", `{"region":"é","n":42,"deep":{"on":false},"other":"x"}`, map[string]string{"Mcp-Param-Region": "=?base64?w6k=?=", "Mcp-Param-N": "42", "Mcp-Param-On": "false"}},
		{"good", `{"region":null,"deep":7}`, map[string]string{}},
		{"good", `{"region":""}`, map[string]string{"Mcp-Param-Region": ""}},
		{"plain", `{"region":"x"}`, map[string]string{}},
	}
	for i, tt := range tests {
		k.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":%q,"arguments":%s,%s}}`, tt.tool, tt.arguments, mirrorMeta))
		k.hear()
		if !maps.Equal(calls[i], tt.want) {
			t.Errorf("%s %s: headers %v, want %v", tt.tool, tt.arguments, calls[i], tt.want)
		}
	}
	k.end()
	for _, name := range []string{"object", "number", "empty", "null", "space", "twice", "items"} {
		if strings.Count(k.log.String(), fmt.Sprintf("the tool %q is left out", name)) != 1 {
			t.Errorf("nothing is said of %s:\n%s", name, k.log)
		}
	}
}

// A host may know the tools from an earlier process: the first refusal makes the
// bridge look them up, and the call is made again with its headers, once.
func TestMirrorOfToolsThatWereNotListed(t *testing.T) {
	for _, known := range []bool{true, false} {
		var mu sync.Mutex
		var heard []string
		f := newFar(t, func(w http.ResponseWriter, r *http.Request, body []byte) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, r.Header.Get("Mcp-Method")+" "+r.Header.Get("Mcp-Param-Region"))
			switch {
			case bytes.Contains(body, []byte(`"cursor":"2"`)) && known:
				answer(w, `{"jsonrpc":"2.0","id":"lyceum-tools","result":`+toolList+`}`)
			case bytes.Contains(body, []byte(`"tools/list"`)) && !bytes.Contains(body, []byte("cursor")):
				answer(w, `{"jsonrpc":"2.0","id":"lyceum-tools","result":{"tools":[],"nextCursor":"2"}}`)
			case bytes.Contains(body, []byte(`"tools/list"`)):
				answer(w, `{"jsonrpc":"2.0","id":"lyceum-tools","result":{"tools":[]}}`)
			case r.Header.Get("Mcp-Param-Region") != "eu":
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, `{"jsonrpc":"2.0","id":2,"error":{"code":-32020,"message":"Mcp-Param-Region: missing"}}`)
			default:
				answer(w, `{"jsonrpc":"2.0","id":2,"result":{}}`)
			}
		})
		lines := exchange(t, f, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"good","arguments":{"region":"eu"},`+mirrorMeta+`}}`)
		want := []string{"tools/call ", "tools/list ", "tools/list "}
		if known {
			want = append(want, "tools/call eu")
		}
		if len(lines) != 1 || strings.Contains(lines[0], `"result"`) != known || !slices.Equal(heard, want) ||
			!known && !strings.Contains(lines[0], `"code":-32020`) {
			t.Errorf("known %v: %q after %q", known, lines, heard)
		}
	}
}
