package thought

import (
	"fmt"

	"github.com/lyceum-mcp/lyceum/internal/reason/shingle"
	"github.com/lyceum-mcp/lyceum/internal/reason/thought/claim"
)

// Kinds of checks.
const (
	Arithmetic    = "arithmetic"
	Rebinding     = "rebinding"
	NearDuplicate = "near_duplicate"
)

// Flagged is the verdict of checks that compare thoughts: worth a look, but not a
// question of true or false.
const Flagged claim.Verdict = "flagged"

// Check is one thing that was computed about a thought.
type Check struct {
	Kind    string
	Verdict claim.Verdict
	Text    string // the claim, or the two bindings
	Expr    string // of arithmetic: the expression
	Exact   string // of arithmetic: what the expression is
	Claimed string // of arithmetic: what the text says it is
	Reason  string
	Thought int // number of the thought
	Other   int // number of the thought it is compared with; 0 for none

	Similarity float64 // of a near duplicate: the Jaccard index
}

const (
	// duplicateAbove is the Jaccard index from which two thoughts are called near
	// duplicates.
	duplicateAbove = 0.9
	// recent is how many thoughts back a duplicate is looked for.
	recent = 8
	// maxConflicts bounds the contradictions reported of one thought.
	maxConflicts = 16
)

// Claims turns what a text claims into checks of the thought with that number.
func Claims(r claim.Report, number int) []Check {
	checks := make([]Check, 0, len(r.Arithmetic))
	for _, a := range r.Arithmetic {
		checks = append(checks, Check{
			Kind: Arithmetic, Verdict: a.Verdict, Text: a.Text, Expr: a.Expr, Exact: a.Exact, Claimed: a.Claimed, Reason: a.Reason, Thought: number,
		})
	}
	return checks
}

// Compare checks a thought against the others in the view of its branch: names
// that have another value elsewhere, and recent thoughts that say the same. It
// costs one pass over the positions and the words of the last few thoughts.
func (c *Chain) Compare(v *View, id int) []Check {
	t := c.Get(id)
	at := v.slotOf(t.position())
	if at < 0 || v.Slots[at].ID != id {
		return nil // superseded: it is compared with nothing any more
	}
	checks := c.conflicts(v, at)
	if dup, ok := c.duplicate(v, at); ok {
		checks = append(checks, dup)
	}
	return checks
}

// conflicts compares each binding of the thought at a position with the nearest
// one of the same name before it and behind it.
func (c *Chain) conflicts(v *View, at int) []Check {
	t := c.Get(v.Slots[at].ID)
	var checks []Check
	for _, b := range t.Bindings {
		for _, step := range []int{-1, 1} {
			other, found := c.nearest(v, at, step, b.Name)
			if other == nil || len(checks) == maxConflicts {
				continue
			}
			earlier, later := found, b
			if step > 0 {
				earlier, later = b, found
			}
			if earlier.Contradicts(later) {
				checks = append(checks, Check{
					Kind: Rebinding, Verdict: Flagged, Thought: t.Number, Other: other.Number, Exact: b.Value, Claimed: found.Value,
					Text:   fmt.Sprintf("%s = %s in thought %d, %s = %s in thought %d", b.Name, b, t.Number, b.Name, found, other.Number),
					Reason: "one name has two values in the effective chain",
				})
			}
		}
	}
	return checks
}

// nearest returns the nearest thought from a position on, in the direction of
// step, that binds name.
func (c *Chain) nearest(v *View, at, step int, name string) (*Thought, claim.Binding) {
	for i := at + step; i >= 0 && i < len(v.Slots); i += step {
		t := c.Get(v.Slots[i].ID)
		for _, b := range t.Bindings {
			if b.Name == name {
				return t, b
			}
		}
	}
	return nil, claim.Binding{}
}

// duplicate finds the most similar of the recent thoughts before a position. One
// whose text is sealed is not recent.
func (c *Chain) duplicate(v *View, at int) (Check, bool) {
	t := c.Get(v.Slots[at].ID)
	own := shingle.Of(t.Text)
	best := Check{Kind: NearDuplicate, Verdict: Flagged, Thought: t.Number, Similarity: duplicateAbove}
	for i := at - 1; i >= max(0, at-recent); i-- {
		other := c.Get(v.Slots[i].ID)
		if other.Text == "" {
			continue
		}
		if s := shingle.Jaccard(own, shingle.Of(other.Text)); s > best.Similarity {
			best.Similarity, best.Other = s, other.Number
		}
	}
	if best.Other == 0 {
		return Check{}, false
	}
	best.Reason = fmt.Sprintf("it says almost the same as thought %d: the chain may be stalled", best.Other)
	return best, true
}

// Drift is how the confidence that a client states moves along an effective chain.
type Drift struct {
	Value    float64
	Previous *float64 // of the nearest earlier thought that has one
	First    *float64 // of the first thought that has one
	Samples  int
}

// Drift returns the confidence of a thought beside those before it in the view of
// its branch. ok is false when the thought has none.
func (c *Chain) Drift(v *View, id int) (d Drift, ok bool) {
	t := c.Get(id)
	if t == nil || t.Confidence == nil {
		return d, false
	}
	for _, s := range v.Slots {
		o := c.Get(s.ID)
		if s.First == t.position() {
			break
		}
		if o.Confidence == nil {
			continue
		}
		d.Samples++
		d.Previous = o.Confidence
		if d.First == nil {
			d.First = o.Confidence
		}
	}
	d.Samples++
	d.Value = *t.Confidence
	return d, true
}
