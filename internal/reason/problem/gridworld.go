package problem

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
)

// Bounds and defaults of GridWorld.
const (
	MaxGridSide      = 64
	DefaultGridMoves = 100
)

// Grid states a GridWorld.
type Grid struct {
	Map      string  // rows of cells: S start, G goal, T trap, # wall, . free
	Slip     float64 // probability to go to either side instead, 0 to 1
	Step     float64 // reward of arriving in a free cell
	Goal     float64 // and in a goal
	Trap     float64 // and in a trap
	Discount float64 // above 0 and at most 1
	Moves    int     // at most; 0 is DefaultGridMoves
}

// gridWorld is a state of the cell and the moves made. Actions are the four
// directions; outcome 0 is the one chosen, 1 and 2 are slips.
type gridWorld struct {
	Grid
	cells   []byte
	columns int
	start   int
}

// GridWorld is a walk to a goal on a map, past walls and traps, on slippery
// ground: a move goes where it should with probability 1 - Slip, else to its
// left or right, and a wall or the border stops it. It is over in a goal or a
// trap. The world of Russell and Norvig, Artificial Intelligence, 2010, §17.1 is
//
//	...G
//	.#.T
//	S...
//
// with Slip 0.2, Step -0.04, Goal 1, Trap -1.
func GridWorld(g Grid) (Model, error) {
	var flaws Flaws
	m := &gridWorld{Grid: g, start: -1}
	m.parse(&flaws)
	if m.Moves == 0 {
		m.Moves = DefaultGridMoves
	}
	if m.Moves < 1 || m.Moves > MaxHorizon {
		flaws.addf("maxMoves", fmt.Sprintf("1 to %d", MaxHorizon), "%d", m.Moves)
	}
	if !(g.Slip >= 0 && g.Slip <= 1) {
		flaws.addf("slip", "a probability from 0 to 1", "%v", g.Slip)
	}
	if !(g.Discount > 0 && g.Discount <= 1) {
		flaws.addf("discount", "a number above 0 and at most 1", "%v", g.Discount)
	}
	for i, r := range [3]float64{g.Step, g.Goal, g.Trap} {
		if !(math.Abs(r) <= maxReward) {
			flaws.addf([3]string{"stepReward", "goalReward", "trapReward"}[i], "a number from -1e9 to 1e9", "%v", r)
		}
	}
	if flaws != nil {
		return nil, flaws
	}
	return m, nil
}

// maxReward is of any single reward, distance, value or duration of a built-in
// problem, so that sums of them stay exact enough.
const maxReward = 1e9

func (m *gridWorld) parse(flaws *Flaws) {
	rows := strings.Fields(m.Map)
	if len(rows) == 0 || len(rows) > MaxGridSide {
		flaws.addf("map", fmt.Sprintf("1 to %d rows, separated by line breaks or blanks", MaxGridSide), "%d rows", len(rows))
		return
	}
	m.columns = len(rows[0])
	for i, row := range rows {
		if len(row) != m.columns || len(row) > MaxGridSide {
			flaws.addf("map", fmt.Sprintf("rows of equal length, at most %d", MaxGridSide), "row %d has %d cells, row 1 has %d", i+1, len(row), m.columns)
			return
		}
		for j, c := range []byte(row) {
			if strings.IndexByte("SGT#.", c) < 0 {
				flaws.addf("map", "S, G, T, # or . in each cell", "row %d column %d has %q", i+1, j+1, c)
				return
			}
			if c == 'S' {
				if m.start >= 0 {
					flaws.addf("map", "one S", "a second S in row %d column %d", i+1, j+1)
					return
				}
				m.start = len(m.cells)
			}
			m.cells = append(m.cells, c)
		}
	}
	if m.start < 0 {
		flaws.add("map", "there is no start", "one S")
	}
}

func (m *gridWorld) Traits() Traits {
	weights := float64(m.Moves) // Σ γᵗ, t from 1
	if m.Discount < 1 {
		weights = m.Discount * (1 - math.Pow(m.Discount, float64(m.Moves))) / (1 - m.Discount)
	}
	t := Traits{
		Size: 2, Actions: 4, Players: 1, Discount: m.Discount, Horizon: m.Moves, Deterministic: m.Slip == 0, Weight: 1,
		Bounded: true, Low: min(m.Step, 0)*weights + min(m.Goal, m.Trap, 0), High: max(m.Step, 0)*weights + max(m.Goal, m.Trap, 0),
	}
	if t.Low == t.High { // nothing is ever earned
		t.High++
	}
	return t
}

func (m *gridWorld) Start(state []float64) { state[0], state[1] = float64(m.start), 0 }

func (m *gridWorld) Player([]float64) int { return 1 }

func (m *gridWorld) Actions(state []float64, buf []int) ([]int, error) {
	if c := m.cells[int(state[0])]; c == 'G' || c == 'T' || int(state[1]) >= m.Moves {
		return buf, nil
	}
	return append(buf, 0, 1, 2, 3), nil
}

func (m *gridWorld) Apply(state []float64, action int, rng *rand.Rand) (int, float64, error) {
	outcome := 0
	if m.Slip > 0 {
		switch u := rng.Float64(); {
		case u < m.Slip/2:
			outcome, action = 1, (action+3)%4
		case u < m.Slip:
			outcome, action = 2, (action+1)%4
		}
	}
	at := int(state[0])
	row, column := at/m.columns, at%m.columns
	row += [4]int{-1, 0, 1, 0}[action]
	column += [4]int{0, 1, 0, -1}[action]
	if to := row*m.columns + column; row >= 0 && column >= 0 && column < m.columns && to < len(m.cells) && m.cells[to] != '#' {
		at = to
	}
	state[0] = float64(at)
	state[1]++
	reward := m.Step
	switch m.cells[at] {
	case 'G':
		reward = m.Goal
	case 'T':
		reward = m.Trap
	}
	return outcome, float64(m.Discount * reward), nil
}

// Value is 0: arriving was paid.
func (m *gridWorld) Value([]float64) (float64, error) { return 0, nil }

func (m *gridWorld) Label(action int) string { return [4]string{"up", "right", "down", "left"}[action] }
