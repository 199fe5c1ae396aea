package mcts_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/forgetest"
	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
)

// grown is a tree after some operations that the seed chooses.
func grown(t testing.TB, seed uint64) *mcts.Tree {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	s := mcts.Settings{
		Policy:   []mcts.Policy{mcts.UCT, mcts.UCB1Tuned, mcts.PUCT}[rng.IntN(3)],
		Discount: []float64{1, .9}[rng.IntN(2)],
		MaxNodes: []int{6, 60, 0}[rng.IntN(3)],
	}
	if rng.IntN(2) == 0 {
		s.Widening = &mcts.Widening{K: 1, Alpha: .5}
	}
	if rng.IntN(2) == 0 {
		s.Low, s.High = -3, 40
	}
	tree, err := mcts.NewTree(s, "root", nil)
	if err != nil {
		t.Fatal(err)
	}
	operate(t, tree, rng, rng.IntN(80))
	return tree
}

// operate does operations as a client may, and checks that each works or says what
// is wrong with it.
func operate(t testing.TB, tree *mcts.Tree, rng *rand.Rand, steps int) {
	t.Helper()
	now := noon
	must := func(err error) {
		t.Helper()
		if err != nil && fault.KindOf(err) == fault.Internal {
			t.Fatal(err)
		}
	}
	for step := range steps {
		now = now.Add(time.Duration(rng.IntN(20)) * time.Second)
		op := rng.IntN(6)
		switch {
		case op < 2:
			_, _, err := tree.Ask(1+rng.IntN(4), now, ttl)
			must(err)
		case len(tree.Open) == 0:
			tree.Expire(now)
		case op == 2:
			must(tree.Abandon(tree.Outstanding()[0].ID, now))
		default:
			ticket := tree.Outstanding()[rng.IntN(len(tree.Open))]
			s := tree.Settings
			what := mcts.Tell{Value: new(s.Low + (s.High-s.Low)*rng.Float64()), Terminal: rng.IntN(6) == 0}
			if !what.Terminal {
				for i := range rng.IntN(4) {
					what.Children = append(what.Children, mcts.Child{Content: fmt.Sprint(step, i), Prior: new(float64(rng.IntN(3)))})
				}
			}
			if rng.IntN(4) == 0 {
				what.Value = nil
			}
			first, err := tree.Tell(ticket.ID, what, now)
			must(err)
			if err == nil {
				second, err := tree.Tell(ticket.ID, what, now)
				if err != nil || fmt.Sprint(first.Visits, first.Children, second.RootVisits) != fmt.Sprint(second.Visits, second.Children, first.RootVisits) {
					t.Fatalf("a repeated tell: %+v and %+v, %v", first, second, err)
				}
			}
		}
	}
}

// Whatever the operations write is accepted, after each of them.
func TestValidateAcceptsWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		tree := grown(t, rapid.Uint64().Draw(r, "seed"))
		twin := reload(r, tree)
		if err := twin.Validate(); err != nil {
			b, _ := json.Marshal(tree)
			r.Fatalf("%v in %s", err, b)
		}
		operate(t, twin, rand.New(rand.NewPCG(1, rapid.Uint64().Draw(r, "more"))), 3)
		if err := twin.Validate(); err != nil {
			r.Fatal(err)
		}
	})
}

func TestValidateAcceptsLargeTrees(t *testing.T) {
	tree := newTree(t, mcts.Settings{Policy: mcts.PUCT, Discount: .99, Low: -1e100, High: 1e100}, "a", "b")
	rng := rand.New(rand.NewPCG(3, 3))
	operate(t, tree, rng, 3000)
	if err := tree.Validate(); err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(tree); err != nil {
		t.Fatal(err)
	}
	a, err := tree.Best(mcts.ByLCB, mcts.Normal)
	if err != nil || a.Visits == 0 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestSettingsBeyondReach(t *testing.T) {
	for _, s := range []mcts.Settings{
		{Low: -1e300, High: 1e300},
		{Low: 0, High: 1e-200},
		{VirtualLoss: new(1e300)},
		{Exploration: new(1e300)},
		{Widening: &mcts.Widening{K: 1e300, Alpha: 1}},
	} {
		if _, err := mcts.NewTree(s, "root", nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if _, err := mcts.NewTree(mcts.Settings{}, "root", []mcts.Child{{Content: "a", Prior: new(1e308)}, {Content: "b", Prior: new(1e308)}, {Content: "c"}}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("priors whose mean is infinite: %v", err)
	}
}

// busy is a tree with a bit of everything: 0 root, 1 and 2 its children, 3 a
// terminal one, 4 below 1; an open ticket; receipts.
func busy(t testing.TB) *mcts.Tree {
	t.Helper()
	tree := newTree(t, mcts.Settings{Discount: .9}, "a", "b", "c")
	for _, ticket := range ask(t, tree, 3, noon) {
		what := mcts.Tell{Value: new(.5)}
		switch ticket.Node {
		case 1:
			what.Children = []mcts.Child{{Content: "below a"}}
		case 3:
			what.Terminal = true
		}
		if _, err := tree.Tell(ticket.ID, what, noon); err != nil {
			t.Fatal(err)
		}
	}
	ask(t, tree, 1, noon)
	if err := tree.Validate(); err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestValidateRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		forge func(*mcts.Tree)
		want  string
	}{
		"no nodes":                  {func(x *mcts.Tree) { x.Nodes = nil }, "nodes: 0"},
		"no policy":                 {func(x *mcts.Tree) { x.Settings.Policy = "" }, "settings"},
		"an unknown policy":         {func(x *mcts.Tree) { x.Settings.Policy = "best" }, "settings.policy"},
		"no exploration":            {func(x *mcts.Tree) { x.Settings.Exploration = nil }, "settings"},
		"no discount":               {func(x *mcts.Tree) { x.Settings.Discount = 0 }, "settings"},
		"an empty range":            {func(x *mcts.Tree) { x.Settings.High = 0 }, "settings"},
		"too many nodes":            {func(x *mcts.Tree) { x.Settings.MaxNodes = 2 }, "nodes: 5"},
		"a larger maximum":          {func(x *mcts.Tree) { x.Settings.MaxNodes = 20_000 }, "settings.maxNodes"},
		"a root with a parent":      {func(x *mcts.Tree) { x.Nodes[0].Parent = 0 }, "nodes[0].parent"},
		"a node above itself":       {func(x *mcts.Tree) { x.Nodes[1].Parent = 1 }, "nodes[1].parent"},
		"a circle":                  {func(x *mcts.Tree) { x.Nodes[1].Parent = 4 }, "nodes[1].parent"},
		"a parent out of range":     {func(x *mcts.Tree) { x.Nodes[4].Parent = 99 }, "nodes[4].parent"},
		"another parent":            {func(x *mcts.Tree) { x.Nodes[4].Parent = 2 }, "nodes[1].children[0]"},
		"a child out of range":      {func(x *mcts.Tree) { x.Nodes[1].Children = []int{99} }, "nodes[1].children[0]"},
		"a child before":            {func(x *mcts.Tree) { x.Nodes[1].Children = []int{0} }, "nodes[1].children[0]"},
		"a child twice":             {func(x *mcts.Tree) { x.Nodes[1].Children = []int{4, 4} }, "nodes[1].children[1]"},
		"children in another order": {func(x *mcts.Tree) { c := x.Nodes[0].Children; c[0], c[1] = c[1], c[0] }, "nodes[0].children[1]"},
		"an orphan":                 {func(x *mcts.Tree) { x.Nodes[1].Children = nil }, "nodes: 1 of 5"},
		"siblings of one text":      {func(x *mcts.Tree) { x.Nodes[2].Content = " a " }, "nodes[2].content"},
		"no text":                   {func(x *mcts.Tree) { x.Nodes[2].Content = " " }, "nodes[2].content"},
		"a long text":               {func(x *mcts.Tree) { x.Nodes[2].Content = strings.Repeat("x", mcts.MaxContent+1) }, "nodes[2].content"},
		"a prior below 0":           {func(x *mcts.Tree) { x.Nodes[3].Prior = -1 }, "nodes[3].prior"},
		"1e300 visits":              {func(x *mcts.Tree) { x.Nodes[0].Visits = 1 << 62; x.Nodes[1].Visits = 1 << 62; x.Nodes[1].Own = 1 << 62 }, "nodes[0].visits"},
		"one visit too many":        {func(x *mcts.Tree) { x.Nodes[0].Visits++ }, "nodes[0].visits"},
		"visits of its own":         {func(x *mcts.Tree) { x.Nodes[2].Own = -1 }, "nodes[2].visits"},
		"a mean out of range":       {func(x *mcts.Tree) { x.Nodes[2].Mean = 1.5 }, "].mean"},
		"a mean of other values":    {func(x *mcts.Tree) { x.Nodes[0].Mean = .9 }, "nodes[0].mean"},
		"a mean of nothing":         {func(x *mcts.Tree) { x.Nodes[4].Mean = .5 }, "nodes[4].mean"},
		"squares below 0":           {func(x *mcts.Tree) { x.Nodes[0].M2 = -1 }, "nodes[0].m2"},
		"squares too large":         {func(x *mcts.Tree) { x.Nodes[0].M2 = 100 }, "nodes[0].m2"},
		"tells":                     {func(x *mcts.Tree) { x.Tells++ }, "tells"},
		"revisits":                  {func(x *mcts.Tree) { x.Tells, x.Revisits = 0, x.Tells+x.Revisits }, "tells"},
		"a terminal with a child":   {func(x *mcts.Tree) { x.Nodes[1].Terminal = true }, "nodes[1].terminal"},
		"complete without a child":  {func(x *mcts.Tree) { x.Nodes[2].Complete = true }, "nodes[2].complete"},
		"a ticket of no node":       {func(x *mcts.Tree) { x.Open[0].Node = 99 }, "open[0].node"},
		"a ticket of another node":  {func(x *mcts.Tree) { x.Open[0].Node ^= 3 }, "open[0].node"},
		"a ticket of the future":    {func(x *mcts.Tree) { x.LastTicket = 3 }, "open[0].number"},
		"a ticket twice":            {func(x *mcts.Tree) { x.Open = append(x.Open, x.Open[0]) }, "open[1].number"},
		"no ticket":                 {func(x *mcts.Tree) { x.Open = nil }, "pending"},
		"a kind":                    {func(x *mcts.Tree) { x.Open[0].Kind = "judge" }, "open[0].kind"},
		"the other kind": {func(x *mcts.Tree) {
			x.Open[0].Kind = map[mcts.Kind]mcts.Kind{mcts.Expand: mcts.Evaluate, mcts.Evaluate: mcts.Expand}[x.Open[0].Kind]
		}, "open[0].kind"},
		"no expiry":            {func(x *mcts.Tree) { x.Open[0].Expires = time.Time{} }, "open[0].expires"},
		"pending":              {func(x *mcts.Tree) { x.Nodes[0].Pending = 200 }, "nodes[0].pending"},
		"tickets without end":  {func(x *mcts.Tree) { x.LastTicket = 1 << 62 }, "open: 1 tickets"},
		"a receipt twice":      {func(x *mcts.Tree) { x.Receipts[1] = x.Receipts[0] }, "receipts[1]"},
		"a receipt's digest":   {func(x *mcts.Tree) { x.Receipts[0].Digest = "x" }, "receipts[0].digest"},
		"a receipt's ticket":   {func(x *mcts.Tree) { x.Receipts[0].Told.Ticket = "t9" }, "receipts[0].told.ticket"},
		"a receipt's node":     {func(x *mcts.Tree) { x.Receipts[0].Told.Node = -1 }, "receipts[0].told.node"},
		"a receipt's children": {func(x *mcts.Tree) { x.Receipts[0].Told.Children = []int{0} }, "receipts[0].told.children"},
		"a receipt's visits":   {func(x *mcts.Tree) { x.Receipts[0].Told.Visits = 50 }, "receipts[0].told.visits"},
		"a receipt's value":    {func(x *mcts.Tree) { x.Receipts[0].Told.Value = nil }, "receipts[0].told.value"},
		"a receipt's root":     {func(x *mcts.Tree) { x.Receipts[0].Told.RootVisits = 50 }, "receipts[0].told.rootVisits"},
		"a receipt of an open ticket": {func(x *mcts.Tree) {
			x.LastTicket++
			x.Receipts[2].Number, x.Receipts[2].Told.Ticket = 4, "t4"
		}, "receipts[2].number"},
	} {
		tree := busy(t)
		tt.forge(tree)
		if err := tree.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

// attack gives a forged tree to Validate and, if it is accepted, to the operations.
// It reports whether it was.
func attack(t testing.TB, data []byte, seed uint64) bool {
	t.Helper()
	var tree mcts.Tree
	if json.Unmarshal(data, &tree) != nil || tree.Validate() != nil {
		return false
	}
	if s := broken(&tree); s != "" {
		t.Fatalf("accepted: %s in %s", s, data)
	}
	began := time.Now()
	operate(t, &tree, rand.New(rand.NewPCG(seed, 2)), 30)
	for _, c := range []mcts.Criterion{mcts.ByVisits, mcts.ByValue, mcts.ByLCB} {
		for _, m := range []mcts.IntervalMethod{mcts.Hoeffding, mcts.Normal} {
			a, err := tree.Best(c, m)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := json.Marshal(a); err != nil {
				t.Fatalf("%v of %s", err, data)
			}
		}
	}
	if _, _, err := tree.Graph().Draw(graph.SVG, 0); err != nil {
		t.Fatal(err)
	}
	if s := broken(&tree); s != "" {
		t.Fatalf("after operations: %s in %s", s, data)
	}
	if err := tree.Validate(); err != nil {
		t.Fatalf("after operations: %v in %s", err, data)
	}
	if d := time.Since(began); d > 20*time.Second {
		t.Fatalf("operations took %v on %.200s", d, data)
	}
	return true
}

func TestForgedTrees(t *testing.T) {
	const forged = 2000
	accepted := 0
	for seed := range uint64(forged) {
		rng := rand.New(rand.NewPCG(seed, 9))
		data, err := json.Marshal(grown(t, seed%200))
		if err != nil {
			t.Fatal(err)
		}
		if attack(t, forgetest.Mutate(rng, data, 3), seed) {
			accepted++
		}
	}
	t.Logf("%d of %d forged trees accepted, and then in order", accepted, forged)
	if accepted == 0 || accepted > forged/2 {
		t.Errorf("%d of %d forged trees accepted: the test does not reach far", accepted, forged)
	}
}

func FuzzTree(f *testing.F) {
	for seed := range uint64(12) {
		data, err := json.Marshal(grown(f, seed))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, seed)
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		if len(data) > 1<<20 {
			return
		}
		attack(t, data, seed)
		attack(t, forgetest.Mutate(rand.New(rand.NewPCG(seed, 7)), data, 2), seed)
	})
}
