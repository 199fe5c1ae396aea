package mcts_test

import (
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
)

func TestGraphHasEveryNode(t *testing.T) {
	tree := must[*mcts.Tree](t)(mcts.NewTree(mcts.Settings{}, "root", []mcts.Child{{Content: "a"}, {Content: "b"}}))
	g := tree.Graph()
	if len(g.Nodes) != 3 || len(g.Edges) != 2 || g.Nodes[0].Kind != "root" || g.Edges[1] != (graph.Edge{From: "n0", To: "n2"}) {
		t.Errorf("%+v", g)
	}
	if _, _, err := g.Draw(graph.SVG, 0); err != nil {
		t.Error(err)
	}
}
