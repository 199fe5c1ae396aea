package mcpserve

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools/catalog"
)

// Whatever opens a session returns its handle, and when it ends, in the text and in
// the structured content, for hosts that show a model only the one or the other.
func TestDutyHandleIsInBothForms(t *testing.T) {
	w := shippedWorld(t, "both")
	for _, revision := range allRevisions {
		for tool, arguments := range map[string]string{
			"clear_thought": `{"operation":"session_info"}`, "lyceum_sessions": `{"operation":"session_info"}`, "lyceum_sample": catalogExample(t, "statistical_reasoning"),
			"sequentialthinking": `{"thought":"x","thoughtNumber":1,"totalThoughts":1,"nextThoughtNeeded":false}`, "session_create": `{}`,
		} {
			a := w.speaking("alice", revision).call("1", tool, arguments, "")
			env, bad := a.result(t) // the text, which is the structured content
			id, ends := env.SessionID, env.ExpiresAt
			if tool == "session_create" {
				var v sessionView
				if err := json.Unmarshal(env.Result, &v); err != nil {
					t.Fatal(err)
				}
				id, ends = v.SessionID, &v.ExpiresAt
			}
			if bad || len(id) < len("rs_")+26 || !strings.HasPrefix(id, "rs_") || ends == nil || !ends.After(time.Now()) {
				t.Errorf("%s, %s: %s", revision, tool, a.body)
			}
			if structured := revision != rev2024 && revision != rev202503; structured != strings.Contains(string(a.structured()), id) {
				t.Errorf("%s, %s: structured content %s", revision, tool, a.structured())
			}
		}
	}
}

func catalogExample(t testing.TB, operation string) string {
	t.Helper()
	for _, tool := range catalog.All() {
		if s := tool.Spec(); s.Name == operation {
			return s.Examples[0].Arguments
		}
	}
	t.Fatalf("no operation %s", operation)
	return ""
}

// A handle that leads nowhere for the caller gives one answer of every operation,
// on every surface: not even what else is wrong with a call tells one miss from
// another.
func TestDutyMissesOfEveryOperation(t *testing.T) {
	w := shippedWorld(t, "both")
	mallory := w.modern("mallory")
	foreign, deleted := w.modern("alice").create(), mallory.create()
	if _, bad := mallory.call("1", "session_delete", `{"sessionId":"`+deleted+`"}`, "").result(t); bad {
		t.Fatal("it was not deleted")
	}
	ids := []string{"rs_" + strings.Repeat("a", 26), foreign, deleted, "rs_", "rs_" + strings.ToUpper(foreign[3:]), foreign + "a", "ts_" + foreign[3:], " " + foreign}
	for _, p := range []*peer{mallory, w.legacy("mallory", rev2024), w.legacy("mallory", rev202511)} {
		for _, tool := range catalog.All() {
			s := tool.Spec()
			for _, name := range []string{"clear_thought", "lyceum_" + s.Family} {
				for _, arguments := range []string{s.Examples[0].Arguments, `{"operation":"` + s.Name + `","parameters":{"action":"nonsense"}}`, `{"operation":"` + s.Name + `","expectedVersion":7,"idempotencyKey":"k"}`} {
					want := ""
					for _, id := range ids {
						a := p.call("1", name, strings.Replace(arguments, "{", `{"sessionId":"`+id+`",`, 1), "")
						got := fmt.Sprintf("%d %v %s", a.status, a.header["Content-Type"], a.body)
						if want == "" {
							want = got
						}
						if got != want || !strings.Contains(got, `session_unavailable`) || !strings.Contains(got, "Session not found or expired. Create a new one with session_create.") {
							t.Errorf("%s, %s, %s, %q: %s\nwant %s", p.rev, name, arguments, id, got, want)
						}
					}
				}
			}
		}
	}
}

// Where the switch is off, the older revisions are as 2026-07-28 is: a call without
// a handle opens a session, and the connection remembers none.
func TestDutyTransportDefaultOff(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *session.Config) { c.TransportDefault = false })
	for _, revision := range allRevisions {
		p := w.speaking("alice", revision)
		first, _ := p.call("1", "clear_thought", `{"operation":"remember","parameters":{"text":"a"}}`, "").result(t)
		second, _ := p.call("2", "clear_thought", `{"operation":"remember","parameters":{"text":"b"}}`, "").result(t)
		if first.SessionID == second.SessionID || string(second.Result) != `{"text":"b"}` {
			t.Errorf("%s: %+v %+v", revision, first, second)
		}
		third, bad := p.call("3", "clear_thought", `{"operation":"remember","sessionId":"`+first.SessionID+`","parameters":{"text":"c"}}`, "").result(t)
		if bad || string(third.Result) != `{"text":"a,c"}` {
			t.Errorf("%s: %+v", revision, third)
		}
	}
}

// A call that was lost can be made again under another id, by another tool's name
// of the same operation, and on another connection in another revision: it runs once.
func TestDutyIdempotencyAcrossConnections(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *session.Config) { c.Surface = "both" })
	const arguments = `{"operation":"remember","idempotencyKey":"once","parameters":{"text":"a"}}`
	first, bad := w.legacy("alice", rev202506).call("1", "clear_thought", arguments, "").result(t)
	if bad {
		t.Fatalf("%+v", first.Error)
	}
	for i, again := range []answer{
		w.legacy("alice", rev2024).call("2", "clear_thought", arguments, ""),
		w.modern("alice").call(`"x"`, "clear_thought", arguments, ""),
		w.modern("alice").call("4", "lyceum_test", arguments, ""),
	} {
		env, bad := again.result(t)
		if bad || env.SessionID != first.SessionID || *env.Version != *first.Version || string(env.Result) != string(first.Result) {
			t.Errorf("%d: %+v, want %+v", i, env, first)
		}
	}
	for name, other := range map[string]string{
		"other parameters":  strings.Replace(arguments, `"a"`, `"b"`, 1),
		"another operation": strings.Replace(arguments, "remember", "echo", 1),
		"another session":   strings.Replace(arguments, "{", `{"sessionId":"`+first.SessionID+`",`, 1),
	} {
		if env, bad := w.modern("alice").call("5", "clear_thought", other, "").result(t); !bad || env.Error.Code != "idempotency_conflict" {
			t.Errorf("%s: %+v", name, env)
		}
	}
	env, bad := w.modern("bob").call("6", "clear_thought", arguments, "").result(t)
	if bad || env.SessionID == first.SessionID {
		t.Errorf("somebody else's key: %+v", env)
	}
}

// A session says in advance how long it lives, may ask for less, and the tool that
// makes one says so too.
func TestDutyLifetimeIsTold(t *testing.T) {
	w := shippedWorld(t, "facade", func(_ *Config, s *session.Config) { s.IdleTTL, s.MaxTTL = time.Hour, 24*time.Hour })
	p := w.modern("alice")
	for arguments, most := range map[string]time.Duration{`{}`: time.Hour, `{"idleTtlSeconds":60}`: time.Minute, `{"maxTtlSeconds":30}`: 30 * time.Second} {
		env, bad := p.call("1", "session_create", arguments, "").result(t)
		var v sessionView
		if err := json.Unmarshal(env.Result, &v); err != nil || bad {
			t.Fatalf("%s: %+v", arguments, env.Error)
		}
		if left := time.Until(v.ExpiresAt); left > most || left < most-10*time.Second {
			t.Errorf("%s: it ends in %s, want %s", arguments, left, most)
		}
	}
	for _, tool := range listedAs(t, p) {
		if string(tool["name"]) == `"session_create"` && !strings.Contains(string(tool["description"]), "expiresAt") {
			t.Errorf("%s", tool["description"])
		}
	}
}
