package decide

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/lyceum-mcp/lyceum/tools"
)

// TestShapes sends one payoff table, one set of judgements and one set of
// attributes in every form, and wants one answer.
func TestShapes(t *testing.T) {
	d := newDesk(t)
	same := func(name string, forms ...string) {
		t.Helper()
		var first string
		for i, form := range forms {
			e, out := d.must(form)
			if len(e.Warnings) > 0 {
				t.Errorf("%s %d: %v", name, i, e.Warnings)
			}
			b, err := json.Marshal(out.Result)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = string(b)
			} else if string(b) != first {
				t.Errorf("%s %d:\n%s\nwant\n%s", name, i, b, first)
			}
		}
	}
	same("payoffs",
		`{"analysisType":"laplace","options":[{"name":"a"},{"name":"b"}],"payoffs":{"a":{"state 1":1,"state 2":5},"b":{"state 1":2,"state 2":3}},"probabilities":{"state 1":0.25,"state 2":0.75}}`,
		`{"analysisType":"laplace","options":[{"name":"a"},{"name":"b"}],"payoffs":[[1,5],[2,3]],"probabilities":[0.25,0.75]}`,
		`{"analysisType":"laplace","payoffs":{"a":["1",5],"b":[2,3]},"probabilities":["1/4",0.75]}`,
		`{"analysisType":"laplace","options":"[{\"name\":\"a\"},{\"name\":\"b\"}]","payoffs":"[[1,5],[2,3]]","probabilities":"[0.25,0.75]"}`,
	)
	const ahp = `{"analysisType":"ahp","options":[{"id":"1","name":"a","attributes":{"x":1,"y":2}},{"id":"2","name":"b","attributes":{"x":2,"y":1}}],"criteria":[{"name":"x"},{"name":"y"}],`
	same("comparisons",
		ahp+`"comparisons":[[1,3],[0.333,1]]}`,
		ahp+`"comparisons":[{"a":"x","b":"y","value":3}]}`,
		ahp+`"comparisons":{"criteria":[{"a":"y","b":"x","value":"1/3"}]}}`,
	)
	same("comparisons of options",
		`{"analysisType":"ahp","options":[{"id":"1","name":"a"},{"id":"2","name":"b"}],"comparisons":[[1,4],[0.25,1]]}`,
		`{"analysisType":"ahp","options":[{"id":"1","name":"a"},{"id":"2","name":"b"}],"comparisons":{"options":[{"a":"a","b":"2","value":4}]}}`,
	)
	same("attributes",
		`{"options":[{"name":"A","attributes":{"cost":3,"fun":2}},{"name":"B","attributes":{"cost":1,"fun":1}}],"criteria":[{"name":"cost","weight":2,"type":"minimize"},{"name":"fun","weight":1}]}`,
		`{"options":[{"name":"A","attributes":{"c1":"3","fun":2}},{"name":"B","attributes":{"c1":1,"fun":1}}],"criteria":[{"id":"c1","name":"cost","weight":1,"type":"cost"},{"name":"fun","weight":1}],"weights":{"cost":2}}`,
		`{"options":[{"name":"A"},{"name":"B"}],"criteria":[{"id":"c1","name":"cost","weight":2,"type":"minimize"},{"name":"fun","weight":1}],
			"criteriaEvaluations":[{"criterionId":"c1","optionId":"A","score":3},{"criterionId":"cost","optionId":"B","score":1},{"criterionId":"fun","optionId":"A","score":2,"justification":"has a slide"},{"criterionId":"fun","optionId":"B","score":1}]}`,
	)
	same("outcomes",
		`{"analysisType":"expected-utility","possibleOutcomes":[{"option":"a","probability":0.5,"value":3},{"option":"a","probability":0.5,"value":1}]}`,
		`{"analysisType":"expected-utility","possibleOutcomes":[{"optionId":"a","probability":"0.5","value":"3","description":"rain","confidenceInEstimate":0.5},{"optionId":"a","probability":0.5,"value":1}]}`,
	)
}

// FuzzTables feeds anything to the parameters that come in several shapes: the
// answer is a result or a failure that names a parameter.
func FuzzTables(f *testing.F) {
	for _, seed := range [][4]string{
		{"maximin", `{"a":{"s":1}}`, `{"s":1}`, `[]`},
		{"evpi", `[[1,2],[3,4]]`, `["1/2",0.5]`, `[[1,"1/3"],[3,1]]`},
		{"ahp", `{"A":[1,null]}`, `null`, `{"criteria":[{"a":"x","b":"y","value":2}],"options":{"x":[[1,2],[0.5,1]]}}`},
		{"ahp", `""`, `"[1]"`, `{"options":[{"a":"A","b":"B","value":"1/9"}]}`},
		{"multi-criteria", `[]`, `{}`, `"x <= 3"`},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, method, payoffs, probabilities, comparisons string) {
		for _, raw := range []string{payoffs, probabilities, comparisons} {
			if !json.Valid([]byte(raw)) {
				return
			}
		}
		for _, criteria := range []string{`[]`, `[{"name":"x"},{"name":"y","type":"minimize"}]`} {
			parameters := fmt.Sprintf(`{"analysisType":%q,"draws":10,"options":[{"name":"A","attributes":{"x":1,"y":2}},{"name":"B","attributes":{"x":2,"y":3}}],
				"criteria":%s,"payoffs":%s,"probabilities":%s,"comparisons":%s,"constraints":[%s]}`, method, criteria, payoffs, probabilities, comparisons, comparisons)
			_, _, err := newDesk(t).call(parameters)
			if _, ok := errors.AsType[*tools.BadArguments](err); err != nil && !ok {
				t.Fatalf("%s: %T %v", parameters, err, err)
			}
		}
	})
}
