package problem

// Guide is a Model that knows a heuristic: which actions look promising. It
// guides a search (as prior probabilities of PUCT, as the order of widening, in
// playouts) and never decides what is legal or what a run is worth.
type Guide interface {
	Model

	// Weigh writes a weight, a finite number of at least 0, for each of the legal
	// actions acts. Only their proportions matter.
	Weigh(state []float64, acts []int, weights []float64) error
}

// GuideOf returns m as a Guide, nil if it has no heuristic.
func GuideOf(m Model) Guide {
	if g, ok := m.(Guide); ok && m.Traits().Guided {
		return g
	}
	return nil
}

// Normalize turns weights into probabilities, equal ones if all weights are 0.
func Normalize(weights []float64) {
	var most, sum float64
	for _, w := range weights {
		most = max(most, w)
	}
	for i, w := range weights {
		w /= most // so that the sum stays finite
		if most == 0 {
			w = 1
		}
		weights[i] = w
		sum += w
	}
	for i := range weights {
		weights[i] /= sum
	}
}
