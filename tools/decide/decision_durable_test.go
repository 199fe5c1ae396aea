package decide

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget/budgettest"
	"github.com/lyceum-mcp/lyceum/tools"
)

func TestResumesToTheSameResult(t *testing.T) {
	const parameters = `{"options":[{"name":"A","attributes":{"quality":8,"cost":120,"age":3}},{"name":"B","attributes":{"quality":6,"cost":90,"age":4}},{"name":"C","attributes":{"quality":7,"cost":100,"age":2}}],` +
		`"criteria":[{"name":"quality","weight":2},{"name":"cost","type":"minimize"},{"name":"age","type":"minimize"}],"draws":50000}`
	once := func(desk desk, d *budgettest.Disk) (string, error) {
		c := &tools.Call{Session: desk.h, Prompt: "Which one?", SeedHint: new(uint64(7))}
		if d != nil {
			c.Durable = d
		}
		raw, err := DecisionFramework.Invoke(t.Context(), c, json.RawMessage(parameters))
		if err != nil {
			return "", err
		}
		var out map[string]any
		if err := json.Unmarshal(raw, &out); err != nil {
			return "", err
		}
		delete(out, "decisionId") // always another
		text, err := json.Marshal(out)
		return string(text), err
	}
	want, err := once(newDesk(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	desk := newDesk(t)
	d := &budgettest.Disk{StopAfter: 1}
	for n := 1; ; n++ {
		got, err := once(desk, d)
		if !d.Asked {
			t.Fatal("the call did not say that it may be restarted")
		}
		if errors.Is(err, tools.ErrCheckpointed) {
			if keys := desk.h.Keys(decisions.Name()); len(keys) > 0 {
				t.Fatalf("a call that was stopped kept %v", keys)
			}
			d = d.Again()
			continue
		}
		if err != nil || got != want {
			t.Errorf("process %d: %v\n%s\nwant\n%s", n, err, got, want)
		}
		if n < 3 {
			t.Errorf("%d processes: nothing was resumed", n)
		}
		return
	}
}

// attempt is a durable call that runs for the second time.
type attempt struct {
	*budgettest.Disk
	id job.ID
}

func (a attempt) ID() job.ID { return a.id }

// A process can die after the commit and before the answer: the call then runs
// again, and must neither keep a second decision nor count a second analysis.
func TestStoresOnceInTwoAttempts(t *testing.T) {
	desk := newDesk(t)
	invoke := func(id job.ID, parameters string) string {
		t.Helper()
		c := &tools.Call{Session: desk.h, SeedHint: new(uint64(7)), Durable: attempt{&budgettest.Disk{}, id}}
		raw, err := DecisionFramework.Invoke(t.Context(), c, json.RawMessage(parameters))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	const first = `{"options":[{"name":"A","attributes":{"quality":8}},{"name":"B","attributes":{"quality":6}}],"criteria":[{"name":"quality"}]}`
	one := invoke("job_one", first)
	if two := invoke("job_one", first); two != one {
		t.Errorf("the second attempt answers\n%s\nthe first\n%s", two, one)
	}
	keys := desk.h.Keys(decisions.Name())
	if len(keys) != 1 {
		t.Fatalf("kept %d decisions, want 1", len(keys))
	}
	again := `{"decisionId":"` + keys[0] + `","criteria":[{"name":"quality","weight":3}]}`
	third := invoke("job_two", again)
	if fourth := invoke("job_two", again); fourth != third {
		t.Errorf("the second attempt answers\n%s\nthe first\n%s", fourth, third)
	}
	d, _, err := decisions.Key(keys[0]).ReadVersion(desk.h)
	if err != nil || d.Iteration != 2 {
		t.Errorf("%d analyses counted, want 2 (%v)", d.Iteration, err)
	}
	if other := invoke("job_three", first); other == one {
		t.Error("another call found the decision of the first")
	}
}
