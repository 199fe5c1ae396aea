package mcpserve

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reply"
	"github.com/lyceum-mcp/lyceum/session"
)

// headerLastEvent is where a GET names the event behind which it goes on.
const headerLastEvent = "Last-Event-Id"

// standing is a GET that is being served.
type standing struct {
	c        *carrier
	expires  time.Time       // of the token; zero: never
	over     <-chan struct{} // closed when the session has ended
	sub      *subscriber     // nil on the stream of a call
	revision string
}

// get serves the standing stream of a transport session, or goes on with a stream
// that broke. We send requests and notifications on the streams of the calls they
// belong to, so that nothing of one call lands on another's; a standing stream
// carries keep-alives and the updates of what resources/subscribe named, each on one
// stream if there are several, and ends with its session.
func (s *Server) get(w http.ResponseWriter, r *http.Request, in *incoming) {
	h, tr, ok := s.negotiated(w, r, in, nil)
	if !ok {
		return
	}
	defer h.Release()
	last, err := lastEvent(r.Header)
	if err != nil {
		s.refuse(w, r, nil, err)
		return
	}
	leave, err := s.streams.enter(in.owner)
	if err != nil {
		s.refuse(w, r, nil, err)
		return
	}
	defer leave()
	st := reply.NewStream(w, s.cfg.WriteTimeout)
	defer st.Close()
	var c *carrier
	if last != "" {
		if c, err = s.feeds.resume(&tr.feeds, last, st); err != nil {
			s.refuse(w, r, nil, err)
			return
		}
	} else if s.feeds.on() {
		c = s.feeds.open(&tr.feeds, st, true)
	}
	if c != nil {
		defer s.feeds.leave(c)
	}
	release := h.Stream()
	defer release()
	over := h.Context().Done()
	sub := s.subs.of(h)
	h.Release() // a stream pins the session by itself: it is no call in flight
	if c == nil {
		if st.Open() == nil {
			s.subs.serve(sub)
			s.hold(r.Context(), st, in.principal.Expires, over, sub, nil, nil)
		}
		return
	}
	g := &standing{c: c, expires: in.principal.Expires, over: over, revision: tr.client.Revision}
	if c.feed.standing {
		g.sub = sub
	}
	s.stand(r.Context(), g, last == "")
}

// lastEvent returns the id that a request names, "" if it names none.
func lastEvent(h http.Header) (string, error) {
	if len(h[headerLastEvent]) == 0 {
		return "", nil
	}
	id, bad := single(h, headerLastEvent)
	if bad != nil {
		return "", errNoEvent
	}
	return id, nil
}

// stand opens a GET, from its beginning or behind what the client has, and keeps it
// until it ends.
func (s *Server) stand(ctx context.Context, g *standing, fresh bool) {
	var err error
	switch {
	case fresh:
		err = g.c.prime(g.revision)
		s.subs.serve(g.sub)
	case g.revision == rev202511: // it has an id already
		err = g.c.out.SendEvent(reply.Event{Retry: retryDelay})
	default:
		err = g.c.out.Open()
	}
	if err == nil {
		err = s.carry(ctx, g)
	}
	if errors.Is(err, errPart) && g.revision == rev202511 {
		_ = g.c.out.SendEvent(reply.Event{Retry: g.partDelay(s)}) // one that left does not need it
	}
}

// errPart is why the server ends a stream whose client is still there.
var errPart = errors.New("the server ends the stream")

func (g *standing) partDelay(s *Server) time.Duration {
	if s.draining.Load() {
		return drainDelay
	}
	return retryDelay
}

// carry sends what the feed has, and has to say from now on, until that was all, the
// client goes or resumes elsewhere, its token or session ends, or the server stops.
// The stream of a call, which a drain lets finish, is carried on to its answer. It
// returns nil after the end of the feed.
func (s *Server) carry(ctx context.Context, g *standing) error {
	tick := time.NewTicker(s.cfg.KeepAlive)
	defer tick.Stop()
	expired, stop := at(g.expires)
	defer stop()
	var stops, marked <-chan struct{}
	var recheck <-chan time.Time
	if g.sub != nil {
		stops, marked = s.streams.end, g.sub.wake
		again := time.NewTicker(recheckEvery)
		defer again.Stop()
		recheck = again.C
	}
	for {
		if over, err := g.c.flush(); over || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-g.c.taken:
			return errTaken
		case <-g.over:
			return errPart
		case <-expired: // the authority to listen is gone
			return errPart
		case <-stops:
			return errPart
		case <-g.c.wake:
		case <-recheck:
			s.subs.recheck(g.sub, s.Sessions.List)
		case <-marked:
			if _, err := s.tell(g.c, g.sub, nil); err != nil {
				return err
			}
		case <-tick.C:
			if err := g.c.out.KeepAlive(s.cfg.KeepAlive); err != nil {
				return err
			}
		}
	}
}

// at returns a channel that gets a value at t, nil if that is zero.
func at(t time.Time) (<-chan time.Time, func()) {
	if t.IsZero() {
		return nil, func() {}
	}
	timer := time.NewTimer(time.Until(t))
	return timer.C, func() { timer.Stop() }
}

// feedsOf gives an exchange of a transport session the means to be resumed.
func (s *Server) feedsOf(x *exchange, r *http.Request, tr *transport) {
	if s.feeds.on() {
		x.resume = &tr.feeds
		x.feeds, x.conn, x.revision = s.feeds, r.Context(), tr.client.Revision
	}
}

// ended forgets the feeds of a session.
func (t *transports) ended(id session.ID, tr *transport) {
	t.mu.Lock()
	delete(t.byID, id)
	t.mu.Unlock()
	if t.feeds != nil {
		t.feeds.forget(&tr.feeds)
	}
}
