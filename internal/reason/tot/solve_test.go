package tot_test

import (
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget/budgettest"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
	"github.com/lyceum-mcp/lyceum/internal/reason/tot"
)

// roads is a directed graph with costs; the run is over in the last place.
type roads struct {
	n    int
	cost []float64 // from·n+to; 0 is no road
}

func newRoads(s uint64, n int) *roads {
	m := &roads{n, make([]float64, n*n)}
	rng := seed.Stream(s, 0)
	for i := range n {
		for range 3 {
			if j := rng.IntN(n); j != i {
				m.cost[i*n+j] = float64(1 + rng.IntN(20))
			}
		}
	}
	for i := range n - 1 { // so that there is a way, if a long one
		if m.cost[i*n+i+1] == 0 {
			m.cost[i*n+i+1] = 30
		}
	}
	return m
}

func (m *roads) Traits() problem.Traits {
	return problem.Traits{Size: 1, Actions: m.n, Players: 1, Discount: 1, Horizon: m.n, Deterministic: true, Weight: 1}
}
func (m *roads) Start(s []float64)       { s[0] = 0 }
func (m *roads) Player([]float64) int    { return 1 }
func (m *roads) Label(action int) string { return strconv.Itoa(action) }
func (m *roads) Actions(s []float64, buf []int) ([]int, error) {
	if at := int(s[0]); at < m.n-1 {
		for j := range m.n {
			if m.cost[at*m.n+j] > 0 {
				buf = append(buf, j)
			}
		}
	}
	return buf, nil
}

func (m *roads) Apply(s []float64, a int, _ *rand.Rand) (int, float64, error) {
	r := -m.cost[int(s[0])*m.n+a]
	s[0] = float64(a)
	return 0, r, nil
}
func (m *roads) Value([]float64) (float64, error) { return 0, nil }

type item struct {
	at int
	d  float64
}
type items []item

func (q items) Len() int           { return len(q) }
func (q items) Less(i, j int) bool { return q[i].d < q[j].d }
func (q items) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *items) Push(v any)        { *q = append(*q, v.(item)) }
func (q *items) Pop() any {
	v := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return v
}

// distances are those of all places to the last one (Dijkstra, backwards).
func (m *roads) distances() []float64 {
	d := make([]float64, m.n)
	for i := range d {
		d[i] = math.Inf(1)
	}
	q := &items{{m.n - 1, 0}}
	d[m.n-1] = 0
	for q.Len() > 0 {
		x := heap.Pop(q).(item)
		for i := range m.n {
			if c := m.cost[i*m.n+x.at]; c > 0 && x.d+c < d[i] {
				d[i] = x.d + c
				heap.Push(q, item{i, d[i]})
			}
		}
	}
	return d
}

func TestAStarIsOptimal(t *testing.T) {
	for s := range uint64(40) {
		m := newRoads(s, 30)
		d := m.distances()
		rng := seed.Stream(s, 1)
		share := make([]float64, m.n) // admissible, and not consistent
		for i := range share {
			share[i] = rng.Float64()
		}
		h := func(state []float64) (float64, error) { return min(1e6, d[int(state[0])]) * share[int(state[0])], nil }
		plain, err := tot.Solve(budget.New(t.Context(), budget.Limits{}, nil), m, tot.Options{Strategy: tot.AStar})
		if err != nil {
			t.Fatal(err)
		}
		guided, err := tot.Solve(budget.New(t.Context(), budget.Limits{}, nil), m, tot.Options{Strategy: tot.AStar, Heuristic: h})
		if err != nil {
			t.Fatal(err)
		}
		for name, r := range map[string]*tot.Result{"without": plain, "with": guided} {
			if r.Best == nil || math.Abs(r.Best.Value-d[0]) > 1e-9 || !r.Optimal {
				t.Errorf("seed %d, %s heuristic: %+v, want cost %v", s, name, r.Best, d[0])
			}
		}
	}
}

func TestGameOf24(t *testing.T) {
	for _, c := range []struct {
		numbers []int
		solved  bool
	}{
		{[]int{4, 9, 10, 13}, true},
		{[]int{3, 3, 8, 8}, true},
		{[]int{1, 5, 5, 5}, true},
		{[]int{2, 7, 8, 9}, true},
		{[]int{1, 1, 1, 1}, false},
		{[]int{1, 1, 1, 2}, false},
	} {
		m := must[problem.Model](t)(tot.Game24(c.numbers, 24))
		for _, strategy := range []tot.Strategy{tot.DepthFirst, tot.BestFirst, tot.BreadthFirst, tot.AStar} {
			r, err := tot.Solve(budget.New(t.Context(), budget.Limits{}, nil), m, tot.Options{Strategy: strategy, Breadth: 4096, Target: new(1.0)})
			if err != nil {
				t.Fatal(err)
			}
			if got := len(r.Solutions) > 0; got != c.solved || !got && !r.Exhaustive {
				t.Errorf("%v by %s: solved %t (exhaustive %t, %s), want %t", c.numbers, strategy, got, r.Exhaustive, r.Done, c.solved)
			}
			if c.solved {
				formula := must[string](t)(tot.Formula(c.numbers, r.Solutions[0].Actions))
				if got := evaluate(t, formula); math.Abs(got-24) > 1e-9 {
					t.Errorf("%s = %v", formula, got)
				}
			}
		}
	}
}

// evaluate reads a formula of fully bracketed operations.
func evaluate(t *testing.T, formula string) float64 {
	t.Helper()
	s := []rune("(" + formula + ")")
	var value func() float64
	value = func() float64 {
		if s[0] != '(' {
			n := 0
			for n < len(s) && s[n] >= '0' && s[n] <= '9' {
				n++
			}
			v := must[float64](t)(strconv.ParseFloat(string(s[:n]), 64))
			s = s[n:]
			return v
		}
		s = s[1:]
		a := value()
		op := s[1]
		s = s[3:]
		b := value()
		s = s[1:]
		switch op {
		case '+':
			return a + b
		case '-':
			return a - b
		case '×':
			return a * b
		}
		return a / b
	}
	return value()
}

var errStopping = errors.New("stopped")

func render(t *testing.T, m problem.Model, o tot.Options, l budget.Limits, workers int, d *budgettest.Disk) (string, error) {
	t.Helper()
	meter := budget.New(t.Context(), l, nil)
	o.Spread = meter.Spread(budgettest.Fan(workers), nil)
	if d != nil {
		o.Keeper = must[*budget.Keeper](t)(budget.Keep(d, errStopping, "key"))
	}
	r, err := tot.Solve(meter, m, o)
	if err != nil {
		return "", err
	}
	steps, nodes := meter.Used()
	return string(must[[]byte](t)(json.Marshal([]any{r, steps, nodes, meter.Hit()}))), nil
}

func TestSameForWorkersAndProcesses(t *testing.T) {
	m := newRoads(3, 25)
	game := must[problem.Model](t)(tot.Game24([]int{4, 9, 10, 13}, 24))
	for name, c := range map[string]struct {
		m problem.Model
		o tot.Options
		l budget.Limits
	}{
		"level":   {m, tot.Options{Breadth: 9, Solutions: 3}, budget.Limits{}},
		"deep":    {game, tot.Options{Strategy: tot.DepthFirst, Target: new(1.0), Solutions: 4}, budget.Limits{}},
		"best":    {game, tot.Options{Strategy: tot.BestFirst, Target: new(1.0), Solutions: 4}, budget.Limits{}},
		"a star":  {m, tot.Options{Strategy: tot.AStar}, budget.Limits{}},
		"steps":   {game, tot.Options{Strategy: tot.DepthFirst, Target: new(1.0), Solutions: 60}, budget.Limits{Steps: 400}},
		"nodes":   {m, tot.Options{Strategy: tot.AStar}, budget.Limits{Nodes: 20}},
		"breadth": {m, tot.Options{Breadth: 9}, budget.Limits{Nodes: 40}},
	} {
		want := must[string](t)(render(t, c.m, c.o, c.l, 1, nil))
		for _, workers := range []int{2, 8} {
			if got := must[string](t)(render(t, c.m, c.o, c.l, workers, nil)); got != want {
				t.Errorf("%s: %d workers find\n%s\none finds\n%s", name, workers, got, want)
			}
		}
		var state json.RawMessage
		processes, got := 0, ""
		for err := errStopping; errors.Is(err, errStopping); processes++ {
			d := &budgettest.Disk{StopAfter: 1, State: state}
			got, err = render(t, c.m, c.o, c.l, processes%3+1, d)
			if err != nil && !errors.Is(err, errStopping) {
				t.Fatal(err)
			}
			state = d.State
		}
		if got != want || processes < 3 {
			t.Errorf("%s: %d processes find\n%s\none finds\n%s", name, processes, got, want)
		}
	}
}

func TestCancel(t *testing.T) {
	m := must[problem.Model](t)(tot.Game24([]int{97, 89, 83, 79, 73, 71}, 1))
	for _, strategy := range []tot.Strategy{tot.DepthFirst, tot.BestFirst, tot.BreadthFirst} {
		best := time.Hour
		for range 5 { // the best of some: the machine may be busy
			ctx, cancel := context.WithCancel(t.Context())
			var canceled time.Time
			timer := time.AfterFunc(20*time.Millisecond, func() {
				canceled = time.Now()
				cancel()
			})
			_, err := tot.Solve(budget.New(ctx, budget.Limits{}, nil), m, tot.Options{Strategy: strategy, Breadth: 4096, Target: new(2.0)})
			timer.Stop()
			best = min(best, time.Since(canceled))
			cancel()
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%s: error %v, want canceled", strategy, err)
			}
		}
		if best > cancelWithin {
			t.Errorf("%s: stopped %v after the cancel, want at most %v", strategy, best, cancelWithin)
		}
	}
}

func BenchmarkAStar(b *testing.B) {
	m := newRoads(1, 200)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tot.Solve(budget.New(b.Context(), budget.Limits{}, nil), m, tot.Options{Strategy: tot.AStar}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGameOf24(b *testing.B) {
	m := must[problem.Model](b)(tot.Game24([]int{1, 1, 1, 1}, 24))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tot.Solve(budget.New(b.Context(), budget.Limits{}, nil), m, tot.Options{Strategy: tot.DepthFirst, Target: new(1.0)}); err != nil {
			b.Fatal(err)
		}
	}
}
