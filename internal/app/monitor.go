package app

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/lyceum-mcp/lyceum/api"
	"github.com/lyceum-mcp/lyceum/internal/audit"
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
	return m.app.audit.act(ctx, "end_session", func(r *audit.Record) error {
		r.Reason = "session " + ref
		for info := range m.Sessions() {
			if info.Ref == ref {
				r.Session = string(info.ID) // by which the record of its end is found
				break
			}
		}
		err := m.app.sessions.EndRef(ctx, ref, session.ReasonOperator)
		if fault.KindOf(err) == fault.NotFound {
			err = m.app.transports.EndRef(ctx, ref, session.ReasonOperator)
		}
		return err
	})
}

// Backup writes a copy of the whole store.
func (m *monitor) Backup(ctx context.Context, w io.Writer) error {
	file, kept := inner(m.app.store).(*filestore.Store)
	if !kept {
		return &fault.Error{Kind: fault.NotFound, Code: "no_store", Public: "the server keeps nothing beyond its process: start it without --store memory"}
	}
	// What leaves the server is recorded before it leaves.
	if err := m.app.audit.act(ctx, "backup_begun", func(*audit.Record) error { return nil }); err != nil {
		return err
	}
	return m.app.audit.act(ctx, "backup", func(*audit.Record) error {
		_, err := file.Backup(ctx, w)
		return err
	})
}

// Purge ends and deletes all that belongs to a subject of a tenant.
func (m *monitor) Purge(ctx context.Context, o session.Owner) (n api.PurgeCount, err error) {
	err = m.app.audit.act(ctx, "purge", func(r *audit.Record) error {
		n, err = m.app.purge(ctx, o)
		r.Reason = fmt.Sprintf("subject %s of tenant %s, %s: %d sessions, %d jobs, %d results", o.Subject, o.Tenant, cmp.Or(o.Issuer, "any issuer"), n.Sessions, n.Jobs, n.Results)
		return err
	})
	return n, err
}

// BringBack brings back what a backup has and the server lacks.
func (m *monitor) BringBack(ctx context.Context, file string) (n api.ReturnCount, err error) {
	err = m.app.audit.act(ctx, "restore", func(r *audit.Record) error {
		n, err = m.app.bringBack(ctx, file)
		r.Reason = fmt.Sprintf("file %q: %d sessions and %d results brought back, %d sessions and %d jobs left", file, n.Sessions, n.Results, n.Left, n.Jobs)
		return err
	})
	return n, err
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
