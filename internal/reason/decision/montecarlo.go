package decision

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	streams "github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

// MonteCarlo says how often each option wins when the weights are drawn at
// random: stochastic multicriteria acceptability analysis (Lahdelma & Salminen
// 2001). It depends on the seed alone.
type MonteCarlo struct {
	Draws        int          `json:"draws"`     // done
	Requested    int          `json:"requested"` // more than Draws when the budget ended first
	Distribution string       `json:"distribution"`
	Options      []Acceptance `json:"options"` // best first
}

// Acceptance is one option's share of the weight space.
type Acceptance struct {
	Option         string             `json:"option"`
	Index          float64            `json:"acceptability"` // share of draws in which it comes first; ties count in parts
	StandardError  float64            `json:"standardError"`
	CentralWeights map[string]float64 `json:"centralWeights,omitempty"` // mean of the weights that favour it
}

// chunk is how many draws share one random stream, keyed by the seed and the
// number of the chunk.
const chunk = 256

// mostRound is how many chunks are spread at once; between rounds the state is
// kept and progress reported. Fewer are, where there are many options and
// weights.
const mostRound = 32

// tally is what the draws leave for each option.
type tally struct {
	sum, squares []float64
	weights      [][]float64 // Σ credit·weight
}

func newTally(options, dims int) tally {
	return tally{sum: make([]float64, options), squares: make([]float64, options), weights: grid(options, dims)}
}

// add joins what other draws left.
func (t tally) add(o tally) {
	for i := range t.sum {
		t.sum[i] += o.sum[i]
		t.squares[i] += o.squares[i]
		for j, w := range o.weights[i] {
			t.weights[i][j] += w
		}
	}
}

// drawn is the state of a Monte Carlo between two rounds.
type drawn struct {
	Chunks  int         `json:"chunks"`
	Sum     []float64   `json:"sum"`
	Squares []float64   `json:"squares"`
	Weights [][]float64 `json:"weights"`
}

// fits reports whether d can be the state of draws about so many options.
func (d *drawn) fits(chunks, options, dims int) bool {
	wrong := func(row []float64) bool { return len(row) != dims }
	return d.Chunks > 0 && d.Chunks <= chunks && len(d.Sum) == options && len(d.Squares) == options &&
		len(d.Weights) == options && !slices.ContainsFunc(d.Weights, wrong)
}

// monteCarlo draws weights and counts winners. A step is one option scored
// once; steps that are not enough for all draws make for fewer of them, whatever
// the goroutines. It returns nil when there is nothing to vary or the budget left
// no room, and an error when the analysis must end.
func (md *model) monteCarlo(b *board, seed uint64) (*MonteCarlo, error) {
	n, m := len(b.rows), len(b.dims)
	if n < 2 || m < 2 || md.s.Draws == 0 {
		return nil, nil
	}
	c := &MonteCarlo{Requested: md.s.Draws, Distribution: "uniform over all weights (Dirichlet, every parameter 1)"}
	if md.s.Concentration > 0 {
		c.Distribution = "Dirichlet around the given weights (parameters: concentration × weight)"
	}
	t := newTally(n, m)
	var err error
	if c.Draws, err = md.chunks(b, seed, t); err != nil || c.Draws == 0 {
		return nil, err
	}
	c.Options = md.acceptances(b, t, float64(c.Draws))
	return c, nil
}

// chunks makes the draws, adds them up in t in the order of their chunks, and
// returns how many there are.
func (md *model) chunks(b *board, seed uint64, t tally) (draws int, err error) {
	n, m := len(b.rows), len(b.dims)
	fit := md.affordable(n)
	total := (fit + chunk - 1) / chunk
	round := max(1, min(mostRound, 1<<18/(n*m*chunk)+1))
	finished := 0
	var from drawn
	if md.how.Keeper.Resume(&from) && from.fits(total, n, m) {
		t.add(tally{from.Sum, from.Squares, from.Weights})
		finished = from.Chunks
		md.m.Step(int64(min(fit, finished*chunk)) * int64(n))
	}
	for finished < total {
		parts, err := md.round(finished, min(round, total-finished), fit, func(own *budget.Meter, k, count int) (tally, int) {
			return draw(own, b, md.s.Concentration, streams.Source(seed, uint64(k)), count)
		})
		if err != nil {
			return 0, err
		}
		cut := false
		for _, p := range parts {
			t.add(p.tally)
			draws = finished*chunk + p.draws
			if cut = p.draws < min(chunk, fit-finished*chunk); cut {
				break
			}
			finished++
		}
		md.how.report(draws, md.s.Draws)
		if cut {
			return draws, nil
		}
		if finished < total && md.how.Keeper.Due() {
			err := md.how.Keeper.Save(func() (any, error) { return drawn{finished, t.sum, t.squares, t.weights}, nil })
			if err != nil {
				return 0, err
			}
		}
	}
	if fit < md.s.Draws {
		md.m.Step(math.MaxInt64 / 2) // record that the step limit was met
	}
	return fit, nil
}

// affordable returns how many draws of a number of steps the limit leaves room
// for. It does not look at the clock, so that equal calls draw equally.
func (md *model) affordable(steps int) int {
	limit := md.m.Limits().Steps
	if limit <= 0 {
		return md.s.Draws
	}
	used, _ := md.m.Used()
	return int(min(int64(md.s.Draws), max(0, (limit-used-1)/int64(steps))))
}

// part is what one chunk left. It has fewer draws than it should if the budget
// ended.
type part struct {
	tally tally
	draws int
}

// round spreads count chunks from first on and returns what they left, in order.
func (md *model) round(first, count, fit int, draw func(own *budget.Meter, k, count int) (tally, int)) ([]part, error) {
	parts, meters := make([]part, count), make([]*budget.Meter, count)
	spread := md.how.Spread
	if spread == nil {
		spread = md.m.Inline()
	}
	err := spread(count, func(own *budget.Meter, i int) {
		k := first + i
		meters[i] = own // element i belongs to call i
		parts[i].tally, parts[i].draws = draw(own, k, min(chunk, fit-k*chunk))
	})
	for _, own := range meters {
		if own != nil {
			md.m.Join(own)
		}
	}
	if err == nil {
		err = md.m.Err()
	}
	return parts, err
}

// draw makes the draws of one chunk and returns how many the budget allowed.
func draw(own *budget.Meter, b *board, concentration float64, src rand.Source, count int) (tally, int) {
	n, m := len(b.rows), len(b.dims)
	t := newTally(n, m)
	w, scores := make([]float64, m), make([]float64, n)
	next := dirichlet(b.w, concentration, src)
	for k := range count {
		if !own.Step(int64(n)) {
			return t, k
		}
		next(w)
		b.scorer.score(w, scores)
		winners := best(scores, b.scorer.tolerance(w))
		credit := 1 / float64(len(winners))
		for _, i := range winners {
			t.sum[i] += credit
			t.squares[i] += credit * credit
			for j := range w {
				t.weights[i][j] += credit * w[j]
			}
		}
	}
	return t, count
}

func (md *model) acceptances(b *board, t tally, draws float64) []Acceptance {
	list := make([]Acceptance, 0, len(b.rows))
	for _, r := range md.ranking(b.rows, t.sum, 0) {
		i := slices.IndexFunc(b.rows, func(row int) bool { return md.keys[row] == r.Option })
		a := Acceptance{Option: r.Option, Index: t.sum[i] / draws}
		if draws > 1 {
			variance := max(0, t.squares[i]/draws-a.Index*a.Index) * draws / (draws - 1)
			a.StandardError = math.Sqrt(variance / draws)
		}
		if t.sum[i] > 0 && len(list) < DetailRows {
			a.CentralWeights = make(map[string]float64, len(b.dims))
			for j, dim := range b.dims {
				a.CentralWeights[dim] = t.weights[i][j] / t.sum[i]
			}
		}
		list = append(list, a)
	}
	return list
}

// dirichlet returns a function that fills w with random weights of sum 1. With
// concentration 0 all weights are alike likely, whatever the mean.
func dirichlet(mean []float64, concentration float64, src rand.Source) func(w []float64) {
	r := rand.New(src)
	gammas := make([]distuv.Gamma, len(mean))
	for j := range gammas {
		gammas[j] = distuv.Gamma{Alpha: concentration * mean[j], Beta: 1, Src: src}
	}
	return func(w []float64) {
		total := 0.0
		for j := range w {
			if concentration == 0 {
				w[j] = r.ExpFloat64()
			} else {
				w[j] = gammas[j].Rand()
			}
			total += w[j]
		}
		if total == 0 { // every gamma of a tiny parameter underflowed
			copy(w, mean)
			return
		}
		for j := range w {
			w[j] /= total
		}
	}
}
