package mcts_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
)

func TestWideningAsksForMoreChildren(t *testing.T) {
	tree := newTree(t, mcts.Settings{Widening: &mcts.Widening{K: 1, Alpha: .5}}, "c0")
	for i := range 100 {
		ticket := ask(t, tree, 1, noon)[0]
		if ticket.Node == 0 {
			must[mcts.Told](t)(tree.Tell(ticket.ID, mcts.Tell{Children: children(fmt.Sprintf("c%d", i+1))}, noon))
		} else {
			tell(t, tree, ticket.ID, .5)
		}
		check(t, tree)
		root := tree.Nodes[0]
		if most := int(max(1, math.Ceil(math.Sqrt(float64(root.Visits))))); len(root.Children) > most+1 {
			t.Fatalf("%d children after %d visits", len(root.Children), root.Visits)
		}
	}
	if n := len(tree.Nodes[0].Children); n < 8 || n > 11 {
		t.Errorf("%d children after about 90 visits, want about √90", n)
	}
	for { // no more children: the root is not asked again
		ticket := ask(t, tree, 1, noon)[0]
		if ticket.Node == 0 {
			must[mcts.Told](t)(tree.Tell(ticket.ID, mcts.Tell{}, noon))
			break
		}
		tell(t, tree, ticket.ID, .5)
	}
	for range 100 {
		ticket := ask(t, tree, 1, noon)[0]
		if ticket.Node == 0 {
			t.Fatal("a complete node is asked for children")
		}
		tell(t, tree, ticket.ID, .5)
	}
}

func TestWideningConsidersTheBestPriorsFirst(t *testing.T) {
	list := []mcts.Child{{Content: "low", Prior: new(.1)}, {Content: "high", Prior: new(.7)}, {Content: "middle"}}
	tree := must[*mcts.Tree](t)(mcts.NewTree(mcts.Settings{Widening: &mcts.Widening{K: 1, Alpha: .5}}, "root", list))
	var order []string
	for range 12 {
		ticket := ask(t, tree, 1, noon)[0]
		if ticket.Node == 0 {
			must[mcts.Told](t)(tree.Tell(ticket.ID, mcts.Tell{}, noon))
			continue
		}
		if name := ticket.Path[1]; !slices.Contains(order, name) {
			order = append(order, name)
		}
		tell(t, tree, ticket.ID, .5)
	}
	if !slices.Equal(order, []string{"high", "middle", "low"}) {
		t.Errorf("considered in the order %v", order)
	}
}

func TestPriorsGuidePUCT(t *testing.T) {
	list := []mcts.Child{{Content: "a", Prior: new(1.0)}, {Content: "b", Prior: new(3.0)}}
	tree := must[*mcts.Tree](t)(mcts.NewTree(mcts.Settings{Policy: mcts.PUCT}, "root", list))
	for range 400 {
		tell(t, tree, ask(t, tree, 1, noon)[0].ID, .5)
	}
	a := best(t, tree, mcts.ByVisits)
	if a.Path[0].Content != "b" || !near(a.Path[0].Prior, .75, 1e-12) || !near(float64(a.Path[0].Visits)/400, .75, .02) {
		t.Errorf("with equal values and prior 3:1 the best is %+v of %d visits", a.Path[0], a.Visits)
	}
}
