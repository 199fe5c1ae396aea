package web

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/devidp"
)

func TestLogin(t *testing.T) {
	p := open(t, nil)
	p.begin("alice")
	b := p.browser()
	resp, body := b.do("GET", "/admin/?q=alice&sort=calls&dir=asc", nil)
	if resp.StatusCode != 200 || !strings.Contains(body, "Continue as admin") || strings.Contains(body, "acme") {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	resp, body = b.do("POST", "/admin/login", url.Values{"q": {"alice"}, "sort": {"calls"}, "dir": {"asc"}})
	if resp.Request.URL.RequestURI() != "/admin/?dir=asc&q=alice&sort=calls" || !strings.Contains(body, "Administrator") || !strings.Contains(body, "acme") {
		t.Fatalf("login led to %s: %s", resp.Request.URL, body)
	}
	if !strings.Contains(p.log.String(), "operator logged in") {
		t.Errorf("log: %s", p.log)
	}
	if n := len(p.site.logins.items); n != 0 {
		t.Errorf("%d logins are left under way", n)
	}

	// The cookie is a name and no more.
	u, _ := url.Parse(p.url + Prefix)
	cookies := b.http.Jar.Cookies(u)
	if len(cookies) != 1 || cookies[0].Name != visitCookie || len(cookies[0].Value) != 43 {
		t.Errorf("cookies %v", cookies)
	}

	if resp, body := b.do("POST", "/admin/logout", nil); resp.StatusCode != 200 || !strings.Contains(body, "Continue as admin") {
		t.Errorf("after logout: %d %s", resp.StatusCode, body)
	}
	// The name is worth nothing now, whoever has kept it.
	if resp, _ := p.browser().do("GET", "/admin/events", nil, "Cookie", visitCookie+"="+cookies[0].Value); resp.StatusCode != 401 {
		t.Errorf("a cookie of before the logout: %d", resp.StatusCode)
	}
}

// TestLoginElsewhere logs in by another name of the same machine: the browser
// must come back to where its cookies are.
func TestLoginElsewhere(t *testing.T) {
	p := open(t, nil)
	_, port, _ := strings.Cut(strings.TrimPrefix(p.url, "http://"), ":")
	p.url = "http://localhost:" + port
	p.browser().logIn()

	// A name that is not this machine's is not believed.
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), "POST", "http://evil.example/admin/login", nil)
	p.site.ServeHTTP(w, r)
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil || to.Query().Get("redirect_uri") != "http://127.0.0.1:"+port+CallbackPath {
		t.Errorf("redirect %s", to)
	}
}

func TestCookies(t *testing.T) {
	p := open(t, func(c *Config) { c.URL = "https://lyceum.example" })
	w := httptest.NewRecorder()
	p.site.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "https://lyceum.example/admin/login", nil))
	c := w.Result().Cookies()[0]
	if c.Name != "__Host-"+loginCookie || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("%v", c)
	}
	plain := open(t, nil)
	w = httptest.NewRecorder()
	plain.site.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", plain.url+"/admin/login", nil))
	if c := w.Result().Cookies()[0]; c.Name != loginCookie || c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != Prefix || c.MaxAge > 600 || c.MaxAge < 590 {
		t.Errorf("%v", c)
	}
}

// TestLoginRefused: every way in which the answer may not fit what was begun.
func TestLoginRefused(t *testing.T) {
	param := func(name, value string) func(*Config) {
		return func(c *Config) { c.Provider.Params[name] = value }
	}
	tests := []struct {
		name   string
		config func(*Config)
		change func(q url.Values) // of the way back
		status int
		text   string
	}{
		{"as it should be", nil, nil, 200, "Log out"},
		{"another state", nil, func(q url.Values) { q.Set("state", "x") }, 400, "did not work out"},
		{"no state", nil, func(q url.Values) { q.Del("state") }, 400, "did not work out"},
		{"another code", nil, func(q url.Values) { q.Set("code", "x") }, 400, "did not work out"},
		{"another issuer answers", nil, func(q url.Values) { q.Set("iss", "https://evil.example") }, 400, "did not work out"},
		{"refused", nil, func(q url.Values) {
			q.Set("error", "access_denied")
			q.Set("error_description", "<script>alert(1)</script>")
		}, 403, "identity provider refused"},
		{"another nonce", param("nonce", "x"), nil, 400, "did not work out"},
		{"no ID token", param("scope", "admin.read"), nil, 400, "did not work out"},
		{"not an operator", param("scope", "openid reason"), nil, 403, "that needs the scope admin.read"},
		{"another challenge", param("code_challenge", strings.Repeat("A", 43)), nil, 400, "did not work out"},
		{"issuer out", func(c *Config) { c.Provider.TokenURL = "http://127.0.0.1:1/token" }, nil, 503, "does not answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := open(t, tt.config)
			b := p.browser()
			change := tt.change
			b.http.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
				if change != nil && r.URL.Path == CallbackPath {
					q := r.URL.Query()
					change(q)
					r.URL.RawQuery = q.Encode()
				}
				return nil
			}
			resp, body := b.do("POST", "/admin/login", nil)
			if resp.StatusCode != tt.status || !strings.Contains(body, tt.text) || strings.Contains(body, "alert(1)") {
				t.Errorf("%d %s, want %d with %q", resp.StatusCode, body, tt.status, tt.text)
			}
			if tt.status != 200 {
				change = nil
				if n := len(p.site.visitors.items); n != 0 {
					t.Errorf("%d visitors", n)
				}
				// What was begun is used up, whatever came of it.
				if n := len(p.site.logins.items); n != 0 {
					t.Errorf("%d logins are left under way", n)
				}
			}
		})
	}
}

// TestLoginIsOneBrowsers: nobody can finish a login in somebody else's browser,
// nor a second time.
func TestLoginIsOneBrowsers(t *testing.T) {
	p := open(t, nil)
	begin := func() (*browser, string) {
		b := p.browser().stay()
		resp, _ := b.do("POST", "/admin/login", nil)
		resp, _ = b.do("GET", resp.Header.Get("Location"), nil)
		return b, strings.TrimPrefix(resp.Header.Get("Location"), p.url)
	}
	mallory, back := begin()
	if resp, _ := p.browser().do("GET", back, nil); resp.StatusCode != 400 {
		t.Errorf("in a browser that began nothing: %d", resp.StatusCode)
	}
	victim, _ := begin()
	if resp, _ := victim.do("GET", back, nil); resp.StatusCode != 400 {
		t.Errorf("in a browser that began another: %d", resp.StatusCode)
	}
	if resp, _ := mallory.do("GET", back, nil); resp.StatusCode != 303 {
		t.Errorf("where it was begun: %d", resp.StatusCode)
	}
	if resp, _ := mallory.do("GET", back, nil); resp.StatusCode != 400 {
		t.Errorf("again: %d", resp.StatusCode)
	}
}

func TestRevokedToken(t *testing.T) {
	p := open(t, nil)
	b := p.browser().logIn()
	f := b.listen("")
	f.next()
	p.revoked.Store(true)
	f.ends(byeExpired)
	if resp, body := b.do("GET", "/admin/", nil); resp.StatusCode != 200 || !strings.Contains(body, "Continue as admin") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	p.revoked.Store(false)
	if resp, _ := b.do("GET", "/admin/events", nil); resp.StatusCode != 401 {
		t.Errorf("the login is back: %d", resp.StatusCode)
	}
}

func TestExpiredLogin(t *testing.T) {
	p := open(t, nil)
	b := p.browser().logIn()
	for _, e := range p.site.visitors.items {
		it := e.Value.(item[*visitor])
		it.value.expires = time.Now().Add(200 * time.Millisecond)
		it.until = it.value.expires
		e.Value = it
	}
	b.listen("").ends(byeExpired)
	if resp, _ := b.do("POST", "/admin/sessions/0123456789abcdef/end", nil); resp.StatusCode != 401 {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestStrangers(t *testing.T) {
	p := open(t, nil)
	p.browser().logIn()
	for _, cookie := range []string{"", visitCookie + "=", visitCookie + "=" + newName(), loginCookie + "=x"} {
		b := p.browser()
		if resp, body := b.do("GET", "/admin/", nil, "Cookie", cookie); resp.StatusCode != 200 || strings.Contains(body, "Log out") {
			t.Errorf("cookie %q: %d", cookie, resp.StatusCode)
		}
		if resp, body := b.do("GET", "/admin/events", nil, "Cookie", cookie); resp.StatusCode != 401 || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("events with cookie %q: %d %s", cookie, resp.StatusCode, body)
		}
		if resp, _ := b.do("POST", "/admin/sessions/0123456789abcdef/end", nil, "Cookie", cookie); resp.StatusCode != 401 {
			t.Errorf("end with cookie %q: %d", cookie, resp.StatusCode)
		}
	}
}

// TestCrossSite: no other site can make a browser act here.
func TestCrossSite(t *testing.T) {
	p := open(t, nil)
	ref := p.begin("alice").Ref()
	b := p.browser().logIn().stay()
	for _, path := range []string{"/admin/login", "/admin/logout", "/admin/sessions/" + ref + "/end"} {
		for _, head := range [][]string{
			{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, {"Sec-Fetch-Site", "", "Origin", "null"},
		} {
			if resp, body := b.do("POST", path, nil, head...); resp.StatusCode != 403 || !strings.Contains(body, "cross_origin") {
				t.Errorf("%s with %v: %d %s", path, head, resp.StatusCode, body)
			}
		}
	}
	if p.desk.dir.Stats().Sessions != 1 || len(p.site.visitors.items) != 1 {
		t.Error("something was done")
	}
}

func TestIDToken(t *testing.T) {
	p := open(t, nil)
	now := time.Now()
	good := func() map[string]any {
		return map[string]any{"iss": p.url + devidp.Prefix, "sub": "olga", "aud": "page", "nonce": "n", "exp": now.Add(time.Hour).Unix()}
	}
	with := func(name string, value any) map[string]any { m := good(); m[name] = value; return m }
	token := func(claims map[string]any) string {
		b, _ := json.Marshal(claims)
		return "e30." + base64.RawURLEncoding.EncodeToString(b) + ".e30"
	}
	for _, tt := range []struct {
		raw string
		ok  bool
	}{
		{token(good()), true},
		{token(with("aud", []string{"other", "page"})), true},
		{token(with("azp", "page")), true},
		{token(with("exp", now.Add(-leeway/2).Unix())), true},
		{token(with("exp", now.Add(-2*leeway).Unix())), false},
		{token(with("exp", nil)), false},
		{token(with("aud", "other")), false},
		{token(with("aud", []string{})), false},
		{token(with("aud", 5)), false},
		{token(with("azp", "other")), false},
		{token(with("iss", "https://evil.example")), false},
		{token(with("nonce", "m")), false},
		{token(with("nonce", nil)), false},
		{token(with("sub", "mallory")), false},
		{"", false},
		{"a.b", false},
		{"a.!.c", false},
		{"e30.e30.e30", false},
		{strings.Repeat("a", maxIDToken) + ".e30.e30", false},
	} {
		if err := p.site.checkIDToken(tt.raw, "n", "olga", now); (err == nil) != tt.ok {
			t.Errorf("%.200s: %v", tt.raw, err)
		}
	}
}

func TestShelf(t *testing.T) {
	now := time.Now()
	s := newShelf[int](3)
	for i, name := range []string{"a", "b", "c"} {
		if gone := s.put(name, i, now.Add(time.Minute), now); len(gone) != 0 {
			t.Fatalf("%s took the place of %v", name, gone)
		}
	}
	if gone := s.put("d", 3, now.Add(time.Second), now); len(gone) != 1 || gone[0] != 0 {
		t.Errorf("d took the place of %v, want of the oldest", gone)
	}
	if gone := s.put("b", 9, now.Add(time.Minute), now); len(gone) != 1 || gone[0] != 1 {
		t.Errorf("the new b took the place of %v", gone)
	}
	if v, ok := s.get("b", now); !ok || v != 9 {
		t.Errorf("b is %d, %v", v, ok)
	}
	if _, ok := s.get("a", now); ok {
		t.Error("a is still there")
	}
	if _, ok := s.get("d", now.Add(time.Second)); ok {
		t.Error("d has no end")
	}
	if v, ok := s.take("c", now); !ok || v != 2 {
		t.Errorf("c is %d, %v", v, ok)
	}
	if _, ok := s.take("c", now); ok {
		t.Error("c was taken twice")
	}
	if len(s.items) != s.order.Len() {
		t.Errorf("%d names, %d values", len(s.items), s.order.Len())
	}
}
