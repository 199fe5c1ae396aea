package policy

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// sent are the parameters of a call.
type sent string

func (s sent) Parameters() (json.RawMessage, error) { return json.RawMessage(s), nil }

func who(tenant, subject string, scopes ...string) *identity.Principal {
	slices.Sort(scopes)
	return &identity.Principal{Tenant: tenant, Issuer: "https://a", Subject: subject, ClientID: "cli", Scopes: scopes}
}

func build(t testing.TB, c Config) *Policy {
	t.Helper()
	r, err := Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	return New(r, slog.New(slog.DiscardHandler))
}

// code is the machine code of a decision; "" is yes.
func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.From(err).MachineCode()
}

var (
	mcts     = Operation{Name: "mcts", Family: "search", Scope: Reason}
	beam     = Operation{Name: "beam", Family: "search", Scope: Reason}
	weigh    = Operation{Name: "weigh", Family: "decide", Scope: Reason}
	run      = Operation{Name: "run", Family: "code", Scope: Code}
	describe = Operation{Name: "describe", Family: "guide", Scope: Reason, Upkeep: true}
	result   = Operation{Name: "job_result", Family: "job", Scope: Reason, Upkeep: true}
	every    = []Operation{mcts, beam, weigh, run, describe, result}
)

// TestDecide is the table of principals, operations and rules.
func TestDecide(t *testing.T) {
	p := build(t, Config{
		Tenants: []Tenant{
			{Tenant: "narrow", Allow: []string{"mcts", "decide"}},
			{Tenant: "barred", Deny: []string{"search", "job_result"}},
			{Tenant: "both", Allow: []string{"search"}, Deny: []string{"beam"}},
			{Tenant: "clash", Allow: []string{"mcts"}, Deny: []string{"mcts"}},
		},
		Guards: []Guard{
			{Name: "no-guests-in-code", When: `family == "code" && subject.startsWith("guest-")`, Message: "guests run no code"},
			{Name: "by-scope", When: `"admin.read" in scopes && operation == "beam"`},
		},
	})
	const d = CodeDenied
	tests := []struct {
		name string
		who  *identity.Principal
		want [6]string // for each of every
	}{
		{"no rules", who("free", "alice", "reason", "code"), [6]string{}},
		{"no rules, one scope", who("free", "alice", "reason"), [6]string{3: "insufficient_scope"}},
		{"only code", who("free", "alice", "code"), [6]string{"insufficient_scope", "insufficient_scope", "insufficient_scope", "", "insufficient_scope", "insufficient_scope"}},
		{"nobody", nil, [6]string{"insufficient_scope", "insufficient_scope", "insufficient_scope", "insufficient_scope", "insufficient_scope", "insufficient_scope"}},
		{"allowed by name and family", who("narrow", "alice", "reason", "code"), [6]string{"", d, "", d, "", ""}},
		{"a list comes before scopes", who("narrow", "alice"), [6]string{"insufficient_scope", d, "insufficient_scope", d, "insufficient_scope", "insufficient_scope"}},
		{"denied by family and name", who("barred", "alice", "reason", "code"), [6]string{d, d, "", "", "", d}},
		{"deny wins", who("both", "alice", "reason", "code"), [6]string{"", d, d, d, "", ""}},
		{"deny wins over the same entry", who("clash", "alice", "reason", "code"), [6]string{d, d, d, d, "", ""}},
		{"a guard by subject", who("free", "guest-7", "reason", "code"), [6]string{3: d}},
		{"a guard by scope", who("free", "op", "reason", "admin.read", "code"), [6]string{1: d}},
		{"another case is another tenant", who("Narrow", "alice", "reason", "code"), [6]string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for i, op := range every {
				err := p.Decide(t.Context(), tt.who, op)
				if got := code(err); got != tt.want[i] {
					t.Errorf("%s: %q (%v), want %q", op.Name, got, err, tt.want[i])
				}
				if err != nil && fault.KindOf(err) != fault.Forbidden {
					t.Errorf("%s: kind %s", op.Name, fault.KindOf(err))
				}
				missing, stepUp := errors.AsType[*MissingScope](err)
				if stepUp != (tt.want[i] == "insufficient_scope") || stepUp && !slices.Equal(missing.Need, []Scope{op.Scope}) {
					t.Errorf("%s: step-up %v names %v", op.Name, stepUp, missing)
				}
			}
		})
	}
	if got := fault.From(p.Decide(t.Context(), who("both", "a", "reason"), beam)).Public; got != "the policy for tenant both does not allow beam here: deny beam" {
		t.Error(got)
	}
	if got := fault.From(p.Decide(t.Context(), who("free", "guest-1", "code"), run)).Public; got != "guests run no code (guard no-guests-in-code)" {
		t.Error(got)
	}
}

func TestNilPolicyAsksForScopes(t *testing.T) {
	var p *Policy
	if err := p.Decide(t.Context(), who("a", "b", "reason"), mcts); err != nil {
		t.Error(err)
	}
	if got := code(p.Decide(t.Context(), who("a", "b", "reason"), run)); got != "insufficient_scope" {
		t.Error(got)
	}
	if p.Ceilings("a") != (Ceilings{}) {
		t.Error("a nil policy has ceilings")
	}
}

func TestHierarchy(t *testing.T) {
	for _, tt := range []struct {
		has  string
		want []Scope
	}{
		{"reason", []Scope{Reason}}, {"code", []Scope{Code}}, {"admin.read", []Scope{AdminRead}}, {"admin.write", []Scope{AdminRead, AdminWrite}},
	} {
		for _, s := range All() {
			if got := Allows(who("t", "s", tt.has), s); got != slices.Contains(tt.want, s) {
				t.Errorf("%s allows %s: %v", tt.has, s, got)
			}
		}
	}
}

func TestCompileReportsEverything(t *testing.T) {
	_, err := Compile(Config{
		Tenants: []Tenant{{Tenant: "a"}, {Tenant: "a"}},
		Guards:  []Guard{{Name: "g", When: "true"}, {Name: "g", When: "nobody == 1"}, {Name: "h", When: "1 + 1"}},
	})
	for _, part := range []string{`tenant "a" is listed twice`, `guard "g" is listed twice`, "guard g, line 1, column 1: undeclared reference to 'nobody'", "guard h, line 1, column 1: is of type int, not bool"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in %v", part, err)
		}
	}
}

func TestReplace(t *testing.T) {
	p := build(t, Config{Tenants: []Tenant{{Tenant: "a", Ceilings: Ceilings{Steps: 7}}}})
	alice := who("a", "alice", "reason")
	if err := p.Decide(t.Context(), alice, mcts); err != nil || p.Ceilings("a").Steps != 7 || p.Ceilings("b") != (Ceilings{}) {
		t.Fatal(err, p.Ceilings("a"))
	}
	r, err := Compile(Config{Tenants: []Tenant{{Tenant: "a", Deny: []string{"mcts"}}}})
	if err != nil {
		t.Fatal(err)
	}
	p.Replace(r)
	if got := code(p.Decide(t.Context(), alice, mcts)); got != CodeDenied || p.Ceilings("a").Steps != 0 {
		t.Error(got, p.Ceilings("a"))
	}
}

// A rule more never allows more: not an entry of a deny-list, not a guard.
func TestRulesOnlyForbid(t *testing.T) {
	words := rapid.SampledFrom([]string{"mcts", "beam", "weigh", "run", "search", "decide", "code", "describe", "job", "other"})
	guards := []Guard{
		{Name: "a", When: `operation == "mcts"`},
		{Name: "b", When: `params.n > 3`},
		{Name: "c", When: `tenant == "t1" && "code" in scopes`},
		{Name: "d", When: `has(params.n) && int(params.n) / 0 == 1`},
		{Name: "e", When: `false`},
	}
	rapid.Check(t, func(t *rapid.T) {
		list := func(label string) []string { return rapid.SliceOfN(words, 0, 4).Draw(t, label) }
		c := Config{
			Tenants: []Tenant{{Tenant: "t1", Allow: list("allow"), Deny: list("deny")}, {Tenant: "t2", Deny: list("deny 2")}},
			Guards:  rapid.SliceOfNDistinct(rapid.SampledFrom(guards), 0, 3, func(g Guard) string { return g.Name }).Draw(t, "guards"),
		}
		stricter := Config{Tenants: slices.Clone(c.Tenants), Guards: slices.Clone(c.Guards)}
		if i := rapid.IntRange(0, 2).Draw(t, "where"); i < 2 {
			stricter.Tenants[i].Deny = append(slices.Clone(stricter.Tenants[i].Deny), words.Draw(t, "more"))
		} else {
			g := rapid.SampledFrom(guards).Draw(t, "guard")
			g.Name += "+"
			at := rapid.IntRange(0, len(stricter.Guards)).Draw(t, "at")
			stricter.Guards = slices.Insert(stricter.Guards, at, g)
		}
		before, after := mustCompile(t, c), mustCompile(t, stricter)
		p := who(rapid.SampledFrom([]string{"t1", "t2", "t3"}).Draw(t, "tenant"), "s", rapid.SliceOfDistinct(rapid.SampledFrom([]string{"reason", "code"}), rapid.ID[string]).Draw(t, "scopes")...)
		op := rapid.SampledFrom(every).Draw(t, "operation")
		op.Arguments = rapid.SampledFrom([]sent{`{}`, `{"n":2}`, `{"n":9}`, `{"n":"x"}`, `[`}).Draw(t, "params")
		if was, is := before.Decide(context.Background(), p, op), after.Decide(context.Background(), p, op); was != nil && is == nil {
			t.Fatalf("%s was refused (%v) and a rule more allows it", op.Name, was)
		}
	})
}

func mustCompile(t *rapid.T, c Config) *Policy {
	r, err := Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	return New(r, slog.New(slog.DiscardHandler))
}

func TestDecideAllocatesNothing(t *testing.T) {
	p := build(t, Config{Tenants: []Tenant{{Tenant: "a", Allow: []string{"search"}, Deny: []string{"beam"}}}})
	alice, ctx := who("a", "alice", "reason"), t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if p.Decide(ctx, alice, mcts) != nil {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDecide(b *testing.B) {
	lists := []Tenant{{Tenant: "a", Allow: []string{"search", "decide"}, Deny: []string{"beam"}}}
	guards := []Guard{{Name: "night", When: `operation == "mcts" && now.getHours() > 24 && tenant == "a"`}}
	params := []Guard{{Name: "size", When: `has(params.iterations) && params.iterations > 100000`}}
	alice := who("a", "alice", "reason")
	op := mcts
	op.Arguments = sent(`{"problem":{"kind":"bandit","arms":[0.1,0.2,0.7]},"iterations":5000,"seed":7}`)
	for _, bb := range []struct {
		name string
		c    Config
	}{{"lists", Config{Tenants: lists}}, {"guard", Config{Tenants: lists, Guards: guards}}, {"guard on parameters", Config{Guards: params}}} {
		b.Run(bb.name, func(b *testing.B) {
			p, ctx := build(b, bb.c), b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Decide(ctx, alice, op); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
