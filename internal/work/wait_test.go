package work

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

func TestMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1, MaxWait: 3 * time.Second})
		held := acquire(t, s, Claim{Tenant: "a", Lane: Interactive})
		began := time.Now()
		_, err := s.Acquire(t.Context(), Claim{Tenant: "b", Lane: Interactive})
		wantFault(t, err, fault.Overloaded, "queue_timeout")
		if waited := time.Since(began); waited != 3*time.Second {
			t.Errorf("waited %v, want 3s", waited)
		}
		if st := s.Stats(); st.Refused["queue_timeout"] != 1 || st.Canceled != 0 || st.Queued != 0 {
			t.Errorf("got %+v", st)
		}
		held.Release()
		wantQuiet(t, s)
	})
}

func TestCancelWhileQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1, MaxQueuedPerSubject: 1})
		held := acquire(t, s, Claim{Lane: Interactive})
		stopped := &fault.Error{Kind: fault.Conflict, Code: "session_ended", Public: "an operator ended the session"}
		for _, tt := range []struct {
			cause error
			want  fault.Kind
		}{{nil, fault.Canceled}, {errors.New("gone"), fault.Canceled}, {stopped, fault.Conflict}} {
			ctx, cancel := context.WithCancelCause(t.Context())
			done := make(chan error)
			go func() {
				_, err := s.Acquire(ctx, Claim{Lane: Interactive})
				done <- err
			}()
			synctest.Wait()
			cancel(tt.cause)
			err := <-done
			if fault.KindOf(err) != tt.want || !errors.Is(err, context.Canceled) || tt.cause != nil && !errors.Is(err, tt.cause) {
				t.Errorf("got %v, want kind %s", err, tt.want)
			}
			if n := s.Stats().Queued; n != 0 {
				t.Errorf("%d queued after the cancel, want 0", n)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Acquire(ctx, Claim{Lane: Interactive}); fault.KindOf(err) != fault.Timeout {
			t.Errorf("got %v, want a timeout", err)
		}
		st := s.Stats()
		for code, n := range st.Refused {
			if n != 0 {
				t.Errorf("%d refusals %s, want none", n, code)
			}
		}
		if st.Canceled != 4 {
			t.Errorf("%d canceled, want 4", st.Canceled)
		}
		held.Release()
		if _, err := s.Acquire(ctx, Claim{Lane: Interactive}); fault.KindOf(err) != fault.Timeout {
			t.Errorf("a dead context gets %v, want a timeout", err)
		}
		wantQuiet(t, s)
	})
}

func TestOnWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1})
		began := time.Now()
		held := acquire(t, s, Claim{Lane: Interactive})
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for range 2 {
			wg.Go(func() {
				if _, err := s.Acquire(ctx, Claim{Lane: Interactive}); err == nil {
					t.Error("a canceled call got a ticket")
				}
			})
			synctest.Wait()
		}
		type call struct {
			at time.Duration
			Position
		}
		var calls []call // unguarded: the race detector sees a call from another goroutine
		wg.Go(func() {
			ticket, err := s.Acquire(t.Context(), Claim{Lane: Interactive, OnWait: func(p Position) {
				calls = append(calls, call{time.Since(began), p})
				if st := s.Stats(); st.Queued == 0 { // no lock is held
					t.Error("nobody is queued")
				}
			}})
			if err != nil {
				t.Error(err)
				return
			}
			ticket.Release()
		})
		time.Sleep(610 * time.Millisecond)
		cancel()
		time.Sleep(2 * time.Second)
		held.Release()
		wg.Wait()
		want := []call{
			{0, Position{Ahead: 2, Queued: 3}},
			{750 * time.Millisecond, Position{Ahead: 0, Queued: 1}},
		}
		if !slices.Equal(calls, want) {
			t.Errorf("got %+v, want %+v", calls, want)
		}
		wantQuiet(t, s)
	})
}

func TestEstimate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 2})
		for range 20 { // calls take 100 ms
			ticket := acquire(t, s, Claim{Lane: Interactive})
			time.Sleep(100 * time.Millisecond)
			ticket.Release()
		}
		held := []*Ticket{acquire(t, s, Claim{Lane: Interactive}), acquire(t, s, Claim{Lane: Interactive})}
		var wg sync.WaitGroup
		var last Position
		for i := range 4 {
			wg.Go(func() {
				ticket, err := s.Acquire(t.Context(), Claim{Lane: Interactive, OnWait: func(p Position) {
					if i == 3 {
						last = p
					}
				}})
				if err != nil {
					t.Error(err)
				}
				ticket.Release()
			})
			synctest.Wait()
		}
		// Three calls before it and the rest of one, on two cores.
		if last.Ahead != 3 || last.Estimate != 200*time.Millisecond {
			t.Errorf("got %+v, want 3 ahead and 200ms", last)
		}
		for _, ticket := range held {
			ticket.Release()
		}
		wg.Wait()
		wantQuiet(t, s)
	})
}

func TestPanicInOnWaitLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1})
		held := acquire(t, s, Claim{Lane: Interactive})
		func() {
			defer func() {
				if recover() != "boom" {
					t.Error("the panic did not pass through")
				}
			}()
			_, _ = s.Acquire(t.Context(), Claim{Lane: Interactive, OnWait: func(Position) {
				held.Release() // the turn is given to the one that panics
				panic("boom")
			}})
		}()
		wantQuiet(t, s)
	})
}
