package guide

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/tools"
)

// subjects are parameters that hold what a call is about, in words.
var subjects = []string{"thought", "root", "question", "decisionStatement", "problemStatement", "title"}

// Skeleton is arguments of a call as far as they are known. They decode as they
// stand: what the client has not given is taken from an example of the operation,
// and named in Fill, for it must be replaced.
type Skeleton struct {
	Prompt     string                     `json:"prompt,omitempty"`
	Parameters map[string]json.RawMessage `json:"parameters"`
	Fill       []Fill                     `json:"fill"`
	Example    string                     `json:"example"` // the one that it follows
	Basis      tools.Basis                `json:"basis"`   // client_supplied where nothing is to be filled in, else template
}

// Fill is a parameter that the client must fill in.
type Fill struct {
	Path string `json:"path"`
	What string `json:"what"`
}

// skeleton makes the arguments of a call for what the client has.
func (e *entry) skeleton(prompt string, data map[string]json.RawMessage, holds bool) Skeleton {
	x := e.choose(prompt, data, holds)
	s := Skeleton{Parameters: maps.Clone(x.parameters), Example: x.title, Fill: []Fill{}, Basis: tools.ClientSupplied}
	if s.Parameters == nil {
		s.Parameters = map[string]json.RawMessage{}
	}
	for _, name := range e.fact.leave {
		delete(s.Parameters, name)
	}
	known := map[string]bool{}
	if !x.bare {
		for _, name := range slices.Sorted(maps.Keys(data)) {
			if p := e.parameters[name]; p != nil && p.fits(data[name]) {
				s.Parameters[name], known[name] = data[name], true
			}
		}
	}
	if place := e.subject(x, data); place != "" && prompt != "" && !known[place] {
		s.Parameters[place], known[place] = text(prompt, e.parameters[place].MaxLength), true
	} else if place == "" && x.prompt != "" {
		s.Prompt = prompt
	}
	for _, name := range slices.Sorted(maps.Keys(s.Parameters)) {
		if p := e.parameters[name]; p != nil && !known[name] && !p.setting() {
			s.Fill = append(s.Fill, Fill{"parameters." + name, p.Description})
		}
	}
	if x.prompt != "" && prompt == "" {
		s.Fill = append(s.Fill, Fill{"prompt", "what it is about, in words"})
		s.Prompt = x.prompt
	}
	if len(s.Fill) == 0 {
		return s
	}
	s.Basis = tools.Template
	for _, name := range slices.Sorted(maps.Keys(data)) {
		if known[name] { // the example's values need not go with it
			s.Fill = append(s.Fill, Fill{"parameters." + name, "as you gave it: it must go with what you fill in"})
		}
	}
	return s
}

// subject returns the parameter that says what the call is about, if the example
// has one or leaves that to the prompt; "" if there is none.
func (e *entry) subject(x *sample, data map[string]json.RawMessage) string {
	for _, name := range subjects {
		p := e.parameters[name]
		if p == nil || p.Type != "string" {
			continue
		}
		if _, given := data[name]; given || x.prompt != "" || x.parameters[name] != nil {
			return name
		}
	}
	return ""
}

// choose returns the example that a call should follow: the one that uses most of
// the client's data; of these the one whose title is nearest to the prompt; of these
// the first. One that brings nothing is only for a session that holds something.
func (e *entry) choose(prompt string, data map[string]json.RawMessage, holds bool) *sample {
	var titles []string
	for _, x := range e.examples {
		titles = append(titles, x.title)
	}
	near, words := newIndex(titles), query(prompt)
	best, most, top := 0, -1, 0.0
	for i, x := range e.examples {
		if x.bare && !holds && i > 0 {
			continue
		}
		uses := 0
		for name := range x.parameters {
			if _, ok := data[name]; ok {
				uses++
			}
		}
		if score := near.match(i, words).score; uses > most || uses == most && score > top {
			best, most, top = i, uses, score
		}
	}
	return &e.examples[best]
}

// fits reports whether a value has the type that the schema says, at its surface.
func (p *parameter) fits(raw json.RawMessage) bool {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return false
	}
	switch v := v.(type) {
	case []any:
		if p.Type != "array" || len(v) == 0 {
			return false
		}
		if p.Items == nil || p.Items.Type == "" {
			return true
		}
		for _, item := range v {
			one, err := json.Marshal(item)
			if err != nil || !p.Items.fits(one) {
				return false
			}
		}
		return true
	case map[string]any:
		return p.Type == "object"
	case string:
		return p.Type == "string" && (p.MaxLength == 0 || len(v) <= p.MaxLength) && (len(p.Enum) == 0 || slices.Contains(p.Enum, v))
	case float64:
		return p.Type == "number" || p.Type == "integer" && v == float64(int64(v))
	case bool:
		return p.Type == "boolean"
	}
	return false
}

// text writes a string of at most most bytes as JSON; 0 is no bound.
func text(s string, most int) json.RawMessage {
	if most > 0 && len(s) > most {
		for most > 0 && !utf8.RuneStart(s[most]) {
			most--
		}
		s = s[:most]
	}
	raw, _ := json.Marshal(strings.ToValidUTF8(s, "")) // a string always encodes
	return raw
}
