package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

func cellOf(name string, version uint64, data string) Cell {
	return Cell{Name: name, Version: version, Data: json.RawMessage(`{"schema":1,"data":` + data + `}`)}
}

// sample is a session with a bit of everything.
func sample() Snapshot {
	return Snapshot{
		Record: Record{
			Key: Key{Owner: alice, ID: "rs_secret"}, Name: "plans", Labels: map[string]string{"team": "blue"},
			Created: time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC), Version: 3,
		},
		Cells: []Cell{
			cellOf("notes", 1, `{"b":"ü<\u0001","a":[1.5e-9,true,null]}`),
			cellOf("tree/tree_a", 2, `{"seed":18446744073709551615}`),
			cellOf("tree/tree_b", 3, `{"parent":"tree_a"}`),
		},
	}
}

func mustEncode(t testing.TB, s Snapshot) []byte {
	t.Helper()
	doc, err := EncodeDocument(s)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func mustDecode(t testing.TB, doc []byte) Snapshot {
	t.Helper()
	s, err := DecodeDocument(doc, DocumentLimits{})
	if err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	return s
}

// signed replaces old by new in a document and makes its digest right again.
func signed(t testing.TB, doc []byte, old, new string) []byte {
	t.Helper()
	if !bytes.Contains(doc, []byte(old)) {
		t.Fatalf("%s is not in %s", old, doc)
	}
	v, err := parse(bytes.Replace(doc, []byte(old), []byte(new), 1), 1000)
	if err != nil {
		t.Fatal(err)
	}
	members := v.(map[string]any)
	if members["digest"], err = documentDigest(members); err != nil {
		t.Fatal(err)
	}
	out, err := canonical(members)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDocumentRoundTrip(t *testing.T) {
	doc := mustEncode(t, sample())
	if bytes.Contains(doc, []byte("secret")) || bytes.Contains(doc, []byte("alice")) {
		t.Error("the document names its handle or owner")
	}
	got := mustDecode(t, doc)
	if got.Name != "plans" || got.Labels["team"] != "blue" || !got.Created.Equal(sample().Created) || got.Version != 3 || len(got.Cells) != 3 || got.Owner != (Owner{}) {
		t.Errorf("got %+v", got)
	}
	if c := got.Cells[1]; c.Name != "tree/tree_a" || c.Version != 2 || string(c.Data) != `{"schema":1,"data":{"seed":18446744073709551615}}` {
		t.Errorf("cell %s", c.Data)
	}
	if again := mustEncode(t, got); !bytes.Equal(again, doc) {
		t.Errorf("encoded again:\n%s\n%s", again, doc)
	}
	var spaced bytes.Buffer
	if err := json.Indent(&spaced, doc, "", "  "); err != nil {
		t.Fatal(err)
	}
	if again := mustEncode(t, mustDecode(t, spaced.Bytes())); !bytes.Equal(again, doc) {
		t.Error("spaces change a document")
	}
}

// TestDocumentDamagedAtEveryByte flips every bit, and puts what has a meaning in
// JSON at every place. What is accepted must say exactly the same, as 1e-9 and
// 1E-9 do.
func TestDocumentDamagedAtEveryByte(t *testing.T) {
	doc := mustEncode(t, sample())
	accepted := 0
	for i := range doc {
		others := []byte(" \t\n\"\\,:{}[]0-eEt")
		for bit := range 8 {
			others = append(others, doc[i]^1<<bit)
		}
		for _, b := range others {
			if b == doc[i] {
				continue
			}
			damaged := bytes.Clone(doc)
			damaged[i] = b
			s, err := DecodeDocument(damaged, DocumentLimits{})
			if err != nil {
				if fault.KindOf(err) != fault.Invalid {
					t.Fatalf("byte %d is %d: %v", i, b, err)
				}
				continue
			}
			accepted++
			if !bytes.Equal(mustEncode(t, s), doc) {
				t.Fatalf("byte %d is %q instead of %q: accepted as another document", i, damaged[i], doc[i])
			}
		}
		if _, err := DecodeDocument(doc[:i], DocumentLimits{}); err == nil {
			t.Fatalf("accepted the first %d of %d bytes", i, len(doc))
		}
	}
	if accepted > 2 { // the E of 1.5e-9, which is a flipped bit too
		t.Errorf("%d spellings were accepted, want 2", accepted)
	}
}

// TestDocumentDepth: what can be encoded can be decoded.
func TestDocumentDepth(t *testing.T) {
	deep := func(n int) Snapshot {
		return Snapshot{Record: Record{Version: 1}, Cells: []Cell{cellOf("x", 1, strings.Repeat("[", n)+strings.Repeat("]", n))}}
	}
	mustDecode(t, mustEncode(t, deep(MaxDocumentDepth-3)))
	if _, err := EncodeDocument(deep(MaxDocumentDepth - 2)); err == nil || !strings.Contains(err.Error(), "nested too deep") {
		t.Errorf("got %v", err)
	}
}

func TestDocumentRefusals(t *testing.T) {
	doc := mustEncode(t, sample())
	for _, tc := range []struct{ old, new, want string }{
		{`"format":"lyceum-session"`, `"format":"other"`, `format is wrong: "other"`},
		{`}},"version":1}`, `}},"version":2}`, "written by a newer server, this one knows 1"},
		{`}},"version":1}`, `}},"version":"1"}`, "version is wrong"},
		{`"name":"plans"`, `"name":7`, "name is wrong"},
		{`"name":"plans"`, `"nome":"plans"`, `unknown member "nome"`},
		{`"name":"plans"`, `"name":"` + strings.Repeat("x", MaxName+1) + `"`, "name is wrong"},
		{`{"team":"blue"}`, `{"team":1}`, `labels is wrong: "team"`},
		{`{"team":"blue"}`, `[]`, "labels is wrong"},
		{`"created":"2026`, `"created":"yesterday 2026`, "created is wrong"},
		{`"sessionVersion":3`, `"sessionVersion":-3`, "sessionVersion is wrong"},
		{`"sessionVersion":3`, `"sessionVersion":2`, `slots["tree/tree_b"].version is wrong`},
		{`"schema":1`, `"schema":1.5`, `slots["notes"].schema is wrong`},
		{`"schema":1`, `"schemo":1`, `slots["notes"].schema is wrong`},
		{`"schema":1`, `"schema":1,"more":0`, `slots["notes"] is wrong`},
		{`"notes"`, `"/notes"`, `slots["/notes"] is wrong`},
		{`"notes"`, `"` + strings.Repeat("n", maxSlotName+1) + `"`, "want a name"},
	} {
		_, err := DecodeDocument(signed(t, doc, tc.old, tc.new), DocumentLimits{})
		if err == nil || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", tc.new, err, tc.want)
		}
	}
	if _, err := DecodeDocument(bytes.Replace(doc, []byte("plans"), []byte("plots"), 1), DocumentLimits{}); fault.From(err).Code != "document_corrupted" {
		t.Errorf("another name: %v", err)
	}
	for _, limits := range []DocumentLimits{{Bytes: len(doc) - 1}, {Slots: 2}} {
		if _, err := DecodeDocument(doc, limits); fault.KindOf(err) != fault.TooLarge {
			t.Errorf("%+v: %v", limits, err)
		}
	}
	if _, err := DecodeDocument(doc, DocumentLimits{Depth: 3}); err == nil || !strings.Contains(err.Error(), "nested too deep at byte") {
		t.Errorf("depth: %v", err)
	}
	for _, text := range []string{`null`, `[]`, `"x"`, `{}`} {
		if _, err := DecodeDocument([]byte(text), DocumentLimits{}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", text, err)
		}
	}
}

type node struct {
	Parent string `json:"parent,omitempty"`
	Seed   uint64 `json:"seed,omitempty"`
	Bad    bool   `json:"bad,omitempty"`
}

func (n *node) Validate() error {
	if n.Bad {
		return fmt.Errorf("it is bad")
	}
	return nil
}

func TestDocumentKnownSlots(t *testing.T) {
	doc := mustEncode(t, sample())
	notes, trees := NewSlot[map[string]any]("notes"), NewSlot[node]("tree")
	known := func(types ...SlotType) DocumentLimits { return DocumentLimits{Known: types} }
	if _, err := DecodeDocument(doc, known(notes.Type(), trees.Key("x").Type())); err != nil {
		t.Error(err)
	}
	for _, tc := range []struct {
		limits DocumentLimits
		doc    []byte
		want   string
	}{
		{known(notes.Type()), doc, `slots["tree/tree_a"] is not of a kind`},
		{known(NewSlot[int]("notes").Type(), trees.Type()), doc, `slots["notes"] is wrong`},
		{known(notes.Type(), trees.Type()), signed(t, doc, `"schema":1,"version":2`, `"schema":3,"version":2`), "schema 3, this one knows 1"},
		{known(notes.Type(), trees.Type()), signed(t, doc, `"parent":"tree_a"`, `"bad":true`), `slots["tree/tree_b"] is wrong: it is bad`},
	} {
		if _, err := DecodeDocument(tc.doc, tc.limits); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, want %s", err, tc.want)
		}
	}
}

func TestPages(t *testing.T) {
	doc := bytes.Repeat([]byte("aü€🎈"), 100)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{MinDocumentPage, 17, 100, len(doc), len(doc) + 1} {
		pages, err := Pages(doc, size)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range pages {
			if p.Page != i+1 || p.Pages != len(pages) || len(p.Text) > size || !utf8.ValidString(p.Text) {
				t.Fatalf("size %d: page %+v", size, p)
			}
		}
		shuffled := slices.Clone(pages)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got, err := JoinPages(shuffled, len(doc)); err != nil || !bytes.Equal(got, doc) {
			t.Errorf("size %d: %v", size, err)
		}
	}
	if pages, err := Pages(nil, 100); err != nil || len(pages) != 1 {
		t.Errorf("nothing: %v, %v", pages, err)
	}
	if _, err := Pages(doc, MinDocumentPage-1); err == nil {
		t.Error("a page of a few bytes")
	}
	good, _ := Pages(doc, 300)
	change := func(fn func(p []DocumentPage) []DocumentPage) []DocumentPage { return fn(slices.Clone(good)) }
	for name, bad := range map[string][]DocumentPage{
		"none":    nil,
		"missing": good[1:],
		"first":   good[:1],
		"doubled": append(slices.Clone(good[1:]), good[1]),
		"foreign": change(func(p []DocumentPage) []DocumentPage { p[1].Digest = "x"; return p }),
		"zero":    change(func(p []DocumentPage) []DocumentPage { p[1].Page = 0; return p }),
		"beyond":  change(func(p []DocumentPage) []DocumentPage { p[1].Page = 99; return p }),
		"longer":  change(func(p []DocumentPage) []DocumentPage { p[1].Text += "x"; return p }),
		"changed": change(func(p []DocumentPage) []DocumentPage { p[1].Text = strings.Replace(p[1].Text, "a", "b", 1); return p }),
	} {
		if _, err := JoinPages(bad, len(doc)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := JoinPages(good, len(doc)-1); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("over the limit: %v", err)
	}
}

// drawn is a random session.
func drawn(t *rapid.T) Snapshot {
	s := Snapshot{Record: Record{Name: rapid.StringN(0, 20, MaxName).Draw(t, "name"), Version: 100, Created: time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "created"), 0).UTC()}}
	names := rapid.MapOfN(rapid.StringMatching(`[a-z]{1,4}(/[a-z]{1,3}_[a-z0-9]{1,4})?`), rapid.Uint64Range(1, 100), 0, 8).Draw(t, "slots")
	value := rapid.OneOf(
		rapid.Map(rapid.String(), func(s string) any { return s }), rapid.Map(rapid.Float64Range(-1e300, 1e300), func(f float64) any { return f }),
		rapid.Map(rapid.Uint64(), func(n uint64) any { return n }),
		rapid.Map(rapid.MapOfN(rapid.String(), rapid.Int64(), 0, 3), func(m map[string]int64) any { return m }),
	)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		data, err := json.Marshal(value.Draw(t, name))
		if err != nil {
			t.Fatal(err)
		}
		s.Cells = append(s.Cells, cellOf(name, names[name], string(data)))
	}
	return s
}

func TestDocumentRoundTripOfAny(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc, err := EncodeDocument(drawn(t))
		if err != nil {
			t.Fatal(err)
		}
		s, err := DecodeDocument(doc, DocumentLimits{})
		if err != nil {
			t.Fatal(err)
		}
		if again, err := EncodeDocument(s); err != nil || !bytes.Equal(again, doc) {
			t.Fatalf("%v\n%s\n%s", err, again, doc)
		}
	})
}

func FuzzDecodeDocument(f *testing.F) {
	f.Add(mustEncode(f, sample()))
	f.Add(mustEncode(f, Snapshot{}))
	f.Add([]byte(`{"format":"lyceum-session","version":1}`))
	f.Add([]byte(`{"a":[{"a":1,"a":2}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		limits := DocumentLimits{Bytes: 1 << 16, Slots: 16, Depth: 32}
		s, err := DecodeDocument(data, limits)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
				t.Fatalf("unclassified: %v", err)
			}
			return
		}
		doc := mustEncode(t, s)
		if again := mustEncode(t, mustDecode(t, doc)); !bytes.Equal(doc, again) {
			t.Fatalf("not stable:\n%s\n%s", doc, again)
		}
		if _, _, err := MergeInto(sample(), s, ImportOptions{Remap: true}); err != nil {
			t.Fatal(err)
		}
	})
}
