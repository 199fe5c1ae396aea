package debug

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Limits of spectra.
const (
	MaxSpectrumTests    = 10_000
	MaxSpectrumElements = 50_000
	MaxHits             = 2_000_000 // elements covered by all tests together
)

// Run is one test and the program elements that it ran.
type Run struct {
	Name    string
	Outcome Outcome
	Covers  []string
}

// Counts says how many tests ran an element (e) and did not (n), of those that
// failed (f) and passed (p).
type Counts struct {
	EF int `json:"ef"`
	NF int `json:"nf"`
	EP int `json:"ep"`
	NP int `json:"np"`
}

// Metrics by which elements are ranked.
const (
	Ochiai    = "ochiai"    // ef / √((ef+nf)·(ef+ep))
	Tarantula = "tarantula" // (ef/F) / (ef/F + ep/P)
	DStar     = "dstar"     // ef² / (ep + nf)
	Jaccard   = "jaccard"   // ef / (ef + nf + ep)
)

// Suspect is an element with its suspiciousness. A score that its formula leaves
// undefined is absent.
type Suspect struct {
	Element   string   `json:"element"`
	Rank      float64  `json:"rank"` // the mean of the places that equals share
	Counts    Counts   `json:"counts"`
	Ochiai    *float64 `json:"ochiai,omitempty"`
	Tarantula *float64 `json:"tarantula,omitempty"`
	DStar     *float64 `json:"dstar,omitempty"`
	Unbounded bool     `json:"dstarUnbounded,omitempty"` // every failing test ran it and no passing one: above every number
	Jaccard   *float64 `json:"jaccard,omitempty"`
}

// Score computes every metric of one element.
func Score(name string, n Counts) Suspect {
	s := Suspect{Element: name, Counts: n}
	ef, nf, ep, np := float64(n.EF), float64(n.NF), float64(n.EP), float64(n.NP)
	s.Ochiai = ratio(ef, math.Sqrt((ef+nf)*(ef+ep)))
	if ef+nf > 0 {
		inFails, inPasses := ef/(ef+nf), 0.0
		if ep+np > 0 {
			inPasses = ep / (ep + np)
		}
		s.Tarantula = ratio(inFails, inFails+inPasses)
	}
	s.DStar = ratio(ef*ef, ep+nf)
	s.Unbounded = s.DStar == nil && n.EF > 0
	s.Jaccard = ratio(ef, ef+nf+ep)
	return s
}

// ratio returns a/b, nil for 0 below.
func ratio(a, b float64) *float64 {
	if b == 0 {
		return nil
	}
	return new(a / b)
}

// by returns the score that ranks, below every number where it is undefined.
func (s *Suspect) by(metric string) float64 {
	var score *float64
	switch metric {
	case Tarantula:
		score = s.Tarantula
	case DStar:
		if s.Unbounded {
			return math.Inf(1)
		}
		score = s.DStar
	case Jaccard:
		score = s.Jaccard
	default:
		score = s.Ochiai
	}
	if score == nil {
		return math.Inf(-1)
	}
	return *score
}

// Spectrum counts what runs covered. Elements are in the order of their names;
// unresolved runs count for nothing.
func Spectrum(runs []Run) (names []string, counts []Counts, err error) {
	if len(runs) < 1 || len(runs) > MaxSpectrumTests {
		return nil, nil, flaw("tests", fmt.Sprintf("1 to %d tests", MaxSpectrumTests), "%d", len(runs))
	}
	hits := map[string]Counts{}
	var all Counts // tests that failed and passed
	total := 0
	for i, r := range runs {
		if err := checkOutcome(r.Outcome); err != nil {
			return nil, nil, flaw(fmt.Sprintf("tests[%d].outcome", i), "pass, fail or unresolved", "%.40q", r.Outcome)
		}
		if total += len(r.Covers); total > MaxHits {
			return nil, nil, flaw("tests", fmt.Sprintf("at most %d covered elements in all", MaxHits), "more")
		}
		switch r.Outcome {
		case Fail:
			all.EF++
		case Pass:
			all.EP++
		}
		once := map[string]bool{}
		for j, e := range r.Covers {
			n, known := hits[e]
			if !known {
				if err := checkName(fmt.Sprintf("tests[%d].covers[%d]", i, j), e); err != nil {
					return nil, nil, err
				}
				if len(hits) == MaxSpectrumElements {
					return nil, nil, flaw("tests", fmt.Sprintf("at most %d elements", MaxSpectrumElements), "more")
				}
			}
			if !once[e] {
				once[e] = true
				switch r.Outcome {
				case Fail:
					n.EF++
				case Pass:
					n.EP++
				}
			}
			hits[e] = n
		}
	}
	if all.EF == 0 {
		return nil, nil, flaw("tests", "at least one test that failed: without one nothing is suspicious", "none of %d", len(runs))
	}
	names = sortedKeys(hits)
	slices.SortFunc(names, natural)
	for _, name := range names {
		n := hits[name]
		n.NF, n.NP = all.EF-n.EF, all.EP-n.EP
		counts = append(counts, n)
	}
	return names, counts, nil
}

// Rank scores elements and puts the most suspicious by the metric first; equals
// keep their order and share a rank.
func Rank(metric string, names []string, counts []Counts) []Suspect {
	out := make([]Suspect, len(names))
	for i := range names {
		out[i] = Score(names[i], counts[i])
	}
	slices.SortStableFunc(out, func(a, b Suspect) int { return cmp.Compare(b.by(metric), a.by(metric)) })
	for i := 0; i < len(out); {
		j := i
		for j < len(out) && out[j].by(metric) == out[i].by(metric) {
			j++
		}
		for k := i; k < j; k++ {
			out[k].Rank = float64(i+1+j) / 2
		}
		i = j
	}
	return out
}
