package app_test

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/lyceum-mcp/lyceum/internal/app"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/tools"
)

const (
	clientTrace = "0af7651916cd43dd8448eb211c80319c"
	clientSpan  = "b7ad6b7169203331"
	headerTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
)

// observed starts a server of which every trace goes to a receiver.
func observed(t *testing.T, extra []tools.Tool, change ...func(*config.Config)) (*site, *receiver) {
	t.Helper()
	r := newReceiver(t)
	cfg := config.Default()
	cfg.Dev, cfg.Addr, cfg.Data, cfg.Telemetry.SampleRatio = true, "127.0.0.1:0", t.TempDir(), 1
	for _, f := range change {
		f(cfg)
	}
	env := func(name string) (string, bool) {
		if name != "OTEL_EXPORTER_OTLP_ENDPOINT" {
			return "", false
		}
		return r.URL, true
	}
	return startWith(t, cfg, app.Options{Extra: append(extra, writer(), breaker()), Env: env}), r
}

// stopped stops the server, which sends what is left, and returns the spans of
// one trace by name.
func (s *site) stopped(r *receiver, traceID string) map[string]*tracepb.Span {
	s.t.Helper()
	s.stop()
	err := <-s.done
	s.done <- err // for the cleanup
	spans := map[string]*tracepb.Span{}
	for _, sp := range r.all() {
		if hex.EncodeToString(sp.TraceId) == traceID {
			spans[sp.Name] = sp
		}
	}
	return spans
}

// TestOneTrace follows one call of a client with a trace of its own through all
// of the server, as an OTLP receiver sees it.
func TestOneTrace(t *testing.T) {
	s, r := observed(t, nil)
	u := s.user("alice")
	env := u.modern("write", `"parameters":{"text":"hello"}`, `"traceparent":"00-`+clientTrace+`-`+clientSpan+`-01","baggage":"tenant=globex,secret=b4gg4ge"`,
		"Traceparent", "00-"+headerTrace+"-00f067aa0ba902b7-01", "Baggage", "secret=b4gg4ge")
	if env.Error != nil || env.SessionID == "" {
		t.Fatalf("%+v", env)
	}
	log := s.log
	spans := s.stopped(r, clientTrace)

	call := spans["tools/call clear_thought"]
	if call == nil || call.Kind != tracepb.Span_SPAN_KIND_SERVER || hex.EncodeToString(call.ParentSpanId) != clientSpan {
		t.Fatalf("the call's span is %v, want a server span below the client's; there are %v", call, names(spans))
	}
	parents := map[string]string{
		"policy": call.Name, "budget": call.Name, "session": call.Name, "audit": call.Name, "admission": call.Name, "tool": call.Name,
		"store save": "tool",
	}
	for name, parent := range parents {
		sp := spans[name]
		if sp == nil {
			t.Errorf("there is no span %q among %v", name, names(spans))
			continue
		}
		if string(sp.ParentSpanId) != string(spans[parent].SpanId) {
			t.Errorf("%q is not a part of %q", name, parent)
		}
		if sp.StartTimeUnixNano < call.StartTimeUnixNano || sp.EndTimeUnixNano > call.EndTimeUnixNano {
			t.Errorf("%q is not within the call", name)
		}
	}
	// The request has a trace of its own: linked from the call, and linking to the
	// trace that its header names.
	var request *tracepb.Span
	for _, sp := range r.all() {
		if len(call.Links) == 1 && string(sp.SpanId) == string(call.Links[0].SpanId) {
			request = sp
		}
	}
	if request == nil || request.Name != "ANY /mcp" || len(request.ParentSpanId) != 0 || len(request.Links) != 1 || hex.EncodeToString(request.Links[0].TraceId) != headerTrace {
		t.Errorf("the call links to %v, want the span of its request, which links to the header's", request)
	}
	if a := attributesOf(request); a["http.route"] != "/mcp" {
		t.Errorf("the request has %v", a)
	}
	checkConventions(t, call)
	a := attributesOf(call)
	for key, want := range map[string]string{
		"mcp.method.name": "tools/call", "gen_ai.tool.name": "clear_thought", "gen_ai.operation.name": "execute_tool", "mcp.protocol.version": "2026-07-28",
		"jsonrpc.request.id": `"q1"`, "network.transport": "tcp", "lyceum.operation": "write",
	} {
		if a[key] != want {
			t.Errorf("%s is %q, want %q", key, a[key], want)
		}
	}
	for _, sp := range r.all() {
		text := sp.String()
		for _, secret := range []string{"b4gg4ge", "globex", "hello", env.SessionID, u.token} {
			if strings.Contains(text, secret) {
				t.Errorf("the span %s has %q in it", sp.Name, secret)
			}
		}
	}
	if strings.Contains(log.String(), "b4gg4ge") {
		t.Error("the log has baggage in it")
	}
}

func names(spans map[string]*tracepb.Span) (all []string) {
	for name := range spans {
		all = append(all, name)
	}
	return all
}

// checkConventions holds the attributes of a span against the vendored list.
func checkConventions(t *testing.T, sp *tracepb.Span) {
	t.Helper()
	text, err := os.ReadFile("testdata/semconv-mcp.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	has := attributesOf(sp)
	for line := range strings.Lines(string(text)) {
		name, required, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" || name == "#" {
			continue
		}
		known[name] = true
		if required == "required" && has[name] == "" {
			t.Errorf("the span %q lacks %s", sp.Name, name)
		}
	}
	for name := range has {
		if !known[name] && !strings.HasPrefix(name, "lyceum.") {
			t.Errorf("the span %q has %s, which is neither in the conventions nor ours", sp.Name, name)
		}
	}
}

// TestFailuresInTraces: the conventions' error types, and the server's failures
// only as failed spans.
func TestFailuresInTraces(t *testing.T) {
	s, r := observed(t, nil)
	u := s.user("alice")
	u.modern("break", "", `"traceparent":"00-`+clientTrace+`-`+clientSpan+`-00"`)
	u.modern("write", `"parameters":{"text":["not a text"]}`, `"traceparent":"00-`+headerTrace+`-`+clientSpan+`-00"`)
	broken := s.stopped(r, clientTrace)
	call := broken["tools/call clear_thought"]
	if call == nil || call.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || attributesOf(call)["error.type"] != "tool_error" || broken["tool"].GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("a panic gave %v", call)
	}
	for _, sp := range r.all() {
		if hex.EncodeToString(sp.TraceId) == headerTrace && (sp.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR || attributesOf(sp)["error.type"] != "tool_error") && sp.Name == call.GetName() {
			t.Errorf("bad arguments gave %v, want a tool_error that is not the server's failure", sp)
		}
	}
	for sp := range broken {
		checkNoText(t, broken[sp], "broken")
	}
}

// checkNoText: what a panic said stays in the log.
func checkNoText(t *testing.T, sp *tracepb.Span, text string) {
	t.Helper()
	if strings.Contains(sp.String(), text) {
		t.Errorf("the span %s tells %q", sp.Name, text)
	}
}

// TestLongCallStaysInItsTrace: a call that goes on as a job computes in the trace
// of the request that it comes from, although that was answered.
func TestLongCallStaysInItsTrace(t *testing.T) {
	release := make(chan struct{})
	s, r := observed(t, []tools.Tool{holder(release)}, func(c *config.Config) { c.Jobs.InlineLimit = 10 * time.Millisecond })
	u := s.user("alice")
	env := u.modern("hold", `"parameters":{"text":"hello"}`, `"traceparent":"00-`+clientTrace+`-`+clientSpan+`-01"`)
	if env.Method != "job" {
		t.Fatalf("%+v, want a job", env)
	}
	close(release)
	spans := s.stopped(r, clientTrace)
	if call := spans["tools/call clear_thought"]; call == nil || spans["tool"] == nil || spans["tool"].EndTimeUnixNano < call.EndTimeUnixNano {
		t.Errorf("the call did not end before its tool: %v", names(spans))
	}
	if spans["tool"] == nil || spans["store save"] == nil {
		t.Errorf("the job's spans are not in the trace of its request: %v", names(spans))
	}
}
