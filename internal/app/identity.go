package app

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/api"
	"github.com/lyceum-mcp/lyceum/internal/build"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/identity/oidc"
	"github.com/lyceum-mcp/lyceum/middleware"
)

// identity builds who is believed: static tokens, in development our own issuer,
// the pinned issuers, and those that are asked about each token. Nothing is
// fetched before the first token comes. A token is shown to the first that
// recognises it; what follows is remembered, and above the memory stands what has
// to be judged anew each time.
func (a *App) identity(ctx context.Context) (identity.Verifier, error) {
	a.baseURL = a.cfg.Base()
	if a.baseURL == "" {
		a.baseURL = a.scheme() + dialable(a.Addr())
	}
	if a.listener == nil {
		return identity.Chain{}, nil // the local user is not asked for a token
	}
	var chain identity.Chain
	if len(a.cfg.Auth.Tokens) > 0 {
		static, err := staticTokens(a.cfg.Auth.Tokens)
		if err != nil {
			return nil, err
		}
		chain = append(chain, static)
	}
	if a.cfg.Dev {
		local, err := a.devIssuer()
		if err != nil {
			return nil, err
		}
		chain = append(chain, local)
		a.logouts = append(a.logouts, local)
	}
	client := a.issuerClient()
	a.undo.push("issuers' connections", func(context.Context) error { client.CloseIdleConnections(); return nil })
	if issuers := a.cfg.Issuers(); len(issuers) > 0 {
		set, err := pinned(issuers, client)
		if err != nil {
			return nil, err
		}
		a.undo.push("issuers", func(context.Context) error { return set.Close() })
		chain = append(chain, set)
		a.logouts = append(a.logouts, set)
	}
	if in := a.cfg.Introspections(); len(in) > 0 {
		asked, err := introspectors(in, client)
		if err != nil {
			return nil, err
		}
		chain = append(chain, asked)
	}
	return a.guard(ctx, chain)
}

// devIssuer starts the development identity provider.
func (a *App) devIssuer() (*oidc.Local, error) {
	idp, err := devidp.New(devidp.Config{KeyDir: a.cfg.Data, Resources: []string{a.baseURL + api.MCPPath}, Clients: []devidp.Client{a.pageClient()}})
	if err != nil {
		return nil, fmt.Errorf("start the development identity provider: %w", err)
	}
	if err := idp.SetIssuer(a.baseURL + devidp.Prefix); err != nil {
		return nil, fmt.Errorf("start the development identity provider: %w", err)
	}
	a.issuer = idp
	local := oidc.NewLocal(idp, devidp.TenantClaim)
	local.AcceptDPoP()
	return local, nil
}

// guard puts the memory in front of the chain, and the deny-list and the proofs of
// possession in front of the memory.
func (a *App) guard(ctx context.Context, chain identity.Chain) (identity.Verifier, error) {
	var verifier identity.Verifier = chain
	if a.cfg.Auth.CacheTTL > 0 {
		cached, err := identity.NewCached(chain, identity.CacheConfig{Size: max(64, a.cfg.Auth.CacheSize), Age: a.cfg.Auth.CacheTTL})
		if err != nil {
			return nil, fmt.Errorf("build the token cache: %w", err)
		}
		verifier = cached
	}
	var store identity.DenyStore
	if a.cfg.Store == "file" {
		store = identity.NewDenyFile(a.cfg.Data)
	}
	var err error
	if a.denied, err = identity.NewDenyList(ctx, denials(a.cfg.Auth.Deny), store); err != nil {
		return nil, err
	}
	if !acceptsDPoP(a.cfg) {
		return identity.NewGuard(verifier, a.denied, nil), nil
	}
	bases := []string{a.baseURL, a.ListenURL()}
	if a.adminLn != nil {
		bases = append(bases, strings.TrimSuffix(a.AdminURL(), "/admin/"))
	}
	a.proofs, err = oidc.NewProofChecker(oidc.ProofConfig{Bases: bases, Nonces: a.cfg.Auth.DPoPNonce})
	if err != nil {
		return nil, err
	}
	return identity.NewGuard(verifier, a.denied, a.proofs), nil
}

// apiConfig says which hosts and origins are ours and who gives out tokens.
func (a *App) apiConfig() api.Config {
	h := a.cfg.HTTP
	o := middleware.Origins{Hosts: slices.Clone(h.AllowedHosts), Origins: slices.Clone(h.AllowedOrigins)}
	u, err := url.Parse(a.baseURL)
	if err == nil && u.Host != "" {
		if len(o.Hosts) == 0 {
			o.Hosts = append(o.Hosts, strings.ToLower(u.Hostname()))
		}
		o.Origins = append(o.Origins, u.Scheme+"://"+u.Host)
	}
	if loopback(a.Addr()) && len(h.AllowedHosts) == 0 {
		o.Hosts = append(o.Hosts, middleware.Loopback...)
	}
	c := api.Config{
		BaseURL: a.baseURL, Version: build.Version(), Origins: o, MaxBodyBytes: h.MaxBodyBytes, ReadTimeout: h.ReadTimeout, WriteTimeout: h.WriteTimeout,
		Addresses:  middleware.Addresses{Trusted: h.TrustedProxies, Header: h.ForwardedHeader},
		PerAddress: a.cfg.Limits.PerAddress, PerToken: a.cfg.Limits.PerToken, Window: a.cfg.Limits.Window,
	}
	if a.issuer != nil {
		c.AuthServers = append(c.AuthServers, a.baseURL+devidp.Prefix)
	}
	for _, is := range a.cfg.Issuers() {
		c.AuthServers = append(c.AuthServers, is.Issuer)
	}
	for _, in := range a.cfg.Auth.Introspection {
		if !slices.Contains(c.AuthServers, in.Issuer) {
			c.AuthServers = append(c.AuthServers, in.Issuer)
		}
	}
	return c
}

// loopback tells whether only this machine can reach addr.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// dialable replaces a wildcard address by one that can be dialed.
func dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
