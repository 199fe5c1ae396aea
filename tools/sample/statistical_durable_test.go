package sample

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget/budgettest"
	"github.com/lyceum-mcp/lyceum/tools"
)

func TestResumesToTheSameResult(t *testing.T) {
	for name, parameters := range map[string]string{
		"bootstrap":   `{"mode":"bootstrap","statistic":"median","data":[12,15,9,22,14,18,11,40,13,16],"resamples":200000}`,
		"permutation": `{"mode":"hypothesis_test","test":"permutation","x":[1,2,3,4,5,6,7,8,9,10,11,12,13],"y":[3,4,5,6,7,8,9,10,11,12,13,14,15],"resamples":200000}`,
		"monte carlo": `{"mode":"monte_carlo","variables":{"x":{"distribution":"uniform","min":0,"max":1}},"expression":"x*x","event":"result > 0.5","draws":1700000}`,
	} {
		t.Run(name, func(t *testing.T) {
			once := func(d *budgettest.Disk) (string, error) {
				c := &tools.Call{SeedHint: new(uint64(7))}
				if d != nil {
					c.Durable = d
				}
				last := 0.0
				c.OnProgress = func(done, total float64, _ string) {
					if done < last || done > total {
						t.Errorf("progress %v of %v after %v", done, total, last)
					}
					last = done
				}
				raw, err := StatisticalReasoning.Invoke(t.Context(), c, json.RawMessage(parameters))
				if err == nil && last == 0 {
					t.Error("no progress")
				}
				return string(raw), err
			}
			want, err := once(nil)
			if err != nil {
				t.Fatal(err)
			}
			d := &budgettest.Disk{StopAfter: 1}
			for n := 1; ; n++ {
				got, err := once(d)
				if !d.Asked {
					t.Fatal("the call did not say that it may be restarted")
				}
				if errors.Is(err, tools.ErrCheckpointed) {
					d = d.Again()
					continue
				}
				if err != nil || got != want {
					t.Errorf("process %d: %v\n%s\nwant\n%s", n, err, got, want)
				}
				if n < 3 {
					t.Errorf("%d processes: nothing was resumed", n)
				}
				break
			}
		})
	}
}

// The state of other data is not resumed.
func TestOtherDataAreNotResumed(t *testing.T) {
	d := &budgettest.Disk{StopAfter: 1}
	c := &tools.Call{SeedHint: new(uint64(7)), Durable: d}
	if _, _, err := call(t, c, `{"mode":"bootstrap","data":[1,2,3,4,5],"resamples":200000}`); !errors.Is(err, tools.ErrCheckpointed) {
		t.Fatal(err)
	}
	const other = `{"mode":"bootstrap","data":[1,2,3,4,6],"resamples":200000}`
	_, want := must(t, other)
	_, got, err := call(t, &tools.Call{SeedHint: new(uint64(7)), Durable: &budgettest.Disk{State: d.State}}, other)
	if err != nil || *got.Bootstrap.SE != *want.Bootstrap.SE {
		t.Errorf("%v, standard error %v, want %v", err, got.Bootstrap, want.Bootstrap)
	}
}
