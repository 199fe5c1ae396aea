package middleware

import (
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

func TestGateIsExactUnderConcurrency(t *testing.T) {
	const callers, places = 512, 37
	g := NewGate(places)
	start := make(chan struct{})
	var in, refused atomic.Int64
	leaves := make(chan func(), callers)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			<-start
			leave, err := g.Enter(t.Context())
			if err != nil {
				refused.Add(1)
				return
			}
			in.Add(1)
			leaves <- leave
		})
	}
	close(start)
	wg.Wait()
	if in.Load() != places || refused.Load() != callers-places || g.InFlight() != places {
		t.Errorf("%d in, %d refused, gate says %d; want %d in", in.Load(), refused.Load(), g.InFlight(), places)
	}
	close(leaves)
	for leave := range leaves {
		leave()
	}
	if g.InFlight() != 0 {
		t.Errorf("%d in flight after all have left", g.InFlight())
	}
}

// Those that a full gate turns away take up nothing, not even for a moment: the
// next to leave would make room for nobody.
func TestRefusedTakeNoPlace(t *testing.T) {
	const places = 2
	g := NewGate(places)
	for range places {
		if _, err := g.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	const tries = 100_000
	var tried atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for tried.Add(1) <= tries {
				if _, err := g.Enter(t.Context()); err == nil {
					t.Error("a full gate let somebody in")
					return
				}
			}
		})
	}
	wrong := 0
	for tried.Load() < tries {
		if g.InFlight() != places {
			wrong++
		}
		runtime.Gosched()
	}
	wg.Wait()
	if wrong > 0 {
		t.Errorf("the gate counted others than its %d inside %d times", places, wrong)
	}
}

func TestGateRefusals(t *testing.T) {
	g := NewGate(1)
	leave, err := g.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	full := serve(ok, request("POST", "/mcp"), Admit(g))
	if full.Code != 503 || full.Header().Get("Retry-After") == "" || !strings.Contains(full.Body.String(), `"too_many_in_flight"`) {
		t.Errorf("full: %d %v %s", full.Code, full.Header(), full.Body)
	}
	g.Close()
	if g.InFlight() != 1 {
		t.Error("closing threw somebody out")
	}
	leave()
	closed := serve(ok, request("POST", "/mcp"), Admit(g))
	if closed.Code != 503 || !strings.Contains(closed.Body.String(), `"draining"`) {
		t.Errorf("closed: %d %s", closed.Code, closed.Body)
	}
	if _, err := g.Enter(t.Context()); fault.KindOf(err) != fault.Overloaded {
		t.Errorf("entering a closed gate: %v", err)
	}
}

func TestAdmitHoldsThePlaceWhileTheHandlerRuns(t *testing.T) {
	g := NewGate(1)
	for _, c := range []struct {
		method string
		want   int
	}{{"POST", 1}, {"DELETE", 1}, {"GET", 0}, {"HEAD", 0}} {
		serve(func(http.ResponseWriter, *http.Request) {
			if g.InFlight() != c.want {
				t.Errorf("%s: %d in flight, want %d", c.method, g.InFlight(), c.want)
			}
		}, request(c.method, "/mcp"),

			Admit(g))

		if g.InFlight() != 0 {
			t.Errorf("%s: the place was not given back", c.method)
		}
	}
	func() {
		defer func() { _ = recover() }()
		serve(func(http.ResponseWriter, *http.Request) { panic("boom") }, request("POST", "/mcp"), Admit(g))
	}()
	if g.InFlight() != 0 {
		t.Error("a panic kept its place")
	}
}

func BenchmarkAdmit(b *testing.B) {
	g := NewGate(1 << 20)
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			leave, err := g.Enter(ctx)
			if err != nil {
				b.Error(err)
				return
			}
			leave()
		}
	})
}
