package thought

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/reason/thought/claim"
)

// find returns the branch that an action names.
func (c *Chain) find(field, name string) (*Branch, error) {
	if b := c.Branch(name); b != nil {
		return b, nil
	}
	if len(c.Branches) == 0 {
		return nil, refuse(field, name, "nothing: there is no branch yet, add a thought first")
	}
	return nil, refuse(field, name, "the name of a branch; open ones: %s", c.openNames())
}

// Switch makes the branch the active one and opens it if it was closed.
func (c *Chain) Switch(name string) error {
	b, err := c.find("branchId", name)
	if err != nil {
		return err
	}
	if b.State == Merged {
		return refuse("branchId", name, "an open or closed branch; this one was merged into %s", b.Into)
	}
	b.State, b.Reason = Open, ""
	c.Active = name
	return nil
}

const maxReason = 256 // bytes

// Close ends a branch, by default the active one, until somebody switches to it.
// The last open branch cannot be closed. The active branch becomes the closed one's
// parent if that is open, else the first open one.
func (c *Chain) Close(name, reason string) (closed string, err error) {
	if name == "" {
		name = c.Active
	}
	b, err := c.find("branchId", name)
	if err != nil {
		return "", err
	}
	switch {
	case b.State != Open:
		return "", refuse("branchId", name, "an open branch (%s); this one is %s", c.openNames(), b.State)
	case c.open(name) == "":
		return "", refuse("branchId", name, "another branch: this is the only open one")
	case len(reason) > maxReason || !utf8.ValidString(reason):
		return "", refuse("reason", fmt.Sprintf("%d bytes", len(reason)), "at most %d bytes of UTF-8", maxReason)
	}
	b.State, b.Reason = Closed, reason
	c.leave(b)
	return name, nil
}

// leave moves the active mark off a branch that takes no more thoughts.
func (c *Chain) leave(b *Branch) {
	if c.Active != b.Name {
		return
	}
	if p := c.Branch(b.Parent); p != nil && p.State == Open {
		c.Active = p.Name
		return
	}
	c.Active = c.open(b.Name)
}

// open returns the first open branch that is not name, "" if there is none.
func (c *Chain) open(name string) string {
	for i := range c.Branches {
		if b := &c.Branches[i]; b.State == Open && b.Name != name {
			return b.Name
		}
	}
	return ""
}

// Join is a merge that a client wants: of the branch From, by default the active
// one, into the branch Into, by default its parent.
type Join struct {
	From, Into string
	Text       string // of the thought that joins them; "": what was joined
	More       bool
	Confidence *float64
	At         time.Time
	Found      claim.Report // of Text
}

// Merge ends a branch and adds a thought that follows the tips of both.
func (c *Chain) Merge(j Join) (Added, error) {
	from, into, err := c.joined(&j)
	if err != nil {
		return Added{}, err
	}
	if len(c.Thoughts) >= MaxThoughts {
		return Added{}, full()
	}
	v, w := c.View(into.Name), c.View(from.Name)
	if j.Text == "" {
		j.Text = fmt.Sprintf("Merge of branch %s at thought %d into branch %s at thought %d.",
			from.Name, c.Get(w.Tip()).Number, into.Name, c.Get(v.Tip()).Number)
	}
	if err := checkText(j.Text); err != nil {
		return Added{}, err
	}
	t := Thought{
		ID: len(c.Thoughts) + 1, Number: v.Next, Branch: into.Name, Text: j.Text, Parent: v.Tip(), Merged: w.Tip(),
		More: j.More, Confidence: j.Confidence, Created: j.At.UnixMicro(),
		Bindings: j.Found.Bindings, Verified: j.Found.Count(claim.Verified), Refuted: j.Found.Count(claim.Refuted),
	}
	var a Added
	if t.Total, a.Extended = c.estimate(0, t.Number); a.Extended {
		c.Stated = t.Total
	}
	from.State, from.Into = Merged, into.Name
	p := place{branch: *into, view: v, slot: -1}
	c.append(t, p)
	a.Thought = c.Thoughts[t.ID-1]
	c.describe(&a, p)
	return a, nil
}

// joined resolves the two branches of a merge.
func (c *Chain) joined(j *Join) (from, into *Branch, err error) {
	if j.From == "" {
		j.From = c.Active
	}
	if from, err = c.find("branchId", j.From); err != nil {
		return nil, nil, err
	}
	if j.Into == "" {
		j.Into = from.Parent
	}
	switch {
	case from.State == Merged:
		return nil, nil, refuse("branchId", from.Name, "a branch that is not merged yet; this one went into %s", from.Into)
	case j.Into == "":
		return nil, nil, refuse("into", nil, "the branch to merge %s into; open ones: %s", from.Name, c.openNames())
	case j.Into == from.Name:
		return nil, nil, refuse("into", j.Into, "another branch than %s", from.Name)
	}
	if into, err = c.find("into", j.Into); err != nil {
		return nil, nil, err
	}
	if into.State != Open {
		return nil, nil, refuse("into", into.Name, "an open branch (%s); this one is %s", c.openNames(), into.State)
	}
	return from, into, nil
}

// Line is a branch with its counts.
type Line struct {
	Branch
	Active   bool
	Thoughts int // records on the branch itself
	Length   int // positions of its effective chain, inherited ones included
	Stale    int // of these
	First    int // number of its own first thought
	Last     int // number of its last position
}

// Lines returns every branch with its counts, in the order they were opened.
func (c *Chain) Lines() []Line {
	lines := make([]Line, len(c.Branches))
	index := make(map[string]int, len(c.Branches))
	for i, b := range c.Branches {
		v := c.View(b.Name)
		lines[i] = Line{Branch: b, Active: b.Name == c.Active, Length: len(v.Slots)}
		for _, s := range v.Slots {
			if s.Stale() {
				lines[i].Stale++
			}
			lines[i].Last = s.Number
		}
		index[b.Name] = i
	}
	for i := range c.Thoughts {
		l := &lines[index[c.Thoughts[i].Branch]]
		if l.Thoughts++; l.First == 0 {
			l.First = c.Thoughts[i].Number
		}
	}
	return lines
}

// Dependents is the part of a branch that stands on a thought of another one that
// was revised.
type Dependents struct {
	Branch  string
	Count   int
	Numbers []int // of the first maxDependents
}

const maxDependents = 50

// Elsewhere returns what the revision with that ID makes stale on branches that
// fork behind it and see it; a branch that revised the position itself does not.
// Merged branches take no more thoughts and are left out. It costs a view of each
// branch below.
func (c *Chain) Elsewhere(id int) []Dependents {
	t := c.Get(id)
	if t == nil || t.Revises == 0 {
		return nil
	}
	var out []Dependents
	for i := range c.Branches {
		b := &c.Branches[i]
		if b.Name == t.Branch || b.State == Merged || !c.descends(b, t.Branch) {
			continue
		}
		v := c.View(b.Name)
		at := v.slotOf(t.position())
		if at < 0 || v.Slots[at].ID != id {
			continue
		}
		d := Dependents{Branch: b.Name}
		for _, s := range v.Slots[at+1:] {
			if s.fresh >= id || c.Get(s.ID).Branch == t.Branch {
				continue // written since, or told of with the branch itself
			}
			d.Count++
			if len(d.Numbers) < maxDependents {
				d.Numbers = append(d.Numbers, s.Number)
			}
		}
		if d.Count > 0 {
			out = append(out, d)
		}
	}
	return out
}

// descends reports whether b forks from the branch of that name, at whatever depth.
func (c *Chain) descends(b *Branch, ancestor string) bool {
	for _, a := range c.lineage(b.Name) {
		if a.Name == ancestor {
			return true
		}
	}
	return false
}
