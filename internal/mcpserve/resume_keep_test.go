package mcpserve

import (
	"bytes"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/lyceum-mcp/lyceum/internal/reply"
)

// newFeedSession is a session whose client wants log messages of a severity and above.
func newFeedSession(level int) *feedSession { return &feedSession{level: func() int { return level }} }

func newOut() (*reply.Stream, *httptest.ResponseRecorder) {
	w := httptest.NewRecorder()
	return reply.NewStream(w, time.Second), w
}

// answered makes a feed of a session that has ended with an answer of that many bytes.
func (s *feeds) answered(of *feedSession, size int) *feed {
	out, _ := newOut()
	c := s.open(of, out, false)
	s.end(c.feed, bytes.Repeat([]byte("x"), size))
	s.leave(c)
	return c.feed
}

// check fails when what the feeds say of themselves is not what they hold.
func (s *feeds) check(t *testing.T, sessions ...*feedSession) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	n, total := 0, 0
	for _, of := range sessions {
		sum := 0
		for _, e := range of.ended {
			k := e.Value.(*keptFeed)
			sum += k.bytes
			if of.byName[k.feed.name] != k.feed {
				t.Errorf("%s is kept and not found", k.feed.name)
			}
		}
		if sum != of.bytes {
			t.Errorf("a session says %d bytes and has %d", of.bytes, sum)
		}
		n, total = n+len(of.ended), total+sum
	}
	if n != s.ended.Len() || total != s.bytes {
		t.Errorf("%d feeds of %d bytes; the sessions have %d of %d", s.ended.Len(), s.bytes, n, total)
	}
}

// finds reports whether a session's feed can be resumed from its beginning.
func (s *feeds) finds(of *feedSession, f *feed) bool {
	out, _ := newOut()
	c, err := s.resume(of, f.eventID(0), out)
	if err == nil {
		s.leave(c)
	}
	return err == nil
}

// The bytes of one session are bounded, and those of everybody. The latest feed stays
// whatever its size, and one session does not take from another until all is full.
func TestFeedsAreBoundedInBytes(t *testing.T) {
	s := newFeeds(time.Minute)
	loud, quiet := newFeedSession(0), newFeedSession(0)
	small := s.answered(quiet, 100)
	for range 20 {
		s.answered(loud, 1<<20)
		if loud.bytes > maxEndedSessionBytes {
			t.Fatalf("%d bytes of one session", loud.bytes)
		}
	}
	large := s.answered(loud, 2*maxEndedSessionBytes)
	if len(loud.ended) != 1 || !s.finds(loud, large) || !s.finds(quiet, small) {
		t.Errorf("%d feeds are kept, the latest %t, of another session %t", len(loud.ended), s.finds(loud, large), s.finds(quiet, small))
	}
	all := []*feedSession{loud, quiet}
	for range 2 * maxEndedBytes / maxEndedSessionBytes {
		of := newFeedSession(0)
		all = append(all, of)
		for range 3 {
			s.answered(of, 1<<20)
		}
		if s.bytes > maxEndedBytes {
			t.Fatalf("%d bytes of everybody", s.bytes)
		}
	}
	if s.finds(quiet, small) || s.finds(loud, large) {
		t.Error("the oldest are not those that went")
	}
	s.check(t, all...)
}

// A feed expires its window after its end, without anybody waiting for that; a
// standing one counts from its last connection.
func TestFeedsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFeeds(time.Minute)
		of := newFeedSession(0)
		done := s.answered(of, 10)
		out, _ := newOut()
		standing := s.open(of, out, true)
		time.Sleep(time.Minute - 1)
		if !s.finds(of, done) {
			t.Error("gone before its time; to resume it is not what keeps it")
		}
		time.Sleep(time.Nanosecond)
		if s.finds(of, done) {
			t.Error("kept for more than the window")
		}
		s.leave(standing)
		for range 3 {
			time.Sleep(50 * time.Second)
			if !s.finds(of, standing.feed) { // which is a connection
				t.Fatal("a standing stream that was in use is gone")
			}
		}
		s.check(t, of)
		time.Sleep(time.Minute)
		if s.finds(of, standing.feed) || len(of.byName)+s.ended.Len()+s.bytes != 0 {
			t.Errorf("%d feeds are left, %d bytes", len(of.byName), s.bytes)
		}
	})
}

// Nothing of a session outlives it, nor is kept when a call ends after it.
func TestFeedsGoWithTheirSession(t *testing.T) {
	s := newFeeds(time.Minute)
	of, other := newFeedSession(0), newFeedSession(0)
	kept := s.answered(other, 10)
	s.answered(of, 10)
	out, _ := newOut()
	live := s.open(of, out, false)
	s.forget(of)
	s.end(live.feed, []byte("{}"))
	s.leave(live)
	late := s.answered(of, 10)
	if s.finds(of, live.feed) || s.finds(of, late) || !s.finds(other, kept) {
		t.Error("the wrong feeds are kept")
	}
	s.check(t, of, other)
}

// What is pinned stays however much follows: a question while it is open, and the
// answer. Who resumes is told how many events are gone, unless it wants no warnings.
func TestFeedKeepsWhatIsNeeded(t *testing.T) {
	const asked, said = 1, 3 * maxFeedEvents
	for level, want := range map[int]string{0: `"code":"events_lost","count":`, severities["error"]: " events of this stream are no longer kept"} {
		s := newFeeds(time.Minute)
		of := newFeedSession(level)
		out, _ := newOut()
		c := s.open(of, out, false)
		f := c.feed
		s.leave(c)
		question := f.add([]byte(`"question"`), true)
		for i := range said {
			f.add(fmt.Appendf(nil, "%d", i), false)
		}
		if len(f.kept) != maxFeedEvents+1 || f.pins != 1 || f.kept[0].n != question {
			t.Fatalf("%d events are kept, the first is %d", len(f.kept), f.kept[0].n)
		}
		f.unpin(question)
		f.add(make([]byte, maxFeedBytes), false)
		if len(f.kept) != 1 || f.held != 0 || f.bytes != maxFeedBytes {
			t.Errorf("%d events are kept beside one that fills the feed, %d bytes", len(f.kept), f.bytes)
		}
		s.end(f, []byte(`"answer"`))
		if len(f.kept) != 2 {
			t.Error("the answer took the place of what came before it")
		}
		if f.add([]byte("late"), false) != 0 {
			t.Error("something follows the answer")
		}
		out, w := newOut()
		again, err := s.resume(of, f.eventID(asked), out)
		if err != nil {
			t.Fatal(err)
		}
		if over, err := again.flush(); !over || err != nil {
			t.Errorf("over %t, %v", over, err)
		}
		text := w.Body.String()
		if !strings.Contains(text, want) || !strings.Contains(text, fmt.Sprint(said)) || strings.Count(text, "event: message") != 2+strings.Count(text, "events_lost") || !strings.HasSuffix(text, "id: "+f.eventID(f.last)+"\nevent: message\ndata: \"answer\"\n\n") {
			t.Errorf("level %d: %.300s", level, text)
		}
		if _, err := c.flush(); !errors.Is(err, errTaken) {
			t.Errorf("a connection that was left sends: %v", err)
		}
	}
}

// Connections that were cut, taken over and never resumed leave nothing running.
func TestResumeLeavesNothingRunning(t *testing.T) {
	others := goleak.IgnoreCurrent()
	t.Run("cut", func(t *testing.T) {
		w, gate := talkWorld(t)
		p := w.speaker("alice", rev202511)
		for i := range 16 {
			l := p.listener()
			c := p.dial("POST", talkBody(fmt.Sprint(i+1), `{"who":"a","gate":true}`), "")
			l.read(c, 1+i%3)
			c.cut()
			if i%2 == 0 {
				again := p.dial("GET", "", l.last)
				l.read(p.dial("GET", "", l.last), 1) // when to come back
				again.cut()
			}
			p.dial("GET", "", "").cut()
		}
		close(gate)
		until(t, "the end of the calls", func() bool { return w.server.InFlight() == 0 })
		until(t, "the end of the streams", func() bool { return w.server.Streams() == 0 })
	})
	goleak.VerifyNone(t, others)
}

// Who comes back at the very moment at which the loss of the connection is noticed is
// answered with the result, when that is there, and not with the job.
func TestResumeAtOnce(t *testing.T) {
	w, gate := talkWorld(t)
	p := w.speaker("alice", rev202511)
	for i := range 60 {
		l := p.listener()
		c := p.dial("POST", talkBody(fmt.Sprint(i+1), `{"who":"a","gate":true}`), "")
		l.read(c, 3)
		c.cut()
		again := p.dial("GET", "", l.last)
		if e, more := again.next(); !more || e.retry == "" { // it is carried on
			t.Fatalf("%+v", e)
		}
		for range 3 { // time for an answer that comes too soon
			p.jobs()
		}
		gate <- struct{}{}
		l.read(again, allOfIt)
		l.whole(fmt.Sprint(i+1), "a", 4, false)
	}
}
