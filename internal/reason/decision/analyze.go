package decision

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// Result is everything an analysis found. Names of options are their keys.
type Result struct {
	Method         Method   `json:"analysisType,omitempty"`
	Recommendation string   `json:"recommendation,omitempty"` // empty when options tie or none will do
	Tied           []string `json:"tied,omitempty"`           // options that share first place
	Ranking        []Ranked `json:"ranking,omitempty"`
	Score          string   `json:"scoreMeaning,omitempty"` // what the scores of the ranking are

	MultiCriteriaScores map[string]float64            `json:"multiCriteriaScores,omitempty"`
	ExpectedValues      map[string]float64            `json:"expectedValues,omitempty"`
	Weights             map[string]float64            `json:"weights,omitempty"` // of criteria, sum 1
	Normalized          map[string]map[string]float64 `json:"normalized,omitempty"`
	Contributions       map[string]map[string]float64 `json:"contributions,omitempty"`
	Contribution        string                        `json:"contributionMeaning,omitempty"`
	Distances           map[string]Distance           `json:"distances,omitempty"` // TOPSIS
	Consistency         []Consistency                 `json:"consistency,omitempty"`
	Satisfaction        *Satisfaction                 `json:"satisficing,omitempty"`
	Fronts              [][]string                    `json:"fronts,omitempty"` // Pareto, best first
	Utility             *Utility                      `json:"utility,omitempty"`
	Rules               []Rule                        `json:"rules,omitempty"`
	Regrets             *Regrets                      `json:"regrets,omitempty"`
	Information         *Information                  `json:"perfectInformation,omitempty"`

	Dominance   *Dominance   `json:"dominance,omitempty"`
	Reversals   *Reversals   `json:"rankReversal,omitempty"`
	Sensitivity *Sensitivity `json:"sensitivity,omitempty"`

	NotAssessable []Gap       `json:"notAssessable,omitempty"`
	Excluded      []Exclusion `json:"excluded,omitempty"`
	Next          string      `json:"suggestedNextStage,omitempty"` // implementation or gather-more-data
	Reasons       []string    `json:"nextStageReasons,omitempty"`
	Notes         []Note      `json:"-"`
}

// Distance is how far an option is from the ideal and the worst point (TOPSIS).
type Distance struct {
	ToIdeal float64 `json:"toIdeal"`
	ToWorst float64 `json:"toWorst"`
}

// Exclusion is an option that a constraint ruled out.
type Exclusion struct {
	Option     string  `json:"option"`
	Constraint string  `json:"constraint"`
	Value      float64 `json:"value"`
}

// The stages that may follow.
const (
	Implementation = "implementation"
	GatherMoreData = "gather-more-data"
)

// Run says how an analysis is made, beyond what is analysed. Only Seed changes
// what is found.
type Run struct {
	Seed     uint64                // of the Monte Carlo
	Spread   budget.Spread         // of its draws; nil: on the caller's goroutine
	Keeper   *budget.Keeper        // of its draws; may be nil
	Progress func(done, total int) // of its draws; may be nil; called by the caller's goroutine
}

func (r Run) report(done, total int) {
	if r.Progress != nil {
		r.Progress(done, total)
	}
}

// Analyze is Run.Analyze on the caller's goroutine.
func Analyze(m *budget.Meter, p Problem, s Settings, seed uint64) (*Result, error) {
	return Run{Seed: seed}.Analyze(m, p, s)
}

// Analyze ranks the options of p by the method of s. Wrong or missing data are a
// *FieldError. When m runs out, what was found so far is returned and a note
// names what is missing from it; an ended context is an error. A step of m is one
// option scored, or one pair compared.
func (r Run) Analyze(m *budget.Meter, p Problem, s Settings) (*Result, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	md, err := compile(m, &p, &s)
	if err != nil {
		return nil, err
	}
	md.how = r
	if err := md.run(); err != nil {
		return nil, err
	}
	if err := m.Err(); err != nil {
		return nil, err
	}
	md.conclude()
	return md.res, nil
}

func (md *model) run() error {
	switch md.s.Method {
	case WeightedSum, WeightedProduct, TOPSIS, AHP:
		if err := md.weigh(); err != nil {
			return err
		}
	case Satisficing, Pareto:
		if err := md.screen(); err != nil {
			return err
		}
	default:
		if err := md.uncertainty(); err != nil {
			return err
		}
	}
	return md.sensitivity()
}

func (md *model) screen() error {
	if md.s.Method == Pareto {
		return md.pareto()
	}
	if err := md.needsCriteria(); err != nil {
		return err
	}
	return md.satisfice()
}

// decide turns scores, of which more is better, into ranking and recommendation.
func (md *model) decide(rows []int, scores []float64, tol float64) {
	md.res.Ranking = md.ranking(rows, scores, tol)
	winners := md.named(rows, best(scores, tol))
	if len(winners) == 1 {
		md.res.Recommendation = winners[0]
		return
	}
	md.res.Tied = winners
	md.reason("%d options share first place", len(winners))
}

// withhold takes the recommendation back.
func (md *model) withhold(why string) {
	md.res.Recommendation, md.res.Tied, md.res.Reasons = "", nil, nil
	md.reason("%s", why)
}

func (md *model) reason(format string, args ...any) {
	md.res.Reasons = append(md.res.Reasons, fmt.Sprintf(format, args...))
}

func (md *model) note(code, format string, args ...any) {
	md.res.Notes = append(md.res.Notes, Note{code, fmt.Sprintf(format, args...)})
}

// unfinished is the failure of an analysis whose budget ended before it had any
// answer.
func (md *model) unfinished() error {
	if err := md.m.Err(); err != nil {
		return err
	}
	return fault.Newf(fault.Timeout, "the budget (%s) ended before the options were compared", md.m.Hit())
}

// conclude says what should follow and why.
func (md *model) conclude() {
	slices.SortFunc(md.res.NotAssessable, func(a, b Gap) int { return strings.Compare(a.Option, b.Option) })
	slices.SortFunc(md.res.Excluded, func(a, b Exclusion) int { return strings.Compare(a.Option, b.Option) })
	if n := len(md.res.NotAssessable); n > 0 {
		md.reason("%d options could not be assessed: %s", n, describe(md.res.NotAssessable))
		md.note("not_assessable", "%d of %d options lack data and were not ranked: %s", n, len(md.options), describe(md.res.NotAssessable))
	}
	for _, c := range md.res.Consistency {
		if !c.Acceptable {
			md.reason("the judgements on %s contradict each other (consistency ratio %.3f, above 0.10)", c.Of, c.Ratio)
		}
	}
	if len(md.res.Ranking) > DetailRows {
		md.note("details_cut", "contributions and regrets are listed for the best %d of %d options; ranks and scores are complete", DetailRows, len(md.res.Ranking))
	}
	if md.m.Hit() != budget.None {
		md.note("budget", "the budget (%s) ended before all checks were done; the ranking is complete, sensitivity may not be", md.m.Hit())
	}
	md.strangers()
	md.res.Next = Implementation
	if len(md.res.Reasons) > 0 || md.res.Recommendation == "" {
		md.res.Next = GatherMoreData
	}
}

// strangers notes attributes that no criterion asks for: a typing error there
// would otherwise only show as a gap.
func (md *model) strangers() {
	if len(md.p.Criteria) == 0 {
		return
	}
	known := map[string]bool{}
	for _, c := range md.p.Criteria {
		known[c.Name] = true
	}
	for _, c := range md.p.Constraints {
		known[c.Attribute] = true
	}
	var odd []string
	for _, o := range md.options {
		for a := range o.Attributes {
			if !known[a] {
				known[a] = true
				odd = append(odd, a)
			}
		}
	}
	if odd != nil {
		slices.Sort(odd)
		md.note("unused_attribute", "attributes that no criterion names were not used: %s", strings.Join(odd[:min(len(odd), 10)], ", "))
	}
}

// sensitivity varies the weights or probabilities that the recommendation rests
// on.
func (md *model) sensitivity() (err error) {
	b := md.board
	if b == nil {
		return nil
	}
	sen := &Sensitivity{Of: md.varies, Method: "exact: scores are linear in the weights"}
	if _, ok := b.scorer.(closeness); ok {
		sen.Method = fmt.Sprintf("numeric: %d steps to each side, then bisection; a lead that comes and goes within a step is not seen", scanSteps)
	}
	sen.Flips, sen.Unassessed = md.flips(b)
	sen.OneWay = md.shifts(b)
	if sen.MonteCarlo, err = md.monteCarlo(b, md.how.Seed); err != nil {
		return err
	}
	if sen.Flips == nil {
		sen.Method = ""
	}
	md.res.Sensitivity = sen
	return nil
}

// weigh runs a method that weighs attributes by criteria.
func (md *model) weigh() error {
	if err := md.needsWeights(); err != nil {
		return err
	}
	if len(md.options) == 0 {
		md.reason("there are no options yet to which the weights apply")
		return nil
	}
	rows, x := md.attributes(md.active)
	if len(rows) == 0 {
		return md.nobody("options", "at least one option with a value for every criterion that has weight")
	}
	b, err := md.buildBoard(rows, x)
	if err != nil {
		return err
	}
	if err := md.separable(b); err != nil {
		return err
	}
	scores, tol := b.scores(b.w), b.scorer.tolerance(b.w)
	md.m.Step(int64(len(rows))) // the ranking itself is small: it is finished in any case
	md.decide(rows, scores, tol)
	md.explain(b, scores)
	md.flat(b, x)
	if md.s.Method != AHP || len(md.p.Comparisons.Options) == 0 {
		md.res.Dominance = md.dominanceOfAttributes(rows, x, md.active)
	}
	if md.s.Method == WeightedProduct || (md.s.Method == WeightedSum && md.s.normalization() == Raw) {
		md.res.Reversals = &Reversals{WinnerChanges: []Reversal{}, Note: independent}
	} else if err := md.weighAgain(rows, x, scores, tol); err != nil {
		return err
	}
	md.board, md.varies = b, "criteria weights"
	return nil
}

// weighAgain checks for rank reversal.
func (md *model) weighAgain(rows []int, x [][]float64, scores []float64, tol float64) (err error) {
	md.quiet = true
	defer func() { md.quiet = false }()
	md.res.Reversals, err = md.reversals(rows, scores, tol, func(keep []int) ([]float64, float64, error) {
		b, err := md.buildBoard(pick(rows, keep), pick(x, keep))
		if err != nil {
			return nil, 0, err
		}
		return b.scores(b.w), b.scorer.tolerance(b.w), nil
	})
	return err
}

// separable refuses to report closeness where it is 0/0.
func (md *model) separable(b *board) error {
	c, ok := b.scorer.(closeness)
	if !ok {
		return nil
	}
	for i := range b.rows {
		if up, dn := c.distances(i, b.w); up+dn > 0 {
			return nil
		}
	}
	return bad("options", "at least two assessable options that differ on a criterion with weight: TOPSIS measures distances between them",
		fmt.Sprintf("%d without a difference", len(b.rows)))
}

// explain fills in scores, weights and what each criterion contributed.
func (md *model) explain(b *board, scores []float64) {
	res := md.res
	var v [][]float64
	switch s := b.scorer.(type) {
	case linear:
		v = s.v
		res.Score = "sum over the criteria of weight × normalized value; more is better"
		res.Contribution = "weight × normalized value; they add up to the score"
	case closeness:
		v = s.v
		res.Score = "closeness to the ideal: distance to the worst ÷ (distance to the worst + distance to the ideal), 0 to 1"
		res.Contribution = "weight × normalized value: the coordinates between which distances are measured"
		res.Distances = map[string]Distance{}
	}
	if md.s.Method == WeightedProduct {
		res.Score = "product over the criteria of value^weight, of value^−weight where less is better"
		res.Contribution = "value^±weight; they multiply to the score"
		for k := range res.Ranking {
			res.Ranking[k].Score = math.Exp(res.Ranking[k].Score)
		}
		scores = slices.Clone(scores)
		for k := range scores {
			scores[k] = math.Exp(scores[k])
		}
	}
	res.MultiCriteriaScores = md.byKey(b.rows, scores)
	res.Normalized, res.Contributions = map[string]map[string]float64{}, map[string]map[string]float64{}
	at := make(map[string]int, len(b.rows))
	for i, row := range b.rows {
		at[md.keys[row]] = i
	}
	for _, r := range res.Ranking[:min(len(b.rows), DetailRows)] {
		i := at[r.Option]
		values, parts := make(map[string]float64, len(b.dims)), make(map[string]float64, len(b.dims))
		for j, dim := range b.dims {
			values[dim], parts[dim] = v[i][j], b.w[j]*v[i][j]
			if md.s.Method == WeightedProduct {
				values[dim], parts[dim] = math.Exp(v[i][j]), math.Exp(parts[dim])
			}
		}
		res.Normalized[r.Option], res.Contributions[r.Option] = values, parts
		if c, ok := b.scorer.(closeness); ok {
			up, dn := c.distances(i, b.w)
			res.Distances[r.Option] = Distance{up, dn}
		}
	}
}

// flat notes criteria that cannot separate the options.
func (md *model) flat(b *board, x [][]float64) {
	if len(b.rows) < 2 || md.s.Method == AHP {
		return
	}
	for k, dim := range b.dims {
		if !slices.ContainsFunc(x, func(row []float64) bool { return row[k] != x[0][k] }) {
			md.note("flat_criterion", "all assessable options are equal on %s: it separates none of them", dim)
		}
	}
}
