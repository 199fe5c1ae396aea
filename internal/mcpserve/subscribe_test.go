package mcpserve

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
)

// textOf reads a note by its resource.
func (p *peer) textOf(uri string) string {
	p.w.t.Helper()
	var out struct {
		Data note `json:"data"`
	}
	if err := json.Unmarshal([]byte(p.read(uri)), &out); err != nil {
		p.w.t.Fatal(err)
	}
	return out.Data.Text
}

// subscribed returns a stream on which updates of uri come, in the peer's era.
func (p *peer) subscribed(uri string) *stream {
	p.w.t.Helper()
	if p.rev == rev2026 {
		s, ack := p.listen(uri)
		if !strings.Contains(ack, `"resourceSubscriptions":["`+uri+`"]`) {
			p.w.t.Fatalf("ack %s", ack)
		}
		return s
	}
	s := p.open("GET", "")
	if a := p.ask("resources/subscribe", `{"uri":"`+uri+`"}`); a.code(p.w.t) != 0 {
		p.w.t.Fatalf("subscribe: %s", a.body)
	}
	return s
}

// A hundred changes, from several clients at once: whoever reads upon each update
// has read the last one in the end.
func TestUpdatesReachTheLastChange(t *testing.T) {
	w := demoWorld(t, demoTools())
	for _, p := range []*peer{w.legacy("alice", rev2024), w.legacy("alice", rev202511), w.modern("alice")} {
		env := p.put("", "n", "0")
		s := p.subscribed(env.Resource)
		const writers, each = 4, 25
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				for k := range each {
					p.put(env.SessionID, "n", fmt.Sprintf("%d-%d", i, k))
				}
			})
		}
		wg.Wait()
		p.put(env.SessionID, "n", "last")
		updates := 0
		for seen := ""; seen != "last"; updates++ {
			e := s.next(t)
			if uri := updated(t, e); uri != env.Resource {
				t.Fatalf("update of %s", uri)
			}
			if tagged := strings.Contains(e, `"_meta":{"`+metaSubscription+`":"sub"}`); tagged != (p.rev == rev2026) {
				t.Fatalf("%s", e)
			}
			seen = p.textOf(env.Resource)
		}
		if updates > writers*each+1 {
			t.Errorf("%d updates of %d changes", updates, writers*each+1)
		}
		s.cancel()
	}
}

// Updates name what has changed, and nothing else; they come for the URI as it was
// written.
func TestUpdatesNameWhatChanged(t *testing.T) {
	w := demoWorld(t, demoTools())
	p := w.modern("alice")
	id := p.put("", "a", "1").SessionID
	p.put(id, "b", "1")
	base := "lyceum://sessions/" + id
	s, _ := p.listen(base, base+"/slots/note/a", base+"/slots/note%2Fb", base+"/export", "lyceum://guide")
	next := func(n int) []string {
		var got []string
		for range n {
			got = append(got, updated(t, s.next(t)))
		}
		return got
	}
	p.put(id, "b", "2")
	if got := next(3); !slices.Equal(got, []string{base, base + "/export", base + "/slots/note%2Fb"}) {
		t.Errorf("%v", got)
	}
	p.put(id, "c", "2")
	if got := next(2); !slices.Equal(got, []string{base, base + "/export"}) {
		t.Errorf("%v", got)
	}
	p.call("1", "clear_thought", `{"operation":"put","sessionId":"`+id+`","parameters":{"id":"a","drop":true}}`, "")
	if got := next(3); !slices.Equal(got, []string{base, base + "/export", base + "/slots/note/a"}) {
		t.Errorf("a removal: %v", got)
	}
	p.call("1", "clear_thought", `{"operation":"weigh","sessionId":"`+id+`","parameters":{"options":[{"name":"a"}]}}`, "")
	w.modern("mallory").put("", "b", "2")
	p.put(id, "a", "again")
	if got := next(3); !slices.Equal(got, []string{base, base + "/export", base + "/slots/note/a"}) {
		t.Errorf("%v", got)
	}
}

// A subscription ends with its session: one update says so, and a listen that has
// nothing left ends with its final result.
func TestSubscriptionsEndWithTheirSession(t *testing.T) {
	w := demoWorld(t, demoTools())
	for _, end := range []func(*peer, string){
		func(p *peer, id string) { p.call("1", "session_delete", `{"sessionId":"`+id+`"}`, "") },
		func(_ *peer, id string) {
			if err := w.server.Sessions.EndRef(t.Context(), session.ID(id).Ref(), session.ReasonOperator); err != nil {
				t.Error(err)
			}
		},
	} {
		p := w.modern("alice")
		one, two := p.put("", "n", "x"), p.put("", "n", "x")
		s, _ := p.listen(one.Resource, two.Resource)
		end(p, one.SessionID)
		if uri := updated(t, s.next(t)); uri != one.Resource {
			t.Errorf("%s", uri)
		}
		if a := p.ask("resources/read", `{"uri":"`+one.Resource+`"}`); a.code(t) != codeInvalidParams {
			t.Errorf("%s", a.body)
		}
		p.put(two.SessionID, "n", "y") // the other one goes on
		if uri := updated(t, s.next(t)); uri != two.Resource {
			t.Errorf("%s", uri)
		}
		end(p, two.SessionID)
		if uri := updated(t, s.next(t)); uri != two.Resource {
			t.Errorf("%s", uri)
		}
		if e := s.next(t); e != `{"jsonrpc":"2.0","id":"sub","result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":"sub"}}}` {
			t.Errorf("final result %s", e)
		}
		if _, more := <-s.events; more {
			t.Error("the stream goes on")
		}
	}
	old := w.legacy("alice", rev202511)
	env := old.put("", "n", "x")
	s := old.subscribed(env.Resource)
	old.call("1", "session_delete", `{"sessionId":"`+env.SessionID+`"}`, "")
	if uri := updated(t, s.next(t)); uri != env.Resource {
		t.Errorf("%s", uri)
	}
	settled(t, w)
}

// settled waits until nobody watches anything any more.
func settled(t *testing.T, w *world) {
	t.Helper()
	expire(t, func() bool {
		s := w.server.subs
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.sessions) == 0 && len(s.per) == 0 && s.watched.Load() == 0
	})
}

// Before 2026-07-28 an update waits for a standing stream, is sent on one of several,
// and is sent again when a new one follows a lost one.
func TestLegacyUpdatesWaitForAStream(t *testing.T) {
	w := demoWorld(t, demoTools())
	p := w.legacy("alice", rev202506)
	env := p.put("", "n", "0")
	for range 2 { // twice is once
		if a := p.ask("resources/subscribe", `{"uri":"`+env.Resource+`"}`); string(a.body) != `{"jsonrpc":"2.0","id":7,"result":{}}` {
			t.Fatalf("%s", a.body)
		}
	}
	p.put(env.SessionID, "n", "1")
	p.put(env.SessionID, "n", "2")
	first := p.open("GET", "")
	if uri := updated(t, first.next(t)); uri != env.Resource {
		t.Errorf("%s", uri)
	}
	second := p.open("GET", "") // what the first was sent may have got lost
	got := []*stream{first, second}
	p.put(env.SessionID, "n", "3")
	for n := 0; n < 1; { // at least one update, on either
		select {
		case <-got[0].events:
			n++
		case <-got[1].events:
			n++
		case <-time.After(10 * time.Second):
			t.Fatal("no update")
		}
	}
	other := w.legacy("alice", rev202506) // another transport session of the same owner
	quiet := other.open("GET", "")
	if a := p.ask("resources/unsubscribe", `{"uri":"`+env.Resource+`"}`); string(a.body) != `{"jsonrpc":"2.0","id":7,"result":{}}` {
		t.Fatalf("%s", a.body)
	}
	settled(t, w)
	p.put(env.SessionID, "n", "4")
	if a := other.ask("resources/subscribe", `{"uri":"lyceum://sessions/`+env.SessionID+`"}`); a.code(t) != 0 {
		t.Fatalf("%s", a.body)
	}
	p.put(env.SessionID, "n", "5")
	if uri := updated(t, quiet.next(t)); uri != "lyceum://sessions/"+env.SessionID {
		t.Errorf("%s", uri)
	}
	other.do("DELETE", "") // the subscriptions go with the transport session
	settled(t, w)
}

func TestSubscriptionCaps(t *testing.T) {
	w := demoWorld(t, demoTools(), func(c *Config, _ *session.Config) { c.MaxSubscriptions = 3 })
	p, old := w.modern("alice"), w.legacy("alice", rev202511)
	id := p.put("", "n", "x").SessionID
	base := "lyceum://sessions/" + id
	s, _ := p.listen(base, base+"/export")
	if a := old.ask("resources/subscribe", `{"uri":"`+base+`"}`); a.code(t) != 0 {
		t.Fatalf("%s", a.body)
	}
	if a := old.ask("resources/subscribe", `{"uri":"lyceum://guide"}`); a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("over the cap: %d %s", a.status, a.body)
	}
	full, heads := p.envelopeOf("subscriptions/listen", `{"notifications":{"resourceSubscriptions":["lyceum://guide","lyceum://operations"]}}`)
	if a := p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":`+full+`}`, heads...); a.status != 429 {
		t.Errorf("over the cap: %d %s", a.status, a.body)
	}
	if a := w.legacy("bob", rev202511).ask("resources/subscribe", `{"uri":"lyceum://guide"}`); a.code(t) != 0 {
		t.Errorf("somebody else: %s", a.body)
	}
	s.cancel()
	expire(t, func() bool { return old.ask("resources/subscribe", `{"uri":"lyceum://guide"}`).code(t) == 0 })
}

func TestListenRefusesNonsense(t *testing.T) {
	w := demoWorld(t, demoTools())
	p := w.modern("alice")
	for _, list := range []string{`"x"`, `[1]`, `{"a":1}`, `[null]`} {
		full, heads := p.envelopeOf("subscriptions/listen", `{"notifications":{"resourceSubscriptions":`+list+`}}`)
		if a := p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":`+full+`}`, heads...); a.status != 200 || a.code(t) != codeInvalidParams {
			t.Errorf("%s: %d %s", list, a.status, a.body)
		}
	}
	for _, uri := range []string{`7`, `null`} {
		if a := w.legacy("alice", rev2024).ask("resources/subscribe", `{"uri":`+uri+`}`); a.code(t) != codeInvalidParams {
			t.Errorf("%s: %s", uri, a.body)
		}
	}
}
