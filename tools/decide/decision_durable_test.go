package decide

import (
	"encoding/json"
	"errors"
	"testing"

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
