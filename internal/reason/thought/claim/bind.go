package claim

import (
	"math/big"
	"strings"
)

// Binding is a name that a text gives a number, such as "x = 5".
type Binding struct {
	Name string `json:"name"`
	// Value is exact, a whole number or a fraction. It is empty when the text gives
	// the name several values, or one made of its old value: from there on nothing
	// is known of it.
	Value  string `json:"value,omitempty"`
	Places int    `json:"places,omitempty"` // decimals that were written
	Unit   string `json:"unit,omitempty"`
	// Reset is set when the text says that the value is changed on purpose.
	Reset bool `json:"reset,omitempty"`
}

// Contradicts reports whether later gives the name of b another number in the same
// unit. Values that are equal after rounding to the fewer decimals do not.
func (b Binding) Contradicts(later Binding) bool {
	if b.Name != later.Name || b.Unit != later.Unit || later.Reset || b.Value == "" || later.Value == "" {
		return false
	}
	v, okV := new(big.Rat).SetString(b.Value)
	w, okW := new(big.Rat).SetString(later.Value)
	if !okV || !okW || v.Cmp(w) == 0 {
		return false
	}
	if b.Places == 0 && later.Places == 0 {
		return true
	}
	n := min(b.Places, later.Places)
	if b.Places == 0 || later.Places == 0 {
		n = max(b.Places, later.Places)
	}
	return v.FloatString(n) != w.FloatString(n)
}

const (
	maxBindings = 32
	maxName     = 32
	maxClause   = 24 // tokens of a clause that are looked at
)

var (
	// introductions may stand before a name without qualifying it.
	introductions = set(`let so then thus and with where have hence therefore given take that since because as we get gives
		is now here but finally conclude find obtain means implies yields put say define set know still also which`)

	resets = set(`reset update updated updating reassign reassigned change changed replace replaced`)

	// conditions make what follows hold in one case only.
	conditions = set(`if when whenever for at case cases try trying suppose supposing assume assuming whether unless until or
		either while each every step round iteration time after before guess option scenario example once`)

	// connectives may follow a number without being its unit.
	connectives = set(`and so then which because since as but for in is if where with thus hence by from to therefore when
		while that this we it the on at a an gives giving means satisfies works holds contradicts again not also now here`)
)

// binder collects the bindings of a text.
type binder struct {
	*scanner
	order []string
	found map[string]Binding
}

func newBinder(s *scanner) *binder { return &binder{scanner: s, found: map[string]Binding{}} }

// look takes the binding at the equals sign tokens[eq], if there is one.
func (b *binder) look(eq int, right segment) {
	if eq == 0 || b.tokens[eq-1].kind != word || b.tokens[eq].end-b.tokens[eq].start == 2 && !b.tokens[eq].assign {
		return
	}
	name := b.text[b.tokens[eq-1].start:b.tokens[eq-1].end]
	if len(name) > maxName || strings.ContainsAny(name, "'’") || dense(lastRune(name)) {
		return
	}
	reset, plain := b.introduced(eq - 1)
	if !plain || b.conditional(eq-1) {
		return
	}
	if b.recursive(eq, name) {
		b.keep(Binding{Name: name, Reset: true})
		return
	}
	if v, ok := b.bound(right); ok {
		v.Name, v.Reset = name, reset
		b.keep(v)
	}
}

// introduced reports whether the name at token i stands alone: what comes before
// neither qualifies nor calculates with it.
func (b *binder) introduced(i int) (reset, plain bool) {
	if i == 0 {
		return false, true
	}
	name, t := b.tokens[i], b.tokens[i-1]
	switch t.kind {
	case line, equals:
		return false, true
	case gap:
		c := rune(b.text[t.start])
		return false, name.spaced || !strings.ContainsRune(".]}", c)
	case opening:
		return false, b.argument(i-1) == clear
	case sign:
		return false, t.bullet
	case word:
		w := lower(b.text[t.start:t.end])
		return resets[w], name.spaced && (introductions[w] || resets[w])
	}
	return false, false
}

// conditional reports whether the clause before token i holds in one case only.
func (b *binder) conditional(i int) bool {
	for j := i - 1; j >= max(0, i-maxClause); j-- {
		t := b.tokens[j]
		switch {
		case t.kind == line, t.kind == gap && strings.ContainsRune(".;?!", rune(b.text[t.start])):
			return false
		case t.kind == word && conditions[lower(b.text[t.start:t.end])]:
			return true
		}
	}
	return false
}

// recursive reports whether name occurs in the formula on the right as well. Words
// that no operator touches end the formula.
func (b *binder) recursive(eq int, name string) bool {
	for j := eq + 1; j < min(len(b.tokens), eq+maxClause); j++ {
		switch t := b.tokens[j]; t.kind {
		case line, equals, gap:
			return false
		case word:
			if b.text[t.start:t.end] == name {
				return true
			}
			if !b.operates(j-1) && !b.operates(j+1) {
				return false
			}
		}
	}
	return false
}

// operates reports whether token i is an operator; beside a name it may be one
// that the lexer does not know.
func (b *binder) operates(i int) bool {
	return i < len(b.tokens) && (b.tokens[i].kind == sign || b.tokens[i].kind == strange)
}

// bound returns the value of the expression right.
func (b *binder) bound(right segment) (Binding, bool) {
	if right.grade == unknown || right.grade == doubtful && right.unit == "" || b.enumerates(right) {
		return Binding{}, false
	}
	v := b.eval(right, plainMarks)
	if !v.fine() || v.doubt != "" {
		return Binding{}, false
	}
	out := Binding{Value: v.num.RatString()}
	if n, ok := b.decimals(right); ok && !right.compound(b.scanner) {
		out.Places = max(n, 0)
	}
	if len(out.Value) > maxShown {
		return Binding{}, false
	}
	if !connectives[right.unit] {
		out.Unit = right.unit
	}
	if v.currency != 0 {
		out.Unit = string(v.currency) + out.Unit
	}
	return out, true
}

// enumerates reports whether the expression is one of several: "x = 1, 2" or
// "x = 1 or 2".
func (b *binder) enumerates(right segment) bool {
	if right.hi >= len(b.tokens) {
		return false
	}
	t := b.tokens[right.hi]
	if t.kind == word {
		return lower(b.text[t.start:t.end]) == "or"
	}
	return t.kind == gap && b.text[t.start] == ',' && right.hi+1 < len(b.tokens) && b.tokens[right.hi+1].kind == number
}

// keep notes v. A name with two values in one text has no known value after it.
func (b *binder) keep(v Binding) {
	old, seen := b.found[v.Name]
	switch {
	case !seen && len(b.order) < maxBindings:
		b.order = append(b.order, v.Name)
		b.found[v.Name] = v
	case seen && (old.Value != v.Value || old.Unit != v.Unit):
		b.found[v.Name] = Binding{Name: v.Name, Reset: true}
	}
}

func (b *binder) list() []Binding {
	out := make([]Binding, 0, len(b.order))
	for _, name := range b.order {
		out = append(out, b.found[name])
	}
	return out
}

// String writes the value with its unit, "?" where it is not known.
func (b Binding) String() string {
	if b.Value == "" {
		return "?"
	}
	num, ok := new(big.Rat).SetString(b.Value)
	if !ok {
		return b.Value
	}
	return strings.TrimSpace(outcome{num: num}.show() + " " + b.Unit)
}
