package middleware

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/identity"
)

func TestRateIsExactUnderConcurrency(t *testing.T) {
	const callers, limit = 512, 100
	for name, m := range map[string]Middleware{"address": RateByAddress(limit, time.Hour), "token": RateByToken(limit, time.Hour)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // one window, whatever the clock of the machine says
				as := asPrincipal(&identity.Principal{TokenKey: "k"})
				var in, refused atomic.Int64
				h := as(m(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { in.Add(1) })))
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						if w := serve(h.ServeHTTP, request("POST", "/mcp")); w.Code == 429 {
							refused.Add(1)
						}
					})
				}
				wg.Wait()
				if in.Load() != limit || refused.Load() != callers-limit {
					t.Errorf("%d in, %d refused; want %d and %d", in.Load(), refused.Load(), limit, callers-limit)
				}
			})
		})
	}
}

func TestRateHeaders(t *testing.T) {
	m := RateByAddress(1, 30*time.Second)
	synctest.Test(t, func(t *testing.T) {
		if w := serve(ok, request("POST", "/mcp"), m); w.Code != 200 || w.Header().Get("RateLimit") != "" {
			t.Errorf("first: %d %v", w.Code, w.Header())
		}
		w := serve(ok, request("POST", "/mcp"), m)
		h := w.Header()
		if w.Code != 429 || h.Get("RateLimit-Policy") != `"address";q=1;w=30` || h.Get("RateLimit") != `"address";r=0;t=30` {
			t.Errorf("second: %d %v", w.Code, h)
		}
		if s, err := strconv.Atoi(h.Get("Retry-After")); err != nil || s < 30 || s > 45 {
			t.Errorf("Retry-After %q, want 30 to 45", h.Get("Retry-After"))
		}
		if !strings.Contains(w.Body.String(), `"code":"address_rate_limited"`) {
			t.Errorf("body %s", w.Body)
		}
		time.Sleep(time.Minute) // two windows on
		if w := serve(ok, request("POST", "/mcp"), m); w.Code != 200 {
			t.Errorf("after the window: %d, want 200", w.Code)
		}
	})
}

func TestRateKeysAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		byAddress, byToken := RateByAddress(1, time.Hour), RateByToken(1, time.Hour)
		host := func(r *http.Request) string { h, _, _ := net.SplitHostPort(r.RemoteAddr); return h }
		from := func(addr string) int {
			r := request("POST", "/mcp")
			r.RemoteAddr = addr
			return serve(ok, r, RequestID(host), byAddress).Code
		}
		for _, c := range []struct {
			addr string
			want int
		}{
			{"192.0.2.1:1000", 200},
			{"192.0.2.1:2000", 429},
			{"192.0.2.2:1000", 200},
			// One caller has a whole /64 of IPv6.
			{"[2001:db8:1:2::1]:1", 200},
			{"[2001:db8:1:2::ffff]:1", 429},
			{"[2001:db8:1:3::1]:1", 200},
		} {
			if got := from(c.addr); got != c.want {
				t.Errorf("%s: %d, want %d", c.addr, got, c.want)
			}
		}
		for _, c := range []struct {
			key  string
			want int
		}{{"a", 200}, {"a", 429}, {"b", 200}, {"", 200}, {"", 200}} {
			if got := serve(ok, request("POST", "/mcp"), asPrincipal(&identity.Principal{TokenKey: c.key}), byToken).Code; got != c.want {
				t.Errorf("token %q: %d, want %d", c.key, got, c.want)
			}
		}
		if got := serve(ok, request("POST", "/mcp"), byToken).Code; got != 200 {
			t.Errorf("nobody: %d, want 200: there is no token to count", got)
		}
	})
}

func TestRateExempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limited := Chain(RateByAddress(1, time.Hour), asPrincipal(&identity.Principal{TokenKey: "k"}), RateByToken(1, time.Hour))
		off := Chain(RateByAddress(0, time.Hour), asPrincipal(&identity.Principal{TokenKey: "k"}), RateByToken(0, time.Hour))
		for range 5 {
			r := request("POST", "/mcp")
			r.RemoteAddr = StdioAddr
			if w := serve(ok, r, limited); w.Code != 200 {
				t.Fatalf("the stdio host got %d", w.Code)
			}
			if w := serve(ok, request("POST", "/mcp"), off); w.Code != 200 {
				t.Fatalf("without a limit: %d", w.Code)
			}
		}
	})
}
