package sequence

import (
	"fmt"
	"maps"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/thought"
	"github.com/lyceum-mcp/lyceum/session"
)

// SlotTypes describes the slots in which this family keeps state: the chain, the
// texts that it has put aside, and the cases of debugging.
func SlotTypes() []session.SlotType {
	return append(session.Joined(chains, texts, belong), cases.Type().Keyed(casePrefix, maxCases))
}

// belong reports whether blocks are the texts of the chain.
func belong(chain *thought.Chain, blocks map[string]thought.Block) error {
	for _, key := range slices.Sorted(maps.Keys(blocks)) {
		if want := blockKey(blocks[key].Number); key != want {
			return fmt.Errorf("the key %.32q of block %d of the texts: want %s", key, blocks[key].Number, want)
		}
	}
	return chain.ValidateTexts(slices.Collect(maps.Values(blocks)))
}
