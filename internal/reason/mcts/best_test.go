package mcts_test

import (
	"slices"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
)

func TestIntervalsAndEntropy(t *testing.T) {
	tree := newTree(t, mcts.Settings{}, "a", "b", "c")
	if a := best(t, tree, mcts.ByVisits); a.Entropy != nil || a.Value != nil || len(a.Path) != 0 || a.Children[0].Value != nil || a.Children[0].Interval != nil {
		t.Errorf("without visits: %+v", a)
	}
	for _, v := range []float64{.4, .4, .6, .6} { // two each of a and b, in turn
		ticket := ask(t, tree, 3, noon)
		tell(t, tree, ticket[0].ID, v)
		for _, rest := range ticket[1:] {
			if err := tree.Abandon(rest.ID, noon); err != nil {
				t.Fatal(err)
			}
		}
	}
	a := best(t, tree, mcts.ByVisits)
	var visits []int64
	for _, c := range a.Children {
		visits = append(visits, c.Visits)
	}
	if !slices.Equal(visits, []int64{1, 2, 1}) && !slices.Equal(visits, []int64{2, 1, 1}) && !slices.Equal(visits, []int64{1, 1, 2}) {
		t.Fatalf("visits %v", visits)
	}
	if !near(*a.Entropy, 1.5, 1e-12) { // 1/2, 1/4, 1/4
		t.Errorf("entropy %v bits, want 1.5", *a.Entropy)
	}
	// Hoeffding: √(ln 40 / (2·2)) = 0.960323, wider than [0, 1] around 0.5.
	if iv := a.Children[slices.Index(visits, 2)].Interval; iv == nil || iv.Low != 0 || iv.High != 1 || iv.Level != .95 || iv.Method != mcts.Hoeffding {
		t.Errorf("interval %+v", iv)
	}
	for j, c := range must[mcts.Answer](t)(tree.Best(mcts.ByLCB, mcts.Normal)).Children {
		if (c.Interval == nil) != (visits[j] < 2) {
			t.Errorf("normal interval of %d values: %+v", visits[j], c.Interval)
		}
	}
}

func TestIntervalsByHand(t *testing.T) {
	tree := newTree(t, mcts.Settings{Low: -10, High: 10}, "a")
	for _, v := range []float64{1, 2, 3, 6} {
		tell(t, tree, ask(t, tree, 1, noon)[0].ID, v)
	}
	// Mean 3, s² = 14/3, s/√4 = 1.080123, times 1.959964.
	n := must[mcts.Answer](t)(tree.Best(mcts.ByValue, mcts.Normal)).Path[0]
	if *n.Value != 3 || !near(n.Interval.Low, 3-2.117003, 1e-5) || !near(n.Interval.High, 3+2.117003, 1e-5) || n.Interval.Method != mcts.Normal {
		t.Errorf("mean %v in %+v", *n.Value, n.Interval)
	}
	// 20·√(ln 40 / 8) = 13.5810, cut at 10.
	h := best(t, tree, mcts.ByValue).Path[0]
	if !near(h.Interval.Low, max(-10, 3-13.58100), 1e-4) || h.Interval.High != 10 {
		t.Errorf("interval %+v", h.Interval)
	}
	for range 60 {
		tell(t, tree, ask(t, tree, 1, noon)[0].ID, 3)
	}
	// 64 values: 20·√(ln 40 / 128) = 3.395250.
	if h = best(t, tree, mcts.ByValue).Path[0]; !near(h.Interval.High, 3+3.395250, 1e-4) || !near(h.Interval.Low, 3-3.395250, 1e-4) {
		t.Errorf("interval of 64 values %+v", h.Interval)
	}
}

func TestLowerBoundPrefersTheSureThing(t *testing.T) {
	tree := newTree(t, mcts.Settings{Exploration: new(.5)}, "lucky", "steady")
	for range 300 {
		ticket := ask(t, tree, 1, noon)[0]
		v := .5
		if ticket.Path[1] == "lucky" && tree.Nodes[1].Visits == 0 {
			v = 1
		} else if ticket.Path[1] == "lucky" {
			v = 0
		}
		tell(t, tree, ticket.ID, v)
	}
	if a := best(t, tree, mcts.ByLCB); a.Path[0].Content != "steady" {
		t.Errorf("by lower bound %+v", a.Path[0])
	}
}
