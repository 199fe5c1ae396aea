package work

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLostCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []Lost
		var s *Scheduler
		s = New(Config{Tickets: 2, LostAfter: time.Second, OnLost: func(l Lost) {
			told = append(told, l)
			s.Stats() // no lock is held
		}})
		watching, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { s.Run(watching) })

		ctx, cancel := context.WithCancel(t.Context())
		stuck, err := s.Acquire(ctx, Claim{Tenant: "acme", Subject: "u", Session: "s", Lane: Batch})
		if err != nil {
			t.Fatal(err)
		}
		fine := acquire(t, s, Claim{Tenant: "fine", Lane: Interactive})
		time.Sleep(time.Minute) // long calls are not lost
		if st := s.Stats(); st.Lost != 0 || st.LostTotal != 0 {
			t.Errorf("%d lost of %d, want none", st.Lost, st.LostTotal)
		}
		cancel()
		time.Sleep(900 * time.Millisecond)
		if st := s.Stats(); st.Lost != 0 {
			t.Errorf("%d lost before its time", st.Lost)
		}
		time.Sleep(time.Second)
		if st := s.Stats(); st.Lost != 1 || st.LostTotal != 1 || st.Running != 2 {
			t.Errorf("%d lost of %d, %d running, want 1 of 1 and 2", st.Lost, st.LostTotal, st.Running)
		}
		fine.Release()
		second := acquire(t, s, Claim{Tenant: "fine", Lane: Interactive})
		short, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		if _, err := s.Acquire(short, Claim{Tenant: "fine", Lane: Interactive}); err == nil {
			t.Error("the slot of a lost call was handed out")
		}
		second.Release()
		stuck.Release()
		if st := s.Stats(); st.Lost != 0 || st.LostTotal != 1 {
			t.Errorf("%d lost of %d, want 0 of 1 after its return", st.Lost, st.LostTotal)
		}
		stop()
		wg.Wait()
		if len(told) != 1 || told[0].Tenant != "acme" || told[0].Subject != "u" || told[0].Session != "s" || told[0].Lane != Batch ||
			told[0].Overdue < time.Second || told[0].Overdue > 1250*time.Millisecond {
			t.Errorf("told of %+v, want the stuck call, once, a second after its end", told)
		}
		wantQuiet(t, s)
	})
}

func TestLostIsMeasuredFromTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []Lost
		s := New(Config{Tickets: 1, OnLost: func(l Lost) { told = append(told, l) }})
		ticket := acquire(t, s, Claim{Tenant: "a", Lane: Interactive})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ticket.Watch(ctx) // a deadline made after Acquire
		time.Sleep(4 * time.Second)
		if st := s.Stats(); st.Lost != 1 || len(told) != 1 || told[0].Overdue != 3*time.Second {
			t.Errorf("%d lost, told %+v, want one that is 3s late", st.Lost, told)
		}
		if err := ticket.Yield(ctx); err == nil {
			t.Error("yield goes on after the end")
		}
		if st := s.Stats(); st.Lost != 0 || len(told) != 1 {
			t.Errorf("%d lost, told %d times, want 0 and once", st.Lost, len(told))
		}
		wantQuiet(t, s)
	})
}

func TestYieldIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1})
		ctx, cancel := context.WithCancel(t.Context())
		ticket, err := s.Acquire(ctx, Claim{Tenant: "a", Lane: Interactive})
		if err != nil {
			t.Fatal(err)
		}
		cancel() // the caller detaches the call and goes on with it
		for range 10 {
			s.Stats()
			time.Sleep(time.Second)
			var wg sync.WaitGroup
			wg.Go(func() { acquire(t, s, Claim{Tenant: "b", Lane: Interactive}).Release() })
			synctest.Wait()
			if err := ticket.Yield(t.Context()); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
		}
		if st := s.Stats(); st.LostTotal != 0 {
			t.Errorf("%d lost although it yields", st.LostTotal)
		}
		ticket.Release()
		var nobody *Ticket
		nobody.Watch(ctx)
		wantQuiet(t, s)
	})
}
