package api

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/session"
)

// Bounds that openapi.yaml states too.
const (
	defaultLimit = 100
	maxLimit     = 500
	maxFilter    = 1024 // bytes
	maxReason    = 200  // characters
	refLen       = 16
)

// ListSessions implements StrictServerInterface. It costs a look at every
// session and memory for two pages.
func (s rest) ListSessions(ctx context.Context, request ListSessionsRequestObject) (ListSessionsResponseObject, error) {
	f, err := filterOf(request.Params)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	page := SessionPage{Sessions: []Session{}}
	var found []session.Info
	for info := range s.Monitor.Sessions() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !f.matches(info) {
			continue
		}
		page.Total++
		if f.after != nil && compare(placeOf(info), *f.after) <= 0 {
			continue
		}
		// One more than a page tells whether there is another page.
		if found = append(found, info); len(found) > 2*(f.limit+1) {
			found = newest(found, f.limit+1)
		}
	}
	found = newest(found, f.limit+1)
	if len(found) > f.limit {
		found = found[:f.limit]
		page.NextCursor = new(placeOf(found[f.limit-1]).cursor())
	}
	for _, info := range found {
		page.Sessions = append(page.Sessions, show(info, now))
	}
	return ListSessions200JSONResponse(page), nil
}

// filter is which sessions are asked for.
type filter struct {
	tenant, subject *string
	kind            *Kind
	state           *State
	limit           int
	after           *place
}

// filterOf checks the parameters of a list.
func filterOf(p ListSessionsParams) (filter, error) {
	f := filter{tenant: p.Tenant, subject: p.Subject, kind: p.Kind, state: p.State, limit: defaultLimit}
	for name, v := range map[string]*string{"tenant": p.Tenant, "subject": p.Subject} {
		if v != nil && len(*v) > maxFilter {
			return f, bad(name)
		}
	}
	if p.Kind != nil && !p.Kind.Valid() {
		return f, bad("kind")
	}
	if p.State != nil && !p.State.Valid() {
		return f, bad("state")
	}
	if p.Limit != nil {
		if f.limit = *p.Limit; f.limit < 1 || f.limit > maxLimit {
			return f, bad("limit")
		}
	}
	if p.Cursor != nil {
		after, ok := placeAt(*p.Cursor)
		if !ok {
			return f, bad("cursor")
		}
		f.after = &after
	}
	return f, nil
}

func (f *filter) matches(i session.Info) bool {
	return (f.tenant == nil || i.Owner.Tenant == *f.tenant) &&
		(f.subject == nil || i.Owner.Subject == *f.subject) &&
		(f.kind == nil || kindOf(i) == *f.kind) &&
		(f.state == nil || State(i.State) == *f.state)
}

// place is where a session stands in the list: by age, then by reference. It
// never changes, so a page that ends there continues there.
type place struct {
	created int64 // nanoseconds since 1970
	ref     string
}

func placeOf(i session.Info) place { return place{i.Created.UnixNano(), i.Ref} }

// compare is negative if a stands before b: the newest comes first.
func compare(a, b place) int {
	return cmp.Or(cmp.Compare(b.created, a.created), strings.Compare(a.ref, b.ref))
}

// newest returns the first n of the list, in order. It reuses infos.
func newest(infos []session.Info, n int) []session.Info {
	slices.SortFunc(infos, func(a, b session.Info) int { return compare(placeOf(a), placeOf(b)) })
	if len(infos) > n {
		clear(infos[n:]) // what they hold can go
		infos = infos[:n]
	}
	return infos
}

// cursor writes the place so that nobody is tempted to make one up.
func (p place) cursor() string {
	b := binary.BigEndian.AppendUint64(nil, uint64(p.created))
	b, _ = hex.AppendDecode(b, []byte(p.ref)) // a reference is hexadecimal
	return base64.RawURLEncoding.EncodeToString(b)
}

func placeAt(cursor string) (place, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) != 8+refLen/2 {
		return place{}, false
	}
	return place{int64(binary.BigEndian.Uint64(b)), hex.EncodeToString(b[8:])}, true
}

// GetSession implements StrictServerInterface. It costs a look at every session.
func (s rest) GetSession(ctx context.Context, request GetSessionRequestObject) (GetSessionResponseObject, error) {
	info, err := s.find(ctx, request.Ref)
	if err != nil {
		return nil, err
	}
	return GetSession200JSONResponse(show(info, time.Now())), nil
}

// EndSession implements StrictServerInterface.
func (s rest) EndSession(ctx context.Context, request EndSessionRequestObject) (EndSessionResponseObject, error) {
	var reason string
	if r := request.Params.Reason; r != nil {
		reason = *r
	}
	if !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > maxReason || strings.ContainsFunc(reason, unicode.IsControl) {
		return nil, bad("reason")
	}
	info, err := s.find(ctx, request.Ref)
	if err != nil {
		return nil, err
	}
	if c := client.FromContext(ctx); c != nil {
		c.Reason = reason
	}
	if err := s.Monitor.EndSession(ctx, info.Ref); err != nil {
		return nil, err
	}
	p := identity.FromContext(ctx)
	s.Log.InfoContext(ctx, "operator ended a session", "ref", info.Ref, "kind", string(kindOf(info)),
		"owner_tenant", info.Owner.Tenant, "owner_subject", info.Owner.Subject, "operator", p.Subject, "operator_issuer", p.Issuer, "reason", reason)
	info, err = s.find(ctx, request.Ref)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return EndSession204Response{}, nil
	case err != nil:
		return nil, err
	}
	return EndSession202JSONResponse(show(info, time.Now())), nil
}

// find returns the live session with that reference.
func (s rest) find(ctx context.Context, ref string) (session.Info, error) {
	if !isRef(ref) {
		return session.Info{}, bad("ref")
	}
	for info := range s.Monitor.Sessions() {
		if info.Ref == ref {
			return info, nil
		}
		if err := ctx.Err(); err != nil {
			return session.Info{}, err
		}
	}
	return session.Info{}, &fault.Error{
		Kind: fault.NotFound, Code: "session_not_found", Public: "no live session has the ref " + ref,
	}
}

// kindOf tells the directories apart: only reasoning sessions have the prefix
// that clients see.
func kindOf(i session.Info) Kind {
	if strings.HasPrefix(string(i.ID), session.DefaultPrefix) {
		return Reasoning
	}
	return Transport
}

// show leaves out the id.
func show(i session.Info, now time.Time) Session {
	return Session{
		Ref: i.Ref, Kind: kindOf(i), Tenant: i.Owner.Tenant, Issuer: i.Owner.Issuer, Subject: i.Owner.Subject,
		Client: Client{Name: i.Client.Name, Version: i.Client.Version, Revision: i.Client.Revision, Transport: i.Client.Transport},
		State:  State(i.State), Name: i.Name, Created: i.Created.UTC(), LastActivity: i.LastUsed.UTC(), Expires: i.Expires.UTC(),
		AgeSeconds: max(0, int64(now.Sub(i.Created)/time.Second)), InFlight: i.InFlight, Streams: i.Streams,
		Calls: i.Calls, Errors: i.Errors, Bytes: i.Bytes, Version: i.Version,
	}
}
