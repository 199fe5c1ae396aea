package mcpserve

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

// schema is one official schema document; all its keywords that matter here are
// understood, and one that is not known makes loading fail.
type schema struct {
	defs     map[string]any
	byMethod map[string]string // the definition of a request or notification by its method
}

var schemas = sync.OnceValues(func() (map[string]*schema, error) {
	out := map[string]*schema{}
	for _, rev := range supported {
		raw, err := schemaText(rev)
		if err != nil {
			return nil, err
		}
		if out[rev], err = parseSchema(raw); err != nil {
			return nil, fmt.Errorf("%s: %w", rev, err)
		}
	}
	return out, nil
})

func parseSchema(raw []byte) (*schema, error) {
	var doc map[string]map[string]any
	var top map[string]any
	if err := json.Unmarshal(raw, &top); err != nil {
		return nil, err
	}
	delete(top, "$schema")
	clean, err := json.Marshal(top)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(clean, &doc); err != nil {
		return nil, err
	}
	s := &schema{defs: doc["$defs"], byMethod: map[string]string{}}
	if s.defs == nil {
		s.defs = doc["definitions"]
	}
	for _, name := range slices.Sorted(maps.Keys(s.defs)) {
		if err := known(name, s.defs[name]); err != nil {
			return nil, err
		}
		def, _ := s.defs[name].(map[string]any)
		props, _ := def["properties"].(map[string]any)
		method, _ := props["method"].(map[string]any)
		if m, ok := method["const"].(string); ok {
			s.byMethod[m] = name
		}
	}
	return s, nil
}

// known refuses a schema with a keyword that check would pass over.
func known(at string, node any) error {
	n, ok := node.(map[string]any)
	if !ok {
		return nil
	}
	for k, v := range n {
		at := at + "/" + k
		switch k {
		case "type", "required", "const", "enum", "$ref", "minimum", "maximum", "maxItems", "minItems",
			"description", "format", "default", "title", "examples", "deprecated", "$comment":
		case "properties":
			for name, sub := range v.(map[string]any) {
				if err := known(at+"/"+name, sub); err != nil {
					return err
				}
			}
		case "items", "additionalProperties":
			if err := known(at, v); err != nil {
				return err
			}
		case "anyOf", "allOf", "oneOf":
			for _, sub := range v.([]any) {
				if err := known(at, sub); err != nil {
					return err
				}
			}
		default:
			return fmt.Errorf("%s: a keyword that the check does not know", at)
		}
	}
	return nil
}

// as checks a value against a definition.
func (s *schema) as(name string, v any) error {
	def, ok := s.defs[name]
	if !ok {
		return fmt.Errorf("no definition %s", name)
	}
	if err := s.check(name, def, v); err != nil {
		return fmt.Errorf("as %s: %w", name, err)
	}
	return nil
}

func (s *schema) check(at string, node, v any) error {
	n, ok := node.(map[string]any)
	if !ok {
		if node == false {
			return fmt.Errorf("%s: must not be there", at)
		}
		return nil
	}
	if ref, ok := n["$ref"].(string); ok {
		name := ref[strings.LastIndexByte(ref, '/')+1:]
		if err := s.check(at, s.defs[name], v); err != nil {
			return err
		}
	}
	if t, ok := n["type"]; ok && !typed(t, v) {
		return fmt.Errorf("%s: %.80v is no %v", at, v, t)
	}
	if c, ok := n["const"]; ok && !reflect.DeepEqual(c, v) {
		return fmt.Errorf("%s: %.80v, must be %v", at, v, c)
	}
	if e, ok := n["enum"].([]any); ok && !slices.ContainsFunc(e, func(x any) bool { return reflect.DeepEqual(x, v) }) {
		return fmt.Errorf("%s: %.80v is none of %v", at, v, e)
	}
	if f, ok := v.(float64); ok {
		if lo, ok := n["minimum"].(float64); ok && f < lo {
			return fmt.Errorf("%s: %v is below %v", at, f, lo)
		}
		if hi, ok := n["maximum"].(float64); ok && f > hi {
			return fmt.Errorf("%s: %v is above %v", at, f, hi)
		}
	}
	if err := s.checkParts(at, n, v); err != nil {
		return err
	}
	return s.checkCombined(at, n, v)
}

// checkParts looks at the members of an object and the items of an array.
func (s *schema) checkParts(at string, n map[string]any, v any) error {
	list, ok := v.([]any)
	if most, limited := n["maxItems"].(float64); ok && limited && float64(len(list)) > most {
		return fmt.Errorf("%s: %d items, at most %v", at, len(list), most)
	}
	if least, limited := n["minItems"].(float64); ok && limited && float64(len(list)) < least {
		return fmt.Errorf("%s: %d items, at least %v", at, len(list), least)
	}
	if n["items"] != nil {
		for i, x := range list {
			if err := s.check(fmt.Sprintf("%s[%d]", at, i), n["items"], x); err != nil {
				return err
			}
		}
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	required, _ := n["required"].([]any)
	for _, r := range required {
		if _, ok := object[r.(string)]; !ok {
			return fmt.Errorf("%s: %v is missing", at, r)
		}
	}
	props, _ := n["properties"].(map[string]any)
	for _, k := range slices.Sorted(maps.Keys(object)) {
		sub, named := props[k]
		if !named {
			if sub, named = n["additionalProperties"]; !named {
				continue
			}
		}
		if err := s.check(at+"."+k, sub, object[k]); err != nil {
			return err
		}
	}
	return nil
}

func (s *schema) checkCombined(at string, n map[string]any, v any) error {
	all, _ := n["allOf"].([]any)
	for _, sub := range all {
		if err := s.check(at, sub, v); err != nil {
			return err
		}
	}
	for _, word := range []string{"anyOf", "oneOf"} {
		list, ok := n[word].([]any)
		if !ok {
			continue
		}
		var errs []error
		for _, sub := range list {
			if err := s.check(at, sub, v); err != nil {
				errs = append(errs, err)
			}
		}
		fits := len(list) - len(errs)
		if fits == 0 {
			return fmt.Errorf("%s: fits none: %w", at, errors.Join(errs...))
		}
		if word == "oneOf" && fits > 1 {
			return fmt.Errorf("%s: fits %d, must fit one", at, fits)
		}
	}
	return nil
}

func typed(t, v any) bool {
	if list, ok := t.([]any); ok {
		return slices.ContainsFunc(list, func(one any) bool { return typed(one, v) })
	}
	switch x := v.(type) {
	case nil:
		return t == "null"
	case bool:
		return t == "boolean"
	case string:
		return t == "string"
	case float64:
		return t == "number" || t == "integer" && x == math.Trunc(x)
	case []any:
		return t == "array"
	default:
		return t == "object"
	}
}

// message checks one message that the server sent; asked is the method of the
// request that a response answers, "" if it is not known. unread tells that there
// may have been no id to repeat: it is the body of an HTTP error, or of a batch.
func (s *schema) message(raw []byte, asked string, unread bool) error {
	var v map[string]any
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	if id, named := v["id"]; v["error"] != nil && named && id == nil && unread {
		// JSON-RPC 2.0 section 5 wants null where there is no id to repeat, and MCP wants
		// what JSON-RPC does. No schema can say it: the older ones want an id in every
		// error, the newer ones let it be absent, but never null.
		v["id"] = "none"
	}
	if err := s.as("JSONRPCMessage", v); err != nil {
		return err
	}
	if method, ok := v["method"].(string); ok {
		if def := s.byMethod[method]; def != "" {
			return s.as(def, v)
		}
		return nil
	}
	if result, ok := v["result"]; ok {
		return s.result(asked, result)
	}
	return nil
}

func (s *schema) result(asked string, v any) error {
	def := "Result"
	if request := s.byMethod[asked]; request != "" {
		def = strings.TrimSuffix(request, "Request") + "Result"
	}
	// What the requester asked for may come another way: as a question, or as a task.
	object, _ := v.(map[string]any)
	kind, _ := object["resultType"].(string)
	_, task := object["task"]
	switch {
	case kind == "input_required":
		def = "InputRequiredResult"
	case kind != "" && kind != "complete":
		def = "Result" // of an extension, such as tasks of the newest revision
	case task && s.defs["CreateTaskResult"] != nil:
		def = "CreateTaskResult"
	case s.defs[def] == nil:
		def = "Result"
		if s.defs["EmptyResult"] != nil && s.byMethod[asked] != "" {
			def = "EmptyResult"
		}
	}
	return s.as(def, v)
}

// What makes the schema of 2024-11-05 fits its base, or the tests of that revision
// mean nothing.
func TestSchemaOf2024(t *testing.T) {
	all, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	// 83 definitions less audio, tool annotations and the two of batches.
	if n := len(all[rev2024].defs); n != 79 || len(all[rev202503].defs) != 83 {
		t.Errorf("%d definitions, and %d a revision later", n, len(all[rev202503].defs))
	}
	for patch, want := range map[string]string{
		`[{"op":"remove","path":"/a/1"},{"op":"test","path":"/a/1","value":3},{"op":"remove","path":"/b"}]`: `{"a":[1,3]}`,
		`[{"op":"test","path":"/a/1","value":3}]`:                                                           "",
		`[{"op":"remove","path":"/a/3"}]`:                                                                   "",
		`[{"op":"remove","path":"/a/x"}]`:                                                                   "",
		`[{"op":"remove","path":"/c/d"}]`:                                                                   "",
		`[{"op":"add","path":"/a/1","value":3}]`:                                                            "",
		`{}`:                                                                                                "",
	} {
		got, err := patched([]byte(`{"a":[1,2,3],"b":{"c":null}}`), []byte(patch))
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%s: %s, %v", patch, got, err)
		}
	}
}

// The check must see what is wrong, or that all tests pass it means nothing.
func TestSchemaCheck(t *testing.T) {
	all, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ rev, asked, message, want string }{
		{rev202511, "tools/call", `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"x"}]}}`, ""},
		{rev202511, "tools/call", `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text"}]}}`, "text is missing"},
		{rev202511, "tools/call", `{"jsonrpc":"2.0","id":1,"result":{}}`, "content is missing"},
		{rev202511, "tools/list", `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}]}}`, "inputSchema is missing"},
		{rev202503, "ping", `{"jsonrpc":"2.0","id":1.5,"result":{}}`, "fits none"},
		{rev2024, "ping", `{"jsonrpc":"2.0","id":1,"result":{}}`, ""},
		{rev2024, "tools/call", `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"image","data":"","mimeType":"image/png"}]}}`, ""},
		{rev2024, "tools/call", `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"audio","data":"","mimeType":"audio/wav"}]}}`, "fits none"},
		{rev202503, "tools/call", `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"audio","data":"","mimeType":"audio/wav"}]}}`, ""},
		{rev2024, "", `{"jsonrpc":"2.0","error":{"code":-32700,"message":"m"}}`, "id is missing"},
		{rev2026, "", `{"jsonrpc":"2.0","error":{"code":-32700,"message":"m"}}`, ""},
		{rev202506, "", `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}`, "progressToken is missing"},
		{rev202506, "", `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"loud","data":1}}`, "is none of"},
		{rev2026, "server/discover", `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}`, "is missing"},
		{rev2026, "tools/call", `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`, "resultType is missing"},
		{rev2026, "", `{"jsonrpc":"1.0","id":1,"result":{"resultType":"complete"}}`, "must be 2.0"},
		{rev2026, "", `{"jsonrpc":"2.0","id":1,"error":{"code":"x","message":"m"}}`, "is no integer"},
	} {
		err := all[c.rev].message([]byte(c.message), c.asked, false)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %q", c.rev, c.message, err, c.want)
		}
	}
	for _, rev := range supported {
		null := []byte(`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}`)
		if unread, read := all[rev].message(null, "", true), all[rev].message(null, "", false); unread != nil || read == nil {
			t.Errorf("%s: an error with the id null: %v where none could be read, %v where one was", rev, unread, read)
		}
		if err := all[rev].message([]byte(`{"jsonrpc":"2.0","id":null,"result":{}}`), "ping", true); err == nil {
			t.Errorf("%s: a result has the id null", rev)
		}
	}
}
