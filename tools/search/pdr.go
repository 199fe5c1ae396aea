package search

import (
	"context"
	"encoding/json"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reason/pdr"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

// PDRInput is the input of the operation pdr_reasoning. Which parameters an
// action reads is said in their texts.
type PDRInput struct {
	Action     string `json:"action" enum:"start|continue|add|add_subject|connect|remove|run_pass|cluster|select|ask|tell|abandon|synthesize|show|export|list|delete" doc:"start a research; add and connect subjects (scan); cluster and select, or both by run_pass; ask for subjects to deepen and tell what was found; synthesize closes the round. Default: start with a prompt or question, add with subjects, show with researchId. continue is show, add_subject is add."`
	ResearchID string `json:"researchId" maxLen:"64" doc:"The research, for every action but start and list."`

	Question   string   `json:"question" maxLen:"8192" doc:"start: what is to be found out. The prompt serves too."`
	Passes     *int     `json:"maxPasses" min:"1" max:"100" doc:"start: rounds at most. Default 5."`
	Improve    *float64 `json:"minImprovement" min:"0" max:"1" doc:"start: a round that raises the quality by less is the last. Default 0.1."`
	Confidence *float64 `json:"confidenceThreshold" min:"0" max:"1" doc:"start: the confidence that makes a cluster done. Default 0.8."`
	Coverage   *float64 `json:"coverage" min:"0" max:"1" doc:"start: share of the clusters that need a deepened subject. Default 1."`
	Likeness   string   `json:"likeness" enum:"terms|vectors|edges" default:"terms" doc:"start: similarity of subjects by common words, by your vectors, or by the weights of edges."`
	Relevance  string   `json:"relevance" enum:"client|pagerank" default:"client" doc:"start: relevance by your scores, or measured over the edges."`
	Threshold  *float64 `json:"threshold" min:"0" max:"1" doc:"start: similarities below it do not connect. Default 0."`
	Resolution *float64 `json:"resolution" min:"0" max:"1000" doc:"start: above 1 more clusters, below fewer. Default 1."`
	Lambda     *float64 `json:"lambda" min:"0" max:"1" doc:"start: weight of relevance against difference in selecting. Default 0.5."`
	Budgets    *PDRPass `json:"budgets" doc:"start: subjects of each pass."`
	MaxTime    *float64 `json:"maxTimeMs" doc:"Old parameter: time passes between calls; maxMillis bounds one."`
	Depth      *float64 `json:"depth" doc:"Old parameter, never used: maxPasses bounds the rounds."`
	Breadth    *float64 `json:"breadth" doc:"Old parameter, never used: budgets bound the passes."`

	Pass     string            `json:"pass" enum:"scan|cluster|select|deepen|synthesize" doc:"run_pass: which one. Default: cluster and select."`
	Subjects []json.RawMessage `json:"subjects" maxItems:"500" doc:"start, add: what to look into; tell: what the deepening led to. Texts, or objects {id, content, type, score, vector}; type is subject, concept, evidence, question or insight."`
	Edges    []PDREdge         `json:"edges" maxItems:"2000" doc:"start, add, connect: relations between subjects, by id."`
	Subject  string            `json:"subject" maxLen:"128" doc:"remove: the id of the subject."`

	Tickets
	Sure   *float64  `json:"confidence" min:"0" max:"1" doc:"tell: how sure you are of the answer."`
	Answer string    `json:"answer" maxLen:"8192" doc:"tell: what was found."`
	Link   *pdr.Link `json:"link" doc:"tell: the search that it was found with, of this session if it is one of this server."`
	Drawing
	Chain
}

// PDRPass are the budgets of the passes of a round.
type PDRPass struct {
	Scan   *int `json:"scan" min:"1" max:"500" doc:"New subjects. Default 10."`
	Select *int `json:"select" min:"1" max:"500" doc:"Subjects selected. Default 5."`
	Deepen *int `json:"deepen" min:"1" max:"500" doc:"Of those, deepened. Default 3."`
}

// PDREdge is pdr.Edge with defaults.
type PDREdge struct {
	From   string   `json:"from" required:"true" maxLen:"128"`
	To     string   `json:"to" required:"true" maxLen:"128"`
	Type   string   `json:"type" enum:"supports|contradicts|refines|questions|leads-to|relates-to|derived-from|clusters-with" default:"relates-to"`
	Weight *float64 `json:"weight" min:"0" max:"1" doc:"Default 1."`
}

// Check refuses what a zero would otherwise leave at its default.
func (in PDRInput) Check(i *tools.Issues) {
	if in.Resolution != nil && *in.Resolution == 0 {
		i.Add("parameters.resolution", "a number above 0", 0)
	}
}

// PDROutput is the result of the operation pdr_reasoning: the action, and the
// part that belongs to it.
type PDROutput struct {
	Action     string         `json:"action"`
	ResearchID string         `json:"researchId,omitempty"`
	Settings   *pdr.Settings  `json:"settings,omitempty"` // start
	Added      *pdr.Added     `json:"added,omitempty"`    // start, add
	Connected  int            `json:"connected,omitempty"`
	Partition  *pdr.Partition `json:"partition,omitempty"` // cluster
	Selection  *pdr.Selection `json:"selection,omitempty"` // select
	Tickets    []pdr.Ticket   `json:"tickets,omitzero"`    // ask
	Shortage   pdr.Shortage   `json:"shortage,omitempty"`  // ask: why there are fewer
	Told       *pdr.Told      `json:"told,omitempty"`      // tell
	Report     *pdr.Report    `json:"report,omitempty"`    // synthesize, show
	State      *PDRState      `json:"state,omitempty"`     // show
	Export     *Export        `json:"export,omitempty"`
	Researches []PDREntry     `json:"researches,omitzero"` // list
	Deleted    bool           `json:"deleted,omitempty"`
}

// PDRState is where a research stands.
type PDRState struct {
	Question string        `json:"question"`
	Round    int           `json:"round"` // that is open, from 1; of one that is done the last
	Scanned  int           `json:"scanned"`
	Rounds   []pdr.Round   `json:"rounds"` // closed ones
	Subjects []pdr.Subject `json:"subjects"`
	Edges    []pdr.Edge    `json:"edges"`
	Open     []pdr.Ticket  `json:"openTickets"`
}

// PDREntry is a line of the list of researches.
type PDREntry struct {
	ResearchID string     `json:"researchId"`
	Question   string     `json:"question"`
	Subjects   int        `json:"subjects"`
	Rounds     int        `json:"rounds"`
	Open       int        `json:"openTickets"`
	Done       pdr.Reason `json:"done,omitempty"`
}

// PDR guides a research in rounds of passes: scan, cluster, select, deepen,
// synthesize.
var PDR = tools.Define(tools.Spec{
	Name: "pdr_reasoning", Family: "search", Title: "Progressive deep reasoning",
	Summary: "Guides a research in rounds: you scan for subjects and deepen them; clusters, the selection, gaps and when to stop are computed.",
	Scope:   policy.Reason, Lane: work.Interactive, Effect: tools.Mutates, Removes: true,
	Method: "Progressive deepening", Source: "Blondel et al. 2008; Carbonell & Goldstein 1998",
	Examples: []tools.Example{
		{Title: "Start a research with scored subjects", Arguments: `{"operation":"pdr_reasoning","prompt":"","parameters":{"question":"Why do sessions get lost?","subjects":[{"id":"ttl","content":"sessions end by idle time","score":0.9},{"id":"evict","content":"sessions end when memory is full","score":0.7},{"id":"proxy","content":"the proxy drops the header","type":"question","score":0.8}]}}`},
		{Title: "Start from a question alone", Arguments: `{"operation":"pdr_reasoning","prompt":"","parameters":{"action":"start","question":"Which database fits?","maxPasses":3,"budgets":{"scan":20,"select":4,"deepen":2}}}`},
		{Title: "See the researches of the session", Arguments: `{"operation":"pdr_reasoning","prompt":"","parameters":{"action":"list"}}`},
	},
}, runPDR)

func runPDR(ctx context.Context, c *tools.Call, in PDRInput) (PDROutput, error) {
	implied, err := in.settle(c)
	if err != nil {
		return PDROutput{}, err
	}
	out := PDROutput{Action: in.Action, ResearchID: in.ResearchID}
	switch in.Action {
	case "start":
		return in.start(ctx, c, out, implied)
	case "list":
		return in.list(c, out)
	}
	if err := researches.named(in.ResearchID); err != nil {
		return out, err
	}
	switch now := time.Now().UTC(); in.Action {
	case "add", "connect":
		return in.add(ctx, c, out)
	case "remove":
		return in.takeOut(ctx, c, out)
	case "cluster", "select", "run_pass", "synthesize":
		return in.compute(ctx, c, out, now)
	case "ask":
		return in.ask(ctx, c, out, now)
	case "tell":
		return in.tell(ctx, c, out, now)
	case "abandon":
		return in.abandon(ctx, c, out, now)
	case "show":
		return in.show(ctx, c, out, now)
	case "export":
		r, err := researches.read(c, in.ResearchID)
		if err == nil {
			out.Export, err = in.export(c, r)
		}
		return out, err
	}
	c.Basis(tools.ClientSupplied)
	err = researches.remove(ctx, c, in.ResearchID)
	out.Deleted = err == nil
	return out, err
}

// settle decides on the action, and reports whether it had to, and gives old
// parameters their meaning or says that they have none.
func (in *PDRInput) settle(c *tools.Call) (implied bool, err error) {
	in.Chain.legacy(c)
	if in.MaxTime != nil {
		obsolete(c, "maxTimeMs", "time passes between calls; maxMillis bounds one")
	}
	if in.Depth != nil || in.Breadth != nil {
		c.Warn("obsolete_parameter", "depth and breadth were ignored, as they always were: maxPasses bounds the rounds, budgets their passes")
	}
	switch in.Action {
	case "continue":
		in.Action = "show"
	case "add_subject":
		in.Action = "add"
	case "run_pass":
		switch in.Pass {
		case "scan":
			in.Action = "add"
		case "deepen":
			in.Action = "ask"
		case "cluster", "select", "synthesize":
			in.Action = in.Pass
		}
	}
	if in.Action != "" {
		return false, nil
	}
	switch {
	case in.Ticket != "":
		in.Action = "tell"
	case in.ResearchID != "" && len(in.Subjects)+len(in.Edges) > 0:
		in.Action = "add"
	case in.ResearchID != "":
		in.Action = "show"
	case in.Question != "" || c.Prompt != "":
		in.Action = "start"
	default:
		return true, tools.Badf("parameters.action", `what to do: {"question": "Why …?"} starts a research whose subjects you find`)
	}
	return true, nil
}
