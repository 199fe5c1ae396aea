package tools

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// kind is what a plan expects.
type kind uint8

const (
	kindAny kind = iota
	kindRaw
	kindBool
	kindInt
	kindUint
	kindFloat
	kindString
	kindStruct
	kindSlice
	kindMap
	kindGiven // a schema written elsewhere; only ever described, never decoded
)

// plan is how one Go type is described and decoded. Plans are built once at
// start-up, never change, and are shared.
type plan struct {
	kind    kind
	typ     reflect.Type // without the pointer
	pointer bool         // the Go type is *typ: absent differs from zero
	fields  []field      // of a struct, in order
	byName  map[string]int
	elem    *plan // of a slice or map
	given   json.RawMessage
}

// field is one member of a struct.
type field struct {
	name     string
	index    []int
	doc      string
	enum     []string
	defText  string        // the default as JSON; "" is none
	def      reflect.Value // the default, where sharing it is harmless
	required bool
	min, max *float64
	minItems int // −1: none
	maxItems int
	maxLen   int
	plan     *plan
}

var rawType = reflect.TypeFor[json.RawMessage]()

// planFor builds the plan of t and panics when t has a field that no schema can
// describe: tools are defined in package variables, so this fails at start-up.
func planFor(t reflect.Type) *plan { return buildPlan(t, t.String(), 0) }

func buildPlan(t reflect.Type, where string, depth int) *plan {
	if depth > 16 {
		panic(fmt.Sprintf("tools: %s nests deeper than 16 levels", where))
	}
	p := &plan{typ: t}
	if t.Kind() == reflect.Pointer {
		p.pointer, p.typ = true, t.Elem()
		t = p.typ
	}
	switch {
	case t == rawType:
		p.kind = kindRaw
		return p
	case t.Kind() == reflect.Interface && t.NumMethod() == 0:
		p.kind = kindAny
		return p
	}
	switch t.Kind() {
	case reflect.Bool:
		p.kind = kindBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		p.kind = kindInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		p.kind = kindUint
	case reflect.Float32, reflect.Float64:
		p.kind = kindFloat
	case reflect.String:
		p.kind = kindString
	case reflect.Slice:
		p.kind, p.elem = kindSlice, buildPlan(t.Elem(), where+"[]", depth+1)
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			panic(fmt.Sprintf("tools: %s: map keys must be strings", where))
		}
		p.kind, p.elem = kindMap, buildPlan(t.Elem(), where+"{}", depth+1)
	case reflect.Struct:
		p.kind, p.byName = kindStruct, map[string]int{}
		p.addFields(t, nil, where, depth)
	default:
		panic(fmt.Sprintf("tools: %s: no schema for %s", where, t))
	}
	return p
}

func (p *plan) addFields(t reflect.Type, prefix []int, where string, depth int) {
	for sf := range t.Fields() {
		index := append(append([]int(nil), prefix...), sf.Index...)
		tag, tagged := sf.Tag.Lookup("json")
		name, _, _ := strings.Cut(tag, ",")
		if sf.Anonymous && !tagged && sf.Type.Kind() == reflect.Struct {
			p.addFields(sf.Type, index, where, depth)
			continue
		}
		if !sf.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			panic(fmt.Sprintf("tools: %s.%s has no json name", where, sf.Name))
		}
		if _, dup := p.byName[name]; dup {
			panic(fmt.Sprintf("tools: %s has two fields %q", where, name))
		}
		p.byName[name] = len(p.fields)
		p.fields = append(p.fields, newField(sf, index, name, where, depth))
	}
}

func newField(sf reflect.StructField, index []int, name, where string, depth int) field {
	at := where + "." + name
	f := field{name: name, index: index, doc: sf.Tag.Get("doc"), minItems: -1, maxItems: -1, maxLen: -1}
	f.plan = buildPlan(sf.Type, at, depth+1)
	if e := sf.Tag.Get("enum"); e != "" {
		f.enum = strings.Split(e, "|")
	}
	f.required = sf.Tag.Get("required") == "true"
	f.min, f.max = floatTag(sf, "min", at), floatTag(sf, "max", at)
	f.minItems = intTag(sf, "minItems", at)
	f.maxItems = intTag(sf, "maxItems", at)
	f.maxLen = intTag(sf, "maxLen", at)
	if text, ok := sf.Tag.Lookup("default"); ok {
		raw := json.RawMessage(text)
		if f.plan.kind == kindString {
			raw, _ = json.Marshal(text)
		}
		var d decoder
		v := reflect.New(sf.Type).Elem()
		d.value(&f, f.plan, raw, v, at)
		if len(d.issues) > 0 {
			panic(fmt.Sprintf("tools: %s: bad default %q: expected %s", at, text, d.issues[0].Expected))
		}
		f.defText = string(raw)
		switch f.plan.kind {
		case kindBool, kindInt, kindUint, kindFloat, kindString:
			if !f.plan.pointer {
				f.def = v
			}
		}
	}
	return f
}

func floatTag(sf reflect.StructField, tag, where string) *float64 {
	text, ok := sf.Tag.Lookup(tag)
	if !ok {
		return nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(fmt.Sprintf("tools: %s: bad %s %q", where, tag, text))
	}
	return &v
}

func intTag(sf reflect.StructField, tag, where string) int {
	text, ok := sf.Tag.Lookup(tag)
	if !ok {
		return -1
	}
	v, err := strconv.Atoi(text)
	if err != nil {
		panic(fmt.Sprintf("tools: %s: bad %s %q", where, tag, text))
	}
	return v
}

// expected describes in words what the plan takes, for errors.
func (p *plan) expected(f *field) string {
	switch p.kind {
	case kindBool:
		return "true or false"
	case kindInt, kindUint:
		return "a whole number" + bounds(f)
	case kindFloat:
		return "a finite number" + bounds(f)
	case kindString:
		if f != nil && len(f.enum) > 0 {
			return "one of " + strings.Join(f.enum, ", ")
		}
		return "a string"
	case kindStruct:
		names := make([]string, 0, len(p.fields))
		for i := range p.fields {
			names = append(names, p.fields[i].name)
		}
		return "an object with " + strings.Join(names, ", ")
	case kindSlice:
		return "an array, each item " + p.elem.expected(nil)
	case kindMap:
		return "an object, each value " + p.elem.expected(nil)
	}
	return "any JSON value"
}

func bounds(f *field) string {
	switch {
	case f == nil || (f.min == nil && f.max == nil):
		return ""
	case f.max == nil:
		return fmt.Sprintf(" of at least %v", *f.min)
	case f.min == nil:
		return fmt.Sprintf(" of at most %v", *f.max)
	}
	return fmt.Sprintf(" from %v to %v", *f.min, *f.max)
}
