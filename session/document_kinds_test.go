package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// counted is a value with an invariant. Its error has a kind, as those of reason
// packages have.
type counted struct {
	N     int   `json:"n"`
	Items []int `json:"items"`
}

func (t *counted) Validate() error {
	if t.N != len(t.Items) {
		return fault.Newf(fault.NotFound, "n: %d, want %d", t.N, len(t.Items))
	}
	return nil
}

type page struct {
	Text string `json:"text"`
}

func (p *page) Validate() error {
	if p.Text == "" {
		return errors.New("text: nothing")
	}
	return nil
}

type book struct {
	Pages []string `json:"pages"`
	Cites string   `json:"cites,omitempty"`
}

var (
	tallies = NewSlot[counted]("tally")
	books   = NewSlot[book]("book")
	pages   = NewSlot[page]("book_pages")
)

// bound says whether the pages are those of the book, by their keys.
func bound(b *book, all map[string]page) error {
	for key, p := range all {
		i := slices.Index(b.Pages, p.Text)
		if i < 0 || key != fmt.Sprint(i) {
			return fmt.Errorf("page %s is none of the book", key)
		}
	}
	if len(all) != len(b.Pages) {
		return fmt.Errorf("%d pages of %d", len(all), len(b.Pages))
	}
	return nil
}

func kinds() []SlotType {
	return append(Joined(books, pages, bound), tallies.Type().Keyed("tally_", 3))
}

func snapshotOf(cells ...Cell) Snapshot {
	s := Snapshot{Record: Record{Key: Key{Owner: bob, ID: "rs_target"}, Version: 9}, Cells: cells}
	s.Bytes = bytesOf(s)
	return s
}

func TestKindsOfDocuments(t *testing.T) {
	for name, tt := range map[string]struct {
		cells []Cell
		code  string
		want  string
	}{
		"in order":         {[]Cell{cellOf("book", 1, `{"pages":["a","b"]}`), cellOf("book_pages/0", 1, `{"text":"a"}`), cellOf("book_pages/1", 1, `{"text":"b"}`), cellOf("tally/tally_1", 1, `{"n":1,"items":[4]}`)}, "", ""},
		"an invariant":     {[]Cell{cellOf("tally/tally_1", 1, `{"n":2,"items":[4]}`)}, "document_invalid", `slots["tally/tally_1"] is wrong: n: 2, want 1`},
		"no key":           {[]Cell{cellOf("tally", 1, `{"n":0}`)}, "document_invalid", "want a key of tally_"},
		"no id":            {[]Cell{cellOf("tally/tally_", 1, `{"n":0}`)}, "document_invalid", "want a key of tally_"},
		"another id":       {[]Cell{cellOf("tally/book_1", 1, `{"n":0}`)}, "document_invalid", "want a key of tally_"},
		"an id with marks": {[]Cell{cellOf("tally/tally_a/b", 1, `{"n":0}`)}, "document_invalid", "want a key of tally_"},
		"a long id":        {[]Cell{cellOf("tally/tally_"+strings.Repeat("a", 99), 1, `{"n":0}`)}, "document_invalid", "want a key of tally_"},
		"a key":            {[]Cell{cellOf("book/x", 1, `{}`)}, "document_invalid", "without a key"},
		"a part alone":     {[]Cell{cellOf("book_pages/0", 1, `{"text":"a"}`)}, "document_invalid", `is a part of slots["book"], which is missing`},
		"a part is wrong":  {[]Cell{cellOf("book", 1, `{"pages":["a"]}`), cellOf("book_pages/0", 1, `{"text":""}`)}, "document_invalid", `slots["book_pages/0"] is wrong: text`},
		"a part missing":   {[]Cell{cellOf("book", 1, `{"pages":["a"]}`)}, "document_invalid", `slots["book"] is wrong: 0 pages of 1`},
		"another part":     {[]Cell{cellOf("book", 1, `{"pages":["a"]}`), cellOf("book_pages/0", 1, `{"text":"b"}`)}, "document_invalid", `slots["book"] is wrong: page 0`},
	} {
		doc, err := EncodeDocument(snapshotOf(tt.cells...))
		if err != nil {
			t.Fatal(err)
		}
		_, err = DecodeDocument(doc, DocumentLimits{Known: kinds()})
		if tt.code == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if f := fault.From(err); f.Code != tt.code || f.Kind != fault.Invalid || !strings.Contains(f.Public, tt.want) {
			t.Errorf("%s: %v, want %s: %s", name, err, tt.code, tt.want)
		}
		// What was not decoded is judged by the import.
		if _, _, err := MergeInto(snapshotOf(), snapshotOf(tt.cells...), ImportOptions{Known: kinds()}); fault.From(err).Code != tt.code {
			t.Errorf("%s: imported, %v", name, err)
		}
	}
}

// A value in several slots is replaced as one: its parts get no new ids, those of
// the value before go, and a text of it is no reference.
func TestMergeJoined(t *testing.T) {
	current := snapshotOf(
		cellOf("book", 1, `{"pages":["x","y","z"]}`), cellOf("book_pages/0", 1, `{"text":"x"}`), cellOf("book_pages/1", 1, `{"text":"y"}`),
		cellOf("book_pages/2", 1, `{"text":"z"}`), cellOf("tally/tally_1", 2, `{"items":[1],"n":1}`),
	)
	doc := snapshotOf(
		cellOf("book", 1, `{"cites":"tally_1","pages":["a","tally_1"]}`), cellOf("book_pages/0", 1, `{"text":"a"}`), cellOf("book_pages/1", 1, `{"text":"tally_1"}`),
		cellOf("tally/tally_1", 2, `{"items":[2],"n":1}`),
	)
	after, report := mustMerge(t, current, doc, ImportOptions{Remap: true, Known: kinds()})
	if len(report.Remapped) != 1 || report.Remapped["tally_1"] == "" || !slices.Equal(report.Removed, []string{"book_pages/2"}) ||
		!slices.Equal(report.Replaced, []string{"book", "book_pages/0", "book_pages/1"}) || len(report.Unlinked) != 0 {
		t.Fatalf("%+v", report)
	}
	for name, want := range map[string]string{
		"book": `{"cites":"tally_1","pages":["a","tally_1"]}`, "book_pages/1": `{"text":"tally_1"}`, "tally/tally_1": `{"items":[1],"n":1}`,
	} {
		if got := dataOf(after, name); got != `{"schema":1,"data":`+want+`}` {
			t.Errorf("%s is %s", name, got)
		}
	}
	if err := checkJoined(kinds(), after.Cells); err != nil {
		t.Error(err)
	}
	if ch, again, err := MergeInto(after, doc, ImportOptions{Remap: true, Known: kinds()}); err != nil || len(ch.Put)+len(ch.Drop) != 0 {
		t.Errorf("the second time: %+v, %v", again, err)
	}
	// A document without the value leaves it alone.
	if _, report = mustMerge(t, current, snapshotOf(doc.Cells[3]), ImportOptions{Known: kinds()}); len(report.Removed) != 0 {
		t.Errorf("without a book: %+v", report)
	}
}

func TestMergeTooMany(t *testing.T) {
	some := func(from, n int) (cells []Cell) {
		for i := range n {
			cells = append(cells, cellOf(fmt.Sprint("tally/tally_", from+i), 1, `{"n":0}`))
		}
		return cells
	}
	o := ImportOptions{Known: kinds(), Remap: true}
	if _, _, err := MergeInto(snapshotOf(some(0, 2)...), snapshotOf(some(5, 2)...), o); fault.From(err).Code != "too_many_objects" || fault.KindOf(err) != fault.TooLarge {
		t.Errorf("4 of 3: %v", err)
	}
	o.Mode = ImportReplace
	mustMerge(t, snapshotOf(some(0, 2)...), snapshotOf(some(5, 3)...), o)
	o.Mode = ImportMerge
	mustMerge(t, snapshotOf(some(0, 4)...), snapshotOf(some(0, 4)...), o) // too many, but none comes in
}

// A value of an older schema is judged after its migration.
func TestValidateAfterMigration(t *testing.T) {
	slot := NewSlotVersion[counted]("tally", 2, Migration{From: 1, Up: func(data json.RawMessage) (json.RawMessage, error) {
		var items []int
		if err := json.Unmarshal(data, &items); err != nil {
			return nil, err
		}
		return json.Marshal(counted{len(items) - len(items)%2, items})
	}})
	known := []SlotType{slot.Type().Keyed("tally", 3)}
	for data, ok := range map[string]bool{`[1,2]`: true, `[1,2,3]`: false, `{"n":1}`: false} {
		_, _, err := MergeInto(snapshotOf(), snapshotOf(cellOf("tally/tally_1", 1, data)), ImportOptions{Known: known})
		if (err == nil) != ok {
			t.Errorf("%s: %v", data, err)
		}
	}
}

// A refused document leaves the session as it was.
func TestRefusedImportChangesNothing(t *testing.T) {
	d := New(Config{}, nil)
	h, err := d.Open(t.Context(), alice, Params{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	if err := tallies.Key("tally_0").Update(t.Context(), h, func(v *counted) error { *v = counted{1, []int{7}}; return nil }); err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprint(h.Export(), h.Version())
	for _, mode := range []ImportMode{ImportMerge, ImportReplace} {
		_, err := h.Import(t.Context(), snapshotOf(cellOf("tally/tally_1", 1, `{"n":0}`), cellOf("tally/tally_2", 1, `{"n":5}`)), ImportOptions{Mode: mode, Known: kinds()})
		if fault.From(err).Code != "document_invalid" {
			t.Errorf("%s: %v", mode, err)
		}
		if after := fmt.Sprint(h.Export(), h.Version()); after != before {
			t.Errorf("%s: %s, want %s", mode, after, before)
		}
	}
}
