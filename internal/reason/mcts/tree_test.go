package mcts_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const ttl = time.Minute

func newTree(t testing.TB, s mcts.Settings, candidates ...string) *mcts.Tree {
	t.Helper()
	return must[*mcts.Tree](t)(mcts.NewTree(s, "root", children(candidates...)))
}

func children(contents ...string) []mcts.Child {
	var list []mcts.Child
	for _, c := range contents {
		list = append(list, mcts.Child{Content: c})
	}
	return list
}

// ask hands out exactly n tickets.
func ask(t testing.TB, tree *mcts.Tree, n int, now time.Time) []mcts.Ticket {
	t.Helper()
	tickets, short, err := tree.Ask(n, now, ttl)
	if err != nil || len(tickets) != n || short != mcts.NoShortage {
		t.Fatalf("asked for %d, got %d tickets, %q, %v", n, len(tickets), short, err)
	}
	return tickets
}

func tell(t testing.TB, tree *mcts.Tree, ticket string, value float64, contents ...string) mcts.Told {
	t.Helper()
	return must[mcts.Told](t)(tree.Tell(ticket, mcts.Tell{Value: &value, Children: children(contents...)}, noon))
}

func best(t testing.TB, tree *mcts.Tree, c mcts.Criterion) mcts.Answer {
	t.Helper()
	return must[mcts.Answer](t)(tree.Best(c, mcts.Hoeffding))
}

// broken returns the first invariant that a tree violates, or "".
func broken(tree *mcts.Tree) string {
	pending := make([]int, len(tree.Nodes))
	tickets := make([]int64, len(tree.Nodes))
	for _, o := range tree.Open {
		tickets[o.Node] = o.Number
		for at := o.Node; at >= 0; at = tree.Nodes[at].Parent {
			pending[at]++
		}
	}
	var own int64
	for i, n := range tree.Nodes {
		below := n.Own
		for _, c := range n.Children {
			below += tree.Nodes[c].Visits
			if tree.Nodes[c].Parent != i || c <= i {
				return fmt.Sprintf("node %d is a child of %d and has parent %d", c, i, tree.Nodes[c].Parent)
			}
		}
		own += n.Own
		switch {
		case below != n.Visits:
			return fmt.Sprintf("node %d has %d visits, it and its children %d", i, n.Visits, below)
		case pending[i] != n.Pending || tickets[i] != n.Ticket:
			return fmt.Sprintf("node %d has %d pending and ticket %d, the open tickets say %d and %d", i, n.Pending, n.Ticket, pending[i], tickets[i])
		case n.M2 < -1e-9 || n.Visits > 0 && (n.Mean < min(tree.Settings.Low, 0)-1e-9 || n.Mean > max(tree.Settings.High, 0)+1e-9):
			return fmt.Sprintf("node %d has mean %v and squares %v", i, n.Mean, n.M2)
		case n.Terminal && len(n.Children) > 0:
			return fmt.Sprintf("node %d is terminal and has children", i)
		}
	}
	switch {
	case own != tree.Nodes[0].Visits || own != tree.Tells+tree.Revisits:
		return fmt.Sprintf("%d own visits, %d of the root, %d tells and %d revisits", own, tree.Nodes[0].Visits, tree.Tells, tree.Revisits)
	case len(tree.Nodes) > tree.Settings.MaxNodes:
		return fmt.Sprintf("%d nodes, maxNodes %d", len(tree.Nodes), tree.Settings.MaxNodes)
	}
	return ""
}

func check(t testing.TB, tree *mcts.Tree) {
	t.Helper()
	if s := broken(tree); s != "" {
		t.Fatal(s)
	}
}

func TestBetterLeafGetsMostVisits(t *testing.T) {
	for _, p := range []mcts.Policy{mcts.UCT, mcts.UCB1Tuned, mcts.PUCT} {
		tree := newTree(t, mcts.Settings{Policy: p}, "poor", "good")
		for range 200 {
			ticket := ask(t, tree, 1, noon)[0]
			tell(t, tree, ticket.ID, map[string]float64{"poor": .2, "good": .8}[ticket.Path[1]])
			check(t, tree)
		}
		for _, c := range []mcts.Criterion{mcts.ByVisits, mcts.ByValue, mcts.ByLCB} {
			a := best(t, tree, c)
			if len(a.Path) != 1 || a.Path[0].Content != "good" || !near(*a.Path[0].Value, .8, 1e-12) {
				t.Errorf("%s by %s: path %+v", p, c, a.Path)
			}
			if a.Visits != 200 || a.Children[0].Visits+a.Children[1].Visits != 200 || a.Children[1].Visits < 120 || a.Children[0].Visits < 1 {
				t.Errorf("%s: visits %d and %d of %d", p, a.Children[0].Visits, a.Children[1].Visits, a.Visits)
			}
		}
	}
}

func TestValueIsDiscountedForEachLevel(t *testing.T) {
	tree := newTree(t, mcts.Settings{Discount: .9}, "one")
	tell(t, tree, ask(t, tree, 1, noon)[0].ID, 0, "two")
	tell(t, tree, ask(t, tree, 1, noon)[0].ID, 0, "three")
	before := tree.Nodes[0].Mean
	ticket := ask(t, tree, 1, noon)[0]
	if len(ticket.Path) != 4 || ticket.Kind != mcts.Evaluate {
		t.Fatalf("ticket %+v, want the evaluation of a node at depth 3", ticket)
	}
	tell(t, tree, ticket.ID, 1)
	sum := tree.Nodes[0].Mean*3 - before*2
	if !near(sum, .729, 1e-12) {
		t.Errorf("1 at depth 3 adds %v at the root, want 0.729", sum)
	}
	check(t, tree)
}

func TestKindsAndExpansion(t *testing.T) {
	tree := newTree(t, mcts.Settings{})
	first := ask(t, tree, 1, noon)[0]
	if first.Kind != mcts.Expand || !slices.Equal(first.Path, []string{"root"}) || !first.Expires.Equal(noon.Add(ttl)) {
		t.Fatalf("first ticket %+v", first)
	}
	if tickets, short, err := tree.Ask(3, noon, ttl); err != nil || len(tickets) != 0 || short != mcts.HandedOut {
		t.Errorf("with the only leaf out: %v, %q, %v", tickets, short, err)
	}
	told := must[mcts.Told](t)(tree.Tell(first.ID, mcts.Tell{Children: children("a", "b", " a ", "a")}, noon))
	if !slices.Equal(told.Children, []int{1, 2}) || told.Duplicates != 2 || told.Visits != 0 || told.Value != nil {
		t.Errorf("told %+v, want two children without a visit", told)
	}
	tickets := ask(t, tree, 2, noon)
	for i, ticket := range tickets {
		if ticket.Kind != mcts.Evaluate || ticket.Node != i+1 {
			t.Errorf("ticket %d is %+v", i, ticket)
		}
		tell(t, tree, ticket.ID, .5)
	}
	next := ask(t, tree, 1, noon)[0]
	if next.Kind != mcts.Expand || next.Node == 0 {
		t.Errorf("an evaluated leaf gives %+v, want an expansion", next)
	}
	told = tell(t, tree, next.ID, .7, "c")
	if told.Visits != 2 || !near(*told.Value, .6, 1e-12) || told.RootVisits != 3 {
		t.Errorf("told %+v", told)
	}
	check(t, tree)
}

func TestVirtualLossSpreadsTickets(t *testing.T) {
	tree := newTree(t, mcts.Settings{}, "a", "b", "c")
	for _, ticket := range ask(t, tree, 3, noon) {
		tell(t, tree, ticket.ID, .5, ticket.Path[1]+"1", ticket.Path[1]+"2")
	}
	seen := map[int]bool{}
	under := map[int]int{}
	for _, ticket := range ask(t, tree, 6, noon) {
		if seen[ticket.Node] {
			t.Errorf("node %d has two tickets", ticket.Node)
		}
		seen[ticket.Node] = true
		under[tree.Nodes[ticket.Node].Parent]++
	}
	if len(under) != 3 || under[1] != 2 {
		t.Errorf("tickets by parent %v, want two each", under)
	}
	check(t, tree)
	if tickets, short, err := tree.Ask(1, noon, ttl); len(tickets) != 0 || short != mcts.HandedOut || err != nil {
		t.Errorf("a seventh ticket: %v, %q, %v", tickets, short, err)
	}
}

func snapshot(t testing.TB, tree *mcts.Tree) string {
	t.Helper()
	return string(must[[]byte](t)(json.Marshal([]any{tree.Nodes, tree.Open, tree.Tells})))
}

func TestExpiryRestoresTheStatistics(t *testing.T) {
	tree := newTree(t, mcts.Settings{}, "a", "b", "c")
	for _, ticket := range ask(t, tree, 2, noon) {
		tell(t, tree, ticket.ID, .25, "x", "y")
	}
	before := snapshot(t, tree)
	tickets := ask(t, tree, 5, noon)
	if snapshot(t, tree) == before {
		t.Fatal("tickets leave no trace")
	}
	if n := tree.Expire(noon.Add(ttl - 1)); n != 0 {
		t.Errorf("%d tickets expired early", n)
	}
	if n := tree.Expire(noon.Add(ttl)); n != 5 {
		t.Errorf("%d tickets expired, want 5", n)
	}
	if after := snapshot(t, tree); after != before {
		t.Errorf("after all expired\n%s\nbefore\n%s", after, before)
	}
	_, err := tree.Tell(tickets[0].ID, mcts.Tell{Value: new(.5)}, noon.Add(ttl))
	if fault.KindOf(err) != fault.NotFound {
		t.Errorf("an expired ticket is told: %v", err)
	}
	again := ask(t, tree, 1, noon)
	if again[0].Node != tickets[0].Node || again[0].ID == tickets[0].ID {
		t.Errorf("after expiry the next ticket is %+v, the first was %+v", again[0], tickets[0])
	}
	if err := tree.Abandon(again[0].ID, noon); err != nil {
		t.Fatal(err)
	}
	if after := snapshot(t, tree); after != before {
		t.Error("abandoning leaves a trace")
	}
	if err := tree.Abandon(again[0].ID, noon); fault.KindOf(err) != fault.NotFound {
		t.Errorf("abandoned twice: %v", err)
	}
}

func TestTellIsIdempotent(t *testing.T) {
	tree := newTree(t, mcts.Settings{}, "a", "b")
	ticket := ask(t, tree, 1, noon)[0]
	what := mcts.Tell{Value: new(.5), Children: children("x")}
	told := must[mcts.Told](t)(tree.Tell(ticket.ID, what, noon))
	tell(t, tree, ask(t, tree, 1, noon)[0].ID, .1)
	before := snapshot(t, tree)
	again, err := tree.Tell(ticket.ID, what, noon.Add(time.Hour))
	if err != nil || !reflect.DeepEqual(again, told) || snapshot(t, tree) != before {
		t.Errorf("told again: %+v, %v; at first %+v", again, err, told)
	}
	for name, other := range map[string]mcts.Tell{
		"value":    {Value: new(.6), Children: children("x")},
		"children": {Value: new(.5), Children: children("y")},
		"terminal": {Value: new(.5), Terminal: true},
		"nothing":  {},
	} {
		if _, err := tree.Tell(ticket.ID, other, noon); fault.KindOf(err) != fault.Conflict {
			t.Errorf("told another %s: %v, want a conflict", name, err)
		}
	}
	if snapshot(t, tree) != before {
		t.Error("a refused tell left a trace")
	}
}

func TestBadTellsChangeNothing(t *testing.T) {
	tree := newTree(t, mcts.Settings{Low: -1, High: 2}, "a")
	ticket := ask(t, tree, 1, noon)[0]
	before := snapshot(t, tree)
	for name, c := range map[string]struct {
		id   string
		what mcts.Tell
		kind fault.Kind
		want string
	}{
		"too high":         {ticket.ID, mcts.Tell{Value: new(2.1)}, fault.Invalid, "value: 2.1; expected a number from -1 to 2"},
		"too low":          {ticket.ID, mcts.Tell{Value: new(-1.1)}, fault.Invalid, "value: -1.1"},
		"not a number":     {ticket.ID, mcts.Tell{Value: new(math.NaN())}, fault.Invalid, "value: NaN"},
		"no value":         {ticket.ID, mcts.Tell{}, fault.Invalid, "value: nothing; expected a number"},
		"end and children": {ticket.ID, mcts.Tell{Value: new(0.0), Terminal: true, Children: children("x")}, fault.Invalid, "terminal: true; expected false"},
		"empty child":      {ticket.ID, mcts.Tell{Value: new(0.0), Children: children("x", "\n ")}, fault.Invalid, "children[1].content: nothing; expected text"},
		"long child":       {ticket.ID, mcts.Tell{Value: new(0.0), Children: children(strings.Repeat("x", mcts.MaxContent+1))}, fault.Invalid, "children[0].content: 8193 bytes"},
		"not text":         {ticket.ID, mcts.Tell{Value: new(0.0), Children: children("\xff")}, fault.Invalid, "expected valid UTF-8"},
		"bad prior":        {ticket.ID, mcts.Tell{Value: new(0.0), Children: []mcts.Child{{Content: "x", Prior: new(-1.0)}}}, fault.Invalid, "children[0].prior: -1"},
		"many children":    {ticket.ID, mcts.Tell{Value: new(0.0), Children: make([]mcts.Child, mcts.MaxTellChildren+1)}, fault.Invalid, "children: 65; expected at most 64"},
		"unknown":          {"t99", mcts.Tell{Value: new(0.0)}, fault.NotFound, "t99"},
		"odd id":           {"t01", mcts.Tell{Value: new(0.0)}, fault.NotFound, "is not open"},
		"no id":            {"", mcts.Tell{Value: new(0.0)}, fault.NotFound, "is not open"},
	} {
		_, err := tree.Tell(c.id, c.what, noon)
		if fault.KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v of kind %v, want %q of kind %v", name, err, fault.KindOf(err), c.want, c.kind)
		}
	}
	if snapshot(t, tree) != before {
		t.Error("a refused tell left a trace")
	}
	tell(t, tree, ticket.ID, 2)
}

func TestTerminalNodes(t *testing.T) {
	tree := newTree(t, mcts.Settings{}, "solved", "open")
	tickets := ask(t, tree, 2, noon)
	must[mcts.Told](t)(tree.Tell(tickets[0].ID, mcts.Tell{Value: new(1.0), Terminal: true}, noon))
	tell(t, tree, tickets[1].ID, .1)
	for range 20 {
		ticket := ask(t, tree, 1, noon)[0]
		if ticket.Path[1] != "open" {
			t.Fatalf("asked about a terminal node: %+v", ticket)
		}
		tell(t, tree, ticket.ID, .1)
		check(t, tree)
	}
	a := best(t, tree, mcts.ByVisits)
	if a.Path[0].Content != "solved" || !a.Path[0].Terminal || a.Revisits == 0 || a.Tells != 22 || a.Visits != a.Tells+a.Revisits {
		t.Errorf("answer %+v, want the solved line to lead by its known value", a)
	}
	must[mcts.Told](t)(tree.Tell(ask(t, tree, 1, noon)[0].ID, mcts.Tell{Value: new(.1), Terminal: true}, noon))
	if tickets, short, err := tree.Ask(1, noon, ttl); len(tickets) != 0 || short != mcts.Exhausted || err != nil {
		t.Errorf("when all is terminal: %v, %q, %v", tickets, short, err)
	}
}

func TestNodeLimit(t *testing.T) {
	tree := newTree(t, mcts.Settings{MaxNodes: 5}, "a", "b")
	told := tell(t, tree, ask(t, tree, 1, noon)[0].ID, .5, "1", "2", "3", "4")
	if len(told.Children) != 2 || told.Dropped != 2 || len(tree.Nodes) != 5 {
		t.Errorf("told %+v with %d nodes", told, len(tree.Nodes))
	}
	for range 30 {
		ticket := ask(t, tree, 1, noon)[0]
		if ticket.Kind != mcts.Evaluate {
			t.Fatalf("a full tree asks for an expansion: %+v", ticket)
		}
		tell(t, tree, ticket.ID, .5, "more")
		check(t, tree)
	}
	if _, err := mcts.NewTree(mcts.Settings{MaxNodes: 2}, "root", children("a", "b")); fault.KindOf(err) != fault.Invalid {
		t.Errorf("candidates over maxNodes: %v", err)
	}
}

func TestTreeErrors(t *testing.T) {
	for name, s := range map[string]mcts.Settings{
		"policy":   {Policy: "neural"},
		"c":        {Exploration: new(-1.0)},
		"nan":      {Exploration: new(math.NaN())},
		"loss":     {VirtualLoss: new(-1.0)},
		"discount": {Discount: 1.5},
		"negative": {Discount: -.5},
		"range":    {Low: 1, High: 1},
		"infinite": {Low: math.Inf(-1), High: 1},
		"nodes":    {MaxNodes: mcts.MaxTreeNodes + 1},
		"k":        {Widening: &mcts.Widening{K: 0, Alpha: .5}},
		"alpha":    {Widening: &mcts.Widening{K: 1, Alpha: 1.5}},
	} {
		if _, err := mcts.NewTree(s, "root", nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	if _, err := mcts.NewTree(mcts.Settings{}, " ", nil); fault.KindOf(err) != fault.Invalid {
		t.Errorf("an empty root: %v", err)
	}
	tree := newTree(t, mcts.Settings{}, "a")
	for _, n := range []int{0, -1, mcts.MaxAsk + 1} {
		if _, _, err := tree.Ask(n, noon, ttl); fault.KindOf(err) != fault.Invalid {
			t.Errorf("asked for %d: %v", n, err)
		}
	}
	if _, err := tree.Best("luck", mcts.Hoeffding); fault.KindOf(err) != fault.Invalid {
		t.Errorf("best by luck: %v", err)
	}
	if _, err := tree.Best(mcts.ByVisits, "guess"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("interval by guess: %v", err)
	}
}

func TestOpenTicketsAreBounded(t *testing.T) {
	var names []string
	for i := range mcts.MaxTellChildren {
		names = append(names, fmt.Sprint(i))
	}
	tree := newTree(t, mcts.Settings{}, names...)
	for _, ticket := range ask(t, tree, 64, noon) {
		tell(t, tree, ticket.ID, .5, names...)
	}
	for range 4 {
		ask(t, tree, 64, noon)
	}
	if tickets, short, err := tree.Ask(1, noon, ttl); len(tickets) != 0 || short != mcts.TooMany || err != nil {
		t.Errorf("ticket 257: %v, %q, %v", tickets, short, err)
	}
	if got := tree.Outstanding(); len(got) != mcts.MaxOpenTickets || len(got[0].Path) < 2 {
		t.Errorf("%d outstanding", len(got))
	}
}

func ExampleTree() {
	tree, _ := mcts.NewTree(mcts.Settings{}, "How should the service store sessions?", nil)
	now := time.Now()
	tickets, _, _ := tree.Ask(1, now, time.Minute)
	fmt.Println(tickets[0].Kind, tickets[0].Path)
	tree.Tell(tickets[0].ID, mcts.Tell{Children: []mcts.Child{{Content: "in memory"}, {Content: "in a file"}}}, now)
	for range 10 { // the caller's judgement stands where a rollout would be
		tickets, _, _ = tree.Ask(1, now, time.Minute)
		judged := map[string]float64{"in memory": 0.3, "in a file": 0.6}[tickets[0].Path[1]]
		tree.Tell(tickets[0].ID, mcts.Tell{Value: &judged}, now)
	}
	answer, _ := tree.Best(mcts.ByVisits, mcts.Hoeffding)
	fmt.Printf("%s, %.1f\n", answer.Path[0].Content, *answer.Path[0].Value)
	// Output:
	// expand [How should the service store sessions?]
	// in a file, 0.6
}
