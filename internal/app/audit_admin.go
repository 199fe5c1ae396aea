package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/api"
	"github.com/lyceum-mcp/lyceum/internal/audit"
	"github.com/lyceum-mcp/lyceum/internal/build"
	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/reply"
	"github.com/lyceum-mcp/lyceum/middleware"
)

// act does what an operator asks for and records it before the answer. Under the
// policy refuse nothing is begun that could not be recorded. do completes the
// record; the operator's own words are put behind what it says.
func (a *auditor) act(ctx context.Context, action string, do func(r *audit.Record) error) error {
	if err := a.Ready(); err != nil {
		return err
	}
	start := time.Now()
	r := audit.Record{Kind: audit.Admin, Action: action}
	err := do(&r)
	r.Went(err)
	c := client.FromContext(ctx)
	if r.By(c); c != nil && c.Reason != "" {
		r.Reason = strings.TrimPrefix(r.Reason+": "+c.Reason, ": ")
	}
	r.Time, r.Duration = start, time.Since(start)
	if lost := a.Append(context.WithoutCancel(ctx), r); err == nil {
		err = lost
	}
	return err
}

// auditedDenials is the deny-list, every change of which is recorded.
type auditedDenials struct {
	api.Denials
	audit *auditor
}

func (d auditedDenials) Add(ctx context.Context, denial identity.Denial) (added identity.Denial, err error) {
	err = d.audit.act(ctx, "deny", func(r *audit.Record) error {
		added, err = d.Denials.Add(ctx, denial)
		r.Reason = denialText(added, err)
		return err
	})
	return added, err
}

func (d auditedDenials) Remove(ctx context.Context, id string) error {
	return d.audit.act(ctx, "allow_again", func(r *audit.Record) error {
		r.Reason = "denial " + id
		return d.Denials.Remove(ctx, id)
	})
}

// denialText says what a denial denies.
func denialText(d identity.Denial, err error) string {
	if err != nil {
		return ""
	}
	var b strings.Builder
	b.WriteString("denial " + d.ID + " of " + d.Issuer)
	for _, part := range []struct{ name, text string }{{"token", d.TokenID}, {"login", d.SessionID}, {"subject", d.Subject}} {
		if part.text != "" {
			b.WriteString(", " + part.name + " " + part.text)
		}
	}
	if d.Reason != "" {
		b.WriteString(": " + d.Reason)
	}
	return b.String()
}

// logout records what an issuer said about a login. It is not refused when the
// log fails: tokens that should not be believed matter more.
func (a *auditor) logout(ctx context.Context, issuer, subject string, err error) {
	r := audit.Record{Kind: audit.Admin, Action: "logout"}
	r.Went(err)
	r.By(client.FromContext(ctx))
	r.Issuer, r.Subject = issuer, subject
	if kind := fault.KindOf(err); err != nil && (kind == fault.Unauthenticated || kind == fault.Invalid) {
		r.Kind, r.Decision, r.Reason = audit.AuthFailure, audit.Deny, identity.Reason(err)
	}
	a.Note(r)
}

// verifier records the tokens that v refuses, for the page, which does not stand
// behind the chain that records them for everybody else.
func (a *auditor) verifier(v identity.Verifier) identity.Verifier {
	return identity.VerifierFunc(func(ctx context.Context, token string) (*identity.Principal, error) {
		p, err := v.Verify(ctx, token)
		if kind := fault.KindOf(err); err != nil && kind != fault.Canceled {
			a.refusal(ctx, middleware.Refusal{Code: fault.From(err).MachineCode(), Reason: identity.Reason(err), Status: reply.Status(kind)})
		}
		return p, err
	})
}

// recordStart records that the server takes work.
func (a *App) recordStart() {
	a.audit.began = time.Now()
	a.audit.Note(audit.Record{
		Kind: audit.Start, Outcome: audit.OK,
		Reason: fmt.Sprintf("lyceum %s on %s, store %s, %d sessions, %d jobs queued", build.Version(), a.where(), a.cfg.Store, a.sessions.Stats().Sessions, a.jobs.Stats().Queued),
	})
}

func (a *App) where() string {
	if at := a.Addr(); at != "" {
		return at
	}
	return "no address"
}

// reloaded records what became of a reload.
func (a *auditor) reloaded(changed, restart []string, err error) {
	r := audit.Record{Kind: audit.ConfigReload}
	r.Went(err)
	if err != nil {
		r.Outcome, r.Code, r.Reason = fault.Invalid.String(), "", err.Error()
	} else {
		r.Reason = fmt.Sprintf("changed: %s; need a restart: %s", list(changed), list(restart))
	}
	a.Note(r)
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
