package decide

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/decision"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Input has the ancestor's parameters and what they lacked. With a decisionId
// every parameter that is left out keeps its stored value.
type Input struct {
	Action     string `json:"action" enum:"analyze|get|list|delete" default:"analyze" doc:"analyze computes and stores; get, list and delete handle stored decisions."`
	DecisionID string `json:"decisionId" maxLen:"64" doc:"A stored decision: parameters given now replace the stored ones, the rest is kept."`
	Statement  string `json:"decisionStatement" maxLen:"4000" doc:"The decision in words; the prompt serves too."`

	AnalysisType string `json:"analysisType" enum:"multi-criteria|weighted-sum|weighted-product|topsis|ahp|expected-utility|maximin|maximax|laplace|hurwicz|minimax-regret|satisficing|pareto|evpi" doc:"The method; multi-criteria (the same as weighted-sum) when never given."`

	Options     []OptionInput      `json:"options" maxItems:"200" doc:"What can be chosen."`
	Criteria    []CriterionInput   `json:"criteria" maxItems:"50" doc:"Points of view on the options' attributes. Replaces a stored list; to change weights alone use weights."`
	Weights     map[string]float64 `json:"weights" maxItems:"50" doc:"New weights by criterion; overrides those in criteria."`
	Evaluations []EvaluationInput  `json:"criteriaEvaluations" maxItems:"10000" doc:"Attribute values as a list, instead of options[].attributes."`
	Constraints []any              `json:"constraints" maxItems:"50" doc:"Conditions that rule options out: {attribute, op, value} with op <=, <, >=, > or =, or text such as \"cost <= 100\". Other text is kept but not evaluated."`
	Aspirations map[string]float64 `json:"aspirations" maxItems:"50" doc:"For satisficing: by criterion the level that is good enough."`

	Outcomes      []OutcomeInput  `json:"possibleOutcomes" maxItems:"40000" doc:"What may happen under each option; the probabilities of an option sum to 1."`
	States        []string        `json:"states" maxItems:"200" doc:"States of the world, in the order of a payoff matrix and of a probability array."`
	Payoffs       json.RawMessage `json:"payoffs" doc:"{option: {state: value}}, {option: [values]} or a matrix with a row for each option and a column for each state; more is better."`
	Probabilities json.RawMessage `json:"probabilities" doc:"{state: probability} or an array in the order of states; they sum to 1."`

	Comparisons   json.RawMessage `json:"comparisons" doc:"For AHP: a matrix or a list [{a, b, value}] (a weighs value times b; \"1/3\" is read) about the criteria, or about the options where there are no criteria; or {criteria: …, options: {criterion: …}}. At most 15 things."`
	Normalization string          `json:"normalization" enum:"min-max|sum|vector|z|none" doc:"How values of different criteria are made comparable in a weighted sum; min-max when never given, sum under ahp."`
	HurwiczAlpha  *float64        `json:"hurwiczAlpha" min:"0" max:"1" doc:"Hurwicz: the share of the best payoff; 0.5 when never given."`

	RiskTolerance   string   `json:"riskTolerance" enum:"risk-averse|risk-neutral|risk-seeking" doc:"For expected-utility."`
	Utility         string   `json:"utility" enum:"neutral|cara|crra" doc:"For expected-utility: constant absolute (cara) or relative (crra) risk aversion."`
	RiskCoefficient *float64 `json:"riskCoefficient" doc:"Coefficient of risk aversion of that utility; above 0 averse, below 0 seeking."`
	Wealth          *float64 `json:"wealth" doc:"Wealth before the decision, for crra."`

	Draws         *int     `json:"draws" min:"0" max:"100000" doc:"Weights drawn in the Monte Carlo; 2000 when never given, 0 for none."`
	Concentration *float64 `json:"concentration" min:"0" max:"1000000" doc:"0: all weights alike likely; from 1 on: weights drawn around the given ones, closer the larger."`

	Stakeholders    []string   `json:"stakeholders" maxItems:"100" doc:"Kept with the decision."`
	TimeHorizon     string     `json:"timeHorizon" maxLen:"500" doc:"Kept with the decision."`
	InformationGaps []GapInput `json:"informationGaps" maxItems:"100" doc:"Kept with the decision."`
}

// OptionInput is something that can be chosen.
type OptionInput struct {
	ID          string              `json:"id" maxLen:"200" doc:"Key of the option in results; the name when absent."`
	Name        string              `json:"name" maxLen:"500"`
	Description string              `json:"description" maxLen:"4000" doc:"For people; not used."`
	Attributes  map[string]*float64 `json:"attributes" maxItems:"200" doc:"Number by criterion; null where it is not known."`
}

// CriterionInput is a point of view.
type CriterionInput struct {
	ID               string   `json:"id" maxLen:"200"`
	Name             string   `json:"name" maxLen:"200"`
	Description      string   `json:"description" maxLen:"4000" doc:"For people; not used."`
	Weight           *float64 `json:"weight" doc:"At least 0; weights are divided by their sum; 1 when absent. 0 has no effect."`
	Type             string   `json:"type" enum:"maximize|minimize|benefit|cost" default:"maximize" doc:"Whether more or less is better."`
	EvaluationMethod string   `json:"evaluationMethod" enum:"quantitative|qualitative|boolean" doc:"Read, but not used: values are numbers whatever they measure."`
}

// EvaluationInput is one attribute of one option.
type EvaluationInput struct {
	CriterionID   string   `json:"criterionId" required:"true" doc:"Id or name of a criterion."`
	OptionID      string   `json:"optionId" required:"true" doc:"Id or name of an option."`
	Score         *float64 `json:"score" required:"true"`
	Justification string   `json:"justification" maxLen:"4000" doc:"For people; not used."`
}

// OutcomeInput is one thing that may happen.
type OutcomeInput struct {
	Option      string   `json:"option" doc:"Id or name of the option."`
	OptionID    string   `json:"optionId" doc:"The same as option."`
	Description string   `json:"description" maxLen:"4000" doc:"For people; not used."`
	Probability *float64 `json:"probability" min:"0" max:"1"`
	Value       *float64 `json:"value" required:"true"`
	Confidence  *float64 `json:"confidenceInEstimate" min:"0" max:"1" doc:"Read, but not used: it has no place in the arithmetic."`
}

// GapInput is something the client knows it does not know.
type GapInput struct {
	Description    string   `json:"description" maxLen:"4000"`
	Impact         *float64 `json:"impact"`
	ResearchMethod string   `json:"researchMethod" maxLen:"4000"`
}

// Output is an analysis, or what was asked about stored decisions.
type Output struct {
	Action     string `json:"action"`
	DecisionID string `json:"decisionId,omitempty"`
	Statement  string `json:"decisionStatement,omitempty"`
	Iteration  int    `json:"iteration,omitempty"` // how often the decision was analysed
	decision.Result
	Decision  *Decision `json:"decision,omitempty"`  // get
	Decisions []Entry   `json:"decisions,omitempty"` // list
	Deleted   bool      `json:"deleted,omitempty"`
}

// DecisionFramework compares options by criteria, by payoffs or by judgements.
var DecisionFramework = tools.Define(tools.Spec{
	Name: "decision_framework", Family: "decide", Title: "Decision analysis",
	Summary: "Ranks options by weighted criteria, TOPSIS, AHP, expected utility or rules for uncertainty, and tells what would change the answer.",
	Scope:   policy.Reason, Lane: work.Interactive, Effect: tools.Mutates, Removes: true,
	Method: "weighted sum", Source: "Fishburn 1967",
	Examples: []tools.Example{
		{Title: "Weigh two offers by quality and cost", Arguments: `{"operation":"decision_framework","prompt":"Which supplier?","parameters":{"analysisType":"multi-criteria","options":[{"name":"A","attributes":{"quality":8,"cost":120}},{"name":"B","attributes":{"quality":6,"cost":90}}],"criteria":[{"name":"quality","weight":2,"type":"maximize"},{"name":"cost","weight":1,"type":"minimize"}]}}`},
		{Title: "Choose under uncertainty by least regret", Arguments: `{"operation":"decision_framework","prompt":"Where to invest?","parameters":{"analysisType":"minimax-regret","states":["growth","stagnation","slump"],"payoffs":{"bonds":[40,45,5],"stocks":[70,30,-13],"funds":[53,45,-5]},"probabilities":[0.5,0.3,0.2]}}`},
		{Title: "Expected utility of a cautious decider", Arguments: `{"operation":"decision_framework","prompt":"Insure or not?","parameters":{"analysisType":"expected-utility","riskTolerance":"risk-averse","riskCoefficient":0.001,"possibleOutcomes":[{"option":"insure","probability":1,"value":-50},{"option":"risk it","probability":0.96,"value":0},{"option":"risk it","probability":0.04,"value":-1000}]}}`},
		{Title: "Weights from comparisons in pairs", Arguments: `{"operation":"decision_framework","prompt":"Which laptop?","parameters":{"analysisType":"ahp","options":[{"name":"A","attributes":{"speed":8,"weight":2.1,"price":900}},{"name":"B","attributes":{"speed":6,"weight":1.2,"price":1100}}],"criteria":[{"name":"speed"},{"name":"weight","type":"minimize"},{"name":"price","type":"minimize"}],"comparisons":[{"a":"speed","b":"weight","value":3},{"a":"speed","b":"price","value":5},{"a":"weight","b":"price","value":3}]}}`},
	},
}, run)

func run(ctx context.Context, c *tools.Call, in Input) (Output, error) {
	out := Output{Action: in.Action, DecisionID: in.DecisionID}
	switch in.Action {
	case "list":
		c.Basis(tools.ClientSupplied)
		return list(c, out)
	case "get":
		c.Basis(tools.ClientSupplied)
		return get(c, out)
	case "delete":
		c.Basis(tools.ClientSupplied)
		return remove(ctx, c, out)
	}
	return analyze(ctx, c, in, out)
}

// analyze takes a snapshot of the stored decision, if any, computes without
// holding the session, and commits unless the decision was changed meanwhile.
func analyze(ctx context.Context, c *tools.Call, in Input, out Output) (Output, error) {
	d, version, err := load(c, in.DecisionID)
	if err != nil {
		return out, err
	}
	if err := merge(c, &d, in); err != nil {
		return out, err
	}
	credit(c, d.Settings.Method)
	res, err := compute(ctx, c, &d)
	if err != nil {
		return out, repairable(err)
	}
	for _, n := range res.Notes {
		c.Warn(n.Code, "%s", n.Text)
	}
	if out.DecisionID, err = keep(ctx, c, in.DecisionID, version, &d, res); err != nil {
		return out, err
	}
	out.Statement, out.Iteration, out.Result = d.Statement, d.Iteration, *res
	propose(c, out.DecisionID, res)
	return out, nil
}

// compute analyses a decision, with the draws on as many cores as can be spared.
// Nothing has an effect before it returns; a state that was kept is resumed if
// the decision is still the same.
func compute(ctx context.Context, c *tools.Call, d *Decision) (*decision.Result, error) {
	m := c.Meter(ctx)
	keeper, err := budget.Keep(c.Durable, tools.ErrCheckpointed, []any{"decision_framework", 1, d.Problem, d.Settings, c.Seed(), m.Limits().Steps})
	if err != nil {
		return nil, err
	}
	r := decision.Run{
		Seed: c.Seed(), Keeper: keeper,
		Spread:   m.Spread(c.Fan, func(ctx context.Context) error { return work.FromContext(ctx).Yield(ctx) }),
		Progress: func(done, total int) { c.Progress(float64(done), float64(total), "draws of weights") },
	}
	return r.Analyze(m, d.Problem, d.Settings)
}

// repairable turns a complaint about the problem into one about the parameters.
func repairable(err error) error {
	if e, ok := errors.AsType[*decision.FieldError](err); ok {
		return tools.Bad("parameters."+e.Field, e.Want, e.Got)
	}
	return err
}

// credit names the method and where it is from.
func credit(c *tools.Call, m decision.Method) {
	switch m {
	case decision.WeightedProduct:
		c.Method("weighted product", "Bridgman 1922; Miller & Starr 1969")
	case decision.TOPSIS:
		c.Method("TOPSIS", "Hwang & Yoon 1981")
	case decision.AHP:
		c.Method("analytic hierarchy process, principal eigenvector", "Saaty 1980")
	case decision.ExpectedUtility:
		c.Method("expected utility", "von Neumann & Morgenstern 1944; risk aversion: Pratt 1964, Arrow 1965")
	case decision.Maximin:
		c.Method("maximin", "Wald 1950")
	case decision.Maximax:
		c.Method("maximax", "Hurwicz 1951, coefficient 1")
	case decision.Laplace:
		c.Method("principle of insufficient reason", "Laplace 1812")
	case decision.Hurwicz:
		c.Method("Hurwicz criterion", "Hurwicz 1951")
	case decision.MinimaxRegret:
		c.Method("minimax regret", "Savage 1951")
	case decision.Satisficing:
		c.Method("satisficing", "Simon 1955")
	case decision.Pareto:
		c.Method("non-dominated sorting", "Deb et al. 2002")
	case decision.EVPI:
		c.Method("expected value of perfect information", "Raiffa & Schlaifer 1961")
	}
}

// propose names follow-up calls that the stored data can serve.
func propose(c *tools.Call, id string, res *decision.Result) {
	next := func(method decision.Method, why string) {
		c.Next("decision_framework", why, map[string]any{"decisionId": id, "analysisType": string(method)})
	}
	switch {
	case len(res.Ranking) < 2:
		return
	case res.Method == decision.WeightedSum:
		next(decision.TOPSIS, "see whether a method that measures distances agrees")
	case res.MultiCriteriaScores != nil && res.Method != decision.AHP:
		next(decision.WeightedSum, "see whether the plain weighted sum agrees")
	case res.Regrets != nil && res.Method != decision.MinimaxRegret:
		next(decision.MinimaxRegret, "see which option can be regretted least")
	}
	if res.Information != nil && res.Method != decision.EVPI && res.Information.Value > 0 {
		next(decision.EVPI, "see what it would be worth to know the state beforehand")
	}
}
