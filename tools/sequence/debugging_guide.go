package sequence

import (
	"strings"

	"github.com/lyceum-mcp/lyceum/tools"
)

// Guide is what an approach does and needs: the same text for everybody.
type Guide struct {
	Steps []string `json:"steps"`
	Needs []string `json:"needs"`
}

// guides has a text for each approach, and arguments that begin it.
var guides = map[string]struct {
	Guide
	begin map[string]any
}{
	binarySearch: {Guide{
		[]string{"Order what may have brought the fault in, such as commits or versions.", "Make sure that the last one shows it and that what is before the first one does not.", "Start; test what you are told to; tell the outcome, until the first bad one is left.", "If an outcome can be wrong, give errorRate."},
		[]string{"items, or first and last"},
	}, map[string]any{"approach": binarySearch, "first": 1, "last": 1000}},
	delta: {Guide{
		[]string{"Cut the failing input into elements that can be left out one by one.", "Make sure that all of them together fail.", "Start; test the sets you are told to; tell pass, fail or unresolved."},
		[]string{"elements"},
	}, map[string]any{"approach": delta, "elements": []string{"first part", "second part"}}},
	elimination: {Guide{
		[]string{"List what can be the cause, likelier ones with a larger prior.", "List tests with their cost, and how likely each fails under which cause.", "Start; make the test that tells most for its cost; tell the outcome."},
		[]string{"causes", "tests"},
	}, map[string]any{"approach": elimination, "causes": []string{"one cause", "another cause"}, "tests": []map[string]any{{"name": "a test", "cost": 1, "failIf": map[string]float64{"one cause": 1}}}}},
	divide: {Guide{
		[]string{"List the components and what each takes its input from.", "Start; test behind the component you are told; tell whether the output is right there."},
		[]string{"components"},
	}, map[string]any{"approach": divide, "components": []map[string]any{{"name": "in"}, {"name": "out"}}}},
	backtracking: {Guide{
		[]string{"Name the first choice with its options.", "Try the path you are told; name the next choice, or tell pass or fail, and which choices are to blame."},
		[]string{"choice", "options"},
	}, map[string]any{"approach": backtracking, "choice": "first choice", "options": []string{"one", "other"}}},
	slicing: {Guide{
		[]string{"Write down for each statement which others it takes values from, and which decide whether it runs.", "Name the statement whose value is wrong.", "Look only at the slice: nothing else can be to blame."},
		[]string{"dependencies", "criterion"},
	}, map[string]any{"approach": slicing, "dependencies": map[string][]string{"2": {"1"}}, "criterion": []string{"2"}}},
	spectrum: {Guide{
		[]string{"Run the tests with coverage; at least one must fail, the more pass near it the better.", "Give for each test the outcome and what it ran.", "Read the code in the order of the ranking."},
		[]string{"runs, or spectra"},
	}, map[string]any{"approach": spectrum, "runs": []map[string]any{{"outcome": "fail", "covers": []string{"line 1"}}}}},
	faultTree: {Guide{
		[]string{"Begin with what must not happen; ask what must come together for it (and), or what alone suffices (or).", "Go down until the events are ones that you know a probability of.", "Look first at the cut sets with the fewest events and at the most important event."},
		[]string{"gates"},
	}, map[string]any{"approach": faultTree, "gates": map[string]any{"top": map[string]any{"type": "or", "inputs": []string{"event"}}}}},
	reverse: {Guide{
		[]string{"Collect inputs with what came out, one thing changed at a time.", "Write down several hypotheses that explain all of it, and what each predicts for inputs that were not tried.", "Try the input for which they differ most; drop what is refuted; repeat."},
		[]string{"observations", "hypotheses"},
	}, map[string]any{"approach": reverse, "hypotheses": []map[string]any{{"name": "a hypothesis", "predicts": map[string]string{"input": "output"}}}}},
}

// guide answers a call that brings no data: with the steps of the approach, as a
// template.
func (in *DebugInput) guide(c *tools.Call, out DebugOutput) (DebugOutput, error) {
	credit(c, in.Approach)
	c.Basis(tools.Template)
	g := guides[in.Approach]
	out.Guide = &g.Guide
	if in.Action == "guide" && len(in.Steps) == 0 && in.Findings == "" && in.Resolution == "" {
		c.Next(debugging, "the shape of what it needs: put your own data in", g.begin)
		return out, nil
	}
	c.Warn("nothing_computed", "steps, findings and resolution are given back as they are; %s needs %s to compute something", in.Approach, strings.Join(g.Needs, " and "))
	c.Next(debugging, "the shape of what it needs: put your own data in", g.begin)
	return out, nil
}
