package egress

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPublic(t *testing.T) {
	for addr, want := range map[string]bool{
		"1.1.1.1": true, "8.8.8.8": true, "2606:4700:4700::1111": true,
		"127.0.0.1": false, "127.9.9.9": false, "::1": false, "0.0.0.0": false, "::": false, "0.1.2.3": false,
		"10.0.0.1": false, "172.16.0.1": false, "172.32.0.1": true, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"fe80::1": false, "fc00::1": false, "fd00:ec2::254": false, "fec0::1": false, "ff02::1": false, "224.0.0.1": false, "255.255.255.255": false,
		"192.0.2.1": false, "198.18.0.1": false, "240.0.0.1": false, "64:ff9b::a00:1": false, "2002:a00:1::": false, "2001:db8::1": false, "100::1": false,
	} {
		if got := public(netip.MustParseAddr(addr)); got != want {
			t.Errorf("public(%s) = %v", addr, got)
		}
	}
}

func TestCheck(t *testing.T) {
	p := &policy{
		hosts:    map[string]bool{"127.0.0.1": true, "localhost": true, "id.example": true, "10.1.1.1": true},
		networks: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")},
	}
	for _, tt := range []struct {
		host, ip string
		want     bool
	}{
		{"anything.example", "1.1.1.1", true},
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "::ffff:127.0.0.1", true},
		{"localhost", "::1", true},
		{"LOCALHOST", "127.0.0.1", true},
		{"10.1.1.1", "10.1.1.1", true},
		{"id.example", "10.9.3.4", true},
		{"other.example", "10.9.3.4", true},
		{"id.example", "127.0.0.1", false}, // the name was rebound
		{"id.example", "10.1.1.1", false},
		{"127.0.0.2", "127.0.0.2", false},
		{"localhost.example", "127.0.0.1", false},
		{"localhost", "10.0.0.1", false},
		{"metadata.example", "169.254.169.254", false},
		{"x", "::ffff:10.0.0.1", false},
		{"x", "fe80::1%eth0", false},
	} {
		err := p.check(tt.host, netip.MustParseAddr(tt.ip))
		if (err == nil) != tt.want || err != nil && !errors.Is(err, ErrForbidden) {
			t.Errorf("%s at %s: %v", tt.host, tt.ip, err)
		}
	}
}

func get(t *testing.T, c *http.Client, target string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func TestClient(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "other") }))
	defer other.Close()
	stop := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/within":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/elsewhere":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/long":
			_, _ = io.WriteString(w, strings.Repeat("x", 1001))
		case "/exact":
			_, _ = io.WriteString(w, strings.Repeat("x", 1000))
		case "/slow":
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		default:
			_, _ = io.WriteString(w, "hello")
		}
	}))
	defer s.Close()
	defer close(stop)

	c := New(Config{Configured: []string{s.URL}, MaxBytes: 1000, Timeout: 500 * time.Millisecond})
	defer c.CloseIdleConnections()
	for path, want := range map[string]string{"/": "hello", "/within": "hello", "/exact": strings.Repeat("x", 1000)} {
		if got, err := get(t, c, s.URL+path); got != want || err != nil {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	for _, path := range []string{"/loop", "/elsewhere", "/long", "/slow"} {
		if got, err := get(t, c, s.URL+path); err == nil {
			t.Errorf("%s: %q", path, got)
		}
	}
	if _, err := get(t, c, s.URL+"/long"); !errors.Is(err, ErrTooLong) {
		t.Errorf("too long: %v", err)
	}
	port := must(url.Parse(s.URL)).Port()
	if _, err := get(t, c, "http://localhost:"+port); !errors.Is(err, ErrForbidden) {
		t.Errorf("a name that leads to this machine: %v", err)
	}
	closed := New(Config{})
	defer closed.CloseIdleConnections()
	if _, err := get(t, closed, s.URL); !errors.Is(err, ErrForbidden) {
		t.Errorf("nothing configured: %v", err)
	}
	open := New(Config{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	defer open.CloseIdleConnections()
	if got, err := get(t, open, s.URL); got != "hello" || err != nil {
		t.Errorf("by its network: %q %v", got, err)
	}
	if _, err := (&policy{}).dial(context.Background(), "tcp", "no port"); err == nil {
		t.Error("no port")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
