package config

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// Schema returns the JSON Schema (draft 2020-12) of the YAML file. It is the
// same bytes for the same build. The schema asks for types as an editor should;
// Load also takes a number or a boolean in quotes, and text separated by commas
// for a list.
func Schema() []byte {
	root := settings.schema()
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Configuration of lyceum"
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil { // maps of texts and numbers always encode
		panic("config: schema: " + err.Error())
	}
	return out.Bytes()
}

// node is a part of a schema.
type node = map[string]any

func (tab *table) schema() node {
	properties := node{}
	groups := map[string]node{"": properties}
	for _, s := range tab.sections {
		inner := node{}
		groups[s.path] = inner
		properties[s.path] = node{"type": "object", "description": s.doc, "additionalProperties": false, "properties": inner}
	}
	var required []string
	for _, s := range tab.settings {
		groups[s.section][s.path[strings.LastIndex(s.path, ".")+1:]] = s.schema()
		if s.required {
			required = append(required, s.path)
		}
	}
	object := node{"type": "object", "additionalProperties": false, "properties": properties}
	if required != nil {
		object["required"] = required
	}
	return object
}

// schema describes one setting: its type and range, what it means, its default.
func (s *setting) schema() node {
	n := s.typeSchema()
	n["description"] = s.doc
	if !s.required && s.kind != secret {
		n["default"] = s.literal(s.def)
	}
	return n
}

func (s *setting) typeSchema() node {
	switch s.kind {
	case boolean:
		return node{"type": "boolean"}
	case whole:
		return s.ranged(node{"type": "integer"})
	case fraction:
		return s.ranged(node{"type": "number"})
	case duration:
		return node{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`, "$comment": s.allowed()}
	case size:
		return node{"$comment": s.allowed(), "oneOf": []node{
			s.ranged(node{"type": "integer"}),
			{"type": "string", "pattern": `^[0-9]+ ?([KMG]i)?B?$`},
		}}
	case list:
		return node{"type": "array", "maxItems": s.maxItems, "items": s.elem.typeSchema()}
	case objects:
		return node{"type": "array", "maxItems": s.maxItems, "items": s.fields.schema()}
	}
	n := node{"type": "string"}
	switch {
	case len(s.enum) > 0:
		n["enum"] = s.enum
	case s.kind == network || s.format != "":
		n["$comment"] = s.allowed()
	}
	return n
}

// ranged adds the range.
func (s *setting) ranged(n node) node {
	if s.low != nil {
		n["minimum"] = s.low.value
	}
	if s.high != nil {
		n["maximum"] = s.high.value
	}
	return n
}

// literal returns text, a valid value of s, as JSON would hold it.
func (s *setting) literal(text string) any {
	switch s.kind {
	case boolean:
		return text == "true"
	case whole, fraction:
		f, err := strconv.ParseFloat(text, 64)
		if err == nil {
			return f
		}
	case list, objects:
		all, _ := items(text)
		return append([]any{}, all...) // not null
	}
	return text
}
