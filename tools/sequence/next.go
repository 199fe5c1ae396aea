package sequence

import (
	"fmt"
	"maps"

	"github.com/lyceum-mcp/lyceum/internal/reason/thought"
	"github.com/lyceum-mcp/lyceum/internal/reason/thought/claim"
	"github.com/lyceum-mcp/lyceum/tools"
)

// proposal is a follow-up call.
type proposal struct {
	operation, why string
	parameters     map[string]any
}

type proposals []proposal

func (p proposals) send(c *tools.Call) {
	for _, next := range p {
		c.Next(next.operation, next.why, next.parameters)
	}
}

const (
	maxCorrections = 3
	// fall is the drop of a stated confidence from which a branch is proposed.
	fall = 0.2
)

// propose says what to do next, the most pressing first: mend what a check found,
// leave a line that repeats itself, look at what a revision left behind, go on
// with the pattern, go on with the next thought or check the whole.
func propose(chain *thought.Chain, a thought.Added, in Input, out *Output) proposals {
	p := corrections(a, out.Checks)
	if other := duplicated(out.Checks); other > 0 {
		p = append(p, branchFrom(chain, other, fmt.Sprintf("thought %d repeats thought %d: take another way from there", a.Thought.Number, other),
			fmt.Sprintf("Another approach from thought %d on, because thought %d only repeats it.", other, a.Thought.Number)))
	} else if d := out.Drift; d != nil && d.Delta != nil && *d.Delta <= -fall {
		if before := previous(chain, a); before > 0 {
			p = append(p, branchFrom(chain, before, "the stated confidence fell: keep this line and try another one from before it",
				fmt.Sprintf("Another approach after thought %d, because the confidence fell with thought %d.", before, a.Thought.Number)))
		}
	}
	if n := len(a.Stale); n > 0 {
		p = append(p, proposal{operation, fmt.Sprintf("%d thoughts stand on what was revised: read them, then revise them or name them in reaffirms", n), map[string]any{
			"action": actionRead, "branchId": a.Thought.Branch, "fromThought": a.Stale[0], "toThought": a.Stale[n-1],
		}})
	}
	if len(out.Elsewhere) > 0 {
		b := out.Elsewhere[0]
		p = append(p, proposal{operation, fmt.Sprintf("%d thoughts of branch %s stand on what was revised: read them there", b.Count, b.BranchID), map[string]any{
			"action": actionRead, "branchId": b.BranchID, "fromThought": b.Thoughts[0],
		}})
	}
	if op := operations[out.SelectedPattern]; op != "" {
		p = append(p, proposal{op, "pattern " + out.SelectedPattern + " goes on there", handOver(in.PatternParams, a.Thought.Text)})
	}
	if chain.Len() == thought.MaxThoughts {
		return proposals{{operation, "the session is full: check the chain, then go on in a new session", map[string]any{"action": actionCheck}}}
	}
	return append(p, onward(a))
}

// operations are those that carry the patterns out.
var operations = map[string]string{
	thought.TreePattern: "tree_of_thought", thought.BeamPattern: "beam_search",
	thought.MCTSPattern: "mcts", thought.GraphPattern: "graph_of_thought",
}

// handOver returns the arguments for the operation of a pattern: those that the
// client gave, and where they name nothing to search, the thought as the root.
func handOver(given map[string]any, text string) map[string]any {
	const maxRoot = 8 << 10 // bytes that the search operations take
	parameters := map[string]any{}
	maps.Copy(parameters, given)
	for _, subject := range []string{"root", "problem", "domain", "action"} {
		if _, ok := parameters[subject]; ok {
			return parameters
		}
	}
	parameters["root"] = clip(text, maxRoot-len("…"))
	return parameters
}

// corrections proposes a revision for each refuted claim and each name with two
// values. The text states what was computed and nothing else.
func corrections(a thought.Added, checks []Check) proposals {
	var p proposals
	revise := func(number int, why, text string) {
		if len(p) < maxCorrections {
			p = append(p, proposal{operation, why, map[string]any{
				"thought": text, "isRevision": true, "revisesThought": number, "branchId": a.Thought.Branch,
				"totalThoughts": a.Thought.Total, "nextThoughtNeeded": a.Thought.More,
			}})
		}
	}
	for _, k := range checks {
		switch {
		case k.Verdict == string(claim.Refuted):
			revise(k.Thought, fmt.Sprintf("%s is wrong: the exact value is %s", k.Text, k.Exact),
				fmt.Sprintf("Correction of thought %d: %s = %s, not %s.", k.Thought, k.Expr, k.Exact, k.Claimed))
		case k.Kind == thought.Rebinding:
			revise(k.Thought, k.Text+": say which one holds, here or by revising the other",
				fmt.Sprintf("Correction of thought %d: %s; only one of them can hold.", k.Thought, k.Text))
		}
	}
	return p
}

// duplicated returns the number of the thought that the new one repeats, or 0.
func duplicated(checks []Check) int {
	for _, k := range checks {
		if k.Kind == thought.NearDuplicate {
			return k.Other
		}
	}
	return 0
}

// previous returns the number of the thought that the new one follows, 0 if none.
func previous(chain *thought.Chain, a thought.Added) int {
	if t := chain.Get(a.Thought.Parent); t != nil {
		return t.Number
	}
	return 0
}

func branchFrom(chain *thought.Chain, number int, why, text string) proposal {
	name := ""
	for i := 1; name == "" || chain.Branch(name) != nil; i++ {
		name = fmt.Sprintf("from-%d-%d", number, i)
	}
	return proposal{operation, why, map[string]any{
		"thought": text, "branchFromThought": number, "branchId": name, "nextThoughtNeeded": true,
	}}
}

// onward proposes the next thought, or, at the end, a check of the whole chain.
func onward(a thought.Added) proposal {
	t := a.Thought
	if !t.More {
		return proposal{operation, "the chain is finished: check it as a whole", map[string]any{"action": actionCheck, "branchId": t.Branch}}
	}
	return proposal{operation, "the next thought: add its text as thought", map[string]any{
		"thoughtNumber": a.Next, "totalThoughts": max(t.Total, a.Next), "nextThoughtNeeded": a.Next < t.Total, "branchId": t.Branch,
	}}
}
