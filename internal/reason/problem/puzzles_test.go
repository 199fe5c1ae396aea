package problem_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

func built(t testing.TB) func(problem.Model, error) problem.Model {
	return func(m problem.Model, err error) problem.Model {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
}

// board is connect four on an array of cells, the plain way.
type board struct {
	columns, rows int
	cells         [][]int // by column, bottom first
}

func (b *board) won() bool {
	at := func(c, r int) int {
		if c < 0 || r < 0 || c >= b.columns || r >= len(b.cells[c]) {
			return 0
		}
		return b.cells[c][r]
	}
	for c := range b.columns {
		for r := range b.rows {
			for _, d := range [][2]int{{1, 0}, {0, 1}, {1, 1}, {1, -1}} {
				p := at(c, r)
				if p != 0 && p == at(c+d[0], r+d[1]) && p == at(c+2*d[0], r+2*d[1]) && p == at(c+3*d[0], r+3*d[1]) {
					return true
				}
			}
		}
	}
	return false
}

func (b *board) legal() (out []int) {
	if b.won() {
		return nil
	}
	for c := range b.columns {
		if len(b.cells[c]) < b.rows {
			out = append(out, c)
		}
	}
	return out
}

func TestConnectFourAgreesWithArrays(t *testing.T) {
	for i, size := range [][2]int{{7, 6}, {4, 4}, {9, 4}, {5, 8}, {8, 5}} {
		m := built(t)(problem.ConnectFour(size[0], size[1], ""))
		wins := 0
		for game := range uint64(300) {
			rng := seed.Stream(game, uint64(i))
			b := &board{columns: size[0], rows: size[1], cells: make([][]int, size[0])}
			s := start(m)
			for mover := 1; ; mover = 3 - mover {
				want := b.legal()
				if got := actions(t, m, s); !slices.Equal(got, want) {
					t.Fatalf("%v game %d: legal %v, want %v", size, game, got, want)
				}
				if len(want) == 0 {
					break
				}
				if m.Player(s) != mover {
					t.Fatalf("player %d moves, want %d", m.Player(s), mover)
				}
				weights := make([]float64, len(want))
				if err := m.(problem.Guide).Weigh(s, want, weights); err != nil {
					t.Fatal(err)
				}
				for k, c := range want {
					would := func(p int) bool {
						b.cells[c] = append(b.cells[c], p)
						defer func() { b.cells[c] = b.cells[c][:len(b.cells[c])-1] }()
						return b.won()
					}
					if win, stop := would(mover), would(3-mover); win != (weights[k] == 1e6) || !win && stop != (weights[k] == 1e3) {
						t.Fatalf("column %d has weight %v; wins %v, stops %v", c+1, weights[k], win, stop)
					}
				}
				c := want[rng.IntN(len(want))]
				b.cells[c] = append(b.cells[c], mover)
				_, r, err := m.Apply(s, c, nil)
				reward := 0.0
				if b.won() {
					reward = float64(3 - 2*mover)
					wins++
				}
				if err != nil || r != reward {
					t.Fatalf("reward %v, %v; want %v", r, err, reward)
				}
			}
		}
		if wins < 50 {
			t.Errorf("%v: only %d games were won", size, wins)
		}
	}
	m := built(t)(problem.ConnectFour(7, 6, "44 3,3 2 2"))
	if got := m.Traits().Horizon; got != 36 || m.Player(start(m)) != 1 || m.Label(3) != "column 4" {
		t.Errorf("horizon %d, player %d", got, m.Player(start(m)))
	}
	for _, bad := range []struct {
		columns, rows int
		moves, want   string
	}{
		{3, 6, "", "columns: 3"},
		{7, 3, "", "rows: 3"},
		{9, 5, "", "rows: 5"},
		{7, 6, "8", "moves: character 1, '8'"},
		{7, 6, "4444444", "character 7"},
		{7, 6, "11223344", "character 8"},
		{7, 6, "x", "'x'"},
	} {
		if _, err := problem.ConnectFour(bad.columns, bad.rows, bad.moves); err == nil || !strings.Contains(err.Error(), bad.want) || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: error %v", bad, err)
		}
	}
}

// fixed makes every draw of a number the same.
type fixed float64

func (f fixed) Uint64() uint64 { return uint64(float64(f)*(1<<53)) << 11 >> 11 }

const aima = "...G\n.#.T\nS..."

// Russell and Norvig, 2010, figure 17.3: the values of the states.
func TestGridWorldOfTheBook(t *testing.T) {
	m := built(t)(problem.GridWorld(problem.Grid{Map: aima, Slip: .2, Step: -.04, Goal: 1, Trap: -1, Discount: 1}))
	want := []float64{.812, .868, .918, 0, .762, 0, .660, 0, .705, .655, .611, .388}
	values := make([]float64, 12)
	for range 99 {
		next := make([]float64, 12)
		for at := range next {
			if at == 5 {
				continue
			}
			acts := actions(t, m, []float64{float64(at), 0})
			best := math.Inf(-1)
			for _, a := range acts {
				var q float64
				for k, p := range []float64{.1, .1, .8} {
					s := []float64{float64(at), 0}
					rng := rand.New(fixed([]float64{.05, .15, .6}[k]))
					outcome, r, err := m.Apply(s, a, rng)
					if err != nil || outcome != []int{1, 2, 0}[k] || s[1] != 1 {
						t.Fatalf("outcome %d, %v, steps %v", outcome, err, s[1])
					}
					q += p * (r + values[int(s[0])])
				}
				best = max(best, q)
			}
			if len(acts) > 0 {
				next[at] = best
			}
		}
		values = next
	}
	for at, w := range want {
		// The book pays a state when it is left, this model when it is reached.
		got := values[at]
		if w != 0 {
			got -= .04
		}
		if math.Abs(got-w) > .0011 {
			t.Errorf("cell %d is worth %.3f, the book says %v", at, got, w)
		}
	}
}

func TestGridWorldRules(t *testing.T) {
	m := built(t)(problem.GridWorld(problem.Grid{Map: "S#\n.G", Discount: .5, Goal: 8, Moves: 3, Step: -1}))
	s := start(m)
	for i, step := range []struct {
		action int
		cell   float64
		reward float64
	}{{0, 0, -.5}, {1, 0, -.5}, {2, 2, -.5}} {
		if _, r, err := m.Apply(s, step.action, nil); err != nil || s[0] != step.cell || r != step.reward {
			t.Errorf("move %d leads to %v with %v, %v; want %+v", i+1, s[0], r, err, step)
		}
	}
	if got := actions(t, m, s); len(got) != 0 {
		t.Errorf("after three moves %v are legal", got)
	}
	s = []float64{2, 0}
	if _, r, err := m.Apply(s, 1, nil); err != nil || r != 4 || len(actions(t, m, s)) != 0 {
		t.Errorf("the goal pays %v, %v", r, err)
	}
	for want, g := range map[string]problem.Grid{
		"one S":              {Map: "..G", Discount: 1},
		"a second S":         {Map: "SS", Discount: 1},
		"has '?'":            {Map: "S?", Discount: 1},
		"rows of equal":      {Map: "S. .", Discount: 1},
		"0 rows":             {Map: " ", Discount: 1},
		"slip: 1.5":          {Map: "SG", Discount: 1, Slip: 1.5},
		"discount: 0":        {Map: "SG"},
		"maxMoves: -1":       {Map: "SG", Discount: 1, Moves: -1},
		"stepReward: NaN":    {Map: "SG", Discount: 1, Step: math.NaN()},
		"trapReward: 1e+300": {Map: "SG", Discount: 1, Trap: 1e300},
	} {
		if _, err := problem.GridWorld(g); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// Breadth-first search over all arrangements: half can be solved, the hardest in
// 31 moves for 3×3 (Reinefeld, 1993), 21 for 3×2.
func TestSlidingTilesReachHalf(t *testing.T) {
	for _, c := range []struct{ columns, n, reached, hardest int }{{3, 6, 360, 21}, {2, 4, 12, 6}, {3, 9, 181440, 31}} {
		goal := make([]int, c.n)
		for i := range c.n - 1 {
			goal[i] = i + 1
		}
		m := built(t)(problem.SlidingTiles(c.columns, goal, 10_000))
		key := func(s []float64) string {
			b := make([]byte, c.n)
			for i := range b {
				b[i] = '0' + byte(s[i])
			}
			return string(b)
		}
		depth := map[string]int{key(start(m)): 0}
		queue := [][]float64{start(m)}
		hardest := 0
		for len(queue) > 0 {
			s := queue[0]
			queue = queue[1:]
			d := depth[key(s)]
			acts := actions(t, m, s)
			if d == 0 {
				if len(acts) != 0 {
					t.Fatal("the solved puzzle goes on")
				}
				acts = []int{1, 2} // the gap is in the lower right corner: down, right
			}
			for _, a := range acts {
				next := slices.Clone(s)
				if _, r, err := m.Apply(next, a, nil); err != nil || r != -1 {
					t.Fatal(r, err)
				}
				v, err := m.Value(next)
				if err != nil {
					t.Fatal(err)
				}
				if _, seen := depth[key(next)]; !seen {
					depth[key(next)] = d + 1
					hardest = max(hardest, d+1)
					queue = append(queue, next)
					if -v > float64(d+1) {
						t.Fatalf("%v is %d moves away, its distance says %v", next, d+1, -v)
					}
				}
			}
		}
		if len(depth) != c.reached || hardest != c.hardest {
			t.Errorf("%d tiles: %d arrangements, the hardest %d moves away; want %d, %d", c.n, len(depth), hardest, c.reached, c.hardest)
		}
		solvable := 0
		if c.n < 9 {
			permutations(c.n, func(p []int) {
				_, err := problem.SlidingTiles(c.columns, p, 0)
				b := make([]byte, c.n)
				for i := range b {
					b[i] = '0' + byte(p[i])
				}
				_, reached := depth[string(b)]
				if (err == nil) != reached {
					t.Fatalf("%v: %v, reached %v", p, err, reached)
				}
				if reached {
					solvable++
				}
			})
			if solvable != c.reached {
				t.Errorf("%d are solvable", solvable)
			}
		}
	}
	for want, f := range map[string]func() (problem.Model, error){
		"columns: 1":     func() (problem.Model, error) { return problem.SlidingTiles(1, []int{1, 0}, 0) },
		"in 3 columns":   func() (problem.Model, error) { return problem.SlidingTiles(3, []int{1, 0}, 0) },
		"each number":    func() (problem.Model, error) { return problem.SlidingTiles(2, []int{1, 1, 2, 0}, 0) },
		"no moves bring": func() (problem.Model, error) { return problem.SlidingTiles(2, []int{2, 1, 3, 0}, 0) },
		"maxMoves: -1":   func() (problem.Model, error) { return problem.SlidingTiles(2, []int{1, 2, 3, 0}, -1) },
	} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// permutations calls f with each order of 0 to n-1.
func permutations(n int, f func([]int)) {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	var place func(k int)
	place = func(k int) {
		if k == n {
			f(p)
			return
		}
		for i := k; i < n; i++ {
			p[k], p[i] = p[i], p[k]
			place(k + 1)
			p[k], p[i] = p[i], p[k]
		}
	}
	place(0)
}

// The numbers of solutions are known (OEIS A000170).
func TestQueensCounts(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 0, 3: 0, 4: 2, 5: 10, 6: 4, 7: 40, 8: 92} {
		m := built(t)(problem.Queens(n))
		count := 0
		var place func(s []float64)
		place = func(s []float64) {
			acts := actions(t, m, s)
			if v, err := m.Value(s); len(acts) == 0 && err == nil && v == 1 {
				count++
			}
			for _, a := range acts {
				next := slices.Clone(s)
				if _, _, err := m.Apply(next, a, nil); err != nil {
					t.Fatal(err)
				}
				place(next)
			}
		}
		place(start(m))
		if count != want {
			t.Errorf("%d queens: %d solutions, want %d", n, count, want)
		}
	}
	for _, n := range []int{0, 27} {
		if _, err := problem.Queens(n); fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%d queens: %v", n, err)
		}
	}
}
