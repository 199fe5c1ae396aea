package mcpserve

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
)

const allOfIt = 1 << 20 // more events than any stream here has

// A stream that is cut after any of its events, and again after each event of the
// rest, is resumed: every message comes once, and in order.
func TestResumeWhereverItWasCut(t *testing.T) {
	w, _ := talkWorld(t)
	for _, rev := range legacyRevisions {
		asks := rev == rev202506 || rev == rev202511
		for k := 1; k <= 7; k++ {
			for _, again := range []int{1, allOfIt} {
				p := w.speaker("alice", rev)
				l := p.listener()
				c := p.dial("POST", talkBody("7", fmt.Sprintf(`{"who":"a","n":4,"ask":%t}`, asks)), "")
				over := l.read(c, k)
				c.cut()
				for tries := 0; !over && tries < 20; tries++ {
					c := p.dial("GET", "", l.last)
					if c.status != 200 {
						t.Fatalf("%s, cut after %d: resumed behind %s: %d", rev, k, l.last, c.status)
					}
					most := again
					if most == 1 && rev == rev202511 {
						most = 2 // the first says how long to wait the next time
					}
					over = l.read(c, most)
					c.cut()
				}
				l.whole("7", "a", 4, asks)
			}
		}
	}
}

// The priming event: in 2025-11-25 a client can come back before anything was said.
func TestResumeFromThePrimingEvent(t *testing.T) {
	w, gate := talkWorld(t)
	p := w.speaker("alice", rev202511)
	c := p.dial("POST", talkBody("7", `{"who":"a","gate":true}`), "")
	first, more := c.next()
	if !more || first.id == "" || first.data != "" || first.retry != "1000" {
		t.Fatalf("%+v", first)
	}
	c.cut()
	l := p.listener()
	again := p.dial("GET", "", first.id)
	close(gate)
	l.read(again, allOfIt)
	l.whole("7", "a", 4, false)
	for _, rev := range legacyRevisions[:3] {
		old := w.speaker("alice", rev)
		for _, c := range []*link{old.dial("POST", talkBody("7", `{"who":"a"}`), ""), old.dial("POST", talkBody("8", `{"who":"a"}`), "")} {
			if e, _ := c.next(); e.id == "" || e.data == "" || e.retry != "" {
				t.Errorf("%s begins with %+v", rev, e)
			}
		}
	}
}

// Whoever resumes a stream takes it over: the connection that had it, which may be
// half dead, is ended and gets nothing more.
func TestResumeTakesOver(t *testing.T) {
	w, gate := talkWorld(t)
	p := w.speaker("alice", rev202511)
	old := p.dial("POST", talkBody("7", `{"who":"a","gate":true}`), "")
	l := p.listener()
	l.read(old, 3)
	var fresh *link
	for range 5 { // each takes it from the one before
		fresh = p.dial("GET", "", l.last)
		for e, more := old.next(); more; e, more = old.next() {
			if e.id != "" || e.data != "" {
				t.Errorf("the connection that was left: %+v", e)
			}
		}
		if n, err := old.conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("the connection that was left is open: %d", n)
		}
		old = fresh
	}
	close(gate)
	l.read(fresh, allOfIt)
	l.whole("7", "a", 4, false)
	if e, more := fresh.next(); more {
		t.Errorf("after the answer: %+v", e)
	}
}

// An id that leads nowhere gives one answer, whatever the cause.
func TestResumeMisses(t *testing.T) {
	w, _ := talkWorld(t)
	alice, hers, bob := w.speaker("alice", rev202511), w.speaker("alice", rev202511), w.speaker("bob", rev202511)
	l := alice.listener()
	l.read(alice.dial("POST", talkBody("7", `{"who":"a"}`), ""), allOfIt)
	name := l.last[:strings.LastIndexByte(l.last, '-')]
	var bodies []string
	for what, at := range map[string]struct {
		p  *peer
		id string
	}{
		"of another session of hers": {hers, l.last}, "of somebody else": {bob, l.last}, "not there yet": {alice, name + "-9999"},
		"unknown": {alice, "abc-1"}, "no number": {alice, name + "-x"}, "a number too long": {alice, name + "-99999999999999999999999"},
		"a zero too many": {alice, name + "-01"}, "a sign": {alice, name + "-+1"}, "no name": {alice, "-1"}, "nothing like it": {alice, "1"},
	} {
		a := at.p.do("GET", "", header(headerLastEvent, at.id))
		if a.status != 400 || !strings.Contains(string(a.body), `"event_not_kept"`) || !strings.Contains(string(a.body), "job_list") {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
		bodies = append(bodies, string(a.body))
	}
	if len(slices.Compact(bodies)) != 1 {
		t.Errorf("not one answer: %q", bodies)
	}
	if a := (&peer{w: w, who: "bob", session: alice.session, rev: rev202511}).do("GET", "", header(headerLastEvent, l.last)); a.status != 404 {
		t.Errorf("somebody in her session: %d %s", a.status, a.body)
	}
}

// What has ended can be had for the window, and no longer.
func TestResumeWindow(t *testing.T) {
	const window = 300 * time.Millisecond
	w, _ := talkWorld(t, func(c *Config, _ *session.Config) { c.ResumeWindow = window })
	p := w.speaker("alice", rev202511)
	began := time.Now()
	l := p.listener()
	c := p.dial("POST", talkBody("7", `{"who":"a"}`), "")
	l.read(c, 1)
	first := l.last
	l.read(c, allOfIt)
	again := p.listener()
	if c := p.dial("GET", "", first); c.status == 200 {
		again.read(c, allOfIt)
		again.whole("7", "a", 4, false)
	} else if time.Since(began) < window {
		t.Errorf("within the window: %d", c.status)
	}
	until(t, "the end of the window", func() bool { return p.do("GET", "", header(headerLastEvent, first)).status == 400 })
	if since := time.Since(began); since < window {
		t.Errorf("gone after %v", since)
	}
	if n, bytes := w.server.feeds.ended.Len(), w.server.feeds.bytes; n != 0 || bytes != 0 {
		t.Errorf("%d feeds of %d bytes are left", n, bytes)
	}
}

// Without a window no event has an id, and nothing can be resumed.
func TestResumeSwitchedOff(t *testing.T) {
	w, _ := talkWorld(t, func(c *Config, _ *session.Config) { c.ResumeWindow = 0 })
	p := w.speaker("alice", rev202511)
	a := p.do("POST", talkBody("7", `{"who":"a"}`))
	if len(a.events) < 5 || strings.Contains(string(a.body), "id: ") || strings.Contains(string(a.body), "retry:") {
		t.Errorf("%s", a.body)
	}
	if a := p.do("GET", "", header(headerLastEvent, "a-1")); a.status != 400 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// More than is kept: the client is told how much it has missed, and gets the rest and
// the answer.
func TestResumeTellsOfAGap(t *testing.T) {
	w, gate := talkWorld(t)
	p := w.speaker("alice", rev202511)
	const n = 2000
	c := p.dial("POST", talkBody("7", fmt.Sprintf(`{"who":"a","n":%d,"gate":true}`, n)), "")
	l := p.listener()
	l.read(c, 3)
	c.cut()
	close(gate)
	name := l.last[:strings.LastIndexByte(l.last, '-')]
	var f *feed
	until(t, "the answer", func() bool {
		w.server.feeds.mu.Lock()
		defer w.server.feeds.mu.Unlock()
		for e := w.server.feeds.ended.Front(); e != nil; e = e.Next() {
			if k := e.Value.(*keptFeed).feed; k.name == name {
				f = k
			}
		}
		return f != nil
	})
	if len(f.kept) > maxFeedEvents+1 || f.bytes > maxFeedBytes+(16<<10) {
		t.Errorf("%d events of %d bytes are kept", len(f.kept), f.bytes)
	}
	rest := p.listener()
	if !rest.read(p.dial("GET", "", l.last), allOfIt) {
		t.Error("no answer")
	}
	lost, reports := 0, 0
	for _, m := range append(l.messages, rest.messages...) {
		var count int
		if _, after, gap := strings.Cut(m, `"code":"events_lost","count":`); gap {
			fmt.Sscanf(after, "%d", &count)
			lost += count
		} else if strings.Contains(m, `"message":"a"`) {
			reports++
		}
	}
	if lost == 0 || reports+lost < n || reports+lost > n+50 { // its places in the queue may be among the lost
		t.Errorf("%d reports came and %d are said to be lost, of %d", reports, lost, n)
	}
}

// What has ended is bounded for each session, and goes with it.
func TestResumeIsBounded(t *testing.T) {
	w, _ := talkWorld(t)
	p := w.speaker("alice", rev202511)
	var lasts []string
	for range maxEndedFeeds + 8 {
		l := p.listener()
		l.read(p.dial("POST", talkBody("7", `{"who":"a"}`), ""), 3)
		lasts = append(lasts, l.last)
		until(t, "the end of the call", func() bool {
			w.server.feeds.mu.Lock()
			defer w.server.feeds.mu.Unlock()
			return w.server.feeds.ended.Len() >= min(len(lasts), maxEndedFeeds)
		})
	}
	status := func(id string) int { return p.dial("GET", "", id).status }
	if status(lasts[0]) != 400 || status(lasts[len(lasts)-1]) != 200 {
		t.Error("the oldest is kept, or the latest is not")
	}
	w.server.feeds.mu.Lock()
	n, bytes := w.server.feeds.ended.Len(), w.server.feeds.bytes
	w.server.feeds.mu.Unlock()
	if n > maxEndedFeeds || bytes > maxEndedSessionBytes {
		t.Errorf("%d feeds of %d bytes", n, bytes)
	}
	if a := p.do("DELETE", ""); a.status != 204 {
		t.Fatalf("%d", a.status)
	}
	until(t, "nothing is kept of a session that has ended", func() bool {
		w.server.feeds.mu.Lock()
		defer w.server.feeds.mu.Unlock()
		return w.server.feeds.ended.Len() == 0 && w.server.feeds.bytes == 0
	})
}

// Many calls of one session at once, each cut at random points and resumed, at times by
// two connections together: every message comes, each to its own call, each
// connection's in order.
func TestResumeManyAtOnce(t *testing.T) {
	w, _ := talkWorld(t)
	p := w.speaker("alice", rev202511)
	const calls, n = 64, 12
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(i)))
			id := fmt.Sprint(100 + i)
			who := fmt.Sprintf("call %d", i)
			l := p.listener()
			c := p.dial("POST", talkBody(id, fmt.Sprintf(`{"who":%q,"n":%d,"ask":%t}`, who, n, i%2 == 0)), "")
			over := l.read(c, 1+rng.IntN(n))
			for tries := 0; !over && tries < 200; tries++ {
				if rng.IntN(2) == 0 {
					c.cut()
				}
				if rng.IntN(3) == 0 { // a rival, which takes the stream and drops it
					p.dial("GET", "", l.last).cut()
				}
				c = p.dial("GET", "", l.last)
				if c.status != 200 {
					t.Errorf("call %s behind %s: %d", id, l.last, c.status)
					return
				}
				over = l.read(c, 2+rng.IntN(n))
			}
			l.whole(id, who, n, i%2 == 0)
		})
	}
	wg.Wait()
}

// A standing stream is resumed like others: what changed meanwhile is told, and what
// was told is not told again.
func TestResumeStandingStream(t *testing.T) {
	w, _ := talkWorld(t)
	for _, rev := range legacyRevisions {
		p := w.speaker("alice", rev)
		env := p.put("", "n", "0")
		if a := p.ask("resources/subscribe", `{"uri":"`+env.Resource+`"}`); a.code(t) != 0 {
			t.Fatalf("%s", a.body)
		}
		c := p.dial("GET", "", "")
		last := ""
		update := func(c *link) {
			t.Helper()
			for {
				e, more := c.next()
				if !more {
					t.Fatalf("%s: the stream has ended", rev)
				}
				if e.id != "" {
					last = e.id
				}
				if e.data != "" {
					if uri := updated(t, e.data); uri != env.Resource {
						t.Errorf("%s: %s", rev, e.data)
					}
					return
				}
			}
		}
		p.put(env.SessionID, "n", "1")
		update(c)
		c.cut()
		until(t, "the server to see it", func() bool { return w.server.Streams() == 0 })
		p.put(env.SessionID, "n", "2")
		again := p.dial("GET", "", last)
		if again.status != 200 {
			t.Fatalf("%s: %d", rev, again.status)
		}
		update(again)
		p.put(env.SessionID, "n", "3")
		update(again)
		again.cut()
		until(t, "the server to see it", func() bool { return w.server.Streams() == 0 })
	}
}

// A drain lets a call that is being resumed answer; the end of the session ends its
// streams.
func TestResumeAtTheEnd(t *testing.T) {
	w, gate := talkWorld(t)
	p, q := w.speaker("alice", rev202511), w.speaker("bob", rev202511)
	l, gone := p.listener(), q.listener()
	c, d := p.dial("POST", talkBody("7", `{"who":"a","gate":true}`), ""), q.dial("POST", talkBody("8", `{"who":"b","gate":true}`), "")
	l.read(c, 2)
	gone.read(d, 2)
	c.cut()
	d.cut()
	again, other := p.dial("GET", "", l.last), q.dial("GET", "", gone.last)
	if a := q.do("DELETE", ""); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if gone.read(other, allOfIt) {
		t.Error("a session that was deleted answers")
	}
	drained := make(chan DrainReport, 1)
	go func() { drained <- w.server.Drain(t.Context()) }()
	until(t, "the drain", func() bool { return w.server.draining.Load() })
	close(gate)
	if !l.read(again, allOfIt) {
		t.Error("no answer while the server drains")
	}
	l.whole("7", "a", 4, false)
	wait(t, "the drain", drained)
}
