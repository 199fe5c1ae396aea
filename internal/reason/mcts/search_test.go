package mcts_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func search(t testing.TB, m problem.Model, o mcts.Options) *mcts.Result {
	t.Helper()
	return must[*mcts.Result](t)(mcts.Search(budget.New(t.Context(), budget.Limits{}, nil), m, o))
}

func near(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance }

func TestScores(t *testing.T) {
	if got := mcts.UCB1(2.0/3, math.Sqrt2, 10, 3); !near(got, 1.905641, 1e-5) {
		t.Errorf("UCB1 = %.6f", got)
	}
	if got := mcts.PUCTScore(.5, 1.25, .3, 16, 3); !near(got, .875, 1e-12) {
		t.Errorf("PUCT = %v, want 0.875", got)
	}
	// By hand: ln 10 / 3 = 0.767528; V = 0.05 + √(2·0.767528) = 1.288971, so the
	// factor is 1/4 and the bound 0.5 + √(0.191882) = 0.938044.
	if got := mcts.UCB1TunedScore(.5, .05, 10, 3); !near(got, .938044, 1e-6) {
		t.Errorf("UCB1-tuned = %.6f, want 0.938044", got)
	}
	// With many visits the variance counts: ln 1000 / 800 = 0.00863469,
	// V = 0.01 + √0.01726939 = 0.14141307, bound = 0.5 + √0.00122106 = 0.53494363.
	if got := mcts.UCB1TunedScore(.5, .01, 1000, 800); !near(got, .534944, 1e-6) {
		t.Errorf("UCB1-tuned = %.6f, want 0.534944", got)
	}
	for name, got := range map[string]float64{"UCB1": mcts.UCB1(.5, 1, 10, 0), "UCB1-tuned": mcts.UCB1TunedScore(.5, 0, 10, 0)} {
		if !math.IsInf(got, 1) {
			t.Errorf("%s of an untried child is %v, want +Inf", name, got)
		}
	}
}

// chain is three moves to a goal that is worth 1 on arrival.
func chain(t *testing.T, discount float64) problem.Model {
	return must[*problem.Compiled](t)(problem.Compile(&problem.Spec{
		Variables: []problem.Variable{{Name: "at", Type: "int"}},
		Actions: []problem.Action{
			{Name: "on", Effects: map[string]string{"at": "at + 1"}},
			{Name: "back", Guard: "at > 0", Effects: map[string]string{"at": "at - 1"}},
		},
		Reward:   "at == 3 ? 1 : 0",
		Terminal: "at == 3",
		Horizon:  9,
		Discount: &discount,
	}))
}

func TestDiscountedChain(t *testing.T) {
	for _, p := range []mcts.Policy{mcts.UCT, mcts.UCB1Tuned, mcts.PUCT} {
		r := search(t, chain(t, .9), mcts.Options{Simulations: 4000, Policy: p, Seed: 1})
		if !r.Solved || r.Best != "on" || !near(*r.Value, .729, 1e-12) {
			t.Errorf("%s: best %q, value %v, solved %v; want on, 0.729 proven", p, r.Best, *r.Value, r.Solved)
		}
		if r.Simulations >= 4000 {
			t.Errorf("%s: went on after the proof", p)
		}
	}
}

func TestBanditFindsTheBestArm(t *testing.T) {
	m := must[problem.Model](t)(problem.Bandit([]float64{.2, .5, .8, .6}, 1))
	for _, p := range []mcts.Policy{mcts.UCT, mcts.UCB1Tuned, mcts.PUCT} {
		for _, c := range []mcts.Criterion{mcts.ByVisits, mcts.ByValue, mcts.ByLCB} {
			r := search(t, m, mcts.Options{Simulations: 8000, Policy: p, Criterion: c, Seed: 2})
			if r.Best != "arm 3" || r.Solved || r.Simulations != 8000 {
				t.Errorf("%s by %s: best %q of %d simulations, solved %v", p, c, r.Best, r.Simulations, r.Solved)
			}
			a := r.Actions[2]
			if !near(*a.Value, .8, .03) || a.Interval.Low > .8 || a.Interval.High < .8 || a.Interval.Method != mcts.Hoeffding {
				t.Errorf("%s: arm 3 is worth %v in %+v", p, *a.Value, a.Interval)
			}
			var visits int64
			var share float64
			for _, a := range r.Actions {
				visits += a.Visits
				share += a.Share
			}
			if visits != 8000 || !near(share, 1, 1e-9) {
				t.Errorf("%s: %d visits, shares sum to %v", p, visits, share)
			}
		}
	}
}

func TestManyPullsBackUpThroughChance(t *testing.T) {
	m := must[problem.Model](t)(problem.Bandit([]float64{.1, .9}, 3))
	r := search(t, m, mcts.Options{Simulations: 20_000, Seed: 3})
	if r.Best != "arm 2" || !near(*r.Value, 2.7, .1) || len(r.Variation) != 3 {
		t.Errorf("best %q, value %v, line %v", r.Best, *r.Value, r.Variation)
	}
}

func TestNimKnownMove(t *testing.T) {
	m := must[problem.Model](t)(problem.Nim([]int{3, 4, 5}))
	r := search(t, m, mcts.Options{Simulations: 20_000, Seed: 1})
	// 3 xor 4 xor 5 = 2; the one move to 0 takes 2 from the heap of 3.
	if r.Best != "take 2 from heap 1" || r.Player != 1 {
		t.Errorf("best %q for player %d, want take 2 from heap 1", r.Best, r.Player)
	}
}

// Bouton, 1901: who moves wins exactly if the heaps' exclusive or is not 0, by
// a move that makes it 0.
func TestNimAgreesWithBouton(t *testing.T) {
	const sims = 4000
	for code := range 125 {
		heaps := []int{code / 25, code / 5 % 5, code % 5}
		nimber := heaps[0] ^ heaps[1] ^ heaps[2]
		m := must[problem.Model](t)(problem.Nim(heaps))
		if code == 0 {
			continue
		}
		r := search(t, m, mcts.Options{Simulations: sims, Trees: 2, Seed: uint64(code)})
		want := -1.0
		if nimber != 0 {
			want = 1
		}
		if !r.Solved || *r.Value != want {
			t.Errorf("nim %v: value %v, solved %v after %d simulations; want %v", heaps, *r.Value, r.Solved, r.Simulations, want)
			continue
		}
		if nimber == 0 {
			continue
		}
		state := make([]float64, m.Traits().Size)
		m.Start(state)
		if _, _, err := m.Apply(state, action(t, m, state, r.Best), nil); err != nil {
			t.Fatal(err)
		}
		if x := int(state[0]) ^ int(state[1]) ^ int(state[2]); x != 0 {
			t.Errorf("nim %v: %s leaves %v, exclusive or %d", heaps, r.Best, state[:3], x)
		}
	}
}

// action returns the legal action with the given label.
func action(t testing.TB, m problem.Model, state []float64, label string) int {
	t.Helper()
	for _, a := range must[[]int](t)(m.Actions(state, nil)) {
		if m.Label(a) == label {
			return a
		}
	}
	t.Fatalf("no legal action %q", label)
	return 0
}

func TestTicTacToeTakesTheWin(t *testing.T) {
	for board, want := range map[string]string{
		"XX.OO....": "row 1 column 3",
		"O.X.OX.X.": "row 3 column 3", // O is to move
		"XX.OO.X..": "row 2 column 3", // O is to move
		"X.OXO....": "row 3 column 1",
	} {
		m := must[problem.Model](t)(problem.TicTacToe(board))
		r := search(t, m, mcts.Options{Simulations: 800, Seed: 4})
		if r.Best != want || !r.Solved || *r.Value != 1 {
			t.Errorf("%q: best %q, value %v, solved %v; want %q and a proven 1", board, r.Best, *r.Value, r.Solved, want)
		}
	}
}

func TestTicTacToeIsADraw(t *testing.T) {
	m := must[problem.Model](t)(problem.TicTacToe(""))
	r := search(t, m, mcts.Options{Simulations: 40_000, Seed: 5})
	if !r.Solved || *r.Value != 0 {
		t.Errorf("the empty board is worth %v, proven %v; want a proven 0", *r.Value, r.Solved)
	}
}

// minimax returns the value of a deterministic problem's state to player 1, and
// the values of its actions.
func minimax(t testing.TB, m problem.Model, state []float64) (float64, map[int]float64) {
	acts := must[[]int](t)(m.Actions(state, nil))
	if len(acts) == 0 {
		return must[float64](t)(m.Value(state)), nil
	}
	sign := float64(3 - 2*m.Player(state))
	best, values := math.Inf(-1), map[int]float64{}
	for _, a := range acts {
		next := append([]float64(nil), state...)
		_, r, err := m.Apply(next, a, nil)
		if err != nil {
			t.Fatal(err)
		}
		v, _ := minimax(t, m, next)
		values[a] = r + m.Traits().Discount*v
		best = max(best, sign*values[a])
	}
	return sign * best, values
}

func TestTicTacToeNeverLosesADrawnPosition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	drawn := 0
	for drawn < 40 {
		board := randomBoard(rng, 2+rng.IntN(5))
		m, err := problem.TicTacToe(board)
		if err != nil {
			continue
		}
		state := make([]float64, m.Traits().Size)
		m.Start(state)
		value, values := minimax(t, m, state)
		if value != 0 || len(values) == 0 {
			continue
		}
		drawn++
		r := search(t, m, mcts.Options{Simulations: 2000, Trees: 2, Seed: uint64(drawn)})
		if values[action(t, m, state, r.Best)] != 0 {
			t.Errorf("%s: %s loses a drawn position (%+v)", board, r.Best, r.Actions)
		}
	}
}

func randomBoard(rng *rand.Rand, marks int) string {
	cells := []byte(".........")
	for i, at := range rng.Perm(9)[:marks] {
		cells[at] = "XO"[i%2]
	}
	return string(cells)
}

// tableGame is a random deterministic game: state is a node of a full tree, and
// rewards, ends and movers come from hashes of it.
type tableGame struct {
	seed     uint64
	players  int
	discount float64
}

func (g tableGame) hash(s []float64, salt uint64) uint64 {
	return rand.NewPCG(g.seed^salt<<32, uint64(s[1])).Uint64()
}

func (g tableGame) Traits() problem.Traits {
	return problem.Traits{Size: 2, Actions: 3, Players: g.players, Discount: g.discount, Horizon: 5, Deterministic: true, Weight: 1}
}
func (g tableGame) Start(s []float64) { s[0], s[1] = 0, 1 }
func (g tableGame) Player(s []float64) int {
	if g.players == 1 {
		return 1
	}
	return 1 + int(g.hash(s, 1)%2) // not always alternating
}

func (g tableGame) Actions(s []float64, buf []int) ([]int, error) {
	if s[0] == 5 || s[0] > 0 && g.hash(s, 2)%5 == 0 {
		return buf, nil
	}
	return append(buf, 0, 1, 2)[:len(buf)+1+int(g.hash(s, 3)%3)], nil
}

func (g tableGame) Apply(s []float64, a int, _ *rand.Rand) (int, float64, error) {
	s[0]++
	s[1] = 4*s[1] + float64(a)
	return 0, float64(g.hash(s, 4)%7) - 3, nil
}
func (g tableGame) Value(s []float64) (float64, error) { return float64(g.hash(s, 5)%5) - 2, nil }
func (g tableGame) Label(a int) string                 { return string(rune('a' + a)) }

func TestProofsAgreeWithMinimax(t *testing.T) {
	for i := range uint64(300) {
		g := tableGame{seed: i, players: 1 + int(i%2), discount: []float64{1, .5, .9}[i%3]}
		state := make([]float64, 2)
		g.Start(state)
		value, values := minimax(t, g, state)
		sign := float64(3 - 2*g.Player(state))
		policy := []mcts.Policy{mcts.UCT, mcts.UCB1Tuned, mcts.PUCT}[i%3]
		r := search(t, g, mcts.Options{Simulations: 6000, Trees: 2, Seed: i, Policy: policy})
		if !r.Solved {
			t.Errorf("game %d is not solved after %d simulations", i, r.Simulations)
			continue
		}
		if !near(*r.Value, sign*value, 1e-12) || !near(values[int(r.Best[0]-'a')], value, 1e-12) {
			t.Errorf("game %d: %s is worth %v; minimax says %v, actions %v", i, r.Best, *r.Value, sign*value, values)
		}
		for _, a := range r.Actions {
			if a.Proven && !near(*a.Value, sign*values[int(a.Action[0]-'a')], 1e-12) {
				t.Errorf("game %d: %s is proven to be %v; minimax says %v", i, a.Action, *a.Value, sign*values[int(a.Action[0]-'a')])
			}
		}
	}
}

// A walk with chance whose values can be computed backwards.
func TestStochasticAgreesWithBackwardInduction(t *testing.T) {
	m := must[*problem.Compiled](t)(problem.Compile(&problem.Spec{
		Variables: []problem.Variable{{Name: "x", Type: "int", Initial: "2"}},
		Actions: []problem.Action{
			{Name: "safe", Reward: "-0.1", Effects: map[string]string{"x": "x + 1"}},
			{Name: "risky", Outcomes: []problem.Outcome{
				{Probability: "0.4", Effects: map[string]string{"x": "x + 3"}},
				{Probability: "0.6", Effects: map[string]string{"x": "x - 1"}},
			}},
		},
		Terminal: "x >= 5 || x <= 0",
		Reward:   "x >= 5 ? 1 : 0",
		Horizon:  6,
		Discount: new(.95),
	}))
	var value func(x, step int) (best, safe, risky float64)
	value = func(x, step int) (best, safe, risky float64) {
		if x >= 5 || x <= 0 || step == 6 {
			return 0, 0, 0
		}
		arrive := func(x int) float64 {
			v, _, _ := value(x, step+1)
			if x >= 5 {
				v++
			}
			return .95 * v
		}
		safe, risky = -.1+arrive(x+1), .4*arrive(x+3)+.6*arrive(x-1)
		return max(safe, risky), safe, risky
	}
	best, safe, risky := value(2, 0)
	r := search(t, m, mcts.Options{Simulations: 60_000, Seed: 8})
	want := "safe"
	if risky > safe {
		want = "risky"
	}
	if r.Best != want || !near(*r.Value, best, .05) {
		t.Errorf("best %q at %v; backward induction: safe %v, risky %v", r.Best, *r.Value, safe, risky)
	}
	if iv := r.Actions[0].Interval; iv == nil || iv.Method != mcts.Normal {
		t.Errorf("without a value range the interval is %+v, want the normal one", iv)
	}
}

func TestSecondPlayerSeesHisOwnValues(t *testing.T) {
	m := must[problem.Model](t)(problem.TicTacToe("XX.OO.X..")) // O to move wins at once
	r := search(t, m, mcts.Options{Simulations: 300, Seed: 1})
	if r.Player != 2 || *r.Value != 1 || r.Variation[0].Player != 2 || r.Variation[0].Value != 1 {
		t.Errorf("player %d, value %v, line %+v", r.Player, *r.Value, r.Variation)
	}
}
