package graph

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// mermaidClass begins the names of our classes: programs that show Mermaid have
// some of their own, such as "root", for other parts of a picture.
const mermaidClass = "kind_"

func (d *drawing) mermaid(note string) string {
	var b strings.Builder
	b.WriteString("flowchart TD\n")
	kinds := map[string]bool{}
	for i, n := range d.nodes {
		lines := n.lines()
		for j := range lines {
			lines[j] = mermaidText(lines[j])
		}
		class := ""
		if _, known := fills[n.Kind]; known {
			kinds[n.Kind] = true
			class = ":::" + mermaidClass + n.Kind
		}
		fmt.Fprintf(&b, "  n%d[\"%s\"]%s\n", i, strings.Join(lines, "<br/>"), class)
	}
	for _, e := range d.edges {
		arrow := "-->"
		if contrary(e.edge.Kind) {
			arrow = "-.->"
		}
		if text := mermaidText(line(e.edge.Label)); text != "" {
			arrow += "|\"" + text + "\"|"
		}
		fmt.Fprintf(&b, "  n%d %s n%d\n", e.from, arrow, e.to)
	}
	if note != "" {
		fmt.Fprintf(&b, "  more[\"%s\"]\n", mermaidText(note))
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Fprintf(&b, "  classDef %s%s fill:%s,stroke:%s,color:%s\n", mermaidClass, kind, fills[kind], stroke, ink)
	}
	return b.String()
}

// mermaidText writes everything but letters, digits and harmless marks as
// entity codes, which Mermaid shows as the character and never interprets.
func mermaidText(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" .,-+…", r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	return b.String()
}

func (d *drawing) dot(note string) string {
	var b strings.Builder
	b.WriteString("digraph lyceum {\n  node [shape=box];\n")
	for i, n := range d.nodes {
		lines := n.lines()
		for j := range lines {
			lines[j] = dotText(lines[j])
		}
		fill := ""
		if colour, known := fills[n.Kind]; known {
			fill = ", style=filled, fillcolor=\"" + colour + "\""
		}
		fmt.Fprintf(&b, "  n%d [label=\"%s\"%s];\n", i, strings.Join(lines, "\\n"), fill)
	}
	for _, e := range d.edges {
		var attrs []string
		if text := dotText(line(e.edge.Label)); text != "" {
			attrs = append(attrs, "label=\""+text+"\"")
		}
		if contrary(e.edge.Kind) {
			attrs = append(attrs, "style=dashed")
		}
		fmt.Fprintf(&b, "  n%d -> n%d", e.from, e.to)
		if len(attrs) > 0 {
			b.WriteString(" [" + strings.Join(attrs, ", ") + "]")
		}
		b.WriteString(";\n")
	}
	if note != "" {
		fmt.Fprintf(&b, "  more [shape=plaintext, label=\"%s\"];\n", dotText(note))
	}
	b.WriteString("}\n")
	return b.String()
}

// dotText escapes for a double-quoted string of DOT, in whose labels a
// backslash starts an escape and HTML entities are read.
func dotText(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&amp;").Replace(text)
}

// contrary reports whether edges of this kind are drawn dashed.
func contrary(kind string) bool {
	switch kind {
	case "contradicts", "questions", "merged", "pruned", "revises":
		return true
	}
	return false
}
