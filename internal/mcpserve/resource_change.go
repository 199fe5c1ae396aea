package mcpserve

import (
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// maxCompared is how large a session may be, in bytes, for a call to look which of
// its objects it has changed: it costs a copy of them.
const maxCompared = 32 << 10

// changed names the resource that the call has changed, and tells those who watch
// the session. h is the call's, whose tool is through. A call that has changed
// nothing costs a comparison of versions.
//
// The resource is the object that was committed last; in a session that is larger
// than maxCompared, or that has lost the object, the session itself. Calls that run
// at the same time on one session of one owner can name each other's object.
func (t *task) changed(h *session.Handle, err error) {
	if h.Version() == t.since {
		return
	}
	watched := t.s.subs.watches(h.ID())
	named := err == nil && t.spec.Effect == tools.Mutates
	small := named && h.Info().Bytes <= maxCompared
	if named && !small {
		t.call.Changed(sessionURI(h.ID()))
	}
	if !watched && !small {
		return
	}
	snap, err := h.Snapshot()
	if err != nil {
		return // it has ended, and its end is told
	}
	if small {
		t.call.Changed(newest(&snap, h.ID(), t.since))
	}
	t.s.subs.observe(&snap)
}

// newest returns the URI of the object that was committed last, after a version.
func newest(snap *session.Snapshot, id session.ID, since uint64) string {
	at := -1
	for i, c := range snap.Cells {
		if c.Version > since && (at < 0 || c.Version > snap.Cells[at].Version) {
			at = i
		}
	}
	if at < 0 {
		return sessionURI(id)
	}
	return slotURI(id, snap.Cells[at].Name)
}
