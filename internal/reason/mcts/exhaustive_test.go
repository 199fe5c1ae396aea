package mcts_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
	"github.com/lyceum-mcp/lyceum/internal/reason/tot"
)

// toy is a full tree of two levels of three actions, whose nine leaves are worth
// what the digits of code in base 3 say, less 1.
type toy struct {
	code    int
	players int
}

func (g toy) Traits() problem.Traits {
	return problem.Traits{Size: 2, Actions: 3, Players: g.players, Discount: 1, Horizon: 2, Deterministic: true, Bounded: true, Low: -1, High: 1, Weight: 1}
}
func (g toy) Start(s []float64)      { s[0], s[1] = 0, 0 }
func (g toy) Player(s []float64) int { return 1 + int(s[0])%g.players }
func (g toy) Label(a int) string     { return string(rune('a' + a)) }
func (g toy) Actions(s []float64, buf []int) ([]int, error) {
	if s[0] == 2 {
		return buf, nil
	}
	return append(buf, 0, 1, 2), nil
}

func (g toy) Apply(s []float64, a int, _ *rand.Rand) (int, float64, error) {
	s[0]++
	s[1] = 3*s[1] + float64(a)
	return 0, 0, nil
}

func (g toy) Value(s []float64) (float64, error) {
	return float64(g.code/int(math.Pow(3, s[1]))%3) - 1, nil
}

// Every assignment of -1, 0 and 1 to the nine leaves, for one and two players.
func TestEveryToyTree(t *testing.T) {
	options := []mcts.Options{{}, {Policy: mcts.PUCT}, {Policy: mcts.UCB1Tuned}, {RAVE: 50}, {Widening: &mcts.Widening{K: 1, Alpha: .3}}}
	for i := range 19683 / sampled {
		code := i * sampled
		for players := 1; players <= 2; players++ {
			g := toy{code, players}
			state := make([]float64, 2)
			g.Start(state)
			value, values := minimax(t, g, state)
			o := options[code%len(options)]
			o.Simulations, o.Seed = 500, uint64(code)
			r := search(t, g, o)
			if !r.Solved || *r.Value != value || values[int(r.Best[0]-'a')] != value {
				t.Fatalf("tree %d of %d players under %+v: %s at %v, solved %v; minimax says %v of %v", code, players, o, r.Best, *r.Value, r.Solved, value, values)
			}
		}
	}
}

// All positions of up to four heaps of up to five: 1295 with something to take.
func TestEveryNimPosition(t *testing.T) {
	for i := range 1295 / sampled {
		code := 1 + i*sampled
		heaps := []int{code / 216, code / 36 % 6, code / 6 % 6, code % 6}
		nimber := heaps[0] ^ heaps[1] ^ heaps[2] ^ heaps[3]
		m := must[problem.Model](t)(problem.Nim(heaps))
		r := search(t, m, mcts.Options{Simulations: 60_000, Trees: 1, Seed: uint64(code)})
		want := -1.0
		if nimber != 0 {
			want = 1
		}
		if !r.Solved || *r.Value != want {
			t.Fatalf("nim %v: %v, solved %v after %d; want %v", heaps, *r.Value, r.Solved, r.Simulations, want)
		}
		if nimber == 0 {
			continue
		}
		s := make([]float64, m.Traits().Size)
		m.Start(s)
		if _, _, err := m.Apply(s, action(t, m, s, r.Best), nil); err != nil {
			t.Fatal(err)
		}
		if x := int(s[0]) ^ int(s[1]) ^ int(s[2]) ^ int(s[3]); x != 0 {
			t.Fatalf("nim %v: %s leaves exclusive or %d", heaps, r.Best, x)
		}
	}
}

// drawBudget is how many simulations keep every drawn position of tic-tac-toe.
const drawBudget = 1500

// Every position that play can reach, from which the mover does not lose under
// best play: the move chosen keeps that.
func TestEveryTicTacToePosition(t *testing.T) {
	m := must[problem.Model](t)(problem.TicTacToe(""))
	values := map[string]float64{} // to player 1
	var visit func(s []float64) float64
	visit = func(s []float64) float64 {
		key := problem.Board(s)
		if v, ok := values[key]; ok {
			return v
		}
		acts := must[[]int](t)(m.Actions(s, nil))
		sign := float64(3 - 2*m.Player(s))
		best := math.Inf(-1)
		for _, a := range acts {
			next := slices.Clone(s)
			_, r, err := m.Apply(next, a, nil)
			if err != nil {
				t.Fatal(err)
			}
			best = max(best, sign*(r+visit(next)))
		}
		if len(acts) == 0 {
			best = 0 // a win was paid
		}
		values[key] = sign * best
		return values[key]
	}
	root := make([]float64, 11)
	m.Start(root)
	visit(root)
	boards := make([]string, 0, len(values))
	for b := range values {
		boards = append(boards, b)
	}
	slices.Sort(boards)
	if len(boards) != 5478 {
		t.Fatalf("%d positions, want 5478", len(boards))
	}
	tried, drawn := 0, 0
	for i := 0; i < len(boards); i += sampled {
		m := must[problem.Model](t)(problem.TicTacToe(boards[i]))
		s := make([]float64, 11)
		m.Start(s)
		if len(must[[]int](t)(m.Actions(s, nil))) == 0 {
			continue
		}
		sign := float64(3 - 2*m.Player(s))
		best := sign * values[boards[i]]
		if best < 0 {
			continue // lost whatever is played
		}
		tried++
		if best == 0 {
			drawn++
		}
		r := search(t, m, mcts.Options{Simulations: drawBudget, Trees: 1, Seed: uint64(i)})
		_, reward, err := m.Apply(s, action(t, m, s, r.Best), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := sign * (reward + values[problem.Board(s)]); got < 0 || r.Solved && got != best {
			t.Errorf("%s: %s gives %v, the position %v (solved %v)", boards[i], r.Best, got, best, r.Solved)
		}
	}
	t.Logf("%d positions not lost, %d of them drawn", tried, drawn)
	if tried*sampled < 3000 || drawn*sampled < 500 {
		t.Errorf("only %d positions tried, %d drawn", tried, drawn)
	}
}

// reaches24 tries all ways to combine fractions, with exact arithmetic of its
// own.
func reaches24(numbers []*big.Rat) bool {
	if len(numbers) == 1 {
		return numbers[0].Cmp(big.NewRat(24, 1)) == 0
	}
	for i := range numbers {
		for j := range numbers {
			if i == j {
				continue
			}
			var rest []*big.Rat
			for k, n := range numbers {
				if k != i && k != j {
					rest = append(rest, n)
				}
			}
			a, b := numbers[i], numbers[j]
			results := []*big.Rat{new(big.Rat).Sub(a, b)}
			if i < j {
				results = append(results, new(big.Rat).Add(a, b), new(big.Rat).Mul(a, b))
			}
			if b.Sign() != 0 {
				results = append(results, new(big.Rat).Quo(a, b))
			}
			for _, r := range results {
				if reaches24(append(slices.Clone(rest), r)) {
					return true
				}
			}
		}
	}
	return false
}

// All 1820 multisets of four numbers from 1 to 13; 1362 of them have a solution.
func TestEveryGameOf24(t *testing.T) {
	code, solvable, hardest := 0, 0, 0
	for a := 1; a <= 13; a++ {
		for b := a; b <= 13; b++ {
			for c := b; c <= 13; c++ {
				for d := c; d <= 13; d++ {
					if code++; code%sampled != 0 {
						continue
					}
					numbers := []int{a, b, c, d}
					rats := make([]*big.Rat, 4)
					for i, n := range numbers {
						rats[i] = big.NewRat(int64(n), 1)
					}
					want := 0.0
					if reaches24(rats) {
						want = 1
						solvable++
					}
					r := search(t, must[problem.Model](t)(tot.Game24(numbers, 24)), mcts.Options{Simulations: 30_000, Trees: 1, Seed: uint64(code)})
					hardest = max(hardest, r.Simulations)
					if !r.Solved || *r.Value != want {
						t.Fatalf("%v: %v, solved %v after %d; want %v", numbers, *r.Value, r.Solved, r.Simulations, want)
					}
					if want == 1 {
						text := must[string](t)(tot.Formula(numbers, r.Run.Actions))
						if r.Run.Value != 1 || len(r.Run.Actions) != 3 || text == "" {
							t.Fatalf("%v: run %+v", numbers, r.Run)
						}
					}
				}
			}
		}
	}
	t.Logf("%d solvable of %d; at most %d simulations", solvable, code/sampled, hardest)
	if code != 1820 || sampled == 1 && solvable != 1362 {
		t.Errorf("%d of %d are solvable, want 1362 of 1820", solvable, code)
	}
}

// replay returns what a run pays, and that it is complete.
func replay(t testing.TB, m problem.Model, run *mcts.Run) float64 {
	t.Helper()
	s := make([]float64, m.Traits().Size)
	m.Start(s)
	total := 0.0
	for _, label := range run.Actions {
		_, r, err := m.Apply(s, action(t, m, s, label), nil)
		if err != nil {
			t.Fatal(err)
		}
		total += r
	}
	if acts := must[[]int](t)(m.Actions(s, nil)); len(acts) > 0 {
		t.Fatalf("the run %v goes on", run.Actions)
	}
	return total + must[float64](t)(m.Value(s))
}

// shortestTour is the dynamic program of Bellman, and Held and Karp, 1962.
func shortestTour(d [][]float64) float64 {
	n := len(d)
	best := make([][]float64, 1<<n)
	for set := range best {
		best[set] = slices.Repeat([]float64{math.Inf(1)}, n)
	}
	best[1][0] = 0
	for set := 1; set < 1<<n; set++ {
		for i := range n {
			for j := range n {
				if set>>i&1 == 1 && set>>j&1 == 0 {
					best[set|1<<j][j] = min(best[set|1<<j][j], best[set][i]+d[i][j])
				}
			}
		}
	}
	shortest := math.Inf(1)
	for i := 1; i < n; i++ {
		shortest = min(shortest, best[1<<n-1][i]+d[i][0])
	}
	return shortest
}

// Tours of up to eight cities are proven optimal, and replaying them says so.
func TestToursAreOptimal(t *testing.T) {
	for i := range 60 / sampled {
		rng := seed.Stream(21, uint64(i))
		n := 3 + i%6
		d := make([][]float64, n)
		for k := range d {
			d[k] = make([]float64, n)
			for j := range d[k] {
				d[k][j] = float64(rng.IntN(50))
			}
		}
		m := must[problem.Model](t)(problem.TSP(d))
		r := search(t, m, mcts.Options{Simulations: 100_000, Trees: 1, Seed: uint64(i), Rollout: mcts.HeuristicRollout})
		want := shortestTour(d)
		if !r.Solved || -*r.Value != want || r.Run.Value != -want || replay(t, m, r.Run) != -want {
			t.Errorf("%d cities: %v, solved %v after %d, run %+v; want %v", n, *r.Value, r.Solved, r.Simulations, r.Run, want)
		}
	}
}

func TestKnapsacksAreOptimal(t *testing.T) {
	for i := range 100 / sampled {
		rng := seed.Stream(22, uint64(i))
		n, capacity := 4+i%9, 20+rng.IntN(30)
		values, weights := make([]float64, n), make([]float64, n)
		best := make([]float64, capacity+1)
		for k := range n {
			w := 1 + rng.IntN(15)
			values[k], weights[k] = float64(rng.IntN(40)), float64(w)
			for c := capacity; c >= w; c-- {
				best[c] = max(best[c], best[c-w]+values[k])
			}
		}
		m := must[problem.Model](t)(problem.Knapsack(values, weights, float64(capacity)))
		r := search(t, m, mcts.Options{Simulations: 60_000, Trees: 1, Seed: uint64(i)})
		want := best[capacity]
		if !r.Solved || *r.Value != want || replay(t, m, r.Run) != want {
			t.Errorf("%d items: %v, solved %v after %d, run %+v; want %v", n, *r.Value, r.Solved, r.Simulations, r.Run, want)
		}
	}
}

// Positions with at most ten empty cells, against an alpha-beta search on arrays.
func TestConnectFourEndgames(t *testing.T) {
	tried, results := 0, map[float64]int{}
	for i := uint64(0); tried < max(4, 60/sampled); i++ {
		rng := seed.Stream(23, i)
		b := newGrid(5, 5)
		var moves strings.Builder
		for range 15 + int(i%6) {
			legal := b.legal()
			if len(legal) == 0 {
				break
			}
			c := legal[rng.IntN(len(legal))]
			b.drop(c)
			fmt.Fprint(&moves, c+1)
		}
		if len(b.legal()) < 2 {
			continue
		}
		tried++
		m := must[problem.Model](t)(problem.ConnectFour(5, 5, moves.String()))
		r := search(t, m, mcts.Options{Simulations: 60_000, Trees: 1, Seed: i})
		want := b.alphaBeta(math.Inf(-1), math.Inf(1), 99)
		b.drop(int(r.Best[len("column ")] - '1'))
		got := 1.0
		if !b.over() {
			got = -b.alphaBeta(math.Inf(-1), math.Inf(1), 99)
		} else if b.full() && !b.won() {
			got = 0
		}
		results[want]++
		if !r.Solved || *r.Value != want || got != want {
			t.Errorf("after %s: %v, solved %v after %d; alpha-beta says %v, and %v after %s", &moves, *r.Value, r.Solved, r.Simulations, want, got, r.Best)
		}
	}
	if sampled == 1 && (results[1] < 5 || results[-1] < 5 || results[0] < 3) {
		t.Errorf("the positions are one-sided: %v", results)
	}
}
