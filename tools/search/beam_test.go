package search_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/search"
)

// grow answers every ticket of a beam from a table of continuations, each
// "content score".
func (d *desk) grow(id string, next map[string]string) search.BeamOutput {
	d.Helper()
	for range 100 {
		out, _ := must[search.BeamOutput](d, "beam_search", `{"action":"ask","beamId":%q,"n":8}`, id)
		if len(out.Tickets) == 0 {
			break
		}
		for _, t := range out.Tickets {
			var children []string
			for s := range strings.FieldsSeq(next[t.Path[len(t.Path)-1]]) {
				content, score, _ := strings.Cut(s, ":")
				children = append(children, fmt.Sprintf(`{"content":%q,"score":%s}`, content, score))
			}
			must[search.BeamOutput](d, "beam_search", `{"action":"tell","beamId":%q,"ticket":%q,"children":[%s]}`, id, t.ID, strings.Join(children, ","))
		}
	}
	out, _ := must[search.BeamOutput](d, "beam_search", `{"beamId":%q,"best":10,"history":100}`, id)
	return out
}

func TestBeamWidthDecides(t *testing.T) {
	next := map[string]string{"S": "A:.6 B:.4", "A": "A1:.3 A2:.3", "B": "B1:.9"}
	for name, s := range next { // JSON wants a digit before the point
		next[name] = strings.ReplaceAll(s, ":.", ":0.")
	}
	for _, x := range []struct {
		width int
		want  float64
	}{{1, .18}, {2, .36}} {
		d := newDesk(t)
		out, _ := must[search.BeamOutput](d, "beam_search", `{"root":"S","beamWidth":%d,"iterations":2,"scoreAggregation":"product"}`, x.width)
		out = d.grow(out.BeamID, next)
		if v := out.State.Paths[0].Value; math.Abs(v-x.want) > 1e-12 || out.State.Done != "max_generations" {
			t.Errorf("width %d ends at %v, %q; want %v", x.width, v, out.State.Done, x.want)
		}
	}
}

func TestBeamMergesAndPrunes(t *testing.T) {
	const ten = "one two three four five six seven eight nine ten"
	for _, x := range []struct {
		settings string
		merged   int
		pruned   int
		left     int
	}{
		// Ten words and eleven share 8 of 9 shingles: 0.889.
		{`"beamWidth":8,"merge":"similar","mergeSimilarity":0.88`, 2, 0, 2},
		{`"beamWidth":8,"merge":"similar"`, 1, 0, 3},
		{`"beamWidth":8,"merge":"text"`, 1, 0, 3},
		{`"beamWidth":8,"merge":"none"`, 0, 0, 4},
		// The values are .8, .7, .7 and .5.
		{`"beamWidth":8,"merge":"none","pruningStrategy":"absolute","pruningThreshold":0.15`, 0, 1, 3},
		{`"beamWidth":8,"merge":"none","pruningStrategy":"relative","pruningThreshold":0.9`, 0, 3, 1},
		{`"beamWidth":2,"merge":"none"`, 0, 2, 2},
	} {
		d := newDesk(t)
		out, _ := must[search.BeamOutput](d, "beam_search", `{"root":"r","iterations":3,"candidates":["a","b"],"scores":[0.2,0.2],%s}`, x.settings)
		id := out.BeamID
		out, _ = must[search.BeamOutput](d, "beam_search", `{"action":"ask","beamId":%q,"n":2}`, id)
		tell := `{"beamId":%q,"ticket":%q,"children":[{"content":%q,"score":%v},{"content":%q,"score":%v}]}`
		must[search.BeamOutput](d, "beam_search", tell, id, out.Tickets[0].ID, ten, .6, ten+" eleven", .5)
		out, _ = must[search.BeamOutput](d, "beam_search", tell, id, out.Tickets[1].ID, strings.ToUpper(ten), .5, "something else", .3)
		if !out.Told.Closed {
			t.Fatalf("%s: %+v", x.settings, out.Told)
		}
		out, _ = must[search.BeamOutput](d, "beam_search", `{"beamId":%q}`, id)
		if c := out.State.Counts; c["merged"] != x.merged || c["pruned"] != x.pruned || c["active"] != x.left {
			t.Errorf("%s: %v", x.settings, c)
		}
	}
}

func TestBeamRunsProblems(t *testing.T) {
	d := newDesk(t)
	out, e := must[search.BeamOutput](d, "beam_search", `{"problem":%s,"beamWidth":64,"best":2}`, packing)
	if r := out.Search; !r.Exhaustive || r.Runs[0].Value != 16 || strings.Join(out.BestPath, " ") != "leave take leave take" || len(r.Runs) != 2 || len(e.Next) != 0 {
		t.Errorf("an exhaustive beam: %+v, next %v", r, e.Next)
	}
	out, e = must[search.BeamOutput](d, "beam_search", `{"problem":%s,"beamWidth":1}`, packing)
	if out.Search.Exhaustive || out.Search.Runs[0].Value != 10 || len(e.Next) != 1 {
		t.Fatalf("a beam of one: %+v, next %v", out.Search, e.Next)
	}
	out, _ = must[search.BeamOutput](d, "beam_search", `{"problem":%s,"beamWidth":1,"heuristic":"room >= 3 + at ? room : 0"}`, packing)
	if out.Search.Runs[0].Value == 10 {
		t.Errorf("the heuristic changes nothing: %+v", out.Search)
	}
	out, _ = must[search.BeamOutput](d, "beam_search", `{"domain":"knapsack","values":[60,100,120],"weights":[10,20,30],"capacity":50,"beamWidth":16}`)
	if r := out.Search.Runs[0]; r.Value != 220 || !out.Search.Exhaustive {
		t.Errorf("knapsack: %+v", out.Search)
	}
	_, one := must[search.BeamOutput](d, "beam_search", `{"domain":"tsp","distances":[[0,10,15,20],[10,0,35,25],[15,35,0,30],[20,25,30,0]],"beamWidth":16}`)
	_, two := must[search.BeamOutput](d, "beam_search", `{"domain":"tsp","distances":[[0,10,15,20],[10,0,35,25],[15,35,0,30],[20,25,30,0]],"beamWidth":16}`)
	if string(one.Result) != string(two.Result) || !strings.Contains(string(one.Result), `"value":-80`) {
		t.Errorf("tour of four cities: %s", one.Result)
	}
	out, e = must[search.BeamOutput](d, "beam_search", `{"problem":%s,"maxSteps":1}`, packing)
	if out.BestPath != nil || e.Budget.Hit != "maxSteps" || !warned(e, "not_assessable") {
		t.Errorf("one step: %+v, %v", out, e.Warnings)
	}
}

func TestBeamStops(t *testing.T) {
	d := newDesk(t)
	out, _ := must[search.BeamOutput](d, "beam_search", `{"root":"r","scoreAggregation":"max","convergence":{"maxGenerations":9,"minScoreImprovement":0.1,"timeLimit":5},"candidates":["a"],"scores":[0.5]}`)
	if s := out.Settings; s.Depth != 9 || s.Stop.Patience != 1 {
		t.Errorf("settings %+v", s)
	}
	out = d.grow(out.BeamID, map[string]string{"a": "b:0.55"})
	if out.State.Done != "no_improvement" || out.State.Generation != 2 {
		t.Errorf("%+v", out.State)
	}
}

func TestBeamOldEnums(t *testing.T) {
	d := newDesk(t)
	for _, x := range []struct{ parameters, code, says string }{
		{`"expansionStrategy":"depth"`, "obsolete_parameter", "what holds is breadth"},
		{`"expansionStrategy":"hybrid"`, "obsolete_parameter", "what holds is breadth"},
		{`"expansionStrategy":"breadth"`, "", ""},
		{`"pruningStrategy":"adaptive"`, "obsolete_parameter", "what holds is the beamWidth"},
		{`"pruningStrategy":"relative"`, "not_applicable", "what holds is the beamWidth alone"},
		{`"pruningStrategy":"absolute","pruningThreshold":0.5`, "", ""},
		{`"scoreAggregation":"average"`, "", ""},
		{`"createNotebook":false`, "", ""},
	} {
		_, e := must[search.BeamOutput](d, "beam_search", `{"action":"start","root":"r",%s}`, x.parameters)
		if x.code == "" {
			if len(e.Warnings) != 0 {
				t.Errorf("%s: %v", x.parameters, e.Warnings)
			}
		} else if len(e.Warnings) != 1 || e.Warnings[0].Code != x.code || !strings.Contains(e.Warnings[0].Message, x.says) {
			t.Errorf("%s: %v", x.parameters, e.Warnings)
		}
	}
}

func TestBeamBadArguments(t *testing.T) {
	d := newDesk(t)
	out, _ := must[search.BeamOutput](d, "beam_search", `{"root":"r","scoreAggregation":"product"}`)
	id := out.BeamID
	out, _ = must[search.BeamOutput](d, "beam_search", `{"action":"ask","beamId":%q}`, id)
	ticket := out.Tickets[0].ID
	for _, x := range []struct{ path, want, parameters string }{
		{"parameters.action", `{"root": "How should we …?"}`, `{}`},
		{"parameters.action", "one of start, ask", `{"action":"think"}`},
		{"parameters.beamId", "as action start returned it", `{"action":"ask"}`},
		{"parameters.beamId", "action list shows them", `{"action":"ask","beamId":"beam_x"}`},
		{"parameters.root", "a text", `{"action":"start"}`},
		{"parameters.beamWidth", "from 1 to 1024", `{"root":"r","beamWidth":0}`},
		{"parameters.beamWidth", "at most 64", `{"root":"r","beamWidth":65,"merge":"similar"}`},
		{"parameters.iterations", "1 to 100", `{"root":"r","iterations":101}`},
		{"parameters.groups", "1 to 3", `{"root":"r","groups":4}`},
		{"parameters.lengthPenalty", "only sum, product", `{"root":"r","lengthPenalty":1,"scoreAggregation":"max"}`},
		{"parameters.decay", "above 0", `{"root":"r","decay":0}`},
		{"parameters.mergeSimilarity", "above 0", `{"root":"r","mergeSimilarity":0}`},
		{"parameters.pruningThreshold", "for relative at most 1", `{"root":"r","pruningStrategy":"relative","pruningThreshold":2}`},
		{"parameters.pruningThreshold", "without a pruningStrategy", `{"root":"r","pruningThreshold":2}`},
		{"parameters.scores", "one score for each", `{"root":"r","scores":[1]}`},
		{"parameters.candidates[0]", "a text, or an object", `{"root":"r","candidates":[7]}`},
		{"parameters.candidates[1].score", "0 to 1, for product", `{"root":"r","scoreAggregation":"product","candidates":["a","b"],"scores":[1,2]}`},
		{"parameters.n", "from 1 to 64", fmt.Sprintf(`{"action":"ask","beamId":%q,"n":65}`, id)},
		{"parameters.ticket", "that action ask returned", fmt.Sprintf(`{"action":"tell","beamId":%q}`, id)},
		{"parameters.ticket", "that action ask returned", fmt.Sprintf(`{"action":"abandon","beamId":%q}`, id)},
		{"parameters.children[0].score", "a finite number", fmt.Sprintf(`{"beamId":%q,"ticket":%q,"children":[{"content":"a","score":null}]}`, id, ticket)},
		{"parameters.children[0].score", "0 to 1, for product", fmt.Sprintf(`{"beamId":%q,"ticket":%q,"children":[{"content":"a","score":2}]}`, id, ticket)},
		{"parameters.children[0].content", "a text", fmt.Sprintf(`{"beamId":%q,"ticket":%q,"children":[{"content":" ","score":1}]}`, id, ticket)},
		{"parameters.complete", "false for a path that goes on", fmt.Sprintf(`{"beamId":%q,"ticket":%q,"complete":true,"children":[{"content":"a","score":1}]}`, id, ticket)},
		{"parameters.problem", "or a domain", `{"action":"run"}`},
		{"parameters.domain", "not both", `{"domain":"tsp","problem":` + packing + `}`},
		{"parameters.numbers", "2 to 6", `{"domain":"game24"}`},
		{"parameters.tiles", "", `{"domain":"sliding-tiles","tiles":[1,2]}`},
		{"parameters.heuristic", "no variables", `{"domain":"n-queens","heuristic":"1"}`},
		{"parameters.heuristic", "a number formula", `{"heuristic":"roam","problem":` + packing + `}`},
		{"parameters.heuristic", "division by zero", `{"heuristic":"1 / (at - 1)","problem":` + packing + `}`},
		{"parameters.problem.actions[0].guard", "1:1", `{"problem":` + strings.Replace(packing, `"room >= 3 + at"`, `"room"`, 1) + `}`},
		{"parameters.problem", "mcts is for the others", `{"problem":` + strings.Replace(packing, `"horizon":4`, `"horizon":4,"players":2`, 1) + `}`},
	} {
		d.refused(x.path, x.want, "beam_search", "%s", x.parameters)
	}
	if out, e := must[search.BeamOutput](d, "beam_search", `{"root":"r","scorAggregation":"sum"}`); out.BeamID == "" || !warned(e, "unknown_parameter") || e.Basis != tools.Template {
		t.Errorf("a misspelt key: %v", e.Warnings)
	}
}
