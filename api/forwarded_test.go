package api

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	chimw "github.com/go-chi/chi/v5/middleware"
)

// FuzzForwarded checks that a client's address is always an address, and that only
// a trusted proxy can say another one than its own.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"203.0.113.7", "203.0.113.7, 10.0.0.1", "10.0.0.1", "evil, 203.0.113.7", "[2001:db8::1]:80", "::ffff:10.0.0.1", ",,,", "unknown", "203.0.113.7%eth0", ""} {
		f.Add(s, s, "10.0.0.2:1234")
		f.Add("", s, "198.51.100.9:1")
	}
	trusted := netip.MustParsePrefix("10.0.0.0/8")
	proxies := chimw.ClientIPFromXFF(trusted.String())
	f.Fuzz(func(t *testing.T, first, second, peer string) {
		host, _, err := net.SplitHostPort(peer)
		if err != nil {
			return
		}
		own, err := netip.ParseAddr(host)
		if err != nil {
			return // net/http writes addresses only
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = peer
		r.Header["X-Forwarded-For"] = []string{first, second}
		var got string
		proxies(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = remote(r) })).ServeHTTP(httptest.NewRecorder(), r)
		says, err := netip.ParseAddr(got)
		if own = own.Unmap().WithZone(""); err == nil && !trusted.Contains(own) && says.Unmap().WithZone("") != own {
			t.Fatalf("%s, no proxy of ours, says that it is %s", peer, got)
		}
		if err != nil {
			t.Fatalf("%q, %q from %s gives %q, no address", first, second, peer, got)
		}
	})
}
