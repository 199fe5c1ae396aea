package got_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/got"
	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
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

func answer(k got.Ticket) got.Tell {
	var what got.Tell
	for i := range k.Wanted {
		what.Thoughts = append(what.Thoughts, got.Thought{Content: fmt.Sprint(k.Operation, k.Thoughts, i)})
	}
	switch k.Kind {
	case got.Score:
		what.Score = new(float64(k.Thoughts[0] % 7))
	case got.Validate:
		what.Valid = new(k.Thoughts[0]%2 == 0)
	}
	return what
}

func play(t *testing.T, g *got.Graph) {
	t.Helper()
	for range 1000 {
		tickets, why, err := g.Ask(3, start, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if len(tickets) == 0 {
			if why != got.Finished {
				t.Fatalf("nothing to do: %s", why)
			}
			return
		}
		for _, k := range tickets {
			_ = must[got.Told](t)(g.Tell(k.ID, answer(k), start))
		}
		if err := g.Validate(); err != nil {
			t.Fatal(err)
		}
	}
}

// One root splits into 8, which merge by twos: the last thought has all the
// others behind it, 1 + 8 + 4 + 2.
func TestSplitAndMerge(t *testing.T) {
	g := must[*got.Graph](t)(got.New([]string{"root"}, []got.Operation{
		{ID: "split", Kind: got.Generate, Count: 8},
		{ID: "m4", Kind: got.Aggregate, After: []string{"split"}, Count: 2},
		{ID: "m2", Kind: got.Aggregate, After: []string{"m4"}, Count: 2},
		{ID: "m1", Kind: got.Aggregate, After: []string{"m2"}, Count: 2},
	}, ""))
	play(t, g)
	last := len(g.Thoughts) - 1
	if v, l := g.Volume(last), g.Latency()[last]; v != 15 || l != 4 || len(g.Thoughts) != 16 {
		t.Errorf("volume %d, latency %d, %d thoughts", v, l, len(g.Thoughts))
	}
	if err := g.Connect(got.Edge{From: last, To: 0, Relation: got.Aggregates, Weight: 1}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("an edge that closes a cycle: %v", err)
	}
	if err := g.Connect(got.Edge{From: last, To: 0, Relation: got.Supports, Weight: 1}); err != nil {
		t.Errorf("support may be circular: %v", err)
	}
}

func TestScoreKeepValidate(t *testing.T) {
	g := must[*got.Graph](t)(got.New([]string{"root"}, []got.Operation{
		{ID: "gen", Kind: got.Generate, Count: 6}, // thoughts 1 to 6, scored 1 to 6
		{ID: "score", Kind: got.Score, After: []string{"gen"}},
		{ID: "keep", Kind: got.KeepBest, After: []string{"score"}, Count: 3},
		{ID: "check", Kind: got.Validate, After: []string{"keep"}}, // 4 and 6 are valid
		{ID: "better", Kind: got.Refine, After: []string{"check"}},
	}, ""))
	play(t, g)
	var outs []string
	for _, s := range g.States() {
		outs = append(outs, fmt.Sprint(s.ID, s.Out))
	}
	if got, want := fmt.Sprint(outs), "[gen[1 2 3 4 5 6] score[1 2 3 4 5 6] keep[6 5 4] check[6 4] better[7 8]]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if b := g.Best(2); !slices.Equal(b, []int{6, 5}) {
		t.Errorf("best %v", b)
	}
}

func TestPlanIsChecked(t *testing.T) {
	for name, plan := range map[string][]got.Operation{
		"cycle":   {{ID: "a", Kind: got.Score, After: []string{"b"}}, {ID: "b", Kind: got.Score, After: []string{"a"}}},
		"unknown": {{ID: "a", Kind: got.Score, After: []string{"x"}}},
		"twice":   {{ID: "a", Kind: got.Score}, {ID: "a", Kind: got.Score}},
		"count":   {{ID: "a", Kind: got.Generate}},
	} {
		if _, err := got.New([]string{"r"}, plan, ""); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Tickets are told in any order, twice, late and of another graph.
func TestTicketsModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		kinds := []got.Kind{got.Generate, got.Aggregate, got.Refine, got.Score, got.KeepBest, got.Validate}
		var plan []got.Operation
		for i := range rapid.IntRange(1, 6).Draw(r, "operations") {
			o := got.Operation{ID: fmt.Sprint("o", i), Kind: rapid.SampledFrom(kinds).Draw(r, "kind")}
			if o.Kind == got.Generate || o.Kind == got.KeepBest || o.Kind == got.Aggregate {
				o.Count = 2
			}
			for j := range i {
				if rapid.Bool().Draw(r, "after") {
					o.After = append(o.After, fmt.Sprint("o", j))
				}
			}
			plan = append(plan, o)
		}
		g := must[*got.Graph](t)(got.New([]string{"x", "y"}, plan, "one"))
		now := start
		var open []got.Ticket
		told := map[string]got.Tell{}
		for range rapid.IntRange(1, 50).Draw(r, "moves") {
			switch rapid.IntRange(0, 4).Draw(r, "move") {
			case 0:
				more, _, err := g.Ask(rapid.IntRange(1, 5).Draw(r, "n"), now, 10*time.Second)
				if err != nil {
					r.Fatal(err)
				}
				open = append(open, more...)
			case 1, 2:
				if len(open) == 0 {
					continue
				}
				k := open[rapid.IntRange(0, len(open)-1).Draw(r, "ticket")]
				_, err := g.Tell(k.ID, answer(k), now)
				if err == nil {
					told[k.ID] = answer(k)
				} else if fault.KindOf(err) != fault.NotFound {
					r.Fatal(err)
				}
			case 3:
				for id, what := range told {
					state := must[[]byte](t)(json.Marshal(g))
					if _, err := g.Tell(id, what, now); err != nil || !bytes.Equal(state, must[[]byte](t)(json.Marshal(g))) {
						r.Fatalf("the same again: %v", err)
					}
					what.Note += "other"
					if _, err := g.Tell(id, what, now); fault.KindOf(err) != fault.Conflict {
						r.Fatalf("another answer: %v", err)
					}
				}
				if _, err := g.Tell("t1.two", got.Tell{}, now); fault.KindOf(err) != fault.NotFound {
					r.Fatalf("a foreign ticket: %v", err)
				}
			case 4:
				now = now.Add(time.Duration(rapid.IntRange(0, 8).Draw(r, "seconds")) * time.Second)
			}
			state := must[[]byte](t)(json.Marshal(g))
			var copied got.Graph
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
	g := must[*got.Graph](f)(got.New([]string{"r"}, []got.Operation{{ID: "g", Kind: got.Generate, Count: 2}, {ID: "s", Kind: got.Score, After: []string{"g"}}}, "x"))
	k, _, _ := g.Ask(1, start, time.Minute)
	f.Add(must[[]byte](f)(json.Marshal(g)))
	_ = must[got.Told](f)(g.Tell(k[0].ID, answer(k[0]), start))
	f.Add(must[[]byte](f)(json.Marshal(g)))
	f.Fuzz(func(t *testing.T, data []byte) {
		var g got.Graph
		if json.Unmarshal(data, &g) != nil || g.Validate() != nil {
			return
		}
		k, _, err := g.Ask(4, start, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range k {
			if _, err := g.Tell(k.ID, answer(k), start); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Validate(); err != nil {
			t.Fatal(err)
		}
		g.Circles()
		g.Articulation()
		g.Latency()
		if _, _, err := g.Graph().Draw(graph.Mermaid, 50); err != nil {
			t.Fatal(err)
		}
	})
}

func TestNewFrom(t *testing.T) {
	thoughts := []got.Thought{{Content: "a", Type: "evidence"}, {Content: "b"}, {Content: "c"}}
	edges := []got.Edge{{From: 0, To: 1, Relation: got.LeadsTo, Weight: 1}, {From: 1, To: 2, Relation: got.Supports, Weight: .5}}
	g, err := got.NewFrom(thoughts, edges, []int{0, 2}, []got.Operation{{ID: "rate", Kind: got.Score}}, "")
	if err != nil || g.Validate() != nil {
		t.Fatal(err, g.Validate())
	}
	if g.Thoughts[0].Type != "evidence" || len(g.Edges) != 2 || len(g.Plan[0].Jobs) != 2 || g.Plan[0].Jobs[1].In[0] != 2 {
		t.Errorf("%+v", g)
	}
	for _, x := range []struct {
		edges []got.Edge
		roots []int
	}{
		{append(edges, got.Edge{From: 1, To: 0, Relation: got.Derives, Weight: 1}), []int{0}}, // a cycle
		{[]got.Edge{{From: 0, To: 3, Relation: got.Derives, Weight: 1}}, []int{0}},
		{nil, []int{3}},
		{nil, []int{0, 0}},
		{nil, nil},
	} {
		if _, err := got.NewFrom(thoughts, x.edges, x.roots, nil, ""); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%v, %v: %v, want an invalid argument", x.edges, x.roots, err)
		}
	}
}
