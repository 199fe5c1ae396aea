package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/audit"
	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/middleware"
	"github.com/lyceum-mcp/lyceum/session"
)

// auditor is the one way into the audit log.
type auditor struct {
	sink   audit.Sink
	refuse bool // nothing is done that cannot be recorded
	log    *slog.Logger
	atOnce context.Context // canceled: with it, a record does not wait for the disk
	began  time.Time       // of the server; zero before its first record. The goroutine of Run owns it.
}

// openAudit opens the log: in a directory, or in memory where the server keeps
// nothing beyond its process. A local server shares its data with others of its
// kind, and a log has one writer, so it keeps none there unless it is told to.
func (a *App) openAudit(local bool) error {
	c := a.cfg.Audit
	cfg := audit.Config{
		Dir: c.Dir, KeyFile: c.KeyFile, Fsync: audit.Fsync(c.Fsync), FsyncInterval: c.FsyncInterval, OnFull: audit.OnFull(c.OnFull),
		Arguments: audit.Arguments(c.Arguments), NoAddresses: !c.Addresses, MaxFileBytes: c.MaxFileBytes, MaxAge: c.MaxAge,
		KeepFiles: c.KeepFiles, KeepAge: c.KeepAge, CheckpointEvery: c.CheckpointEvery, CheckpointInterval: c.CheckpointInterval, Log: a.log,
	}
	atOnce, cancel := context.WithCancel(context.Background())
	cancel()
	a.audit = &auditor{refuse: cfg.OnFull == audit.Refuse, log: a.log, atOnce: atOnce}
	var err error
	if cfg.Dir == "" && (a.cfg.Store == "memory" || local && a.cfg.Origin("store").IsDefault()) {
		if !local {
			a.log.Warn("the audit log is kept in memory and ends with the process", "records", audit.DefaultMemory, "mend", "set audit.dir")
		}
		a.audit.sink, err = audit.NewMemory(0, cfg)
	} else {
		if cfg.Dir == "" {
			cfg.Dir = filepath.Join(a.cfg.Data, "audit")
		}
		if cfg.KeyFile == "" {
			cfg.KeyFile = filepath.Join(a.cfg.Data, audit.KeyFile)
		}
		a.audit.sink, err = audit.Open(cfg)
	}
	if err != nil {
		return err // it says which log, and what was wrong
	}
	a.undo.push("audit log", func(context.Context) error { return a.audit.close() })
	return nil
}

// close writes the record of the stop, if there is one of the start, and closes
// the log.
func (a *auditor) close() error {
	if !a.began.IsZero() {
		a.Note(audit.Record{Kind: audit.Stop, Outcome: audit.OK, Duration: time.Since(a.began)})
	}
	return a.sink.Close()
}

// Ready implements mcpserve.Auditor: under the policy refuse, nothing is begun
// while records cannot be written.
func (a *auditor) Ready() error {
	if !a.refuse {
		return nil
	}
	if err := a.sink.Health(); err != nil {
		return &fault.Error{Kind: fault.Unavailable, Code: "audit_failing", Public: "the audit log cannot be written", RetryAfter: time.Second, Err: err}
	}
	return nil
}

// Append implements mcpserve.Auditor.
func (a *auditor) Append(ctx context.Context, r audit.Record) error { return a.sink.Append(ctx, r) }

const (
	// noteRoom is how many records may wait before those that nobody waits for wait
	// for them: a flood of them shall not keep out those of calls.
	noteRoom = audit.DefaultMaxQueue / 2
	// noteWait bounds that.
	noteWait = 2 * time.Second
)

// Note implements mcpserve.Auditor. It does not wait for the disk: what follows a
// record is on it no sooner. A record that is lost is counted by the log and is in
// the server's own log.
func (a *auditor) Note(r audit.Record) {
	if a.sink.Stats().Queue >= noteRoom {
		ctx, cancel := context.WithTimeout(context.Background(), noteWait)
		_ = a.sink.Flush(ctx) // whether it helped shows now
		cancel()
	}
	err := a.sink.Append(a.atOnce, r)
	if err != nil && !errors.Is(err, context.Canceled) {
		a.log.Error("an audit record is lost", "kind", string(r.Kind), "action", r.Action, "code", r.Code, "owner_tenant", r.Tenant,
			"owner_subject", r.Subject, "request", r.RequestID, "error", err)
	}
}

// degraded names the log while it fails: calls then fail or are not recorded, as
// the policy says, but to restart the server would mend nothing.
func (a *auditor) degraded() []string {
	if a.sink.Health() != nil {
		return []string{"audit"}
	}
	return nil
}

// refusal records a request that was not authenticated.
func (a *auditor) refusal(ctx context.Context, f middleware.Refusal) {
	r := audit.Record{Kind: audit.AuthFailure, Decision: audit.Deny, Outcome: fault.Unauthenticated.String(), Code: f.Code, Reason: f.Reason}
	switch {
	case f.Status == http.StatusServiceUnavailable:
		r.Outcome = fault.Unavailable.String()
	case f.Status != http.StatusUnauthorized:
		r.Outcome = fault.Invalid.String()
	}
	if r.Code == "" {
		r.Code = f.Reason
	}
	if f.Scheme != "" {
		r.Reason += " (" + f.Scheme + ")"
	}
	r.By(client.FromContext(ctx))
	a.Note(r)
}

// refused records a request that the chain refused. Those that were not
// authenticated have a record already.
func (a *auditor) refused(ctx context.Context, err error) {
	if kind, is := audit.Refused(err); !is || kind == audit.AuthFailure {
		return
	}
	var r audit.Record
	r.Went(err)
	r.By(client.FromContext(ctx))
	a.Note(r)
}

// Operations of records about sessions: which kind of session.
const (
	reasoning = "reasoning"
	transport = "transport"
)

// watch records the life of a directory's sessions.
func (a *auditor) watch(kind string, cfg session.Config) session.Config {
	cfg.OnOpen = func(ctx context.Context, o session.Opening) error {
		r := audit.Record{Kind: audit.Session, Action: "opened", Operation: kind, Session: string(o.ID), Outcome: audit.OK}
		r.By(client.FromContext(ctx))
		r.Time, r.Tenant, r.Issuer, r.Subject = o.At, o.Owner.Tenant, o.Owner.Issuer, o.Owner.Subject
		err := a.sink.Append(a.atOnce, r) // the record of the call follows, or is waited for
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	cfg.OnEnd = func(e session.Ending) {
		r := audit.Record{
			Kind: audit.Session, Action: "ended", Operation: kind, Session: string(e.ID), Outcome: audit.OK, Code: string(e.Reason),
			Time: e.At, Tenant: e.Owner.Tenant, Issuer: e.Owner.Issuer, Subject: e.Owner.Subject,
			Duration: e.At.Sub(e.Opened), Reason: strconv.FormatUint(e.Calls, 10) + " calls",
		}
		switch e.Reason {
		case session.ReasonOwnerCap, session.ReasonTenantCap, session.ReasonGlobalCap:
			r.Action = "evicted"
		}
		a.Note(r)
	}
	cfg.OnGrant = func(g session.GrantEvent) {
		r := audit.Record{
			Kind: audit.Session, Action: string(g.Kind), Operation: kind, Session: string(g.ID), Outcome: audit.OK, Code: string(g.Grant.Access),
			Time: g.At, Tenant: g.Owner.Tenant, Issuer: g.Owner.Issuer, Subject: g.Owner.Subject,
			Reason: fmt.Sprintf("%s of %s, until %s", g.Grant.Grantee.Subject, g.Grant.Grantee.Issuer, g.Grant.Expires.UTC().Format(time.RFC3339)),
		}
		if g.Operator {
			r.Reason += ", by an operator"
		}
		a.Note(r)
	}
	return cfg
}
