package sequence

import (
	"context"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/reason/thought"
	"github.com/lyceum-mcp/lyceum/internal/reason/thought/claim"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Check is one thing that was computed about a thought.
type Check struct {
	Kind    string `json:"kind"`    // arithmetic, rebinding or near_duplicate
	Verdict string `json:"verdict"` // verified, refuted, not_assessable; flagged for what compares thoughts
	Text    string `json:"text,omitempty"`
	Expr    string `json:"expression,omitempty"`
	Exact   string `json:"exact,omitempty"`
	Claimed string `json:"claimed,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Thought int    `json:"thought,omitempty"`
	Other   int    `json:"other,omitempty"`

	Jaccard float64 `json:"jaccard,omitempty"`
}

func checksOf(found []thought.Check) []Check {
	out := make([]Check, len(found))
	for i, k := range found {
		out[i] = Check{
			Kind: k.Kind, Verdict: string(k.Verdict), Text: k.Text, Expr: k.Expr, Exact: k.Exact, Claimed: k.Claimed, Reason: k.Reason,
			Thought: k.Thought, Other: k.Other, Jaccard: k.Similarity,
		}
	}
	return out
}

// Drift is the confidence that the client stated, beside what it stated before.
type Drift struct {
	Value      float64     `json:"value"`
	Previous   *float64    `json:"previous,omitempty"`
	First      *float64    `json:"first,omitempty"`
	Delta      *float64    `json:"delta,omitempty"`      // against the previous one
	SinceFirst *float64    `json:"sinceFirst,omitempty"` // against the first one
	Samples    int         `json:"samples"`
	Basis      tools.Basis `json:"basis"`
}

func driftOf(d thought.Drift) *Drift {
	out := &Drift{Value: d.Value, Previous: d.Previous, First: d.First, Samples: d.Samples, Basis: tools.ClientSupplied}
	if d.Previous != nil {
		out.Delta, out.SinceFirst = new(d.Value-*d.Previous), new(d.Value-*d.First)
	}
	return out
}

// Context is what the ancestor told about the session with each thought.
type Context struct {
	SessionID         string   `json:"sessionId"`
	TotalThoughts     int      `json:"totalThoughts"` // stored
	RemainingThoughts int      `json:"remainingThoughts"`
	RecentThoughts    []Recent `json:"recentThoughts"`
}

// Recent is one of the latest thoughts, cut to a line.
type Recent struct {
	ThoughtNumber int    `json:"thoughtNumber"`
	BranchID      string `json:"branchId"`
	IsRevision    bool   `json:"isRevision"`
	Thought       string `json:"thought"`
}

const (
	recentThoughts = 3
	recentBytes    = 120
	nearLimit      = 50 // thoughts left from which the caller is warned
)

func contextOf(c *tools.Call, chain *thought.Chain) *Context {
	out := &Context{
		SessionID: string(c.Session.ID()), TotalThoughts: chain.Len(), RemainingThoughts: thought.MaxThoughts - chain.Len(),
		RecentThoughts: []Recent{},
	}
	for i := max(0, chain.Len()-recentThoughts); i < chain.Len(); i++ {
		t := &chain.Thoughts[i]
		out.RecentThoughts = append(out.RecentThoughts, Recent{t.Number, t.Branch, t.Revises != 0, clip(t.Text, recentBytes)})
	}
	return out
}

// clip cuts s to at most n bytes at the beginning of a rune.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// add stores a thought and reports what was computed about it.
func add(ctx context.Context, c *tools.Call, in Input, out *Output) error {
	d := thought.Draft{
		Text: in.Thought, Number: in.ThoughtNumber, Total: in.TotalThoughts, More: in.NextThoughtNeeded,
		Revision: in.IsRevision, Revises: in.RevisesThought, From: in.BranchFromThought, Branch: in.BranchID,
		Reaffirms: in.Reaffirms, Confidence: in.Confidence, At: time.Now(),
	}
	if d.Text == "" {
		d.Text = c.Prompt
	}
	if len(d.Text) <= thought.MaxText {
		d.Found = claim.Scan(d.Text)
	}
	var p proposals
	err := extend(ctx, c.Session, func(chain *thought.Chain) error {
		a, err := chain.Add(d)
		if err != nil {
			return err
		}
		report(c, chain, a, d.Found, out)
		out.NeedsMoreThoughts = &in.NeedsMoreThoughts
		choosePattern(chain, a, in, out)
		p = propose(chain, a, in, out)
		return nil
	})
	if err != nil {
		return err
	}
	if out.Extended && in.TotalThoughts > 0 {
		c.Warn("total_extended", "thoughtNumber %d is above totalThoughts %d, which was raised to %d", out.ThoughtNumber, in.TotalThoughts, out.TotalThoughts)
	} else if out.Extended {
		c.Warn("total_extended", "thoughtNumber %d is above the estimate so far, which was raised to %d", out.ThoughtNumber, out.TotalThoughts)
	}
	warn(c, d.Found, out)
	p.send(c)
	return nil
}

// merge joins two branches by a thought that follows both.
func merge(ctx context.Context, c *tools.Call, in Input, out *Output) error {
	j := thought.Join{
		From: in.BranchID, Into: in.Into, Text: in.Thought, More: in.NextThoughtNeeded, Confidence: in.Confidence,
		At: time.Now(), Found: claim.Scan(in.Thought),
	}
	err := extend(ctx, c.Session, func(chain *thought.Chain) error {
		a, err := chain.Merge(j)
		if err != nil {
			return err
		}
		report(c, chain, a, j.Found, out)
		from := chain.Get(a.Thought.Merged)
		out.Merged = &Ref{ID: from.ID, Number: from.Number, BranchID: from.Branch}
		out.Branches, out.Active = branches(chain), chain.Active
		return nil
	})
	if err != nil {
		return err
	}
	warn(c, j.Found, out)
	return nil
}

// report describes a stored thought.
func report(c *tools.Call, chain *thought.Chain, a thought.Added, found claim.Report, out *Output) {
	t := a.Thought
	out.SelectedPattern = thought.ChainPattern
	out.Thought, out.ThoughtNumber, out.TotalThoughts = t.Text, t.Number, t.Total
	out.NextThoughtNeeded, out.IsRevision = new(t.More), new(t.Revises != 0)
	out.RevisesThought, out.BranchID = a.Revised, t.Branch
	if b := chain.Branch(t.Branch); b.Parent != "" {
		out.BranchFromThought = b.From
	}
	out.ID, out.Label, out.Hash, out.CreatedAt = t.ID, a.Label, t.Hash, stamp(t.CreatedAt())
	out.Extended, out.NewBranch, out.Stale, out.Reaffirmed = a.Extended, a.NewBranch || a.NewLine, a.Stale, a.Affirmed
	for _, d := range chain.Elsewhere(t.ID) {
		out.Elsewhere = append(out.Elsewhere, Below{d.Branch, d.Count, d.Numbers})
	}
	checks := append(thought.Claims(found, t.Number), chain.Compare(a.View, t.ID)...)
	out.Checks = checksOf(checks)
	out.Stalled = slices.ContainsFunc(checks, func(k thought.Check) bool { return k.Kind == thought.NearDuplicate })
	if d, ok := chain.Drift(a.View, t.ID); ok {
		out.Drift = driftOf(d)
	}
	out.Context = contextOf(c, chain)
}

// warn says what the numbers of the result leave out, and what comes to an end.
func warn(c *tools.Call, found claim.Report, out *Output) {
	if found.Cut {
		c.Warn("checks_cut", "the thought makes more arithmetic claims than one result reports: the first ones are checked")
	}
	if left := out.Context.RemainingThoughts; left <= nearLimit {
		c.Warn("near_limit", "the session has room for %d more thoughts of %d", left, thought.MaxThoughts)
	}
}

// choosePattern selects the pattern that the client named, or, only when asked,
// the one that the rules give.
func choosePattern(chain *thought.Chain, a thought.Added, in Input, out *Output) {
	switch in.Pattern {
	case "":
	case thought.Auto:
		f := chain.Features(a.View, a.Thought.ID)
		f.Params = slices.Sorted(maps.Keys(in.PatternParams))
		f.Branching = a.NewBranch
		choice := thought.Choose(f)
		out.Choice, out.SelectedPattern = &choice, choice.Selected
	default:
		out.SelectedPattern = in.Pattern
	}
}
