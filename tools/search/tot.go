package search

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reason/tot"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

// ToTInput is the input of the operation tree_of_thought. Which parameters an
// action reads is said in their texts.
type ToTInput struct {
	Action string `json:"action" enum:"start|ask|tell|propose|evaluate|vote|abandon|show|best|select|backtrack|export|list|delete|run" doc:"start, ask, tell, abandon, show, export, list and delete work on a tree whose thoughts you propose and judge; propose, evaluate and vote are tell for a ticket of that kind, best is show; run solves a problem or domain on its own. Default: run with problem or domain, start with root, branches or a prompt, show with treeId."`
	TreeID string `json:"treeId" maxLen:"64" doc:"The tree, for every action but start, list and run."`

	Root      string   `json:"root" maxLen:"8192" doc:"start: the question or state to search from. The prompt serves too."`
	Strategy  string   `json:"strategy" enum:"depth-first|breadth-first|best-first|a-star" default:"breadth-first" doc:"start, run: the order in which thoughts are looked at. depth-first turns back at dead ends; a-star goes by cost and heuristic."`
	Depth     *int     `json:"depth" min:"1" max:"10000" doc:"start: thoughts from the root, up to 100; default 3. run: most moves; default the problem's horizon."`
	Breadth   *int     `json:"breadth" min:"1" max:"4096" doc:"start, run: breadth-first: how many thoughts of a level are kept, at start up to 256. Default 3."`
	Judge     string   `json:"judge" enum:"value|vote" default:"value" doc:"start: thoughts get values each on its own, or votes among those that stand side by side."`
	Samples   *int     `json:"samples" min:"1" max:"64" doc:"start: judge value: how many values of a thought are averaged. Default 1."`
	Votes     *int     `json:"votesWanted" min:"1" max:"1024" doc:"start: judge vote: how many votes of a ballot. Default 5."`
	Threshold *float64 `json:"threshold" doc:"start, run: thoughts that are worth at most this are pruned; not for a-star."`
	Solutions *int     `json:"solutions" min:"1" max:"10000" doc:"start, run: end after so many solutions; run up to 64. Default 1; at start breadth-first goes to the last level."`

	Branches     []json.RawMessage `json:"branches" maxItems:"64" doc:"start: first thoughts, if there are some: texts, or objects {content, key, value, cost, heuristic, solution}."`
	Evaluations  []*float64        `json:"evaluations" maxItems:"64" doc:"start: first values of the branches, in their order. tell: values, for an evaluate ticket."`
	SelectedPath json.RawMessage   `json:"selectedPath" doc:"Old parameter: it is a result."`

	Tickets
	Childs   []tot.Child `json:"children" maxItems:"64" doc:"tell: thoughts that follow, for a propose ticket. None: a dead end."`
	Value    *float64    `json:"value" doc:"tell: evaluations with one value."`
	Cast     []int       `json:"votes" maxItems:"1024" doc:"tell: for a vote ticket: the node that each vote is for."`
	Solution bool        `json:"solution" doc:"tell: the thought of the ticket solves the problem."`

	Most      int      `json:"most" default:"10" min:"0" max:"1000" doc:"show: how many open, and how many pruned thoughts."`
	TargetVal *float64 `json:"targetValue" doc:"run: a finished run is a solution if its return is at least this. Default: every one is; game24: 1, the target is reached."`
	Drawing
	Solo
	Chain
}

// Check refuses arguments that do not go together.
func (in ToTInput) Check(i *tools.Issues) {
	if n, m := len(in.Evaluations), len(in.Branches); n > m && in.Ticket == "" {
		i.Add("parameters.evaluations", "at most one value for each of the branches", n)
	}
	if in.Value != nil && len(in.Evaluations) > 0 {
		i.Add("parameters.value", "either value or evaluations", *in.Value)
	}
	for k, v := range in.Evaluations {
		if v == nil && in.Ticket != "" {
			i.Add(fmt.Sprintf("parameters.evaluations[%d]", k), "a number", "null")
		}
	}
}

// ToTOutput is the result of the operation tree_of_thought: the action, and the
// part that belongs to it.
type ToTOutput struct {
	Action       string        `json:"action"`
	TreeID       string        `json:"treeId,omitempty"`
	SelectedPath []string      `json:"selectedPath,omitempty"` // show, run, start with branches
	Settings     *tot.Settings `json:"settings,omitempty"`     // start
	Tickets      []tot.Ticket  `json:"tickets,omitzero"`       // ask
	Shortage     tot.Shortage  `json:"shortage,omitempty"`     // ask: why there are fewer
	Told         *tot.Told     `json:"told,omitempty"`         // tell, start with branches
	State        *ToTState     `json:"state,omitempty"`        // show, start with branches
	Search       *tot.Result   `json:"search,omitempty"`       // run
	Formula      string        `json:"formula,omitempty"`      // run, game24: the best solution
	Export       *Export       `json:"export,omitempty"`
	Trees        []ToTEntry    `json:"trees,omitzero"` // list
	Deleted      bool          `json:"deleted,omitempty"`
}

// ToTState is where a tree of thoughts stands.
type ToTState struct {
	Done       tot.Reason      `json:"done,omitempty"`
	Best       *tot.Answer     `json:"best"`     // null: nothing is judged
	Frontier   []ToTThought    `json:"frontier"` // to be judged or continued, most promising first
	Pruned     []tot.Loss      `json:"pruned"`   // latest first
	Nodes      int             `json:"nodes"`
	Visited    []int           `json:"visited"` // thoughts in the order they were continued
	Backtracks int             `json:"backtracks"`
	Dropped    int             `json:"dropped,omitempty"`   // for which there was no room
	Heuristic  *tot.Admissible `json:"heuristic,omitempty"` // of a-star
	Open       []tot.Ticket    `json:"openTickets"`
}

// ToTThought is a thought in a list.
type ToTThought struct {
	Node    int        `json:"node"`
	Content string     `json:"content"`
	Depth   int        `json:"depth"`
	Status  tot.Status `json:"status"`
	Value   *float64   `json:"value,omitempty"`
	Cost    *float64   `json:"cost,omitempty"` // of a-star, without the heuristic
}

// ToTEntry is a line of the list of trees.
type ToTEntry struct {
	TreeID   string       `json:"treeId"`
	Root     string       `json:"root"`
	Strategy tot.Strategy `json:"strategy"`
	Nodes    int          `json:"nodes"`
	Open     int          `json:"openTickets"`
	Done     tot.Reason   `json:"done,omitempty"`
}

// TreeOfThought searches a tree of thoughts: one that the client proposes and
// judges, or that of a problem stated in full.
var TreeOfThought = tools.Define(tools.Spec{
	Name: "tree_of_thought", Family: "search", Title: "Tree of thoughts",
	Summary: "Searches a tree of thoughts that you propose and judge, breadth-first, depth-first, best-first or A*; solves problems that you state, and the Game of 24.",
	Scope:   policy.Reason, Lane: work.Interactive, Effect: tools.Mutates, Removes: true,
	Method: "Tree of thoughts", Source: "Yao et al. 2023",
	Examples: []tools.Example{
		{Title: "Start a tree with judged first thoughts", Arguments: `{"operation":"tree_of_thought","prompt":"","parameters":{"root":"How can the report be out by Friday?","breadth":2,"branches":["cut a chapter","ask for help","work at night"],"evaluations":[0.6,0.8,0.2]}}`},
		{Title: "Solve a Game of 24", Arguments: `{"operation":"tree_of_thought","prompt":"","parameters":{"action":"run","domain":"game24","numbers":[4,9,10,13],"strategy":"depth-first"}}`},
		{Title: "Find a cheapest way by A*", Arguments: `{"operation":"tree_of_thought","prompt":"","parameters":{"strategy":"a-star","heuristic":"abs(3 - x) + abs(2 - y)","problem":{` +
			`"variables":[{"name":"x","type":"int","min":0,"max":3},{"name":"y","type":"int","min":0,"max":2}],` +
			`"actions":[{"name":"east","guard":"x < 3 && !(x == 1 && y == 0)","effects":{"x":"x + 1"},"reward":"-1"},{"name":"north","guard":"y < 2","effects":{"y":"y + 1"},"reward":"-1"}],` +
			`"terminal":"x == 3 && y == 2","terminalValue":"x == 3 && y == 2 ? 100 : 0"}}}`},
		{Title: "See the trees of the session", Arguments: `{"operation":"tree_of_thought","prompt":"","parameters":{"action":"list"}}`},
	},
}, runToT)

func runToT(ctx context.Context, c *tools.Call, in ToTInput) (ToTOutput, error) {
	implied, err := in.settle(c)
	if err != nil {
		return ToTOutput{}, err
	}
	out := ToTOutput{Action: in.Action, TreeID: in.TreeID}
	switch in.Action {
	case "run":
		return in.run(ctx, c, out)
	case "start":
		return in.start(ctx, c, out, implied)
	case "list":
		return in.list(c, out)
	}
	if err := totTrees.named(in.TreeID); err != nil {
		return out, err
	}
	switch now := time.Now().UTC(); in.Action {
	case "ask":
		return in.ask(ctx, c, out, now)
	case "tell":
		return in.tell(ctx, c, out, now)
	case "abandon":
		return in.abandon(ctx, c, out, now)
	case "show":
		return in.show(c, out, now)
	case "export":
		t, err := totTrees.read(c, in.TreeID)
		if err == nil {
			out.Export, err = in.export(c, t)
		}
		return out, err
	}
	c.Basis(tools.ClientSupplied)
	err = totTrees.remove(ctx, c, in.TreeID)
	out.Deleted = err == nil
	return out, err
}

// settle decides on the action, and reports whether it had to, and gives old
// parameters their meaning or says that they have none.
func (in *ToTInput) settle(c *tools.Call) (implied bool, err error) {
	in.Chain.legacy(c)
	result(c, "selectedPath", in.SelectedPath)
	if in.Value != nil {
		in.Evaluations = []*float64{in.Value}
	}
	switch in.Action {
	case "propose", "evaluate", "vote":
		in.Action = "tell"
	case "best":
		in.Action = "show"
	case "select", "backtrack":
		c.Warn("not_applicable", "action %s: the strategy %ss by itself when a tell decides it; this shows where the search stands", in.Action, in.Action)
		in.Action = "show"
	case "":
		implied = true
		switch {
		case in.stated():
			in.Action = "run"
		case in.Ticket != "":
			in.Action = "tell"
		case in.TreeID != "":
			in.Action = "show"
		case in.Root != "" || c.Prompt != "":
			in.Action = "start"
		default:
			return true, tools.Badf("parameters.action", `what to do: {"root": "How should we …?"} starts a tree whose thoughts you propose and judge; `+
				`{"domain": "game24", "numbers": [4, 9, 10, 13]} or {"problem": …} is solved at once`)
		}
	}
	return implied, nil
}

// totCredit names the strategy as the method of the call.
func totCredit(c *tools.Call, s tot.Strategy) {
	method, source := "Tree of thoughts, breadth-first", "Yao et al. 2023"
	switch s {
	case tot.DepthFirst:
		method = "Tree of thoughts, depth-first with backtracking"
	case tot.BestFirst:
		method = "Tree of thoughts, best-first"
	case tot.AStar:
		method, source = "Tree of thoughts, A*", source+"; Hart, Nilsson & Raphael 1968"
	}
	c.Method(method, source)
}
