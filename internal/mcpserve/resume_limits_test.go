package mcpserve

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/session"
)

// Whoever resumes has a place among the streams of its owner. Where there is none it is
// refused, and takes the stream from nobody.
func TestResumeCountsAsAStream(t *testing.T) {
	w, gate := talkWorld(t, func(c *Config, _ *session.Config) { c.MaxStreamsPerUser = 2 })
	p, other := w.speaker("alice", rev202511), w.speaker("alice", rev202511)
	l := p.listener()
	c := p.dial("POST", talkBody("7", `{"who":"a","gate":true}`), "")
	l.read(c, 2)
	first := p.dial("GET", "", "")
	other.dial("GET", "", "")
	if refused := p.dial("GET", "", l.last); refused.status != http.StatusTooManyRequests || refused.resp.Header.Get("Retry-After") == "" {
		t.Errorf("a stream too many: %d %v", refused.status, refused.resp.Header)
	}
	first.cut()
	until(t, "a place", func() bool { return w.server.Streams() == 1 })
	again := p.dial("GET", "", l.last)
	if again.status != http.StatusOK {
		t.Fatalf("%d", again.status)
	}
	if refused := p.dial("GET", "", l.last); refused.status != http.StatusTooManyRequests {
		t.Errorf("a stream too many: %d", refused.status)
	}
	close(gate)
	l.read(again, allOfIt)
	l.whole("7", "a", 4, false)
}

// A batch is answered by one JSON body: none of its messages begins a stream that could
// be resumed, and streams beside it can.
func TestResumeBesideABatch(t *testing.T) {
	w, _ := talkWorld(t)
	p := w.speaker("alice", rev202503)
	l := p.listener()
	c := p.dial("POST", talkBody("7", `{"who":"a"}`), "")
	l.read(c, 2)
	c.cut()
	a := p.do("POST", "["+talkBody("8", `{"who":"b"}`)+","+talkBody("9", `{"who":"c"}`)+"]")
	if a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") || strings.Count(string(a.body), `"result":`) != 2 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if n := w.feedsOf(p); n != 1 {
		t.Errorf("%d streams are kept, want that of the call alone", n)
	}
	l.read(p.dial("GET", "", l.last), allOfIt)
	l.whole("7", "a", 4, false)
}

// feedsOf returns how many streams of a client's session can be resumed.
func (w *world) feedsOf(p *peer) int {
	w.server.transports.mu.Lock()
	tr := w.server.transports.byID[session.ID(p.session)]
	w.server.transports.mu.Unlock()
	w.server.feeds.mu.Lock()
	defer w.server.feeds.mu.Unlock()
	return len(tr.feeds.byName)
}

// mute is a response that nobody reads.
type mute struct{ header http.Header }

func (m *mute) Header() http.Header         { return m.header }
func (m *mute) WriteHeader(int)             {}
func (m *mute) Write(b []byte) (int, error) { return len(b), nil }

// A call that is answered by a JSON body pays nothing for what it might have said: it
// has no feed, and allocates as much as where nothing is ever resumed.
func TestResumeCostsPlainAnswersNothing(t *testing.T) {
	w, _ := talkWorld(t)
	p := w.speaker("alice", rev202511)
	for range 20 {
		if a := p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); a.status != 200 || len(a.events) > 0 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if n := w.feedsOf(p); n != 0 {
		t.Errorf("%d streams are kept", n)
	}
	off, _ := talkWorld(t, func(c *Config, _ *session.Config) { c.ResumeWindow = 0 })
	tr := &transport{client: session.Client{Revision: rev202511}}
	r := httptest.NewRequest("POST", "/mcp", nil)
	m, result := &message{id: []byte("1")}, []byte("{}")
	cost := func(s *Server) float64 {
		out := &mute{http.Header{}}
		return testing.AllocsPerRun(1000, func() {
			x := s.exchange(out, r, m)
			x.logAt = tr.level()
			s.feedsOf(x, r, tr)
			x.watch()
			x.answer(result)
			x.release()
		})
	}
	if with, without := cost(w.server), cost(off.server); with != without {
		t.Errorf("%v allocations, %v where nothing is resumed", with, without)
	} else if with == 0 {
		t.Error("nothing was measured")
	}
}
