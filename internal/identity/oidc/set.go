package oidc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// Set is an identity.Verifier for several pinned issuers. The unverified iss of
// a token only picks the issuer whose keys and rules judge it; a token of any
// other issuer is refused without a look at the network. Each issuer is a trust
// domain of its own.
type Set struct {
	byIssuer map[string]*Verifier
	maxBytes int
}

// NewSet returns a set that owns the verifiers.
func NewSet(verifiers ...*Verifier) (*Set, error) {
	s := &Set{byIssuer: make(map[string]*Verifier, len(verifiers))}
	for _, v := range verifiers {
		if _, twice := s.byIssuer[v.config.Issuer]; twice {
			return nil, fmt.Errorf("issuer %q is configured twice", v.config.Issuer)
		}
		s.byIssuer[v.config.Issuer] = v
		s.maxBytes = max(s.maxBytes, v.config.MaxTokenBytes)
	}
	return s, nil
}

// Verify implements identity.Verifier.
func (s *Set) Verify(ctx context.Context, raw string) (*identity.Principal, error) {
	t, err := parse(raw, s.maxBytes)
	if err != nil {
		return nil, err
	}
	v, err := s.owner(t)
	if err != nil {
		return nil, err
	}
	return v.verify(ctx, t, v.config.Audiences)
}

// owner returns the verifier of t's issuer.
func (s *Set) owner(t *token) (*Verifier, error) {
	v := s.byIssuer[t.issuer]
	if v == nil {
		return nil, unknownIssuer(t)
	}
	if len(t.raw) > v.config.MaxTokenBytes {
		return nil, identity.Refuse("token_too_long", fmt.Errorf("%d bytes, at most %d are read", len(t.raw), v.config.MaxTokenBytes))
	}
	return v, nil
}

// Issuers returns the issuers, sorted.
func (s *Set) Issuers() []string {
	var all []string
	for issuer := range s.byIssuer {
		all = append(all, issuer)
	}
	slices.Sort(all)
	return all
}

// Close closes every verifier of the set.
func (s *Set) Close() error {
	var errs []error
	for _, v := range s.byIssuer {
		errs = append(errs, v.Close())
	}
	return errors.Join(errs...)
}

func quote(s string) string { return strconv.Quote(clip(s, maxDetail)) }
