package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds the configuration file, in bytes.
const maxFile = 1 << 20

// readFile reads the file at path, which must be a small one.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("it is larger than %s", formatSize(maxFile))
	}
	return data, err
}

// fileParser turns YAML into raw values and remembers their lines. It takes the
// plain subset that a configuration needs: one document, no anchors and no
// aliases, which would hide where a value comes from.
type fileParser struct {
	name  string
	table *table
	layer layer
}

// parseFile returns what data sets; problems go to the layer.
func parseFile(name string, data []byte, tab *table) layer {
	p := &fileParser{name: name, table: tab, layer: newLayer()}
	root, err := parseYAML(data)
	switch {
	case err != nil:
		p.fail(name, 0, err.Error(), "see that the file is plain YAML")
	case root == nil || isNull(root):
	case root.Kind != yaml.MappingNode:
		p.fail(name, root.Line, "is not made of settings", "write one setting a line, such as addr: 127.0.0.1:8383")
	default:
		p.section(root, "")
	}
	return p.layer
}

// parseInline reads the text of a flag or variable as YAML.
func parseInline(text string) (any, error) {
	root, err := parseYAML([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("is not YAML: %w", err)
	}
	if root == nil || isNull(root) {
		return []any{}, nil
	}
	p := &fileParser{layer: newLayer()}
	raw := p.value(root, "")
	if len(p.layer.problems) > 0 {
		return nil, errors.New(p.layer.problems[0].Reason + " at line " + strconv.Itoa(p.layer.problems[0].Origin.line))
	}
	return raw, nil
}

// parseYAML returns the one document in data, nil if there is none.
func parseYAML(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0:
		return nil, nil
	case err != nil:
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	return doc.Content[0], nil
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func (p *fileParser) at(line int) Origin { return Origin{layer: fromFile, name: p.name, line: line} }

func (p *fileParser) fail(path string, line int, reason, mend string) {
	p.layer.problems = append(p.layer.problems, Problem{Path: path, Reason: reason, Origin: p.at(line), Mend: mend})
}

// section reads a mapping whose keys are settings and sections below prefix.
func (p *fileParser) section(n *yaml.Node, prefix string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		path := prefix + key.Value
		switch {
		case p.table.byPath[path] != nil:
			if first, twice := p.layer.origins[path]; twice {
				p.fail(path, key.Line, "is given twice, first at "+first.String(), "")
				continue
			}
			p.layer.origins[path] = p.at(value.Line)
			before := len(p.layer.problems)
			if raw := p.value(value, path); len(p.layer.problems) == before {
				p.layer.values[path] = raw
			}
		case !p.table.hasSection(path):
			p.layer.problems = append(p.layer.problems, unknown(path, p.at(key.Line), meant(path, p.table.names())))
		case value.Kind == yaml.MappingNode:
			p.section(value, path+".")
		case !isNull(value):
			p.fail(path, value.Line, "is a section, not a setting", "write its settings below it, each on its own line")
		}
	}
}

// value returns n as a raw value and remembers where its parts are. What it
// cannot take is among the problems afterwards.
func (p *fileParser) value(n *yaml.Node, path string) any {
	switch {
	case n.Anchor != "" || n.Kind == yaml.AliasNode:
		p.fail(path, n.Line, "has an anchor or an alias", "write the value itself")
		return nil
	case isNull(n):
		p.fail(path, n.Line, "has no value", "give it one, or remove the line to use the default")
		return nil
	}
	switch n.Kind {
	case yaml.SequenceNode:
		all := make([]any, len(n.Content))
		for i, e := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			p.layer.origins[at] = p.at(e.Line)
			all[i] = p.value(e, at)
		}
		return all
	case yaml.MappingNode:
		object := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, at := n.Content[i], path+"."+n.Content[i].Value
			if _, twice := object[key.Value]; twice {
				p.fail(at, key.Line, "is given twice", "")
			}
			p.layer.origins[at] = p.at(n.Content[i+1].Line)
			object[key.Value] = p.value(n.Content[i+1], at)
		}
		return object
	}
	return n.Value
}

// names returns every setting and section, for suggestions.
func (tab *table) names() []string {
	names := tab.keys()
	for _, s := range tab.sections {
		names = append(names, s.path)
	}
	return names
}
