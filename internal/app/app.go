// Package app builds the server from its configuration and stops it in order.
//
// New is one straight function: what needs what can be read from top to bottom,
// and whatever was built is undone in reverse when a later step fails or the
// server stops.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lyceum-mcp/lyceum/api"
	"github.com/lyceum-mcp/lyceum/internal/build"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/event"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/identity/oidc"
	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/limit"
	"github.com/lyceum-mcp/lyceum/internal/mcpserve"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/telemetry"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/middleware"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/catalog"
)

// Options are what the configuration does not say.
type Options struct {
	Log io.Writer                   // records; nil discards them
	Env func(string) (string, bool) // for the standard OTEL_ variables; may be nil
	// Local builds the server without a listener, for the local user.
	Local bool
	// Process makes this the one server of its process: telemetry that nobody was
	// handed goes through it.
	Process bool
	// OnReady, which may be nil, is called once connections are accepted.
	OnReady func(a *App)
	// OnRefusal, which may be nil, hears of every request that is not authenticated.
	OnRefusal func(ctx context.Context, r middleware.Refusal)
	// Extra operations, for tests.
	Extra []tools.Tool
	// Tools and More are offered beside what the program has, for builds with
	// fixtures.
	Tools []tools.Tool
	More  mcpserve.More
}

// App is a server, started by Run.
type App struct {
	cfg        *config.Config
	log        *slog.Logger
	level      *slog.LevelVar
	undo       stack
	listener   net.Listener // nil when local
	adminLn    net.Listener // nil unless there is a second one
	main       *http.Server
	admin      *http.Server
	handler    http.Handler
	issuer     *devidp.Issuer // nil unless dev
	bus        *event.Bus[session.Event]
	sessions   *session.Directory
	transports *session.Directory
	scheduler  *work.Scheduler
	gate       *middleware.Gate
	store      session.Store // nil if nothing is kept
	journal    *session.Journal
	jobs       *job.Runner
	tickets    int
	limits     *limit.Limiter
	policy     *policy.Policy
	certs      *certificates // nil without TLS
	audit      *auditor
	alerts     *alerts            // nil when local
	denied     *identity.DenyList // nil when local
	proofs     *oidc.ProofChecker // nil unless an issuer's tokens may be bound to a key
	logouts    []logoutVerifier
	watcher    *watcher
	meters     *meters

	mcp     *mcpserve.Server
	locals  *local
	baseURL string
	ready   atomic.Bool
	onReady func()
	started time.Time
}

// New builds a server and opens its listeners, so that Addr is known; nothing is
// served before Run. What a failing step leaves behind is undone.
func New(ctx context.Context, cfg *config.Config, o Options) (*App, error) {
	a := &App{cfg: cfg, level: new(slog.LevelVar), started: time.Now()}
	if o.OnReady != nil {
		a.onReady = func() { o.OnReady(a) }
	}
	if err := a.build(ctx, o); err != nil {
		return nil, errors.Join(err, a.undo.unwind(context.WithoutCancel(ctx)))
	}
	return a, nil
}

func (a *App) build(ctx context.Context, o Options) error {
	cfg := a.cfg
	if o.Log == nil {
		o.Log = io.Discard
	}
	a.level.Set(cfg.Log.Slog())
	a.log = telemetry.NewLogger(o.Log, cfg.Log.Format, a.level)

	a.openWatcher()
	tel, err := telemetry.Start(ctx, telemetry.Config{
		Spans:       a.watcher.spans,
		SampleRatio: cfg.Telemetry.SampleRatio, Metrics: cfg.Telemetry.Metrics, Service: "lyceum", Version: build.Version(), Env: o.Env,
	})
	if err != nil {
		return fmt.Errorf("start telemetry: %w", err)
	}
	a.undo.push("telemetry", tel.Shutdown)
	if o.Process {
		tel.SetGlobal(a.log)
	}

	if a.meters, err = openMeters(tel.MeterProvider(), tel.TracerProvider()); err != nil {
		return fmt.Errorf("start telemetry: %w", err)
	}
	a.openFlight()

	// The store says best which process has the directory.
	if a.store, err = a.openStore(ctx, o.Local); err != nil {
		return err
	}
	if err := a.openAudit(o.Local); err != nil {
		return err
	}
	if err := a.measureAudit(tel.MeterProvider()); err != nil {
		return err
	}
	rules, err := policy.Compile(cfg.Policy.Rules())
	if err != nil {
		return err
	}
	a.policy = policy.New(rules, a.log)
	if !o.Local {
		if err := a.listen(ctx); err != nil {
			return err
		}
	}
	verifier, err := a.identity(ctx)
	if err != nil {
		return err
	}

	a.bus = new(event.Bus[session.Event])
	s := cfg.Sessions
	if err := a.openSessions(ctx); err != nil {
		return err
	}
	a.transports = session.New(a.observe(transport, a.audit.watch(transport, session.Config{
		Prefix: mcpserve.TransportPrefix, IdleTTL: cfg.Transport.IdleTTL, MaxTTL: max(s.MaxTTL, cfg.Transport.IdleTTL),
		MaxPerOwner: cfg.Transport.MaxPerOwner, MaxPerTenant: s.MaxPerTenant, MaxTotal: s.MaxTotal,
	})), a.bus)
	a.undo.push("transport sessions", func(context.Context) error { a.transports.Close(); return nil })
	if err := a.openLimits(); err != nil {
		return err
	}
	if a.tickets = cfg.Work.Tickets; a.tickets == 0 {
		a.tickets = runtime.NumCPU()
	}
	a.scheduler = work.New(a.schedule(cfg.Work, a.tickets))
	a.jobs = a.runner()
	a.sweep()
	a.undo.push("jobs", func(context.Context) error { return a.jobs.Close() })

	a.raiseThreads(ctx, cfg.Work)
	a.gate = a.door()

	registry, err := tools.NewRegistry(append(catalog.All(), o.Extra...)...)
	if err != nil {
		return fmt.Errorf("register operations: %w", err)
	}
	metadata := a.baseURL + "/.well-known/oauth-protected-resource" + api.MCPPath
	a.mcp, err = mcpserve.New(mcpserve.Deps{
		Registry: registry, Extra: append(catalog.Direct(), o.Tools...), More: o.More, Drawers: catalog.Drawers(), Sessions: a.sessions, Transports: a.transports, Journal: a.journal,
		Scheduler: a.scheduler, Jobs: a.jobs, Budgets: a.limits, Policy: a.policy, Audit: a.audit, Watch: a.watcher, Log: a.log, Tracer: tel.TracerProvider(), Meter: tel.MeterProvider(), Forbid: middleware.Forbid(metadata),
	}, mcpserve.Config{
		Version: build.Version(), KeepAlive: cfg.HTTP.Keepalive, WriteTimeout: cfg.HTTP.WriteTimeout, CallTimeout: cfg.Work.CallTimeout, InlineLimit: cfg.Jobs.InlineLimit,
		MaxOutputBytes: int(cfg.Tools.MaxOutputBytes), MaxStreamsPerUser: cfg.HTTP.MaxStreamsPerOwner, MaxSubscriptions: cfg.HTTP.MaxSubscriptionsPerOwner, ResumeWindow: cfg.HTTP.ResumeWindow, TransportDefault: s.TransportDefault,
		Surface: cfg.Tools.Surface,
		Limits:  budget.Limits{Time: time.Duration(cfg.Tools.MaxMillis) * time.Millisecond, Steps: cfg.Tools.MaxSteps, Nodes: cfg.Tools.MaxNodes},
	})
	if err != nil {
		return fmt.Errorf("build the MCP endpoint: %w", err)
	}
	if _, err := a.jobs.Recover(ctx, a.mcp.Resolve); err != nil {
		return fmt.Errorf("recover the jobs of the last process: %w", err)
	}

	if err := a.openAlerts(ctx); err != nil {
		return err
	}

	deps := api.Deps{
		Config: a.apiConfig(), Log: a.log, Tracer: tel.TracerProvider(), Verifier: verifier, Gate: a.gate, MCP: a.mcp,
		Monitor: a.monitor(), Ready: a.Ready,
	}
	deps.Degraded = a.audit.degraded
	deps.Refused = func(ctx context.Context, err error) {
		a.meters.refused(err)
		a.audit.refused(ctx, err)
	}
	deps.Alerts = a.alerts.snapshot
	deps.OnRefusal = func(ctx context.Context, r middleware.Refusal) {
		a.audit.refusal(ctx, r)
		a.alerts.refusal(r)
		if o.OnRefusal != nil {
			o.OnRefusal(ctx, r)
		}
	}
	a.identityDeps(&deps)
	if a.issuer != nil {
		deps.Dev, deps.DevPaths = a.issuer, devidp.Paths()
	}
	if err := a.measure(); err != nil {
		return err
	}
	if cfg.Telemetry.Metrics {
		deps.Metrics = tel.MetricsHandler()
	}
	if deps.Admin, err = a.page(a.audit.verifier(verifier)); err != nil {
		return err
	}
	a.serve(deps)
	return nil
}

// listen opens the listeners and learns the URL that clients use.
func (a *App) listen(ctx context.Context) error {
	if a.cfg.TLS.On() {
		var err error
		if a.certs, err = openCertificates(a.cfg.TLS, a.log); err != nil {
			return err
		}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", a.cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", a.cfg.Addr, err)
	}
	a.listener = a.limit(ln)
	a.undo.push("listener", closer(a.listener))
	if a.cfg.Admin.Addr != "" {
		ln, err := lc.Listen(ctx, "tcp", a.cfg.Admin.Addr)
		if err != nil {
			return fmt.Errorf("listen on %s: %w", a.cfg.Admin.Addr, err)
		}
		a.adminLn = a.limit(ln)

		a.undo.push("admin listener", closer(a.adminLn))
	}
	return nil
}

func closer(ln net.Listener) func(context.Context) error {
	return func(context.Context) error {
		if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

// sweep ends expired sessions in the background until the server stops.
func (a *App) sweep() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, d := range []*session.Directory{a.sessions, a.transports} {
		wg.Go(func() { _ = d.Run(ctx) }) // it only ever returns why ctx ended
	}
	wg.Go(func() { _ = a.jobs.Run(ctx) }) // as above
	wg.Go(func() { a.scheduler.Run(ctx) })
	wg.Go(func() { a.sweepJournal(ctx) })
	a.undo.push("sweepers", func(context.Context) error { cancel(); wg.Wait(); return nil })
}

// Addr returns the address of the main listener, or "" for a local server.
func (a *App) Addr() string {
	if a.listener == nil {
		return ""
	}
	return a.listener.Addr().String()
}

// Log returns the server's log.
func (a *App) Log() *slog.Logger { return a.log }

// URL returns the server's base URL as clients write it.
func (a *App) URL() string { return a.baseURL }

// ListenURL returns where the main listener can be reached from this machine.
func (a *App) ListenURL() string { return a.scheme() + dialable(a.Addr()) }

// scheme begins the URLs of the listeners.
func (a *App) scheme() string {
	if a.certs != nil {
		return "https://"
	}
	return "http://"
}

// AdminURL returns the URL of the page.
func (a *App) AdminURL() string {
	if a.adminLn != nil {
		return a.scheme() + dialable(a.adminLn.Addr().String()) + "/admin/"
	}
	return a.baseURL + "/admin/"
}

// Issuer returns the development identity provider, or nil.
func (a *App) Issuer() *devidp.Issuer { return a.issuer }

// Handler returns the whole chain, for tests and benchmarks without a socket.
func (a *App) Handler() http.Handler { return a.handler }

// Local returns a way into the chain, in this process, for the principal.
func (a *App) Local(p *identity.Principal) http.RoundTripper {
	a.locals = &local{handler: a.handler, principal: p}
	return a.locals
}

// Ready reports whether the server takes new work.
func (a *App) Ready() error {
	if a.ready.Load() {
		return nil
	}
	return &fault.Error{Kind: fault.Unavailable, Code: "not_ready", Public: "the server is starting or stopping", RetryAfter: time.Second}
}
