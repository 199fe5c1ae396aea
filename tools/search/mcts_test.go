package search_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/search"
)

func TestMCTSExamplesWork(t *testing.T) {
	c := newMCTSClient(t)
	for _, x := range search.MCTS.Spec().Examples {
		_, e, err := c.send(x.Arguments)
		if err != nil || len(e.Warnings) != 0 || e.Basis == "" || e.Method == "" || e.Source == "" {
			t.Errorf("%s: %v, warnings %v, basis %q, method %q, source %q", x.Title, err, e.Warnings, e.Basis, e.Method, e.Source)
		}
	}
	if n := len(search.MCTS.Spec().Summary); n > 200 {
		t.Errorf("the summary has %d characters", n)
	}
}

func TestMCTSAskAndTell(t *testing.T) {
	c := newMCTSClient(t)
	out, e := c.must(`{"root":"how to store sessions?"}`)
	tree := out.TreeID
	if out.Action != "start" || !strings.HasPrefix(tree, "tree_") || e.Basis != tools.ClientSupplied || out.Settings.High != 1 {
		t.Fatalf("start: %+v, basis %q", out, e.Basis)
	}
	if len(e.Next) != 1 || e.Next[0].Parameters["action"] != "ask" || e.Next[0].Parameters["treeId"] != tree {
		t.Errorf("start proposes %+v", e.Next)
	}

	out, e = c.must(`{"action":"ask","treeId":%q}`, tree)
	if len(out.Tickets) != 1 || out.Tickets[0].Kind != "expand" || len(e.Next) != 1 {
		t.Fatalf("ask: %+v, next %+v", out, e.Next)
	}
	p := e.Next[0].Parameters
	if p["action"] != "tell" || p["treeId"] != tree || p["ticket"] != out.Tickets[0].ID || !strings.Contains(e.Next[0].Why, `"how to store sessions?"`) {
		t.Errorf("ask proposes %+v", e.Next[0])
	}
	// Children as texts, as objects, and the whole list as a string.
	out, _ = c.must(`{"action":"tell","treeId":%q,"ticket":%q,"children":"[\"memory\",{\"content\":\"file\",\"prior\":\"2\"}]"}`, tree, out.Tickets[0].ID)
	if len(out.Told.Children) != 2 || out.Told.Visits != 0 {
		t.Fatalf("told %+v", out.Told)
	}
	for range 30 {
		out, _ = c.must(`{"action":"ask","treeId":%q,"n":"2"}`, tree)
		for _, ticket := range out.Tickets {
			value := map[string]float64{"memory": .2, "file": .8}[ticket.Path[1]]
			c.must(`{"action":"tell","treeId":%q,"ticket":%q,"value":"%v"}`, tree, ticket.ID, value)
		}
	}
	out, e = c.must(`{"action":"best","treeId":%q}`, tree)
	a := out.Answer
	if out.BestAction != "file" || a.Path[0].Content != "file" || a.Tells != 60 || a.Visits != 60 || e.Basis != tools.Computed || e.Method != "UCT" {
		t.Errorf("best: %+v, basis %q, method %q", a, e.Basis, e.Method)
	}
	if iv := a.Path[0].Interval; iv == nil || iv.Method != "hoeffding" || *a.Path[0].Value != .8 {
		t.Errorf("best is %+v in %+v", a.Path[0], iv)
	}
	out, _ = c.must(`{"action":"list"}`)
	if len(out.Trees) != 1 || out.Trees[0].TreeID != tree || out.Trees[0].Visits != 60 || out.Trees[0].Open != 0 {
		t.Errorf("list: %+v", out.Trees)
	}
	out, _ = c.must(`{"action":"delete","treeId":%q}`, tree)
	if !out.Deleted {
		t.Errorf("delete: %+v", out)
	}
	if out, _ = c.must(`{"action":"list"}`); out.Trees == nil || len(out.Trees) != 0 {
		t.Errorf("list after delete: %+v", out.Trees)
	}
	c.refused("parameters.treeId", "action list shows them", `{"action":"best","treeId":%q}`, tree)
}

func TestMCTSTellIsIdempotent(t *testing.T) {
	c := newMCTSClient(t)
	out, _ := c.must(`{"root":"r","candidates":["a","b"]}`)
	tree := out.TreeID
	out, _ = c.must(`{"action":"ask","treeId":%q}`, tree)
	tell := fmt.Sprintf(`{"action":"tell","treeId":%q,"ticket":%q,"value":0.5}`, tree, out.Tickets[0].ID)
	_, first := c.must("%s", tell)
	if _, again := c.must("%s", tell); string(again.Result) != string(first.Result) {
		t.Errorf("told again\n%s\nat first\n%s", again.Result, first.Result)
	}
	_, _, err := c.send(mctsArguments(strings.Replace(tell, "0.5", "0.6", 1)))
	if fault.KindOf(err) != fault.Conflict {
		t.Errorf("another value: %v, want a conflict", err)
	}
	_, _, err = c.send(mctsArguments(fmt.Sprintf(`{"action":"abandon","treeId":%q,"ticket":%q}`, tree, out.Tickets[0].ID)))
	if fault.KindOf(err) != fault.NotFound {
		t.Errorf("abandon a told ticket: %v", err)
	}
	if out, _ := c.must(`{"action":"best","treeId":%q}`, tree); out.Answer.Visits != 1 {
		t.Errorf("%d visits, want 1", out.Answer.Visits)
	}
	out, _ = c.must(`{"action":"ask","treeId":%q}`, tree)
	c.must(`{"action":"abandon","treeId":%q,"ticket":%q}`, tree, out.Tickets[0].ID)
	if out, _ := c.must(`{"action":"best","treeId":%q}`, tree); out.Answer.Open != 0 || out.Answer.Visits != 1 {
		t.Errorf("after abandoning: %+v", out.Answer)
	}
}

func TestMCTSTreesStayInTheirSession(t *testing.T) {
	c := newMCTSClient(t)
	out, _ := c.must(`{"root":"secret"}`)
	c.owner.Subject = "mallory"
	c.open()
	for _, action := range []string{"ask", "best", "export", "delete"} {
		c.refused("parameters.treeId", "the id of a tree in this session", `{"action":%q,"treeId":%q}`, action, out.TreeID)
	}
	for _, action := range []string{"tell", "abandon"} {
		c.refused("parameters.treeId", "the id of a tree in this session", `{"action":%q,"treeId":%q,"ticket":"t1","value":1}`, action, out.TreeID)
	}
	if out, _ := c.must(`{"action":"list"}`); len(out.Trees) != 0 {
		t.Errorf("another owner sees %+v", out.Trees)
	}
}

func TestMCTSRunsDomains(t *testing.T) {
	c := newMCTSClient(t)
	for _, x := range []struct {
		parameters, best string
		value            float64
	}{
		{`{"domain":"nim","heaps":[3,4,5],"simulations":3000,"seed":1}`, "take 2 from heap 1", 1},
		{`{"domain":"nim","simulations":"3000","seed":2}`, "take 2 from heap 1", 1},
		{`{"domain":"tic-tac-toe","board":"XX.OO....","simulations":500,"seed":3}`, "row 1 column 3", 1},
		{`{"domain":"tictactoe","board":"XX. OO. ...","simulations":500,"seed":3,"policy":"puct","explorationConstant":1.25}`, "row 1 column 3", 1},
	} {
		out, e := c.must("%s", x.parameters)
		if out.Action != "run" || out.BestAction != x.best || !out.Search.Solved || *out.Search.Value != x.value || e.Seed == nil || e.Budget == nil || e.Budget.Used.Steps == 0 {
			t.Errorf("%s: %+v, envelope %+v", x.parameters, out.Search, e)
		}
		if len(e.Next) != 0 {
			t.Errorf("%s: a proven answer proposes %+v", x.parameters, e.Next)
		}
	}
	out, e := c.must(`{"domain":"bandit","arms":[0.1,0.9,0.5],"simulations":2000,"policy":"ucb1-tuned","criterion":"lcb"}`)
	if out.BestAction != "arm 2" || out.Search.Solved || e.Method != "UCB1-tuned, root-parallel trees" {
		t.Errorf("bandit: %+v, %q", out, e.Method)
	}
	if len(e.Next) != 1 || e.Next[0].Parameters["simulations"] != 20_000 || e.Next[0].Parameters["criterion"] != "lcb" {
		t.Fatalf("bandit proposes %+v", e.Next)
	}
	again, err := json.Marshal(e.Next[0].Parameters)
	if err != nil {
		t.Fatal(err)
	}
	if out, e := c.must("%s", again); out.BestAction != "arm 2" || out.Search.Simulations != 20_000 || len(e.Warnings) != 0 {
		t.Errorf("the proposed run: %+v, warnings %v", out.Search, e.Warnings)
	}
}

const chainProblem = `{"variables":[{"name":"at","type":"int","initial":0}],
	"actions":[{"name":"on","effects":{"at":"at + 1"}},{"name":"back","guard":"at > 0","effects":{"at":"at - 1"}}],
	"reward":"at == 3 ? 1 : 0","terminal":"at == 3","horizon":6,"discount":0.9}`

func TestMCTSRunsEveryDomain(t *testing.T) {
	c := newMCTSClient(t)
	for _, x := range []struct {
		parameters string
		value      float64
		run        int // actions of the best run, -1 if there is none
	}{
		{`{"domain":"connect-four","moves":"445566","simulations":500,"rollout":"heuristic","policy":"puct"}`, 1, -1},
		{`{"domain":"connect-four","columns":5,"rows":"4","moves":"112233","rave":"200","simulations":500}`, 1, -1},
		{`{"domain":"game24","numbers":[4,9,10,13],"simulations":30000}`, 1, 3},
		{`{"domain":"game24","numbers":[1,1,1,1],"simulations":30000}`, 0, 3},
		{`{"domain":"game24","numbers":[1,2,3],"target":7,"simulations":3000}`, 1, 2},
		{`{"domain":"gridworld","map":"S..\n.#.\n..G","stepReward":-0.1,"maxMoves":6,"discount":0.5,"simulations":20000}`, 0.0625 - .1*(.5+.25+.125), 4},
		{`{"domain":"sliding-tiles","tiles":[1,2,3,4,0,6,7,5,8],"maxMoves":8,"simulations":20000,"widening":{"k":1,"alpha":0.5}}`, -2, 2},
		{`{"domain":"sliding-tiles","columns":2,"tiles":[1,2,0,3],"simulations":2000,"maxMoves":6}`, -1, 1},
		{`{"domain":"tsp","points":[[0,0],[0,3],[4,3],[4,0]],"simulations":2000}`, -14, 3},
		{`{"domain":"tsp","distances":"[[0,1,9],[9,0,1],[1,9,0]]","simulations":100}`, -3, 2},
		{`{"domain":"knapsack","values":[60,100,120],"weights":[10,20,30],"capacity":50,"simulations":500}`, 220, 3},
		{`{"domain":"job-shop","jobs":[[[0,3],[1,2]],[[1,2],[0,4]]],"simulations":500}`, -7, 4},
		{`{"domain":"n-queens","queens":6,"simulations":5000}`, 1, 6},
	} {
		out, e := c.must("%s", strings.Replace(x.parameters, "{", `{"seed":1,`, 1))
		r := out.Search
		if !r.Solved || *r.Value < x.value-1e-9 || *r.Value > x.value+1e-9 || len(e.Warnings) != 0 {
			t.Errorf("%s: %v, solved %v, warnings %v; want %v", x.parameters, *r.Value, r.Solved, e.Warnings, x.value)
		}
		if run := r.Run; run == nil && x.run >= 0 || run != nil && (len(run.Actions) != x.run || run.Value != *r.Value) {
			t.Errorf("%s: best run %+v, want %d actions", x.parameters, run, x.run)
		}
		if r.Entropy == nil {
			t.Errorf("%s: no entropy", x.parameters)
		}
	}
	out, e := c.must(`{"domain":"job-shop","instance":"ft06","simulations":300,"rollout":"heuristic","explorationConstant":0.1,"criterion":"max","rave":100,"widening":{"k":2}}`)
	if run := out.Search.Run; out.Search.Solved || run.Value > -55 || run.Value < -90 || len(run.Actions) != 36 || !strings.HasPrefix(e.Method, "UCT with RAVE") {
		t.Errorf("ft06: %+v, %q", out.Search, e.Method)
	}
	p := e.Next[0].Parameters
	if p["instance"] != "ft06" || p["rollout"] != "heuristic" || p["rave"] != 100.0 || p["widening"] == nil || p["pulls"] != nil {
		t.Errorf("ft06 proposes %+v", p)
	}
}

func TestMCTSRunsProblems(t *testing.T) {
	c := newMCTSClient(t)
	out, e := c.must(`{"problem":%s,"simulations":2000,"seed":5}`, chainProblem)
	if out.BestAction != "on" || !out.Search.Solved || *out.Search.Value < .729-1e-12 || *out.Search.Value > .729+1e-12 || *e.Seed != 5 {
		t.Errorf("chain: %+v, seed %v", out.Search, e.Seed)
	}
	if v := out.Search.Variation; len(v) != 3 || v[2].Action != "on" {
		t.Errorf("the line is %+v", v)
	}
	_, one := c.must(`{"domain":"bandit","arms":[0.4,0.6],"pulls":3,"simulations":700,"seed":9}`)
	_, two := c.must(`{"domain":"bandit","arms":[0.4,0.6],"pulls":3,"simulations":700,"seed":9}`)
	_, three := c.must(`{"domain":"bandit","arms":[0.4,0.6],"pulls":3,"simulations":700,"seed":10}`)
	if string(one.Result) != string(two.Result) || string(one.Result) == string(three.Result) {
		t.Errorf("the same seed gives\n%s\nand\n%s, another\n%s", one.Result, two.Result, three.Result)
	}
}

func TestMCTSBudgetAndProgress(t *testing.T) {
	c := newMCTSClient(t)
	var last, reports float64
	c.onDone = func(done, total float64, message string) {
		if done <= last || total != 50_000 || !strings.Contains(message, "best so far") {
			t.Errorf("progress %v of %v: %q after %v", done, total, message, last)
		}
		last = done
		reports++
	}
	c.must(`{"domain":"bandit","arms":[0.4,0.6],"simulations":50000,"seed":1}`)
	if reports < 5 || last != 50_000 {
		t.Errorf("%v reports, the last of %v", reports, last)
	}
	c.onDone = nil
	out, e := c.must(`{"domain":"tic-tac-toe","simulations":100000,"maxSteps":2000,"seed":1}`)
	if e.Budget.Hit != "maxSteps" || e.Budget.Used.Steps > 2000 || out.BestAction == "" || out.Search.Simulations >= 100_000 {
		t.Errorf("budget %+v after %d simulations", e.Budget, out.Search.Simulations)
	}
	out, e = c.must(`{"domain":"bandit","arms":[0.4,0.6],"pulls":5,"simulations":3000,"maxNodes":100,"seed":1}`)
	if e.Budget.Hit != "maxNodes" || out.Search.Nodes > 100 || out.Search.Simulations != 3000 {
		t.Errorf("budget %+v, %d nodes", e.Budget, out.Search.Nodes)
	}
	out, e = c.must(`{"domain":"tic-tac-toe","simulations":100,"maxSteps":1,"seed":1}`)
	if out.BestAction != "" || !warned(e, "not_assessable") {
		t.Errorf("without a simulation: %+v, warnings %v", out, e.Warnings)
	}
	out, _ = c.must(`{"root":"r","maxNodes":3,"candidates":["a","b"]}`)
	if out.Settings.MaxNodes != 3 {
		t.Errorf("settings %+v", out.Settings)
	}
	tree := out.TreeID
	out, _ = c.must(`{"action":"ask","treeId":%q}`, tree)
	if out, e = c.must(`{"action":"tell","treeId":%q,"ticket":%q,"value":1,"children":["c"]}`, tree, out.Tickets[0].ID); out.Told.Dropped != 1 || !warned(e, "tree_full") {
		t.Errorf("a full tree takes %+v, warnings %v", out.Told, e.Warnings)
	}
}

func TestMCTSOldParameters(t *testing.T) {
	c := newMCTSClient(t)
	out, e := c.must(`{"domain":"nim","simulations":2000,"explorationConstant":1.4,"tree":{"root":{"visits":0,"value":0,"children":[]}},"bestAction":"x","ucbVariant":"ucb1"}`)
	if out.BestAction == "" || len(e.Warnings) != 2 || !warned(e, "obsolete_parameter") {
		t.Errorf("old parameters: %+v, warnings %+v", out, e.Warnings)
	}
	out, _ = c.must(`{"root":"r","ucbVariant":"puct"}`)
	if out.Settings.Policy != "puct" {
		t.Errorf("ucbVariant puct gives %q", out.Settings.Policy)
	}
	if out, e := c.must(`{"action":"ask","tree":%q}`, out.TreeID); len(out.Tickets) != 1 || len(e.Warnings) != 0 || e.Method != "PUCT" {
		t.Errorf("tree as an id: %+v, warnings %v, method %q", out, e.Warnings, e.Method)
	}
	if _, e = c.must(`{"root":"r","ucbVariant":"custom"}`); !warned(e, "obsolete_parameter") {
		t.Errorf("ucbVariant custom: warnings %v", e.Warnings)
	}
	if _, e = c.must(`{"root":"r","policy":"ucb1-tuned","explorationConstant":2}`); !warned(e, "not_applicable") {
		t.Errorf("c under UCB1-tuned: warnings %v", e.Warnings)
	}
	if _, e = c.must(`{"root":"r","simulatoins":5}`); !warned(e, "unknown_parameter") {
		t.Errorf("a misspelt key: warnings %v", e.Warnings)
	}
}

func TestMCTSStartTakesThePrompt(t *testing.T) {
	c := newMCTSClient(t)
	out, _, err := c.send(`{"operation":"mcts","prompt":"What next?","parameters":{"action":"start","valueRange":[-1,1],"discount":0.9,"widening":{"k":2}}}`)
	if err != nil {
		t.Fatal(err)
	}
	if s := out.Settings; s.Low != -1 || s.High != 1 || s.Discount != .9 || s.Widening.K != 2 || s.Widening.Alpha != .5 {
		t.Errorf("settings %+v", s)
	}
	if out, _ = c.must(`{"action":"list"}`); out.Trees[0].Root != "What next?" {
		t.Errorf("the root is %q", out.Trees[0].Root)
	}
}

func TestMCTSBadArguments(t *testing.T) {
	c := newMCTSClient(t)
	out, _ := c.must(`{"root":"r","candidates":["a"]}`)
	tree := out.TreeID
	out, _ = c.must(`{"action":"ask","treeId":%q}`, tree)
	ticket := out.Tickets[0].ID

	c.refused("parameters.action", `{"domain": "nim", "heaps": [3, 4, 5]}`, `{}`)
	c.refused("parameters.action", `{"root": "How should we …?"}`, `{"simulations":10}`)
	c.refused("parameters.action", "one of start, ask", `{"action":"think"}`)
	c.refused("parameters.treeId", "as action start returned it", `{"action":"ask"}`)
	c.refused("parameters.root", "expected text", `{"action":"start"}`)
	c.refused("parameters.candidates[1]", "a text, or an object", `{"root":"r","candidates":["a",7]}`)
	c.refused("parameters.candidates[0].prior", "at least 0", `{"root":"r","candidates":[{"content":"a","prior":-1}]}`)
	c.refused("parameters.discount", "above 0", `{"root":"r","discount":0}`)
	c.refused("parameters.valueRange", "low below high", `{"root":"r","valueRange":[1,0]}`)
	c.refused("parameters.valueRange", "low below high", `{"root":"r","valueRange":[0,0]}`)
	c.refused("parameters.widening.k", "above 0", `{"root":"r","widening":{"k":0}}`)
	c.refused("parameters.n", "from 1 to 64", `{"action":"ask","treeId":%q,"n":65}`, tree)
	c.refused("parameters.ticket", "that action ask returned", `{"action":"tell","treeId":%q,"value":1}`, tree)
	c.refused("parameters.ticket", "that action ask returned", `{"action":"abandon","treeId":%q}`, tree)
	c.refused("parameters.value", "a number from 0 to 1, got 2", `{"action":"tell","treeId":%q,"ticket":%q,"value":2}`, tree, ticket)
	c.refused("parameters.value", "a number from 0 to 1, got nothing", `{"action":"tell","treeId":%q,"ticket":%q}`, tree, ticket)
	c.refused("parameters.children[0]", "a text, or an object", `{"action":"tell","treeId":%q,"ticket":%q,"value":1,"children":[{"text":"x"}]}`, tree, ticket)
	c.refused("parameters.children[0].content", "text", `{"action":"tell","treeId":%q,"ticket":%q,"value":1,"children":[" "]}`, tree, ticket)
	c.refused("parameters.terminal", "false for a node with children", `{"action":"tell","treeId":%q,"ticket":%q,"value":1,"terminal":true,"children":["x"]}`, tree, ticket)

	c.refused("parameters.problem", "game24, tic-tac-toe, nim", `{"action":"run"}`)
	c.refused("parameters.domain", "not both", `{"domain":"nim","problem":%s}`, chainProblem)
	c.refused("parameters.board", "3 cells", `{"domain":"tic-tac-toe","board":"X.."}`)
	c.refused("parameters.heaps", "over in the initial state", `{"domain":"nim","heaps":[0]}`)
	c.refused("parameters.heaps", "heap 1 has 40", `{"domain":"nim","heaps":[40]}`)
	c.refused("parameters.arms", "0 arms", `{"domain":"bandit"}`)
	c.refused("parameters.problem.actions[1].guard", "1:1: this is a number", `{"problem":%s}`, strings.Replace(chainProblem, "at > 0", "at", 1))
	c.refused("parameters.problem.reward", "1:3: division by zero", `{"problem":%s,"simulations":500}`, strings.Replace(chainProblem, "at == 3 ? 1 : 0", "1 / (3 - at)", 1))
	c.refused("parameters.problem.variables", "an array", `{"problem":{"actions":[{"name":"a"}]}}`)
	c.refused("parameters.domain", "one of tic-tac-toe", `{"domain":"chess"}`)
	c.refused("parameters.moves", "no legal move", `{"domain":"connect-four","moves":"9"}`)
	c.refused("parameters.rows", "at most 53", `{"domain":"connect-four","columns":9,"rows":6}`)
	c.refused("parameters.moves", "over in the initial state", `{"domain":"connect-four","moves":"1212121"}`)
	c.refused("parameters.map", "one S", `{"domain":"gridworld","map":"..G"}`)
	c.refused("parameters.discount", "above 0", `{"domain":"gridworld","map":"SG","discount":0}`)
	c.refused("parameters.tiles", "other parity", `{"domain":"sliding-tiles","columns":2,"tiles":[2,1,3,0]}`)
	c.refused("parameters.points[1]", "[x, y]", `{"domain":"tsp","points":[[0,0],[1]]}`)
	c.refused("parameters.weights", "one for each value", `{"domain":"knapsack","values":[1]}`)
	c.refused("parameters.jobs[0][1]", "[machine, duration]", `{"domain":"job-shop","jobs":[[[0,1],[0.5,1]]]}`)
	c.refused("parameters.instance", "one of ft06", `{"domain":"job-shop","instance":"la01"}`)
	c.refused("parameters.queens", "from 0 to 26", `{"domain":"n-queens","queens":27}`)
	c.refused("parameters.numbers", "0 numbers", `{"domain":"game24"}`)
	c.refused("parameters.rollout", "no heuristic", `{"domain":"nim","rollout":"heuristic"}`)
	c.refused("parameters.problem.actions[0].prior", "the prior is -1", `{"policy":"puct","problem":%s}`, strings.Replace(chainProblem, `"on",`, `"on","prior":"at - 1",`, 1))
	c.refused("parameters.trees", "from 0 to 256", `{"domain":"nim","trees":257}`)

	_, _, err := c.send(mctsArguments(fmt.Sprintf(`{"action":"tell","treeId":%q,"ticket":"t77","value":1}`, tree)))
	if fault.KindOf(err) != fault.NotFound {
		t.Errorf("an unknown ticket: %v", err)
	}
}

func TestMCTSExports(t *testing.T) {
	c := newMCTSClient(t)
	out, _ := c.must(`{"root":"r","candidates":["</script>\"]; n0 --> n0"]}`)
	tree := out.TreeID
	for format, want := range map[string]string{
		"mermaid": `n1["#60;#47;script#62;#34;#93;#59; n0 --#62; n0<br/>N#61;0"]`,
		"dot":     `n1 [label="</script>\"]; n0 --> n0\nN=0"];`,
		"json":    `\u003c/script\u003e`,
		"svg":     `<title>&lt;/script&gt;&#34;]; n0 --&gt; n0</title>`,
	} {
		out, _ := c.must(`{"action":"export","treeId":%q,"format":%q}`, tree, format)
		if out.Export == nil || out.Export.Format != format || !strings.Contains(out.Export.Content, want) {
			t.Errorf("%s: %+v, want it to hold %s", format, out.Export, want)
		}
	}
}

func TestMCTSTreesAreBounded(t *testing.T) {
	c := newMCTSClient(t)
	for range 50 {
		c.must(`{"root":"r"}`)
	}
	_, e, err := c.send(mctsArguments(`{"root":"r"}`))
	if fault.KindOf(err) != fault.TooLarge || e.Error.Code != "too_many_trees" {
		t.Errorf("tree 51: %v", err)
	}
}

// As many visits as accepted tells, and no ticket lost, however many ask at once.
func TestMCTSParallelCalls(t *testing.T) {
	c := newMCTSClient(t)
	var names []string
	const clients, rounds = 64, 3
	for i := range clients {
		names = append(names, fmt.Sprintf("%q", fmt.Sprint("c", i)))
	}
	out, _ := c.must(`{"root":"r","candidates":[%s]}`, strings.Join(names, ","))
	tree := out.TreeID
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range rounds {
				out, _, err := c.send(mctsArguments(fmt.Sprintf(`{"action":"ask","treeId":%q}`, tree)))
				if err != nil || len(out.Tickets) != 1 {
					t.Errorf("ask: %v, %v", out.Tickets, err)
					return
				}
				if _, _, err := c.send(mctsArguments(fmt.Sprintf(`{"action":"tell","treeId":%q,"ticket":%q,"value":0.5}`, tree, out.Tickets[0].ID))); err != nil {
					t.Errorf("tell: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if out, _ := c.must(`{"action":"best","treeId":%q}`, tree); out.Answer.Visits != clients*rounds || out.Answer.Tells != clients*rounds || out.Answer.Open != 0 {
		t.Errorf("after %d tells: %+v", clients*rounds, out.Answer)
	}
}
