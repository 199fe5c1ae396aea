package guide_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/guide"
)

type input struct {
	Grid    []float64 `json:"grid" required:"true" doc:"Heights of the cells."`
	Depth   int       `json:"depth" default:"3"`
	Subject string    `json:"title" maxLen:"10"`
}

func newTool(name, family, summary string) tools.Tool {
	return tools.Define(tools.Spec{
		Name: name, Family: family, Title: name, Summary: summary, Scope: policy.Reason, Lane: work.Inline, Method: "none",
		Examples: []tools.Example{{Title: "One", Arguments: `{"operation":"` + name + `","prompt":"p","parameters":{"grid":[1],"depth":2}}`}},
	}, func(context.Context, *tools.Call, input) (struct{}, error) { return struct{}{}, nil })
}

func suggest(t *testing.T, tool tools.Tool, prompt, parameters string) guide.Output {
	t.Helper()
	result, err := tool.Invoke(t.Context(), &tools.Call{Prompt: prompt}, json.RawMessage(parameters))
	if err != nil {
		t.Fatal(err)
	}
	var out guide.Output
	if err := json.Unmarshal(result, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// An operation that nobody has told the package about is found by its description.
func TestNewOperationsAppear(t *testing.T) {
	tool := guide.NewSuggest(nil, newTool("watershed", "terrain", "Floods a landscape and finds its basins."), newTool("telescope", "sky", "Points at stars."))
	out := suggest(t, tool, "Where are the basins of these landscapes?", `{}`)
	if len(out.Suggestions) != 1 || out.Suggestions[0].Operation != "watershed" || !slices.Equal(out.Suggestions[0].Terms, []string{"basin", "landscap"}) {
		t.Fatalf("%+v", out.Suggestions)
	}
	a := out.Suggestions[0].Arguments
	if a.Basis != tools.Template || len(a.Fill) != 1 || a.Fill[0].Path != "parameters.grid" || a.Fill[0].What != "Heights of the cells." {
		t.Errorf("%+v", a)
	}
	if got := string(a.Parameters["title"]); got != `"Where are "` {
		t.Errorf("the title is %s", got)
	}
	a = suggest(t, tool, "basins", `{"data":{"grid":[4,5],"unheard":1}}`).Suggestions[0].Arguments
	if string(a.Parameters["grid"]) != "[4,5]" || a.Basis != tools.ClientSupplied || len(a.Fill) != 0 || a.Parameters["unheard"] != nil {
		t.Errorf("%+v", a)
	}
	a = suggest(t, tool, "basins", `{"data":{"grid":["four"]}}`).Suggestions[0].Arguments
	if string(a.Parameters["grid"]) != "[1]" || a.Basis != tools.Template {
		t.Errorf("a value of another type was taken: %+v", a)
	}
}

// BM25 of a collection small enough to do by hand: a term that is in one of two
// documents has ln 2; in both, ln 1.2.
func TestScores(t *testing.T) {
	tool := guide.NewSuggest(nil, newTool("alpha", "x", "Alpha."), newTool("beta", "x", "Beta."))
	out := suggest(t, tool, "alpha", `{}`)
	if len(out.Suggestions) != 1 || out.Suggestions[0].Score != out.Suggestions[0].BM25 {
		t.Fatalf("%+v", out.Suggestions)
	}
	// name, title and summary twice each: 6 times; both documents are equally long.
	const want = 0.6931471805599453 * 6 * 2.2 / (6 + 1.2)
	if got := out.Suggestions[0].BM25; got < want-1e-9 || got > want+1e-9 {
		t.Errorf("got %g, want %g", got, want)
	}
}

// A longer prompt does not score more for being long.
func TestLengthDoesNotCount(t *testing.T) {
	tool := guide.NewSuggest(nil, newTool("alpha", "x", "Alpha."), newTool("beta", "x", "Beta."))
	short := suggest(t, tool, "alpha", `{}`)
	long := suggest(t, tool, strings.Repeat("alpha zulu ", 20_000), `{}`)
	if short.Suggestions[0].Score != long.Suggestions[0].Score {
		t.Errorf("%g for one word, %g for many", short.Suggestions[0].Score, long.Suggestions[0].Score)
	}
}

func TestLimits(t *testing.T) {
	tool := guide.NewSuggest(nil, newTool("alpha", "x", "Alpha."))
	for _, parameters := range []string{`{"limit":0}`, `{"limit":21}`, `{"data":[1]}`} {
		if _, err := tool.Invoke(t.Context(), &tools.Call{}, json.RawMessage(parameters)); err == nil {
			t.Errorf("%s was taken", parameters)
		}
	}
}
