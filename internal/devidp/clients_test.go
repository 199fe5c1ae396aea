package devidp_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/devidp"
)

type registered struct {
	ID           string   `json:"client_id"`
	Secret       string   `json:"client_secret"`
	Issued       int64    `json:"client_id_issued_at"`
	Expires      *int64   `json:"client_secret_expires_at"`
	RedirectURIs []string `json:"redirect_uris"`
	Grants       []string `json:"grant_types"`
	Auth         string   `json:"token_endpoint_auth_method"`
	Error        string   `json:"error"`
	Description  string   `json:"error_description"`
}

func register(t *testing.T, h http.Handler, metadata string) (registered, int) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, devidp.Prefix+"/register", strings.NewReader(metadata))
	r.Header.Set("Content-Type", "application/json")
	a := request(h, r)
	return decode[registered](t, a), a.StatusCode
}

func TestRegistration(t *testing.T) {
	i := newIssuer(t, nil)
	// What a well-known editor sends: redirects of several kinds at once, and the
	// scope of the first challenge.
	c, status := register(t, i, `{"client_name":"Editor","redirect_uris":["https://editor.example/redirect","http://127.0.0.1/","http://127.0.0.1:33418/","editor://cb"],
		"grant_types":["authorization_code","refresh_token","urn:ietf:params:oauth:grant-type:device_code"],"response_types":["code"],
		"token_endpoint_auth_method":"none","scope":"reason","application_type":"native"}`)
	if status != http.StatusCreated || c.ID == "" || c.Secret != "" || c.Issued == 0 || c.Auth != "none" || len(c.RedirectURIs) != 4 || len(c.Grants) != 2 {
		t.Fatalf("status %d: %+v", status, c)
	}
	const redirect = "http://127.0.0.1:5999/"
	code := authorize(t, i, asking("client_id", c.ID, "redirect_uri", redirect)).Get("code")
	a := tokens(t, i, redeeming(code, "client_id", c.ID, "redirect_uri", redirect))
	if a.AccessToken == "" || a.RefreshToken == "" || a.Scope != "reason code" {
		t.Errorf("tokens of a registered client: %+v", a)
	}
	// Step-up: the registered scope does not bind.
	code = authorize(t, i, asking("client_id", c.ID, "redirect_uri", redirect, "scope", "reason code admin.read")).Get("code")
	if a := tokens(t, i, redeeming(code, "client_id", c.ID, "redirect_uri", redirect)); a.Scope != "reason code admin.read" {
		t.Errorf("step-up: %+v", a)
	}
}

func TestRegistrationOfAService(t *testing.T) {
	i := newIssuer(t, nil)
	for _, method := range []string{"", "client_secret_basic", "client_secret_post"} {
		c, status := register(t, i, `{"client_name":"svc","grant_types":["client_credentials"],"token_endpoint_auth_method":"`+method+`"}`)
		if status != http.StatusCreated || c.Secret == "" || c.Expires == nil || c.Auth == "" {
			t.Fatalf("%q: status %d, %+v", method, status, c)
		}
		a := tokens(t, i, url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ID}, "client_secret": {c.Secret}})
		if a.AccessToken == "" {
			t.Errorf("%q: %+v", method, a)
		}
	}
}

// Clients read the answer by its schema, which knows no null.
func TestRegistrationAnswersWithLists(t *testing.T) {
	i := newIssuer(t, nil)
	r := httptest.NewRequest(http.MethodPost, devidp.Prefix+"/register", strings.NewReader(`{"grant_types":["client_credentials"]}`))
	text := body(t, request(i, r))
	for _, want := range []string{`"redirect_uris":[]`, `"response_types":[]`, `"grant_types":["client_credentials"]`} {
		if !strings.Contains(text, want) {
			t.Errorf("the answer lacks %s: %s", want, text)
		}
	}
}

func TestRegistrationIsRefused(t *testing.T) {
	i := newIssuer(t, nil)
	redirects := func(uris ...string) string {
		b, err := json.Marshal(map[string]any{"redirect_uris": uris, "token_endpoint_auth_method": "none"})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, tc := range map[string]struct{ metadata, want string }{
		"not JSON":             {"redirect_uris=x", "invalid_client_metadata"},
		"too long":             {`{"client_name":"` + strings.Repeat("x", 70<<10) + `"}`, "invalid_client_metadata"},
		"a long name":          {`{"client_name":"` + strings.Repeat("x", 200) + `","redirect_uris":["https://a.example"]}`, "invalid_client_metadata"},
		"no redirects":         {redirects(), "invalid_redirect_uri"},
		"many redirects":       {redirects(strings.Split(strings.Repeat("https://a.example ", 21), " ")[:21]...), "invalid_redirect_uri"},
		"a long redirect":      {redirects("https://a.example/" + strings.Repeat("x", 2048)), "invalid_redirect_uri"},
		"plain http":           {redirects("http://a.example/cb"), "invalid_redirect_uri"},
		"a script":             {redirects("javascript:alert(1)"), "invalid_redirect_uri"},
		"a script in capitals": {redirects("JavaScript:alert(1)"), "invalid_redirect_uri"},
		"data":                 {redirects("data:text/html,x"), "invalid_redirect_uri"},
		"a file":               {redirects("file:///etc/passwd"), "invalid_redirect_uri"},
		"relative":             {redirects("/cb"), "invalid_redirect_uri"},
		"without host":         {redirects("https:///cb"), "invalid_redirect_uri"},
		"a fragment":           {redirects("https://a.example/cb#x"), "invalid_redirect_uri"},
		"a user":               {redirects("https://u:p@a.example/cb"), "invalid_redirect_uri"},
		"one bad of two":       {redirects("https://a.example/cb", "http://a.example/cb"), "invalid_redirect_uri"},
		"auth method":          {`{"redirect_uris":["https://a.example"],"token_endpoint_auth_method":"private_key_jwt"}`, "invalid_client_metadata"},
		"grants":               {`{"redirect_uris":["https://a.example"],"grant_types":["password"]}`, "invalid_client_metadata"},
		"responses":            {`{"redirect_uris":["https://a.example"],"response_types":["token"]}`, "invalid_client_metadata"},
		"public service":       {`{"grant_types":["client_credentials"],"token_endpoint_auth_method":"none"}`, "invalid_client_metadata"},
	} {
		c, status := register(t, i, tc.metadata)
		if status != http.StatusBadRequest || c.Error != tc.want || c.ID != "" || strings.ContainsAny(c.Description, "\"\\\n") {
			t.Errorf("%s: status %d, %+v; want %s", name, status, c, tc.want)
		}
	}
}

// TestEverythingIsBounded fills each shelf and checks that the newest still works
// and the oldest made room.
func TestEverythingIsBounded(t *testing.T) {
	i := newIssuer(t, nil)
	const metadata = `{"redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none"}`
	known := func(id string) bool {
		return get(i, devidp.Prefix+"/authorize?"+asking("client_id", id).Encode()).StatusCode == http.StatusFound
	}
	first, _ := register(t, i, metadata)
	if !known(first.ID) {
		t.Fatal("the first client is not known")
	}
	var last registered
	for range 1000 {
		last, _ = register(t, i, metadata)
	}
	if known(first.ID) || !known(last.ID) || !known("app") {
		t.Errorf("after 1,001 registrations: first known %v, last %v, configured %v; want only the first gone", known(first.ID), known(last.ID), known("app"))
	}

	oldest := authorize(t, i, asking()).Get("code")
	var newest string
	for range 1000 {
		newest = authorize(t, i, asking()).Get("code")
	}
	if a := tokens(t, i, redeeming(oldest)); a.Error != "invalid_grant" {
		t.Errorf("the oldest of 1,001 codes: %+v", a)
	}
	if a := tokens(t, i, redeeming(newest)); a.Error != "" {
		t.Errorf("the newest of 1,001 codes: %+v", a)
	}
}
