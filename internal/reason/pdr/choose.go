package pdr

import (
	"fmt"
	"math"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/got"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// Pick is a subject that was selected, and why.
type Pick struct {
	ID        string  `json:"id"`
	Relevance float64 `json:"relevance"`
	Nearest   float64 `json:"nearest"` // highest similarity to what was picked before
	MMR       float64 `json:"mmr"`     // λ·relevance − (1−λ)·nearest
	Cluster   int     `json:"cluster,omitempty"`
}

// Selection is what Select chose.
type Selection struct {
	Picks         []Pick    `json:"picks"` // in the order they were picked
	Basis         Relevance `json:"basis"`
	NotAssessable []string  `json:"notAssessable"` // subjects without a score
}

// Select chooses subjects for this round that were not deepened: each time the
// one of highest marginal relevance, the first among equals. Scores are divided
// by the highest. What was selected in this round before and not deepened is
// free again. A step is one comparison.
func (r *Research) Select(meter *budget.Meter) (Selection, error) {
	if r.Done != NotDone {
		return Selection{}, fault.Newf(fault.Conflict, "the research is done: %s", r.Done)
	}
	if len(r.Tickets.Open) > 0 {
		return Selection{}, fault.Newf(fault.Conflict, "%d subjects are being deepened; tell or abandon them first", len(r.Tickets.Open))
	}
	scores, none, err := r.relevance(meter)
	if err != nil {
		return Selection{}, err
	}
	w, ok := r.similarities(meter)
	if err := meter.Err(); err != nil || !ok {
		return Selection{Picks: []Pick{}, NotAssessable: none, Basis: r.Settings.Relevance}, err
	}
	var able []int
	round := len(r.Rounds) + 1
	for i := range r.Subjects {
		s := &r.Subjects[i]
		if s.Selected == round && s.Confidence == nil {
			s.Selected = 0
		}
		if s.Confidence == nil && s.Selected != round && !math.IsNaN(scores[i]) {
			able = append(able, i)
		}
	}
	out := Selection{Picks: []Pick{}, Basis: r.Settings.Relevance, NotAssessable: none}
	for _, m := range MMR(meter, able, scores, w, *r.Settings.Lambda, r.Settings.Select-r.selected(round)) {
		s := &r.Subjects[m.At]
		s.Selected = round
		out.Picks = append(out.Picks, Pick{s.ID, scores[m.At], m.Nearest, m.Value, s.Cluster})
	}
	return out, meter.Err()
}

func (r *Research) selected(round int) (n int) {
	for i := range r.Subjects {
		if r.Subjects[i].Selected == round {
			n++
		}
	}
	return n
}

// relevance returns the scores from 0 to 1, NaN where there is none.
func (r *Research) relevance(meter *budget.Meter) ([]float64, []string, error) {
	scores := make([]float64, len(r.Subjects))
	none := []string{}
	if r.Settings.Relevance == ByPageRank {
		index := map[string]int{}
		for i := range r.Subjects {
			index[r.Subjects[i].ID] = i
		}
		var arcs []got.Arc
		for _, e := range r.Edges {
			if e.Type != "contradicts" {
				arcs = append(arcs, got.Arc{From: index[e.From], To: index[e.To], Weight: e.Weight})
			}
		}
		rank, err := got.PageRank(meter, len(r.Subjects), arcs, 0.85, 1e-12, 1000)
		if err != nil {
			return nil, nil, err
		}
		copy(scores, rank.Ranks)
	} else {
		for i := range r.Subjects {
			scores[i] = math.NaN()
			if s := r.Subjects[i].Score; s != nil {
				scores[i] = *s
			} else {
				none = append(none, r.Subjects[i].ID)
			}
		}
	}
	top := 0.0
	for _, s := range scores {
		if s > top {
			top = s
		}
	}
	for i := range scores {
		if top > 0 {
			scores[i] /= top
		}
	}
	return scores, none, nil
}

// Marginal is one choice of MMR.
type Marginal struct {
	At      int
	Nearest float64
	Value   float64
}

// MMR chooses up to k of the candidates one after the other: the one of highest
// λ·relevance − (1−λ)·(highest similarity to those chosen), the earlier one
// among equals (Carbonell and Goldstein, 1998). When a budget is met it returns
// those chosen so far.
func MMR(meter *budget.Meter, candidates []int, relevance []float64, similarity [][]float64, lambda float64, k int) []Marginal {
	var out []Marginal
	taken := map[int]bool{}
	nearest := make([]float64, len(relevance))
	for len(out) < k {
		best := Marginal{At: -1}
		for _, i := range candidates {
			if taken[i] {
				continue
			}
			if !meter.Step(1) {
				return out
			}
			v := float64(lambda*relevance[i]) - float64((1-lambda)*nearest[i])
			if best.At < 0 || v > best.Value {
				best = Marginal{i, nearest[i], v}
			}
		}
		if best.At < 0 {
			return out
		}
		taken[best.At] = true
		out = append(out, best)
		for _, i := range candidates {
			if len(out) == 1 {
				nearest[i] = similarity[i][best.At]
			} else {
				nearest[i] = max(nearest[i], similarity[i][best.At])
			}
		}
	}
	return out
}

// Validate checks a research that came from outside: whatever holds of one that
// was built by New and the other methods and that later calls rely on.
func (r *Research) Validate() error {
	if err := r.Settings.settle(); err != nil {
		return err
	}
	if err := problem.CheckText("question", r.Question, MaxContent); err != nil {
		return err
	}
	if n := len(r.Subjects); n > MaxSubjects || r.Scanned < 0 || r.Clusters < 0 || r.Clusters > n || len(r.Rounds) > r.Settings.Rounds || len(r.Edges) > MaxEdges || len(r.Done) > 64 {
		return problem.Bad("subjects", fmt.Sprintf("at most %d, and counts that fit", MaxSubjects), "%d", n)
	}
	ids := map[string]bool{}
	numbers, dim := 0, 0
	for i := range r.Subjects {
		s := &r.Subjects[i]
		path := fmt.Sprintf("subjects[%d]", i)
		if err := checkSubject(path, s); err != nil {
			return err
		}
		if n := len(s.Vector); n > 0 {
			if dim == 0 {
				dim = n
			}
			if numbers += n; n != dim || numbers > MaxNumbers {
				return problem.Bad(path+".vector", fmt.Sprintf("vectors of one length, of at most %d numbers", MaxNumbers), "%d", n)
			}
		}
		c := s.Confidence
		switch {
		case ids[s.ID]:
			return problem.Bad(path+".id", "an id of its own", "%.64q", s.ID)
		case c != nil && !(*c >= 0 && *c <= 1) || s.Cluster < 0 || r.Clusters > 0 && (s.Cluster < 1 || s.Cluster > r.Clusters) || s.Selected < 0 || s.Selected > len(r.Rounds)+1:
			return problem.Bad(path, "a confidence from 0 to 1, a cluster and a round that exist", "cluster %d, round %d", s.Cluster, s.Selected)
		case len(s.Answer) > MaxContent || len(s.Parent) > MaxID:
			return problem.Bad(path+".answer", fmt.Sprintf("at most %d bytes", MaxContent), "%d", len(s.Answer))
		}
		if err := checkLink(path+".link", s.Link); err != nil {
			return err
		}
		ids[s.ID] = true
	}
	for i := range r.Subjects {
		if p := r.Subjects[i].Parent; p != "" && !ids[p] {
			return problem.Bad(fmt.Sprintf("subjects[%d].parent", i), "the id of a subject", "%.64q", p)
		}
	}
	for i, e := range r.Edges {
		if err := r.checkEdge(fmt.Sprintf("edges[%d]", i), e); err != nil {
			return err
		}
	}
	return r.validTickets()
}

func (r *Research) validTickets() error {
	for i, q := range r.Rounds {
		for _, v := range []float64{q.Coverage, q.Quality} {
			if !(v >= 0 && v <= 1) {
				return problem.Bad(fmt.Sprintf("rounds[%d]", i), "shares from 0 to 1", "%v", v)
			}
		}
	}
	if r.Done != NotDone && len(r.Rounds) == 0 {
		return problem.Bad("done", "nothing before the first round is closed", "%.32q", string(r.Done))
	}
	if err := r.Tickets.Validate(len(r.Subjects), func(kind string) bool { return kind == deepen }); err != nil {
		return err
	}
	held := map[int]bool{}
	for i, o := range r.Tickets.Open {
		at := o.Nodes[0]
		s := &r.Subjects[at]
		if len(o.Nodes) != 1 || held[at] || s.Selected != len(r.Rounds)+1 || s.Confidence != nil || r.Done != NotDone {
			return problem.Bad(fmt.Sprintf("tickets.open[%d]", i), "one ticket for a selected subject", "%d", at)
		}
		held[at] = true
	}
	return nil
}
