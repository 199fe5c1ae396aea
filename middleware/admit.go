package middleware

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Entrance says whether there is room for one more request.
type Entrance interface {
	// Enter takes a place, which leave gives back, or fails with Overloaded.
	Enter(ctx context.Context) (leave func(), err error)
}

// Admit lets a request through when the gate has room and holds the place until
// the handler returns. It stands after authentication so that a gate can see
// the tenant. Standing GET streams pass it by: they hold a connection, not work,
// and have a cap of their own.
func Admit(gate Entrance) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				next.ServeHTTP(w, r)
				return
			}
			leave, err := gate.Enter(r.Context())
			if err != nil {
				fail(w, r, err)
				return
			}
			defer leave()
			next.ServeHTTP(w, r)
		})
	}
}

// Gate is an Entrance with a fixed number of places. It never waits: a full
// server says so at once, and when to come back.
type Gate struct {
	places int64
	in     atomic.Int64
	closed atomic.Bool
	leave  func()
}

// NewGate returns a gate with room for places requests at a time.
func NewGate(places int) *Gate {
	g := &Gate{places: int64(places)}
	g.leave = func() { g.in.Add(-1) }
	return g
}

// Enter takes a place. It counts up only while there is room, so that two
// requests can never both get the last one and a refused one takes up nothing.
func (g *Gate) Enter(context.Context) (func(), error) {
	if g.closed.Load() {
		return nil, &fault.Error{Kind: fault.Overloaded, Code: "draining", RetryAfter: 2 * time.Second, Public: "the server is shutting down"}
	}
	for {
		n := g.in.Load()
		if n >= g.places {
			return nil, &fault.Error{Kind: fault.Overloaded, Code: "too_many_in_flight", RetryAfter: time.Second, Public: "too many requests are in flight"}
		}
		if g.in.CompareAndSwap(n, n+1) {
			return g.leave, nil
		}
	}
}

// Close refuses all that come from now on. Those inside stay.
func (g *Gate) Close() { g.closed.Store(true) }

// InFlight returns the number of requests inside.
func (g *Gate) InFlight() int { return int(g.in.Load()) }
