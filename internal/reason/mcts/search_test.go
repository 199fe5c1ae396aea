package mcts_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
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

func TestSameForAnyNumberOfWorkers(t *testing.T) {
	nim := must[problem.Model](t)(problem.Nim([]int{3, 5, 7}))
	for name, m := range map[string]problem.Model{"bernoulli": bernoulli{}, "nim": nim} {
		for _, p := range []mcts.Policy{mcts.UCT, mcts.UCB1Tuned, mcts.PUCT} {
			render := func(workers int, seed uint64) string {
				meter := budget.New(t.Context(), budget.Limits{Steps: 40_000, Nodes: 20_000}, nil)
				r, err := mcts.Search(meter, m, mcts.Options{Simulations: 5000, Trees: 8, Workers: workers, Seed: seed, Policy: p})
				if err != nil {
					t.Fatal(err)
				}
				steps, nodes := meter.Used()
				return string(must[[]byte](t)(json.Marshal([]any{r, steps, nodes, meter.Hit()})))
			}
			one := render(1, 7)
			for _, workers := range []int{2, 8} {
				if got := render(workers, 7); got != one {
					t.Errorf("%s, %s: %d workers find\n%s\none finds\n%s", name, p, workers, got, one)
				}
			}
			if render(1, 8) == one {
				t.Errorf("%s, %s: another seed gives the same result", name, p)
			}
		}
	}
}

func TestBudgetIsKept(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits budget.Limits
		hit    budget.Hit
	}{
		{"steps", budget.Limits{Steps: 3000}, budget.Steps},
		{"few steps", budget.Limits{Steps: 3}, budget.Steps},
		{"nodes", budget.Limits{Nodes: 500}, budget.Nodes},
		{"one node", budget.Limits{Nodes: 1}, budget.Nodes},
		{"time", budget.Limits{Time: 5 * time.Millisecond}, budget.Time},
		{"none", budget.Limits{Steps: 1e9, Nodes: 1e9}, budget.None},
	} {
		t.Run(c.name, func(t *testing.T) {
			meter := budget.New(t.Context(), c.limits, nil)
			sims := 20_000
			if c.hit == budget.Time {
				sims = 1 << 29
			}
			r, err := mcts.Search(meter, bernoulli{}, mcts.Options{Simulations: sims, Trees: 8, Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			if meter.Hit() != c.hit {
				t.Errorf("met %q, want %q", meter.Hit(), c.hit)
			}
			steps, nodes := meter.Used()
			if l := c.limits; l.Steps > 0 && steps > l.Steps || l.Nodes > 0 && nodes > l.Nodes || nodes != r.Nodes {
				t.Errorf("used %d steps and %d nodes of %+v; the result has %d nodes", steps, nodes, l, r.Nodes)
			}
			if full := c.hit == budget.Nodes || c.hit == budget.None; full != (r.Simulations == sims) {
				t.Errorf("%d simulations", r.Simulations)
			}
			if c.name == "few steps" && (r.Best != "" || r.Value != nil) {
				t.Errorf("without a simulation the best is %q", r.Best)
			}
		})
	}
}

func TestNodeLimitStillLearns(t *testing.T) {
	m := must[problem.Model](t)(problem.Bandit([]float64{.1, .9, .2}, 4))
	meter := budget.New(t.Context(), budget.Limits{Nodes: 5}, nil)
	r, err := mcts.Search(meter, m, mcts.Options{Simulations: 3000, Trees: 1, Seed: 1})
	if err != nil || r.Best != "arm 2" || r.Nodes > 5 || meter.Hit() != budget.Nodes {
		t.Errorf("best %q with %d nodes, hit %q, %v", r.Best, r.Nodes, meter.Hit(), err)
	}
}

// canceling is a model that cancels its own search after some moves and counts
// the moves made since.
type canceling struct {
	bernoulli
	after  int64
	made   *atomic.Int64
	cancel context.CancelCauseFunc
}

func (c canceling) Apply(s []float64, a int, rng *rand.Rand) (int, float64, error) {
	if c.made.Add(1) == c.after {
		c.cancel(errors.New("no longer wanted"))
	}
	return c.bernoulli.Apply(s, a, rng)
}

func TestCancelStopsWithinAFewMoves(t *testing.T) {
	for _, workers := range []int{1, 4} {
		ctx, cancel := context.WithCancelCause(t.Context())
		m := canceling{after: 10_000, made: new(atomic.Int64), cancel: cancel}
		_, err := mcts.Search(budget.New(ctx, budget.Limits{}, nil), m, mcts.Options{Simulations: 1 << 29, Workers: workers})
		if err == nil || !strings.Contains(err.Error(), "no longer wanted") {
			t.Errorf("error %v, want the cause", err)
		}
		// Each of the eight trees looks up at least every 128 moves.
		if late := m.made.Load() - m.after; late > 8*128 {
			t.Errorf("%d workers: %d moves after the end", workers, late)
		}
	}
}

func TestCancelStopsInTime(t *testing.T) {
	best := time.Hour
	for range 5 { // the best of some: the machine may be busy
		ctx, cancel := context.WithCancel(t.Context())
		var at time.Time
		_, err := mcts.Search(budget.New(ctx, budget.Limits{}, nil), bernoulli{}, mcts.Options{
			Simulations: 1 << 29,
			Progress: func(p mcts.Progress) {
				if at.IsZero() && p.Done > 10_000 {
					at = time.Now()
					cancel()
				}
			},
		})
		best = min(best, time.Since(at))
		cancel()
		if fault.KindOf(err) != fault.Canceled {
			t.Fatalf("error %v, want canceled", err)
		}
	}
	if best > 10*time.Millisecond {
		t.Errorf("stopped %v after the cancel, want at most 10ms", best)
	}
}

func TestProgressGrows(t *testing.T) {
	var last mcts.Progress
	calls := 0
	m := must[problem.Model](t)(problem.Bandit([]float64{.1, .9}, 1))
	r := search(t, m, mcts.Options{Simulations: 10_000, Seed: 1, Progress: func(p mcts.Progress) {
		if p.Done <= last.Done || p.Total != 10_000 || p.Best == "" || p.Visits < 1 {
			t.Errorf("progress %+v after %+v", p, last)
		}
		last = p
		calls++
	}})
	if calls < 5 || last.Done != 10_000 || last.Best != r.Best {
		t.Errorf("%d reports, the last %+v", calls, last)
	}
}

func TestSearchErrors(t *testing.T) {
	good := must[problem.Model](t)(problem.Nim([]int{1, 2}))
	over := must[problem.Model](t)(problem.Nim([]int{0}))
	failing := must[*problem.Compiled](t)(problem.Compile(&problem.Spec{
		Variables: []problem.Variable{{Name: "x", Type: "int", Initial: "3"}},
		Actions:   []problem.Action{{Name: "down", Effects: map[string]string{"x": "x - 1"}}, {Name: "other"}},
		Reward:    "1 / x",
	}))
	ranged := must[*problem.Compiled](t)(problem.Compile(&problem.Spec{
		Variables: []problem.Variable{{Name: "x"}}, Actions: []problem.Action{{Name: "a"}}, Reward: "5", Horizon: 2, ValueRange: []float64{0, 1},
	}))
	for name, c := range map[string]struct {
		m    problem.Model
		o    mcts.Options
		want string
	}{
		"simulations": {good, mcts.Options{Simulations: -1}, "-1 simulations"},
		"trees":       {good, mcts.Options{Trees: 257}, "257 trees"},
		"constant":    {good, mcts.Options{Exploration: new(-1.0)}, "exploration constant is -1"},
		"nan":         {good, mcts.Options{Exploration: new(math.NaN())}, "exploration constant is NaN"},
		"policy":      {good, mcts.Options{Policy: "best"}, `the policy "best" is unknown`},
		"criterion":   {good, mcts.Options{Criterion: "luck"}, `the criterion "luck" is unknown`},
		"over":        {over, mcts.Options{}, "over in the initial state"},
		"formula":     {failing, mcts.Options{Simulations: 2000}, "reward: 1:3: division by zero"},
		"range":       {ranged, mcts.Options{}, "valueRange: a run returned 10, outside [0, 1]"},
	} {
		_, err := mcts.Search(budget.New(t.Context(), budget.Limits{}, nil), c.m, c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: error %v of kind %v, want %q", name, err, fault.KindOf(err), c.want)
		}
	}
}

func TestDefaults(t *testing.T) {
	m := must[problem.Model](t)(problem.Bandit([]float64{.5, .6}, 1))
	if r := search(t, m, mcts.Options{}); r.Simulations != mcts.DefaultSimulations || r.Trees != 1 {
		t.Errorf("%d simulations in %d trees, want 100 in 1", r.Simulations, r.Trees)
	}
	if r := search(t, m, mcts.Options{Simulations: 80_000}); r.Trees != mcts.DefaultTrees {
		t.Errorf("%d trees, want %d", r.Trees, mcts.DefaultTrees)
	}
	if r := search(t, m, mcts.Options{Simulations: 3, Trees: 8}); r.Trees != 3 || r.Simulations != 3 {
		t.Errorf("%d simulations in %d trees, want 3 in 3", r.Simulations, r.Trees)
	}
}
