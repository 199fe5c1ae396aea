package middleware

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestClientAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:a::/48")}
	const proxy, stranger = "10.0.0.2:1234", "198.51.100.9:99"
	many := strings.TrimSuffix(strings.Repeat("10.1.1.1,", 40), ",")
	for _, tt := range []struct {
		name, peer, header string
		forwarded, xff     []string
		want               string
	}{
		{"no proxy", stranger, "", nil, nil, "198.51.100.9"},
		{"a stranger lies", stranger, "", []string{"for=203.0.113.7"}, []string{"203.0.113.7"}, "198.51.100.9"},
		{"a proxy is silent", proxy, "", nil, nil, "10.0.0.2"},
		{"one hop", proxy, "", nil, []string{"203.0.113.7"}, "203.0.113.7"},
		{"one hop, RFC 7239", proxy, "", []string{"for=203.0.113.7;proto=https;by=10.0.0.2"}, nil, "203.0.113.7"},
		{"a lie to the left", proxy, "", nil, []string{"192.0.2.66, 203.0.113.7"}, "203.0.113.7"},
		{"a lie to the left, RFC 7239", proxy, "", []string{"for=192.0.2.66", "for=203.0.113.7"}, nil, "203.0.113.7"},
		{"two proxies", proxy, "", nil, []string{"192.0.2.66, 203.0.113.7, 10.9.9.9"}, "203.0.113.7"},
		{"two lines", proxy, "", nil, []string{"192.0.2.66", "203.0.113.7", "10.9.9.9"}, "203.0.113.7"},
		{"only proxies", proxy, "", nil, []string{"10.3.3.3, 10.9.9.9"}, "10.3.3.3"},
		{"IPv6 with a port", proxy, "", []string{`For="[2001:db8::7]:4711"`}, nil, "2001:db8::7"},
		{"IPv6 proxies", "[2001:db8:a::1]:9", "", nil, []string{"2001:db8::7, 2001:db8:a::2"}, "2001:db8::7"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.2]:9", "", nil, []string{"::ffff:203.0.113.7"}, "203.0.113.7"},
		{"nothing to read", proxy, "", nil, []string{"203.0.113.7, unknown"}, "10.0.0.2"},
		{"hidden", proxy, "", []string{"for=203.0.113.7, for=_hidden"}, nil, "10.0.0.2"},
		{"hidden behind a proxy", proxy, "", []string{"for=_hidden, for=10.4.4.4"}, nil, "10.4.4.4"},
		{"an element without for", proxy, "", []string{"for=203.0.113.7, proto=http"}, nil, "10.0.0.2"},
		{"an open quote", proxy, "", []string{`for="203.0.113.7, for=10.1.1.1`}, nil, "10.0.0.2"},
		{"a comma in quotes", proxy, "", []string{`host="a,for=192.0.2.66";for=203.0.113.7`}, nil, "203.0.113.7"},
		{"for twice", proxy, "", []string{"for=192.0.2.66;for=203.0.113.7"}, nil, "10.0.0.2"},
		{"both agree", proxy, "", []string{"for=203.0.113.7"}, []string{"203.0.113.7"}, "203.0.113.7"},
		{"both differ", proxy, "", []string{"for=192.0.2.66"}, []string{"203.0.113.7"}, "10.0.0.2"},
		{"both differ, one is chosen", proxy, ForwardedFor, []string{"for=192.0.2.66"}, []string{"203.0.113.7"}, "203.0.113.7"},
		{"both differ, the other is chosen", proxy, Forwarded, []string{"for=203.0.113.7"}, []string{"192.0.2.66"}, "203.0.113.7"},
		{"the wrong one", proxy, Forwarded, nil, []string{"192.0.2.66"}, "10.0.0.2"},
		{"more hops than there can be", proxy, "", nil, []string{"192.0.2.66," + many}, "10.1.1.1"},
		{"no network", StdioAddr, "", nil, []string{"192.0.2.66"}, StdioAddr},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = tt.peer
		r.Header["Forwarded"], r.Header["X-Forwarded-For"] = tt.forwarded, tt.xff
		if got := (Addresses{Trusted: trusted, Header: tt.header}).Of(r); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if got := (Addresses{}).Of(r); tt.peer != StdioAddr && got != mustAddress(t, tt.peer).String() {
			t.Errorf("%s: without proxies %s", tt.name, got)
		}
	}
}

func mustAddress(t *testing.T, peer string) netip.Addr {
	t.Helper()
	addr, ok := addressOf(peer)
	if !ok {
		t.Fatalf("%q is no address", peer)
	}
	return addr
}

// FuzzForwarded checks that a client's address is always an address, that only a
// trusted proxy can say another one than its own, and that nothing which stands
// left of the element that a proxy added can change the answer.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{
		"203.0.113.7", "203.0.113.7, 10.0.0.1", "10.0.0.1", "evil, 203.0.113.7", "[2001:db8::1]:80", "::ffff:10.0.0.1", ",,,", "unknown", "203.0.113.7%eth0", "",
		`for=203.0.113.7`, `for="[2001:db8::1]:80";proto=https, for=10.0.0.1`, `for="a\"b"`, `for=_x;by=y`, `;;;`, `for`, `for="`,
	} {
		f.Add(s, s, "10.0.0.2:1234")
		f.Add("", s, "198.51.100.9:1")
	}
	a := Addresses{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	f.Fuzz(func(t *testing.T, first, second, peer string) {
		host, _, err := net.SplitHostPort(peer)
		if err != nil {
			return
		}
		own, err := netip.ParseAddr(host)
		if err != nil {
			return // net/http writes addresses only
		}
		own = own.Unmap().WithZone("")
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = peer
		for _, header := range []string{"X-Forwarded-For", "Forwarded"} {
			r.Header = http.Header{header: {first, second}}
			got := a.Of(r)
			says, err := netip.ParseAddr(got)
			if err != nil {
				t.Fatalf("%s: %q, %q from %s gives %q, no address", header, first, second, peer, got)
			}
			if !a.trusts(own) && says != own {
				t.Fatalf("%s, no proxy of ours, says that it is %s", peer, got)
			}
		}
		r.RemoteAddr = "10.0.0.2:1"
		r.Header = http.Header{"X-Forwarded-For": {first, second + ", 203.0.113.7"}}
		if got := a.Of(r); got != "203.0.113.7" {
			t.Fatalf("the proxy saw 203.0.113.7; %q, %q make it %s", first, second, got)
		}
		r.Header = http.Header{"Forwarded": {first, second, "for=203.0.113.7"}}
		if got := a.Of(r); got != "203.0.113.7" && got != "10.0.0.2" {
			t.Fatalf("the proxy saw 203.0.113.7; %q, %q make it %s", first, second, got)
		}
	})
}
