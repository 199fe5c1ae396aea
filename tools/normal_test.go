package tools_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

type normalIn struct {
	N    int            `json:"n" default:"3" max:"100"`
	On   bool           `json:"on"`
	Name string         `json:"name" default:"x"`
	List []float64      `json:"list"`
	Deep map[string]int `json:"deep"`
	Some *float64       `json:"some"`
}

func normalTool[T any]() tools.Tool {
	return tools.Define(tools.Spec{
		Name: "normal", Family: "test", Title: "Normal", Summary: "For tests.", Scope: policy.Reason, Lane: work.Inline, Method: "none",
		Examples: []tools.Example{{Title: "x", Arguments: `{"operation":"normal"}`}},
	}, func(_ context.Context, _ *tools.Call, in T) (T, error) { return in, nil })
}

// Normal shows what the tool will get: for whatever it takes, running it on the
// normal form gives what running it on the original gives.
func TestNormal(t *testing.T) {
	tool := normalTool[normalIn]()
	for sent, want := range map[string]string{
		``:                                `{"n":3,"on":false,"name":"x","list":null,"deep":null,"some":null,"seed":null,"maxMillis":null,"maxSteps":null,"maxNodes":null}`,
		`{}`:                              `{"n":3,"on":false,"name":"x","list":null,"deep":null,"some":null,"seed":null,"maxMillis":null,"maxSteps":null,"maxNodes":null}`,
		`"{\"n\":\"7\",\"on\":\"true\"}"`: `{"n":7,"on":true,"name":"x","list":null,"deep":null,"some":null,"seed":null,"maxMillis":null,"maxSteps":null,"maxNodes":null}`,
		`{"list":"[1,\"2\"]","deep":"{\"a\":\"1\"}","some":"0.5","maxSteps":"9","seed":4}`: `{"n":3,"on":false,"name":"x","list":[1,2],"deep":{"a":1},"some":0.5,"seed":4,"maxMillis":null,"maxSteps":9,"maxNodes":null}`,
		`{"unknown":1,"n":100}`: `{"n":100,"on":false,"name":"x","list":null,"deep":null,"some":null,"seed":null,"maxMillis":null,"maxSteps":null,"maxNodes":null}`,
	} {
		got, err := tools.Normal(tool, json.RawMessage(sent))
		var a, b any
		if err != nil || json.Unmarshal(got, &a) != nil || json.Unmarshal([]byte(want), &b) != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%s: %s (%v), want %s", sent, got, err, want)
		}
		first, err1 := tool.Invoke(t.Context(), &tools.Call{}, json.RawMessage(sent))
		second, err2 := tool.Invoke(t.Context(), &tools.Call{}, got)
		if err1 != nil || err2 != nil || string(first) != string(second) {
			t.Errorf("%s runs as %s, its normal form %s as %s (%v, %v)", sent, first, got, second, err1, err2)
		}
	}
	for _, sent := range []string{`{"n":101}`, `{"n":"many"}`, `7`, `[`, `{"list":{"a":1}}`} {
		_, err := tools.Normal(tool, json.RawMessage(sent))
		if _, bad := errors.AsType[*tools.BadArguments](err); !bad {
			t.Errorf("%s: %v, want bad arguments", sent, err)
		}
	}
	if got, err := tools.Normal(normalTool[struct{}](), nil); err != nil || string(got) != `{"seed":null,"maxMillis":null,"maxSteps":null,"maxNodes":null}` {
		t.Errorf("no parameters: %s, %v", got, err)
	}
	if _, err := tools.Normal(struct{ tools.Tool }{tool}, nil); err == nil {
		t.Error("a tool of another kind has a normal form")
	}
}
