package pdr_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
	"github.com/lyceum-mcp/lyceum/internal/reason/pdr"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func meter(t testing.TB) *budget.Meter { return budget.New(t.Context(), budget.Limits{}, nil) }

func subjects(names ...string) (out []pdr.Subject) {
	for i, n := range names {
		out = append(out, pdr.Subject{ID: n, Content: n, Score: new(float64(len(names) - i))})
	}
	return out
}

// Two cliques of four and a bridge.
func cliques(t *testing.T, s pdr.Settings) *pdr.Research {
	s.Likeness = pdr.ByEdges
	r := must[*pdr.Research](t)(pdr.New(s, "why?", ""))
	_ = must[pdr.Added](t)(r.Add(subjects("a", "b", "c", "d", "e", "f", "g", "h")))
	connect := func(from, to string, kind string) {
		if err := r.Connect(pdr.Edge{From: from, To: to, Type: kind, Weight: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for _, set := range []string{"abcd", "efgh"} {
		for i := range set {
			for j := range i {
				connect(set[i:i+1], set[j:j+1], "relates-to")
			}
		}
	}
	connect("d", "e", "relates-to")
	return r
}

func TestTwoCliquesAndABridge(t *testing.T) {
	p := must[pdr.Partition](t)(cliques(t, pdr.Settings{}).Cluster(meter(t)))
	if fmt.Sprint(p.Clusters) != "[[a b c d] [e f g h]]" || !p.Complete {
		t.Errorf("%+v", p)
	}
	// 12 of 13 edges are within; each half has half of the ends.
	if want := 12.0/13 - .5; math.Abs(p.Modularity-want) > 1e-12 {
		t.Errorf("modularity %v, want %v", p.Modularity, want)
	}
}

// No partition of a small graph that differs by one move or one merge is better.
func TestLouvainIsLocallyBest(t *testing.T) {
	for s := range uint64(60) {
		rng := seed.Stream(s, 0)
		n := 2 + rng.IntN(8)
		w := make([][]float64, n)
		for i := range w {
			w[i] = make([]float64, n)
		}
		for i := range n {
			for j := range i {
				if rng.IntN(2) == 0 {
					w[i][j] = rng.Float64()
					w[j][i] = w[i][j]
				}
			}
		}
		labels, ok := pdr.Louvain(meter(t), w, 1)
		q := pdr.Modularity(w, labels, 1)
		if !ok || q < -1e-12 {
			t.Errorf("seed %d: modularity %v", s, q)
		}
		for a := range n {
			for b := range a {
				merged := slices.Clone(labels)
				for i := range merged {
					if merged[i] == labels[a] {
						merged[i] = labels[b]
					}
				}
				if better := pdr.Modularity(w, merged, 1); better > q+1e-9 {
					t.Errorf("seed %d: merging the parts of %d and %d gives %v, more than %v", s, a, b, better, q)
				}
			}
		}
	}
}

func TestMMRKnownOrder(t *testing.T) {
	relevance := []float64{1, .9, .5}
	w := [][]float64{{0, .95, .1}, {.95, 0, .2}, {.1, .2, 0}}
	// After 0: 1 is worth .5·.9 − .5·.95 = −.025, 2 is worth .5·.5 − .5·.1 = .2.
	var order []int
	for _, m := range pdr.MMR(meter(t), []int{0, 1, 2}, relevance, w, .5, 3) {
		order = append(order, m.At)
	}
	if !slices.Equal(order, []int{0, 2, 1}) {
		t.Errorf("picked %v, want 0, 2, 1", order)
	}
}

func TestMMRAgainstDefinition(t *testing.T) {
	for s := range uint64(100) {
		rng := seed.Stream(s, 0)
		n := 1 + rng.IntN(8)
		relevance, w, all := make([]float64, n), make([][]float64, n), make([]int, n)
		for i := range n {
			all[i], relevance[i], w[i] = i, rng.Float64(), make([]float64, n)
			for j := range i {
				w[i][j] = 2*rng.Float64() - 1
				w[j][i] = w[i][j]
			}
		}
		lambda := rng.Float64()
		var chosen []int
		for _, m := range pdr.MMR(meter(t), all, relevance, w, lambda, n) {
			best, value := -1, math.Inf(-1)
			for i := range n {
				if slices.Contains(chosen, i) {
					continue
				}
				nearest := 0.0
				for k, j := range chosen {
					if k == 0 || w[i][j] > nearest {
						nearest = w[i][j]
					}
				}
				if v := lambda*relevance[i] - (1-lambda)*nearest; v > value+1e-15 {
					best, value = i, v
				}
			}
			if m.At != best || math.Abs(m.Value-value) > 1e-12 {
				t.Fatalf("seed %d: picked %+v after %v, want %d of %v", s, m, chosen, best, value)
			}
			chosen = append(chosen, m.At)
		}
	}
}

func deepenAll(t *testing.T, r *pdr.Research, confidence float64) {
	t.Helper()
	_ = must[pdr.Selection](t)(r.Select(meter(t)))
	for {
		tickets, _, err := r.Ask(8, start, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if len(tickets) == 0 {
			return
		}
		for _, k := range tickets {
			_ = must[pdr.Told](t)(r.Tell(k.ID, pdr.Finding{Confidence: &confidence, Link: &pdr.Link{Operation: "mcts", ID: "tree"}}, start))
		}
	}
}

func TestStopRules(t *testing.T) {
	r := cliques(t, pdr.Settings{Select: 2, Deepen: 2})
	deepenAll(t, r, .9)
	if rep := must[pdr.Report](t)(r.Synthesize(meter(t))); rep.Done != pdr.Covered || rep.Round.Coverage != 1 || math.Abs(rep.Round.Quality-.9) > 1e-12 {
		t.Errorf("%+v", rep)
	}
	r = cliques(t, pdr.Settings{Select: 2, Deepen: 2})
	for k := 1; r.Done == pdr.NotDone; k++ {
		deepenAll(t, r, .5)
		rep := must[pdr.Report](t)(r.Synthesize(meter(t)))
		if k == 2 != (rep.Done == pdr.Saturated) {
			t.Fatalf("round %d: %+v", k, rep)
		}
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	r = cliques(t, pdr.Settings{Rounds: 1})
	if rep := must[pdr.Report](t)(r.Synthesize(meter(t))); rep.Done != pdr.Passes {
		t.Errorf("%+v", rep)
	}
}

func TestGapsAndRemoval(t *testing.T) {
	r := cliques(t, pdr.Settings{})
	if err := r.Connect(pdr.Edge{From: "a", To: "h", Type: "contradicts", Weight: 0}); err != nil {
		t.Fatal(err)
	}
	_ = must[pdr.Partition](t)(r.Cluster(meter(t)))
	kinds := map[string]int{}
	for _, g := range r.Report().Gaps {
		kinds[g.Kind]++
	}
	if kinds["contradiction"] != 1 || kinds["uncovered_cluster"] != 2 {
		t.Errorf("gaps %v", kinds)
	}
	if err := r.Remove("h"); err != nil {
		t.Fatal(err)
	}
	for _, e := range r.Edges {
		if e.From == "h" || e.To == "h" {
			t.Errorf("a dangling edge %+v", e)
		}
	}
	if err := r.Validate(); err != nil {
		t.Error(err)
	}
}

func TestScoreZeroIsAScore(t *testing.T) {
	r := must[*pdr.Research](t)(pdr.New(pdr.Settings{}, "q", ""))
	_ = must[pdr.Added](t)(r.Add([]pdr.Subject{{ID: "zero", Content: "x", Score: new(0.0)}, {ID: "none", Content: "y"}}))
	s := must[pdr.Selection](t)(r.Select(meter(t)))
	if len(s.Picks) != 1 || s.Picks[0].ID != "zero" || s.Picks[0].Relevance != 0 || fmt.Sprint(s.NotAssessable) != "[none]" {
		t.Errorf("%+v", s)
	}
}

func TestLikeness(t *testing.T) {
	if got := pdr.Jaccard(pdr.Terms("The cat, the DOG"), pdr.Terms("dog the bird")); got != .5 {
		t.Errorf("%v of {the cat dog} and {dog the bird}, want 0.5", got)
	}
	if got := pdr.Cosine([]float64{1, 0}, []float64{1, 1}); math.Abs(got-math.Sqrt(.5)) > 1e-12 {
		t.Errorf("cosine %v", got)
	}
	if got := pdr.Cosine([]float64{0, 0}, []float64{1, 1}); got != 0 {
		t.Errorf("cosine with nothing: %v", got)
	}
}

func TestTicketsModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := must[*pdr.Research](t)(pdr.New(pdr.Settings{Scan: 6, Select: 4, Deepen: 3}, "q", "one"))
		now := start
		var open []pdr.Ticket
		told := map[string]pdr.Finding{}
		for range rapid.IntRange(1, 60).Draw(r, "moves") {
			var err error
			switch rapid.IntRange(0, 8).Draw(r, "move") {
			case 0:
				id := fmt.Sprint("s", rapid.IntRange(0, 12).Draw(r, "subject"))
				_, err = p.Add([]pdr.Subject{{ID: id, Content: "about " + id, Score: new(1.0)}})
			case 1:
				_, err = p.Select(meter(t))
			case 2:
				var more []pdr.Ticket
				more, _, err = p.Ask(rapid.IntRange(1, 3).Draw(r, "n"), now, 10*time.Second)
				open = append(open, more...)
			case 3, 4:
				if len(open) == 0 {
					continue
				}
				k := open[rapid.IntRange(0, len(open)-1).Draw(r, "ticket")]
				f := pdr.Finding{Confidence: new(rapid.Float64Range(0, 1).Draw(r, "confidence"))}
				if rapid.Bool().Draw(r, "more") {
					f.Subjects = []pdr.Subject{{ID: "of " + k.ID, Content: "found"}}
				}
				if _, err = p.Tell(k.ID, f, now); err == nil {
					if _, before := told[k.ID]; !before {
						told[k.ID] = f
					}
				} else if fault.KindOf(err) == fault.NotFound {
					err = nil
				}
			case 5:
				for id, f := range told {
					state := must[[]byte](t)(json.Marshal(p))
					if _, err := p.Tell(id, f, now); err != nil || !bytes.Equal(state, must[[]byte](t)(json.Marshal(p))) {
						r.Fatalf("the same again: %v", err)
					}
				}
				if _, err := p.Tell("t1.two", pdr.Finding{}, now); fault.KindOf(err) != fault.NotFound {
					r.Fatalf("a foreign ticket: %v", err)
				}
			case 6:
				_, err = p.Synthesize(meter(t))
			case 7:
				if len(p.Subjects) > 0 {
					err = p.Remove(p.Subjects[rapid.IntRange(0, len(p.Subjects)-1).Draw(r, "gone")].ID)
				}
			case 8:
				now = now.Add(time.Duration(rapid.IntRange(0, 8).Draw(r, "seconds")) * time.Second)
			}
			if err != nil && fault.KindOf(err) != fault.Conflict {
				r.Fatal(err)
			}
			state := must[[]byte](t)(json.Marshal(p))
			var copied pdr.Research
			if err := json.Unmarshal(state, &copied); err != nil {
				r.Fatal(err)
			}
			if err := copied.Validate(); err != nil {
				r.Fatalf("%v in %s", err, state)
			}
			if !bytes.Equal(state, must[[]byte](t)(json.Marshal(&copied))) {
				r.Fatal("the state does not survive a round trip")
			}
		}
	})
}

func FuzzValidate(f *testing.F) {
	p := must[*pdr.Research](f)(pdr.New(pdr.Settings{}, "q", "x"))
	_ = must[pdr.Added](f)(p.Add(subjects("a", "b")))
	_ = must[pdr.Selection](f)(p.Select(meter(f)))
	_, _, _ = p.Ask(1, start, time.Minute)
	f.Add(must[[]byte](f)(json.Marshal(p)))
	f.Add([]byte(`{"question":"q","done":"coverage"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var p pdr.Research
		if json.Unmarshal(data, &p) != nil || p.Validate() != nil {
			return
		}
		tickets, _, err := p.Ask(4, start, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range tickets {
			if _, err := p.Tell(k.ID, pdr.Finding{Confidence: new(.5)}, start); err != nil {
				t.Fatal(err)
			}
		}
		p.Tickets.Open = nil
		_ = must[pdr.Report](t)(p.Synthesize(meter(t)))
		if _, _, err := p.Graph().Draw(graph.SVG, 50); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkCluster(b *testing.B) {
	r := must[*pdr.Research](b)(pdr.New(pdr.Settings{Scan: 300}, "q", ""))
	rng := seed.Stream(1, 0)
	var all []pdr.Subject
	for i := range 300 {
		all = append(all, pdr.Subject{ID: fmt.Sprint(i), Content: fmt.Sprint("topic", i%10, " word", rng.IntN(40), " word", rng.IntN(40))})
	}
	_ = must[pdr.Added](b)(r.Add(all))
	b.ReportAllocs()
	for b.Loop() {
		_ = must[pdr.Partition](b)(r.Cluster(meter(b)))
	}
}
