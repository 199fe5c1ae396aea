package sequence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/debug"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// cases keeps each case under its id. A case is its settings and what was told, so
// every call plays it again; a call commits with the answer it was given and
// nothing that was computed.
var cases = session.NewSlot[debug.Case](debug.SlotName)

const (
	casePrefix = "debug"
	// maxCases bounds the cases of one session. Calls that start one at the same
	// moment may exceed it by their number.
	maxCases = 50
)

// credit names the method of an approach.
func credit(c *tools.Call, approach string) {
	switch approach {
	case noisySearch:
		c.Method("Bayesian bisection at the median of the posterior", "Burnashev & Zigangirov 1974; Karp & Kleinberg 2007")
	case delta:
		c.Method("ddmin", "Zeller & Hildebrandt 2002")
	case elimination:
		c.Method("Bayes' rule; expected information per cost", "Lindley 1956")
	case divide:
		c.Method("half-split over the components still suspected", "Miller et al. 1953 (half-split)")
	case backtracking:
		c.Method("conflict-directed backjumping", "Prosser 1993")
	case slicing:
		c.Method("reachability in the dependence graph", "Weiser 1981; Ottenstein & Ottenstein 1984")
	case spectrum:
		c.Method("spectrum-based fault localisation", "Jones & Harrold 2005; Abreu et al. 2006; Wong et al. 2014")
	case faultTree:
		c.Method("MOCUS; factoring of the cut sets", "Fussell & Vesely 1972")
	case reverse:
		c.Method("refutation by counterexample; entropy of the predictions", "Popper 1934; Shannon 1948")
	}
}

// noisySearch is binary_search with an error rate.
const noisySearch = "noisy_" + binarySearch

// kind names the approach of a case.
func kind(k *debug.Case) string {
	switch {
	case k.Noisy != nil:
		return noisySearch
	case k.Delta != nil:
		return delta
	case k.Causes != nil:
		return elimination
	case k.Split != nil:
		return divide
	case k.Backtrack != nil:
		return backtracking
	}
	return binarySearch
}

// flawed turns what package debug found wrong into bad arguments.
func flawed(err error) error {
	found, ok := errors.AsType[problem.Flaws](err)
	if !ok {
		return err
	}
	bad := &tools.BadArguments{}
	for _, f := range found {
		bad.Issues = append(bad.Issues, tools.Issue{Path: "parameters." + f.Path, Expected: f.Expected, Got: f.Problem})
	}
	return bad
}

func unknownCase(id string) error {
	return tools.Bad("parameters.caseId", "the id of a case in this session; action list shows them", id)
}

// build makes the case that the input describes.
func (in *DebugInput) build(c *tools.Call) (*debug.Case, error) {
	k := &debug.Case{Title: in.Title}
	if k.Title == "" {
		k.Title = clip(c.Prompt, debug.MaxTitle-len("…"))
	}
	k.Title = strings.TrimSpace(strings.ToValidUTF8(k.Title, ""))
	switch in.Approach {
	case delta:
		k.Delta = &debug.Delta{Elements: in.Elements}
	case elimination:
		causes, err := in.causes()
		if err != nil {
			return nil, err
		}
		k.Causes = &debug.Causes{Causes: causes, Confidence: in.Confidence}
		for _, t := range in.Tests {
			k.Causes.Checks = append(k.Causes.Checks, debug.Check(t))
		}
	case divide:
		k.Split = &debug.Split{Parts: in.parts()}
	case backtracking:
		k.Backtrack = &debug.Backtrack{}
		if in.Choice == "" {
			return nil, tools.Bad("parameters.choice", `the first choice, with its options: {"choice": "driver", "options": ["new", "old"]}`, "nothing")
		}
		return k, k.Backtrack.Tell(debug.Move{Choice: in.Choice, Options: in.Options})
	default:
		if err := in.buildSearch(k); err != nil {
			return nil, err
		}
	}
	return k, k.Validate()
}

func (in *DebugInput) buildSearch(k *debug.Case) error {
	r := debug.Range{N: len(in.Items), Labels: in.Items}
	switch {
	case in.First != nil && (*in.Last < *in.First || *in.First < -debug.MaxRange || *in.Last > debug.MaxRange):
		return tools.Bad("parameters.last", fmt.Sprintf("a number from first on, within ±%d", debug.MaxRange), *in.Last)
	case in.First != nil:
		r = debug.Range{First: *in.First, N: *in.Last - *in.First + 1}
	case len(in.Items) == 0:
		return tools.Bad("parameters.items", `names in order, such as ["v1", "v2", "v3"], or first and last for numbers; the last one is bad`, "nothing")
	}
	if in.ErrorRate > 0 {
		k.Noisy = &debug.Noisy{Range: r, ErrorRate: in.ErrorRate, Confidence: in.Confidence, Prior: in.Prior}
		return nil
	}
	if len(in.Prior) > 0 {
		return tools.Bad("parameters.prior", "nothing, unless there is an errorRate", fmt.Sprintf("%d weights", len(in.Prior)))
	}
	k.Bisect = &debug.Bisect{Range: r}
	return nil
}

// causes reads texts and objects.
func (in *DebugInput) causes() ([]debug.Cause, error) {
	var out []debug.Cause
	for i, raw := range in.Causes {
		cause := debug.Cause{Prior: 1}
		if json.Unmarshal(raw, &cause.Name) != nil && json.Unmarshal(raw, &cause) != nil {
			return nil, tools.Bad(fmt.Sprintf("parameters.causes[%d]", i), "a text, or an object {name, prior}", string(raw))
		}
		out = append(out, cause)
	}
	return out, nil
}

// parts returns the components, a chain where none says what it is after.
func (in *DebugInput) parts() []debug.Part {
	var out []debug.Part
	chain := true
	for _, p := range in.Components {
		out = append(out, debug.Part(p))
		chain = chain && len(p.After) == 0
	}
	for i := 1; chain && i < len(out); i++ {
		out[i].After = []string{out[i-1].Name}
	}
	return out
}

func (in *DebugInput) start(ctx context.Context, c *tools.Call, out DebugOutput) (DebugOutput, error) {
	if n := len(c.Session.Keys(cases.Name())); n >= maxCases {
		return out, &fault.Error{
			Kind: fault.TooLarge, Code: "too_many_objects",
			Public: fmt.Sprintf("this session keeps %d cases, the most it may: delete one (action delete with its caseId)", n),
		}
	}
	k, err := in.build(c)
	if err != nil {
		return out, flawed(err)
	}
	out.CaseID = c.ObjectID(casePrefix)
	err = cases.Key(out.CaseID).Update(ctx, c.Session, func(stored *debug.Case) error {
		if stored.Driver() == nil { // not stored by an attempt of the same call
			*stored = *k
		}
		return out.describe(stored)
	})
	if err != nil {
		return DebugOutput{}, flawed(err)
	}
	out.propose(c)
	return out, nil
}

// describe fills in where a case stands.
func (out *DebugOutput) describe(k *debug.Case) error {
	q, f, err := k.Driver().Ask()
	if err != nil {
		return err
	}
	out.Approach, out.Title, out.Test, out.Finding = kind(k), k.Title, q, &f
	switch {
	case k.Backtrack != nil:
		t, err := k.Backtrack.Trail()
		if err != nil {
			return err
		}
		out.Trail = &t
	case k.Causes != nil && !f.Done:
		out.Gains, err = k.Causes.Gains()
		return err
	}
	return nil
}

// propose credits the method and says what to send next.
func (out *DebugOutput) propose(c *tools.Call) {
	credit(c, out.Approach)
	switch {
	case out.Test != nil:
		c.Next(debugging, out.Test.Do+"; then add the outcome", map[string]any{"action": "tell", "caseId": out.CaseID, "test": out.Test.Test})
	case len(out.Finding.Found) > 0:
		c.Next(operation, "keep what was found with the rest of the reasoning", map[string]any{
			"thought": clip(fmt.Sprintf("Found by %s: %s.", strings.ReplaceAll(out.Approach, "_", " "), out.Finding.Why), 4096), "nextThoughtNeeded": true,
		})
	}
}

func (in *DebugInput) ask(c *tools.Call, out DebugOutput) (DebugOutput, error) {
	k, ok, err := cases.Key(in.CaseID).Read(c.Session)
	if err == nil && !ok {
		err = unknownCase(in.CaseID)
	}
	if err == nil {
		err = out.describe(&k)
	}
	if err != nil {
		return DebugOutput{}, flawed(err)
	}
	out.propose(c)
	return out, nil
}

func (in *DebugInput) tell(ctx context.Context, c *tools.Call, out DebugOutput) (DebugOutput, error) {
	m := debug.Move{Choice: in.Choice, Options: in.Options, Outcome: debug.Outcome(in.Outcome), Blame: in.Blame, Reason: in.Reason}
	if in.Outcome == "" && in.Choice == "" {
		return out, tools.Bad("parameters.outcome", "pass, fail or unresolved", "nothing")
	}
	err := cases.Key(in.CaseID).Update(ctx, c.Session, func(k *debug.Case) error {
		if k.Driver() == nil {
			return unknownCase(in.CaseID)
		}
		if err := k.Tell(in.Test, m); err != nil {
			return err
		}
		return out.describe(k)
	})
	if err != nil {
		return DebugOutput{}, flawed(err)
	}
	out.propose(c)
	return out, nil
}

func (in *DebugInput) get(c *tools.Call, out DebugOutput) (DebugOutput, error) {
	c.Basis(tools.ClientSupplied)
	k, ok, err := cases.Key(in.CaseID).Read(c.Session)
	if err == nil && !ok {
		err = unknownCase(in.CaseID)
	}
	if err != nil {
		return DebugOutput{}, err
	}
	out.Approach, out.Title, out.Case = kind(&k), k.Title, &k
	return out, nil
}

func (in *DebugInput) remove(ctx context.Context, c *tools.Call, out DebugOutput) (DebugOutput, error) {
	if _, err := in.get(c, out); err != nil {
		return DebugOutput{}, err
	}
	out.Deleted = true
	return out, cases.Key(in.CaseID).Delete(ctx, c.Session)
}

func listCases(c *tools.Call, out DebugOutput) (DebugOutput, error) {
	out.Cases = []DebugEntry{}
	for _, id := range c.Session.Keys(cases.Name()) {
		k, ok, err := cases.Key(id).Read(c.Session)
		if err != nil {
			return DebugOutput{}, err
		}
		if !ok { // deleted since
			continue
		}
		_, f, err := k.Driver().Ask()
		if err != nil {
			return DebugOutput{}, err
		}
		out.Cases = append(out.Cases, DebugEntry{id, kind(&k), k.Title, f})
	}
	return out, nil
}
