package mcpserve

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reply"
)

// feed is what one event stream of an older revision says, whatever connection
// carries it. In these revisions a lost connection ends no call. So the events are
// numbered and kept for a while, and a GET that names the last one it has seen goes
// on behind it, on another connection.
//
// Nothing here sends while it holds a lock: whoever sends takes one event after the
// other from its feed. So a feed is also the buffer between a tool and its reader,
// in every revision.
type feed struct {
	name     string       // begins the ids of its events; random, so that it is of no stream of another session
	session  *feedSession // nil where streams are not resumed: the events then have no ids
	standing bool         // opened by a GET: no answer ends it

	mu      sync.Mutex
	kept    []event // in the order of their numbers, which have gaps where one was dropped
	bytes   int     // of those that are not pinned
	pins    int     // how many those are
	held    int     // and what they take
	last    uint64  // number of the latest event; the first one has 1
	ended   bool    // nothing will follow
	carrier *carrier
	left    time.Time // since when there is no carrier
}

// event is one message of a feed. Its bytes are shared: nobody changes them.
type event struct {
	n      uint64
	data   []byte
	pinned bool // it is never dropped: the answer, or a question that is open
}

// Bounds of one feed while its call goes on: so many events in so many bytes, to
// which come the questions that are open, the answer, and the latest event whatever
// its size. The bounds of all feeds together are in resume_keep.go.
const (
	maxFeedEvents = 256
	maxFeedBytes  = 256 << 10
)

// carrier is one connection that carries a feed. sent belongs to whoever sends: the
// request of the call, under the mutex of its exchange, or the handler of the GET.
type carrier struct {
	feed  *feed
	out   *reply.Stream
	sent  uint64        // number of the last event that it has sent
	wake  chan struct{} // has room for one: there is something to send
	taken chan struct{} // closed when another connection carries the feed

	primed bool // the response has begun; belongs to whoever sends
}

func newCarrier(f *feed, out *reply.Stream, sent uint64) *carrier {
	return &carrier{feed: f, out: out, sent: sent, wake: make(chan struct{}, 1), taken: make(chan struct{})}
}

// errTaken is why a connection sends no more of a feed.
var errTaken = errors.New("another connection carries the stream")

// eventID is how the client names event n: the feed, a hyphen and the number. The
// number 0 is the place before the first event.
func (f *feed) eventID(n uint64) string {
	if f.session == nil {
		return ""
	}
	return f.name + "-" + strconv.FormatUint(n, 10)
}

// splitEventID takes an id apart, as eventID has made it.
func splitEventID(id string) (name string, n uint64, ok bool) {
	i := strings.LastIndexByte(id, '-')
	if i <= 0 {
		return "", 0, false
	}
	n, err := strconv.ParseUint(id[i+1:], 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != id[i+1:] {
		return "", 0, false
	}
	return id[:i], n, true
}

// add appends an event and returns its number. After the end it does nothing and
// returns 0.
func (f *feed) add(data []byte, pinned bool) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return 0
	}
	return f.addLocked(data, pinned)
}

func (f *feed) addLocked(data []byte, pinned bool) uint64 {
	f.last++
	f.kept = append(f.kept, event{n: f.last, data: data, pinned: pinned})
	if pinned { // it makes no room at the cost of others
		f.pins++
		f.held += cap(data)
	} else {
		f.bytes += cap(data)
	}
	for i := 0; i < len(f.kept)-1 && (len(f.kept)-f.pins > maxFeedEvents || f.bytes > maxFeedBytes); {
		if f.kept[i].pinned {
			i++
			continue
		}
		f.dropLocked(i)
	}
	return f.last
}

func (f *feed) dropLocked(i int) {
	if e := f.kept[i]; e.pinned {
		f.pins--
		f.held -= cap(e.data)
	} else {
		f.bytes -= cap(e.data)
	}
	copy(f.kept[i:], f.kept[i+1:])
	f.kept[len(f.kept)-1] = event{}
	f.kept = f.kept[:len(f.kept)-1]
}

// unpin makes a question that is over an event like others.
func (f *feed) unpin(n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.kept {
		if e := &f.kept[i]; e.n == n && e.pinned {
			e.pinned = false
			f.pins--
			f.held -= cap(e.data)
			f.bytes += cap(e.data)
		}
	}
}

// next returns the event that c has to send now; none when it has sent all, and then
// whether nothing will follow.
func (f *feed) next(c *carrier) (e event, found, over bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.carrier != c {
		return event{}, false, false, errTaken
	}
	if f.session == nil { // nobody comes back for what was sent
		for len(f.kept) > 0 && f.kept[0].n <= c.sent {
			f.dropLocked(0)
		}
	}
	for i := len(f.kept); i > 0; i-- {
		if f.kept[i-1].n <= c.sent {
			break
		}
		e, found = f.kept[i-1], true
	}
	return e, found, f.ended, nil
}

// flush sends what c has not sent yet and reports whether that was the end.
func (c *carrier) flush() (over bool, err error) {
	for {
		e, found, over, err := c.feed.next(c)
		if err != nil || !found {
			return over, err
		}
		if e.n > c.sent+1 {
			if err := c.tellGap(e.n); err != nil {
				return false, err
			}
		}
		if err := c.out.SendEvent(reply.Event{ID: c.feed.eventID(e.n), Data: e.data}); err != nil {
			return false, err
		}
		c.sent = e.n
	}
}

// tellGap says that the events before n are gone. It takes the number of the last of
// them, and counts as a log message of the session.
func (c *carrier) tellGap(n uint64) error {
	lost := strconv.FormatUint(n-1-c.sent, 10)
	if s := c.feed.session; s == nil || s.level() > severities["warning"] {
		return c.out.Comment(lost + " events of this stream are no longer kept")
	}
	return c.out.SendEvent(reply.Event{ID: c.feed.eventID(n - 1), Data: []byte(
		`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"warning","logger":"lyceum","data":` +
			`{"code":"events_lost","count":` + lost + `,"message":"so many events of this stream came while nobody read it and are no longer kept"}}}`)})
}

// Send makes data an event of the feed, for the next flush: what that cannot send is
// kept for who resumes. It fails where another connection carries the feed, which
// would not hear of the event.
func (c *carrier) Send(data []byte) error {
	c.feed.mu.Lock()
	defer c.feed.mu.Unlock()
	if c.feed.carrier != c {
		return errTaken
	}
	c.feed.addLocked(data, false)
	return nil
}

// prime tells the client from where to resume before there is an event, where its
// revision has that.
func (c *carrier) prime(revision string) error {
	if revision != rev202511 {
		return c.out.Open()
	}
	return c.out.SendEvent(reply.Event{ID: c.feed.eventID(c.sent), Retry: retryDelay})
}

// How long a client should wait before it resumes: as a rule, and when the server
// stops.
const (
	retryDelay = time.Second
	drainDelay = 5 * time.Second
)

// push sends what is new: here if c carries the feed, else whoever does is woken.
func (s *feeds) push(c *carrier) {
	c.feed.mu.Lock()
	now := c.feed.carrier
	c.feed.mu.Unlock()
	switch now {
	case nil:
	case c:
		if _, err := c.flush(); err != nil {
			s.leave(c)
		}
	default:
		select {
		case now.wake <- struct{}{}:
		default:
		}
	}
}

// abandon forgets what nobody will read.
func (f *feed) abandon() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.carrier, f.ended = nil, true
	f.kept, f.bytes, f.pins, f.held = nil, 0, 0, 0
}

// carried reports whether a connection carries the feed and, if none does, for how
// long there was none.
func (f *feed) carried() (bool, time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.carrier != nil {
		return true, 0
	}
	return false, time.Since(f.left)
}
