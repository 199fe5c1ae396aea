package problem

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// ticTacToe is a state of nine cells (0 empty, 1 X, 2 O), who moves, and
// whether somebody has three in a row.
type ticTacToe struct{ start [11]float64 }

const (
	cellMover = 9
	cellWon   = 10
)

var lines = [8][3]int{{0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {0, 3, 6}, {1, 4, 7}, {2, 5, 8}, {0, 4, 8}, {2, 4, 6}}

// TicTacToe is the game on a 3×3 board from the position in board: nine cells,
// row by row, each X, O or one of ". _ -" for empty; blanks, line breaks and |
// are ignored, and an empty board is the usual start. X is player 1 and began,
// so the number of marks says who moves. The return is 1 if X wins, -1 if O
// does, and 0 for a draw.
func TicTacToe(board string) (Model, error) {
	m := &ticTacToe{}
	cells, marks := 0, [3]int{}
	for _, r := range board {
		mark := 0
		switch r {
		case ' ', '\t', '\r', '\n', '|':
			continue
		case 'X', 'x':
			mark = 1
		case 'O', 'o', '0':
			mark = 2
		case '.', '_', '-':
		default:
			return nil, fault.Newf(fault.Invalid, "the board has %q; expected X, O or . in each cell", r)
		}
		if cells < 9 {
			m.start[cells] = float64(mark)
			marks[mark]++
		}
		cells++
	}
	if cells != 9 && cells != 0 {
		return nil, fault.Newf(fault.Invalid, "the board has %d cells; expected 9", cells)
	}
	x, o := m.won(1), m.won(2)
	switch d := marks[1] - marks[2]; {
	case d != 0 && d != 1:
		return nil, fault.Newf(fault.Invalid, "the board has %d X and %d O; expected as many, or one X more", marks[1], marks[2])
	case x && (o || d == 0), o && d == 1:
		return nil, fault.Newf(fault.Invalid, "a board that no game reaches; expected one where play ended with the first three in a row")
	default:
		m.start[cellMover] = float64(1 + d)
	}
	if x || o {
		m.start[cellWon] = 1
	}
	return m, nil
}

func (m *ticTacToe) won(mark float64) bool { return hasLine(m.start[:], mark) }

func hasLine(state []float64, mark float64) bool {
	for _, l := range lines {
		if state[l[0]] == mark && state[l[1]] == mark && state[l[2]] == mark {
			return true
		}
	}
	return false
}

func (m *ticTacToe) Traits() Traits {
	return Traits{Size: 11, Actions: 9, Players: 2, Discount: 1, Horizon: 9, Deterministic: true, Bounded: true, Low: -1, High: 1, Weight: 1}
}

func (m *ticTacToe) Start(state []float64) { copy(state, m.start[:]) }

func (m *ticTacToe) Player(state []float64) int { return int(state[cellMover]) }

func (m *ticTacToe) Actions(state []float64, buf []int) ([]int, error) {
	if state[cellWon] != 0 {
		return buf, nil
	}
	for i, c := range state[:9] {
		if c == 0 {
			buf = append(buf, i)
		}
	}
	return buf, nil
}

func (m *ticTacToe) Apply(state []float64, action int, _ *rand.Rand) (int, float64, error) {
	mover := state[cellMover]
	state[action] = mover
	state[cellMover] = 3 - mover
	if hasLine(state, mover) {
		state[cellWon] = 1
		return 0, 3 - 2*mover, nil
	}
	return 0, 0, nil
}

// Value is 0: a win was paid with the move that made it.
func (m *ticTacToe) Value([]float64) (float64, error) { return 0, nil }

func (m *ticTacToe) Label(action int) string {
	return fmt.Sprintf("row %d column %d", action/3+1, action%3+1)
}

// Board draws a state of TicTacToe as its constructor reads it, without blanks.
func Board(state []float64) string {
	var b strings.Builder
	for _, c := range state[:9] {
		b.WriteByte(".XO"[int(c)])
	}
	return b.String()
}
