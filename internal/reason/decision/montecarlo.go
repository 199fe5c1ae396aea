package decision

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

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

// tally is what the draws leave for each option.
type tally struct {
	sum, squares []float64
	weights      [][]float64 // Σ credit·weight
}

// monteCarlo draws weights and counts winners. A step is one option scored
// once. It returns nil when there is nothing to vary or the budget left no room.
func (md *model) monteCarlo(b *board, seed uint64) *MonteCarlo {
	n, m := len(b.rows), len(b.dims)
	if n < 2 || m < 2 || md.s.Draws == 0 {
		return nil
	}
	c := &MonteCarlo{Requested: md.s.Draws, Distribution: "uniform over all weights (Dirichlet, every parameter 1)"}
	if md.s.Concentration > 0 {
		c.Distribution = "Dirichlet around the given weights (parameters: concentration × weight)"
	}
	t := tally{sum: make([]float64, n), squares: make([]float64, n), weights: grid(n, m)}
	w, scores := make([]float64, m), make([]float64, n)
	var draw func([]float64)
	for ; c.Draws < c.Requested; c.Draws++ {
		if !md.m.Step(int64(n)) {
			break
		}
		if c.Draws%chunk == 0 {
			draw = dirichlet(b.w, md.s.Concentration, streams.Source(seed, uint64(c.Draws/chunk)))
		}
		draw(w)
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
	if c.Draws == 0 {
		return nil
	}
	c.Options = md.acceptances(b, t, float64(c.Draws))
	return c
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
