package search_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/tools/search"
)

// A tree of three by three: of the values .2, .5 and .8 those above .4 are
// followed, the best first. The root and each of the four thoughts that are kept
// above the leaves are continued once: 0; .8 with its two; .5 with its two.
func TestToTDepthFirstVisitsWhatIsLeft(t *testing.T) {
	d := newDesk(t)
	out, _ := must[search.ToTOutput](d, "tree_of_thought", `{"root":"r","strategy":"depth-first","depth":3,"threshold":0.4,"solutions":9}`)
	id := out.TreeID
	for range 100 {
		out, _ = must[search.ToTOutput](d, "tree_of_thought", `{"action":"ask","treeId":%q}`, id)
		if len(out.Tickets) == 0 {
			break
		}
		path := strings.Join(out.Tickets[0].Paths[0], "")
		must[search.ToTOutput](d, "tree_of_thought", `{"treeId":%q,"ticket":%q,"children":[{"content":"%sa","value":0.2},{"content":"%sb","value":0.5},{"content":"%sc","value":0.8}]}`,
			id, out.Tickets[0].ID, path, path, path)
	}
	out, _ = must[search.ToTOutput](d, "tree_of_thought", `{"treeId":%q,"most":100}`, id)
	s := out.State
	if s.Done != "exhausted" || len(s.Visited) != 7 || s.Nodes != 22 || len(s.Pruned) != 7 || s.Backtracks != 4 {
		t.Errorf("%q: visited %v of %d, pruned %d, backtracks %d", s.Done, s.Visited, s.Nodes, len(s.Pruned), s.Backtracks)
	}
	if s.Best == nil || *s.Best.Value != .8 || len(s.Best.Path) != 4 {
		t.Errorf("best %+v", s.Best)
	}
}

func TestToTVotes(t *testing.T) {
	d := newDesk(t)
	out, _ := must[search.ToTOutput](d, "tree_of_thought", `{"root":"r","judge":"vote","breadth":1,"depth":2,"branches":["one","two","three"]}`)
	id := out.TreeID
	out, _ = must[search.ToTOutput](d, "tree_of_thought", `{"action":"ask","treeId":%q}`, id)
	if k := out.Tickets[0]; k.Kind != "vote" || k.Wanted != 5 || len(k.Nodes) != 3 {
		t.Fatalf("%+v", k)
	}
	must[search.ToTOutput](d, "tree_of_thought", `{"action":"vote","treeId":%q,"ticket":%q,"votes":[1,2,1]}`, id, out.Tickets[0].ID)
	out, _ = must[search.ToTOutput](d, "tree_of_thought", `{"action":"ask","treeId":%q}`, id)
	if out.Tickets[0].Wanted != 2 {
		t.Fatalf("%+v", out.Tickets)
	}
	must[search.ToTOutput](d, "tree_of_thought", `{"action":"vote","treeId":%q,"ticket":%q,"votes":[1,3]}`, id, out.Tickets[0].ID)
	out, _ = must[search.ToTOutput](d, "tree_of_thought", `{"treeId":%q}`, id)
	if b := out.State.Best; b.Node != 1 || *b.Value != .6 || len(out.State.Frontier) != 1 {
		t.Errorf("3, 1 and 1 votes: %+v, frontier %+v", b, out.State.Frontier)
	}
}

func TestToTSolves(t *testing.T) {
	d := newDesk(t)
	for _, strategy := range []string{"depth-first", "best-first"} {
		out, e := must[search.ToTOutput](d, "tree_of_thought", `{"domain":"game24","numbers":[4,9,10,13],"strategy":%q}`, strategy)
		if len(out.Search.Solutions) != 1 || out.Formula == "" || e.Budget == nil {
			t.Errorf("%s: %+v, %q", strategy, out.Search, out.Formula)
		}
		out, _ = must[search.ToTOutput](d, "tree_of_thought", `{"domain":"game24","numbers":[1,1,1,1],"strategy":%q}`, strategy)
		if len(out.Search.Solutions) != 0 || !out.Search.Exhaustive || out.Search.Done != "exhausted" {
			t.Errorf("%s: four ones: %+v", strategy, out.Search)
		}
	}
	const walk = `{"strategy":"a-star","heuristic":"abs(3 - x) + abs(2 - y)","problem":{"variables":[{"name":"x","type":"int","min":0,"max":3},{"name":"y","type":"int","min":0,"max":2}],
		"actions":[{"name":"east","guard":"x < 3 && !(x == 1 && y == 0)","effects":{"x":"x + 1"},"reward":"-1"},{"name":"north","guard":"y < 2","effects":{"y":"y + 1"},"reward":"-1"}],
		"terminal":"x == 3 && y == 2"}}`
	out, e := must[search.ToTOutput](d, "tree_of_thought", walk)
	if r := out.Search; !r.Optimal || r.Best.Value != 5 || len(out.SelectedPath) != 5 || !strings.Contains(e.Method, "A*") {
		t.Errorf("a walk: %+v", r)
	}
	out, _ = must[search.ToTOutput](d, "tree_of_thought", `{"domain":"n-queens","queens":6,"strategy":"depth-first","targetValue":1}`)
	if len(out.Search.Solutions) != 1 {
		t.Errorf("six queens: %+v", out.Search)
	}
	out, e = must[search.ToTOutput](d, "tree_of_thought", `{"domain":"knapsack","values":[60,100,120,40],"weights":[10,20,30,5],"capacity":50,"breadth":1}`)
	if out.Search.Optimal || len(e.Next) != 1 || fmt.Sprint(e.Next[0].Parameters["breadth"]) != "4" || e.Next[0].Parameters["capacity"] != 50.0 {
		t.Errorf("one run a level: %+v, next %+v", out.Search, e.Next)
	}
}

func TestToTBadArguments(t *testing.T) {
	d := newDesk(t)
	out, _ := must[search.ToTOutput](d, "tree_of_thought", `{"root":"r","samples":2}`)
	id := out.TreeID
	out, _ = must[search.ToTOutput](d, "tree_of_thought", `{"action":"ask","treeId":%q}`, id)
	ticket := out.Tickets[0].ID
	must[search.ToTOutput](d, "tree_of_thought", `{"treeId":%q,"ticket":%q,"children":[{"content":"a"}]}`, id, ticket)
	out, _ = must[search.ToTOutput](d, "tree_of_thought", `{"action":"ask","treeId":%q}`, id)
	evaluate := out.Tickets[0].ID
	for _, x := range []struct{ path, want, parameters string }{
		{"parameters.action", `{"root": "How should we …?"}`, `{}`},
		{"parameters.action", "one of start, ask", `{"action":"think"}`},
		{"parameters.treeId", "as action start returned it", `{"action":"ask"}`},
		{"parameters.treeId", "action list shows them", `{"action":"show","treeId":"thoughts_x"}`},
		{"parameters.root", "a text", `{"action":"start"}`},
		{"parameters.depth", "1 to 100", `{"root":"r","depth":101}`},
		{"parameters.breadth", "1 to 256", `{"root":"r","breadth":257}`},
		{"parameters.votesWanted", "from 1 to 1024", `{"root":"r","votesWanted":0}`},
		{"parameters.judge", "compares thoughts of different ballots", `{"root":"r","judge":"vote","strategy":"best-first"}`},
		{"parameters.threshold", "a-star", `{"root":"r","threshold":1,"strategy":"a-star"}`},
		{"parameters.branches[0]", "a text, or an object", `{"root":"r","branches":[{"text":"x"}]}`},
		{"parameters.branches[1].cost", "at least 0", `{"root":"r","strategy":"a-star","branches":[{"content":"a","cost":1},"b"]}`},
		{"parameters.evaluations", "one value for each", `{"root":"r","evaluations":[1]}`},
		{"parameters.ticket", "that action ask returned", fmt.Sprintf(`{"action":"tell","treeId":%q}`, id)},
		{"parameters.children", "nothing, to evaluate", fmt.Sprintf(`{"treeId":%q,"ticket":%q,"children":[{"content":"b"}]}`, id, evaluate)},
		{"parameters.votes", "nothing, to evaluate", fmt.Sprintf(`{"treeId":%q,"ticket":%q,"votes":[1]}`, id, evaluate)},
		{"parameters.evaluations", "1 to 2", fmt.Sprintf(`{"treeId":%q,"ticket":%q,"evaluations":[1,2,3]}`, id, evaluate)},
		{"parameters.evaluations[1]", "a number", fmt.Sprintf(`{"treeId":%q,"ticket":%q,"evaluations":[1,null]}`, id, evaluate)},
		{"parameters.value", "either value or evaluations", fmt.Sprintf(`{"treeId":%q,"ticket":%q,"value":1,"evaluations":[1]}`, id, evaluate)},
		{"parameters.domain", "either problem or domain", `{"domain":"game24","problem":` + packing + `}`},
		{"parameters.numbers", "101", `{"domain":"game24","numbers":[1,101]}`},
		{"parameters.solutions", "1 to 64", `{"domain":"game24","numbers":[1,2],"solutions":65}`},
		{"parameters.problem.reward", "at most 0", `{"strategy":"a-star","problem":` + packing + `}`},
		{"parameters.heuristic", "at least 0", `{"strategy":"a-star","heuristic":"0 - 1","problem":` + strings.Replace(packing, "4 + 2 * at", "-1", 1) + `}`},
	} {
		d.refused(x.path, x.want, "tree_of_thought", "%s", x.parameters)
	}
}
