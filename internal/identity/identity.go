// Package identity says who is calling.
//
// A Principal comes only from a verified credential: a bearer token checked by
// a Verifier, or the local user of a stdio host. Nothing a client writes into a
// request body or an ordinary header becomes part of one.
package identity

import (
	"context"
	"slices"
	"time"
)

// Principal is a verified caller. It is immutable once built: copies of the
// pointer are shared between requests that present the same token.
type Principal struct {
	Tenant  string // from the pinned issuer's configuration or its tenant claim
	Issuer  string // the token's iss, or "local" for a stdio host
	Subject string // the token's sub

	ClientID string    // azp or client_id, for audit; not part of ownership
	Name     string    // for people: name, preferred_username or sub
	Scopes   []string  // as granted, sorted, without duplicates
	Expires  time.Time // of the credential; zero means never
	TokenKey string    // hex SHA-256 of the credential: a key for limits and caches, never the credential

	// What a DenyList and a Guard look at; of no concern to anybody else.
	TokenID       string    // the token's jti, "" when it has none
	SessionID     string    // the login's sid, "" when the token does not say
	IssuedAt      time.Time // zero when the token does not say
	KeyThumbprint string    // of the key that the token is bound to (RFC 9449 §6.1); "" is a bearer token
	Recheck       time.Time // when the verdict must be had anew, where that is before Expires; zero means never
}

// HasScope reports whether s was granted literally. Hierarchies are the
// business of package policy.
func (p *Principal) HasScope(s string) bool {
	_, ok := slices.BinarySearch(p.Scopes, s)
	return ok
}

// Verifier turns a bearer token into a Principal. A token that is not good
// gives a fault of kind Unauthenticated; an outage of what is needed to judge
// it gives Unavailable, never Unauthenticated.
//
// A principal with a KeyThumbprint is only half verified: who presents the token
// must hold the key too. Guard asks for that, so it stands in front of every
// verifier that may return one.
type Verifier interface {
	Verify(ctx context.Context, token string) (*Principal, error)
}

// VerifierFunc is a Verifier made of a function.
type VerifierFunc func(ctx context.Context, token string) (*Principal, error)

// Verify calls f.
func (f VerifierFunc) Verify(ctx context.Context, token string) (*Principal, error) {
	return f(ctx, token)
}

type ctxKey struct{}

// NewContext returns ctx carrying p.
func NewContext(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, ctxKey{}, p)
}

// FromContext returns the principal that the authentication middleware put
// there, or nil before it ran.
func FromContext(ctx context.Context) *Principal {
	p, _ := ctx.Value(ctxKey{}).(*Principal)
	return p
}
