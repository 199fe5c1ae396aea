package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// Bounds of what is kept of the schemas of a server's tools.
const (
	maxMirrored = 4096 // tools with marked arguments
	maxDepth    = 16   // of a marked argument
	maxPages    = 64   // of a list of tools
)

// codeHeaders is what 2026-07-28 answers with to headers that do not fit.
const codeHeaders = -32020

// mirrors knows which arguments of which tools a server wants repeated in headers
// (x-mcp-header, 2026-07-28). A host on stdio has no headers, so that is for the
// bridge to do.
type mirrors struct {
	mu    sync.Mutex
	tools map[string][]mirror
}

// mirror is an argument with a header.
type mirror struct {
	header string
	path   []string
}

// put adds the headers that repeat arguments of a call. What is absent or null has
// none.
func (x *mirrors) put(h http.Header, e *envelope) {
	x.mu.Lock()
	marked := x.tools[e.Params.Name]
	x.mu.Unlock()
	for _, m := range marked {
		value := e.Params.Arguments
		for _, key := range m.path {
			var object map[string]json.RawMessage
			_ = json.Unmarshal(value, &object) // what is no object has no members
			value = object[key]
		}
		var text string
		switch {
		case len(value) == 0 || string(value) == "null":
			continue
		case json.Unmarshal(value, &text) == nil:
			h.Set(m.header, headerValue(text))
		default:
			h.Set(m.header, headerValue(string(value)))
		}
	}
}

// missing reports whether a call was refused for its headers although its tool's
// schema was never seen: the host may know it from an earlier process.
func (x *mirrors) missing(body []byte, e *envelope) bool {
	if !e.modern() || e.Method != "tools/call" {
		return false
	}
	var refusal struct {
		Error struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return json.Unmarshal(body, &refusal) == nil && refusal.Error.Code == codeHeaders && x.tools[e.Params.Name] == nil
}

// read takes from a list of tools what is marked. A tool whose marks break the
// rules cannot be called, so it is left out of what is returned (2026-07-28,
// tools); say tells why.
func (x *mirrors) read(text []byte, e *envelope, say func(format string, args ...any)) []byte {
	if !e.modern() || e.Method != "tools/list" || !bytes.Contains(text, []byte(`x-mcp-header`)) {
		return text
	}
	var answer map[string]json.RawMessage
	var page map[string]json.RawMessage
	var tools []json.RawMessage
	if json.Unmarshal(text, &answer) != nil || json.Unmarshal(answer["result"], &page) != nil || json.Unmarshal(page["tools"], &tools) != nil {
		return text
	}
	kept := tools[:0:0]
	for _, raw := range tools {
		var tool struct {
			Name   string          `json:"name"`
			Schema json.RawMessage `json:"inputSchema"`
		}
		if json.Unmarshal(raw, &tool) != nil {
			kept = append(kept, raw)
			continue
		}
		marked, err := marks(tool.Schema)
		if err != nil {
			say("the tool %q is left out: %v", tool.Name, err)
			continue
		}
		kept = append(kept, raw)
		x.keep(tool.Name, marked)
	}
	if len(kept) == len(tools) {
		return text
	}
	list, _ := json.Marshal(append([]json.RawMessage{}, kept...)) // it was decoded from JSON, as is the rest
	page["tools"] = list
	answer["result"], _ = json.Marshal(page)
	whole, _ := json.Marshal(answer)
	return whole
}

func (x *mirrors) keep(tool string, marked []mirror) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(marked) == 0 {
		delete(x.tools, tool)
		return
	}
	if x.tools == nil {
		x.tools = map[string][]mirror{}
	}
	if _, known := x.tools[tool]; known || len(x.tools) < maxMirrored {
		x.tools[tool] = marked
	}
}

// marks finds the arguments of a schema that have a header, and what is wrong with
// them.
func marks(schema json.RawMessage) ([]mirror, error) {
	var out []mirror
	if err := mark(schema, nil, &out); err != nil {
		return nil, err
	}
	if n := bytes.Count(schema, []byte(`"x-mcp-header"`)); n != len(out) {
		return nil, fmt.Errorf("x-mcp-header: %d of %d marks are not on properties of properties", n-len(out), n)
	}
	seen := map[string]bool{}
	for _, m := range out {
		if seen[m.header] {
			return nil, fmt.Errorf("x-mcp-header: %s is used twice", m.header)
		}
		seen[m.header] = true
	}
	return out, nil
}

func mark(schema json.RawMessage, path []string, out *[]mirror) error {
	if len(path) > maxDepth {
		return nil // the count in marks finds what lies deeper
	}
	var object struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	_ = json.Unmarshal(schema, &object) // a schema may be true or false
	for key, sub := range object.Properties {
		at := append(append([]string{}, path...), key)
		var property struct {
			Type any `json:"type"`
			Mark any `json:"x-mcp-header"`
		}
		_ = json.Unmarshal(sub, &property)
		if property.Mark != nil || bytes.Contains(sub, []byte(`"x-mcp-header"`)) && markedNull(sub) {
			name, _ := property.Mark.(string)
			kind, _ := property.Type.(string)
			if !isToken(name) || kind != "string" && kind != "integer" && kind != "boolean" {
				return fmt.Errorf("x-mcp-header of %q: want a header's name on a string, an integer or a boolean", strings.Join(at, "."))
			}
			*out = append(*out, mirror{http.CanonicalHeaderKey("Mcp-Param-" + name), at})
		}
		if err := mark(sub, at, out); err != nil {
			return err
		}
	}
	return nil
}

// markedNull reports whether a property has the mark null.
func markedNull(property json.RawMessage) bool {
	var members map[string]json.RawMessage
	return json.Unmarshal(property, &members) == nil && members["x-mcp-header"] != nil
}

// isToken reports whether s can be a part of a header's name (RFC 9110 §5.6.2).
func isToken(s string) bool {
	const others = "!#$%&'*+-.^_`|~"
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune(others, r))
	}) < 0
}

// lookUp asks the server for its tools in the words of a call that it refused for
// its headers, and reports whether the call's tool has marks.
func (b *bridge) lookUp(ctx, life context.Context, text []byte, e *envelope) bool {
	var call struct {
		Params struct {
			Meta json.RawMessage `json:"_meta"`
		} `json:"params"`
	}
	if json.Unmarshal(text, &call) != nil {
		return false
	}
	list := &envelope{ID: json.RawMessage(`"lyceum-tools"`), Method: "tools/list"}
	list.Params.Meta = e.Params.Meta
	cursor := ""
	for range maxPages {
		params := map[string]any{"_meta": call.Params.Meta}
		if cursor != "" {
			params["cursor"] = cursor
		}
		question, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": list.ID, "method": list.Method, "params": params})
		if err != nil {
			return false
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.cfg.URL, bytes.NewReader(question))
		if err != nil {
			return false
		}
		b.headers(req, list)
		answer, _, err := b.answerTo(life, req)
		if err != nil {
			return false
		}
		b.mirrors.read(answer, list, func(string, ...any) {})
		var page struct {
			Next string `json:"nextCursor"`
		}
		_ = result(answer, &page) // what is no page is the last one
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	b.mirrors.mu.Lock()
	defer b.mirrors.mu.Unlock()
	return b.mirrors.tools[e.Params.Name] != nil
}
