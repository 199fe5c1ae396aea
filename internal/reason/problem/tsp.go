package problem

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// MaxCities bounds TSP.
const MaxCities = 50

// tsp is a state of the city and the set of cities seen, as bits.
type tsp struct {
	distances [][]float64
	low       float64 // minus the sum of the farthest ways
}

// TSP is the problem of the travelling salesman: the shortest round trip from
// the first city through all others, which it reaches in the order of the
// actions. distances[i][j] is the way from i to j; it need not be symmetric. The
// return is minus the length. The heuristic weighs a city by its distance to the
// power of -5 (the visibility of the Ant System: Dorigo, Maniezzo and Colorni,
// 1996).
func TSP(distances [][]float64) (Model, error) {
	n := len(distances)
	if n < 2 || n > MaxCities {
		return nil, Flaws{{"distances", fmt.Sprintf("%d cities", n), fmt.Sprintf("2 to %d", MaxCities)}}
	}
	m := &tsp{}
	for i, row := range distances {
		if len(row) != n {
			return nil, Flaws{{at("distances", i), fmt.Sprintf("%d distances", len(row)), fmt.Sprintf("%d, one for each city", n)}}
		}
		farthest := 0.0
		for j, d := range row {
			if !(d >= 0 && d <= maxReward) {
				return nil, Flaws{{at(at("distances", i), j), fmt.Sprint(d), "a number from 0 to 1e9"}}
			}
			if i != j {
				farthest = max(farthest, d)
			}
		}
		m.low -= farthest
		m.distances = append(m.distances, slices.Clone(row))
	}
	if m.low == 0 { // all cities are in one place
		m.low--
	}
	return m, nil
}

// Distances returns the Euclidean distances between points, pairs of
// coordinates, for TSP.
func Distances(points [][]float64) ([][]float64, error) {
	if n := len(points); n < 2 || n > MaxCities {
		return nil, Flaws{{"points", fmt.Sprintf("%d cities", n), fmt.Sprintf("2 to %d", MaxCities)}}
	}
	out := make([][]float64, len(points))
	for i, p := range points {
		if len(p) != 2 || !(math.Abs(p[0]) <= maxReward/4) || !(math.Abs(p[1]) <= maxReward/4) {
			return nil, Flaws{{at("points", i), fmt.Sprint(p), "[x, y], each at most 2.5e8"}}
		}
		out[i] = make([]float64, len(points))
		for j, q := range points[:i] {
			out[i][j] = math.Hypot(p[0]-q[0], p[1]-q[1])
			out[j][i] = out[i][j]
		}
	}
	return out, nil
}

func (m *tsp) Traits() Traits {
	n := len(m.distances)
	return Traits{
		Size: 2, Actions: n, Players: 1, Discount: 1, Horizon: n - 1, Deterministic: true,
		Bounded: true, Low: m.low, Weight: 1, Guided: true,
	}
}

func (m *tsp) Start(state []float64) { state[0], state[1] = 0, 1 }

func (m *tsp) Player([]float64) int { return 1 }

func (m *tsp) Actions(state []float64, buf []int) ([]int, error) {
	seen := uint64(state[1])
	for c := range m.distances {
		if seen>>c&1 == 0 {
			buf = append(buf, c)
		}
	}
	return buf, nil
}

func (m *tsp) Apply(state []float64, action int, _ *rand.Rand) (int, float64, error) {
	seen := uint64(state[1]) | 1<<action
	way := m.distances[int(state[0])][action]
	if seen == 1<<len(m.distances)-1 {
		way += m.distances[action][0]
	}
	state[0], state[1] = float64(action), float64(seen)
	return 0, 0 - way, nil
}

// Value is 0: the way back was paid with the last move.
func (m *tsp) Value([]float64) (float64, error) { return 0, nil }

func (m *tsp) Weigh(state []float64, acts []int, weights []float64) error {
	row := m.distances[int(state[0])]
	nearest := math.Inf(1)
	for _, c := range acts {
		nearest = min(nearest, row[c])
	}
	nearest = max(nearest, math.SmallestNonzeroFloat64)
	for i, c := range acts {
		r := nearest / max(row[c], nearest)
		weights[i] = r * r * r * r * r
	}
	return nil
}

func (m *tsp) Label(action int) string { return fmt.Sprintf("city %d", action+1) }
