package sequence_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/thought"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/sequence"
)

var alice = session.Owner{Tenant: "acme", Issuer: "https://id.example", Subject: "alice"}

// client is one owner with one session.
type client struct {
	testing.TB
	dir    *session.Directory
	facade *tools.Facade
	id     session.ID
}

func newClient(tb testing.TB) *client {
	tb.Helper()
	r, err := tools.NewRegistry(sequence.SequentialThinking)
	if err != nil {
		tb.Fatal(err)
	}
	c := &client{TB: tb, dir: session.New(session.Config{}, nil), facade: tools.NewFacade(r)}
	h, err := c.dir.Open(tb.Context(), alice, session.Params{})
	if err != nil {
		tb.Fatal(err)
	}
	defer h.Release()
	c.id = h.ID()
	return c
}

// call runs a tool as the transport does and returns its envelope.
func (c *client) call(tool tools.Tool, parameters json.RawMessage, start func(*tools.Call)) (*tools.Envelope, error) {
	h, err := c.dir.Acquire(c.Context(), alice, c.id)
	if err != nil {
		return nil, err
	}
	defer h.Release()
	call := &tools.Call{Session: h}
	if start != nil {
		start(call)
	}
	result, err := tool.Invoke(c.Context(), call, parameters)
	return call.Envelope(tool.Spec(), result, err), err
}

// send calls the facade with the arguments.
func (c *client) send(arguments string) (sequence.Output, *tools.Envelope, error) {
	c.Helper()
	r, err := c.facade.Decode(json.RawMessage(arguments))
	if err != nil {
		c.Fatalf("%s: %v", arguments, err)
	}
	e, err := c.call(r.Tool, r.Parameters, r.Start)
	var out sequence.Output
	if err == nil {
		if err := json.Unmarshal(e.Result, &out); err != nil {
			c.Fatal(err)
		}
	}
	return out, e, err
}

// must is send for calls that have to work.
func (c *client) must(parameters string) (sequence.Output, *tools.Envelope) {
	c.Helper()
	out, e, err := c.send(`{"operation":"sequential_thinking","parameters":` + parameters + `}`)
	if err != nil {
		c.Fatalf("%s: %v", parameters, err)
	}
	return out, e
}

// think adds plain thoughts.
func (c *client) think(texts ...string) {
	c.Helper()
	for _, text := range texts {
		b, err := json.Marshal(map[string]any{"thought": text, "nextThoughtNeeded": true})
		if err != nil {
			c.Fatal(err)
		}
		c.must(string(b))
	}
}

// refused asserts that the call fails at path and says want.
func (c *client) refused(parameters, path, want string) {
	c.Helper()
	_, e, err := c.send(`{"operation":"sequential_thinking","parameters":` + parameters + `}`)
	bad, ok := errors.AsType[*tools.BadArguments](err)
	if !ok {
		c.Errorf("%s: got %v, want bad arguments", parameters, err)
		return
	}
	if len(bad.Issues) != 1 || bad.Issues[0].Path != "parameters."+path || !strings.Contains(bad.Issues[0].Expected, want) {
		c.Errorf("%s: got %+v, want %s: %q", parameters, bad.Issues, path, want)
	}
	if e.Error == nil || len(e.Error.Example) == 0 {
		c.Errorf("%s: the failure has no example", parameters)
	}
}

func verdicts(checks []sequence.Check) string {
	var out []string
	for _, k := range checks {
		out = append(out, k.Verdict+" "+k.Exact)
	}
	return strings.Join(out, ", ")
}

func warns(e *tools.Envelope, code string) bool {
	return slices.ContainsFunc(e.Warnings, func(w tools.Warning) bool { return w.Code == code })
}

func TestExamples(t *testing.T) {
	c := newClient(t)
	for _, e := range sequence.SequentialThinking.Spec().Examples {
		if _, _, err := c.send(e.Arguments); err != nil {
			t.Errorf("%s: %v", e.Title, err)
		}
	}
	for _, e := range sequence.Compat.Spec().Examples {
		if _, err := c.call(sequence.Compat, json.RawMessage(e.Arguments), nil); err != nil {
			t.Errorf("%s: %v", e.Title, err)
		}
	}
}

func TestChecks(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"17*23=391", "verified 391"},
		{"7*8=54", "refuted 56"},
		{"0.1+0.2=0.3", "verified 0.3"},
		{"1,000 + 5% of 200 = 1,010", ""},
		{"Write a paragraph", ""},
	} {
		out, e := newClient(t).must(fmt.Sprintf(`{"thought":%q}`, tc.text))
		if got := verdicts(out.Checks); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.text, got, tc.want)
		}
		if e.Basis != tools.Computed || e.Method == "" {
			t.Errorf("%s: basis %q, method %q", tc.text, e.Basis, e.Method)
		}
	}
}

func TestOldContract(t *testing.T) {
	c := newClient(t)
	out, e, err := c.send(`{"operation":"sequential_thinking","prompt":"Write a paragraph with options and a graph","parameters":{"thoughtNumber":"3","totalThoughts":"5","nextThoughtNeeded":"true","isRevision":"false"}}`)
	if err == nil {
		t.Fatalf("a first thought with the number 3 was taken: %+v", out)
	}
	if !strings.Contains(e.Error.Message, "1, the next one") {
		t.Errorf("got %s", e.Error.Message)
	}
	out, e, err = c.send(`{"operation":"sequential_thinking","prompt":"Write a paragraph with options and a graph","parameters":{"thoughtNumber":"1","totalThoughts":"5","nextThoughtNeeded":"true","isRevision":"false"}}`)
	if err != nil {
		t.Fatal(err)
	}
	if out.SelectedPattern != "chain" || out.Status != "success" || out.Choice != nil {
		t.Errorf("pattern %q, status %q, choice %+v", out.SelectedPattern, out.Status, out.Choice)
	}
	if out.ThoughtNumber != 1 || out.TotalThoughts != 5 || !*out.NextThoughtNeeded || *out.IsRevision || *out.NeedsMoreThoughts {
		t.Errorf("echo: %+v", out)
	}
	sc := out.Context
	if sc == nil || sc.SessionID != string(c.id) || sc.TotalThoughts != 1 || sc.RemainingThoughts != thought.MaxThoughts-1 || len(sc.RecentThoughts) != 1 {
		t.Errorf("session context: %+v", sc)
	}
	if len(e.Next) != 1 || e.Next[0].Parameters["thoughtNumber"] != 2 || e.Next[0].Parameters["totalThoughts"] != 5 {
		t.Errorf("next: %+v", e.Next)
	}
	// The defaults of old: no number, no total, no next thought.
	out, _ = c.must(`{"thought":"and another one"}`)
	if out.ThoughtNumber != 2 || out.TotalThoughts != 5 || *out.NextThoughtNeeded {
		t.Errorf("defaults: %+v", out)
	}
}

func TestRepairableErrors(t *testing.T) {
	c := newClient(t)
	c.refused(`{}`, "thought", "text of the thought")
	c.think("one", "two", "three")
	c.refused(`{"thought":"x","thoughtNumber":-7}`, "thoughtNumber", "at least 1")
	c.refused(`{"thought":"x","totalThoughts":"many"}`, "totalThoughts", "a whole number")
	c.refused(`{"thought":"x","revisesThought":999}`, "revisesThought", "1-3")
	c.refused(`{"thought":"x","thoughtNumber":2}`, "thoughtNumber", "isRevision true and revisesThought 2")
	c.refused(`{"thought":"x","thoughtNumber":9}`, "thoughtNumber", "4, the next one")
	c.refused(`{"thought":"x","branchFromThought":12,"branchId":"b"}`, "branchFromThought", "1-3")
	c.refused(`{"thought":"x","confidence":1.5}`, "confidence", "from 0 to 1")
	c.refused(`{"thought":"x","pattern":"graph of everything"}`, "pattern", "chain")
	c.refused(`{"action":"read","thoughtNumber":8}`, "thoughtNumber", "1-3")
	c.refused(`{"action":"read","branchId":"b"}`, "branchId", "branches")
	c.refused(`{"action":"read","cursor":"x"}`, "cursor", "nextCursor")
	c.refused(`{"action":"switch"}`, "branchId", "main")
	c.refused(`{"action":"close"}`, "branchId", "only open one")
	if out, _ := c.must(`{"action":"read"}`); len(out.Thoughts) != 3 {
		t.Errorf("after the refusals there are %d thoughts, want 3", len(out.Thoughts))
	}
}

func TestTotalExtended(t *testing.T) {
	c := newClient(t)
	c.must(`{"thought":"a","totalThoughts":1}`)
	out, e := c.must(`{"thought":"b","thoughtNumber":2,"totalThoughts":1}`)
	if !out.Extended || out.TotalThoughts != 2 || !warns(e, "total_extended") {
		t.Errorf("got %+v, warnings %+v", out, e.Warnings)
	}
}

func TestReviseAndRead(t *testing.T) {
	c := newClient(t)
	c.think("one", "two", "three", "four", "five")
	out, e := c.must(`{"thought":"two again","thoughtNumber":6,"isRevision":true,"revisesThought":2,"nextThoughtNeeded":true}`)
	if out.Label != "2'" || out.RevisesThought != 2 || !slices.Equal(out.Stale, []int{3, 4, 5}) {
		t.Errorf("got %+v", out)
	}
	read := e.Next[0]
	if read.Parameters["action"] != "read" || read.Parameters["fromThought"] != 3 || read.Parameters["toThought"] != 5 {
		t.Errorf("the stale thoughts are not proposed for reading: %+v", e.Next)
	}
	back, _ := c.must(`{"action":"read"}`)
	var labels []string
	for _, v := range back.Thoughts {
		labels = append(labels, fmt.Sprint(v.Label, v.StaleOn))
	}
	if got, want := strings.Join(labels, " "), "1[] 2'[] 3[2] 4[2] 5[2]"; got != want {
		t.Errorf("effective chain %s, want %s", got, want)
	}
	if back.Thoughts[1].Thought != "two again" || back.Thoughts[1].Revises.ID != 2 {
		t.Errorf("got %+v", back.Thoughts[1])
	}
	all, _ := c.must(`{"action":"structure","all":true}`)
	if len(all.Structure) != 6 || !all.Structure[1].Superseded || all.Structure[5].Label != "2'" {
		t.Errorf("got %+v", all.Structure)
	}
	if data, _ := json.Marshal(all); strings.Contains(string(data), "two again") {
		t.Error("the structure shows texts")
	}
	out, _ = c.must(`{"thought":"3 and 4 still hold","reaffirms":[3,"4"]}`)
	if !slices.Equal(out.Reaffirmed, []int{3, 4}) || out.ThoughtNumber != 7 {
		t.Errorf("got %+v", out)
	}
	for parameters, want := range map[string]string{
		`{"action":"read","thoughtNumber":6}`:                 "2'",
		`{"action":"read","last":2}`:                          "5 7",
		`{"action":"read","fromThought":3,"toThought":4}`:     "3 4",
		`{"action":"read","all":true,"last":2}`:               "2' 7",
		`{"action":"read","branchId":"main","fromThought":5}`: "5 7",
		`{"action":"read","all":true,"thoughtNumber":2}`:      "",
	} {
		out, _ := c.must(parameters)
		var got []string
		for _, v := range out.Thoughts {
			got = append(got, v.Label)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", parameters, got, want)
		}
	}
}

func TestPages(t *testing.T) {
	c := newClient(t)
	for i := range 25 {
		c.think(fmt.Sprintf("%d %s", i+1, strings.Repeat("word ", 100)))
	}
	var got []int
	cursor := ""
	for pages := 0; ; pages++ {
		out, _ := c.must(fmt.Sprintf(`{"action":"read","limit":10,"maxBytes":2048,"cursor":%q}`, cursor))
		size := 0
		for _, v := range out.Thoughts {
			got = append(got, v.Number)
			size += v.Bytes
		}
		if size > 2048 || out.Page.Total != 25 || out.Page.Returned != len(out.Thoughts) {
			t.Fatalf("page of %d bytes: %+v", size, out.Page)
		}
		if cursor = out.Page.NextCursor; cursor == "" {
			break
		}
		if pages > 25 {
			t.Fatal("the pages have no end")
		}
	}
	if len(got) != 25 || !slices.IsSorted(got) {
		t.Errorf("the pages hold %v", got)
	}
}

func TestBranchActions(t *testing.T) {
	c := newClient(t)
	c.think("one", "two")
	out, _ := c.must(`{"thought":"another way","branchFromThought":1,"branchId":"alt"}`)
	if !out.NewBranch || out.BranchID != "alt" || out.BranchFromThought != 1 || out.ThoughtNumber != 2 {
		t.Errorf("got %+v", out)
	}
	out, _ = c.must(`{"action":"switch","branchId":"main"}`)
	if out.Active != "main" || len(out.Branches) != 2 {
		t.Errorf("switch: %+v", out)
	}
	out, _ = c.must(`{"action":"merge","branchId":"alt","thought":"both ways meet: 2+2=4"}`)
	if out.Merged == nil || out.Merged.BranchID != "alt" || out.BranchID != "main" || verdicts(out.Checks) != "verified 4" {
		t.Errorf("merge: %+v", out)
	}
	out, _ = c.must(`{"action":"branches"}`)
	if b := out.Branches[1]; b.State != "merged" || b.Into != "main" || b.Thoughts != 1 || b.Length != 2 {
		t.Errorf("branches: %+v", out.Branches)
	}
	out, _ = c.must(`{"action":"structure","branchId":"main"}`)
	if n := out.Structure[2]; n.Parent.Number != 2 || n.Merged.BranchID != "alt" {
		t.Errorf("structure: %+v", out.Structure)
	}
	c.must(`{"thought":"side","branchFromThought":2}`)
	out, _ = c.must(`{"action":"close","reason":"leads nowhere"}`)
	if b := out.Branches[2]; b.ID != "branch-2" || b.State != "closed" || b.Reason != "leads nowhere" || out.Active != "main" {
		t.Errorf("close: %+v", out)
	}
}

func TestPatterns(t *testing.T) {
	c := newClient(t)
	out, _ := c.must(`{"thought":"Write a paragraph about a graph of options","pattern":"auto"}`)
	if out.SelectedPattern != "chain" || out.Choice == nil || out.Choice.Rule != "default" || len(out.Choice.Scores) != 5 {
		t.Errorf("auto without features: %q %+v", out.SelectedPattern, out.Choice)
	}
	out, e := c.must(`{"thought":"b","pattern":"auto","patternParams":{"beamWidth":2,"candidates":["p","q"]}}`)
	if out.SelectedPattern != "beam" || out.Choice.Rule != "beam_parameters" {
		t.Errorf("auto with beam parameters: %q %+v", out.SelectedPattern, out.Choice)
	}
	if e.Next[0].Operation != "beam_search" || e.Next[0].Parameters["beamWidth"] != 2.0 {
		t.Errorf("next: %+v", e.Next)
	}
	if _, e := c.must(`{"thought":"c","pattern":"mcts","patternParams":{"domain":"nim"}}`); len(e.Next[0].Parameters) != 1 {
		t.Errorf("next with a domain: %+v", e.Next[0])
	}
	for pattern, op := range map[string]string{"tree": "tree_of_thought", "mcts": "mcts", "graph": "graph_of_thought"} {
		out, e := c.must(fmt.Sprintf(`{"thought":"go on with %s","pattern":%q}`, pattern, pattern))
		if out.SelectedPattern != pattern || out.Choice != nil || e.Next[0].Operation != op || e.Next[0].Parameters["root"] != "go on with "+pattern {
			t.Errorf("%s: %q, next %+v", pattern, out.SelectedPattern, e.Next)
		}
	}
	if out, _ := c.must(`{"thought":"candidates, branches and probabilities","patternParams":{"nodes":[]}}`); out.SelectedPattern != "chain" {
		t.Errorf("without pattern: %q", out.SelectedPattern)
	}
}

// TestProposalsWork sends what next proposes, as it stands.
func TestProposalsWork(t *testing.T) {
	c := newClient(t)
	follow := func(e *tools.Envelope, i int) (sequence.Output, *tools.Envelope) {
		t.Helper()
		b, err := json.Marshal(e.Next[i].Parameters)
		if err != nil {
			t.Fatal(err)
		}
		return c.must(string(b))
	}
	_, e := c.must(`{"thought":"Take 7*8=54 for granted.","nextThoughtNeeded":true,"totalThoughts":9}`)
	if !strings.Contains(e.Next[0].Why, "the exact value is 56") {
		t.Fatalf("no revision is proposed: %+v", e.Next)
	}
	out, _ := follow(e, 0)
	if out.Label != "1'" || out.Thought != "Correction of thought 1: 7*8 = 56, not 54." || verdicts(out.Checks) != "verified 56" {
		t.Errorf("the correction: %+v", out)
	}
	c.must(`{"thought":"Now we try to split the sum into its parts and look at each.","confidence":0.9}`)
	out, e = c.must(`{"thought":"Now we try to split the sum into its parts, and look at each!","confidence":0.85}`)
	if !out.Stalled || e.Next[0].Parameters["branchFromThought"] != 2 {
		t.Fatalf("no branch is proposed at a stall: %+v", e.Next)
	}
	if out, _ = follow(e, 0); !out.NewBranch || out.BranchFromThought != 2 {
		t.Errorf("got %+v", out)
	}
	out, e = c.must(`{"thought":"Not sure at all.","confidence":0.1,"nextThoughtNeeded":true,"totalThoughts":9}`)
	if d := out.Drift; d == nil || *d.Delta > -0.7 || d.Samples != 2 || d.Basis != tools.ClientSupplied {
		t.Errorf("drift: %+v", out.Drift)
	}
	if out, _ = follow(e, 0); !out.NewBranch {
		t.Errorf("the confidence fell, but the first proposal is %+v", e.Next[0])
	}
	c.must(`{"thought":"Let x = 5.","nextThoughtNeeded":true}`)
	out, e = c.must(`{"thought":"Hence x = 7.","nextThoughtNeeded":true}`)
	if len(out.Checks) != 1 || out.Checks[0].Kind != "rebinding" || out.Checks[0].Other == 0 {
		t.Errorf("checks: %+v", out.Checks)
	}
	if out, _ = follow(e, 0); !*out.IsRevision {
		t.Errorf("got %+v", out)
	}
}

func TestCheckAction(t *testing.T) {
	c := newClient(t)
	out, _ := c.must(`{"action":"check","thought":"2+2=5 but 1+1=2"}`)
	if verdicts(out.Checks) != "refuted 4, verified 2" || out.Integrity != nil {
		t.Errorf("a text: %+v", out)
	}
	c.think("Let x = 5, and 7*8=54.", "So 2*2=4.", "Then x = 6.")
	out, e := c.must(`{"action":"check","limit":2}`)
	if n := out.Counts; n.Thoughts != 2 || n.Verified != 1 || n.Refuted != 1 || n.Rebindings != 1 {
		t.Errorf("first page: %+v", n)
	}
	if out.Integrity == nil || !out.Integrity.Intact || out.Integrity.Records != 3 {
		t.Errorf("integrity: %+v", out.Integrity)
	}
	b, err := json.Marshal(e.Next[0].Parameters)
	if err != nil {
		t.Fatal(err)
	}
	if out, _ = c.must(string(b)); out.Counts.Thoughts != 1 || out.Counts.Rebindings != 1 || out.Page.NextCursor != "" {
		t.Errorf("second page: %+v", out)
	}
	if out, _ = c.must(`{"action":"check","thoughtNumber":2}`); verdicts(out.Checks) != "verified 4" {
		t.Errorf("one thought: %+v", out.Checks)
	}
}

func TestWire(t *testing.T) {
	c := newClient(t)
	step := func(arguments, want string) {
		t.Helper()
		e, err := c.call(sequence.Compat, json.RawMessage(arguments), nil)
		if err != nil {
			t.Errorf("%s: %v", arguments, err)
			return
		}
		if got := string(e.Result); got != want {
			t.Errorf("%s:\n got %s\nwant %s", arguments, got, want)
		}
	}
	step(`{"thought":"a","thoughtNumber":"1","totalThoughts":2,"nextThoughtNeeded":"true"}`,
		`{"thoughtNumber":1,"totalThoughts":2,"nextThoughtNeeded":true,"branches":[],"thoughtHistoryLength":1}`)
	step(`{"thought":"b","thoughtNumber":2,"totalThoughts":1,"nextThoughtNeeded":true,"revisesThought":0,"branchId":""}`,
		`{"thoughtNumber":2,"totalThoughts":2,"nextThoughtNeeded":true,"branches":[],"thoughtHistoryLength":2}`)
	step(`{"thought":"c","thoughtNumber":3,"totalThoughts":4,"nextThoughtNeeded":true,"branchFromThought":1,"branchId":"b"}`,
		`{"thoughtNumber":3,"totalThoughts":4,"nextThoughtNeeded":true,"branches":["b"],"thoughtHistoryLength":3}`)
	step(`{"thought":"d","thoughtNumber":4,"totalThoughts":4,"nextThoughtNeeded":false,"isRevision":true,"revisesThought":1,"needsMoreThoughts":false}`,
		`{"thoughtNumber":4,"totalThoughts":4,"nextThoughtNeeded":false,"branches":["b"],"thoughtHistoryLength":4}`)
	if _, err := c.call(sequence.Compat, json.RawMessage(`{"thought":"e","thoughtNumber":5,"totalThoughts":5,"nextThoughtNeeded":true,"revisesThought":99}`), nil); err == nil {
		t.Error("a revision of thought 99 was taken")
	}
	if _, err := c.call(sequence.Compat, json.RawMessage(`{"thought":"e"}`), nil); err == nil {
		t.Error("a call without the required fields was taken")
	}
	step(`{"thought":"a new problem","thoughtNumber":1,"totalThoughts":3,"nextThoughtNeeded":true}`,
		`{"thoughtNumber":1,"totalThoughts":3,"nextThoughtNeeded":true,"branches":["b"],"thoughtHistoryLength":5}`)
	// It is the same chain.
	if out, _ := c.must(`{"action":"read","branchId":"main"}`); len(out.Thoughts) != 2 || out.Thoughts[0].Thought != "d" {
		t.Errorf("read back: %+v", out.Thoughts)
	}
}

func TestLimit(t *testing.T) {
	c := newClient(t)
	h, err := c.dir.Acquire(t.Context(), alice, c.id)
	if err != nil {
		t.Fatal(err)
	}
	const by = 20 // calls of the tool; the rest is put there at once
	err = session.NewSlot[thought.Chain](thought.SlotName).Update(t.Context(), h, func(chain *thought.Chain) error {
		for chain.Len() < thought.MaxThoughts-by {
			if _, err := chain.Add(thought.Draft{Text: "t", At: time.Now()}); err != nil {
				return err
			}
		}
		return nil
	})
	h.Release()
	if err != nil {
		t.Fatal(err)
	}
	for i := range by {
		if _, e := c.must(fmt.Sprintf(`{"thought":"t%d"}`, i)); !warns(e, "near_limit") {
			t.Error("nothing said that the session was nearly full")
		}
	}
	_, e, err := c.send(`{"operation":"sequential_thinking","prompt":"one more"}`)
	if fault.KindOf(err) != fault.TooLarge || e.Error.Code != "limit_reached" || !strings.Contains(e.Error.Message, "1000") {
		t.Errorf("got %v, %+v", err, e.Error)
	}
	if out, _ := c.must(`{"action":"check"}`); !out.Integrity.Intact || out.Integrity.Records != thought.MaxThoughts {
		t.Errorf("after the refusal: %+v", out.Integrity)
	}
}

// TestLongThoughts: the texts of older thoughts are put aside, and come back when
// they are read, whoever exports the session has them all.
func TestLongThoughts(t *testing.T) {
	const count, size = 100, 8 << 10
	c := newClient(t)
	for i := range count {
		c.think(fmt.Sprintf("%03d %s", i, strings.Repeat("z", size-4)))
	}
	h, err := c.dir.Acquire(t.Context(), alice, c.id)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	slots, all := h.Export(), 0
	for _, data := range slots {
		all += len(data)
	}
	if n := len(slots[thought.SlotName]); n > count*size/2 || all < count*size {
		t.Errorf("the chain alone has %d bytes, the session %d; the texts are %d", n, all, count*size)
	}
	if out, _ := c.must(`{"action":"read","fromThought":1,"toThought":40,"maxBytes":262144}`); len(out.Thoughts) != 32 ||
		!strings.HasPrefix(out.Thoughts[31].Thought, "031 z") || out.Thoughts[31].Bytes != size {
		t.Errorf("got %d thoughts", len(out.Thoughts))
	}
	if out, _ := c.must(`{"action":"check","limit":1}`); !out.Integrity.Intact {
		t.Errorf("integrity: %+v", out.Integrity)
	}
}

func TestConcurrentAdds(t *testing.T) {
	const workers, each = 64, 4
	c := newClient(t)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				arguments := fmt.Sprintf(`{"thought":"worker %d says %d"}`, w, i)
				if w%2 == 1 { // the other tool, on the same chain
					if out, _ := c.must(arguments); out.ID == 0 {
						t.Error("no id")
					}
					continue
				}
				c.must(arguments)
			}
		})
	}
	wg.Wait()
	var numbers []int
	texts := map[string]bool{}
	out, _ := c.must(`{"action":"read","limit":500,"maxBytes":262144}`)
	for _, v := range out.Thoughts {
		numbers = append(numbers, v.Number)
		texts[v.Thought] = true
	}
	for i, n := range numbers {
		if n != i+1 {
			t.Fatalf("position %d has the number %d", i+1, n)
		}
	}
	if len(numbers) != workers*each || len(texts) != workers*each {
		t.Errorf("%d thoughts with %d texts, want %d", len(numbers), len(texts), workers*each)
	}
	if out, _ := c.must(`{"action":"check"}`); !out.Integrity.Intact {
		t.Errorf("integrity: %+v", out.Integrity)
	}
}

// BenchmarkAdd measures one call on a session that holds n thoughts of some 300
// bytes, the commit of the session included.
func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{10, 250, 500, 980} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var c *client
			held := thought.MaxThoughts
			add := func() {
				text := fmt.Sprintf("Thought %d says that 17*%d = %d and goes on. %s", held, held, 17*held, strings.Repeat("lorem ipsum dolor ", 14))
				c.must(fmt.Sprintf(`{"thought":%q,"nextThoughtNeeded":true}`, text))
				held++
			}
			for b.Loop() {
				if held >= n+20 {
					b.StopTimer()
					c, held = newClient(b), 0
					for held < n {
						add()
					}
					b.StartTimer()
				}
				add()
			}
		})
	}
}
