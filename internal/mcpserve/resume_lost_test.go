package mcpserve

import (
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Nobody comes back for a stream: its call is a job at once, as any other whose
// connection is lost, and its end leaves nothing but the feed.
func TestResumeNobodyComesBack(t *testing.T) {
	w, gate := talkWorld(t)
	p := w.speaker("alice", rev202511)
	c := p.dial("POST", talkBody("7", `{"who":"a","gate":true}`), "")
	l := p.listener()
	l.read(c, 3)
	c.cut()
	until(t, "the job", func() bool { return p.jobs().Total == 1 })
	close(gate)
	if j := p.job(p.jobs().Jobs[0].JobID, 10); j.State != job.Completed || !strings.Contains(string(j.Result), `"text":"a"`) {
		t.Errorf("%+v", j)
	}
	until(t, "the end of the request", func() bool { return w.server.InFlight() == 0 })
	// Who comes after all has the result itself, not the name of the job.
	l.read(p.dial("GET", "", l.last), allOfIt)
	l.whole("7", "a", 4, false)
}

// A request of ours to a client that is gone waits the window for it to come back, and
// no longer. Without a window it does not wait.
func TestResumeQuestionWaitsTheWindow(t *testing.T) {
	for _, window := range []time.Duration{0, 500 * time.Millisecond} {
		w, _ := talkWorld(t, func(c *Config, _ *session.Config) { c.ResumeWindow = window })
		p := w.speaker("alice", rev202511)
		c := p.dial("POST", talkBody("7", `{"who":"a","ask":true}`), "")
		last, asked := "", false
		for !asked {
			e, more := c.next()
			if !more {
				t.Fatal("no question")
			}
			last = e.id
			asked = strings.Contains(e.data, `"method":"`+tools.AskForm+`"`)
		}
		began := time.Now()
		c.cut()
		until(t, "the end of the call", func() bool { return w.server.InFlight() == 0 })
		if took := time.Since(began); took < window || took > window+3*keepRetry {
			t.Errorf("window %v: the question waited %v", window, took)
		}
		if window == 0 {
			continue
		}
		rest := p.listener()
		again := p.dial("GET", "", last)
		if again.status == 400 && time.Since(began) > 2*window { // the machine is slow: it has gone
			continue
		}
		if !rest.read(again, allOfIt) || !strings.Contains(rest.messages[len(rest.messages)-1], "nobody_to_ask") {
			t.Errorf("it ended with %s", rest.messages)
		}
	}
}

// What was said to nobody is not lost: a standing stream that is taken over by another
// connection leaves what it was about to tell to that one.
func TestResumeLeavesUpdatesToTheNext(t *testing.T) {
	feeds := newFeeds(time.Minute)
	s := &Server{feeds: feeds, subs: newSubscriptions(10)}
	of := newFeedSession(0)
	out, _ := newOut()
	old := feeds.open(of, out, true)
	sub := newSubscriber(session.Owner{Subject: "alice"})
	sub.markLocked("lyceum://sessions/x")
	next, body := newOut()
	fresh, err := feeds.resume(of, old.feed.eventID(0), next)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.tell(old, sub, nil); err == nil {
		t.Error("a connection that carries the stream no more tells something")
	}
	if len(sub.wake) != 1 {
		t.Error("nobody is woken for what was not told")
	}
	if _, err := s.tell(fresh, sub, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := fresh.flush(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(body.Body.String(), "notifications/resources/updated"); n != 1 || old.feed.last != 1 {
		t.Errorf("told %d times: %s", n, body.Body)
	}
}
