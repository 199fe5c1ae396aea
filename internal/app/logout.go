package app

import (
	"context"
	"errors"
	"time"

	"github.com/lyceum-mcp/lyceum/api"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/identity/oidc"
	"github.com/lyceum-mcp/lyceum/session"
)

// logoutDenial is how long the tokens of a login that is over are refused: longer
// than access tokens live.
const logoutDenial = 30 * 24 * time.Hour

// logoutVerifier verifies logout tokens of the issuers it knows.
type logoutVerifier interface {
	VerifyLogout(ctx context.Context, raw string) (oidc.Logout, error)
}

// identityDeps says how the routes learn who is calling, and who no longer is.
func (a *App) identityDeps(d *api.Deps) {
	if a.proofs != nil {
		d.Proofs = a.proofs
	}
	if a.denied != nil {
		d.Denials = auditedDenials{a.denied, a.audit}
	}
	if len(a.logouts) > 0 {
		d.Logout = a.endLogin
	}
}

// endLogin takes the news that a login is over (OpenID Connect Back-Channel
// Logout 1.0): its tokens are refused from now on, and the subject's transport
// sessions end. Reasoning sessions stay: they are work, not a login, and nobody
// reaches them without a new token.
//
// Access tokens often do not name the login they come from. Those of the subject
// that were issued before are then taken to be of this login.
func (a *App) endLogin(ctx context.Context, token string) error {
	l, err := a.verifyLogout(ctx, token)
	if err != nil {
		a.audit.logout(ctx, "", "", err)
		return err
	}
	over := identity.Denial{Issuer: l.Issuer, Reason: "logout", Expires: time.Now().Add(logoutDenial).UTC().Truncate(time.Second)}
	var errs []error
	if l.SessionID != "" {
		d := over
		d.SessionID = l.SessionID
		_, err := a.denied.Add(ctx, d)
		errs = append(errs, err)
	}
	if l.Subject != "" {
		d := over
		d.Subject, d.IssuedBefore, d.NoSession = l.Subject, l.IssuedAt.UTC(), l.SessionID != ""
		_, err := a.denied.Add(ctx, d)
		errs = append(errs, err, a.endTransports(ctx, l))
	}
	err = errors.Join(errs...)
	a.audit.logout(ctx, l.Issuer, l.Subject, err)
	a.log.InfoContext(ctx, "login ended by its issuer", "issuer", l.Issuer, "subject", l.Subject, "failed", err != nil)
	return err
}

func (a *App) verifyLogout(ctx context.Context, token string) (oidc.Logout, error) {
	err := identity.NotMine("no_issuer", nil)
	for _, v := range a.logouts {
		var l oidc.Logout
		if l, err = v.VerifyLogout(ctx, token); err == nil {
			return l, nil
		}
		if r, ok := errors.AsType[*identity.Refusal](err); !ok || !r.NotMine {
			return l, err
		}
	}
	return oidc.Logout{}, err
}

// endTransports ends the transport sessions of a subject, whatever its tenant.
func (a *App) endTransports(ctx context.Context, l oidc.Logout) error {
	for info := range a.transports.All() {
		if info.Owner.Issuer != l.Issuer || info.Owner.Subject != l.Subject {
			continue
		}
		if err := a.transports.EndRef(ctx, info.Ref, session.ReasonOperator); err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
	}
	return nil
}
