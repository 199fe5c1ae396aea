package app_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/lyceum-mcp/lyceum/internal/app"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// serveBench runs a for as long as the benchmark lasts.
func serveBench(b *testing.B, a *app.App) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	b.Cleanup(func() { stop(); <-done })
}

// minted returns a new session.
func minted(b *testing.B, a *app.App, head map[string]string) string {
	w := post(b, a.Handler(), []byte(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"noop","parameters":{"text":"hello"}},`+benchMeta+`}}`), head)
	_, handle, _ := strings.Cut(w.Body.String(), `"sessionId":"`)
	handle, _, _ = strings.Cut(handle, `"`)
	return handle
}

// receiver is an OTLP/HTTP receiver of traces.
type receiver struct {
	*httptest.Server

	mu    sync.Mutex
	spans []*tracepb.Span
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/v1/traces" {
			return // metrics
		}
		var in io.Reader = q.Body
		if q.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if in, err = gzip.NewReader(q.Body); err != nil {
				t.Error(err)
				return
			}
		}
		body, err := io.ReadAll(in)
		if err != nil {
			t.Error(err)
		}
		var got coltrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &got); err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, rs := range got.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				r.spans = append(r.spans, ss.Spans...)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) all() []*tracepb.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.spans
}

// attributesOf returns the attributes of a span as text.
func attributesOf(s *tracepb.Span) map[string]string {
	m := map[string]string{}
	for _, a := range s.Attributes {
		if v := a.Value.GetStringValue(); v != "" {
			m[a.Key] = v
		} else {
			m[a.Key] = a.Value.String()
		}
	}
	return m
}

// notes is what a session of the test tools holds.
var notes = session.NewSlot[note]("notes")

type note struct {
	Text string `json:"text"`
}

// writer is a computing operation that keeps its text in the session; breaker one
// that breaks.
func writer() tools.Tool {
	return tools.Define(tools.Spec{
		Name: "write", Family: "test", Title: "Write", Summary: "Keeps its text.", Scope: policy.Reason, Lane: work.Interactive, Effect: tools.Mutates, Method: "none",
		Examples: []tools.Example{{Title: "x", Arguments: `{"operation":"write"}`}},
	}, func(ctx context.Context, c *tools.Call, in noopIn) (noopIn, error) {
		return in, keep(ctx, c, in)
	})
}

// holder is writer, once it is released.
func holder(release <-chan struct{}) tools.Tool {
	return tools.Define(tools.Spec{
		Name: "hold", Family: "test", Title: "Hold", Summary: "Waits and keeps its text.", Scope: policy.Reason, Lane: work.Interactive, Effect: tools.Mutates, Method: "none",
		Examples: []tools.Example{{Title: "x", Arguments: `{"operation":"hold"}`}},
	}, func(ctx context.Context, c *tools.Call, in noopIn) (noopIn, error) {
		select {
		case <-release:
		case <-ctx.Done():
			return in, ctx.Err()
		}
		return in, keep(ctx, c, in)
	})
}

// keep puts the text into the session.
func keep(ctx context.Context, c *tools.Call, in noopIn) error {
	return notes.Update(ctx, c.Session, func(v *note) error {
		v.Text = in.Text
		return nil
	})
}

func breaker() tools.Tool {
	return tools.Define(tools.Spec{
		Name: "break", Family: "test", Title: "Break", Summary: "Breaks.", Scope: policy.Reason, Lane: work.Inline, Method: "none",
		Examples: []tools.Example{{Title: "x", Arguments: `{"operation":"break"}`}},
	}, func(context.Context, *tools.Call, noopIn) (noopIn, error) { panic("broken") })
}

// modern calls an operation under 2026-07-28, with members of _meta and headers
// besides, and returns the answer's envelope.
func (u *user) modern(operation, arguments, meta string, head ...string) tools.Envelope {
	u.site.t.Helper()
	if arguments != "" {
		arguments = "," + arguments
	}
	if meta != "" {
		meta = "," + meta
	}
	body := `{"jsonrpc":"2.0","id":"q1","method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"` + operation + `"` + arguments + `},` +
		strings.TrimSuffix(benchMeta, "}") + meta + `}}}`
	_, answer := u.do(http.MethodPost, "/mcp", body, append([]string{"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "clear_thought"}, head...)...)
	var out struct {
		Result struct {
			StructuredContent tools.Envelope `json:"structuredContent"`
		} `json:"result"`
	}
	if _, data, stream := strings.Cut(string(answer), "data: "); stream {
		answer = []byte(data[:strings.IndexByte(data, '\n')])
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		u.site.t.Fatalf("%s: %v: %s", operation, err, answer)
	}
	return out.Result.StructuredContent
}

// admin is an operator.
func (s *site) admin() *user {
	return &user{site: s, token: s.token(devidp.TokenRequest{Sub: "root", Scope: "reason admin.read admin.write"})}
}
