package problem

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/reason/expr"
)

// Traits implements Model.
func (c *Compiled) Traits() Traits { return c.traits }

// Start implements Model.
func (c *Compiled) Start(state []float64) { copy(state, c.start) }

// Label implements Model.
func (c *Compiled) Label(a int) string { return c.actions[a].name }

// Scope returns the variables of a state, in the order of its numbers: the
// declared ones, step, and player if there are two.
func (c *Compiled) Scope() *expr.Scope { return c.scope }

// Player implements Model.
func (c *Compiled) Player(state []float64) int {
	if c.player >= 0 && state[c.player] == 2 {
		return 2
	}
	return 1
}

// Actions implements Model. The error is a Flaws.
func (c *Compiled) Actions(state []float64, buf []int) ([]int, error) {
	if state[c.step] >= float64(c.traits.Horizon) {
		return buf, nil
	}
	if c.terminal != nil {
		over, err := c.terminal.Test(state)
		if err != nil {
			return buf, c.failed(c.terminal.path, err, state)
		}
		if over {
			return buf, nil
		}
	}
	for i := range c.actions {
		if g := c.actions[i].guard; g != nil {
			legal, err := g.Test(state)
			if err != nil {
				return buf, c.failed(g.path, err, state)
			}
			if !legal {
				continue
			}
		}
		buf = append(buf, i)
	}
	return buf, nil
}

// Value implements Model. The error is a Flaws.
func (c *Compiled) Value(state []float64) (float64, error) { return c.eval(c.value, state) }

func (c *Compiled) eval(f *formula, state []float64) (float64, error) {
	if f == nil {
		return 0, nil
	}
	v, err := f.Eval(state)
	if err != nil {
		return 0, c.failed(f.path, err, state)
	}
	return v, nil
}

// Apply implements Model. The error is a Flaws: a formula without a finite
// value, an effect outside its variable's bounds, or probabilities that do not
// sum to 1. After an error state is of no use.
func (c *Compiled) Apply(state []float64, i int, rng *rand.Rand) (int, float64, error) {
	a := &c.actions[i]
	earned, err := c.eval(a.reward, state)
	if err != nil {
		return 0, 0, err
	}
	drawn := 0
	effects := a.effects
	var more []effect
	if len(a.outcomes) > 0 {
		if drawn, err = c.draw(a, state, rng); err != nil {
			return 0, 0, err
		}
		o := &a.outcomes[drawn]
		r, err := c.eval(o.reward, state)
		if err != nil {
			return 0, 0, err
		}
		earned += r
		more = o.effects
	}
	if err := c.move(state, effects, more); err != nil {
		return 0, 0, err
	}
	if c.reward != nil {
		r, err := c.reward.Eval(state)
		if err != nil {
			return 0, 0, c.failed(c.reward.path, err, state)
		}
		earned += float64(c.traits.Discount * r)
	}
	if earned-earned != 0 {
		return 0, 0, Flaws{{a.path, "the rewards of one move are too large" + c.where(state), "a sum below 1.8e308"}}
	}
	return drawn, earned, nil
}

// move computes all effects on the state before and then sets them.
func (c *Compiled) move(state []float64, effects, more []effect) error {
	var next [2 * MaxEffects]float64
	var slots [2 * MaxEffects]int
	n := 0
	for _, list := range [2][]effect{effects, more} {
		for i := range list {
			e := &list[i]
			slot, err := c.target(e, state, slots[:n])
			if err != nil {
				return err
			}
			v, err := e.Eval(state)
			if err != nil {
				return c.failed(e.path, err, state)
			}
			if flaw := c.fits(e.path, slot, v); flaw != nil {
				flaw.Problem += c.where(state)
				return Flaws{*flaw}
			}
			next[n], slots[n] = v, slot
			n++
		}
	}
	if c.player >= 0 {
		state[c.player] = 3 - state[c.player]
	}
	for i, slot := range slots[:n] {
		state[slot] = next[i]
	}
	state[c.step]++
	return nil
}

// target returns the slot that e sets. Elements are known only here, so that it
// is here that setting one twice, as before, is an error.
func (c *Compiled) target(e *effect, state []float64, set []int) (int, error) {
	if e.index == nil {
		return e.slot, nil
	}
	i, err := e.index.Eval(state)
	if err != nil {
		return 0, c.failed(e.index.path, err, state)
	}
	if !(i >= 0 && i < float64(e.elements) && i == math.Trunc(i)) {
		return 0, Flaws{{e.index.path, fmt.Sprintf("the index is %v", i) + c.where(state), fmt.Sprintf("a whole number from 0 to %d", e.elements-1)}}
	}
	slot := e.slot + int(i)
	if slices.Contains(set, slot) {
		return 0, Flaws{{e.path, "the move sets " + c.scope.Var(slot).Name + " twice" + c.where(state), "each element set once"}}
	}
	return slot, nil
}

// Weigh implements Guide by the priors of the actions; one without has 1. The
// error is a Flaws.
func (c *Compiled) Weigh(state []float64, acts []int, weights []float64) error {
	for i, a := range acts {
		f := c.actions[a].prior
		if f == nil {
			weights[i] = 1
			continue
		}
		w, err := c.eval(f, state)
		if err != nil {
			return err
		}
		if w < 0 {
			return Flaws{{f.path, fmt.Sprintf("the prior is %v", w) + c.where(state), "a number of at least 0"}}
		}
		weights[i] = w
	}
	return nil
}

// fits says what is wrong with the value v for the variable in slot, or nil.
func (c *Compiled) fits(path string, slot int, v float64) *Flaw {
	if slot == c.player {
		if v != 1 && v != 2 {
			return &Flaw{path, fmt.Sprintf("the player would be %v", v), "1 or 2"}
		}
		return nil
	}
	b := &c.bounds[slot]
	if v >= b.low && v <= b.high && (!b.whole || v == math.Trunc(v)) {
		return nil
	}
	expected := "a number"
	if b.whole {
		expected = "a whole number"
	}
	switch open, bottomless := math.IsInf(b.high, 0), math.IsInf(b.low, 0); {
	case !open && !bottomless:
		expected += fmt.Sprintf(" from %v to %v", b.low, b.high)
	case !bottomless:
		expected += fmt.Sprintf(" of at least %v", b.low)
	case !open:
		expected += fmt.Sprintf(" of at most %v", b.high)
	}
	return &Flaw{path, fmt.Sprintf("%s would be %v", c.scope.Var(slot).Name, v), expected}
}

// draw picks an outcome of a.
func (c *Compiled) draw(a *action, state []float64, rng *rand.Rand) (int, error) {
	if a.chance != nil {
		last := len(a.chance) - 1
		if last == 0 {
			return 0, nil
		}
		if c.traits.Deterministic {
			return pick(a.chance, 0), nil
		}
		return pick(a.chance, rng.Float64()*a.chance[last]), nil
	}
	var chance [MaxOutcomes]float64
	var sum float64
	for i := range a.outcomes {
		f := &a.outcomes[i].probability
		p, err := f.Eval(state)
		if err != nil {
			return 0, c.failed(f.path, err, state)
		}
		if p < 0 || p > 1 {
			return 0, Flaws{{f.path, fmt.Sprintf("the probability is %v", p) + c.where(state), "a number from 0 to 1"}}
		}
		sum += p
		chance[i] = sum
	}
	if math.Abs(sum-1) > tolerance {
		return 0, Flaws{{a.path + ".outcomes", fmt.Sprintf("the probabilities sum to %v", sum) + c.where(state), "a sum of 1"}}
	}
	return pick(chance[:len(a.outcomes)], rng.Float64()*sum), nil
}

// pick returns the first index whose cumulative probability is above u.
func pick(cumulative []float64, u float64) int {
	for i, c := range cumulative {
		if u < c {
			return i
		}
	}
	i := len(cumulative) - 1 // u is the sum itself, by rounding
	for i > 0 && cumulative[i] == cumulative[i-1] {
		i-- // never an outcome of probability 0
	}
	return i
}

// failed reports that the formula at path has no value in state.
func (c *Compiled) failed(path string, err error, state []float64) error {
	e, ok := errors.AsType[*expr.Error](err)
	if !ok {
		return fmt.Errorf("evaluate %s: %w", path, err)
	}
	return Flaws{{path, fmt.Sprintf("%d:%d: %s", e.Line, e.Col, e.Problem) + c.where(state), e.Expected}}
}

// where describes a state for an error, as far as it is short.
func (c *Compiled) where(state []float64) string {
	const most = 8
	var b strings.Builder
	for i := range min(most, len(state)) {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(c.scope.Var(i).Name + "=" + strconv.FormatFloat(state[i], 'g', 6, 64))
	}
	if len(state) > most {
		b.WriteString(", …")
	}
	return " (in a state with " + b.String() + ")"
}
