package catalog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/catalog"
	"github.com/lyceum-mcp/lyceum/tools/guide"
)

// labelled are tasks as people put them, with the operation that serves them.
var labelled = []struct{ want, task string }{
	{"sequential_thinking", "Walk through this problem step by step and revise when something is wrong"},
	{"sequential_thinking", "I need to reason through a proof that there are infinitely many primes"},
	{"sequential_thinking", "Check my arithmetic in this derivation"},
	{"sequential_thinking", "Break down the migration into a chain of thoughts"},
	{"sequential_thinking", "Keep track of my reasoning and let me revise earlier thoughts"},
	{"debugging_approach", "Our nightly build broke somewhere in the last 300 commits, which one is it?"},
	{"debugging_approach", "A test is flaky and I cannot find the root cause"},
	{"debugging_approach", "Reduce this 2000 line input that crashes the parser to a minimal one"},
	{"debugging_approach", "The service returns errors since the last release, help me diagnose"},
	{"debugging_approach", "Which line is most suspicious given test coverage?"},
	{"debugging_approach", "What combinations of component failures bring the whole system down?"},
	{"debugging_approach", "The lamp does not turn on, how do I troubleshoot it?"},
	{"mcts", "What is the best next move in this game of nim?"},
	{"mcts", "Plan a sequence of actions against an opponent with random outcomes"},
	{"mcts", "Which slot machine arm should I pull, a bandit problem"},
	{"mcts", "Explore many possible moves by simulation and rollouts"},
	{"beam_search", "Keep the three best candidates at every step while generating a headline word by word"},
	{"beam_search", "Narrow down drafts generation after generation keeping the top few"},
	{"tree_of_thought", "Use 4, 9, 10, 13 to make 24"},
	{"tree_of_thought", "Explore several alternative approaches to the puzzle and backtrack from bad ones"},
	{"tree_of_thought", "Find the shortest route through a maze"},
	{"tree_of_thought", "Branch into different ideas, judge them and go deeper into the good ones"},
	{"graph_of_thought", "Merge these three summaries into one and keep the best"},
	{"graph_of_thought", "Which claims contradict each other in this network of evidence?"},
	{"graph_of_thought", "Aggregate ideas from several documents"},
	{"pdr_reasoning", "Do a deep literature survey on session stores and tell me where the gaps are"},
	{"pdr_reasoning", "Research the topic of vector databases in depth"},
	{"pdr_reasoning", "Investigate a broad question by subtopics and find what is missing"},
	{"decision_framework", "Which of these three suppliers should we choose given price and quality?"},
	{"decision_framework", "Help me pick a laptop"},
	{"decision_framework", "Trade-off between cost and speed, compare options with weights"},
	{"decision_framework", "Should I invest in bonds or stocks given the payoffs in each state?"},
	{"decision_framework", "Rank the job candidates by our criteria"},
	{"decision_framework", "Choose between buying and leasing a car"},
	{"statistical_reasoning", "Is the difference in conversion between A and B significant?"},
	{"statistical_reasoning", "Summarise these measurements: mean, median and outliers"},
	{"statistical_reasoning", "How large a sample do I need for 80 percent power?"},
	{"statistical_reasoning", "Fit a linear regression to sales over price"},
	{"statistical_reasoning", "What is the probability of the disease after a positive test?"},
	{"statistical_reasoning", "Are height and weight correlated?"},
	{"session_share", "Let my colleague Bob read what we have so far"},
	{"session_unshare", "Revoke Bob's access"},
	{"session_export", "Save all of this work to a file as a backup"},
	{"session_import", "Restore the document I exported yesterday"},
	{"session_info", "How much quota have I used and when does the session expire?"},
}

func suggest(t *testing.T, d *desk, parameters any) (guide.Output, *tools.Envelope) {
	t.Helper()
	raw, err := json.Marshal(parameters)
	if err != nil {
		t.Fatal(err)
	}
	e := d.send("orchestration_suggest", string(raw))
	if e.Error != nil {
		t.Fatalf("%s: %+v", raw, e.Error)
	}
	var out guide.Output
	if err := json.Unmarshal(e.Result, &out); err != nil {
		t.Fatal(err)
	}
	return out, e
}

// The right operation is among the first three for at least nine of ten tasks.
func TestSuggestFindsTheOperation(t *testing.T) {
	d := newDesk(t)
	hits, tops := 0, 0
	for _, l := range labelled {
		out, _ := suggest(t, d, map[string]any{"task": l.task})
		var got []string
		for _, g := range out.Suggestions {
			got = append(got, g.Operation)
		}
		at := slices.Index(got, l.want)
		if at == 0 {
			tops++
		}
		if at >= 0 && at < 3 {
			hits++
		} else {
			t.Logf("%s: %q gives %v", l.want, l.task, got)
		}
	}
	t.Logf("first three: %d of %d, first: %d", hits, len(labelled), tops)
	if len(labelled) < 40 || hits*10 < len(labelled)*9 {
		t.Errorf("the right operation is in the first three for %d of %d tasks", hits, len(labelled))
	}
}

// Every operation but the guide itself can be found, and the arguments that it is
// suggested with are taken by its own decoder as they stand, or what is wrong with
// them is in a parameter that the suggestion says must be filled in.
func TestSkeletonsDecode(t *testing.T) {
	for _, data := range []map[string]any{
		nil,
		{"options": []any{map[string]any{"name": "A", "attributes": map[string]any{"cost": 3}}}, "elements": []string{"a", "b"}, "data": []float64{1, 2, 3}, "candidates": []string{"x", "y"}, "question": "Why?"},
		{"options": 7, "elements": map[string]any{}, "data": "none", "heaps": []any{"three"}, "components": []any{map[string]any{"name": "in"}}},
	} {
		d := newDesk(t)
		found := map[string]bool{}
		for _, tool := range catalog.All() {
			s := tool.Spec()
			out, _ := suggest(t, d, map[string]any{"task": s.Title + ". " + s.Summary, "data": data, "limit": 20})
			for _, g := range out.Suggestions {
				found[g.Operation] = true
				try(t, g)
			}
		}
		for _, tool := range catalog.All() {
			if name := tool.Spec().Name; !found[name] && tool.Spec().Family != "guide" {
				t.Errorf("%s is never suggested", name)
			}
		}
	}
}

// try sends the arguments of a suggestion in a session of their own.
func try(t *testing.T, g guide.Suggestion) {
	t.Helper()
	d := newDesk(t)
	raw, err := json.Marshal(map[string]any{"operation": g.Operation, "prompt": g.Arguments.Prompt, "parameters": g.Arguments.Parameters})
	if err != nil {
		t.Fatal(err)
	}
	req, err := d.facade.Decode(raw)
	if err != nil {
		t.Errorf("%s: %v", raw, err)
		return
	}
	c := &tools.Call{Session: d.h, Principal: &identity.Principal{Tenant: "t", Issuer: "i", Subject: "s"}, Limits: budget.Limits{Time: 10 * time.Second, Steps: 2_000_000, Nodes: 100_000}}
	req.Start(c)
	_, err = req.Tool.Invoke(t.Context(), c, req.Parameters)
	if err == nil {
		return
	}
	bad, ok := errors.AsType[*tools.BadArguments](err)
	if !ok {
		t.Errorf("%s: %v", raw, err)
		return
	}
	for _, issue := range bad.Issues {
		if !slices.ContainsFunc(g.Arguments.Fill, func(f guide.Fill) bool { return strings.HasPrefix(issue.Path, f.Path) }) {
			t.Errorf("%.300s: %+v is not among what is to be filled in: %+v", raw, issue, g.Arguments.Fill)
		}
	}
}

// The plan is without circles and names only operations that there are, whatever
// the task.
func TestPlansAreAcyclic(t *testing.T) {
	d := newDesk(t)
	for i := range labelled {
		task := labelled[i].task + " " + labelled[(i*7+3)%len(labelled)].task
		out, e := suggest(t, d, map[string]any{"task": task, "limit": 20})
		for j, s := range out.Plan {
			if s.Step != j+1 || !slices.Contains(strings.Split(names(out), " "), s.Operation) {
				t.Errorf("%q: step %+v", task, s)
			}
			for _, before := range s.DependsOn {
				if before < 1 || before >= s.Step {
					t.Errorf("%q: step %d depends on step %d", task, s.Step, before)
				}
			}
			if (len(s.DependsOn) > 0) != (len(s.Takes) > 0) {
				t.Errorf("%q: step %+v", task, s)
			}
		}
		if e.Basis != tools.Computed || len(e.Next) == 0 || len(e.Next) > 3 {
			t.Errorf("%q: basis %s, %d next", task, e.Basis, len(e.Next))
		}
	}
	out, _ := suggest(t, d, map[string]any{"task": "Explore alternative approaches, compare the options by criteria and decide which one is best"})
	at := map[string]guide.Step{}
	for _, s := range out.Plan {
		at[s.Operation] = s
	}
	if s, tree := at["decision_framework"], at["tree_of_thought"]; !slices.Contains(s.DependsOn, tree.Step) || !slices.Contains(s.Takes, "options") {
		t.Errorf("the decision does not take the options of the search: %+v", out.Plan)
	}
}

func names(out guide.Output) string {
	var all []string
	for _, g := range out.Suggestions {
		all = append(all, g.Operation)
	}
	return strings.Join(all, " ")
}

// What the session holds, and what was computed last, counts.
func TestSuggestLooksIntoTheSession(t *testing.T) {
	d := newDesk(t)
	fires := func(parameters map[string]any, operation, rule string) guide.Suggestion {
		t.Helper()
		out, _ := suggest(t, d, parameters)
		for _, g := range out.Suggestions {
			if g.Operation == operation && slices.ContainsFunc(g.Rules, func(f guide.Fired) bool { return f.Rule == rule }) {
				return g
			}
		}
		t.Errorf("%v: %s is not suggested by %s: %+v", parameters, operation, rule, out.Suggestions)
		return guide.Suggestion{}
	}
	nothing := map[string]any{"task": "qwerty"}
	if out, e := suggest(t, d, nothing); len(out.Suggestions) != 0 || e.Basis != tools.Template || e.Next[0].Operation != tools.Describe {
		t.Errorf("nothing to go by, but %+v", out)
	}
	d.must("sequential_thinking", `{"thought":"7*8=54, so it fits."}`)
	g := fires(nothing, "sequential_thinking", "refuted_claims")
	if string(g.Arguments.Parameters["action"]) != `"check"` || len(g.Arguments.Fill) != 0 || g.BM25 != 0 {
		t.Errorf("%+v", g)
	}
	d.must("sequential_thinking", `{"thought":"Hence."}`)
	d.must("sequential_thinking", `{"thought":"7*8=56.","isRevision":true,"revisesThought":1}`)
	fires(nothing, "sequential_thinking", "stale_thoughts")
	id := field[string](t, d.must("debugging_approach", `{"first":1,"last":9}`), "caseId")
	if g := fires(nothing, "debugging_approach", "open_case"); string(g.Arguments.Parameters["caseId"]) != fmt.Sprintf("%q", id) {
		t.Errorf("%+v", g.Arguments)
	}
	d.must("decision_framework", `{"options":[{"name":"A","attributes":{"q":8}},{"name":"B","attributes":{"q":8}}],"criteria":[{"name":"q"}]}`)
	fires(nothing, "decision_framework", "tied_decision")
	d.must("mcts", `{"action":"start","root":"r"}`)
	fires(nothing, "mcts", "session_holds")
	fires(map[string]any{"task": "panic at main.go:17"}, "debugging_approach", "stack_trace")
	fires(map[string]any{"task": "12, 15, 9, 22, 14.5"}, "statistical_reasoning", "sample")
	fires(map[string]any{"task": "so 17*23=391"}, "sequential_thinking", "calculations")
	g = fires(map[string]any{"task": "x", "data": map[string]any{"elements": []string{"a", "b"}}}, "debugging_approach", "parameters_given")
	if string(g.Arguments.Parameters["elements"]) != `["a","b"]` || g.Arguments.Basis != tools.ClientSupplied {
		t.Errorf("%+v", g.Arguments)
	}
}

// Equal calls have equal answers.
func TestSuggestIsDeterministic(t *testing.T) {
	var first string
	for range 5 {
		e := newDesk(t).send("orchestration_suggest", `{"task":"compare suppliers and find the bug","limit":20,"data":{"options":[],"elements":["a"]}}`)
		if first == "" {
			first = string(e.Result)
		} else if first != string(e.Result) {
			t.Fatal("two answers differ")
		}
	}
}
