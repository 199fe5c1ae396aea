package sequence

import (
	"fmt"
	"strconv"

	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
	"github.com/lyceum-mcp/lyceum/internal/reason/thought"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Drawers shows the chain of thoughts.
func Drawers() []tools.Drawer {
	return []tools.Drawer{{Slot: chains.Name(), Graph: func(h *session.Handle, key string) (graph.Graph, uint64, error) {
		if key != "" {
			return graph.Graph{}, 0, nil
		}
		chain, version, err := chains.ReadVersion(h)
		if err != nil || version == 0 {
			return graph.Graph{}, 0, err
		}
		all := func(yield func(int) bool) {
			for i := range chain.Thoughts {
				if !yield(chain.Thoughts[i].ID) {
					return
				}
			}
		}
		if err := restore(h, &chain, all); err != nil {
			return graph.Graph{}, 0, err
		}
		return graphOf(&chain), version, nil
	}}}
}

// graphOf draws each thought below the one that it follows, and a revision below
// what it supersedes too.
func graphOf(chain *thought.Chain) graph.Graph {
	id := func(n int) string { return "t" + strconv.Itoa(n) }
	superseded := map[int]bool{}
	for i := range chain.Thoughts {
		superseded[chain.Thoughts[i].Revises] = true
	}
	var g graph.Graph
	for i := range chain.Thoughts {
		t := &chain.Thoughts[i]
		n := graph.Node{ID: id(t.ID), Label: fmt.Sprintf("%d: %s", t.Number, t.Text), Attrs: map[string]string{}}
		switch {
		case superseded[t.ID]:
			n.Kind = "pruned"
		case t.Refuted > 0:
			n.Kind = "stalled"
		case t.Parent == 0:
			n.Kind = "root"
		}
		if t.Branch != thought.Trunk {
			n.Attrs["branch"] = t.Branch
		}
		if t.Confidence != nil {
			n.Attrs["confidence"] = strconv.FormatFloat(*t.Confidence, 'g', 3, 64)
		}
		if t.Refuted > 0 {
			n.Attrs["refuted"] = strconv.Itoa(t.Refuted)
		}
		g.Nodes = append(g.Nodes, n)
		if t.Parent != 0 {
			g.Edges = append(g.Edges, graph.Edge{From: id(t.Parent), To: n.ID})
		}
		if t.Merged != 0 {
			g.Edges = append(g.Edges, graph.Edge{From: id(t.Merged), To: n.ID, Label: "merged"})
		}
		if t.Revises != 0 {
			g.Edges = append(g.Edges, graph.Edge{From: id(t.Revises), To: n.ID, Label: "revised", Kind: "revises"})
		}
	}
	return g
}
