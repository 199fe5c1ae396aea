package tools

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"time"
)

// schemaWriter writes a plan as JSON Schema 2020-12. Members keep the order of
// the Go struct, so that the output is the same on every run.
type schemaWriter struct{ bytes.Buffer }

func (w *schemaWriter) quote(s string) {
	b, _ := json.Marshal(s) // a string always encodes
	w.Write(b)
}

func (w *schemaWriter) key(first *bool, name string) {
	if !*first {
		w.WriteByte(',')
	}
	*first = false
	w.quote(name)
	w.WriteByte(':')
}

func (w *schemaWriter) plan(p *plan, f *field) {
	if p.kind == kindGiven {
		w.Write(p.given)
		return
	}
	first := true
	w.WriteByte('{')
	text := func(key, value string) { w.key(&first, key); w.quote(value) }
	number := func(key string, n *float64) {
		if n != nil {
			w.key(&first, key)
			w.WriteString(strconv.FormatFloat(*n, 'g', -1, 64))
		}
	}
	count := func(key string, n int) {
		if n >= 0 {
			w.key(&first, key)
			w.WriteString(strconv.Itoa(n))
		}
	}
	switch p.kind {
	case kindBool:
		text("type", "boolean")
	case kindInt, kindUint:
		text("type", "integer")
	case kindFloat:
		text("type", "number")
	case kindString:
		text("type", "string")
	case kindSlice:
		text("type", "array")
		w.key(&first, "items")
		w.plan(p.elem, nil)
	case kindMap:
		text("type", "object")
		w.key(&first, "additionalProperties")
		if p.elem.kind == kindAny {
			w.WriteString("true")
		} else {
			w.plan(p.elem, nil)
		}
	case kindStruct:
		text("type", "object")
		w.key(&first, "properties")
		w.properties(p.fields)
		if names := required(p.fields); len(names) > 0 {
			w.key(&first, "required")
			b, _ := json.Marshal(names)
			w.Write(b)
		}
	}
	if f != nil {
		if f.doc != "" {
			text("description", f.doc)
		}
		if len(f.enum) > 0 {
			w.key(&first, "enum")
			b, _ := json.Marshal(f.enum)
			w.Write(b)
		}
		if f.defText != "" {
			w.key(&first, "default")
			w.WriteString(f.defText)
		}
		if p.kind == kindUint && f.min == nil {
			count("minimum", 0)
		}
		number("minimum", f.min)
		number("maximum", f.max)
		count("minItems", f.minItems)
		count("maxItems", f.maxItems)
		count("maxLength", f.maxLen)
	}
	w.WriteByte('}')
}

func (w *schemaWriter) properties(fields []field) {
	first := true
	w.WriteByte('{')
	for i := range fields {
		w.key(&first, fields[i].name)
		w.plan(fields[i].plan, &fields[i])
	}
	w.WriteByte('}')
}

func required(fields []field) []string {
	var names []string
	for i := range fields {
		if fields[i].required {
			names = append(names, fields[i].name)
		}
	}
	return names
}

// inputSchema describes an object of p's fields and, unless it is plain, the
// common ones.
func inputSchema(p *plan, plain bool) json.RawMessage {
	all := &plan{kind: kindStruct, fields: p.fields}
	if !plain {
		all.fields = append(append([]field(nil), p.fields...), uncommon(p)...)
	}
	var w schemaWriter
	w.plan(all, nil)
	return w.Bytes()
}

// uncommon returns the common parameters that p does not define itself.
func uncommon(p *plan) []field {
	var out []field
	for _, f := range commonPlan.fields {
		if _, own := p.byName[f.name]; !own {
			out = append(out, f)
		}
	}
	return out
}

var timeType = reflect.TypeFor[time.Time]()

// outputSchema describes what encoding/json writes for t. It says less than
// inputSchema: results are for reading.
func outputSchema(t reflect.Type) json.RawMessage {
	var w schemaWriter
	w.output(t, map[reflect.Type]bool{})
	return w.Bytes()
}

func (w *schemaWriter) output(t reflect.Type, seen map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	simple := func(name string) { w.WriteString(`{"type":"` + name + `"}`) }
	switch {
	case t == timeType:
		w.WriteString(`{"type":"string","format":"date-time"}`)
		return
	case t == rawType, t.Implements(reflect.TypeFor[json.Marshaler]()), reflect.PointerTo(t).Implements(reflect.TypeFor[json.Marshaler]()):
		w.WriteString("{}")
		return
	}
	switch t.Kind() {
	case reflect.Bool:
		simple("boolean")
	case reflect.String:
		simple("string")
	case reflect.Float32, reflect.Float64:
		simple("number")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		simple("integer")
	case reflect.Slice, reflect.Array:
		w.WriteString(`{"type":["array","null"],"items":`)
		w.output(t.Elem(), seen)
		w.WriteByte('}')
	case reflect.Map:
		w.WriteString(`{"type":["object","null"],"additionalProperties":`)
		w.output(t.Elem(), seen)
		w.WriteByte('}')
	case reflect.Struct:
		if seen[t] { // a recursive type: one level says enough
			simple("object")
			return
		}
		seen[t] = true
		w.WriteString(`{"type":"object","properties":{`)
		first := true
		w.members(t, seen, &first)
		w.WriteString("}}")
		delete(seen, t)
	default:
		w.WriteString("{}")
	}
}

func (w *schemaWriter) members(t reflect.Type, seen map[reflect.Type]bool, first *bool) {
	for sf := range t.Fields() {
		name, _, _ := bytes.Cut([]byte(sf.Tag.Get("json")), []byte(","))
		switch {
		case sf.Anonymous && len(name) == 0 && sf.Type.Kind() == reflect.Struct:
			w.members(sf.Type, seen, first)
			continue
		case !sf.IsExported() || string(name) == "-":
			continue
		case len(name) == 0:
			name = []byte(sf.Name)
		}
		w.key(first, string(name))
		w.output(sf.Type, seen)
	}
}
