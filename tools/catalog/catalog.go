// Package catalog lists every operation once, in order.
package catalog

import (
	"slices"

	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/decide"
	"github.com/lyceum-mcp/lyceum/tools/guide"
	"github.com/lyceum-mcp/lyceum/tools/sample"
	"github.com/lyceum-mcp/lyceum/tools/search"
	"github.com/lyceum-mcp/lyceum/tools/sequence"
	"github.com/lyceum-mcp/lyceum/tools/sessions"
)

// All returns the operations in the order in which they are documented.
func All() []tools.Tool {
	all := []tools.Tool{
		sequence.SequentialThinking,
		sequence.Debugging,
		search.MCTS,
		search.Beam,
		search.TreeOfThought,
		search.GraphOfThought,
		search.PDR,
		decide.DecisionFramework,
		sample.StatisticalReasoning,
		sessions.Info,
		sessions.Export,
		sessions.Share,
		sessions.Unshare,
		sessions.NewImport(SlotTypes()...),
	}
	var slots []string
	for _, s := range SlotTypes() {
		slots = append(slots, s.Name)
	}
	return append(all, guide.NewSuggest(slots, all...))
}

// SlotTypes describes every slot that an operation keeps state in: what a document
// may bring into a session.
func SlotTypes() []session.SlotType {
	return slices.Concat(sequence.SlotTypes(), search.SlotTypes(), decide.SlotTypes())
}

// Drawers shows the objects that are trees or graphs as drawings.
func Drawers() []tools.Drawer {
	return slices.Concat(sequence.Drawers(), search.Drawers(), decide.Drawers())
}

// Direct returns the tools that are offered under a name of their own, besides
// the facade.
func Direct() []tools.Tool {
	return []tools.Tool{sequence.Compat}
}
