package problem

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// MaxArms bounds the arms of a Bandit.
const MaxArms = 256

// bandit is a state of one number: the pulls made.
type bandit struct {
	arms  []float64
	pulls int
}

// Bandit is a choice between arms that pay 1 with the given probabilities, made
// pulls times. The search is not told the probabilities: it samples.
func Bandit(arms []float64, pulls int) (Model, error) {
	if len(arms) == 0 || len(arms) > MaxArms {
		return nil, fault.Newf(fault.Invalid, "%d arms; expected 1 to %d", len(arms), MaxArms)
	}
	for i, p := range arms {
		if !(p >= 0 && p <= 1) {
			return nil, fault.Newf(fault.Invalid, "arm %d pays with probability %v; expected 0 to 1", i+1, p)
		}
	}
	if pulls < 1 || pulls > MaxHorizon {
		return nil, fault.Newf(fault.Invalid, "%d pulls; expected 1 to %d", pulls, MaxHorizon)
	}
	return &bandit{slices.Clone(arms), pulls}, nil
}

func (m *bandit) Traits() Traits {
	return Traits{
		Size: 1, Actions: len(m.arms), Players: 1, Discount: 1, Horizon: m.pulls,
		Bounded: true, Low: 0, High: float64(m.pulls), Weight: 1,
	}
}

func (m *bandit) Start(state []float64) { state[0] = 0 }

func (m *bandit) Player([]float64) int { return 1 }

func (m *bandit) Actions(state []float64, buf []int) ([]int, error) {
	if int(state[0]) < m.pulls {
		for i := range m.arms {
			buf = append(buf, i)
		}
	}
	return buf, nil
}

func (m *bandit) Apply(state []float64, action int, rng *rand.Rand) (int, float64, error) {
	state[0]++
	if rng.Float64() < m.arms[action] {
		return 0, 1, nil
	}
	return 0, 0, nil
}

// Value is 0: every pull was paid when it was made.
func (m *bandit) Value([]float64) (float64, error) { return 0, nil }

func (m *bandit) Label(action int) string { return fmt.Sprintf("arm %d", action+1) }
