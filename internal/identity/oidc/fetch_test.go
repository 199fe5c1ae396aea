package oidc_test

import (
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/lyceum-mcp/lyceum/internal/identity/oidc"
)

const (
	oidcMetadata  = issuerURL + "/.well-known/openid-configuration"
	oauthMetadata = "https://id.example/.well-known/oauth-authorization-server/realms/acme"
)

func metadata(issuer, jwksURI string) page {
	return page{body: string(must(json.Marshal(fields{"issuer": issuer, "jwks_uri": jwksURI})))}
}

func discovering(c *oidc.Config) { c.JWKSURL = "" }

func TestDiscovery(t *testing.T) {
	good := metadata(issuerURL, jwksURL)
	for name, tc := range map[string]struct {
		pages map[string]page
		works bool
	}{
		"OpenID Connect":          {map[string]page{oidcMetadata: good}, true},
		"RFC 8414":                {map[string]page{oauthMetadata: good}, true},
		"nothing":                 {nil, false},
		"another issuer":          {map[string]page{oidcMetadata: metadata("https://evil.example", jwksURL), oauthMetadata: good}, false},
		"issuer with a slash":     {map[string]page{oidcMetadata: metadata(issuerURL+"/", jwksURL)}, false},
		"keys over http":          {map[string]page{oidcMetadata: metadata(issuerURL, "http://id.example/keys")}, false},
		"keys on this machine":    {map[string]page{oidcMetadata: metadata(issuerURL, "http://127.0.0.1/keys")}, false},
		"keys in a file":          {map[string]page{oidcMetadata: metadata(issuerURL, "file:///etc/passwd")}, false},
		"no keys":                 {map[string]page{oidcMetadata: metadata(issuerURL, "")}, false},
		"not JSON":                {map[string]page{oidcMetadata: {body: "<html>"}}, false},
		"too large":               {map[string]page{oidcMetadata: {body: strings.Repeat(" ", 512<<10) + good.body}}, false},
		"redirect within":         {map[string]page{oidcMetadata: redirect("https://id.example/m"), "https://id.example/m": good}, true},
		"redirect elsewhere":      {map[string]page{oidcMetadata: redirect("https://evil.example/m"), "https://evil.example/m": good}, false},
		"redirect to plain http":  {map[string]page{oidcMetadata: redirect("http://id.example/m"), "http://id.example/m": good}, false},
		"redirect to itself":      {map[string]page{oidcMetadata: redirect(oidcMetadata)}, false},
		"redirect to other port":  {map[string]page{oidcMetadata: redirect("https://id.example:8443/m"), "https://id.example:8443/m": good}, false},
		"keys on another host OK": {map[string]page{oidcMetadata: metadata(issuerURL, "https://cdn.example/keys"), "https://cdn.example/keys": {body: jwks(signES)}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(signES)
			for url, p := range tc.pages {
				n.set(url, p)
			}
			v := newVerifier(t, n, discovering)
			if len(n.asked) != 0 {
				t.Errorf("New asked for %v", n.asked)
			}
			_, err := v.Verify(t.Context(), signES().token(nil, nil))
			if tc.works && err != nil {
				t.Errorf("got %v", err)
			}
			if !tc.works {
				outage(t, err)
			}
			for url := range n.asked {
				if strings.Contains(url, "evil") || strings.Contains(url, ":8443") || strings.HasPrefix(url, "http:") {
					t.Errorf("followed to %s", url)
				}
			}
		})
	}
}

func redirect(to string) page {
	return page{status: http.StatusFound, header: http.Header{"Location": {to}}}
}

func TestDiscoveryIsRememberedUntilItFails(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.set(oidcMetadata, metadata(issuerURL, jwksURL))
		v := newVerifier(t, n, discovering)
		verify := func(s func() signer) string {
			sleepPastCooldown()
			return reason(t.Context(), v, s().token(nil, nil))
		}
		if got := verify(signES); got != "" {
			t.Fatal(got)
		}
		if got := verify(signRotated); got != "unknown_key" {
			t.Fatalf("reason %q, want unknown_key", got)
		}
		if m, k := n.count(oidcMetadata), n.count(jwksURL); m != 1 || k != 2 {
			t.Errorf("metadata was asked for %d times, keys %d times, want 1 and 2", m, k)
		}
		// The keys move.
		n.set(jwksURL, page{status: http.StatusGone})
		n.set("https://id.example/keys2", page{body: jwks(signRotated)})
		n.set(oidcMetadata, metadata(issuerURL, "https://id.example/keys2"))
		_, err := v.Verify(t.Context(), signES().token(nil, nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := verify(signRotated); got == "" {
			t.Error("the first attempt after the move cannot know the new place")
		}
		if got := verify(signRotated); got != "" {
			t.Errorf("after the move: %s", got)
		}
	}, signES)
}

func TestOnlyUsableKeysVerify(t *testing.T) {
	key := func(s signer, change func(*jose.JSONWebKey)) string {
		k := s.jwk()
		if change != nil {
			change(&k)
		}
		return string(must(json.Marshal(k)))
	}
	with := func(jwk, name, value string) string { return `{"` + name + `":` + value + "," + jwk[1:] }
	es, rs := signES(), signRS()
	noAlg := func(k *jose.JSONWebKey) { k.Algorithm = "" }

	for name, tc := range map[string]struct {
		jwk  string
		by   signer
		want string // "" accepts, "outage" means that no key was usable
	}{
		"plain":                   {key(es, nil), es, ""},
		"without alg and use":     {key(es, func(k *jose.JSONWebKey) { k.Algorithm, k.Use = "", "" }), es, ""},
		"key_ops verify":          {with(key(es, nil), "key_ops", `["sign","verify"]`), es, ""},
		"RSA without alg, PS256":  {key(rs, noAlg), signer{rs.kid, "PS256", rs.key}, ""},
		"RSA for RS512, RS256":    {key(rs, func(k *jose.JSONWebKey) { k.Algorithm = "RS512" }), rs, "wrong_algorithm_for_key"},
		"use enc":                 {key(es, func(k *jose.JSONWebKey) { k.Use = "enc" }), es, "outage"},
		"key_ops encrypt":         {with(key(es, nil), "key_ops", `["encrypt"]`), es, "outage"},
		"key_ops empty":           {with(key(es, nil), "key_ops", `[]`), es, "outage"},
		"key_ops a string":        {with(key(es, nil), "key_ops", `"verify"`), es, "outage"},
		"alg of another type":     {key(es, func(k *jose.JSONWebKey) { k.Algorithm = "RS256" }), es, "outage"},
		"alg unknown":             {key(es, func(k *jose.JSONWebKey) { k.Algorithm = "ECDH-ES" }), es, "outage"},
		"alg none":                {key(es, func(k *jose.JSONWebKey) { k.Algorithm = "none" }), es, "outage"},
		"RSA of 1024 bits":        {key(signRS1024(), nil), signRS1024(), "outage"},
		"a private key":           {key(es, func(k *jose.JSONWebKey) { k.Key = es.key }), es, "outage"},
		"a private RSA key":       {key(rs, func(k *jose.JSONWebKey) { k.Key = rs.key }), rs, "outage"},
		"a symmetric key":         {`{"kty":"oct","kid":"es","k":"AAAA"}`, es, "outage"},
		"an unknown type":         {`{"kty":"OKP","crv":"X25519","kid":"es","x":"AAAA"}`, es, "outage"},
		"a point off the curve":   {`{"kty":"EC","crv":"P-256","kid":"es","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`, es, "outage"},
		"not an object":           {`"es"`, es, "outage"},
		"null":                    {`null`, es, "outage"},
		"P-384":                   {key(signES384(), nil), signES384(), "bad_algorithm"},
		"a low-order Ed25519 key": {`{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"` + b64(make([]byte, ed25519.PublicKeySize)) + `"}`, signEd(), "outage"},
	} {
		t.Run(name, func(t *testing.T) {
			token := tc.by.token(nil, nil)
			// Alone, and beside a good key that must not be spoilt by it.
			for _, doc := range []string{
				`{"keys":[` + tc.jwk + `]}`,
				`{"keys":[` + tc.jwk + `,` + key(signRotated(), nil) + `]}`,
			} {
				n := newNetwork()
				n.set(jwksURL, page{body: doc})
				v := newVerifier(t, n, nil)
				beside := strings.Contains(doc, signRotated().kid)
				if beside {
					if got := reason(t.Context(), v, signRotated().token(nil, nil)); got != "" {
						t.Errorf("the good key beside it: %s", got)
					}
				}
				_, err := v.Verify(t.Context(), token)
				switch {
				case tc.want == "outage" && !beside:
					outage(t, err)
				case tc.want == "outage":
					if got := reason(t.Context(), v, token); got != "unknown_key" {
						t.Errorf("reason %q, want unknown_key", got)
					}
				default:
					if got := reason(t.Context(), v, token); got != tc.want {
						t.Errorf("reason %q, want %q", got, tc.want)
					}
				}
			}
		})
	}
}

func TestTwoKeysOfOneID(t *testing.T) {
	twin := named("es", "ES256", keyEC2)
	for _, order := range [][]func() signer{{signES, twin}, {twin, signES}} {
		v := newVerifier(t, newNetwork(order...), nil)
		for _, s := range order {
			if got := reason(t.Context(), v, s().token(nil, nil)); got != "" {
				t.Error(got)
			}
		}
	}
}
