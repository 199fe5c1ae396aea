// Package catalog lists every operation once, in order.
package catalog

import (
	"github.com/lyceum-mcp/lyceum/tools"
)

// All returns the operations in the order in which they are documented.
func All() []tools.Tool {
	return []tools.Tool{}
}

// Direct returns the tools that are offered under a name of their own, besides
// the facade.
func Direct() []tools.Tool {
	return []tools.Tool{}
}
