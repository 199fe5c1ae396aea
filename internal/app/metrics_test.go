package app_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/app"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

var updateMetrics = flag.Bool("update-metrics", false, "write testdata/metrics.txt")

// metricsOf reads the page of metrics: for each of ours its type and the names of
// its labels, and all series.
func metricsOf(t *testing.T, page string) (described map[string]string, series []string) {
	t.Helper()
	types, labels := map[string]string{}, map[string]map[string]bool{}
	pair := regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="(?:[^"\\]|\\.)*"`)
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			if strings.HasPrefix(name, "lyceum_") || strings.HasPrefix(name, "mcp_") {
				types[name], labels[name] = kind, map[string]bool{}
			}
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		sample, _, _ := strings.Cut(line, " ")
		series = append(series, sample)
		name, rest, _ := strings.Cut(sample, "{")
		for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
			base := strings.TrimSuffix(name, suffix)
			if labels[base] == nil || suffix != "" && types[base] != "histogram" {
				continue
			}
			for _, m := range pair.FindAllStringSubmatch(rest, -1) {
				if m[1] != "le" {
					labels[base][m[1]] = true
				}
			}
		}
	}
	described = map[string]string{}
	for name, kind := range types {
		described[name] = fmt.Sprintf("%s %s{%s}", kind, name, strings.Join(slices.Sorted(maps.Keys(labels[name])), ","))
	}
	return described, series
}

// TestMetricNames holds the metrics of a server that was used against the golden
// file, and that against docs/metrics.md: others have dashboards and alerts on
// these names.
func TestMetricNames(t *testing.T) {
	s := start(t, []tools.Tool{noop("noop", work.Inline), writer(), breaker()}, func(c *config.Config) {
		c.Telemetry.Tenants, c.Limits.TenantRate = []string{"default"}, 1e6
	})
	u := s.user("alice")
	u.modern("write", `"parameters":{"text":"x"}`, "")
	u.modern("break", "", "")
	u.do("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"nonsense/at-all","params":{`+modernMeta+`}}`, "Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "nonsense/at-all")
	u.initialize()
	u.do("DELETE", "/mcp", "", "Mcp-Protocol-Version", "2025-11-25")
	_, page := u.do("GET", "/metrics", "")
	described, _ := metricsOf(t, string(page))
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(described)) {
		fmt.Fprintln(&b, described[name])
	}
	const golden = "testdata/metrics.txt"
	if *updateMetrics {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the metrics are\n%s\nand %s has\n%s\nA name or label that goes or changes needs a new app.MetricsVersion; -update-metrics writes the file.", b.String(), golden, want)
	}
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range described {
		_, labels, _ := strings.Cut(text, "{")
		row := regexp.MustCompile("(?m)^\\| `" + name + "` .*$").FindString(string(doc))
		if row == "" {
			t.Errorf("docs/metrics.md has no row for %s", name)
			continue
		}
		for label := range strings.SplitSeq(strings.TrimSuffix(labels, "}"), ",") {
			if label != "" && !strings.Contains(row, "`"+label+"`") {
				t.Errorf("docs/metrics.md does not name the label %s of %s", label, name)
			}
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:lyceum|mcp)_[a-z_]+)` ").FindAllStringSubmatch(string(doc), -1) {
		if described[m[1]] == "" {
			t.Errorf("docs/metrics.md has %s, which is not on the page", m[1])
		}
	}
	if !strings.Contains(string(doc), "version "+app.MetricsVersion) {
		t.Errorf("docs/metrics.md is not about version %s", app.MetricsVersion)
	}
}

// TestExemplars: a bucket leads to a trace that was kept.
func TestExemplars(t *testing.T) {
	s := start(t, []tools.Tool{noop("noop", work.Inline)}, func(c *config.Config) { c.Telemetry.SampleRatio = 1 })
	u := s.user("alice")
	u.modern("noop", "", `"traceparent":"00-`+clientTrace+`-`+clientSpan+`-00"`)
	_, page := u.do("GET", "/metrics", "", "Accept", "application/openmetrics-text; version=1.0.0")
	if !regexp.MustCompile(`mcp_server_operation_duration_seconds_bucket\{.*\} 1 # \{.*trace_id="` + clientTrace + `"`).Match(page) {
		t.Error("no bucket of the call's duration names its trace")
	}
}

// TestTenantsAreBounded: only tenants of the list have a label.
func TestTenantsAreBounded(t *testing.T) {
	s := start(t, []tools.Tool{noop("noop", work.Inline)}, func(c *config.Config) { c.Telemetry.Tenants = []string{"acme"} })
	for _, tenant := range []string{"acme", "globex", "initech", "acme"} {
		(&user{site: s, token: s.token(devidp.TokenRequest{Sub: "a", Tenant: tenant})}).modern("noop", "", "")
	}
	_, page := s.admin().do("GET", "/metrics", "")
	_, series := metricsOf(t, string(page))
	for _, want := range []string{`tenant="acme"} 2`, `tenant="other"} 2`} {
		if !regexp.MustCompile(`(?m)^lyceum_tenant_calls_total\{.*` + regexp.QuoteMeta(want)).Match(page) {
			t.Errorf("no lyceum_tenant_calls_total has %s", want)
		}
	}
	for _, name := range series {
		if strings.Contains(name, "globex") || strings.Contains(name, "initech") {
			t.Errorf("%s names a tenant that is not in the list", name)
		}
	}
}

// TestHostileClient: a client that makes up names, forces the sampling flag and
// sends as much baggage as fits changes no number of series and keeps no spans.
func TestHostileClient(t *testing.T) {
	const requests = 10_000
	s := start(t, []tools.Tool{noop("noop", work.Inline), breaker()}, func(c *config.Config) {
		c.Telemetry.SampleRatio, c.Telemetry.TopTenants, c.Log.Level, c.Store = 0, 10, "error", "memory"
	})
	u := s.user("alice")
	h := s.app.Handler()
	baggage := "k=" + strings.Repeat("x", 8000)
	send := func(name, operation string, i int) {
		body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + name + `","arguments":{"operation":"` + operation + `"},` +
			strings.TrimSuffix(benchMeta, "}") + fmt.Sprintf(`,"baggage":"%s","tracestate":"v=%d","traceparent":"00-%032x-%016x-01"}}}`, baggage, i, i+1, i+1)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/mcp", io.NopCloser(bytes.NewReader([]byte(body))))
		r.ContentLength = int64(len(body))
		for k, v := range map[string]string{
			"Content-Type": "application/json", "Accept": "application/json", "Authorization": "Bearer " + u.token, "Mcp-Protocol-Version": "2026-07-28",
			"Mcp-Method": "tools/call", "Mcp-Name": name, "Baggage": baggage, "Traceparent": fmt.Sprintf("00-%032x-%016x-01", i+1, i+1),
		} {
			r.Header.Set(k, v)
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	count := func() ([]string, int) {
		_, page := u.do("GET", "/metrics", "")
		_, series := metricsOf(t, string(page))
		return series, len(page)
	}
	send("clear_thought", "noop", 0) // what honest calls leave
	send("clear_thought", "no_such_operation", 0)
	send("no_such_tool", "", 0)
	count()
	seriesBefore, bytesBefore := count()
	heapBefore := heap()
	for i := range requests {
		if i%2 == 0 {
			send(fmt.Sprint("tool_", i), "noop", i)
		} else {
			send("clear_thought", fmt.Sprint("operation_", i), i)
		}
	}
	seriesAfter, bytesAfter := count()
	for _, name := range seriesAfter {
		if !slices.Contains(seriesBefore, name) {
			t.Errorf("%d made-up names have made the series %s", requests, name)
		}
	}
	if bytesAfter > bytesBefore+bytesBefore/10 {
		t.Errorf("the page has %d bytes, %d before", bytesAfter, bytesBefore)
	}
	if grown := heap() - heapBefore; grown > 32<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	_, spans := s.admin().do("GET", "/api/v1/spans", "")
	if !strings.Contains(string(spans), `"total":0`) {
		t.Errorf("spans were kept although none is to be: %.300s", spans)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
