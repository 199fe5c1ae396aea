package oidc_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/identity/oidc"
)

const endpoint = "https://id.example/introspect"

// roundTrip is an http.RoundTripper made of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(r *http.Request, status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

func newIntrospector(t *testing.T, f roundTrip, change func(*oidc.IntrospectionConfig)) *oidc.Introspector {
	t.Helper()
	c := oidc.IntrospectionConfig{
		Rules:    oidc.Config{Issuer: issuerURL, Audiences: []string{audience}, Tenant: "acme"},
		Endpoint: endpoint, ClientID: "me & you", ClientSecret: "a:b c",
	}
	if change != nil {
		change(&c)
	}
	i, err := oidc.NewIntrospector(c, &http.Client{Transport: f})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestIntrospection(t *testing.T) {
	exp := time.Now().Add(time.Hour).Unix()
	active := func(more string) string {
		return fmt.Sprintf(`{"active":true,"sub":"olga","aud":"%s","scope":"reason","exp":%d%s}`, audience, exp, more)
	}
	for _, tt := range []struct{ name, body, reason string }{
		{"active", active(""), ""},
		{"active, with iss", active(`,"iss":"` + issuerURL + `"`), ""},
		{"active, DPoP type", active(`,"token_type":"DPoP"`), ""},
		{"without exp", `{"active":true,"sub":"olga","aud":["` + audience + `"]}`, ""},
		{"inactive", `{"active":false}`, "inactive_token"},
		{"inactive, with everything", strings.Replace(active(""), "true", "false", 1), "inactive_token"},
		{"another issuer", active(`,"iss":"https://evil.example"`), "unknown_issuer"},
		{"another audience", `{"active":true,"sub":"olga","aud":"x"}`, "wrong_audience"},
		{"no audience", `{"active":true,"sub":"olga"}`, "wrong_audience"},
		{"over", `{"active":true,"sub":"olga","aud":"` + audience + `","exp":1}`, "token_expired"},
		{"not yet", active(fmt.Sprintf(`,"nbf":%d`, exp)), "token_not_yet_valid"},
		{"no sub", `{"active":true,"aud":"` + audience + `"}`, "bad_subject"},
		{"sub is a number", `{"active":true,"sub":1,"aud":"` + audience + `"}`, "bad_subject"},
		{"refresh token", active(`,"token_type":"refresh_token"`), "not_an_access_token"},
		{"Keycloak's refresh token", active(`,"typ":"Refresh"`), "not_an_access_token"},
		{"ID token", active(`,"nonce":"n"`), "not_an_access_token"},
		{"bound", active(`,"cnf":{"jkt":"x"}`), "sender_constrained"},
	} {
		i := newIntrospector(t, func(r *http.Request) (*http.Response, error) { return answer(r, 200, tt.body), nil }, nil)
		p, err := i.Verify(t.Context(), "opaque")
		if got := identity.Reason(err); got != tt.reason || (err == nil) != (tt.reason == "") {
			t.Errorf("%s: %v, want reason %q", tt.name, err, tt.reason)
		}
		if err == nil && (p.Tenant != "acme" || p.Subject != "olga" || p.Issuer != issuerURL || p.TokenKey == "" || time.Until(p.Recheck) > time.Minute) {
			t.Errorf("%s: %+v", tt.name, p)
		}
	}
}

func TestIntrospectionAsks(t *testing.T) {
	var got *http.Request
	var form url.Values
	ask := func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		got, form = r, must(url.ParseQuery(string(body)))
		return answer(r, 200, `{"active":false}`), err
	}
	basic := newIntrospector(t, ask, nil)
	if _, err := basic.Verify(t.Context(), "a+b/c="); identity.Reason(err) != "inactive_token" {
		t.Fatal(err)
	}
	id, secret, _ := got.BasicAuth()
	if got.Method != "POST" || got.URL.String() != endpoint || id != "me+%26+you" || secret != "a%3Ab+c" || form.Get("token") != "a+b/c=" || form.Has("client_secret") {
		t.Errorf("%s %s as %q %q with %v", got.Method, got.URL, id, secret, form)
	}
	post := newIntrospector(t, ask, func(c *oidc.IntrospectionConfig) { c.Auth = oidc.AuthPost })
	if _, err := post.Verify(t.Context(), "x"); err == nil || form.Get("client_id") != "me & you" || form.Get("client_secret") != "a:b c" || got.Header.Get("Authorization") != "" {
		t.Errorf("post: %v %v", err, form)
	}
	for _, token := range []string{"", "with space", "umlaut-ü", "line\nbreak", "a=b", strings.Repeat("x", 17<<10)} {
		got = nil
		if _, err := basic.Verify(t.Context(), token); fault.KindOf(err) != fault.Unauthenticated || got != nil {
			t.Errorf("%.20q was asked about: %v", token, err)
		}
	}
}

func TestIntrospectionOutages(t *testing.T) {
	for name, f := range map[string]roundTrip{
		"no answer":      func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") },
		"500":            func(r *http.Request) (*http.Response, error) { return answer(r, 500, ""), nil },
		"401":            func(r *http.Request) (*http.Response, error) { return answer(r, 401, ""), nil },
		"not JSON":       func(r *http.Request) (*http.Response, error) { return answer(r, 200, "<html>"), nil },
		"active is text": func(r *http.Request) (*http.Response, error) { return answer(r, 200, `{"active":"true"}`), nil },
		"active is twice": func(r *http.Request) (*http.Response, error) {
			return answer(r, 200, `{"active":false,"active":true}`), nil
		},
		"nothing": func(r *http.Request) (*http.Response, error) { return answer(r, 200, `{}`), nil },
		"too long": func(r *http.Request) (*http.Response, error) {
			return answer(r, 200, `{"active":true,"x":"`+strings.Repeat("x", 70<<10)+`"}`), nil
		},
		"redirect": func(r *http.Request) (*http.Response, error) {
			if r.URL.Host != "id.example" {
				t.Error("the redirect was followed, with our secret")
			}
			a := answer(r, 307, "")
			a.Header.Set("Location", "https://evil.example/")
			return a, nil
		},
	} {
		if _, err := newIntrospector(t, f, nil).Verify(t.Context(), "opaque"); fault.KindOf(err) != fault.Unavailable || fault.From(err).RetryAfter == 0 {
			t.Errorf("%s: %v, want Unavailable with a time to retry", name, err)
		}
	}
}

// A dead endpoint is asked a handful of times, whatever comes, and is asked again
// when it may be back.
func TestBreakerKeepsFloodsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		var back atomic.Bool
		i := newIntrospector(t, func(r *http.Request) (*http.Response, error) {
			if asked.Add(1); back.Load() {
				return answer(r, 200, `{"active":false}`), nil
			}
			return nil, errors.New("refused")
		}, nil)
		for n := range 1000 {
			if _, err := i.Verify(t.Context(), fmt.Sprint("t", n)); fault.KindOf(err) != fault.Unavailable {
				t.Fatal(err)
			}
		}
		if n := asked.Load(); n != 5 {
			t.Errorf("asked %d times, want 5", n)
		}
		back.Store(true)
		time.Sleep(time.Second)
		if _, err := i.Verify(t.Context(), "t"); identity.Reason(err) != "inactive_token" {
			t.Errorf("when it is back: %v", err)
		}
	})
}

func TestIntrospectors(t *testing.T) {
	says := func(body string, prefix string) *oidc.Introspector {
		return newIntrospector(t, func(r *http.Request) (*http.Response, error) {
			if body == "down" {
				return nil, errors.New("refused")
			}
			return answer(r, 200, body), nil
		}, func(c *oidc.IntrospectionConfig) { c.Prefix = prefix })
	}
	yes, no, down := `{"active":true,"sub":"a","aud":"`+audience+`"}`, `{"active":false}`, "down"
	for _, tt := range []struct {
		name string
		all  oidc.Introspectors
		want fault.Kind // 0 is accepted
		ok   bool
	}{
		{"the second knows it", oidc.Introspectors{says(no, ""), says(yes, "")}, 0, true},
		{"one is down, another knows it", oidc.Introspectors{says(down, ""), says(yes, "")}, 0, true},
		{"one is down, another does not", oidc.Introspectors{says(down, ""), says(no, "")}, fault.Unavailable, false},
		{"nobody knows it", oidc.Introspectors{says(no, ""), says(no, "")}, fault.Unauthenticated, false},
		{"of another prefix", oidc.Introspectors{says(yes, "b_")}, fault.Unauthenticated, false},
		{"of its prefix", oidc.Introspectors{says(down, "b_"), says(yes, "a_")}, 0, true},
	} {
		_, err := tt.all.Verify(t.Context(), "a_token")
		if (err == nil) != tt.ok || !tt.ok && fault.KindOf(err) != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestIntrospectionConfig(t *testing.T) {
	for name, change := range map[string]func(*oidc.IntrospectionConfig){
		"plain http": func(c *oidc.IntrospectionConfig) { c.Endpoint = "http://id.example/i" },
		"no secret":  func(c *oidc.IntrospectionConfig) { c.ClientSecret = "" },
		"auth":       func(c *oidc.IntrospectionConfig) { c.Auth = "none" },
		"age":        func(c *oidc.IntrospectionConfig) { c.MaxAge = time.Hour },
		"audience":   func(c *oidc.IntrospectionConfig) { c.Rules.Audiences = nil },
	} {
		c := oidc.IntrospectionConfig{Rules: oidc.Config{Issuer: issuerURL, Audiences: []string{audience}}, Endpoint: endpoint, ClientID: "c", ClientSecret: "s"}
		change(&c)
		if _, err := oidc.NewIntrospector(c, nil); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// Ten thousand bad tokens with ten thousand unknown kids cost the issuer a handful
// of requests.
func TestTenThousandUnknownKids(t *testing.T) {
	n := newNetwork(signES)
	v := newVerifier(t, n, nil)
	header, claims := signES(), goodClaims(nil)
	for i := range 10_000 {
		token := compact("", nil, header.header(fields{"kid": fmt.Sprint("k", i)}), claims) + "AAAA"
		if _, err := v.Verify(t.Context(), token); identity.Reason(err) != "unknown_key" {
			t.Fatalf("token %d: %v", i, err)
		}
	}
	if asked := n.count(jwksURL); asked > 3 {
		t.Errorf("%d fetches, want a handful", asked)
	}
}

func TestRulesOfIssuers(t *testing.T) {
	thumb := strings.Repeat("A", 43)
	for _, tt := range []struct {
		name           string
		config         func(*oidc.Config)
		header, claims fields
		reason         string
	}{
		{"any typ", func(c *oidc.Config) { c.Typ = oidc.TypAny }, fields{"typ": "okta-internal-at+jwt"}, nil, ""},
		{"any typ, of a logout token", func(c *oidc.Config) { c.Typ = oidc.TypAny }, fields{"typ": "logout+jwt"}, nil, "bad_type"},
		{"any typ, of a proof", func(c *oidc.Config) { c.Typ = oidc.TypAny }, fields{"typ": "DPoP+JWT"}, nil, "bad_type"},
		{"any typ, an ID token", func(c *oidc.Config) { c.Typ = oidc.TypAny }, fields{"typ": "x"}, fields{"nonce": "n"}, "not_an_access_token"},
		{"listed tenant", func(c *oidc.Config) { c.TenantClaim, c.Tenants = "tenant", []string{"globex", "acme"} }, nil, nil, ""},
		{"unlisted tenant", func(c *oidc.Config) { c.TenantClaim, c.Tenants = "tenant", []string{"globex"} }, nil, nil, "bad_tenant"},
		{"required claim", func(c *oidc.Config) { c.Required = []string{"jti"} }, nil, nil, ""},
		{"required claim missing", func(c *oidc.Config) { c.Required = []string{"acr"} }, nil, nil, "missing_claim"},
		{"required claim empty", func(c *oidc.Config) { c.Required = []string{"acr"} }, nil, fields{"acr": ""}, "missing_claim"},
		{"bound, off", nil, nil, fields{"cnf": fields{"jkt": thumb}}, "sender_constrained"},
		{"bound, accepted", func(c *oidc.Config) { c.DPoP = oidc.DPoPAccepted }, nil, fields{"cnf": fields{"jkt": thumb}}, ""},
		{"bearer, accepted", func(c *oidc.Config) { c.DPoP = oidc.DPoPAccepted }, nil, nil, ""},
		{"bearer, required", func(c *oidc.Config) { c.DPoP = oidc.DPoPRequired }, nil, nil, "not_sender_constrained"},
		{"bound in two ways", func(c *oidc.Config) { c.DPoP = oidc.DPoPAccepted }, nil, fields{"cnf": fields{"jkt": thumb, "x5t#S256": thumb}}, "bad_confirmation"},
		{"bound to a short hash", func(c *oidc.Config) { c.DPoP = oidc.DPoPAccepted }, nil, fields{"cnf": fields{"jkt": "AAAA"}}, "bad_confirmation"},
	} {
		v := newVerifier(t, newNetwork(signES), tt.config)
		if got := reason(t.Context(), v, signES().token(tt.header, tt.claims)); got != tt.reason {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.reason)
		}
	}
	for name, change := range map[string]func(*oidc.Config){
		"typ":     func(c *oidc.Config) { c.Typ = "x" },
		"dpop":    func(c *oidc.Config) { c.DPoP = "x" },
		"tenants": func(c *oidc.Config) { c.Tenants = []string{"acme"} },
	} {
		c := oidc.Config{Issuer: issuerURL, Audiences: []string{audience}}
		if change(&c); c.Validate() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
