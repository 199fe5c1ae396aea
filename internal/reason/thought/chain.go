package thought

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/reason/thought/claim"
)

// Limits of one chain.
const (
	MaxThoughts = 1000
	MaxBranches = 64
	MaxText     = 32 << 10 // bytes of one thought
	MaxName     = 64       // bytes of a branch name
	MaxAffirmed = 64       // thoughts that one thought re-affirms
)

// SlotName is the name of the session slot that keeps a Chain.
const SlotName = "sequential"

// Trunk is the name of the first line of a chain.
const Trunk = "main"

// Thought is one record of the log. It never changes after it was added.
type Thought struct {
	ID         int      `json:"id"`     // place in the log, from 1
	Number     int      `json:"number"` // as the client counts; unique among the positions of a branch
	Branch     string   `json:"branch"`
	Text       string   `json:"text,omitempty"`      // empty once it is sealed, see seal.go
	Size       int      `json:"size"`                // bytes of the text
	Parent     int      `json:"parent,omitempty"`    // ID of what it follows; 0 opens a line
	Merged     int      `json:"merged,omitempty"`    // ID of the second thought it follows
	Slot       int      `json:"slot,omitempty"`      // of a revision: ID of the first thought at its position
	Revises    int      `json:"revises,omitempty"`   // of a revision: ID of what it supersedes
	Reaffirms  []int    `json:"reaffirms,omitempty"` // IDs of the first thoughts at these positions
	Total      int      `json:"total"`               // the estimate at the time
	More       bool     `json:"more,omitempty"`      // another thought is needed
	Confidence *float64 `json:"confidence,omitempty"`
	Created    int64    `json:"created"` // microseconds since 1970, UTC
	Hash       string   `json:"hash"`    // see hash.go

	// Found in the text when it was added; not part of the hash.
	Bindings []claim.Binding `json:"bindings,omitempty"`
	Verified int             `json:"verified,omitempty"` // arithmetic claims
	Refuted  int             `json:"refuted,omitempty"`
}

// CreatedAt returns when the thought was added.
func (t *Thought) CreatedAt() time.Time { return time.UnixMicro(t.Created).UTC() }

// position returns the ID of the first thought at t's position.
func (t *Thought) position() int {
	if t.Slot != 0 {
		return t.Slot
	}
	return t.ID
}

// State is what can be done with a branch.
type State string

// The states of a branch.
const (
	Open   State = "open"
	Closed State = "closed" // until somebody switches to it
	Merged State = "merged" // for good
)

// Branch is a line of thoughts.
type Branch struct {
	Name   string `json:"name"`
	Parent string `json:"parent,omitempty"` // the branch it forks from; "" opens a line of its own
	Fork   int    `json:"fork,omitempty"`   // ID of the first thought at the position it forks after
	From   int    `json:"from,omitempty"`   // the number of that thought as the client gave it
	State  State  `json:"state"`
	Into   string `json:"into,omitempty"`   // of a merged branch
	Reason string `json:"reason,omitempty"` // of a closed one, as the client gave it
}

// Chain is the thoughts of one session. The zero Chain is empty and ready.
type Chain struct {
	Thoughts []Thought `json:"thoughts,omitempty"`
	Branches []Branch  `json:"branches,omitempty"`
	Active   string    `json:"active,omitempty"` // where a thought goes that names no branch
	Line     string    `json:"line,omitempty"`   // the newest branch that opens a line
	Total    int       `json:"total,omitempty"`  // the latest estimate, never below the latest number
	Stated   int       `json:"stated,omitempty"` // the latest estimate that the client gave
	Head     string    `json:"head,omitempty"`   // running digest of the log
	Sealed   int       `json:"sealed,omitempty"` // so many of the first thoughts have their texts elsewhere
}

// Draft is a thought that a client wants to add. Zero fields are absent.
type Draft struct {
	Text      string
	Number    int
	Total     int
	More      bool
	Revision  bool // the client says so; Revises says it too
	Revises   int  // number of the thought it revises
	From      int  // number of the thought a branch begins after
	Branch    string
	Reaffirms []int // numbers of stale thoughts that still hold

	Confidence *float64
	At         time.Time

	// Wire is set for clients that number as the well-known reference server does:
	// a thought without a branch is on the newest line, and a thought with the number
	// 1 that neither revises nor branches opens a new line.
	Wire bool

	// Found is what claim.Scan reports of Text. Scanning needs no chain, so the
	// caller does it before it takes the session's turn.
	Found claim.Report
}

// Added is what became of a draft.
type Added struct {
	Thought   Thought
	View      *View  // what holds on its branch now
	Label     string // number with a prime for each revision, such as 2'
	NewBranch bool
	NewLine   bool
	Extended  bool  // the number was above the client's total, which was raised
	Revised   int   // number of the superseded thought; 0 for none
	Stale     []int // numbers that this revision made stale
	Affirmed  []int // numbers that it re-affirmed
	Next      int   // the number of the next thought on the branch
}

// Refusal is why a chain did not take a draft or an action. Nothing has changed.
type Refusal struct {
	Code  string // "" for a bad argument, else a machine code
	Field string // the parameter to mend
	Want  string // what would be right
	Got   any
}

// Codes of refusals that are not about an argument.
const (
	CodeFull = "limit_reached"
)

// Error says what would be right and what was there.
func (r *Refusal) Error() string {
	if r.Got == nil {
		return r.Field + ": " + r.Want
	}
	return fmt.Sprintf("%s: %s, got %v", r.Field, r.Want, r.Got)
}

func refuse(field string, got any, format string, args ...any) *Refusal {
	return &Refusal{Field: field, Got: got, Want: fmt.Sprintf(format, args...)}
}

// Len returns the number of thoughts.
func (c *Chain) Len() int { return len(c.Thoughts) }

// Get returns the thought with that ID, or nil.
func (c *Chain) Get(id int) *Thought {
	if id < 1 || id > len(c.Thoughts) {
		return nil
	}
	return &c.Thoughts[id-1]
}

// Branch returns the branch of that name, or nil.
func (c *Chain) Branch(name string) *Branch {
	for i := range c.Branches {
		if c.Branches[i].Name == name {
			return &c.Branches[i]
		}
	}
	return nil
}

// place is where a draft goes.
type place struct {
	branch Branch
	fresh  bool // the branch is new
	view   *View
	slot   int // index of the slot it revises; −1 for none
	number int
}

// Add appends d, or returns a *Refusal. It costs one pass over the log.
func (c *Chain) Add(d Draft) (Added, error) {
	if len(c.Thoughts) >= MaxThoughts {
		return Added{}, full()
	}
	if err := checkText(d.Text); err != nil {
		return Added{}, err
	}
	p, err := c.place(&d)
	if err != nil {
		return Added{}, err
	}
	affirmed, err := p.affirms(d.Reaffirms)
	if err != nil {
		return Added{}, err
	}
	t := Thought{
		ID: len(c.Thoughts) + 1, Number: p.number, Branch: p.branch.Name, Text: d.Text, Reaffirms: affirmed,
		More: d.More, Confidence: d.Confidence, Created: d.At.UnixMicro(),
		Bindings: d.Found.Bindings, Verified: d.Found.Count(claim.Verified), Refuted: d.Found.Count(claim.Refuted),
	}
	a := Added{NewBranch: p.fresh && p.branch.Parent != "", NewLine: p.fresh && p.branch.Parent == ""}
	if p.slot >= 0 {
		s := p.view.Slots[p.slot]
		t.Slot, t.Revises = s.First, s.ID
		a.Revised = s.Number
		if p.slot > 0 {
			t.Parent = p.view.Slots[p.slot-1].ID
		}
	} else if n := len(p.view.Slots); n > 0 {
		t.Parent = p.view.Slots[n-1].ID
	}
	t.Total, a.Extended = c.estimate(d.Total, t.Number)
	if d.Total > 0 || a.Extended {
		c.Stated = t.Total
	}
	c.append(t, p)
	a.Thought = c.Thoughts[t.ID-1]
	c.describe(&a, p)
	return a, nil
}

func full() *Refusal {
	return &Refusal{Code: CodeFull, Field: "thought", Want: fmt.Sprintf(
		"the session holds %d thoughts, which is the limit; nothing was lost: read or export it, and go on in a new session", MaxThoughts)}
}

// append adds t, whose hash it computes, to the log and opens its branch.
func (c *Chain) append(t Thought, p place) {
	if p.fresh {
		c.Branches = append(c.Branches, p.branch)
		if p.branch.Parent == "" {
			c.Line = p.branch.Name
		}
	}
	c.Active, c.Total = p.branch.Name, t.Total
	t.Size = len(t.Text)
	t.Hash = c.hash(&t)
	c.Thoughts = append(c.Thoughts, t)
	c.Head = link(c.Head, t.Hash)
}

// estimate returns the total to note for a thought of that number, and whether
// that is more than the client said.
func (c *Chain) estimate(given, number int) (total int, extended bool) {
	stated := given
	if given == 0 {
		stated, total = c.Stated, c.Total
	}
	return max(stated, total, number), stated > 0 && number > stated
}

// describe fills in what follows from the chain after the thought was added.
func (c *Chain) describe(a *Added, p place) {
	v := p.view
	v.apply(&a.Thought)
	v.markStale()
	a.View = v
	i := v.slotOf(a.Thought.position())
	a.Label, a.Next = v.Slots[i].Label(), v.Next
	for _, id := range a.Thought.Reaffirms {
		a.Affirmed = append(a.Affirmed, c.Get(id).Number)
	}
	if p.slot < 0 {
		return
	}
	for _, s := range v.Slots[p.slot+1:] {
		if s.fresh < a.Thought.ID {
			a.Stale = append(a.Stale, s.Number)
		}
	}
}

// checkText refuses thoughts without words and thoughts that are too long.
func checkText(text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return refuse("thought", nil, "the text of the thought, here or as prompt")
	case len(text) > MaxText:
		return refuse("thought", fmt.Sprintf("%d bytes", len(text)), "at most %d bytes of text", MaxText)
	case !utf8.ValidString(text):
		return refuse("thought", nil, "text in UTF-8")
	}
	return nil
}

func checkName(name string) error {
	bad := func(r rune) bool { return unicode.IsControl(r) }
	if strings.TrimSpace(name) == "" || len(name) > MaxName || strings.ContainsFunc(name, bad) || !utf8.ValidString(name) {
		return refuse("branchId", name, "a name of 1 to %d bytes without control characters", MaxName)
	}
	return nil
}

// affirms resolves the numbers of re-affirmed thoughts.
func (p *place) affirms(numbers []int) ([]int, error) {
	if len(numbers) > MaxAffirmed {
		return nil, refuse("reaffirms", fmt.Sprintf("%d numbers", len(numbers)), "at most %d numbers", MaxAffirmed)
	}
	var ids []int
	for _, n := range numbers {
		i, ok := p.view.Find(n)
		if !ok {
			return nil, refuse("reaffirms", n, "numbers of thoughts on branch %s: %s", p.branch.Name, p.view.Numbers())
		}
		if id := p.view.Slots[i].First; !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
