package app

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/api"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/identity/oidc"
	"github.com/lyceum-mcp/lyceum/middleware"
)

// identity builds who is believed: the pinned issuers, and in development our
// own. Nothing is fetched before the first token comes.
func (a *App) identity() (identity.Verifier, error) {
	a.baseURL = strings.TrimRight(a.cfg.PublicURL, "/")
	if a.baseURL == "" {
		a.baseURL = "http://" + dialable(a.Addr())
	}
	var chain identity.Chain
	if a.cfg.Dev && a.listener != nil {
		idp, err := devidp.New(devidp.Config{KeyDir: a.cfg.Data, Resources: []string{a.baseURL + api.MCPPath}, Clients: []devidp.Client{a.pageClient()}})
		if err != nil {
			return nil, fmt.Errorf("start the development identity provider: %w", err)
		}
		if err := idp.SetIssuer(a.baseURL + devidp.Prefix); err != nil {
			return nil, fmt.Errorf("start the development identity provider: %w", err)
		}
		a.issuer = idp
		chain = append(chain, oidc.NewLocal(idp, devidp.TenantClaim))
	}
	issuers := a.cfg.Issuers()
	if len(issuers) > 0 && a.listener != nil {
		set, err := pinned(issuers)
		if err != nil {
			return nil, err
		}
		a.undo.push("issuers", func(context.Context) error { return set.Close() })
		chain = append(chain, set)
	}
	if a.cfg.Auth.CacheTTL == 0 {
		return chain, nil
	}
	cached, err := identity.NewCached(chain, identity.CacheConfig{Size: max(64, a.cfg.Auth.CacheSize), Age: a.cfg.Auth.CacheTTL})
	if err != nil {
		return nil, fmt.Errorf("build the token cache: %w", err)
	}
	return cached, nil
}

func pinned(issuers []config.Issuer) (*oidc.Set, error) {
	var verifiers []*oidc.Verifier
	for _, is := range issuers {
		typ := oidc.TypAccessToken
		if is.Typ != string(oidc.TypAccessToken) {
			typ = oidc.TypCompatible
		}
		v, err := oidc.New(oidc.Config{
			Issuer: is.Issuer, Audiences: []string{is.Audience}, JWKSURL: is.JWKSURL, Algorithms: is.Algorithms, Typ: typ,
			Tenant: is.Tenant, TenantClaim: is.TenantClaim, ScopeClaims: is.ScopeClaims,
		}, nil)
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
		BaseURL: a.baseURL, Origins: o, MaxBodyBytes: h.MaxBodyBytes, ReadTimeout: h.ReadTimeout,
		PerAddress: a.cfg.Limits.PerAddress, PerToken: a.cfg.Limits.PerToken, Window: a.cfg.Limits.Window,
	}
	for _, p := range h.TrustedProxies {
		c.TrustedProxies = append(c.TrustedProxies, p.String())
	}
	if a.issuer != nil {
		c.AuthServers = append(c.AuthServers, a.baseURL+devidp.Prefix)
	}
	for _, is := range a.cfg.Issuers() {
		c.AuthServers = append(c.AuthServers, is.Issuer)
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
