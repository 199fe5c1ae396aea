// Package decision ranks options by criteria or by what may happen, and says
// how far the answer can be trusted.
//
// Two kinds of data lead to an answer. Attributes of options, weighed by
// criteria, serve the weighted sum, the weighted product, TOPSIS, AHP,
// satisficing and the Pareto set. Payoffs per state of the world, or an own
// list of outcomes for each option, serve the rules for risk and uncertainty:
// expected utility, maximin, maximax, Laplace, Hurwicz, minimax regret and the
// value of perfect information.
//
// Around the answer stands what would change it: dominance, ties, rank reversal
// when a losing option is dropped, the weight at which the winner flips, shifts
// of ±20 %, and a Monte Carlo over all weights. A value that the caller did not
// give is never replaced: the option that lacks it is not assessable and is
// listed with what is missing.
package decision

import (
	"fmt"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Caps on one decision. Each is named in the error that refuses more.
const (
	MaxOptions   = 200
	MaxCriteria  = 50
	MaxStates    = 200     // also the outcomes of one option
	MaxJudged    = 15      // things compared in pairs: Saaty's random index ends there
	MaxDraws     = 100_000 // of weights, in the Monte Carlo
	MaxMagnitude = 1e100   // of any number given: squares of it stay finite

	// DetailRows is how many of the best options get their contributions and
	// regrets written out; scores and ranks always cover all.
	DetailRows = 25
)

// DefaultDraws of weights give a standard error of at most 0.0112.
const DefaultDraws = 2000

// Method is a way to reach a recommendation.
type Method string

// The methods, with their sources.
const (
	WeightedSum     Method = "multi-criteria"   // Fishburn 1967
	WeightedProduct Method = "weighted-product" // Bridgman 1922; Miller & Starr 1969
	TOPSIS          Method = "topsis"           // Hwang & Yoon 1981
	AHP             Method = "ahp"              // Saaty 1980
	ExpectedUtility Method = "expected-utility" // von Neumann & Morgenstern 1944; Pratt 1964
	Maximin         Method = "maximin"          // Wald 1950
	Maximax         Method = "maximax"          // the optimist's counterpart
	Laplace         Method = "laplace"          // Laplace 1812
	Hurwicz         Method = "hurwicz"          // Hurwicz 1951
	MinimaxRegret   Method = "minimax-regret"   // Savage 1951
	Satisficing     Method = "satisficing"      // Simon 1955
	Pareto          Method = "pareto"           // Pareto 1906; Deb et al. 2002 for the fronts
	EVPI            Method = "evpi"             // Raiffa & Schlaifer 1961
)

// Methods lists all of them in the order of the documentation.
func Methods() []Method {
	return []Method{
		WeightedSum, WeightedProduct, TOPSIS, AHP, ExpectedUtility, Maximin, Maximax, Laplace, Hurwicz,
		MinimaxRegret, Satisficing, Pareto, EVPI,
	}
}

// Problem is a decision as the caller describes it. It survives a JSON round
// trip, so that it can be kept and analysed again with other weights.
type Problem struct {
	Options       []Option                      `json:"options,omitempty"`
	Criteria      []Criterion                   `json:"criteria,omitempty"`
	Constraints   []Constraint                  `json:"constraints,omitempty"`
	Aspirations   map[string]float64            `json:"aspirations,omitempty"` // by criterion: the level that is good enough
	Comparisons   Comparisons                   `json:"comparisons,omitzero"`
	Outcomes      []Outcome                     `json:"possibleOutcomes,omitempty"`
	States        []string                      `json:"states,omitempty"`        // order of the states; empty: by name
	Payoffs       map[string]map[string]float64 `json:"payoffs,omitempty"`       // option → state → value, more is better
	Probabilities map[string]float64            `json:"probabilities,omitempty"` // by state
}

// Option is something that can be chosen. ID, or Name where ID is empty, is its
// key in every result; references may use either.
type Option struct {
	ID         string             `json:"id,omitempty"`
	Name       string             `json:"name,omitempty"`
	Attributes map[string]float64 `json:"attributes,omitempty"` // by criterion
}

// Key returns what results call the option.
func (o Option) Key() string {
	if o.ID != "" {
		return o.ID
	}
	return o.Name
}

// Criterion is a point of view. A nil Weight counts as 1; weights are divided
// by their sum; a criterion of weight 0 has no effect anywhere.
type Criterion struct {
	Name     string   `json:"name"`
	Weight   *float64 `json:"weight,omitempty"`
	Minimize bool     `json:"minimize,omitempty"` // less is better
}

// Constraint is a condition an option must meet to be considered at all.
type Constraint struct {
	Attribute string  `json:"attribute"`
	Op        string  `json:"op"` // <=, <, >=, >, =
	Value     float64 `json:"value"`
}

// String writes the constraint as a formula.
func (c Constraint) String() string { return fmt.Sprintf("%s %s %v", c.Attribute, c.Op, c.Value) }

// Outcome is one thing that may happen when an option is chosen.
type Outcome struct {
	Option      string   `json:"option"`
	Probability *float64 `json:"probability,omitempty"` // nil: unknown; the rules that need none still work
	Value       float64  `json:"value"`
}

// Comparisons are judgements in pairs for AHP.
type Comparisons struct {
	Criteria Judgements            `json:"criteria,omitzero"`
	Options  map[string]Judgements `json:"options,omitempty"` // by criterion; under "" when there are no criteria
}

// Judgements compare things two at a time: as a full matrix whose entry [i][j]
// says how many times i outweighs j, or as a list of every pair once.
type Judgements struct {
	Matrix [][]float64 `json:"matrix,omitempty"`
	Pairs  []Pair      `json:"pairs,omitempty"`
}

// Pair says that A outweighs B Value times; below 1, that B outweighs A.
type Pair struct {
	A     string  `json:"a"`
	B     string  `json:"b"`
	Value float64 `json:"value"`
}

func (j Judgements) empty() bool { return len(j.Matrix) == 0 && len(j.Pairs) == 0 }

// Settings choose the method and its parameters.
type Settings struct {
	Method        Method        `json:"analysisType"`
	Normalization Normalization `json:"normalization,omitempty"` // empty: min-max, and sum under AHP
	HurwiczAlpha  float64       `json:"hurwiczAlpha"`            // share of the best outcome, 0 to 1
	Risk          Risk          `json:"risk,omitzero"`
	Draws         int           `json:"draws"`                   // 0: no Monte Carlo
	Concentration float64       `json:"concentration,omitempty"` // 0: all weights alike likely; else Dirichlet(concentration × weight)
}

// FieldError says which part of a problem is wrong and what would be right. It
// is of kind fault.Invalid.
type FieldError struct {
	Field string // such as criteria[1].weight
	Want  string
	Got   string
}

// Error names the field, what it should be and what it is.
func (e *FieldError) Error() string {
	s := e.Field + ": expected " + e.Want
	if e.Got != "" {
		s += ", got " + e.Got
	}
	return s
}

// Unwrap classifies the failure.
func (e *FieldError) Unwrap() error { return fault.Newf(fault.Invalid, "%s", e.Error()) }

func bad(field, want string, got any) error {
	return &FieldError{Field: field, Want: want, Got: fmt.Sprint(got)}
}

// Note tells the caller about something that bears on the answer.
type Note struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// Gap is an option that cannot be assessed, with what it lacks.
type Gap struct {
	Option  string   `json:"option"`
	Missing []string `json:"missing"`
}

func describe(gaps []Gap) string {
	const most = 5
	var parts []string
	for i, g := range gaps {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more options", len(gaps)-most))
			break
		}
		parts = append(parts, g.Option+" lacks "+strings.Join(g.Missing[:min(most, len(g.Missing))], ", "))
	}
	return strings.Join(parts, "; ")
}
