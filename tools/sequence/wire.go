package sequence

import (
	"context"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reason/thought"
	"github.com/lyceum-mcp/lyceum/internal/reason/thought/claim"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

// WireInput is the input of the well-known reference server "sequentialthinking".
type WireInput struct {
	Thought           string `json:"thought" required:"true" maxLen:"32768" doc:"Your current thinking step"`
	NextThoughtNeeded bool   `json:"nextThoughtNeeded" required:"true" doc:"Whether another thought step is needed"`
	ThoughtNumber     int    `json:"thoughtNumber" required:"true" min:"1" doc:"Current thought number; 1 begins a new line of thoughts"`
	TotalThoughts     int    `json:"totalThoughts" required:"true" min:"1" max:"1000000" doc:"Estimated total thoughts needed"`
	IsRevision        bool   `json:"isRevision" doc:"Whether this revises previous thinking"`
	RevisesThought    int    `json:"revisesThought" min:"0" doc:"Which thought is being reconsidered"`
	BranchFromThought int    `json:"branchFromThought" min:"0" doc:"Branching point thought number"`
	BranchID          string `json:"branchId" maxLen:"64" doc:"Branch identifier"`
	NeedsMoreThoughts bool   `json:"needsMoreThoughts" doc:"If more thoughts are needed"`

	// Not of the reference, which has one history for everybody. It is read where the
	// session is taken.
	SessionID string `json:"sessionId" maxLen:"128" doc:"Handle that the result before returned; needed to go on where the connection has no session"`
}

// WireOutput is its structured output, field by field; the result has it at the
// top, where the reference does, and members of the envelope beside it.
type WireOutput struct {
	ThoughtNumber        int      `json:"thoughtNumber"`
	TotalThoughts        int      `json:"totalThoughts"`
	NextThoughtNeeded    bool     `json:"nextThoughtNeeded"`
	Branches             []string `json:"branches"`
	ThoughtHistoryLength int      `json:"thoughtHistoryLength"`
}

// Compat is the tool sequentialthinking: the wire of the reference server over
// the same chain as sequential_thinking. Its examples are its own arguments, not
// the facade's. Unlike the reference it refuses references to thoughts that do
// not exist and numbers that leave a gap; as there, a thought without a branch is
// on the line itself, and the number 1 begins anew.
var Compat = tools.Define(tools.Spec{
	Name: "sequentialthinking", Family: "sequence", Title: "Sequential Thinking",
	Summary: "Records one step of a chain of thoughts that can revise, branch and grow; the session keeps and checks it.",
	Scope:   policy.Reason, Lane: work.Inline, Effect: tools.Mutates, Plain: true, Flat: true,
	Method: method, Source: source,
	Examples: []tools.Example{{
		Title:     "The first thought of three",
		Arguments: `{"thought":"Split the problem into its cases.","thoughtNumber":1,"totalThoughts":3,"nextThoughtNeeded":true}`,
	}},
}, wire)

func wire(ctx context.Context, c *tools.Call, in WireInput) (WireOutput, error) {
	d := thought.Draft{
		Text: in.Thought, Number: in.ThoughtNumber, Total: in.TotalThoughts, More: in.NextThoughtNeeded,
		Revision: in.IsRevision, Revises: in.RevisesThought, From: in.BranchFromThought, Branch: in.BranchID,
		At: time.Now(), Wire: true, Found: claim.Scan(in.Thought),
	}
	out := WireOutput{Branches: []string{}}
	err := extend(ctx, c.Session, func(chain *thought.Chain) error {
		a, err := chain.Add(d)
		if err != nil {
			return err
		}
		out.ThoughtNumber, out.TotalThoughts, out.NextThoughtNeeded = a.Thought.Number, a.Thought.Total, a.Thought.More
		out.ThoughtHistoryLength = chain.Len()
		for _, b := range chain.Branches {
			if b.Parent != "" {
				out.Branches = append(out.Branches, b.Name)
			}
		}
		return nil
	})
	if err != nil {
		return WireOutput{}, explain(err)
	}
	return out, nil
}
