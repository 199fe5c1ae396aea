package decide

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// TestRerun changes weights, criteria and method of a stored decision.
func TestRerun(t *testing.T) {
	d := newDesk(t)
	_, out := d.must(`{"options":[{"name":"A","attributes":{"x":8,"y":2}},{"name":"B","attributes":{"x":5,"y":6}}],"criteria":[{"name":"x","weight":1},{"name":"y","weight":1}],"normalization":"none"}`)
	id := out.DecisionID
	if out.Recommendation != "B" || out.Iteration != 1 {
		t.Fatalf("first: %q, iteration %d", out.Recommendation, out.Iteration)
	}
	_, out = d.must(`{"decisionId":"` + id + `","weights":{"x":3}}`)
	if out.Recommendation != "A" || out.Iteration != 2 || out.DecisionID != id {
		t.Errorf("other weights: %q, iteration %d", out.Recommendation, out.Iteration)
	}
	e, out := d.must(`{"decisionId":"` + id + `","analysisType":"topsis"}`)
	if out.Method != "topsis" || e.Source != "Hwang & Yoon 1981" || out.Recommendation != "A" {
		t.Errorf("other method: %q by %s", out.Recommendation, e.Method)
	}
	_, out = d.must(`{"decisionId":"` + id + `","criteria":[{"name":"x","type":"minimize"}],"analysisType":"weighted-sum"}`)
	if out.Recommendation != "B" {
		t.Errorf("other criteria: %q", out.Recommendation)
	}
	if _, _, err := d.call(`{"decisionId":"` + id + `","options":[]}`); err == nil {
		t.Error("an empty list clears the options: there is nothing to rank")
	}
	e, out = d.must(`{"action":"get","decisionId":"` + id + `"}`)
	if out.Decision == nil || out.Decision.Iteration != 4 || len(out.Decision.Problem.Options) != 2 || out.Decision.Last.Recommendation != "B" || e.Basis != tools.ClientSupplied {
		t.Errorf("get: %+v, basis %s (a refused call must store nothing)", out.Decision, e.Basis)
	}
	_, other := d.must(`{"payoffs":{"a":[1]},"analysisType":"maximin"}`)
	_, out = d.must(`{"action":"list"}`)
	if len(out.Decisions) != 2 || !slices.ContainsFunc(out.Decisions, func(e Entry) bool {
		return e.DecisionID == other.DecisionID && e.Method == "maximin" && e.Recommendation == "a"
	}) {
		t.Errorf("list: %+v", out.Decisions)
	}
	if _, out = d.must(`{"action":"delete","decisionId":"` + id + `"}`); !out.Deleted {
		t.Error("not deleted")
	}
	if _, _, err := d.call(`{"action":"delete","decisionId":"` + id + `"}`); err == nil {
		t.Error("deleted twice")
	}
	if _, out = d.must(`{"action":"list"}`); len(out.Decisions) != 1 {
		t.Errorf("list after delete: %+v", out.Decisions)
	}
}

func TestQuota(t *testing.T) {
	d := newDesk(t)
	for range maxDecisions {
		d.must(`{"analysisType":"maximin","payoffs":{"a":[1]}}`)
	}
	_, _, err := d.call(`{"analysisType":"maximin","payoffs":{"a":[1]}}`)
	if fault.KindOf(err) != fault.TooLarge {
		t.Fatalf("decision %d: %v, want a refusal", maxDecisions+1, err)
	}
	_, out := d.must(`{"action":"list"}`)
	d.must(`{"decisionId":"` + out.Decisions[0].DecisionID + `"}`)
	d.must(`{"action":"delete","decisionId":"` + out.Decisions[0].DecisionID + `"}`)
	d.must(`{"analysisType":"maximin","payoffs":{"a":[1]}}`)
}

// TestConcurrent analyses one decision from many calls at once: each either
// counts or is refused as a conflict, and new decisions never share an id.
func TestConcurrent(t *testing.T) {
	d := newDesk(t)
	_, out := d.must(minimal)
	id := out.DecisionID
	const calls = 32
	var wg sync.WaitGroup
	results := make([]error, calls)
	ids := make([]string, calls)
	for i := range calls {
		wg.Go(func() {
			_, _, results[i] = d.call(fmt.Sprintf(`{"decisionId":%q,"weights":{"x":%d}}`, id, i+1))
		})
		if i < maxDecisions/2 {
			wg.Go(func() {
				_, out, err := d.call(minimal)
				if err != nil {
					t.Errorf("new decision: %v", err)
				}
				ids[i] = out.DecisionID
			})
		}
	}
	wg.Wait()
	done := 1
	for _, err := range results {
		switch {
		case err == nil:
			done++
		case fault.KindOf(err) != fault.Conflict:
			t.Errorf("%v: want a conflict", err)
		}
	}
	_, out = d.must(`{"action":"get","decisionId":"` + id + `"}`)
	if out.Decision.Iteration != done {
		t.Errorf("iteration %d after %d analyses that succeeded", out.Decision.Iteration, done)
	}
	seen := map[string]bool{}
	for _, id := range ids[:maxDecisions/2] {
		if seen[id] {
			t.Errorf("id %q twice", id)
		}
		seen[id] = true
	}
}

// TestIsolation asks for another client's decision.
func TestIsolation(t *testing.T) {
	_, out := newDesk(t).must(minimal)
	other := newDesk(t)
	for _, action := range []string{"analyze", "get", "delete"} {
		_, _, foreign := other.call(`{"action":"` + action + `","decisionId":"` + out.DecisionID + `"}`)
		_, _, none := other.call(`{"action":"` + action + `","decisionId":"` + session.NewObjectID("decision") + `"}`)
		if foreign == nil || none == nil || len(foreign.Error()) != len(none.Error()) {
			t.Errorf("%s: %v against %v", action, foreign, none)
		}
	}
}
