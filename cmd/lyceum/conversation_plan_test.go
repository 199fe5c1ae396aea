package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// services move from the old room to the new, one a night.
var services = []string{"mail", "files", "web", "database", "directory"}

// after says which service must have moved before another.
var after = map[string]string{"database": "directory", "web": "database"}

// talk is what a night costs in which two services are in different rooms.
var talk = []struct {
	a, b string
	cost int
}{{"directory", "database", 8}, {"directory", "mail", 1}, {"database", "web", 3}, {"web", "files", 8}, {"files", "mail", 7}}

// legal reports whether an order, or its beginning, keeps to the rules.
func legal(plan []string) bool {
	for i, s := range plan {
		if first := after[s]; first != "" && !slices.Contains(plan[:i], first) {
			return false
		}
	}
	return true
}

// night returns what the night costs after these have moved.
func night(moved []string) (sum int) {
	for _, t := range talk {
		if slices.Contains(moved, t.a) != slices.Contains(moved, t.b) {
			sum += t.cost
		}
	}
	return sum
}

// total returns what a whole plan costs.
func total(plan []string) (sum int) {
	for i := range plan {
		sum += night(plan[:i+1])
	}
	return sum
}

// rest returns the services that a plan does not move yet.
func rest(plan []string) (out []string) {
	for _, s := range services {
		if !slices.Contains(plan, s) {
			out = append(out, s)
		}
	}
	return out
}

// hasty completes a plan by the legal move whose night is cheapest: how the agent
// judges a beginning.
func hasty(plan []string) []string {
	plan = slices.Clone(plan)
	for len(plan) < len(services) {
		options := slices.DeleteFunc(rest(plan), func(s string) bool { return !legal(append(slices.Clone(plan), s)) })
		plan = append(plan, slices.MinFunc(options, func(a, b string) int {
			return cmp.Compare(night(append(slices.Clone(plan), a)), night(append(slices.Clone(plan), b)))
		}))
	}
	return plan
}

// worst is a cost that no plan exceeds: every pair apart for every night but the
// last.
func worst() (sum int) {
	for _, t := range talk {
		sum += t.cost * (len(services) - 1)
	}
	return sum
}

// value is how good a beginning is, from 0 to 1 in steps of a hundredth.
func value(plan []string) float64 {
	return float64(100-100*total(hasty(plan))/worst()) / 100
}

// optimal returns the legal plans of the lowest cost, by trying all orders.
func optimal() (best [][]string, cost, plans int) {
	cost = worst() + 1
	var walk func(plan []string)
	walk = func(plan []string) {
		if !legal(plan) {
			return
		}
		if len(plan) == len(services) {
			plans++
			if t := total(plan); t < cost {
				best, cost = nil, t
			}
			if total(plan) == cost {
				best = append(best, slices.Clone(plan))
			}
			return
		}
		for _, s := range rest(plan) {
			walk(append(slices.Clone(plan), s))
		}
	}
	walk(nil)
	return best, cost, plans
}

// planOf reads the path of a ticket or an answer: "night 2: web" and so on.
func planOf(path []any) (plan []string) {
	for _, step := range path {
		text, ok := step.(string)
		if m, is := step.(map[string]any); is {
			text, ok = m["content"].(string)
		}
		if _, s, found := strings.Cut(text, ": "); ok && found && strings.HasPrefix(text, "night ") {
			plan = append(plan, s)
		}
	}
	return plan
}

// step is how the agent writes a move.
func step(plan []string, s string) string { return fmt.Sprintf("night %d: %s", len(plan)+1, s) }

// judge is all that the agent does: what it tells about the node of a ticket.
func judge(plan []string) map[string]any {
	tell := map[string]any{}
	switch {
	case !legal(plan):
		tell["value"], tell["terminal"] = 0, true
	case len(plan) >= len(services)-1: // the last move is not a choice
		tell["value"], tell["terminal"] = value(plan), true
	default:
		children := []any{}
		for _, s := range rest(plan) {
			children = append(children, step(plan, s))
		}
		tell["value"], tell["children"] = value(plan), children
	}
	return tell
}
