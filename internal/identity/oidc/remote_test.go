package oidc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/identity/oidc"
)

var errDown = errors.New("connection refused")

// outage checks that err says "try again", and returns after how long.
func outage(t *testing.T, err error) time.Duration {
	t.Helper()
	f := fault.From(err)
	if f.Kind != fault.Unavailable || f.RetryAfter <= 0 {
		t.Errorf("got %v (%v, retry after %s), want Unavailable with a time", err, f.Kind, f.RetryAfter)
	}
	return f.RetryAfter
}

// inBubble runs f in a bubble with a network that serves these keys.
func inBubble(t *testing.T, f func(t *testing.T, n *network), signers ...func() signer) {
	t.Helper()
	for _, s := range append(allSigners, signStranger, signRotated) {
		s() // keys are made outside of bubbles
	}
	n := newNetwork(signers...)
	synctest.Test(t, func(t *testing.T) { f(t, n) })
}

func TestRandomKeyIDsDoNotCauseFetches(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		v := newVerifier(t, n, nil)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 2500 {
					token := signES().token(fields{"kid": fmt.Sprint("random-", g, "-", i)}, nil)
					if got := reason(t.Context(), v, token); got != "unknown_key" {
						t.Errorf("reason %q, want unknown_key", got)
						return
					}
				}
			})
		}
		wg.Wait()
		if got := n.count(jwksURL); got > 2 {
			t.Errorf("10,000 unknown keys caused %d fetches, want at most 2", got)
		}

		// Over time: one fetch in each cooldown, whatever comes.
		before := n.count(jwksURL)
		for i := range 300 {
			time.Sleep(time.Second)
			reason(t.Context(), v, signES().token(fields{"kid": fmt.Sprint("later-", i)}, nil))
		}
		if got := n.count(jwksURL) - before; got < 9 || got > 10 {
			t.Errorf("300 s of unknown keys caused %d fetches, want one in 30 s", got)
		}
	}, signES)
}

func TestForgedSignaturesDoNotCauseFetches(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		v := newVerifier(t, n, nil)
		if got := reason(t.Context(), v, signES().token(nil, nil)); got != "" {
			t.Fatal(got)
		}
		for i := range 100 {
			time.Sleep(time.Second) // beyond the cooldown
			if got := reason(t.Context(), v, signStranger().token(nil, fields{"jti": fmt.Sprint(i)})); got != "bad_signature" {
				t.Fatalf("reason %q, want bad_signature", got)
			}
		}
		if got := n.count(jwksURL); got != 1 {
			t.Errorf("%d fetches, want 1", got)
		}
	}, signES)
}

func TestTokensForOthersDoNotCauseFetches(t *testing.T) {
	n := newNetwork(signES)
	v := newVerifier(t, n, nil)
	for name, claims := range map[string]fields{
		"unknown issuer": {"iss": "https://evil.example"},
		"wrong audience": {"aud": "https://other.example"},
		"expired":        {"exp": time.Now().Unix() - 600},
	} {
		if got := reason(t.Context(), v, signES().token(nil, claims)); got == "" {
			t.Errorf("%s: accepted", name)
		}
	}
	if got := n.count(jwksURL); got != 0 {
		t.Errorf("%d fetches, want none", got)
	}
}

func TestRotationWithoutRestart(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		v := newVerifier(t, n, nil)
		if got := reason(t.Context(), v, signES().token(nil, nil)); got != "" {
			t.Fatal(got)
		}
		// The new key is published beside the old one and used at once.
		n.set(jwksURL, page{body: jwks(signES, signRotated)})
		time.Sleep(31 * time.Second)
		if got := reason(t.Context(), v, signRotated().token(nil, nil)); got != "" {
			t.Errorf("new key after the cooldown: %s", got)
		}
		if got := reason(t.Context(), v, signES().token(nil, nil)); got != "" {
			t.Errorf("old key: %s", got)
		}
		// The old key is withdrawn: gone with the next refresh.
		n.set(jwksURL, page{body: jwks(signRotated)})
		time.Sleep(5 * time.Minute)
		if got := reason(t.Context(), v, signES().token(nil, nil)); got != "" {
			t.Errorf("the token that starts the refresh is verified with the keys at hand: %s", got)
		}
		synctest.Wait()
		if got := reason(t.Context(), v, signES().token(nil, nil)); got != "unknown_key" {
			t.Errorf("withdrawn key: reason %q, want unknown_key", got)
		}
		if got := n.count(jwksURL); got != 3 {
			t.Errorf("%d fetches, want 3", got)
		}
	}, signES)
}

func TestIssuerDown(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		v := newVerifier(t, n, func(c *oidc.Config) { c.StaleFor = 20 * time.Minute })
		verify := func() string { return reason(t.Context(), v, signES().token(nil, nil)) }
		if got := verify(); got != "" {
			t.Fatal(got)
		}
		n.breakWith(errDown)
		for range 24 { // 5 min fresh and 20 min stale, in steps of a minute
			time.Sleep(time.Minute)
			if got := verify(); got != "" {
				t.Fatalf("keys at hand refused during the outage: %s", got)
			}
			synctest.Wait()
		}
		// A key that might be new cannot be judged: that is not the token's fault.
		time.Sleep(30 * time.Second)
		_, err := v.Verify(t.Context(), signRotated().token(nil, nil))
		outage(t, err)
		if !errors.Is(err, errDown) {
			t.Errorf("the log is not told the cause: %v", err)
		}
		if got := verify(); got != "" {
			t.Errorf("after 24.5 min: %s", got)
		}
		// Beyond the stale window nothing can be judged.
		time.Sleep(31 * time.Second)
		_, err = v.Verify(t.Context(), signES().token(nil, nil))
		outage(t, err)

		// The issuer comes back: no restart needed.
		n.breakWith(nil)
		time.Sleep(30 * time.Second)
		if got := verify(); got != "" {
			t.Errorf("after the outage: %s", got)
		}
	}, signES)
}

func TestIssuerDownFromTheStart(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.breakWith(errDown)
		v := newVerifier(t, n, nil)
		for i := range 1000 {
			_, err := v.Verify(t.Context(), signES().token(nil, fields{"jti": fmt.Sprint(i)}))
			if after := outage(t, err); after > 30*time.Second {
				t.Fatalf("retry after %s", after)
			}
		}
		if got := n.count(jwksURL); got != 1 {
			t.Errorf("%d fetches within no time, want 1", got)
		}
		// 1+2+4+8+16 s, then every 30 s.
		for range 600 {
			time.Sleep(time.Second)
			_, err := v.Verify(t.Context(), signES().token(nil, nil))
			outage(t, err)
		}
		if got := n.count(jwksURL); got < 20 || got > 26 {
			t.Errorf("%d fetches in 10 min of outage, want about 24", got)
		}
		n.breakWith(nil)
		time.Sleep(30 * time.Second)
		if got := reason(t.Context(), v, signES().token(nil, nil)); got != "" {
			t.Errorf("after the outage: %s", got)
		}
	}, signES)
}

func TestAnOutageIsNotRemembered(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.breakWith(errDown)
		cached, err := identity.NewCached(newVerifier(t, n, nil), identity.CacheConfig{})
		if err != nil {
			t.Fatal(err)
		}
		token := signES().token(nil, nil)
		_, err = cached.Verify(t.Context(), token)
		time.Sleep(outage(t, err))
		n.breakWith(nil)
		if _, err := cached.Verify(t.Context(), token); err != nil {
			t.Errorf("after the outage: %v", err)
		}
	}, signES)
}

func TestConcurrentFirstTokensShareOneFetch(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.hold = make(chan struct{})
		v := newVerifier(t, n, nil)
		impatient, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := v.Verify(impatient, signES().token(nil, nil)); !errors.Is(err, context.Canceled) {
				t.Errorf("the one who left got %v", err)
			}
		})
		synctest.Wait()
		for range 50 {
			wg.Go(func() {
				if got := reason(t.Context(), v, signES().token(nil, nil)); got != "" {
					t.Error(got)
				}
			})
		}
		synctest.Wait()
		cancel() // it started the fetch; the others need it
		synctest.Wait()
		close(n.hold)
		wg.Wait()
		if got := n.count(jwksURL); got != 1 {
			t.Errorf("%d fetches, want 1", got)
		}
	}, signES)
}

func TestStaleKeysDoNotWaitForASlowIssuer(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		v := newVerifier(t, n, nil)
		if got := reason(t.Context(), v, signES().token(nil, nil)); got != "" {
			t.Fatal(got)
		}
		n.mu.Lock()
		n.hold = make(chan struct{}) // it accepts connections and says nothing
		n.mu.Unlock()
		time.Sleep(6 * time.Minute)
		start := time.Now()
		token := signES().token(nil, nil)
		for range 10 {
			if got := reason(t.Context(), v, token); got != "" {
				t.Fatal(got)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("tokens waited %s for the refresh", took)
		}
		// A token that needs the fetch waits for its time-out and no longer.
		_, err := v.Verify(t.Context(), signRotated().token(nil, nil))
		outage(t, err)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("the unknown key waited %s, want the time-out, 5 s", took)
		}
	}, signES)
}

func TestCloseEndsAFetch(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.hold = make(chan struct{}) // never closed
		v := newVerifier(t, n, func(c *oidc.Config) { c.FetchTimeout = time.Hour })
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := v.Verify(t.Context(), signES().token(nil, nil))
			outage(t, err)
		})
		synctest.Wait()
		start := time.Now()
		if err := v.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if took := time.Since(start); took != 0 {
			t.Errorf("Close took %s", took)
		}
		_, err := v.Verify(t.Context(), signES().token(nil, nil))
		outage(t, err)
		if got := n.count(jwksURL); got != 1 {
			t.Errorf("%d fetches, want none after Close", got)
		}
	}, signES)
}

func TestCacheControl(t *testing.T) {
	for control, fresh := range map[string]time.Duration{
		"":                                5 * time.Minute,
		"max-age=1":                       5 * time.Minute,
		"public, Max-Age=3600":            time.Hour,
		`max-age="3600", must-revalidate`: time.Hour,
		"max-age=999999999":               24 * time.Hour,
		"max-age=3600, no-cache":          5 * time.Minute,
		"no-store":                        5 * time.Minute,
		"max-age=-5":                      5 * time.Minute,
		"max-age=99999999999999999999":    5 * time.Minute,
	} {
		t.Run(control, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *network) {
				n.set(jwksURL, page{body: jwks(signES), header: http.Header{"Cache-Control": {control}}})
				v := newVerifier(t, n, nil)
				verify := func(fetches int) {
					t.Helper()
					if got := reason(t.Context(), v, signES().token(nil, nil)); got != "" {
						t.Fatal(got)
					}
					synctest.Wait()
					if got := n.count(jwksURL); got != fetches {
						t.Fatalf("%d fetches, want %d", got, fetches)
					}
				}
				verify(1)
				time.Sleep(fresh - time.Millisecond)
				verify(1)
				time.Sleep(time.Millisecond)
				verify(2)
			}, signES)
		})
	}
}

func TestABadSetDoesNotReplaceAGoodOne(t *testing.T) {
	private := `{"keys":[{"kty":"EC","crv":"P-256","kid":"es","x":"AA","y":"AA","d":"AA"}]}`
	for name, p := range map[string]page{
		"empty set":    {body: `{"keys":[]}`},
		"not JSON":     {body: "<html>"},
		"no keys":      {body: "{}"},
		"private keys": {body: private},
		"status 500":   {status: 500, body: jwks(signRotated)},
		"too large":    {body: `{"pad":"` + strings.Repeat("x", 512<<10) + `","keys":[]}`},
		"101 keys":     {body: `{"keys":[` + strings.Repeat("{},", 100) + `{}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *network) {
				v := newVerifier(t, n, nil)
				verify := func() string { return reason(t.Context(), v, signES().token(nil, nil)) }
				if got := verify(); got != "" {
					t.Fatal(got)
				}
				n.set(jwksURL, p)
				time.Sleep(10 * time.Minute)
				verify()
				synctest.Wait()
				if got := n.count(jwksURL); got != 2 {
					t.Errorf("%d fetches, want 2", got)
				}
				if got := verify(); got != "" {
					t.Errorf("after a refresh with %s: %s", name, got)
				}
			}, signES)
		})
	}
}
