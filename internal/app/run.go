package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lyceum-mcp/lyceum/api"
)

// maxHeader bounds the headers of a request: a token and the routing headers
// fit many times over.
const maxHeader = 64 << 10

// serve makes the HTTP servers.
func (a *App) serve(d api.Deps) {
	a.handler = api.Handler(d)
	if a.listener == nil {
		return
	}
	if a.adminLn == nil {
		a.main = a.server(a.handler)
		return
	}
	a.main = a.server(api.MainHandler(d))
	a.admin = a.server(api.AdminHandler(d))
}

func (a *App) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: a.cfg.HTTP.ReadHeaderTimeout, IdleTimeout: a.cfg.HTTP.IdleTimeout, MaxHeaderBytes: maxHeader,
		// No ReadTimeout and no WriteTimeout: they would end streams. Bodies and
		// writes have deadlines of their own.
	}
}

// Run serves until ctx ends, then drains and stops. It returns nil after an
// orderly stop. A local server serves nothing by itself: Run then only waits.
func (a *App) Run(ctx context.Context) error {
	serving, failed := context.WithCancelCause(ctx)
	defer failed(nil)
	var g errgroup.Group
	for _, s := range []struct {
		srv *http.Server
		ln  net.Listener
	}{{a.main, a.listener}, {a.admin, a.adminLn}} {
		if s.srv == nil {
			continue
		}
		g.Go(func() error {
			err := s.srv.Serve(s.ln)
			if !errors.Is(err, http.ErrServerClosed) {
				failed(err)
				return fmt.Errorf("serve %s: %w", s.ln.Addr(), err)
			}
			return nil
		})
	}
	a.ready.Store(true)
	if a.onReady != nil {
		a.onReady()
	}
	<-serving.Done()
	a.drain()
	err := g.Wait()
	stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(err, a.undo.unwind(stop))
}

// drain stops in the order that loses nothing: say that we are not ready, take
// no new work, let the calls in flight finish, end the streams, and close the
// connections last.
func (a *App) drain() {
	begin := time.Now()
	inFlight, open, live := a.mcp.InFlight(), a.mcp.Streams(), a.sessions.Stats().Sessions
	a.ready.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), a.cfg.Drain.Timeout)
	defer cancel()
	done := a.mcp.Drain(ctx)
	a.gate.Close()
	// What was canceled still sends its answer: give it a moment of its own.
	last, enough := context.WithTimeout(context.Background(), 5*time.Second)
	defer enough()
	for _, s := range []*http.Server{a.main, a.admin} {
		if s != nil && s.Shutdown(last) != nil {
			_ = s.Close()
		}
	}
	if a.locals != nil {
		a.locals.wait()
	}
	a.log.InfoContext(ctx, "drained", "calls_at_signal", inFlight, "streams_at_signal", open, "sessions_at_signal", live,
		"jobs", done.Jobs, "finished", done.Finished, "checkpointed", done.Checkpointed, "left_queued", done.Queued,
		"jobs_cut", done.Cut, "calls_canceled", done.Canceled, "grace_exceeded", done.Cut+done.Canceled > 0, "duration", time.Since(begin))
}
