package problem

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
)

// MaxItems bounds Knapsack.
const MaxItems = 256

type item struct {
	number        int // as the client counts, from 1
	value, weight float64
}

// knapsack is a state of how many items are decided, in the order of value for
// weight, and the weight that is left. Action 2·i takes item i and 2·i+1 leaves
// it.
type knapsack struct {
	items    []item
	capacity float64
	total    float64
}

// Knapsack is the problem of packing items of the greatest value whose weights
// sum to at most capacity. The return is the value packed. Items are decided on
// in the order of value by weight, and the heuristic, nine to one, takes what
// fits (the greedy rule of Dantzig, 1957).
func Knapsack(values, weights []float64, capacity float64) (Model, error) {
	if n := len(values); n == 0 || n > MaxItems {
		return nil, Flaws{{"values", fmt.Sprintf("%d items", n), fmt.Sprintf("1 to %d", MaxItems)}}
	}
	if len(weights) != len(values) {
		return nil, Flaws{{"weights", fmt.Sprintf("%d weights for %d values", len(weights), len(values)), "one for each value"}}
	}
	if !(capacity >= 0 && capacity <= maxReward) {
		return nil, Flaws{{"capacity", fmt.Sprint(capacity), "a number from 0 to 1e9"}}
	}
	m := &knapsack{capacity: capacity}
	for i := range values {
		for k, v := range [2]float64{values[i], weights[i]} {
			if !(v >= 0 && v <= maxReward) {
				return nil, Flaws{{at([2]string{"values", "weights"}[k], i), fmt.Sprint(v), "a number from 0 to 1e9"}}
			}
		}
		m.items = append(m.items, item{i + 1, values[i], weights[i]})
		if weights[i] <= capacity {
			m.total += values[i]
		}
	}
	slices.SortStableFunc(m.items, func(a, b item) int { return cmp.Compare(b.value*a.weight, a.value*b.weight) })
	return m, nil
}

func (m *knapsack) Traits() Traits {
	t := Traits{
		Size: 2, Actions: 2 * len(m.items), Players: 1, Discount: 1, Horizon: len(m.items), Deterministic: true,
		Bounded: true, High: m.total, Weight: 1, Guided: true,
	}
	if t.High == 0 { // nothing fits, or nothing is worth anything
		t.High = 1
	}
	return t
}

func (m *knapsack) Start(state []float64) { state[0], state[1] = 0, m.capacity }

func (m *knapsack) Player([]float64) int { return 1 }

func (m *knapsack) Actions(state []float64, buf []int) ([]int, error) {
	i := int(state[0])
	if i == len(m.items) {
		return buf, nil
	}
	if m.items[i].weight <= state[1] {
		buf = append(buf, 2*i)
	}
	return append(buf, 2*i+1), nil
}

func (m *knapsack) Apply(state []float64, action int, _ *rand.Rand) (int, float64, error) {
	state[0]++
	if action%2 == 1 {
		return 0, 0, nil
	}
	it := &m.items[action/2]
	state[1] -= it.weight
	return 0, it.value, nil
}

// Value is 0: items were counted when they were taken.
func (m *knapsack) Value([]float64) (float64, error) { return 0, nil }

func (m *knapsack) Weigh(_ []float64, acts []int, weights []float64) error {
	for i, a := range acts {
		weights[i] = float64(9 - 8*(a%2))
	}
	return nil
}

func (m *knapsack) Label(action int) string {
	return fmt.Sprintf("%s item %d", [2]string{"take", "leave"}[action%2], m.items[action/2].number)
}
