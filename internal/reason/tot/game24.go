package tot

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// Bounds of Game24. Within them every intermediate number is a fraction whose
// parts a float64 holds exactly: those of one made of k numbers are at most
// 2^(k-1) times their product.
const (
	MaxGameNumbers = 6
	MaxGameNumber  = 100
)

// game24 has the fractions that are left, largest first, each as numerator and
// denominator, and how many there are. Action 4·(i·n+j)+op combines the i-th
// with the j-th.
type game24 struct {
	numbers []int
	target  int
}

// Game24 is the puzzle of combining all the numbers by +, -, × and ÷ into one
// that equals target: a finished run is then worth 1, and 0 otherwise. The
// arithmetic is exact.
func Game24(numbers []int, target int) (problem.Model, error) {
	if n := len(numbers); n < 2 || n > MaxGameNumbers {
		return nil, fault.Newf(fault.Invalid, "%d numbers; expected 2 to %d", n, MaxGameNumbers)
	}
	for i, v := range numbers {
		if v < 0 || v > MaxGameNumber {
			return nil, fault.Newf(fault.Invalid, "number %d is %d; expected 0 to %d", i+1, v, MaxGameNumber)
		}
	}
	if target < -1e9 || target > 1e9 {
		return nil, fault.Newf(fault.Invalid, "the target is %d; expected -1000000000 to 1000000000", target)
	}
	return &game24{slices.Clone(numbers), target}, nil
}

func (g *game24) Traits() problem.Traits {
	n := len(g.numbers)
	return problem.Traits{Size: 2*n + 1, Actions: 4 * n * n, Players: 1, Discount: 1, Horizon: n - 1, Deterministic: true, Bounded: true, High: 1, Weight: 1}
}

func (g *game24) Start(state []float64) {
	n := len(g.numbers)
	for i, v := range slices.Backward(slices.Sorted(slices.Values(g.numbers))) {
		state[2*(n-1-i)], state[2*(n-1-i)+1] = float64(v), 1
	}
	state[2*n] = float64(n)
}

func (g *game24) Player([]float64) int { return 1 }

func (g *game24) Actions(state []float64, buf []int) ([]int, error) {
	n := len(g.numbers)
	left := int(state[2*n])
	for i := range left {
		for j := range left {
			// Equal numbers need one pair only, and + and × one order.
			if i == j || i > 0 && same(state, i-1, i) && i-1 != j || j > 0 && same(state, j-1, j) && j-1 != i {
				continue
			}
			for op := range 4 {
				if i > j && op%2 == 0 || op == 3 && state[2*j] == 0 {
					continue
				}
				buf = append(buf, 4*(i*n+j)+op)
			}
		}
	}
	return buf, nil
}

func same(state []float64, i, j int) bool {
	return state[2*i] == state[2*j] && state[2*i+1] == state[2*j+1]
}

func (g *game24) Apply(state []float64, action int, _ *rand.Rand) (int, float64, error) {
	n := len(g.numbers)
	var room [MaxGameNumbers]fraction
	parts := room[:int(state[2*n])]
	for i := range parts {
		parts[i] = fraction{p: int64(state[2*i]), q: int64(state[2*i+1])}
	}
	parts = combine(parts, action/4/n, action/4%n, action%4)
	clear(state)
	for i, f := range parts {
		state[2*i], state[2*i+1] = float64(f.p), float64(f.q)
	}
	state[2*n] = float64(len(parts))
	return 0, 0, nil
}

// fraction is a number in lowest terms, q above 0, and perhaps how it was made.
type fraction struct {
	p, q int64
	text string
}

// combine replaces the i-th and the j-th number by one, and sorts.
func combine(parts []fraction, i, j, op int) []fraction {
	a, b := parts[i], parts[j]
	var r fraction
	switch op {
	case 0:
		r.p, r.q = a.p*b.q+b.p*a.q, a.q*b.q
	case 1:
		r.p, r.q = a.p*b.q-b.p*a.q, a.q*b.q
	case 2:
		r.p, r.q = a.p*b.p, a.q*b.q
	case 3:
		r.p, r.q = a.p*b.q, a.q*b.p
	}
	if r.q < 0 {
		r.p, r.q = -r.p, -r.q
	}
	f := gcd(max(r.p, -r.p), r.q)
	r.p, r.q = r.p/f, r.q/f
	if a.text != "" {
		r.text = fmt.Sprintf("(%s %c %s)", a.text, operators[op], b.text)
	}
	parts[i] = r
	parts = append(parts[:j], parts[j+1:]...)
	arrange(parts)
	return parts
}

var operators = [4]rune{'+', '-', '×', '÷'}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// arrange sorts the numbers, largest first, so that equal positions are equal
// states.
func arrange(parts []fraction) {
	slices.SortStableFunc(parts, func(a, b fraction) int { return cmp.Compare(b.p*a.q, a.p*b.q) })
}

func (g *game24) Value(state []float64) (float64, error) {
	if state[0] == float64(g.target)*state[1] {
		return 1, nil
	}
	return 0, nil
}

// Label says which of the numbers that are left, largest first, are combined.
func (g *game24) Label(action int) string {
	n := len(g.numbers)
	return fmt.Sprintf("#%d %c #%d", action/4/n+1, operators[action%4], action/4%n+1)
}

// Formula writes a run of Game24 with these numbers as one formula, such as
// (10 - 4) × (13 - 9). Actions are labels, as Solve reports them.
func Formula(numbers []int, actions []string) (string, error) {
	m, err := Game24(numbers, 0)
	if err != nil {
		return "", err
	}
	n := len(numbers)
	state := make([]float64, m.Traits().Size)
	m.Start(state)
	parts := make([]fraction, n)
	for i := range parts {
		v := int64(state[2*i])
		parts[i] = fraction{v, 1, strconv.FormatInt(v, 10)}
	}
	for k, label := range actions {
		acts, err := m.Actions(state, nil)
		if err != nil {
			return "", err
		}
		at := slices.IndexFunc(acts, func(a int) bool { return m.Label(a) == label })
		if at < 0 {
			return "", fault.Newf(fault.Invalid, "actions[%d]: %.32q is not legal there", k, label)
		}
		a := acts[at]
		parts = combine(parts, a/4/n, a/4%n, a%4)
		if _, _, err := m.Apply(state, a, nil); err != nil {
			return "", err
		}
	}
	if len(parts) != 1 {
		return "", fault.Newf(fault.Invalid, "%d numbers are left; expected one", len(parts))
	}
	text := parts[0].text
	return text[1 : len(text)-1], nil
}
