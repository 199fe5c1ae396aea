package mcpserve

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// The tests whose names begin with TestHazard fail if our transport did what a
// library below it does when it serves alone. docs/duties-base.md lists them.

// quiet fails the test if a held call ends.
func (w *world) quiet(what string) {
	w.t.Helper()
	select {
	case err := <-w.gates.ended:
		w.t.Errorf("%s: a call ended with %v", what, err)
	case <-time.After(50 * time.Millisecond):
	}
}

// One client's cancel, or the end of its call, is nothing to another client whose
// call has the same id: neither is the other's call ended, nor can it be canceled no
// more.
func TestHazardEqualIDsAndCancels(t *testing.T) {
	w := newWorld(t)
	for _, rev := range legacyRevisions {
		alice, twin, bob := w.legacy("alice", rev), w.legacy("alice", rev), w.legacy("bob", rev)
		held := alice.hold(t.Context()) // its id is 1
		cancel := func(p *peer) {
			meta := ""
			if p.rev == rev2026 {
				meta = `,"_meta":{"` + metaVersion + `":"` + rev2026 + `"}`
			}
			if a := p.do("POST", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1`+meta+`}}`); a.status != 202 {
				t.Errorf("%s: cancel: %d", rev, a.status)
			}
		}
		for _, p := range []*peer{twin, bob, w.modern("alice"), w.modern("bob")} {
			p.call("1", "echo", `{"text":"x"}`, "") // an id that was used and is over
			cancel(p)
		}
		for what, p := range map[string]*peer{
			"without a session": {w: w, who: "alice"}, "in a session that is none": {w: w, who: "alice", session: "ts_" + strings.Repeat("a", 26)},
			"in a session of somebody else": {w: w, who: "bob", session: alice.session},
		} {
			if a := p.do("POST", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`); a.status != 400 && a.status != 404 {
				t.Errorf("%s: %d", what, a.status)
			}
		}
		w.quiet(rev)
		cancel(alice)
		if err := wait(t, "the end", w.gates.ended); err == nil {
			t.Errorf("%s: after the others' calls with its id, it cannot be canceled any more", rev)
		}
		wait(t, "the answer", held)
	}
	// And without sessions: two calls with one id, of which one goes away.
	stays := w.modern("alice").hold(t.Context())
	ctx, goes := context.WithCancel(t.Context())
	w.modern("bob").hold(ctx)
	goes()
	if err := wait(t, "the end of the one", w.gates.ended); err == nil {
		t.Error("closing the response did not cancel")
	}
	w.quiet("the other")
	w.gates.leave <- struct{}{}
	if a := wait(t, "the answer", stays); a.status != 200 {
		t.Errorf("the call that stayed: %d", a.status)
	}
	wait(t, "the end of the other", w.gates.ended)
}

// Nothing that one client sets is another's where there is no session: not a log
// level, not a declared capability, not a session, not a list of tools.
func TestHazardNothingIsSharedWithoutASession(t *testing.T) {
	w := askingWorld(t)
	alice, bob := w.modern("alice"), w.modern("bob")
	loud := `{"_meta":{"` + metaLogLevel + `":"debug"},"name":"clear_thought","arguments":{"operation":"steps"}}`
	silent := `{"name":"clear_thought","arguments":{"operation":"steps"}}`
	list := string(bob.request(`1`, "tools/list", `{}`).body)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if s := alice.request(fmt.Sprint(i), "tools/call", loud); len(s.events) != 2 || !strings.Contains(string(s.events[0]), "notifications/message") {
				t.Errorf("a level was asked for: %s", s.body)
			}
		})
		wg.Go(func() {
			for _, p := range []*peer{bob, alice} {
				if s := p.request(fmt.Sprint(i), "tools/call", silent); len(s.events) != 0 {
					t.Errorf("%s asked for no level: %s", p.who, s.body)
				}
			}
		})
	}
	wg.Wait()
	if s := alice.request(`1`, "logging/setLevel", `{"level":"debug"}`); s.status != 404 {
		t.Errorf("a level for everybody: %d %s", s.status, s.body)
	}
	env, _ := alice.request(`1`, "tools/call", `{"name":"clear_thought","arguments":{"operation":"remember","parameters":{"text":"mine"}}}`).result(t)
	theirs, _ := bob.request(`1`, "tools/call", `{"name":"clear_thought","arguments":{"operation":"remember","parameters":{"text":"theirs"}}}`).result(t)
	if env.SessionID == theirs.SessionID || string(theirs.Result) != `{"text":"theirs"}` {
		t.Errorf("%s in %s, %s in %s", env.Result, env.SessionID, theirs.Result, theirs.SessionID)
	}
	if now := string(bob.request(`1`, "tools/list", `{}`).body); now != list {
		t.Errorf("the tools have changed: %s", now)
	}
}

// A session with a standing stream and many calls at once: every report comes on the
// stream of its own call, none on the standing one, none is lost at the end of a call,
// and an answer that nothing was said before stays a JSON body.
func TestHazardReportsStayWithTheirCall(t *testing.T) {
	w := newWorld(t)
	for _, rev := range legacyRevisions {
		p := w.legacy("alice", rev)
		standing := p.open("GET", "")
		if a := p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"debug"}}`); a.code(t) != 0 {
			t.Fatalf("%s", a.body)
		}
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() {
				a := p.call(fmt.Sprint(i), "clear_thought", `{"operation":"steps","parameters":{"n":4}}`, fmt.Sprint(1000+i))
				mine, logs := 0, 0
				for _, e := range a.events {
					if strings.Contains(string(e), `"notifications/message"`) {
						logs++
					}
					if strings.Contains(string(e), fmt.Sprintf(`"progressToken":%d,`, 1000+i)) && strings.Contains(string(e), `"step"`) {
						mine++
					} else if strings.Contains(string(e), "progressToken") && !strings.Contains(string(e), fmt.Sprintf(`:%d,`, 1000+i)) {
						t.Errorf("%s: a report of another call: %s", rev, e)
					}
				}
				if mine != 4 || logs != 1 || !strings.Contains(string(a.events[len(a.events)-1]), fmt.Sprintf(`"id":%d,"result"`, i)) {
					t.Errorf("%s: call %d: %d reports, %d log messages: %s", rev, i, mine, logs, a.body)
				}
			})
			wg.Go(func() {
				if a := p.do("POST", `{"jsonrpc":"2.0","id":"p","method":"ping"}`); a.header.Get("Content-Type") != "application/json" {
					t.Errorf("%s: a plain answer has become a stream: %s", rev, a.body)
				}
			})
		}
		wg.Wait()
		standing.cancel()
		for e := range standing.events {
			if strings.TrimSpace(e) != "" {
				t.Errorf("%s: on the standing stream: %s", rev, e)
			}
		}
	}
}

// A task goes on when its creation has been answered, ends as it would have, and is
// told of to nobody else; one that breaks ends alone.
func TestHazardTasks(t *testing.T) {
	w := newWorld(t, impatient)
	alice, bob := w.modern("alice"), w.modern("bob")
	const hold = `"name":"clear_thought","arguments":{"operation":"hold"}`
	v := alice.rpc("tools/call", "clear_thought", hold, canTask).asks(t)
	<-w.gates.entered
	other := bob.rpc("tools/call", "clear_thought", hold, canTask).asks(t)
	<-w.gates.entered
	w.quiet("after its creation was answered")
	body, heads := bob.message(`"s"`, "subscriptions/listen", `{"notifications":{"taskIds":["`+v.TaskID+`","`+other.TaskID+`"]}}`)
	stream := bob.open("POST", body, heads...)
	if ack := stream.next(t); !strings.Contains(ack, `"taskIds":["`+other.TaskID+`"]`) {
		t.Errorf("ack %s", ack)
	}
	for range 2 {
		w.gates.leave <- struct{}{}
		if err := wait(t, "the end", w.gates.ended); err != nil {
			t.Errorf("ended with %v", err)
		}
	}
	until(t, "the result", func() bool { return alice.task("tasks/get", v.TaskID, "", canTask).asks(t).Status == taskCompleted })
	if got := alice.task("tasks/get", v.TaskID, "", canTask).asks(t); !strings.Contains(got.Result.Content[0].Text, `"left"`) {
		t.Errorf("%+v", got)
	}
	for told := ""; !strings.Contains(told, `"completed"`); {
		told = stream.next(t)
		if strings.Contains(told, v.TaskID) {
			t.Errorf("bob is told of alice's task: %s", told)
		}
	}
	for _, method := range []string{"tasks/get", "tasks/update", "tasks/cancel"} {
		if a := bob.task(method, v.TaskID, `,"inputResponses":{}`, canTask); a.code(t) != codeInvalidParams {
			t.Errorf("%s of somebody else's: %s", method, a.body)
		}
	}
	if a := bob.rpc("tasks/list", "", "", canTask); a.status != 404 {
		t.Errorf("a list of all tasks: %d %s", a.status, a.body)
	}
	// A tool that breaks after it has become a task.
	type none struct{}
	breaks := tools.Define(askingSpec("late"), func(context.Context, *tools.Call, none) (none, error) {
		w.gates.entered <- "late"
		<-w.gates.leave
		panic("secret detail")
	})
	w.server.offer("late", "Breaks.", "late", breaks.InputSchema(), nil, annotations(tools.ReadOnly), &direct{tool: breaks})
	late := alice.rpc("tools/call", "late", `"name":"late","arguments":{}`, canTask).asks(t)
	<-w.gates.entered
	w.gates.leave <- struct{}{}
	until(t, "its end", func() bool { return alice.task("tasks/get", late.TaskID, "", canTask).asks(t).Status == taskFailed })
	if a := alice.task("tasks/get", late.TaskID, "", canTask); strings.Contains(string(a.body), "secret") || a.asks(t).Error.Code != codeInternal {
		t.Errorf("%s", a.body)
	}
	if a := bob.call("1", "echo", `{"text":"x"}`, ""); a.status != 200 {
		t.Errorf("the server after it: %d", a.status)
	}
}

// A session's id is good for its owner and for nothing else, on every verb; nobody
// steals a stream, ends a session, or answers a question in another's place.
func TestHazardSessionsAreBoundToTheirOwner(t *testing.T) {
	w := newWorld(t)
	alice := w.legacy("alice", rev202511)
	standing := alice.open("GET", "")
	for _, who := range []string{"mallory", "alice@elsewhere"} {
		thief := &peer{w: w, who: who, rev: rev202511, session: alice.session}
		for method, body := range map[string]string{"GET": "", "DELETE": "", "POST": `{"jsonrpc":"2.0","id":1,"method":"ping"}`} {
			if a := thief.do(method, body); a.status != 404 {
				t.Errorf("%s of %s: %d", method, who, a.status)
			}
		}
		if a := thief.do("POST", `{"jsonrpc":"2.0","id":"ask_1","result":{"action":"accept"}}`); a.status != 404 {
			t.Errorf("an answer of %s: %d", who, a.status)
		}
	}
	if a := (&peer{w: w, who: "alice", rev: rev202511, session: "totally-bogus"}).do("GET", ""); a.status != 404 {
		t.Errorf("a stream of no session: %d", a.status)
	}
	if a := alice.do("POST", `{"jsonrpc":"2.0","id":1,"method":"ping"}`); a.status != 200 {
		t.Errorf("the owner: %d", a.status)
	}
	if n := w.server.Streams(); n != 1 {
		t.Errorf("%d streams", n)
	}
	standing.cancel()
}

// Sessions that nobody ends go by themselves, with all that is kept for them, while
// one with a call or a stream in it stays.
func TestHazardAbandonedSessionsGo(t *testing.T) {
	w := newWorld(t, func(_ *Config, s *session.Config) {
		s.IdleTTL, s.SweepEvery = 250*time.Millisecond, 10*time.Millisecond
	})
	var sweep sync.WaitGroup
	defer sweep.Wait()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	sweep.Go(func() { _ = w.server.Transports.Run(ctx) })
	began := time.Now()
	busy, watching := w.legacy("alice", rev202511), w.legacy("bob", rev202506)
	held := busy.hold(t.Context())
	standing := watching.open("GET", "")
	for range 60 {
		p := w.legacy("carol", rev202511)
		p.ask("resources/subscribe", `{"uri":"lyceum://guide"}`)
	}
	kept := func() (sessions, memories, subscribers int) {
		tr, subs := w.server.transports, w.server.subs
		tr.mu.Lock()
		memories = len(tr.byID)
		tr.mu.Unlock()
		subs.mu.Lock()
		subscribers = len(subs.legacy)
		subs.mu.Unlock()
		return w.server.Transports.Stats().Sessions, memories, subscribers
	}
	until(t, "the end of what was abandoned", func() bool {
		sessions, memories, subscribers := kept()
		return sessions <= 2 && memories <= 2 && subscribers <= 2
	})
	until(t, "four idle times with a call in flight", func() bool { return time.Since(began) > time.Second })
	for what, p := range map[string]*peer{"a call in flight": busy, "a standing stream": watching} {
		if a := p.do("POST", `{"jsonrpc":"2.0","id":2,"method":"ping"}`); a.status != 200 {
			t.Errorf("the session with %s: %d", what, a.status)
		}
	}
	w.gates.leave <- struct{}{}
	if a := wait(t, "the answer", held); a.status != 200 {
		t.Errorf("the call: %d", a.status)
	}
	standing.cancel()
	until(t, "the end of all", func() bool { sessions, memories, subscribers := kept(); return sessions+memories+subscribers == 0 })
}
