// Package api maps URLs to handlers: the one list of routes, and the order of
// the chain in front of them.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"go.opentelemetry.io/otel/trace"

	"github.com/lyceum-mcp/lyceum/internal/alert"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reply"
	"github.com/lyceum-mcp/lyceum/middleware"
)

// MCPPath is where the protocol is served.
const MCPPath = reply.RPCPath

// Config has the bounds of the HTTP side.
type Config struct {
	BaseURL      string // of this server as clients write it, without a trailing slash
	Version      string // of this server, as server/discover tells it
	AuthServers  []string
	Origins      middleware.Origins
	Addresses    middleware.Addresses // who says where a client is
	MaxBodyBytes int64
	ReadTimeout  time.Duration // of a body
	WriteTimeout time.Duration // of one write
	PerAddress   int           // requests in Window; 0 is no limit
	PerToken     int
	Window       time.Duration
}

// Deps are what the routes lead to. Dev, Admin and Metrics may be nil: their
// routes then do not exist.
type Deps struct {
	Config   Config
	Log      *slog.Logger
	Tracer   trace.TracerProvider
	Verifier identity.Verifier
	Gate     *middleware.Gate
	MCP      http.Handler
	Monitor  Monitor
	Dev      http.Handler // the development identity provider
	DevPaths []string
	Admin    http.Handler // the page
	Metrics  http.Handler
	Ready    func() error

	Proofs    middleware.Proofs                               // nil without DPoP
	OnRefusal func(ctx context.Context, r middleware.Refusal) // hears of requests that are not authenticated; may be nil
	Refused   func(ctx context.Context, err error)            // hears of requests that the chain refuses; may be nil
	Degraded  func() []string                                 // parts that fail while the server is ready; may be nil
	Logout    func(ctx context.Context, token string) error   // ends a login by its logout token; nil without issuers
	Alerts    func() *alert.Snapshot                          // nil, or returns nil, where nobody watches
	Denials   Denials                                         // nil without tokens
}

type server struct{ Deps }

// route is one row of the list.
type route struct {
	method  string // "" is every method
	pattern string
	scope   policy.Scope // "" needs no token
	handler http.Handler
}

// Handler returns the whole server: every route behind the chain.
func Handler(d Deps) http.Handler { return mount(d, all) }

// MainHandler returns the routes for clients, and AdminHandler those for
// operators, for a server that has a listener for each.
func MainHandler(d Deps) http.Handler  { return mount(d, clients) }
func AdminHandler(d Deps) http.Handler { return mount(d, operators) }

const (
	clients = 1 << iota
	operators
	all = clients | operators
)

func mount(d Deps, which int) http.Handler {
	s := &server{Deps: d}
	r := chi.NewRouter()
	r.Use(s.outer()...)
	var rows []route
	if which&clients != 0 {
		rows = append(rows, s.clientRoutes()...)
	}
	if which&operators != 0 {
		rows = append(rows, s.operatorRoutes()...)
	}
	rows = append(rows, s.healthRoutes()...)
	for _, row := range rows {
		h := row.handler
		if row.pattern != MCPPath { // which knows its streams
			h = middleware.Writes(d.Config.WriteTimeout)(h)
		}
		if row.scope != "" {
			h = middleware.Chain(s.inner(row)...)(h)
		}
		h = middleware.Route(row.name(), row.pattern)(h)
		if row.method == "" {
			r.Handle(row.pattern, h)
		} else {
			r.Method(row.method, row.pattern, h)
		}
	}
	r.NotFound(s.refuse(fault.Newf(fault.NotFound, "there is nothing at this path")))
	r.MethodNotAllowed(s.wrongMethod(r))
	return r
}

// wrongMethod answers 405 and says which methods the path takes (RFC 9110 §15.5.6).
func (s *server) wrongMethod(routes chi.Routes) http.HandlerFunc {
	answer := s.refuse(fault.Newf(fault.MethodNotAllowed, "this path does not take that method"))
	methods := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}
	return func(w http.ResponseWriter, r *http.Request) {
		for _, m := range methods {
			if routes.Match(chi.NewRouteContext(), m, r.URL.Path) {
				w.Header().Add("Allow", m)
			}
		}
		answer(w, r)
	}
}

// refuse returns a handler that answers err.
func (s *server) refuse(err error) http.HandlerFunc {
	return middleware.Writes(s.Config.WriteTimeout)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { reply.Fail(w, r, err) })).ServeHTTP
}

func (r route) name() string {
	if r.method == "" {
		return "ANY"
	}
	return r.method
}

// outer is what every request passes, in this order.
func (s *server) outer() []func(http.Handler) http.Handler {
	c := s.Config
	c.Origins.Open = []string{CardPath, AICatalogPath, MCPCatalogPath}
	return []func(http.Handler) http.Handler{
		middleware.RequestID(c.Addresses.Of),             // first of ours: every refusal can be found again
		middleware.Recover(s.Log),                        // a panic below becomes an answer
		middleware.Trace(s.Tracer),                       // the span covers all of the work
		middleware.AccessLog(s.Log),                      // inside the span, so that its record has the id
		middleware.Refusals(s.Refused),                   // around all that refuses
		middleware.SecureHeaders(),                       // on refusals too
		middleware.Body(c.MaxBodyBytes, c.ReadTimeout),   // before anything reads
		c.Origins.Check(),                                // before a browser that was tricked learns anything
		middleware.RateByAddress(c.PerAddress, c.Window), // the bound on guessing tokens
	}
}

// inner is what a request for a protected route passes after that.
func (s *server) inner(row route) []middleware.Middleware {
	c := s.Config
	class := middleware.As(middleware.Operator)
	if row.pattern == MCPPath {
		class = middleware.MCPClass
	}
	m := []middleware.Middleware{
		s.auth().Middleware(),
		middleware.Client(),                          // from here on there is somebody
		middleware.RateByToken(c.PerToken, c.Window), // before any work is taken on
		middleware.Admit(s.Gate, class),              // the last: a refused request holds no place
	}
	if row.pattern != MCPPath { // tools have scopes of their own
		m = append(m, middleware.RequireScope(s.metadataURL(), row.scope))
	}
	return m
}

// auth says how callers of protected routes are known.
func (s *server) auth() middleware.Auth {
	return middleware.Auth{
		Verifier: s.Verifier, Metadata: s.metadataURL(), Baseline: []policy.Scope{policy.Reason}, Proofs: s.Proofs, OnRefusal: s.OnRefusal,
	}
}

func (s *server) clientRoutes() []route {
	rows := []route{
		{"", MCPPath, policy.Reason, s.MCP},
		{http.MethodGet, "/.well-known/oauth-protected-resource", "", http.HandlerFunc(s.metadata)},
		{http.MethodGet, "/.well-known/oauth-protected-resource" + MCPPath, "", http.HandlerFunc(s.metadata)},
	}
	rows = append(rows, s.documentRoutes()...)
	rows = append(rows, s.logoutRoutes()...)
	for _, path := range s.DevPaths {
		if strings.HasSuffix(path, "/") {
			path += "*" // a folder: everything below it
		}
		rows = append(rows, route{"", path, "", s.Dev})
	}
	return rows
}

func (s *server) operatorRoutes() []route {
	rows := s.restRoutes()
	if s.Metrics != nil {
		rows = append(rows, route{http.MethodGet, "/metrics", "", s.Metrics})
	}
	if s.Admin != nil {
		rows = append(rows,
			route{"", "/admin/*", "", s.Admin},
			route{http.MethodGet, "/admin", "", http.RedirectHandler("/admin/", http.StatusPermanentRedirect)},
			route{http.MethodGet, "/", "", http.RedirectHandler("/admin/", http.StatusTemporaryRedirect)})
	}
	return rows
}

func (s *server) healthRoutes() []route {
	return []route{
		{http.MethodGet, "/healthz", "", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			reply.JSON(w, http.StatusOK, map[string]string{"status": "ok"})
		})},
		{http.MethodGet, "/readyz", "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := s.Ready(); err != nil {
				reply.Fail(w, r, err)
				return
			}
			reply.JSON(w, http.StatusOK, s.readiness())
		})},
	}
}

// readiness is what a server says that takes work. What it does without is named,
// for people: it is no reason to send it less work.
func (s *server) readiness() any {
	if s.Degraded != nil {
		if parts := s.Degraded(); len(parts) > 0 {
			return map[string]any{"status": "degraded", "degraded": parts}
		}
	}
	return map[string]string{"status": "ready"}
}
