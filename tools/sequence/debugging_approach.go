package sequence

import (
	"context"
	"encoding/json"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reason/debug"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

const debugging = "debugging_approach"

// DebugInput is the input of debugging_approach. Which parameters an approach reads
// is said in their texts.
type DebugInput struct {
	Action   string `json:"action" enum:"start|ask|tell|get|list|delete|analyze|guide" doc:"start a case, ask what to test next, tell what a test came to; get, list and delete cases; analyze what is given at once. Default: what the other parameters are for."`
	Approach string `json:"approach" enum:"binary_search|delta_debugging|cause_elimination|divide_conquer|backtracking|program_slicing|spectrum|fault_tree|reverse_engineering" doc:"How to look for the fault. Default: the one that the parameters are for, else binary_search."`
	CaseID   string `json:"caseId" maxLen:"64" doc:"The case, for ask, tell, get and delete."`
	Title    string `json:"title" maxLen:"500" doc:"start: what is wrong; the prompt serves as well."`

	Items     []string  `json:"items" maxItems:"20000" doc:"binary_search: names in order (commits, versions), the last one known to be bad, what is before the first known to be good."`
	First     *int      `json:"first" doc:"binary_search over numbers: the first that may be bad."`
	Last      *int      `json:"last" doc:"binary_search over numbers: one that is known to be bad."`
	ErrorRate float64   `json:"errorRate" min:"0" max:"0.49" doc:"binary_search: probability that an outcome is wrong; above 0 each test is weighed by Bayes' rule. At most 5000 items then."`
	Prior     []float64 `json:"prior" maxItems:"5000" doc:"binary_search with errorRate: weights of the items. Default: equal."`

	Elements []string `json:"elements" maxItems:"1024" doc:"delta_debugging: the parts of an input that fails as a whole (lines, options, changes)."`

	Causes     []json.RawMessage `json:"causes" maxItems:"200" doc:"cause_elimination: possible causes, of which one holds: texts, or objects {name, prior}."`
	Tests      []DebugTest       `json:"tests" maxItems:"200" doc:"cause_elimination: tests that tell the causes apart."`
	Confidence float64           `json:"confidence" default:"0.95" min:"0.5" max:"0.999999" doc:"cause_elimination, binary_search with errorRate: probability at which the search ends."`

	Components []DebugPart `json:"components" maxItems:"512" doc:"divide_conquer: parts of a system whose output is wrong. Without any after they are a chain in this order."`

	Choice  string   `json:"choice" maxLen:"200" doc:"backtracking, start and tell: a choice to be made."`
	Options []string `json:"options" maxItems:"64" doc:"backtracking: its options, the most promising first."`
	Blame   []string `json:"blame" maxItems:"64" doc:"backtracking, tell fail: the choices that the failure depends on. Default: all."`
	Reason  string   `json:"reason" maxLen:"500" doc:"backtracking, tell: why."`

	Test    string `json:"test" maxLen:"200" doc:"tell: the test, as ask named it. Default: that one."`
	Outcome string `json:"outcome" enum:"pass|fail|unresolved" doc:"tell: fail if the fault shows, pass if it does not, unresolved if neither can be said."`

	Dependencies map[string][]string `json:"dependencies" maxItems:"20000" doc:"program_slicing: for each statement those whose values it uses."`
	Control      map[string][]string `json:"controlDependencies" maxItems:"20000" doc:"program_slicing: for each statement those that decide whether it runs."`
	Criterion    []string            `json:"criterion" maxItems:"100" doc:"program_slicing: where the value is wrong."`
	Sources      []string            `json:"sources" maxItems:"100" doc:"program_slicing, chop: where an effect begins."`
	Direction    string              `json:"direction" enum:"backward|forward|chop" default:"backward" doc:"program_slicing: what can have made the criterion, what it can have an effect on, or what lies between sources and it."`

	Runs    []DebugRun `json:"runs" maxItems:"10000" doc:"spectrum: tests with outcome and the elements (lines, functions) they ran."`
	Spectra []Spectrum `json:"spectra" maxItems:"20000" doc:"spectrum: counts for each element instead of runs."`
	Metric  string     `json:"metric" enum:"ochiai|tarantula|dstar|jaccard" default:"ochiai" doc:"spectrum: what ranks."`
	Limit   int        `json:"limit" default:"50" min:"1" max:"1000" doc:"spectrum, fault_tree, program_slicing: at most so many lines of the result."`

	Gates         map[string]DebugGate `json:"gates" maxItems:"500" doc:"fault_tree: the gates by name; inputs that are no gates are basic events."`
	Top           string               `json:"top" maxLen:"200" doc:"fault_tree: the gate of the top event. Default: the only gate that is no input of another."`
	Probabilities map[string]float64   `json:"probabilities" maxItems:"256" doc:"fault_tree: of the basic events, which are independent."`

	Observations []DebugSeen  `json:"observations" maxItems:"1000" doc:"reverse_engineering: what the black box gave for which input."`
	Hypotheses   []DebugGuess `json:"hypotheses" maxItems:"200" doc:"reverse_engineering: guesses of what is inside, by what they predict."`

	Steps      []string `json:"steps" maxItems:"100" doc:"Old parameter: what was done so far. Given back as it is."`
	Findings   string   `json:"findings" maxLen:"8192" doc:"Old parameter: given back as it is."`
	Resolution string   `json:"resolution" maxLen:"8192" doc:"Old parameter: given back as it is."`
}

// DebugTest is debug.Check as a client writes it.
type DebugTest struct {
	Name       string             `json:"name" required:"true" maxLen:"200"`
	Cost       float64            `json:"cost" default:"1" min:"0" doc:"In any unit, above 0."`
	FailIf     map[string]float64 `json:"failIf" maxItems:"200" doc:"For causes by name: the probability that the test fails if it is the one."`
	Otherwise  float64            `json:"otherwise" default:"0" min:"0" max:"1" doc:"That probability for the other causes."`
	Repeatable bool               `json:"repeatable" doc:"Another run is another independent outcome."`
}

// DebugPart is debug.Part as a client writes it.
type DebugPart struct {
	Name   string   `json:"name" required:"true" maxLen:"200"`
	After  []string `json:"after" maxItems:"512" doc:"Components whose output it takes."`
	Weight float64  `json:"weight" default:"1" min:"0" doc:"How likely the fault is here, beside the others."`
}

// DebugRun is debug.Run as a client writes it.
type DebugRun struct {
	Name    string   `json:"name" maxLen:"200"`
	Outcome string   `json:"outcome" required:"true" enum:"pass|fail|unresolved"`
	Covers  []string `json:"covers" required:"true" maxItems:"50000"`
}

// Spectrum is the counts of one element.
type Spectrum struct {
	Element string `json:"element" required:"true" maxLen:"200"`
	EF      int    `json:"ef" min:"0" max:"1000000000" doc:"Failed tests that ran it."`
	NF      int    `json:"nf" min:"0" max:"1000000000" doc:"Failed tests that did not."`
	EP      int    `json:"ep" min:"0" max:"1000000000" doc:"Passed tests that ran it."`
	NP      int    `json:"np" min:"0" max:"1000000000" doc:"Passed tests that did not."`
}

// DebugGate is debug.Gate as a client writes it.
type DebugGate struct {
	Type   string   `json:"type" required:"true" enum:"and|or|vote"`
	K      int      `json:"k" min:"0" doc:"vote: so many inputs suffice."`
	Inputs []string `json:"inputs" required:"true" minItems:"1" maxItems:"64"`
}

// DebugSeen is debug.Observation as a client writes it.
type DebugSeen struct {
	Input  string `json:"input" required:"true" maxLen:"2000"`
	Output string `json:"output" required:"true" maxLen:"2000"`
}

// DebugGuess is debug.Hypothesis as a client writes it.
type DebugGuess struct {
	Name     string            `json:"name" required:"true" maxLen:"200"`
	Predicts map[string]string `json:"predicts" maxItems:"1000" doc:"For inputs: the output that it predicts, as text."`
}

// Check refuses what a zero would otherwise leave at its default.
func (in DebugInput) Check(i *tools.Issues) {
	if (in.First == nil) != (in.Last == nil) {
		i.Add("parameters.first", "both first and last", "one of them")
	}
	if len(in.Items) > 0 && in.First != nil {
		i.Add("parameters.items", "either items or first and last", "both")
	}
}

// DebugOutput is the result of debugging_approach; each action fills its own fields.
type DebugOutput struct {
	Action   string `json:"action"`
	Approach string `json:"approach,omitempty"`
	CaseID   string `json:"caseId,omitempty"`
	Title    string `json:"title,omitempty"`

	Test    *debug.Query   `json:"test,omitempty"` // what to test next
	Finding *debug.Finding `json:"finding,omitempty"`
	Trail   *debug.Trail   `json:"trail,omitempty"` // of backtracking
	Gains   []debug.Gain   `json:"gains,omitempty"` // of cause_elimination: of each test that is left

	Slice      *debug.Slice    `json:"slice,omitempty"`
	Suspects   []debug.Suspect `json:"suspects,omitempty"`
	FaultTree  *debug.Cuts     `json:"faultTree,omitempty"`
	Hypotheses []debug.Judged  `json:"hypotheses,omitempty"`
	Probe      *debug.Probe    `json:"nextInput,omitempty"`
	Omitted    int             `json:"omitted,omitempty"` // lines over limit

	Cases   []DebugEntry `json:"cases,omitzero"`
	Case    *debug.Case  `json:"case,omitempty"`
	Deleted bool         `json:"deleted,omitempty"`

	Guide *Guide `json:"guide,omitempty"`

	Steps      []string `json:"steps,omitempty"`
	Findings   string   `json:"findings,omitempty"`
	Resolution string   `json:"resolution,omitempty"`
}

// DebugEntry is a line of the list of cases.
type DebugEntry struct {
	CaseID   string        `json:"caseId"`
	Approach string        `json:"approach"`
	Title    string        `json:"title,omitempty"`
	Finding  debug.Finding `json:"finding"`
}

// Debugging is the operation debugging_approach.
var Debugging = tools.Define(tools.Spec{
	Name: debugging, Family: "sequence", Title: "Debugging approach",
	Summary: "Says which test of a failing system to make next, and where the fault is: bisection, delta debugging, cause elimination, slices, spectra, fault trees.",
	Scope:   policy.Reason, Lane: work.Interactive, Effect: tools.Mutates, Removes: true,
	Method: "binary search", Source: "Knuth 1973, §6.2.1",
	Examples: []tools.Example{
		{Title: "Find the first bad build of a thousand", Arguments: `{"operation":"debugging_approach","prompt":"the export is empty","parameters":{"approach":"binary_search","first":1,"last":1000}}`},
		{Title: "Make a failing input minimal", Arguments: `{"operation":"debugging_approach","parameters":{"approach":"delta_debugging","elements":["--a","--b","--c","--d"]}}`},
		{Title: "Which test tells the causes apart for the least cost", Arguments: `{"operation":"debugging_approach","parameters":{"approach":"cause_elimination","causes":["cache",{"name":"clock","prior":2},"network"],` +
			`"tests":[{"name":"clear the cache","cost":1,"failIf":{"clock":1,"network":1}},{"name":"trace packets","cost":5,"failIf":{"network":1}}]}}`},
		{Title: "Halve a pipeline", Arguments: `{"operation":"debugging_approach","parameters":{"approach":"divide_conquer","components":[{"name":"read"},{"name":"parse"},{"name":"join"},{"name":"write"}]}}`},
		{Title: "Try choices and go back from dead ends", Arguments: `{"operation":"debugging_approach","parameters":{"approach":"backtracking","choice":"driver","options":["new","old"]}}`},
		{Title: "Rank lines by the tests that ran them", Arguments: `{"operation":"debugging_approach","parameters":{"approach":"spectrum","runs":[{"outcome":"fail","covers":["7","8"]},{"outcome":"fail","covers":["7"]},{"outcome":"pass","covers":["8"]}]}}`},
		{Title: "Slice a program backwards from a wrong value", Arguments: `{"operation":"debugging_approach","parameters":{"approach":"program_slicing","dependencies":{"9":["6"],"6":["3"],"8":["5"],"5":["2"]},"criterion":["9"]}}`},
		{Title: "Minimal cut sets of a fault tree", Arguments: `{"operation":"debugging_approach","parameters":{"approach":"fault_tree","gates":{"down":{"type":"and","inputs":["power","spare"]},"power":{"type":"or","inputs":["grid","cable"]}},` +
			`"probabilities":{"grid":0.1,"cable":0.1,"spare":0.1}}}`},
		{Title: "Refute guesses about a black box", Arguments: `{"operation":"debugging_approach","parameters":{"approach":"reverse_engineering","observations":[{"input":"2","output":"4"}],` +
			`"hypotheses":[{"name":"doubles","predicts":{"2":"4","3":"6"}},{"name":"squares","predicts":{"2":"4","3":"9"}}]}}`},
		{Title: "See the cases of the session", Arguments: `{"operation":"debugging_approach","parameters":{"action":"list"}}`},
	},
}, debugApproach)

func debugApproach(ctx context.Context, c *tools.Call, in DebugInput) (DebugOutput, error) {
	in.settle()
	out := DebugOutput{
		Action: in.Action, Approach: in.Approach, CaseID: in.CaseID,
		Steps: in.Steps, Findings: in.Findings, Resolution: in.Resolution,
	}
	switch in.Action {
	case "start":
		return in.start(ctx, c, out)
	case "list":
		return listCases(c, out)
	case "analyze":
		return in.analyze(ctx, c, out)
	case "guide":
		return in.guide(c, out)
	}
	if in.CaseID == "" {
		return out, tools.Bad("parameters.caseId", "the id of a case in this session, as action start returned it", "nothing")
	}
	switch in.Action {
	case "ask":
		return in.ask(c, out)
	case "tell":
		return in.tell(ctx, c, out)
	case "get":
		return in.get(c, out)
	}
	return in.remove(ctx, c, out)
}

// The approaches.
const (
	binarySearch = "binary_search"
	delta        = "delta_debugging"
	elimination  = "cause_elimination"
	divide       = "divide_conquer"
	backtracking = "backtracking"
	slicing      = "program_slicing"
	spectrum     = "spectrum"
	faultTree    = "fault_tree"
	reverse      = "reverse_engineering"
)

// settle finds out the approach and the action that the parameters are for.
func (in *DebugInput) settle() {
	given := "" // the approach that there is data for
	for _, g := range []struct {
		approach string
		there    bool
	}{
		{binarySearch, len(in.Items) > 0 || in.First != nil},
		{delta, len(in.Elements) > 0},
		{elimination, len(in.Causes)+len(in.Tests) > 0},
		{divide, len(in.Components) > 0},
		{slicing, len(in.Dependencies)+len(in.Control) > 0},
		{spectrum, len(in.Runs)+len(in.Spectra) > 0},
		{faultTree, len(in.Gates) > 0},
		{reverse, len(in.Observations)+len(in.Hypotheses) > 0},
		{backtracking, in.Choice != ""},
	} {
		if g.there && (given == "" || g.approach == in.Approach) {
			given = g.approach
		}
	}
	onCase := in.CaseID != "" || in.Action == "list"
	if in.Approach == "" && given != "" && !onCase {
		in.Approach = given
	} else if in.Approach == "" && !onCase {
		in.Approach = binarySearch
	}
	if in.Action != "" {
		if in.Action == "start" && atOnce(in.Approach) {
			in.Action = "analyze"
		}
		return
	}
	switch {
	case in.CaseID != "" && (in.Outcome != "" || in.Choice != ""):
		in.Action = "tell"
	case in.CaseID != "":
		in.Action = "ask"
	case given != in.Approach:
		in.Action = "guide"
	case atOnce(in.Approach):
		in.Action = "analyze"
	default:
		in.Action = "start"
	}
}

// atOnce reports whether an approach needs no tests between its beginning and its
// end.
func atOnce(approach string) bool {
	switch approach {
	case slicing, spectrum, faultTree, reverse:
		return true
	}
	return false
}
