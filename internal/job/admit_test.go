package job

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

func owner(i int) session.Owner { return session.Owner{Tenant: "acme", Subject: fmt.Sprint("user", i)} }

func wantRefused(t *testing.T, err error, kind fault.Kind, code string) {
	t.Helper()
	f := wantFault(t, err, kind, code)
	if f.RetryAfter < time.Second || f.RetryAfter > 90*time.Second || f.RetryAfter%time.Second != 0 {
		t.Errorf("retry after %v, want 1 to 90 whole seconds", f.RetryAfter)
	}
}

func TestQueueCaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := NewMemoryStore()
		r := New(Config{MaxRunning: 4, MaxRunningPerOwner: 2, MaxQueued: 5, MaxQueuedPerOwner: 2}, store, nil, discard())
		defer r.Close()
		o := newOp()
		try := func(i int) error {
			h, err := r.Start(t.Context(), o.spec(owner(i)))
			if err == nil {
				h.Detach()
			}
			return err
		}
		for range 4 { // two run, two wait
			if err := try(0); err != nil {
				t.Fatal(err)
			}
		}
		wantRefused(t, try(0), fault.RateLimited, "job_queue_full")
		for i := range 5 { // two run, three wait
			if err := try(1 + i); err != nil {
				t.Fatal(err)
			}
		}
		wantRefused(t, try(9), fault.Overloaded, "jobs_full")
		st := r.Stats()
		if st.Running != 4 || st.Queued != 5 || st.Refused != 2 || len(stored(t, store)) != 9 || st.Owners != 6 {
			t.Errorf("stats %+v, %d stored", st, len(stored(t, store)))
		}
		checkInvariants(t, r)
		for range 9 {
			o.end("1", nil)
			synctest.Wait()
			checkInvariants(t, r)
		}
		if st := r.Stats(); st.Completed != 9 || st.Running != 0 || st.Queued != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// Owners take turns, whatever each has waiting, and the jobs of one go in order
// of arrival.
func TestOwnersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{MaxRunning: 1}, NewMemoryStore(), nil, discard())
		defer r.Close()
		var order []string
		add := func(i, n int) {
			h := start(t, r, Spec{Owner: owner(i), Operation: "turn", Run: func(context.Context, *Run) (json.RawMessage, error) {
				order = append(order, fmt.Sprintf("%d%c", i, 'a'+n)) // one at a time
				return nil, nil
			}})
			h.Detach()
		}
		o := newOp()
		begin(t, r, o, o.spec(owner(9)))
		for n := range 5 {
			add(0, n)
		}
		for n := range 2 {
			add(1, n)
			add(2, n)
		}
		o.end("1", nil)
		synctest.Wait()
		if got, want := strings.Join(order, " "), "0a 1a 2a 0b 1b 2b 0c 0d 0e"; got != want {
			t.Errorf("ran %s, want %s", got, want)
		}
	})
}

func TestRetainedCaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			cfg  Config
			kind fault.Kind
			code string
		}{
			{Config{MaxRetainedPerOwner: 3}, fault.RateLimited, "jobs_retained"},
			{Config{MaxRetainedBytesPerOwner: 3 * (1000 + recordCost)}, fault.RateLimited, "jobs_retained"},
			{Config{MaxRetained: 3}, fault.Overloaded, "jobs_full"},
			{Config{MaxRetainedBytes: 3 * (1000 + recordCost)}, fault.Overloaded, "jobs_full"},
		} {
			c.cfg.Retention = time.Minute
			if c.kind == fault.Overloaded { // the owner's own bound is as high
				c.cfg.MaxRetainedPerOwner = c.cfg.MaxRetained
				c.cfg.MaxRetainedBytesPerOwner = c.cfg.MaxRetainedBytes
			}
			r := New(c.cfg, NewMemoryStore(), nil, discard())
			var ids []ID
			for i := range 3 {
				o := alice
				if c.kind == fault.Overloaded {
					o = owner(i)
				}
				h := start(t, r, instant(o, `"`+strings.Repeat("x", 998)+`"`, nil))
				h.Detach()
				wait(t, r, o, h.ID())
				ids = append(ids, h.ID())
				time.Sleep(10 * time.Second)
			}
			_, err := r.Start(t.Context(), instant(alice, "1", nil))
			wantRefused(t, err, c.kind, c.code)
			if c.code == "jobs_retained" {
				if f := wantFault(t, err, c.kind, c.code); f.RetryAfter < 30*time.Second { // the first expires in 30 s
					t.Errorf("retry after %v, want at least 30s", f.RetryAfter)
				}
				if err := r.Delete(t.Context(), alice, ids[1]); err != nil {
					t.Fatal(err)
				}
				start(t, r, instant(alice, "1", nil)).Abandon()
			}
			time.Sleep(time.Minute)
			for r.sweepStep() {
			}
			if st := r.Stats(); st.Retained != 0 || st.RetainedBytes != 0 {
				t.Errorf("stats %+v", st)
			}
			start(t, r, instant(alice, "1", nil)).Abandon()
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// Many clients at once never exceed a bound, and refusals leave nothing.
func TestCapsHoldUnderConcurrency(t *testing.T) {
	store := NewMemoryStore()
	r := open(t, Config{MaxRunning: 5, MaxRunningPerOwner: 2, MaxQueued: 6, MaxQueuedPerOwner: 3, MaxRetained: 1 << 20, MaxRetainedPerOwner: 1 << 20}, store)
	over := make(chan string, 100)
	watch := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.counts[running] > 5 || r.counts[queued] > 6 {
			over <- fmt.Sprint("all: ", r.counts)
		}
		for o, t := range r.owners {
			if t.counts[running] > 2 || t.counts[queued] > 3 {
				over <- fmt.Sprint(o, ": ", t.counts)
			}
		}
	}
	const clients, burst = 16, 3
	gate := make(chan struct{}) // shut until all clients have had their first burst, of which 11 fit
	var first sync.WaitGroup
	first.Add(clients)
	done := make(chan int)
	for c := range clients {
		go func() {
			refused := 0
			for round := range 100 {
				var handles []*Handle
				for range burst {
					h, err := r.Start(context.Background(), Spec{Owner: owner(c % 4), Operation: "x", Run: func(context.Context, *Run) (json.RawMessage, error) {
						<-gate
						watch()
						return nil, nil
					}})
					if err != nil {
						refused++
						continue
					}
					handles = append(handles, h)
					watch()
				}
				if round == 0 {
					first.Done()
					<-gate
				}
				for _, h := range handles {
					h.Inline(context.Background(), time.Millisecond)
					h.Abandon()
				}
			}
			done <- refused
		}()
	}
	first.Wait()
	if st := r.Stats(); st.Refused != clients*burst-11 {
		t.Errorf("%d refused of %d while nothing ends, want all but 11", st.Refused, clients*burst)
	}
	close(gate)
	refused := 0
	for range clients {
		refused += <-done
	}
	select {
	case what := <-over:
		t.Errorf("over a bound: %s", what)
	default:
	}
	if st := r.Stats(); int(st.Refused) != refused {
		t.Errorf("%d refused, counted %d", refused, st.Refused)
	}
	for _, e := range slices.Collect(func(yield func(*entry) bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for e := range r.live {
			if !yield(e) {
				return
			}
		}
	}) {
		<-e.exited
	}
	if st := r.Stats(); len(stored(t, store)) != 0 || st.Owners != 0 {
		t.Errorf("left are %v, %+v", stored(t, store), st)
	}
	checkInvariants(t, r)
}
