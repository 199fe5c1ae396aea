package mcpserve

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

// subscriptions knows who wants to be told when a session changes.
//
// A commit is told by the call that made it, once its tool is through. That is a
// hint which makes updates prompt; what decides is the session's version: the
// streams compare it now and then (recheck), so a change that nobody told of is
// noticed too. Changes are marked until a stream has sent them and are marked again
// by every later change. So they coalesce, and the last one is never lost.
//
// A subscription does not hold its session: watching keeps nothing alive.
type subscriptions struct {
	most    int          // URIs of one owner
	watched atomic.Int64 // sessions; a call of one that nobody watches looks at no more than this

	mu       sync.Mutex
	sessions map[session.ID]*watch
	legacy   map[session.ID]*subscriber // of the older revisions, by transport session
	per      map[session.Owner]int      // URIs
}

// watch is a session that somebody watches. Owned by subscriptions.mu.
type watch struct {
	version uint64 // of the session, up to which subscribers have been told
	by      map[*subscriber]struct{}
	unhook  func() // takes back the hook on the session's end; nil until it is set
}

// subscriber is who is told: the stream of a subscriptions/listen, or the
// standing streams of one transport session.
type subscriber struct {
	owner session.Owner
	wake  chan struct{} // has room for one: there is something marked

	// Owned by subscriptions.mu:
	targets map[string]*target // by the URI as the client wrote it
	marked  []string           // URIs whose update is still to be sent, each once
	live    int                // targets in sessions that have not ended
	had     bool               // there was a target in a session at some time
	served  bool               // a stream has served it before
	gone    bool               // it takes no more subscriptions
}

// target is what one URI of a subscriber is about.
type target struct {
	uri   resourceURI
	fresh bool   // the version of its slot is not known yet
	seen  uint64 // version of the slot when the subscriber was told last; 0: it was not there
}

func newSubscriptions(most int) *subscriptions {
	return &subscriptions{
		most: most, sessions: map[session.ID]*watch{}, legacy: map[session.ID]*subscriber{}, per: map[session.Owner]int{},
	}
}

func newSubscriber(o session.Owner) *subscriber {
	return &subscriber{owner: o, wake: make(chan struct{}, 1), targets: map[string]*target{}}
}

// rouse wakes subscribers. It is called under no lock.
func rouse(all []*subscriber) {
	for _, s := range all {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// markLocked marks a URI and reports whether that is new.
func (s *subscriber) markLocked(uri string) bool {
	if slices.Contains(s.marked, uri) {
		return false
	}
	s.marked = append(s.marked, uri)
	return true
}

var errTooManySubscriptions = &fault.Error{
	Kind: fault.RateLimited, Code: "too_many_subscriptions", RetryAfter: 5 * time.Second,
	Public: "too many subscriptions: end some first",
}

// add makes sub want to know of uri. h is the session that it is in, nil for what
// never changes; the caller holds it and calls settle with a snapshot of it that was
// taken later. To add a URI twice is the same as once.
func (s *subscriptions) add(sub *subscriber, text string, uri resourceURI, h *session.Handle) error {
	s.mu.Lock()
	if sub.gone {
		s.mu.Unlock()
		return errNoTransport
	}
	if sub.targets[text] != nil {
		s.mu.Unlock()
		return nil
	}
	if s.per[sub.owner] >= s.most {
		s.mu.Unlock()
		return errTooManySubscriptions
	}
	s.per[sub.owner]++
	sub.targets[text] = &target{uri: uri, fresh: true}
	var made *watch
	if h != nil {
		sub.live++
		sub.had = true
		w := s.sessions[h.ID()]
		if w == nil {
			w = &watch{by: map[*subscriber]struct{}{}}
			s.sessions[h.ID()] = w
			s.watched.Add(1)
			made = w
		}
		w.by[sub] = struct{}{}
	}
	s.mu.Unlock()
	if made != nil {
		s.hook(made, h)
	}
	return nil
}

// hook makes the end of a session end its watch.
func (s *subscriptions) hook(w *watch, h *session.Handle) {
	id := h.ID()
	unhook := h.OnEnd(func(session.Reason) { s.ended(id) })
	s.mu.Lock()
	gone := s.sessions[id] != w
	if !gone {
		w.unhook = unhook
	}
	s.mu.Unlock()
	if gone {
		unhook()
	}
}

// settle takes a snapshot of a session whose URIs sub has just added: from it on,
// sub is told of changes. Others who watch the session may hear of some by it.
func (s *subscriptions) settle(sub *subscriber, snap *session.Snapshot) {
	s.observe(snap)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range sub.targets {
		if t.fresh && t.uri.session == snap.ID {
			t.fresh, t.seen = false, slotVersion(snap.Cells, t.uri)
		}
	}
}

// observe compares a session with what its subscribers have been told of it.
func (s *subscriptions) observe(snap *session.Snapshot) {
	s.mu.Lock()
	w := s.sessions[snap.ID]
	if w == nil || snap.Version <= w.version {
		s.mu.Unlock()
		return
	}
	w.version = snap.Version
	var woken []*subscriber
	for sub := range w.by {
		if sub.compareLocked(snap) {
			woken = append(woken, sub)
		}
	}
	s.mu.Unlock()
	rouse(woken)
}

// compareLocked marks what of the subscriber has changed in a snapshot.
func (sub *subscriber) compareLocked(snap *session.Snapshot) (marked bool) {
	for text, t := range sub.targets {
		if t.uri.session != snap.ID {
			continue
		}
		v := slotVersion(snap.Cells, t.uri)
		changed := !t.uri.ofSlot() || v != t.seen
		if t.seen = v; changed && !t.fresh {
			marked = sub.markLocked(text) || marked
		}
		t.fresh = false
	}
	return marked
}

// ended marks every URI of a session that has ended and forgets it.
func (s *subscriptions) ended(id session.ID) {
	s.mu.Lock()
	w := s.sessions[id]
	if w == nil {
		s.mu.Unlock()
		return
	}
	delete(s.sessions, id)
	s.watched.Add(-1)
	var woken []*subscriber
	for sub := range w.by {
		for text, t := range sub.targets {
			if t.uri.session == id {
				sub.markLocked(text)
				s.forgetLocked(sub, text)
			}
		}
		woken = append(woken, sub)
	}
	s.mu.Unlock()
	rouse(woken)
}

// forgetLocked takes a target out of a subscriber.
func (s *subscriptions) forgetLocked(sub *subscriber, text string) {
	if t := sub.targets[text]; t.uri.private() {
		sub.live--
	}
	delete(sub.targets, text)
	if s.per[sub.owner]--; s.per[sub.owner] <= 0 {
		delete(s.per, sub.owner)
	}
}

// remove ends one subscription. To remove what is not there changes nothing.
func (s *subscriptions) remove(sub *subscriber, text string) {
	s.mu.Lock()
	var unhook func()
	if t := sub.targets[text]; t != nil {
		s.forgetLocked(sub, text)
		unhook = s.releaseLocked(sub, t.uri.session)
	}
	sub.marked = slices.DeleteFunc(sub.marked, func(m string) bool { return m == text })
	s.mu.Unlock()
	if unhook != nil {
		unhook()
	}
}

// releaseLocked forgets that sub watches a session if none of its targets is in
// it, and returns what to call, under no lock, if nobody watches it any more.
func (s *subscriptions) releaseLocked(sub *subscriber, id session.ID) (unhook func()) {
	w := s.sessions[id]
	if w == nil {
		return nil
	}
	for _, t := range sub.targets {
		if t.uri.session == id {
			return nil
		}
	}
	delete(w.by, sub)
	if len(w.by) > 0 {
		return nil
	}
	delete(s.sessions, id)
	s.watched.Add(-1)
	return w.unhook
}

// drop ends all of a subscriber's subscriptions, for good.
func (s *subscriptions) drop(sub *subscriber) {
	s.mu.Lock()
	var unhooks []func()
	for text, t := range sub.targets {
		s.forgetLocked(sub, text)
		if unhook := s.releaseLocked(sub, t.uri.session); unhook != nil {
			unhooks = append(unhooks, unhook)
		}
	}
	sub.marked, sub.gone = nil, true
	s.mu.Unlock()
	for _, unhook := range unhooks {
		unhook()
	}
}

// take returns the URIs to tell the subscriber's client of, sorted, and whether
// all the sessions that it watched have ended.
func (s *subscriptions) take(sub *subscriber) (uris []string, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	uris, sub.marked = sub.marked, nil
	slices.Sort(uris)
	return uris, sub.had && sub.live == 0
}

// giveBack marks what could not be sent again.
func (s *subscriptions) giveBack(sub *subscriber, uris []string) {
	s.mu.Lock()
	for _, u := range uris {
		sub.markLocked(u)
	}
	s.mu.Unlock()
	rouse([]*subscriber{sub})
}

// serve prepares a subscriber for a stream. What an earlier stream sent may have
// got lost with its connection, so then everything is told anew.
func (s *subscriptions) serve(sub *subscriber) {
	s.mu.Lock()
	if sub.served {
		for text, t := range sub.targets {
			if t.uri.private() {
				sub.markLocked(text)
			}
		}
	}
	sub.served = true
	s.mu.Unlock()
	rouse([]*subscriber{sub})
}

// watches reports whether anybody watches a session.
func (s *subscriptions) watches(id session.ID) bool {
	if s.watched.Load() == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id] != nil
}

// sessionsOf returns the sessions that sub watches.
func (s *subscriptions) sessionsOf(sub *subscriber) []session.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []session.ID
	for _, t := range sub.targets {
		if t.uri.private() && !slices.Contains(ids, t.uri.session) {
			ids = append(ids, t.uri.session)
		}
	}
	return ids
}

// recheck looks whether the sessions that sub watches are still there, and at the
// version up to which their subscribers have been told. list returns the sessions
// that the owner has.
func (s *subscriptions) recheck(sub *subscriber, list func(session.Owner) []session.Info) {
	ids := s.sessionsOf(sub) // before the list, which then has all of them that live
	if len(ids) == 0 {
		return
	}
	all := list(sub.owner)
	for _, id := range ids {
		i := slices.IndexFunc(all, func(i session.Info) bool { return i.ID == id })
		if i < 0 {
			s.ended(id)
			continue
		}
		s.behind(id, all[i].Version)
	}
}

// behind marks every URI of a session that is at a version nobody told of.
func (s *subscriptions) behind(id session.ID, version uint64) {
	s.mu.Lock()
	var woken []*subscriber
	if w := s.sessions[id]; w != nil && version > w.version {
		w.version = version
		for sub := range w.by {
			for text, t := range sub.targets {
				if t.uri.session == id {
					sub.markLocked(text)
				}
			}
			woken = append(woken, sub)
		}
	}
	s.mu.Unlock()
	rouse(woken)
}

// cellOf returns the cell of that name among cells, which are sorted, or nil.
func cellOf(cells []session.Cell, name string) *session.Cell {
	i, found := slices.BinarySearchFunc(cells, name, func(c session.Cell, n string) int { return cmp.Compare(c.Name, n) })
	if !found {
		return nil
	}
	return &cells[i]
}

// slotVersion returns the version of the slot that u is about: 0 if it is about
// none, or it is not there.
func slotVersion(cells []session.Cell, u resourceURI) uint64 {
	if u.ofSlot() {
		if c := cellOf(cells, u.part); c != nil {
			return c.Version
		}
	}
	return 0
}
