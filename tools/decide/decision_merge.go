package decide

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/reason/decision"
	"github.com/lyceum-mcp/lyceum/tools"
)

// merge puts what the call gives into d. A parameter that is absent keeps what d
// has; an empty one clears it.
func merge(c *tools.Call, d *Decision, in Input) error {
	d.Statement = cmp.Or(in.Statement, d.Statement, c.Prompt) // the prompt of a later call is about that call
	d.TimeHorizon = cmp.Or(in.TimeHorizon, d.TimeHorizon)
	if in.Stakeholders != nil {
		d.Stakeholders = in.Stakeholders
	}
	if in.InformationGaps != nil {
		d.InformationGaps = in.InformationGaps
	}
	mergeSettings(c, &d.Settings, in)
	p := &d.Problem
	if in.Options != nil {
		p.Options = options(in.Options)
	}
	if in.Criteria != nil {
		p.Criteria = criteria(c, in.Criteria)
	}
	for _, step := range []func(*tools.Call, *Decision, Input) error{
		mergeWeights, mergeEvaluations, mergeConstraints, mergeOutcomes, mergePayoffs, mergeProbabilities, mergeComparisons,
	} {
		if err := step(c, d, in); err != nil {
			return err
		}
	}
	if in.Aspirations != nil {
		p.Aspirations = in.Aspirations
	}
	return nil
}

func mergeSettings(c *tools.Call, s *decision.Settings, in Input) {
	if in.AnalysisType == "weighted-sum" {
		in.AnalysisType = string(decision.WeightedSum)
	}
	s.Method = cmp.Or(decision.Method(in.AnalysisType), s.Method)
	s.Normalization = cmp.Or(decision.Normalization(in.Normalization), s.Normalization)
	if in.HurwiczAlpha != nil {
		s.HurwiczAlpha = *in.HurwiczAlpha
	} else if s.Method == decision.Hurwicz {
		c.Warn("default_used", "hurwiczAlpha %v: the best payoff counts for %v, the worst for %v", s.HurwiczAlpha, s.HurwiczAlpha, 1-s.HurwiczAlpha)
	}
	if in.Draws != nil {
		s.Draws = *in.Draws
	}
	if in.Concentration != nil {
		s.Concentration = *in.Concentration
	}
	if in.RiskTolerance != "" || in.Utility != "" || in.RiskCoefficient != nil { // they mean something together
		s.Risk.Attitude, s.Risk.Form, s.Risk.Coefficient = decision.Attitude(in.RiskTolerance), decision.Form(in.Utility), in.RiskCoefficient
		if s.Method != decision.ExpectedUtility {
			c.Warn("not_applicable", "riskTolerance, utility and riskCoefficient have an effect under expected-utility only")
		}
	}
	if in.Wealth != nil {
		s.Risk.Wealth = *in.Wealth
	}
	if in.Normalization != "" && s.Method != decision.WeightedSum && s.Method != decision.AHP {
		c.Warn("not_applicable", "normalization has an effect under multi-criteria and ahp only: %s sets its own", s.Method)
	}
}

func options(given []OptionInput) []decision.Option {
	list := make([]decision.Option, len(given))
	for i, o := range given {
		list[i] = decision.Option{ID: o.ID, Name: o.Name}
		for name, x := range o.Attributes {
			if x != nil { // null: not known
				set(&list[i], name, *x)
			}
		}
	}
	return list
}

func set(o *decision.Option, name string, x float64) {
	if o.Attributes == nil {
		o.Attributes = map[string]float64{}
	}
	o.Attributes[name] = x
}

// criteria reads the criteria. Their names are what attributes are looked up by;
// where a criterion has both, mergeEvaluations maps its id to the name.
func criteria(c *tools.Call, given []CriterionInput) []decision.Criterion {
	list := make([]decision.Criterion, len(given))
	weighed := 0
	for j, x := range given {
		list[j] = decision.Criterion{Name: cmp.Or(x.Name, x.ID), Weight: x.Weight, Minimize: x.Type == "minimize" || x.Type == "cost"}
		if x.Weight != nil {
			weighed++
		}
	}
	if weighed > 0 && weighed < len(list) {
		c.Warn("default_used", "%d of %d criteria have no weight and count with weight 1", len(list)-weighed, len(list))
	}
	return list
}

func mergeWeights(_ *tools.Call, d *Decision, in Input) error {
	list := slices.Clone(d.Problem.Criteria)
	for _, name := range slices.Sorted(maps.Keys(in.Weights)) {
		j := slices.IndexFunc(list, func(x decision.Criterion) bool { return x.Name == name })
		if j < 0 {
			return tools.Bad("parameters.weights."+name, fmt.Sprintf("the name of a criterion, one of %q", names(list)), name)
		}
		list[j].Weight = new(in.Weights[name])
	}
	d.Problem.Criteria = list
	return nil
}

func names(list []decision.Criterion) []string {
	out := make([]string, len(list))
	for j, x := range list {
		out[j] = x.Name
	}
	return out
}

// mergeEvaluations moves attributes that are keyed by a criterion's id to its
// name, and adds those of criteriaEvaluations.
func mergeEvaluations(_ *tools.Call, d *Decision, in Input) error {
	canonical := map[string]string{} // id or name → name
	for _, x := range in.Criteria {
		if x.ID != "" {
			canonical[x.ID] = cmp.Or(x.Name, x.ID)
		}
	}
	for _, name := range names(d.Problem.Criteria) {
		canonical[name] = name
	}
	list := d.Problem.Options
	for i := range list {
		for _, key := range slices.Sorted(maps.Keys(canonical)) {
			name := canonical[key]
			if x, has := list[i].Attributes[key]; has && key != name {
				if _, both := list[i].Attributes[name]; !both {
					delete(list[i].Attributes, key)
					list[i].Attributes[name] = x
				}
			}
		}
	}
	for k, e := range in.Evaluations {
		path := fmt.Sprintf("parameters.criteriaEvaluations[%d]", k)
		name, ok := canonical[e.CriterionID]
		if !ok {
			return tools.Bad(path+".criterionId", fmt.Sprintf("the id or name of a criterion, one of %q", names(d.Problem.Criteria)), e.CriterionID)
		}
		i := find(list, e.OptionID)
		if i < 0 {
			return tools.Bad(path+".optionId", "the id, or the name that only one option has", e.OptionID)
		}
		if x, has := list[i].Attributes[name]; has && in.Options != nil && x != *e.Score {
			return tools.Bad(path+".score", fmt.Sprintf("one value for %s of %s, which is %v already", name, list[i].Key(), x), *e.Score)
		}
		set(&list[i], name, *e.Score)
	}
	return nil
}

// find returns the option that ref names by id, or else by a name that only one
// option has; −1 when there is none.
func find(list []decision.Option, ref string) int {
	if i := slices.IndexFunc(list, func(o decision.Option) bool { return o.Key() == ref }); i >= 0 {
		return i
	}
	at := -1
	for i, o := range list {
		if o.Name == ref && ref != "" {
			if at >= 0 {
				return -1
			}
			at = i
		}
	}
	return at
}

func mergeOutcomes(_ *tools.Call, d *Decision, in Input) error {
	if in.Outcomes == nil {
		return nil
	}
	d.Problem.Outcomes = make([]decision.Outcome, len(in.Outcomes))
	for k, o := range in.Outcomes {
		ref := cmp.Or(o.Option, o.OptionID)
		if ref == "" {
			return tools.Bad(fmt.Sprintf("parameters.possibleOutcomes[%d].option", k), "the id or name of the option", "nothing")
		}
		d.Problem.Outcomes[k] = decision.Outcome{Option: ref, Probability: o.Probability, Value: *o.Value}
	}
	return nil
}

// operators in the order in which they are looked for: the longer ones first.
var operators = []struct{ text, op string }{
	{"<=", "<="}, {">=", ">="}, {"≤", "<="}, {"≥", ">="}, {"==", "="}, {"<", "<"}, {">", ">"}, {"=", "="},
}

func mergeConstraints(c *tools.Call, d *Decision, in Input) error {
	if in.Constraints == nil {
		return nil
	}
	known := map[string]bool{}
	for _, name := range names(d.Problem.Criteria) {
		known[name] = true
	}
	for _, o := range d.Problem.Options {
		for name := range o.Attributes {
			known[name] = true
		}
	}
	d.Problem.Constraints, d.TextConstraints = nil, nil
	for k, raw := range in.Constraints {
		path := fmt.Sprintf("parameters.constraints[%d]", k)
		if text, ok := raw.(string); ok {
			if x, ok := formula(text, known); ok {
				d.Problem.Constraints = append(d.Problem.Constraints, x)
				continue
			}
			d.TextConstraints = append(d.TextConstraints, text)
			c.Warn("not_evaluated", "%s is kept as text and rules nothing out: to evaluate it send {attribute, op, value} with an attribute of the options", path)
			continue
		}
		x, err := constraint(path, raw)
		if err != nil {
			return err
		}
		d.Problem.Constraints = append(d.Problem.Constraints, x)
	}
	return nil
}

// formula reads "attribute op number" when the attribute is known.
func formula(text string, known map[string]bool) (decision.Constraint, bool) {
	for _, o := range operators {
		left, right, ok := strings.Cut(text, o.text)
		if !ok {
			continue
		}
		name := strings.TrimSpace(left)
		x, err := strconv.ParseFloat(strings.TrimSpace(right), 64)
		return decision.Constraint{Attribute: name, Op: o.op, Value: x}, err == nil && known[name]
	}
	return decision.Constraint{}, false
}

func constraint(path string, raw any) (decision.Constraint, error) {
	object, ok := raw.(map[string]any)
	if !ok {
		return decision.Constraint{}, tools.Bad(path, "{attribute, op, value} or text", raw)
	}
	text := func(keys ...string) string {
		for _, key := range keys {
			if s, ok := object[key].(string); ok {
				return s
			}
		}
		return ""
	}
	name, op := text("attribute", "criterion"), text("op", "operator")
	for _, o := range operators {
		if o.text == op {
			op = o.op
			break
		}
	}
	x, err := number(path+".value", object["value"])
	if name == "" {
		err = tools.Bad(path+".attribute", "the name of an attribute", "nothing")
	}
	return decision.Constraint{Attribute: name, Op: op, Value: x}, err
}
