package guide

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode"
)

// Parameters of BM25, the usual ones.
const (
	saturation = 1.2  // k₁
	lengthNorm = 0.75 // b
)

const (
	maxQuery = 400 // different terms of a prompt that are looked at
	maxTerm  = 40  // bytes of a term
)

// index ranks documents by BM25 (Robertson & Zaragoza 2009): the more rare terms a
// document shares with a query, and the more often it has them for its length, the
// better. It never changes after it was built.
type index struct {
	counts []map[string]int // of each document: its terms
	length []float64
	mean   float64
	idf    map[string]float64
}

// newIndex builds an index of documents.
func newIndex(documents []string) *index {
	x := &index{idf: map[string]float64{}}
	in := map[string]int{} // term → documents that have it
	for _, d := range documents {
		counts, n := map[string]int{}, 0
		for _, term := range terms(d) {
			counts[term]++
			n++
		}
		for term := range counts {
			in[term]++
		}
		x.counts = append(x.counts, counts)
		x.length = append(x.length, float64(n))
		x.mean += float64(n) / float64(len(documents))
	}
	all := float64(len(documents))
	for term, n := range in {
		x.idf[term] = math.Log1p((all - float64(n) + 0.5) / (float64(n) + 0.5))
	}
	return x
}

// match is how a document answers a query.
type match struct {
	score float64
	terms []string // that it shares, those that weigh most first
}

// match scores one document. A term counts once, however often the query has it.
func (x *index) match(document int, query []string) match {
	type part struct {
		term   string
		points float64
	}
	var parts []part
	for _, term := range query {
		n := float64(x.counts[document][term])
		if n == 0 {
			continue
		}
		norm := 1 - lengthNorm + lengthNorm*x.length[document]/x.mean
		parts = append(parts, part{term, x.idf[term] * n * (saturation + 1) / (n + saturation*norm)})
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Or(cmp.Compare(b.points, a.points), cmp.Compare(a.term, b.term)) })
	var m match
	for _, p := range parts {
		m.score += p.points
		m.terms = append(m.terms, p.term)
	}
	return m
}

// query returns the different terms of a text, at most maxQuery, in order.
func query(text string) []string {
	var out []string
	seen := map[string]bool{}
	for _, t := range terms(text) {
		if !seen[t] && len(out) < maxQuery {
			seen[t] = true
			out = append(out, t)
		}
	}
	return out
}

// terms returns the words of a text in lower case, without the commonest ones, cut
// to their stems. An identifier such as beamWidth or tree_of_thought is its words.
func terms(text string) []string {
	var out []string
	var word strings.Builder
	end := func() {
		if w := stem(word.String()); len(w) > 1 && len(w) <= maxTerm && !common[w] {
			out = append(out, w)
		}
		word.Reset()
	}
	lower := false
	for _, r := range text {
		switch {
		case !unicode.IsLetter(r):
			end()
		case unicode.IsUpper(r) && lower:
			end()
			fallthrough
		default:
			word.WriteRune(unicode.ToLower(r))
		}
		lower = unicode.IsLower(r)
	}
	end()
	return out
}

// stem cuts the commonest English endings, so that a word meets its plural and its
// verb forms. Endings that leave less than three letters stay.
func stem(w string) string {
	for _, e := range []struct{ ending, instead string }{
		{"ies", "y"}, {"sses", "ss"}, {"ings", ""}, {"ing", ""}, {"ied", "y"}, {"ed", ""}, {"ss", "ss"}, {"us", "us"}, {"is", "is"}, {"es", "e"}, {"s", ""},
	} {
		root, ok := strings.CutSuffix(w, e.ending)
		if !ok || len(root) < 3 {
			continue
		}
		w = root + e.instead
		break
	}
	if n := len(w); n > 4 && w[n-1] == w[n-2] && !strings.ContainsRune("lsz", rune(w[n-1])) {
		w = w[:n-1] // planning → plan
	}
	return strings.TrimSuffix(w, "e")
}

// common are words that say nothing about a task, as stem leaves them.
var common = func() map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsSeq(`a about after all also an and any are as at be been before but by can could did do does for from get give given
		had has have how i if in into is it its just like make me more most much my need no not of on one only or our out over please should
		so some such than that the their them then there these they this those to too under up us use used using very want was we were what
		when where which while who why will with would you your own each two new`) {
		out[stem(w)] = true
	}
	return out
}()
