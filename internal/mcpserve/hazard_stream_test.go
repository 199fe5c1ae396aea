package mcpserve

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
)

// A shutdown ends every standing stream, of both kinds, lets the call in flight
// answer, and leaves nothing that the HTTP server would have to wait for.
func TestHazardShutdownEndsStreams(t *testing.T) {
	w := newWorld(t)
	old, now := w.legacy("alice", rev202511), w.modern("alice")
	var standing []*stream
	for range 3 {
		standing = append(standing, old.open("GET", ""))
	}
	var listening []*stream
	for _, params := range []string{`{"notifications":{}}`, `{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["lyceum://guide"]}}`} {
		body, heads := now.message(`"sub"`, "subscriptions/listen", params)
		s := now.open("POST", body, heads...)
		if ack := s.next(t); !strings.Contains(ack, "subscriptions/acknowledged") {
			t.Errorf("%s", ack)
		}
		listening = append(listening, s)
	}
	held := now.hold(t.Context())
	until(t, "the streams", func() bool { return w.server.Streams() == 5 })
	began := time.Now()
	drained := make(chan DrainReport, 1)
	go func() { drained <- w.server.Drain(t.Context()) }()
	for _, s := range listening {
		if end := s.next(t); !strings.Contains(end, `"id":"sub","result":{"resultType":"complete"`) {
			t.Errorf("a subscription ends with %s", end)
		}
	}
	for _, s := range append(standing, listening...) {
		until(t, "the end of a stream", func() bool {
			select {
			case _, more := <-s.events:
				return !more
			default:
				return false
			}
		})
	}
	if n := w.server.Streams(); n != 0 {
		t.Errorf("%d streams are left", n)
	}
	w.gates.leave <- struct{}{}
	if a := wait(t, "the answer", held); a.status != 200 {
		t.Errorf("the call in flight: %d", a.status)
	}
	wait(t, "the drain", drained)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := w.http.Config.Shutdown(ctx); err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("the HTTP server: %v after %v", err, time.Since(began))
	}
}

// A client that lost its standing stream opens another one under the same session, as
// often as it likes, also while the lost one is not yet known to be lost.
func TestHazardStreamsReopen(t *testing.T) {
	w := demoWorld(t, demoTools(), func(c *Config, _ *session.Config) { c.MaxStreamsPerUser = 100 })
	for _, rev := range legacyRevisions {
		p := w.legacy("alice", rev)
		env := p.put("", "n", "0")
		if a := p.ask("resources/subscribe", `{"uri":"`+env.Resource+`"}`); a.code(t) != 0 {
			t.Fatalf("%s", a.body)
		}
		for range 10 {
			s := p.open("GET", "")
			if s.status != 200 {
				t.Fatalf("%s: %d", rev, s.status)
			}
			s.cancel()
		}
		first, second := p.open("GET", ""), p.open("GET", "")
		if first.status != 200 || second.status != 200 {
			t.Errorf("%s: two at once: %d, %d", rev, first.status, second.status)
		}
		until(t, "the end of the lost ones", func() bool { return w.server.Streams() == 2 })
		p.put(env.SessionID, "n", "1")
		told := func() bool {
			for _, s := range []*stream{first, second} {
				select {
				case e := <-s.events:
					if strings.Contains(e, "notifications/resources/updated") {
						return true
					}
				default:
				}
			}
			return false
		}
		until(t, "an update on one of them", told)
		first.cancel()
		second.cancel()
		until(t, "their end", func() bool { return w.server.Streams() == 0 })
	}
}

// What a client was promised in the acknowledgement, it is told: each change of each
// URI named there, and nothing of what is not.
func TestHazardSubscriptionsAreServed(t *testing.T) {
	w := demoWorld(t, demoTools())
	alice, bob := w.modern("alice"), w.modern("bob")
	mine, theirs := alice.put("", "n", "0"), bob.put("", "n", "0")
	s, ack := alice.listen(mine.Resource, theirs.Resource, "lyceum://nowhere")
	if !strings.Contains(ack, `"resourceSubscriptions":["`+mine.Resource+`"]`) {
		t.Errorf("ack %s", ack)
	}
	for _, text := range []string{"1", "2", "3"} {
		bob.put(theirs.SessionID, "n", text)
		alice.put(mine.SessionID, "n", text)
		if uri := updated(t, s.next(t)); uri != mine.Resource {
			t.Errorf("told of %s", uri)
		}
		if got := alice.textOf(mine.Resource); got != text {
			t.Errorf("it reads %q, want %q", got, text)
		}
	}
}
