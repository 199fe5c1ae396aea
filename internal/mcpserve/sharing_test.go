package mcpserve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/sessions"
)

// sharingTools are the operations that share, and one that computes before it
// commits.
func sharingTools(g *gates) []tools.Tool {
	return []tools.Tool{
		sessions.Share, sessions.Unshare, sessions.Info,
		tools.Define(tools.Spec{
			Name: "ponder", Family: "sharing", Title: "ponder", Summary: "For tests.", Scope: policy.Reason, Lane: work.Interactive,
			Effect: tools.Mutates, Method: "test", Examples: []tools.Example{{Title: "x", Arguments: `{"operation":"ponder"}`}},
		}, func(ctx context.Context, c *tools.Call, in waitIn) (echoOut, error) {
			v, version, err := counter.ReadVersion(c.Session)
			if err != nil {
				return echoOut{}, err
			}
			g.entered <- in.Gate
			<-g.leave
			v.N++
			return echoOut{"committed"}, counter.Commit(ctx, c.Session, version, v)
		}),
	}
}

// on calls an operation of the facade on a session.
func (p *peer) on(id, operation, parameters string) answer {
	p.w.t.Helper()
	return p.call("1", "clear_thought", fmt.Sprintf(`{"operation":%q,"sessionId":%q,"parameters":%s}`, operation, id, parameters), "")
}

// does is on for what must work, and decodes the result.
func does[Out any](p *peer, id, operation, parameters string) (out Out) {
	p.w.t.Helper()
	env, bad := p.on(id, operation, parameters).result(p.w.t)
	if err := json.Unmarshal(env.Result, &out); err != nil || bad {
		p.w.t.Fatalf("%s by %s: %+v", operation, p.who, env.Error)
	}
	return out
}

// refused is on for what must be refused with a machine code.
func (p *peer) refused(id, operation, parameters, code string) {
	p.w.t.Helper()
	env, bad := p.on(id, operation, parameters).result(p.w.t)
	if !bad || env.Error == nil || env.Error.Code != code {
		p.w.t.Errorf("%s by %s: %+v, want %s", operation, p.who, env.Error, code)
	}
}

func (p *peer) create() string {
	p.w.t.Helper()
	env, bad := p.call("1", "session_create", `{}`, "").result(p.w.t)
	var v sessionView
	if err := json.Unmarshal(env.Result, &v); err != nil || bad {
		p.w.t.Fatalf("create: %+v", env.Error)
	}
	return v.SessionID
}

func (p *peer) list() []sessionView {
	p.w.t.Helper()
	env, bad := p.call("1", "session_list", `{}`, "").result(p.w.t)
	var v listOutput
	if err := json.Unmarshal(env.Result, &v); err != nil || bad || v.Total != len(v.Sessions) {
		p.w.t.Fatalf("list: %s %+v", env.Result, env.Error)
	}
	return v.Sessions
}

// missed checks that a session is to p what never was, byte for byte, in every
// way to name one.
func (p *peer) missed(id string) {
	p.w.t.Helper()
	never := "rs_" + strings.Repeat("a", len(id)-3)
	for _, call := range []func(id string) answer{
		func(id string) answer { return p.on(id, "echo", `{"text":"x"}`) },
		func(id string) answer { return p.on(id, "remember", `{"text":"x"}`) },
		func(id string) answer { return p.on(id, "hold", `{}`) },
		func(id string) answer { return p.on(id, "session_info", `{}`) },
		func(id string) answer { return p.on(id, "session_share", `{"subject":"eve","access":"read"}`) },
		func(id string) answer { return p.on(id, "session_unshare", `{"subject":"eve"}`) },
		func(id string) answer { return p.call("1", "session_delete", fmt.Sprintf(`{"sessionId":%q}`, id), "") },
	} {
		got, want := call(id), call(never)
		if got.status != want.status || !bytes.Equal(got.body, want.body) || !bytes.Contains(got.body, []byte("session_unavailable")) {
			p.w.t.Errorf("%s got %d %s, for an unknown id %d %s", p.who, got.status, got.body, want.status, want.body)
		}
	}
}

func TestSharing(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.modern("alice"), w.modern("bob")
	id := alice.create()
	does[echoOut](alice, id, "remember", `{"text":"mine"}`)
	strangers := []*peer{bob, w.modern("carol"), w.modern("bob@globex"), w.legacy("carol", rev202511)}
	for _, p := range strangers {
		p.missed(id)
	}

	granted := does[sessions.ShareOutput](alice, id, "session_share", `{"subject":"bob","access":"read","ttlSeconds":600}`)
	if g := granted.Grant; g.Subject != "bob" || g.Issuer != "i" || g.Access != "read" || g.ExpiresAt.Sub(g.GrantedAt) != 10*time.Minute || len(granted.Grants) != 1 {
		t.Errorf("granted %+v", granted)
	}
	for _, p := range strangers[1:] { // also bob of another tenant
		p.missed(id)
	}
	// A reader reads, and nothing else.
	if got := does[echoOut](bob, id, "echo", `{"text":"hello"}`); got.Text != "hello" {
		t.Errorf("echo: %+v", got)
	}
	bob.refused(id, "remember", `{"text":"his"}`, "read_only_grant")
	bob.refused(id, "session_share", `{"subject":"eve","access":"read"}`, "read_only_grant")
	bob.refused(id, "session_unshare", `{"subject":"bob"}`, "read_only_grant")
	bob.refused(id, "ponder", `{"gate":"never entered"}`, "read_only_grant")
	if len(w.gates.entered) != 0 {
		t.Error("a mutating operation computed for a reader")
	}
	info := does[sessions.InfoOutput](bob, id, "session_info", `{}`)
	if info.Access != "read" || info.SharedBy != "alice" || info.GrantExpiresAt == nil || info.Quota != nil || info.Grants != nil {
		t.Errorf("a reader's session_info: %+v", info)
	}
	info = does[sessions.InfoOutput](alice, id, "session_info", `{}`)
	if info.Access != "owner" || info.SharedBy != "" || len(info.Grants) != 1 || info.Quota == nil || info.Quota.Sessions != 1 || info.Quota.Bytes != info.Bytes || info.Quota.MaxSessions != 1000 {
		t.Errorf("the owner's session_info: %+v", info)
	}
	if l := bob.list(); len(l) != 1 || l[0].SessionID != id || l[0].Access != session.AccessRead || l[0].SharedBy != "alice" || l[0].Expires == nil || l[0].Grants != 0 {
		t.Errorf("bob's list: %+v", l)
	}
	if l := alice.list(); len(l) != 1 || l[0].Access != "" || l[0].Expires != nil || l[0].Grants != 1 {
		t.Errorf("alice's list: %+v", l)
	}

	// A writer writes; what the session is, stays the owner's business.
	does[sessions.ShareOutput](alice, id, "session_share", `{"subject":"bob","access":"write","issuer":"i"}`)
	if got := does[echoOut](bob, id, "remember", `{"text":"his"}`); got.Text != "mine,his" {
		t.Errorf("remembered %+v", got)
	}
	bob.refused(id, "session_share", `{"subject":"eve","access":"read"}`, "not_owner")
	bob.refused(id, "session_unshare", `{"subject":"bob"}`, "not_owner")
	if env, bad := bob.call("1", "session_delete", fmt.Sprintf(`{"sessionId":%q}`, id), "").result(t); !bad || env.Error.Code != "not_owner" {
		t.Errorf("delete by a grantee: %+v", env.Error)
	}
	alice.refused(id, "session_share", `{"subject":"alice","access":"read"}`, "share_with_self")
	alice.refused(id, "session_share", `{"subject":"bob","access":"own"}`, "invalid_arguments")
	alice.refused(id, "session_share", `{"subject":"bob","access":"read","ttlSeconds":999999999}`, "invalid_arguments")

	for _, revoked := range []bool{true, false} {
		out := does[sessions.UnshareOutput](alice, id, "session_unshare", `{"subject":"bob"}`)
		if out.Revoked != revoked || len(out.Grants) != 0 {
			t.Errorf("unshare: %+v, want revoked %v", out, revoked)
		}
	}
	bob.missed(id)
	if l := bob.list(); len(l) != 0 {
		t.Errorf("bob's list: %+v", l)
	}

	does[sessions.ShareOutput](alice, id, "session_share", `{"subject":"bob","access":"write"}`)
	does[echoOut](bob, id, "echo", `{}`)
	if env, bad := alice.call("1", "session_delete", fmt.Sprintf(`{"sessionId":%q}`, id), "").result(t); bad {
		t.Fatalf("delete: %+v", env.Error)
	}
	bob.missed(id)
}

// What a grantee computes when its grant is revoked is not committed, whether its
// request waits or it has become a job.
func TestRevokedWhileItComputes(t *testing.T) {
	for name, change := range map[string][]func(*Config, *session.Config){"in line": nil, "as a job": {impatient}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, change...)
			alice, bob := w.modern("alice"), w.modern("bob")
			id := alice.create()
			does[sessions.ShareOutput](alice, id, "session_share", `{"subject":"bob","access":"write"}`)
			done := make(chan answer, 1)
			go func() { done <- bob.on(id, "ponder", `{"gate":"g"}`) }()
			<-w.gates.entered
			var j jobView
			if name == "as a job" {
				env, _ := (<-done).result(t)
				var v runningView
				if err := json.Unmarshal(env.Result, &v); err != nil {
					t.Fatal(err)
				}
				j.JobID = v.JobID
			}
			before := does[sessions.InfoOutput](alice, id, "session_info", `{}`).Version
			if out := does[sessions.UnshareOutput](alice, id, "session_unshare", `{"subject":"bob"}`); !out.Revoked {
				t.Errorf("unshare: %+v", out)
			}
			w.gates.leave <- struct{}{}
			if name == "as a job" {
				j = bob.job(j.JobID, 10) // the job stays bob's own
				if j.State != "failed" || !strings.Contains(fmt.Sprintf("%+v", j.Error), "session_unavailable") {
					t.Errorf("the job: %+v", j)
				}
				if _, bad := alice.call("1", "job_result", fmt.Sprintf(`{"jobId":%q}`, j.JobID), "").result(t); !bad {
					t.Error("the session's owner sees the grantee's job")
				}
			} else if env, bad := (<-done).result(t); !bad || env.Error.Code != "session_unavailable" {
				t.Errorf("the call: %s %+v", env.Result, env.Error)
			}
			if after := does[sessions.InfoOutput](alice, id, "session_info", `{}`).Version; after != before {
				t.Errorf("the session is at version %d, was at %d", after, before)
			}
		})
	}
}

// A key that one subject used says nothing to another on the same session.
func TestIdempotencyKeysStayTheCallers(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.modern("alice"), w.modern("bob")
	id := alice.create()
	does[sessions.ShareOutput](alice, id, "session_share", `{"subject":"bob","access":"write"}`)
	keyed := func(p *peer) string {
		env, bad := p.call("1", "clear_thought", fmt.Sprintf(`{"operation":"remember","sessionId":%q,"idempotencyKey":"k1","parameters":{"text":%q}}`, id, p.who), "").result(t)
		if bad {
			t.Fatalf("%+v", env.Error)
		}
		return string(env.Result)
	}
	if first, second := keyed(alice), keyed(bob); first != `{"text":"alice"}` || second != `{"text":"alice,bob"}` {
		t.Errorf("remembered %s, then %s", first, second)
	}
	if again := keyed(bob); again != `{"text":"alice,bob"}` {
		t.Errorf("repeated: %s", again)
	}
}

// Who may use a session finds it: in the list of resources and in completions, as
// long as the grant holds.
func TestSharedSessionsAreListed(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.legacy("alice", rev202511), w.legacy("bob", rev202511)
	id := alice.create()
	listed := func(p *peer) (list, completed bool) {
		t.Helper()
		a := p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"resources/list","params":{}}`)
		c := p.do("POST", `{"jsonrpc":"2.0","id":2,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"lyceum://sessions/{sessionId}"},"argument":{"name":"sessionId","value":""}}}`)
		return bytes.Contains(a.body, []byte(id)), bytes.Contains(c.body, []byte(id))
	}
	for _, step := range []struct {
		does, parameters string
		want             bool
	}{
		{"session_unshare", `{"subject":"bob"}`, false},
		{"session_share", `{"subject":"bob","access":"read"}`, true},
		{"session_unshare", `{"subject":"bob"}`, false},
	} {
		does[json.RawMessage](alice, id, step.does, step.parameters)
		if list, completed := listed(bob); list != step.want || completed != step.want {
			t.Errorf("after %s: listed %t, completed %t", step.does, list, completed)
		}
		if list, completed := listed(alice); !list || !completed {
			t.Errorf("after %s the owner does not find it: %t, %t", step.does, list, completed)
		}
	}
}
