package thought_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/reason/thought"
)

// model is the graph as its definition says, without any cleverness: every
// question walks all records.
type model struct {
	records  []record
	branches map[string]*fork
	active   string
}

type record struct {
	id, number, position int // position: the id of the first record there
	branch               string
	affirmed             []int // positions
}

type fork struct {
	parent string
	at     int // position
	from   int // number
	state  thought.State
}

func (m *model) own(branch string) []record {
	var out []record
	for _, r := range m.records {
		if r.branch == branch {
			out = append(out, r)
		}
	}
	return out
}

// positions returns the positions that a branch shows, in order.
func (m *model) positions(branch string) []int {
	b := m.branches[branch]
	if b == nil {
		return nil
	}
	var out []int
	if b.parent != "" {
		for _, p := range m.positions(b.parent) {
			out = append(out, p)
			if p == b.at {
				break
			}
		}
	}
	for _, r := range m.own(branch) {
		if r.position == r.id {
			out = append(out, r.id)
		}
	}
	return out
}

// holder returns the record at a position, how often it was revised, and the
// latest record that wrote or affirmed it.
func (m *model) holder(branch string, position int) (id, revisions, fresh int) {
	b := m.branches[branch]
	if b.parent != "" && slices.Contains(m.positions(b.parent), position) {
		id, revisions, fresh = m.holder(b.parent, position)
	}
	for _, r := range m.own(branch) {
		if r.position == position {
			if r.id != position {
				revisions++
			}
			id, fresh = r.id, r.id
		}
		if slices.Contains(r.affirmed, position) {
			fresh = max(fresh, r.id)
		}
	}
	return id, revisions, fresh
}

// find returns the position that a number means on a branch.
func (m *model) find(branch string, number int) (int, bool) {
	shown := m.positions(branch)
	for _, p := range shown {
		if m.records[p-1].number == number {
			return p, true
		}
	}
	for at := branch; at != ""; at = m.branches[at].parent {
		for _, r := range m.own(at) {
			if r.number == number && slices.Contains(shown, r.position) {
				return r.position, true
			}
		}
	}
	return 0, false
}

func (m *model) next(branch string) int {
	n := m.branches[branch].from
	for _, r := range m.own(branch) {
		n = max(n, r.number)
	}
	return n + 1
}

func (m *model) highest() int {
	n := 0
	for _, r := range m.records {
		n = max(n, r.number)
	}
	return n
}

// elsewhere returns what the latest record makes stale on other branches: what they
// show behind the position, have from neither its branch nor later, and only if they
// show that record.
func (m *model) elsewhere(c *thought.Chain) []thought.Dependents {
	last := m.records[len(m.records)-1]
	if last.position == last.id {
		return nil
	}
	var out []thought.Dependents
	for _, b := range c.Branches {
		shown := m.positions(b.Name)
		at := slices.Index(shown, last.position)
		if b.Name == last.branch || b.State == thought.Merged || at < 0 {
			continue
		}
		if id, _, _ := m.holder(b.Name, last.position); id != last.id {
			continue
		}
		d := thought.Dependents{Branch: b.Name}
		for _, p := range shown[at+1:] {
			if id, _, fresh := m.holder(b.Name, p); fresh < last.id && m.records[id-1].branch != last.branch {
				d.Count++
				d.Numbers = append(d.Numbers, m.records[p-1].number)
			}
		}
		if d.Count > 0 {
			out = append(out, d)
		}
	}
	return out
}

// show writes the effective chain of a branch.
func (m *model) show(branch string) string {
	var out []string
	type change struct{ number, id int }
	var changes []change
	for _, p := range m.positions(branch) {
		id, revisions, fresh := m.holder(branch, p)
		n := m.records[p-1].number
		var l strings.Builder
		l.WriteString(fmt.Sprintf("%d@%d/%d", n, id, revisions))
		for _, c := range changes {
			if c.id > fresh {
				l.WriteString(fmt.Sprintf("!%d", c.number))
			}
		}
		if revisions > 0 {
			changes = append(changes, change{n, id})
		}
		out = append(out, l.String())
	}
	return strings.Join(out, " ")
}

// show writes what the chain says, in the same form.
func show(v *thought.View) string {
	var out []string
	for _, s := range v.Slots {
		var l strings.Builder
		l.WriteString(fmt.Sprintf("%d@%d/%d", s.Number, s.ID, s.Revisions))
		for _, n := range s.StaleOn {
			l.WriteString(fmt.Sprintf("!%d", n))
		}
		out = append(out, l.String())
	}
	return strings.Join(out, " ")
}

// machine runs the chain and the model side by side.
type machine struct {
	chain thought.Chain
	model model
}

// predict adds the draft to the model, or says that it must be refused.
func (s *machine) predict(d thought.Draft) bool {
	m := &s.model
	name, fresh := d.Branch, false
	b := m.branches[name]
	switch {
	case d.From > 0 && b != nil:
		if b.from != d.From {
			return false
		}
	case d.From > 0:
		at, ok := 0, false
		if len(m.records) > 0 {
			at, ok = m.find(m.active, d.From)
		}
		if !ok {
			return false
		}
		if name == "" {
			name = "branch-2"
			for i := 3; m.branches[name] != nil; i++ {
				name = fmt.Sprint("branch-", i)
			}
		}
		b, fresh = &fork{parent: m.active, at: at, from: d.From, state: thought.Open}, true
	case name == "":
		if name = m.active; name == "" {
			name = "main"
		}
		if b = m.branches[name]; b == nil {
			b, fresh = &fork{state: thought.Open}, true
		}
	case b == nil:
		if len(m.records) > 0 && d.Number != 1 {
			return false
		}
		b, fresh = &fork{state: thought.Open}, true
	}
	if b.state != thought.Open {
		return false
	}
	if fresh {
		m.branches[name] = b
	}
	ok := s.predictOn(name, d)
	if fresh && !ok {
		delete(m.branches, name)
	}
	return ok
}

func (s *machine) predictOn(branch string, d thought.Draft) bool {
	m := &s.model
	r := record{id: len(m.records) + 1, branch: branch}
	next, overall := m.next(branch), m.highest()+1
	r.position, r.number = r.id, d.Number
	if d.Revision || d.Revises > 0 {
		target := d.Revises
		if target == 0 {
			target = d.Number
		}
		p, ok := m.find(branch, target)
		if !ok {
			return false
		}
		r.position = p
		at := m.records[p-1].number
		if r.number == 0 {
			r.number = at
		}
		if r.number != at && r.number != next && r.number != overall {
			return false
		}
	} else {
		if r.number == 0 {
			r.number = next
		}
		if r.number != next && r.number != overall {
			return false
		}
	}
	for _, n := range d.Reaffirms {
		p, ok := m.find(branch, n)
		if !ok {
			return false
		}
		r.affirmed = append(r.affirmed, p)
	}
	m.records = append(m.records, r)
	m.active = branch
	return true
}

func (s *machine) Check(t *rapid.T) {
	if s.chain.Active != s.model.active || len(s.chain.Branches) != len(s.model.branches) || s.chain.Len() != len(s.model.records) {
		t.Fatalf("active %q, %d branches, %d thoughts; want %q, %d, %d", s.chain.Active, len(s.chain.Branches), s.chain.Len(),
			s.model.active, len(s.model.branches), len(s.model.records))
	}
	for _, b := range s.chain.Branches {
		if got, want := show(s.chain.View(b.Name)), s.model.show(b.Name); got != want {
			t.Fatalf("branch %s:\n got %s\nwant %s", b.Name, got, want)
		}
		if want := s.model.branches[b.Name].state; b.State != want {
			t.Fatalf("branch %s is %s, want %s", b.Name, b.State, want)
		}
	}
	if err := s.chain.Verify(); err != nil {
		t.Fatal(err)
	}
}

func TestAgainstModel(t *testing.T) {
	names := rapid.SampledFrom([]string{"main", "a", "b", "c"})
	rapid.Check(t, func(t *rapid.T) {
		s := &machine{model: model{branches: map[string]*fork{}}}
		t.Repeat(map[string]func(*rapid.T){
			"": s.Check,
			"add": func(t *rapid.T) {
				d := thought.Draft{Text: "t", At: noon}
				small := rapid.IntRange(1, s.model.highest()+2)
				chance := func(of int) bool { return rapid.IntRange(1, of).Draw(t, "chance") == 1 }
				if chance(3) {
					d.Number = small.Draw(t, "number")
				}
				if chance(3) {
					d.Branch = names.Draw(t, "branch")
				}
				if chance(3) {
					d.From = small.Draw(t, "from")
				}
				if d.Revision = chance(4); d.Revision || chance(3) {
					d.Revises = rapid.IntRange(0, s.model.highest()+1).Draw(t, "revises")
				}
				if chance(3) {
					d.Reaffirms = rapid.SliceOfN(small, 0, 3).Draw(t, "reaffirms")
				}
				want := s.predict(d)
				a, err := s.chain.Add(d)
				if (err == nil) != want {
					t.Fatalf("add %+v: %v, want accepted %v", d, err, want)
				}
				if err == nil && show(a.View) != s.model.show(s.model.active) {
					t.Fatalf("add %+v: the view is\n%s\nwant %s", d, show(a.View), s.model.show(s.model.active))
				}
				if err == nil {
					if got, want := fmt.Sprint(s.chain.Elsewhere(a.Thought.ID)), fmt.Sprint(s.model.elsewhere(&s.chain)); got != want {
						t.Fatalf("add %+v: on other branches %s is stale, want %s", d, got, want)
					}
				}
				if _, ok := errors.AsType[*thought.Refusal](err); err != nil && !ok {
					t.Fatalf("add: %v is no refusal", err)
				}
			},
			"switch": func(t *rapid.T) {
				name := names.Draw(t, "branch")
				b := s.model.branches[name]
				if err := s.chain.Switch(name); (err == nil) != (b != nil && b.state != thought.Merged) {
					t.Fatalf("switch to %s: %v", name, err)
				} else if err == nil {
					s.model.active, b.state = name, thought.Open
				}
			},
			"close": func(t *rapid.T) {
				name := names.Draw(t, "branch")
				open := 0
				for _, b := range s.model.branches {
					if b.state == thought.Open {
						open++
					}
				}
				b := s.model.branches[name]
				want := b != nil && b.state == thought.Open && open > 1
				if _, err := s.chain.Close(name, ""); (err == nil) != want {
					t.Fatalf("close %s: %v", name, err)
				}
				if want {
					b.state = thought.Closed
					s.model.active = s.chain.Active // which one is next is tested elsewhere
				}
			},
			"merge": func(t *rapid.T) {
				from, into := names.Draw(t, "from"), names.Draw(t, "into")
				f, i := s.model.branches[from], s.model.branches[into]
				want := f != nil && i != nil && from != into && f.state != thought.Merged && i.state == thought.Open
				a, err := s.chain.Merge(thought.Join{From: from, Into: into, At: noon})
				if (err == nil) != want {
					t.Fatalf("merge %s into %s: %v", from, into, err)
				}
				if !want {
					return
				}
				parents := func(name string) int {
					p := s.model.positions(name)
					id, _, _ := s.model.holder(name, p[len(p)-1])
					return id
				}
				if a.Thought.Parent != parents(into) || a.Thought.Merged != parents(from) {
					t.Fatalf("merge %s into %s: parents %d and %d, want %d and %d", from, into, a.Thought.Parent, a.Thought.Merged, parents(into), parents(from))
				}
				f.state = thought.Merged
				s.predictOn(into, thought.Draft{})
			},
		})
	})
}
