package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// Auth says whose tokens are believed.
type Auth struct {
	Issuers         []Issuer        `key:"issuers" maxItems:"64" default:"" doc:"issuers whose tokens are accepted; a flag or variable takes the list as YAML or JSON"`
	Introspection   []Introspection `key:"introspection" maxItems:"16" default:"" doc:"endpoints that are asked about tokens which no listed issuer has signed"`
	Tokens          []StaticToken   `key:"tokens" maxItems:"1000" default:"" doc:"tokens of a closed network that has no issuer, by their hashes; lyceum token hash makes one"`
	Deny            []Denial        `key:"deny" maxItems:"1000" default:"" doc:"tokens that are refused although their issuer made them"`
	CacheTTL        time.Duration   `key:"cache_ttl" default:"1m" min:"0s" max:"1h" doc:"time for which a token found good is not verified again; 0s turns that off"`
	CacheSize       int             `key:"cache_size" default:"16384" min:"64" max:"10000000" doc:"tokens remembered as good"`
	DPoPNonce       bool            `key:"dpop_nonce" default:"false" doc:"ask for a nonce of this server in every DPoP proof"`
	PrivateNetworks []netip.Prefix  `key:"private_networks" maxItems:"100" default:"" doc:"networks that are not public, where issuers may be; an address written in an issuer's URL need not be listed"`
}

// Issuer is one issuer of access tokens.
type Issuer struct {
	Issuer         string        `key:"issuer" required:"true" format:"secure_url" doc:"the token's iss, letter by letter"`
	Audience       string        `key:"audience" format:"word" default:"" doc:"audience that a token must name; empty is oidc_audience"`
	Audiences      []string      `key:"audiences" format:"word" maxItems:"16" default:"" doc:"further audiences, of which a token may name one instead"`
	JWKSURL        string        `key:"jwks_url" format:"secure_url" default:"" doc:"where the keys are; empty asks the issuer's discovery document"`
	Algorithms     []string      `key:"algorithms" enum:"RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512|EdDSA" maxItems:"10" default:"RS256,PS256,ES256,EdDSA" doc:"signatures that are accepted"`
	Typ            string        `key:"typ" enum:"at+jwt|compatible|any" default:"at+jwt" doc:"at+jwt takes only tokens marked as access tokens (RFC 9068); compatible is for older issuers, and tells access tokens by their claims; any takes marks of the issuer's own too"`
	DPoP           string        `key:"dpop" enum:"off|accepted|required" default:"off" doc:"tokens bound to a key (RFC 9449): off refuses them, required refuses all others"`
	Tenant         string        `key:"tenant" format:"word" default:"" doc:"tenant of all its users; with neither this nor tenant_claim the issuer is the tenant"`
	TenantClaim    string        `key:"tenant_claim" format:"word" default:"" doc:"claim that names the user's tenant; a token without it is refused, and with tenant too it must say the same"`
	Tenants        []string      `key:"tenants" format:"word" maxItems:"1000" default:"" doc:"tenants that tenant_claim may name; empty is any"`
	ScopeClaims    []string      `key:"scope_claims" format:"word" maxItems:"10" default:"scope,scp" doc:"claims that scopes are read from"`
	RequiredClaims []string      `key:"required_claims" format:"word" maxItems:"20" default:"" doc:"claims that a token must have besides iss, sub, aud and exp"`
	Leeway         time.Duration `key:"leeway" default:"30s" min:"1s" max:"1m" doc:"how far the issuer's clock may be off"`
	LogoutAudience string        `key:"logout_audience" format:"word" default:"" doc:"client id that this server has at the issuer, for back-channel logout; empty refuses logout tokens"`
}

// Introspection is one endpoint of RFC 7662.
type Introspection struct {
	Issuer           string        `key:"issuer" required:"true" format:"secure_url" doc:"who the endpoint speaks for; where an answer names its iss it must be this"`
	Endpoint         string        `key:"endpoint" required:"true" format:"secure_url" doc:"URL of the endpoint"`
	Auth             string        `key:"auth" enum:"basic|post" default:"basic" doc:"how this server authenticates there"`
	ClientID         string        `key:"client_id" required:"true" format:"word" doc:"this server's client id there"`
	ClientSecret     Secret        `key:"client_secret" default:"" doc:"this server's secret there"`
	ClientSecretFile string        `key:"client_secret_file" format:"file_or_empty" default:"" doc:"file with the secret, instead of client_secret"`
	Prefix           string        `key:"prefix" format:"word" default:"" doc:"only tokens that begin so are shown to the endpoint"`
	CacheTTL         time.Duration `key:"cache_ttl" default:"1m" min:"1s" max:"1m" doc:"time that an answer counts, and a revoked token is still good"`
	Audience         string        `key:"audience" format:"word" default:"" doc:"audience that an answer must name; empty is oidc_audience"`
	Audiences        []string      `key:"audiences" format:"word" maxItems:"16" default:"" doc:"further audiences, of which an answer may name one instead"`
	DPoP             string        `key:"dpop" enum:"off|accepted|required" default:"off" doc:"as of auth.issuers"`
	Tenant           string        `key:"tenant" format:"word" default:"" doc:"as of auth.issuers"`
	TenantClaim      string        `key:"tenant_claim" format:"word" default:"" doc:"as of auth.issuers"`
	Tenants          []string      `key:"tenants" format:"word" maxItems:"1000" default:"" doc:"as of auth.issuers"`
	ScopeClaims      []string      `key:"scope_claims" format:"word" maxItems:"10" default:"scope,scp" doc:"as of auth.issuers"`
	RequiredClaims   []string      `key:"required_claims" format:"word" maxItems:"20" default:"" doc:"as of auth.issuers"`
	Leeway           time.Duration `key:"leeway" default:"30s" min:"1s" max:"1m" doc:"as of auth.issuers"`
}

// StaticToken is one token of a closed network.
type StaticToken struct {
	Hash    string   `key:"hash" required:"true" format:"sha256" doc:"SHA-256 of the token"`
	Tenant  string   `key:"tenant" required:"true" format:"word" doc:"tenant of whoever presents it"`
	Subject string   `key:"subject" required:"true" format:"word" doc:"who presents it"`
	Name    string   `key:"name" default:"" doc:"name for people"`
	Scopes  []string `key:"scopes" enum:"reason|code|admin.read|admin.write" maxItems:"10" default:"reason" doc:"what it is good for"`
	Expires string   `key:"expires" format:"moment" default:"" doc:"when it ends; empty is never"`
}

// ExpiresAt returns when the token ends; zero is never.
func (t StaticToken) ExpiresAt() time.Time { return momentOf(t.Expires) }

// Denial is one entry of the deny-list.
type Denial struct {
	Issuer       string `key:"issuer" required:"true" format:"word" doc:"issuer of what is refused; static for auth.tokens"`
	TokenID      string `key:"jti" format:"word" default:"" doc:"one token, by its jti"`
	SessionID    string `key:"sid" format:"word" default:"" doc:"the tokens of one login, by its sid"`
	Subject      string `key:"sub" format:"word" default:"" doc:"the tokens of one subject"`
	IssuedBefore string `key:"issued_before" format:"moment" default:"" doc:"with sub or alone, only tokens that were issued until then"`
	Reason       string `key:"reason" default:"" doc:"why, for people"`
}

// IssuedUntil returns IssuedBefore; zero is any time.
func (d Denial) IssuedUntil() time.Time { return momentOf(d.IssuedBefore) }

// momentOf reads a moment that was checked.
func momentOf(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{} // nothing: the format allows no other
	}
	return t
}

// Audience returns what a token of an issuer without its own audience must
// name: oidc_audience, or public_url followed by /mcp, or "" when neither is
// set.
func (c *Config) Audience() string {
	if c.OIDCAudience != "" || c.PublicURL == "" {
		return c.OIDCAudience
	}
	return c.Base() + "/mcp"
}

// Base returns public_url in its canonical form: scheme and host in lower case, no
// slash at the end. It is what clients are told and tokens must name.
func (c *Config) Base() string {
	u, err := url.Parse(c.PublicURL)
	if err != nil {
		return c.PublicURL // nothing: the format allows no other
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	return strings.TrimRight(u.String(), "/")
}

// Issuers returns the issuers to trust: the short form first, then
// auth.issuers, each with its audience filled in.
func (c *Config) Issuers() []Issuer {
	var all []Issuer
	if c.OIDCIssuer != "" {
		var short Issuer
		settings.byPath["auth.issuers"].fields.setDefaults(reflect.ValueOf(&short).Elem())
		short.Issuer = c.OIDCIssuer
		all = append(all, short)
	}
	all = append(all, c.Auth.Issuers...)
	for i := range all {
		if all[i].Audience == "" {
			all[i].Audience = c.Audience()
		}
	}
	return all
}

// Introspections returns auth.introspection, each with its audience filled in.
func (c *Config) Introspections() []Introspection {
	all := append([]Introspection{}, c.Auth.Introspection...)
	for i := range all {
		if all[i].Audience == "" {
			all[i].Audience = c.Audience()
		}
	}
	return all
}

// believesSomebody reports whether any token would be accepted.
func (c *Config) believesSomebody() bool {
	return c.Dev || len(c.Issuers())+len(c.Auth.Introspection)+len(c.Auth.Tokens) > 0
}

// authRules are the rules about auth.
var authRules = []rule{
	{[]string{"dev", "oidc_audience", "public_url", "auth.introspection"}, true, func(c *Config) []Problem {
		var all []Problem
		for i, in := range c.Introspections() {
			all = append(all, when(!c.Dev && in.Audience == "", Problem{
				Path: fmt.Sprintf("auth.introspection[%d].audience", i), Reason: "is not known",
				Allowed: "the audience that tokens for this server name",
				Mend:    "set public_url (the audience is then public_url followed by /mcp), oidc_audience, or audience here",
			})...)
			all = append(all, when((in.ClientSecret.Reveal() == "") == (in.ClientSecretFile == ""), Problem{
				Path: fmt.Sprintf("auth.introspection[%d].client_secret", i), Reason: "is not set, or client_secret_file is set too",
				Allowed: "one of the two", Mend: "set client_secret or client_secret_file",
			})...)
		}
		return all
	}},
	{[]string{"auth.issuers"}, true, func(c *Config) []Problem {
		var all []Problem
		for i, is := range c.Auth.Issuers {
			all = append(all, tenantsWithoutClaim(fmt.Sprintf("auth.issuers[%d]", i), is.Tenants, is.TenantClaim)...)
		}
		return all
	}},
	{[]string{"auth.introspection"}, true, func(c *Config) []Problem {
		var all []Problem
		for i, in := range c.Auth.Introspection {
			all = append(all, tenantsWithoutClaim(fmt.Sprintf("auth.introspection[%d]", i), in.Tenants, in.TenantClaim)...)
		}
		return all
	}},
	{[]string{"auth.tokens"}, true, func(c *Config) []Problem {
		seen := map[string]bool{}
		var all []Problem
		for i, t := range c.Auth.Tokens {
			hash := strings.ToLower(t.Hash)
			all = append(all, when(seen[hash], Problem{
				Path: fmt.Sprintf("auth.tokens[%d].hash", i), Value: t.Hash, Reason: "is listed twice",
				Allowed: "each token once", Mend: "remove one of the two, or make another token with: lyceum token hash",
			})...)
			seen[hash] = true
		}
		return all
	}},
	{[]string{"auth.deny"}, true, func(c *Config) []Problem {
		var all []Problem
		for i, d := range c.Auth.Deny {
			named := 0
			for _, s := range []string{d.TokenID, d.SessionID, d.Subject} {
				if s != "" {
					named++
				}
			}
			before := d.IssuedBefore != ""
			all = append(all, when(named > 1 || named == 0 && !before || before && d.Subject == "" && named > 0, Problem{
				Path: fmt.Sprintf("auth.deny[%d]", i), Reason: "names nothing, or too much",
				Allowed: "one of jti, sid and sub; issued_before with sub or alone",
				Mend:    "write an entry for each; to refuse a whole issuer, remove it",
			})...)
		}
		return all
	}},
}

func tenantsWithoutClaim(path string, tenants []string, claim string) []Problem {
	return when(len(tenants) > 0 && claim == "", Problem{
		Path: path + ".tenants", Reason: "is set without tenant_claim", Allowed: "tenants with the claim that names one of them",
		Mend: "set tenant_claim, or tenant if there is only one",
	})
}
