package thought

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Slot is one position of an effective chain.
type Slot struct {
	ID        int // the thought that holds the position now
	First     int // ID of the thought that held it first
	Number    int // of the first thought
	Revisions int
	StaleOn   []int // numbers of earlier positions that were revised since; at most maxStaleOn

	fresh int // ID of the latest thought that wrote or re-affirmed the position
}

const maxStaleOn = 8

// Label returns the number with a prime for each revision, such as 2', and from
// the fourth revision on with one prime and their count, such as 2'4.
func (s Slot) Label() string {
	if s.Revisions > 3 {
		return fmt.Sprintf("%d'%d", s.Number, s.Revisions)
	}
	return fmt.Sprint(s.Number) + strings.Repeat("'", s.Revisions)
}

// Stale reports whether something before the position was revised after it was
// written.
func (s Slot) Stale() bool { return len(s.StaleOn) > 0 }

// View is what holds on a branch: the positions from the beginning of its line,
// in order, each with its newest revision. A branch sees the revisions that its
// parents make of the part they share, unless it revised that position itself.
type View struct {
	Branch string
	Slots  []Slot
	Next   int // the number of the next thought

	// alias maps the numbers that revisions took for themselves to their slots. The
	// numbers of the slots only grow along a branch, so those need no map.
	alias map[int]int
}

// View returns what holds on the branch. A name without a branch gives an empty
// view. It costs one pass over the log for each ancestor of the branch.
func (c *Chain) View(name string) *View {
	v := &View{Branch: name, Next: 1}
	for _, b := range c.lineage(name) {
		if b.Parent != "" {
			v = v.cut(v.slotOf(b.Fork))
			v.Branch, v.Next = b.Name, b.From+1
		}
		c.overlay(v, b.Name)
	}
	v.Branch = name
	v.markStale()
	return v
}

// lineage returns the branch and its ancestors, the eldest first.
func (c *Chain) lineage(name string) []*Branch {
	var line []*Branch
	for len(line) <= len(c.Branches) {
		b := c.Branch(name)
		if b == nil {
			break
		}
		line = append([]*Branch{b}, line...)
		name = b.Parent
	}
	return line
}

// overlay applies the thoughts of one branch to what it inherited.
func (c *Chain) overlay(v *View, branch string) {
	v.Slots = slices.Grow(v.Slots, len(c.Thoughts)/len(c.Branches))
	for i := range c.Thoughts {
		if t := &c.Thoughts[i]; t.Branch == branch {
			v.apply(t)
		}
	}
}

// apply adds one thought of the view's own branch, which must be the newest.
func (v *View) apply(t *Thought) {
	if t.Slot == 0 {
		v.Slots = append(v.Slots, Slot{ID: t.ID, First: t.ID, Number: t.Number, fresh: t.ID})
	} else if at := v.slotOf(t.Slot); at >= 0 {
		v.revise(at, t)
	}
	for _, id := range t.Reaffirms {
		if k := v.slotOf(id); k >= 0 {
			v.Slots[k].fresh = max(v.Slots[k].fresh, t.ID)
		}
	}
	v.Next = max(v.Next, t.Number+1)
}

// revise puts t at a position.
func (v *View) revise(at int, t *Thought) {
	s := &v.Slots[at]
	s.ID, s.fresh = t.ID, t.ID
	s.Revisions++
	if t.Number != s.Number {
		if v.alias == nil {
			v.alias = map[int]int{}
		}
		v.alias[t.Number] = at
	}
}

// slotOf returns the index of the position whose first thought has that ID, or −1.
// Positions are in the order of their first thoughts.
func (v *View) slotOf(first int) int {
	i, ok := slices.BinarySearchFunc(v.Slots, first, func(s Slot, id int) int { return cmp.Compare(s.First, id) })
	if !ok {
		return -1
	}
	return i
}

// cut returns the part of v up to slot i.
func (v *View) cut(i int) *View {
	w := &View{Branch: v.Branch, Slots: slices.Clone(v.Slots[:i+1]), alias: maps.Clone(v.alias)}
	maps.DeleteFunc(w.alias, func(_, slot int) bool { return slot > i })
	return w
}

// markStale fills in StaleOn.
func (v *View) markStale() {
	type revision struct{ number, id int }
	var revised []revision
	for i := range v.Slots {
		s := &v.Slots[i]
		s.StaleOn = nil
		for _, r := range revised {
			if r.id > s.fresh && len(s.StaleOn) < maxStaleOn {
				s.StaleOn = append(s.StaleOn, r.number)
			}
		}
		if s.Revisions > 0 {
			revised = append(revised, revision{s.Number, s.ID})
		}
	}
}

// Find returns the index of the position that a number means on this branch.
func (v *View) Find(number int) (int, bool) {
	i, ok := slices.BinarySearchFunc(v.Slots, number, func(s Slot, n int) int { return cmp.Compare(s.Number, n) })
	if !ok {
		i, ok = v.alias[number]
	}
	return i, ok
}

// Tip returns the ID of the thought at the last position, 0 if there is none.
func (v *View) Tip() int {
	if len(v.Slots) == 0 {
		return 0
	}
	return v.Slots[len(v.Slots)-1].ID
}

// Numbers lists the numbers of the positions as ranges, such as "1-5, 8".
func (v *View) Numbers() string {
	if len(v.Slots) == 0 {
		return "none yet"
	}
	const most = 12
	var parts []string
	for i := 0; i < len(v.Slots); {
		j := i
		for j+1 < len(v.Slots) && v.Slots[j+1].Number == v.Slots[j].Number+1 {
			j++
		}
		if len(parts) == most {
			parts = append(parts, fmt.Sprintf("…, %d", v.Slots[len(v.Slots)-1].Number))
			break
		}
		if i == j {
			parts = append(parts, fmt.Sprint(v.Slots[i].Number))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", v.Slots[i].Number, v.Slots[j].Number))
		}
		i = j + 1
	}
	return strings.Join(parts, ", ")
}
