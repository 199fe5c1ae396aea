package problem

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
)

// connectFour is a state of two bitboards, the stones of player 1 and those of
// player 2, and whether somebody has four in a row. A column takes rows+1 bits,
// lowest cell first, the topmost always 0, so that a shift never runs from one
// column into the next (Tromp's Fhourstones has this layout). At most 53 bits
// are used, which a float64 holds exactly.
type connectFour struct {
	columns, rows int
	start         [3]float64
	left          int // empty cells at the start
}

// Bounds on ConnectFour.
const (
	MinBoardSide = 4
	MaxBoardSide = 9
	maxBoardBits = 53
)

// ConnectFour is the game in which stones fall into columns and four in a row,
// straight or diagonal, win: 1 to player 1, -1 to player 2, 0 for a full board.
// moves are the columns played so far, one digit each, from 1; blanks are
// ignored. The usual board has 7 columns of 6 rows, with which player 1 wins
// (Allis 1988; Allen 1988). The heuristic takes a win, else stops one.
func ConnectFour(columns, rows int, moves string) (Model, error) {
	var flaws Flaws
	if columns < MinBoardSide || columns > MaxBoardSide {
		flaws.addf("columns", fmt.Sprintf("%d to %d", MinBoardSide, MaxBoardSide), "%d", columns)
	}
	if rows < MinBoardSide || columns*(rows+1) > maxBoardBits {
		flaws.addf("rows", fmt.Sprintf("at least %d, and columns·(rows+1) at most %d", MinBoardSide, maxBoardBits), "%d", rows)
	}
	if flaws != nil {
		return nil, flaws
	}
	m := &connectFour{columns: columns, rows: rows, left: columns * rows}
	for i, r := range moves {
		if strings.ContainsRune(" \t\r\n,", r) {
			continue
		}
		c := int(r - '1')
		legal, err := m.Actions(m.start[:], nil)
		if err != nil {
			return nil, err
		}
		if c < 0 || c >= columns || m.start[2] != 0 || !slices.Contains(legal, c) {
			return nil, Flaws{{"moves", fmt.Sprintf("character %d, %q, is no legal move", i+1, r), fmt.Sprintf("the digits of columns, 1 to %d, that are not full, until somebody has won", columns)}}
		}
		if _, _, err := m.Apply(m.start[:], c, nil); err != nil {
			return nil, err
		}
		m.left--
	}
	return m, nil
}

func (m *connectFour) Traits() Traits {
	return Traits{
		Size: 3, Actions: m.columns, Players: 2, Discount: 1, Horizon: max(m.left, 1),
		Deterministic: true, Bounded: true, Low: -1, High: 1, Weight: 1, Guided: true,
	}
}

func (m *connectFour) Start(state []float64) { copy(state, m.start[:]) }

func (m *connectFour) Player(state []float64) int {
	return 1 + bits.OnesCount64(uint64(state[0])) - bits.OnesCount64(uint64(state[1]))
}

// cell is the lowest empty cell of a column, which must not be full.
func (m *connectFour) cell(mask uint64, column int) uint64 {
	stride := uint(m.rows + 1)
	bottom := uint64(1) << (uint(column) * stride)
	return (mask + bottom) & ((bottom << m.rows) - bottom)
}

func (m *connectFour) Actions(state []float64, buf []int) ([]int, error) {
	if state[2] != 0 {
		return buf, nil
	}
	mask := uint64(state[0]) | uint64(state[1])
	for c := range m.columns {
		if mask>>(c*(m.rows+1)+m.rows-1)&1 == 0 {
			buf = append(buf, c)
		}
	}
	return buf, nil
}

func (m *connectFour) Apply(state []float64, action int, _ *rand.Rand) (int, float64, error) {
	first, second := uint64(state[0]), uint64(state[1])
	mover := m.Player(state)
	own := first
	if mover == 2 {
		own = second
	}
	own |= m.cell(first|second, action)
	state[mover-1] = float64(own)
	if m.aligned(own) {
		state[2] = 1
		return 0, float64(3 - 2*mover), nil
	}
	return 0, 0, nil
}

// aligned reports whether four of the stones are in a row.
func (m *connectFour) aligned(stones uint64) bool {
	stride := m.rows + 1
	for _, d := range [4]int{1, stride, stride - 1, stride + 1} {
		pairs := stones & (stones >> d)
		if pairs&(pairs>>(2*d)) != 0 {
			return true
		}
	}
	return false
}

// Value is 0: a win was paid with the move that made it.
func (m *connectFour) Value([]float64) (float64, error) { return 0, nil }

// Weights of Weigh: a win ends the game, and a threat that is not met does.
const (
	weightWin  = 1e6
	weightStop = 1e3
)

func (m *connectFour) Weigh(state []float64, acts []int, weights []float64) error {
	own, other := uint64(state[0]), uint64(state[1])
	mask := own | other
	if m.Player(state) == 2 {
		own, other = other, own
	}
	for i, c := range acts {
		cell := m.cell(mask, c)
		switch {
		case m.aligned(own | cell):
			weights[i] = weightWin
		case m.aligned(other | cell):
			weights[i] = weightStop
		default:
			weights[i] = 1
		}
	}
	return nil
}

func (m *connectFour) Label(action int) string { return fmt.Sprintf("column %d", action+1) }
