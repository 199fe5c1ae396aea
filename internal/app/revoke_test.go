package app_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/app"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// status presents a token and returns how it went.
func (f *fort) status(token string) int {
	f.t.Helper()
	resp, _ := f.raw("/mcp", "Authorization: Bearer "+token)
	return resp.StatusCode
}

// logOut sends a form to the back-channel logout endpoint.
func (s *site) logOut(form url.Values) (int, string) {
	u := &user{site: s}
	resp, body := u.do("POST", "/auth/backchannel-logout", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	if resp.Header.Get("Cache-Control") != "no-store" {
		s.t.Errorf("Cache-Control %q", resp.Header.Get("Cache-Control"))
	}
	return resp.StatusCode, string(body)
}

// An issuer that says a login is over ends its transport sessions and refuses its
// tokens at once, those in the cache too; other logins and later tokens stay good.
func TestBackchannelLogout(t *testing.T) {
	s := start(t, nil)
	idp := s.app.Issuer()
	old := s.token(devidp.TokenRequest{Sub: "alice"})
	mine := s.token(devidp.TokenRequest{Sub: "alice", SessionID: "login-1"})
	elsewhere := s.token(devidp.TokenRequest{Sub: "alice", SessionID: "login-2"})
	bob := s.token(devidp.TokenRequest{Sub: "bob"})
	alice := &user{site: s, token: old}
	status := func(token string) int {
		resp, _ := (&user{site: s, token: token}).do("POST", "/mcp", ping, discover...)
		return resp.StatusCode
	}
	init := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
	resp, _ := alice.do("POST", "/mcp", init)
	session := resp.Header.Get("Mcp-Session-Id")
	for name, token := range map[string]string{"old": old, "mine": mine, "elsewhere": elsewhere, "bob": bob} {
		if got := status(token); got != 200 {
			t.Fatalf("%s before the logout: %d", name, got)
		}
	}

	over, err := idp.LogoutToken("alice", "login-1")
	if err != nil {
		t.Fatal(err)
	}
	if code, body := s.logOut(url.Values{"logout_token": {over}}); code != 200 || body != "" {
		t.Fatalf("logout: %d %s", code, body)
	}
	for _, tt := range []struct {
		name, token string
		want        int
	}{{"names no login", old, 401}, {"of the login", mine, 401}, {"of another login", elsewhere, 200}, {"of somebody else", bob, 200}} {
		if got := status(tt.token); got != tt.want {
			t.Errorf("a token that is %s: %d, want %d", tt.name, got, tt.want)
		}
	}
	fresh := mintLater(t, s, "alice")
	if got := status(fresh); got != 200 {
		t.Errorf("a token of after the logout: %d", got)
	}
	resp, _ = (&user{site: s, token: fresh, session: session}).do("POST", "/mcp", `{"jsonrpc":"2.0","id":2,"method":"ping"}`, "Mcp-Protocol-Version", "2025-06-18")
	if session == "" || resp.StatusCode != http.StatusNotFound {
		t.Errorf("the transport session %q after the logout: %d, want 404", session, resp.StatusCode)
	}

	all, err := idp.LogoutToken("bob", "")
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := s.logOut(url.Values{"logout_token": {all}}); code != 200 || status(bob) != 401 {
		t.Errorf("logout of a subject: %d, its token %d", code, status(bob))
	}
}

// mintLater makes a token in a later second than any denial: that is how far
// issued-at can tell.
func mintLater(t *testing.T, s *site, sub string) string {
	t.Helper()
	began := time.Now().Unix()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Unix() == began {
		if time.Now().After(deadline) {
			t.Fatal("the clock stands still")
		}
		resp, _ := (&user{site: s}).do("GET", "/healthz", "")
		if resp.StatusCode != 200 {
			t.Fatalf("healthz: %d", resp.StatusCode)
		}
	}
	return s.token(devidp.TokenRequest{Sub: sub})
}

func TestBadLogoutTokens(t *testing.T) {
	s := start(t, nil)
	idp := s.app.Issuer()
	now := time.Now().Unix()
	event := m{"http://schemas.openid.net/event/backchannel-logout": m{}}
	forge := func(header, claims m) string {
		h := m{"typ": "logout+jwt"}
		c := m{"events": event, "client_id": nil, "scope": nil}
		maps.Copy(h, header)
		maps.Copy(c, claims)
		tok, err := idp.Forge(h, c)
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	good := forge(nil, nil)
	for _, tt := range []struct {
		name string
		form url.Values
		want int
	}{
		{"good", url.Values{"logout_token": {good}}, 200},
		{"once more", url.Values{"logout_token": {good}}, 400},
		{"nothing", nil, 400},
		{"two", url.Values{"logout_token": {forge(nil, nil), forge(nil, nil)}}, 400},
		{"nonsense", url.Values{"logout_token": {"nonsense"}}, 400},
		{"an access token", url.Values{"logout_token": {s.token(devidp.TokenRequest{Sub: "alice"})}}, 400},
		{"typ at+jwt", url.Values{"logout_token": {forge(m{"typ": "at+jwt"}, nil)}}, 400},
		{"typ JWT", url.Values{"logout_token": {forge(m{"typ": "JWT"}, nil)}}, 400},
		{"alg none", url.Values{"logout_token": {forge(m{"alg": "none"}, nil)}}, 400},
		{"HS256", url.Values{"logout_token": {forge(m{"alg": "HS256"}, nil)}}, 400},
		{"another issuer", url.Values{"logout_token": {forge(nil, m{"iss": "https://evil.example"})}}, 400},
		{"another audience", url.Values{"logout_token": {forge(nil, m{"aud": "other"})}}, 400},
		{"no events", url.Values{"logout_token": {forge(nil, m{"events": nil})}}, 400},
		{"another event", url.Values{"logout_token": {forge(nil, m{"events": m{"urn:x": m{}}})}}, 400},
		{"event is no object", url.Values{"logout_token": {forge(nil, m{"events": m{"http://schemas.openid.net/event/backchannel-logout": true}})}}, 400},
		{"events is a list", url.Values{"logout_token": {forge(nil, m{"events": []string{"http://schemas.openid.net/event/backchannel-logout"}})}}, 400},
		{"a nonce", url.Values{"logout_token": {forge(nil, m{"nonce": "n"})}}, 400},
		{"no jti", url.Values{"logout_token": {forge(nil, m{"jti": nil})}}, 400},
		{"neither sub nor sid", url.Values{"logout_token": {forge(nil, m{"sub": nil})}}, 400},
		{"sub is empty", url.Values{"logout_token": {forge(nil, m{"sub": ""})}}, 400},
		{"expired", url.Values{"logout_token": {forge(nil, m{"exp": now - 60})}}, 400},
		{"no exp", url.Values{"logout_token": {forge(nil, m{"exp": nil})}}, 400},
		{"no iat", url.Values{"logout_token": {forge(nil, m{"iat": nil})}}, 400},
		{"iat long ago", url.Values{"logout_token": {forge(nil, m{"iat": now - 600})}}, 400},
		{"sid only", url.Values{"logout_token": {forge(nil, m{"sub": nil, "sid": "login-9"})}}, 200},
	} {
		code, body := s.logOut(tt.form)
		if code != tt.want || code == 400 && !strings.Contains(body, `"code":"invalid_request"`) {
			t.Errorf("%s: %d %s, want %d", tt.name, code, body, tt.want)
		}
	}
	u := &user{site: s}
	if resp, _ := u.do("POST", "/auth/backchannel-logout", `{"logout_token":"x"}`); resp.StatusCode != 400 {
		t.Errorf("JSON: %d", resp.StatusCode)
	}
	if resp, _ := u.do("GET", "/auth/backchannel-logout", ""); resp.StatusCode != 405 {
		t.Errorf("GET: %d", resp.StatusCode)
	}
}

// An operator's denial is in force at once for a token that was found good
// before, can be taken back, and outlives the process.
func TestDenyOverHTTP(t *testing.T) {
	dir := t.TempDir()
	s := start(t, nil, func(c *config.Config) { c.Data = dir })
	admin := &user{site: s, token: s.token(devidp.TokenRequest{Sub: "root", Scope: "admin.write"})}
	alice := s.user("alice")
	try := func(u *user) int { resp, _ := u.do("POST", "/mcp", ping, discover...); return resp.StatusCode }
	if got := try(alice); got != 200 {
		t.Fatalf("before: %d", got)
	}
	resp, body := admin.do("POST", "/api/v1/deny", `{"issuer":"`+devidp.LocalIssuer+`","sub":"alice","reason":"left"}`)
	var made struct{ ID, Issuer, Sub, Expires string }
	if err := json.Unmarshal(body, &made); err != nil || resp.StatusCode != http.StatusCreated || made.Sub != "alice" || made.Expires == "" {
		t.Fatalf("deny: %d %s", resp.StatusCode, body)
	}
	if got := try(alice); got != 401 {
		t.Errorf("denied, cached: %d", got)
	}
	if got := try(s.user("bob")); got != 200 {
		t.Errorf("somebody else: %d", got)
	}
	if resp, body := admin.do("GET", "/api/v1/deny", ""); resp.StatusCode != 200 || !strings.Contains(string(body), made.ID) {
		t.Errorf("list: %d %s", resp.StatusCode, body)
	}
	for _, bad := range []string{`{}`, `{"issuer":"x"}`, `{"issuer":"x","sub":"a","jti":"b"}`, `{"issuer":"x","sub":"a","expires":"2001-01-01T00:00:00Z"}`, `{`} {
		if resp, body := admin.do("POST", "/api/v1/deny", bad); resp.StatusCode != 400 {
			t.Errorf("%s: %d %s", bad, resp.StatusCode, body)
		}
	}

	s.stop()
	if err := <-s.done; err != nil {
		t.Fatal(err)
	}
	s.done <- nil
	again := start(t, nil, func(c *config.Config) {
		c.Data = dir
		c.Auth.Deny = []config.Denial{{Issuer: devidp.LocalIssuer, Subject: "mallory"}}
	})
	admin = &user{site: again, token: again.token(devidp.TokenRequest{Sub: "root", Scope: "admin.write"})}
	alice = again.user("alice")
	if a, b := try(alice), try(again.user("mallory")); a != 401 || b != 401 {
		t.Errorf("in the next process: %d, configured: %d", a, b)
	}
	if resp, _ := admin.do("DELETE", "/api/v1/deny/"+made.ID, ""); resp.StatusCode != http.StatusNoContent {
		t.Errorf("delete: %d", resp.StatusCode)
	}
	if resp, _ := admin.do("DELETE", "/api/v1/deny/"+made.ID, ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("delete once more: %d", resp.StatusCode)
	}
	if got := try(alice); got != 200 {
		t.Errorf("taken back: %d", got)
	}
	reader := &user{site: again, token: again.token(devidp.TokenRequest{Sub: "r", Scope: "admin.read"})}
	if resp, _ := reader.do("POST", "/api/v1/deny", `{"issuer":"x","sub":"y"}`); resp.StatusCode != 403 {
		t.Errorf("with admin.read: %d", resp.StatusCode)
	}
}

// With nonces on, a client learns the nonce from the refusal and gets in.
func TestNonces(t *testing.T) {
	f := newFort(t, func(c *config.Config) { c.Auth.DPoPNonce = true })
	token := f.forge(nil, m{"cnf": m{"jkt": f.thumbprint()}})
	auth := "Authorization: DPoP " + token
	resp, _ := f.raw("/mcp", auth, "DPoP: "+f.proof(token, nil, nil))
	nonce := resp.Header.Get("DPoP-Nonce")
	if c := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != 401 || nonce == "" || !strings.Contains(c, `error="use_dpop_nonce"`) {
		t.Fatalf("%d, nonce %q, challenge %s", resp.StatusCode, nonce, c)
	}
	if resp, body := f.raw("/mcp", auth, "DPoP: "+f.proof(token, nil, m{"nonce": nonce})); resp.StatusCode != 200 || resp.Header.Get("DPoP-Nonce") == "" {
		t.Errorf("with the nonce: %d %s", resp.StatusCode, body)
	}
	if resp, _ := f.raw("/mcp", auth, "DPoP: "+f.proof(token, nil, m{"nonce": nonce[1:] + "x"})); resp.StatusCode != 401 {
		t.Errorf("with another nonce: %d", resp.StatusCode)
	}
}

// An answer of introspection is remembered, and the token is nowhere in the log.
func TestIntrospectionIsRemembered(t *testing.T) {
	f := newFort(t)
	for range 3 {
		if got := f.status("good-one"); got != 200 {
			t.Fatalf("opaque: %d", got)
		}
	}
	f.mu.Lock()
	asked := f.asked["good-one"]
	f.mu.Unlock()
	if asked != 1 {
		t.Errorf("the endpoint was asked %d times about one token", asked)
	}
	if strings.Contains(f.log.String(), "good-one") {
		t.Error("the token is in the log")
	}
}

// A server of a closed network needs no issuer at all.
func TestStaticTokensOnly(t *testing.T) {
	token, hash := identity.NewStaticToken()
	cfg := config.Default()
	cfg.Addr, cfg.Data, cfg.PublicURL = "127.0.0.1:0", t.TempDir(), "http://127.0.0.1:8383"
	cfg.HTTP.AllowedHosts = []string{"127.0.0.1"}
	cfg.Auth.Tokens = []config.StaticToken{{Hash: hash, Tenant: "acme", Subject: "robot", Scopes: []string{"reason"}}}
	f := &fort{site: startWith(t, cfg, app.Options{}), asked: map[string]int{}}
	if a, b := f.status(token), f.status(token+"x"); a != 200 || b != 401 {
		t.Errorf("the token: %d, another: %d", a, b)
	}
}
