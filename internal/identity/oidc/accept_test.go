package oidc_test

import (
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/identity/oidc"
)

func TestPrincipal(t *testing.T) {
	v := newVerifier(t, newNetwork(signES), func(c *oidc.Config) { c.TenantClaim = "tenant" })
	exp, iat := time.Now().Add(time.Hour).Unix(), time.Now().Unix()
	token := signES().token(nil, fields{"exp": exp, "iat": iat, "sid": "login-7", "scope": "reason code reason", "scp": []string{"admin.read"}, "name": "Alice A."})
	got, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(token))
	want := &identity.Principal{
		Tenant: "acme", Issuer: issuerURL, Subject: "alice", ClientID: "ide", Name: "Alice A.",
		Scopes: []string{"admin.read", "code", "reason"}, Expires: time.Unix(exp, 0), TokenKey: hex.EncodeToString(sum[:]),
		TokenID: "1", SessionID: "login-7", IssuedAt: time.Unix(iat, 0),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("principal\n got %+v\nwant %+v", got, want)
	}
}

func TestAccepted(t *testing.T) {
	compatible := func(c *oidc.Config) { c.Typ = oidc.TypCompatible }
	now := time.Now()
	tests := map[string]struct {
		config         func(*oidc.Config)
		header, claims fields
		check          func(*identity.Principal) any
		want           any
	}{
		"typ as a media type, any case": {header: fields{"typ": "Application/AT+JWT"}},
		"x5t is ignored":                {header: fields{"x5t": "abc", "cty": "json"}},
		"no kid and one key that fits":  {header: fields{"kid": nil}},
		"audience among others":         {claims: fields{"aud": []string{"https://a.example", audience}}},
		"audience with a slash more":    {claims: fields{"aud": audience + "/"}},
		"audience in capitals":          {claims: fields{"aud": strings.ToUpper(strings.TrimSuffix(audience, "/mcp")) + "/mcp"}},
		"audience with a slash less":    {config: func(c *oidc.Config) { c.Audiences = []string{audience + "/"} }},
		"second audience of ours":       {config: func(c *oidc.Config) { c.Audiences = []string{"x", audience} }},
		"fractional times":              {claims: fields{"exp": float64(now.Unix()) + 9.5, "nbf": float64(now.Unix()) - 0.25}},
		"expired within the leeway":     {claims: fields{"exp": now.Unix() - 20}},
		"iat ahead within the leeway":   {claims: fields{"iat": now.Unix() + 20, "nbf": now.Unix() + 20}},
		"no iat, jti, client":           {claims: fields{"iat": nil, "jti": nil, "client_id": nil}},
		"unknown claims":                {claims: fields{"groups": []any{"a", fields{"b": []any{1, nil}}}, "x": nil}},
		"compatible, typ JWT":           {config: compatible, header: fields{"typ": "JWT"}},
		"compatible, no typ":            {config: compatible, header: fields{"typ": nil}},
		"compatible, at+jwt":            {config: compatible},
		"compatible, Keycloak":          {config: compatible, header: fields{"typ": "JWT"}, claims: fields{"typ": "Bearer", "azp": "ide", "client_id": nil}},
		"at+jwt for its own client":     {claims: fields{"aud": []string{audience, "ide"}}},

		"the issuer is the tenant": {check: func(p *identity.Principal) any { return p.Tenant }, want: issuerURL},
		"a fixed tenant": {
			config: func(c *oidc.Config) { c.Tenant = "fixed" },
			check:  func(p *identity.Principal) any { return p.Tenant }, want: "fixed",
		},
		"a tenant claim that must agree": {
			config: func(c *oidc.Config) { c.Tenant, c.TenantClaim = "acme", "tenant" },
			check:  func(p *identity.Principal) any { return p.Tenant }, want: "acme",
		},
		"scp as an array": {
			claims: fields{"scope": nil, "scp": []string{"reason", "code"}},
			check:  func(p *identity.Principal) any { return p.Scopes }, want: []string{"code", "reason"},
		},
		"no scopes at all": {
			claims: fields{"scope": nil},
			check:  func(p *identity.Principal) any { return len(p.Scopes) }, want: 0,
		},
		"own scope claim only": {
			config: func(c *oidc.Config) { c.ScopeClaims = []string{"permissions"} },
			claims: fields{"permissions": []string{"x"}},
			check:  func(p *identity.Principal) any { return p.Scopes }, want: []string{"x"},
		},
		"azp as client": {
			claims: fields{"client_id": nil, "azp": "web"},
			check:  func(p *identity.Principal) any { return p.ClientID }, want: "web",
		},
		"a name of the wrong kind is passed over": {
			claims: fields{"name": 7, "preferred_username": "al"},
			check:  func(p *identity.Principal) any { return p.Name }, want: "al",
		},
		"a long name is cut at a character": {
			claims: fields{"name": strings.Repeat("é", 100)},
			check:  func(p *identity.Principal) any { return p.Name }, want: strings.Repeat("é", 64),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			v := newVerifier(t, newNetwork(signES), tc.config)
			p, err := v.Verify(t.Context(), signES().token(tc.header, tc.claims))
			if err != nil {
				t.Fatal(err)
			}
			if tc.check != nil {
				if got := tc.check(p); !reflect.DeepEqual(got, tc.want) {
					t.Errorf("got %v, want %v", got, tc.want)
				}
			}
		})
	}
}

func TestEveryDefaultAlgorithm(t *testing.T) {
	v := newVerifier(t, newNetwork(allSigners...), nil)
	for _, s := range allSigners {
		if got := reason(t.Context(), v, s().token(nil, nil)); got != "" {
			t.Errorf("%s: %s", s().alg, got)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, s := range allSigners {
		b.Run(s().alg, func(b *testing.B) {
			n := newNetwork(allSigners...)
			v, err := oidc.New(oidc.Config{Issuer: issuerURL, Audiences: []string{audience}, JWKSURL: jwksURL}, clientOf(n))
			if err != nil {
				b.Fatal(err)
			}
			defer v.Close()
			token := s().token(nil, nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
