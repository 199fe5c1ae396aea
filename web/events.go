package web

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reply"
)

// poll is how often a stream looks whether the server drains, at most: so late
// does an open page hold up a stop.
const poll = 250 * time.Millisecond

// Why a stream ends, for the page.
const (
	byeLoggedOut = "logged_out"
	byeExpired   = "expired"
	byeDraining  = "draining"
)

// events tells one page what happens, until it goes, its login ends or the
// server drains. It sends at most one event per refresh.
func (s *site) events(w http.ResponseWriter, r *http.Request) error {
	v, _, err := s.who(r)
	if err != nil {
		return err
	}
	if err := s.mon.Ready(); err != nil {
		return err
	}
	defer s.watching.Add(-1)
	if s.watching.Add(1) > int64(s.cfg.MaxWatchers) {
		return &fault.Error{
			Kind: fault.Overloaded, Code: "too_many_watchers", Public: "too many pages are open already", RetryAfter: 10 * time.Second,
		}
	}

	ctx, cancel := context.WithCancel(r.Context())
	var heard obituaries
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	changes := s.mon.Changes(ctx) // from before the first picture
	wg.Go(func() {
		for e := range changes {
			heard.add(e)
		}
	})

	stream := reply.NewStream(w, s.cfg.WriteTimeout)
	s.tell(ctx, stream, &watcher{query: parseQuery(r.URL.Query()), limit: s.cfg.MaxRows}, v, &heard)
	return nil // what went wrong now, nobody is left to read
}

// tell sends until there is a reason to stop.
func (s *site) tell(ctx context.Context, stream *reply.Stream, w *watcher, v *visitor, heard *obituaries) {
	look := time.NewTicker(min(poll, s.cfg.Refresh))
	defer look.Stop()
	expired := time.NewTimer(time.Until(v.expires))
	defer expired.Stop()
	judged := time.Now()
	var sent time.Time
	for {
		ready := s.mon.Ready() == nil
		if now := time.Now(); !ready || now.Sub(sent) >= s.cfg.Refresh {
			if m := w.next(s.board.picture(), func(ref string) string { return s.whyEnded(heard, ref) }); m != nil {
				if send(stream, m) != nil {
					return
				}
				sent = now
			}
			heard.keep(w.rows)
		}
		if !ready {
			_ = send(stream, &message{Type: "bye", Why: byeDraining})
			return
		}
		if stream.KeepAlive(s.cfg.KeepAlive) != nil {
			return
		}
		if now := time.Now(); now.Sub(judged) >= s.cfg.KeepAlive {
			judged = now
			p, err := s.judge(ctx, v)
			if fault.KindOf(err) == fault.Unauthenticated || err == nil && !policy.Allows(p, policy.AdminRead) {
				_ = send(stream, &message{Type: "bye", Why: byeExpired})
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-v.gone:
			_ = send(stream, &message{Type: "bye", Why: byeLoggedOut})
			return
		case <-expired.C:
			s.forget(v.name)
			_ = send(stream, &message{Type: "bye", Why: byeExpired})
			return
		case <-look.C:
		}
	}
}

func send(stream *reply.Stream, m *message) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return stream.Send(b)
}
