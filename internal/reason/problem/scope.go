package problem

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/reason/expr"
)

func (k *compiler) scope(spec *Spec) {
	if n := len(spec.Variables); n == 0 || n > MaxVariables {
		k.addf("variables", fmt.Sprintf("1 to %d", MaxVariables), "%d variables", n)
		return
	}
	if n := len(spec.Constants); n > MaxConstants {
		k.addf("constants", fmt.Sprintf("at most %d", MaxConstants), "%d constants", n)
		return
	}
	var vars []expr.Var
	seen := map[string]bool{"step": true, "player": true}
	for i := range spec.Variables {
		v := &spec.Variables[i]
		if seen[v.Name] {
			k.addf(at("variables", i)+".name", "a name of its own; step and player are taken", "%q is used already", v.Name)
		}
		seen[v.Name] = true
		typed, b := k.variable(at("variables", i), v)
		vars = append(vars, typed)
		for range max(typed.Len, 1) {
			k.c.bounds = append(k.c.bounds, b)
		}
	}
	k.constants(spec, seen)
	if n := len(k.c.bounds); n > MaxElements {
		k.addf("variables", fmt.Sprintf("at most %d", MaxElements), "%d elements in all", n)
	}
	if len(k.Flaws) > 0 {
		return
	}
	k.c.step = len(k.c.bounds)
	vars = append(vars, expr.Var{Name: "step"})
	if k.c.traits.Players == 2 {
		k.c.player = k.c.step + 1
		vars = append(vars, expr.Var{Name: "player"})
	}
	scope, err := expr.NewScope(vars, k.consts)
	if err != nil {
		k.add("variables", err.Error(), "names of letters, digits and _")
		return
	}
	k.c.scope = scope
	k.c.traits.Size = scope.Len()
}

// variable checks one variable and returns its type and its bounds.
func (k *compiler) variable(path string, v *Variable) (expr.Var, bound) {
	b := bound{low: math.Inf(-1), high: math.Inf(1)}
	typed := expr.Var{Name: v.Name, Len: v.Length}
	if n := len(v.Elements); n > 0 {
		if v.Length != 0 && v.Length != n {
			k.addf(path+".length", "as many as elements, or none", "%d for %d elements", v.Length, n)
		}
		if strings.TrimSpace(v.Initial) != "" {
			k.add(path+".initial", "elements are given too", "initial for all elements or elements for each")
		}
		typed.Len = n
	}
	if typed.Len < 0 || typed.Len > MaxElements {
		k.addf(path+".length", fmt.Sprintf("0 to %d", MaxElements), "%d", typed.Len)
		typed.Len = 0
	}
	if v.Min != nil {
		b.low = *v.Min
	}
	if v.Max != nil {
		b.high = *v.Max
	}
	switch v.Type {
	case "int":
		b.whole = true
	case "bool":
		typed.Type = expr.Bool
	case "enum":
		if n := len(v.Values); n == 0 || n > MaxValues {
			k.addf(path+".values", fmt.Sprintf("1 to %d names", MaxValues), "%d", n)
		}
		b = bound{low: 0, high: float64(max(len(v.Values)-1, 0)), whole: true}
	case "real", "float", "":
	default:
		k.addf(path+".type", "int, real, float, bool or enum", "%q", v.Type)
	}
	if v.Type != "enum" && len(v.Values) > 0 {
		k.add(path+".values", "only an enum has values", `type "enum"`)
	}
	if !(b.low <= b.high) {
		k.addf(path+".min", "at most max", "%v", b.low)
	}
	if (v.Type == "bool" || v.Type == "enum") && (v.Min != nil || v.Max != nil) {
		k.add(path+".min", map[string]string{"bool": "a truth value", "enum": "an enum"}[v.Type]+" has no bounds", "neither min nor max")
	}
	return typed, b
}

// constants gathers the constants and the values of the enums. Two enums may
// share a value that has the same place in both.
func (k *compiler) constants(spec *Spec, seen map[string]bool) {
	k.consts = map[string]float64{}
	for _, name := range slices.Sorted(maps.Keys(spec.Constants)) {
		if seen[name] {
			k.addf("constants."+name, "a name of its own", "%q is used already", name)
		}
		k.consts[name] = spec.Constants[name]
	}
	for i, v := range spec.Variables {
		for j, name := range v.Values {
			path := at(at("variables", i)+".values", j)
			if err := expr.CheckName(name); err != nil {
				k.add(path, err.Error(), "a name of letters, digits and _")
				continue
			}
			other, taken := k.consts[name]
			if seen[name] || taken && other != float64(j) || slices.Index(v.Values, name) != j {
				k.addf(path, "a name of its own", "%q is used already", name)
			}
			k.consts[name] = float64(j)
		}
	}
}

// initial computes the initial state. Its formulas may use constants only.
func (k *compiler) initial(spec *Spec) {
	k.c.start = make([]float64, k.c.traits.Size)
	if k.c.player >= 0 {
		k.c.start[k.c.player] = 1
	}
	constants, err := expr.NewScope(nil, k.consts)
	if err != nil {
		k.add("constants", err.Error(), "names of letters, digits and _, finite numbers")
		return
	}
	for i, v := range spec.Variables {
		slot, _ := k.c.scope.Slot(v.Name)
		path := at("variables", i)
		for e := range max(k.c.scope.Elements(v.Name), 1) {
			if len(v.Elements) > 0 {
				k.start(constants, path+".elements["+strconv.Itoa(e)+"]", v.Elements[e], slot+e)
			} else if !k.start(constants, path+".initial", v.Initial, slot+e) {
				break // once is enough
			}
		}
	}
}

// start computes the initial value of a slot and reports whether it is good.
func (k *compiler) start(constants *expr.Scope, path, src string, slot int) bool {
	typ := k.c.scope.Var(slot).Type
	if strings.TrimSpace(src) == "" {
		src = "0"
		if typ == expr.Bool {
			src = "false"
		}
	}
	p, err := constants.Compile(src, typ)
	if err == nil {
		k.c.start[slot], err = p.Eval(nil)
	}
	if err != nil {
		k.formula(path, err)
		return false
	}
	if flaw := k.c.fits(path, slot, k.c.start[slot]); flaw != nil {
		k.Flaws = append(k.Flaws, *flaw)
		return false
	}
	return true
}
