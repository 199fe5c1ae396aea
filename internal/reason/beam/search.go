package beam

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// Options tune a Search. The zero value works.
type Options struct {
	Width     int      // default DefaultWidth, at most MaxWidth
	Depth     int      // moves; default the problem's horizon
	Groups    int      // default 1
	Diversity *float64 // λ, taken from the value once for each place an earlier group gave to the same action; default DefaultDiversity
	Best      int      // finished runs to report, 1 to MaxWidth; default 1

	// Heuristic, which may be nil, estimates what a state that is not the end is
	// worth from there on, undiscounted. Without it a run is judged by what it
	// earned so far. It must be safe for concurrent use.
	Heuristic func(state []float64) (float64, error)

	// Spread, which may be nil, continues runs on several goroutines. It does
	// not change the result.
	Spread budget.Spread
	// Keeper, which may be nil, keeps each generation to go on from.
	Keeper *budget.Keeper
	// Progress, which may be nil, is called after each generation by the
	// goroutine that called Search.
	Progress func(Progress)
}

// Progress is how far a Search has come.
type Progress struct {
	Generation, Depth int
	Beam              int // runs in the beam
	Best              *float64
}

// Run is one sequence of moves from the initial state.
type Run struct {
	Actions  []string `json:"actions"`
	Value    float64  `json:"value"`    // discounted return, with the heuristic if not finished
	Finished bool     `json:"finished"` // no action is legal at its end
}

// Result is what a Search found.
type Result struct {
	Runs        []Run  `json:"runs"` // best first; finished ones, or the beam if there are none
	Exhaustive  bool   `json:"exhaustive"`
	Generations int    `json:"generations"`
	Expanded    int64  `json:"expanded"`
	Generated   int64  `json:"generated"`
	Merged      int64  `json:"merged"`
	Pruned      int64  `json:"pruned"`
	Done        Reason `json:"done,omitempty"` // empty when a budget was met
}

// Search looks for the run of highest return from the initial state of m, which
// must be for one player and without chance. Equal states of a generation are
// merged. Exhaustive says that no run was left out: then the first one is the
// optimum. A budget step is one move (more for problems with long formulas); a
// node is a run kept. When a limit is met the result is the best so far, the
// error is a problem.Flaws, or why the context ended.
//
// The result is the same however the work is spread and however often it was
// resumed, unless the time limit is met.
func Search(meter *budget.Meter, m problem.Model, o Options) (*Result, error) {
	t := m.Traits()
	if err := o.settle(t); err != nil {
		return nil, err
	}
	s := &search{m: m, t: t, meter: meter, o: &o}
	if !o.Keeper.Resume(&s.kept) || !s.sound() {
		if err := s.begin(); err != nil {
			return nil, err
		}
	} else {
		meter.Step(s.Steps)
		meter.Grow(s.Count)
	}
	for s.Result.Done == NotDone {
		ok, err := s.generation()
		if err != nil {
			return nil, err
		}
		if ended := meter.Err(); ended != nil {
			return nil, fmt.Errorf("beam search: %w", ended)
		}
		if !ok {
			break
		}
		s.progress()
		if o.Keeper.Due() && s.Result.Done == NotDone {
			if err := o.Keeper.Save(s.state); err != nil {
				return nil, err
			}
		}
	}
	return s.result(), nil
}

func (o *Options) settle(t problem.Traits) error {
	if t.Players != 1 || !t.Deterministic {
		return problem.Bad("problem", "one player and no chance; mcts is for the others", "%d players, deterministic: %t", t.Players, t.Deterministic)
	}
	for _, d := range []struct {
		path      string
		v         *int
		to, limit int
	}{{"beamWidth", &o.Width, DefaultWidth, MaxWidth}, {"iterations", &o.Depth, t.Horizon, problem.MaxHorizon}, {"groups", &o.Groups, 1, max(1, o.Width)}, {"best", &o.Best, 1, MaxWidth}} {
		if *d.v == 0 {
			*d.v = d.to
		}
		if *d.v < 1 || *d.v > max(d.limit, 1) {
			return problem.Bad(d.path, fmt.Sprintf("1 to %d", d.limit), "%d", *d.v)
		}
	}
	if o.Diversity == nil {
		o.Diversity = new(DefaultDiversity)
	}
	if d := *o.Diversity; !(d >= 0 && d <= MaxScore) {
		return problem.Bad("diversity", "at least 0", "%v", d)
	}
	return nil
}

// run is a run in the beam.
type run struct {
	Step  int       `json:"s"` // its last move, an index of Moves; -1 at the start
	Earn  float64   `json:"e"` // discounted return so far
	Rank  float64   `json:"r"`
	Group int       `json:"g,omitempty"`
	State []float64 `json:"x,omitempty"`
}

// move is one move of the history.
type move struct {
	Before int `json:"b"`
	Action int `json:"a"`
}

// kept is the state of a search between two generations.
type kept struct {
	Moves    []move  `json:"moves"`
	Beam     []run   `json:"beam"`
	Finished []run   `json:"finished"` // best first, Best of them
	Result   Result  `json:"result"`
	Steps    int64   `json:"steps"`
	Count    int64   `json:"count"`
	Factor   float64 `json:"factor"` // γ to the power of the generation
}

type search struct {
	kept

	m     problem.Model
	t     problem.Traits
	meter *budget.Meter
	o     *Options
}

func (s *search) begin() error {
	s.kept = kept{Factor: 1, Result: Result{Exhaustive: true}}
	state := make([]float64, s.t.Size)
	s.m.Start(state)
	acts, err := s.m.Actions(state, nil)
	if err != nil {
		return err
	}
	if len(acts) == 0 {
		return problem.Bad("actions", "at least one legal action", "the run is over in the initial state")
	}
	s.Beam = []run{{Step: -1, State: state}}
	return nil
}

// chunk is how many runs are continued between two looks at the limits.
const chunk = 64

// next is one continuation of a run.
type next struct {
	from     int
	action   int
	earn     float64
	rank     float64
	finished bool
}

// generation makes every run of the beam one move longer. It reports false when
// a limit was met: the beam is then as it was.
func (s *search) generation() (bool, error) {
	var all []next
	before, _ := s.meter.Used()
	for at := 0; at < len(s.Beam); at += chunk {
		n := min(chunk, len(s.Beam)-at)
		found, ok, err := s.expand(at, n)
		if err != nil || !ok {
			s.Result.Exhaustive = false
			return false, err
		}
		all = append(all, found...)
	}
	s.Result.Expanded += int64(len(s.Beam))
	s.Result.Generated += int64(len(all))
	ok, err := s.choose(all)
	used, _ := s.meter.Used()
	s.Steps += used - before
	return ok, err
}

// expand continues n runs from the at-th on, side by side, and counts the steps
// in their order.
func (s *search) expand(at, n int) ([]next, bool, error) {
	found := make([][]next, n)
	steps := make([]int64, n)
	errs := make([]error, n)
	whole := make([]bool, n)
	spread := s.o.Spread
	if spread == nil || n == 1 {
		spread = s.meter.Inline()
	}
	stopped := spread(n, func(m *budget.Meter, i int) {
		found[i], whole[i], errs[i] = s.continuations(m, at+i)
		steps[i], _ = m.Used()
	})
	var out []next
	for i := range n {
		if errs[i] != nil {
			return nil, false, errs[i]
		}
		if !whole[i] {
			s.meter.Pause() // it sees what the other meter saw
			return nil, false, stopped
		}
		if !s.meter.Step(steps[i]) {
			return nil, false, nil
		}
		out = append(out, found[i]...)
	}
	return out, stopped == nil, stopped
}

func (s *search) continuations(m *budget.Meter, i int) ([]next, bool, error) {
	r := &s.Beam[i]
	acts, err := s.m.Actions(r.State, nil)
	if err != nil {
		return nil, false, err
	}
	state := make([]float64, s.t.Size)
	var buf []int
	out := make([]next, 0, len(acts))
	for _, a := range acts {
		if !m.Step(max(1, s.t.Weight)) {
			return nil, false, nil
		}
		copy(state, r.State)
		_, reward, err := s.m.Apply(state, a, nil)
		if err != nil {
			return nil, false, err
		}
		n := next{from: i, action: a, earn: r.Earn + float64(s.Factor*reward)}
		if buf, err = s.m.Actions(state, buf[:0]); err != nil {
			return nil, false, err
		}
		var ahead float64
		switch n.finished = len(buf) == 0; {
		case n.finished:
			if ahead, err = s.m.Value(state); err == nil {
				n.earn += float64(float64(s.Factor*s.t.Discount) * ahead)
				ahead = 0
			}
		case s.o.Heuristic != nil:
			ahead, err = s.o.Heuristic(state)
		}
		if err != nil {
			return nil, false, err
		}
		n.rank = n.earn + float64(float64(s.Factor*s.t.Discount)*ahead)
		if n.rank-n.rank != 0 {
			return nil, false, problem.Bad("reward", "returns and estimates below 1.8e308", "a run is worth %v", n.rank)
		}
		out = append(out, n)
	}
	return out, true, nil
}

// choose fills the beam from the continuations. States are computed again for
// those whose turn comes, which is cheaper than to hold all of them.
func (s *search) choose(all []next) (bool, error) {
	var pool []candidate
	var ended []next
	for i, n := range all {
		if n.finished {
			ended = append(ended, n)
			continue
		}
		pool = append(pool, candidate{at: i, value: n.rank, token: s.m.Label(n.action), group: s.Beam[n.from].Group})
	}
	var beam []run
	seen := map[string]bool{}
	group, merged := 0, int64(0)
	moves := len(s.Moves)
	full := false
	looked := make([]bool, len(all))
	err := pick(pool, s.o.Width, s.o.Groups, *s.o.Diversity, func() bool {
		full = full || !s.meter.Step(max(1, s.t.Weight))
		return !full
	}, func(c candidate, g int) (bool, error) {
		if full {
			return false, nil
		}
		if g != group {
			group = g
			clear(seen)
		}
		looked[c.at] = true
		n := all[c.at]
		state, err := s.follow(n)
		if err != nil {
			return false, err
		}
		key := stateKey(state)
		if seen[key] {
			merged++
			return false, nil
		}
		seen[key] = true
		if !s.meter.Grow(1) {
			full = true
			return false, nil
		}
		s.Moves = append(s.Moves, move{s.Beam[n.from].Step, n.action})
		beam = append(beam, run{len(s.Moves) - 1, n.earn, n.rank, g, state})
		return true, nil
	})
	if err != nil || s.meter.Err() != nil {
		return false, err
	}
	if full { // the beam stays, the runs that ended count
		s.Moves = s.Moves[:moves]
		s.finish(ended)
		s.Result.Exhaustive = false
		return false, nil
	}
	if s.Result.Exhaustive && s.o.Groups == 1 {
		// Nothing was lost if all that got no place is the same as what did.
		for _, c := range pool {
			if looked[c.at] {
				continue
			}
			state, err := s.follow(all[c.at])
			if err != nil || !s.meter.Step(max(1, s.t.Weight)) || !seen[stateKey(state)] {
				break
			}
			merged++
		}
	}
	s.Count += int64(len(beam))
	s.Result.Merged += merged
	if lost := int64(len(pool)-len(beam)) - merged; lost > 0 {
		s.Result.Pruned += lost
		s.Result.Exhaustive = false
	}
	s.finish(ended)
	s.Beam = beam
	s.Factor *= s.t.Discount
	s.Result.Generations++
	switch {
	case len(beam) == 0:
		s.Result.Done = AllComplete
	case s.Result.Generations >= s.o.Depth:
		s.Result.Done = Generations
		s.Result.Exhaustive = false
	}
	s.forget()
	return true, nil
}

// follow returns the state that a continuation leads to.
func (s *search) follow(n next) ([]float64, error) {
	state := slices.Clone(s.Beam[n.from].State)
	_, _, err := s.m.Apply(state, n.action, nil)
	return state, err
}

// finish keeps the best of the runs that ended.
func (s *search) finish(ended []next) {
	slices.SortStableFunc(ended, func(a, b next) int { return cmp.Compare(b.rank, a.rank) })
	for _, n := range ended[:min(len(ended), s.o.Best)] {
		s.Moves = append(s.Moves, move{s.Beam[n.from].Step, n.action})
		s.Finished = append(s.Finished, run{Step: len(s.Moves) - 1, Earn: n.earn, Rank: n.rank})
	}
	slices.SortStableFunc(s.Finished, func(a, b run) int { return cmp.Compare(b.Rank, a.Rank) })
	s.Finished = s.Finished[:min(len(s.Finished), s.o.Best)]
}
