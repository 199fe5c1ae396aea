package app

import (
	"context"
	"fmt"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/session/filestore"
)

// openStore opens what keeps sessions and jobs beyond the process, or returns
// nil where nothing does. A local server shares its directory with others of its
// kind, so it keeps nothing unless it is told to.
func (a *App) openStore(ctx context.Context, local bool) (session.Store, error) {
	if a.cfg.Store == "memory" || local && a.cfg.Origin("store").IsDefault() {
		return nil, nil
	}
	keys, err := storageKeys(a.cfg.Storage)
	if err != nil {
		return nil, err
	}
	store, err := filestore.Open(ctx, filestore.Config{Dir: a.cfg.Data, Keys: keys, Log: a.log})
	if err != nil {
		return nil, err // it says which store, and what was wrong
	}
	a.undo.push("store", func(context.Context) error { return store.Close() })
	return a.meters.store(store), nil
}

// storageKeys returns the keys of the store, none if it is not encrypted.
func storageKeys(s config.Storage) ([]filestore.Key, error) {
	if s.KeyFile != "" {
		return filestore.ReadKeys(s.KeyFile)
	}
	return filestore.ParseKeys(s.Key.Reveal())
}

// openSessions makes the directory of reasoning sessions and the journal of
// their keyed calls, with what an earlier process left of both.
func (a *App) openSessions(ctx context.Context) error {
	s := a.cfg.Sessions
	cfg := a.observe(reasoning, a.audit.watch(reasoning, session.Config{
		IdleTTL: s.IdleTTL, MaxTTL: s.MaxTTL, MaxPerOwner: s.MaxPerOwner, MaxPerTenant: s.MaxPerTenant, MaxTotal: s.MaxTotal, MaxBytes: s.MaxBytes,
		MaxBytesPerOwner: s.MaxBytesPerOwner, MaxBytesPerTenant: s.MaxBytesPerTenant, MaxBytesTotal: s.MaxBytesTotal,
		MaxResidentBytes: s.MaxResidentBytes, ColdAfter: s.ColdAfter, MaxGrants: s.MaxGrants, MaxGrantTTL: s.MaxGrantTTL,
	}))
	if a.store == nil {
		a.sessions, a.journal = session.New(cfg, a.bus), session.NewJournal(0, 0)
	} else {
		var found session.Restored
		var err error
		if a.sessions, found, err = session.Restore(ctx, cfg, a.store, a.bus, a.log); err != nil {
			return fmt.Errorf("restore the sessions of the last process: %w", err)
		}
		a.log.InfoContext(ctx, "sessions restored", "sessions", found.Sessions, "expired", found.Expired, "evicted", found.Evicted)
		a.journal = session.NewStoredJournal(a.store, 0, 0)
	}
	a.undo.push("sessions", func(context.Context) error { a.sessions.Close(); return nil })
	return nil
}

// envelopeRoom is what a stored call or result may have around the client's
// arguments or the operation's result.
const envelopeRoom = 64 << 10

// maxRuns is more than the scheduler can ever be told to let in: every computing
// call is a run, and it is the scheduler that queues and refuses them.
const maxRuns = 1 << 21

// runner makes what runs computing calls, over the records of the store, or over
// memory if there is none.
func (a *App) runner() *job.Runner {
	var records job.Store = job.NewMemoryStore()
	if a.store != nil {
		records = job.NewObjectStore(a.store)
	}
	j := a.cfg.Jobs
	return job.New(job.Config{
		MaxTTL: j.MaxTTL, Retention: j.Retention, CheckpointEvery: j.CheckpointEvery,
		OnEnd: func(e job.Event) {
			a.mcp.JobEnded(e) // no job ends before there is an endpoint
			a.watcher.times.jobEnded(e)
		},
		MaxRunning: maxRuns, MaxRunningPerOwner: maxRuns,
		MaxInput:  int(a.cfg.HTTP.MaxBodyBytes) + envelopeRoom,
		MaxResult: int(a.cfg.Tools.MaxOutputBytes) + envelopeRoom,
	}, records, nil, a.log)
}

const (
	journalEvery = time.Minute
	journalBatch = 512
)

// sweepJournal deletes kept results that have expired, until ctx ends.
func (a *App) sweepJournal(ctx context.Context) {
	tick := time.NewTicker(journalEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := a.journal.Sweep(ctx, journalBatch); err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "expired results could not be deleted", "error", err)
		}
	}
}
