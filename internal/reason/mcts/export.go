package mcts

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
)

// Format is a form in which a Tree can be exported.
type Format string

// The formats.
const (
	Mermaid Format = "mermaid" // a flowchart
	DOT     Format = "dot"     // Graphviz
	JSON    Format = "json"    // everything, as NewTree's type reads it
)

// labelRunes is how much of a content a drawing shows.
const labelRunes = 80

// Export writes the tree. Contents come from clients and are escaped: whatever
// they hold, a drawing has one node for each node of the tree, and nothing else.
func (t *Tree) Export(f Format) (string, error) {
	switch f {
	case Mermaid:
		return t.mermaid(), nil
	case DOT:
		return t.dot(), nil
	case JSON:
		b, err := json.Marshal(t) // escapes <, > and & as well
		if err != nil {
			return "", fmt.Errorf("export tree: %w", err)
		}
		return string(b), nil
	}
	return "", bad("format", "mermaid, dot or json", "%.32q", string(f))
}

func (t *Tree) mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart TD\n")
	for i := range t.Nodes {
		fmt.Fprintf(&b, "  n%d[\"%s<br/>%s\"]\n", i, mermaidText(t.Nodes[i].Content), t.Nodes[i].figures())
	}
	t.edges(&b, "  n%d --> n%d\n")
	return b.String()
}

func (t *Tree) dot() string {
	var b strings.Builder
	b.WriteString("digraph mcts {\n  node [shape=box];\n")
	for i := range t.Nodes {
		fmt.Fprintf(&b, "  n%d [label=\"%s\\n%s\"];\n", i, dotText(t.Nodes[i].Content), t.Nodes[i].figures())
	}
	t.edges(&b, "  n%d -> n%d;\n")
	b.WriteString("}\n")
	return b.String()
}

func (t *Tree) edges(b *strings.Builder, format string) {
	for i := range t.Nodes {
		for _, c := range t.Nodes[i].Children {
			fmt.Fprintf(b, format, i, c)
		}
	}
}

func (n *Node) figures() string {
	s := fmt.Sprintf("N=%d", n.Visits)
	if n.Visits > 0 {
		s += fmt.Sprintf(" Q=%.3f", n.Mean)
	}
	if n.Terminal {
		s += " end"
	}
	return s
}

// label returns a content as one line of bounded length.
func label(content string) string {
	s := strings.Join(strings.FieldsFunc(content, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if r := []rune(s); len(r) > labelRunes {
		s = string(r[:labelRunes-1]) + "…"
	}
	return s
}

// mermaidText writes everything but letters, digits and harmless marks as
// entity codes, which Mermaid shows as the character and never interprets.
func mermaidText(content string) string {
	var b strings.Builder
	for _, r := range label(content) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" .,-+…", r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	return b.String()
}

// dotText escapes for a double-quoted string of DOT, in whose labels a
// backslash starts an escape.
func dotText(content string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(label(content))
}

// Graph returns the tree as a graph for drawing.
func (t *Tree) Graph() graph.Graph {
	id := func(i int) string { return "n" + strconv.Itoa(i) }
	var g graph.Graph
	for i := range t.Nodes {
		n := &t.Nodes[i]
		node := graph.Node{ID: id(i), Label: n.Content, Attrs: map[string]string{"N": strconv.FormatInt(n.Visits, 10)}}
		if n.Visits > 0 {
			node.Attrs["Q"] = strconv.FormatFloat(n.Mean, 'f', 3, 64)
		}
		switch {
		case n.Terminal:
			node.Kind = "completed"
		case i == 0:
			node.Kind = "root"
		case n.Ticket != 0:
			node.Kind = "active"
		}
		g.Nodes = append(g.Nodes, node)
		for _, c := range n.Children {
			g.Edges = append(g.Edges, graph.Edge{From: id(i), To: id(c)})
		}
	}
	return g
}
