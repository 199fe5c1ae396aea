package problem

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Bounds on Nim.
const (
	MaxHeaps = 8
	MaxHeap  = 32
)

// nim is a state of heap sizes and who moves. Action h·most+k-1 takes k from
// heap h.
type nim struct {
	heaps []int
	most  int // the largest heap at the start
	total int
}

// Nim is the game in which a move takes any number from one heap and whoever
// takes the last wins: 1 to player 1, who begins, or -1. The mover wins exactly
// if the bitwise exclusive or of the heaps is not 0 (Bouton, 1901).
func Nim(heaps []int) (Model, error) {
	if len(heaps) == 0 || len(heaps) > MaxHeaps {
		return nil, fault.Newf(fault.Invalid, "%d heaps; expected 1 to %d", len(heaps), MaxHeaps)
	}
	m := &nim{heaps: slices.Clone(heaps), most: 1}
	for i, n := range heaps {
		if n < 0 || n > MaxHeap {
			return nil, fault.Newf(fault.Invalid, "heap %d has %d; expected 0 to %d", i+1, n, MaxHeap)
		}
		m.most = max(m.most, n)
		m.total += n
	}
	return m, nil
}

func (m *nim) Traits() Traits {
	return Traits{
		Size: len(m.heaps) + 1, Actions: len(m.heaps) * m.most, Players: 2, Discount: 1, Horizon: m.total,
		Deterministic: true, Bounded: true, Low: -1, High: 1, Weight: 1,
	}
}

func (m *nim) Start(state []float64) {
	for i, n := range m.heaps {
		state[i] = float64(n)
	}
	state[len(m.heaps)] = 1
}

func (m *nim) Player(state []float64) int { return int(state[len(m.heaps)]) }

func (m *nim) Actions(state []float64, buf []int) ([]int, error) {
	for h := range m.heaps {
		for k := range int(state[h]) {
			buf = append(buf, h*m.most+k)
		}
	}
	return buf, nil
}

func (m *nim) Apply(state []float64, action int, _ *rand.Rand) (int, float64, error) {
	n := len(m.heaps)
	mover := state[n]
	state[action/m.most] -= float64(action%m.most + 1)
	state[n] = 3 - mover
	for _, left := range state[:n] {
		if left > 0 {
			return 0, 0, nil
		}
	}
	return 0, 3 - 2*mover, nil
}

// Value is 0: the last move was paid when it was made.
func (m *nim) Value([]float64) (float64, error) { return 0, nil }

func (m *nim) Label(action int) string {
	return fmt.Sprintf("take %d from heap %d", action%m.most+1, action/m.most+1)
}
