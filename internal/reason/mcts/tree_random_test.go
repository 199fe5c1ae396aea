package mcts_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
)

func TestConcurrentAskAndTell(t *testing.T) {
	var names []string
	for i := range 64 {
		names = append(names, fmt.Sprint(i))
	}
	tree := newTree(t, mcts.Settings{}, names...)
	var mu sync.Mutex
	accepted := int64(0)
	var wg sync.WaitGroup
	for worker := range 64 {
		wg.Go(func() {
			for round := range 20 {
				mu.Lock()
				tickets, _, err := tree.Ask(1, noon, ttl)
				mu.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
				for _, ticket := range tickets {
					mu.Lock()
					_, err := tree.Tell(ticket.ID, mcts.Tell{
						Value: new(float64(worker%10) / 10), Children: children(fmt.Sprint(worker, round)),
					}, noon)
					if err == nil {
						accepted++
					}
					mu.Unlock()
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if accepted != 64*20 || tree.Nodes[0].Visits != accepted || tree.Tells != accepted {
		t.Errorf("%d tells accepted, %d visits", accepted, tree.Nodes[0].Visits)
	}
	check(t, tree)
}

// A tree that was stored and read again behaves like the one that was not,
// whatever is done with it, and no operation breaks an invariant.
func TestRandomOperations(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := mcts.Settings{
			Policy:   rapid.SampledFrom([]mcts.Policy{mcts.UCT, mcts.UCB1Tuned, mcts.PUCT}).Draw(r, "policy"),
			Discount: rapid.SampledFrom([]float64{1, .9}).Draw(r, "discount"),
			Low:      -1, High: 1,
			MaxNodes: rapid.IntRange(4, 60).Draw(r, "maxNodes"),
		}
		if rapid.Bool().Draw(r, "widening") {
			s.Widening = &mcts.Widening{K: 1, Alpha: .5}
		}
		tree, err := mcts.NewTree(s, "root", nil)
		if err != nil {
			r.Fatal(err)
		}
		now := noon
		for step := range rapid.IntRange(1, 60).Draw(r, "steps") {
			twin := reload(r, tree)
			op := rapid.SampledFrom([]string{"ask", "tell", "tell", "tell", "abandon", "expire"}).Draw(r, "operation")
			n := rapid.IntRange(1, 4).Draw(r, "n")
			value := rapid.Float64Range(-1, 1).Draw(r, "value")
			terminal := rapid.IntRange(0, 5).Draw(r, "terminal") == 0
			now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(r, "seconds")) * time.Second)
			var results [2]string
			for i, x := range []*mcts.Tree{tree, twin} {
				results[i] = apply(x, op, n, step, value, terminal, now)
				if s := broken(x); s != "" {
					r.Fatalf("after %s: %s", op, s)
				}
			}
			if results[0] != results[1] {
				r.Fatalf("%s gave\n%s\nand after a round trip\n%s", op, results[0], results[1])
			}
			tree = twin
		}
		before := len(tree.Open)
		if n := tree.Expire(now.Add(ttl)); n != before || len(tree.Open) != 0 || tree.Nodes[0].Pending != 0 {
			r.Fatalf("%d of %d tickets expired", n, before)
		}
	})
}

func reload(r *rapid.T, tree *mcts.Tree) *mcts.Tree {
	b, err := json.Marshal(tree)
	if err != nil {
		r.Fatal(err)
	}
	var twin mcts.Tree
	if err := json.Unmarshal(b, &twin); err != nil {
		r.Fatal(err)
	}
	return &twin
}

// apply does one operation and returns all that can be seen of its result.
func apply(tree *mcts.Tree, op string, n, step int, value float64, terminal bool, now time.Time) string {
	var out any
	var err error
	switch {
	case op == "ask":
		var short mcts.Shortage
		var tickets []mcts.Ticket
		tickets, short, err = tree.Ask(n, now, ttl)
		out = []any{tickets, short}
	case op == "expire":
		out = tree.Expire(now)
	case len(tree.Open) == 0:
	case op == "abandon":
		err = tree.Abandon(tree.Outstanding()[0].ID, now)
	default:
		ticket := tree.Outstanding()[n%len(tree.Open)]
		what := mcts.Tell{Value: &value, Terminal: terminal}
		if !terminal {
			for i := range n - 1 {
				what.Children = append(what.Children, mcts.Child{Content: fmt.Sprint(step, i), Prior: new(float64(i))})
			}
		}
		out, err = tree.Tell(ticket.ID, what, now)
	}
	if err != nil && fault.KindOf(err) == fault.Internal {
		return "unclassified: " + err.Error()
	}
	answer, bestErr := tree.Best(mcts.ByLCB, mcts.Hoeffding)
	b, encodeErr := json.Marshal([]any{out, fmt.Sprint(err), answer, fmt.Sprint(bestErr), tree})
	return fmt.Sprint(string(b), encodeErr)
}
