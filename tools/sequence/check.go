package sequence

import (
	"iter"

	"github.com/lyceum-mcp/lyceum/internal/reason/thought"
	"github.com/lyceum-mcp/lyceum/internal/reason/thought/claim"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Counts sums the checks of the thoughts that were looked at.
type Counts struct {
	Thoughts      int `json:"thoughts"`
	Verified      int `json:"verified"`
	Refuted       int `json:"refuted"`
	NotAssessable int `json:"notAssessable"`
	Rebindings    int `json:"rebindings"`
	NearDuplicate int `json:"nearDuplicates"`
	Stale         int `json:"stale"`
}

// Integrity is what recomputing every hash of the chain came to.
type Integrity struct {
	Intact  bool   `json:"intact"`
	Records int    `json:"records"`
	Head    string `json:"head,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// defaultCheck is how many thoughts are checked in one call: a rescan of very long
// ones takes a few milliseconds each.
const defaultCheck = 50

// check runs the checks again: on a text that is not stored, on one thought, or
// page by page on an effective chain. What is verified is counted, not listed.
func check(c *tools.Call, in Input, chain *thought.Chain, out *Output) error {
	if in.Thought != "" {
		found := claim.Scan(in.Thought)
		out.Checks = checksOf(thought.Claims(found, 0))
		out.Counts = &Counts{}
		out.Counts.add(thought.Claims(found, 0))
		return nil
	}
	nodes, v, err := selection(Input{BranchID: in.BranchID, ThoughtNumber: in.ThoughtNumber, FromThought: in.FromThought, ToThought: in.ToThought}, chain)
	if err != nil {
		return err
	}
	lo, hi, page, err := paginate(in, len(nodes), defaultCheck, func(i int) int { return nodes[i].Bytes })
	if err != nil {
		return err
	}
	if err := restore(c.Session, chain, everyID(chain)); err != nil {
		return err
	}
	out.Page, out.Counts = page, &Counts{}
	for _, n := range nodes[lo:hi] {
		checks := append(thought.Claims(claim.Scan(chain.Get(n.ID).Text), n.Number), chain.Compare(v, n.ID)...)
		out.Counts.add(checks)
		out.Counts.Thoughts++
		if len(n.StaleOn) > 0 {
			out.Counts.Stale++
		}
		for _, k := range checksOf(checks) {
			if k.Verdict != string(claim.Verified) || in.ThoughtNumber > 0 {
				out.Checks = append(out.Checks, k)
			}
		}
	}
	if lo == 0 {
		out.Integrity = integrity(chain)
	}
	if page.NextCursor != "" {
		branch := in.BranchID
		if branch == "" {
			branch = chain.Active
		}
		c.Next(operation, "check the rest of the chain", map[string]any{"action": actionCheck, "branchId": branch, "cursor": page.NextCursor})
	}
	return nil
}

func everyID(chain *thought.Chain) iter.Seq[int] {
	return func(yield func(int) bool) {
		for id := range chain.Len() {
			if !yield(id + 1) {
				return
			}
		}
	}
}

func (n *Counts) add(checks []thought.Check) {
	for _, k := range checks {
		switch {
		case k.Kind == thought.Rebinding:
			n.Rebindings++
		case k.Kind == thought.NearDuplicate:
			n.NearDuplicate++
		case k.Verdict == claim.Verified:
			n.Verified++
		case k.Verdict == claim.Refuted:
			n.Refuted++
		default:
			n.NotAssessable++
		}
	}
}

func integrity(chain *thought.Chain) *Integrity {
	i := &Integrity{Intact: true, Records: chain.Len(), Head: chain.Head}
	if err := chain.Verify(); err != nil {
		i.Intact, i.Problem = false, err.Error()
	}
	return i
}
