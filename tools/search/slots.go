package search

import "github.com/lyceum-mcp/lyceum/session"

// SlotTypes describes the slots in which this family keeps state.
func SlotTypes() []session.SlotType {
	return []session.SlotType{
		mctsTrees.Type().Keyed(mctsTreePrefix, maxMCTSTrees),
		beams.slotType(), totTrees.slotType(), graphs.slotType(), researches.slotType(),
	}
}
