package devidp_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/devidp"
)

func TestAuthorizeTellsThePerson(t *testing.T) {
	i := newIssuer(t, nil)
	for name, form := range map[string]url.Values{
		"unknown client":           asking("client_id", "nobody"),
		"no client":                asking("client_id", ""),
		"no redirect":              asking("redirect_uri", ""),
		"another redirect":         asking("redirect_uri", "https://evil.example/cb"),
		"another path":             asking("redirect_uri", "http://127.0.0.1/callback/x"),
		"path by dots":             asking("redirect_uri", "http://127.0.0.1/callback/../callback"),
		"another query":            asking("redirect_uri", callback+"?x=1"),
		"query taken away":         asking("redirect_uri", "https://app.example/cb"),
		"a fragment":               asking("redirect_uri", callback+"#x"),
		"an empty fragment":        asking("redirect_uri", callback+"#"),
		"a user":                   asking("redirect_uri", "http://u@127.0.0.1/callback"),
		"another scheme":           asking("redirect_uri", "https://127.0.0.1/callback"),
		"localhost for 127.0.0.1":  asking("redirect_uri", "http://localhost/callback"),
		"port of no loopback":      asking("redirect_uri", "https://app.example:444/cb?x=1"),
		"a host that looks like":   asking("redirect_uri", "http://127.0.0.1.evil.example/callback"),
		"host in the user part":    asking("redirect_uri", "http://127.0.0.1:80@evil.example/callback"),
		"a bad port":               asking("redirect_uri", "http://127.0.0.1:http/callback"),
		"client_id twice":          addTo(asking(), "client_id", "other"),
		"state twice":              addTo(asking(), "state", "x"),
		"a query that is too long": asking("state", strings.Repeat("x", 20<<10)),
	} {
		r := get(i, devidp.Prefix+"/authorize?"+form.Encode())
		if r.StatusCode/100 != 4 || r.Header.Get("Location") != "" {
			t.Errorf("%s: %s, location %q", name, r.Status, r.Header.Get("Location"))
		}
	}
	if r := get(i, devidp.Prefix+"/authorize?%zz"); r.StatusCode != http.StatusBadRequest {
		t.Errorf("unreadable query: %s", r.Status)
	}
}

func addTo(form url.Values, name, value string) url.Values {
	form.Add(name, value)
	return form
}

func TestAuthorizeTellsTheClient(t *testing.T) {
	i := newIssuer(t, nil)
	for name, tc := range map[string]struct {
		form url.Values
		want string
	}{
		"response type":          {asking("response_type", "token"), "unsupported_response_type"},
		"no challenge":           {asking("code_challenge", ""), "invalid_request"},
		"plain challenge":        {asking("code_challenge_method", "plain"), "invalid_request"},
		"no challenge method":    {asking("code_challenge_method", ""), "invalid_request"},
		"short challenge":        {asking("code_challenge", "abc"), "invalid_request"},
		"padded challenge":       {asking("code_challenge", strings.Repeat("A", 43)+"="), "invalid_request"},
		"unknown scopes only":    {asking("scope", "root offline_access"), "invalid_scope"},
		"long scope":             {asking("scope", strings.Repeat("reason ", 200)), "invalid_scope"},
		"long nonce":             {asking("nonce", strings.Repeat("n", 513)), "invalid_request"},
		"unknown resource":       {asking("resource", "https://other.example/mcp"), "invalid_target"},
		"one resource unknown":   {addTo(asking("resource", resource), "resource", "x"), "invalid_target"},
		"too many resources":     {merged(asking(), "resource", resource, resource, resource, resource, resource), "invalid_target"},
		"nothing wrong":          {asking(), ""},
		"client without grant":   {asking("client_id", "refresher"), "unauthorized_client"},
		"auto for nobody":        {asking("login_hint", "mallory"), "login_required"},
		"auto without hint":      {asking("login_hint", ""), "login_required"},
		"auto to the network":    {asking("redirect_uri", "https://app.example/cb?x=1"), "access_denied"},
		"auto to an application": {asking("redirect_uri", "app.example:/cb"), "access_denied"},
		"prompt none":            {asking("auto", "", "prompt", "none"), "login_required"},
	} {
		q := authorize(t, i, tc.form)
		if got := q.Get("error"); got != tc.want || (q.Get("code") == "") != (tc.want != "") {
			t.Errorf("%s: error %q (%s), code %q; want error %q", name, got, q.Get("error_description"), q.Get("code"), tc.want)
		}
		if q.Get("state") != "st" || q.Get("iss") != issuerURL {
			t.Errorf("%s: state %q, iss %q", name, q.Get("state"), q.Get("iss"))
		}
	}
	q := authorize(t, i, asking("redirect_uri", "https://app.example/cb?x=1", "auto", "", "prompt", "none"))
	if q.Get("x") != "1" {
		t.Error("the query of the redirect URI is lost")
	}
	r := httptest.NewRequest(http.MethodGet, devidp.Prefix+"/authorize?"+asking().Encode(), nil)
	r.Host = "127.0.0.1:8383"
	w := httptest.NewRecorder()
	i.ServeHTTP(w, r) // from httptest's 192.0.2.1
	if got := w.Result().Header.Get("Location"); !strings.Contains(got, "access_denied") {
		t.Errorf("auto from another machine leads to %s", got)
	}
}

func merged(form url.Values, name string, values ...string) url.Values {
	form[name] = values
	return form
}

func TestLoginPageIsOnlyForItself(t *testing.T) {
	i := newIssuer(t, nil)
	form := asking("auto", "")
	press := func(site, user string) *http.Response {
		f := url.Values{}
		maps.Copy(f, form)
		f.Set("user", user)
		r := httptest.NewRequest(http.MethodPost, devidp.Prefix+"/authorize", strings.NewReader(f.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", site)
		return request(i, r)
	}
	if r := press("cross-site", "alice"); r.StatusCode != http.StatusForbidden {
		t.Errorf("another site pressed a button: %s", r.Status)
	}
	for user, want := range map[string]string{"alice": "code=", "": "error=access_denied", "mallory": "error=access_denied"} {
		r := press("same-origin", user)
		if r.StatusCode != http.StatusSeeOther || !strings.Contains(r.Header.Get("Location"), want) {
			t.Errorf("user %q: %s to %s, want %s", user, r.Status, r.Header.Get("Location"), want)
		}
	}
}

// A client can be seen to refresh without waiting for an hour.
func TestAskedTTL(t *testing.T) {
	i := newIssuer(t, nil)
	for asked, want := range map[string]float64{"": 3600, "2": 2, "3600": 3600} {
		a := tokens(t, i, redeeming(authorize(t, i, asking("ttl", asked)).Get("code")))
		for range 2 { // the second is refreshed
			c := claimsOf(t, a.AccessToken)
			if got := c["exp"].(float64) - c["iat"].(float64); got != want || float64(a.ExpiresIn) != want {
				t.Errorf("ttl %q: lives %g s, expires_in %d, want %g", asked, got, a.ExpiresIn, want)
			}
			a = tokens(t, i, changed(map[string][]string{"grant_type": {"refresh_token"}, "client_id": {"app"}}, []string{"refresh_token", a.RefreshToken}))
		}
	}
	for _, bad := range []string{"0", "-1", "3601", "1h", "99999999999"} {
		if q := authorize(t, i, asking("ttl", bad)); q.Get("error") != "invalid_request" {
			t.Errorf("ttl %s: %v", bad, q)
		}
	}
}
