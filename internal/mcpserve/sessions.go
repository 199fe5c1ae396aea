package mcpserve

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/session"
)

// TransportPrefix is how the ids of transport sessions begin.
const TransportPrefix = "ts_"

// owner is who a principal's sessions belong to.
func owner(p *identity.Principal) session.Owner {
	return session.Owner{Tenant: p.Tenant, Issuer: p.Issuer, Subject: p.Subject}
}

// transports are the transport sessions of the older revisions. The directory
// decides whose an id is; the map only adds what the protocol remembers about a
// session that the directory has already found.
type transports struct {
	dir   *session.Directory
	feeds *feeds // nil if streams are not resumed

	mu   sync.Mutex
	byID map[session.ID]*transport
}

// transport is what one transport session remembers.
type transport struct {
	client       session.Client
	capabilities json.RawMessage // that the client declared; nil if it is no object
	feeds        feedSession     // what its streams have said

	mu        sync.Mutex
	reasoning session.ID // of calls that name no session; made by the first of them
	logAt     int        // least severity of log messages; 0 sends none
}

// open makes a transport session for o.
func (t *transports) open(ctx context.Context, o session.Owner, tr *transport) (*session.Handle, error) {
	h, err := t.dir.Open(ctx, o, session.Params{Client: tr.client})
	if err != nil {
		return nil, err
	}
	tr.feeds.level = tr.level
	t.mu.Lock()
	t.byID[h.ID()] = tr
	t.mu.Unlock()
	id := h.ID()
	h.OnEnd(func(session.Reason) { t.ended(id, tr) })
	return h, nil
}

// acquire returns o's transport session of that id. Every way of not having one
// is the same error.
func (t *transports) acquire(ctx context.Context, o session.Owner, id string) (*session.Handle, *transport, error) {
	h, err := t.dir.Acquire(ctx, o, session.ID(id))
	if err != nil {
		return nil, nil, err
	}
	t.mu.Lock()
	tr := t.byID[h.ID()]
	t.mu.Unlock()
	if tr == nil { // it ended between the two look-ups
		h.Release()
		return nil, nil, errNoTransport
	}
	return h, tr, nil
}

// errNoTransport is what an id that leads nowhere gives, whatever the cause.
var errNoTransport = fault.Newf(fault.NotFound, "Session not found")

// defaultSession returns the reasoning session of calls that name none, making
// it when it is missing or has ended. The lock is held while it is made, so that
// two first calls share one.
func (tr *transport) defaultSession(ctx context.Context, s *Server, in *incoming, c session.Client) (*session.Handle, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.reasoning != "" {
		h, err := s.Sessions.Acquire(ctx, in.owner, tr.reasoning)
		if err == nil || fault.KindOf(err) != fault.NotFound {
			return h, err
		}
	}
	h, err := s.openSession(ctx, in, session.Params{Client: c})
	if err != nil {
		return nil, err
	}
	tr.reasoning = h.ID()
	return h, nil
}

func (tr *transport) setLevel(severity int) {
	tr.mu.Lock()
	tr.logAt = severity
	tr.mu.Unlock()
}

func (tr *transport) level() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.logAt
}
