package middleware

import (
	"net/http"
	"strings"
	"testing"
)

func TestHostAndOriginTable(t *testing.T) {
	o := Origins{Hosts: append([]string{"mcp.example.com"}, Loopback...), Origins: []string{"https://app.example.org", "https://app.example.org:8443"}}
	for _, c := range []struct {
		host, origin string
		want         int
	}{
		{"localhost", "", 200},
		{"localhost:8383", "", 200},
		{"LOCALHOST:8383", "", 200},
		{"127.0.0.1:8383", "", 200},
		{"[::1]", "", 200},
		{"[::1]:8383", "", 200},
		{"mcp.example.com:443", "", 200},
		{"evil.example.com", "", 403},
		{"localhost.evil.example.com", "", 403},
		{"127.0.0.1.evil.example.com:8383", "", 403},
		{"127.0.0.2", "", 403},
		{"[::2]:8383", "", 403},
		{"", "", 403},

		{"localhost", "http://localhost", 200},
		{"localhost", "http://localhost:3000", 200},
		{"localhost", "https://127.0.0.1:3000", 200},
		{"localhost", "http://[::1]:3000", 200},
		{"localhost", "http://[::1]", 200},
		{"localhost", "https://app.example.org", 200},
		{"localhost", "https://app.example.org:8443", 200},
		{"localhost", "https://app.example.org:9000", 403},
		{"localhost", "http://app.example.org", 403},
		{"localhost", "https://evil.example.com", 403},
		{"localhost", "https://localhost.evil.example.com", 403},
		{"localhost", "null", 403},
		{"localhost", "file://", 403},
		{"localhost", "chrome-extension://localhost", 403},
		{"localhost", "http://localhost/", 403},
		{"localhost", "http://localhost/path", 403},
		{"localhost", "http://localhost?q", 403},
		{"localhost", "http://localhost#f", 403},
		{"localhost", "http://me@localhost", 403},
		{"localhost", "localhost", 403},
		{"localhost", "http://", 403},
		{"localhost", "http://%zz", 403},
		{"evil.example.com", "http://localhost", 403},
	} {
		r := request("POST", "/mcp")
		r.Host = c.host
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		w := serve(ok, r, o.Check())
		if w.Code != c.want {
			t.Errorf("host %q, origin %q: %d, want %d", c.host, c.origin, w.Code, c.want)
		}
		allow, want := w.Header().Get("Access-Control-Allow-Origin"), ""
		if c.want == 200 {
			want = c.origin
		}
		if allow != want {
			t.Errorf("host %q, origin %q: allowed origin %q, want %q", c.host, c.origin, allow, want)
		}
	}
}

func TestSeveralOriginsAreNone(t *testing.T) {
	o := Origins{Hosts: Loopback}
	r := request("POST", "/mcp", "Origin", "http://localhost", "Origin", "http://localhost")
	r.Host = "localhost"
	if w := serve(ok, r, o.Check()); w.Code != 403 || !strings.Contains(w.Body.String(), "origin_not_allowed") {
		t.Errorf("answer %d %s", w.Code, w.Body)
	}
}

func TestNoHostsMeansAnyHostButNoForeignOrigin(t *testing.T) {
	o := Origins{Origins: []string{"https://app.example.org"}}
	for origin, want := range map[string]int{"": 200, "https://app.example.org": 200, "https://example.com": 403} {
		r := request("POST", "/mcp")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if w := serve(ok, r, o.Check()); w.Code != want {
			t.Errorf("origin %q: %d, want %d", origin, w.Code, want)
		}
	}
}

func TestPreflight(t *testing.T) {
	o := Origins{Hosts: Loopback, Origins: []string{"https://app.example.org"}}
	never := func(http.ResponseWriter, *http.Request) { t.Error("a preflight reached the handler") }
	r := request("OPTIONS", "/mcp", "Origin", "https://app.example.org", "Access-Control-Request-Method", "POST")
	r.Host = "localhost"
	w := serve(never, r, o.Check())
	h := w.Header()
	if w.Code != 204 || h.Get("Access-Control-Allow-Origin") != "https://app.example.org" || h.Get("Vary") != "Origin" || h.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: %d %v", w.Code, h)
	}
	for _, need := range []string{"Authorization", "Content-Type", "Mcp-Session-Id", "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "Last-Event-ID"} {
		if !strings.Contains(h.Get("Access-Control-Allow-Headers"), need) {
			t.Errorf("allowed headers lack %s: %s", need, h.Get("Access-Control-Allow-Headers"))
		}
	}
	for _, need := range []string{"POST", "GET", "DELETE"} {
		if !strings.Contains(h.Get("Access-Control-Allow-Methods"), need) {
			t.Errorf("allowed methods lack %s", need)
		}
	}

	r = request("OPTIONS", "/mcp", "Origin", "https://evil.example.com", "Access-Control-Request-Method", "POST")
	r.Host = "localhost"
	if w := serve(never, r, o.Check()); w.Code != 403 || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("foreign preflight: %d %v", w.Code, w.Header())
	}

	// A page must be able to read what a client of ours needs.
	r = request("POST", "/mcp", "Origin", "https://app.example.org")
	r.Host = "localhost"
	w = serve(ok, r, o.Check())
	if e := w.Header().Get("Access-Control-Expose-Headers"); !strings.Contains(e, "Mcp-Session-Id") || !strings.Contains(e, "WWW-Authenticate") || !strings.Contains(e, "RateLimit-Policy") {
		t.Errorf("exposed headers %q", e)
	}
}

func TestWhatIsOpenToAll(t *testing.T) {
	o := Origins{Hosts: Loopback}
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/.well-known/oauth-protected-resource", 200},
		{"GET", "/healthz", 200},
		{"GET", "/readyz", 200},
		{"POST", "/healthz", 403},
		{"GET", "/healthz/x", 403},
		{"GET", "/metrics", 403},
		{"GET", "/mcp", 403},
	} {
		r := request(c.method, c.path, "Origin", "https://example.com")
		r.Host = "10.0.0.7"
		if w := serve(ok, r, o.Check()); w.Code != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.want)
		}
	}
	r := request("POST", "/mcp")
	r.RemoteAddr, r.Host = StdioAddr, ""
	if w := serve(ok, r, o.Check()); w.Code != 200 {
		t.Errorf("the stdio host: %d, want 200", w.Code)
	}
}

// What is open to pages of any origin is so for reading only, and for our hosts.
func TestOpenDocuments(t *testing.T) {
	o := Origins{Hosts: Loopback, Origins: []string{"https://app.example.org"}, Open: []string{"/mcp/server-card", "/.well-known/ai-catalog.json"}}
	for _, c := range []struct {
		method, path, host, origin string
		want                       int
	}{
		{"GET", "/mcp/server-card", "localhost", "https://example.com", 200},
		{"HEAD", "/mcp/server-card", "localhost", "https://example.com", 200},
		{"OPTIONS", "/mcp/server-card", "localhost", "https://example.com", 200},
		{"GET", "/mcp/server-card", "localhost", "https://app.example.org", 200},
		{"GET", "/mcp/server-card", "localhost", "null", 200},
		{"GET", "/mcp/server-card", "localhost", "", 200},
		{"GET", "/.well-known/ai-catalog.json", "localhost", "https://example.com", 200},
		{"GET", "/mcp/server-card", "evil.example.com", "", 403},
		{"GET", "/mcp/server-card", "evil.example.com", "https://example.com", 403},
		{"GET", "/.well-known/ai-catalog.json", "evil.example.com", "", 403},
		{"GET", "/.well-known/ai-catalog.json", "evil.example.com", "https://example.com", 403},
		{"POST", "/mcp/server-card", "localhost", "https://example.com", 403},
		{"GET", "/mcp/server-card/", "localhost", "https://example.com", 403},
		{"GET", "/mcp", "localhost", "https://example.com", 403},
	} {
		r := request(c.method, c.path, "Access-Control-Request-Method", "GET")
		r.Host = c.host
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		w := serve(ok, r, o.Check())
		if w.Code != c.want {
			t.Errorf("%s %s, host %q, origin %q: %d, want %d", c.method, c.path, c.host, c.origin, w.Code, c.want)
		}
		if h := w.Header(); h.Get("Access-Control-Allow-Origin") != "" || h.Get("Vary") != "" {
			t.Errorf("%s %s, origin %q: %v: what browsers are told is for the handler to say", c.method, c.path, c.origin, h)
		}
	}
}
