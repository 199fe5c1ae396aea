package budget

import (
	"context"
	"errors"
	"testing"
)

// Nested loops ask again after an inner one was told to stop: the answer stays.
func TestAnEndedMeterStaysEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	for name, m := range map[string]*Meter{
		"context": New(ctx, Limits{}, nil),
		"yield":   New(ctx, Limits{}, func(context.Context) error { cancel(); return context.Canceled }),
		"steps":   New(t.Context(), Limits{Steps: check}, nil),
	} {
		if name == "context" {
			defer cancel()
		}
		for m.Step(1) {
			if name == "context" {
				cancel()
			}
		}
		for i := range 2 * check {
			if m.Step(1) {
				t.Errorf("%s: step %d after the end was granted", name, i)
				break
			}
		}
	}
}

func TestFirstLimitStands(t *testing.T) {
	m := New(t.Context(), Limits{Steps: 2, Nodes: 1}, nil)
	for m.Step(1) {
	}
	if m.Grow(5) || m.Hit() != Steps {
		t.Errorf("hit %q, want the steps that were met first", m.Hit())
	}
	if m = New(t.Context(), Limits{Steps: 10, Nodes: 1}, nil); m.Grow(2) || m.Step(1) || m.Hit() != Nodes {
		t.Errorf("hit %q: no room for nodes must end the steps too", m.Hit())
	}
	late := m.Fork(Limits{Steps: 1})
	late.Step(1)
	if m.Join(late); m.Hit() != Nodes {
		t.Errorf("hit %q after a join, want the first", m.Hit())
	}
}

func TestNoLimits(t *testing.T) {
	m := New(t.Context(), Limits{}, nil)
	for range 10 * check {
		if !m.Step(1000) || !m.Grow(1000) {
			t.Fatal("stopped without a limit")
		}
	}
	if steps, nodes := m.Used(); steps != 10*check*1000 || nodes != steps || m.Hit() != None || m.Err() != nil {
		t.Errorf("used %d and %d, hit %q, %v", steps, nodes, m.Hit(), m.Err())
	}
}

func TestForksShareContextAndDeadline(t *testing.T) {
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	asked := 0
	m := New(ctx, Limits{Steps: 1000}, func(context.Context) error { asked++; return nil })
	f := m.Fork(Limits{Steps: 500})
	if f.Limits().Steps != 500 || !f.Step(check) || asked != 1 {
		t.Errorf("limits %v, yielded %d times", f.Limits(), asked)
	}
	cancel(why)
	if f.Step(check) || !errors.Is(f.Err(), why) || f.Hit() != None {
		t.Errorf("a fork went on after the cancel: %v, hit %q", f.Err(), f.Hit())
	}
}
