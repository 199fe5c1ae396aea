package problem

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/reason/expr"
)

// formula is a compiled formula with the path it came from.
type formula struct {
	*expr.Program
	path string
}

// effect sets one variable, or the element of an array with a computed index.
type effect struct {
	formula
	slot     int
	index    *formula
	elements int // of the array
}

// outcome is one result of an action.
type outcome struct {
	probability formula
	effects     []effect
	reward      *formula
}

type action struct {
	name     string
	path     string
	guard    *formula
	effects  []effect
	reward   *formula
	prior    *formula
	outcomes []outcome // none: one certain outcome without further effects
	// chance has the cumulative probabilities of outcomes that are constant.
	chance []float64
}

// bound is the range of a variable.
type bound struct {
	low, high float64
	whole     bool
}

// Compiled is a declarative problem ready to run. It implements Model.
type Compiled struct {
	traits   Traits
	scope    *expr.Scope
	bounds   []bound // of the declared variables
	start    []float64
	actions  []action
	reward   *formula
	terminal *formula
	value    *formula
	step     int // slot
	player   int // slot; -1 for one player
}

// compiler collects what is wrong while it translates.
type compiler struct {
	Flaws
	c      *Compiled
	consts map[string]float64 // and values of enums
	size   int                // instructions so far
}

// Compile checks a declarative problem and translates it. The error is a Flaws
// that lists everything found wrong, each with its path and, in a formula, its
// line and column.
func Compile(spec *Spec) (*Compiled, error) {
	k := &compiler{c: &Compiled{player: -1}}
	k.traits(spec)
	k.scope(spec)
	if len(k.Flaws) > 0 { // formulas would only repeat it
		return nil, k.err()
	}
	k.initial(spec)
	k.actions(spec)
	k.c.reward = k.optional("reward", spec.Reward, expr.Number)
	k.c.terminal = k.optional("terminal", spec.Terminal, expr.Bool)
	k.c.value = k.optional("terminalValue", spec.TerminalValue, expr.Number)
	if k.size > maxPrograms {
		k.addf("actions", fmt.Sprintf("at most %d", maxPrograms), "all formulas together need %d instructions", k.size)
	}
	k.c.traits.Weight = int64(1 + k.size/64)
	return k.c, k.err()
}

func (k *compiler) traits(spec *Spec) {
	t := &k.c.traits
	*t = Traits{Actions: len(spec.Actions), Players: max(spec.Players, 1), Horizon: spec.Horizon, Discount: 1, Deterministic: true}
	if t.Players > 2 || spec.Players < 0 {
		k.addf("players", "1 or 2", "%d", spec.Players)
	}
	if t.Horizon == 0 {
		t.Horizon = DefaultHorizon
	}
	if t.Horizon < 1 || t.Horizon > MaxHorizon {
		k.addf("horizon", fmt.Sprintf("a whole number from 1 to %d", MaxHorizon), "%d", spec.Horizon)
	}
	if spec.Discount != nil {
		t.Discount = *spec.Discount
	}
	if !(t.Discount > 0 && t.Discount <= 1) {
		k.addf("discount", "a number above 0 and at most 1", "%v", t.Discount)
	}
	if r := spec.ValueRange; r != nil {
		if len(r) != 2 || !(r[0] < r[1]) || math.IsInf(r[1]-r[0], 0) {
			k.addf("valueRange", "[low, high] with low below high", "%v", r)
			return
		}
		t.Bounded, t.Low, t.High = true, r[0], r[1]
	}
}

// formula notes an error of package expr.
func (k *compiler) formula(path string, err error) {
	if e, ok := errors.AsType[*expr.Error](err); ok {
		k.add(path, fmt.Sprintf("%d:%d: %s", e.Line, e.Col, e.Problem), e.Expected)
		return
	}
	k.add(path, err.Error(), "")
}

func (k *compiler) compile(path, src string, typ expr.Type) formula {
	p, err := k.c.scope.Compile(src, typ)
	if err != nil {
		k.formula(path, err)
		return formula{path: path}
	}
	k.size += p.Size()
	return formula{p, path}
}

// optional is compile for a formula that may be left out.
func (k *compiler) optional(path, src string, typ expr.Type) *formula {
	if strings.TrimSpace(src) == "" {
		return nil
	}
	f := k.compile(path, src, typ)
	if f.Program == nil {
		return nil
	}
	return &f
}

func (k *compiler) actions(spec *Spec) {
	if n := len(spec.Actions); n == 0 || n > MaxActions {
		k.addf("actions", fmt.Sprintf("1 to %d", MaxActions), "%d actions", n)
		return
	}
	seen := map[string]bool{}
	for i, a := range spec.Actions {
		path := at("actions", i)
		if name := strings.TrimSpace(a.Name); name == "" || len(a.Name) > MaxLabel || seen[name] {
			k.addf(path+".name", fmt.Sprintf("a name of its own, at most %d bytes", MaxLabel), "%.40q", a.Name)
		} else {
			seen[name] = true
		}
		k.c.actions = append(k.c.actions, action{
			name:    a.Name,
			path:    path,
			guard:   k.optional(path+".guard", a.Guard, expr.Bool),
			effects: k.effects(path, a.Effects, nil),
			reward:  k.optional(path+".reward", a.Reward, expr.Number),
			prior:   k.optional(path+".prior", a.Prior, expr.Number),
		})
		if k.c.actions[i].prior != nil {
			k.c.traits.Guided = true
		}
		k.outcomes(&k.c.actions[i], a)
	}
}

// effects translates the effects at path; those of an outcome must not set what
// the action sets already.
func (k *compiler) effects(path string, set map[string]string, taken map[string]string) []effect {
	if n := len(set); n > MaxEffects {
		k.addf(path+".effects", fmt.Sprintf("at most %d", MaxEffects), "%d effects", n)
		return nil
	}
	var out []effect
	for _, target := range slices.Sorted(maps.Keys(set)) {
		at := path + ".effects." + target
		if _, twice := taken[target]; twice {
			k.addf(at, "each variable set once", "the action itself sets %q", target)
			continue
		}
		e, ok := k.target(at, target)
		if !ok {
			continue
		}
		if e.formula = k.compile(at, set[target], k.c.scope.Var(e.slot).Type); e.Program != nil {
			out = append(out, e)
		}
	}
	return out
}

// target finds what an effect sets.
func (k *compiler) target(at, target string) (e effect, ok bool) {
	name, index, indexed := strings.Cut(target, "[")
	name = strings.TrimSpace(name)
	n := k.c.scope.Elements(name)
	slot, known := k.c.scope.Slot(name)
	switch {
	case !known || slot == k.c.step:
		k.addf(at, "the name of a variable", "%.64q cannot be set", target)
		return e, false
	case n > 0 && !indexed:
		k.addf(at, fmt.Sprintf("%s[index], index from 0 to %d", name, n-1), "%.64q is an array", name)
		return e, false
	case n == 0 && indexed:
		k.addf(at, "the name alone", "%.64q is no array", name)
		return e, false
	}
	e.slot = slot
	if !indexed {
		return e, true
	}
	index, closed := strings.CutSuffix(strings.TrimSpace(index), "]")
	if !closed {
		k.addf(at, "name[index]", "%.64q has no ]", target)
		return e, false
	}
	f := k.compile(at+", index", index, expr.Number)
	if f.Program == nil {
		return e, false
	}
	e.index, e.elements = &f, n
	return e, true
}

func (k *compiler) outcomes(c *action, a Action) {
	if n := len(a.Outcomes); n > MaxOutcomes {
		k.addf(c.path+".outcomes", fmt.Sprintf("at most %d", MaxOutcomes), "%d outcomes", n)
		return
	}
	var sum float64
	constant, possible := true, 0
	for j, o := range a.Outcomes {
		path := at(c.path+".outcomes", j)
		p := k.compile(path+".probability", o.Probability, expr.Number)
		c.outcomes = append(c.outcomes, outcome{
			probability: p,
			effects:     k.effects(path, o.Effects, a.Effects),
			reward:      k.optional(path+".reward", o.Reward, expr.Number),
		})
		if p.Program == nil {
			return
		}
		v, ok := p.Constant()
		if constant = constant && ok; !constant {
			continue
		}
		if v < 0 || v > 1 {
			k.addf(path+".probability", "a number from 0 to 1", "%v", v)
			return
		}
		sum += v
		if v > 0 {
			possible++
		}
		c.chance = append(c.chance, sum)
	}
	switch {
	case len(a.Outcomes) == 0:
	case !constant:
		c.chance = nil
		k.c.traits.Deterministic = false
	case math.Abs(sum-1) > tolerance:
		k.addf(c.path+".outcomes", "probabilities that sum to 1", "they sum to %v", sum)
	case possible > 1:
		k.c.traits.Deterministic = false
	}
}

// tolerance is how far probabilities may be from 1 in sum, so that 1/3 can be
// written as 0.3333333333.
const tolerance = 1e-9

func at(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
