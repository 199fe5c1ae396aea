package search_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/tools/search"
)

func TestPDRTwoCliques(t *testing.T) {
	d := newDesk(t)
	var subjects, edges []string
	for i := range 8 {
		subjects = append(subjects, fmt.Sprintf(`{"id":"n%d","content":"subject %d","score":%v}`, i, i, 1-float64(i)/10))
		for j := range i {
			if i/4 == j/4 || i == 4 && j == 3 {
				edges = append(edges, fmt.Sprintf(`{"from":"n%d","to":"n%d"}`, i, j))
			}
		}
	}
	out, _ := must[search.PDROutput](d, "pdr_reasoning", `{"question":"q","likeness":"edges","subjects":[%s],"edges":[%s]}`, strings.Join(subjects, ","), strings.Join(edges, ","))
	id := out.ResearchID
	if out.Connected != 13 || len(out.Added.Added) != 8 {
		t.Fatalf("%+v", out)
	}
	out, _ = must[search.PDROutput](d, "pdr_reasoning", `{"action":"run_pass","researchId":%q}`, id)
	if c := out.Partition.Clusters; len(c) != 2 || len(c[0]) != 4 || c[1][0] != "n4" {
		t.Errorf("clusters %v", c)
	}
	// λ = .5, the similarity of neighbours is 1: after n0 (1) comes n4 (.6-0), the
	// best of those that are not beside it.
	if p := out.Selection.Picks; len(p) != 5 || p[0].ID != "n0" || p[1].ID != "n4" || p[2].ID != "n1" {
		t.Errorf("picks %+v", p)
	}
}

func TestPDRStopsWhenNothingImproves(t *testing.T) {
	d := newDesk(t)
	out, _ := must[search.PDROutput](d, "pdr_reasoning", `{"question":"q","minImprovement":0.3,"budgets":{"select":1,"deepen":1},"subjects":[{"id":"a","content":"apple","score":1},{"id":"b","content":"boat","score":0.9},{"id":"c","content":"cloud","score":0.8}],"edges":[{"from":"a","to":"b","type":"contradicts"}]}`)
	id := out.ResearchID
	for round, want := range []string{"", "saturation"} {
		must[search.PDROutput](d, "pdr_reasoning", `{"action":"select","researchId":%q}`, id)
		out, _ = must[search.PDROutput](d, "pdr_reasoning", `{"action":"ask","researchId":%q}`, id)
		ticket := out.Tickets[0].ID
		if _, err := d.send("pdr_reasoning", `{"action":"synthesize","researchId":%q}`, id); fault.KindOf(err) != fault.Conflict {
			t.Errorf("synthesize with an open ticket: %v", err)
		}
		must[search.PDROutput](d, "pdr_reasoning", `{"researchId":%q,"ticket":%q,"confidence":0.6}`, id, ticket)
		out, _ = must[search.PDROutput](d, "pdr_reasoning", `{"action":"run_pass","pass":"synthesize","researchId":%q}`, id)
		if string(out.Report.Done) != want || out.Report.Gaps[0].Kind != "contradiction" {
			t.Errorf("round %d: %+v, want %q", round, out.Report, want)
		}
	}
	if _, err := d.send("pdr_reasoning", `{"researchId":%q,"subjects":["late"]}`, id); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a subject after the end: %v", err)
	}
}

func TestPDRLinksAreOfTheSession(t *testing.T) {
	d := newDesk(t)
	out, _ := must[search.PDROutput](d, "pdr_reasoning", `{"question":"q","subjects":[{"id":"a","content":"apple","score":1}]}`)
	id := out.ResearchID
	must[search.PDROutput](d, "pdr_reasoning", `{"action":"run_pass","researchId":%q}`, id)
	out, e := must[search.PDROutput](d, "pdr_reasoning", `{"action":"ask","researchId":%q}`, id)
	ticket := out.Tickets[0].ID
	d.refused("parameters.link.id", "of tree_of_thought in this session", "pdr_reasoning", `{"researchId":%q,"ticket":%q,"confidence":1,"link":{"operation":"tree_of_thought","id":"thoughts_x"}}`, id, ticket)
	if e.Next[0].Operation != "tree_of_thought" {
		t.Fatalf("next %+v", e.Next)
	}
	tree, _ := must[search.ToTOutput](d, "tree_of_thought", `{"root":%q}`, e.Next[0].Parameters["root"])
	tell := fmt.Sprintf(`{"researchId":%q,"ticket":%q,"confidence":1,"link":{"operation":"tree_of_thought","id":%q},"subjects":["pips","peel"]}`, id, ticket, tree.TreeID)
	_, first := must[search.PDROutput](d, "pdr_reasoning", "%s", tell)
	if _, again := must[search.PDROutput](d, "pdr_reasoning", "%s", tell); string(first.Result) != string(again.Result) {
		t.Errorf("told again\n%s\nat first\n%s", again.Result, first.Result)
	}
	out, _ = must[search.PDROutput](d, "pdr_reasoning", `{"researchId":%q}`, id)
	if s := out.State; len(s.Subjects) != 3 || s.Subjects[0].Link.ID != tree.TreeID || len(s.Edges) != 2 || out.Report.Round.Clusters == 0 {
		t.Errorf("%+v", s)
	}
}

func TestPDRBadArguments(t *testing.T) {
	d := newDesk(t)
	out, _ := must[search.PDROutput](d, "pdr_reasoning", `{"question":"q","subjects":[{"id":"a","content":"apple","score":1}]}`)
	id := out.ResearchID
	must[search.PDROutput](d, "pdr_reasoning", `{"action":"select","researchId":%q}`, id)
	out, _ = must[search.PDROutput](d, "pdr_reasoning", `{"action":"ask","researchId":%q}`, id)
	ticket := out.Tickets[0].ID
	for _, x := range []struct{ path, want, parameters string }{
		{"parameters.action", `{"question": "Why …?"}`, `{}`},
		{"parameters.action", "one of start, continue", `{"action":"think"}`},
		{"parameters.researchId", "as action start returned it", `{"action":"cluster"}`},
		{"parameters.researchId", "action list shows them", `{"action":"cluster","researchId":"research_x"}`},
		{"parameters.researchId", "action list shows them", `{"action":"ask","researchId":"research_x"}`},
		{"parameters.question", "a text", `{"action":"start"}`},
		{"parameters.resolution", "above 0", `{"question":"q","resolution":0}`},
		{"parameters.budgets.deepen", "1 to 2", `{"question":"q","budgets":{"select":2,"deepen":3}}`},
		{"parameters.subjects[0]", "a text, or an object", `{"question":"q","subjects":[{"id":"x"}]}`},
		{"parameters.subjects[0].score", "0 to", `{"question":"q","subjects":[{"id":"x","content":"x","score":-1}]}`},
		{"parameters.subjects[1].vector", "2 numbers", `{"question":"q","subjects":[{"id":"x","content":"x","vector":[1,2]},{"id":"y","content":"y","vector":[1]}]}`},
		{"parameters.edges[0]", "ids of two subjects", `{"question":"q","edges":[{"from":"x","to":"y"}]}`},
		{"parameters.subjects", "subjects to add, or edges", fmt.Sprintf(`{"action":"add","researchId":%q}`, id)},
		{"parameters.subject", "the id of a subject", fmt.Sprintf(`{"action":"remove","researchId":%q,"subject":"zz"}`, id)},
		{"parameters.ticket", "that action ask returned", fmt.Sprintf(`{"action":"tell","researchId":%q}`, id)},
		{"parameters.confidence", "0 to 1", fmt.Sprintf(`{"researchId":%q,"ticket":%q}`, id, ticket)},
		{"parameters.confidence", "from 0 to 1", fmt.Sprintf(`{"researchId":%q,"ticket":%q,"confidence":2}`, id, ticket)},
	} {
		d.refused(x.path, x.want, "pdr_reasoning", "%s", x.parameters)
	}
}
