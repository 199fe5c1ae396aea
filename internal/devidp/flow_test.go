package devidp_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/identity/oidc"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs; run the test with -update and review\ngot:\n%s", name, got)
	}
}

// TestWholeFlow lets libraries that we did not write do the work: x/oauth2 asks
// for tokens and go-oidc verifies them, over real HTTP, for each algorithm.
func TestWholeFlow(t *testing.T) {
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			i := newIssuer(t, func(c *devidp.Config) { c.Issuer, c.Algorithm = "", alg })
			server := serve(t, i)
			wholeFlow(t, i, server.URL)
		})
	}
}

func wholeFlow(t *testing.T, i *devidp.Issuer, origin string) {
	ctx := t.Context()
	provider, err := goidc.NewProvider(ctx, origin+devidp.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{
		ClientID: "app", Endpoint: provider.Endpoint(), RedirectURL: "http://127.0.0.1:54321/callback",
		Scopes: []string{"openid", "reason", "admin.read"},
	}
	pkce := oauth2.GenerateVerifier()
	code := logInByPage(t, config.AuthCodeURL("the state", oauth2.S256ChallengeOption(pkce), goidc.Nonce("the nonce"),
		oauth2.SetAuthURLParam("resource", origin+"/mcp/")), origin, "carol")
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(pkce))
	if err != nil {
		t.Fatal(err)
	}
	checkIDToken(t, provider, token)
	checkAccessToken(t, i, provider, origin, token.AccessToken)

	// x/oauth2 refreshes an expired token by itself.
	old := *token
	token.Expiry = token.Expiry.AddDate(-1, 0, 0)
	renewed, err := config.TokenSource(ctx, token).Token()
	if err != nil {
		t.Fatal(err)
	}
	if renewed.AccessToken == old.AccessToken || renewed.RefreshToken == old.RefreshToken {
		t.Error("the refresh returned an old token")
	}
	checkAccessToken(t, i, provider, origin, renewed.AccessToken)
}

// logInByPage opens the page as a browser does, presses a button, and returns the
// code that the client would get.
func logInByPage(t *testing.T, address, origin, who string) string {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	page, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer page.Body.Close()
	html, err := io.ReadAll(page.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`action="/dev/idp/authorize"`, `value="` + who + `"`, "The &lt;App&gt;", "admin.read"} {
		if !strings.Contains(string(html), want) {
			t.Errorf("the page lacks %s:\n%s", want, html)
		}
	}
	if page.Header.Get("X-Frame-Options") != "DENY" || !strings.Contains(page.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Error("the page may be framed")
	}
	asked, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	form := asked.Query()
	form.Set("user", who)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, origin+devidp.Prefix+"/authorize", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	back, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Body.Close()
	location, err := back.Location()
	if err != nil || back.StatusCode != http.StatusSeeOther {
		t.Fatalf("after the login: %s, %v", back.Status, err)
	}
	q := location.Query()
	if location.Host != "127.0.0.1:54321" || q.Get("state") != "the state" || q.Get("iss") != origin+devidp.Prefix || q.Get("code") == "" {
		t.Fatalf("the browser is sent to %s", location)
	}
	return q.Get("code")
}

func checkIDToken(t *testing.T, provider *goidc.Provider, token *oauth2.Token) {
	t.Helper()
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&goidc.Config{ClientID: "app"}).Verify(t.Context(), raw)
	if err != nil {
		t.Fatalf("ID token: %v", err)
	}
	if id.Subject != "carol" || id.Nonce != "the nonce" {
		t.Errorf("ID token for %q with nonce %q", id.Subject, id.Nonce)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		t.Errorf("at_hash: %v", err)
	}
}

func checkAccessToken(t *testing.T, i *devidp.Issuer, provider *goidc.Provider, origin, raw string) {
	t.Helper()
	at, err := provider.Verifier(&goidc.Config{ClientID: origin + "/mcp"}).Verify(t.Context(), raw)
	if err != nil {
		t.Fatalf("access token: %v", err)
	}
	var claims struct {
		Scope    string `json:"scope"`
		Tenant   string `json:"tenant"`
		ClientID string `json:"client_id"`
		JTI      string `json:"jti"`
	}
	if err := at.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	if claims.Scope != "openid reason admin.read" || claims.Tenant != "other" || claims.ClientID != "app" || claims.JTI == "" {
		t.Errorf("access token says %+v", claims)
	}

	overHTTP, err := oidc.New(oidc.Config{Issuer: origin + devidp.Prefix, Audiences: []string{origin + "/mcp"}, TenantClaim: devidp.TenantClaim}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer overHTTP.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	for name, v := range map[string]identity.Verifier{"over HTTP": overHTTP, "local": oidc.NewLocal(i, devidp.TenantClaim)} {
		p, err := v.Verify(t.Context(), raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := fmt.Sprint(p.Tenant, p.Subject, p.ClientID, p.Name, p.Scopes); got != "othercarolappCarol[admin.read openid reason]" {
			t.Errorf("%s: principal %+v", name, p)
		}
	}
}

// TestIDTokensAreNoAccessTokens keeps the two kinds apart although one key signs
// both.
func TestIDTokensAreNoAccessTokens(t *testing.T) {
	i := newIssuer(t, nil)
	a := logIn(t, i, "scope", "openid reason")
	v := oidc.NewLocal(i, devidp.TenantClaim)
	if _, err := v.Verify(context.Background(), a.IDToken); err == nil {
		t.Error("an ID token passed for an access token")
	}
	if _, err := v.Verify(context.Background(), a.AccessToken); err != nil {
		t.Error(err)
	}
	if _, err := v.Verify(context.Background(), a.RefreshToken); err == nil {
		t.Error("a refresh token passed for an access token")
	}
}
