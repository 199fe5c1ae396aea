package search

import (
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/beam"
	"github.com/lyceum-mcp/lyceum/internal/reason/got"
	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
	"github.com/lyceum-mcp/lyceum/internal/reason/pdr"
	"github.com/lyceum-mcp/lyceum/internal/reason/tot"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Drawers shows the trees and graphs of this family.
func Drawers() []tools.Drawer {
	return []tools.Drawer{
		tools.NewDrawer(mctsTrees, func(t *mcts.Tree) graph.Graph {
			t.Expire(time.Now()) // a ticket that nobody can tell is not work in hand
			return t.Graph()
		}),
		tools.NewDrawer(beams.slot, (*beam.Beam).Graph),
		tools.NewDrawer(totTrees.slot, (*tot.Tree).Graph),
		tools.NewDrawer(graphs.slot, (*got.Graph).Graph),
		tools.NewDrawer(researches.slot, (*pdr.Research).Graph),
	}
}
