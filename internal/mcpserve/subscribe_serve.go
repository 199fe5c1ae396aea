package mcpserve

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/session"
)

// wantedURIs returns the URIs that a subscriptions/listen names, each once.
func wantedURIs(m *message) ([]string, error) {
	raw := memberOf(m.param("notifications"), "resourceSubscriptions")
	if raw == nil {
		return nil, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil, badParams("params.notifications.resourceSubscriptions must be an array of strings")
	}
	var uris []string
	seen := map[string]bool{}
	for _, item := range list {
		if !isString(item) {
			return nil, badParams("params.notifications.resourceSubscriptions must be an array of strings")
		}
		if uri := jsonscan.String(item); !seen[uri] {
			seen[uri] = true
			uris = append(uris, uri)
		}
	}
	return uris, nil
}

// watch subscribes sub to those of the URIs that the caller may be told of, and
// returns them as they were written. Only one's own sessions can be watched.
func (s *Server) watch(ctx context.Context, in *incoming, sub *subscriber, uris []string) ([]string, error) {
	honoured := map[string]bool{}
	inSession := map[session.ID][]string{}
	var order []session.ID
	for _, text := range uris {
		u, ok := parseURI(text)
		switch {
		case s.isMore(text):
			if err := s.subs.add(sub, text, resourceURI{}, nil); err != nil {
				return nil, err
			}
			honoured[text] = true
		case !ok || u.paged(): // a page is of one version: it never changes
		case u.private():
			if inSession[u.session] == nil {
				order = append(order, u.session)
			}
			inSession[u.session] = append(inSession[u.session], text)
		case s.fixed.has(u):
			if err := s.subs.add(sub, text, u, nil); err != nil {
				return nil, err
			}
			honoured[text] = true
		}
	}
	for _, id := range order {
		if err := s.watchSession(ctx, in, sub, id, inSession[id], honoured); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(uris), func(u string) bool { return !honoured[u] }), nil
}

// watchSession subscribes sub to URIs of one session, if it is the caller's.
func (s *Server) watchSession(ctx context.Context, in *incoming, sub *subscriber, id session.ID, uris []string, honoured map[string]bool) error {
	if !policy.Allows(in.principal, policy.Reason) {
		return nil
	}
	h, err := s.Sessions.Acquire(ctx, in.owner, id)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.Release()
	h.Look()
	if h.Owner() != in.owner {
		return nil
	}
	for _, text := range uris {
		u, _ := parseURI(text)
		if err := s.subs.add(sub, text, u, h); err != nil {
			return err
		}
	}
	// Taken after they were added: what is committed from here on is told.
	snap, err := h.Snapshot()
	if err != nil {
		return nil // it ends this very moment, which takes its subscriptions along
	}
	s.subs.settle(sub, &snap)
	for _, text := range uris {
		if u, _ := parseURI(text); u.ofSlot() && (cellOf(snap.Cells, u.part) == nil || u.kind == uriView && s.drawer(u.part) == nil) {
			s.subs.remove(sub, text)
			continue
		}
		honoured[text] = true
	}
	return nil
}

// has reports whether there is a fixed resource of that URI.
func (f *fixed) has(u resourceURI) bool {
	return !u.private() && (u.name == "" || f.pages[u.name] != nil)
}

// subscribe serves resources/subscribe and resources/unsubscribe of the older
// revisions. Updates come on the standing stream of the transport session, once
// there is one. To end what was never begun is no failure, whatever the URI is.
func (s *Server) subscribe(ctx context.Context, x *exchange, in *incoming, m *message, h *session.Handle) {
	q := &query{in: in, m: m}
	raw := m.param("uri")
	if !isString(raw) {
		s.failQuery(ctx, x, q, badParams("params.uri must be a string"))
		return
	}
	uri, sub := jsonscan.String(raw), s.subs.of(h)
	if m.method == "resources/unsubscribe" {
		s.subs.remove(sub, uri)
		x.answer([]byte("{}"))
		return
	}
	if u, ok := parseURI(uri); ok && u.private() {
		if err := policy.Require(in.principal, policy.Reason); err != nil {
			s.failQuery(ctx, x, q, err)
			return
		}
	}
	honoured, err := s.watch(ctx, in, sub, []string{uri})
	if err == nil && len(honoured) == 0 {
		err = errNoResource
	}
	if err != nil {
		s.failQuery(ctx, x, q, err)
		return
	}
	x.answer([]byte("{}"))
}

// of returns the subscriber of a transport session, made when it is first needed.
// It goes with the session.
func (s *subscriptions) of(h *session.Handle) *subscriber {
	id := h.ID()
	s.mu.Lock()
	sub := s.legacy[id]
	made := sub == nil
	if made {
		sub = newSubscriber(h.Owner())
		s.legacy[id] = sub
	}
	s.mu.Unlock()
	if made {
		h.OnEnd(func(session.Reason) {
			s.mu.Lock()
			delete(s.legacy, id)
			s.mu.Unlock()
			s.drop(sub)
		})
	}
	return sub
}
