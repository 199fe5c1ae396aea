// Package guide says which operations fit a task.
//
// The operation orchestration_suggest reads the registry (NewSuggest), so an
// operation that is added to the catalogue is found by its own description. A
// suggestion is scored by two things, and both are shown: how well the documented
// terms of the operation answer the prompt (rank.go), and rules over what the
// prompt, the client's data and the session hold (features.go). From the best ones
// it makes a plan in which nothing takes from what comes later, with arguments that
// decode as they stand (skeleton.go).
package guide

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

const name = "orchestration_suggest"

// Input is the input of orchestration_suggest.
type Input struct {
	Task  string                     `json:"task" maxLen:"65536" doc:"What is to be done; the prompt serves as well."`
	Data  map[string]json.RawMessage `json:"data" maxItems:"64" doc:"What you have, by the names of parameters, such as options, criteria, data, elements or components: it goes into the arguments where it fits."`
	Limit int                        `json:"limit" default:"5" min:"1" max:"20" doc:"At most so many suggestions."`
}

// Output is the result of orchestration_suggest.
type Output struct {
	Suggestions []Suggestion `json:"suggestions"`
	Plan        []Step       `json:"plan"`
	Considered  int          `json:"operationsConsidered"`
	Why         string       `json:"why"`
}

// Suggestion is an operation that fits. The scores are for comparing suggestions of
// one answer and mean nothing else.
type Suggestion struct {
	Operation string   `json:"operation"`
	Title     string   `json:"title"`
	Summary   string   `json:"summary"`
	Score     float64  `json:"score"` // bm25 + the points of the rules
	BM25      float64  `json:"bm25"`
	Terms     []string `json:"matchedTerms"` // stems that the prompt shares with the description
	Rules     []Fired  `json:"rules"`
	Needs     string   `json:"needs,omitempty"` // what the client must have
	Arguments Skeleton `json:"arguments"`
}

// Step is a call in a plan.
type Step struct {
	Step      int      `json:"step"`
	Operation string   `json:"operation"`
	DependsOn []int    `json:"dependsOn"`
	Takes     []string `json:"takes,omitempty"` // from the steps it depends on
}

// NewSuggest returns the operation orchestration_suggest over all the other ones.
// slots are the names of the slots in which they keep objects.
func NewSuggest(slots []string, all ...tools.Tool) tools.Tool {
	s := &suggester{slots: slots, load: sync.OnceValues(func() (*catalogue, error) { return newCatalogue(all) })}
	return tools.Define(tools.Spec{
		Name: name, Family: "guide", Title: "Suggest operations",
		Summary: "Finds the operations that fit a task, your data and what the session holds, and makes a plan of them with arguments to fill in.",
		Scope:   policy.Reason, Lane: work.Interactive, Effect: tools.ReadOnly,
		Method: "BM25 over the operations' descriptions; rules over features", Source: "Robertson & Zaragoza 2009",
		Examples: []tools.Example{
			{Title: "Find operations for a task", Arguments: `{"operation":"orchestration_suggest","prompt":"Which supplier should we choose, given price and quality?"}`},
			{Title: "Put what you have into the arguments", Arguments: `{"operation":"orchestration_suggest","prompt":"Is the difference significant?","parameters":{"data":{"data":[5.1,4.9,5.6,4.7,5.3]},"limit":3}}`},
		},
	}, s.suggest)
}

// suggester owns the catalogue, which is read when it is first needed and never
// changes.
type suggester struct {
	slots []string
	load  func() (*catalogue, error)
}

// catalogue is every operation with the index of their descriptions.
type catalogue struct {
	entries []entry
	index   *index
}

func newCatalogue(all []tools.Tool) (*catalogue, error) {
	c := &catalogue{}
	var documents []string
	for _, t := range all {
		e, err := newEntry(t)
		if err != nil {
			return nil, fmt.Errorf("read the description of %s: %w", t.Spec().Name, err)
		}
		c.entries = append(c.entries, e)
		documents = append(documents, e.document())
	}
	c.index = newIndex(documents)
	return c, nil
}

// least is the part of the best score from which an operation is worth a plan's
// step.
const least = 0.4

func (s *suggester) suggest(_ context.Context, c *tools.Call, in Input) (Output, error) {
	cat, err := s.load()
	if err != nil {
		return Output{}, err
	}
	task := in.Task
	if task == "" {
		task = c.Prompt
	}
	about := task + "\n" + c.Context
	about = about[:min(len(about), maxLook)]
	f := lookAt(c.Session, s.slots, about, in.Data)
	words := query(about)
	out := Output{Suggestions: []Suggestion{}, Plan: []Step{}, Considered: len(cat.entries)}
	for i := range cat.entries {
		e := &cat.entries[i]
		m := cat.index.match(i, words)
		rules, arguments := f.fired(e)
		g := Suggestion{
			Operation: e.spec.Name, Title: e.spec.Title, Summary: e.spec.Summary,
			Score: m.score, BM25: m.score, Terms: first(m.terms, 10), Rules: rules, Needs: e.fact.data,
		}
		for _, r := range rules {
			g.Score += r.Points
		}
		if m.score == 0 && len(rules) == 0 {
			continue
		}
		g.Arguments = e.skeleton(task, in.Data, f.holds(e.spec.Name) > 0)
		if arguments != nil {
			g.Arguments = ready(arguments)
		}
		out.Suggestions = append(out.Suggestions, g)
	}
	slices.SortStableFunc(out.Suggestions, func(a, b Suggestion) int { return cmp.Compare(b.Score, a.Score) })
	out.Suggestions = out.Suggestions[:min(len(out.Suggestions), in.Limit)]
	if len(out.Suggestions) == 0 {
		c.Basis(tools.Template)
		out.Why = "no operation's description shares a word with the task, and neither the data nor the session holds anything: say more, or read the list"
		c.Next(tools.Describe, "all operations, a line each", map[string]any{})
		return out, nil
	}
	out.Plan = cat.plan(out.Suggestions)
	out.Why = fmt.Sprintf("%s fits best: %s", out.Suggestions[0].Operation, out.Suggestions[0].reason())
	for _, g := range out.Suggestions[:min(3, len(out.Suggestions))] {
		c.Next(g.Operation, g.next(), parametersOf(g.Arguments))
	}
	return out, nil
}

// reason says in words what made the score.
func (g *Suggestion) reason() string {
	var parts []string
	if len(g.Terms) > 0 {
		parts = append(parts, "its description shares "+strings.Join(first(g.Terms, 5), ", "))
	}
	for _, r := range g.Rules {
		parts = append(parts, r.Because)
	}
	return strings.Join(parts, "; ")
}

func (g *Suggestion) next() string {
	var fill []string
	for _, f := range g.Arguments.Fill {
		fill = append(fill, f.Path)
	}
	if len(fill) == 0 {
		return g.reason()
	}
	return g.reason() + "; put your own values into " + strings.Join(fill, ", ")
}

// ready returns arguments that a rule gave: nothing is to be filled in.
func ready(arguments map[string]any) Skeleton {
	s := Skeleton{Parameters: map[string]json.RawMessage{}, Fill: []Fill{}, Example: "what the session holds", Basis: tools.ClientSupplied}
	for k, v := range arguments {
		s.Parameters[k], _ = json.Marshal(v) // texts always encode
	}
	return s
}

func parametersOf(s Skeleton) map[string]any {
	out := map[string]any{}
	for k, v := range s.Parameters {
		out[k] = v
	}
	return out
}

// plan puts the operations that fit nearly as well as the best one into order. A
// step depends on those before it that give what it takes; as these are of an
// earlier stage, there is no circle.
func (c *catalogue) plan(found []Suggestion) []Step {
	var chosen []*entry
	for _, g := range found {
		if g.Score >= least*found[0].Score {
			chosen = append(chosen, c.find(g.Operation))
		}
	}
	slices.SortStableFunc(chosen, func(a, b *entry) int { return cmp.Compare(stage(a.spec), stage(b.spec)) })
	steps := []Step{}
	for i, e := range chosen {
		s := Step{Step: i + 1, Operation: e.spec.Name, DependsOn: []int{}}
		for j, before := range chosen[:i] {
			if stage(before.spec) == stage(e.spec) {
				continue
			}
			for _, thing := range before.fact.gives {
				if !slices.Contains(e.fact.takes, thing) {
					continue
				}
				if !slices.Contains(s.DependsOn, j+1) {
					s.DependsOn = append(s.DependsOn, j+1)
				}
				if !slices.Contains(s.Takes, thing) {
					s.Takes = append(s.Takes, thing)
				}
			}
		}
		steps = append(steps, s)
	}
	return steps
}

func (c *catalogue) find(operation string) *entry {
	i := slices.IndexFunc(c.entries, func(e entry) bool { return e.spec.Name == operation })
	return &c.entries[i]
}
