// Package problem describes sequential decision problems that the searches
// solve: a declarative form that clients write, and a few built-in ones.
//
// A problem has a state, actions that are legal in some states, and rewards. It
// is for one player, who maximises the return, or for two who alternate: then
// every reward is to player 1, and player 2 minimises it (zero sum).
//
// The return of a run through states s₀, s₁, … is the discounted sum of what it
// earned: an action's own reward at time t counts γᵗ, and what the state
// reached at time t is worth counts γᵗ (the convention of Russell and Norvig,
// Artificial Intelligence, 2010, §17.1). A reward of 1 on arriving at depth 3
// with γ = 0.9 is thus worth 0.729.
package problem

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Model is a problem in the form that a search runs on. A state is a slice of
// Traits().Size numbers that the caller owns; a model itself is immutable and
// safe for concurrent use. Two states of a model are the same state exactly if
// their numbers are equal.
type Model interface {
	// Traits returns what is fixed about the problem.
	Traits() Traits

	// Start writes the initial state.
	Start(state []float64)

	// Player returns who moves in state: 1 or 2.
	Player(state []float64) int

	// Actions appends the legal actions to buf, ascending. None means that the
	// run is over.
	Actions(state []float64, buf []int) ([]int, error)

	// Apply makes a legal action and turns state into the next one. outcome
	// tells the states apart that one action may lead to: equal outcomes of
	// equal states mean equal next states. reward is all that the move earned
	// player 1, as of before the move. A deterministic model does not use rng,
	// which may then be nil.
	Apply(state []float64, action int, rng *rand.Rand) (outcome int, reward float64, err error)

	// Value returns what a state in which the run is over is worth to player 1,
	// beyond the rewards earned on the way.
	Value(state []float64) (float64, error)

	// Label names an action.
	Label(action int) string
}

// Traits are the fixed properties of a Model.
type Traits struct {
	Size          int     // numbers in a state
	Actions       int     // actions are 0 to Actions-1
	Players       int     // 1 or 2
	Discount      float64 // γ, above 0 and at most 1
	Horizon       int     // no run takes more moves
	Deterministic bool    // next state and reward follow from state and action
	Guided        bool    // the model is a Guide

	// Low and High bound the return from any state on, if Bounded.
	Bounded   bool
	Low, High float64

	// Weight is the cost of one move in budget steps.
	Weight int64
}

// Flaw is one thing that is wrong with a declarative problem.
type Flaw struct {
	Path     string // where, such as actions[2].effects.stock
	Problem  string // what was found; for a formula it starts with line:col
	Expected string // what would be right
}

// Flaws is everything that was found wrong, at least one thing. It is of kind
// fault.Invalid.
type Flaws []Flaw

// Error lists the flaws, one a line.
func (f Flaws) Error() string {
	parts := make([]string, len(f))
	for i, flaw := range f {
		parts[i] = flaw.Path + ": " + flaw.Problem
		if flaw.Expected != "" {
			parts[i] += "; expected " + flaw.Expected
		}
	}
	return strings.Join(parts, "\n")
}

// Unwrap classifies the error for package fault.
func (f Flaws) Unwrap() error { return fault.Newf(fault.Invalid, "%s", f.Error()) }

// maxFlaws is more than anybody reads at once.
const maxFlaws = 20

func (f *Flaws) add(path, problem, expected string) {
	if len(*f) < maxFlaws {
		*f = append(*f, Flaw{path, problem, expected})
	}
}

func (f *Flaws) addf(path, expected, format string, args ...any) {
	f.add(path, fmt.Sprintf(format, args...), expected)
}

// err returns f as an error, nil if it is empty.
func (f Flaws) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}
