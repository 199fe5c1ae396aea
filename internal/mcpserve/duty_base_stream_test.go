package mcpserve

import (
	"bytes"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// Progress comes for a token of a request that runs, as it was written, and grows up to
// the answer; what cannot be a token is none.
func TestDutyProgressTokens(t *testing.T) {
	w := newWorld(t)
	for _, p := range w.everyPeer() {
		for token, want := range map[string]int{`"t"`: 3, `7`: 3, `"7"`: 3, `-1`: 3, `9007199254740993`: 3, `"\u0074"`: 3, `""`: 3, `null`: 0, `1.5`: 0, `true`: 0, `{"a":1}`: 0, `["t"]`: 0} {
			s := p.request(`1`, "tools/call", `{"_meta":{"progressToken":`+token+`},"name":"clear_thought","arguments":{"operation":"steps"}}`)
			all := s.messages()
			got := 0
			for _, m := range all[:len(all)-1] {
				got++
				if !strings.Contains(string(m), `"method":"notifications/progress","params":{"progressToken":`+token+`,"progress":`) {
					t.Errorf("%s, %s: %s", p.name(), token, m)
				}
			}
			if s.status != 200 || got != want || !strings.HasPrefix(string(all[len(all)-1]), `{"jsonrpc":"2.0","id":1,"result":`) {
				t.Errorf("%s, %s: %d reports, want %d: %s", p.name(), token, got, want, s.body)
			}
		}
		for _, method := range []string{"tools/list", "resources/list", "prompts/list"} { // nothing takes long: nothing is said
			if s := p.request(`1`, method, `{"_meta":{"progressToken":"t"}}`); len(s.events) > 0 || s.code(t) != 0 {
				t.Errorf("%s, %s: %s", p.name(), method, s.body)
			}
		}
	}
}

// A subscription carries what was asked for and nothing of the calls that run beside
// it: no progress, no log message, no answer and no request.
func TestDutySubscriptionsCarryNothingElse(t *testing.T) {
	w := newWorld(t)
	p := w.modern("alice")
	env, _ := p.call("1", "clear_thought", `{"operation":"remember","parameters":{"text":"x"}}`, "").result(t)
	body, heads := p.message(`"sub"`, "subscriptions/listen", `{"_meta":{"progressToken":"sub","`+metaLogLevel+`":"debug"},"notifications":{"resourceSubscriptions":["lyceum://sessions/`+env.SessionID+`"]}}`)
	s := p.open("POST", body, heads...)
	s.next(t)
	for range 5 {
		if a := p.request(`"sub"`, "tools/call", `{"_meta":{"progressToken":"sub","`+metaLogLevel+`":"debug"},"name":"clear_thought","arguments":{"operation":"steps"}}`); len(a.events) != 5 {
			t.Errorf("beside it: %s", a.body)
		}
	}
	p.call("1", "clear_thought", `{"operation":"remember","sessionId":"`+env.SessionID+`","parameters":{"text":"y"}}`, "")
	if uri := updated(t, s.next(t)); uri != "lyceum://sessions/"+env.SessionID {
		t.Errorf("told of %s", uri)
	}
	w.server.Drain(t.Context())
	if end := s.next(t); !strings.Contains(end, `"id":"sub","result":{"resultType":"complete"`) {
		t.Errorf("the end: %s", end)
	}
}

// The reason of a cancel is in the log, cut to what a line can show.
func TestDutyCancelReasonIsLogged(t *testing.T) {
	w := newWorld(t)
	log := &lockedBytes{}
	w.server.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p := w.legacy("alice", rev202511)
	for _, reason := range []string{"enough of it", `two\nlines\u0000`, strings.Repeat("z", 5000)} {
		p.do("POST", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5,"reason":"`+reason+`"}}`)
	}
	got := log.String()
	if !strings.Contains(got, `reason="enough of it"`) || !strings.Contains(got, "reason=twolines") || strings.Contains(got, strings.Repeat("z", 200)) {
		t.Errorf("%s", got)
	}
}

type lockedBytes struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBytes) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBytes) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// The events of older streams have ids that no other stream of the session has, and
// lead to the rest of their own stream and of no other, for their session alone; the
// newest of these revisions begins with an id to come back with.
func TestDutyEventIDs(t *testing.T) {
	w := newWorld(t)
	id := regexp.MustCompile(`(?m)^id: ?(.+)$`)
	for _, rev := range legacyRevisions {
		p, other := w.legacy("alice", rev), w.legacy("alice", rev)
		seen := map[string]bool{}
		stream := func(p *peer, n string) (a answer, ids []string) {
			a = p.call(n, "clear_thought", `{"operation":"steps"}`, n)
			for _, m := range id.FindAllSubmatch(a.body, -1) {
				ids = append(ids, string(m[1]))
			}
			return a, ids
		}
		var first []string
		for _, n := range []string{`1`, `2`, `3`} {
			a, ids := stream(p, n)
			want := 4
			if rev == rev202511 {
				want++ // before anything else
				if !regexp.MustCompile(`^id: ?.+\n(retry: ?\d+\n)?data:\n`).Match(a.body) {
					t.Errorf("%s begins with %.60q", rev, a.body)
				}
			}
			if len(ids) != want || len(a.events) != 4 {
				t.Errorf("%s: %d ids: %s", rev, len(ids), a.body)
			}
			for _, i := range ids {
				if seen[i] {
					t.Errorf("%s: %s is the id of two events", rev, i)
				}
				seen[i] = true
			}
			if n == `1` {
				first = ids
			}
		}
		resume := func(p *peer, at string) answer { return p.do("GET", "", header("Last-Event-Id", at)) }
		a := resume(p, first[len(first)-3])
		if a.status != 200 || len(a.events) != 2 || !strings.Contains(string(a.events[0]), `"progressToken":1,`) || !strings.Contains(string(a.events[1]), `"id":1,"result"`) {
			t.Errorf("%s: resumed: %d %s", rev, a.status, a.body)
		}
		for what, a := range map[string]answer{
			"another session of hers": resume(other, first[0]), "somebody else's": resume(w.legacy("bob", rev), first[0]),
			"somebody in her session": resume(&peer{w: w, who: "bob", session: p.session}, first[0]),
			"an id that never was":    resume(p, first[0]+"9999"), "nonsense": resume(p, "x"),
		} {
			if a.status != 400 && a.status != 404 || strings.Contains(string(a.body), `"result":`) {
				t.Errorf("%s: %s: %d %s", rev, what, a.status, a.body)
			}
		}
		// What a call says is on its own stream and on no standing one.
		standing := p.open("GET", "")
		stream(p, `4`)
		p.do("DELETE", "")
		for e := range standing.events {
			if strings.TrimSpace(e) != "" {
				t.Errorf("%s: on the standing stream: %s", rev, e)
			}
		}
	}
	now := w.modern("alice")
	if a := now.call("1", "clear_thought", `{"operation":"steps"}`, "1"); len(a.events) != 4 || id.Match(a.body) {
		t.Errorf("events of %s: %s", rev2026, a.body)
	}
	if a := now.do("GET", "", header("Last-Event-Id", "1-1")); a.status != http.StatusMethodNotAllowed {
		t.Errorf("resumption under %s: %d", rev2026, a.status)
	}
}
