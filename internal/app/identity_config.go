package app

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/egress"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/identity/oidc"
)

// maxSecretFile bounds a file with a client secret, in bytes.
const maxSecretFile = 4096

// issuerClient returns the client that issuers are asked with. Their documents say
// where their keys are, so it dials public addresses only, and those that the
// configuration names.
func (a *App) issuerClient() *http.Client {
	c := egress.Config{Networks: a.cfg.Auth.PrivateNetworks}
	for _, is := range a.cfg.Issuers() {
		c.Configured = append(c.Configured, is.Issuer, is.JWKSURL)
	}
	for _, in := range a.cfg.Auth.Introspection {
		c.Configured = append(c.Configured, in.Endpoint)
	}
	return egress.New(c)
}

func pinned(issuers []config.Issuer, client *http.Client) (*oidc.Set, error) {
	var verifiers []*oidc.Verifier
	for _, is := range issuers {
		v, err := oidc.New(oidc.Config{
			Issuer: is.Issuer, Audiences: audiences(is.Audience, is.Audiences), JWKSURL: is.JWKSURL, Algorithms: is.Algorithms,
			Typ: oidc.Typ(is.Typ), DPoP: oidc.DPoP(is.DPoP), Required: is.RequiredClaims,
			Tenant: is.Tenant, TenantClaim: is.TenantClaim, Tenants: is.Tenants, ScopeClaims: is.ScopeClaims,
			LogoutAudience: is.LogoutAudience, Leeway: is.Leeway,
		}, client)
		if err != nil {
			return nil, fmt.Errorf("issuer %s: %w", is.Issuer, err)
		}
		verifiers = append(verifiers, v)
	}
	set, err := oidc.NewSet(verifiers...)
	if err != nil {
		return nil, fmt.Errorf("join the issuers: %w", err)
	}
	return set, nil
}

func introspectors(all []config.Introspection, client *http.Client) (oidc.Introspectors, error) {
	var out oidc.Introspectors
	for _, in := range all {
		secret, err := clientSecret(in)
		if err != nil {
			return nil, fmt.Errorf("introspection at %s: %w", in.Endpoint, err)
		}
		i, err := oidc.NewIntrospector(oidc.IntrospectionConfig{
			Rules: oidc.Config{
				Issuer: in.Issuer, Audiences: audiences(in.Audience, in.Audiences), DPoP: oidc.DPoP(in.DPoP), Required: in.RequiredClaims,
				Tenant: in.Tenant, TenantClaim: in.TenantClaim, Tenants: in.Tenants, ScopeClaims: in.ScopeClaims, Leeway: in.Leeway,
			},
			Endpoint: in.Endpoint, Auth: oidc.ClientAuth(in.Auth), ClientID: in.ClientID, ClientSecret: secret, Prefix: in.Prefix, MaxAge: in.CacheTTL,
		}, client)
		if err != nil {
			return nil, fmt.Errorf("introspection at %s: %w", in.Endpoint, err)
		}
		out = append(out, i)
	}
	return out, nil
}

func audiences(first string, more []string) []string {
	return slices.Concat([]string{first}, more)
}

// clientSecret returns the secret, from its file if there is one.
func clientSecret(in config.Introspection) (string, error) {
	if in.ClientSecretFile == "" {
		return in.ClientSecret.Reveal(), nil
	}
	f, err := os.Open(in.ClientSecretFile)
	if err != nil {
		return "", err
	}
	defer f.Close()
	doc, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	switch {
	case err != nil:
		return "", err
	case len(doc) > maxSecretFile:
		return "", fmt.Errorf("%s: more than %d bytes", in.ClientSecretFile, maxSecretFile)
	}
	return strings.TrimRight(string(doc), "\r\n"), nil
}

func staticTokens(all []config.StaticToken) (*identity.Static, error) {
	var tokens []identity.StaticToken
	for _, t := range all {
		tokens = append(tokens, identity.StaticToken{
			Hash: t.Hash, Tenant: t.Tenant, Subject: t.Subject, Name: t.Name, Scopes: t.Scopes, Expires: t.ExpiresAt(),
		})
	}
	return identity.NewStatic(tokens)
}

func denials(all []config.Denial) []identity.Denial {
	var out []identity.Denial
	for _, d := range all {
		out = append(out, identity.Denial{
			Issuer: d.Issuer, TokenID: d.TokenID, SessionID: d.SessionID, Subject: d.Subject, IssuedBefore: d.IssuedUntil(), Reason: d.Reason,
		})
	}
	return out
}

// acceptsDPoP reports whether any issuer's tokens may be bound to a key.
func acceptsDPoP(cfg *config.Config) bool {
	return cfg.Dev ||
		slices.ContainsFunc(cfg.Issuers(), func(is config.Issuer) bool { return is.DPoP != string(oidc.DPoPOff) }) ||
		slices.ContainsFunc(cfg.Auth.Introspection, func(in config.Introspection) bool { return in.DPoP != string(oidc.DPoPOff) })
}
