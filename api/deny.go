package api

import (
	"context"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// defaultDenial is how long a denial lasts when the request does not say.
const defaultDenial = 30 * 24 * time.Hour

// Denials is the list of tokens that are refused although their issuer made them;
// an identity.DenyList is one.
type Denials interface {
	List() []identity.Denial
	Add(ctx context.Context, d identity.Denial) (identity.Denial, error)
	Remove(ctx context.Context, id string) error
}

// denials returns the list, or NotFound for a server that takes no tokens.
func (s rest) denials() (Denials, error) {
	if s.Denials == nil {
		return nil, fault.Newf(fault.NotFound, "this server takes no tokens")
	}
	return s.Denials, nil
}

// ListDenials implements StrictServerInterface.
func (s rest) ListDenials(context.Context, ListDenialsRequestObject) (ListDenialsResponseObject, error) {
	list, err := s.denials()
	if err != nil {
		return nil, err
	}
	all := []Denial{}
	for _, d := range list.List() {
		all = append(all, denialOf(d))
	}
	return ListDenials200JSONResponse{Denials: all}, nil
}

// AddDenial implements StrictServerInterface.
func (s rest) AddDenial(ctx context.Context, request AddDenialRequestObject) (AddDenialResponseObject, error) {
	list, err := s.denials()
	if err != nil {
		return nil, err
	}
	b := request.Body
	d := identity.Denial{
		Issuer: b.Issuer, TokenID: value(b.Jti), SessionID: value(b.Sid), Subject: value(b.Sub),
		IssuedBefore: value(b.IssuedBefore), Reason: value(b.Reason), Expires: value(b.Expires),
	}
	if d.Expires.IsZero() {
		d.Expires = time.Now().Add(defaultDenial).UTC().Truncate(time.Second)
	}
	d, err = list.Add(ctx, d)
	s.logDenial(ctx, "deny", d, err)
	if err != nil {
		return nil, err
	}
	return AddDenial201JSONResponse(denialOf(d)), nil
}

// RemoveDenial implements StrictServerInterface.
func (s rest) RemoveDenial(ctx context.Context, request RemoveDenialRequestObject) (RemoveDenialResponseObject, error) {
	list, err := s.denials()
	if err != nil {
		return nil, err
	}
	err = list.Remove(ctx, request.ID)
	s.logDenial(ctx, "allow again", identity.Denial{ID: request.ID}, err)
	if err != nil {
		return nil, err
	}
	return RemoveDenial204Response{}, nil
}

func (s rest) logDenial(ctx context.Context, action string, d identity.Denial, err error) {
	p := identity.FromContext(ctx)
	s.Log.InfoContext(ctx, "operator changed the deny-list", "action", action, "denial", d.ID, "issuer", d.Issuer, "subject", d.Subject, "reason", d.Reason,
		"failed", err != nil, "operator", p.Subject, "operator_issuer", p.Issuer)
}

func denialOf(d identity.Denial) Denial {
	out := Denial{ID: d.ID, Issuer: d.Issuer, Configured: d.Fixed}
	for _, f := range []struct {
		to   **string
		text string
	}{{&out.Jti, d.TokenID}, {&out.Sid, d.SessionID}, {&out.Sub, d.Subject}, {&out.Reason, d.Reason}} {
		if f.text != "" {
			*f.to = &f.text
		}
	}
	for _, f := range []struct {
		to **time.Time
		at time.Time
	}{{&out.IssuedBefore, d.IssuedBefore}, {&out.Added, d.Added}, {&out.Expires, d.Expires}} {
		if !f.at.IsZero() {
			*f.to = new(f.at.UTC())
		}
	}
	return out
}

// value returns what p points to, or the zero value.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
