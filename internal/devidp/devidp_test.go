package devidp_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/oauth2"

	"github.com/lyceum-mcp/lyceum/internal/devidp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuerURL = "http://127.0.0.1:8383/dev/idp"
	resource  = "http://127.0.0.1:8383/mcp"
	callback  = "http://127.0.0.1/callback"
)

// newIssuer returns an issuer with quick keys and two clients.
func newIssuer(t *testing.T, change func(*devidp.Config)) *devidp.Issuer {
	t.Helper()
	config := devidp.Config{
		Issuer: issuerURL, Resources: []string{resource, "http://127.0.0.1:8383/other"}, Algorithm: "ES256",
		Clients: []devidp.Client{
			{ID: "app", Name: "The <App>", RedirectURIs: []string{callback, "https://app.example/cb?x=1", "app.example:/cb"}},
			{ID: "other", RedirectURIs: []string{callback}},
			{ID: "svc", Secret: "s3cret:/+", Grants: []string{"client_credentials"}},
			{ID: "coder", RedirectURIs: []string{callback}, Grants: []string{"authorization_code"}},
			{ID: "refresher", RedirectURIs: []string{callback}, Grants: []string{"refresh_token"}},
		},
	}
	if change != nil {
		change(&config)
	}
	i, err := devidp.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// serve listens on a free port and tells the issuer where.
func serve(t *testing.T, i *devidp.Issuer) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	if err := i.SetIssuer(server.URL+devidp.Prefix, server.URL+"/mcp"); err != nil {
		t.Fatal(err)
	}
	return server
}

// request sends a request to the handler, as from this machine.
func request(h http.Handler, r *http.Request) *http.Response {
	r.RemoteAddr = "127.0.0.1:40000"
	if r.Host == "example.com" { // httptest's own idea
		r.Host = "127.0.0.1:8383"
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func get(h http.Handler, target string) *http.Response {
	return request(h, httptest.NewRequest(http.MethodGet, target, nil))
}

func post(h http.Handler, path string, form url.Values) *http.Response {
	r := httptest.NewRequest(http.MethodPost, devidp.Prefix+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request(h, r)
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

type answer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	Scope        string `json:"scope"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
	Error        string `json:"error"`
	Description  string `json:"error_description"`
}

func decode[T any](t *testing.T, r *http.Response) (v T) {
	t.Helper()
	text := body(t, r)
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %q: %v", r.Status, text, err)
	}
	return v
}

// tokens posts to the token endpoint and checks the form of the answer.
func tokens(t *testing.T, h http.Handler, form url.Values) answer {
	t.Helper()
	r := post(h, "/token", form)
	a := decode[answer](t, r)
	if r.Header.Get("Cache-Control") != "no-store" {
		t.Error("a token answer may be cached")
	}
	if good := a.Error == ""; good != (r.StatusCode == http.StatusOK) || good != (a.AccessToken != "") || strings.ContainsAny(a.Description, "\"\\\n") {
		t.Errorf("status %d with %+v", r.StatusCode, a)
	}
	return a
}

const verifier = "0123456789-0123456789-0123456789-0123456789"

// asking returns a good authorization request with changes; "" takes one away.
func asking(changes ...string) url.Values {
	form := url.Values{
		"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {callback}, "state": {"st"}, "nonce": {"n"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
		"auto": {"1"}, "login_hint": {"alice"},
	}
	return changed(form, changes)
}

func changed(form url.Values, changes []string) url.Values {
	for at := 0; at < len(changes); at += 2 {
		form.Set(changes[at], changes[at+1])
		if changes[at+1] == "" {
			form.Del(changes[at])
		}
	}
	return form
}

// authorize sends an authorization request and returns what the client is told.
func authorize(t *testing.T, h http.Handler, form url.Values) url.Values {
	t.Helper()
	r := get(h, devidp.Prefix+"/authorize?"+form.Encode())
	location, err := r.Location()
	if err != nil {
		t.Fatalf("no redirect: %s: %s", r.Status, body(t, r))
	}
	return location.Query()
}

// redeeming returns the exchange of a code from asking.
func redeeming(code string, changes ...string) url.Values {
	return changed(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"app"}, "redirect_uri": {callback}, "code": {code}, "code_verifier": {verifier},
	}, changes)
}

func refreshing(token string, changes ...string) url.Values {
	return changed(url.Values{"grant_type": {"refresh_token"}, "client_id": {"app"}, "refresh_token": {token}}, changes)
}

// logIn goes through the code flow and returns the first tokens.
func logIn(t *testing.T, h http.Handler, changes ...string) answer {
	t.Helper()
	a := tokens(t, h, redeeming(authorize(t, h, asking(changes...)).Get("code")))
	if a.Error != "" {
		t.Fatalf("%+v", a)
	}
	return a
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]devidp.Config{
		"issuer elsewhere":      {Issuer: "http://127.0.0.1:1/idp"},
		"issuer with query":     {Issuer: issuerURL + "?x"},
		"issuer with slash":     {Issuer: issuerURL + "/"},
		"issuer of no scheme":   {Issuer: "127.0.0.1/dev/idp"},
		"issuer of bad scheme":  {Issuer: "ftp://127.0.0.1/dev/idp"},
		"algorithm":             {Algorithm: "HS256"},
		"user twice":            {Users: []devidp.User{{Sub: "a"}, {Sub: "a"}}},
		"user without name":     {Users: []devidp.User{{Name: "A"}}},
		"scope with space":      {Scopes: []string{"a b"}},
		"empty default scope":   {DefaultScopes: []string{""}},
		"ttl":                   {TTL: 31 * 24 * 3600e9},
		"negative ttl":          {TTL: -1},
		"refresh ttl":           {RefreshTTL: 1},
		"client without id":     {Clients: []devidp.Client{{Name: "x"}}},
		"client on plain http":  {Clients: []devidp.Client{{ID: "x", RedirectURIs: []string{"http://app.example/cb"}}}},
		"grant without secret":  {Clients: []devidp.Client{{ID: "x", Grants: []string{"client_credentials"}}}},
		"grant unknown":         {Clients: []devidp.Client{{ID: "x", Grants: []string{"password"}}}},
		"key dir cannot be one": {KeyDir: "devidp_test.go"},
	} {
		c.Algorithm = orES256(c.Algorithm)
		if _, err := devidp.New(c); err == nil {
			t.Errorf("%s: New accepted %+v", name, c)
		}
	}
}

func orES256(s string) string {
	if s == "" {
		return "ES256"
	}
	return s
}

func TestNotReadyBeforeItKnowsItsURL(t *testing.T) {
	i := newIssuer(t, func(c *devidp.Config) { c.Issuer = "" })
	if r := get(i, devidp.Prefix+"/jwks"); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", r.StatusCode)
	}
	if err := i.SetIssuer("http://127.0.0.1:1"); err == nil {
		t.Error("SetIssuer accepted a URL without the prefix")
	}
	if err := i.SetIssuer(issuerURL); err != nil {
		t.Fatal(err)
	}
	if r := get(i, devidp.Prefix+"/jwks"); r.StatusCode != http.StatusOK {
		t.Errorf("status %d, want 200", r.StatusCode)
	}
}

func TestOnlyLoopbackHosts(t *testing.T) {
	i := newIssuer(t, nil)
	for host, want := range map[string]int{
		"127.0.0.1:8383": 200, "localhost:8383": 200, "[::1]:8383": 200, "[::1]": 200, "localhost": 200,
		"evil.example": 421, "evil.example:8383": 421, "127.0.0.1.evil.example": 421, "192.168.1.2:8383": 421, "": 421,
	} {
		r := httptest.NewRequest(http.MethodGet, devidp.Prefix+"/jwks", nil)
		r.Host = host
		if got := request(i, r).StatusCode; got != want {
			t.Errorf("host %q: status %d, want %d", host, got, want)
		}
	}
	// An issuer that was given another host answers to that as well.
	if err := i.SetIssuer("https://dev.example/dev/idp"); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, devidp.Prefix+"/jwks", nil)
	r.Host = "dev.example"
	if got := request(i, r).StatusCode; got != http.StatusOK {
		t.Errorf("its own host: status %d", got)
	}
}

func TestCORS(t *testing.T) {
	i := newIssuer(t, nil)
	for _, tc := range []struct {
		method, path, origin string
		allowed              bool
	}{
		{"GET", "/.well-known/oauth-authorization-server", "https://tool.example", true},
		{"OPTIONS", "/.well-known/oauth-authorization-server", "https://tool.example", true},
		{"OPTIONS", "/jwks", "https://tool.example", true},
		{"OPTIONS", "/token", "http://localhost:6274", true},
		{"OPTIONS", "/register", "http://127.0.0.1:6274", true},
		{"OPTIONS", "/token", "https://evil.example", false},
		{"OPTIONS", "/register", "https://evil.example", false},
		{"OPTIONS", "/revoke", "null", false},
		{"OPTIONS", "/authorize", "http://localhost:6274", false},
	} {
		r := httptest.NewRequest(tc.method, devidp.Prefix+tc.path, nil)
		r.Header.Set("Origin", tc.origin)
		a := request(i, r)
		if got := a.Header.Get("Access-Control-Allow-Origin"); (got == tc.origin) != tc.allowed || got != "" && got != tc.origin {
			t.Errorf("%s %s from %s: allowed origin %q", tc.method, tc.path, tc.origin, got)
		}
		if tc.method == "OPTIONS" && (a.StatusCode == http.StatusNoContent) != tc.allowed {
			t.Errorf("%s %s from %s: status %d", tc.method, tc.path, tc.origin, a.StatusCode)
		}
	}
}

func TestPathsReachTheIssuer(t *testing.T) {
	i := newIssuer(t, nil)
	mux := http.NewServeMux()
	for _, p := range devidp.Paths() {
		mux.Handle(p, i)
	}
	first := ""
	for _, path := range []string{
		"/dev/idp/.well-known/openid-configuration", "/dev/idp/.well-known/oauth-authorization-server",
		"/.well-known/openid-configuration/dev/idp", "/.well-known/oauth-authorization-server/dev/idp",
	} {
		r := get(mux, path)
		doc := body(t, r)
		if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s", path, r.Status)
		}
		if first == "" {
			first = doc
		}
		if doc != first {
			t.Errorf("%s differs:\n%s", path, doc)
		}
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(first), "", "  "); err != nil {
		t.Fatal(err)
	}
	golden(t, "metadata.json", indented.Bytes())
	for _, path := range []string{"/dev/idp/nothing", "/dev/idp/"} {
		if r := get(mux, path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
}
