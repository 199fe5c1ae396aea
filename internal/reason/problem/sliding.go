package problem

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Bounds of SlidingTiles.
const (
	MinPuzzleSide = 2
	MaxPuzzleSide = 5
)

// slidingTiles is a state of the tile in each cell, 0 for the gap, and the moves
// made. Action d moves the tile below, left of, above, or right of the gap into
// it: the tile goes up, right, down, or left.
type slidingTiles struct {
	columns, rows int
	start         []int
	moves         int
}

// SlidingTiles is the puzzle of bringing tiles into order, 1 first and the gap 0
// last, by sliding one at a time into the gap. tiles are the cells row by row.
// Each move costs 1, and what is not in order after most moves costs the sum of
// the tiles' distances besides, which no solution can undercut: with a most of 0,
// that is 31 moves for 3×3, which always suffice (Reinefeld, 1993), and 80 else,
// which suffice for 4×4 (Brüngger et al., 1999). Arrangements that cannot be
// solved, half of all (Johnson and Story, 1879), are refused. The heuristic
// prefers moves that bring a tile nearer to its place.
func SlidingTiles(columns int, tiles []int, most int) (Model, error) {
	m := &slidingTiles{columns: columns, start: slices.Clone(tiles), moves: most}
	if columns < MinPuzzleSide || columns > MaxPuzzleSide {
		return nil, Flaws{{"columns", fmt.Sprint(columns), fmt.Sprintf("%d to %d", MinPuzzleSide, MaxPuzzleSide)}}
	}
	m.rows = len(tiles) / columns
	if m.rows < MinPuzzleSide || m.rows > MaxPuzzleSide || m.rows*columns != len(tiles) {
		return nil, Flaws{{"tiles", fmt.Sprintf("%d tiles in %d columns", len(tiles), columns), fmt.Sprintf("%d to %d full rows", MinPuzzleSide, MaxPuzzleSide)}}
	}
	for i, v := range slices.Sorted(slices.Values(tiles)) {
		if v != i {
			return nil, Flaws{{"tiles", fmt.Sprint(tiles), fmt.Sprintf("each number from 0 to %d once", len(tiles)-1)}}
		}
	}
	if m.moves == 0 {
		m.moves = 80
		if columns == 3 && m.rows == 3 {
			m.moves = 31
		}
	}
	if m.moves < 1 || m.moves > MaxHorizon {
		return nil, Flaws{{"maxMoves", fmt.Sprint(most), fmt.Sprintf("1 to %d", MaxHorizon)}}
	}
	if !m.solvable() {
		return nil, Flaws{{"tiles", "no moves bring these tiles into order", "an arrangement with the other parity: swap two tiles"}}
	}
	return m, nil
}

// solvable compares the parity of the arrangement with that of the gap's way:
// every move is a transposition and moves the gap by one cell.
func (m *slidingTiles) solvable() bool {
	odd := false
	for i, v := range m.start {
		for _, w := range m.start[i+1:] {
			odd = odd != ((v+len(m.start)-1)%len(m.start) > (w+len(m.start)-1)%len(m.start)) // the gap sorts last
		}
	}
	gap := slices.Index(m.start, 0)
	way := m.rows - 1 - gap/m.columns + m.columns - 1 - gap%m.columns
	return odd == (way%2 == 1)
}

func (m *slidingTiles) Traits() Traits {
	most := float64(len(m.start) * (m.columns + m.rows))
	return Traits{
		Size: len(m.start) + 1, Actions: 4, Players: 1, Discount: 1, Horizon: m.moves, Deterministic: true,
		Bounded: true, Low: -float64(m.moves) - most, High: 0, Weight: 1, Guided: true,
	}
}

func (m *slidingTiles) Start(state []float64) {
	for i, v := range m.start {
		state[i] = float64(v)
	}
	state[len(m.start)] = 0
}

func (m *slidingTiles) Player([]float64) int { return 1 }

// neighbor returns the cell from which action d moves a tile into the gap, -1 if
// there is none.
func (m *slidingTiles) neighbor(gap, d int) int {
	row, column := gap/m.columns+[4]int{1, 0, -1, 0}[d], gap%m.columns+[4]int{0, -1, 0, 1}[d]
	if row < 0 || row >= m.rows || column < 0 || column >= m.columns {
		return -1
	}
	return row*m.columns + column
}

func (m *slidingTiles) Actions(state []float64, buf []int) ([]int, error) {
	n := len(m.start)
	if int(state[n]) >= m.moves || m.distance(state) == 0 {
		return buf, nil
	}
	gap := slices.Index(state[:n], 0)
	for d := range 4 {
		if m.neighbor(gap, d) >= 0 {
			buf = append(buf, d)
		}
	}
	return buf, nil
}

func (m *slidingTiles) Apply(state []float64, action int, _ *rand.Rand) (int, float64, error) {
	n := len(m.start)
	gap := slices.Index(state[:n], 0)
	from := m.neighbor(gap, action)
	state[gap], state[from] = state[from], 0
	state[n]++
	return 0, -1, nil
}

// away is how many moves tile v in a cell needs at least.
func (m *slidingTiles) away(cell, v int) int {
	home := v - 1
	rows, columns := cell/m.columns-home/m.columns, cell%m.columns-home%m.columns
	return max(rows, -rows) + max(columns, -columns)
}

// distance is the sum of the distances of all tiles from their places.
func (m *slidingTiles) distance(state []float64) (sum int) {
	for i := range m.start {
		if v := int(state[i]); v != 0 {
			sum += m.away(i, v)
		}
	}
	return sum
}

func (m *slidingTiles) Value(state []float64) (float64, error) {
	return -float64(m.distance(state)), nil
}

// nearer is how much likelier a move that brings a tile nearer is than one that
// takes it away.
const nearer = 4

func (m *slidingTiles) Weigh(state []float64, acts []int, weights []float64) error {
	gap := slices.Index(state[:len(m.start)], 0)
	for i, d := range acts {
		from := m.neighbor(gap, d)
		v := int(state[from])
		weights[i] = 1
		if m.away(gap, v) < m.away(from, v) {
			weights[i] = nearer
		}
	}
	return nil
}

func (m *slidingTiles) Label(action int) string {
	return "tile " + [4]string{"up", "right", "down", "left"}[action]
}
