package middleware

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Origins says which Host headers and which web origins are ours.
type Origins struct {
	// Hosts are host names, without port, lower case. Empty means that any Host
	// is served: only right behind a proxy that checks it.
	Hosts []string
	// Origins are scheme://host[:port], besides those whose host is in Hosts.
	Origins []string
	// Open are the paths of documents that a page of any origin may read, whose
	// handlers tell browsers so. The Host is checked for them too.
	Open []string
}

// Loopback is the list for a server that only this machine can reach.
var Loopback = []string{"localhost", "127.0.0.1", "::1"}

const (
	corsHeaders = "Authorization, Content-Type, Accept, Last-Event-ID, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id, DPoP"
	corsExpose  = "Mcp-Session-Id, WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id"
)

// Check refuses a request for another host, which is how DNS rebinding looks,
// and one from a foreign web origin, unless what it reads is open to all. It
// stands before authentication: a browser that was tricked must not even learn
// whether its token is good. Allowed cross origins get CORS headers, and their
// preflights an answer.
func (o Origins) Check() Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			open := o.open(r)
			if r.RemoteAddr == StdioAddr || public(r) && !open {
				next.ServeHTTP(w, r)
				return
			}
			if len(o.Hosts) > 0 && !slices.Contains(o.Hosts, hostname(r.Host)) {
				fail(w, r, &fault.Error{Kind: fault.Forbidden, Code: "host_not_allowed", Public: "this server does not answer for that host name"})
				return
			}
			origins := r.Header["Origin"]
			if open || len(origins) == 0 {
				next.ServeHTTP(w, r)
				return
			}
			if len(origins) > 1 || !o.allowed(origins[0]) {
				fail(w, r, &fault.Error{Kind: fault.Forbidden, Code: "origin_not_allowed", Public: "requests from that web origin are not allowed"})
				return
			}
			h := w.Header()
			h.Set("Access-Control-Allow-Origin", origins[0])
			h.Set("Access-Control-Expose-Headers", corsExpose)
			h.Add("Vary", "Origin")
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
				h.Set("Access-Control-Allow-Headers", corsHeaders)
				h.Set("Access-Control-Max-Age", "600")
				w.WriteHeader(http.StatusNoContent)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// public tells whether a request is for what is the same for everybody and needs
// no secret: well-known documents, which browser clients read from anywhere, and
// the health of the server, which probes ask for by address.
func public(r *http.Request) bool {
	return r.Method == http.MethodGet && (strings.HasPrefix(r.URL.Path, "/.well-known/") || r.URL.Path == "/healthz" || r.URL.Path == "/readyz")
}

// open tells whether a request only reads a document that is open to pages of
// any origin, or asks whether it may.
func (o Origins) open(r *http.Request) bool {
	return slices.Contains(o.Open, r.URL.Path) && (r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions)
}

func (o Origins) allowed(origin string) bool {
	if slices.Contains(o.Origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || origin != u.Scheme+"://"+u.Host {
		return false
	}
	return slices.Contains(o.Hosts, hostname(u.Host))
}

// hostname returns the name of a Host header without its port, lower case.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}
