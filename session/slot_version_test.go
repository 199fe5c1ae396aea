package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// weightV3 is what the test's slot "weight" holds: schema 1 was a number of grams,
// schema 2 an object of grams, schema 3 one of kilograms.
type weightV3 struct {
	Kilograms float64 `json:"kilograms"`
}

var (
	weightV1 = NewSlot[float64]("weight")
	wrap     = Migration{From: 1, Up: func(data json.RawMessage) (json.RawMessage, error) {
		return fmt.Appendf(nil, `{"grams":%s}`, data), nil
	}}
	toKilograms = Migration{From: 2, Up: func(data json.RawMessage) (json.RawMessage, error) {
		var v struct{ Grams float64 }
		if err := json.Unmarshal(data, &v); err != nil {
			return nil, err
		}
		return json.Marshal(weightV3{v.Grams / 1000})
	}}
)

func TestMigrationsRunStepByStep(t *testing.T) {
	d := New(Config{}, nil)
	h := mustOpen(t, d, alice, Params{})
	defer h.Release()
	mustUpdate(t, weightV1.Key("a"), h, func(v *float64) error { *v = 1500; return nil })
	stored := string(h.Export()["weight/a"])

	v3 := NewSlotVersion[weightV3]("weight", 3, toKilograms, wrap) // in any order
	if got := mustRead(t, v3.Key("a"), h); got.Kilograms != 1.5 {
		t.Errorf("upgraded to %v", got)
	}
	if got := string(h.Export()["weight/a"]); got != stored || h.Version() != 1 {
		t.Errorf("a read wrote %s, version %d", got, h.Version())
	}
	mustUpdate(t, v3.Key("a"), h, func(v *weightV3) error { v.Kilograms *= 2; return nil })
	if got := string(h.Export()["weight/a"]); got != `{"schema":3,"data":{"kilograms":3}}` {
		t.Errorf("after a commit: %s", got)
	}
	_, _, err := weightV1.Key("a").Read(h)
	if f := fault.From(err); f.Code != "slot_schema" || !strings.Contains(f.Public, "written by a newer server: schema 3, this one knows 1") {
		t.Errorf("a newer schema: %v", err)
	}
}

func TestMigrationsThatCannotBe(t *testing.T) {
	d := New(Config{}, nil)
	h := mustOpen(t, d, alice, Params{})
	defer h.Release()
	mustUpdate(t, weightV1, h, func(v *float64) error { *v = 1; return nil })
	broken := errors.New("broken")
	fails := Migration{From: 1, Up: func(json.RawMessage) (json.RawMessage, error) { return nil, broken }}
	for _, tc := range []struct {
		slot Slot[weightV3]
		want string
	}{
		{NewSlotVersion[weightV3]("weight", 3), "no migration from schema 1 to 2"},
		{NewSlotVersion[weightV3]("weight", 3, wrap), "no migration from schema 2 to 3"},
		{NewSlotVersion[weightV3]("weight", 3, toKilograms), "no migration from schema 1 to 2"},
		{NewSlotVersion[weightV3]("weight", 2, fails), "from schema 1 to 2: broken"},
	} {
		if v, _, err := tc.slot.Read(h); err == nil || !strings.Contains(err.Error(), tc.want) || v != (weightV3{}) {
			t.Errorf("got %v, %v: want %s", v, err, tc.want)
		}
		if err := tc.slot.Update(t.Context(), h, func(*weightV3) error { return nil }); err == nil {
			t.Error("updated what cannot be read")
		}
	}
	if h.Version() != 1 {
		t.Error("something was written")
	}
	for _, bad := range [][]Migration{{wrap, wrap}, {toKilograms}, {{From: 1}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("accepted %v", bad)
				}
			}()
			NewSlotVersion[weightV3]("weight", 2, bad...)
		}()
	}
}

func TestRetryComputesAgain(t *testing.T) {
	d := New(Config{}, nil)
	h := mustOpen(t, d, alice, Params{})
	defer h.Release()
	n := NewSlot[int]("n")
	// racing commits between the snapshot and the commit, times times.
	racing := func(calls *int, times int) func(context.Context, int) (int, error) {
		return func(ctx context.Context, v int) (int, error) {
			if *calls++; *calls <= times {
				if err := n.Update(ctx, h, func(p *int) error { *p += 10; return nil }); err != nil {
					return 0, err
				}
			}
			return v + 1, nil
		}
	}
	calls := 0
	if err := n.Retry(t.Context(), h, 3, racing(&calls, 2)); err != nil || calls != 3 || mustRead(t, n, h) != 21 {
		t.Errorf("%v after %d calls, value %d", err, calls, mustRead(t, n, h))
	}
	calls = 0
	if err := n.Retry(t.Context(), h, 2, racing(&calls, 9)); !isVersionConflict(err) || calls != 2 || mustRead(t, n, h) != 41 {
		t.Errorf("%v after %d calls, value %d: want a conflict after 2", err, calls, mustRead(t, n, h))
	}
	calls = 0
	if err := n.Retry(t.Context(), h, 0, racing(&calls, 9)); !isVersionConflict(err) || calls != 1 {
		t.Errorf("no tries: %v after %d calls", err, calls)
	}
	broken := errors.New("broken")
	if err := n.Retry(t.Context(), h, 5, func(context.Context, int) (int, error) { return 7, broken }); err != broken || mustRead(t, n, h) != 51 {
		t.Errorf("%v: want the computation's error and no commit", err)
	}
	calls = 0
	h.Expect(1)
	if err := n.Retry(t.Context(), h, 5, racing(&calls, 0)); !isVersionConflict(err) || calls != 1 {
		t.Errorf("with an expectation: %v after %d calls", err, calls)
	}
}

func TestRetryEndsWithTheContext(t *testing.T) {
	d := New(Config{}, nil)
	h := mustOpen(t, d, alice, Params{})
	defer h.Release()
	n := NewSlot[int]("n")
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := n.Retry(ctx, h, 9, func(_ context.Context, v int) (int, error) {
		calls++
		cancel()
		return v, nil
	})
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}
