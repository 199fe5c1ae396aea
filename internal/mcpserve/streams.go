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

// recheckEvery is how often a stream looks for changes that nobody told of, and for
// sessions whose end nobody told of.
const recheckEvery = 5 * time.Second

// hold keeps a standing stream alive with comments, and sends it what its
// subscriber is to be told, until the client goes, its token or session ends, all
// that it watched has ended, or the server stops. It returns true where the client
// is still there to read a final message. id is that of the subscription, nil in
// the older revisions.
func (s *Server) hold(ctx context.Context, st *reply.Stream, expires time.Time, over <-chan struct{}, sub *subscriber, tasks *taskWatch, id json.RawMessage) bool {
	tick := time.NewTicker(s.cfg.KeepAlive)
	defer tick.Stop()
	recheck := time.NewTicker(recheckEvery)
	defer recheck.Stop()
	defer tasks.begin()()
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
		case <-recheck.C:
			s.subs.recheck(sub, s.Sessions.List)
		case <-tasks.due():
			if s.tellTasks(ctx, st, tasks, id) != nil {
				return false
			}
		case <-sub.wake:
			ended, err := s.tell(st, sub, id)
			if err != nil {
				return false
			}
			if ended && id != nil {
				return true
			}
		case <-tick.C:
			if st.KeepAlive(s.cfg.KeepAlive) != nil {
				return false
			}
		}
	}
}

// sender takes the messages of a standing stream.
type sender interface{ Send(data []byte) error }

// tell sends what is marked. What could not be sent is marked again, for a stream
// that comes later.
func (s *Server) tell(st sender, sub *subscriber, id json.RawMessage) (over bool, err error) {
	uris, over := s.subs.take(sub)
	for i, uri := range uris {
		b := appendJSON([]byte(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":`), uri)
		if id != nil {
			b = appendTagged(append(b, ','), id)
		}
		if err := st.Send(append(b, "}}"...)); err != nil {
			s.subs.giveBack(sub, uris[i:])
			return false, err
		}
	}
	return over, nil
}

// listen serves subscriptions/listen of 2026-07-28. The acknowledgement names what
// is honoured: our lists never change while a server runs, but resources do. A URI
// that the caller may not read is not in it, whatever the cause.
func (s *Server) listen(w http.ResponseWriter, r *http.Request, in *incoming, m *message) {
	uris, err := wantedURIs(m)
	if err != nil {
		s.failQuery(r.Context(), s.exchange(w, r, m), &query{in: in, m: m, modern: true}, err)
		return
	}
	tasks, err := s.wantedTasks(r.Context(), in, m)
	if err != nil {
		s.failQuery(r.Context(), s.exchange(w, r, m), &query{in: in, m: m, modern: true}, err)
		return
	}
	leave, err := s.streams.enter(in.owner)
	if err != nil {
		s.refuse(w, r, m.id, err)
		return
	}
	defer leave()
	sub := newSubscriber(in.owner)
	defer s.subs.drop(sub)
	honoured, err := s.watch(r.Context(), in, sub, uris)
	if err != nil {
		s.refuse(w, r, m.id, err)
		return
	}
	st := reply.NewStream(w, s.cfg.WriteTimeout)
	ack := []byte(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{`)
	if len(honoured) > 0 {
		ack = appendJSON(append(ack, `"resourceSubscriptions":`...), honoured)
	}
	if len(tasks.ids) > 0 {
		if len(honoured) > 0 {
			ack = append(ack, ',')
		}
		ack = appendJSON(append(ack, `"taskIds":`...), tasks.ids)
	}
	ack = appendTagged(append(ack, "},"...), m.id)
	if st.Send(append(ack, "}}"...)) != nil {
		return
	}
	if s.hold(r.Context(), st, in.principal.Expires, nil, sub, tasks, m.id) {
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
