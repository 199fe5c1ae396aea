package problem_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

// play makes a random run and returns its return and actions. It checks that the
// heuristic and the bounds hold on the way.
func play(t *testing.T, m problem.Model, rng interface{ IntN(int) int }) (float64, []int) {
	t.Helper()
	traits := m.Traits()
	s := start(m)
	var run []int
	var earned []float64
	total := 0.0
	for {
		acts := actions(t, m, s)
		if len(acts) == 0 {
			break
		}
		if g := problem.GuideOf(m); g != nil {
			weights := make([]float64, len(acts))
			if err := g.Weigh(s, acts, weights); err != nil {
				t.Fatal(err)
			}
			for _, w := range weights {
				if !(w >= 0) || math.IsInf(w, 0) {
					t.Fatalf("weights %v", weights)
				}
			}
		}
		a := acts[rng.IntN(len(acts))]
		if a < 0 || a >= traits.Actions || m.Label(a) == "" {
			t.Fatalf("action %d of %d", a, traits.Actions)
		}
		_, r, err := m.Apply(s, a, nil)
		if err != nil {
			t.Fatal(err)
		}
		run = append(run, a)
		earned = append(earned, r)
		total += r
	}
	v, err := m.Value(s)
	if err != nil || len(run) > traits.Horizon {
		t.Fatal(err, len(run))
	}
	rest := v
	for _, r := range slices.Backward(earned) {
		if rest < traits.Low-1e-6 || rest > traits.High+1e-6 {
			t.Fatalf("a return of %v from some state on, outside [%v, %v]", rest, traits.Low, traits.High)
		}
		rest += r
	}
	if rest < traits.Low-1e-6 || rest > traits.High+1e-6 {
		t.Fatalf("a return of %v, outside [%v, %v]", rest, traits.Low, traits.High)
	}
	return total + v, run
}

func TestTSPPaysTheTour(t *testing.T) {
	for i := range uint64(200) {
		rng := seed.Stream(1, i)
		n := 2 + rng.IntN(9)
		points := make([][]float64, n)
		for k := range points {
			points[k] = []float64{float64(rng.IntN(20)), float64(rng.IntN(20))}
		}
		d, err := problem.Distances(points)
		if err != nil {
			t.Fatal(err)
		}
		d[0][n-1]++ // not symmetric
		got, run := play(t, built(t)(problem.TSP(d)), rng)
		at, length := 0, 0.0
		for _, c := range run {
			length += d[at][c]
			at = c
		}
		length += d[at][0]
		visited := slices.Sorted(slices.Values(run))
		if math.Abs(got+length) > 1e-9 || len(run) != n-1 || len(slices.Compact(visited)) != n-1 || visited[0] != 1 {
			t.Fatalf("tour %v of %d cities pays %v, its length is %v", run, n, got, length)
		}
	}
	for want, d := range map[string][][]float64{
		"1 cities": {{0}}, "distances[1]: 1 distances": {{0, 1}, {1}}, "distances[0][1]: -1": {{0, -1}, {1, 0}},
	} {
		if _, err := problem.TSP(d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if _, err := problem.Distances([][]float64{{0, 0}, {1}}); err == nil || !strings.Contains(err.Error(), "points[1]") {
		t.Errorf("error %v", err)
	}
}

func TestKnapsackPaysWhatFits(t *testing.T) {
	for i := range uint64(300) {
		rng := seed.Stream(2, i)
		n := 1 + rng.IntN(10)
		values, weights := make([]float64, n), make([]float64, n)
		for k := range values {
			values[k], weights[k] = float64(rng.IntN(30)), float64(rng.IntN(12))
		}
		m := built(t)(problem.Knapsack(values, weights, 25))
		got, run := play(t, m, rng)
		var value, weight float64
		for _, a := range run {
			var item int
			if name, ok := strings.CutPrefix(m.Label(a), "take item "); ok {
				for _, digit := range name {
					item = item*10 + int(digit-'0')
				}
				value += values[item-1]
				weight += weights[item-1]
			}
		}
		if got != value || weight > 25 || len(run) != n {
			t.Fatalf("run %v pays %v for %v and weighs %v", run, got, value, weight)
		}
	}
	for want, f := range map[string]func() (problem.Model, error){
		"0 items":      func() (problem.Model, error) { return problem.Knapsack(nil, nil, 1) },
		"1 weights":    func() (problem.Model, error) { return problem.Knapsack([]float64{1, 2}, []float64{1}, 1) },
		"weights[0]":   func() (problem.Model, error) { return problem.Knapsack([]float64{1}, []float64{-1}, 1) },
		"values[0]":    func() (problem.Model, error) { return problem.Knapsack([]float64{math.NaN()}, []float64{1}, 1) },
		"capacity: -1": func() (problem.Model, error) { return problem.Knapsack([]float64{1}, []float64{1}, -1) },
	} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestJobShopPaysTheMakespan(t *testing.T) {
	jobs := problem.FT06()
	total := 0.0
	for _, job := range jobs {
		for _, task := range job {
			total += task.Duration
		}
	}
	if total != 197 {
		t.Errorf("ft06 has %v units of work, want 197", total)
	}
	m := built(t)(problem.JobShop(jobs))
	for i := range uint64(300) {
		got, run := play(t, m, seed.Stream(3, i))
		// The schedule by its definition: a task starts when its job's last task
		// and its machine's last task, in the order given, are done.
		type slot struct{ from, to float64 }
		onMachine, ofJob := map[int][]slot{}, make([][]slot, len(jobs))
		makespan := 0.0
		for _, j := range run {
			task := jobs[j][len(ofJob[j])]
			var from float64
			for _, s := range append(slices.Clone(onMachine[task.Machine]), ofJob[j]...) {
				from = max(from, s.to)
			}
			s := slot{from, from + task.Duration}
			onMachine[task.Machine] = append(onMachine[task.Machine], s)
			ofJob[j] = append(ofJob[j], s)
			makespan = max(makespan, s.to)
		}
		if got != -makespan || makespan < 55 || len(run) != 36 {
			t.Fatalf("a schedule of %v pays %v", makespan, got)
		}
	}
	for want, jobs := range map[string][][]problem.Task{
		"0 jobs": nil, "0 tasks": {{}}, "machine 32": {{{Machine: 32}}}, "duration -1": {{{Duration: -1}}}, "513 tasks": {make([]problem.Task, 513)},
	} {
		if _, err := problem.JobShop(jobs); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestPuzzlesKeepTheirBounds(t *testing.T) {
	for name, m := range map[string]problem.Model{
		"tiles":     built(t)(problem.SlidingTiles(3, []int{8, 6, 7, 2, 5, 4, 3, 0, 1}, 0)),
		"queens":    built(t)(problem.Queens(8)),
		"grid":      built(t)(problem.GridWorld(problem.Grid{Map: aima, Step: -.04, Goal: 1, Trap: -1, Discount: 1})),
		"connect":   built(t)(problem.ConnectFour(5, 4, "")),
		"same city": built(t)(problem.TSP([][]float64{{0, 0, 0}, {0, 0, 0}, {0, 0, 0}})),
	} {
		for i := range uint64(50) {
			if _, run := play(t, m, seed.Stream(4, i)); len(run) == 0 {
				t.Errorf("%s: no move", name)
			}
		}
	}
}

func TestBuildDomains(t *testing.T) {
	p := problem.Parameters{
		Arms: []float64{.5}, Pulls: 1, Map: "SG", Tiles: []int{1, 2, 3, 4, 5, 6, 7, 0, 8}, Distances: [][]float64{{0, 1}, {1, 0}},
		Values: []float64{1}, Weights: []float64{1}, Capacity: 1, Instance: "ft06",
	}
	for _, name := range problem.Domains() {
		m, main, err := p.Build(name, 1)
		if err != nil || main == "" || len(actions(t, m, start(m))) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for domain, c := range map[string]struct {
		p    problem.Parameters
		want string
	}{
		"chess":       {p, `domain: "chess"; expected one of tic-tac-toe`},
		"tic-tac-toe": {problem.Parameters{Board: "X"}, "board: the board has 1 cells"},
		"tsp":         {problem.Parameters{Distances: p.Distances, Points: p.Distances}, "points: distances are given too"},
		"job-shop":    {problem.Parameters{Jobs: [][][]float64{{{0, 1}, {0.5, 1}}}}, "jobs[0][1]: [0.5 1]; expected [machine, duration]"},
		"knapsack":    {problem.Parameters{}, "values: 0 items"},
	} {
		if _, _, err := c.p.Build(domain, 1); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", domain, err, c.want)
		}
	}
}
