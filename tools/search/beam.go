package search

import (
	"context"
	"encoding/json"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reason/beam"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

// BeamInput is the input of the operation beam_search. Which parameters an
// action reads is said in their texts.
type BeamInput struct {
	Action string `json:"action" enum:"start|ask|tell|abandon|show|export|list|delete|run" doc:"start, ask, tell, abandon, show, export, list and delete work on a beam whose steps you propose and score; run searches a problem or domain on its own. Default: run with problem or domain, start with root, candidates or a prompt, show with beamId."`
	BeamID string `json:"beamId" maxLen:"64" doc:"The beam, for every action but start, list and run."`

	Root       string            `json:"root" maxLen:"8192" doc:"start: the question or state to search from. The prompt serves too."`
	Width      *int              `json:"beamWidth" min:"1" max:"1024" doc:"start, run: how many paths a generation keeps. Default 3."`
	Iterations *int              `json:"iterations" min:"1" max:"10000" doc:"start: most generations, up to 100; default 5. run: most moves; default the problem's horizon."`
	Candidates []json.RawMessage `json:"candidates" maxItems:"64" doc:"start: first steps, if there are some: texts, or objects {content, score, key, complete}."`
	Scores     []*float64        `json:"scores" maxItems:"64" doc:"start: scores of the candidates, in their order. The first generation is closed when all have one."`

	Aggregation   string           `json:"scoreAggregation" enum:"sum|average|max|weighted|mean|product|logprob|min|last" default:"sum" doc:"start: how the scores along a path make its value. product takes probabilities, logprob their logarithms; weighted is a mean in which later steps weigh more."`
	LengthPenalty *float64         `json:"lengthPenalty" min:"0" max:"2" doc:"start: exponent that makes long paths comparable with short ones, for sum, product and logprob. Default 0: none."`
	Decay         *float64         `json:"decay" min:"0" max:"1" doc:"start: weighted: what a step weighs against the one after it, above 0. Default 0.5."`
	Merge         string           `json:"merge" enum:"text|key|similar|none" default:"text" doc:"start: which paths are the same state: of equal key or text, of equal key, also of similar texts (word shingles), none."`
	Similarity    *float64         `json:"mergeSimilarity" min:"0" max:"1" doc:"start: merge similar: the Jaccard index from which two texts are one, above 0. Default 0.9."`
	Groups        *int             `json:"groups" min:"1" max:"1024" doc:"start, run: groups of a diverse beam: later ones avoid the steps of earlier ones. Default 1."`
	Diversity     *float64         `json:"diversity" min:"0" doc:"start, run: what a step loses for each place an earlier group gave to it. Default 0.5."`
	Convergence   *BeamConvergence `json:"convergence" doc:"start: when to end before the last generation."`
	Expansion     string           `json:"expansionStrategy" enum:"breadth|depth|hybrid" doc:"Old parameter. A beam goes by breadth: all paths of a generation are continued before the next."`
	Pruning       string           `json:"pruningStrategy" enum:"absolute|relative|adaptive" doc:"start: with pruningThreshold, what is dropped besides what the width drops."`
	Threshold     *float64         `json:"pruningThreshold" min:"0" doc:"start: absolute: drop what is below the best of its generation by more than this; relative: drop what is below this share, 0 to 1, of the best."`

	Tickets
	Childs   []beam.Child `json:"children" maxItems:"64" doc:"tell: ways to go on from the path, each with its score. None and not complete: a dead end."`
	Complete bool         `json:"complete" doc:"tell: the path is finished as it is."`
	Best     int          `json:"best" default:"3" min:"1" max:"100" doc:"show, run: how many of the best paths."`
	History  int          `json:"history" default:"10" min:"0" max:"1000" doc:"show: how many of the paths that left the search, latest first."`
	Drawing
	Solo
	Chain
}

// BeamConvergence is beam.Stop as a client writes it, with the names of the
// ancestor.
type BeamConvergence struct {
	MaxGenerations *int     `json:"maxGenerations" min:"1" max:"100" doc:"Old name of iterations."`
	Patience       *int     `json:"patience" min:"0" max:"100" doc:"End when so many generations did not raise the best value by more than minScoreImprovement. Default 1 with minScoreImprovement, otherwise off."`
	MinImprovement *float64 `json:"minScoreImprovement" min:"0"`
	Target         *float64 `json:"targetScore" doc:"End when a path has this value."`
	Gap            *float64 `json:"scoreGap" min:"0" doc:"End when a complete path leads all that go on by this."`
	Consensus      *float64 `json:"consensusThreshold" min:"0" max:"1" doc:"End when this share of the beam began with the same step. 0: off."`
	TimeLimit      *float64 `json:"timeLimit" doc:"Old parameter: time passes between calls; maxMillis bounds one."`
}

// Check refuses what a zero would otherwise leave at its default.
func (in BeamInput) Check(i *tools.Issues) {
	for _, p := range []struct {
		name string
		v    *float64
	}{{"decay", in.Decay}, {"mergeSimilarity", in.Similarity}} {
		if p.v != nil && *p.v == 0 {
			i.Add("parameters."+p.name, "a number above 0 and at most 1", 0)
		}
	}
	if n, m := len(in.Scores), len(in.Candidates); n > m {
		i.Add("parameters.scores", "at most one score for each of the candidates", n)
	}
}

// BeamOutput is the result of the operation beam_search: the action, and the
// part that belongs to it.
type BeamOutput struct {
	Action   string         `json:"action"`
	BeamID   string         `json:"beamId,omitempty"`
	BestPath []string       `json:"bestPath,omitempty"` // show, run, start with scores
	Settings *beam.Settings `json:"settings,omitempty"` // start
	Tickets  []beam.Ticket  `json:"tickets,omitzero"`   // ask
	Shortage beam.Shortage  `json:"shortage,omitempty"` // ask: why there are fewer
	Told     *beam.Told     `json:"told,omitempty"`     // tell, start with scores
	State    *BeamState     `json:"state,omitempty"`    // show, start with scores
	Search   *beam.Result   `json:"search,omitempty"`   // run
	Export   *Export        `json:"export,omitempty"`
	Beams    []BeamEntry    `json:"beams,omitzero"` // list
	Deleted  bool           `json:"deleted,omitempty"`
}

// BeamState is where a beam stands.
type BeamState struct {
	Generation int                 `json:"generation"` // closed so far
	Done       beam.Reason         `json:"done,omitempty"`
	Paths      []beam.Ranked       `json:"paths"`   // best first
	History    []beam.Loss         `json:"history"` // paths that left the search
	Counts     map[beam.Status]int `json:"counts"`  // steps of each status
	Progress   []float64           `json:"bestValues"`
	Dropped    int                 `json:"dropped,omitempty"` // for which there was no room
	Open       []beam.Ticket       `json:"openTickets"`
}

// BeamEntry is a line of the list of beams.
type BeamEntry struct {
	BeamID     string      `json:"beamId"`
	Root       string      `json:"root"`
	Generation int         `json:"generation"`
	Nodes      int         `json:"nodes"`
	Open       int         `json:"openTickets"`
	Done       beam.Reason `json:"done,omitempty"`
}

// Beam searches by generations of which the best few paths are kept: on steps
// that the client proposes and scores, or on a problem stated in full.
var Beam = tools.Define(tools.Spec{
	Name: "beam_search", Family: "search", Title: "Beam search",
	Summary: "Keeps the best few paths of each generation: of steps that you propose and score (ask and tell), or of a problem you state.",
	Scope:   policy.Reason, Lane: work.Interactive, Effect: tools.Mutates, Removes: true,
	Method: "Beam search", Source: "Lowerre 1976",
	Examples: []tools.Example{
		{Title: "Start a beam with scored first steps", Arguments: `{"operation":"beam_search","prompt":"","parameters":{"root":"How should the service store sessions?","beamWidth":2,"candidates":["in memory","in a file","in a database"],"scores":[0.4,0.7,0.6]}}`},
		{Title: "Start from a question alone", Arguments: `{"operation":"beam_search","prompt":"","parameters":{"action":"start","root":"Which words begin the title?","scoreAggregation":"logprob","lengthPenalty":0.6}}`},
		{Title: "Solve a problem stated in full", Arguments: `{"operation":"beam_search","prompt":"","parameters":{"beamWidth":4,"problem":{` +
			`"variables":[{"name":"room","type":"int","initial":"10","min":0},{"name":"at","type":"int"}],` +
			`"actions":[{"name":"take","guard":"room >= 3 + at","effects":{"room":"room - 3 - at","at":"at + 1"},"reward":"4 + 2 * at"},{"name":"leave","effects":{"at":"at + 1"}}],` +
			`"horizon":4}}}`},
		{Title: "See the beams of the session", Arguments: `{"operation":"beam_search","prompt":"","parameters":{"action":"list"}}`},
	},
}, runBeam)

func runBeam(ctx context.Context, c *tools.Call, in BeamInput) (BeamOutput, error) {
	implied, err := in.settle(c)
	if err != nil {
		return BeamOutput{}, err
	}
	out := BeamOutput{Action: in.Action, BeamID: in.BeamID}
	switch in.Action {
	case "run":
		return in.run(ctx, c, out)
	case "start":
		return in.start(ctx, c, out, implied)
	case "list":
		return in.list(c, out)
	}
	if err := beams.named(in.BeamID); err != nil {
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
		b, err := beams.read(c, in.BeamID)
		if err == nil {
			out.Export, err = in.export(c, b)
		}
		return out, err
	}
	c.Basis(tools.ClientSupplied)
	err = beams.remove(ctx, c, in.BeamID)
	out.Deleted = err == nil
	return out, err
}

// settle decides on the action, and reports whether it had to, and gives old
// parameters their meaning or says that they have none.
func (in *BeamInput) settle(c *tools.Call) (implied bool, err error) {
	in.Chain.legacy(c)
	if in.Expansion == "depth" || in.Expansion == "hybrid" {
		obsolete(c, "expansionStrategy", "what holds is breadth: all paths of a generation are continued before the next one begins")
	}
	switch {
	case in.Pruning == "adaptive":
		obsolete(c, "pruningStrategy", "adaptive is not known; what holds is the beamWidth, or absolute and relative with a pruningThreshold")
		in.Pruning, in.Threshold = "", nil
	case in.Pruning != "" && in.Threshold == nil:
		c.Warn("not_applicable", "parameters.pruningStrategy needs a pruningThreshold: what holds is the beamWidth alone")
		in.Pruning = ""
	}
	if v := in.Convergence; v != nil {
		if v.TimeLimit != nil {
			obsolete(c, "convergence.timeLimit", "time passes between calls; maxMillis bounds one")
		}
		if in.Iterations == nil {
			in.Iterations = v.MaxGenerations
		}
		if v.MinImprovement != nil && v.Patience == nil {
			v.Patience = new(1)
		}
	}
	if in.Action != "" {
		return false, nil
	}
	switch {
	case in.stated():
		in.Action = "run"
	case in.Ticket != "":
		in.Action = "tell"
	case in.BeamID != "":
		in.Action = "show"
	case in.Root != "" || c.Prompt != "":
		in.Action = "start"
	default:
		return true, tools.Badf("parameters.action", `what to do: {"root": "How should we …?"} starts a beam whose steps you propose and score; `+
			`{"problem": …} searches on its own`)
	}
	return true, nil
}

// beamCredit names the method of the call by the settings.
func beamCredit(c *tools.Call, groups int, alpha float64) {
	method, source := "Beam search", "Lowerre 1976"
	if groups > 1 {
		method, source = "Diverse beam search", source+"; Vijayakumar et al. 2016"
	}
	if alpha > 0 {
		method, source = method+", length penalty", source+"; Wu et al. 2016"
	}
	c.Method(method, source)
}
