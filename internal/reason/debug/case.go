package debug

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// SlotName is the name of the session slots that keep Cases.
const SlotName = "debugging"

// MaxTitle bounds what a case is called, in bytes.
const MaxTitle = 500

// Case is one search for a fault: exactly one of the drivers.
type Case struct {
	Title     string     `json:"title,omitempty"`
	Bisect    *Bisect    `json:"bisect,omitempty"`
	Noisy     *Noisy     `json:"noisy,omitempty"`
	Delta     *Delta     `json:"delta,omitempty"`
	Causes    *Causes    `json:"causes,omitempty"`
	Split     *Split     `json:"split,omitempty"`
	Backtrack *Backtrack `json:"backtrack,omitempty"`
}

// Driver is what every search has.
type Driver interface {
	// Ask returns the test to make next, nil when there is none, and what is known.
	Ask() (*Query, Finding, error)
	// Validate reports whether the package can have made it.
	Validate() error
}

// Driver returns the search of the case, or nil.
func (c *Case) Driver() Driver {
	switch {
	case c.Bisect != nil:
		return c.Bisect
	case c.Noisy != nil:
		return c.Noisy
	case c.Delta != nil:
		return c.Delta
	case c.Causes != nil:
		return c.Causes
	case c.Split != nil:
		return c.Split
	case c.Backtrack != nil:
		return c.Backtrack
	}
	return nil
}

// Tell notes what the client says. A test that is not named is the one that Ask
// names.
func (c *Case) Tell(test string, m Move) error {
	if c.Backtrack != nil {
		return c.Backtrack.Tell(m)
	}
	d, ok := c.Driver().(interface {
		Driver
		Tell(test string, o Outcome) error
	})
	if !ok {
		return flaw("case", "a case", "an empty one")
	}
	if m.Choice != "" || len(m.Options)+len(m.Blame) > 0 {
		return flaw("choice", "nothing: choice, options and blame are for backtracking", "%.80q", m.Choice)
	}
	if test == "" {
		q, f, err := d.Ask()
		if err != nil {
			return err
		}
		if q == nil {
			return flaw("test", "nothing more, or the name of a test: "+f.Why, "no name")
		}
		test = q.Test
	}
	return d.Tell(test, m.Outcome)
}

// Validate reports whether Tell can have left the case. It plays the log again.
func (c *Case) Validate() error {
	n := 0
	for _, there := range []bool{c.Bisect != nil, c.Noisy != nil, c.Delta != nil, c.Causes != nil, c.Split != nil, c.Backtrack != nil} {
		if there {
			n++
		}
	}
	if n != 1 {
		return problem.Flaws{{Path: "case", Problem: fmt.Sprintf("%d searches", n), Expected: "exactly one"}}
	}
	if len(c.Title) > MaxTitle || !utf8.ValidString(c.Title) || strings.TrimSpace(c.Title) != c.Title {
		return flaw("title", fmt.Sprintf("at most %d bytes in UTF-8 without space around it", MaxTitle), "%d bytes", len(c.Title))
	}
	return c.Driver().Validate()
}
