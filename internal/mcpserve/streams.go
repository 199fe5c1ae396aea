package mcpserve

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reply"
	"github.com/lyceum-mcp/lyceum/session"
)

// streams counts the standing streams of each owner and can end them all.
type streams struct {
	most int

	mu    sync.Mutex
	ended bool
	end   chan struct{} // closed when all must end
	per   map[session.Owner]int
	total int
}

func newStreams(most int) *streams {
	return &streams{most: most, end: make(chan struct{}), per: map[session.Owner]int{}}
}

// enter reserves a place for one more stream of o.
func (s *streams) enter(o session.Owner) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, errDraining
	}
	if s.per[o] >= s.most {
		return nil, &fault.Error{
			Kind: fault.RateLimited, Code: "too_many_streams", RetryAfter: 5 * time.Second,
			Public: "too many open streams: close one first",
		}
	}
	s.per[o]++
	s.total++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.total--
		if s.per[o]--; s.per[o] == 0 {
			delete(s.per, o)
		}
	}), nil
}

var errDraining = &fault.Error{Kind: fault.Overloaded, Code: "draining", RetryAfter: 2 * time.Second, Public: "the server is shutting down"}

func (s *streams) endAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.ended = true
		close(s.end)
	}
}

func (s *streams) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// hold keeps a standing stream alive with comments until the client goes, its
// token or session ends, or the server stops. It returns true in the last two
// cases, where the client is still there to read a final message.
func (s *Server) hold(ctx context.Context, st *reply.Stream, expires time.Time, over <-chan struct{}) bool {
	tick := time.NewTicker(s.cfg.KeepAlive)
	defer tick.Stop()
	var expired <-chan time.Time
	if !expires.IsZero() {
		t := time.NewTimer(time.Until(expires))
		defer t.Stop()
		expired = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-over:
			return true
		case <-expired: // the authority to listen is gone
			return true
		case <-s.streams.end:
			return true
		case <-tick.C:
			if st.KeepAlive(s.cfg.KeepAlive) != nil {
				return false
			}
		}
	}
}

// get serves the standing stream of a transport session. We send requests and
// notifications on the streams of the calls they belong to, so that nothing of
// one call lands on another's; this stream carries only keep-alives and ends
// with its session.
func (s *Server) get(w http.ResponseWriter, r *http.Request, in *incoming) {
	h, _, ok := s.needTransport(w, r, in)
	if !ok {
		return
	}
	defer h.Release()
	leave, err := s.streams.enter(in.owner)
	if err != nil {
		s.refuse(w, r, nil, err)
		return
	}
	defer leave()
	release := h.Stream()
	defer release()
	over := h.Context().Done()
	h.Release() // a stream pins the session by itself: it is no call in flight
	st := reply.NewStream(w, s.cfg.WriteTimeout)
	if st.Open() != nil {
		return
	}
	s.hold(r.Context(), st, in.principal.Expires, over)
	st.Close()
}

// listen serves subscriptions/listen of 2026-07-28. The acknowledgement names
// what is honoured: our lists never change while a server runs, and there are
// no resources yet, so it is nothing of what a client may ask for.
func (s *Server) listen(w http.ResponseWriter, r *http.Request, in *incoming, m *message) {
	leave, err := s.streams.enter(in.owner)
	if err != nil {
		s.refuse(w, r, m.id, err)
		return
	}
	defer leave()
	st := reply.NewStream(w, s.cfg.WriteTimeout)
	ack := appendTagged([]byte(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{},`), m.id)
	if st.Send(append(ack, "}}"...)) != nil {
		return
	}
	if s.hold(r.Context(), st, in.principal.Expires, nil) {
		final := append([]byte(`{"jsonrpc":"2.0","id":`), m.id...)
		final = appendTagged(append(final, `,"result":{"resultType":"complete",`...), m.id)
		_ = st.Send(append(final, "}}"...)) // the last word; a client that left does not need it
	}
	st.Close()
}

// appendTagged appends the _meta member that every message of a subscription
// carries.
func appendTagged(b []byte, id json.RawMessage) []byte {
	b = append(b, `"_meta":{"`+metaSubscription+`":`...)
	return append(append(b, id...), '}')
}
