// Package search offers the searches of internal/reason as tools: on trees that
// the client grows and the session keeps, and on problems stated in full.
package search

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

// MCTSInput is the input of the operation mcts. Which parameters an action
// reads is said in their texts.
type MCTSInput struct {
	Action string `json:"action" enum:"start|ask|tell|best|abandon|export|list|delete|run" doc:"start, ask, tell, best, abandon, export, list and delete work on a tree whose nodes you propose and value; run searches a problem or domain on its own. Default: run with problem or domain, start with root."`
	TreeID string `json:"treeId" maxLen:"64" doc:"The tree, for every action but start, list and run."`

	Root       string            `json:"root" maxLen:"8192" doc:"start: the question or state to search from. With action start the prompt serves too."`
	Candidates []json.RawMessage `json:"candidates" maxItems:"64" doc:"start: first children of the root, if there are some: texts, or objects {content, prior}."`
	Discount   *float64          `json:"discount" min:"0" max:"1" doc:"start, run of a gridworld: factor of a value for each level it rises, above 0. Default 1."`
	ValueRange []float64         `json:"valueRange" minItems:"2" maxItems:"2" doc:"start: [low, high], the range of the values you will tell. Default [0, 1]."`
	Widening   *MCTSWidening     `json:"widening" doc:"start: ask for more children of a node as its visits grow. run: consider more moves as visits grow, the most promising first."`
	Loss       *float64          `json:"virtualLoss" min:"0" doc:"start: how many visits of the lowest value an open ticket counts as. Default 1."`

	Policy      string   `json:"policy" enum:"uct|ucb1|ucb1-tuned|puct" doc:"start, run: which child is tried next; ucb1 is uct. Default uct."`
	Exploration *float64 `json:"explorationConstant" min:"0" doc:"start, run: c in mean + c·√(ln N / n), for values scaled to [0, 1]. Default √2."`
	UCBVariant  string   `json:"ucbVariant" enum:"ucb1|ucb1-tuned|puct|custom" doc:"Old name of policy."`

	N       int               `json:"n" default:"1" min:"1" max:"64" doc:"ask: how many tickets."`
	Seconds int               `json:"ticketSeconds" default:"900" min:"1" max:"86400" doc:"ask: when a ticket that was not told expires."`
	Ticket  string            `json:"ticket" maxLen:"32" doc:"tell, abandon: the ticket."`
	Value   *float64          `json:"value" doc:"tell: how good the ticket's node is, within valueRange. May be left out when an expand ticket gets children."`
	Childs  []json.RawMessage `json:"children" maxItems:"64" doc:"tell: next steps from the node: texts, or objects {content, prior}."`
	End     bool              `json:"terminal" doc:"tell: nothing can come after this node."`

	Criterion string `json:"criterion" enum:"visits|value|lcb|robust|max|secure" default:"visits" doc:"best, run: most visits (robust child), highest mean (max child), or highest lower confidence bound (secure child)."`
	Interval  string `json:"interval" enum:"hoeffding|normal" default:"hoeffding" doc:"best: how confidence intervals are computed."`
	Drawing

	Problem *problem.Spec `json:"problem" doc:"run: a decision problem in declarative form. Formulas know + - * / % ^, comparisons, && || !, c ? a : b and functions such as min, max, if, clamp, floor."`
	Domain  string        `json:"domain" enum:"tic-tac-toe|tictactoe|nim|bandit|connect-four|game24|gridworld|sliding-tiles|tsp|knapsack|job-shop|n-queens" doc:"run: a built-in problem instead."`
	problem.Parameters
	Numbers []int `json:"numbers" maxItems:"6" doc:"game24: the numbers to combine by + - × ÷."`
	Target  int   `json:"target" default:"24" doc:"game24: what they shall give."`

	Simulations int     `json:"simulations" default:"100" min:"1" max:"1000000000" doc:"run: how many simulations, in all trees together."`
	RAVE        float64 `json:"rave" min:"0" doc:"run: at how many visits of a position what is learnt from the same move elsewhere counts half; 0 is not at all. Hundreds to thousands suit games."`
	Rollout     string  `json:"rollout" enum:"random|heuristic" default:"random" doc:"run: how playouts go on. heuristic is for connect-four, sliding-tiles, tsp, knapsack, job-shop and problems with priors."`
	Trees       int     `json:"trees" min:"0" max:"256" doc:"run: independent trees whose statistics are added up. Default 8, but at most one for each 10,000 simulations."`

	Tree       json.RawMessage `json:"tree" doc:"Old parameter: trees are kept here now. The id of a tree is taken as treeId."`
	BestAction json.RawMessage `json:"bestAction" doc:"Old parameter: it is a result."`
}

// Check refuses what a zero would otherwise leave at its default.
func (in MCTSInput) Check(i *tools.Issues) {
	if in.Discount != nil && *in.Discount == 0 {
		i.Add("parameters.discount", "a number above 0 and at most 1", 0)
	}
	if r := in.ValueRange; r != nil && r[0] >= r[1] {
		i.Add("parameters.valueRange", "[low, high] with low below high", r)
	}
	if w := in.Widening; w != nil && w.K == 0 {
		i.Add("parameters.widening.k", "a number above 0", 0)
	}
}

// MCTSWidening is mcts.Widening as a client writes it.
type MCTSWidening struct {
	K     float64 `json:"k" default:"1" min:"0" doc:"A node with n visits has up to ⌈k·n^alpha⌉ children."`
	Alpha float64 `json:"alpha" default:"0.5" min:"0" max:"1"`
}

// MCTSOutput is the result of the operation mcts: the action, and the part that
// belongs to it.
type MCTSOutput struct {
	Action     string         `json:"action"`
	TreeID     string         `json:"treeId,omitempty"`
	BestAction string         `json:"bestAction,omitempty"` // run and best
	Settings   *mcts.Settings `json:"settings,omitempty"`   // start
	Tickets    []mcts.Ticket  `json:"tickets,omitzero"`     // ask
	Shortage   mcts.Shortage  `json:"shortage,omitempty"`   // ask: why there are fewer
	Told       *mcts.Told     `json:"told,omitempty"`       // tell
	Answer     *mcts.Answer   `json:"answer,omitempty"`     // best
	Search     *mcts.Result   `json:"search,omitempty"`     // run
	Export     *Export        `json:"export,omitempty"`
	Trees      []MCTSEntry    `json:"trees,omitzero"` // list
	Deleted    bool           `json:"deleted,omitempty"`
}

// MCTSEntry is a line of the list of trees.
type MCTSEntry struct {
	TreeID string      `json:"treeId"`
	Root   string      `json:"root"`
	Policy mcts.Policy `json:"policy"`
	Nodes  int         `json:"treeNodes"`
	Visits int64       `json:"visits"`
	Open   int         `json:"openTickets"`
}

// MCTS searches a tree by sampling: one whose nodes the client proposes and
// values (ask and tell), or that of a problem stated in full.
var MCTS = tools.Define(tools.Spec{
	Name: "mcts", Family: "search", Title: "Monte Carlo tree search",
	Summary: "Searches a decision tree by sampling: one that you grow by proposing and valuing nodes (ask and tell), or that of a problem you state.",
	Scope:   policy.Reason, Lane: work.Interactive, Effect: tools.Mutates, Removes: true,
	Method: "UCT", Source: "Kocsis & Szepesvári 2006",
	Examples: []tools.Example{
		{Title: "Start a tree of your own", Arguments: `{"operation":"mcts","prompt":"","parameters":{"action":"start","root":"How should the service store sessions?","candidates":["in memory",{"content":"in a file","prior":0.5}]}}`},
		{Title: "Solve a game", Arguments: `{"operation":"mcts","prompt":"","parameters":{"action":"run","domain":"nim","heaps":[3,4,5],"simulations":2000,"seed":1}}`},
		{Title: "Search a problem stated in full", Arguments: `{"operation":"mcts","prompt":"","parameters":{"action":"run","simulations":2000,"seed":1,"problem":{` +
			`"variables":[{"name":"stock","type":"int","initial":2,"min":0,"max":5}],` +
			`"actions":[{"name":"sell","guard":"stock > 0","outcomes":[{"probability":0.7,"effects":{"stock":"stock - 1"},"reward":5},{"probability":0.3}]},` +
			`{"name":"order","guard":"stock < 5","effects":{"stock":"stock + 1"},"reward":-2}],` +
			`"reward":"-0.1 * stock","horizon":6,"discount":0.95}}}`},
		{Title: "Find a short tour", Arguments: `{"operation":"mcts","prompt":"","parameters":{"action":"run","domain":"tsp","points":[[0,0],[0,3],[4,3],[4,0],[2,1]],"rollout":"heuristic","simulations":2000,"seed":1}}`},
		{Title: "See the trees of the session", Arguments: `{"operation":"mcts","prompt":"","parameters":{"action":"list"}}`},
	},
}, runMCTS)

func runMCTS(ctx context.Context, c *tools.Call, in MCTSInput) (MCTSOutput, error) {
	if err := in.legacy(c); err != nil {
		return MCTSOutput{}, err
	}
	out := MCTSOutput{Action: in.Action, TreeID: in.TreeID}
	switch in.Action {
	case "run":
		return in.run(ctx, c, out)
	case "start":
		return in.start(ctx, c, out)
	case "list":
		return listMCTS(c, out)
	}
	if in.TreeID == "" {
		return out, tools.Bad("parameters.treeId", "the id of a tree in this session, as action start returned it", "nothing")
	}
	now := time.Now()
	switch in.Action {
	case "ask":
		return in.ask(ctx, c, out, now)
	case "tell":
		return in.tell(ctx, c, out, now)
	case "abandon":
		return in.abandon(ctx, c, out, now)
	case "best":
		return in.best(c, out)
	case "export":
		return in.export(c, out)
	}
	return in.remove(ctx, c, out)
}

// legacy settles the action and gives old parameters their meaning, or says
// that they have none.
func (in *MCTSInput) legacy(c *tools.Call) error {
	if id := mctsTreeID(in.Tree); id != "" && in.TreeID == "" {
		in.TreeID = id
	} else if len(in.Tree) > 0 {
		c.Warn("obsolete_parameter", "parameters.tree was ignored: trees are kept by the server; start one with root and candidates and pass its treeId")
	}
	if len(in.BestAction) > 0 {
		c.Warn("obsolete_parameter", "parameters.bestAction was ignored: it is a result of actions run and best")
	}
	switch {
	case in.UCBVariant == "custom":
		c.Warn("obsolete_parameter", "parameters.ucbVariant custom was ignored: the policies are uct, ucb1-tuned and puct")
	case in.Policy == "":
		in.Policy = in.UCBVariant
	}
	if c, ok := map[string]mcts.Criterion{"robust": mcts.ByVisits, "max": mcts.ByValue, "secure": mcts.ByLCB}[in.Criterion]; ok {
		in.Criterion = string(c)
	}
	if in.Policy == "ucb1" {
		in.Policy = string(mcts.UCT)
	}
	if in.Policy == string(mcts.UCB1Tuned) && in.Exploration != nil {
		c.Warn("not_applicable", "parameters.explorationConstant has no effect: UCB1-tuned takes its exploration from the measured variance")
	}
	switch {
	case in.Action != "":
	case in.Problem != nil || in.Domain != "":
		in.Action = "run"
	case in.Root != "":
		in.Action = "start"
	default:
		return tools.Badf("parameters.action", `what to do: {"domain": "nim", "heaps": [3, 4, 5]} or {"problem": …} searches on its own; `+
			`{"root": "How should we …?"} starts a tree whose nodes you propose and value`)
	}
	return nil
}

// mctsTreeID returns the id in an old "tree" parameter that is one, or "".
func mctsTreeID(raw json.RawMessage) string {
	var id string
	if json.Unmarshal(raw, &id) != nil || len(id) > 64 || !strings.HasPrefix(id, mctsTreePrefix) {
		return ""
	}
	return id
}

// mctsCredit names the policy as the method of the call.
func mctsCredit(c *tools.Call, p mcts.Policy, suffix string) {
	switch p {
	case mcts.UCB1Tuned:
		c.Method("UCB1-tuned"+suffix, "Auer, Cesa-Bianchi & Fischer 2002")
	case mcts.PUCT:
		c.Method("PUCT"+suffix, "Rosin 2011; Silver et al. 2017")
	default:
		c.Method("UCT"+suffix, "Kocsis & Szepesvári 2006")
	}
}
