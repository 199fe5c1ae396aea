package decision

import (
	"context"
	"fmt"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// Validate reports whether Analyze could begin on the problem: whether the settings
// are known, all numbers in range and all references to something that is there.
// Data that the method lacks are no flaw here. It returns the keys of the options.
func Validate(p Problem, s Settings) (options []string, err error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("settings.%w", err)
	}
	if err := p.Comparisons.validate(); err != nil {
		return nil, fmt.Errorf("problem.comparisons.%w", err)
	}
	if n := len(p.Aspirations); n > MaxCriteria {
		return nil, fmt.Errorf("problem.aspirations: %d, the most is %d", n, MaxCriteria)
	}
	md, err := compile(budget.New(context.Background(), budget.Limits{}, nil), &p, &s)
	if err != nil {
		return nil, fmt.Errorf("problem.%w", err)
	}
	return md.keys, nil
}

// validate checks only how many judgements there are: whether they fit the criteria
// matters to AHP, which checks it.
func (c *Comparisons) validate() error {
	const most = MaxJudged * MaxJudged
	fits := func(j Judgements) bool { return len(j.Matrix)+len(j.Pairs) <= most }
	if !fits(c.Criteria) {
		return fmt.Errorf("criteria: the most is %d judgements", most)
	}
	for name, j := range c.Options {
		if !fits(j) {
			return fmt.Errorf("options[%.64q]: the most is %d judgements", name, most)
		}
	}
	return nil
}

func (s *Settings) check() error {
	if !slices.Contains(Methods(), s.Method) {
		return bad("analysisType", fmt.Sprintf("one of %q", Methods()), s.Method)
	}
	if s.Normalization != "" && !slices.Contains(Normalizations(), s.Normalization) {
		return bad("normalization", fmt.Sprintf("one of %q", Normalizations()), s.Normalization)
	}
	if !(s.HurwiczAlpha >= 0 && s.HurwiczAlpha <= 1) {
		return bad("hurwiczAlpha", "a number from 0 (only the worst counts) to 1 (only the best)", s.HurwiczAlpha)
	}
	if s.Draws < 0 || s.Draws > MaxDraws {
		return bad("draws", fmt.Sprintf("from 0 to %d", MaxDraws), s.Draws)
	}
	if s.Concentration != 0 && !(s.Concentration >= 1 && s.Concentration <= 1e6) {
		return bad("concentration", "a number from 1 to 1000000, or none for all weights alike likely", s.Concentration)
	}
	return nil
}
