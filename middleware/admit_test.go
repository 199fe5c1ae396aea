package middleware

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// of makes the request one of the tenant.
func of(tenant string) Middleware { return asPrincipal(&identity.Principal{Tenant: tenant}) }

func TestAdmitRefusals(t *testing.T) {
	g := NewGate(1)
	p, err := g.Enter(Visit{})
	if err != nil {
		t.Fatal(err)
	}
	full := serve(ok, request("POST", "/mcp"), Admit(g, As(Ordinary)))
	if full.Code != 503 || full.Header().Get("Retry-After") == "" || !strings.Contains(full.Body.String(), `"too_many_in_flight"`) {
		t.Errorf("full: %d %v %s", full.Code, full.Header(), full.Body)
	}
	g.Close()
	if g.InFlight() != 1 {
		t.Error("closing threw somebody out")
	}
	p.Leave()
	closed := serve(ok, request("POST", "/mcp"), Admit(g, As(Ordinary)))
	if closed.Code != 503 || !strings.Contains(closed.Body.String(), `"draining"`) {
		t.Errorf("closed: %d %s", closed.Code, closed.Body)
	}
}

func TestAdmitTellsTenantsApart(t *testing.T) {
	g := OpenGate(GateConfig{Places: 8, PerTenant: 1})
	serve(func(http.ResponseWriter, *http.Request) {
		same := serve(ok, request("POST", "/mcp"), of("acme"), Admit(g, As(Ordinary)))
		if same.Code != 429 || same.Header().Get("Retry-After") == "" || !strings.Contains(same.Body.String(), `"tenant_in_flight"`) {
			t.Errorf("over the share: %d %v %s", same.Code, same.Header(), same.Body)
		}
		if other := serve(ok, request("POST", "/mcp"), of("umbrella"), Admit(g, As(Ordinary))); other.Code != 200 {
			t.Errorf("another tenant: %d", other.Code)
		}
	}, request("POST", "/mcp"), of("acme"), Admit(g, As(Ordinary)))
	empty(t, g)
}

func TestAdmitHoldsThePlaceWhileTheHandlerRuns(t *testing.T) {
	g := OpenGate(GateConfig{Places: 4})
	for _, c := range []struct {
		method            string
		inFlight, streams int
	}{{"POST", 1, 0}, {"DELETE", 1, 0}, {"HEAD", 1, 0}, {"GET", 0, 1}} {
		serve(func(http.ResponseWriter, *http.Request) {
			if s := g.Stats(); g.InFlight() != c.inFlight || s.Streams != c.streams {
				t.Errorf("%s: %+v, want %d requests and %d streams", c.method, s, c.inFlight, c.streams)
			}
		}, request(c.method, "/mcp"), Admit(g, MCPClass))
		empty(t, g)
	}
	func() {
		defer func() { _ = recover() }()
		serve(func(http.ResponseWriter, *http.Request) { panic("boom") }, request("POST", "/mcp"), Admit(g, MCPClass))
	}()
	empty(t, g)
}

// A body counts in full before it is read, then for what it was, and no more
// when its request is over.
func TestAdmitCountsBodies(t *testing.T) {
	for _, c := range []struct {
		name         string
		declared     int64
		read         func(io.Reader) error
		before, then int64
	}{
		{"declared", 10, drain, 10, 10},
		{"unknown", -1, drain, 100, 10},
		{"left unread", -1, func(io.Reader) error { return nil }, 100, 0},
	} {
		g := OpenGate(GateConfig{Places: 2, Bodies: 1000, MaxBody: 100})
		r := httptest.NewRequest("POST", "/mcp", strings.NewReader("0123456789"))
		r.ContentLength = c.declared
		serve(func(_ http.ResponseWriter, r *http.Request) {
			if n := g.Stats().Bodies; n != c.before {
				t.Errorf("%s: %d bytes before reading, want %d", c.name, n, c.before)
			}
			if err := c.read(r.Body); err != nil {
				t.Error(err)
			}
			_ = r.Body.Close()
			if n := g.Stats().Bodies; n != c.then {
				t.Errorf("%s: %d bytes after, want %d", c.name, n, c.then)
			}
		}, r, Admit(g, As(Ordinary)))
		empty(t, g)
	}
}

func drain(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// unreadable is a body that nobody may touch.
type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) { u.t.Error("the body was read"); return 0, io.EOF }
func (unreadable) Close() error               { return nil }

func TestAdmitDecidesBeforeTheBody(t *testing.T) {
	g := OpenGate(GateConfig{Places: 10, PerTenant: 10, Bodies: 128, MaxBody: 100})
	p, err := g.Enter(Visit{Tenant: "a", Body: 60})
	if err != nil {
		t.Fatal(err)
	}
	r := request("POST", "/mcp")
	r.Body, r.ContentLength = unreadable{t}, 61
	w := serve(func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }, r, of("b"), Admit(g, As(Ordinary)))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"bodies_in_flight"`) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	p.Leave()
	empty(t, g)
}

func BenchmarkAdmit(b *testing.B) {
	for name, places := range map[string]int{"admitted": 1 << 20, "refused": 1} {
		b.Run(name, func(b *testing.B) {
			g := OpenGate(GateConfig{Places: places, Bodies: 1 << 40, MaxBody: 1 << 20})
			if places == 1 {
				if _, err := g.Enter(Visit{Tenant: "a"}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					var p Place
					if err := g.enter(&p, Visit{Tenant: "b", Body: 300}); (err == nil) != (places > 1) {
						b.Error(err)
						return
					}
					p.Leave()
				}
			})
		})
	}
}
