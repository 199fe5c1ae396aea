package sequence

import (
	"iter"
	"strconv"

	"github.com/lyceum-mcp/lyceum/internal/reason/thought"
	"github.com/lyceum-mcp/lyceum/internal/reason/thought/claim"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Ref names a thought without its text.
type Ref struct {
	ID       int    `json:"id"`
	Number   int    `json:"thoughtNumber"`
	BranchID string `json:"branchId"`
}

func refTo(chain *thought.Chain, id int) *Ref {
	t := chain.Get(id)
	if t == nil {
		return nil
	}
	return &Ref{ID: t.ID, Number: t.Number, BranchID: t.Branch}
}

// Node is a thought without its text.
type Node struct {
	ID         int      `json:"id"`
	Number     int      `json:"thoughtNumber"`
	Label      string   `json:"label,omitempty"` // of a thought that holds its position
	BranchID   string   `json:"branchId"`
	Parent     *Ref     `json:"parent,omitempty"`
	Merged     *Ref     `json:"merged,omitempty"`
	Revises    *Ref     `json:"revises,omitempty"`
	Reaffirms  []int    `json:"reaffirms,omitempty"` // numbers
	Superseded bool     `json:"superseded,omitempty"`
	StaleOn    []int    `json:"staleOn,omitempty"`
	Verified   int      `json:"verified,omitempty"` // arithmetic claims
	Refuted    int      `json:"refuted,omitempty"`
	Confidence *float64 `json:"confidence,omitempty"`
	Bytes      int      `json:"bytes"` // of the text
}

// View is a thought as it is read back.
type View struct {
	Node
	Thought           string          `json:"thought"`
	TotalThoughts     int             `json:"totalThoughts"`
	NextThoughtNeeded bool            `json:"nextThoughtNeeded"`
	CreatedAt         string          `json:"createdAt"`
	Hash              string          `json:"hash"`
	Bindings          []claim.Binding `json:"bindings,omitempty"`
}

// Page says which part of a selection a result holds.
type Page struct {
	Total      int    `json:"total"` // thoughts selected
	Returned   int    `json:"returned"`
	NextCursor string `json:"nextCursor,omitempty"` // absent on the last page
}

// Branch is a line of thoughts.
type Branch struct {
	ID           string `json:"branchId"`
	State        string `json:"state"` // open, closed or merged
	Active       bool   `json:"active"`
	Parent       string `json:"parent,omitempty"`
	BranchedFrom int    `json:"branchFromThought,omitempty"`
	Into         string `json:"into,omitempty"`
	Reason       string `json:"reason,omitempty"`
	Thoughts     int    `json:"thoughts"` // added on the branch itself
	Length       int    `json:"length"`   // of its effective chain
	Stale        int    `json:"stale"`
	First        int    `json:"firstThought"`
	Last         int    `json:"lastThought"`
}

func branches(chain *thought.Chain) []Branch {
	out := []Branch{}
	for _, l := range chain.Lines() {
		out = append(out, Branch{
			ID: l.Name, State: string(l.State), Active: l.Active, Parent: l.Parent, BranchedFrom: l.From, Into: l.Into, Reason: l.Reason,
			Thoughts: l.Thoughts, Length: l.Length, Stale: l.Stale, First: l.First, Last: l.Last,
		})
	}
	return out
}

const (
	defaultRead      = 50
	defaultStructure = 200
)

// read returns thoughts with their texts.
func read(c *tools.Call, in Input, chain *thought.Chain, out *Output) error {
	nodes, _, err := selection(in, chain)
	if err != nil {
		return err
	}
	if in.Last > 0 && in.Last < len(nodes) {
		nodes = nodes[len(nodes)-in.Last:]
	}
	lo, hi, page, err := paginate(in, len(nodes), defaultRead, func(i int) int { return nodes[i].Bytes })
	if err != nil {
		return err
	}
	out.Page = page
	if err := restore(c.Session, chain, idsOf(nodes[lo:hi])); err != nil {
		return err
	}
	for _, n := range nodes[lo:hi] {
		t := chain.Get(n.ID)
		out.Thoughts = append(out.Thoughts, View{
			Node: n, Thought: t.Text, TotalThoughts: t.Total, NextThoughtNeeded: t.More, CreatedAt: stamp(t.CreatedAt()), Hash: t.Hash,
			Bindings: t.Bindings,
		})
	}
	return nil
}

// idsOf yields the IDs of nodes.
func idsOf(nodes []Node) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range nodes {
			if !yield(nodes[i].ID) {
				return
			}
		}
	}
}

// structure returns the graph without texts.
func structure(in Input, chain *thought.Chain, out *Output) error {
	nodes, _, err := selection(in, chain)
	if err != nil {
		return err
	}
	lo, hi, page, err := paginate(in, len(nodes), defaultStructure, func(int) int { return 0 })
	if err != nil {
		return err
	}
	out.Structure, out.Page = nodes[lo:hi], page
	out.Branches, out.Active = branches(chain), chain.Active
	return nil
}

// selection returns what read and structure are asked for: the effective chain of
// a branch, or, with all, the records of one branch or of every one; of these the
// numbers in the range. The view is that of the branch.
func selection(in Input, chain *thought.Chain) ([]Node, *thought.View, error) {
	branch := in.BranchID
	if branch == "" {
		branch = chain.Active
	}
	if in.BranchID != "" && chain.Branch(branch) == nil {
		return nil, nil, tools.Bad("parameters.branchId", "the name of a branch; action branches lists them", in.BranchID)
	}
	v := chain.View(branch)
	from, to := in.FromThought, in.ToThought
	if in.ThoughtNumber > 0 {
		from, to = in.ThoughtNumber, in.ThoughtNumber
		if i, ok := v.Find(in.ThoughtNumber); ok && !in.All {
			return []Node{nodeAt(chain, v.Slots[i])}, v, nil
		}
	}
	within := func(n int) bool { return n >= from && (to == 0 || n <= to) }
	nodes := []Node{}
	if in.All {
		nodes = records(in, chain, within)
	} else {
		for _, s := range v.Slots {
			if within(s.Number) {
				nodes = append(nodes, nodeAt(chain, s))
			}
		}
	}
	if len(nodes) == 0 && from > 0 {
		return nil, nil, tools.Badf("parameters."+rangeName(in), "numbers of thoughts on branch %s: %s", branch, v.Numbers())
	}
	return nodes, v, nil
}

func rangeName(in Input) string {
	if in.ThoughtNumber > 0 {
		return "thoughtNumber"
	}
	return "fromThought"
}

// records returns every record, in the order it was added, that the input names.
func records(in Input, chain *thought.Chain, within func(int) bool) []Node {
	holders := map[int]thought.Slot{}
	for _, b := range chain.Branches {
		for _, s := range chain.View(b.Name).Slots {
			if chain.Get(s.ID).Branch == b.Name {
				holders[s.ID] = s
			}
		}
	}
	nodes := []Node{}
	for i := range chain.Thoughts {
		t := &chain.Thoughts[i]
		if !within(t.Number) || in.BranchID != "" && t.Branch != in.BranchID {
			continue
		}
		n := node(chain, t)
		if s, ok := holders[t.ID]; ok {
			n.Label, n.StaleOn = s.Label(), s.StaleOn
		} else {
			n.Superseded = true
		}
		nodes = append(nodes, n)
	}
	return nodes
}

func nodeAt(chain *thought.Chain, s thought.Slot) Node {
	n := node(chain, chain.Get(s.ID))
	n.Label, n.StaleOn = s.Label(), s.StaleOn
	return n
}

func node(chain *thought.Chain, t *thought.Thought) Node {
	n := Node{
		ID: t.ID, Number: t.Number, BranchID: t.Branch, Parent: refTo(chain, t.Parent), Merged: refTo(chain, t.Merged), Revises: refTo(chain, t.Revises),
		Verified: t.Verified, Refuted: t.Refuted, Confidence: t.Confidence, Bytes: t.Size,
	}
	for _, id := range t.Reaffirms {
		n.Reaffirms = append(n.Reaffirms, chain.Get(id).Number)
	}
	return n
}

// paginate returns the bounds of the page that the input asks for. A page has at
// least one item, however large.
func paginate(in Input, total, limit int, size func(int) int) (lo, hi int, page *Page, err error) {
	if in.Cursor != "" {
		if lo, err = strconv.Atoi(in.Cursor); err != nil || lo < 0 || lo > total {
			return 0, 0, nil, tools.Bad("parameters.cursor", "the nextCursor of an earlier page with the same selection", in.Cursor)
		}
	}
	if in.Limit > 0 {
		limit = in.Limit
	}
	left := in.MaxBytes
	for hi = lo; hi < total && hi-lo < limit; hi++ {
		if left -= size(hi); left < 0 && hi > lo {
			break
		}
	}
	page = &Page{Total: total, Returned: hi - lo}
	if hi < total {
		page.NextCursor = strconv.Itoa(hi)
	}
	return lo, hi, page, nil
}
