package oidc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

const (
	logoutType  = "logout+jwt"
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
	maxLogouts  = 1 << 16         // remembered against replay in one window
	logoutAge   = 2 * time.Minute // OpenID Connect Back-Channel Logout 1.0 §4: "preferably at most two minutes"
)

// Logout is what a verified logout token says: that a subject, or one login of
// it, is over. One of Subject and SessionID may be "".
type Logout struct {
	Issuer    string
	Subject   string
	SessionID string
	IssuedAt  time.Time
}

// VerifyLogout verifies a logout token (OpenID Connect Back-Channel Logout 1.0
// §2.6). Each is good once. Errors are those of Verify.
func (v *Verifier) VerifyLogout(ctx context.Context, raw string) (Logout, error) {
	t, err := parse(raw, v.config.MaxTokenBytes)
	if err != nil {
		return Logout{}, err
	}
	if t.issuer != v.config.Issuer {
		return Logout{}, unknownIssuer(t)
	}
	if v.config.LogoutAudience == "" {
		return Logout{}, identity.Refuse("logout_is_off", nil)
	}
	return v.verifyLogout(ctx, t, []string{v.config.LogoutAudience})
}

func (v *Verifier) verifyLogout(ctx context.Context, t *token, audiences []string) (Logout, error) {
	now := time.Now()
	l, id, err := v.judgeLogout(t, audiences, now)
	if err != nil {
		return Logout{}, err
	}
	if err := v.verifySignature(ctx, t); err != nil {
		return Logout{}, err
	}
	if err := v.logouts.take(t.issuer, id, now); err != nil {
		if fault.KindOf(err) == fault.Unauthenticated {
			return Logout{}, identity.Refuse("logout_replayed", nil)
		}
		return Logout{}, err
	}
	return l, nil
}

// judgeLogout checks what an unverified logout token says.
func (v *Verifier) judgeLogout(t *token, audiences []string, now time.Time) (l Logout, id string, err error) {
	if err := v.checkAlgorithm(t); err != nil {
		return l, "", err
	}
	// §2.4 recommends the type; issuers older than it write JWT.
	if t.typ != logoutType && !(v.config.Typ != TypAccessToken && (t.typ == "" || t.typ == "jwt")) {
		return l, "", identity.Refuse("bad_type", fmt.Errorf("typ %.*q", maxDetail, t.typ))
	}
	if err := checkAudience(t.claims, audiences); err != nil {
		return l, "", err
	}
	if _, err := v.config.checkTimes(t.claims, now); err != nil {
		return l, "", err
	}
	l.Issuer = v.config.Issuer
	var there bool
	l.IssuedAt, there, err = seconds(t.claims, "iat")
	if err != nil || !there || l.IssuedAt.Before(now.Add(-logoutAge-v.config.Leeway)) {
		return l, "", identity.Refuse("bad_issued_at", errors.New("iat is missing or long ago"))
	}
	if t.claims.has("nonce") {
		return l, "", identity.Refuse("not_a_logout_token", errors.New("it has a nonce"))
	}
	if err := checkEvents(t.claims); err != nil {
		return l, "", identity.Refuse("not_a_logout_token", err)
	}
	if id, err = name(t.claims, "jti"); err != nil {
		return l, "", identity.Refuse("bad_token_id", err)
	}
	if l.Subject, err = optionalName(t.claims, "sub"); err != nil {
		return l, "", identity.Refuse("bad_subject", err)
	}
	if l.SessionID, err = optionalName(t.claims, "sid"); err != nil {
		return l, "", identity.Refuse("bad_session_id", err)
	}
	if l.Subject == "" && l.SessionID == "" {
		return l, "", identity.Refuse("not_a_logout_token", errors.New("neither sub nor sid"))
	}
	return l, id, nil
}

// checkEvents wants the event of §2.4 with an object as its value.
func checkEvents(claims object) error {
	value, ok := claims["events"]
	if !ok {
		return errors.New("no events")
	}
	events, err := parseObject(value)
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	event := events[logoutEvent]
	if !strings.HasPrefix(string(event), "{") {
		return fmt.Errorf("events has no object %s", logoutEvent)
	}
	return nil
}

// VerifyLogout is Verifier.VerifyLogout for the issuers of the set.
func (s *Set) VerifyLogout(ctx context.Context, raw string) (Logout, error) {
	t, err := parse(raw, s.maxBytes)
	if err != nil {
		return Logout{}, err
	}
	v, err := s.owner(t)
	if err != nil {
		return Logout{}, err
	}
	return v.VerifyLogout(ctx, raw)
}

// VerifyLogout is Verifier.VerifyLogout for the local issuer, whose logout tokens
// are for the same audiences as its access tokens.
func (l *Local) VerifyLogout(ctx context.Context, raw string) (Logout, error) {
	t, err := parse(raw, l.verifier.config.MaxTokenBytes)
	if err != nil {
		return Logout{}, err
	}
	audiences := l.issuer.Audiences(t.issuer)
	if audiences == nil {
		return Logout{}, unknownIssuer(t)
	}
	return l.verifier.verifyLogout(ctx, t, audiences)
}
