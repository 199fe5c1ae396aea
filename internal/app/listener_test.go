package app

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// limited is a server on a loopback listener with bounds on its connections.
func limited(t *testing.T, total, perAddress int, exempt ...netip.Prefix) *limitListener {
	t.Helper()
	others := goleak.IgnoreCurrent()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limitConns(ln, total, perAddress, exempt)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }), ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		goleak.VerifyNone(t, others)
	})
	return l
}

// ask connects and sends a request, and returns the connection and the answer.
func ask(t *testing.T, l *limitListener) (net.Conn, *http.Response) {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, resp
}

// eventually waits until the condition holds, which takes no time unless
// something is broken.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("not in 10 s: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func TestConnectionBounds(t *testing.T) {
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	for _, c := range []struct {
		name              string
		total, perAddress int
		exempt            []netip.Prefix
		fit               int
	}{
		{"in all", 3, 0, nil, 3},
		{"of an address", 10, 2, nil, 2},
		{"a proxy has only the total", 4, 1, []netip.Prefix{loopback}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := limited(t, c.total, c.perAddress, c.exempt...)
			var last net.Conn
			for i := range c.fit {
				conn, resp := ask(t, l)
				if resp.StatusCode != 200 {
					t.Fatalf("connection %d: %d", i+1, resp.StatusCode)
				}
				last = conn
			}
			conn, resp := ask(t, l)
			body, err := io.ReadAll(resp.Body)
			after, bad := strconv.Atoi(resp.Header.Get("Retry-After"))
			if err != nil || resp.StatusCode != 503 || !resp.Close || bad != nil || after < 1 || !strings.Contains(string(body), `"too_many_connections"`) {
				t.Errorf("over the bound: %d %v %s, %v", resp.StatusCode, resp.Header, body, err)
			}
			if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("after the answer: %d bytes, %v; want the end", n, err)
			}
			if s := l.stats(); s.Open != c.fit || s.Refused != 1 {
				t.Errorf("%+v, want %d open and 1 refused", s, c.fit)
			}
			_ = last.Close()
			eventually(t, "the place of a closed connection is given back", func() bool { return l.stats().Open == c.fit-1 })
			if _, resp := ask(t, l); resp.StatusCode != 200 {
				t.Errorf("after one has left: %d", resp.StatusCode)
			}
		})
	}
}

func TestNoConnectionBounds(t *testing.T) {
	l := limited(t, 0, 0)
	for range 20 {
		if _, resp := ask(t, l); resp.StatusCode != 200 {
			t.Fatalf("%d", resp.StatusCode)
		}
	}
	if s := l.stats(); s.Open != 20 || s.Refused != 0 {
		t.Errorf("%+v", s)
	}
}

// Very many connect at the same time: the bound holds, everybody gets an answer
// or the end, and at the end nothing is counted any more.
func TestConnectionFlood(t *testing.T) {
	const clients, bound = 300, 10
	l := limited(t, bound, 0)
	var wg sync.WaitGroup
	var mu sync.Mutex
	served, told, cut := 0, 0, 0
	for range clients {
		wg.Go(func() {
			c, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if n := l.stats().Open; n > bound {
				t.Errorf("%d are open, the bound is %d", n, bound)
			}
			mu.Lock()
			defer mu.Unlock()
			if ne, isNet := errors.AsType[net.Error](err); isNet && ne.Timeout() {
				t.Error("left hanging")
			}
			switch {
			case err != nil:
				cut++
			case resp.StatusCode == 200:
				served++
			case resp.StatusCode == 503:
				told++
			}
		})
	}
	wg.Wait()
	if served+told+cut != clients || served == 0 {
		t.Errorf("%d served, %d told, %d cut off, of %d", served, told, cut, clients)
	}
	eventually(t, "all connections are gone", func() bool { return l.stats().Open == 0 })
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.from) != 0 || l.refused != uint64(clients-served) {
		t.Errorf("%d addresses are kept; %d refused, want %d", len(l.from), l.refused, clients-served)
	}
}

// A client that is turned away and neither reads nor leaves holds nothing for
// longer than a second, and Close waits for that.
func TestTurnedAwayDoNotStay(t *testing.T) {
	l := limited(t, 1, 0)
	if _, resp := ask(t, l); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, "it is turned away", func() bool { return l.stats().Refused == 1 })
	start := time.Now()
	_ = l.Close()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("closing took %v", took)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away != 0 {
		t.Errorf("%d are still being answered", l.away)
	}
}

// fromAddr is a connection from an address.
type fromAddr struct {
	net.Conn
	addr string
}

func (c fromAddr) RemoteAddr() net.Addr { return named(c.addr) }

type named string

func (named) Network() string  { return "tcp" }
func (n named) String() string { return string(n) }

func TestConnectionAddress(t *testing.T) {
	l := limitConns(nil, 0, 1, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	for addr, want := range map[string]string{
		"192.0.2.1:1":             "192.0.2.1",
		"[::ffff:192.0.2.1]:1":    "192.0.2.1",
		"[2001:db8:1:2::ffff]:1":  "2001:db8:1:2::",
		"[2001:db8:1:3::1]:1":     "2001:db8:1:3::",
		"[fe80::1%eth0]:1":        "fe80::",
		"10.1.2.3:1":              "invalid IP",
		"a socket without a port": "invalid IP",
	} {
		if got := l.address(fromAddr{addr: addr}).String(); got != want {
			t.Errorf("%s counts under %s, want %s", addr, got, want)
		}
	}
}
