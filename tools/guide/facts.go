package guide

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/tools"
)

// fact is what the description of an operation does not say: what it is for in the
// words of somebody who has the problem, where in a plan it stands, what it takes
// from others and gives to them. An operation without one is ranked by its
// description alone.
type fact struct {
	useWhen string
	takes   []string
	gives   []string
	data    string   // what the client must have
	leave   []string // parameters of the examples that are better left out
}

// Things that one operation gives and another takes.
const (
	thoughts     = "thoughts"
	options      = "options"
	measurements = "measurements"
	findings     = "findings"
	state        = "state"
)

var facts = map[string]fact{
	"sequential_thinking": {
		useWhen: "think step by step, reason through a problem, write down and revise thoughts, keep a chain of reasoning, check arithmetic and calculations, proof, derive, break down",
		gives:   []string{thoughts, state}, data: "the text of a thought", leave: []string{"thoughtNumber", "totalThoughts"},
	},
	"debugging_approach": {
		useWhen: "find a bug, error, crash, failure, broken, regression, flaky test, root cause, which commit or version broke it, bisect, reduce or minimise a failing input, fault, diagnose, troubleshoot, not working, suspicious line, coverage, safety, outage",
		takes:   []string{thoughts}, gives: []string{findings, state}, data: "what can be tested, and what the tests came to",
	},
	"mcts": {
		useWhen: "plan a sequence of moves, game, play, opponent, strategy, explore many possible moves, simulation, rollouts, bandit, best next action under chance",
		takes:   []string{thoughts}, gives: []string{options, state}, data: "a root and values of its children, or a problem with actions and rewards",
	},
	"beam_search": {
		useWhen: "keep the best few candidates in each step, top candidates, generate sequences, word by word, drafts, narrow down, ranked continuations",
		takes:   []string{thoughts}, gives: []string{options, state}, data: "candidates with scores",
	},
	"tree_of_thought": {
		useWhen: "explore alternatives, several ways or approaches, backtrack, puzzle, game of 24, branch ideas and judge them, brainstorm solutions, shortest path, maze, route",
		takes:   []string{thoughts}, gives: []string{options, state}, data: "a question and judged first thoughts, or a problem stated in full",
	},
	"graph_of_thought": {
		useWhen: "combine, merge or aggregate ideas, connect arguments, network of claims and evidence, which nodes matter most, supports and contradicts, contradictions between statements, summarise several documents together",
		takes:   []string{thoughts}, gives: []string{options, findings, state}, data: "nodes and edges, or roots and a plan",
	},
	"pdr_reasoning": {
		useWhen: "research a topic in depth, literature, survey, investigate a broad question, subtopics, subjects, coverage and gaps of knowledge, what is missing, explore a field",
		takes:   []string{thoughts}, gives: []string{findings, state}, data: "a question and subjects",
	},
	"decision_framework": {
		useWhen: "decide, choose or pick between options, compare alternatives, which one is best, trade-off, criteria, pros and cons, supplier, vendor, hire, buy, invest, weights, risk, payoff, regret, score candidates against requirements",
		takes:   []string{options, measurements, findings}, gives: []string{state}, data: "options with a value for each criterion, or payoffs",
	},
	"statistical_reasoning": {
		useWhen: "statistics, average, mean, median, variance, significant difference, A/B test, experiment, conversion, probability, p value, correlation, trend, forecast, regression, sample size, confidence interval, prior, posterior, survey data, measurements, outliers, distribution",
		gives:   []string{measurements}, data: "numbers",
	},
	"session_info":    {useWhen: "what is in this session, status, how much room, quota, usage, when does it expire", takes: []string{state}},
	"session_export":  {useWhen: "save, download, back up or archive the work, keep a copy, move to another server", takes: []string{state}, data: "a session that holds something"},
	"session_import":  {useWhen: "restore a backup, load an earlier exported document, bring in saved work", data: "a document of session_export"},
	"session_share":   {useWhen: "let a colleague see or work on this session, give access, collaborate, invite, permission", takes: []string{state}, data: "the subject of the other one"},
	"session_unshare": {useWhen: "revoke or remove access, stop sharing, withdraw a permission", data: "the subject of the other one"},
}

// stages order the families in a plan: nothing takes from what comes later.
var stages = map[string]int{"guide": 0, "sequence": 1, "creative": 2, "search": 2, "systems": 2, "causal": 3, "code": 3, "notebook": 3, "sample": 3, "argue": 4, "decide": 5, "collab": 6, "sessions": 8}

// stage returns where an operation stands in a plan.
func stage(s *tools.Spec) int {
	if n, ok := stages[s.Family]; ok {
		return n
	}
	return 7
}

// parameter is one of an operation's parameters, as its schema says.
type parameter struct {
	Type        string          `json:"type"`
	Description string          `json:"description"`
	Enum        []string        `json:"enum"`
	Default     json.RawMessage `json:"default"`
	MaxLength   int             `json:"maxLength"`
	Items       *parameter      `json:"items"`
}

// setting reports whether the parameter says how to compute, not on what.
func (p *parameter) setting() bool {
	return len(p.Enum) > 0 || len(p.Default) > 0 || p.Type == "boolean" || p.Type == ""
}

// entry is an operation with what is known of it.
type entry struct {
	spec       *tools.Spec
	fact       fact
	parameters map[string]*parameter
	required   []string
	examples   []sample
}

// sample is an example of an operation's description.
type sample struct {
	title      string
	prompt     string
	parameters map[string]json.RawMessage
	bare       bool // it names an action and brings nothing
}

// newEntry reads the description of an operation.
func newEntry(t tools.Tool) (entry, error) {
	e := entry{spec: t.Spec(), fact: facts[t.Spec().Name]}
	var schema struct {
		Properties map[string]*parameter `json:"properties"`
		Required   []string              `json:"required"`
	}
	if err := json.Unmarshal(t.InputSchema(), &schema); err != nil {
		return e, err
	}
	e.parameters, e.required = schema.Properties, schema.Required
	for _, x := range e.spec.Examples {
		var call struct {
			Prompt     string                     `json:"prompt"`
			Parameters map[string]json.RawMessage `json:"parameters"`
		}
		if err := json.Unmarshal([]byte(x.Arguments), &call); err != nil {
			return e, err
		}
		s := sample{title: x.Title, prompt: call.Prompt, parameters: call.Parameters, bare: call.Prompt == ""}
		for name := range call.Parameters {
			p := e.parameters[name]
			s.bare = s.bare && p != nil && p.setting()
		}
		e.examples = append(e.examples, s)
	}
	return e, nil
}

// document is the text by which an operation is found. What it is called and for
// counts more than the names and texts of its parameters.
func (e *entry) document() string {
	s := e.spec
	parts := []string{s.Name, s.Name, s.Title, s.Title, s.Summary, s.Summary, e.fact.useWhen, e.fact.useWhen, e.fact.useWhen, s.Method}
	for _, x := range s.Examples {
		parts = append(parts, x.Title)
	}
	for _, name := range slices.Sorted(maps.Keys(e.parameters)) {
		switch name {
		case "seed", "maxMillis", "maxSteps", "maxNodes":
			continue // every operation has them
		}
		p := e.parameters[name]
		if !strings.HasPrefix(p.Description, "Old ") {
			parts = append(parts, name, strings.Join(p.Enum, " "))
		}
	}
	return strings.Join(parts, "\n")
}
