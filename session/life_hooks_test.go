package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// told collects what OnOpen and OnEnd say.
type told struct {
	mu      sync.Mutex
	lines   []string
	ends    map[ID]int
	refuses error
}

func (l *told) hook(cfg Config) Config {
	l.ends = map[ID]int{}
	cfg.OnOpen = func(_ context.Context, o Opening) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.refuses == nil {
			l.lines = append(l.lines, "opened "+o.Owner.Subject)
		}
		return l.refuses
	}
	cfg.OnEnd = func(e Ending) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ends[e.ID]++
		l.lines = append(l.lines, fmt.Sprintf("%s %s after %d", e.Reason, e.Owner.Subject, e.Calls))
	}
	return cfg
}

func (l *told) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

func (l *told) want(t *testing.T, what string, lines ...string) {
	t.Helper()
	got := l.take()
	slices.Sort(got)
	slices.Sort(lines)
	if !slices.Equal(got, lines) {
		t.Errorf("%s: told %q, want %q", what, got, lines)
	}
}

// Whoever must not miss a session is told of each opening and of each end, with
// its reason, once.
func TestLifeIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l told
		d := New(l.hook(Config{MaxPerOwner: 2, IdleTTL: time.Minute, MaxTTL: time.Hour}), nil)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		open := func(o Owner) *Handle { return mustOpen(t, d, o, Params{}) }

		a, b := open(alice), open(alice)
		a.Release()
		c := open(alice) // a makes room
		l.want(t, "the cap", "opened alice", "opened alice", "opened alice", "owner_cap alice after 1")
		if err := d.Delete(t.Context(), alice, b.ID()); err != nil {
			t.Fatal(err)
		}
		l.want(t, "deleted while it is used")
		b.Release()
		b.Release()
		l.want(t, "its last user let go", "deleted alice after 1")
		c.Release()
		if err := d.EndRef(t.Context(), c.ID().Ref(), ReasonOperator); err != nil {
			t.Fatal(err)
		}
		l.want(t, "an operator", "operator alice after 1")
		open(bob).Release()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		l.want(t, "time", "opened bob", "idle bob after 1")

		l.refuses = errors.New("not now")
		if _, err := d.Open(t.Context(), bob, Params{}); !errors.Is(err, l.refuses) {
			t.Errorf("open in spite of the hook: %v", err)
		}
		l.refuses = nil
		if n := d.Stats().Sessions; n != 0 {
			t.Errorf("%d sessions after a refused opening", n)
		}
		l.want(t, "a refused opening")
		open(bob).Release()
		stop()
		<-done
		d.Close()
		l.want(t, "closed", "opened bob", "shutdown bob after 1")
		if _, err := d.Open(t.Context(), bob, Params{}); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("open when closed: %v", err)
		}
		l.want(t, "an opening when closed")
	})
}

// Every opening that was told has its one end, whatever happens at the same time.
func TestLifeIsToldOnce(t *testing.T) {
	var l told
	d := New(l.hook(Config{MaxPerOwner: 4, MaxPerTenant: 8, MaxTotal: 8}), nil)
	var wg sync.WaitGroup
	for i, o := range []Owner{alice, bob, carol, dave} {
		wg.Go(func() {
			for n := range 200 {
				h, err := d.Open(t.Context(), o, Params{})
				if err != nil {
					continue // all are in use just now
				}
				if n%3 == i%3 {
					_ = d.Delete(t.Context(), o, h.ID())
				}
				h.Release()
			}
		})
	}
	wg.Wait()
	d.Close()
	opened := 0
	for _, line := range l.take() {
		if line[:6] == "opened" {
			opened++
		}
	}
	if opened == 0 || opened != len(l.ends) {
		t.Errorf("%d sessions opened, %d ended", opened, len(l.ends))
	}
	for id, n := range l.ends {
		if n != 1 {
			t.Errorf("the end of %s was told %d times", id.Ref(), n)
		}
	}
}

// With a store, closing the directory ends nothing. What expired meanwhile, or has
// no room any more, is told by the process that finds it.
func TestLifeIsToldAcrossProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		var l told
		restore := func(cfg Config) *Directory {
			t.Helper()
			d, _, err := Restore(t.Context(), l.hook(cfg), store, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		d := restore(Config{IdleTTL: time.Hour})
		for range 2 {
			mustOpen(t, d, alice, Params{Durable: true}).Release()
			time.Sleep(time.Minute)
		}
		mustOpen(t, d, bob, Params{Durable: true, IdleTTL: 2 * time.Minute}).Release()
		l.want(t, "opened", "opened alice", "opened alice", "opened bob")
		d.Close()
		l.want(t, "closed")
		time.Sleep(5 * time.Minute)
		d = restore(Config{IdleTTL: time.Hour, MaxPerOwner: 1})
		l.want(t, "restored", "owner_cap alice after 1", "idle bob after 1")
		d.Close()
	})
}
