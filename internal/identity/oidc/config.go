package oidc

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// Typ is the rule for the typ header of a token.
type Typ string

// The rules.
const (
	// TypAccessToken takes at+jwt only, as RFC 9068 §4 demands. It is the default.
	TypAccessToken Typ = "at+jwt"
	// TypCompatible also takes JWT and a missing typ, for issuers older than RFC
	// 9068. What then tells an access token from an ID token is a scope or a
	// client_id, an audience that is not its client, and no claim that only other
	// kinds of token carry.
	TypCompatible Typ = "compatible"
	// TypAny is TypCompatible for issuers that write a typ of their own: whatever
	// is not known to be another kind of token is judged by its claims.
	TypAny Typ = "any"
)

// DPoP is the rule for tokens that are bound to a key (RFC 9449).
type DPoP string

// The rules.
const (
	// DPoPOff refuses bound tokens. It is the default.
	DPoPOff DPoP = "off"
	// DPoPAccepted takes bound tokens, with a proof, and bearer tokens.
	DPoPAccepted DPoP = "accepted"
	// DPoPRequired takes bound tokens only.
	DPoPRequired DPoP = "required"
)

// Defaults of Config.
const (
	DefaultLeeway             = 30 * time.Second
	DefaultMaxTokenBytes      = 16 << 10
	DefaultCacheMin           = 5 * time.Minute
	DefaultCacheMax           = 24 * time.Hour
	DefaultStaleFor           = time.Hour
	DefaultUnknownKidCooldown = 30 * time.Second
	DefaultFetchTimeout       = 5 * time.Second
)

const (
	maxLeeway = time.Minute // RFC 7519 §4.1.4: "no more than a few minutes"
	maxDoc    = 512 << 10   // bytes of a JWKS or a metadata document
)

// Config describes one pinned issuer. The zero value of every field but Issuer
// and Audiences works.
type Config struct {
	Issuer     string   // byte-equal to iss; https, or http on a loopback host
	Audiences  []string // a token must name one of them in aud; one trailing slash more or less is tolerated
	JWKSURL    string   // where the keys are; "" asks the issuer's metadata on first use
	Algorithms []string // signature algorithms, asymmetric only; none means RS256, PS256, ES256 and EdDSA
	Typ        Typ      // "" means TypAccessToken

	DPoP     DPoP     // "" means DPoPOff
	Required []string // claims that a token must have besides those that every token must

	Tenant      string   // the tenant of every token; with TenantClaim as well, the claim must say the same
	TenantClaim string   // the claim that names the tenant; with neither, the issuer is the tenant
	Tenants     []string // those that the claim may name; none means any
	ScopeClaims []string // whose scopes are granted, strings or arrays; none means scope and scp

	LogoutAudience string // the client that logout tokens are for; "" refuses them

	Leeway        time.Duration // for clocks that differ, in exp, nbf and iat, ≤ 1 min; 0 means DefaultLeeway
	MaxTokenBytes int           // 0 means DefaultMaxTokenBytes

	// Of the keys; 0 means the default of the same name.
	CacheMin           time.Duration // they are fresh at least so long, whatever Cache-Control says
	CacheMax           time.Duration // and at most so long
	StaleFor           time.Duration // how long they stay good beyond that if they cannot be refreshed
	UnknownKidCooldown time.Duration // least time between two fetches that unknown keys or failures cause
	FetchTimeout       time.Duration // of one request to the issuer
}

func (c Config) withDefaults() Config {
	c.Typ = orDefault(c.Typ, TypAccessToken)
	c.DPoP = orDefault(c.DPoP, DPoPOff)
	c.Leeway = orDefault(c.Leeway, DefaultLeeway)
	c.MaxTokenBytes = orDefault(c.MaxTokenBytes, DefaultMaxTokenBytes)
	c.CacheMin = orDefault(c.CacheMin, DefaultCacheMin)
	c.CacheMax = orDefault(c.CacheMax, DefaultCacheMax)
	c.StaleFor = orDefault(c.StaleFor, DefaultStaleFor)
	c.UnknownKidCooldown = orDefault(c.UnknownKidCooldown, DefaultUnknownKidCooldown)
	c.FetchTimeout = orDefault(c.FetchTimeout, DefaultFetchTimeout)
	if len(c.Algorithms) == 0 {
		c.Algorithms = []string{"RS256", "PS256", "ES256", "EdDSA"}
	}
	if len(c.ScopeClaims) == 0 {
		c.ScopeClaims = []string{"scope", "scp"}
	}
	return c
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Validate reports everything that is wrong with c, joined.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if err := checkURL(c.Issuer); err != nil {
		bad("issuer: %w", err)
	}
	if c.JWKSURL != "" {
		if err := checkURL(c.JWKSURL); err != nil {
			bad("jwks url: %w", err)
		}
	}
	if len(c.Audiences) == 0 || slices.Contains(c.Audiences, "") {
		bad("audiences: want at least one, none empty")
	}
	for _, alg := range c.Algorithms {
		if !slices.Contains(supported, jose.SignatureAlgorithm(alg)) {
			bad("algorithm %q: want one of %v", alg, supported)
		}
	}
	if c.Typ != TypAccessToken && c.Typ != TypCompatible && c.Typ != TypAny {
		bad("typ %q: want %q, %q or %q", c.Typ, TypAccessToken, TypCompatible, TypAny)
	}
	if !c.DPoP.valid() {
		bad("dpop %q: want %q, %q or %q", c.DPoP, DPoPOff, DPoPAccepted, DPoPRequired)
	}
	if slices.Contains(c.Required, "") || slices.Contains(c.Tenants, "") {
		bad("required claims and tenants: none may be empty")
	}
	if len(c.Tenants) > 0 && c.TenantClaim == "" {
		bad("tenants: want a tenant claim that names one of them")
	}
	if slices.Contains(c.ScopeClaims, "") {
		bad("scope claims: none may be empty")
	}
	if c.Leeway < 0 || c.Leeway > maxLeeway {
		bad("leeway %s: want 0 to %s", c.Leeway, maxLeeway)
	}
	if c.MaxTokenBytes < 0 {
		bad("max token bytes %d: want 1 or more", c.MaxTokenBytes)
	}
	if c.CacheMin < 0 || c.CacheMax < c.CacheMin {
		bad("key cache from %s to %s: want 0 ≤ min ≤ max", c.CacheMin, c.CacheMax)
	}
	if c.StaleFor < 0 || c.UnknownKidCooldown < 0 || c.FetchTimeout < 0 {
		bad("stale for %s, unknown key cooldown %s, fetch timeout %s: none may be negative", c.StaleFor, c.UnknownKidCooldown, c.FetchTimeout)
	}
	return errors.Join(errs...)
}

func (d DPoP) valid() bool { return d == DPoPOff || d == DPoPAccepted || d == DPoPRequired }

// checkURL refuses what must not be fetched: anything but https, except on the
// machine itself.
func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return err
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q: want an absolute URL without user and fragment", s)
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return fmt.Errorf("%q: want https, or http on a loopback host", s)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
