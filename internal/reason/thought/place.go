package thought

import (
	"fmt"
	"strings"
)

// place finds where a draft goes: its branch, the number it gets, and the
// position it revises. It changes nothing.
func (c *Chain) place(d *Draft) (place, error) {
	p := place{slot: -1}
	if err := c.chooseBranch(d, &p); err != nil {
		return p, err
	}
	if d.Revision || d.Revises > 0 {
		if err := p.revision(d); err != nil {
			return p, err
		}
	}
	if err := c.chooseNumber(d, &p); err != nil {
		return p, err
	}
	return p, nil
}

// chooseBranch resolves the branch that d names or opens.
func (c *Chain) chooseBranch(d *Draft, p *place) error {
	if d.Branch != "" {
		if err := checkName(d.Branch); err != nil {
			return err
		}
	}
	if d.From > 0 {
		return c.forkFor(d, p)
	}
	name := d.Branch
	switch {
	case name != "":
	case d.Wire && d.Number == 1 && c.Len() > 0 && !d.Revision && d.Revises == 0:
		return c.openLine(c.freeName("line"), p)
	case d.Wire:
		name = c.Line
	default:
		name = c.Active
	}
	if name == "" {
		name = Trunk
	}
	if b := c.Branch(name); b != nil {
		return c.use(b, p)
	}
	if c.Len() > 0 && d.Number != 1 {
		return refuse("branchId", name, "an open branch (%s); to open this one send branchFromThought with a number of %s (%s), or thoughtNumber 1 for a separate line",
			c.openNames(), c.Active, c.View(c.Active).Numbers())
	}
	return c.openLine(name, p)
}

func (c *Chain) use(b *Branch, p *place) error {
	switch b.State {
	case Merged:
		return refuse("branchId", b.Name, "an open branch (%s); this one was merged into %s", c.openNames(), b.Into)
	case Closed:
		return refuse("branchId", b.Name, "an open branch (%s); this one is closed, action switch opens it again", c.openNames())
	}
	p.branch, p.view = *b, c.View(b.Name)
	return nil
}

func (c *Chain) openLine(name string, p *place) error {
	if err := c.roomForBranch(); err != nil {
		return err
	}
	p.branch, p.fresh, p.view = Branch{Name: name, State: Open}, true, &View{Branch: name, Next: 1}
	return nil
}

func (c *Chain) roomForBranch() error {
	if len(c.Branches) >= MaxBranches {
		return refuse("branchId", nil, "one of the %d branches there are (%s): no more fit", MaxBranches, c.openNames())
	}
	return nil
}

// forkFor resolves branchFromThought: a new branch, or one that began there.
func (c *Chain) forkFor(d *Draft, p *place) error {
	if c.Len() == 0 {
		return refuse("branchFromThought", d.From, "nothing: there is no thought to branch from yet")
	}
	if b := c.Branch(d.Branch); d.Branch != "" && b != nil {
		if b.From != d.From {
			return refuse("branchFromThought", d.From, "%s; to open another branch use a new branchId", beginning(b))
		}
		return c.use(b, p)
	}
	source := c.Active
	if d.Wire {
		source = c.Line
	}
	v := c.View(source)
	i, ok := v.Find(d.From)
	if !ok {
		return refuse("branchFromThought", d.From, "the number of a thought on branch %s: %s", source, v.Numbers())
	}
	if err := c.roomForBranch(); err != nil {
		return err
	}
	name := d.Branch
	if name == "" {
		name = c.freeName("branch")
	}
	p.fresh = true
	p.branch = Branch{Name: name, Parent: source, Fork: v.Slots[i].First, From: d.From, State: Open}
	p.view = v.cut(i)
	p.view.Branch, p.view.Next = name, d.From+1
	return nil
}

func beginning(b *Branch) string {
	if b.Parent == "" {
		return fmt.Sprintf("nothing: branch %s is a line of its own", b.Name)
	}
	return fmt.Sprintf("%d or nothing: branch %s begins there", b.From, b.Name)
}

// freeName returns the first of stem-2, stem-3, … that no branch has.
func (c *Chain) freeName(stem string) string {
	for i := 2; ; i++ {
		if name := fmt.Sprintf("%s-%d", stem, i); c.Branch(name) == nil {
			return name
		}
	}
}

// openNames lists the open branches, at most a few.
func (c *Chain) openNames() string {
	const most = 8
	var names []string
	more := 0
	for _, b := range c.Branches {
		switch {
		case b.State != Open:
		case len(names) < most:
			names = append(names, b.Name)
		default:
			more++
		}
	}
	if more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// revision resolves the thought that d revises. A client that says only that it
// is a revision means the thought whose number it repeats.
func (p *place) revision(d *Draft) error {
	target, field := d.Revises, "revisesThought"
	if target == 0 {
		target = d.Number
	}
	i, ok := p.view.Find(target)
	switch {
	case ok:
		p.slot = i
		return nil
	case len(p.view.Slots) == 0:
		return refuse(field, d.Revises, "nothing: there is no thought to revise yet")
	case d.Revises == 0:
		return refuse(field, nil, "the number of the thought to revise on branch %s: %s", p.branch.Name, p.view.Numbers())
	}
	return refuse(field, d.Revises, "the number of a thought on branch %s: %s", p.branch.Name, p.view.Numbers())
}

// chooseNumber checks the number that d has or gives it one. A client may count
// along the branch or along the whole session: where several branches are open
// both are in use.
func (c *Chain) chooseNumber(d *Draft, p *place) error {
	next, overall := p.view.Next, c.highest()+1
	switch {
	case p.slot >= 0:
		s := p.view.Slots[p.slot]
		at := c.Get(s.First).Number
		if d.Number == 0 || d.Number == at {
			p.number = at
			return nil
		}
		if d.Number != next && d.Number != overall {
			return refuse("thoughtNumber", d.Number, "%d, as %s has, or %d, the next one%s", at, "the revised thought", next, alternative(next, overall))
		}
	case d.Number == 0:
		p.number = next
		return nil
	case d.Number == next || d.Number == overall:
	default:
		return p.misnumbered(d, next, overall)
	}
	p.number = d.Number
	return nil
}

func (p *place) misnumbered(d *Draft, next, overall int) error {
	if _, taken := p.view.Find(d.Number); taken {
		return refuse("thoughtNumber", d.Number, "%d, the next one%s: thought %d of branch %s exists; to revise it send isRevision true and revisesThought %d",
			next, alternative(next, overall), d.Number, p.branch.Name, d.Number)
	}
	return refuse("thoughtNumber", d.Number, "%d, the next one on branch %s%s; leave it out and it is counted for you", next, p.branch.Name, alternative(next, overall))
}

func alternative(next, overall int) string {
	if next == overall {
		return ""
	}
	return fmt.Sprintf(" (or %d, counting over all branches)", overall)
}

// highest returns the largest number in use.
func (c *Chain) highest() int {
	n := 0
	for i := range c.Thoughts {
		n = max(n, c.Thoughts[i].Number)
	}
	return n
}
