package decision

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var weighing = []Method{WeightedSum, WeightedProduct, TOPSIS}

func settings(rt *rapid.T) Settings {
	s := Settings{Method: rapid.SampledFrom(weighing).Draw(rt, "method")}
	if s.Method == WeightedSum {
		s.Normalization = rapid.SampledFrom(Normalizations()).Draw(rt, "normalization")
	}
	return s
}

func winners(r *Result) []string {
	if r.Recommendation != "" {
		return []string{r.Recommendation}
	}
	return r.Tied
}

// sameRanking compares ranks exactly and scores within rounding.
func sameRanking(rt *rapid.T, a, b *Result, rename func(string) string) {
	place := map[string]Ranked{}
	for _, r := range b.Ranking {
		place[r.Option] = r
	}
	for _, r := range a.Ranking {
		other := place[rename(r.Option)]
		if other.Rank != r.Rank || math.Abs(other.Score-r.Score) > 1e-9*max(1, math.Abs(r.Score)) {
			rt.Fatalf("%+v became %+v", r, other)
		}
	}
}

func same(key string) string { return key }

func TestOrderAndLabels(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, s := problem(rt), settings(rt)
		a := run(t, p, s)
		q := p
		q.Options = rapid.Permutation(p.Options).Draw(rt, "order")
		q.Criteria = rapid.Permutation(p.Criteria).Draw(rt, "criteria order")
		sameRanking(rt, a, run(t, q, s), same)
		rename := func(key string) string { return "the " + key }
		q.Options = slices.Clone(q.Options)
		for i := range q.Options {
			q.Options[i].ID = rename(q.Options[i].ID)
		}
		sameRanking(rt, a, run(t, q, s), rename)
	})
}

func TestAffineScaling(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := problem(rt)
		s := Settings{Method: WeightedSum, Normalization: rapid.SampledFrom([]Normalization{MinMax, ZScore}).Draw(rt, "normalization")}
		a := run(t, p, s)
		name := p.Criteria[0].Name
		scale := rapid.Float64Range(.01, 100).Draw(rt, "scale")
		shift := rapid.Float64Range(-1000, 1000).Draw(rt, "shift")
		q := p
		q.Options = slices.Clone(p.Options)
		for i := range q.Options {
			q.Options[i].Attributes = maps.Clone(p.Options[i].Attributes)
			q.Options[i].Attributes[name] = scale*p.Options[i].Attributes[name] + shift
		}
		b := run(t, q, s)
		for key, score := range a.MultiCriteriaScores {
			if math.Abs(b.MultiCriteriaScores[key]-score) > 1e-8 {
				rt.Fatalf("score of %s: %v became %v", key, score, b.MultiCriteriaScores[key])
			}
		}
	})
}

func TestWeightScale(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, s := problem(rt), settings(rt)
		a := run(t, p, s)
		factor := rapid.Float64Range(1e-6, 1e6).Draw(rt, "factor")
		q := p
		q.Criteria = slices.Clone(p.Criteria)
		for j := range q.Criteria {
			q.Criteria[j].Weight = new(*p.Criteria[j].Weight * factor)
		}
		sameRanking(rt, a, run(t, q, s), same)
	})
}

func TestDominatedNeverWins(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, s := problem(rt), settings(rt)
		victim := rapid.SampledFrom(p.Options).Draw(rt, "victim")
		for i := range rapid.IntRange(1, 3).Draw(rt, "copies") {
			worse := Option{ID: fmt.Sprintf("worse %d", i), Attributes: map[string]float64{}}
			for _, c := range p.Criteria {
				by := 1.25
				if !c.Minimize {
					by = 1 / by
				}
				worse.Attributes[c.Name] = victim.Attributes[c.Name] * by
			}
			p.Options = append(p.Options, worse)
		}
		r := run(t, p, s)
		for _, key := range winners(r) {
			if key[0] == 'w' {
				rt.Fatalf("%s is worse than %s on every criterion and won", key, victim.ID)
			}
		}
		for _, d := range r.Dominance.Dominated {
			if slices.Contains(winners(r), d.Option) {
				rt.Fatalf("%+v won", d)
			}
		}
	})
}

// TestWeightZero adds a criterion of weight 0, which only some options have, and
// wants the same result to the byte.
func TestWeightZero(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, s := problem(rt), settings(rt)
		s.Draws = 50
		encode := func(p Problem) string {
			r := run(t, p, s)
			delete(r.Weights, "extra")
			b, err := json.Marshal(r)
			if err != nil {
				rt.Fatal(err)
			}
			return string(b)
		}
		before := encode(p)
		at := rapid.IntRange(0, len(p.Criteria)).Draw(rt, "at")
		p.Criteria = slices.Insert(slices.Clone(p.Criteria), at, Criterion{Name: "extra", Weight: new(0.)})
		p.Options[0].Attributes["extra"] = rapid.Float64Range(-1e6, 1e6).Draw(rt, "value")
		if after := encode(p); after != before {
			rt.Fatalf("weight 0 changed\n%s\nto\n%s", before, after)
		}
	})
}

func payoffs(rt *rapid.T) Problem {
	n := rapid.IntRange(1, 6).Draw(rt, "options")
	m := rapid.IntRange(1, 5).Draw(rt, "states")
	p := Problem{Payoffs: map[string]map[string]float64{}, Probabilities: map[string]float64{}}
	total := 0
	parts := make([]int, m)
	for s := range m {
		p.States = append(p.States, fmt.Sprintf("s%d", s))
		parts[s] = rapid.IntRange(1, 10).Draw(rt, "part")
		total += parts[s]
	}
	for s, name := range p.States {
		p.Probabilities[name] = float64(parts[s]) / float64(total)
	}
	for i := range n {
		row := map[string]float64{}
		for _, name := range p.States {
			row[name] = float64(rapid.IntRange(-100, 100).Draw(rt, "payoff"))
		}
		p.Payoffs[fmt.Sprintf("o%d", i)] = row
	}
	return p
}

// TestInformation checks that the value of information is the least expected
// regret, and never negative.
func TestInformation(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := payoffs(rt)
		r := run(t, p, Settings{Method: EVPI})
		least := math.Inf(1)
		for _, row := range r.Regrets.Rows {
			expected := 0.0
			for s, regret := range row.Regrets {
				if regret < 0 {
					rt.Fatalf("negative regret: %+v", row)
				}
				expected += p.Probabilities[p.States[s]] * regret
			}
			least = min(least, expected)
		}
		if v := r.Information.Value; v < 0 || math.Abs(v-least) > 1e-9 {
			rt.Fatalf("EVPI %v, least expected regret %v", v, least)
		}
	})
}

// TestRulesByHand recomputes the rules for uncertainty from their definitions.
func TestRulesByHand(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := payoffs(rt)
		alpha := float64(rapid.IntRange(0, 10).Draw(rt, "alpha")) / 10
		score := func(m Method, option string) float64 {
			values := slices.Sorted(maps.Values(p.Payoffs[option]))
			lo, hi := values[0], values[len(values)-1]
			switch m {
			case Maximin:
				return lo
			case Maximax:
				return hi
			case Hurwicz:
				return alpha*hi + (1-alpha)*lo
			case Laplace:
				total := 0.0
				for _, v := range values {
					total += v
				}
				return total / float64(len(values))
			}
			worst := 0.0
			for _, state := range p.States {
				for _, row := range p.Payoffs {
					worst = min(worst, p.Payoffs[option][state]-row[state])
				}
			}
			return worst
		}
		for _, m := range []Method{Maximin, Maximax, Hurwicz, Laplace, MinimaxRegret} {
			r := run(t, p, Settings{Method: m, HurwiczAlpha: alpha})
			top := math.Inf(-1)
			for option := range p.Payoffs {
				top = max(top, score(m, option))
			}
			for _, ranked := range r.Ranking {
				want := score(m, ranked.Option)
				if math.Abs(ranked.Score-want) > 1e-9 || (ranked.Rank == 1) != (math.Abs(want-top) < 1e-9) {
					rt.Fatalf("%s: %+v, want score %v of best %v", m, ranked, want, top)
				}
			}
		}
	})
}

// TestRiskOrder checks that a certainty equivalent falls as aversion grows, and
// stays between the worst and the best outcome.
func TestRiskOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := payoffs(rt)
		last := map[string]float64{}
		for _, a := range []float64{-.05, -.01, 1e-9, .01, .05} {
			r := run(t, p, Settings{Method: ExpectedUtility, Risk: Risk{Coefficient: &a}})
			for _, v := range r.Utility.Options {
				values := slices.Sorted(maps.Values(p.Payoffs[v.Option]))
				ce := v.CertaintyEquivalent
				if before, seen := last[v.Option]; seen && ce > before+1e-6 || ce < values[0]-1e-6 || ce > values[len(values)-1]+1e-6 {
					rt.Fatalf("a=%v: certainty equivalent %v of %v after %v", a, ce, values, before)
				}
				last[v.Option] = ce
			}
		}
	})
}

// TestPrincipalEigenvector compares the priorities with power iteration, and
// random consistent judgements with the weights they were made of.
func TestPrincipalEigenvector(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, MaxJudged).Draw(rt, "n")
		a := grid(n, n)
		scale := []float64{1. / 9, 1. / 7, 1. / 5, 1. / 3, 1. / 2, 1, 2, 3, 4, 5, 6, 7, 8, 9}
		for i := range n {
			a[i][i] = 1
			for j := range i {
				a[i][j] = rapid.SampledFrom(scale).Draw(rt, "judgement")
				a[j][i] = 1 / a[i][j]
			}
		}
		w, lambda, ok := priorities(a)
		if !ok {
			rt.Fatal("no eigenvectors")
		}
		v, next, growth := make([]float64, n), make([]float64, n), 0.0
		for i := range v {
			v[i] = 1 / float64(n)
		}
		for range 20000 {
			growth = 0
			for i := range n {
				next[i] = v[i] // of A + I, whose other eigenvalues are farther off
				for j := range n {
					next[i] += a[i][j] * v[j]
				}
				growth += next[i]
			}
			change := 0.0
			for i := range v {
				change = max(change, math.Abs(next[i]/growth-v[i]))
				v[i] = next[i] / growth
			}
			if change < 1e-15 {
				break
			}
		}
		for i := range w {
			if math.Abs(w[i]-v[i]) > 1e-9 {
				rt.Fatalf("priority %d: %v, power iteration %v", i, w[i], v[i])
			}
		}
		if math.Abs(lambda-(growth-1)) > 1e-8 || lambda < float64(n)-1e-9 {
			rt.Fatalf("λ %v, power iteration %v, n %d", lambda, growth-1, n)
		}
	})
}

// TestAnyProblem throws values of every size at every method: the answer is an
// error with a field, or a result that JSON can hold.
func TestAnyProblem(t *testing.T) {
	value := rapid.SampledFrom([]float64{0, 1, -1, 2.5, 1e100, -1e100, 1e-300, 5e-324, 1e9, 1e9 + 1, math.Inf(1), math.NaN(), 2e100})
	rapid.Check(t, func(rt *rapid.T) {
		p := Problem{Aspirations: map[string]float64{"c0": value.Draw(rt, "aspiration")}}
		for j := range rapid.IntRange(0, 3).Draw(rt, "criteria") {
			c := Criterion{Name: fmt.Sprintf("c%d", j), Minimize: rapid.Bool().Draw(rt, "minimize")}
			if rapid.Bool().Draw(rt, "weighed") {
				c.Weight = new(value.Draw(rt, "weight"))
			}
			p.Criteria = append(p.Criteria, c)
		}
		for i := range rapid.IntRange(0, 4).Draw(rt, "options") {
			o := Option{Name: fmt.Sprintf("o%d", i), Attributes: map[string]float64{}}
			for j := range 3 {
				if rapid.IntRange(0, 9).Draw(rt, "present") > 0 {
					o.Attributes[fmt.Sprintf("c%d", j)] = value.Draw(rt, "value")
				}
			}
			p.Options = append(p.Options, o)
			if rapid.Bool().Draw(rt, "lottery") {
				p.Outcomes = append(p.Outcomes, Outcome{o.Name, new(.25), value.Draw(rt, "low")}, Outcome{o.Name, new(.75), value.Draw(rt, "high")})
			}
		}
		if rapid.Bool().Draw(rt, "payoffs") {
			q := payoffs(rt)
			p.Options, p.Outcomes, p.States, p.Payoffs, p.Probabilities = nil, nil, q.States, q.Payoffs, q.Probabilities
			p.Payoffs["o0"]["s0"] = value.Draw(rt, "payoff")
		}
		s := Settings{
			Method: rapid.SampledFrom(Methods()).Draw(rt, "method"), HurwiczAlpha: .5, Draws: 20,
			Normalization: rapid.SampledFrom(append(Normalizations(), "")).Draw(rt, "normalization"),
			Risk: Risk{
				Attitude: rapid.SampledFrom([]Attitude{"", Averse, Neutral, Seeking}).Draw(rt, "attitude"),
				Form:     rapid.SampledFrom([]Form{"", Linear, CARA, CRRA}).Draw(rt, "form"), Wealth: value.Draw(rt, "wealth"),
			},
		}
		if rapid.Bool().Draw(rt, "coefficient given") {
			s.Risk.Coefficient = new(value.Draw(rt, "coefficient"))
		}
		r, err := Analyze(free(t), p, s, 1)
		if err != nil {
			checkField(rt, err)
			return
		}
		if _, err := json.Marshal(r); err != nil {
			rt.Fatalf("%v: %+v", err, r)
		}
		if len(r.Ranking) == 0 {
			rt.Fatalf("a result without a ranking: %+v", r)
		}
	})
}
