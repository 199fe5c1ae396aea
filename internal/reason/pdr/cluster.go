package pdr

import (
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// Partition is a division of subjects into clusters.
type Partition struct {
	Clusters   [][]string `json:"clusters"`   // ids; by the first subject
	Modularity float64    `json:"modularity"` // at the resolution of the settings
	Basis      Likeness   `json:"basis"`
	Complete   bool       `json:"complete"` // false when a budget was met: better ones may exist nearby
}

// Cluster divides the subjects so that similar ones are together, and notes each
// one's cluster. A step is one pair.
func (r *Research) Cluster(meter *budget.Meter) (Partition, error) {
	w, ok := r.similarities(meter)
	if err := meter.Err(); err != nil {
		return Partition{}, err
	}
	labels := make([]int, len(r.Subjects))
	for i := range labels {
		labels[i] = i
	}
	if ok {
		for i := range w {
			for j := range w[i] {
				if w[i][j] < r.Settings.Threshold {
					w[i][j] = 0
				}
			}
		}
		labels, ok = Louvain(meter, w, r.Settings.Resolution)
	}
	if err := meter.Err(); err != nil {
		return Partition{}, err
	}
	p := Partition{Clusters: [][]string{}, Modularity: Modularity(w, labels, r.Settings.Resolution), Basis: r.Settings.Likeness, Complete: ok}
	for i, l := range labels {
		if l == len(p.Clusters) {
			p.Clusters = append(p.Clusters, nil)
		}
		p.Clusters[l] = append(p.Clusters[l], r.Subjects[i].ID)
		r.Subjects[i].Cluster = l + 1
	}
	r.Clusters = len(p.Clusters)
	return p, nil
}

// similarities returns the matrix of likenesses, with zeros on the diagonal.
func (r *Research) similarities(meter *budget.Meter) ([][]float64, bool) {
	n := len(r.Subjects)
	w := make([][]float64, n)
	for i := range w {
		w[i] = make([]float64, n)
	}
	if r.Settings.Likeness == ByEdges {
		index := make(map[string]int, n)
		for i := range r.Subjects {
			index[r.Subjects[i].ID] = i
		}
		for _, e := range r.Edges {
			if i, j := index[e.From], index[e.To]; e.Type != "contradicts" {
				w[i][j] = max(w[i][j], e.Weight)
				w[j][i] = w[i][j]
			}
		}
		return w, meter.Step(int64(len(r.Edges) + 1))
	}
	words := make([][]string, n)
	if r.Settings.Likeness == ByTerms {
		for i := range words {
			words[i] = Terms(r.Subjects[i].Content)
			if !meter.Step(1) {
				return w, false
			}
		}
	}
	for i := range n {
		for j := range i {
			if !meter.Step(1) {
				return w, false
			}
			if r.Settings.Likeness == ByTerms {
				w[i][j] = Jaccard(words[i], words[j])
			} else {
				w[i][j] = max(0, Cosine(r.Subjects[i].Vector, r.Subjects[j].Vector))
			}
			w[j][i] = w[i][j]
		}
	}
	return w, true
}

// Terms returns the distinct words of a text in lower case, sorted.
func Terms(text string) []string {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	slices.Sort(words)
	return slices.Compact(words)
}

// Jaccard returns the size of the intersection of two sorted sets over that of
// their union, 0 for two empty ones.
func Jaccard(a, b []string) float64 {
	both := 0
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch strings.Compare(a[i], b[j]) {
		case 0:
			both++
			i++
			j++
		case -1:
			i++
		default:
			j++
		}
	}
	if union := len(a) + len(b) - both; union > 0 {
		return float64(both) / float64(union)
	}
	return 0
}

// Cosine returns the cosine of the angle between two vectors, 0 if one has no
// direction or they differ in length.
func Cosine(a, b []float64) float64 {
	if len(a) != len(b) {
		return 0
	}
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i] * b[i])
		aa += float64(a[i] * a[i])
		bb += float64(b[i] * b[i])
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return min(1, max(-1, ab/math.Sqrt(aa)/math.Sqrt(bb)))
}

// Modularity returns how much more weight of the symmetric matrix w is within
// the parts than chance would put there (Newman and Girvan, 2004), 0 for no
// weight.
func Modularity(w [][]float64, labels []int, resolution float64) float64 {
	var total float64
	inside, all := map[int]float64{}, map[int]float64{}
	for i := range w {
		for j, v := range w[i] {
			total += v
			all[labels[i]] += v
			if labels[i] == labels[j] {
				inside[labels[i]] += v
			}
		}
	}
	if total == 0 {
		return 0
	}
	var q float64
	for l := range len(w) { // labels in order, so that sums round alike
		share := all[l] / total
		q += inside[l]/total - float64(resolution*float64(share*share))
	}
	return q
}

// Louvain divides the nodes of the symmetric matrix w of weights, at least 0, so
// that no node moved alone, and no part merged with another, raises the
// modularity (Blondel et al., 2008). Nodes are tried in their order: the result
// depends on nothing else. Labels count from 0 by first appearance. It reports
// false when a budget was met; labels are then the best so far.
func Louvain(meter *budget.Meter, w [][]float64, resolution float64) ([]int, bool) {
	labels := make([]int, len(w))
	for i := range labels {
		labels[i] = i
	}
	for {
		part, moved, ok := local(meter, w, resolution)
		for i := range labels {
			labels[i] = part[labels[i]]
		}
		if !moved || !ok {
			return renumber(labels), ok
		}
		w = merge(w, part)
	}
}

// local moves single nodes while that helps.
func local(meter *budget.Meter, w [][]float64, resolution float64) (part []int, moved, ok bool) {
	n := len(w)
	part = make([]int, n)
	degree, sum := make([]float64, n), make([]float64, n)
	var total float64
	for i := range w {
		part[i] = i
		for _, v := range w[i] {
			degree[i] += v
		}
		sum[i] = degree[i]
		total += degree[i]
	}
	if total == 0 {
		return part, false, true
	}
	links := make([]float64, n)
	const little = 1e-12 // a gain below it is rounding
	for again := true; again; {
		again = false
		for i := range n {
			if !meter.Step(int64(n)) {
				return renumber(part), moved, false
			}
			clear(links)
			for j, v := range w[i] {
				if j != i {
					links[part[j]] += v
				}
			}
			own := part[i]
			sum[own] -= degree[i]
			gain := func(p int) float64 { return (links[p] - float64(resolution*degree[i])*sum[p]/total) / total }
			best, most := own, gain(own)
			for p := range n {
				if links[p] > 0 && gain(p) > most+little {
					best, most = p, gain(p)
				}
			}
			sum[best] += degree[i]
			if best != own {
				part[i] = best
				again, moved = true, true
			}
		}
	}
	return renumber(part), moved, true
}

func renumber(labels []int) []int {
	to := map[int]int{}
	out := make([]int, len(labels))
	for i, l := range labels {
		if _, known := to[l]; !known {
			to[l] = len(to)
		}
		out[i] = to[l]
	}
	return out
}

// merge makes one node of each part; weights within it stay as its own.
func merge(w [][]float64, part []int) [][]float64 {
	n := 0
	for _, p := range part {
		n = max(n, p+1)
	}
	out := make([][]float64, n)
	for i := range out {
		out[i] = make([]float64, n)
	}
	for i := range w {
		for j, v := range w[i] {
			out[part[i]][part[j]] += v
		}
	}
	return out
}
