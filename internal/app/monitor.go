package app

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/lyceum-mcp/lyceum/api"
	"github.com/lyceum-mcp/lyceum/internal/build"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/session/filestore"
)

// monitor shows the running server to operators: the REST interface and the
// page each use the part of it that they need.
type monitor struct{ app *App }

func (a *App) monitor() *monitor { return &monitor{a} }

// Sessions returns every live session, reasoning and transport ones.
func (m *monitor) Sessions() iter.Seq[session.Info] {
	return func(yield func(session.Info) bool) {
		for _, d := range []*session.Directory{m.app.sessions, m.app.transports} {
			for info := range d.All() {
				if !yield(info) {
					return
				}
			}
		}
	}
}

// EndSession ends the session with that reference, of either kind.
func (m *monitor) EndSession(ctx context.Context, ref string) error {
	err := m.app.sessions.EndRef(ctx, ref, session.ReasonOperator)
	if fault.KindOf(err) == fault.NotFound {
		err = m.app.transports.EndRef(ctx, ref, session.ReasonOperator)
	}
	return err
}

// Backup writes a copy of the whole store.
func (m *monitor) Backup(ctx context.Context, w io.Writer) error {
	file, kept := m.app.store.(*filestore.Store)
	if !kept {
		return &fault.Error{Kind: fault.NotFound, Code: "no_store", Public: "the server keeps nothing beyond its process: start it without --store memory"}
	}
	_, err := file.Backup(ctx, w)
	return err
}

// Purge ends and deletes all that belongs to a subject of a tenant.
func (m *monitor) Purge(ctx context.Context, o session.Owner) (api.PurgeCount, error) {
	return m.app.purge(ctx, o)
}

// Changes returns the events of both directories from now on, until ctx ends.
func (m *monitor) Changes(ctx context.Context) iter.Seq[session.Event] {
	return m.app.bus.Subscribe(ctx)
}

// Work returns a picture of the queue.
func (m *monitor) Work() work.Stats { return m.app.scheduler.Stats() }

// InFlight returns the number of tool calls that run or wait.
func (m *monitor) InFlight() int { return m.app.mcp.InFlight() }

// Server says what is running: version and since when.
func (m *monitor) Server() (version string, since time.Time) { return build.Version(), m.app.started }

// Ready reports whether the server takes new work.
func (m *monitor) Ready() error { return m.app.Ready() }
