package thought_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/thought"
	"github.com/lyceum-mcp/lyceum/internal/reason/thought/claim"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// chain wraps a Chain with terse calls that must work.
type chain struct {
	*testing.T
	thought.Chain
}

func (c *chain) add(d thought.Draft) thought.Added {
	c.Helper()
	if d.Text == "" {
		d.Text = fmt.Sprintf("record %d", c.Len()+1)
	}
	d.At, d.Found = noon, claim.Scan(d.Text)
	a, err := c.Add(d)
	if err != nil {
		c.Fatalf("add %+v: %v", d, err)
	}
	return a
}

func (c *chain) grow(n int) {
	c.Helper()
	for range n {
		c.add(thought.Draft{})
	}
}

// refused asserts that the draft is refused at field, that the error names want,
// and that nothing changed.
func (c *chain) refused(d thought.Draft, field, want string) {
	c.Helper()
	if d.Text == "" {
		d.Text = "x"
	}
	before, err := json.Marshal(c.Chain)
	if err != nil {
		c.Fatal(err)
	}
	_, err = c.Add(d)
	r, ok := errors.AsType[*thought.Refusal](err)
	if !ok || r.Field != field || !strings.Contains(r.Error(), want) {
		c.Errorf("add %+v: got %v, want a refusal of %s with %q", d, err, field, want)
	}
	if after, _ := json.Marshal(c.Chain); string(after) != string(before) {
		c.Errorf("add %+v: the chain changed although the draft was refused", d)
	}
}

// labels shows the effective chain of a branch; stale positions are followed by
// what they are stale on.
func (c *chain) labels(branch string) string {
	var out []string
	for _, s := range c.View(branch).Slots {
		l := s.Label()
		if s.Stale() {
			l += fmt.Sprint(s.StaleOn)
		}
		out = append(out, l)
	}
	return strings.Join(out, " ")
}

func (c *chain) shows(branch, want string) {
	c.Helper()
	if got := c.labels(branch); got != want {
		c.Errorf("branch %s: got %s, want %s", branch, got, want)
	}
}

func TestReviseAfterFive(t *testing.T) {
	for name, d := range map[string]thought.Draft{
		"numbered as the revised one":     {Number: 2, Revision: true, Revises: 2},
		"numbered as the next one":        {Number: 6, Revision: true, Revises: 2},
		"without a number":                {Revision: true, Revises: 2},
		"without the flag":                {Revises: 2},
		"without the number of the other": {Number: 2, Revision: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := chain{T: t}
			c.grow(5)
			a := c.add(d)
			c.shows("main", "1 2' 3[2] 4[2] 5[2]")
			if a.Revised != 2 || !slices.Equal(a.Stale, []int{3, 4, 5}) || a.Label != "2'" {
				t.Errorf("got %+v", a)
			}
			b := c.add(thought.Draft{Revises: 4, Reaffirms: []int{3}})
			c.shows("main", "1 2' 3 4' 5[2 4]")
			if !slices.Equal(b.Affirmed, []int{3}) || !slices.Equal(b.Stale, []int{5}) {
				t.Errorf("got %+v", b)
			}
			next := 6
			if d.Number == 6 {
				next = 7
			}
			if got := c.add(thought.Draft{}).Thought.Number; got != next {
				t.Errorf("the next thought has the number %d, want %d", got, next)
			}
			c.add(thought.Draft{Revises: 2})
			c.shows("main", fmt.Sprintf("1 2'' 3[2] 4'[2] 5[2 4] %d[2]", next))
			if err := c.Verify(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNumbers(t *testing.T) {
	c := chain{T: t}
	c.refused(thought.Draft{Number: 3}, "thoughtNumber", "1, the next one")
	c.refused(thought.Draft{Revises: 1}, "revisesThought", "no thought to revise yet")
	c.refused(thought.Draft{From: 1}, "branchFromThought", "no thought to branch from yet")
	c.grow(3)
	c.refused(thought.Draft{Number: 5}, "thoughtNumber", "4, the next one")
	c.refused(thought.Draft{Number: 2}, "thoughtNumber", "isRevision true and revisesThought 2")
	c.refused(thought.Draft{Revises: 999}, "revisesThought", "1-3")
	c.refused(thought.Draft{Revision: true}, "revisesThought", "1-3")
	c.refused(thought.Draft{Number: 9, Revises: 2}, "thoughtNumber", "2, as the revised thought has, or 4")
	c.refused(thought.Draft{From: 7, Branch: "b"}, "branchFromThought", "1-3")
	c.refused(thought.Draft{Branch: "nowhere"}, "branchId", "main")
	c.refused(thought.Draft{Branch: "a\nb"}, "branchId", "control")
	c.refused(thought.Draft{Reaffirms: []int{8}}, "reaffirms", "1-3")
	c.refused(thought.Draft{Text: " \n"}, "thought", "text")
	c.refused(thought.Draft{Text: strings.Repeat("a", thought.MaxText+1)}, "thought", "at most")
	c.refused(thought.Draft{Text: "\xff"}, "thought", "UTF-8")
}

func TestTotals(t *testing.T) {
	c := chain{T: t}
	for i, step := range []struct {
		given, want int
		extended    bool
	}{
		{0, 1, false}, // nothing stated: the total is what is known
		{0, 2, false},
		{4, 4, false},
		{0, 4, false},
		{0, 5, true}, // above what was stated
		{2, 6, true}, // stated below the number
		{9, 9, false},
		{8, 8, false}, // an estimate may shrink
	} {
		a := c.add(thought.Draft{Total: step.given})
		if a.Thought.Total != step.want || a.Extended != step.extended {
			t.Errorf("thought %d, total %d: got total %d extended %v, want %d %v", i+1, step.given, a.Thought.Total, a.Extended, step.want, step.extended)
		}
	}
}

func TestBranches(t *testing.T) {
	c := chain{T: t}
	c.grow(3)
	a := c.add(thought.Draft{From: 2, Branch: "alt"})
	if !a.NewBranch || a.Thought.Number != 3 || a.Thought.Parent != 2 || c.Active != "alt" {
		t.Errorf("fork: got %+v, active %s", a, c.Active)
	}
	if b := c.add(thought.Draft{Branch: "main"}); b.Thought.Number != 4 || b.NewBranch {
		t.Errorf("back on main: got %+v", b)
	}
	c.add(thought.Draft{Number: 5, Branch: "alt"}) // counting over the session: 4 would be next here
	c.shows("alt", "1 2 3 5")
	c.shows("main", "1 2 3 4")
	c.add(thought.Draft{From: 2, Branch: "alt"}) // named again, as some clients do
	c.refused(thought.Draft{From: 1, Branch: "alt"}, "branchFromThought", "2 or nothing")
	c.refused(thought.Draft{Branch: "alt", Number: 4}, "thoughtNumber", "7, the next one")
	// A revision of the common part is seen by both; one made on a branch is not
	// seen by its parent.
	c.add(thought.Draft{Branch: "main", Revises: 1})
	c.shows("main", "1' 2[1] 3[1] 4[1]")
	c.shows("alt", "1' 2[1] 3[1] 5[1] 6[1]")
	c.add(thought.Draft{Branch: "alt", Revises: 2})
	c.shows("alt", "1' 2' 3[1 2] 5[1 2] 6[1 2]")
	c.shows("main", "1' 2[1] 3[1] 4[1]")

	m, err := c.Merge(thought.Join{From: "alt", At: noon})
	if err != nil {
		t.Fatal(err)
	}
	if m.Thought.Branch != "main" || c.Get(m.Thought.Parent).Number != 4 || c.Get(m.Thought.Merged).Number != 6 || m.Thought.Number != 5 {
		t.Errorf("merge: got %+v", m.Thought)
	}
	if b := c.Branch("alt"); b.State != thought.Merged || b.Into != "main" || c.Active != "main" {
		t.Errorf("after the merge: %+v, active %s", b, c.Active)
	}
	c.refused(thought.Draft{Branch: "alt"}, "branchId", "merged into main")
	if _, err := c.Merge(thought.Join{From: "alt", At: noon}); err == nil {
		t.Error("a branch was merged twice")
	}
	if err := c.Verify(); err != nil {
		t.Error(err)
	}
}

func TestSwitchAndClose(t *testing.T) {
	c := chain{T: t}
	if _, err := c.Close("", ""); err == nil {
		t.Error("closed a branch of an empty chain")
	}
	c.grow(2)
	if _, err := c.Close("", ""); err == nil {
		t.Error("closed the only open branch")
	}
	c.add(thought.Draft{From: 1, Branch: "b"})
	if name, err := c.Close("", "leads nowhere"); err != nil || name != "b" || c.Active != "main" {
		t.Errorf("close: %q %v, active %s", name, err, c.Active)
	}
	c.refused(thought.Draft{Branch: "b"}, "branchId", "action switch")
	if _, err := c.Close("b", ""); err == nil {
		t.Error("closed a branch twice")
	}
	if err := c.Switch("b"); err != nil || c.Active != "b" || c.Branch("b").State != thought.Open {
		t.Errorf("switch: %v, active %s", err, c.Active)
	}
	if err := c.Switch("none"); err == nil || !strings.Contains(err.Error(), "main, b") {
		t.Errorf("switch to a branch that is not there: %v", err)
	}
	if _, err := c.Merge(thought.Join{From: "main", At: noon}); err == nil {
		t.Error("merged a line of its own without saying where")
	}
	if _, err := c.Merge(thought.Join{From: "b", Into: "b", At: noon}); err == nil {
		t.Error("merged a branch into itself")
	}
}

func TestSeparateLine(t *testing.T) {
	c := chain{T: t}
	c.grow(2)
	if a := c.add(thought.Draft{Branch: "other", Number: 1}); !a.NewLine || a.NewBranch || a.Thought.Parent != 0 {
		t.Errorf("got %+v", a)
	}
	c.shows("other", "1")
	c.shows("main", "1 2")
}

// TestWire plays what clients of the well-known reference server send.
func TestWire(t *testing.T) {
	c := chain{T: t}
	w := func(d thought.Draft) thought.Added {
		t.Helper()
		d.Wire = true
		return c.add(d)
	}
	w(thought.Draft{Number: 1, Total: 3, More: true})
	w(thought.Draft{Number: 2, Total: 3, More: true})
	w(thought.Draft{Number: 3, Total: 3, More: true, Revision: true, Revises: 1})
	w(thought.Draft{Number: 4, Total: 5, More: true, From: 2, Branch: "b"})
	w(thought.Draft{Number: 5, Total: 5, More: true, From: 2, Branch: "b"})
	c.shows("b", "1' 2[1] 4 5")
	w(thought.Draft{Number: 6, Total: 6}) // no branch: the line itself
	c.shows("main", "1' 2[1] 6")
	if a := w(thought.Draft{Number: 1, Total: 2, More: true}); !a.NewLine || a.Thought.Branch != "line-2" {
		t.Errorf("a second run in one session: got %+v", a)
	}
	w(thought.Draft{Number: 2, Total: 2})
	c.shows("line-2", "1 2")
}

func TestLimits(t *testing.T) {
	c := chain{T: t}
	c.grow(1)
	for i := range thought.MaxBranches - 1 {
		c.add(thought.Draft{From: 1, Branch: fmt.Sprint("b", i)})
		if err := c.Switch("main"); err != nil {
			t.Fatal(err)
		}
	}
	c.refused(thought.Draft{From: 1, Branch: "more"}, "branchId", "no more fit")
	for c.Len() < thought.MaxThoughts {
		c.add(thought.Draft{Branch: "main"})
	}
	_, err := c.Add(thought.Draft{Text: "one more", At: noon})
	if r, ok := errors.AsType[*thought.Refusal](err); !ok || r.Code != thought.CodeFull || c.Len() != thought.MaxThoughts {
		t.Errorf("thought %d: %v", thought.MaxThoughts+1, err)
	}
	if _, err := c.Merge(thought.Join{From: "b1", At: noon}); err == nil || c.Branch("b1").State != thought.Open {
		t.Errorf("a merge into a full chain: %v, the branch is %s", err, c.Branch("b1").State)
	}
}

func TestTamper(t *testing.T) {
	fresh := func() *chain {
		c := &chain{T: t}
		c.grow(4)
		half := 0.5
		c.add(thought.Draft{Revises: 2, Reaffirms: []int{3}, Confidence: &half})
		c.add(thought.Draft{From: 3, Branch: "b"})
		if _, err := c.Merge(thought.Join{From: "b", At: noon}); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(c.Chain)
		if err != nil {
			t.Fatal(err)
		}
		d := &chain{T: t}
		if err := json.Unmarshal(data, &d.Chain); err != nil {
			t.Fatal(err)
		}
		return d
	}
	if err := fresh().Verify(); err != nil {
		t.Fatalf("untouched, after JSON: %v", err)
	}
	for name, change := range map[string]func(*thought.Chain){
		"text":          func(c *thought.Chain) { c.Thoughts[2].Text += "." },
		"number":        func(c *thought.Chain) { c.Thoughts[3].Number = 9 },
		"time":          func(c *thought.Chain) { c.Thoughts[0].Created++ },
		"total":         func(c *thought.Chain) { c.Thoughts[0].Total++ },
		"more":          func(c *thought.Chain) { c.Thoughts[0].More = true },
		"confidence":    func(c *thought.Chain) { *c.Thoughts[4].Confidence = 0.6 },
		"no confidence": func(c *thought.Chain) { c.Thoughts[4].Confidence = nil },
		"parent":        func(c *thought.Chain) { c.Thoughts[3].Parent = 1 },
		"merged":        func(c *thought.Chain) { c.Thoughts[6].Merged = 0 },
		"revision":      func(c *thought.Chain) { c.Thoughts[4].Slot = 1 },
		"reaffirmed":    func(c *thought.Chain) { c.Thoughts[4].Reaffirms = nil },
		"branch":        func(c *thought.Chain) { c.Thoughts[5].Branch = "main" },
		"lost branch":   func(c *thought.Chain) { c.Branches = c.Branches[:1] },
		"fork":          func(c *thought.Chain) { c.Branches[1].Fork = 1 },
		"cut off":       func(c *thought.Chain) { c.Thoughts = c.Thoughts[:6] },
		"taken out":     func(c *thought.Chain) { c.Thoughts = slices.Delete(c.Thoughts, 2, 3) },
		"swapped":       func(c *thought.Chain) { c.Thoughts[1], c.Thoughts[2] = c.Thoughts[2], c.Thoughts[1] },
		"forward":       func(c *thought.Chain) { c.Thoughts[1].Parent = 5 },
		"rehashed leaf": func(c *thought.Chain) { c.Thoughts[6].Hash = strings.Repeat("0", 64) },
		"head":          func(c *thought.Chain) { c.Head = "" },
	} {
		c := fresh()
		change(&c.Chain)
		if c.Verify() == nil {
			t.Errorf("%s: the change was not noticed", name)
		}
	}
}

// TestSeal puts texts aside and back: everything else stays the same.
func TestSeal(t *testing.T) {
	c := chain{T: t}
	kept := map[int]thought.Block{}
	for c.Len() < 200 {
		d := thought.Draft{}
		if c.Len()%7 == 6 {
			d.Revises = 2 + c.Len()/2
		}
		c.add(d)
		before := c.labels("main")
		for b, ok := c.Sealable(); ok; b, ok = c.Sealable() {
			if c.Seal(b.Number + 1) {
				t.Fatalf("block %d was sealed out of turn", b.Number+1)
			}
			kept[b.Number] = b
			if !c.Seal(b.Number) || c.Seal(b.Number) {
				t.Fatalf("block %d: want to seal it once", b.Number)
			}
		}
		if c.labels("main") != before {
			t.Fatal("sealing changed the view")
		}
	}
	if len(kept) != 5 || c.Sealed != 5*thought.BlockSize {
		t.Fatalf("%d blocks, %d sealed", len(kept), c.Sealed)
	}
	for id := 1; id <= c.Len(); id++ {
		n, sealed := c.BlockOf(id)
		if sealed != (c.Get(id).Text == "") {
			t.Fatalf("thought %d: sealed is %v", id, sealed)
		}
		if want := fmt.Sprintf("record %d", id); sealed && kept[n].Texts[(id-1)%thought.BlockSize] != want {
			t.Fatalf("block %d does not hold %q", n, want)
		}
	}
	if c.Verify() == nil {
		t.Error("verified without the texts")
	}
	for n := range len(kept) {
		if err := c.Restore(kept[n]); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Verify(); err != nil {
		t.Error(err)
	}
	for _, b := range []thought.Block{{Number: -1}, {Number: 5, Texts: make([]string, thought.BlockSize)}, {Number: 0, Texts: []string{"a"}}} {
		if c.Restore(b) == nil {
			t.Errorf("restored block %d with %d texts", b.Number, len(b.Texts))
		}
	}
	changed := kept[1]
	changed.Texts = slices.Clone(changed.Texts)
	changed.Texts[3] += "!"
	if err := c.Restore(changed); err != nil || c.Verify() == nil {
		t.Errorf("a changed text in a block was not noticed (%v)", err)
	}
}

func TestCompare(t *testing.T) {
	c := chain{T: t}
	kinds := func(id int) string {
		var out []string
		for _, k := range c.Compare(c.View(c.Get(id).Branch), id) {
			out = append(out, fmt.Sprintf("%s %d-%d", k.Kind, k.Thought, k.Other))
		}
		return strings.Join(out, ", ")
	}
	expect := func(id int, want string) {
		t.Helper()
		if got := kinds(id); got != want {
			t.Errorf("record %d: got %q, want %q", id, got, want)
		}
	}
	c.add(thought.Draft{Text: "Let x = 5."})
	expect(c.add(thought.Draft{Text: "So y = 3 and the two of them make eight altogether."}).Thought.ID, "")
	expect(c.add(thought.Draft{Text: "Hence x = 7."}).Thought.ID, "rebinding 3-1")
	expect(c.add(thought.Draft{Text: "So y = 3 and the two of them make eight, altogether!"}).Thought.ID, "near_duplicate 4-2")
	expect(c.add(thought.Draft{Text: "On a branch x = 6.", From: 2, Branch: "b"}).Thought.ID, "")
	expect(c.add(thought.Draft{Text: "x = 8"}).Thought.ID, "rebinding 4-1")
	if err := c.Switch("main"); err != nil {
		t.Fatal(err)
	}
	// Revising 1 settles the matter: 3 agrees with it now.
	expect(c.add(thought.Draft{Text: "Let x = 7.", Revises: 1}).Thought.ID, "")
	expect(3, "")
	expect(1, "") // superseded
	if got := kinds(c.add(thought.Draft{Text: "Let x = 9.", Revises: 1}).Thought.ID); got != "rebinding 1-3" {
		t.Errorf("a revision against what stands behind it: got %q", got)
	}
}

func TestLines(t *testing.T) {
	c := chain{T: t}
	c.grow(3)
	c.add(thought.Draft{From: 2, Branch: "b"})
	c.add(thought.Draft{})
	c.add(thought.Draft{Branch: "main", Revises: 1})
	lines := c.Lines()
	if len(lines) != 2 {
		t.Fatalf("got %+v", lines)
	}
	main, b := lines[0], lines[1]
	if !main.Active || main.Thoughts != 4 || main.Length != 3 || main.Stale != 2 || main.First != 1 || main.Last != 3 {
		t.Errorf("main: %+v", main)
	}
	if b.Active || b.Thoughts != 2 || b.Length != 4 || b.Stale != 3 || b.First != 3 || b.Last != 4 || b.Parent != "main" || b.From != 2 {
		t.Errorf("b: %+v", b)
	}
	if at := c.Get(1).CreatedAt(); !at.Equal(noon) {
		t.Errorf("created at %v, want %v", at, noon)
	}
}

func TestLabels(t *testing.T) {
	c := chain{T: t}
	c.grow(1)
	for _, want := range []string{"1'", "1''", "1'''", "1'4", "1'5"} {
		if got := c.add(thought.Draft{Revises: 1}).Label; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	c.grow(2)
	for i := range 30 { // numbers along one branch with gaps: each thought is on another one
		c.add(thought.Draft{Branch: []string{"main", "side"}[i%2], Number: 4 + i, From: []int{0, 1}[i%2]})
	}
	if got, want := c.View("main").Numbers(), "1-4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, …, 32"; got != want {
		t.Errorf("numbers %s, want %s", got, want)
	}
}

func TestFeatures(t *testing.T) {
	c := chain{T: t}
	if f := c.Features(c.View("main"), 1); f.OpenBranches != 0 || f.Stalled {
		t.Errorf("of nothing: %+v", f)
	}
	half := 0.5
	c.add(thought.Draft{Text: "one and two and three", Confidence: &half})
	c.add(thought.Draft{From: 1, Branch: "b"})
	if _, err := c.Merge(thought.Join{From: "b", At: noon}); err != nil {
		t.Fatal(err)
	}
	a := c.add(thought.Draft{Text: "One, and two, and three!"})
	if f := c.Features(a.View, a.Thought.ID); f.OpenBranches != 1 || f.Merges != 1 || !f.Stalled || *f.Confidence != 0.5 {
		t.Errorf("got %+v", f)
	}
}

func TestClaims(t *testing.T) {
	got := thought.Claims(claim.Scan("7*8=54"), 3)
	want := thought.Check{Kind: thought.Arithmetic, Verdict: claim.Refuted, Text: "7*8=54", Expr: "7*8", Exact: "56", Claimed: "54", Thought: 3}
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDrift(t *testing.T) {
	c := chain{T: t}
	p := func(x float64) *float64 { return &x }
	drift := func(d thought.Draft) (thought.Drift, bool) {
		a := c.add(d)
		return c.Drift(a.View, a.Thought.ID)
	}
	if _, ok := drift(thought.Draft{}); ok {
		t.Error("a drift without a confidence")
	}
	d, ok := drift(thought.Draft{Confidence: p(0)})
	if !ok || d.Value != 0 || d.Previous != nil || d.Samples != 1 {
		t.Errorf("the first one, 0: got %+v", d)
	}
	c.add(thought.Draft{})
	c.add(thought.Draft{Confidence: p(0.9)})
	d, _ = drift(thought.Draft{Confidence: p(0.4)})
	if *d.Previous != 0.9 || *d.First != 0 || d.Samples != 3 {
		t.Errorf("got %+v", d)
	}
}

func TestChoose(t *testing.T) {
	low := 0.2
	for _, tc := range []struct {
		name     string
		features thought.Features
		selected string
		rule     string
	}{
		{"nothing", thought.Features{}, thought.ChainPattern, "default"},
		{"unknown parameters", thought.Features{Params: []string{"paragraph", "graph"}}, thought.ChainPattern, "default"},
		{"tree parameters", thought.Features{Params: []string{"breadth"}}, thought.TreePattern, "tree_parameters"},
		{"beam parameters", thought.Features{Params: []string{"candidates"}}, thought.BeamPattern, "beam_parameters"},
		{"mcts parameters", thought.Features{Params: []string{"simulations"}}, thought.MCTSPattern, "mcts_parameters"},
		{"graph parameters", thought.Features{Params: []string{"edges"}}, thought.GraphPattern, "graph_parameters"},
		{"merged branches", thought.Features{Merges: 1}, thought.GraphPattern, "branches_merged"},
		{"branching", thought.Features{Branching: true, OpenBranches: 2}, thought.TreePattern, "branching_now"},
		{"many branches", thought.Features{OpenBranches: 5}, thought.BeamPattern, "many_branches"},
		{"stalled", thought.Features{Stalled: true}, thought.TreePattern, "stalled"},
		{"unsure", thought.Features{Confidence: &low}, thought.MCTSPattern, "low_confidence"},
		{"parameters beat the session", thought.Features{Params: []string{"nodes"}, Branching: true}, thought.GraphPattern, "graph_parameters"},
	} {
		c := thought.Choose(tc.features)
		if c.Selected != tc.selected || c.Rule != tc.rule {
			t.Errorf("%s: got %s by %s, want %s by %s", tc.name, c.Selected, c.Rule, tc.selected, tc.rule)
		}
		sum := 0
		for _, f := range c.Fired {
			sum += f.Points
		}
		for _, s := range c.Scores {
			sum -= s.Points
		}
		if sum != 0 {
			t.Errorf("%s: the points of the rules and of the patterns differ by %d", tc.name, sum)
		}
	}
}

// BenchmarkAdd measures one more thought on a chain of nearly the largest size,
// checks included.
func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{10, 100, 999} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var c thought.Chain
			add := func() {
				text := fmt.Sprintf("Thought %d says that x%d = %d and goes on for some forty words. %s", c.Len(), c.Len(), c.Len(), strings.Repeat("lorem ipsum dolor ", 12))
				a, err := c.Add(thought.Draft{Text: text, At: noon, Found: claim.Scan(text)})
				if err != nil {
					b.Fatal(err)
				}
				c.Compare(a.View, a.Thought.ID)
			}
			for c.Len() < n {
				add()
			}
			base := c
			for b.Loop() {
				c = base
				add()
			}
		})
	}
}
