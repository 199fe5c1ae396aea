package devidp_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/devidp"
)

// site is a web site where clients describe themselves.
type site struct {
	*httptest.Server
	fetched atomic.Int64
	body    atomic.Value // string; SELF in it is the URL that was asked for
}

func newSite(t *testing.T) (*site, *x509.CertPool) {
	t.Helper()
	s := &site{}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fetched.Add(1)
		fmt.Fprint(w, strings.ReplaceAll(s.body.Load().(string), "SELF", s.URL+r.URL.RequestURI()))
	})
	mux.HandleFunc("/moved.json", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/client.json", http.StatusFound) })
	mux.HandleFunc("/gone.json", http.NotFound)
	s.Server = httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s, pool
}

const document = `{"client_id":"SELF","client_name":"The <Program>","redirect_uris":["` + callback + `"],"token_endpoint_auth_method":"none",` +
	`"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"client_uri":"https://app.example","logo_uri":"https://app.example/x.png"}`

// A client that nobody registered logs in, refreshes and revokes.
func TestClientDocument(t *testing.T) {
	s, pool := newSite(t)
	i := newIssuer(t, func(c *devidp.Config) { c.Roots = pool })
	s.body.Store(document)
	id := s.URL + "/client.json"
	q := authorize(t, i, asking("client_id", id))
	first := tokens(t, i, redeeming(q.Get("code"), "client_id", id))
	if c := claimsOf(t, first.AccessToken); c["client_id"] != id || c["sub"] != "alice" {
		t.Errorf("claims %v, error %s %s", c, first.Error, first.Description)
	}
	second := tokens(t, i, changed(map[string][]string{"grant_type": {"refresh_token"}, "client_id": {id}}, []string{"refresh_token", first.RefreshToken}))
	if second.AccessToken == "" || second.RefreshToken == first.RefreshToken {
		t.Errorf("refresh: %+v", second)
	}
	if r := post(i, "/revoke", map[string][]string{"client_id": {id}, "token": {second.RefreshToken}}); r.StatusCode != http.StatusOK {
		t.Errorf("revoke: %s", r.Status)
	}
	if n := s.fetched.Load(); n != 1 {
		t.Errorf("the document was fetched %d times within a minute", n)
	}
	// The page says who vouches for the name.
	page := body(t, get(i, devidp.Prefix+"/authorize?"+asking("client_id", id, "auto", "").Encode()))
	if want := "The &lt;Program&gt; (" + strings.TrimPrefix(s.URL, "https://") + ")"; !strings.Contains(page, want) {
		t.Errorf("the page lacks %s:\n%s", want, page)
	}
	// It is held to its own redirect URIs, and to being a public client.
	if r := get(i, devidp.Prefix+"/authorize?"+asking("client_id", id, "redirect_uri", "https://evil.example/cb").Encode()); r.StatusCode != http.StatusBadRequest {
		t.Errorf("another redirect URI: %s", r.Status)
	}
	if a := tokens(t, i, redeeming("x", "client_id", id, "client_secret", "s")); a.Error != "invalid_client" {
		t.Errorf("with a secret: %+v", a)
	}
	if a := tokens(t, i, map[string][]string{"grant_type": {"client_credentials"}, "client_id": {id}}); a.Error != "unauthorized_client" {
		t.Errorf("client credentials: %+v", a)
	}
}

func TestBadClientDocuments(t *testing.T) {
	s, pool := newSite(t)
	i := newIssuer(t, func(c *devidp.Config) { c.Roots = pool })
	plain := strings.Replace(s.URL, "https:", "http:", 1)
	for name, tc := range map[string]struct{ id, body, want string }{
		"plain http":                   {plain + "/client.json", document, "not registered"},
		"no path":                      {s.URL, document, "with a path"},
		"root":                         {s.URL + "/", document, "with a path"},
		"fragment":                     {s.URL + "/c.json#x", document, "without user and fragment"},
		"user":                         {strings.Replace(s.URL, "://", "://u@", 1) + "/c.json", document, "without user and fragment"},
		"dots":                         {s.URL + "/a/../c.json", document, "dot segments"},
		"encoded dots":                 {s.URL + "/a/%2e%2e/c.json", document, "dot segments"},
		"long":                         {s.URL + "/" + strings.Repeat("x", 2048), document, "2048 bytes"},
		"redirect":                     {s.URL + "/moved.json", document, "status is 302"},
		"not found":                    {s.URL + "/gone.json", document, "status is 404"},
		"another id":                   {s.URL + "/c.json", strings.Replace(document, "SELF", s.URL+"/other.json", 1), "want the URL of the document"},
		"no id":                        {s.URL + "/c.json", `{"redirect_uris":["` + callback + `"]}`, "want the URL of the document"},
		"secret":                       {s.URL + "/c.json", strings.Replace(document, `{`, `{"client_secret":"",`, 1), "public client"},
		"keys":                         {s.URL + "/c.json", strings.Replace(document, `"none"`, `"private_key_jwt"`, 1), "public client"},
		"no redirect URI":              {s.URL + "/c.json", strings.Replace(document, `"`+callback+`"`, ``, 1), "redirect_uris"},
		"scheme of scripts":            {s.URL + "/c.json", strings.Replace(document, callback, "javascript:alert(1)", 1), "redirect URI"},
		"only credentials":             {s.URL + "/c.json", strings.Replace(document, `"authorization_code","refresh_token"`, `"client_credentials"`, 1), "client with a secret"},
		"only refresh":                 {s.URL + "/c.json", strings.Replace(document, `"authorization_code",`, ``, 1), "authorization_code"},
		"a list":                       {s.URL + "/c.json", `[]`, "JSON object"},
		"not JSON":                     {s.URL + "/c.json", `<html>`, "JSON object"},
		"large":                        {s.URL + "/c.json", document + strings.Repeat(" ", 5<<10), "at most 5120 bytes"},
		"nobody answers":               {"https://127.0.0.1:1/c.json", document, "refused"},
		"private network":              {"https://10.1.2.3/c.json", document, "want a public or a loopback address"},
		"link-local":                   {"https://169.254.169.254/latest", document, "want a public or a loopback address"},
		"unique local":                 {"https://[fd00::1]/c.json", document, "want a public or a loopback address"},
		"behind a translator":          {"https://100.64.1.1/c.json", document, "want a public or a loopback address"},
		"mapped":                       {"https://[::ffff:192.168.0.1]/c.json", document, "want a public or a loopback address"},
		"translated to a private IPv4": {"https://[64:ff9b::a01:203]/c.json", document, "want a public or a loopback address"},
		"nowhere":                      {"https://0.0.0.0:1/c.json", document, "want a public or a loopback address"},
	} {
		s.body.Store(tc.body)
		r := get(i, devidp.Prefix+"/authorize?"+asking("client_id", tc.id).Encode())
		if text := body(t, r); r.StatusCode != http.StatusBadRequest || !strings.Contains(text, tc.want) {
			t.Errorf("%s: %s %q, want %q", name, r.Status, text, tc.want)
		}
		a := tokens(t, i, redeeming("x", "client_id", tc.id))
		if a.Error != "invalid_client" {
			t.Errorf("%s: the token endpoint says %+v", name, a)
		}
	}
	// A document that was bad is not remembered, and one that came by an unknown
	// authority never counts.
	s.body.Store(document)
	if q := authorize(t, i, asking("client_id", s.URL+"/c.json")); q.Get("code") == "" {
		t.Errorf("after it was mended: %v", q)
	}
	strict := newIssuer(t, func(c *devidp.Config) { c.Roots = x509.NewCertPool() })
	if r := get(strict, devidp.Prefix+"/authorize?"+asking("client_id", s.URL+"/c.json").Encode()); r.StatusCode != http.StatusBadRequest {
		t.Errorf("an unknown authority: %s", r.Status)
	}
}

// A site that does not answer holds up no more than those who wait for it, and
// nobody after they have left.
func TestSlowClientDocument(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		select {
		case <-leave:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(leave)
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	i := newIssuer(t, func(c *devidp.Config) { c.Roots = pool })
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan int, 5)
	for n := range 5 {
		go func() {
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, devidp.Prefix+"/authorize?"+asking("client_id", fmt.Sprintf("%s/%d.json", server.URL, n)).Encode(), nil)
			answered <- request(i, r).StatusCode
		}()
	}
	for range 4 {
		<-entered
	}
	select {
	case <-entered:
		t.Error("five documents are fetched at once")
	case <-time.After(50 * time.Millisecond):
	}
	if q := authorize(t, i, asking()); q.Get("code") == "" { // others are not held up
		t.Errorf("meanwhile: %v", q)
	}
	cancel()
	for range 5 {
		if code := <-answered; code != http.StatusBadRequest {
			t.Errorf("status %d", code)
		}
	}
}
