package mcts

import (
	"strconv"

	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
)

// Graph returns the tree as a graph for drawing: N is how often a node was
// visited, Q the mean of its values.
func (t *Tree) Graph() graph.Graph {
	id := func(i int) string { return "n" + strconv.Itoa(i) }
	var g graph.Graph
	for i := range t.Nodes {
		n := &t.Nodes[i]
		node := graph.Node{ID: id(i), Label: n.Content, Attrs: map[string]string{"N": strconv.FormatInt(n.Visits, 10)}, Weight: float64(n.Visits)}
		if n.Visits > 0 {
			node.Attrs["Q"] = strconv.FormatFloat(n.Mean, 'f', 3, 64)
		}
		switch {
		case i == 0:
			node.Kind = "root"
		case n.Terminal && n.Visits > 0 && n.Mean <= t.Settings.Low:
			node.Kind = "dead"
		case n.Terminal:
			node.Kind = "completed"
		case n.Ticket != 0:
			node.Kind = "active"
		}
		if n.Terminal {
			node.Attrs["end"] = "true"
		}
		g.Nodes = append(g.Nodes, node)
		for _, c := range n.Children {
			g.Edges = append(g.Edges, graph.Edge{From: id(i), To: id(c)})
		}
	}
	return g
}
