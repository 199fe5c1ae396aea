package work

import (
	"context"
	"errors"
	"testing"
)

// While one who holds the only ticket waits aside, another computes.
func TestAsideLetsOthersCompute(t *testing.T) {
	s := New(Config{Tickets: 1})
	claim := Claim{Tenant: "t", Subject: "s", Lane: Interactive}
	first, err := s.Acquire(t.Context(), claim)
	if err != nil {
		t.Fatal(err)
	}
	err = first.Aside(t.Context(), func() {
		second, err := s.Acquire(t.Context(), claim)
		if err != nil {
			t.Error(err)
		}
		second.Release()
	})
	if err != nil {
		t.Errorf("back: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	if err := first.Aside(ctx, func() { cancel(gone) }); !errors.Is(err, gone) {
		t.Errorf("a context that ends meanwhile: %v", err)
	}
	last, err := s.Acquire(t.Context(), claim) // the ticket has been released
	if err != nil {
		t.Fatal(err)
	}
	last.Release()
	waited := false
	if err := (*Ticket)(nil).Aside(t.Context(), func() { waited = true }); err != nil || !waited {
		t.Errorf("no ticket: %v, waited %t", err, waited)
	}
}
