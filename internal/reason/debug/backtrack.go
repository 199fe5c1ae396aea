package debug

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of a search over choices.
const (
	MaxChoices = 64 // open at a time
	MaxOptions = 64 // of one choice
	MaxReason  = 500
	// MaxMoves bounds the moves of one search; each may bring a choice of its own.
	MaxMoves = 1000
)

// Move is one thing that the client said: that it made a choice, or how the choices
// so far turned out.
type Move struct {
	Choice  string   `json:"choice,omitempty"`
	Options []string `json:"options,omitempty"`
	Outcome Outcome  `json:"outcome,omitempty"`
	Blame   []string `json:"blame,omitempty"` // of fail: the choices that it depends on; none: all
	Reason  string   `json:"reason,omitempty"`
}

// Backtrack is a search through choices, depth first, the options in the order
// given. A dead end goes back to the deepest choice that is to blame for it, and
// what is to blame for the failure of all options of a choice is remembered
// (conflict-directed backjumping), so nothing is tried twice because of a choice
// that does not matter. It leaves no solution out if the blame is right.
type Backtrack struct {
	Log []Move `json:"log"`
}

// frame is an open choice.
type frame struct {
	name     string
	options  []string
	at       int
	conflict map[string]bool // earlier choices to blame for the options that failed
}

// Taken is a choice and the option taken.
type Taken struct {
	Choice string `json:"choice"`
	Option string `json:"option"`
}

// DeadEnd is choices that did not work together.
type DeadEnd struct {
	Path    []Taken  `json:"path"`
	Blame   []string `json:"blame,omitempty"`
	Outcome Outcome  `json:"outcome"`
	Reason  string   `json:"reason,omitempty"`
}

// walk is what a log comes to.
type walk struct {
	stack  []frame
	dead   []DeadEnd // the latest
	ends   int
	parked int // dead ends that are only unresolved
	solved bool
	over   bool // nothing is left to try
}

const maxDeadEnds = 50

func (b *Backtrack) replay() (*walk, error) {
	w := &walk{}
	for i, m := range b.Log {
		if err := w.move(m); err != nil {
			return nil, fmt.Errorf("log[%d]: %w", i, err)
		}
	}
	return w, nil
}

func (w *walk) move(m Move) error {
	if w.solved || w.over {
		return flaw("outcome", "nothing more: the search is over", "another move")
	}
	if m.Choice != "" {
		return w.choose(m)
	}
	if err := checkOutcome(m.Outcome); err != nil {
		return err
	}
	if len(w.stack) == 0 {
		return flaw("choice", "a choice with its options before an outcome", "no choice yet")
	}
	if len(m.Reason) > MaxReason || !utf8.ValidString(m.Reason) {
		return flaw("reason", fmt.Sprintf("at most %d bytes in UTF-8", MaxReason), "%d bytes", len(m.Reason))
	}
	if m.Outcome != Fail && len(m.Blame) > 0 {
		return flaw("blame", "nothing, unless the outcome is fail", "%d choices", len(m.Blame))
	}
	if m.Outcome == Pass {
		w.solved = true
		return nil
	}
	return w.fail(m)
}

func (w *walk) choose(m Move) error {
	switch {
	case m.Outcome != "" || len(m.Blame) > 0 || m.Reason != "":
		return flaw("choice", "a choice or an outcome, not both", "both")
	case len(w.stack) >= MaxChoices:
		return flaw("choice", fmt.Sprintf("at most %d choices at a time", MaxChoices), "another one")
	case len(m.Options) < 1 || len(m.Options) > MaxOptions:
		return flaw("options", fmt.Sprintf("1 to %d options", MaxOptions), "%d", len(m.Options))
	case w.find(m.Choice) >= 0:
		return flaw("choice", "a name that no open choice has", "%.80q", m.Choice)
	}
	if err := checkName("choice", m.Choice); err != nil {
		return err
	}
	if _, err := named("options", m.Options); err != nil {
		return err
	}
	w.stack = append(w.stack, frame{name: m.Choice, options: m.Options, conflict: map[string]bool{}})
	return nil
}

func (w *walk) find(choice string) int {
	return slices.IndexFunc(w.stack, func(f frame) bool { return f.name == choice })
}

// fail takes a dead end: it goes back to the deepest choice to blame, and on to its
// next option; where there is none, what is to blame for its options is to blame.
func (w *walk) fail(m Move) error {
	blame := map[string]bool{}
	for i, name := range m.Blame {
		if w.find(name) < 0 {
			return flaw(fmt.Sprintf("blame[%d]", i), "open choices: "+list(w.names()), "%.80q", name)
		}
		blame[name] = true
	}
	if len(m.Blame) == 0 {
		for _, f := range w.stack {
			blame[f.name] = true
		}
	}
	w.ends++
	if m.Outcome == Unresolved {
		w.parked++
	}
	w.dead = append(w.dead, DeadEnd{Path: w.path(), Blame: m.Blame, Outcome: m.Outcome, Reason: m.Reason})
	if len(w.dead) > maxDeadEnds {
		w.dead = slices.Delete(w.dead, 0, 1)
	}
	for len(w.stack) > 0 {
		top := &w.stack[len(w.stack)-1]
		if !blame[top.name] {
			w.stack = w.stack[:len(w.stack)-1]
			continue
		}
		for name := range blame {
			if name != top.name {
				top.conflict[name] = true
			}
		}
		if top.at+1 < len(top.options) {
			top.at++
			return nil
		}
		blame = top.conflict
		w.stack = w.stack[:len(w.stack)-1]
	}
	w.over = true
	return nil
}

func (w *walk) path() []Taken {
	out := make([]Taken, len(w.stack))
	for i, f := range w.stack {
		out[i] = Taken{f.name, f.options[f.at]}
	}
	return out
}

func (w *walk) names() []string {
	out := make([]string, len(w.stack))
	for i, f := range w.stack {
		out[i] = f.name
	}
	return out
}

// Trail is where a search stands.
type Trail struct {
	Path     []Taken   `json:"path"`     // the choices to try together
	DeadEnds []DeadEnd `json:"deadEnds"` // the latest
	Ends     int       `json:"deadEndsInAll"`
	Parked   int       `json:"unresolved"` // of them
}

// Trail returns where the search stands.
func (b *Backtrack) Trail() (Trail, error) {
	w, err := b.replay()
	if err != nil {
		return Trail{}, err
	}
	return Trail{Path: w.path(), DeadEnds: w.dead, Ends: w.ends, Parked: w.parked}, nil
}

// Ask returns the path to try, nil when the search is over.
func (b *Backtrack) Ask() (*Query, Finding, error) {
	w, err := b.replay()
	if err != nil {
		return nil, Finding{}, err
	}
	f := Finding{Done: w.solved || w.over, Told: w.ends}
	var steps []string
	for _, t := range w.path() {
		steps = append(steps, t.Choice+" = "+t.Option)
	}
	for _, fr := range w.stack {
		f.Candidates += len(fr.options) - fr.at
	}
	switch {
	case w.solved:
		f.Told, f.Found, f.Why = w.ends+1, steps, "these choices work together"
	case w.over && w.parked > 0:
		f.Why = fmt.Sprintf("nothing is left to try; %d paths were not resolved", w.parked)
	case w.over:
		f.Why = "nothing is left to try: no combination of these options works, if the blame was right"
	case len(w.stack) == 0:
		f.Why = "there is no choice yet: tell the first one with its options"
	default:
		f.Why = fmt.Sprintf("%d choices are open, %d dead ends so far", len(w.stack), w.ends)
		return &Query{
			Test: steps[len(steps)-1],
			Do:   "try " + strings.Join(steps, ", ") + ": fail if it cannot work, pass if it solves the whole, or tell the next choice with its options",
			Set:  steps,
		}, f, nil
	}
	return nil, f, nil
}

// Tell notes a move.
func (b *Backtrack) Tell(m Move) error {
	if len(b.Log) >= MaxMoves {
		return flaw("outcome", fmt.Sprintf("at most %d moves of one case", MaxMoves), "%d before this one", len(b.Log))
	}
	w, err := b.replay()
	if err != nil {
		return err
	}
	if err := w.move(m); err != nil {
		return err
	}
	b.Log = append(b.Log, m)
	return nil
}

// Validate reports whether Tell could have made the log.
func (b *Backtrack) Validate() error {
	if len(b.Log) > MaxMoves {
		return flaw("log", fmt.Sprintf("at most %d moves", MaxMoves), "%d", len(b.Log))
	}
	_, err := b.replay()
	return err
}
