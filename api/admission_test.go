package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/middleware"
)

// door is the whole chain in front of calls that stay inside until they are let
// go. A token names its tenant, and then its scope.
type door struct {
	t       *testing.T
	handler http.Handler
	gate    *middleware.Gate
	release chan struct{}
	inside  sync.WaitGroup
}

func newDoor(t *testing.T, c middleware.GateConfig) *door {
	d := &door{t: t, gate: middleware.OpenGate(c), release: make(chan struct{})}
	deps := newSite(t).deps
	deps.Gate, deps.Log = d.gate, slog.New(slog.DiscardHandler)
	deps.MCP = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Stay") != "" {
			<-d.release
		}
		w.WriteHeader(http.StatusOK)
	})
	deps.Verifier = identity.VerifierFunc(func(_ context.Context, token string) (*identity.Principal, error) {
		tenant, scope, _ := strings.Cut(token, "/")
		return &identity.Principal{Tenant: tenant, Subject: "s", Scopes: []string{scope}, TokenKey: token}, nil
	})
	d.handler = Handler(deps)
	t.Cleanup(func() {
		close(d.release)
		d.inside.Wait()
		if s := d.gate.Stats(); s.Ordinary+s.Reserved+s.Streams+s.Tenants != 0 || s.Bodies != 0 {
			t.Errorf("all have left, and the gate holds %+v", s)
		}
	})
	return d
}

func (d *door) do(method, path, tenant string, scope policy.Scope, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call"}`))
	if method == http.MethodGet {
		r = httptest.NewRequest(method, path, http.NoBody)
	}
	r.Header.Set("Authorization", "Bearer "+tenant+"/"+string(scope))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w
}

// occupy has n calls of the tenant stay inside.
func (d *door) occupy(n int, tenant string) {
	d.t.Helper()
	before := d.gate.InFlight()
	for range n {
		d.inside.Go(func() {
			if w := d.do("POST", "/mcp", tenant, policy.Reason, "X-Stay", "1"); w.Code != 200 {
				d.t.Errorf("a call that should stay: %d %s", w.Code, w.Body)
			}
		})
	}
	for end := time.Now().Add(10 * time.Second); d.gate.InFlight() < before+n; runtime.Gosched() {
		if time.Now().After(end) {
			d.t.Fatalf("%d inside, want %d", d.gate.InFlight(), before+n)
		}
	}
}

// What gets in when ordinary calls do not, and with which words the others are
// told.
func TestAdmissionAtFullLoad(t *testing.T) {
	modern := func(method string) []string {
		return []string{"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", method}
	}
	d := newDoor(t, middleware.GateConfig{Places: 20, Reserve: 4, Streams: 8, Bodies: 1 << 26, MaxBody: 1 << 20})
	d.occupy(8, "flood") // its half
	for _, c := range []struct {
		name    string
		method  string
		path    string
		tenant  string
		scope   policy.Scope
		headers []string
		status  int
		code    string
	}{
		{"the flood's next call", "POST", "/mcp", "flood", policy.Reason, modern("tools/call"), 429, "tenant_in_flight"},
		{"its call of an older revision", "POST", "/mcp", "flood", policy.Reason, nil, 429, "tenant_in_flight"},
		{"a ping that nobody checks", "POST", "/mcp", "flood", policy.Reason, []string{"Mcp-Method", "ping"}, 429, "tenant_in_flight"},
		{"its cancel", "POST", "/mcp", "flood", policy.Reason, modern("tasks/cancel"), 200, ""},
		{"its discovery", "POST", "/mcp", "flood", policy.Reason, modern("server/discover"), 200, ""},
		{"its lists", "POST", "/mcp", "flood", policy.Reason, modern("tools/list"), 200, ""},
		{"the end of its session", "DELETE", "/mcp", "flood", policy.Reason, nil, 200, ""},
		{"its stream", "GET", "/mcp", "flood", policy.Reason, nil, 200, ""},
		{"its subscription", "POST", "/mcp", "flood", policy.Reason, modern("subscriptions/listen"), 200, ""},
		{"an operator of the same tenant", "GET", "/api/v1/status", "flood", policy.AdminRead, nil, 200, ""},
		{"another tenant's call", "POST", "/mcp", "quiet", policy.Reason, modern("tools/call"), 200, ""},
		{"health", "GET", "/healthz", "flood", policy.Reason, nil, 200, ""},
	} {
		w := d.do(c.method, c.path, c.tenant, c.scope, c.headers...)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.code) || (c.status >= 400) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("%s: %d %v %s, want %d %s", c.name, w.Code, w.Header(), w.Body, c.status, c.code)
		}
	}
	for i, n := range []int{4, 2, 1, 1} { // others take what is left
		d.occupy(n, fmt.Sprint("tenant", i))
	}
	if w := d.do("POST", "/mcp", "late", policy.Reason); w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"too_many_in_flight"`) {
		t.Errorf("the full server: %d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := d.do("GET", "/api/v1/status", "ops", policy.AdminRead); w.Code != 200 {
		t.Errorf("an operator of the full server: %d %s", w.Code, w.Body)
	}
	if w := d.do("POST", "/mcp", "late", policy.Reason, modern("server/discover")...); w.Code != 200 {
		t.Errorf("a newcomer to the full server asks what there is: %d %s", w.Code, w.Body)
	}
}

// A refusal costs the server next to nothing, and its caller no time. A machine
// that does other things at the same time is given five tries.
func TestRefusalIsFast(t *testing.T) {
	// Other tests share the machine; on one that is idle p99 is about 0.2 ms.
	const bound = 25 * time.Millisecond
	d := newDoor(t, middleware.GateConfig{Places: 512, PerTenant: 512})
	d.occupy(512, "flood")
	var p99 time.Duration
	for range 5 {
		const callers, calls = 2, 2000
		took := make([]time.Duration, callers*calls)
		var wg sync.WaitGroup
		for c := range callers {
			wg.Go(func() {
				for i := range calls {
					start := time.Now()
					w := d.do("POST", "/mcp", "other", policy.Reason)
					took[c*calls+i] = time.Since(start)
					if w.Code != 503 {
						t.Errorf("%d %s", w.Code, w.Body)
						return
					}
				}
			})
		}
		wg.Wait()
		slices.Sort(took)
		p99 = took[len(took)*99/100]
		t.Logf("%d refusals with 512 calls inside: p50 %v, p99 %v, longest %v", len(took), took[len(took)/2], p99, took[len(took)-1])
		if p99 < bound {
			return
		}
	}
	t.Errorf("p99 of a refusal is %v, want less than %v", p99, bound)
}
