package app

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	maxTurnedAway = 64              // connections that are being told so at once; more are just closed
	turnAwayTime  = 1 * time.Second // for that
	turnAwayBase  = 5               // seconds after which to come back, at least
)

// limitListener bounds the connections that are open, in all and from each
// address. One over a bound is taken and answered with 503, so that a client
// learns what is wrong instead of hanging in the backlog or guessing at a reset.
//
// Close waits for the answers that are being written, which takes a second at
// most.
type limitListener struct {
	net.Listener
	total      int            // 0 is no bound
	perAddress int            // 0 is no bound
	exempt     []netip.Prefix // whose connections count in total only: proxies speak for many
	silent     bool           // one over a bound is just closed: it expects a handshake, not an answer

	wg sync.WaitGroup // the answers that are being written

	mu      sync.Mutex
	closed  bool
	open    int
	from    map[netip.Addr]int // open ones, for each address that has any
	away    int                // being answered
	refused uint64
}

// limitConns returns ln with these bounds on its connections; 0 is none.
func limitConns(ln net.Listener, total, perAddress int, exempt []netip.Prefix) *limitListener {
	return &limitListener{Listener: ln, total: total, perAddress: perAddress, exempt: exempt, from: make(map[netip.Addr]int)}
}

// connStats counts the connections of a listener.
type connStats struct {
	Open    int
	Refused uint64 // since the start
}

func (l *limitListener) stats() connStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return connStats{Open: l.open, Refused: l.refused}
}

// Accept returns the next connection that is within the bounds.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if in := l.enter(c); in != nil {
			return in, nil
		}
	}
}

// enter counts c in, or sees to its end and returns nil.
func (l *limitListener) enter(c net.Conn) net.Conn {
	addr := l.address(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.total > 0 && l.open >= l.total || l.perAddress > 0 && addr.IsValid() && l.from[addr] >= l.perAddress
	switch {
	case !full:
		l.open++
		if addr.IsValid() {
			l.from[addr]++
		}
		return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(addr) })}
	case l.away < maxTurnedAway && !l.closed && !l.silent:
		l.away++
		l.wg.Go(func() { l.turnAway(c) })
	default:
		_ = c.Close() // it was never served: there is nothing to lose
	}
	l.refused++
	return nil
}

func (l *limitListener) leave(addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.from[addr]--; l.from[addr] <= 0 {
		delete(l.from, addr)
	}
}

// address returns what c counts under, a /64 of IPv6 as one, or the zero Addr
// when only the total holds for it.
func (l *limitListener) address(c net.Conn) netip.Addr {
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	addr := at.Addr().Unmap().WithZone("")
	if slices.ContainsFunc(l.exempt, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return netip.Addr{}
	}
	if addr.Is6() {
		return netip.PrefixFrom(addr, 64).Masked().Addr()
	}
	return addr
}

// turnAway answers c and closes it. It reads what the client is still sending
// before it does: closing on unread bytes is a reset, which can reach the client
// before the answer.
func (l *limitListener) turnAway(c net.Conn) {
	defer func() {
		_ = c.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.away--
	}()
	const text = `{"type":"about:blank","title":"Overloaded","status":503,"detail":"too many connections are open","code":"too_many_connections"}` + "\n"
	_ = c.SetDeadline(time.Now().Add(turnAwayTime))
	after := turnAwayBase + rand.IntN(turnAwayBase) // so that they do not come back together
	_, err := fmt.Fprintf(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n"+
		"Retry-After: %d\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n%s", len(text), after, text)
	if half, ok := c.(interface{ CloseWrite() error }); ok && err == nil && half.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(c, maxHeader))
	}
}

// Close stops accepting. Connections that were accepted stay open.
func (l *limitListener) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	err := l.Listener.Close()
	l.wg.Wait()
	return err
}

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn
	leave func()
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.leave()
	return err
}
