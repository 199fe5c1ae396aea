package middleware

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reply"
)

// reporter is what tests and rapid's checks have in common.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// empty fails the test unless nothing is in g and nothing is kept of anybody.
func empty(t reporter, g *Gate) {
	t.Helper()
	s := g.Stats()
	s.Admitted, s.Refused = 0, nil
	if !reflect.DeepEqual(s, GateStats{}) || g.busy != 0 {
		t.Errorf("all have left, and the gate holds %+v, %d busy", s, g.busy)
	}
}

// high remembers the most that was inside at once, as those inside count it.
type high struct{ in, most atomic.Int64 }

func (h *high) add(n int64) {
	now := h.in.Add(n)
	for {
		m := h.most.Load()
		if now <= m || h.most.CompareAndSwap(m, now) {
			return
		}
	}
}

// Very many come at the same time, of every class and tenant: no bound is ever
// passed, each is reached, and nothing is left.
func TestGateReservationRace(t *testing.T) {
	const (
		callers, attempts = 512, 100_000
		places, perTenant = 32, 9
		reserve, standing = 4, 10
		bodies, maxBody   = 2000, 400
	)
	g := OpenGate(GateConfig{Places: places, PerTenant: perTenant, Reserve: reserve, Streams: standing, Bodies: bodies, MaxBody: maxBody})
	tenants := []string{"a", "b", "c", "d", "e"}
	var all, open, bytes high
	ordinary := make([]high, len(tenants))
	var tried, refused atomic.Int64
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(c)))
			for tried.Add(1) <= attempts {
				i := rnd.IntN(len(tenants))
				v := Visit{Tenant: tenants[i], Class: Class(rnd.IntN(4)), Body: rnd.Int64N(maxBody+1) - 1}
				p, err := g.Enter(v)
				if err != nil {
					if k := fault.KindOf(err); k != fault.Overloaded && k != fault.RateLimited {
						t.Error(err)
					}
					refused.Add(1)
					continue
				}
				n := v.Body
				if n < 0 {
					n = maxBody
				}
				count := &all
				if v.Class == Stream {
					count = &open
				}
				count.add(1)
				bytes.add(n)
				if v.Class == Ordinary {
					ordinary[i].add(1)
				}
				for range rnd.IntN(4) {
					g.InFlight()
				}
				if v.Class == Ordinary {
					ordinary[i].add(-1)
				}
				bytes.add(-n)
				count.add(-1)
				p.Leave()
				p.Leave() // nothing more
			}
		})
	}
	wg.Wait()
	if all.most.Load() > places || open.most.Load() > standing || bytes.most.Load() > bodies {
		t.Errorf("at most %d requests, %d streams, %d bytes were inside; the bounds are %d, %d, %d",
			all.most.Load(), open.most.Load(), bytes.most.Load(), places, standing, bodies)
	}
	for i := range ordinary {
		if m := ordinary[i].most.Load(); m > perTenant {
			t.Errorf("tenant %s had %d ordinary requests, want at most %d", tenants[i], m, perTenant)
		}
	}
	s := g.Stats()
	var sum uint64
	for _, n := range s.Refused {
		sum += n
	}
	if int64(sum) != refused.Load() || int64(s.Admitted) != attempts-refused.Load() || refused.Load() == 0 {
		t.Errorf("%d refused and %d admitted by the gate's count; %d refused of %d by ours", sum, s.Admitted, refused.Load(), attempts)
	}
	empty(t, g)
}

func TestGateIsExactUnderConcurrency(t *testing.T) {
	const callers, places = 512, 37
	g := NewGate(places)
	start := make(chan struct{})
	in := make(chan *Place, callers)
	var refused atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			<-start
			p, err := g.Enter(Visit{})
			if err != nil {
				refused.Add(1)
				return
			}
			in <- p
		})
	}
	close(start)
	wg.Wait()
	if len(in) != places || refused.Load() != callers-places || g.InFlight() != places {
		t.Errorf("%d in, %d refused, gate says %d; want %d in", len(in), refused.Load(), g.InFlight(), places)
	}
	close(in)
	for p := range in {
		p.Leave()
	}
	empty(t, g)
}

// fill enters with v until it is refused and returns the places and the code.
func fill(g *Gate, v Visit) (in []*Place, code string) {
	for {
		p, err := g.Enter(v)
		if err != nil {
			return in, fault.From(err).MachineCode()
		}
		in = append(in, p)
	}
}

func TestGateBounds(t *testing.T) {
	type step struct {
		tenant string
		class  Class
		body   int64
		in     int // so many enter until
		code   string
	}
	for _, c := range []struct {
		name  string
		bound GateConfig
		steps []step
	}{
		{"a gate of one", GateConfig{Places: 1}, []step{{"a", Ordinary, 0, 1, "too_many_in_flight"}}},
		{"no shares", GateConfig{Places: 10, PerTenant: 10}, []step{{"a", Ordinary, 0, 10, "too_many_in_flight"}, {"b", Control, 0, 0, "too_many_in_flight"}}},
		{"half by default", GateConfig{Places: 10}, []step{{"a", Ordinary, 0, 5, "tenant_in_flight"}, {"b", Ordinary, 0, 3, "tenant_in_flight"}, {"c", Ordinary, 0, 1, "tenant_in_flight"}, {"d", Ordinary, 0, 1, "too_many_in_flight"}}},
		{"a share", GateConfig{Places: 10, PerTenant: 2}, []step{{"a", Ordinary, 0, 2, "tenant_in_flight"}, {"b", Ordinary, 0, 2, "tenant_in_flight"}}},
		// 24 places are ordinary. Of the 8 others one tenant's control requests
		// get 2, all tenants' 6, and operators all.
		{"the reserve", GateConfig{Places: 32, Reserve: 8, PerTenant: 24}, []step{
			{"a", Ordinary, 0, 24, "too_many_in_flight"},
			{"a", Control, 0, 2, "tenant_in_flight"},
			{"b", Control, 0, 2, "tenant_in_flight"},
			{"c", Control, 0, 1, "tenant_in_flight"},
			{"d", Control, 0, 1, "too_many_in_flight"},
			{"a", Operator, 0, 2, "too_many_in_flight"},
		}},
		{"control takes ordinary places first", GateConfig{Places: 32, Reserve: 8, PerTenant: 24}, []step{{"a", Control, 0, 26, "tenant_in_flight"}}},
		{"a tenant at its share still controls", GateConfig{Places: 32, Reserve: 8, PerTenant: 3}, []step{{"a", Ordinary, 0, 3, "tenant_in_flight"}, {"a", Control, 0, 2, "tenant_in_flight"}}},
		{"streams", GateConfig{Places: 1, Streams: 4}, []step{{"a", Stream, 0, 2, "tenant_streams"}, {"b", Stream, 0, 1, "tenant_streams"}, {"c", Stream, 0, 1, "too_many_streams"}, {"c", Ordinary, 0, 1, "too_many_in_flight"}}},
		{"bodies", GateConfig{Places: 1000, Bodies: 1600, MaxBody: 100}, []step{
			// Half for a tenant; a sixteenth is not for ordinary requests.
			{"a", Ordinary, 100, 8, "tenant_bodies_in_flight"},
			{"b", Ordinary, -1, 4, "tenant_bodies_in_flight"},
			{"c", Ordinary, 100, 2, "tenant_bodies_in_flight"},
			{"d", Ordinary, 100, 1, "bodies_in_flight"},
			{"f", Control, 50, 1, "tenant_bodies_in_flight"},
			{"e", Operator, 50, 1, "bodies_in_flight"},
		}},
		{"one body always fits", GateConfig{Places: 10, Bodies: 1, MaxBody: 100}, []step{{"a", Ordinary, 100, 1, "bodies_in_flight"}}},
	} {
		g := OpenGate(c.bound)
		var all []*Place
		for i, s := range c.steps {
			in, code := fill(g, Visit{Tenant: s.tenant, Class: s.class, Body: s.body})
			all = append(all, in...)
			if len(in) != s.in || code != s.code {
				t.Errorf("%s, step %d: %d in, then %s; want %d, then %s", c.name, i+1, len(in), code, s.in, s.code)
			}
		}
		for _, p := range all {
			p.Leave()
		}
		empty(t, g)
	}
}

// However tenants come and go, one that has nothing inside gets in: floods of
// others, fewer than would halve the door to nothing, cannot lock it out.
func TestGateLocksNobodyOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		floods := rapid.IntRange(1, 6).Draw(t, "floods")
		places := rapid.IntRange(1<<floods, 500).Draw(t, "places")
		g := OpenGate(GateConfig{Places: places, Streams: places, Bodies: int64(places), MaxBody: 1})
		var inside []*Place
		for _, leave := range rapid.SliceOfN(rapid.IntRange(0, 3), 1, 600).Draw(t, "moves") {
			v := Visit{Tenant: fmt.Sprint(rapid.IntRange(1, floods).Draw(t, "tenant")), Class: Ordinary, Body: 1}
			if leave == 0 && len(inside) > 0 {
				i := rapid.IntRange(0, len(inside)-1).Draw(t, "who")
				inside[i].Leave()
				inside = append(inside[:i], inside[i+1:]...)
				continue
			}
			in, _ := fill(g, v)
			inside = append(inside, in...)
		}
		for _, class := range []Class{Ordinary, Stream} {
			p, err := g.Enter(Visit{Tenant: "quiet", Class: class})
			if err != nil {
				t.Fatalf("%d places, %d floods with %d inside: the quiet tenant's class %d got %v", places, floods, len(inside), class, err)
			}
			p.Leave()
		}
		for _, p := range inside {
			p.Leave()
		}
		empty(t, g)
	})
}

// Those that are turned away take up nothing, not even for a moment.
func TestRefusedTakeNoPlace(t *testing.T) {
	g := NewGate(2)
	in, _ := fill(g, Visit{})
	const tries = 100_000
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range tries / 4 {
				if p, err := g.Enter(Visit{}); err == nil {
					t.Error("a full gate let somebody in")
					p.Leave()
					return
				}
				if n := g.InFlight(); n != 2 {
					t.Errorf("the gate counts %d, want the 2 inside", n)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, p := range in {
		p.Leave()
	}
	empty(t, g)
}

// Every refusal has a code of its own and says when to come back.
func TestGateRefusalsAreTyped(t *testing.T) {
	seen := map[string]bool{}
	for why := admitted + 1; why < refusals; why++ {
		f := refusalFaults[why]
		if f == nil || f.Public == "" || seen[f.Code] || reply.RetryAfter(f) < 1 {
			t.Errorf("refusal %d: %+v", why, f)
			continue
		}
		seen[f.Code] = true
	}
}

func TestGateAllocations(t *testing.T) {
	g := OpenGate(GateConfig{Places: 10, PerTenant: 1})
	in, _ := fill(g, Visit{Tenant: "a"})
	v := Visit{Tenant: "a", Body: 100}
	if n := testing.AllocsPerRun(1000, func() {
		var p Place
		if err := g.enter(&p, v); err == nil {
			t.Error("over the share, and inside")
		}
	}); n > 0 {
		t.Errorf("a refusal allocates %v times", n)
	}
	v.Tenant = "b"
	if n := testing.AllocsPerRun(1000, func() {
		var p Place
		if err := g.enter(&p, v); err != nil {
			t.Error(err)
		}
		p.Leave()
	}); n > 0 {
		t.Errorf("a place allocates %v times besides itself", n)
	}
	in[0].Leave()
	empty(t, g)
}
