package mcpserve

import (
	"container/list"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reply"
)

// Bounds of the feeds that have ended. They are kept for Config.ResumeWindow, at
// most so many of one session in so many bytes, and so many bytes of everybody; the
// oldest go first. The latest one of a session stays whatever its size, which is that
// of an answer at most. So the memory of resumption is at most
//
//	calls in flight × (maxFeedBytes + one answer) + standing streams × maxFeedBytes + maxEndedBytes + one answer
//
// of which a call that is answered by plain JSON takes nothing.
const (
	maxEndedFeeds        = 256
	maxEndedSessionBytes = 4 << 20
	maxEndedBytes        = 64 << 20
	feedOverhead         = 512 // bytes of a feed that has ended, besides its events
)

// feeds are those of all transport sessions. It has no timer: what has expired goes
// when some stream begins, ends or is resumed, and with its session.
type feeds struct {
	window time.Duration // that a feed is kept after its end; 0 or less: no feeds at all

	mu    sync.Mutex // taken before that of a feed
	ended list.List  // of *keptFeed, in the order in which they expire
	bytes int        // of those
}

// feedSession is what a transport session knows of its feeds. Owned by feeds.mu, but
// for level.
type feedSession struct {
	level  func() int // least severity of log messages that its client wants
	byName map[string]*feed
	ended  []*list.Element // its own, oldest first
	bytes  int             // of those
	over   bool            // it keeps no more
}

// keptFeed is a feed that has ended.
type keptFeed struct {
	feed    *feed
	bytes   int
	expires time.Time
}

func newFeeds(window time.Duration) *feeds { return &feeds{window: window} }

func (s *feeds) on() bool { return s != nil && s.window > 0 }

// open makes a feed of a session, carried by out.
func (s *feeds) open(of *feedSession, out *reply.Stream, standing bool) *carrier {
	f := &feed{name: strconv.FormatUint(rand.Uint64(), 36), session: of, standing: standing}
	c := newCarrier(f, out, 0)
	f.carrier = c
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked()
	if !of.over {
		if of.byName == nil {
			of.byName = map[string]*feed{}
		}
		of.byName[f.name] = f
	}
	return c
}

// errNoEvent is the one answer to a Last-Event-ID that leads nowhere: malformed, of
// another session, unknown, or no longer kept. It is no 404, which would mean that
// the session is gone.
var errNoEvent = &fault.Error{
	Kind: fault.Invalid, Code: "event_not_kept",
	Public: "Last-Event-ID names no event that is kept for this session: look for the result of a call with job_list and job_result, or open a stream without that header",
}

// resume makes out carry on a feed of the session behind the event of that id. The
// connection that did so before gets nothing more and is ended.
func (s *feeds) resume(of *feedSession, id string, out *reply.Stream) (*carrier, error) {
	c, before, err := s.take(of, id, out)
	if before != nil {
		close(before.taken) // by whoever took its place, which happens once
		before.out.HangUp()
	}
	return c, err
}

func (s *feeds) take(of *feedSession, id string, out *reply.Stream) (c, before *carrier, err error) {
	name, n, ok := splitEventID(id)
	if !ok || !s.on() {
		return nil, nil, errNoEvent
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked()
	f := of.byName[name]
	if f == nil {
		return nil, nil, errNoEvent
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if n > f.last {
		return nil, nil, errNoEvent
	}
	if f.standing { // it goes on
		s.unkeepLocked(f)
	}
	c = newCarrier(f, out, n)
	before, f.carrier = f.carrier, c
	return c, before, nil
}

// leave says that the connection of c is gone. A standing stream then ends, unless
// somebody resumes it.
func (s *feeds) leave(c *carrier) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := c.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.carrier != c {
		return
	}
	f.carrier, f.left = nil, time.Now()
	if f.standing {
		s.keepLocked(f)
	}
}

// disconnect ends the connection that carries f, whose client is told when to come
// back.
func (s *feeds) disconnect(f *feed, revision string) {
	f.mu.Lock()
	c := f.carrier
	if c != nil {
		f.carrier, f.left = nil, time.Now()
	}
	f.mu.Unlock()
	if c == nil {
		return
	}
	close(c.taken) // by whoever took its place, which happens once
	if revision == rev202511 {
		_ = c.out.SendEvent(reply.Event{Retry: retryDelay}) // one that left does not need it
	}
	c.out.HangUp()
}

// end ends the feed of a call, with its answer if there is one. Later ends do
// nothing.
func (s *feeds) end(f *feed, answer []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return
	}
	if answer != nil {
		f.addLocked(answer, true)
	}
	f.ended = true
	s.keepLocked(f)
}

// keepLocked keeps f, whose mutex is held, for the window from now on.
func (s *feeds) keepLocked(f *feed) {
	of := f.session
	if of.over {
		return
	}
	s.expireLocked()
	k := &keptFeed{feed: f, bytes: f.bytes + f.held + feedOverhead, expires: time.Now().Add(s.window)}
	of.ended = append(of.ended, s.ended.PushBack(k))
	of.bytes += k.bytes
	s.bytes += k.bytes
	for len(of.ended) > maxEndedFeeds || of.bytes > maxEndedSessionBytes && len(of.ended) > 1 {
		s.dropLocked(of.ended[0])
	}
	for s.bytes > maxEndedBytes && s.ended.Len() > 1 {
		s.dropLocked(s.ended.Front())
	}
}

// unkeepLocked takes f out of what has ended; it is still found.
func (s *feeds) unkeepLocked(f *feed) {
	of := f.session
	i := slices.IndexFunc(of.ended, func(e *list.Element) bool { return e.Value.(*keptFeed).feed == f })
	if i < 0 {
		return
	}
	k := s.ended.Remove(of.ended[i]).(*keptFeed)
	of.ended = slices.Delete(of.ended, i, i+1)
	of.bytes -= k.bytes
	s.bytes -= k.bytes
}

// dropLocked forgets a feed that has ended.
func (s *feeds) dropLocked(e *list.Element) {
	f := e.Value.(*keptFeed).feed
	s.unkeepLocked(f)
	delete(f.session.byName, f.name)
}

func (s *feeds) expireLocked() {
	now := time.Now()
	for e := s.ended.Front(); e != nil && !now.Before(e.Value.(*keptFeed).expires); e = s.ended.Front() {
		s.dropLocked(e)
	}
}

// forget drops all feeds of a session that has ended.
func (s *feeds) forget(of *feedSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of.over = true
	for len(of.ended) > 0 {
		s.dropLocked(of.ended[0])
	}
	of.byName = nil
}
