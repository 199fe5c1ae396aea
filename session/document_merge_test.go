package session

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// applied is a session after a change, by naive means.
func applied(s Snapshot, ch Change) Snapshot {
	cells := map[string]Cell{}
	for _, c := range s.Cells {
		cells[c.Name] = c
	}
	for _, name := range ch.Drop {
		delete(cells, name)
	}
	for _, c := range ch.Put {
		cells[c.Name] = c
	}
	out := Snapshot{Record: ch.Record}
	for _, name := range slices.Sorted(maps.Keys(cells)) {
		out.Cells = append(out.Cells, cells[name])
	}
	return out
}

func bytesOf(s Snapshot) (n int64) {
	for _, c := range s.Cells {
		n += slotSize(c.Name, c.Data)
	}
	return n
}

func mustMerge(t testing.TB, current, doc Snapshot, o ImportOptions) (Snapshot, ImportReport) {
	t.Helper()
	ch, report, err := MergeInto(current, doc, o)
	if err != nil {
		t.Fatal(err)
	}
	after := applied(current, ch)
	if ch.From != current.Version || report.Bytes != bytesOf(after) || ch.Record.Bytes != report.Bytes || ch.Record.ID != current.ID || ch.Record.Owner != current.Owner {
		t.Fatalf("change %+v, report %+v: want %d bytes", ch.Record, report, bytesOf(after))
	}
	return after, report
}

func dataOf(s Snapshot, name string) string {
	for _, c := range s.Cells {
		if c.Name == name {
			return string(c.Data)
		}
	}
	return ""
}

// target is a session that has other things under some of sample's names.
func target() Snapshot {
	s := Snapshot{
		Record: Record{Key: Key{Owner: bob, ID: "rs_target"}, Version: 7},
		Cells: []Cell{
			cellOf("chain", 7, `["mine"]`),
			cellOf("notes", 2, `"other"`),
			cellOf("tree/tree_a", 3, `{"seed":1}`),
			cellOf("tree/tree_b", 4, `{"parent":"tree_a"}`), // the same text, of another tree_a
		},
	}
	s.Bytes = bytesOf(s)
	return s
}

func TestMergeRemapsAndIsIdempotent(t *testing.T) {
	doc := sample()
	doc.Cells = append(doc.Cells, cellOf("tree/tree_c", 3, `{"of":{"tree_a":["tree_b","tree_aa","x tree_a"]}}`))
	after, report := mustMerge(t, target(), doc, ImportOptions{Remap: true})
	a, b := report.Remapped["tree_a"], report.Remapped["tree_b"]
	if len(report.Remapped) != 2 || !strings.HasPrefix(a, "tree_") || len(a) != len(NewObjectID("tree")) || a == b {
		t.Fatalf("remapped %v", report.Remapped)
	}
	for name, want := range map[string]string{
		"chain":       `["mine"]`,
		"notes":       `{"a":[1.5e-9,true,null],"b":"ü<\u0001"}`,
		"tree/tree_a": `{"seed":1}`,
		"tree/tree_b": `{"parent":"tree_a"}`,
		"tree/" + a:   `{"seed":18446744073709551615}`,
		"tree/" + b:   `{"parent":"` + a + `"}`,
		"tree/tree_c": `{"of":{"` + a + `":["` + b + `","tree_aa","x tree_a"]}}`,
	} {
		if got := dataOf(after, name); got != `{"schema":1,"data":`+want+`}` {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if !slices.Equal(report.Replaced, []string{"notes"}) || len(report.Created) != 3 || len(report.Same) != 0 || report.Version != 8 || report.Mode != ImportMerge {
		t.Errorf("report %+v", report)
	}
	ch, second, err := MergeInto(after, doc, ImportOptions{Remap: true})
	if err != nil || len(ch.Put)+len(ch.Drop) != 0 || len(second.Same) != 4 || !maps.Equal(second.Remapped, report.Remapped) || second.Version != 8 {
		t.Errorf("the second import: %+v, %+v, %v", ch, second, err)
	}
	// What came in and was changed since is not overwritten by a second import.
	for i, c := range after.Cells {
		if c.Name == "tree/"+a {
			after.Cells[i] = cellOf(c.Name, 9, `{"seed":2}`)
		}
	}
	ch, third, err := MergeInto(after, doc, ImportOptions{Remap: true})
	if err != nil || len(ch.Put) != 0 || !slices.Equal(third.Kept, []string{"tree/" + a}) {
		t.Errorf("the third import: %+v, %+v, %v", ch, third, err)
	}
	// Another session, another id.
	other := target()
	other.ID = "rs_other"
	if _, r := mustMerge(t, other, doc, ImportOptions{Remap: true}); r.Remapped["tree_a"] == a {
		t.Error("two sessions gave one id")
	}
}

func TestMergeModes(t *testing.T) {
	after, report := mustMerge(t, target(), sample(), ImportOptions{})
	if !slices.Equal(report.Replaced, []string{"notes", "tree/tree_a"}) || !slices.Equal(report.Same, []string{"tree/tree_b"}) || len(report.Remapped) != 0 || dataOf(after, "chain") == "" {
		t.Errorf("without new ids: %+v", report)
	}
	after, report = mustMerge(t, target(), sample(), ImportOptions{Mode: ImportReplace, Remap: true})
	if !slices.Equal(report.Removed, []string{"chain"}) || len(after.Cells) != 3 || len(report.Remapped) != 0 {
		t.Errorf("replace: %+v", report)
	}
	doc := sample()
	doc.Cells = []Cell{cellOf("tree/root", 1, `"root"`)}
	has := target()
	has.Cells = []Cell{cellOf("tree/root", 1, `1`)}
	has.Bytes = bytesOf(has)
	after, report = mustMerge(t, has, doc, ImportOptions{Remap: true})
	if id := report.Remapped["root"]; !slices.Equal(report.Unlinked, []string{"root"}) || dataOf(after, "tree/"+id) != `{"schema":1,"data":"root"}` {
		t.Errorf("an id that is a word: %+v", report)
	}
}

func TestMergeRefuses(t *testing.T) {
	limit := target().Bytes
	if _, _, err := MergeInto(target(), sample(), ImportOptions{Remap: true, MaxBytes: limit}); fault.From(err).Code != "session_too_large" {
		t.Errorf("over the limit: %v", err)
	}
	if _, _, err := MergeInto(target(), sample(), ImportOptions{Mode: "x"}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("mode: %v", err)
	}
	if _, _, err := MergeInto(target(), sample(), ImportOptions{Known: []SlotType{NewSlot[any]("notes").Type()}}); fault.From(err).Code != "document_slot_unknown" {
		t.Errorf("unknown slot: %v", err)
	}
	for _, data := range []string{``, `{}`, `[1]`, `{"schema":"1","data":1}`, `{"schema":1.5,"data":1}`, `{"schema":1,"data":1,"x":1}`} {
		broken := Snapshot{Cells: []Cell{{Name: "x", Version: 1, Data: json.RawMessage(data)}}}
		if _, _, err := MergeInto(target(), broken, ImportOptions{}); err == nil {
			t.Errorf("merged the envelope %s", data)
		}
	}
}

// TestImportOfAny: what is exported, imported into an empty session and exported
// again has the same slots; a second import changes nothing; and any two
// sessions can be merged so that the same holds.
func TestImportOfAny(t *testing.T) {
	d := New(Config{}, nil)
	rapid.Check(t, func(rt *rapid.T) {
		doc := mustDecode(t, mustEncode(t, drawn(rt)))
		h := mustOpen(t, d, alice, Params{})
		defer h.Release()
		report, err := h.Import(t.Context(), doc, ImportOptions{Remap: true})
		if err != nil || len(report.Created) != len(doc.Cells) {
			rt.Fatalf("%+v, %v", report, err)
		}
		back, err := h.Snapshot()
		if err != nil {
			rt.Fatal(err)
		}
		if !slices.EqualFunc(back.Cells, doc.Cells, func(a, b Cell) bool { return a.Name == b.Name && bytes.Equal(a.Data, b.Data) }) || back.Bytes != report.Bytes {
			rt.Fatalf("got %v, want %v", back.Cells, doc.Cells)
		}
		for range 2 { // onto what is there, of another document
			other := drawn(rt)
			if _, err := h.Import(t.Context(), other, ImportOptions{Remap: true}); err != nil {
				rt.Fatal(err)
			}
			version := h.Version()
			again, err := h.Import(t.Context(), other, ImportOptions{Remap: true})
			if err != nil || h.Version() != version || len(again.Created)+len(again.Replaced)+len(again.Kept) != 0 {
				rt.Fatalf("the second time: %+v, %v", again, err)
			}
		}
	})
	checkInvariants(t, d)
}

func TestImportIsOneCommit(t *testing.T) {
	d := New(Config{MaxBytes: 2000}, nil)
	h := mustOpen(t, d, alice, Params{})
	defer h.Release()
	trees := NewSlot[node]("tree")
	mustUpdate(t, trees.Key("tree_a"), h, func(n *node) error { n.Seed = 1; return nil })
	report, err := h.Import(t.Context(), sample(), ImportOptions{DryRun: true, Remap: true})
	if err != nil || h.Version() != 1 || len(report.Created) != 3 {
		t.Errorf("dry run: %+v, %v, version %d", report, err, h.Version())
	}
	h.Expect(9)
	if _, err := h.Import(t.Context(), sample(), ImportOptions{}); !isVersionConflict(err) {
		t.Errorf("with a wrong expectation: %v", err)
	}
	h.Expect(1)
	if report, err = h.Import(t.Context(), sample(), ImportOptions{}); err != nil || h.Version() != 2 || report.Version != 2 || h.Info().Bytes != report.Bytes {
		t.Errorf("%+v, %v, version %d, %d bytes", report, err, h.Version(), h.Info().Bytes)
	}
	// The value that Update kept decoded is of yesterday.
	mustUpdate(t, trees.Key("tree_a"), h, func(n *node) error {
		if n.Seed != 1<<64-1 {
			t.Errorf("seed %d", n.Seed)
		}
		return nil
	})
	big := sample()
	big.Cells = []Cell{cellOf("x", 1, `"`+strings.Repeat("x", 2000)+`"`)}
	before := h.Export()
	if _, err := h.Import(t.Context(), big, ImportOptions{MaxBytes: 1 << 30}); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("too large: %v", err)
	}
	if !maps.EqualFunc(before, h.Export(), func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
		t.Error("a refused import changed something")
	}
	if report, err = h.Import(t.Context(), Snapshot{}, ImportOptions{Mode: ImportReplace}); err != nil || len(h.Export()) != 0 || h.Info().Bytes != 0 {
		t.Errorf("replace by nothing: %+v, %v", report, err)
	}
	checkInvariants(t, d)
}
