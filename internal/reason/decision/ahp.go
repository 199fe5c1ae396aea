package decision

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// randomIndex is the mean consistency index of random reciprocal matrices by
// size (Saaty 1980, table for 1 to 15).
var randomIndex = [MaxJudged + 1]float64{
	0, 0, 0, 0.58, 0.90, 1.12, 1.24, 1.32, 1.41, 1.45, 1.49, 1.51, 1.48, 1.56, 1.57, 1.59,
}

// maxRatio is the consistency ratio above which Saaty asks to revise.
const maxRatio = 0.10

// Consistency says how well judgements in pairs agree with each other.
type Consistency struct {
	Of         string             `json:"of"`         // criteria, or the criterion under which options were compared
	Priorities map[string]float64 `json:"priorities"` // principal eigenvector, sum 1
	LambdaMax  float64            `json:"lambdaMax"`
	Index      float64            `json:"consistencyIndex"`
	Ratio      float64            `json:"consistencyRatio"` // 0 below three things, which cannot disagree
	Acceptable bool               `json:"acceptable"`       // ratio at most 0.10
	Revise     *Revision          `json:"revise,omitempty"` // the judgement farthest from the rest, when not acceptable
}

// Revision is a judgement and the value that the other judgements imply.
type Revision struct {
	A       string  `json:"a"`
	B       string  `json:"b"`
	Given   float64 `json:"given"`
	Implied float64 `json:"implied"`
}

// priorities returns the principal eigenvector of a reciprocal matrix, divided
// by its sum, and its eigenvalue.
func priorities(a [][]float64) (w []float64, lambda float64, ok bool) {
	n := len(a)
	dense := mat.NewDense(n, n, nil)
	for i := range a {
		dense.SetRow(i, a[i])
	}
	var eigen mat.Eigen
	if !eigen.Factorize(dense, mat.EigenRight) {
		return nil, 0, false
	}
	top := 0
	values := eigen.Values(nil)
	for i, v := range values {
		if real(v) > real(values[top]) {
			top = i
		}
	}
	var vectors mat.CDense
	eigen.VectorsTo(&vectors)
	w = make([]float64, n)
	total := 0.0
	for i := range w {
		w[i] = math.Abs(real(vectors.At(i, top))) // Perron: of one sign
		total += w[i]
	}
	for i := range w {
		w[i] /= total
	}
	return w, real(values[top]), true
}

// consistency judges the judgements a about names, which gave w and lambda.
func consistency(of string, names []string, a [][]float64, w []float64, lambda float64) Consistency {
	n := len(names)
	c := Consistency{Of: of, Priorities: map[string]float64{}, LambdaMax: lambda, Acceptable: true}
	for i, name := range names {
		c.Priorities[name] = w[i]
	}
	if n < 3 {
		return c
	}
	c.Index = max(0, (lambda-float64(n))/float64(n-1)) // λ ≥ n but for rounding
	c.Ratio = c.Index / randomIndex[n]
	c.Acceptable = c.Ratio <= maxRatio
	if !c.Acceptable {
		worst := 0.0
		for i := range n {
			for j := range i {
				if off := math.Abs(math.Log(a[i][j] * w[j] / w[i])); off > worst {
					worst = off
					c.Revise = &Revision{names[j], names[i], a[j][i], w[j] / w[i]}
				}
			}
		}
	}
	return c
}

// matrix turns judgements about names into a full reciprocal matrix.
func (j Judgements) matrix(field string, names []string) ([][]float64, error) {
	n := len(names)
	if n > MaxJudged {
		return nil, bad(field, fmt.Sprintf("at most %d things compared in pairs", MaxJudged), fmt.Sprintf("%d", n))
	}
	if len(j.Matrix) > 0 && len(j.Pairs) > 0 {
		return nil, bad(field, "either a matrix or a list of pairs", "both")
	}
	if len(j.Matrix) > 0 {
		return fromMatrix(field, names, j.Matrix)
	}
	return fromPairs(field, names, j.Pairs)
}

// judgement bounds: far beyond Saaty's 1/9 to 9, so that other scales fit, and
// such that products of 15 of them stay finite.
const maxJudgement = 1e6

func checkJudgement(field string, v float64) error {
	if !(v >= 1/maxJudgement && v <= maxJudgement) {
		return bad(field, fmt.Sprintf("a ratio above 0, from 1/%g to %g (Saaty's scale: 1/9 to 9)", maxJudgement, maxJudgement), v)
	}
	return nil
}

// fromMatrix takes the entry of at least 1 of each pair and makes the other its
// exact reciprocal: 0.33 is how 1/3 is written.
func fromMatrix(field string, names []string, given [][]float64) ([][]float64, error) {
	n := len(names)
	if len(given) != n {
		return nil, bad(field, fmt.Sprintf("a %d×%d matrix", n, n), fmt.Sprintf("%d rows", len(given)))
	}
	for i, row := range given {
		if len(row) != n {
			return nil, bad(fmt.Sprintf("%s[%d]", field, i), fmt.Sprintf("%d numbers", n), fmt.Sprintf("%d", len(row)))
		}
		for k, v := range row {
			if err := checkJudgement(fmt.Sprintf("%s[%d][%d]", field, i, k), v); err != nil {
				return nil, err
			}
		}
	}
	a := grid(n, n)
	for i := range n {
		if given[i][i] != 1 {
			return nil, bad(fmt.Sprintf("%s[%d][%d]", field, i, i), "1: a thing against itself", given[i][i])
		}
		a[i][i] = 1
		for k := range i {
			x, y := given[i][k], given[k][i]
			if p := x * y; p < 0.95 || p > 1.05 {
				return nil, bad(fmt.Sprintf("%s[%d][%d]", field, i, k), fmt.Sprintf("the reciprocal of [%d][%d], %.4g", k, i, 1/y), x)
			}
			if x >= y {
				y = 1 / x
			} else {
				x = 1 / y
			}
			a[i][k], a[k][i] = x, y
		}
	}
	return a, nil
}

func fromPairs(field string, names []string, pairs []Pair) ([][]float64, error) {
	a := grid(len(names), len(names))
	for i := range a {
		a[i][i] = 1
	}
	for k, p := range pairs {
		at := fmt.Sprintf("%s[%d]", field, k)
		i, j := slices.Index(names, p.A), slices.Index(names, p.B)
		if i < 0 || j < 0 || i == j {
			return nil, bad(at, fmt.Sprintf("two different names a and b out of %q", names), fmt.Sprintf("%q and %q", p.A, p.B))
		}
		if err := checkJudgement(at+".value", p.Value); err != nil {
			return nil, err
		}
		if a[i][j] != 0 {
			return nil, bad(at, "each pair once", p.A+" and "+p.B+" again")
		}
		a[i][j], a[j][i] = p.Value, 1/p.Value
	}
	var missing []string
	for i := range a {
		for j := range i {
			if a[i][j] == 0 {
				missing = append(missing, names[j]+" / "+names[i])
			}
		}
	}
	if missing != nil {
		return nil, bad(field, fmt.Sprintf("a judgement for each of the %d pairs", len(names)*(len(names)-1)/2),
			fmt.Sprintf("none for %q", missing[:min(len(missing), 5)]))
	}
	return a, nil
}

// prioritize derives the priorities of names from the reciprocal matrix a and
// records how consistent it is.
func (md *model) prioritize(field, of string, names []string, a [][]float64) ([]float64, error) {
	w, lambda, ok := priorities(a)
	if !ok {
		return nil, bad(field, "judgements whose eigenvectors can be found", "a matrix on which the QR iteration did not converge")
	}
	if md.quiet {
		return w, nil
	}
	c := consistency(of, names, a, w, lambda)
	md.res.Consistency = append(md.res.Consistency, c)
	if !c.Acceptable {
		md.note("inconsistent_judgements", "the judgements on %s have consistency ratio %.3f, above 0.10: review %s against %s (given %.3g, the others imply %.3g)",
			of, c.Ratio, c.Revise.A, c.Revise.B, c.Revise.Given, c.Revise.Implied)
	}
	return w, nil
}

// judged returns the local priorities of the options rows under a criterion. A
// comparison covers all options of the problem, so where fewer take part it uses
// the part of the matrix that is about them.
func (md *model) judged(rows []int, criterion string, j Judgements) ([]float64, error) {
	field, of := "comparisons.options", "options"
	if criterion != "" {
		field, of = field+"."+criterion, criterion
	}
	j.Pairs = slices.Clone(j.Pairs)
	for k := range j.Pairs {
		for _, ref := range []*string{&j.Pairs[k].A, &j.Pairs[k].B} {
			i, err := md.option(fmt.Sprintf("%s[%d]", field, k), *ref)
			if err != nil {
				return nil, err
			}
			*ref = md.keys[i]
		}
	}
	full, err := j.matrix(field, md.keys)
	if err != nil {
		return nil, err
	}
	a := make([][]float64, len(rows))
	for k, i := range rows {
		a[k] = pick(full[i], rows)
	}
	return md.prioritize(field, of, pick(md.keys, rows), a)
}

// judgeCriteria sets the weights from the comparisons of criteria.
func (md *model) judgeCriteria() error {
	names := make([]string, len(md.p.Criteria))
	for i, c := range md.p.Criteria {
		names[i] = c.Name
	}
	a, err := md.p.Comparisons.Criteria.matrix("comparisons.criteria", names)
	if err != nil {
		return err
	}
	w, err := md.prioritize("comparisons.criteria", "criteria", names, a)
	if err != nil {
		return err
	}
	md.useWeights(w, 1)
	return nil
}
