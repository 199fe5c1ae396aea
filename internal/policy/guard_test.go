package policy

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

func TestGuardsSeeTheCall(t *testing.T) {
	alice := who("acme", "alice", "reason", "code")
	op := mcts
	op.Arguments = sent(`{"n":5,"name":"x","list":[1,2,3],"deep":{"on":true}}`)
	for when, deny := range map[string]bool{
		`operation == "mcts" && family == "search"`:                   true,
		`tenant == "acme" && subject == "alice" && clientId == "cli"`: true,
		`tenant != "acme"`:            false,
		`"code" in scopes`:            true,
		`"admin.read" in scopes`:      false,
		`params.n > 4`:                true,
		`params.n == 5`:               true,
		`params.n > 5.5`:              false,
		`params.name.startsWith("x")`: true,
		`params.list.size() == 3 && params.list.all(x, x < 4)`:           true,
		`params.deep.on == true`:                                         true,
		`has(params.missing)`:                                            false,
		`"missing" in params`:                                            false,
		`now > timestamp("2020-01-01T00:00:00Z")`:                        true,
		`now.getHours("+01:00") >= 24`:                                   false,
		`size(string(now.getDayOfWeek())) == 2`:                          false,
		`subject.matches("^a[a-z]+$")`:                                   true,
		`(has(params.n) ? params.n : 0) > 3`:                             true,
		`params.list.exists(x, params.list.exists(y, x * y == 9.0))`:     true,
		`type(params.n) == double && type(params.name) == string`:        true,
		`false || operation in ["beam", "tree_of_thought"]`:              false,
		`params == {"n": 5}`:                                             false,
		`duration("1h") > duration("59m")`:                               true,
		`operation + "/" + family == "mcts/search" && scopes.size() > 1`: true,
	} {
		p := build(t, Config{Guards: []Guard{{Name: "g", When: when}}})
		err := p.Decide(t.Context(), alice, op)
		if want := map[bool]string{true: CodeDenied}[deny]; code(err) != want {
			t.Errorf("%s: %v, want %q", when, err, want)
		}
	}
}

// secret stands for what a caller sent and no log may repeat.
const secret = "hunter2"

type unreadable struct{}

var errUnread = errors.New("not an object")

func (unreadable) Parameters() (json.RawMessage, error) { return nil, errUnread }

// What cannot be evaluated refuses the call and says so, but repeats nothing
// that the caller sent.
func TestGuardsFailClosed(t *testing.T) {
	big := sent(`{"x":"` + strings.Repeat("a", maxParams) + `"}`)
	for _, tt := range []struct {
		when   string
		params Arguments
		reason string
	}{
		{`params.missing == 1`, sent(`{"` + secret + `":1}`), "lack"},
		{`params[params.x] == 1`, sent(`{"x":"` + secret + `"}`), "lack"},
		{`params.x > 3`, sent(`{"x":"` + secret + `"}`), "another type"},
		{`int(params.x) > 3`, sent(`{"x":"` + secret + `"}`), "failed"},
		{`params.x`, sent(`{"x":"` + secret + `"}`), ""},
		{`params.x == true && params.y == 1`, sent(`{"x":true}`), "lack"},
		{`params.x == 1`, big, "more than"},
		{`params.x == 1`, sent(`{"x":`), "not JSON"},
		{`params.x == 1`, nil, "lack"},
		{`timestamp(params.x) > now`, sent(`{"x":"` + secret + `"}`), "failed"},
		{`[1,2,3,4,5,6,7,8,9,10].all(x, params.l.all(y, params.l[0] == y))`, sent(`{"l":[` + strings.TrimSuffix(strings.Repeat("1,", 30_000), ",") + `]}`), "too long"},
	} {
		g := Guard{Name: "g", When: tt.when}
		if e := CheckGuard(g); e != nil {
			if tt.reason == "" {
				continue // refused before it could fail
			}
			t.Errorf("%s: %v", tt.when, e)
			continue
		}
		var log strings.Builder
		r, err := Compile(Config{Guards: []Guard{g}})
		if err != nil {
			t.Fatal(err)
		}
		op := mcts
		op.Arguments = tt.params
		err = New(r, slog.New(slog.NewTextHandler(&log, nil))).Decide(t.Context(), who("acme", "alice", "reason"), op)
		if code(err) != CodeGuardFailed || fault.KindOf(err) != fault.Forbidden {
			t.Errorf("%s: %v", tt.when, err)
			continue
		}
		if !strings.Contains(log.String(), "a guard failed") || !strings.Contains(log.String(), tt.reason) {
			t.Errorf("%s: log %q lacks %q", tt.when, log.String(), tt.reason)
		}
		if strings.Contains(log.String()+err.Error(), secret) {
			t.Errorf("%s: repeats what the caller sent: %s %v", tt.when, log.String(), err)
		}
	}
}

// Arguments that nobody will understand are the caller's business: the cause
// tells, and the log is not filled with it.
func TestUnreadableArguments(t *testing.T) {
	var log strings.Builder
	r, err := Compile(Config{Guards: []Guard{{Name: "g", When: `params.n > 1`}}})
	if err != nil {
		t.Fatal(err)
	}
	op := mcts
	op.Arguments = unreadable{}
	err = New(r, slog.New(slog.NewTextHandler(&log, nil))).Decide(t.Context(), who("a", "b", "reason"), op)
	if code(err) != CodeGuardFailed || !errors.Is(err, errUnread) || log.String() != "" {
		t.Errorf("%v, log %q", err, log.String())
	}
}

// A call that ended is not told that the policy refused it.
func TestGuardOfAnEndedCall(t *testing.T) {
	p := build(t, Config{Guards: []Guard{{Name: "g", When: `params.l.all(x, x > 0)`}}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	op := mcts
	op.Arguments = sent(`{"l":[` + strings.TrimSuffix(strings.Repeat("1,", 10_000), ",") + `]}`)
	if err := p.Decide(ctx, who("a", "b", "reason"), op); fault.KindOf(err) != fault.Canceled {
		t.Errorf("%v, want canceled", err)
	}
}

func TestGuardSourcesAreChecked(t *testing.T) {
	for when, want := range map[string]string{
		``:                               "line 1, column 1",
		`operation = "x"`:                "line 1, column 11",
		"tenant == \"a\" &&\n  foo(1)":   "line 2, column 6: undeclared reference to 'foo'",
		`operation == 1`:                 "no matching overload",
		`params`:                         "is of type dyn, not bool",
		`params.x`:                       "is of type dyn, not bool",
		`subject.matches("(")`:           "invalid matches argument",
		`subject.matches("(a{50}){20}")`: "regex",
		`timestamp("yesterday") < now`:   "invalid timestamp",
		`[1].all(a, [1].all(b, [1].all(c, a == b && b == c)))`:       "nesting",
		strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200): "recursion",
		strings.Repeat("true && ", 600) + "true":                     "",
	} {
		err := CheckGuard(Guard{Name: "g", When: when})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", when, err, want)
		}
	}
	if err := CheckGuard(Guard{Name: "g", When: `operation == "mcts" && params.n > 3`}); err != nil {
		t.Error(err)
	}
	for name := range Variables() {
		if err := CheckGuard(Guard{Name: "g", When: name + " == " + name}); err != nil {
			t.Error(err)
		}
	}
}

// FuzzGuard checks that no source and no parameters make a guard panic, run for
// long, or let a call pass that it could not judge.
func FuzzGuard(f *testing.F) {
	for _, s := range []string{
		`operation == "mcts"`, `params.n > 3`, `params.all(k, params[k] == k)`, `subject.matches(params.a)`, `"x" in scopes && now.getHours() < 8`,
		`[1,2,3].map(x, x * 2).exists(y, y == 4)`, `params.a + params.a == params.b`, `{"a": 1}.a == 1`, `dyn(1) / dyn(0) == 1`, `now.getHours(params.a) == 1`,
		`"a".matches("(a+)+$")`, `string(bytes(params.a)).size() > 1`, `type(params) == map`, `has(params.a.b)`, `-9223372036854775808 == params.n`,
	} {
		f.Add(s, `{"n":5,"a":"(a|a)*b","b":"x"}`)
		f.Add(s, `[[[{}]]]`)
	}
	f.Fuzz(func(t *testing.T, source, params string) {
		start := time.Now()
		g, err := compileGuard(Guard{Name: "g", When: source})
		if took := time.Since(start); took > 5*time.Second {
			t.Fatalf("compiling takes %v", took)
		}
		if err != nil {
			if _, placed := errors.AsType[*GuardError](err); !placed {
				t.Fatalf("%v has no place", err)
			}
			return
		}
		p := New(&Rules{guards: []*guard{g}}, slog.New(slog.DiscardHandler))
		op := mcts
		op.Arguments = sent(params)
		start = time.Now()
		err = p.Decide(t.Context(), who("acme", "alice", "reason"), op)
		if took := time.Since(start); took > 5*time.Second {
			t.Fatalf("evaluating takes %v", took)
		}
		if c := code(err); c != "" && c != CodeDenied && c != CodeGuardFailed {
			t.Fatalf("code %q: %v", c, err)
		}
	})
}
