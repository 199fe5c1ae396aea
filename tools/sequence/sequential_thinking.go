// Package sequence keeps a chain of numbered thoughts in the session and checks
// what they claim.
//
// The operation sequential_thinking adds, reads and organises thoughts; the tool
// sequentialthinking (wire.go) has the wire of the well-known reference server
// and stores into the same chain. The graph and the checks are in package thought.
package sequence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reason/thought"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

// operation is the name under which follow-up calls are proposed.
const operation = "sequential_thinking"

const (
	method = "validated thought graph; exact rational arithmetic; word 3-shingle Jaccard index"
	source = "Broder 1997 (resemblance by shingles)"
)

// SequentialThinking is the operation sequential_thinking.
var SequentialThinking = tools.Define(tools.Spec{
	Name: operation, Family: "sequence", Title: "Sequential thinking",
	Summary: "Keeps a validated chain of thoughts with revisions and branches, and checks its arithmetic, names and repetitions.",
	Scope:   policy.Reason, Lane: work.Inline, Effect: tools.Mutates,
	Method: method, Source: source,
	Examples: []tools.Example{
		{Title: "Add a thought; its arithmetic is checked", Arguments: `{"operation":"sequential_thinking","prompt":"17*23=391, so 391 is no prime.","parameters":{"thoughtNumber":1,"totalThoughts":3,"nextThoughtNeeded":true}}`},
		{Title: "Read the thoughts of the session", Arguments: `{"operation":"sequential_thinking","parameters":{"action":"read","last":5}}`},
		{Title: "See how the thoughts hang together", Arguments: `{"operation":"sequential_thinking","parameters":{"action":"structure"}}`},
	},
}, sequentialThinking)

// The actions.
const (
	actionAdd       = "add"
	actionRead      = "read"
	actionStructure = "structure"
	actionBranches  = "branches"
	actionSwitch    = "switch"
	actionMerge     = "merge"
	actionClose     = "close"
	actionCheck     = "check"
)

// Input is the parameters of sequential_thinking.
type Input struct {
	Action  string `json:"action" enum:"add|read|structure|branches|switch|merge|close|check" default:"add" doc:"add a thought, or read, organise and check those there are."`
	Thought string `json:"thought" doc:"Text of the thought; the facade's prompt serves as well. For merge: of the joining thought. For check: a text to check without storing it." maxLen:"32768"`

	ThoughtNumber     int      `json:"thoughtNumber" min:"1" doc:"Number of the thought; omitted: the next one. For read and check: the one to look at."`
	TotalThoughts     int      `json:"totalThoughts" min:"1" max:"1000000" doc:"Estimate of how many thoughts it takes; omitted: the estimate so far."`
	NextThoughtNeeded bool     `json:"nextThoughtNeeded" default:"false"`
	IsRevision        bool     `json:"isRevision" doc:"The thought supersedes revisesThought, or the thought whose number it repeats."`
	RevisesThought    int      `json:"revisesThought" min:"0" doc:"Number of the thought that this one supersedes."`
	BranchFromThought int      `json:"branchFromThought" min:"0" doc:"Number of the thought after which a new branch begins."`
	BranchID          string   `json:"branchId" maxLen:"64" doc:"Branch to add to, read, switch to, merge or close; omitted: the active one, or for a new branch a name of the server's."`
	NeedsMoreThoughts bool     `json:"needsMoreThoughts"`
	Reaffirms         []int    `json:"reaffirms" maxItems:"64" doc:"Numbers of thoughts that still hold although an earlier one was revised."`
	Confidence        *float64 `json:"confidence" min:"0" max:"1" doc:"Your confidence in the thought; its drift is reported, nothing else is made of it."`

	Pattern       string         `json:"pattern" enum:"chain|tree|beam|mcts|graph|auto" doc:"Pattern to go on with; omitted: chain. auto: chosen by rules over the session's features."`
	PatternParams map[string]any `json:"patternParams" maxItems:"64" doc:"Parameters for the operation of that pattern; handed on in next."`

	FromThought int    `json:"fromThought" min:"1" doc:"For read and structure: first number."`
	ToThought   int    `json:"toThought" min:"1" doc:"For read and structure: last number."`
	Last        int    `json:"last" min:"1" doc:"For read: the latest so many."`
	All         bool   `json:"all" doc:"For read and structure: every record of every branch (or of branchId), superseded ones too."`
	Limit       int    `json:"limit" min:"1" max:"500" doc:"At most so many thoughts a page."`
	MaxBytes    int    `json:"maxBytes" min:"1024" max:"262144" default:"65536" doc:"At most so many bytes of text a page."`
	Cursor      string `json:"cursor" maxLen:"32" doc:"nextCursor of the page before."`

	Into   string `json:"into" maxLen:"64" doc:"For merge: the branch that takes the other one; omitted: the one it began on."`
	Reason string `json:"reason" maxLen:"256" doc:"For close: why."`
}

// Output is the result of every action; each fills its own fields.
type Output struct {
	Action          string `json:"action"`
	Status          string `json:"status"`
	SelectedPattern string `json:"selectedPattern,omitempty"`

	// Of add and merge. The first lines are what the client sent, completed.
	Thought           string   `json:"thought,omitempty"`
	ThoughtNumber     int      `json:"thoughtNumber,omitempty"`
	TotalThoughts     int      `json:"totalThoughts,omitempty"`
	NextThoughtNeeded *bool    `json:"nextThoughtNeeded,omitempty"`
	IsRevision        *bool    `json:"isRevision,omitempty"`
	RevisesThought    int      `json:"revisesThought,omitempty"`
	BranchFromThought int      `json:"branchFromThought,omitempty"`
	BranchID          string   `json:"branchId,omitempty"`
	NeedsMoreThoughts *bool    `json:"needsMoreThoughts,omitempty"`
	ID                int      `json:"id,omitempty"`
	Label             string   `json:"label,omitempty"`
	Hash              string   `json:"hash,omitempty"`
	CreatedAt         string   `json:"createdAt,omitempty"`
	Extended          bool     `json:"totalThoughtsExtended,omitempty"`
	NewBranch         bool     `json:"newBranch,omitempty"`
	Merged            *Ref     `json:"merged,omitempty"`
	Stale             []int    `json:"staleThoughts,omitempty"`
	Elsewhere         []Below  `json:"staleBranches,omitempty"`
	Reaffirmed        []int    `json:"reaffirmed,omitempty"`
	Drift             *Drift   `json:"confidence,omitempty"`
	Stalled           bool     `json:"stalled,omitempty"`
	Checks            []Check  `json:"checks,omitempty"`
	Choice            *Choice  `json:"patternChoice,omitempty"`
	Context           *Context `json:"sessionContext,omitempty"`

	// Of the other actions.
	Thoughts  []View     `json:"thoughts,omitempty"`
	Structure []Node     `json:"structure,omitempty"`
	Branches  []Branch   `json:"branches,omitempty"`
	Active    string     `json:"activeBranch,omitempty"`
	Page      *Page      `json:"page,omitempty"`
	Counts    *Counts    `json:"counts,omitempty"`
	Integrity *Integrity `json:"integrity,omitempty"`
}

// Below is what a revision makes stale on another branch, which forks behind it.
type Below struct {
	BranchID string `json:"branchId"`
	Count    int    `json:"count"`
	Thoughts []int  `json:"thoughts"` // the first ones
}

// Choice is how a pattern was chosen.
type Choice = thought.Choice

const success = "success"

func sequentialThinking(ctx context.Context, c *tools.Call, in Input) (Output, error) {
	out := Output{Action: in.Action, Status: success}
	var err error
	switch in.Action {
	case actionAdd:
		err = add(ctx, c, in, &out)
	case actionMerge:
		err = merge(ctx, c, in, &out)
	case actionSwitch:
		err = organise(ctx, c, &out, func(chain *thought.Chain) error { return chain.Switch(in.BranchID) })
	case actionClose:
		err = organise(ctx, c, &out, func(chain *thought.Chain) error {
			_, err := chain.Close(in.BranchID, in.Reason)
			return err
		})
	default:
		var chain thought.Chain
		if chain, _, err = chains.Read(c.Session); err == nil {
			err = look(c, in, &chain, &out)
		}
	}
	if err != nil {
		return Output{}, explain(err)
	}
	return out, nil
}

// look runs the actions that change nothing.
func look(c *tools.Call, in Input, chain *thought.Chain, out *Output) error {
	c.Basis(tools.ClientSupplied)
	switch in.Action {
	case actionRead:
		return read(c, in, chain, out)
	case actionStructure:
		return structure(in, chain, out)
	case actionBranches:
		out.Branches, out.Active = branches(chain), chain.Active
		return nil
	}
	c.Basis(tools.Computed)
	return check(c, in, chain, out)
}

// organise runs an action on the branches and lists them.
func organise(ctx context.Context, c *tools.Call, out *Output, act func(*thought.Chain) error) error {
	c.Basis(tools.ClientSupplied)
	return chains.Update(ctx, c.Session, func(chain *thought.Chain) error {
		if err := act(chain); err != nil {
			return err
		}
		out.Branches, out.Active = branches(chain), chain.Active
		return nil
	})
}

// explain turns a refusal of the chain into what the caller can mend.
func explain(err error) error {
	r, ok := errors.AsType[*thought.Refusal](err)
	switch {
	case !ok:
		return err
	case r.Code != "":
		return &fault.Error{Kind: fault.TooLarge, Code: r.Code, Public: r.Want}
	}
	issue := tools.Issue{Path: "parameters." + r.Field, Expected: r.Want}
	if r.Got != nil {
		issue.Got = fmt.Sprint(r.Got)
	}
	return &tools.BadArguments{Issues: []tools.Issue{issue}}
}

// stamp writes a time as results show it.
func stamp(t time.Time) string { return t.Format(time.RFC3339Nano) }
