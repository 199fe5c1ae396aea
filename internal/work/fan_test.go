package work

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestFanCallsEachOnce(t *testing.T) {
	for _, tickets := range []int{1, 2, 7} {
		s := New(Config{Tickets: tickets})
		ticket := acquire(t, s, Claim{Tenant: "t", Lane: Interactive})
		ctx := NewContext(t.Context(), ticket)
		for _, n := range []int{-1, 0, 1, 2, 100} {
			calls := make([]atomic.Int32, max(n, 0))
			var on atomic.Int32
			err := Fan(ctx, n, func(ctx context.Context, i int) error {
				if now := on.Add(1); int(now) > tickets {
					t.Errorf("%d calls at once on %d tickets", now, tickets)
				}
				defer on.Add(-1)
				if own := FromContext(ctx); own == nil || !own.held {
					t.Error("a call has no ticket")
				}
				calls[i].Add(1)
				runtime.Gosched()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			for i := range calls {
				if got := calls[i].Load(); got != 1 {
					t.Errorf("call %d was made %d times", i, got)
				}
			}
		}
		ticket.Release()
		wantQuiet(t, s)
	}
}

func TestFanWithoutTicket(t *testing.T) {
	var sum atomic.Int64
	err := Fan(t.Context(), 1000, func(ctx context.Context, i int) error {
		sum.Add(int64(i))
		return FromContext(ctx).Yield(ctx)
	})
	if err != nil || sum.Load() != 499500 {
		t.Errorf("got %d, %v, want 499500", sum.Load(), err)
	}
}

func TestFanUsesFreeCores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 4, MaxQueued: 1})
		ticket := acquire(t, s, Claim{Tenant: "t", Lane: Interactive})
		var others []*Ticket
		for range 3 {
			others = append(others, acquire(t, s, Claim{Tenant: "x", Lane: Interactive}))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { // fills the queue, but not for helpers
			if _, err := s.Acquire(ctx, Claim{Tenant: "t", Lane: Interactive}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the deadline", err)
			}
		})
		synctest.Wait()
		time.AfterFunc(3*time.Second, func() {
			if st := s.Stats(); st.Helpers != 3 || st.Queued != 0 {
				t.Errorf("%d helpers and %d calls wait, want 3 and 0", st.Helpers, st.Queued)
			}
			for _, other := range others[:2] {
				other.Release()
			}
		})
		began := time.Now()
		err := Fan(NewContext(t.Context(), ticket), 12, func(context.Context, int) error {
			time.Sleep(time.Second) // computes
			return nil
		})
		// Three alone, then nine by three; the last core never comes free.
		if took := time.Since(began); err != nil || took != 6*time.Second {
			t.Errorf("took %v, %v, want 6s", took, err)
		}
		others[2].Release()
		ticket.Release()
		wg.Wait()
		if st := s.Stats(); st.Granted != 4 || st.Canceled != 1 {
			t.Errorf("%d granted and %d canceled, want the calls only: 4 and 1", st.Granted, st.Canceled)
		}
		wantQuiet(t, s)
	})
}

func TestFanHoldsNoCoreWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 2})
		ticket := acquire(t, s, Claim{Tenant: "t", Lane: Interactive})
		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(time.Millisecond)
			other := acquire(t, s, Claim{Tenant: "x", Lane: Interactive})
			if waited := time.Since(began); waited != time.Second { // the caller has done its call
				t.Errorf("a core comes free at %v, want 1s", waited)
			}
			time.Sleep(20 * time.Second)
			other.Release()
		})
		ctx := NewContext(t.Context(), ticket)
		var begun sync.WaitGroup
		begun.Add(2)
		err := Fan(ctx, 2, func(ctx context.Context, _ int) error {
			begun.Done()
			begun.Wait() // so that two goroutines make one call each
			if FromContext(ctx) == ticket {
				time.Sleep(time.Second)
			} else {
				time.Sleep(30 * time.Second)
			}
			return nil
		})
		if took := time.Since(began); err != nil || took != 30*time.Second || !ticket.held {
			t.Errorf("took %v, %v, want 30s and the ticket held again", took, err)
		}
		if ran := ticket.Ran(); ran != time.Second {
			t.Errorf("ran %v, want 1s", ran)
		}
		wg.Wait()
		ticket.Release()
		wantQuiet(t, s)
	})
}

func TestFanContextEndsWhileItWaits(t *testing.T) {
	for _, notices := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := New(Config{Tickets: 2})
			ticket := acquire(t, s, Claim{Tenant: "t", Lane: Interactive})
			ctx, cancel := context.WithCancel(NewContext(t.Context(), ticket))
			drained := make(chan error)
			var begun sync.WaitGroup
			begun.Add(2)
			err := Fan(ctx, 2, func(ctx context.Context, _ int) error {
				begun.Done()
				begun.Wait()
				for own := FromContext(ctx); own == ticket; time.Sleep(time.Millisecond) {
					if err := own.Yield(ctx); err != nil || !notices {
						return err
					}
				}
				if FromContext(ctx) != ticket {
					go func() { drained <- s.Drain(t.Context()) }()
					time.Sleep(time.Second)
					cancel()
					time.Sleep(time.Second) // does not look at ctx
				}
				return nil
			})
			if !errors.Is(err, context.Canceled) || ticket.held {
				t.Errorf("got %v with held %t, want canceled and the ticket released", err, ticket.held)
			}
			if err := <-drained; err != nil {
				t.Error(err)
			}
			if st := s.Stats(); st.Running != 0 || st.Resuming != 0 {
				t.Errorf("got %+v, want nothing running", st)
			}
		})
	}
}

func TestFanInDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 2})
		ticket := acquire(t, s, Claim{Lane: Batch})
		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Drain(t.Context()); err != nil || time.Since(began) != 4*time.Second {
				t.Errorf("drained after %v, %v, want 4s", time.Since(began), err)
			}
		})
		synctest.Wait()
		err := Fan(NewContext(t.Context(), ticket), 4, func(ctx context.Context, _ int) error {
			time.Sleep(time.Second)
			if FromContext(ctx) != ticket {
				time.Sleep(time.Second / 2) // the caller rests at the end
			}
			return nil
		})
		if took := time.Since(began); err != nil || took > 3*time.Second {
			t.Errorf("took %v, %v, want the help of a second goroutine", took, err)
		}
		time.Sleep(4*time.Second - time.Since(began))
		ticket.Release()
		wg.Wait()
	})
}

func TestFanFirstErrorWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 3})
		ticket := acquire(t, s, Claim{Lane: Interactive})
		boom := errors.New("boom")
		var made atomic.Int32
		err := Fan(NewContext(t.Context(), ticket), 100, func(ctx context.Context, i int) error {
			made.Add(1)
			if i == 1 {
				time.Sleep(time.Second)
				return boom
			}
			<-ctx.Done()
			time.Sleep(time.Second) // Fan waits for it
			return ctx.Err()
		})
		if err != boom || made.Load() != 3 {
			t.Errorf("got %v after %d calls, want boom after 3", err, made.Load())
		}
		ticket.Release()
		wantQuiet(t, s)
	})
}

func TestFanContextEnds(t *testing.T) {
	s := New(Config{Tickets: 2})
	ticket := acquire(t, s, Claim{Lane: Interactive})
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(NewContext(t.Context(), ticket))
	var made atomic.Int32
	err := Fan(ctx, 1000, func(context.Context, int) error {
		if made.Add(1) >= 10 { // also who overtakes the tenth
			cancel(why)
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, why) || made.Load() > 12 {
		t.Errorf("got %v after %d calls, want the cause after about 10", err, made.Load())
	}
	ticket.Release()
	wantQuiet(t, s)
}

func TestFanPanics(t *testing.T) {
	cause := errors.New("cause")
	for _, at := range []int{0, 1} { // on the caller's goroutine or on another
		synctest.Test(t, func(t *testing.T) {
			s := New(Config{Tickets: 2})
			ticket := acquire(t, s, Claim{Lane: Interactive})
			var ended atomic.Int32
			defer func() {
				p, ok := recover().(*Panic)
				if !ok || p.Value != cause || !errors.Is(p, cause) || !strings.Contains(p.Error(), "TestFanPanics") {
					t.Errorf("got %v, want the cause and its stack", p)
				}
				if ended.Load() != 1 {
					t.Error("the panic came before the other call had returned")
				}
				ticket.Release()
				wantQuiet(t, s)
			}()
			begun := make(chan struct{})
			_ = Fan(NewContext(t.Context(), ticket), 2, func(ctx context.Context, i int) error {
				if i == at {
					<-begun
					panic(cause)
				}
				close(begun)
				<-ctx.Done()
				time.Sleep(time.Second)
				ended.Add(1)
				return nil
			})
			t.Error("Fan returned")
		})
	}
}

func TestFanGoroutineEnded(t *testing.T) {
	for at := range 2 {
		synctest.Test(t, func(t *testing.T) {
			s := New(Config{Tickets: 2})
			ticket := acquire(t, s, Claim{Lane: Interactive})
			var wg sync.WaitGroup
			err := errors.New("Fan did not return")
			wg.Go(func() {
				err = Fan(NewContext(t.Context(), ticket), 2, func(ctx context.Context, i int) error {
					if i == at {
						runtime.Goexit()
					}
					<-ctx.Done()
					return nil
				})
			})
			wg.Wait()
			if err == nil {
				t.Error("a call that ended its goroutine counts as done")
			}
			ticket.Release()
			wantQuiet(t, s)
		})
	}
}

func TestFanYields(t *testing.T) {
	s := New(Config{Tickets: 2, Quantum: 10 * time.Microsecond})
	var wg sync.WaitGroup
	var sums [8]int64
	for i := range sums {
		wg.Go(func() {
			ticket := acquire(t, s, Claim{Tenant: string(rune('a' + i)), Lane: Interactive})
			defer ticket.Release()
			parts := make([]int64, 16)
			err := Fan(NewContext(t.Context(), ticket), len(parts), func(ctx context.Context, part int) error {
				own := FromContext(ctx)
				for x := range int64(3000) {
					parts[part] += x * int64(part)
					if err := own.Yield(ctx); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			for _, p := range parts {
				sums[i] += p
			}
		})
	}
	wg.Wait()
	for i, sum := range sums {
		if want := int64(3000 * 2999 / 2 * 120); sum != want {
			t.Errorf("sum %d is %d, want %d", i, sum, want)
		}
	}
	wantQuiet(t, s)
}
