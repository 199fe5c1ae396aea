// Package client is one client of the server while one of its requests lasts:
// transport, revision, principal, features, and the cleanups that its request
// owes.
//
// The middleware chain builds a Context: it is made with the request id at the
// door, gets its principal after authentication, and the protocol fills in what
// the client said about itself. Whatever takes something on behalf of the
// request registers how to give it back with Defer; End runs these in reverse,
// once, however the request ends.
package client

import (
	"context"
	"sync"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// Transport is how a client reaches us.
type Transport string

// The transports.
const (
	HTTP  Transport = "http"
	Stdio Transport = "stdio"
)

// Context is one request's client. The fields before mu are set by the
// request's goroutine before the handler that reads them runs, and not after.
type Context struct {
	RequestID string
	Remote    string // address without port, after trusted proxies
	// Certificate is the subject of the certificate that the client's machine has
	// shown, "" without one: for the log and for audit. Who calls, the token says.
	Certificate string
	Transport   Transport
	Started     time.Time
	Principal   *identity.Principal // nil before authentication

	// What the client says about itself: for people and for audit, never for a
	// decision.
	Name, Version string
	// Revision is the protocol revision this request is served under.
	Revision string
	// Method and Target name what was asked, from our own registry only.
	Method, Target string
	// Reason is why, in an operator's words: for audit.
	Reason string
	// OnRefusal, which may be nil, hears when a middleware refuses the request.
	OnRefusal func(ctx context.Context, err error)

	mu       sync.Mutex
	ended    bool
	cleanups []func()
	outcome  error
}

// Defer registers f to run when the request ends. If it has ended already, f
// runs at once: nothing registered is ever forgotten.
func (c *Context) Defer(f func()) {
	c.mu.Lock()
	if !c.ended {
		c.cleanups = append(c.cleanups, f)
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	f()
}

// End runs the cleanups, last one first. Only the first call does anything. A
// cleanup that panics does not keep the others from running.
func (c *Context) End() {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.ended = true
	run := c.cleanups
	c.cleanups = nil
	c.mu.Unlock()
	runAll(run)
}

func runAll(fs []func()) {
	for len(fs) > 0 {
		f := fs[len(fs)-1]
		fs = fs[:len(fs)-1]
		func() {
			defer func() {
				if p := recover(); p != nil {
					runAll(fs)
					panic(p)
				}
			}()
			f()
		}()
	}
}

// Fail notes why the request failed, for the access log. The first cause stays.
func (c *Context) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outcome == nil {
		c.outcome = err
	}
}

// Outcome returns what Fail was given, or nil.
func (c *Context) Outcome() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outcome
}

type ctxKey struct{}

// NewContext returns ctx carrying c.
func NewContext(ctx context.Context, c *Context) context.Context {
	return context.WithValue(ctx, ctxKey{}, c)
}

// FromContext returns the request's client, or nil outside of a request.
func FromContext(ctx context.Context) *Context {
	c, _ := ctx.Value(ctxKey{}).(*Context)
	return c
}
