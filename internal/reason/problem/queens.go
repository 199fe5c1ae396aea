package problem

import (
	"fmt"
	"math/rand/v2"
)

// MaxQueens bounds Queens: its diagonals are bits that a float64 holds exactly.
const MaxQueens = 26

// queens is a state of the queens placed and, as bits, the columns and the two
// kinds of diagonals they are on.
type queens struct{ n int }

// Queens is the problem of placing n queens on an n×n board, row by row, so that
// none attacks another. A run ends when a row has no cell that is not attacked;
// it is worth the share of the queens that were placed, 1 for a solution. There
// is one for every n but 2 and 3 (Pauls, 1874).
func Queens(n int) (Model, error) {
	if n < 1 || n > MaxQueens {
		return nil, Flaws{{"queens", fmt.Sprint(n), fmt.Sprintf("1 to %d", MaxQueens)}}
	}
	return &queens{n}, nil
}

func (m *queens) Traits() Traits {
	return Traits{
		Size: 4, Actions: m.n, Players: 1, Discount: 1, Horizon: m.n, Deterministic: true,
		Bounded: true, Low: 0, High: 1, Weight: 1,
	}
}

func (m *queens) Start(state []float64) { clear(state) }

func (m *queens) Player([]float64) int { return 1 }

func (m *queens) Actions(state []float64, buf []int) ([]int, error) {
	row := int(state[0])
	if row == m.n {
		return buf, nil
	}
	columns, up, down := uint64(state[1]), uint64(state[2]), uint64(state[3])
	for c := range m.n {
		if columns>>c&1 == 0 && up>>(row+c)&1 == 0 && down>>(row-c+m.n-1)&1 == 0 {
			buf = append(buf, c)
		}
	}
	return buf, nil
}

func (m *queens) Apply(state []float64, c int, _ *rand.Rand) (int, float64, error) {
	row := int(state[0])
	state[0]++
	for i, bit := range [3]int{c, row + c, row - c + m.n - 1} {
		state[1+i] = float64(uint64(state[1+i]) | 1<<bit)
	}
	return 0, 0, nil
}

func (m *queens) Value(state []float64) (float64, error) { return state[0] / float64(m.n), nil }

func (m *queens) Label(action int) string { return fmt.Sprintf("column %d", action+1) }
