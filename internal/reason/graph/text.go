package graph

import (
	"fmt"
	"strings"
	"unicode"
)

func (d *drawing) mermaid(note string) string {
	var b strings.Builder
	b.WriteString("flowchart TD\n")
	for i, n := range d.nodes {
		lines := n.lines()
		for j := range lines {
			lines[j] = mermaidText(lines[j])
		}
		fmt.Fprintf(&b, "  n%d[\"%s\"]\n", i, strings.Join(lines, "<br/>"))
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
		fmt.Fprintf(&b, "  n%d [label=\"%s\"];\n", i, strings.Join(lines, "\\n"))
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
	case "contradicts", "questions", "merged", "pruned":
		return true
	}
	return false
}
