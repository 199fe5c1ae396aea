package tools

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
	"github.com/lyceum-mcp/lyceum/internal/nearest"
)

const (
	maxIssues   = 20  // more than a model can use at once
	maxGot      = 80  // bytes of a bad value quoted back
	maxMentions = 512 // of unknown keys looked at
)

// decoder fills one Go value from JSON and collects what was wrong with it.
type decoder struct {
	issues  []Issue
	unknown []Warning
}

func (d *decoder) issue(path, expected string, raw []byte) {
	if len(d.issues) < maxIssues {
		d.issues = append(d.issues, Issue{Path: path, Expected: expected, Got: clip(string(bytes.TrimSpace(raw)))})
	}
}

func clip(s string) string {
	if len(s) <= maxGot {
		return s
	}
	return strings.ToValidUTF8(s[:maxGot], "") + "…"
}

// value decodes raw into v, whose type is the plan's.
func (d *decoder) value(f *field, p *plan, raw json.RawMessage, v reflect.Value, path string) {
	raw = bytes.TrimSpace(raw)
	if p.pointer {
		if string(raw) == "null" {
			return
		}
		v.Set(reflect.New(p.typ))
		v = v.Elem()
	}
	switch p.kind {
	case kindRaw:
		v.SetBytes(bytes.Clone(raw))
	case kindAny:
		d.any(raw, v, path)
	case kindBool:
		d.bool(raw, v, path)
	case kindInt, kindUint, kindFloat:
		d.number(f, p, raw, v, path)
	case kindString:
		d.string(f, p, raw, v, path)
	case kindStruct:
		d.object(p, raw, v, path)
	case kindSlice:
		d.slice(f, p, raw, v, path)
	case kindMap:
		d.mapping(f, p, raw, v, path)
	}
}

func (d *decoder) any(raw []byte, v reflect.Value, path string) {
	var x any
	if err := json.Unmarshal(raw, &x); err != nil {
		d.issue(path, "a JSON value", raw)
		return
	}
	if x != nil {
		v.Set(reflect.ValueOf(x))
	}
}

func (d *decoder) bool(raw []byte, v reflect.Value, path string) {
	switch strings.ToLower(unquote(raw)) {
	case "true":
		v.SetBool(true)
	case "false":
		v.SetBool(false)
	default:
		d.issue(path, "true or false", raw)
	}
}

func (d *decoder) number(f *field, p *plan, raw []byte, v reflect.Value, path string) {
	text := strings.TrimSpace(unquote(raw))
	bad := func() { d.issue(path, p.expected(f), raw) }
	var x float64
	switch p.kind {
	case kindInt:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			whole, ok := wholeFloat(text)
			if !ok {
				bad()
				return
			}
			n = int64(whole)
		}
		if v.OverflowInt(n) {
			bad()
			return
		}
		v.SetInt(n)
		x = float64(n)
	case kindUint:
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			whole, ok := wholeFloat(text)
			if !ok || whole < 0 {
				bad()
				return
			}
			n = uint64(whole)
		}
		if v.OverflowUint(n) {
			bad()
			return
		}
		v.SetUint(n)
		x = float64(n)
	default:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) || strings.ContainsAny(text, "xX_") {
			bad()
			return
		}
		v.SetFloat(n)
		x = n
	}
	if f != nil && ((f.min != nil && x < *f.min) || (f.max != nil && x > *f.max)) {
		bad()
	}
}

// wholeFloat accepts "3.0" and "1e3" for a whole number, within the range that
// float64 holds exactly.
func wholeFloat(text string) (float64, bool) {
	x, err := strconv.ParseFloat(text, 64)
	return x, err == nil && x == math.Trunc(x) && math.Abs(x) <= 1<<53 && !strings.ContainsAny(text, "xX_")
}

func (d *decoder) string(f *field, p *plan, raw []byte, v reflect.Value, path string) {
	var s string
	switch {
	case len(raw) > 0 && raw[0] == '"':
		if json.Unmarshal(raw, &s) != nil {
			d.issue(path, p.expected(f), raw)
			return
		}
	case len(raw) > 0 && (raw[0] == '{' || raw[0] == '[' || string(raw) == "null"):
		d.issue(path, p.expected(f), raw)
		return
	default: // a number or a boolean: its text is what was meant
		s = string(raw)
	}
	if f != nil && len(f.enum) > 0 && !slices.Contains(f.enum, s) {
		d.issue(path, p.expected(f), raw)
		return
	}
	if f != nil && f.maxLen >= 0 && len(s) > f.maxLen {
		d.issue(path, fmt.Sprintf("at most %d bytes (got %d)", f.maxLen, len(s)), raw)
		return
	}
	v.SetString(s)
}

func (d *decoder) slice(f *field, p *plan, raw []byte, v reflect.Value, path string) {
	raw = unwrap(raw, '[')
	if raw == nil || raw[0] != '[' {
		d.issue(path, p.expected(f), raw)
		return
	}
	if p.elem.kind == kindFloat && !p.elem.pointer { // long data: one pass when it is clean
		out := reflect.New(p.typ)
		if json.Unmarshal(raw, out.Interface()) == nil && !bytes.Contains(raw, []byte("null")) {
			v.Set(out.Elem())
			d.count(f, v.Len(), path)
			return
		}
	}
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		d.issue(path, p.expected(f), raw)
		return
	}
	if !d.count(f, len(items), path) {
		return
	}
	v.Set(reflect.MakeSlice(p.typ, len(items), len(items)))
	for i, item := range items {
		d.value(nil, p.elem, item, v.Index(i), path+"["+strconv.Itoa(i)+"]")
		if len(d.issues) >= maxIssues {
			return
		}
	}
}

// count checks the length of an array or object against its field's bounds.
func (d *decoder) count(f *field, n int, path string) bool {
	switch {
	case f == nil:
		return true
	case f.minItems >= 0 && n < f.minItems:
		d.issues = append(d.issues, Issue{Path: path, Expected: fmt.Sprintf("at least %d items", f.minItems), Got: strconv.Itoa(n) + " items"})
	case f.maxItems >= 0 && n > f.maxItems:
		d.issues = append(d.issues, Issue{Path: path, Expected: fmt.Sprintf("at most %d items", f.maxItems), Got: strconv.Itoa(n) + " items"})
	default:
		return true
	}
	return false
}

func (d *decoder) mapping(f *field, p *plan, raw []byte, v reflect.Value, path string) {
	raw = unwrap(raw, '{')
	var members map[string]json.RawMessage
	if raw == nil || raw[0] != '{' || json.Unmarshal(raw, &members) != nil {
		d.issue(path, p.expected(f), raw)
		return
	}
	if !d.count(f, len(members), path) {
		return
	}
	out := reflect.MakeMapWithSize(p.typ, len(members))
	keys := make([]string, 0, len(members))
	for k := range members {
		keys = append(keys, k)
	}
	slices.Sort(keys) // problems are reported in the same order every time
	for _, k := range keys {
		item := reflect.New(p.typ.Elem()).Elem()
		d.value(nil, p.elem, members[k], item, path+"."+k)
		out.SetMapIndex(reflect.ValueOf(k).Convert(p.typ.Key()), item)
		if len(d.issues) >= maxIssues {
			return
		}
	}
	v.Set(out)
}

func (d *decoder) object(p *plan, raw []byte, v reflect.Value, path string) {
	if inner, ok := d.unwrapObject(p, raw, path); ok {
		d.leftover(p, d.fill(p, jsonscan.Members(inner), v, path), path)
	}
}

// unwrapObject returns a JSON object, or the one that a string holds.
func (d *decoder) unwrapObject(p *plan, raw []byte, path string) ([]byte, bool) {
	inner := unwrap(raw, '{')
	if len(inner) == 0 || inner[0] != '{' {
		d.issue(path, p.expected(nil), raw)
		return nil, false
	}
	return inner, true
}

// member is one member of an object.
type member struct {
	key   string
	value []byte
}

func each(list []member) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		for _, m := range list {
			if !yield([]byte(m.key), m.value) {
				return
			}
		}
	}
}

// fill decodes the members that p has fields for, gives the others their
// defaults, and returns what is left over.
func (d *decoder) fill(p *plan, members iter.Seq2[[]byte, []byte], v reflect.Value, path string) []member {
	var few [32]bool
	seen := few[:]
	if len(p.fields) > len(few) {
		seen = make([]bool, len(p.fields))
	}
	var left []member
	for key, value := range members {
		i, ok := p.byName[string(key)]
		if !ok {
			left = append(left, member{string(key), value})
			continue
		}
		if string(value) != "null" {
			f := &p.fields[i]
			seen[i] = true
			d.value(f, f.plan, value, v.FieldByIndex(f.index), path+"."+f.name)
		}
	}
	for i := range p.fields {
		f := &p.fields[i]
		switch {
		case seen[i]:
		case f.required:
			d.issues = append(d.issues, Issue{Path: path + "." + f.name, Expected: f.plan.expected(f), Got: "nothing"})
		default:
			f.absent(v.FieldByIndex(f.index))
		}
	}
	return left
}

// absent fills in the default of a field that was not sent. An object that was
// not sent has the defaults of its members.
func (f *field) absent(v reflect.Value) {
	switch {
	case f.def.IsValid():
		v.Set(f.def)
	case f.defText != "": // not shared between calls: it can be changed
		var d decoder
		d.value(f, f.plan, json.RawMessage(f.defText), v, "")
	case f.plan.kind == kindStruct && !f.plan.pointer:
		for i := range f.plan.fields {
			inner := &f.plan.fields[i]
			inner.absent(v.FieldByIndex(inner.index))
		}
	}
}

// leftover warns about keys that no field takes and names the nearest one.
func (d *decoder) leftover(p *plan, left []member, path string) {
	for _, m := range left {
		if len(d.unknown) >= maxMentions {
			return
		}
		text := fmt.Sprintf("%s.%s is not a parameter here and was ignored", path, clip(m.key))
		if near := p.nearest(m.key); near != "" {
			text += fmt.Sprintf("; did you mean %s?", near)
		}
		d.unknown = append(d.unknown, Warning{Code: "unknown_parameter", Message: text})
	}
}

// nearest returns the field whose name is at most two edits from key, whatever
// its case, or "".
func (p *plan) nearest(key string) string {
	names := make([]string, len(p.fields))
	for i := range p.fields {
		names[i] = strings.ToLower(p.fields[i].name)
	}
	i := slices.Index(names, nearest.Of(strings.ToLower(key), names, 2))
	if i < 0 {
		return ""
	}
	return p.fields[i].name
}

// unquote returns the text of a JSON string, and anything else as it is.
func unquote(raw []byte) string {
	var s string
	if len(raw) > 1 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// unwrap returns raw, or, where raw is a string that holds a JSON value opening
// with the given byte, that value.
func unwrap(raw []byte, open byte) []byte {
	if len(raw) == 0 {
		return nil
	}
	if raw[0] != '"' {
		return raw
	}
	inner := strings.TrimSpace(unquote(raw))
	if inner != "" && inner[0] == open && jsonscan.Check([]byte(inner)) == nil {
		return []byte(inner)
	}
	return raw
}

// sortIssues puts problems in the order of their paths.
func sortIssues(issues []Issue) {
	slices.SortStableFunc(issues, func(a, b Issue) int { return cmp.Compare(a.Path, b.Path) })
}
