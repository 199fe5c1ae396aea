package mcpserve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Deps are the parts that a Server ties together. All are needed.
type Deps struct {
	Registry   *tools.Registry
	Extra      []tools.Tool       // offered as tools of their own, beside the facade
	More       More               // prompts and resources beside those of the operations
	Drawers    []tools.Drawer     // of the objects that are trees or graphs
	Sessions   *session.Directory // reasoning sessions
	Transports *session.Directory // transport sessions of the older revisions
	Journal    *session.Journal   // results of calls with an idempotency key
	Scheduler  *work.Scheduler
	Jobs       *job.Runner    // what every computing call runs in; recover with Server.Resolve
	Budgets    Budgets        // of tenants, owners and tokens; nil if nothing is bounded
	Audit      Auditor        // nil keeps no record
	Policy     *policy.Policy // what is forbidden; nil asks for scopes only
	Log        *slog.Logger
	Watch      Watcher // hears of calls; may be nil
	Tracer     trace.TracerProvider
	Meter      metric.MeterProvider
	// Forbid writes the step-up challenge of a Forbidden failure.
	Forbid func(w http.ResponseWriter, err error)
}

// Config has the bounds of the protocol side. Zero values mean the defaults, but for
// ResumeWindow.
type Config struct {
	Version           string        // of the server, for serverInfo
	KeepAlive         time.Duration // between comments on a silent stream
	WriteTimeout      time.Duration // of one write to a client
	CallTimeout       time.Duration // of running, not of waiting for a turn
	InlineLimit       time.Duration // that a client waits before its call goes on as a job
	MaxOutputBytes    int           // of one result
	MaxBatch          int           // messages in one batch of 2025-03-26
	MaxStreamsPerUser int           // standing streams of one owner
	MaxSubscriptions  int           // URIs of resources that one owner is told of
	ResumeWindow      time.Duration // that a stream of the older revisions can be resumed after its end; 0: never
	Limits            budget.Limits // ceilings of one computation
	Surface           string        // "facade", "families" or "both"; empty is "facade"
	TransportDefault  bool          // a call without sessionId uses its transport session's reasoning session
}

// Defaults of Config.
const (
	DefaultKeepAlive      = 15 * time.Second
	DefaultWriteTimeout   = 10 * time.Second
	DefaultCallTimeout    = 60 * time.Second
	DefaultInlineLimit    = 20 * time.Second
	DefaultMaxOutputBytes = 1 << 20
	DefaultMaxBatch       = 50
	DefaultMaxStreams     = 16
	DefaultSubscriptions  = 256
)

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&c.KeepAlive, DefaultKeepAlive)
	set(&c.WriteTimeout, DefaultWriteTimeout)
	set(&c.CallTimeout, DefaultCallTimeout)
	set(&c.InlineLimit, DefaultInlineLimit)
	for _, n := range []struct {
		p *int
		v int
	}{{&c.MaxOutputBytes, DefaultMaxOutputBytes}, {&c.MaxBatch, DefaultMaxBatch}, {&c.MaxStreamsPerUser, DefaultMaxStreams}, {&c.MaxSubscriptions, DefaultSubscriptions}} {
		if *n.p <= 0 {
			*n.p = n.v
		}
	}
	return c
}

// Server is the MCP endpoint. It is an http.Handler for the one path of the
// protocol; the middleware in front has authenticated the caller.
type Server struct {
	Deps
	cfg    Config
	mcp    *mcpserver.MCPServer
	direct map[string]*direct
	info   json.RawMessage // serverInfo
	meta   []byte          // the end of a modern result: resultType and serverInfo
	obs    *observer

	transports *transports
	feeds      *feeds
	calls      *inflight
	asked      asked
	parked     parked
	kept       *keptTasks
	streams    *streams
	subs       *subscriptions
	cursors    *sealer
	fixed      *fixed    // resources
	families   []*family // prompts
	draining   atomic.Bool

	overrunning atomic.Int64  // tools that ignore their deadline, now
	overruns    atomic.Uint64 // since the start
}

// direct is a tool that clients call by name, with all that dispatching one
// call of it needs made ready.
type direct struct {
	tool    tools.Tool    // or nil
	facade  *tools.Facade // where tool is nil
	message json.RawMessage
	headers []paramHeader // arguments that come in headers too
}

// New returns a server over deps.
func New(deps Deps, cfg Config) (*Server, error) {
	if deps.Jobs == nil {
		return nil, errors.New("the MCP endpoint needs a job runner")
	}
	s := &Server{Deps: deps, cfg: cfg.withDefaults(), direct: map[string]*direct{}}
	s.feeds = newFeeds(s.cfg.ResumeWindow)
	s.transports = &transports{dir: deps.Transports, feeds: s.feeds, byID: map[session.ID]*transport{}}
	s.calls = newInflight()
	s.kept = &keptTasks{byID: map[job.ID]*task{}}
	s.streams = newStreams(s.cfg.MaxStreamsPerUser)
	s.subs = newSubscriptions(s.cfg.MaxSubscriptions)
	var err error
	if s.cursors, err = newSealer(); err != nil {
		return nil, err
	}
	if s.fixed, err = newFixed(s); err != nil {
		return nil, err
	}
	more, _ := s.More.entries()
	s.fixed.entries = append(s.fixed.entries, more...)
	if s.families, err = newFamilies(s.Registry, s.cfg.Surface); err != nil {
		return nil, err
	}
	if s.obs, err = newObserver(deps.Tracer, deps.Meter, s); err != nil {
		return nil, err
	}
	s.info, _ = json.Marshal(map[string]string{"name": "lyceum", "version": cfg.Version}) // strings always encode
	s.meta = fmt.Appendf(nil, `,"resultType":"complete","_meta":{"%s":%s}}`, metaServerInfo, s.info)

	s.mcp = mcpserver.NewMCPServer("lyceum", cfg.Version,
		mcpserver.WithTitle("Lyceum"),
		mcpserver.WithToolCapabilities(false),
		mcpserver.WithResourceCapabilities(true, false), // what they are, resources.go and prompts.go say
		mcpserver.WithPromptCapabilities(false),
		mcpserver.WithCompletions(),
		mcpserver.WithExtensions(map[string]any{tools.TasksExtension: map[string]any{}}),
		mcpserver.WithLogging(),
		mcpserver.WithCacheHints(60_000, mcp.CacheScopePrivate),
		mcpserver.WithInstructions(instructions),
	)
	facades, err := surface(s.cfg.Surface, deps.Registry)
	if err != nil {
		return nil, err
	}
	for _, f := range facades {
		s.offer(f.Name(), f.Description(), f.Title(), f.InputSchema(), f.OutputSchema(), annotations(f.Effect()), &direct{facade: f})
	}
	for _, t := range slices.Concat(s.sessionTools(), s.jobTools(), deps.Extra) {
		spec := t.Spec()
		d := &direct{tool: t}
		if d.headers, err = paramHeaders(t.InputSchema()); err != nil {
			return nil, fmt.Errorf("the tool %s: %w", spec.Name, err)
		}
		s.offer(spec.Name, spec.Summary, spec.Title, t.InputSchema(), nil, annotations(spec.Effect), d)
	}
	return s, nil
}

// surface returns the facades that the setting asks for.
func surface(name string, r *tools.Registry) ([]*tools.Facade, error) {
	var out []*tools.Facade
	switch name {
	case "", "facade":
		out = append(out, tools.NewFacade(r))
	case "families":
		out = tools.NewFamilies(r)
	case "both":
		out = append(append(out, tools.NewFacade(r)), tools.NewFamilies(r)...)
	default:
		return nil, fmt.Errorf("surface %q: must be facade, families or both", name)
	}
	for _, f := range out {
		if n := len(f.Description()); n > maxDescription {
			return nil, fmt.Errorf("the description of %s has %d characters; the limit is %d", f.Name(), n, maxDescription)
		}
	}
	return out, nil
}

// maxDescription is what the strictest host accepts.
const maxDescription = 1000

const instructions = "Lyceum computes; it does not guess. Call clear_thought with an operation and its parameters; operation \"describe\" explains each one. " +
	"Pass the sessionId of a result to continue where it ended."

// offer registers a tool with mcp-go and keeps the message that dispatches it.
func (s *Server) offer(name, description, title string, in, out json.RawMessage, a mcp.ToolAnnotation, d *direct) {
	tool := mcp.NewToolWithRawSchema(name, description, in)
	tool.Title, tool.Annotations, tool.RawOutputSchema = title, a, out
	s.mcp.AddTool(tool, s.handleTool)
	msg, _ := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{"name": name},
	}) // plain strings always encode
	d.message = msg
	s.direct[name] = d
}

func annotations(e tools.Effect) mcp.ToolAnnotation {
	return mcp.ToolAnnotation{
		ReadOnlyHint: new(e == tools.ReadOnly), DestructiveHint: new(e == tools.Deletes),
		IdempotentHint: new(e != tools.Mutates), OpenWorldHint: new(false),
	}
}

// handleTool is what mcp-go dispatches to. The call it runs travels in the
// context, so that arguments are decoded once, by us, and results are encoded
// once.
func (s *Server) handleTool(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	c, ok := ctx.Value(callCtx{}).(*toolCall)
	if !ok {
		return nil, fmt.Errorf("a tool was dispatched without its call")
	}
	c.run(ctx)
	return done, nil
}

// done is the result that mcp-go passes on; the real one is in the call.
var done = &mcp.CallToolResult{}

// Overruns returns how many calls compute on after their deadline, and how many
// did since the start.
func (s *Server) Overruns() (now int64, total uint64) { return s.overrunning.Load(), s.overruns.Load() }

// InFlight returns the number of calls that are running or waiting.
func (s *Server) InFlight() int { return s.calls.len() }

// Streams returns the number of standing streams.
func (s *Server) Streams() int { return s.streams.len() }
