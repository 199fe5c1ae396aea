package budget_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget/budgettest"
)

func TestSpreadYieldsTheTurnOfItsGoroutine(t *testing.T) {
	type turn struct{}
	fan := func(ctx context.Context, n int, f func(context.Context, int) error) error {
		return budgettest.Fan(n)(context.WithValue(ctx, turn{}, "helper"), n, f)
	}
	var helpers, owner atomic.Int64
	m := budget.New(t.Context(), budget.Limits{Steps: 10}, func(context.Context) error {
		owner.Add(1)
		return nil
	})
	long := m.Fork(budget.Limits{}) // goes on on another goroutine, and back
	err := m.Spread(fan, func(ctx context.Context) error {
		if ctx.Value(turn{}) == "helper" {
			helpers.Add(1)
		}
		return nil
	})(3, func(own *budget.Meter, i int) {
		if !own.Step(100) || own.Limits() != (budget.Limits{}) {
			t.Error("a call of a spread has no limits of its own")
		}
		if i == 1 {
			long.Follow(own)
			long.Step(100)
		}
	})
	if err != nil || helpers.Load() != 4 || owner.Load() != 0 {
		t.Errorf("%v, %d turns of helpers and %d of the owner", err, helpers.Load(), owner.Load())
	}
	long.Follow(m)
	long.Step(100)
	if steps, _ := long.Used(); owner.Load() != 1 || steps != 200 {
		t.Errorf("%d turns of the owner, %d steps", owner.Load(), steps)
	}
}

func TestPauseCountsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	yields := 0
	m := budget.New(ctx, budget.Limits{Steps: 5}, func(context.Context) error {
		yields++
		return nil
	})
	if steps, _ := m.Used(); !m.Pause() || yields != 1 || steps != 0 {
		t.Errorf("%d yields, %d steps", yields, steps)
	}
	if m.Step(5); m.Pause() {
		t.Error("goes on after its limit")
	}
	m = budget.New(ctx, budget.Limits{}, nil)
	cancel()
	if m.Pause() {
		t.Error("goes on after the end")
	}
}

func TestKeeper(t *testing.T) {
	stopped := errors.New("stopped")
	keep := func(d budget.Durable, key any) *budget.Keeper {
		k, err := budget.Keep(d, stopped, key)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	none := keep(nil, 1)
	var n int
	if none.Due() || none.Resume(&n) || none.Save(nil) != nil || none.Partial(1) != nil {
		t.Error("a nil keeper does something")
	}
	d := &budgettest.Disk{Limit: 200, StopAfter: 2}
	k := keep(d, "a")
	state := func() (any, error) { return 7, nil }
	if !k.Due() || k.Resume(&n) || k.Save(state) != nil || d.Saved != 1 {
		t.Errorf("the first state: %d saved", d.Saved)
	}
	if keep(d, "b").Resume(&n) || !keep(d, "a").Resume(&n) || n != 7 {
		t.Errorf("resumed %d", n)
	}
	broken := errors.New("broken")
	if err := k.Save(func() (any, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("error %v, want that of the state", err)
	}
	if err := k.Save(func() (any, error) { return nil, nil }); err != nil || d.Saved != 1 {
		t.Errorf("no state: %v, %d saved", err, d.Saved)
	}
	for _, large := range []func() (any, error){
		func() (any, error) { return nil, budget.ErrTooLarge },
		func() (any, error) { return strings.Repeat("x", 300), nil },
	} {
		k := keep(d, "a")
		if err := k.Save(large); err != nil || k.Due() {
			t.Errorf("too large: %v, due %v", err, k.Due())
		}
	}
	if err := k.Save(state); !errors.Is(err, stopped) || d.Saved != 2 {
		t.Errorf("stopped: %v, %d saved", err, d.Saved)
	}
}
