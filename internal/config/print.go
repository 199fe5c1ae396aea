package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Print writes the effective configuration as a YAML file that Load reads, each
// value with its origin behind it. Secrets are masked.
func (c *Config) Print(w io.Writer) error {
	if _, err := fmt.Fprintln(w, "# The effective configuration; behind each value is where it came from."); err != nil {
		return err
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(settings.document(reflect.ValueOf(c).Elem(), c.origins)); err != nil {
		return fmt.Errorf("print the configuration: %w", err)
	}
	return enc.Close()
}

// document returns the values of v, a value of the table's struct, as YAML.
func (tab *table) document(v reflect.Value, origins map[string]Origin) *yaml.Node {
	root := &yaml.Node{Kind: yaml.MappingNode}
	groups := map[string]*yaml.Node{"": root}
	for _, s := range tab.settings {
		group := groups[s.section]
		if group == nil {
			group = &yaml.Node{Kind: yaml.MappingNode}
			groups[s.section] = group
			root.Content = append(root.Content, word(s.section), group)
		}
		key, value := word(s.path[strings.LastIndex(s.path, ".")+1:]), s.node(s.encode(v.FieldByIndex(s.index)))
		if comment := originOf(origins, s.path).String(); value.Style&yaml.FlowStyle == 0 && value.Kind == yaml.SequenceNode {
			key.LineComment = comment
		} else {
			value.LineComment = comment
		}
		group.Content = append(group.Content, key, value)
	}
	return root
}

// word returns text as a YAML scalar that is quoted when it would be read as
// something else.
func word(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	return n
}

// node returns the raw value of s as YAML: numbers and booleans bare, lists of
// texts on one line.
func (s *setting) node(raw any) *yaml.Node {
	switch raw := raw.(type) {
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		if s.kind == list || len(raw) == 0 {
			n.Style = yaml.FlowStyle
		}
		for _, e := range raw {
			n.Content = append(n.Content, s.element(e))
		}
		return n
	case string:
		if s.kind == boolean || s.kind == whole || s.kind == fraction {
			return &yaml.Node{Kind: yaml.ScalarNode, Value: raw}
		}
		return word(raw)
	}
	return word("")
}

// element returns one element of the list or the objects s.
func (s *setting) element(raw any) *yaml.Node {
	if s.kind == list {
		return s.elem.node(raw)
	}
	n := &yaml.Node{Kind: yaml.MappingNode}
	object, _ := raw.(map[string]any)
	for _, f := range s.fields.settings {
		n.Content = append(n.Content, word(f.path), f.node(object[f.path]))
	}
	return n
}

// plain returns the value of s in c as one would write it in a flag.
func plain(s *setting, c *Config) string {
	raw := s.encode(reflect.ValueOf(c).Elem().FieldByIndex(s.index))
	switch raw := raw.(type) {
	case string:
		return raw
	case []any:
		parts := make([]string, 0, len(raw))
		for _, e := range raw {
			if text, ok := e.(string); ok {
				parts = append(parts, text)
			}
		}
		return strings.Join(parts, ",")
	}
	return ""
}
