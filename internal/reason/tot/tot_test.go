package tot_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
	"github.com/lyceum-mcp/lyceum/internal/reason/tot"
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

// client answers tickets from tables.
type client struct {
	next  map[string][]tot.Child
	value map[string]float64
	goal  map[string]bool
	votes []string // contents
}

func (c client) answer(k tot.Ticket, t *tot.Tree) tot.Tell {
	content := t.Nodes[k.Nodes[0]].Content
	switch k.Kind {
	case tot.Propose:
		return tot.Tell{Children: c.next[content]}
	case tot.Evaluate:
		return tot.Tell{Values: []float64{c.value[content]}, Solution: c.goal[content]}
	}
	var what tot.Tell
	for _, v := range c.votes {
		for _, at := range k.Nodes {
			if t.Nodes[at].Content == v {
				what.Votes = append(what.Votes, at)
			}
		}
	}
	return what
}

func (c client) play(t *testing.T, tree *tot.Tree) {
	t.Helper()
	for range 2000 {
		tickets, _ := must2(tree.Ask(1, start, time.Minute))(t)
		if len(tickets) == 0 {
			return
		}
		if _, err := tree.Tell(tickets[0].ID, c.answer(tickets[0], tree), start); err != nil {
			t.Fatal(err)
		}
		if err := tree.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("no end")
}

func must2(tickets []tot.Ticket, s tot.Shortage, err error) func(testing.TB) ([]tot.Ticket, tot.Shortage) {
	return func(t testing.TB) ([]tot.Ticket, tot.Shortage) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return tickets, s
	}
}

func thoughts(names ...string) (out []tot.Child) {
	for _, n := range names {
		out = append(out, tot.Child{Content: n})
	}
	return out
}

func (c client) contents(tree *tot.Tree) (out []string) {
	for _, at := range tree.Visited {
		out = append(out, tree.Nodes[at].Content)
	}
	return out
}

// A tree of 3×3: below a and c nothing is good enough but ca.
func toy() client {
	return client{
		next: map[string][]tot.Child{
			"root": thoughts("a", "b", "c"), "a": thoughts("aa", "ab", "ac"), "b": thoughts("ba", "bb", "bc"), "c": thoughts("ca", "cb", "cc"),
			"aa": thoughts("aaa"), "ca": thoughts("caa"),
		},
		value: map[string]float64{"a": .9, "b": .5, "c": .7, "aa": .5, "ab": .2, "ac": .1, "ba": .9, "ca": .8, "cb": .6, "cc": .3, "caa": 1},
		goal:  map[string]bool{"caa": true},
	}
}

func TestDepthFirstPrunesAndTurnsBack(t *testing.T) {
	tree := must[*tot.Tree](t)(tot.New(tot.Settings{Strategy: tot.DepthFirst, Threshold: new(0.5)}, "root", ""))
	c := toy()
	c.play(t, tree)
	// a has only thoughts at or below the threshold, b is pruned, c leads on.
	if got := fmt.Sprint(c.contents(tree)); got != "[root a c ca]" || tree.Backs != 1 || tree.Done != tot.Solved {
		t.Errorf("visited %s, %d times back, %s", got, tree.Backs, tree.Done)
	}
	best, ok := tree.Best()
	if !ok || !best.Solution || fmt.Sprint(best.Path) != "[root c ca caa]" {
		t.Errorf("best %+v", best)
	}
	if got := len(tree.Losses(100)); got != 5 {
		t.Errorf("%d pruned, want b, aa, ab, ac and cc", got)
	}
}

func TestBreadthFirst(t *testing.T) {
	tree := must[*tot.Tree](t)(tot.New(tot.Settings{Breadth: 2}, "root", ""))
	c := toy()
	c.play(t, tree)
	if got := fmt.Sprint(c.contents(tree)); got != "[root a c ca cb]" {
		t.Errorf("visited %s", got)
	}
	if best, ok := tree.Best(); !ok || !best.Solution {
		t.Errorf("best %+v", best)
	}
}

func TestVotes(t *testing.T) {
	tree := must[*tot.Tree](t)(tot.New(tot.Settings{Judge: tot.ByVote, Breadth: 1, Depth: 1}, "root", ""))
	c := toy()
	c.votes = []string{"a", "b", "a", "c", "a"}
	c.play(t, tree)
	best, ok := tree.Best()
	if !ok || best.Path[1] != "a" || math.Abs(*best.Value-.6) > 1e-12 {
		t.Errorf("best %+v of votes 3/1/1", best)
	}
}

func TestSamplesAreAveraged(t *testing.T) {
	tree := must[*tot.Tree](t)(tot.New(tot.Settings{Samples: 3}, "root", ""))
	k, _ := must2(tree.Ask(1, start, time.Minute))(t)
	_ = must[tot.Told](t)(tree.Tell(k[0].ID, tot.Tell{Children: thoughts("a")}, start))
	k, _ = must2(tree.Ask(1, start, time.Minute))(t)
	_ = must[tot.Told](t)(tree.Tell(k[0].ID, tot.Tell{Values: []float64{1}}, start))
	k, _ = must2(tree.Ask(1, start, time.Minute))(t)
	if k[0].Wanted != 2 {
		t.Errorf("%d values wanted, want 2", k[0].Wanted)
	}
	told := must[tot.Told](t)(tree.Tell(k[0].ID, tot.Tell{Values: []float64{2, 6}}, start))
	if *told.Value != 3 || math.Abs(*told.Variance-7) > 1e-12 || told.Status != tot.Active {
		t.Errorf("%+v: mean %v, variance %v", told, *told.Value, *told.Variance)
	}
}

func TestAStarReportsTheHeuristic(t *testing.T) {
	step := func(name string, cost, h float64, goal bool) tot.Child {
		return tot.Child{Content: name, Cost: &cost, Heuristic: &h, Solution: goal}
	}
	run := func(h float64) *tot.Tree {
		tree := must[*tot.Tree](t)(tot.New(tot.Settings{Strategy: tot.AStar}, "root", ""))
		client{next: map[string][]tot.Child{
			"root": {step("near", 1, h, false), step("far", 2, 2, false)},
			"near": {step("dear", 1, 0, true)},
			"far":  {step("goal", 2, 0, true)},
		}}.play(t, tree)
		return tree
	}
	good := run(1)
	if best, _ := good.Best(); *best.Cost != 2 || !good.Heuristic().OptimalIfTrue || good.Done != tot.Optimal {
		t.Errorf("cost %v, %+v", *best.Cost, good.Heuristic())
	}
	bad := run(50)
	if best, _ := bad.Best(); *best.Cost != 4 || len(bad.Heuristic().Inconsistent) != 0 {
		t.Errorf("cost %v, %+v", *best.Cost, bad.Heuristic())
	}
}

// Tickets are told in any order, twice, late, given back, and of another tree.
func TestTicketsModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := tot.Settings{
			Strategy: rapid.SampledFrom([]tot.Strategy{tot.BreadthFirst, tot.DepthFirst, tot.BestFirst, tot.AStar}).Draw(r, "strategy"),
			Breadth:  2, Samples: rapid.IntRange(1, 2).Draw(r, "samples"), Votes: 3, MaxNodes: 40,
		}
		if s.Strategy == tot.BreadthFirst || s.Strategy == tot.DepthFirst {
			s.Judge = rapid.SampledFrom([]tot.Judge{tot.ByValue, tot.ByVote}).Draw(r, "judge")
		}
		if s.Strategy != tot.AStar && rapid.Bool().Draw(r, "pruned") {
			s.Threshold = new(0.2)
		}
		tree := must[*tot.Tree](t)(tot.New(s, "root", "one"))
		now := start
		var open []tot.Ticket
		told := map[string]tot.Tell{}
		for range rapid.IntRange(1, 80).Draw(r, "moves") {
			switch rapid.IntRange(0, 5).Draw(r, "move") {
			case 0, 1:
				more, _ := must2(tree.Ask(rapid.IntRange(1, 4).Draw(r, "n"), now, 10*time.Second))(t)
				open = append(open, more...)
			case 2, 3:
				if len(open) == 0 {
					continue
				}
				k := open[rapid.IntRange(0, len(open)-1).Draw(r, "ticket")]
				var what tot.Tell
				switch k.Kind {
				case tot.Propose:
					for i := range rapid.IntRange(0, 3).Draw(r, "children") {
						c := tot.Child{Content: fmt.Sprint(k.Nodes, i), Key: rapid.SampledFrom([]string{"", "p", "q"}).Draw(r, "key"), Solution: rapid.IntRange(0, 9).Draw(r, "goal") == 0}
						if s.Strategy == tot.AStar {
							c.Cost, c.Heuristic = new(rapid.Float64Range(0, 2).Draw(r, "cost")), new(rapid.Float64Range(0, 2).Draw(r, "h"))
						}
						what.Children = append(what.Children, c)
					}
				case tot.Evaluate:
					what.Values = []float64{rapid.Float64Range(0, 1).Draw(r, "value")}
				case tot.Vote:
					what.Votes = []int{rapid.SampledFrom(k.Nodes).Draw(r, "vote")}
				}
				_, err := tree.Tell(k.ID, what, now)
				_, before := told[k.ID]
				switch kind := fault.KindOf(err); {
				case err == nil && !before:
					told[k.ID] = what
				case err != nil && kind != fault.NotFound && (!before || kind != fault.Conflict):
					r.Fatal(err)
				}
			case 4:
				for id, what := range told {
					state := must[[]byte](t)(json.Marshal(tree))
					if _, err := tree.Tell(id, what, now); err != nil || !bytes.Equal(state, must[[]byte](t)(json.Marshal(tree))) {
						r.Fatalf("the same again: %v", err)
					}
				}
				if _, err := tree.Tell("t1.two", tot.Tell{}, now); fault.KindOf(err) != fault.NotFound {
					r.Fatalf("a foreign ticket: %v", err)
				}
			case 5:
				now = now.Add(time.Duration(rapid.IntRange(0, 8).Draw(r, "seconds")) * time.Second)
			}
			state := must[[]byte](t)(json.Marshal(tree))
			var copied tot.Tree
			if err := json.Unmarshal(state, &copied); err != nil {
				r.Fatal(err)
			}
			if err := copied.Validate(); err != nil {
				r.Fatalf("%v in %s", err, state)
			}
			if !bytes.Equal(state, must[[]byte](t)(json.Marshal(&copied))) {
				r.Fatal("the state does not survive a round trip")
			}
			if tree.Done == tot.NotDone && len(tree.Tickets.Open) == 0 {
				if more, _ := must2(copied.Ask(1, now, time.Second))(t); len(more) == 0 {
					r.Fatalf("not done, and nothing to ask: %s", state)
				}
			}
		}
	})
}

func FuzzValidate(f *testing.F) {
	tree := must[*tot.Tree](f)(tot.New(tot.Settings{Judge: tot.ByVote}, "root", "x"))
	k, _ := must2(tree.Ask(1, start, time.Minute))(f)
	f.Add(must[[]byte](f)(json.Marshal(tree)))
	_ = must[tot.Told](f)(tree.Tell(k[0].ID, tot.Tell{Children: thoughts("a", "b")}, start))
	_, _ = must2(tree.Ask(1, start, time.Minute))(f)
	f.Add(must[[]byte](f)(json.Marshal(tree)))
	f.Add([]byte(`{"settings":{"strategy":"depth-first"},"nodes":[{"content":"a","parent":-1,"status":"explored"}],"stack":[0]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var tree tot.Tree
		if json.Unmarshal(data, &tree) != nil || tree.Validate() != nil {
			return
		}
		k, _ := must2(tree.Ask(4, start, time.Minute))(t)
		for _, k := range k {
			what := tot.Tell{}
			switch k.Kind {
			case tot.Evaluate:
				what.Values = []float64{1}
			case tot.Vote:
				what.Votes = k.Nodes[:1]
			}
			if _, err := tree.Tell(k.ID, what, start); err != nil && fault.KindOf(err) != fault.NotFound {
				t.Fatal(err)
			}
		}
		tree.Best()
		tree.Frontier(3)
		tree.Heuristic()
		if _, _, err := tree.Graph().Draw(graph.DOT, 50); err != nil {
			t.Fatal(err)
		}
	})
}
