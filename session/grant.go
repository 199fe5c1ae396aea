package session

import (
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Access is what a grant lets its grantee do with a session.
type Access string

// The kinds of access.
const (
	AccessRead  Access = "read"  // look at the state
	AccessWrite Access = "write" // look at it and commit to it
)

// Limits of what names a grantee, in bytes.
const (
	MaxSubject = 256
	MaxIssuer  = 512
)

// Grantee is whom a session is shared with. Its tenant is always that of the
// session's owner, so that no grant leads out of a tenant.
type Grantee struct {
	Issuer  string // empty: that of the session's owner
	Subject string
}

// Grant lets somebody besides its owner use one session.
type Grant struct {
	Grantee Grantee
	Access  Access
	Granted time.Time
	Expires time.Time // never after the session's absolute TTL
}

// GrantEvent tells of one change of the grants of a session. The end of a session
// ends its grants and is not told here.
type GrantEvent struct {
	Kind     EventKind // EventGranted, EventRevoked or EventGrantExpired
	ID       ID        // which only the owner and grantees may see; Ref is for everyone else
	Owner    Owner     // whose session it is, and who granted
	Grant    Grant
	Operator bool // it was revoked by an operator and not by the owner
	At       time.Time
}

// grant is a Grant inside of a directory.
type grant struct {
	to               Owner
	access           Access
	granted, expires moment
}

func (g *grant) public(d *Directory) Grant {
	return Grant{Grantee{g.to.Issuer, g.to.Subject}, g.access, d.time(g.granted), d.time(g.expires)}
}

// sharing is what a session that is or was shared has besides. Owned by its
// shard's mu.
type sharing struct {
	grants []grant // in order of granting, one a grantee; never changed, only replaced
	rev    uint64  // changes of grants
	stored uint64  // the rev that the store has
}

var (
	errReadOnlyGrant error = &fault.Error{
		Kind: fault.Forbidden, Code: "read_only_grant",
		Public: "this session is shared with you for reading: its owner can grant write access with session_share",
	}
	errNotOwner error = &fault.Error{
		Kind: fault.Forbidden, Code: "not_owner",
		Public: "this session is shared with you: only its owner may do that",
	}
)

// Granted returns the grant by which the caller has the session; shared is false
// for its owner. The grant is zero if it has been revoked or has expired since.
func (h *Handle) Granted() (g Grant, shared bool) {
	if h.guest == nil {
		return Grant{}, false
	}
	s := h.e.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	if found, ok := h.e.grantLocked(*h.guest, s.dir.now()); ok {
		g = found.public(s.dir)
	}
	return g, true
}

// MayWrite says why a commit by this handle would be refused: a grant for reading
// is Forbidden with the code "read_only_grant", one that is over is the miss of
// Acquire. Commits ask again; this is for those who want to know before they
// compute. It is nil, and costs nothing, for the session's owner.
func (h *Handle) MayWrite() error { return h.may(AccessWrite) }

func (h *Handle) may(need Access) error {
	if h.guest == nil {
		return nil
	}
	s := h.e.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := h.e.grantLocked(*h.guest, s.dir.now())
	switch {
	case !ok:
		return errMiss
	case need == AccessWrite && g.access != AccessWrite:
		return errReadOnlyGrant
	}
	return nil
}

// mayOwn is may for what only the owner may do.
func (h *Handle) mayOwn() error {
	if err := h.may(AccessWrite); err != nil || h.guest == nil {
		return err
	}
	return errNotOwner
}

// Share grants somebody of the owner's tenant access until ttl has passed, or
// until the session is over age; a ttl of 0 is Config.MaxGrantTTL. To share again
// with the same grantee replaces the grant; if that changes nothing, nothing is
// told. It is no commit: the session's version stays, and Expect does not concern
// it. With a store it is durable when Share returns nil. Only the owner may share:
// a grantee is Forbidden. It fails with Invalid for a bad grantee, access or ttl,
// and with TooLarge, code "too_many_grants", over Config.MaxGrants.
func (h *Handle) Share(ctx context.Context, to Grantee, access Access, ttl time.Duration) (Grant, error) {
	if err := h.mayOwn(); err != nil {
		return Grant{}, err
	}
	e, d := h.e, h.e.shard.dir
	next, ttl, err := d.cfg.admitGrant(e.own.Owner, to, access, ttl)
	if err != nil {
		return Grant{}, err
	}
	st, err := h.e.takeTurn(ctx)
	if err != nil {
		return Grant{}, err
	}
	told, err := d.share(st, &next, ttl)
	st.end()
	d.notify(told)
	if err != nil {
		return Grant{}, err
	}
	return next.public(d), nil
}

// share is Share for the session's writer.
func (d *Directory) share(st *state, next *grant, ttl time.Duration) ([]notice, error) {
	e := st.entry
	s := e.shard
	s.mu.Lock()
	if e.phase != live {
		s.mu.Unlock()
		return nil, &Ended{e.reason}
	}
	now := d.now()
	next.granted, next.expires = now, min(now.add(ttl), e.ageAt)
	told := s.pruneGrantsLocked(e, now, nil)
	grants, at := e.grantsLocked(), e.sharingRevLocked()
	s.mu.Unlock()
	i := slices.IndexFunc(grants, func(g grant) bool { return g.to == next.to })
	switch {
	case i >= 0 && grants[i].access == next.access && grants[i].expires == next.expires:
		*next = grants[i]
		return told, nil
	case i < 0 && len(grants) >= d.cfg.MaxGrants:
		return told, coded(fault.TooLarge, "too_many_grants", "the session is shared with %d others, the limit: take one back with session_unshare", len(grants))
	}
	err := d.keep.saveGrants(st, withGrant(grants, *next))
	s.mu.Lock()
	defer s.mu.Unlock()
	x := e.sharingMadeLocked()
	switch {
	case err != nil:
		if unknown(err) { // the store may have it: it is stored again as it is here
			x.rev++
			s.touchLocked(e)
		}
		return told, err
	case e.phase != live:
		return told, &Ended{e.reason}
	case x.rev == at: // else somebody revoked meanwhile, and stores that
		x.stored = at + 1
	}
	x.rev++
	x.grants = withGrant(x.grants, *next)
	d.guestsOf(next.to).add(next.to, e)
	if due := e.dueLocked(now); due < e.due {
		s.deadlines.set(e, due)
	}
	return append(told, s.noticeLocked(e, EventGranted, next, false)), nil
}

// withGrant returns grants with g in the place of that of the same grantee.
func withGrant(grants []grant, g grant) []grant {
	all := slices.DeleteFunc(slices.Clone(grants), func(old grant) bool { return old.to == g.to })
	return append(all, g)
}

// Unshare takes a grant back, at once: when it is called, no call that begins
// finds the session by it; when it returns, no commit by it follows, and with a
// store it is durable. It is Unavailable while the grant is revoked but that
// could not be stored; the directory goes on trying. To take back what is not
// there changes nothing. Only the owner may: a grantee is Forbidden.
func (h *Handle) Unshare(ctx context.Context, to Grantee) (revoked bool, err error) {
	if err := h.mayOwn(); err != nil {
		return false, err
	}
	e, s, d := h.e, h.e.shard, h.e.shard.dir
	guest := granteeOf(e.own.Owner, to)
	s.mu.Lock()
	told, revoked := s.revokeLocked(e, guest, false)
	stale := e.grantsStaleLocked()
	s.mu.Unlock()
	d.notify(told)
	if !revoked && !stale {
		return false, nil
	}
	// Whoever commits at the moment was let in before; this waits for the end of it.
	st, err := h.e.takeTurn(ctx)
	if err != nil {
		return revoked, err
	}
	defer st.end()
	return revoked, d.keep.storeGrants(st)
}

// revokeLocked takes the grant of guest back.
func (s *shard) revokeLocked(e *entry, guest Owner, operator bool) (told []notice, revoked bool) {
	now := s.dir.now()
	told = s.pruneGrantsLocked(e, now, nil)
	g, ok := e.grantLocked(guest, now)
	if !ok || e.phase != live {
		return told, false
	}
	s.dropGrantsLocked(e, func(other *grant) bool { return other.to == guest })
	return append(told, s.noticeLocked(e, EventRevoked, &g, operator)), true
}

// pruneGrantsLocked drops what has expired.
func (s *shard) pruneGrantsLocked(e *entry, now moment, told []notice) []notice {
	grants := e.grantsLocked()
	if e.phase != live || !slices.ContainsFunc(grants, func(g grant) bool { return now >= g.expires }) {
		return told
	}
	s.dropGrantsLocked(e, func(g *grant) bool { return now >= g.expires })
	for i := range grants {
		if now >= grants[i].expires {
			told = append(told, s.noticeLocked(e, EventGrantExpired, &grants[i], false))
		}
	}
	return told
}

func (s *shard) dropGrantsLocked(e *entry, dropped func(*grant) bool) {
	x := e.sharingMadeLocked()
	left := make([]grant, 0, len(x.grants))
	for i := range x.grants {
		if g := &x.grants[i]; dropped(g) {
			s.dir.guestsOf(g.to).remove(g.to, e)
		} else {
			left = append(left, *g)
		}
	}
	x.grants = left
	x.rev++
	s.touchLocked(e)
}

// Grants returns to whom the session is granted now, in order of granting. Only
// the owner may ask: a grantee is Forbidden.
func (h *Handle) Grants() ([]Grant, error) {
	if err := h.mayOwn(); err != nil {
		return nil, err
	}
	s := h.e.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.dir.now()
	var all []Grant
	for _, g := range h.e.grantsLocked() {
		if now < g.expires {
			all = append(all, g.public(s.dir))
		}
	}
	return all, nil
}

// Usage reports how much of its quota the session's owner uses.
func (h *Handle) Usage() Quota { return h.e.shard.dir.Usage(h.e.own.Owner) }

// granteeOf names a grantee of one of o's sessions: the tenant is never asked for.
func granteeOf(o Owner, to Grantee) Owner {
	if to.Issuer == "" {
		to.Issuer = o.Issuer
	}
	return Owner{o.Tenant, to.Issuer, to.Subject}
}

// admitGrant checks a grant that is asked for and fills in the ttl.
func (c *Config) admitGrant(o Owner, to Grantee, access Access, ttl time.Duration) (grant, time.Duration, error) {
	g := grant{to: granteeOf(o, to), access: access}
	fits := func(s string, limit int) bool { return len(s) <= limit && utf8.ValidString(s) }
	switch {
	case to.Subject == "" || !fits(to.Subject, MaxSubject):
		return g, 0, fault.Newf(fault.Invalid, "the grantee's subject has %d bytes: want valid UTF-8 of 1 to %d", len(to.Subject), MaxSubject)
	case !fits(to.Issuer, MaxIssuer):
		return g, 0, fault.Newf(fault.Invalid, "the grantee's issuer has %d bytes: want valid UTF-8 of at most %d", len(to.Issuer), MaxIssuer)
	case g.to == o:
		return g, 0, coded(fault.Invalid, "share_with_self", "the session is your own: share it with another subject")
	case access != AccessRead && access != AccessWrite:
		return g, 0, fault.Newf(fault.Invalid, "the access is %.40q: want read or write", access)
	case ttl < 0 || ttl > c.MaxGrantTTL:
		return g, 0, fault.Newf(fault.Invalid, "the grant's TTL is %v: want more than 0 and at most %v", ttl, c.MaxGrantTTL)
	case ttl == 0:
		ttl = c.MaxGrantTTL
	}
	return g, ttl, nil
}
