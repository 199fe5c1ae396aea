package problem_test

import (
	"math"
	"slices"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

func TestTicTacToeCounts(t *testing.T) {
	m, err := problem.TicTacToe("")
	if err != nil {
		t.Fatal(err)
	}
	// Every game that can be played, by its result (a well-known count).
	var won, lost, drawn int
	var play func(s []float64)
	play = func(s []float64) {
		for _, a := range actions(t, m, s) {
			next := slices.Clone(s)
			_, r, err := m.Apply(next, a, nil)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case r == 1:
				won++
			case r == -1:
				lost++
			case len(actions(t, m, next)) == 0:
				drawn++
			default:
				play(next)
				continue
			}
			if len(actions(t, m, next)) != 0 {
				t.Fatalf("play goes on after %s", problem.Board(next))
			}
		}
	}
	play(start(m))
	if won != 131184 || lost != 77904 || drawn != 46080 {
		t.Errorf("%d games won, %d lost, %d drawn; want 131184, 77904, 46080", won, lost, drawn)
	}
}

func TestTicTacToeBoards(t *testing.T) {
	for board, player := range map[string]int{
		"":                    1,
		".........":           1,
		"x|o|x\n-|-|-\n_ _ _": 2,
		"XOXO.....":           1,
		"XXXOO....":           2,
		"OOOXX.X..":           1,
		"XOXXOOOXX":           2,
	} {
		m, err := problem.TicTacToe(board)
		if err != nil {
			t.Errorf("%q: %v", board, err)
			continue
		}
		if got := m.Player(start(m)); got != player {
			t.Errorf("%q: player %d moves, want %d", board, got, player)
		}
	}
	for _, board := range []string{"X", "XX.......", "O........", "XXXOOO...", "XXXOO.O..", "OOOXX.XX.", "XO?......", "XOXOXOXOXO"} {
		if _, err := problem.TicTacToe(board); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: error %v, want invalid", board, err)
		}
	}
	m, err := problem.TicTacToe("XXXOO....")
	if err != nil {
		t.Fatal(err)
	}
	if got := actions(t, m, start(m)); len(got) != 0 {
		t.Errorf("after a win %v are legal", got)
	}
	if m.Label(5) != "row 2 column 3" {
		t.Errorf("action 5 is called %q", m.Label(5))
	}
}

func TestNimMoves(t *testing.T) {
	m, err := problem.Nim([]int{1, 0, 2})
	if err != nil {
		t.Fatal(err)
	}
	s := start(m)
	var labels []string
	for _, a := range actions(t, m, s) {
		labels = append(labels, m.Label(a))
	}
	if want := []string{"take 1 from heap 1", "take 1 from heap 3", "take 2 from heap 3"}; !slices.Equal(labels, want) {
		t.Errorf("legal: %q, want %q", labels, want)
	}
	acts := actions(t, m, s)
	if _, r, err := m.Apply(s, acts[2], nil); err != nil || r != 0 || !slices.Equal(s, []float64{1, 0, 0, 2}) {
		t.Errorf("after the first move %v, reward %v, %v", s, r, err)
	}
	if _, r, err := m.Apply(s, acts[0], nil); err != nil || r != -1 || len(actions(t, m, s)) != 0 {
		t.Errorf("player 2 takes the last: reward %v, %v, still legal %v", r, err, actions(t, m, s))
	}
	for _, heaps := range [][]int{nil, {-1}, {33}, make([]int, 9)} {
		if _, err := problem.Nim(heaps); fault.KindOf(err) != fault.Invalid {
			t.Errorf("nim %v: error %v, want invalid", heaps, err)
		}
	}
}

func TestBanditPays(t *testing.T) {
	m, err := problem.Bandit([]float64{0, .3, 1}, 2)
	if err != nil {
		t.Fatal(err)
	}
	rng := seed.Stream(9, 0)
	var paid [3]float64
	const pulls = 10_000
	for a := range paid {
		for range pulls {
			_, r, err := m.Apply(start(m), a, rng)
			if err != nil {
				t.Fatal(err)
			}
			paid[a] += r
		}
	}
	if paid[0] != 0 || paid[2] != pulls || math.Abs(paid[1]/pulls-.3) > 4*math.Sqrt(.3*.7/pulls) {
		t.Errorf("arms paid %v of %d", paid, pulls)
	}
	s := start(m)
	for range 2 {
		if len(actions(t, m, s)) != 3 {
			t.Fatal("an arm cannot be pulled")
		}
		if _, _, err := m.Apply(s, 0, rng); err != nil {
			t.Fatal(err)
		}
	}
	if len(actions(t, m, s)) != 0 {
		t.Error("a third pull is allowed")
	}
	for _, arms := range [][]float64{nil, {1.5}, {-.1}, {math.NaN()}, make([]float64, 257)} {
		if _, err := problem.Bandit(arms, 1); fault.KindOf(err) != fault.Invalid {
			t.Errorf("bandit of %d arms: error %v, want invalid", len(arms), err)
		}
	}
	if _, err := problem.Bandit([]float64{1}, 0); fault.KindOf(err) != fault.Invalid {
		t.Errorf("no pulls: error %v, want invalid", err)
	}
}
