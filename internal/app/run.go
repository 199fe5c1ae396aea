package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lyceum-mcp/lyceum/api"
	"github.com/lyceum-mcp/lyceum/internal/audit"
)

// maxHeader bounds the headers of a request: a token and the routing headers
// fit many times over.
const maxHeader = 64 << 10

// Bounds of one HTTP/2 connection. A client that resets streams faster than they
// end can have no more of them in handlers than maxStreams; four times as many
// more wait, and then its connection is closed.
const (
	maxStreams = 128
	deadPeer   = 15 * time.Second // for a ping to come back
)

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
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: a.cfg.HTTP.ReadHeaderTimeout, IdleTimeout: a.cfg.HTTP.IdleTimeout, MaxHeaderBytes: maxHeader,
		DisableGeneralOptionsHandler: true, // the chain sees every request
		// No ReadTimeout and no WriteTimeout: they would end streams. Bodies and
		// writes have deadlines of their own.
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelInfo), // handshakes that fail, mostly
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: 1 << 20, MaxReceiveBufferPerStream: 256 << 10,
			SendPingTimeout: a.cfg.HTTP.IdleTimeout, PingTimeout: deadPeer, WriteByteTimeout: a.cfg.HTTP.WriteTimeout,
		},
	}
	if a.certs != nil {
		s.TLSConfig = a.certs.server()
	}
	return s
}

// serveOn serves s on ln until it is shut down.
func (a *App) serveOn(s *http.Server, ln net.Listener) error {
	if a.certs != nil {
		return s.ServeTLS(ln, "", "") // the certificates are in its configuration
	}
	return s.Serve(ln)
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
			err := a.serveOn(s.srv, s.ln)
			if !errors.Is(err, http.ErrServerClosed) {
				failed(err)
				return fmt.Errorf("serve %s: %w", s.ln.Addr(), err)
			}
			return nil
		})
	}
	a.recordStart()
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
	a.audit.Note(audit.Record{
		Kind: audit.Drain, Action: "begun", Reason: fmt.Sprintf("%d calls in flight, %d streams, %d sessions", inFlight, open, live),
	})
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
	a.audit.Note(audit.Record{
		Kind: audit.Drain, Action: "done", Outcome: audit.OK, Duration: time.Since(begin), Reason: fmt.Sprintf(
			"%d jobs: %d finished, %d checkpointed, %d left queued, %d cut; %d calls canceled", done.Jobs, done.Finished, done.Checkpointed, done.Queued, done.Cut, done.Canceled),
	})
	a.log.InfoContext(ctx, "drained", "calls_at_signal", inFlight, "streams_at_signal", open, "sessions_at_signal", live,
		"jobs", done.Jobs, "finished", done.Finished, "checkpointed", done.Checkpointed, "left_queued", done.Queued,
		"jobs_cut", done.Cut, "calls_canceled", done.Canceled, "grace_exceeded", done.Cut+done.Canceled > 0, "duration", time.Since(begin))
}
