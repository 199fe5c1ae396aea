package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kind is how a value is written.
type kind int

const (
	text     kind = iota // any text that passes the format
	boolean              // true or false
	whole                // an integer
	fraction             // a number
	duration             // a number with a unit
	size                 // bytes, as a number or with a unit
	network              // an address or a network
	secret               // text that is never shown
	list                 // several of elem
	objects              // several things with the settings fields
)

// setting is one leaf of a configuration: everything that its tags say.
type setting struct {
	path     string // "sessions.idle_ttl"; of a field of an element, its key
	section  string // the part of path before the last dot
	index    []int  // of the field, for reflect
	kind     kind
	typ      reflect.Type
	elem     *setting // of a list
	fields   *table   // of the elements of objects
	doc      string
	def      string // the default as text
	low      *bound // nil is open
	high     *bound
	enum     []string
	format   string
	required bool // must be given and not empty
	maxItems int
}

// bound is one end of a range.
type bound struct {
	text  string
	value float64 // exact for every bound in use: all are below 2^53
}

// section is a group of settings.
type section struct{ path, doc string }

// table is every setting of a struct, in the order of its fields.
type table struct {
	settings []*setting
	sections []section
	byPath   map[string]*setting
}

// tableOf reads the tags of t. It panics on a tag that makes no sense: the
// types are our own and every test builds them.
func tableOf(t reflect.Type) *table {
	tab := &table{byPath: map[string]*setting{}}
	tab.add(t, "", nil)
	return tab
}

func (tab *table) add(t reflect.Type, prefix string, index []int) {
	for f := range t.Fields() {
		key, ok := f.Tag.Lookup("key")
		if !ok {
			continue
		}
		path := prefix + key
		at := append(slices.Clip(index), f.Index...)
		if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[Secret]() {
			if prefix != "" {
				panic("config: section " + path + " lies in another")
			}
			tab.sections = append(tab.sections, section{path, f.Tag.Get("doc")})
			tab.add(f.Type, path+".", at)
			continue
		}
		s := settingOf(f.Type, f.Tag)
		s.path, s.section, s.index = path, strings.TrimSuffix(prefix, "."), at
		tab.settings = append(tab.settings, s)
		tab.byPath[path] = s
	}
}

// settingOf reads the tags of one field.
func settingOf(t reflect.Type, tag reflect.StructTag) *setting {
	s := &setting{
		typ: t, kind: kindOf(t, tag),
		doc: tag.Get("doc"), def: tag.Get("default"), format: tag.Get("format"), required: tag.Get("required") == "true",
	}
	if enum := tag.Get("enum"); enum != "" {
		s.enum = strings.Split(enum, "|")
	}
	if _, ok := formats[s.format]; !ok {
		panic("config: unknown format " + s.format)
	}
	s.low, s.high = s.bound(tag.Get("min")), s.bound(tag.Get("max"))
	if s.kind == list || s.kind == objects {
		s.maxItems = number(tag.Get("maxItems"))
		if s.kind == objects {
			s.fields = tableOf(t.Elem())
			return s
		}
		elem := *s
		elem.typ, elem.kind, elem.maxItems = t.Elem(), kindOf(t.Elem(), tag), 0
		s.elem = &elem
	}
	return s
}

// kindOf returns how values of type t are written.
func kindOf(t reflect.Type, tag reflect.StructTag) kind {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return duration
	case reflect.TypeFor[netip.Prefix]():
		return network
	case reflect.TypeFor[Secret]():
		return secret
	}
	switch t.Kind() {
	case reflect.String:
		return text
	case reflect.Bool:
		return boolean
	case reflect.Int, reflect.Int64:
		if tag.Get("unit") == "bytes" {
			return size
		}
		return whole
	case reflect.Float64:
		return fraction
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct && t.Elem() != reflect.TypeFor[netip.Prefix]() {
			return objects
		}
		return list
	}
	panic(fmt.Sprintf("config: no way to write a %v", t))
}

// bound parses one end of the range of s.
func (s *setting) bound(text string) *bound {
	if text == "" {
		return nil
	}
	v, reason := s.parseNumber(text)
	if reason != "" {
		panic("config: the bound " + text + " " + reason)
	}
	return &bound{text, v}
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic("config: maxItems: " + err.Error())
	}
	return n
}

// env returns the name of the setting's environment variable.
func (s *setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.path, ".", "_"))
}

// flag returns the name of the setting's flag, without dashes before it.
func (s *setting) flag() string {
	return strings.NewReplacer(".", "-", "_", "-").Replace(s.path)
}

// allowed says in words which values the setting takes.
func (s *setting) allowed() string {
	switch s.kind {
	case boolean:
		return "true or false"
	case whole:
		return "a whole number" + s.span()
	case fraction:
		return "a number" + s.span()
	case duration:
		return "a duration" + s.span() + ", such as 90s, 15m or 1h30m"
	case size:
		return "a size" + s.span() + ", such as 1048576 or 1MiB"
	case network:
		return "a network or an address, such as 10.0.0.0/8 or 192.0.2.1"
	case secret:
		return "a text"
	case list:
		return fmt.Sprintf("at most %d, separated by commas in a flag or variable; each %s", s.maxItems, s.elem.allowed())
	case objects:
		return fmt.Sprintf("at most %d, each with %s", s.maxItems, strings.Join(s.fields.keys(), ", "))
	}
	if len(s.enum) > 0 {
		return "one of " + strings.Join(s.enum, ", ")
	}
	return formats[s.format].allowed
}

// span says the range.
func (s *setting) span() string {
	switch {
	case s.low != nil && s.high != nil:
		return " from " + s.low.text + " to " + s.high.text
	case s.low != nil:
		return " from " + s.low.text
	case s.high != nil:
		return " up to " + s.high.text
	}
	return ""
}

func (tab *table) keys() []string {
	keys := make([]string, len(tab.settings))
	for i, s := range tab.settings {
		keys[i] = s.path
	}
	return keys
}

// hasSection reports whether path is a group of settings.
func (tab *table) hasSection(path string) bool {
	for _, s := range tab.sections {
		if s.path == path {
			return true
		}
	}
	return false
}

// setDefaults fills target, a value of the table's struct.
func (tab *table) setDefaults(target reflect.Value) {
	for _, s := range tab.settings {
		d := decoder{}
		v, ok := d.decode(s, s.path, s.def)
		if !ok && !s.required {
			panic("config: default of " + d.problems.Error())
		}
		if ok {
			target.FieldByIndex(s.index).Set(v)
		}
	}
}
