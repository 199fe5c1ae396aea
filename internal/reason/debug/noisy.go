package debug

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Limits of a search with wrong outcomes.
const (
	MaxNoisy      = 5000 // items: there is a probability for each
	MaxErrorRate  = 0.49
	maxConfidence = 0.999999
)

// Noisy is a search for the first bad item where each outcome is wrong with the
// probability ErrorRate, independently of all others. It asks at the median of the
// posterior and ends when one item has the probability Confidence. The probability
// is right as far as the error rate and the prior are.
type Noisy struct {
	Range
	ErrorRate  float64   `json:"errorRate"`
	Confidence float64   `json:"confidence"`
	Prior      []float64 `json:"prior,omitempty"` // weights of the items; none: all equal
	Log        []Told    `json:"log,omitempty"`
}

// Validate reports what is wrong with the settings or the log.
func (b *Noisy) Validate() error {
	if err := b.Range.Validate(); err != nil {
		return err
	}
	switch {
	case b.N > MaxNoisy:
		return flaw("items", fmt.Sprintf("at most %d items where outcomes can be wrong", MaxNoisy), "%d", b.N)
	case !(b.ErrorRate > 0 && b.ErrorRate <= MaxErrorRate):
		return flaw("errorRate", fmt.Sprintf("above 0 and at most %g: at one half an outcome says nothing", MaxErrorRate), "%g", b.ErrorRate)
	case !(b.Confidence >= 0.5 && b.Confidence <= maxConfidence):
		return flaw("confidence", fmt.Sprintf("from 0.5 to %g", maxConfidence), "%g", b.Confidence)
	case len(b.Log) > MaxTests:
		return flaw("log", fmt.Sprintf("at most %d outcomes", MaxTests), "%d", len(b.Log))
	}
	for i, t := range b.Log {
		if err := b.check(t); err != nil {
			return fmt.Errorf("log[%d]: %w", i, err)
		}
	}
	return checkWeights("prior", b.Prior, b.N)
}

// checkWeights checks weights of n things, if there are any.
func checkWeights(path string, w []float64, n int) error {
	if len(w) == 0 {
		return nil
	}
	if len(w) != n {
		return flaw(path, fmt.Sprintf("%d weights, one for each", n), "%d", len(w))
	}
	sum := 0.0
	for i, x := range w {
		if !(x >= 0 && x <= 1e12) {
			return flaw(fmt.Sprintf("%s[%d]", path, i), "a weight from 0 to 1e12", "%g", x)
		}
		sum += x
	}
	if sum < 1e-9 {
		return flaw(path, "at least one weight that is not 0", "only zeros")
	}
	return nil
}

func (b *Noisy) check(t Told) error {
	if err := checkOutcome(t.Outcome); err != nil {
		return err
	}
	if t.Item < 1 || t.Item > b.N {
		return flaw("test", "an item of the range", "item %d of %d", t.Item, b.N)
	}
	return nil
}

// posterior returns the probability of each item, and how often a test of it was
// unresolved. The log is summed up before it is multiplied in, so it costs one pass
// over the items and one over the log.
func (b *Noisy) posterior() (p []float64, skipped map[int]int) {
	evidence := make([]int, b.N+1) // [i]: outcomes for item i over those for item i−1
	skipped = map[int]int{}
	for _, t := range b.Log {
		switch t.Outcome {
		case Fail: // for the items up to it, against those after it
			evidence[0]++
			evidence[t.Item] -= 2
		case Pass:
			evidence[0]--
			evidence[t.Item] += 2
		case Unresolved:
			skipped[t.Item]++
		}
	}
	odds := math.Log1p(-b.ErrorRate) - math.Log(b.ErrorRate) // of one outcome
	p = make([]float64, b.N)
	at, best := 0, math.Inf(-1)
	for i := range p {
		at += evidence[i]
		w := 1.0
		if len(b.Prior) > 0 {
			w = b.Prior[i]
		}
		p[i] = math.Log(w) + float64(at)*odds/2
		best = max(best, p[i])
	}
	sum := 0.0
	for i := range p {
		p[i] = math.Exp(p[i] - best)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p, skipped
}

// Ask returns the test to make next, nil when the search is over, and the posterior.
func (b *Noisy) Ask() (*Query, Finding, error) {
	p, skipped := b.posterior()
	f := Finding{Told: len(b.Log), Ranking: ranking(p, func(i int) string { return b.label(i + 1) })}
	for _, x := range p {
		if x > 1e-6 {
			f.Candidates++
		}
	}
	top := f.Ranking[0]
	if top.Probability >= b.Confidence {
		f.Done, f.Found = true, []string{top.Name}
		f.Why = fmt.Sprintf("the posterior of %s has reached %g", top.Name, b.Confidence)
		return nil, f, nil
	}
	item, failing := median(p, skipped)
	if item == 0 {
		f.Done, f.Found = true, []string{top.Name}
		f.Why = "what could part the likely ones cannot be tested"
		return nil, f, nil
	}
	f.Why = fmt.Sprintf("%s is the likeliest; the search goes on to %g", top.Name, b.Confidence)
	name := b.label(item)
	seen := failing*(1-b.ErrorRate) + (1-failing)*b.ErrorRate
	return &Query{
		Test: name, Do: fmt.Sprintf("test %s (again, if it was before): each test counts, right or wrong", name),
		Bits: new(entropy(seen, 1-seen) - entropy(b.ErrorRate, 1-b.ErrorRate)),
	}, f, nil
}

// maxSkips is how often a test of an item is unresolved before it is given up.
const maxSkips = 3

// median returns the item whose test has the chance to fail nearest to one half,
// and that chance, leaving out those that cannot be tested and the last one, whose
// test says nothing. It returns 0 if no other is left.
func median(p []float64, skipped map[int]int) (item int, failing float64) {
	sum, best := 0.0, math.Inf(1)
	for i := range len(p) - 1 {
		sum += p[i]
		if d := math.Abs(sum - 0.5); d < best && skipped[i+1] < maxSkips && sum > 1e-12 && sum < 1-1e-12 {
			item, failing, best = i+1, sum, d
		}
	}
	return item, failing
}

// ranking returns the likeliest, the earlier first among equals.
func ranking(p []float64, name func(int) string) []Weight {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(p[j], p[i]) })
	var out []Weight
	for _, i := range order[:min(len(order), maxRanking)] {
		if p[i] > 0 {
			out = append(out, Weight{name(i), p[i]})
		}
	}
	return out
}

// entropy is Shannon's, in bits.
func entropy(p ...float64) float64 {
	h := 0.0
	for _, x := range p {
		if x > 0 {
			h -= x * math.Log2(x)
		}
	}
	return h
}

// Tell notes the outcome of one test of the item of that name.
func (b *Noisy) Tell(test string, o Outcome) error {
	if err := room(len(b.Log)); err != nil {
		return err
	}
	i, err := b.index(test)
	if err != nil {
		return err
	}
	t := Told{i, o}
	if err := b.check(t); err != nil {
		return err
	}
	b.Log = append(b.Log, t)
	return nil
}
