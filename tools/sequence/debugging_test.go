package sequence_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/sequence"
)

// debugs calls debugging_approach.
func (c *client) debugs(parameters string) (out sequence.DebugOutput, e *tools.Envelope, err error) {
	c.Helper()
	e, err = c.call(sequence.Debugging, json.RawMessage(parameters), func(call *tools.Call) {
		call.Prompt = "the export is empty"
		call.Limits = budget.Limits{Steps: 1_000_000, Nodes: 1_000_000}
	})
	if err == nil {
		if err := json.Unmarshal(e.Result, &out); err != nil {
			c.Fatal(err)
		}
	}
	return out, e, err
}

func (c *client) debug(parameters string) (sequence.DebugOutput, *tools.Envelope) {
	c.Helper()
	out, e, err := c.debugs(parameters)
	if err != nil {
		c.Fatalf("%s: %v", parameters, err)
	}
	return out, e
}

func TestDebuggingExamples(t *testing.T) {
	for _, e := range sequence.Debugging.Spec().Examples {
		c := newClient(t)
		var call struct{ Parameters json.RawMessage }
		if err := json.Unmarshal([]byte(e.Arguments), &call); err != nil {
			t.Fatal(err)
		}
		_, env := c.debug(string(call.Parameters))
		if len(env.Warnings) > 0 || env.Method == "" {
			t.Errorf("%s: warnings %v, method %q", e.Title, env.Warnings, env.Method)
		}
	}
}

// A conversation as a client has it: what next proposes, with the outcome added.
func TestBisectConversation(t *testing.T) {
	c := newClient(t)
	out, e := c.debug(`{"first":1,"last":1000}`)
	if out.Approach != "binary_search" || out.Title != "the export is empty" || *out.Finding.AtMost != 10 {
		t.Fatalf("start: %+v", out)
	}
	tells := 0
	for ; out.Test != nil; tells++ {
		p := e.Next[0].Parameters
		n, err := strconv.Atoi(p["test"].(string))
		if err != nil {
			t.Fatal(err)
		}
		p["outcome"] = "pass"
		if n >= 700 {
			p["outcome"] = "fail"
		}
		data, _ := json.Marshal(p)
		out, e = c.debug(string(data))
	}
	if !out.Finding.Done || !slices.Equal(out.Finding.Found, []string{"700"}) || tells > 10 {
		t.Errorf("after %d tells: %+v", tells, out.Finding)
	}
	if e.Next[0].Operation != "sequential_thinking" {
		t.Errorf("next: %+v", e.Next)
	}
	list, _ := c.debug(`{"action":"list"}`)
	if len(list.Cases) != 1 || list.Cases[0].CaseID != out.CaseID || !list.Cases[0].Finding.Done {
		t.Errorf("list: %+v", list.Cases)
	}
	got, env := c.debug(`{"action":"get","caseId":"` + out.CaseID + `"}`)
	if got.Case.Bisect == nil || len(got.Case.Bisect.Log) != tells || env.Basis != tools.ClientSupplied {
		t.Errorf("get: %+v, basis %s", got.Case, env.Basis)
	}
	if gone, _ := c.debug(`{"action":"delete","caseId":"` + out.CaseID + `"}`); !gone.Deleted {
		t.Error("not deleted")
	}
	if _, _, err := c.debugs(`{"action":"ask","caseId":"` + out.CaseID + `"}`); err == nil {
		t.Error("a deleted case is there")
	}
}

func TestDebuggingApproaches(t *testing.T) {
	c := newClient(t)
	out, e := c.debug(`{"items":["a","b","c","d"],"errorRate":0.1,"confidence":0.9}`)
	if out.Approach != "noisy_binary_search" || !strings.Contains(e.Source, "Burnashev") || out.Test.Test != "b" || *out.Test.Bits < 0.5 {
		t.Errorf("noisy: %+v, %s", out, e.Source)
	}
	out, _ = c.debug(`{"elements":["1","2","3","4","5","6","7","8"]}`)
	for out.Test != nil {
		outcome := "pass"
		if slices.Contains(out.Test.Set, "1") && slices.Contains(out.Test.Set, "7") && slices.Contains(out.Test.Set, "8") {
			outcome = "fail"
		}
		out, _ = c.debug(fmt.Sprintf(`{"caseId":%q,"test":%q,"outcome":%q}`, out.CaseID, out.Test.Test, outcome))
	}
	if !slices.Equal(out.Finding.Found, []string{"1", "7", "8"}) {
		t.Errorf("delta debugging found %v", out.Finding.Found)
	}
	out, _ = c.debug(`{"causes":["a",{"name":"b","prior":3}],"tests":[{"name":"t","failIf":{"b":1}}]}`)
	if len(out.Gains) != 1 || out.Finding.Ranking[0].Name != "b" || math.Abs(out.Finding.Ranking[0].Probability-0.75) > 1e-12 {
		t.Errorf("causes: %+v", out)
	}
	out, _ = c.debug(fmt.Sprintf(`{"caseId":%q,"outcome":"pass"}`, out.CaseID))
	if !slices.Equal(out.Finding.Found, []string{"a"}) {
		t.Errorf("causes: %+v", out.Finding)
	}
	out, _ = c.debug(`{"components":["{\"name\":\"read\"}",{"name":"parse"},{"name":"join"},{"name":"write"}]}`)
	if out.Test.Test != "parse" {
		t.Errorf("half-split asks for %q", out.Test.Test)
	}
	out, _ = c.debug(`{"choice":"driver","options":["new","old"]}`)
	out, _ = c.debug(fmt.Sprintf(`{"caseId":%q,"choice":"size","options":["big","small"]}`, out.CaseID))
	out, _ = c.debug(fmt.Sprintf(`{"caseId":%q,"outcome":"fail","blame":["driver"],"reason":"it has no probe"}`, out.CaseID))
	if len(out.Trail.Path) != 1 || out.Trail.Path[0].Option != "old" || out.Trail.DeadEnds[0].Reason != "it has no probe" {
		t.Errorf("backtracking: %+v", out.Trail)
	}
	out, _ = c.debug(`{"spectra":[{"element":"x","ef":2,"nf":0,"ep":1,"np":2},{"element":"y","ef":0,"nf":2,"ep":1,"np":2}],"metric":"tarantula"}`)
	if len(out.Suspects) != 2 || *out.Suspects[0].Tarantula != 0.75 {
		t.Errorf("spectrum: %+v", out.Suspects)
	}
	out, e = c.debug(`{"gates":{"t":{"type":"and","inputs":["o","c"]},"o":{"type":"or","inputs":["a","b"]}},"probabilities":{"a":0.1,"b":0.1}}`)
	if len(out.FaultTree.Cuts) != 2 || out.FaultTree.Probability != nil || !warns(e, "not_assessable") || e.Budget == nil {
		t.Errorf("fault tree: %+v, %v", out.FaultTree, e.Warnings)
	}
	out, e = c.debug(`{"dependencies":{"3":["2"],"2":["1"],"9":["8"]},"criterion":["3"],"limit":1}`)
	if out.Slice.Size != 3 || len(out.Slice.Nodes) != 1 || out.Omitted != 2 || !warns(e, "cut") {
		t.Errorf("slice: %+v", out)
	}
}

// What clients of old send is taken: it computes nothing, and says so.
func TestDebuggingOldContract(t *testing.T) {
	c := newClient(t)
	for _, approach := range []string{"binary_search", "reverse_engineering", "divide_conquer", "backtracking", "cause_elimination", "program_slicing"} {
		out, e := c.debug(fmt.Sprintf(`{"approach":%q,"steps":["looked"],"findings":"odd","resolution":""}`, approach))
		if out.Approach != approach || out.Steps[0] != "looked" || out.Findings != "odd" || e.Basis != tools.Template || !warns(e, "nothing_computed") || len(out.Guide.Steps) == 0 {
			t.Errorf("%s: %+v, basis %s, %v", approach, out, e.Basis, e.Warnings)
		}
	}
	if out, _ := c.debug(`{}`); out.Approach != "binary_search" || out.Action != "guide" {
		t.Errorf("nothing: %+v", out)
	}
}

// What a guide proposes is taken as it stands.
func TestGuidesBegin(t *testing.T) {
	c := newClient(t)
	for _, approach := range []string{"binary_search", "delta_debugging", "reverse_engineering", "divide_conquer", "backtracking", "cause_elimination", "program_slicing", "spectrum", "fault_tree"} {
		_, e := c.debug(fmt.Sprintf(`{"action":"guide","approach":%q}`, approach))
		data, err := json.Marshal(e.Next[0].Parameters)
		if err != nil {
			t.Fatal(err)
		}
		if out, e := c.debug(string(data)); out.Action == "guide" || len(e.Warnings) > 0 {
			t.Errorf("%s: %s came to %+v, %v", approach, data, out, e.Warnings)
		}
	}
}

func TestDebuggingRefuses(t *testing.T) {
	c := newClient(t)
	out, _ := c.debug(`{"first":1,"last":10}`)
	for parameters, path := range map[string]string{
		`{"action":"start"}`:                              "items",
		`{"action":"start","approach":"delta_debugging"}`: "elements",
		`{"action":"start","approach":"backtracking"}`:    "choice",
		`{"first":1}`:                                                                   "first",
		`{"first":5,"last":4}`:                                                          "last",
		`{"items":["a","a"]}`:                                                           "items[1]",
		`{"items":["a","b"],"errorRate":0.7}`:                                           "errorRate",
		`{"items":["a","b"],"prior":[1,2]}`:                                             "prior",
		`{"items":["a","b"],"errorRate":0.1,"prior":[1]}`:                               "prior",
		`{"causes":["a","a"]}`:                                                          "causes[1]",
		`{"causes":[7]}`:                                                                "causes[0]",
		`{"causes":["a"],"tests":[{"name":"t","cost":0}]}`:                              "tests[0].cost",
		`{"causes":["a"],"tests":[{"name":"t","failIf":{"b":1}}]}`:                      "tests[0].failIf",
		`{"causes":["a"],"tests":[{"name":"t","failIf":{"a":2}}]}`:                      "tests[0].failIf.a",
		`{"components":[{"name":"a","after":["b"]},{"name":"b","after":["a"]}]}`:        "components[0].after",
		`{"action":"ask"}`:                                                              "caseId",
		`{"action":"ask","caseId":"debug_none"}`:                                        "caseId",
		`{"action":"tell","caseId":"debug_none","outcome":"fail"}`:                      "caseId",
		`{"action":"tell","caseId":"` + out.CaseID + `"}`:                               "outcome",
		`{"action":"tell","caseId":"` + out.CaseID + `","outcome":"perhaps"}`:           "outcome",
		`{"caseId":"` + out.CaseID + `","test":"99","outcome":"fail"}`:                  "test",
		`{"caseId":"` + out.CaseID + `","test":"10","outcome":"pass"}`:                  "outcome",
		`{"caseId":"` + out.CaseID + `","outcome":"fail","blame":["x"]}`:                "choice",
		`{"action":"analyze","approach":"spectrum"}`:                                    "runs",
		`{"runs":[{"outcome":"pass","covers":["a"]}]}`:                                  "tests",
		`{"spectra":[{"element":"a","ep":1}]}`:                                          "spectra",
		`{"action":"analyze","approach":"delta_debugging"}`:                             "action",
		`{"dependencies":{"a":["b"]}}`:                                                  "criterion",
		`{"dependencies":{"a":["b"]},"criterion":["c"]}`:                                "criterion[0]",
		`{"gates":{"a":{"type":"or","inputs":["x"]},"b":{"type":"or","inputs":["y"]}}}`: "top",
		`{"gates":{"a":{"type":"vote","k":3,"inputs":["x"]}}}`:                          "gates.a.k",
		`{"gates":{"a":{"type":"or","inputs":["x"]}},"probabilities":{"z":0.5}}`:        "probabilities.z",
		`{"observations":[{"input":"1","output":"2"}]}`:                                 "hypotheses",
	} {
		_, _, err := c.debugs(parameters)
		bad, ok := errors.AsType[*tools.BadArguments](err)
		if !ok || bad.Issues[0].Path != "parameters."+path || bad.Issues[0].Expected == "" {
			t.Errorf("%s: got %v, want bad arguments at %s", parameters, err, path)
		}
	}
	if out, _ := c.debug(`{"caseId":"` + out.CaseID + `"}`); out.Finding.Told != 0 {
		t.Errorf("the refusals left something: %+v", out.Finding)
	}
}

func TestDebuggingCap(t *testing.T) {
	c := newClient(t)
	for range 50 {
		c.debug(`{"first":1,"last":2}`)
	}
	if _, _, err := c.debugs(`{"first":1,"last":2}`); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("case 51: %v", err)
	}
}

// Many clients of one session tell the same case and their own ones.
func TestConcurrentTells(t *testing.T) {
	c := newClient(t)
	shared, _ := c.debug(`{"first":1,"last":64,"errorRate":0.2,"confidence":0.99}`)
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for i := range 4 {
				outcome := "fail"
				if w+1 < 40 {
					outcome = "pass"
				}
				if _, _, err := c.debugs(fmt.Sprintf(`{"action":"tell","caseId":%q,"test":"%d","outcome":%q}`, shared.CaseID, w+1, outcome)); err != nil {
					t.Errorf("worker %d, tell %d: %v", w, i, err)
				}
			}
		})
	}
	wg.Wait()
	out, _ := c.debug(`{"action":"ask","caseId":"` + shared.CaseID + `"}`)
	if out.Finding.Told != 64*4 || !slices.Equal(out.Finding.Found, []string{"40"}) {
		t.Errorf("after all: %+v", out.Finding)
	}
}

// What an operation has stored passes the judgement of an import.
func TestDebuggingSlotType(t *testing.T) {
	c := newClient(t)
	c.debug(`{"elements":["a","b","c"]}`)
	h, err := c.dir.Acquire(t.Context(), alice, c.id)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	types := sequence.SlotTypes()
	at := slices.IndexFunc(types, func(s session.SlotType) bool { return s.Name == "debugging" })
	for name, data := range h.Export() {
		if err := types[at].Check(name, data); strings.HasPrefix(name, "debugging/") && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if types[at].Check("debugging/debug_aaaaaaaaaaaaaaaaaaaaaaaaaa", []byte(`{"schema":1,"data":{"delta":{"elements":["a"],"log":"fff"}}}`)) == nil {
		t.Error("a log that nobody can have told was taken")
	}
}

// BenchmarkDeltaTell measures a tell late in a long case: the log is played again.
func BenchmarkDeltaTell(b *testing.B) {
	c := newClient(b)
	var elements []string
	for i := range 1024 {
		elements = append(elements, strconv.Itoa(i))
	}
	data, _ := json.Marshal(map[string]any{"elements": elements})
	out, _ := c.debug(string(data))
	for range 1500 {
		out, _ = c.debug(fmt.Sprintf(`{"caseId":%q,"outcome":"pass"}`, out.CaseID))
	}
	for b.Loop() {
		c.debug(fmt.Sprintf(`{"action":"ask","caseId":%q}`, out.CaseID))
	}
}
