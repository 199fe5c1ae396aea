package middleware

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// queue is a Pressure whose longest wait is set; 0 is that none waits.
type queue struct {
	wait  atomic.Int64
	looks atomic.Int64
}

func (q *queue) Pressure() (time.Duration, bool) {
	q.looks.Add(1)
	w := time.Duration(q.wait.Load())
	return w, w > 0
}

func TestShedWaitsForAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{}
		s := NewShed(q, 5*time.Second, time.Second)
		for i, step := range []struct {
			after, wait time.Duration
			shedding    bool
		}{
			{0, 0, false},
			{time.Second, 4 * time.Second, false},
			{time.Second, 5 * time.Second, false}, // above for the first time
			{500 * time.Millisecond, 6 * time.Second, false},
			{400 * time.Millisecond, 6 * time.Second, false},
			{100 * time.Millisecond, 7 * time.Second, true}, // for one second
			{50 * time.Millisecond, 1 * time.Second, true},  // not looked at yet
			{50 * time.Millisecond, 1 * time.Second, false}, // below: over at once
			{100 * time.Millisecond, 9 * time.Second, false},
			{900 * time.Millisecond, 9 * time.Second, false},
			{100 * time.Millisecond, 9 * time.Second, true},
			// Nobody came for so long that nothing is known: it starts again.
			{time.Minute, 9 * time.Second, false},
			{time.Second, 9 * time.Second, true},
			{100 * time.Millisecond, 0, false}, // nobody waits
		} {
			time.Sleep(step.after)
			q.wait.Store(int64(step.wait))
			if _, got := s.active(); got != step.shedding {
				t.Errorf("step %d: shedding %v, want %v", i+1, got, step.shedding)
			}
		}
	})
}

func TestShedLooksNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{}
		s := NewShed(q, time.Second, time.Second)
		for range 1000 {
			s.active()
			time.Sleep(time.Millisecond)
		}
		if n := q.looks.Load(); n != 10 {
			t.Errorf("%d looks in a second, want 10", n)
		}
	})
}

// Only those are refused that made the queue, and only what would join it.
func TestGateSheds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{}
		g := OpenGate(GateConfig{Places: 100, PerTenant: 50, Reserve: 10, Streams: 10, Shed: NewShed(q, 5*time.Second, time.Second)})
		var inside []*Place
		enter := func(tenant string, c Class) string {
			p, err := g.Enter(Visit{Tenant: tenant, Class: c})
			if err != nil {
				return fault.From(err).MachineCode()
			}
			inside = append(inside, p)
			return ""
		}
		for range 20 {
			enter("flood", Ordinary)
		}
		enter("light", Ordinary)
		q.wait.Store(int64(8 * time.Second))
		time.Sleep(100 * time.Millisecond)
		if code := enter("flood", Ordinary); code != "" {
			t.Errorf("before the interval is over: %s", code)
		}
		time.Sleep(time.Second)
		for _, c := range []struct {
			tenant string
			class  Class
			code   string
		}{
			{"flood", Ordinary, "shedding"},
			{"flood", Control, ""},
			{"flood", Operator, ""},
			{"flood", Stream, ""},
			{"light", Ordinary, ""}, // one waits already, but the queue is not its doing
			{"silent", Ordinary, ""},
			{"flood", Ordinary, "shedding"},
		} {
			if code := enter(c.tenant, c.class); code != c.code {
				t.Errorf("%s, class %d: %q, want %q", c.tenant, c.class, code, c.code)
			}
		}
		w := serve(ok, request("POST", "/mcp"), of("flood"), Admit(g, As(Ordinary)))
		after, err := strconv.Atoi(w.Header().Get("Retry-After"))
		if w.Code != 503 || !strings.Contains(w.Body.String(), `"shedding"`) || err != nil || after < 8 || after > 13 {
			t.Errorf("%d %s, Retry-After %q: want 8 to 13", w.Code, w.Body, w.Header().Get("Retry-After"))
		}
		if n := g.Stats().Refused["shedding"]; n != 3 {
			t.Errorf("%d refused, want 3", n)
		}
		q.wait.Store(0)
		time.Sleep(time.Second)
		if code := enter("flood", Ordinary); code != "" {
			t.Errorf("when it is over: %s", code)
		}
		for _, p := range inside {
			p.Leave()
		}
		empty(t, g)
	})
}

// A tenant that is alone made the queue itself.
func TestGateShedsTheOnlyTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{}
		q.wait.Store(int64(time.Hour))
		g := OpenGate(GateConfig{Places: 4, PerTenant: 4, Shed: NewShed(q, time.Second, time.Second)})
		if _, err := g.Enter(Visit{Tenant: "a"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		_, err := g.Enter(Visit{Tenant: "a"})
		if e := fault.From(err); e.Code != "shedding" || e.RetryAfter != time.Minute {
			t.Errorf("%+v, want shedding for at most a minute", e)
		}
	})
}
