package oidc

import (
	"context"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// LocalIssuer is an issuer inside this process, such as a devidp.Issuer. It may
// go by several names, of which Name is the one that owners are known by.
type LocalIssuer interface {
	Name() string
	// Audiences returns what a token with this iss may be for, or nil if iss is
	// not one of the issuer's names.
	Audiences(iss string) []string
	// PublicKeys returns the keys that its tokens are signed with.
	PublicKeys() jose.JSONWebKeySet
	// Revoked reports whether the token with this TokenKey was revoked.
	Revoked(tokenKey string) bool
}

// Local is an identity.Verifier for the tokens of a LocalIssuer. It asks the
// issuer directly, without HTTP, and makes no difference between its names:
// whoever is alice under one of them is the same owner under another.
type Local struct {
	issuer   LocalIssuer
	verifier *Verifier
}

// localLeeway is all that one clock needs: iat may have been rounded.
const localLeeway = time.Second

// NewLocal returns a verifier for the tokens of issuer, whose claim tenantClaim
// names the tenant. It need not be closed.
func NewLocal(issuer LocalIssuer, tenantClaim string) *Local {
	v := newVerifier(Config{Issuer: issuer.Name(), TenantClaim: tenantClaim, Leeway: localLeeway}.withDefaults())
	v.source = localKeys{issuer}
	return &Local{issuer: issuer, verifier: v}
}

// AcceptDPoP lets tokens through that are bound to a key, for a verifier behind an
// identity.Guard. Call it before the first token.
func (l *Local) AcceptDPoP() { l.verifier.config.DPoP = DPoPAccepted }

// Verify implements identity.Verifier.
func (l *Local) Verify(ctx context.Context, raw string) (*identity.Principal, error) {
	t, err := parse(raw, l.verifier.config.MaxTokenBytes)
	if err != nil {
		return nil, err
	}
	audiences := l.issuer.Audiences(t.issuer)
	if audiences == nil {
		return nil, unknownIssuer(t)
	}
	p, err := l.verifier.verify(ctx, t, audiences)
	if err != nil {
		return nil, err
	}
	if l.issuer.Revoked(p.TokenKey) {
		return nil, identity.Refuse("token_revoked", nil)
	}
	return p, nil
}

type localKeys struct{ issuer LocalIssuer }

func (l localKeys) candidates(_ context.Context, kid, alg string) ([]key, error) {
	var set keySet
	for _, k := range l.issuer.PublicKeys().Keys {
		if k, err := usable(k, nil); err == nil {
			set = append(set, k)
		}
	}
	if len(set) == 0 {
		return nil, fault.Newf(fault.Internal, "the local issuer has no keys")
	}
	found, known, err := set.find(kid, alg)
	if !known {
		return nil, unknownKey(kid)
	}
	return found, err
}
