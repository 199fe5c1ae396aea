package web

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/policy"
)

// maxVisit bounds a login whose token says nothing, or little, about its end.
const maxVisit = 12 * time.Hour

// visitor is somebody who has logged in. The token never leaves this struct but
// to the verifier.
type visitor struct {
	name    string // of the cookie
	token   string
	expires time.Time
	gone    chan struct{} // closed when the login is over
	leave   func()        // closes gone, once
}

func newVisitor(token string, expires time.Time) *visitor {
	v := &visitor{name: newName(), token: token, expires: expires, gone: make(chan struct{})}
	v.leave = sync.OnceFunc(func() { close(v.gone) })
	return v
}

// errNoVisit is the answer to somebody who has not logged in, or not any more.
var errNoVisit error = &fault.Error{Kind: fault.Unauthenticated, Code: "logged_out", Public: "you are not logged in, or not any more"}

// who returns who sent r. The token is judged anew for every request, as it is
// for every other request of this server, so that one that was revoked ends the
// login. The error is errNoVisit, the failure of the verifier, or that the
// person may not look.
func (s *site) who(r *http.Request) (*visitor, *identity.Principal, error) {
	cookie, err := r.Cookie(s.cookieName(visitCookie))
	if err != nil {
		return nil, nil, errNoVisit
	}
	v, ok := s.visitors.get(cookie.Value, time.Now())
	if !ok {
		return nil, nil, errNoVisit
	}
	p, err := s.judge(r.Context(), v)
	if err != nil {
		return nil, nil, err
	}
	if c := client.FromContext(r.Context()); c != nil {
		c.Principal = p // for the access log
	}
	return v, p, policy.Require(p, policy.AdminRead)
}

// judge asks the verifier about the visitor's token and ends the login if it is
// good no more.
func (s *site) judge(ctx context.Context, v *visitor) (*identity.Principal, error) {
	p, err := s.deps.Verifier.Verify(ctx, v.token)
	if fault.KindOf(err) == fault.Unauthenticated {
		s.forget(v.name)
		return nil, errNoVisit
	}
	return p, err
}

// forget ends a login, if there is one of that name.
func (s *site) forget(name string) {
	if v, ok := s.visitors.take(name, time.Now()); ok {
		v.leave()
	}
}
