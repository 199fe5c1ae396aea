package mcts_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

var (
	games       = flag.Int("games", 0, "play so many games for each line of the table of quality; 0 is a small check")
	qualityDocs = flag.String("quality.docs", "", "write the table of quality into this directory")
)

// opponent picks a column.
type opponent struct {
	name string
	pick func(g *grid, rng *rand.Rand) int
}

func opponents() []opponent {
	depth := func(d int) func(*grid, *rand.Rand) int {
		return func(g *grid, _ *rand.Rand) int { return g.choose(d) }
	}
	return []opponent{
		{"random", func(g *grid, rng *rand.Rand) int {
			legal := g.legal()
			return legal[rng.IntN(len(legal))]
		}},
		{"greedy (one move ahead)", depth(1)},
		{"alpha-beta, depth 4", depth(4)},
		{"alpha-beta, depth 6", depth(6)},
	}
}

// playConnectFour plays one game from two random moves on. The search begins in
// every other game. It returns 1, 0 or -1 for the search.
func playConnectFour(t *testing.T, o mcts.Options, other opponent, game int) int {
	t.Helper()
	rng := seed.Stream(31, uint64(game/2)) // the same openings from both sides
	g := newGrid(7, 6)
	for range 2 {
		g.drop(rng.IntN(7))
	}
	for searches := game%2 == 0; !g.over(); searches = !searches {
		if !searches {
			g.drop(other.pick(g, rng))
			continue
		}
		var moves strings.Builder
		for _, c := range g.played {
			fmt.Fprint(&moves, c+1)
		}
		o.Trees, o.Seed = 1, uint64(1000*game+len(g.played))
		r := search(t, must[problem.Model](t)(problem.ConnectFour(7, 6, moves.String())), o)
		g.drop(int(r.Best[len("column ")] - '1'))
	}
	switch last := len(g.played)%2 == 1; { // made by who moves first
	case !g.won():
		return 0
	case last == (game%2 == 0):
		return 1
	}
	return -1
}

// wilson is the 95 % score interval of a share (Wilson, 1927).
func wilson(hits, n int) (low, high float64) {
	const z = 1.959963984540054
	p, m := float64(hits)/float64(n), float64(n)
	middle := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(0, middle-half), min(1, middle+half)
}

// bootstrap is the 95 % percentile interval of a mean (Efron, 1979).
func bootstrap(values []float64) (low, high float64) {
	const rounds = 2000
	rng := seed.Stream(32, 0)
	means := make([]float64, rounds)
	for i := range means {
		for range values {
			means[i] += values[rng.IntN(len(values))] / float64(len(values))
		}
	}
	slices.Sort(means)
	return means[rounds/40], means[rounds-1-rounds/40]
}

func TestIntervalsOfTheTables(t *testing.T) {
	// 15 of 20: 0.5313 to 0.8881 (Newcombe, 1998, gives such for Wilson's method).
	if low, high := wilson(15, 20); math.Abs(low-.5313) > 1e-3 || math.Abs(high-.8881) > 1e-3 {
		t.Errorf("15 of 20: %.4f to %.4f", low, high)
	}
	if low, high := bootstrap([]float64{3, 3, 3}); math.Abs(low-3) > 1e-12 || math.Abs(high-3) > 1e-12 {
		t.Errorf("three times 3: %v to %v", low, high)
	}
	values := make([]float64, 400)
	rng := seed.Stream(33, 0)
	for i := range values {
		values[i] = rng.NormFloat64()
	}
	if low, high := bootstrap(values); high-low < .16 || high-low > .24 || low > .1 || high < -.1 {
		t.Errorf("400 standard normal values: %v to %v, want a width of about 0.196", low, high)
	}
}

type player struct {
	name string
	o    mcts.Options
}

func players() []player {
	return []player{
		{"UCT, 500 simulations", mcts.Options{Simulations: 500, Exploration: new(.7)}},
		{"UCT, 5000 simulations", mcts.Options{Simulations: 5000, Exploration: new(.7)}},
		{"UCT + RAVE 500, 500 simulations", mcts.Options{Simulations: 500, Exploration: new(.7), RAVE: 500}},
		{"PUCT + heuristic playouts, 500 simulations", mcts.Options{Simulations: 500, Policy: mcts.PUCT, Rollout: mcts.HeuristicRollout}},
	}
}

func schedulers() []player {
	var list []player
	for _, sims := range []int{1000, 10_000, 30_000} {
		for _, p := range []player{
			{"UCT, c = 0.4", mcts.Options{}},
			{"the same with widening k = 1, α = 0.25", mcts.Options{Widening: &mcts.Widening{K: 1, Alpha: .25}}},
			{"the same with heuristic playouts", mcts.Options{Widening: &mcts.Widening{K: 1, Alpha: .25}, Rollout: mcts.HeuristicRollout}},
		} {
			p.name = fmt.Sprintf("%s, %d simulations", p.name, sims)
			p.o.Simulations, p.o.Trees, p.o.Exploration = sims, 1, new(.4)
			list = append(list, p)
		}
	}
	return list
}

// TestQuality plays and schedules: a little in every run, a table with -games.
func TestQuality(t *testing.T) {
	if *games == 0 {
		checkQuality(t)
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "## Connect four, 7×6\n\n%d games a line, half of them begun by the search, all from two random moves on. Intervals are of the share of games won, at 95 %% (Wilson, 1927).\n\n", *games)
	b.WriteString("| search | against | won | drawn | lost | share won |\n|---|---|---|---|---|---|\n")
	for _, p := range players() {
		for _, other := range opponents() {
			var count [3]int
			for i := range *games {
				count[1-playConnectFour(t, p.o, other, i)]++
			}
			low, high := wilson(count[0], *games)
			fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %.2f (%.2f–%.2f) |\n", p.name, other.name, count[0], count[1], count[2], float64(count[0])/float64(*games), low, high)
		}
	}
	fmt.Fprintf(&b, "\n## Job shop ft06, optimum 55\n\nThe makespan of the best run found, %d seeds a line: the mean with its interval at 95 %% (percentile bootstrap: Efron, 1979), and the share of seeds that found the optimum (Wilson).\n\n", *games)
	b.WriteString("| search | mean makespan | best | worst | optimum found |\n|---|---|---|---|---|\n")
	for _, p := range schedulers() {
		spans, optimal := makespans(t, p.o, *games)
		low, high := bootstrap(spans)
		from, to := wilson(optimal, *games)
		sum := 0.0
		for _, s := range spans {
			sum += s
		}
		fmt.Fprintf(&b, "| %s | %.2f (%.2f–%.2f) | %.0f | %.0f | %.2f (%.2f–%.2f) |\n", p.name, sum/float64(*games), low, high, slices.Min(spans), slices.Max(spans), float64(optimal)/float64(*games), from, to)
	}
	t.Log("\n" + b.String())
	if *qualityDocs != "" {
		writeQuality(t, b.String())
	}
}

func makespans(t *testing.T, o mcts.Options, n int) (spans []float64, optimal int) {
	m := must[problem.Model](t)(problem.JobShop(problem.FT06()))
	for i := range n {
		o.Seed = uint64(i)
		span := -search(t, m, o).Run.Value
		spans = append(spans, span)
		if span == 55 {
			optimal++
		}
	}
	return spans, optimal
}

// checkQuality asserts what a search of little must reach.
func checkQuality(t *testing.T) {
	won := 0
	for i := range 6 {
		if playConnectFour(t, players()[0].o, opponents()[0], i) == 1 {
			won++
		}
	}
	if won < 5 {
		t.Errorf("500 simulations win %d of 6 games against random moves", won)
	}
	spans, _ := makespans(t, schedulers()[1].o, 5)
	if worst := slices.Max(spans); worst > 65 || slices.Min(spans) < 55 {
		t.Errorf("makespans of ft06 after 1000 simulations: %v, want 55 to 65", spans)
	}
}

const tablesBegin, tablesEnd = "<!-- tables: make quality -->\n", "<!-- end of tables -->\n"

// writeQuality replaces the tables in the document.
func writeQuality(t *testing.T, tables string) {
	name := filepath.Join(*qualityDocs, "search-quality.md")
	old := string(must[[]byte](t)(os.ReadFile(name)))
	before, rest, ok := strings.Cut(old, tablesBegin)
	_, after, ok2 := strings.Cut(rest, tablesEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no tables between %q and %q", name, tablesBegin, tablesEnd)
	}
	if err := os.WriteFile(name, []byte(before+tablesBegin+"\n"+tables+"\n"+tablesEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
