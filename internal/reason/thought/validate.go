package thought

import (
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// MaxTotal is the largest estimate of how many thoughts it takes.
const MaxTotal = 1_000_000

// The years 1 to 9999, in microseconds since 1970: what a time can be written as.
const (
	minCreated = -62_135_596_800_000_000
	maxCreated = 253_402_300_799_999_999
)

// Validate reports whether Add, Merge, Switch, Close and Seal could have made the
// chain. It is for a chain from outside: the other methods rely on what it checks
// and do not check it again. It plays the log again record by record, so it costs
// about what it cost to write it: one pass over the log, and another one for each
// time that a branch goes on after an ancestor of it changed. The texts that were
// put aside are for ValidateTexts.
func (c *Chain) Validate() error {
	switch n := len(c.Thoughts); {
	case n > MaxThoughts:
		return fmt.Errorf("thoughts: %d, the most is %d", n, MaxThoughts)
	case len(c.Branches) > MaxBranches:
		return fmt.Errorf("branches: %d, the most is %d", len(c.Branches), MaxBranches)
	case n == 0 && (len(c.Branches)+c.Total+c.Stated+c.Sealed != 0 || c.Active+c.Line+c.Head != ""):
		return fmt.Errorf("thoughts: none, but there is more than an empty chain has")
	case n == 0:
		return nil
	case c.Sealed < 0 || c.Sealed%BlockSize != 0 || c.Sealed > 0 && c.Sealed > n-keepTexts:
		return fmt.Errorf("sealed: %d, want a multiple of %d and at least %d texts that are not", c.Sealed, BlockSize, keepTexts)
	}
	if err := c.validateBranches(); err != nil {
		return err
	}
	r := newReplay(c)
	for i := range c.Thoughts {
		if err := r.step(&c.Thoughts[i], i+1); err != nil {
			return fmt.Errorf("thoughts[%d]%w", i, err)
		}
	}
	return r.end()
}

// validateBranches checks the branches as far as the log does not matter. Each
// forks from an earlier one, so no line of ancestors is a circle.
func (c *Chain) validateBranches() error {
	seen := make(map[string]int, len(c.Branches))
	for i := range c.Branches {
		b := &c.Branches[i]
		wrong := func(field, format string, args ...any) error {
			return fmt.Errorf("branches[%d].%s: "+format, append([]any{i, field}, args...)...)
		}
		if err := checkName(b.Name); err != nil {
			return wrong("name", "%.80q is no name", b.Name)
		}
		if _, twice := seen[b.Name]; twice {
			return wrong("name", "%q is there twice", b.Name)
		}
		seen[b.Name] = i
		_, earlier := seen[b.Parent]
		switch {
		case b.Parent == "" && (b.Fork != 0 || b.From != 0):
			return wrong("fork", "%d after number %d, but the branch forks from none", b.Fork, b.From)
		case b.Parent != "" && (!earlier || b.Parent == b.Name):
			return wrong("parent", "%.80q is no earlier branch", b.Parent)
		case b.Parent != "" && (b.Fork < 1 || b.From < 1):
			return wrong("fork", "%d after number %d: want a thought", b.Fork, b.From)
		case b.State != Open && b.State != Closed && b.State != Merged:
			return wrong("state", "%.80q, want open, closed or merged", b.State)
		case len(b.Reason) > maxReason || !utf8.ValidString(b.Reason) || b.State == Open && b.Reason != "":
			return wrong("reason", "want at most %d bytes, and none of an open branch", maxReason)
		case (b.State == Merged) != (b.Into != ""):
			return wrong("into", "%.80q of a branch that is %s", b.Into, b.State)
		}
	}
	for i := range c.Branches {
		at := i
		for steps := 0; c.Branches[at].State == Merged; steps++ {
			next, ok := seen[c.Branches[at].Into]
			if !ok || steps == len(c.Branches) {
				return fmt.Errorf("branches[%d].into: the branches it was merged into end nowhere", i)
			}
			at = next
		}
	}
	return nil
}

// replay is a log that is played again. Its errors begin with the field. Branches
// go by their index, of which there are MaxBranches.
type replay struct {
	c       *Chain
	at      map[string]int
	parent  []int    // −1 for none
	above   []uint64 // bits of a branch's ancestors
	own     [][]int  // IDs of the thoughts on each branch so far
	views   []*View  // nil where an ancestor has changed since
	last    []int    // ID of the last thought on each branch
	joins   []uint64 // of each record that merges: bits of the branches it may have merged
	opened  int      // so many branches have begun
	highest int      // number
	head    string
}

func newReplay(c *Chain) *replay {
	n := len(c.Branches)
	r := &replay{c: c, at: make(map[string]int, n), parent: make([]int, n), above: make([]uint64, n), own: make([][]int, n), views: make([]*View, n), last: make([]int, n)}
	for i := range c.Branches {
		b := &c.Branches[i]
		r.at[b.Name], r.parent[i] = i, -1
		if b.Parent != "" {
			p := r.at[b.Parent]
			r.parent[i], r.above[i] = p, r.above[p]|1<<p
		}
	}
	for i := range c.Thoughts {
		if at, ok := r.at[c.Thoughts[i].Branch]; ok {
			r.last[at] = i + 1
		}
	}
	return r
}

// step checks one record against all before it.
func (r *replay) step(t *Thought, id int) error {
	if err := r.c.wellFormed(t, id); err != nil {
		return fmt.Errorf(": %w", err)
	}
	if err := r.content(t); err != nil {
		return err
	}
	at := r.at[t.Branch] // wellFormed found it
	v, err := r.before(at, t)
	if err != nil {
		return err
	}
	if err := r.position(t, v); err != nil {
		return err
	}
	for i, ref := range t.Reaffirms {
		if v.slotOf(ref) < 0 || slices.Contains(t.Reaffirms[:i], ref) {
			return fmt.Errorf(".reaffirms[%d]: %d, want the first thoughts of positions on branch %s, each once", i, ref, t.Branch)
		}
	}
	if id > r.c.Sealed && t.Hash != r.c.hash(t) {
		return fmt.Errorf(".hash: it is not that of the content")
	}
	r.head = link(r.head, t.Hash)
	r.highest = max(r.highest, t.Number)
	v.apply(t)
	r.own[at], r.views[at] = append(r.own[at], id), v
	for i := range r.views {
		if r.above[i]&(1<<at) != 0 {
			r.views[i] = nil
		}
	}
	return nil
}

// content checks what a record says of itself.
func (r *replay) content(t *Thought) error {
	sealed := t.ID <= r.c.Sealed
	switch {
	case sealed && t.Text != "" || !sealed && (checkText(t.Text) != nil || len(t.Text) != t.Size):
		return fmt.Errorf(".text: %d bytes, want %s", len(t.Text), map[bool]string{true: "none of a sealed thought", false: "the size, and words in UTF-8"}[sealed])
	case t.Size < 1 || t.Size > MaxText:
		return fmt.Errorf(".size: %d, want 1 to %d", t.Size, MaxText)
	case t.Total < t.Number || t.Total > MaxTotal:
		return fmt.Errorf(".total: %d, want from the number, %d, to %d", t.Total, t.Number, MaxTotal)
	case t.Confidence != nil && !(*t.Confidence >= 0 && *t.Confidence <= 1):
		return fmt.Errorf(".confidence: %v, want 0 to 1", *t.Confidence)
	case t.Created < minCreated || t.Created > maxCreated:
		return fmt.Errorf(".created: %d, want microseconds in the years 1 to 9999", t.Created)
	case len(t.Reaffirms) > MaxAffirmed:
		return fmt.Errorf(".reaffirms: %d, the most is %d", len(t.Reaffirms), MaxAffirmed)
	}
	return t.validateFound()
}

// before returns the view of a record's branch without it, and opens the branch
// with its first record.
func (r *replay) before(at int, t *Thought) (*View, error) {
	switch {
	case at < r.opened:
		return r.view(at), nil
	case at > r.opened:
		return nil, fmt.Errorf(".branch: %s comes before a branch that was opened earlier", t.Branch)
	}
	r.opened++
	b := &r.c.Branches[at]
	if b.Parent == "" {
		return &View{Branch: b.Name, Next: 1}, nil
	}
	p := r.view(r.parent[at])
	i, ok := p.Find(b.From)
	if !ok || p.Slots[i].First != b.Fork {
		return nil, fmt.Errorf(".branch: %s forks at record %d, which is not number %d of branch %s", b.Name, b.Fork, b.From, b.Parent)
	}
	v := p.cut(i)
	v.Branch, v.Next = b.Name, b.From+1
	return v, nil
}

// view returns what holds on a branch that has begun, without what is stale.
func (r *replay) view(at int) *View {
	if r.views[at] != nil {
		return r.views[at]
	}
	var line []int
	for i := at; i >= 0; i = r.parent[i] {
		line = append(line, i)
	}
	v := &View{Branch: r.c.Branches[at].Name, Next: 1}
	for _, i := range slices.Backward(line) {
		if b := &r.c.Branches[i]; b.Parent != "" {
			end := v.slotOf(b.Fork)
			v.Slots, v.Next = v.Slots[:end+1], b.From+1
			maps.DeleteFunc(v.alias, func(_, slot int) bool { return slot > end })
		}
		for _, id := range r.own[i] {
			v.apply(r.c.Get(id))
		}
	}
	r.views[at] = v
	return v
}

// position checks where a record stands on its branch, and its number.
func (r *replay) position(t *Thought, v *View) error {
	parent, numbers := v.Tip(), []int{v.Next, r.highest + 1}
	switch {
	case t.Slot != 0:
		at := v.slotOf(t.Slot)
		if at < 0 {
			return fmt.Errorf(".slot: record %d is not the first at a position of branch %s", t.Slot, t.Branch)
		}
		if s := v.Slots[at]; t.Revises != s.ID || t.Merged != 0 {
			return fmt.Errorf(".revises: record %d, and merges record %d: want %d, which holds the position, and none", t.Revises, t.Merged, s.ID)
		}
		numbers = append(numbers, v.Slots[at].Number)
		if parent = 0; at > 0 {
			parent = v.Slots[at-1].ID
		}
	case t.Revises != 0:
		return fmt.Errorf(".revises: record %d, but it has a position of its own", t.Revises)
	case t.Merged != 0:
		if !r.merges(t) {
			return fmt.Errorf(".merged: record %d is not the end of a branch that was merged into %s", t.Merged, t.Branch)
		}
		numbers = numbers[:1]
	}
	if t.Parent != parent {
		return fmt.Errorf(".parent: record %d, want %d", t.Parent, parent)
	}
	if !slices.Contains(numbers, t.Number) {
		return fmt.Errorf(".number: %d, want one of %v", t.Number, numbers)
	}
	return nil
}

// merges notes which branches a record may have merged, if any: they end where it
// says, and nothing was added to them since.
func (r *replay) merges(t *Thought) bool {
	var may uint64
	for i, b := range r.c.Branches[:r.opened] {
		if b.State == Merged && b.Into == t.Branch && r.last[i] < t.ID && r.view(i).Tip() == t.Merged {
			may |= 1 << i
		}
	}
	r.joins = append(r.joins, may)
	return may != 0
}

// unmerged returns a merged branch that no record can have merged, or −1: every
// record has one, and each of them is of one record (Kuhn 1955).
func (r *replay) unmerged() int {
	by := make([]int, len(r.c.Branches)) // 1 + the record that merged the branch
	var find func(record int, tried *uint64) bool
	find = func(record int, tried *uint64) bool {
		for i := range by {
			if r.joins[record]&^*tried&(1<<i) == 0 {
				continue
			}
			*tried |= 1 << i
			if by[i] == 0 || find(by[i]-1, tried) {
				by[i] = record + 1
				return true
			}
		}
		return false
	}
	for record := range r.joins {
		if !find(record, new(uint64)) {
			return bits.TrailingZeros64(r.joins[record])
		}
	}
	return slices.IndexFunc(r.c.Branches, func(b Branch) bool { return b.State == Merged && by[r.at[b.Name]] == 0 })
}

// end checks what the chain says as a whole.
func (r *replay) end() error {
	c := r.c
	last := c.Thoughts[len(c.Thoughts)-1]
	line := ""
	for _, b := range c.Branches {
		if b.Parent == "" {
			line = b.Name
		}
	}
	active := c.Branch(c.Active)
	switch {
	case r.opened < len(c.Branches):
		return fmt.Errorf("branches[%d]: no thought is on it", r.opened)
	case r.unmerged() >= 0:
		return fmt.Errorf("branches[%d].state: merged, but there is not one thought for each branch that joins it to another", r.unmerged())
	case active == nil || active.State != Open:
		return fmt.Errorf("active: %.80q is no open branch", c.Active)
	case c.Line != line:
		return fmt.Errorf("line: %.80q, want %q", c.Line, line)
	case c.Total != last.Total:
		return fmt.Errorf("total: %d, the last thought says %d", c.Total, last.Total)
	case c.Stated != 0 && c.Stated != c.Total:
		return fmt.Errorf("stated: %d, want 0 or the total, %d", c.Stated, c.Total)
	case c.Head != r.head:
		return fmt.Errorf("head: it is not the digest of the log: thoughts were changed, removed or added")
	}
	return nil
}

const maxFound = 32 // bindings, and claims, of one thought

// validateFound checks what was found in the text. It need not be what would be
// found now: a later scanner may find more.
func (t *Thought) validateFound() error {
	switch {
	case t.Verified < 0 || t.Refuted < 0 || t.Verified > maxFound || t.Refuted > maxFound-t.Verified:
		return fmt.Errorf(".verified: %d and %d refuted, want 0 to %d together", t.Verified, t.Refuted, maxFound)
	case len(t.Bindings) > maxFound:
		return fmt.Errorf(".bindings: %d, the most is %d", len(t.Bindings), maxFound)
	}
	for i := range t.Bindings {
		if err := t.Bindings[i].Validate(); err != nil {
			return fmt.Errorf(".bindings[%d].%w", i, err)
		}
		if b := t.Bindings[i]; len(b.Name)+len(b.Unit) > 2*t.Size+utf8.UTFMax {
			return fmt.Errorf(".bindings[%d]: it is longer than the text", i)
		}
	}
	return nil
}

// Validate reports whether Sealable could have made the block.
func (b *Block) Validate() error {
	if b.Number < 0 || b.Number >= math.MaxInt/BlockSize || b.Number*BlockSize >= MaxThoughts {
		return fmt.Errorf("number: %d, want 0 to %d", b.Number, (MaxThoughts-1)/BlockSize)
	}
	if len(b.Texts) != BlockSize {
		return fmt.Errorf("texts: %d, want %d", len(b.Texts), BlockSize)
	}
	for i, text := range b.Texts {
		if err := checkText(text); err != nil {
			return fmt.Errorf("texts[%d]: %d bytes, want words, at most %d bytes, in UTF-8", i, len(text), MaxText)
		}
	}
	return nil
}

// ValidateTexts reports whether the blocks are those that the chain has put aside,
// text by text. The next one may be among them already, since a block is kept
// before the chain lets go of its texts. Chain and blocks must have passed
// Validate.
func (c *Chain) ValidateTexts(blocks []Block) error {
	kept := make(map[int]bool, len(blocks))
	for _, b := range blocks {
		first := b.Number * BlockSize
		if kept[b.Number] || first > c.Sealed || first+BlockSize > len(c.Thoughts) {
			return fmt.Errorf("block %d of the texts is there twice, or belongs to no thoughts", b.Number)
		}
		kept[b.Number] = true
		for i, text := range b.Texts {
			t := c.Thoughts[first+i]
			if first == c.Sealed {
				if t.Text != text {
					return fmt.Errorf("thoughts[%d].text is another one in block %d of the texts", first+i, b.Number)
				}
				continue
			}
			t.Text = text
			if len(text) != t.Size || c.hash(&t) != t.Hash {
				return fmt.Errorf("thoughts[%d].hash is not that of the text in block %d of the texts", first+i, b.Number)
			}
		}
	}
	for number := range c.Sealed / BlockSize {
		if !kept[number] {
			return fmt.Errorf("block %d of the texts is missing", number)
		}
	}
	return nil
}
