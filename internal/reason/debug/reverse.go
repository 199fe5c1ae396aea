package debug

import "fmt"

// Limits of hypotheses about a black box.
const (
	MaxHypotheses = 200
	MaxInputCases = 1000
	MaxText       = 2000 // bytes of an output
)

// Observation is what a black box gave for an input.
type Observation struct {
	Input  string
	Output string
}

// Hypothesis is a guess of what is inside, by what it predicts.
type Hypothesis struct {
	Name     string
	Predicts map[string]string // input → output
}

// Judged is what the observations say about a hypothesis.
type Judged struct {
	Name      string `json:"hypothesis"`
	Status    string `json:"status"` // consistent, refuted, or not_assessable where it predicts nothing that was observed
	Agrees    int    `json:"agrees"`
	Silent    int    `json:"silent"` // observations that it predicts nothing for
	Input     string `json:"counterexample,omitempty"`
	Predicted string `json:"predicted,omitempty"`
	Observed  string `json:"observed,omitempty"`
}

// The states of a hypothesis.
const (
	Consistent    = "consistent"
	Refuted       = "refuted"
	NotAssessable = "not_assessable"
)

// Probe is an input that was not observed yet, for which hypotheses that are left
// predict different outputs.
type Probe struct {
	Input  string  `json:"input"`
	Bits   float64 `json:"gainBits"` // entropy of the predictions, each hypothesis counting the same
	Kinds  int     `json:"predictions"`
	Silent int     `json:"silent"` // hypotheses that say nothing; they count as one more kind
}

// Reverse refutes hypotheses by counterexample, the exact text of an output, and
// returns the input that parts those that are left best, nil if none does.
func Reverse(seen []Observation, guesses []Hypothesis) ([]Judged, *Probe, error) {
	if len(seen) > MaxInputCases {
		return nil, nil, flaw("observations", fmt.Sprintf("at most %d observations", MaxInputCases), "%d", len(seen))
	}
	if len(guesses) < 1 || len(guesses) > MaxHypotheses {
		return nil, nil, flaw("hypotheses", fmt.Sprintf("1 to %d hypotheses", MaxHypotheses), "%d", len(guesses))
	}
	observed := map[string]string{}
	for i, o := range seen {
		if old, twice := observed[o.Input]; twice && old != o.Output {
			return nil, nil, flaw(fmt.Sprintf("observations[%d]", i), "one output for each input: what varies depends on something that is not in the input", "%.60q and %.60q for %.60q", old, o.Output, o.Input)
		}
		observed[o.Input] = o.Output
	}
	inputs := map[string]bool{}
	var out []Judged
	var left []Hypothesis
	names := make([]string, len(guesses))
	for i, h := range guesses {
		names[i] = h.Name
		if len(h.Predicts) > MaxInputCases {
			return nil, nil, flaw(fmt.Sprintf("hypotheses[%d].predicts", i), fmt.Sprintf("at most %d predictions", MaxInputCases), "%d", len(h.Predicts))
		}
		j := judge(h, seen)
		if j.Status != Refuted {
			left = append(left, h)
			for input := range h.Predicts {
				if _, known := observed[input]; !known {
					inputs[input] = true
				}
			}
		}
		out = append(out, j)
	}
	if _, err := named("hypotheses", names); err != nil {
		return nil, nil, err
	}
	return out, bestProbe(inputs, left), nil
}

func judge(h Hypothesis, seen []Observation) Judged {
	j := Judged{Name: h.Name, Status: Consistent}
	for _, o := range seen {
		p, ok := h.Predicts[o.Input]
		switch {
		case !ok:
			j.Silent++
		case p == o.Output:
			j.Agrees++
		case j.Status != Refuted:
			j.Status, j.Input, j.Predicted, j.Observed = Refuted, o.Input, p, o.Output
		}
	}
	if j.Status == Consistent && j.Agrees == 0 {
		j.Status = NotAssessable
	}
	return j
}

// bestProbe returns the input with the most different predictions.
func bestProbe(inputs map[string]bool, left []Hypothesis) *Probe {
	var best *Probe
	for _, input := range sortedKeys(inputs) {
		kinds, silent := map[string]int{}, 0
		for _, h := range left {
			if p, ok := h.Predicts[input]; ok {
				kinds[p]++
			} else {
				silent++
			}
		}
		shares := []float64{float64(silent) / float64(len(left))}
		for _, p := range sortedKeys(kinds) {
			shares = append(shares, float64(kinds[p])/float64(len(left)))
		}
		if bits := entropy(shares...); bits > minGain && (best == nil || bits > best.Bits+1e-12) {
			best = &Probe{Input: input, Bits: bits, Kinds: len(kinds), Silent: silent}
		}
	}
	return best
}
