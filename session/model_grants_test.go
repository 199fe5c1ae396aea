package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"pgregory.net/rapid"
)

type modelGrant struct {
	access           Access
	granted, expires time.Time
}

// grant is the rule of who may do what: the grant that o has now, if any.
func (s *modelSession) grant(o Owner) (modelGrant, bool) {
	g, ok := s.grants[o]
	return g, ok && s.live() && time.Now().Before(g.expires)
}

// checkGrants compares what the hook was told, and what grantees find, with the
// model.
func (m *model) checkGrants(t *rapid.T) {
	var want []string
	for _, e := range m.events {
		if strings.HasPrefix(e, "grant") || strings.HasPrefix(e, "revoked") {
			want = append(want, e)
		}
	}
	slices.Sort(want)
	slices.Sort(m.granted)
	if !slices.Equal(m.granted, want) {
		t.Fatalf("the hook of grants was told %v, want %v", m.granted, want)
	}
	m.granted = nil
	line := func(id ID, a Access, granted, expires time.Time) string {
		return fmt.Sprint(id, a, granted.UnixNano(), expires.UnixNano())
	}
	for _, o := range modelOwners {
		var got, want []string
		for _, x := range m.d.Granted(o) {
			got = append(got, line(x.ID, x.Grant.Access, x.Grant.Granted, x.Grant.Expires))
		}
		for _, s := range m.sessions {
			if g, ok := s.grant(o); ok && s.overdue(time.Now()) == "" {
				want = append(want, line(s.id, g.access, g.granted, g.expires))
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("granted to %v: %v, want %v", o, got, want)
		}
	}
}

// checkStoredGrants looks at the grants that the next process would give. A grant
// whose revocation could not be stored may be among them.
func (m *model) checkStoredGrants(t *rapid.T, after *Directory) {
	for _, o := range modelOwners {
		for _, x := range after.Granted(o) {
			for _, s := range m.sessions {
				if g, ok := s.grant(o); s.id == x.ID && !s.unstored && s.live() && (!ok || g.access != x.Grant.Access || !g.expires.Equal(x.Grant.Expires)) {
					t.Errorf("%s would be granted to %v after a crash: %+v, want %+v", s.id, o, x.Grant, g)
				}
			}
		}
		for _, s := range m.sessions {
			_, ok := s.grant(o)
			if ok && !s.unstored && s.overdue(time.Now()) == "" && has(after, s.owner, s.id) && !slices.ContainsFunc(after.Granted(o), func(x Shared) bool { return x.ID == s.id }) {
				t.Errorf("the grant of %s to %v is not stored", s.id, o)
			}
		}
	}
}

// refusal is the rule of what a handle may still do.
func (m *model) refusal(h *modelHandle, need Access) error {
	if h.who == h.s.owner {
		return nil
	}
	g, ok := h.s.grants[h.who] // also of a session that drains
	switch {
	case !ok || !time.Now().Before(g.expires):
		m.reached["over in flight"]++
		return errMiss
	case need == AccessWrite && g.access == AccessRead:
		m.reached["read_only_grant"]++
		return errReadOnlyGrant
	}
	return nil
}

// prune is the rule of what happens to grants that have expired.
func (m *model) prune(s *modelSession) {
	for o, g := range s.grants {
		if !time.Now().Before(g.expires) {
			delete(s.grants, o)
			s.unstored = true
			m.reached["expired"]++
			m.events = append(m.events, fmt.Sprint("grant_expired ", s.id, " ", o.Subject))
		}
	}
}

// modelGrantees are of the tenant whose owners share.
var modelGrantees = []Grantee{{"i", "1"}, {"i", "2"}, {"j", "1"}, {"", "2"}, {"k", "nobody"}}

func (m *model) Share(t *rapid.T) { m.share(t, nil) }

// ShareUnstored is a share while the store fails: nothing is granted.
func (m *model) ShareUnstored(t *rapid.T) {
	if m.store == nil {
		t.Skip("no store")
	}
	m.store.set(m.store.fail, "save", errDisk)
	defer m.store.set(m.store.fail, "save", nil)
	m.share(t, errDisk)
}

func (m *model) share(t *rapid.T, broken error) {
	h, to := m.someHandle(t), rapid.SampledFrom(modelGrantees).Draw(t, "grantee")
	access := rapid.SampledFrom([]Access{AccessRead, AccessWrite}).Draw(t, "access")
	ttl := rapid.SampledFrom([]time.Duration{0, 10 * time.Second, 3 * time.Minute}).Draw(t, "ttl")
	s, now := h.s, time.Now()
	g, err := h.Handle.Share(context.Background(), to, access, ttl)
	if h.who != s.owner {
		want := m.refusal(h, AccessWrite)
		if want == nil {
			want = errNotOwner
		}
		if err != want {
			t.Fatalf("share by a grantee: %v, want %v", err, want)
		}
		return
	}
	guest := granteeOf(s.owner, to)
	if guest == s.owner {
		if fault.From(err).Code != "share_with_self" {
			t.Fatalf("share with oneself: %v", err)
		}
		return
	}
	if !s.live() {
		if _, ended := errors.AsType[*Ended](err); !ended {
			t.Fatalf("share of a session in state %q: %v", s.state, err)
		}
		return
	}
	m.prune(s)
	if ttl == 0 {
		ttl = DefaultMaxGrantTTL
	}
	want := modelGrant{access, now, now.Add(ttl)}
	if end := s.created.Add(s.maxTTL); end.Before(want.expires) {
		want.expires = end
	}
	old, had := s.grants[guest]
	same := had && old.access == access && old.expires.Equal(want.expires)
	switch {
	case !same && !had && len(s.grants) >= m.cfg.MaxGrants:
		if fault.From(err).Code != "too_many_grants" {
			t.Fatalf("share with one too many: %v", err)
		}
		return
	case !same && broken != nil:
		if !errors.Is(err, broken) {
			t.Fatalf("share: %v, want what the store says", err)
		}
		return
	case err != nil:
		t.Fatalf("share: %v", err)
	case same:
		want = old
	default:
		m.reached["granted"]++
		m.events = append(m.events, fmt.Sprint("granted ", s.id, " ", to.Subject))
	}
	if g.Access != want.access || !g.Granted.Equal(want.granted) || !g.Expires.Equal(want.expires) || g.Grantee.Subject != to.Subject {
		t.Fatalf("share: %+v, want %+v", g, want)
	}
	s.grants[guest] = want
}

func (m *model) Unshare(t *rapid.T) { m.unshare(t, nil) }

// UnshareUnstored is a revocation while the store fails: it holds nevertheless.
func (m *model) UnshareUnstored(t *rapid.T) {
	if m.store == nil {
		t.Skip("no store")
	}
	m.store.set(m.store.fail, "save", errDisk)
	defer m.store.set(m.store.fail, "save", nil)
	m.unshare(t, errDisk)
}

func (m *model) unshare(t *rapid.T, broken error) {
	h, to := m.someHandle(t), rapid.SampledFrom(modelGrantees).Draw(t, "grantee")
	s := h.s
	revoked, err := h.Handle.Unshare(context.Background(), to)
	if h.who != s.owner {
		want := m.refusal(h, AccessWrite)
		if want == nil {
			want = errNotOwner
		}
		if err != want {
			t.Fatalf("unshare by a grantee: %v, want %v", err, want)
		}
		return
	}
	guest := granteeOf(s.owner, to)
	if s.live() {
		m.prune(s)
	}
	_, had := s.grants[guest]
	if had = had && s.live(); had {
		delete(s.grants, guest)
		s.unstored = true
		m.reached["revoked"]++
		m.events = append(m.events, fmt.Sprint("revoked ", s.id, " ", to.Subject))
	}
	if revoked != had {
		t.Fatalf("unshare: revoked %v, want %v", revoked, had)
	}
	switch {
	case !s.live(): // there is nothing to revoke; whether the store is asked does not matter
	case broken != nil && s.unstored:
		if !had && err == nil {
			return // a commit since has stored them
		}
		if !errors.Is(err, broken) {
			t.Fatalf("unshare: %v, want what the store says", err)
		}
	case err != nil:
		t.Fatalf("unshare: %v", err)
	default:
		s.unstored = false
	}
}

// UseAsGrantee is a call of somebody to whom the session may be granted.
func (m *model) UseAsGrantee(t *rapid.T) {
	s := m.someSession(t)
	m.use(t, s, granteeOf(s.owner, rapid.SampledFrom(modelGrantees).Draw(t, "grantee")))
}

// UseGranted is a call of somebody to whom the session is granted, such as
// Acquire rarely hits by chance.
func (m *model) UseGranted(t *rapid.T) {
	type pair struct {
		s     *modelSession
		guest Owner
	}
	var all []pair
	for _, s := range m.sessions {
		for _, o := range modelOwners {
			if _, ok := s.grant(o); ok {
				all = append(all, pair{s, o})
			}
		}
	}
	if len(all) == 0 {
		t.Skip("no grant")
	}
	p := rapid.SampledFrom(all).Draw(t, "grant")
	m.use(t, p.s, p.guest)
}

// ShareAndEnd is the life of a grant in the middle of a call of its grantee.
func (m *model) ShareAndEnd(t *rapid.T) {
	m.share(t, nil)
	m.UseGranted(t)
	m.unshare(t, nil)
	m.Update(t)
}

func (m *model) use(t *rapid.T, s *modelSession, guest Owner) {
	h, err := m.d.Acquire(context.Background(), guest, s.id)
	if !m.find(t, guest, s) {
		if err != errMiss {
			t.Fatalf("acquire: %v, want a miss", err)
		}
		return
	}
	if err != nil {
		t.Fatalf("acquire: %v", err)
	}
	s.inFlight++
	m.reached["used"]++
	mh := &modelHandle{Handle: h, s: s, who: guest}
	m.handles = append(m.handles, mh)
	if rapid.Bool().Draw(t, "updates") {
		m.update(t, mh)
	}
}

// Read compares what a handle sees of a slot with what was committed.
func (m *model) Read(t *rapid.T) {
	h := m.someHandle(t)
	refused := m.refusal(h, AccessRead)
	text, ok, err := modelSlots.Key("a").Read(h.Handle)
	want, there := h.s.slots["text/a"]
	if err != refused || refused == nil && (text != want || ok != there) {
		t.Fatalf("read by %v: %q, %v, %v: want %q, %v, %v", h.who, text, ok, err, want, there, refused)
	}
}
