package identity_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func keyOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// judge is a verifier whose answer depends on the token's first word.
type judge struct{ calls atomic.Int64 }

func (j *judge) Verify(ctx context.Context, token string) (*identity.Principal, error) {
	j.calls.Add(1)
	word, rest, _ := strings.Cut(token, " ")
	switch word {
	case "good":
		p := &identity.Principal{Subject: rest, TokenKey: identity.TokenKey(ctx, token)}
		if d, err := time.ParseDuration(rest); err == nil {
			p.Expires = time.Now().Add(d)
		}
		return p, nil
	case "bare": // knows nothing of TokenKey
		return &identity.Principal{Subject: rest}, nil
	case "bad":
		return nil, identity.Refuse("bad_signature", nil)
	case "outage":
		return nil, fault.Newf(fault.Unavailable, "the keys cannot be had")
	case "nothing":
		return nil, nil
	}
	return nil, errors.New("broken")
}

func newCached(t *testing.T, inner identity.Verifier, c identity.CacheConfig) *identity.Cached {
	t.Helper()
	cached, err := identity.NewCached(inner, c)
	if err != nil {
		t.Fatal(err)
	}
	return cached
}

func TestCachedLifetimes(t *testing.T) {
	tests := map[string]struct {
		token string
		wait  time.Duration
		calls int64 // of two presentations, wait apart
	}{
		"good within its age":         {"good alice", 59 * time.Second, 1},
		"good after its age":          {"good alice", 60 * time.Second, 2},
		"good until it expires":       {"good 20s", 19 * time.Second, 1},
		"good after it expired":       {"good 20s", 20 * time.Second, 2},
		"expired on arrival":          {"good -1s", 0, 2},
		"refusal within its age":      {"bad", 9 * time.Second, 1},
		"refusal after its age":       {"bad", 10 * time.Second, 2},
		"an outage is not kept":       {"outage", 0, 2},
		"an internal error neither":   {"broken", 0, 2},
		"nor an answer without sense": {"nothing", 0, 2},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := &judge{}
				c := newCached(t, j, identity.CacheConfig{})
				p1, err1 := c.Verify(t.Context(), tc.token)
				time.Sleep(tc.wait)
				p2, err2 := c.Verify(t.Context(), tc.token)
				if got := j.calls.Load(); got != tc.calls {
					t.Errorf("verified %d times, want %d", got, tc.calls)
				}
				if fault.KindOf(err1) != fault.KindOf(err2) || (err1 == nil) != (err2 == nil) {
					t.Errorf("answers differ: %v, then %v", err1, err2)
				}
				if err1 == nil && (p1.TokenKey != keyOf(tc.token) || p2.TokenKey != p1.TokenKey) {
					t.Errorf("token keys %q and %q, want %q", p1.TokenKey, p2.TokenKey, keyOf(tc.token))
				}
				if err1 == nil && tc.calls == 1 && p1 != p2 {
					t.Error("a hit returned another principal")
				}
			})
		})
	}
}

func TestCachedFillsTokenKey(t *testing.T) {
	c := newCached(t, &judge{}, identity.CacheConfig{})
	p, err := c.Verify(t.Context(), "bare bob")
	if err != nil || p.TokenKey != keyOf("bare bob") || p.Subject != "bob" {
		t.Errorf("Verify = %+v, %v", p, err)
	}
	long := "good " + strings.Repeat("x", 5000)
	if p, err := c.Verify(t.Context(), long); err != nil || p.TokenKey != keyOf(long) {
		t.Errorf("a long token: %v", err)
	}
	if got := identity.TokenKey(t.Context(), "loose"); got != keyOf("loose") {
		t.Errorf("TokenKey outside of a cache = %q", got)
	}
}

func TestCachedForgetAndPurge(t *testing.T) {
	j := &judge{}
	c := newCached(t, j, identity.CacheConfig{})
	verify := func(token string) {
		t.Helper()
		if _, err := c.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	verify("good alice")
	verify("good bob")
	c.Forget("not hex")
	c.Forget(strings.Repeat("ab", 33))
	c.Forget(keyOf("good alice"))
	verify("good bob")
	if got := j.calls.Load(); got != 2 {
		t.Fatalf("verified %d times before the forgotten token came back, want 2", got)
	}
	verify("good alice")
	if got := j.calls.Load(); got != 3 {
		t.Fatalf("verified %d times after Forget, want 3", got)
	}
	c.Purge()
	if p, r := c.Len(); p != 0 || r != 0 {
		t.Fatalf("after Purge: %d principals, %d refusals", p, r)
	}
	verify("good alice")
	if got := j.calls.Load(); got != 4 {
		t.Errorf("verified %d times after Purge, want 4", got)
	}
}

// gate is a verifier that answers when it is let go.
type gate struct {
	entered chan struct{}
	release chan error
	calls   atomic.Int64
}

func newGate() *gate { return &gate{entered: make(chan struct{}), release: make(chan error)} }

func (g *gate) Verify(ctx context.Context, token string) (*identity.Principal, error) {
	g.calls.Add(1)
	select {
	case g.entered <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case err := <-g.release:
		return &identity.Principal{Subject: "alice"}, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestCachedSharesAVerification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		c := newCached(t, g, identity.CacheConfig{})
		var wg sync.WaitGroup
		var got sync.Map
		for i := range 100 {
			wg.Go(func() {
				p, err := c.Verify(t.Context(), "token")
				if err != nil {
					t.Error(err)
				}
				got.Store(i, p)
			})
		}
		<-g.entered
		synctest.Wait() // the others are waiting
		g.release <- nil
		wg.Wait()
		if n := g.calls.Load(); n != 1 {
			t.Errorf("verified %d times, want once", n)
		}
		first, _ := got.Load(0)
		got.Range(func(i, p any) bool {
			if p != first {
				t.Errorf("caller %v got another principal", i)
			}
			return true
		})
	})
}

func TestCachedCancelOfOneIsNotFeltByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		c := newCached(t, g, identity.CacheConfig{})
		leader, cancelLeader := context.WithCancel(t.Context())
		waiter, cancelWaiter := context.WithCancel(t.Context())
		answers := make(chan error, 4)
		verify := func(ctx context.Context) {
			_, err := c.Verify(ctx, "token")
			answers <- err
		}
		var wg sync.WaitGroup
		wg.Go(func() { verify(leader) })
		<-g.entered
		wg.Go(func() { verify(waiter) })
		wg.Go(func() { verify(t.Context()) })
		wg.Go(func() { verify(t.Context()) })
		synctest.Wait()

		cancelWaiter()
		if err := <-answers; !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled waiter got %v", err)
		}
		cancelLeader()
		if err := <-answers; !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled leader got %v", err)
		}
		<-g.entered // one of the others leads now
		g.release <- nil
		for range 2 {
			if err := <-answers; err != nil {
				t.Errorf("a bystander got %v", err)
			}
		}
		wg.Wait()
		if n := g.calls.Load(); n != 2 {
			t.Errorf("verified %d times, want 2", n)
		}
	})
}

func TestCachedForgetBeatsARunningVerification(t *testing.T) {
	for name, forget := range map[string]func(*identity.Cached){
		"forget": func(c *identity.Cached) { c.Forget(keyOf("token")) },
		"purge":  (*identity.Cached).Purge,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate()
				c := newCached(t, g, identity.CacheConfig{})
				var wg sync.WaitGroup
				verify := func() {
					if _, err := c.Verify(t.Context(), "token"); err != nil {
						t.Error(err)
					}
				}
				wg.Go(verify)
				<-g.entered
				forget(c)
				wg.Go(verify) // must not join the verification that began before
				<-g.entered
				g.release <- nil
				synctest.Wait()
				if p, _ := c.Len(); p > 1 {
					t.Errorf("%d principals kept", p)
				}
				g.release <- nil
				wg.Wait()
				if p, _ := c.Len(); p != 1 {
					t.Errorf("%d principals kept, want the one that was verified last", p)
				}
				if n := g.calls.Load(); n != 2 {
					t.Errorf("verified %d times, want 2", n)
				}
			})
		})
	}
}

func TestCachedSurvivesAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		entered, release := make(chan struct{}), make(chan struct{})
		c := newCached(t, identity.VerifierFunc(func(context.Context, string) (*identity.Principal, error) {
			if calls.Add(1) == 1 {
				close(entered)
				<-release
				panic("bad day")
			}
			return &identity.Principal{Subject: "alice"}, nil
		}), identity.CacheConfig{})
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic did not reach its caller")
				}
			}()
			_, _ = c.Verify(t.Context(), "token")
		})
		<-entered
		wg.Go(func() {
			if _, err := c.Verify(t.Context(), "token"); err != nil {
				t.Errorf("the waiter got %v", err)
			}
		})
		synctest.Wait()
		close(release)
		wg.Wait()
	})
}

func TestCachedIsBoundedAndKeepsGoodApartFromBad(t *testing.T) {
	j := &judge{}
	c := newCached(t, j, identity.CacheConfig{Size: 640})
	if _, err := c.Verify(t.Context(), "good alice"); err != nil {
		t.Fatal(err)
	}
	for i := range 5000 {
		if _, err := c.Verify(t.Context(), fmt.Sprint("bad ", i)); fault.KindOf(err) != fault.Unauthenticated {
			t.Fatal(err)
		}
	}
	if p, r := c.Len(); p != 1 || r != 160 {
		t.Errorf("kept %d principals and %d refusals, want 1 and 160", p, r)
	}
	before := j.calls.Load()
	if _, err := c.Verify(t.Context(), "good alice"); err != nil || j.calls.Load() != before {
		t.Errorf("a flood of bad tokens evicted a good one (err %v)", err)
	}
	for i := range 5000 {
		if _, err := c.Verify(t.Context(), fmt.Sprint("good ", i)); err != nil {
			t.Fatal(err)
		}
	}
	if p, _ := c.Len(); p != 640 {
		t.Errorf("kept %d principals, want 640", p)
	}
}

func TestCachedParallel(t *testing.T) {
	c := newCached(t, &judge{}, identity.CacheConfig{Size: 64})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				token := fmt.Sprint("good u", (g+i)%100)
				p, err := c.Verify(t.Context(), token)
				if err != nil || p.TokenKey != keyOf(token) || "good "+p.Subject != token {
					t.Errorf("%q: %+v, %v", token, p, err)
					return
				}
				switch i % 50 {
				case 7:
					c.Forget(p.TokenKey)
				case 13:
					c.Purge()
				}
			}
		})
	}
	wg.Wait()
}

func TestCachedHitIsCheap(t *testing.T) {
	c := newCached(t, &judge{}, identity.CacheConfig{})
	token := "good " + strings.Repeat("x", 595)
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := c.Verify(t.Context(), token); err != nil {
			t.Error(err)
		}
	})
	if allocs > 1 {
		t.Errorf("a hit allocates %v times, want at most once", allocs)
	}
}

func TestCacheConfig(t *testing.T) {
	for name, c := range map[string]identity.CacheConfig{
		"too small":             {Size: 63},
		"negative":              {Size: -1},
		"age too long":          {Age: time.Hour + 1},
		"negative age":          {Age: -1},
		"refusals kept longer":  {Age: time.Second, RefusedAge: 2 * time.Second},
		"negative refusal age ": {RefusedAge: -1},
	} {
		if _, err := identity.NewCached(&judge{}, c); err == nil {
			t.Errorf("%s: NewCached accepted %+v", name, c)
		}
	}
	if _, err := identity.NewCached(&judge{}, identity.CacheConfig{Age: time.Second}); err != nil {
		t.Errorf("a short age: %v", err)
	}
}

func BenchmarkCachedHit(b *testing.B) {
	c, err := identity.NewCached(&judge{}, identity.CacheConfig{})
	if err != nil {
		b.Fatal(err)
	}
	token := "good " + strings.Repeat("x", 595)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Verify(ctx, token); err != nil {
			b.Fatal(err)
		}
	}
}
