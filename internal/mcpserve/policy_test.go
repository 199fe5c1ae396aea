package mcpserve

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/session"
)

// under puts the server of w under a policy and returns it.
func (w *world) under(c policy.Config) *policy.Policy {
	w.t.Helper()
	w.server.Policy = policy.New(w.rules(c), slog.New(slog.NewTextHandler(w.t.Output(), nil)))
	return w.server.Policy
}

func (w *world) rules(c policy.Config) *policy.Rules {
	w.t.Helper()
	r, err := policy.Compile(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// refusal is the machine code of a call that was refused with a JSON-RPC error.
func (a answer) refusal(t testing.TB) string {
	t.Helper()
	var r struct {
		Error struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
			Data    struct {
				Code string `json:"code"`
			} `json:"data"`
		} `json:"error"`
	}
	if err := json.Unmarshal(a.body, &r); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return r.Error.Data.Code
}

// What the policy forbids is a 403 without a challenge, by whatever name, in
// whatever revision and on whatever stream it is asked for.
func TestPolicyIsHTTP403(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *session.Config) { c.Surface = "both" })
	w.under(policy.Config{
		Tenants: []policy.Tenant{{Tenant: "t", Deny: []string{"echo", "long"}}, {Tenant: "few", Allow: []string{"alone"}}},
		Guards:  []policy.Guard{{Name: "big", When: `operation == "alone" && params.n > 100`, Message: "at most 100"}},
	})
	for _, p := range []*peer{w.modern("alice"), w.legacy("alice", rev202511), w.legacy("alice", rev2024)} {
		for _, c := range []struct{ tool, arguments, token, code string }{
			{"clear_thought", `{"operation":"echo","parameters":{"text":"x"}}`, "", policy.CodeDenied},
			{"clear_thought", `{"operation":"echo","parameters":{"text":"x"}}`, `"p"`, policy.CodeDenied},
			{"echo", `{"text":"x"}`, "", policy.CodeDenied},
			{"lyceum_test", `{"operation":"echo","parameters":{"text":"x"}}`, "", policy.CodeDenied},
			{"clear_thought", `{"operation":"count"}`, `"p"`, policy.CodeDenied},
			{"lyceum_single", `{"parameters":{"n":101}}`, "", policy.CodeDenied},
			{"clear_thought", `{"operation":"alone","parameters":"{\"n\":101}"}`, "", policy.CodeDenied},
			{"clear_thought", `{"operation":"alone","n":101}`, "", policy.CodeDenied},
			{"clear_thought", `{"operation":"alone","parameters":{"n":"101"}}`, "", policy.CodeDenied},
		} {
			a := p.call("1", c.tool, c.arguments, c.token)
			if a.status != 403 || a.refusal(t) != c.code || strings.Contains(a.header.Get("WWW-Authenticate"), "scope") || len(a.events) > 0 {
				t.Errorf("%s %s %s: %d %v %s", p.rev, c.tool, c.arguments, a.status, a.header, a.body)
			}
		}
		if a := p.call("1", "clear_thought", `{"operation":"run_code"}`, ""); a.status != 403 || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: a missing scope: %d %v", p.rev, a.status, a.header)
		}
		if env, bad := p.call("1", "clear_thought", `{"operation":"alone","parameters":{"n":100}}`, "").result(t); bad {
			t.Errorf("%+v", env.Error)
		}
		// A call that cannot be decoded is explained, not refused for a guard.
		if env, bad := p.call("1", "clear_thought", `{"operation":"alone","parameters":7}`, "").result(t); !bad || env.Error.Code != "invalid_arguments" {
			t.Errorf("%+v", env)
		}
	}
	few := w.modern("bob@few")
	for _, arguments := range []string{`{"operation":"alone"}`, `{"operation":"describe"}`} {
		if env, bad := few.call("1", "clear_thought", arguments, "").result(t); bad {
			t.Errorf("%s: %+v", arguments, env.Error)
		}
	}
	if env, bad := few.call("1", "session_list", `{}`, "").result(t); bad {
		t.Errorf("session_list: %+v", env.Error)
	}
	if a := few.call("1", "clear_thought", `{"operation":"steps"}`, ""); a.refusal(t) != policy.CodeDenied {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// In a batch, whose answers have no status, a refusal is a result.
func TestPolicyInABatch(t *testing.T) {
	w := newWorld(t)
	w.under(policy.Config{Tenants: []policy.Tenant{{Tenant: "t", Deny: []string{"echo"}}}})
	p := w.legacy("alice", rev202503)
	a := p.do("POST", `[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"alone"}}},`+
		`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{"text":"q"}}}]`)
	var items []json.RawMessage
	if err := json.Unmarshal(a.body, &items); err != nil || a.status != 200 || len(items) != 2 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if env, bad := (answer{body: items[0]}).result(t); bad {
		t.Errorf("%+v", env.Error)
	}
	env, bad := (answer{body: items[1]}).result(t)
	if !bad || env.Error.Code != policy.CodeDenied || !strings.Contains(env.Error.Message, "deny echo") {
		t.Errorf("%s", items[1])
	}
}

// The list of tools is the same for everybody: a host may keep it, and it says
// nothing about the policy.
func TestPolicyChangesNoList(t *testing.T) {
	w := newWorld(t)
	list := func(who string) string {
		return string(w.legacy(who, rev202511).do("POST", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`).body)
	}
	before := list("alice")
	w.under(policy.Config{Tenants: []policy.Tenant{{Tenant: "t", Deny: []string{"echo", "test"}}}})
	if list("alice") != before || list("bob@free") != before {
		t.Error("the list differs")
	}
}

// A call names every scope that it needs, whichever operation it is.
func TestEveryStepUpIsWhole(t *testing.T) {
	w := newWorld(t)
	w.under(policy.Config{})
	for _, name := range w.server.Registry.Names() {
		spec := w.server.Registry.Lookup(name).Spec()
		a := w.modern("alice").call("1", "clear_thought", fmt.Sprintf(`{"operation":%q}`, name), "", func(r *http.Request) { r.Header.Set("X-Scopes", "none") })
		if want := "Bearer this needs the scope " + string(spec.Scope) + ": needs scope " + string(spec.Scope); a.status != 403 || a.header.Get("WWW-Authenticate") != want {
			t.Errorf("%s: %d %q, want %q", name, a.status, a.header.Get("WWW-Authenticate"), want)
		}
	}
}

// What a policy forbids after a job has begun holds when the job goes on.
func TestPolicyInsideAJob(t *testing.T) {
	w := newWorld(t, impatient)
	w.under(policy.Config{})
	p := w.legacy("alice", rev202511)
	v, _ := p.becomes(`{"operation":"count","seed":42,"parameters":{"n":1000,"gate":"g"}}`)
	<-w.gates.entered
	dead := job.NewMemoryStore() // what the next process finds
	for rec, err := range w.store.All(t.Context()) {
		if err != nil || dead.Put(t.Context(), rec) != nil {
			t.Fatal(err)
		}
	}
	next := worldOver(t, dead, w.server.Sessions)
	next.under(policy.Config{}).Replace(next.rules(policy.Config{Guards: []policy.Guard{{Name: "later", When: `operation == "count" && params.n > 999 && params.gate == "g"`, Message: "not any more"}}}))
	found, err := next.server.Jobs.Recover(t.Context(), next.server.Resolve)
	if err != nil || found.Queued != 1 {
		t.Fatalf("recovered %+v, %v", found, err)
	}
	j := next.modern("alice").job(v.JobID, 10)
	w.gates.leave <- struct{}{}
	if j.State != job.Failed || !strings.Contains(fmt.Sprintf("%+v", j), "not any more") {
		t.Errorf("%+v", j)
	}
	if got := p.job(v.JobID, 10); got.State != job.Completed {
		t.Errorf("the job of the process that was not reloaded: %+v", got)
	}
}

// A tenant's ceilings bound its calls; a request may still ask for less.
func TestPolicyCeilings(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *session.Config) { c.Limits = budget.Limits{Steps: 1000, Nodes: 1000} })
	w.under(policy.Config{Tenants: []policy.Tenant{
		{Tenant: "small", Ceilings: policy.Ceilings{Steps: 10, Nodes: 20, Time: 1e9, OutputBytes: 40, Sessions: 2}},
		{Tenant: "large", Ceilings: policy.Ceilings{Steps: 1e6, OutputBytes: 1 << 30}},
	}})
	limits := func(tenant string) budget.Limits {
		p := w.peerTask(tenant)
		if err := p.permit(t.Context()); err != nil {
			t.Fatal(err)
		}
		return p.call.Limits
	}
	if got, want := limits("small"), (budget.Limits{Steps: 10, Nodes: 20, Time: 1e9}); got != want {
		t.Errorf("small: %+v, want %+v", got, want)
	}
	for _, tenant := range []string{"large", "other"} {
		if got, want := limits(tenant), (budget.Limits{Steps: 1000, Nodes: 1000}); got != want {
			t.Errorf("%s: %+v, want %+v", tenant, got, want)
		}
	}
	if env, bad := w.modern("bob@small").call("1", "echo", `{"text":"`+strings.Repeat("x", 50)+`"}`, "").result(t); !bad || env.Error.Code != "output_too_large" {
		t.Errorf("%+v", env)
	}
	bob := w.modern("bob@few")
	w.under(policy.Config{Tenants: []policy.Tenant{{Tenant: "few", Ceilings: policy.Ceilings{Sessions: 2}}}})
	for i := range 3 {
		a := bob.call("1", "session_create", `{}`, "")
		if i == 2 {
			if a.status != 429 || a.refusal(t) != "sessions_ceiling" {
				t.Errorf("a third session: %d %s", a.status, a.body)
			}
			continue
		}
		if env, bad := a.result(t); bad {
			t.Fatalf("%+v", env.Error)
		}
	}
	if got := w.server.Sessions.Usage(session.Owner{Tenant: "few", Issuer: "i", Subject: "bob"}).Sessions; got != 2 {
		t.Errorf("%d sessions", got)
	}
	if env, bad := w.modern("carol@few").call("1", "session_create", `{}`, "").result(t); bad {
		t.Errorf("another subject: %+v", env.Error)
	}
}

// peerTask is a call of echo by somebody of tenant, ready to run.
func (w *world) peerTask(tenant string) *task {
	w.t.Helper()
	p := &identity.Principal{Tenant: tenant, Issuer: "i", Subject: "bob", Scopes: []string{"reason"}}
	t := &task{s: w.server, principal: p, name: "echo", arguments: json.RawMessage(`{"text":"x"}`)}
	t.prepare()
	if err := t.decode(); err != nil {
		w.t.Fatal(err)
	}
	return t
}
