package identity

import (
	"context"
	"time"
)

// Proof is what came with a token to show that its presenter holds a key: a DPoP
// proof (RFC 9449) and the request that it has to be about.
type Proof struct {
	JWT    string // the value of the request's one DPoP header
	Method string // of the request
	Path   string // of the request, escaped as it was sent, without query
}

type proofKey struct{}

// WithProof returns ctx carrying the proof that came with the token to be
// verified.
func WithProof(ctx context.Context, p Proof) context.Context {
	return context.WithValue(ctx, proofKey{}, p)
}

// ProofVerifier judges a proof for the token with the key tokenKey (see
// Principal.TokenKey) that is bound to the key with this thumbprint. A proof that
// is not good gives a RefuseProof or NeedNonce.
type ProofVerifier interface {
	VerifyProof(ctx context.Context, p Proof, thumbprint, tokenKey string) error
}

// Guard is the outermost Verifier: it judges anew at every request what no cache
// may remember. That is whether the token was denied meanwhile, and whether the
// presenter of a bound token holds its key. A bound token without a proof is
// refused, so callers that know nothing of proofs are safe.
//
// For a bearer token it costs nothing while nothing is denied.
type Guard struct {
	inner  Verifier
	denied *DenyList
	proofs ProofVerifier
}

// NewGuard returns a guard in front of inner. denied and proofs may be nil:
// nothing is denied then, and every bound token is refused.
func NewGuard(inner Verifier, denied *DenyList, proofs ProofVerifier) *Guard {
	return &Guard{inner: inner, denied: denied, proofs: proofs}
}

// Verify implements Verifier.
func (g *Guard) Verify(ctx context.Context, token string) (*Principal, error) {
	p, err := g.inner.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	if g.denied != nil && g.denied.Denies(p) {
		return nil, Refuse("token_denied", nil)
	}
	if p.KeyThumbprint == "" {
		return p, nil
	}
	proof, ok := ctx.Value(proofKey{}).(Proof)
	if !ok || g.proofs == nil {
		return nil, Refuse("sender_constrained", nil)
	}
	if err := g.proofs.VerifyProof(ctx, proof, p.KeyThumbprint, p.TokenKey); err != nil {
		return nil, err
	}
	return p, nil
}

// expired reports whether the moment until, of which zero is never, has come.
func expired(until, now time.Time) bool { return !until.IsZero() && !now.Before(until) }
