package oidc_test

import (
	"context"
	"crypto"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/identity/oidc"
)

func sleepPastCooldown() { time.Sleep(31 * time.Second) } // in bubbles only

func TestSetKeepsIssuersApart(t *testing.T) {
	const otherIssuer, otherKeys = "https://id.other.example", "https://id.other.example/keys"
	n := newNetwork(signES)
	n.set(otherKeys, page{body: jwks(signStranger)}) // the same kid, another key
	newOne := func(change func(*oidc.Config)) *oidc.Verifier { return newVerifier(t, n, change) }
	set, err := oidc.NewSet(
		newOne(func(c *oidc.Config) { c.Tenant = "acme" }),
		newOne(func(c *oidc.Config) {
			c.Issuer, c.JWKSURL, c.Tenant, c.MaxTokenBytes = otherIssuer, otherKeys, "globex", 1024
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	if got := set.Issuers(); !slices.Equal(got, []string{issuerURL, otherIssuer}) {
		t.Errorf("Issuers = %q", got)
	}

	for name, tc := range map[string]struct {
		token, tenant, reason string
	}{
		"ours":                     {signES().token(nil, nil), "acme", ""},
		"theirs":                   {signStranger().token(nil, fields{"iss": otherIssuer}), "globex", ""},
		"theirs, saying it is our": {signStranger().token(nil, nil), "", "bad_signature"},
		"ours, saying it is their": {signES().token(nil, fields{"iss": otherIssuer}), "", "bad_signature"},
		"theirs, too long":         {signStranger().token(nil, fields{"iss": otherIssuer, "x": strings.Repeat("x", 1024)}), "", "token_too_long"},
		"unknown":                  {signES().token(nil, fields{"iss": "https://evil.example"}), "", "unknown_issuer"},
		"no issuer":                {signES().token(nil, fields{"iss": nil}), "", "bad_issuer"},
		"opaque":                   {"opaque-token", "", "malformed_token"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := set.Verify(t.Context(), tc.token)
			if got := identity.Reason(err); got != tc.reason || (err == nil) != (tc.reason == "") {
				t.Fatalf("reason %q (%v), want %q", got, err, tc.reason)
			}
			if err == nil && p.Tenant != tc.tenant {
				t.Errorf("tenant %q, want %q", p.Tenant, tc.tenant)
			}
		})
	}
	for url := range n.asked {
		if url != jwksURL && url != otherKeys {
			t.Errorf("fetched %s", url)
		}
	}
	if _, err := oidc.NewSet(newOne(nil), newOne(nil)); err == nil {
		t.Error("NewSet took one issuer twice")
	}
}

// TestChainPassesOnOnlyWhatIsNotOurs shows which refusals let another kind of
// verifier look at the token.
func TestChainPassesOnOnlyWhatIsNotOurs(t *testing.T) {
	v := newVerifier(t, newNetwork(signES), nil)
	for name, tc := range map[string]struct {
		token  string
		passes bool
	}{
		"opaque":         {"opaque-token", true},
		"unknown issuer": {signES().token(nil, fields{"iss": "https://evil.example"}), true},
		"bad signature":  {signStranger().token(nil, nil), false},
		"expired":        {signES().token(nil, fields{"exp": 1}), false},
		"alg none":       {signES().token(fields{"alg": "none"}, nil), false},
	} {
		asked := 0
		chain := identity.Chain{v, identity.VerifierFunc(func(context.Context, string) (*identity.Principal, error) {
			asked++
			return nil, identity.NotMine("unknown_token", nil)
		})}
		if _, err := chain.Verify(t.Context(), tc.token); err == nil || (asked == 1) != tc.passes {
			t.Errorf("%s: the next verifier was asked %d times (err %v)", name, asked, err)
		}
	}
}

// local is a LocalIssuer with two names.
type local struct {
	keys    []jose.JSONWebKey
	revoked string
}

func (l *local) Name() string { return "http://localhost/idp" }

func (l *local) Audiences(iss string) []string {
	switch iss {
	case l.Name():
		return []string{"urn:local"}
	case "http://127.0.0.1:8383/idp":
		return []string{audience}
	}
	return nil
}

func (l *local) PublicKeys() jose.JSONWebKeySet { return jose.JSONWebKeySet{Keys: l.keys} }
func (l *local) Revoked(key string) bool        { return key == l.revoked }

func TestLocal(t *testing.T) {
	issuer := &local{keys: []jose.JSONWebKey{signES().jwk()}}
	v := oidc.NewLocal(issuer, "tenant")
	stable := fields{"iss": "http://localhost/idp", "aud": "urn:local"}
	current := fields{"iss": "http://127.0.0.1:8383/idp"}

	for _, claims := range []fields{stable, current} {
		p, err := v.Verify(t.Context(), signES().token(nil, claims))
		if err != nil {
			t.Fatal(err)
		}
		if p.Issuer != "http://localhost/idp" || p.Tenant != "acme" || p.Subject != "alice" {
			t.Errorf("%v: principal %+v", claims["iss"], p)
		}
	}
	for name, tc := range map[string]struct {
		token, reason string
	}{
		"stable name, audience of the other": {signES().token(nil, fields{"iss": "http://localhost/idp"}), "wrong_audience"},
		"current name, stable audience":      {signES().token(nil, fields{"iss": "http://127.0.0.1:8383/idp", "aud": "urn:local"}), "wrong_audience"},
		"another port":                       {signES().token(nil, fields{"iss": "http://127.0.0.1:1/idp"}), "unknown_issuer"},
		"another key":                        {signStranger().token(nil, stable), "bad_signature"},
		"unknown kid":                        {signRotated().token(nil, stable), "unknown_key"},
		"no tenant":                          {signES().token(nil, fields{"iss": "http://127.0.0.1:8383/idp", "tenant": nil}), "bad_tenant"},
		"expired 2 s ago":                    {signES().token(nil, fields{"iss": "http://127.0.0.1:8383/idp", "exp": time.Now().Unix() - 2}), "token_expired"},
		"not a token":                        {"x", "malformed_token"},
	} {
		if got := reason(t.Context(), v, tc.token); got != tc.reason {
			t.Errorf("%s: reason %q, want %q", name, got, tc.reason)
		}
	}

	token := signES().token(nil, current)
	p, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	issuer.revoked = p.TokenKey
	if got := reason(t.Context(), v, token); got != "token_revoked" {
		t.Errorf("revoked: reason %q", got)
	}
	issuer.keys = []jose.JSONWebKey{signRotated().jwk()}
	if got := reason(t.Context(), v, signRotated().token(nil, current)); got != "" {
		t.Errorf("after rotation: %s", got)
	}
	issuer.keys = []jose.JSONWebKey{{Key: keyEC().(crypto.PrivateKey), KeyID: "es"}}
	if _, err := v.Verify(t.Context(), signES().token(nil, current)); err == nil {
		t.Error("a private key verified a token")
	}
}

func TestConfig(t *testing.T) {
	good := oidc.Config{Issuer: issuerURL, Audiences: []string{audience}}
	for name, change := range map[string]func(*oidc.Config){
		"no issuer":             func(c *oidc.Config) { c.Issuer = "" },
		"issuer over http":      func(c *oidc.Config) { c.Issuer = "http://id.example" },
		"issuer with user":      func(c *oidc.Config) { c.Issuer = "https://u:p@id.example" },
		"issuer is a name":      func(c *oidc.Config) { c.Issuer = "id.example" },
		"issuer with fragment":  func(c *oidc.Config) { c.Issuer = "https://id.example#x" },
		"issuer unreadable":     func(c *oidc.Config) { c.Issuer = "https://[::1" },
		"keys over http":        func(c *oidc.Config) { c.JWKSURL = "http://id.example/keys" },
		"no audience":           func(c *oidc.Config) { c.Audiences = nil },
		"empty audience":        func(c *oidc.Config) { c.Audiences = []string{audience, ""} },
		"HS256":                 func(c *oidc.Config) { c.Algorithms = []string{"RS256", "HS256"} },
		"none":                  func(c *oidc.Config) { c.Algorithms = []string{"none"} },
		"unknown typ":           func(c *oidc.Config) { c.Typ = "JWT" },
		"empty scope claim":     func(c *oidc.Config) { c.ScopeClaims = []string{""} },
		"leeway of 2 min":       func(c *oidc.Config) { c.Leeway = 2 * time.Minute },
		"negative leeway":       func(c *oidc.Config) { c.Leeway = -1 },
		"negative token size":   func(c *oidc.Config) { c.MaxTokenBytes = -1 },
		"cache min above max":   func(c *oidc.Config) { c.CacheMin = 48 * time.Hour },
		"negative stale window": func(c *oidc.Config) { c.StaleFor = -1 },
	} {
		c := good
		change(&c)
		if _, err := oidc.New(c, nil); err == nil {
			t.Errorf("%s: New accepted it", name)
		}
	}
	bad := oidc.Config{Algorithms: []string{"none"}, Leeway: -1}
	if err := bad.Validate(); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("Validate reports %v; want four problems at once", err)
	}
	for _, issuer := range []string{"http://127.0.0.1:8080/idp", "http://localhost", "http://[::1]:1"} {
		c := good
		c.Issuer = issuer
		v, err := oidc.New(c, http.DefaultClient)
		if err != nil {
			t.Errorf("%s: %v", issuer, err)
			continue
		}
		if v.Issuer() != issuer {
			t.Errorf("Issuer = %q", v.Issuer())
		}
	}
}
