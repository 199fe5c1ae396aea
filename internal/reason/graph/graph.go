// Package graph draws directed graphs as Mermaid, DOT or SVG text.
//
// A Graph is a plain value that searches and thought graphs export. Labels come
// from clients: whatever they hold, a drawing has the nodes and edges of the
// graph and nothing else.
package graph

import (
	"cmp"
	"container/heap"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Bounds of a drawing. A larger graph is drawn in part.
const (
	DefaultNodes = 200
	MaxNodes     = 1000
	maxEdges     = 4 // for each node drawn
	labelRunes   = 80
	maxAttrs     = 6

	// What programs that show Mermaid take unless they are told otherwise.
	mermaidChars = 50_000 // in UTF-16
	mermaidEdges = 500
)

// Node is a node of a Graph.
type Node struct {
	ID    string            `json:"id"`
	Label string            `json:"label"`
	Kind  string            `json:"kind,omitempty"`
	Attrs map[string]string `json:"attrs,omitempty"` // shown below the label, sorted by key

	// Weight says what to draw when there is too much: the heavier neighbours of
	// what is drawn.
	Weight float64 `json:"-"`
}

// Edge is an edge of a Graph.
type Edge struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Label string `json:"label,omitempty"`
	Kind  string `json:"kind,omitempty"`
}

// Graph is a directed graph. The order of its parts is kept in every drawing.
type Graph struct {
	Nodes []Node `json:"nodes"`
	Edges []Edge `json:"edges"`
}

// Format is a form of drawing.
type Format string

// The formats.
const (
	Mermaid Format = "mermaid"
	DOT     Format = "dot"
	SVG     Format = "svg"
)

// Omitted says how much of a graph a drawing left out.
type Omitted struct {
	Nodes int `json:"nodes,omitempty"`
	Edges int `json:"edges,omitempty"`
}

// Validate refuses a graph with two nodes of one id, or an edge to no node. The
// error is of kind fault.Invalid.
func (g Graph) Validate() error {
	seen := make(map[string]bool, len(g.Nodes))
	for i, n := range g.Nodes {
		if seen[n.ID] {
			return fault.Newf(fault.Invalid, "nodes[%d].id: %.64q is used already; expected an id of its own", i, n.ID)
		}
		seen[n.ID] = true
	}
	for i, e := range g.Edges {
		if !seen[e.From] || !seen[e.To] {
			return fault.Newf(fault.Invalid, "edges[%d]: %.64q to %.64q; expected ids of nodes", i, e.From, e.To)
		}
	}
	return nil
}

// Draw renders g with at most limit nodes, 1 to MaxNodes, or DefaultNodes for 0,
// and four edges for each. Mermaid is kept within what programs show by default:
// 500 edges and 50,000 characters. What is left out is counted, and said in the
// drawing. Time is linear in the size of g, except for SVG, which lays out what
// it draws.
func (g Graph) Draw(f Format, limit int) (string, Omitted, error) {
	if limit == 0 {
		limit = DefaultNodes
	}
	if limit < 1 || limit > MaxNodes {
		return "", Omitted{}, fault.Newf(fault.Invalid, "limit: %d; expected 1 to %d", limit, MaxNodes)
	}
	if err := g.Validate(); err != nil {
		return "", Omitted{}, err
	}
	switch f {
	case Mermaid:
		text, left := g.drawMermaid(limit)
		return text, left, nil
	case DOT:
		d, left := g.part(limit, maxEdges*limit)
		return d.dot(left.note()), left, nil
	case SVG:
		d, left := g.part(limit, maxEdges*limit)
		return d.svg(left.note()), left, nil
	}
	return "", Omitted{}, fault.Newf(fault.Invalid, "format: %.32q; expected mermaid, dot or svg", string(f))
}

// drawMermaid draws as many nodes as fit.
func (g Graph) drawMermaid(limit int) (string, Omitted) {
	for {
		d, left := g.part(limit, min(maxEdges*limit, mermaidEdges))
		text := d.mermaid(left.note())
		chars := 0
		for _, r := range text {
			chars += utf16.RuneLen(r)
		}
		if chars <= mermaidChars || len(d.nodes) < 2 {
			return text, left
		}
		n := len(d.nodes)
		limit = max(1, min(n-1, n*mermaidChars/chars))
	}
}

// note says what a drawing leaves out; nothing if it leaves out nothing.
func (o Omitted) note() string {
	if o == (Omitted{}) {
		return ""
	}
	return fmt.Sprintf("left out: %d nodes, %d edges", o.Nodes, o.Edges)
}

// part returns what is drawn of g, and how much is not.
func (g Graph) part(limit, edges int) (*drawing, Omitted) {
	p, left := g.prune(limit, edges)
	return p.number(), left
}

// prune keeps the nodes that a search meets first that goes on with the heaviest
// node it has seen, and among equals with that seen first, from the nodes without
// incoming edges and then from the others, in their order.
func (g Graph) prune(limit, most int) (Graph, Omitted) {
	edges := min(len(g.Edges), most)
	if len(g.Nodes) <= limit && edges == len(g.Edges) {
		return g, Omitted{}
	}
	index := make(map[string]int, len(g.Nodes))
	for i, n := range g.Nodes {
		index[n.ID] = i
	}
	next := make([][]int, len(g.Nodes))
	entered := make([]bool, len(g.Nodes))
	for _, e := range g.Edges {
		from, to := index[e.From], index[e.To]
		next[from] = append(next[from], to)
		entered[to] = entered[to] || from != to
	}
	keep := make([]bool, len(g.Nodes))
	known := make([]bool, len(g.Nodes))
	seen, kept := 0, 0
	var q frontier
	visit := func(i int) {
		if !known[i] {
			known[i] = true
			seen++
			heap.Push(&q, met{i, seen, g.Nodes[i].Weight})
		}
	}
	spread := func() {
		for ; len(q) > 0 && kept < limit; kept++ {
			at := heap.Pop(&q).(met).node
			keep[at] = true
			for _, to := range next[at] {
				visit(to)
			}
		}
	}
	for i := range g.Nodes {
		if !entered[i] {
			visit(i)
		}
	}
	spread()
	for i := range g.Nodes {
		visit(i)
		spread()
	}
	var part Graph
	for i, n := range g.Nodes {
		if keep[i] {
			part.Nodes = append(part.Nodes, n)
		}
	}
	for _, e := range g.Edges {
		if keep[index[e.From]] && keep[index[e.To]] && len(part.Edges) < edges {
			part.Edges = append(part.Edges, e)
		}
	}
	return part, Omitted{len(g.Nodes) - len(part.Nodes), len(g.Edges) - len(part.Edges)}
}

// met is a node that a search has seen.
type met struct {
	node, turn int
	weight     float64
}

// frontier is a heap of nodes, the heaviest first.
type frontier []met

func (f frontier) Len() int { return len(f) }
func (f frontier) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(f[j].weight, f[i].weight), f[i].turn-f[j].turn) < 0
}
func (f frontier) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *frontier) Push(v any)   { *f = append(*f, v.(met)) }
func (f *frontier) Pop() any {
	last := len(*f) - 1
	v := (*f)[last]
	*f = (*f)[:last]
	return v
}

// drawing is a graph with numbers for ids.
type drawing struct {
	nodes []Node
	edges []arc
}

type arc struct {
	from, to int
	edge     Edge
}

func (g Graph) number() *drawing {
	d := &drawing{nodes: g.Nodes}
	index := make(map[string]int, len(g.Nodes))
	for i, n := range g.Nodes {
		index[n.ID] = i
	}
	for _, e := range g.Edges {
		d.edges = append(d.edges, arc{index[e.From], index[e.To], e})
	}
	return d
}

// lines returns the text of a node: its label, then its attributes.
func (n Node) lines() []string {
	out := []string{line(n.Label)}
	var attrs []string
	for _, k := range slices.Sorted(maps.Keys(n.Attrs)) {
		if len(attrs) < maxAttrs {
			attrs = append(attrs, line(k+"="+n.Attrs[k]))
		}
	}
	if len(attrs) > 0 {
		out = append(out, line(strings.Join(attrs, " ")))
	}
	return out
}

// line returns a text as one line of bounded length, of characters that print.
func line(text string) string {
	// Four bytes a rune: more is never shown, however long the text.
	cut := text
	if most := 8 * labelRunes; len(cut) > most {
		cut = strings.ToValidUTF8(cut[:most], "")
	}
	s := strings.Join(strings.FieldsFunc(cut, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if r := []rune(s); len(r) > labelRunes {
		return string(r[:labelRunes-1]) + "…"
	} else if len(cut) < len(text) {
		return s + "…"
	}
	return s
}
