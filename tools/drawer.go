package tools

import (
	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
	"github.com/lyceum-mcp/lyceum/session"
)

// Drawer shows the objects of one kind of slot as graphs.
type Drawer struct {
	// Slot is the name of the slot, without a key.
	Slot string
	// Graph returns the object of that key, "" for a slot that has none, as it was
	// committed at a version of its session; 0 if there is no such object. It only
	// reads.
	Graph func(h *session.Handle, key string) (g graph.Graph, version uint64, err error)
}

// NewDrawer returns the drawer of a slot, or of all slots of its kind. show gets
// a copy that is its own.
func NewDrawer[T any](slot session.Slot[T], show func(*T) graph.Graph) Drawer {
	return Drawer{Slot: slot.Name(), Graph: func(h *session.Handle, key string) (graph.Graph, uint64, error) {
		at := slot
		if key != "" {
			at = slot.Key(key)
		}
		v, version, err := at.ReadVersion(h)
		if err != nil || version == 0 {
			return graph.Graph{}, 0, err
		}
		return show(&v), version, nil
	}}
}
