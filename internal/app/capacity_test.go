package app_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"

	"github.com/lyceum-mcp/lyceum/internal/app"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/middleware"
)

var capacity = flag.Int("capacity", 2000, "sessions that TestCapacity opens")

// maxIdleBytes is what an idle session with one thought in it may cost in
// memory, all told.
const maxIdleBytes = 4 << 10

// fixedBytes is what pools and caches may grow by, however many sessions.
const fixedBytes = 4 << 20

// settleWithin is how long after the last expiry the server may take to sweep,
// to delete what is stored, to compact its file and to give memory back.
const settleWithin = 90 * time.Second

// footprint is what the process holds, after a collection.
type footprint struct {
	heap, rss  int64
	mapped     int64 // of rss, pages of files: the program and the store
	goroutines int
	pause      time.Duration // of the collection
}

func measure(t *testing.T) footprint {
	t.Helper()
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f := footprint{heap: int64(m.HeapAlloc), goroutines: runtime.NumGoroutine(), pause: time.Duration(m.PauseNs[(m.NumGC+255)%256])}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		name, rest, _ := strings.Cut(line, ":")
		to := map[string]*int64{"VmRSS": &f.rss, "RssFile": &f.mapped}[name]
		if to == nil {
			continue
		}
		kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		*to = kib << 10
	}
	return f
}

// settled measures until the heap is within its bound and the process, whose
// runtime hands pages back bit by bit, has stopped to shrink.
func settled(t *testing.T, heap int64) footprint {
	t.Helper()
	last := measure(t)
	for deadline := time.Now().Add(settleWithin); time.Now().Before(deadline); {
		time.Sleep(10 * time.Second) // longer than the store takes to see that its file is mostly free
		f := measure(t)
		if f.heap <= heap && f.rss > last.rss-4<<20 {
			return f
		}
		last = f
	}
	return last
}

// each calls f for every i below n from 16 goroutines and returns the times the
// calls took, sorted.
func each(n int, f func(i int)) []time.Duration {
	took := make([]time.Duration, n)
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := g; i < n; i += 16 {
				start := time.Now()
				f(i)
				took[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	slices.Sort(took)
	return took
}

// TestCapacity opens very many sessions with one light call each, holds them
// idle, looks each up again and lets all of them expire: what one costs, and
// that everything comes back. Registered sessions of mcp-go are measured in the
// same run.
func TestCapacity(t *testing.T) {
	n := *capacity
	// Opening must be over before the first one expires.
	idle := 10*time.Second + time.Duration(n)*2*time.Millisecond
	cfg := config.Default()
	cfg.Dev, cfg.Addr, cfg.Data = true, "127.0.0.1:0", t.TempDir()
	cfg.Telemetry.SpanBytes, cfg.Telemetry.Timelines = 0, 0 // of calls, bounded, however many sessions there are
	cfg.Log.Level = "error"
	cfg.Limits.PerAddress, cfg.Limits.PerToken = 1e9, 1e9
	cfg.Sessions.IdleTTL, cfg.Sessions.MaxTotal, cfg.Sessions.MaxPerTenant = idle, max(n, 256), max(n, 256)
	cfg.Sessions.ColdAfter = time.Second
	a, err := app.New(t.Context(), cfg, app.Options{Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	h := a.Handler()
	owners := make([]*identity.Principal, n/200+1)
	for i := range owners {
		owners[i] = &identity.Principal{Tenant: "acme", Issuer: "test", Subject: fmt.Sprintf("user-%d", i), Scopes: []string{"reason"}, TokenKey: fmt.Sprintf("key-%d", i)}
	}
	call := func(owner int, method, name, params string) []byte {
		body := `{"jsonrpc":"2.0","id":2,"method":"` + method + `","params":{` + params + benchMeta + `}}`
		r := httptest.NewRequestWithContext(identity.NewContext(context.Background(), owners[owner]), http.MethodPost, "http://127.0.0.1/mcp", strings.NewReader(body))
		r.RemoteAddr = middleware.StdioAddr
		for k, v := range map[string]string{
			"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
			"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": method, "Mcp-Name": name,
		} {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		return w.Body.Bytes()
	}
	count := func() int {
		var out struct {
			Result struct {
				StructuredContent struct {
					Result struct {
						Total int `json:"total"`
					} `json:"result"`
				} `json:"structuredContent"`
			} `json:"result"`
		}
		total := 0
		for o := range owners {
			if err := json.Unmarshal(call(o, "tools/call", "session_list", `"name":"session_list","arguments":{"limit":1},`), &out); err != nil {
				t.Fatal(err)
			}
			total += out.Result.StructuredContent.Result.Total
		}
		return total
	}

	call(0, "server/discover", "", "")
	before := measure(t)
	ids := make([]string, n)
	begin := time.Now()
	opens := each(n, func(i int) {
		const thought = `"name":"clear_thought","arguments":{"operation":"sequential_thinking","prompt":"hold this","parameters":{"thoughtNumber":1,"totalThoughts":2,"nextThoughtNeeded":true}},`
		_, rest, _ := strings.Cut(string(call(i%len(owners), "tools/call", "clear_thought", thought)), `"sessionId":"`)
		ids[i], _, _ = strings.Cut(rest, `"`)
	})
	opening := time.Since(begin)
	if got := count(); got != n {
		t.Errorf("%d sessions are there, want %d", got, n)
	}
	time.Sleep(3 * time.Second) // the states go cold
	held := measure(t)

	looks := each(n, func(i int) {
		call(i%len(owners), "tools/call", "clear_thought", `"name":"clear_thought","arguments":{"operation":"session_info","sessionId":"`+ids[i]+`"},`)
	})

	perHeap := (held.heap - before.heap) / int64(n)
	grown := held.goroutines - before.goroutines
	t.Logf("%d sessions in %v; open p50 %v p99 %v; session_info p50 %v p99 %v", n, opening.Round(time.Millisecond), opens[n/2], opens[n*99/100], looks[n/2], looks[n*99/100])
	t.Logf("a session: heap %d B, RSS %d B, goroutines %+d in all; GC pause %v", perHeap, (held.rss-before.rss)/int64(n), grown, held.pause)
	if grown := held.heap - before.heap; grown > int64(n)*maxIdleBytes+fixedBytes {
		t.Errorf("an idle session costs %d B of heap, want at most %d", perHeap, maxIdleBytes)
	}
	if grown > 16 {
		t.Errorf("%d more goroutines for %d idle sessions", grown, n)
	}

	bare := mcpserver.NewMCPServer("bare", "1")
	start := measure(t)
	each(n, func(i int) {
		s := &registered{id: strconv.Itoa(i) + "-0123456789abcdef0123456789abcdef", notifications: make(chan mcp.JSONRPCNotification, 100)}
		if err := bare.RegisterSession(context.Background(), s); err != nil {
			t.Error(err)
		}
	})
	theirs := measure(t)
	t.Logf("mcp-go, registered sessions: heap %d B each", (theirs.heap-start.heap)/int64(n))
	runtime.KeepAlive(bare)

	deadline := time.Now().Add(idle + 60*time.Second)
	for count() > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions have not expired", count())
		}
		time.Sleep(500 * time.Millisecond)
	}
	residue := int64(n)*64 + 16<<20
	after := settled(t, before.heap+residue)
	t.Logf("all expired: heap %+d B in all, %+d B for each that was, goroutines %+d", after.heap-before.heap, (after.heap-before.heap)/int64(n), after.goroutines-before.goroutines)
	for _, f := range []struct {
		when string
		footprint
	}{{"before", before}, {"with all", held}, {"all expired", after}} {
		t.Logf("RSS %s: %d MiB, of which files %d MiB", f.when, f.rss>>20, f.mapped>>20)
	}
	if back := after.heap - before.heap; back > residue {
		t.Errorf("%d B of heap did not come back", back)
	}
	if grown := after.rss - before.rss; grown > residue+64<<20 {
		t.Errorf("%d MiB of memory did not come back", grown>>20)
	}
	if grown := after.goroutines - before.goroutines; grown > 4 {
		t.Errorf("%d goroutines are left", grown)
	}
}

// registered is a session as mcp-go's own HTTP transport registers one.
type registered struct {
	id            string
	notifications chan mcp.JSONRPCNotification
}

func (s *registered) SessionID() string                                   { return s.id }
func (s *registered) NotificationChannel() chan<- mcp.JSONRPCNotification { return s.notifications }
func (s *registered) Initialize()                                         {}
func (s *registered) Initialized() bool                                   { return true }
