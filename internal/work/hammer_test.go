package work

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// TestHammer lets many callers acquire, yield, go away, time out and panic at
// random, and checks that never too many run and nothing is lost.
func TestHammer(t *testing.T) {
	const callers, each, tickets = 50, 2000, 3
	cfg := Config{
		Tickets: tickets, Quantum: 20 * time.Microsecond, MaxRunningPerTenant: 2, MaxWait: 2 * time.Millisecond,
		MaxQueuedPerSubject: 3, MaxQueuedPerTenant: 5, MaxQueued: 30, AgeBatch: time.Millisecond,
		LostAfter: time.Hour, Adaptive: Adaptive{Min: tickets, Max: tickets, New: newFakeLimiter},
	}
	s := New(cfg)
	var running, granted, refused, canceled, panicked atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		rng := rand.New(rand.NewPCG(1, uint64(i)))
		call := func() {
			defer func() {
				if reason := recover(); reason != nil {
					panicked.Add(1)
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(3000))*time.Microsecond)
			defer cancel()
			claim := Claim{
				Tenant: string("abcd"[rng.IntN(4)]), Subject: string("uv"[rng.IntN(2)]), Session: string("rst"[rng.IntN(3)]),
				Lane: Lane(1 + rng.IntN(3)), Cost: time.Duration(rng.IntN(50)) * time.Microsecond,
			}
			if rng.IntN(3) == 0 {
				fall := rng.IntN(4) == 0
				claim.OnWait = func(Position) {
					if fall {
						panic("while it waits")
					}
				}
			}
			if rng.IntN(10) == 0 {
				cancel()
			}
			ticket, err := s.Acquire(ctx, claim)
			switch kind := fault.KindOf(err); {
			case err == nil:
			case kind == fault.Canceled || kind == fault.Timeout:
				canceled.Add(1)
				return
			default:
				refused.Add(1)
				return
			}
			granted.Add(1)
			defer ticket.Release()
			if n := running.Add(1); n > tickets {
				t.Errorf("%d run on %d tickets", n, tickets)
			}
			for range rng.IntN(40) {
				running.Add(-1) // Yield may give the turn up
				err := ticket.Yield(ctx)
				if err != nil {
					return
				}
				running.Add(1)
				if rng.IntN(20) == 0 {
					runtime.Gosched()
				}
			}
			running.Add(-1)
			if rng.IntN(20) == 0 {
				panic("while it runs")
			}
		}
		wg.Go(func() {
			for range each {
				call()
			}
		})
	}
	changing, stop := context.WithCancel(t.Context())
	var changes sync.WaitGroup
	changes.Go(func() { s.Run(changing) })
	changes.Go(func() {
		for i := 0; changing.Err() == nil; i++ {
			cfg.TenantWeights = map[string]int{"a": 1 + i%5}
			cfg.MaxRunningPerTenant = 1 + i%2
			if err := s.Reconfigure(cfg); err != nil {
				t.Error(err)
			}
			s.Stats()
			runtime.Gosched()
		}
	})
	wg.Wait()
	stop()
	changes.Wait()
	st := s.Stats()
	var refusals int64
	for _, n := range st.Refused {
		refusals += int64(n)
	}
	if refusals != refused.Load() || int64(st.Granted) < granted.Load() {
		t.Errorf("stats say %d refused and %d granted, callers saw %d and %d", refusals, st.Granted, refused.Load(), granted.Load())
	}
	t.Logf("granted %d, refused %v, canceled %d, panicked %d, yields %d", granted.Load(), st.Refused, canceled.Load(), panicked.Load(), st.Yields)
	for what, n := range map[string]int64{
		"granted": granted.Load(), "refused": refused.Load(), "canceled": canceled.Load(), "panicked": panicked.Load(), "yields": int64(st.Yields),
		"pushed out": int64(st.PushedOut),
	} {
		if n == 0 {
			t.Errorf("nothing was %s", what)
		}
	}
	if st.Lost != 0 || st.LostTotal != 0 {
		t.Errorf("%d lost of %d, want none", st.Lost, st.LostTotal)
	}
	wantQuiet(t, s)
}

// TestGrantAgainstCancel releases a slot and cancels its next holder at the
// same moment, over and over: the slot must end up free.
func TestGrantAgainstCancel(t *testing.T) {
	const rounds = 20_000
	s := New(Config{Tickets: 1})
	var got atomic.Int64
	for round := range rounds {
		held := acquire(t, s, Claim{Tenant: "a", Lane: Interactive})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if ticket, err := s.Acquire(ctx, Claim{Tenant: "b", Lane: Interactive}); err == nil {
				got.Add(1)
				ticket.Release()
			}
		})
		for s.Stats().Queued == 0 {
			runtime.Gosched()
		}
		switch round % 4 { // whichever comes first, the other is close behind
		case 0:
			held.Release()
			cancel()
		case 1:
			cancel()
			held.Release()
		case 2:
			wg.Go(cancel)
			held.Release()
		case 3:
			cancel()
			for s.Stats().Queued > 0 {
				runtime.Gosched()
			}
			held.Release()
		}
		wg.Wait()
		cancel()
		if st := s.Stats(); st.Running != 0 || st.Queued != 0 {
			t.Fatalf("%d running and %d queued, want none", st.Running, st.Queued)
		}
	}
	st := s.Stats()
	thrown := int64(st.Granted) - rounds - got.Load() // granted, but canceled when told
	t.Logf("%d got their turn, %d were canceled in the queue, %d in between", got.Load(), st.Canceled, thrown)
	if got.Load() == 0 || st.Canceled == 0 || thrown == 0 {
		t.Error("one of the three outcomes never happened")
	}
	if sum := got.Load() + int64(st.Canceled) + thrown; sum != rounds {
		t.Errorf("%d outcomes of %d rounds", sum, rounds)
	}
	wantQuiet(t, s)
}

// TestQuietTenantOnRealCores checks the purpose of it all without virtual time:
// calls of 1 ms get through beside 16 goroutines that burn CPU. The bound is
// wide, as machines are shared; first come first served would take 16 × 50 ms.
func TestQuietTenantOnRealCores(t *testing.T) {
	s := New(Config{Tickets: 2})
	burn := func(ctx context.Context, ticket *Ticket, d time.Duration) error {
		for ticket.Ran() < d {
			for range 100 {
				spin.Add(1)
			}
			if err := ticket.Yield(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var heavy atomic.Int64
	for range 16 {
		wg.Go(func() {
			for {
				ticket, err := s.Acquire(ctx, Claim{Tenant: "heavy", Lane: Interactive})
				if err != nil {
					return
				}
				if burn(ctx, ticket, 50*time.Millisecond) == nil {
					heavy.Add(1)
				}
				ticket.Release()
			}
		})
	}
	for s.Stats().Queued < 14 {
		runtime.Gosched()
	}
	var waits []time.Duration
	for range 100 {
		began := time.Now()
		ticket := acquire(t, s, Claim{Tenant: "quiet", Lane: Interactive})
		waits = append(waits, time.Since(began))
		if err := burn(ctx, ticket, time.Millisecond); err != nil {
			t.Error(err)
		}
		ticket.Release()
	}
	cancel()
	wg.Wait()
	slices.Sort(waits)
	t.Logf("waits: p50 %v, p95 %v, most %v; %d heavy calls ended meanwhile", waits[50], waits[95], waits[99], heavy.Load())
	if waits[50] > 50*time.Millisecond {
		t.Errorf("half of the quiet calls waited more than %v, want at most 50ms", waits[50])
	}
	wantQuiet(t, s)
}

var spin atomic.Int64
