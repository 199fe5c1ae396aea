package decision_test

import (
	"context"
	"fmt"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/decision"
)

// Two offers: how much must cost matter for the cheaper one to win?
func ExampleAnalyze() {
	m := budget.New(context.Background(), budget.Limits{}, nil)
	p := decision.Problem{
		Options: []decision.Option{
			{Name: "solid", Attributes: map[string]float64{"quality": 8, "cost": 120}},
			{Name: "cheap", Attributes: map[string]float64{"quality": 6, "cost": 90}},
		},
		Criteria: []decision.Criterion{{Name: "quality", Weight: new(2.)}, {Name: "cost", Weight: new(1.), Minimize: true}},
	}
	r, err := decision.Analyze(m, p, decision.Settings{Method: decision.WeightedSum}, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range r.Sensitivity.Flips {
		if f.Name == "cost" {
			fmt.Printf("%s; with cost above %.2f of the weight, %s\n", r.Recommendation, f.Above.Weight, f.Above.To[0])
		}
	}
	// Output: solid; with cost above 0.50 of the weight, cheap
}
