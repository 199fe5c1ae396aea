package stats

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/expr"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

// Model is a quantity that depends on random variables.
type Model struct {
	Variables  map[string]Distribution // independent of each other
	Constants  map[string]float64
	Expression string // of the variables; may be empty when there is one variable
	Event      string // a condition on the variables and "result"; may be empty
}

// Sampling says how a model is sampled.
type Sampling struct {
	Draws     int
	Seed      uint64
	Level     float64
	Quantiles []float64
	Spread    Spread                // nil: on the caller's goroutine
	Keeper    *budget.Keeper        // may be nil
	Progress  func(done, total int) // may be nil; called by the caller's goroutine
}

// maxKept is how many draws are kept for quantiles; the first of them are a
// random sample like any other.
const maxKept = 1_000_000

// keptBlocks is how many blocks that takes.
const keptBlocks = (maxKept + blockSize - 1) / blockSize

// MonteCarlo is an estimate of the distribution of a model's result.
type MonteCarlo struct {
	Requested     int                `json:"requested"`
	Samples       int                `json:"samples"` // draws made
	Undefined     int                `json:"undefined"`
	Mean          float64            `json:"mean"`
	Stddev        *float64           `json:"stddev,omitempty"`
	StandardError *float64           `json:"standardError,omitempty"`
	MeanCI        *Interval          `json:"meanConfidenceInterval,omitempty"`
	Min           float64            `json:"min"`
	Max           float64            `json:"max"`
	Quantiles     []SampledQuantile  `json:"quantiles"`
	QuantileDraws int                `json:"quantileDraws"` // how many draws the quantiles are of
	Percentile    map[string]float64 `json:"percentile"`    // p05, p50, p95
	Event         *EventEstimate     `json:"event,omitempty"`
	Convergence   Convergence        `json:"convergence"`
	Inputs        []SampledVariable  `json:"variables"`
	Assumptions   []Assumption       `json:"assumptions"`
	Notes         []string           `json:"notes"`
}

// SampledQuantile is a quantile of draws with a distribution-free interval from
// order statistics (Thompson 1936).
type SampledQuantile struct {
	P        float64   `json:"p"`
	Value    float64   `json:"value"`
	Interval *Interval `json:"interval,omitempty"`
}

// EventEstimate is the estimated probability of an event.
type EventEstimate struct {
	Event       string    `json:"event"`
	Hits        int       `json:"hits"`
	Probability float64   `json:"probability"`
	SE          float64   `json:"standardError"`
	Interval    *Interval `json:"interval"`
}

// Convergence says how much the mean can be trusted.
type Convergence struct {
	RelativeError *float64 `json:"relativeStandardError,omitempty"` // of the mean
	LargestShare  *float64 `json:"largestShare,omitempty"`          // of one draw in the variance
	DrawsForOne   *float64 `json:"drawsForOnePercent,omitempty"`    // for a relative standard error of 1 %
	Stable        bool     `json:"stable"`
	Note          string   `json:"note"`
}

// SampledVariable shows what was sampled, with its exact moments.
type SampledVariable struct {
	Name         string   `json:"name"`
	Distribution string   `json:"distribution"`
	Mean         *float64 `json:"mean,omitempty"`
	SD           *float64 `json:"sd,omitempty"`
}

// Simulate draws the variables of the model and evaluates it. One draw is one
// step of the budget. When the budget ends it returns the blocks of draws that
// were complete. The draws that are kept for quantiles are no part of the state
// that is kept to go on from: they are made again.
func Simulate(m *budget.Meter, model Model, s Sampling) (*MonteCarlo, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	p, err := model.compile()
	if err != nil {
		return nil, err
	}
	b := blocks{draws: s.Draws, cost: 1, redo: keptBlocks, spread: s.Spread, keeper: s.Keeper, progress: s.Progress}
	var all drawn
	err = run(m, b, &all, func(m *budget.Meter, block, count int) (*drawn, bool) {
		return p.block(m, s.Seed, block, count)
	})
	if err != nil {
		return nil, err
	}
	return p.summarise(m, all, s)
}

func (s Sampling) check() error {
	if s.Draws < 1 || s.Draws > MaxDraws {
		return wrong("draws", fmt.Sprintf("1 to %d", MaxDraws), s.Draws)
	}
	if len(s.Quantiles) > MaxQuantiles {
		return wrong("quantiles", fmt.Sprintf("at most %d of them", MaxQuantiles), len(s.Quantiles))
	}
	for i, p := range s.Quantiles {
		if err := probabilityArg(fmt.Sprintf("quantiles[%d]", i), p); err != nil {
			return err
		}
	}
	return levelArg("confidence", s.Level)
}

// variable is a compiled random variable.
type variable struct {
	name string
	dist Distribution
	draw func(*rand.Rand) float64
}

// plan is a compiled model.
type plan struct {
	vars  []variable // by name, so that the order of draws is fixed
	value *expr.Program
	event *expr.Program // nil: none
	text  string
}

func (model Model) compile() (*plan, error) {
	switch n := len(model.Variables); {
	case n == 0:
		return nil, missing("variables", `at least one variable with its distribution, such as {"x": {"distribution": "normal", "mean": 0, "sd": 1}}`)
	case n > MaxVariables:
		return nil, wrong("variables", fmt.Sprintf("at most %d variables", MaxVariables), n)
	}
	p := &plan{text: model.Event}
	for name, d := range model.Variables {
		p.vars = append(p.vars, variable{name: name, dist: d})
	}
	slices.SortFunc(p.vars, func(a, b variable) int { return cmp.Compare(a.name, b.name) })
	names := make([]expr.Var, 0, len(p.vars)+1)
	for i := range p.vars {
		v := &p.vars[i]
		draw, err := v.dist.sampler("variables." + v.name)
		if err != nil {
			return nil, err
		}
		v.draw = draw
		names = append(names, expr.Var{Name: v.name})
	}
	for name, v := range model.Constants {
		if err := finiteArg("constants."+name, v); err != nil {
			return nil, err
		}
	}
	source := model.Expression
	if source == "" {
		if len(p.vars) > 1 {
			return nil, missing("expression", "a formula of the variables, for there are several")
		}
		source = p.vars[0].name
	}
	var err error
	if p.value, err = compileValue(names, model.Constants, source); err != nil {
		return nil, err
	}
	if model.Event == "" {
		return p, nil
	}
	if _, taken := model.Variables["result"]; taken {
		return nil, wrong("variables.result", "another name: in an event, result is the value of the expression", "result")
	}
	scope, err := expr.NewScope(append(names, expr.Var{Name: "result"}), model.Constants)
	if err != nil {
		return nil, wrong("variables", "names for a formula", err)
	}
	if p.event, err = scope.Compile(model.Event, expr.Bool); err != nil {
		return nil, wrong("event", `a condition such as "result > 0"`, err)
	}
	return p, nil
}

// compileValue compiles a number, or a condition whose mean is a probability.
func compileValue(names []expr.Var, constants map[string]float64, source string) (*expr.Program, error) {
	scope, err := expr.NewScope(names, constants)
	if err != nil {
		return nil, wrong("variables", "names for a formula", err)
	}
	p, err := scope.Compile(source, expr.Number)
	if err == nil {
		return p, nil
	}
	if b, other := scope.Compile(source, expr.Bool); other == nil {
		return b, nil
	}
	return nil, wrong("expression", "a formula of the variables", err)
}

// drawn is what one block saw, or all of them.
type drawn struct {
	moments   running
	kept      []float64 // finite results; nil in blocks beyond maxKept
	undefined int
	hits      int
	events    int // draws on which the event was defined
	failure   error
}

// running is a mean and a sum of squares by Welford (1962), merged by Chan, Golub
// & LeVeque (1979).
type running struct {
	n, mean, m2, low, high float64
}

func (r *running) add(v float64) {
	if r.n == 0 {
		r.low, r.high = v, v
	}
	r.n++
	d := v - r.mean
	r.mean += d / r.n
	r.m2 += d * (v - r.mean)
	r.low, r.high = min(r.low, v), max(r.high, v)
}

func (r *running) merge(o running) {
	switch {
	case o.n == 0:
		return
	case r.n == 0:
		*r = o
		return
	}
	n := r.n + o.n
	d := o.mean - r.mean
	r.m2 += o.m2 + d*d*(r.n*o.n/n)
	r.mean += d * (o.n / n)
	r.n = n
	r.low, r.high = min(r.low, o.low), max(r.high, o.high)
}

func (p *plan) block(m *budget.Meter, seedValue uint64, block, count int) (*drawn, bool) {
	rng := seed.Stream(seedValue, uint64(block))
	out := &drawn{}
	keep := block < keptBlocks
	if keep {
		out.kept = make([]float64, 0, count)
	}
	slots := make([]float64, len(p.vars)+1)
	for range count {
		if !m.Step(1) {
			return nil, false
		}
		finite := true
		for i := range p.vars {
			slots[i] = p.vars[i].draw(rng)
			finite = finite && !math.IsInf(slots[i], 0) && !math.IsNaN(slots[i])
		}
		if !finite {
			out.fail(fmt.Errorf("a variable is beyond the range of a 64-bit float"))
			continue
		}
		v, err := p.value.Eval(slots)
		if err != nil {
			out.fail(err)
			continue
		}
		out.moments.add(v)
		if keep {
			out.kept = append(out.kept, v)
		}
		if p.event == nil {
			continue
		}
		slots[len(p.vars)] = v
		hit, err := p.event.Test(slots)
		if err != nil {
			out.failure = cmp.Or(out.failure, err)
			continue
		}
		out.events++
		if hit {
			out.hits++
		}
	}
	return out, true
}

func (d *drawn) fail(err error) {
	d.undefined++
	if d.failure == nil {
		d.failure = err
	}
}

func (d *drawn) add(part *drawn) {
	d.moments.merge(part.moments)
	d.kept = append(d.kept, part.kept...)
	d.undefined += part.undefined
	d.hits += part.hits
	d.events += part.events
	d.failure = cmp.Or(d.failure, part.failure)
}

// state leaves out what is drawn again: the kept draws, and the failure if there
// was one among them.
func (d *drawn) state() []byte {
	r := d.moments
	b := pack([]float64{r.n, r.mean, r.m2, r.low, r.high})
	b = append(b, pack([]int64{int64(d.undefined), int64(d.hits), int64(d.events)})...)
	if d.failure != nil {
		b = append(b, d.failure.Error()...)
	}
	return b
}

func (d *drawn) restore(state []byte) bool {
	r, n := make([]float64, 5), make([]int64, 3)
	if len(state) < 64 || !unpack(state[:40], r) || !unpack(state[40:64], n) {
		return false
	}
	d.moments = running{n: r[0], mean: r[1], m2: r[2], low: r[3], high: r[4]}
	d.undefined, d.hits, d.events = int(n[0]), int(n[1]), int(n[2])
	if text := string(state[64:]); text != "" && d.failure == nil {
		d.failure = errors.New(text)
	}
	return true
}
