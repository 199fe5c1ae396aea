package devidp_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/identity/oidc"
)

// whoever verifies a token with the issuer's own keys and returns its principal.
func whoever(t *testing.T, i *devidp.Issuer, token string) *identity.Principal {
	t.Helper()
	p, err := oidc.NewLocal(i, devidp.TenantClaim).Verify(context.Background(), token)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestScopes(t *testing.T) {
	i := newIssuer(t, nil)
	for asked, want := range map[string]string{
		"":                              "reason code",
		"reason":                        "reason",
		"admin.read admin.write":        "admin.read admin.write",
		"reason offline_access profile": "reason",
		"openid profile":                "openid",
		"code reason code":              "code reason",
	} {
		a := logIn(t, i, "scope", asked)
		if a.Scope != want {
			t.Errorf("asked for %q, got %q, want %q", asked, a.Scope, want)
		}
		if p := whoever(t, i, a.AccessToken); strings.Join(p.Scopes, " ") != sorted(want) {
			t.Errorf("asked for %q: the token has %q", asked, p.Scopes)
		}
		if (a.IDToken != "") != strings.Contains(want, "openid") {
			t.Errorf("asked for %q: ID token %q", asked, a.IDToken)
		}
	}
}

func sorted(scope string) string {
	s := strings.Fields(scope)
	for a := range s { // at most three
		for b := range a {
			if s[b] > s[a] {
				s[a], s[b] = s[b], s[a]
			}
		}
	}
	return strings.Join(s, " ")
}

func TestResources(t *testing.T) {
	i := newIssuer(t, nil)
	const second = "http://127.0.0.1:8383/other"
	aud := func(form url.Values) string {
		t.Helper()
		a := tokens(t, i, redeeming(authorize(t, i, form).Get("code")))
		return fmt.Sprint(claimsOf(t, a.AccessToken)["aud"])
	}
	if got := aud(asking()); got != resource {
		t.Errorf("default audience %s", got)
	}
	if got := aud(asking("resource", resource+"/")); got != resource {
		t.Errorf("with a slash: audience %s", got)
	}
	if got := aud(asking("resource", second)); got != second {
		t.Errorf("second: audience %s", got)
	}
	both := merged(asking(), "resource", second, resource, second+"/")
	if got := aud(both); got != "["+second+" "+resource+"]" {
		t.Errorf("both: audience %s", got)
	}
	// The token request may narrow what was granted, and no more.
	code := func() string { return authorize(t, i, both).Get("code") }
	a := tokens(t, i, redeeming(code(), "resource", resource))
	if got := fmt.Sprint(claimsOf(t, a.AccessToken)["aud"]); got != resource {
		t.Errorf("narrowed: audience %s", got)
	}
	if a := tokens(t, i, redeeming(code(), "resource", "https://other.example")); a.Error != "invalid_target" {
		t.Errorf("unknown: %+v", a)
	}
	one := authorize(t, i, asking()).Get("code")
	if a := tokens(t, i, redeeming(one, "resource", second)); a.Error != "invalid_target" {
		t.Errorf("not granted: %+v", a)
	}
}

func TestCodeIsRefused(t *testing.T) {
	i := newIssuer(t, nil)
	for name, tc := range map[string]struct {
		changes []string
		want    string
	}{
		"nothing wrong":         {nil, ""},
		"another port":          {[]string{"redirect_uri", "http://127.0.0.1:1/callback"}, "invalid_grant"},
		"no redirect":           {[]string{"redirect_uri", ""}, "invalid_grant"},
		"another verifier":      {[]string{"code_verifier", strings.Repeat("x", 43)}, "invalid_grant"},
		"no verifier":           {[]string{"code_verifier", ""}, "invalid_grant"},
		"the challenge itself":  {[]string{"code_verifier", asking().Get("code_challenge")}, "invalid_grant"},
		"another client":        {[]string{"client_id", "other"}, "invalid_grant"},
		"unknown client":        {[]string{"client_id", "nobody"}, "invalid_client"},
		"a secret out of place": {[]string{"client_secret", "x"}, "invalid_client"},
		"unknown code":          {[]string{"code", "x"}, "invalid_grant"},
		"no code":               {[]string{"code", ""}, "invalid_grant"},
		"grant type":            {[]string{"grant_type", "password"}, "unsupported_grant_type"},
		"grant of others":       {[]string{"grant_type", "client_credentials"}, "unauthorized_client"},
	} {
		code := authorize(t, i, asking()).Get("code")
		if got := tokens(t, i, redeeming(code, tc.changes...)); got.Error != tc.want {
			t.Errorf("%s: %+v, want error %q", name, got, tc.want)
		}
	}
	twice := addTo(redeeming("x"), "code", "y")
	if got := tokens(t, i, twice); got.Error != "invalid_request" {
		t.Errorf("code twice: %+v", got)
	}
	if got := tokens(t, i, redeeming(strings.Repeat("x", 100<<10))); got.Error != "invalid_request" {
		t.Errorf("huge form: %+v", got)
	}
}

func TestCodeWorksOnce(t *testing.T) {
	i := newIssuer(t, nil)
	code := authorize(t, i, asking()).Get("code")
	first := tokens(t, i, redeeming(code))
	whoever(t, i, first.AccessToken)
	if again := tokens(t, i, redeeming(code)); again.Error != "invalid_grant" {
		t.Errorf("the second time: %+v", again)
	}
	// What the first one got is revoked: one of the two was a thief.
	if a := tokens(t, i, refreshing(first.RefreshToken)); a.Error != "invalid_grant" {
		t.Errorf("refresh after the code came twice: %+v", a)
	}
	if _, err := oidc.NewLocal(i, devidp.TenantClaim).Verify(t.Context(), first.AccessToken); identity.Reason(err) != "token_revoked" {
		t.Errorf("access after the code came twice: %v", err)
	}
	// A code that was presented with a wrong verifier is spent as well.
	code = authorize(t, i, asking()).Get("code")
	tokens(t, i, redeeming(code, "code_verifier", strings.Repeat("x", 43)))
	if a := tokens(t, i, redeeming(code)); a.Error != "invalid_grant" {
		t.Errorf("after a wrong verifier: %+v", a)
	}
}

func TestCodeRace(t *testing.T) {
	i := newIssuer(t, nil)
	code := authorize(t, i, asking()).Get("code")
	var wg sync.WaitGroup
	var mu sync.Mutex
	good := 0
	for range 20 {
		wg.Go(func() {
			if r := post(i, "/token", redeeming(code)); r.StatusCode == http.StatusOK {
				mu.Lock()
				good++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if good > 1 {
		t.Errorf("one code gave tokens %d times", good)
	}
}

func TestLifetimes(t *testing.T) {
	i := newIssuer(t, func(c *devidp.Config) { c.TTL, c.RefreshTTL = time.Minute, time.Hour })
	synctest.Test(t, func(t *testing.T) {
		code := authorize(t, i, asking()).Get("code")
		time.Sleep(59 * time.Second)
		a := tokens(t, i, redeeming(code))
		if a.Error != "" || a.ExpiresIn != 60 {
			t.Fatalf("a code of 59 s: %+v", a)
		}
		late := authorize(t, i, asking()).Get("code")
		time.Sleep(60 * time.Second)
		if b := tokens(t, i, redeeming(late)); b.Error != "invalid_grant" {
			t.Errorf("a code of 60 s: %+v", b)
		}
		time.Sleep(2 * time.Second)
		_, err := oidc.NewLocal(i, devidp.TenantClaim).Verify(t.Context(), a.AccessToken)
		if identity.Reason(err) != identity.ReasonExpired {
			t.Errorf("an access token after its minute: %v", err)
		}
		time.Sleep(57 * time.Minute)
		b := tokens(t, i, refreshing(a.RefreshToken))
		if b.Error != "" {
			t.Fatalf("refresh within the hour: %+v", b)
		}
		time.Sleep(time.Hour)
		if c := tokens(t, i, refreshing(b.RefreshToken)); c.Error != "invalid_grant" {
			t.Errorf("refresh after the hour: %+v", c)
		}
	})
}

func TestRefresh(t *testing.T) {
	i := newIssuer(t, nil)
	first := logIn(t, i, "scope", "openid reason code")
	second := tokens(t, i, refreshing(first.RefreshToken))
	if second.Error != "" || second.RefreshToken == first.RefreshToken || second.Scope != "openid reason code" || second.IDToken == "" {
		t.Fatalf("refresh: %+v", second)
	}
	if p, q := whoever(t, i, first.AccessToken), whoever(t, i, second.AccessToken); p.Subject != q.Subject || p.Tenant != q.Tenant {
		t.Errorf("refreshed for %+v, was %+v", q, p)
	}
	narrow := tokens(t, i, refreshing(second.RefreshToken, "scope", "reason"))
	if narrow.Scope != "reason" || narrow.IDToken != "" {
		t.Errorf("narrowed: %+v", narrow)
	}
	wide := tokens(t, i, refreshing(narrow.RefreshToken))
	if wide.Scope != "openid reason code" {
		t.Errorf("narrowing lasts longer than one token: %+v", wide)
	}
	for name, form := range map[string]url.Values{
		"another client": refreshing(wide.RefreshToken, "client_id", "other"),
		"unknown":        refreshing("x"),
		"none":           refreshing(""),
		"access token":   refreshing(wide.AccessToken),
	} {
		if a := tokens(t, i, form); a.Error != "invalid_grant" {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if a := tokens(t, i, refreshing(wide.RefreshToken, "scope", "reason admin.write")); a.Error != "invalid_scope" {
		t.Errorf("more than was granted: %+v", a)
	}
	if a := logIn(t, i); a.RefreshToken == "" {
		t.Error("no refresh token")
	}
	coder := asking("client_id", "coder")
	a := tokens(t, i, redeeming(authorize(t, i, coder).Get("code"), "client_id", "coder"))
	if a.AccessToken == "" || a.RefreshToken != "" {
		t.Errorf("a client without the grant: %+v", a)
	}
}

func TestRefreshReuseEndsTheGrant(t *testing.T) {
	i := newIssuer(t, nil)
	first := logIn(t, i)
	bystander := logIn(t, i)
	second := tokens(t, i, refreshing(first.RefreshToken))
	third := tokens(t, i, refreshing(second.RefreshToken))
	if a := tokens(t, i, refreshing(first.RefreshToken)); a.Error != "invalid_grant" {
		t.Fatalf("reuse: %+v", a)
	}
	if a := tokens(t, i, refreshing(third.RefreshToken)); a.Error != "invalid_grant" {
		t.Errorf("the newest token survived the reuse of an old one: %+v", a)
	}
	if _, err := oidc.NewLocal(i, devidp.TenantClaim).Verify(t.Context(), third.AccessToken); identity.Reason(err) != "token_revoked" {
		t.Errorf("the newest access token: %v", err)
	}
	if a := tokens(t, i, refreshing(bystander.RefreshToken)); a.Error != "" {
		t.Errorf("another grant of the same user: %+v", a)
	}
}

func TestClientCredentials(t *testing.T) {
	i := newIssuer(t, nil)
	const secret = "s3cret:/+"
	ask := func(id, password string, basic bool, changes ...string) answer {
		t.Helper()
		form := changed(url.Values{"grant_type": {"client_credentials"}}, changes)
		if !basic {
			form.Set("client_id", id)
			form.Set("client_secret", password)
			return tokens(t, i, form)
		}
		r := httptest.NewRequest(http.MethodPost, devidp.Prefix+"/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(password))
		return decode[answer](t, request(i, r))
	}
	for _, basic := range []bool{true, false} {
		a := ask("svc", secret, basic, "scope", "reason")
		if a.Error != "" || a.RefreshToken != "" || a.Scope != "reason" {
			t.Fatalf("basic %v: %+v", basic, a)
		}
		if p := whoever(t, i, a.AccessToken); p.Subject != "svc" || p.ClientID != "svc" || p.Tenant != devidp.DefaultTenant {
			t.Errorf("basic %v: principal %+v", basic, p)
		}
		for name, a := range map[string]answer{
			"wrong secret":   ask("svc", "wrong", basic),
			"no secret":      ask("svc", "", basic),
			"unknown client": ask("nobody", "", basic),
		} {
			if a.Error != "invalid_client" {
				t.Errorf("%s, basic %v: %+v", name, basic, a)
			}
		}
		if a := ask("app", "", basic); a.Error != "unauthorized_client" {
			t.Errorf("public client, basic %v: %+v", basic, a)
		}
		if a := ask("svc", secret, basic, "resource", "https://other.example"); a.Error != "invalid_target" {
			t.Errorf("unknown resource: %+v", a)
		}
		if a := ask("svc", secret, basic, "scope", "root"); a.Error != "invalid_scope" {
			t.Errorf("unknown scope: %+v", a)
		}
	}
	if a := ask("svc", secret, true, "client_secret", secret); a.Error != "invalid_request" {
		t.Errorf("two ways at once: %+v", a)
	}
	if a := ask("svc", secret, true, "client_id", "app"); a.Error != "invalid_request" {
		t.Errorf("two clients: %+v", a)
	}
	if a := ask("svc", secret, true, "client_id", "svc"); a.Error != "" {
		t.Errorf("the same client in the form: %+v", a)
	}
	r := post(i, "/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"svc"}})
	if r.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Basic") {
		t.Errorf("without secret: %s, %q", r.Status, r.Header.Get("WWW-Authenticate"))
	}
}

func TestRevocation(t *testing.T) {
	i := newIssuer(t, nil)
	v := oidc.NewLocal(i, devidp.TenantClaim)
	revoke := func(token, client string) *http.Response {
		return post(i, "/revoke", url.Values{"token": {token}, "client_id": {client}})
	}
	a := logIn(t, i)
	// By others, or of nothing: no error, no effect.
	for _, r := range []*http.Response{revoke(a.AccessToken, "other"), revoke(a.RefreshToken, "other"), revoke("x", "app"), revoke(a.IDToken+"a.b.c", "app")} {
		if r.StatusCode != http.StatusOK {
			t.Errorf("revocation without effect: %s", r.Status)
		}
	}
	whoever(t, i, a.AccessToken)
	revoke(a.AccessToken, "app")
	if _, err := v.Verify(t.Context(), a.AccessToken); identity.Reason(err) != "token_revoked" {
		t.Errorf("revoked access token: %v", err)
	}
	b := tokens(t, i, refreshing(a.RefreshToken))
	whoever(t, i, b.AccessToken)
	revoke(b.RefreshToken, "app")
	if c := tokens(t, i, refreshing(b.RefreshToken)); c.Error != "invalid_grant" {
		t.Errorf("revoked refresh token: %+v", c)
	}
	if _, err := v.Verify(t.Context(), b.AccessToken); identity.Reason(err) != "token_revoked" {
		t.Errorf("access token of the revoked grant: %v", err)
	}
	if r := revoke("", "app"); r.StatusCode != http.StatusBadRequest {
		t.Errorf("no token: %s", r.Status)
	}
	if r := revoke("x", "nobody"); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("unknown client: %s", r.Status)
	}
}
