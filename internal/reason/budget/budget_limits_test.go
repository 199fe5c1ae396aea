package budget

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestStepLimitIsExact(t *testing.T) {
	m := New(t.Context(), Limits{Steps: 1000}, nil)
	n := int64(1)
	for m.Step(1) {
		n++
	}
	if steps, _ := m.Used(); n != 1000 || steps != 1000 || m.Hit() != Steps || m.Err() != nil {
		t.Errorf("%d steps, used %d, hit %q, %v", n, steps, m.Hit(), m.Err())
	}
	if m.Step(1) {
		t.Error("a step after the limit")
	}
}

func TestNodeLimit(t *testing.T) {
	m := New(t.Context(), Limits{Nodes: 3}, nil)
	if !m.Grow(2) || !m.Grow(1) || m.Grow(1) || m.Hit() != Nodes {
		t.Errorf("hit %q", m.Hit())
	}
	if _, nodes := m.Used(); nodes != 3 {
		t.Errorf("%d nodes", nodes)
	}
}

func TestTimeLimitCountsRunningTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(t.Context(), Limits{Time: 10 * time.Millisecond}, nil)
		for m.Step(check) {
			time.Sleep(time.Millisecond)
		}
		if m.Hit() != Time || m.Elapsed() != 10*time.Millisecond {
			t.Errorf("hit %q after %s", m.Hit(), m.Elapsed())
		}
	})
}

func TestCancelStopsWithinAFewSteps(t *testing.T) {
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	m := New(ctx, Limits{Steps: 1 << 40}, nil)
	for range 100 {
		m.Step(1)
	}
	cancel(why)
	n := 0
	for m.Step(1) {
		n++
	}
	if n > check || !errors.Is(m.Err(), why) || m.Hit() != None {
		t.Errorf("%d steps after the cancel, %v, hit %q", n, m.Err(), m.Hit())
	}
}

func TestYieldIsAskedRegularlyAndCanStop(t *testing.T) {
	asked := 0
	m := New(t.Context(), Limits{}, func(context.Context) error { asked++; return nil })
	for range 64 * 100 {
		m.Step(1)
	}
	if asked != 100 {
		t.Errorf("yielded %d times in 6,400 steps", asked)
	}
	m = New(t.Context(), Limits{}, func(context.Context) error { return context.Canceled })
	n := 0
	for m.Step(1) {
		n++
	}
	if n >= check {
		t.Errorf("%d steps after a yield that failed", n)
	}
}

func TestForkAndJoin(t *testing.T) {
	m := New(t.Context(), Limits{Steps: 100}, nil)
	a, b := m.Fork(Limits{Steps: 10}), m.Fork(Limits{Steps: 20})
	for a.Step(1) {
	}
	b.Step(5)
	b.Grow(2)
	m.Join(b)
	m.Join(a)
	if steps, nodes := m.Used(); steps != 15 || nodes != 2 || m.Hit() != Steps {
		t.Errorf("%d steps, %d nodes, hit %q", steps, nodes, m.Hit())
	}
}

func BenchmarkStep(b *testing.B) {
	m := New(b.Context(), Limits{Steps: 1 << 62}, func(context.Context) error { return nil })
	b.ReportAllocs()
	for b.Loop() {
		m.Step(1)
	}
}
