// Package web shows the running server to a person: who has sessions, what they
// do, what waits, and a button that ends one.
//
// From the bottom up: row.go is one session as the page shows it; query.go is
// the filter box and the order of the table; board.go takes one picture of the
// server a second for all who look, with the alerts of alerts.go; watcher.go turns pictures into what one
// watcher has not been told yet, and events.go sends it; page.go renders the
// same as HTML, for the first view and for browsers without scripts; end.go ends
// a session. session.go is what happened in one of them, and spans.go what calls
// spent their time on: pages that need no script. login.go and visitor.go decide who may see any of it: OpenID
// Connect with PKCE against one issuer, the access token stays on the server,
// and the browser holds a cookie that is only a name for it.
//
// Nothing of a session's state is shown, and never its id: the page knows
// sessions by their reference.
package web

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/alert"
	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/reply"
	"github.com/lyceum-mcp/lyceum/internal/telemetry"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
)

const (
	// Prefix is the path that everything of the page is below.
	Prefix = "/admin/"
	// CallbackPath is where the issuer sends the browser back to.
	CallbackPath = Prefix + "callback"
)

// Defaults of Config.
const (
	DefaultMaxRows      = 500
	DefaultMaxWatchers  = 50
	DefaultRefresh      = time.Second
	DefaultKeepAlive    = 15 * time.Second
	DefaultWriteTimeout = 10 * time.Second
)

// Config says where the page is and how much of it there may be. Zero fields
// are their defaults; only URL is needed.
type Config struct {
	// URL is the page's origin as browsers see it, such as
	// "https://lyceum.example". With https the cookies are for https only.
	URL string

	// Provider is whom people log in with. Without one nobody can, and the page
	// explains how to use the REST interface instead.
	Provider *Provider

	// Issuers are whose tokens the REST interface takes, for that explanation.
	Issuers []string

	MaxRows      int           // rows of the table
	MaxWatchers  int           // open event streams
	Refresh      time.Duration // between two pictures, at least
	KeepAlive    time.Duration // of a silent event stream, and between two looks at the token
	WriteTimeout time.Duration // of one write to an event stream
}

// Provider is an OpenID Connect issuer and this page's registration there, with
// the redirect URI CallbackPath below Config.URL. If that is on a loopback
// address, people may come by another name or port of it, and are sent back to
// there.
type Provider struct {
	Issuer   string // its iss, letter by letter
	AuthURL  string // authorization endpoint; a path is one of the page's own origin
	TokenURL string
	ClientID string
	Secret   string            // "" for a public client; PKCE is used either way
	Resource string            // RFC 8707: what the access token is for; "" leaves it to the issuer
	Params   map[string]string // more parameters of the authorization request
	Button   string            // what the button says; "" is "Log in"
	Hint     string            // a sentence below the button; may be empty
}

// Monitor is the part of the server that the page shows.
type Monitor interface {
	// Sessions yields every live session, in no particular order.
	Sessions() iter.Seq[session.Info]
	// EndSession ends the session with that reference; NotFound if there is none.
	EndSession(ctx context.Context, ref string) error
	// Changes returns what happens to sessions from now on, until ctx ends. It
	// may leave something out when there is much.
	Changes(ctx context.Context) iter.Seq[session.Event]
	// Work returns a picture of the queue.
	Work() work.Stats
	// InFlight returns the number of calls that run or wait.
	InFlight() int
	// Server says which build runs, and since when.
	Server() (version string, since time.Time)
	// Ready returns why the server takes no new work, or nil.
	Ready() error
}

// Deps are what the page needs besides the monitor.
type Deps struct {
	Log      *slog.Logger
	Verifier identity.Verifier      // the server's own: what it refuses, the page refuses
	Client   *http.Client           // for the issuer's token endpoint; needed with a Provider
	Alerts   func() *alert.Snapshot // nil, or returns nil, where nobody watches

	// Timeline returns the latest moments of a session, the oldest first, and false
	// if none are known; nil where none are kept.
	Timeline func(ref string) ([]Moment, bool)
	// Spans returns up to limit spans of a list, the newest first, and how many the
	// list was ever given; nil where none are kept.
	Spans func(kind telemetry.SpanKind, limit int) ([]telemetry.Span, uint64)
}

// site is the page. It starts no goroutine of its own.
type site struct {
	cfg      Config
	deps     Deps
	mon      Monitor
	secure   bool   // cookies for https only
	host     string // of cfg.URL, with port
	csp      string
	board    *board
	pages    *pages
	logins   *shelf[*login]
	visitors *shelf[*visitor]
	notes    *shelf[note] // by reference: why an operator ended it
	watching atomic.Int64
	handler  http.Handler
}

// New returns the page, an http.Handler for Prefix and all below it. Behind it
// stands whatever limits requests by address; it authenticates by itself.
func New(cfg Config, mon Monitor, deps Deps) (http.Handler, error) {
	cfg = cfg.withDefaults()
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("admin page: URL %q: want an origin such as https://lyceum.example", cfg.URL)
	}
	if mon == nil || deps.Log == nil || deps.Verifier == nil {
		return nil, errors.New("admin page: want a monitor, a log and a verifier")
	}
	if p := cfg.Provider; p != nil && (p.Issuer == "" || p.AuthURL == "" || p.TokenURL == "" || p.ClientID == "" || deps.Client == nil) {
		return nil, errors.New("admin page: want a provider with issuer, endpoints and client id, and an HTTP client for it")
	}
	pages, err := newPages()
	if err != nil {
		return nil, fmt.Errorf("admin page: %w", err)
	}
	s := &site{
		cfg: cfg, deps: deps, mon: mon, secure: u.Scheme == "https", host: u.Host, csp: policyFor(cfg.Provider),
		board: newBoard(mon, deps.Alerts, cfg.Refresh), pages: pages,
		logins: newShelf[*login](maxLogins), visitors: newShelf[*visitor](maxVisitors), notes: newShelf[note](maxNotes),
	}
	s.handler = s.routes()
	return s, nil
}

func (c Config) withDefaults() Config {
	def := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	every := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&c.MaxRows, DefaultMaxRows)
	def(&c.MaxWatchers, DefaultMaxWatchers)
	every(&c.Refresh, DefaultRefresh)
	every(&c.KeepAlive, DefaultKeepAlive)
	every(&c.WriteTimeout, DefaultWriteTimeout)
	return c
}

// policyFor is the content security policy: everything comes from here, nothing
// is inline, and text can never become markup. Browsers apply form-action to the
// redirect that follows a form too, so the issuer must be in it.
func policyFor(p *Provider) string {
	action := "'self'"
	if p != nil {
		if u, err := url.Parse(p.AuthURL); err == nil && u.Host != "" {
			action += " " + u.Scheme + "://" + u.Host
		}
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; form-action " + action +
		"; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
}

// routes is the list of all paths. Answers that a person reads are pages, those
// that the script reads are JSON, and so are their failures.
func (s *site) routes() http.Handler {
	mux := http.NewServeMux()
	for _, row := range []struct {
		method, path string
		serve        func(http.ResponseWriter, *http.Request) error
		fail         func(http.ResponseWriter, *http.Request, error)
	}{
		{"GET", "{$}", s.table, s.failPage},
		{"GET", "login", s.home, s.failPage},
		{"POST", "login", s.logIn, s.failPage},
		{"GET", "callback", s.callback, s.failPage},
		{"POST", "logout", s.logOut, s.failPage},
		{"GET", "static/{file}", s.static, s.fail},
		{"GET", "events", s.events, s.fail},
		{"GET", "sessions/{ref}", s.session, s.failPage},
		{"GET", "spans", s.spans, s.failPage},
		{"POST", "sessions/{ref}/end", s.end, s.fail},
	} {
		mux.HandleFunc(row.method+" "+Prefix+row.path, func(w http.ResponseWriter, r *http.Request) {
			if err := row.serve(w, r); err != nil {
				row.fail(w, r, err)
			}
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, fault.Newf(fault.NotFound, "there is nothing at this path"))
	})
	sameSite := http.NewCrossOriginProtection()
	sameSite.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, &fault.Error{Kind: fault.Forbidden, Code: "cross_origin", Public: "that request came from another site"})
	}))
	return sameSite.Handler(mux)
}

// ServeHTTP implements http.Handler.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", s.csp)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin") // so that browsers name our own origin when they post
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
	s.handler.ServeHTTP(w, r)
}

// fail answers what the script asked for.
func (s *site) fail(w http.ResponseWriter, r *http.Request, err error) {
	blame(r, err)
	reply.Fail(w, r, err)
}

// blame puts a failure into the access log, and tells whoever hears of refusals.
func blame(r *http.Request, err error) {
	c := client.FromContext(r.Context())
	if c == nil {
		return
	}
	c.Fail(err)
	if c.OnRefusal != nil {
		c.OnRefusal(r.Context(), err)
	}
}

// origin returns where the browser that sent r sees this page. What a request
// says about that is believed for loopback names only.
func (s *site) origin(r *http.Request) string {
	if loopback(r.Host) && loopback(s.host) {
		scheme, _, _ := strings.Cut(s.cfg.URL, "://")
		return scheme + "://" + r.Host
	}
	return s.cfg.URL
}

// loopback tells whether host, perhaps with a port, is this machine.
func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
