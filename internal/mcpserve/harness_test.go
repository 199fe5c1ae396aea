package mcpserve

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Tools for tests: each shows one thing that a tool can do.
type (
	echoIn struct {
		Text string `json:"text" maxLen:"4000000"`
	}
	echoOut struct {
		Text string `json:"text"`
	}
	waitIn struct {
		Gate string `json:"gate"`
	}
	stepsIn struct {
		N int `json:"n" default:"3"`
	}
)

var counter = session.NewSlot[struct {
	N    int      `json:"n"`
	Said []string `json:"said"`
}]("counter")

// gates let a test hold a call in its tool.
type gates struct {
	entered chan string
	leave   chan struct{}
	ended   chan error
}

func testTools(g *gates) []tools.Tool {
	spec := func(name string, lane work.Lane, e tools.Effect) tools.Spec {
		return tools.Spec{
			Name: name, Family: "test", Title: name, Summary: "For tests.", Scope: policy.Reason, Lane: lane, Effect: e, Method: "test",
			Examples: []tools.Example{{Title: "x", Arguments: `{"operation":"` + name + `"}`}},
		}
	}
	code := spec("run_code", work.Inline, tools.ReadOnly)
	code.Scope = policy.Code
	alone := spec("alone", work.Inline, tools.ReadOnly)
	alone.Family = "single" // the one operation of its family
	return []tools.Tool{
		tools.Define(spec("echo", work.Inline, tools.ReadOnly), func(_ context.Context, _ *tools.Call, in echoIn) (echoOut, error) { return echoOut(in), nil }),
		tools.Define(spec("remember", work.Inline, tools.Mutates), func(ctx context.Context, c *tools.Call, in echoIn) (echoOut, error) {
			var out echoOut
			err := counter.Update(ctx, c.Session, func(s *struct {
				N    int      `json:"n"`
				Said []string `json:"said"`
			},
			) error {
				s.N++
				s.Said = append(s.Said, in.Text)
				out.Text = strings.Join(s.Said, ",")
				return nil
			})
			return out, err
		}),
		tools.Define(spec("hold", work.Interactive, tools.ReadOnly), func(ctx context.Context, _ *tools.Call, in waitIn) (echoOut, error) {
			g.entered <- in.Gate
			select {
			case <-g.leave:
				g.ended <- nil
				return echoOut{"left"}, nil
			case <-ctx.Done():
				g.ended <- context.Cause(ctx)
				return echoOut{}, ctx.Err()
			}
		}),
		tools.Define(spec("steps", work.Interactive, tools.ReadOnly), func(_ context.Context, c *tools.Call, in stepsIn) (echoOut, error) {
			for i := range in.N {
				c.Progress(float64(i+1), float64(in.N), "step")
				c.Progress(float64(i), float64(in.N), "back") // does not grow: must not be sent
			}
			c.Warn("noted", "a warning")
			return echoOut{"done"}, nil
		}),
		tools.Define(spec("explode", work.Interactive, tools.ReadOnly), func(context.Context, *tools.Call, echoIn) (echoOut, error) { panic("secret detail") }),
		tools.Define(alone, func(_ context.Context, _ *tools.Call, in stepsIn) (echoOut, error) {
			return echoOut{strings.Repeat("a", in.N)}, nil
		}),
		tools.Define(code, func(context.Context, *tools.Call, echoIn) (echoOut, error) { return echoOut{"ran"}, nil }),
	}
}

// world is a server with a way to call it as somebody.
type world struct {
	t      testing.TB
	server *Server
	http   *httptest.Server
	gates  *gates
	store  *job.MemoryStore
}

func newWorld(t testing.TB, change ...func(*Config, *session.Config)) *world {
	t.Helper()
	return worldOver(t, job.NewMemoryStore(), nil, change...)
}

// worldOver is newWorld over jobs and sessions of an earlier one.
func worldOver(t testing.TB, store *job.MemoryStore, sessions *session.Directory, change ...func(*Config, *session.Config)) *world {
	t.Helper()
	cfg := Config{Version: "test", TransportDefault: true, KeepAlive: time.Hour, ResumeWindow: time.Minute}
	sess := session.Config{MaxPerOwner: 1000}
	for _, f := range change {
		f(&cfg, &sess)
	}
	transports := sess
	transports.Prefix = TransportPrefix
	g := &gates{entered: make(chan string, 64), leave: make(chan struct{}), ended: make(chan error, 64)}
	registry, err := tools.NewRegistry(slices.Concat(testTools(g), longTools(g), turningTools(g), sharingTools(g))...)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	if sessions == nil {
		sessions = session.New(sess, nil)
	}
	var s *Server
	s, err = New(Deps{
		Jobs: job.New(job.Config{
			PersistAfter: time.Millisecond, CheckpointEvery: 2 * time.Millisecond, OnEnd: func(e job.Event) { s.JobEnded(e) },
		}, store, nil, log),
		Registry: registry, Extra: testTools(g)[:1],
		Sessions: sessions, Transports: session.New(transports, nil), Journal: session.NewJournal(0, 0),
		Scheduler: work.New(work.Config{Tickets: 8}), Log: log,
		Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(),
		Forbid: func(w http.ResponseWriter, err error) { w.Header().Set("WWW-Authenticate", "Bearer "+err.Error()) },
	}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, server: s, gates: g, store: store}
	w.http = httptest.NewServer(guarded(t, as(s)))
	t.Cleanup(func() {
		// First, so that no request of a test that failed waits for its job.
		if err := s.Jobs.Close(); err != nil {
			t.Error(err)
		}
		w.http.Close()
	})
	return w
}

// as plays the chain in front: the bearer token is the subject's name, followed by
// @ and the tenant if that is not t.
func as(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		sub, tenant, found := strings.Cut(who, "@")
		if !found {
			tenant = "t"
		}
		p := &identity.Principal{Tenant: tenant, Issuer: "i", Subject: sub, Scopes: []string{"reason"}, TokenKey: who}
		if scopes := r.Header.Get("X-Scopes"); scopes != "" {
			p.Scopes = []string{scopes}
		}
		ctx := client.NewContext(identity.NewContext(r.Context(), p), &client.Context{Transport: client.HTTP, Started: time.Now(), Principal: p})
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// peer is one client: a subject, and the session it has in the older revisions.
type peer struct {
	w       *world
	who     string
	rev     string
	session string
}

type answer struct {
	status int
	header http.Header
	body   []byte
	events []json.RawMessage // of a stream
}

func (p *peer) do(method, body string, change ...func(*http.Request)) answer {
	p.w.t.Helper()
	req, err := http.NewRequestWithContext(p.w.t.Context(), method, p.w.http.URL+"/mcp", strings.NewReader(body))
	if err != nil {
		p.w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.who)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if p.session != "" {
		req.Header.Set(headerSession, p.session)
	}
	if p.rev != "" {
		req.Header.Set(headerVersion, p.rev)
	}
	for _, f := range change {
		f(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.w.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: b}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		for line := range bytes.Lines(b) {
			if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
				a.events = append(a.events, bytes.TrimSpace(data))
			}
		}
	}
	return a
}

// legacy opens a session of an older revision.
func (w *world) legacy(who, rev string) *peer {
	w.t.Helper()
	p := &peer{w: w, who: who}
	a := p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"`+rev+`","capabilities":{},"clientInfo":{"name":"probe","version":"1"}}}`)
	p.session = a.header.Get(headerSession)
	if a.status != 200 || p.session == "" {
		w.t.Fatalf("initialize: %d %s", a.status, a.body)
	}
	var r struct {
		Result struct {
			ProtocolVersion string `json:"protocolVersion"`
		} `json:"result"`
	}
	if err := json.Unmarshal(a.body, &r); err != nil || r.Result.ProtocolVersion != rev {
		w.t.Fatalf("negotiated %q, want %q: %s", r.Result.ProtocolVersion, rev, a.body)
	}
	if rev != rev2024 && rev != rev202503 {
		p.rev = rev
	}
	if n := p.do("POST", `{"jsonrpc":"2.0","method":"notifications/initialized"}`); n.status != 202 || len(n.body) > 0 {
		w.t.Fatalf("initialized: %d %q", n.status, n.body)
	}
	return p
}

// modern returns a client of 2026-07-28, which needs no session.
func (w *world) modern(who string) *peer { return &peer{w: w, who: who, rev: rev2026} }

const modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"probe","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}%s}`

// call calls a tool; token asks for progress when it is not "".
func (p *peer) call(id, tool, arguments, token string, change ...func(*http.Request)) answer {
	p.w.t.Helper()
	meta := ""
	if p.rev == rev2026 {
		extra := ""
		if token != "" {
			extra = `,"progressToken":` + token
		}
		meta = "," + strings.Replace(modernMeta, "%s", extra, 1)
		change = append([]func(*http.Request){func(r *http.Request) {
			r.Header.Set(headerMethod, "tools/call")
			r.Header.Set(headerName, tool)
		}}, change...)
	} else if token != "" {
		meta = `,"_meta":{"progressToken":` + token + `}`
	}
	return p.do("POST", `{"jsonrpc":"2.0","id":`+id+`,"method":"tools/call","params":{"name":"`+tool+`","arguments":`+arguments+meta+`}}`, change...)
}

// result decodes the envelope of a tool result.
func (a answer) result(t testing.TB) (env tools.Envelope, isError bool) {
	t.Helper()
	body := a.body
	if len(a.events) > 0 {
		body = a.events[len(a.events)-1]
	}
	var r struct {
		Result struct {
			IsError bool `json:"isError"`
			Content []struct {
				Text string `json:"text"`
			} `json:"content"`
			Structured json.RawMessage `json:"structuredContent"`
		} `json:"result"`
	}
	if err := json.Unmarshal(body, &r); err != nil || len(r.Result.Content) != 1 {
		t.Fatalf("no tool result: %d %s (%v)", a.status, body, err)
	}
	if r.Result.Structured != nil && string(r.Result.Structured) != r.Result.Content[0].Text {
		t.Fatalf("text and structured content differ:\n%s\n%s", r.Result.Content[0].Text, r.Result.Structured)
	}
	if err := json.Unmarshal([]byte(r.Result.Content[0].Text), &env); err != nil {
		t.Fatalf("the text is no envelope: %v", err)
	}
	return env, r.Result.IsError
}

func (a answer) code(t testing.TB) int {
	t.Helper()
	body := a.body
	if len(a.events) > 0 {
		body = a.events[len(a.events)-1]
	}
	var r struct {
		Error struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		t.Fatalf("no JSON: %d %q", a.status, body)
	}
	return r.Error.Code
}
