package catalog_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/forgetest"
	"github.com/lyceum-mcp/lyceum/internal/reason/thought"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/catalog"
)

var owner = session.Owner{Tenant: "t", Issuer: "i", Subject: "s"}

// desk is one session of a directory, and the facade over all operations.
type desk struct {
	testing.TB
	facade *tools.Facade
	h      *session.Handle
}

func newDesk(t testing.TB) *desk { return deskIn(t, session.New(session.Config{}, nil)) }

func deskIn(t testing.TB, dir *session.Directory) *desk {
	t.Helper()
	r, err := tools.NewRegistry(catalog.All()...)
	if err != nil {
		t.Fatal(err)
	}
	h, err := dir.Open(t.Context(), owner, session.Params{Name: "plans"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Release)
	return &desk{t, tools.NewFacade(r), h}
}

// send calls an operation. An unclassified failure ends the test.
func (d *desk) send(operation, parameters string) *tools.Envelope {
	d.Helper()
	e := call(d.TB, d.facade, d.h, fmt.Sprintf(`{"operation":%q,"parameters":%s}`, operation, parameters))
	if e.Error != nil && e.Error.Code == "internal" {
		d.Fatalf("%s %.300s: %+v", operation, parameters, e.Error)
	}
	return e
}

func (d *desk) must(operation, parameters string) json.RawMessage {
	d.Helper()
	e := d.send(operation, parameters)
	if e.Error != nil {
		d.Fatalf("%s %.300s: %+v", operation, parameters, e.Error)
	}
	return e.Result
}

func field[T any](t testing.TB, raw json.RawMessage, name string) (v T) {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(m[name], &v); err != nil {
		t.Fatalf("%s: %v in %.300s", name, err, raw)
	}
	return v
}

// fill does a bit of everything that leaves something in a session.
func (d *desk) fill(thoughts int) {
	d.Helper()
	for i := range thoughts {
		d.must("sequential_thinking", fmt.Sprintf(`{"thought":"%d + 1 = %d, so x%d = %d.","nextThoughtNeeded":true}`, i, i+1, i, i))
	}
	d.must("sequential_thinking", `{"thought":"Another way.","branchFromThought":1,"branchId":"side","nextThoughtNeeded":true}`)
	d.must("sequential_thinking", `{"thought":"Corrected.","isRevision":true,"revisesThought":1,"branchId":"main","nextThoughtNeeded":true}`)
	d.must("sequential_thinking", `{"action":"merge","branchId":"side","into":"main"}`)
	tree := field[string](d, d.must("mcts", `{"action":"start","root":"Which store?","candidates":["memory",{"content":"file","prior":0.5}],"discount":0.9}`), "treeId")
	for range 5 {
		var tickets []struct{ Ticket string }
		if err := json.Unmarshal(d.mustField("mcts", `{"action":"ask","treeId":"`+tree+`","n":2}`, "tickets"), &tickets); err != nil {
			d.Fatal(err)
		}
		d.must("mcts", fmt.Sprintf(`{"action":"tell","treeId":%q,"ticket":%q,"value":0.4,"children":["then %s","else"]}`, tree, tickets[0].Ticket, tickets[0].Ticket))
	}
	d.must("decision_framework", `{"options":[{"name":"A","attributes":{"quality":8,"cost":120}},{"name":"B","attributes":{"quality":6,"cost":90}}],"criteria":[{"name":"quality","weight":2},{"name":"cost","type":"minimize"}],"draws":50}`)
	d.must("decision_framework", `{"analysisType":"maximin","payoffs":{"bonds":[40,5],"stocks":[70,-13]}}`)
	for _, begin := range []string{
		`{"first":1,"last":9}`, `{"items":["a","b","c"],"errorRate":0.1}`, `{"elements":["a","b","c","d"]}`,
		`{"causes":["a","b"],"tests":[{"name":"t","failIf":{"a":0.9},"otherwise":0.1}]}`, `{"components":[{"name":"a"},{"name":"b"}]}`, `{"choice":"x","options":["a","b"]}`,
	} {
		id := field[string](d, d.must("debugging_approach", begin), "caseId")
		d.must("debugging_approach", fmt.Sprintf(`{"caseId":%q,"outcome":"fail"}`, id))
	}
}

func (d *desk) mustField(operation, parameters, name string) json.RawMessage {
	d.Helper()
	return field[json.RawMessage](d, d.must(operation, parameters), name)
}

func (d *desk) digest() string {
	d.Helper()
	return field[string](d, d.must("session_export", `{}`), "digest")
}

func (d *desk) document() json.RawMessage {
	d.Helper()
	return d.mustField("session_export", `{"form":"document","maxBytes":1048576}`, "document")
}

// use does what an owner may do with what a session holds, and looks at all of it.
func (d *desk) use() {
	d.Helper()
	began := time.Now()
	d.send("debugging_approach", `{"action":"list"}`)
	d.send("orchestration_suggest", `{"task":"debug and decide"}`)
	for _, p := range []string{
		`{"action":"read","all":true}`, `{"action":"structure"}`, `{"action":"branches"}`, `{"action":"check"}`,
		`{"thought":"x1 = 99 and 2 + 2 = 5.","nextThoughtNeeded":true,"totalThoughts":3}`, `{"thought":"Again.","isRevision":true,"revisesThought":1}`,
		`{"thought":"Aside.","branchFromThought":1,"branchId":"aside"}`, `{"action":"merge","branchId":"aside","into":"main"}`, `{"action":"switch","branchId":"main"}`,
		`{"action":"close"}`, `{"action":"check","branchId":"main"}`,
	} {
		e := d.send("sequential_thinking", p)
		if e.Error == nil && strings.Contains(p, "check") && strings.Contains(string(e.Result), `"intact":false`) {
			d.Fatalf("%s: %s", p, e.Result)
		}
	}
	d.must("mcts", `{"action":"list"}`)
	for _, id := range d.h.Keys("mcts") {
		on := func(action, more string) *tools.Envelope {
			return d.send("mcts", fmt.Sprintf(`{"action":%q,"treeId":%q%s}`, action, id, more))
		}
		for range 3 {
			e := on("ask", `,"n":4`)
			var out struct{ Tickets []struct{ Ticket string } }
			if e.Error != nil || json.Unmarshal(e.Result, &out) != nil {
				d.Fatalf("ask: %+v", e.Error)
			}
			for _, t := range out.Tickets {
				on("tell", fmt.Sprintf(`,"ticket":%q,"value":0.5,"children":["so %s"]`, t.Ticket, t.Ticket))
			}
		}
		for _, criterion := range []string{"visits", "value", "lcb"} {
			on("best", `,"criterion":"`+criterion+`"`)
		}
		for _, format := range []string{"mermaid", "dot", "json"} {
			on("export", `,"format":"`+format+`"`)
		}
	}
	d.must("decision_framework", `{"action":"list"}`)
	for _, id := range d.h.Keys("decision") {
		for _, more := range []string{`"action":"get"`, `"draws":20`, `"analysisType":"topsis"`, `"analysisType":"hurwicz"`, `"weights":{"cost":3}`} {
			d.send("decision_framework", fmt.Sprintf(`{"decisionId":%q,%s}`, id, more))
		}
	}
	d.must("session_info", `{}`)
	// What is there now is what the operations write: it can go elsewhere again.
	doc := d.document()
	newDesk(d.TB).must("session_import", `{"document":`+string(doc)+`}`)
	if took := time.Since(began); took > 60*time.Second {
		d.Fatalf("the operations took %v", took)
	}
}

func TestImportTakesEverything(t *testing.T) {
	from := newDesk(t)
	from.fill(70) // two blocks of texts are put aside
	if n := len(from.h.Keys(thought.SlotName + "_texts")); n != 1 {
		t.Fatalf("%d blocks of texts", n)
	}
	doc, digest := string(from.document()), from.digest()
	to := newDesk(t)
	if out := to.must("session_import", `{"document":`+doc+`}`); !field[bool](t, out, "changed") || to.digest() != digest {
		t.Errorf("%s: digest %s, want %s", out, to.digest(), digest)
	}
	if out := to.must("session_import", `{"document":`+doc+`}`); field[bool](t, out, "changed") {
		t.Errorf("the second time: %s", out)
	}
	to.use()

	// Into a session with a longer chain, a tree and a decision of its own: the
	// chain and its texts are replaced as one, the others stay.
	busy := newDesk(t)
	busy.fill(120)
	if n := len(busy.h.Keys(thought.SlotName + "_texts")); n != 3 {
		t.Fatalf("%d blocks of texts", n)
	}
	out := busy.must("session_import", `{"document":`+doc+`}`)
	if removed := field[[]string](t, out, "removed"); !slices.Equal(removed, []string{"sequential_texts/001", "sequential_texts/002"}) {
		t.Errorf("removed %v", removed)
	}
	if len(busy.h.Keys("mcts")) != 2 || len(busy.h.Keys("decision")) != 4 {
		t.Errorf("%v, %v", busy.h.Keys("mcts"), busy.h.Keys("decision"))
	}
	if out := busy.must("sequential_thinking", `{"action":"check","limit":500}`); !field[struct{ Intact bool }](t, out, "integrity").Intact {
		t.Errorf("the chain: %s", out)
	}
	busy.use()

	// The same objects, changed: they come under new ids.
	twin := newDesk(t)
	twin.must("session_import", `{"document":`+doc+`}`)
	tree := twin.h.Keys("mcts")[0]
	twin.must("mcts", `{"action":"ask","treeId":"`+tree+`"}`)
	out = twin.must("session_import", `{"document":`+doc+`}`)
	if ids := field[map[string]string](t, out, "remapped"); len(ids) != 1 || !strings.HasPrefix(ids[tree], "tree_") {
		t.Errorf("remapped %v", ids)
	}
	twin.must("mcts", `{"action":"best","treeId":"`+field[map[string]string](t, out, "remapped")[tree]+`"}`)
	if out = twin.must("session_import", `{"mode":"replace","document":`+doc+`}`); len(twin.h.Keys("mcts")) != 1 || twin.digest() != digest {
		t.Errorf("replaced: %s", out)
	}
}

// In a session that can take no more, nothing changes.
func TestImportOverTheLimits(t *testing.T) {
	from := newDesk(t)
	from.fill(70)
	doc := string(from.document())
	small := deskIn(t, session.New(session.Config{MaxBytes: int64(len(doc)) / 2}, nil))
	if e := small.send("session_import", `{"document":`+doc+`}`); e.Error == nil || e.Error.Code != "session_too_large" || small.h.Version() != 0 {
		t.Errorf("over the session's bytes: %+v", e.Error)
	}
	dir := session.New(session.Config{MaxBytes: 4 << 20, MaxBytesPerOwner: int64(len(doc)) * 3 / 2}, nil)
	first, second := deskIn(t, dir), deskIn(t, dir)
	first.must("session_import", `{"document":`+doc+`}`)
	if e := second.send("session_import", `{"document":`+doc+`}`); e.Error == nil || e.Error.Code != "owner_bytes_exceeded" || second.h.Version() != 0 {
		t.Errorf("over the owner's bytes: %+v", e.Error)
	}
	crowded := newDesk(t)
	for range 50 {
		crowded.must("mcts", `{"action":"start","root":"r"}`)
	}
	if e := crowded.send("session_import", `{"document":`+doc+`}`); e.Error == nil || e.Error.Code != "too_many_objects" || crowded.h.Version() != 50 {
		t.Errorf("over the trees: %+v", e.Error)
	}
}

// forge returns a document with changes in the slots of a session, whose digest is
// right again: a digest tells of damage, not of forgery.
func forge(t testing.TB, s session.Snapshot, rng *rand.Rand) []byte {
	t.Helper()
	cells := slices.Clone(s.Cells)
	for range 1 + rng.IntN(2) {
		i := rng.IntN(len(cells))
		var env struct {
			Schema json.RawMessage `json:"schema"`
			Data   json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal(cells[i].Data, &env); err != nil {
			t.Fatal(err)
		}
		switch rng.IntN(12) {
		case 0:
			cells = slices.Delete(cells, i, i+1)
			if len(cells) == 0 {
				return nil
			}
			continue
		case 1:
			cells[i].Name = cells[rng.IntN(len(cells))].Name + "x"
		case 2:
			env.Schema = json.RawMessage(fmt.Sprint(rng.IntN(4)))
		default:
			env.Data = forgetest.Mutate(rng, env.Data, 2)
		}
		data, err := json.Marshal(env)
		if err != nil {
			t.Fatal(err)
		}
		cells[i].Data = data
	}
	s.Cells = cells
	doc, err := session.EncodeDocument(s)
	if err != nil {
		return nil // such as a number that no document can hold
	}
	return doc
}

func attack(t testing.TB, doc []byte) bool {
	t.Helper()
	to := newDesk(t)
	parameters, err := json.Marshal(map[string]any{"document": string(doc)})
	if err != nil {
		t.Fatal(err)
	}
	e := to.send("session_import", string(parameters))
	if e.Error != nil {
		if to.h.Version() != 0 || len(to.h.Export()) != 0 {
			t.Fatalf("refused, but the session changed: %+v", e.Error)
		}
		return false
	}
	to.use()
	return true
}

func sampleSession(t testing.TB) session.Snapshot {
	t.Helper()
	from := newDesk(t)
	from.fill(50)
	s, err := from.h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestForgedDocuments(t *testing.T) {
	const forged = 150
	s := sampleSession(t)
	accepted, tried := 0, 0
	for seed := range uint64(forged) {
		if doc := forge(t, s, rand.New(rand.NewPCG(seed, 11))); doc != nil {
			tried++
			if attack(t, doc) {
				accepted++
			}
		}
	}
	t.Logf("%d of %d forged documents accepted, and then in order", accepted, tried)
	if tried < forged/2 || accepted == 0 || accepted > tried/2 {
		t.Errorf("%d of %d forged documents accepted: the test does not reach far", accepted, tried)
	}
}

func FuzzDocument(f *testing.F) {
	s := sampleSession(f)
	doc, err := session.EncodeDocument(s)
	if err != nil {
		f.Fatal(err)
	}
	for seed := range uint64(6) {
		f.Add(doc, seed)
	}
	f.Fuzz(func(t *testing.T, doc []byte, seed uint64) {
		if len(doc) > 1<<20 {
			return
		}
		attack(t, doc)
		if forged := forge(t, s, rand.New(rand.NewPCG(seed, 13))); forged != nil {
			attack(t, forged)
		}
	})
}
