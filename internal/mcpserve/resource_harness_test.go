package mcpserve

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Operations whose descriptions show all that guides and prompts are made of.
type (
	weighIn struct {
		Options []struct {
			Name  string             `json:"name" required:"true" maxLen:"64" doc:"What it is called."`
			Score map[string]float64 `json:"score" doc:"Points by criterion."`
		} `json:"options" required:"true" minItems:"1" maxItems:"9" doc:"What there is to choose from."`
		Rule  string  `json:"rule" enum:"sum|product" default:"sum" doc:"How points are put together."`
		Scale float64 `json:"scale" min:"0" max:"10" default:"1" doc:"Factor | of every point."`
	}
	weighOut struct {
		Best string `json:"best" doc:"Its name."`
	}
	putIn struct {
		ID   string `json:"id" required:"true" maxLen:"64"`
		Text string `json:"text" maxLen:"4000000"`
		Drop bool   `json:"drop"`
		Mode string `json:"mode" enum:"plain|loud" default:"plain"`
	}
	note struct {
		Text string `json:"text"`
	}
)

var notes = session.NewSlot[note]("note")

// noteGraph draws a note as a path of its words.
func noteGraph(n *note) (g graph.Graph) {
	for i, word := range strings.Fields(n.Text) {
		g.Nodes = append(g.Nodes, graph.Node{ID: strconv.Itoa(i), Label: word})
		if i > 0 {
			g.Edges = append(g.Edges, graph.Edge{From: strconv.Itoa(i - 1), To: strconv.Itoa(i)})
		}
	}
	return g
}

func demoTools() []tools.Tool {
	weigh := tools.Define(tools.Spec{
		Name: "weigh", Family: "demo", Title: "Weigh options", Summary: "Finds the option with the most points.",
		Scope: policy.Reason, Lane: work.Interactive, Effect: tools.ReadOnly, Method: "weighted sum", Source: "Benjamin Franklin 1772",
		Examples: []tools.Example{{Title: "Two options", Arguments: `{"operation":"weigh","parameters":{"options":[{"name":"a","score":{"x":1}},{"name":"b","score":{"x":2}}]}}`}},
	}, func(_ context.Context, c *tools.Call, in weighIn) (weighOut, error) {
		c.Seed()
		best, most := "", -1.0
		for _, o := range in.Options {
			sum := 0.0
			for _, v := range o.Score {
				sum += v * in.Scale
			}
			if sum > most {
				best, most = o.Name, sum
			}
		}
		return weighOut{best}, nil
	})
	put := tools.Define(tools.Spec{
		Name: "put", Family: "demo", Title: "Put a note", Summary: "Keeps a text in the session.",
		Scope: policy.Reason, Lane: work.Inline, Effect: tools.Mutates, Method: "storage",
		Examples: []tools.Example{{Title: "A note", Arguments: `{"operation":"put","parameters":{"id":"n1","text":"hello"}}`}},
	}, func(ctx context.Context, c *tools.Call, in putIn) (weighOut, error) {
		slot := notes.Key(in.ID)
		if in.Drop {
			return weighOut{}, slot.Delete(ctx, c.Session)
		}
		return weighOut{in.ID}, slot.Update(ctx, c.Session, func(n *note) error { n.Text = in.Text; return nil })
	})
	code := tools.Define(tools.Spec{
		Name: "run", Family: "code", Title: "Run code", Summary: "Runs what the caller sent.",
		Scope: policy.Code, Lane: work.Interactive, Effect: tools.ReadOnly, Method: "interpreter",
		Examples: []tools.Example{{Title: "One", Arguments: `{"operation":"run","parameters":{"text":"1"}}`}},
	}, func(context.Context, *tools.Call, echoIn) (echoOut, error) { panic("an example of code was run") })
	return []tools.Tool{weigh, put, code}
}

// demoWorld is a server over demoTools.
func demoWorld(t testing.TB, all []tools.Tool, change ...func(*Config, *session.Config)) *world {
	t.Helper()
	cfg := Config{Version: "test", TransportDefault: true, KeepAlive: time.Hour}
	sess := session.Config{MaxPerOwner: 1000}
	for _, f := range change {
		f(&cfg, &sess)
	}
	transports := sess
	transports.Prefix, transports.MaxTTL, transports.IdleTTL = TransportPrefix, 0, 0
	registry, err := tools.NewRegistry(all...)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	s, err := New(Deps{
		Jobs:     job.New(job.Config{}, job.NewMemoryStore(), nil, log),
		Drawers:  []tools.Drawer{tools.NewDrawer(notes, noteGraph)},
		Registry: registry, Sessions: session.New(sess, nil), Transports: session.New(transports, nil), Journal: session.NewJournal(0, 0),
		Scheduler: work.New(work.Config{Tickets: 2}), Log: log,
		Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(),
		Forbid: func(w http.ResponseWriter, err error) { w.Header().Set("WWW-Authenticate", "Bearer "+err.Error()) },
	}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, server: s}
	w.http = httptest.NewServer(guarded(t, scoped(s)))
	t.Cleanup(func() {
		s.streams.endAll()
		if err := s.Jobs.Close(); err != nil {
			t.Error(err)
		}
		w.http.Close()
	})
	return w
}

// scoped is as, but a subject that begins with "bare" has no scope.
func scoped(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		p := &identity.Principal{Tenant: "t", Issuer: "i", Subject: who, Scopes: []string{"reason"}, TokenKey: who}
		if strings.HasPrefix(who, "bare") {
			p.Scopes = nil
		}
		ctx := client.NewContext(identity.NewContext(r.Context(), p), &client.Context{Transport: client.HTTP, Started: time.Now(), Principal: p})
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// peers returns a client of each era for a subject.
func (w *world) peers(who string) []*peer {
	return []*peer{w.legacy(who, rev2024), w.legacy(who, rev202511), w.modern(who)}
}

// envelopeOf is what a request of the peer's era says besides: the members to put into
// its parameters, and its headers.
func (p *peer) envelopeOf(method, params string) (string, []func(*http.Request)) {
	if p.rev != rev2026 {
		return params, nil
	}
	if params != "{}" {
		params = params[:len(params)-1] + ","
	} else {
		params = "{"
	}
	heads := []func(*http.Request){header(headerMethod, method)}
	var named struct{ URI, Name string }
	_ = json.Unmarshal([]byte(params+`"x":0}`), &named)
	switch method {
	case "resources/read":
		heads = append(heads, header(headerName, named.URI))
	case "prompts/get":
		heads = append(heads, header(headerName, named.Name))
	}
	return params + strings.Replace(modernMeta, "%s", "", 1) + "}", heads
}

// ask sends a request; params is a JSON object.
func (p *peer) ask(method, params string) answer {
	p.w.t.Helper()
	full, heads := p.envelopeOf(method, params)
	return p.do("POST", `{"jsonrpc":"2.0","id":7,"method":"`+method+`","params":`+full+`}`, heads...)
}

// into decodes the result of an answer.
func (a answer) into(t testing.TB, v any) {
	t.Helper()
	var r struct {
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(a.body, &r); err != nil || a.status != 200 || r.Result == nil {
		t.Fatalf("no result: %d %s", a.status, a.body)
	}
	if err := json.Unmarshal(r.Result, v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
}

// read reads a resource, which must be there, and returns its text.
func (p *peer) read(uri string) string {
	p.w.t.Helper()
	var out contents
	a := p.ask("resources/read", `{"uri":"`+uri+`"}`)
	a.into(p.w.t, &out)
	if len(out.Contents) != 1 || out.Contents[0].URI != uri || out.Contents[0].MIMEType == "" {
		p.w.t.Fatalf("read %s: %s", uri, a.body)
	}
	return out.Contents[0].Text
}

// put keeps a note in a session, a new one for "", and returns the envelope.
func (p *peer) put(id, name, text string) tools.Envelope {
	p.w.t.Helper()
	in := ""
	if id != "" {
		in = `"sessionId":"` + id + `",`
	}
	env, bad := p.call("1", "clear_thought", `{"operation":"put",`+in+`"parameters":{"id":"`+name+`","text":"`+text+`"}}`, "").result(p.w.t)
	if bad {
		p.w.t.Fatalf("put: %+v", env.Error)
	}
	return env
}

// stream is an event stream that a test reads as it comes.
type stream struct {
	status int
	events chan string // closed at its end
	cancel context.CancelFunc
}

func (p *peer) open(method, body string, heads ...func(*http.Request)) *stream {
	p.w.t.Helper()
	ctx, cancel := context.WithCancel(p.w.t.Context())
	req, err := http.NewRequestWithContext(ctx, method, p.w.http.URL+"/mcp", strings.NewReader(body))
	if err != nil {
		p.w.t.Fatal(err)
	}
	for k, v := range map[string]string{
		"Authorization": "Bearer " + p.who, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		headerSession: p.session, headerVersion: p.rev,
	} {
		if v != "" {
			req.Header.Set(k, v)
		}
	}
	for _, f := range heads {
		f(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		cancel()
		p.w.t.Fatal(err)
	}
	s := &stream{status: resp.StatusCode, events: make(chan string, 1024), cancel: cancel}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(s.events)
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				s.events <- data
			}
		}
	}()
	p.w.t.Cleanup(func() { cancel(); <-done })
	return s
}

// listen opens a subscriptions/listen and returns it with its acknowledgement.
func (p *peer) listen(uris ...string) (*stream, string) {
	p.w.t.Helper()
	list, _ := json.Marshal(uris)
	full, heads := p.envelopeOf("subscriptions/listen", `{"notifications":{"resourceSubscriptions":`+string(list)+`}}`)
	s := p.open("POST", `{"jsonrpc":"2.0","id":"sub","method":"subscriptions/listen","params":`+full+`}`, heads...)
	return s, s.next(p.w.t)
}

// next returns the next event.
func (s *stream) next(t testing.TB) string {
	t.Helper()
	select {
	case e, ok := <-s.events:
		if !ok {
			t.Fatal("the stream has ended")
		}
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("no event")
	}
	return ""
}

// updated returns the URI that an event says has changed.
func updated(t testing.TB, event string) string {
	t.Helper()
	var n struct {
		Method string `json:"method"`
		Params struct {
			URI string `json:"uri"`
		} `json:"params"`
	}
	if err := json.Unmarshal([]byte(event), &n); err != nil || n.Method != "notifications/resources/updated" {
		t.Fatalf("no update: %s", event)
	}
	return n.Params.URI
}

// golden compares text with a file, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	var pretty bytes.Buffer
	if json.Indent(&pretty, got, "", "  ") == nil {
		pretty.WriteByte('\n')
		got = pretty.Bytes()
	}
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s differs (%v): run go test ./internal/mcpserve -update, and read the diff; got\n%s", file, err, got)
	}
}
