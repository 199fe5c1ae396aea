package session

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// ImportMode says what becomes of what the session holds already.
type ImportMode string

// The modes.
const (
	ImportMerge   ImportMode = "merge"   // it stays, except for slots that the document holds too
	ImportReplace ImportMode = "replace" // it goes: the session holds what the document holds
)

// ImportOptions say how a document comes into a session.
type ImportOptions struct {
	Mode ImportMode // empty: ImportMerge
	// Remap gives an object of the document, a slot with a key, a new id if the
	// session has another object of its id. Without it the document's object
	// replaces the session's. It concerns ImportMerge only.
	Remap    bool
	MaxBytes int64      // of the session's state after it; 0: DefaultMaxBytes
	Known    []SlotType // as in DocumentLimits
	DryRun   bool       // of Handle.Import: report only
}

// ImportReport says what an import does, by the names that slots have after it.
type ImportReport struct {
	Mode     ImportMode        `json:"mode"`
	Digest   string            `json:"digest"` // the document's own
	Created  []string          `json:"created"`
	Replaced []string          `json:"replaced"`
	Same     []string          `json:"same"`              // the session holds them already
	Kept     []string          `json:"kept,omitempty"`    // an earlier import of this document brought them, and they have changed since
	Removed  []string          `json:"removed,omitempty"` // by ImportReplace, or as a part of what was replaced
	Remapped map[string]string `json:"remapped"`          // old id of an object to its new one
	Unlinked []string          `json:"unlinked,omitempty"`
	Bytes    int64             `json:"bytes"` // of the session's state after it
	Version  uint64            `json:"version"`
}

// MergeInto returns the change that brings a document into a session. Both are
// as they are, nothing is written.
//
// An id that an object gets anew comes from the session's id, the document's
// digest and the old id, so that to import a document twice changes nothing the
// second time. Where a text in the document is that old id, it becomes the new
// one, names of members included; ids that could as well be ordinary words, with
// no "_" in them, are reported as unlinked instead. A slot without a key has no
// id: the document's replaces the session's. What Joined describes is replaced as
// one.
//
// It refuses what would be over MaxBytes, more objects of a kind than Keyed
// allows, and slots that Known cannot read.
func MergeInto(current, doc Snapshot, o ImportOptions) (Change, ImportReport, error) {
	o.Mode = cmp.Or(o.Mode, ImportMerge)
	if o.Mode != ImportMerge && o.Mode != ImportReplace {
		return Change{}, ImportReport{}, fault.Newf(fault.Invalid, "the import's mode is %.32q: want %q or %q", o.Mode, ImportMerge, ImportReplace)
	}
	if err := checkJoined(o.Known, doc.Cells); err != nil {
		return Change{}, ImportReport{}, err
	}
	m, err := newMerge(current, doc, o.Known)
	if err != nil {
		return Change{}, ImportReport{}, err
	}
	if o.Mode == ImportMerge && o.Remap {
		if err := m.findRemapped(); err != nil {
			return Change{}, ImportReport{}, err
		}
	}
	ch := Change{Record: current.Record, From: current.Version}
	report, err := m.fill(&ch, &o)
	if err != nil {
		return Change{}, ImportReport{}, err
	}
	limit := cmp.Or(o.MaxBytes, DefaultMaxBytes)
	if ch.Record.Bytes > limit && ch.Record.Bytes > current.Bytes {
		return Change{}, ImportReport{}, coded(fault.TooLarge, "session_too_large",
			"the session's state would have %d bytes after the import: the limit is %d; delete objects, or import into another session", ch.Record.Bytes, limit)
	}
	return ch, report, nil
}

// merge is one import under way.
type merge struct {
	session ID
	digest  string
	current map[string]json.RawMessage // canonical
	size    map[string]int64           // of the current cells as they are
	doc     []docCell
	ids     map[string]string // old to new, of what is remapped
}

// docCell is a slot of the document, parsed.
type docCell struct {
	name, base, id string // id is empty for a slot without one
	schema         uint64
	data           any
	fixed          bool // it is taken as it is, whatever ids change
}

func newMerge(current, doc Snapshot, known []SlotType) (*merge, error) {
	members, err := documentOf(doc)
	if err != nil {
		return nil, err
	}
	sum, _ := members["digest"].(string)
	m := &merge{session: current.ID, digest: sum, current: map[string]json.RawMessage{}, size: map[string]int64{}, ids: map[string]string{}}
	for _, c := range current.Cells {
		parsed, err := parseCell(&c)
		if err != nil {
			return nil, err
		}
		if m.current[c.Name], err = seal(parsed.schema, parsed.data); err != nil {
			return nil, err
		}
		m.size[c.Name] = slotSize(c.Name, c.Data)
	}
	for _, c := range doc.Cells {
		parsed, err := parseCell(&c)
		if err != nil {
			return nil, err
		}
		if typeOf(known, parsed.base).whole() {
			parsed.id, parsed.fixed = "", true // the key of a part is no id
		}
		m.doc = append(m.doc, parsed)
	}
	return m, nil
}

func parseCell(c *Cell) (docCell, error) {
	env, err := openEnvelope(c.Name, c.Data)
	if err != nil {
		return docCell{}, err
	}
	schema, ok := natural(env["schema"], maxSchema)
	if !ok {
		return docCell{}, fmt.Errorf("slot %s: its schema is not a whole number", c.Name)
	}
	out := docCell{name: c.Name, schema: schema, data: env["data"]}
	out.base, out.id, _ = strings.Cut(c.Name, "/")
	return out, nil
}

// newID derives the id that an object gets in this session.
func (m *merge) newID(old string) string {
	prefix := "id_"
	if i := strings.LastIndexByte(old, '_'); i > 0 && i < 64 {
		prefix = old[:i+1]
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s%s\x00%s", len(m.session), m.session, m.digest, old))
	return prefix + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:26])
}

// rename returns the name that a cell of the document gets.
func (m *merge) rename(c *docCell) string {
	if id, ok := m.ids[c.id]; ok && c.id != "" {
		return c.base + "/" + id
	}
	return c.name
}

// linked reports whether a text that equals the id can be taken for it.
func linked(id string) bool { return strings.Contains(id, "_") }

// relink returns v with the old ids in it replaced.
func (m *merge) relink(v any) any {
	text := func(s string) string {
		if id, ok := m.ids[s]; ok && linked(s) {
			return id
		}
		return s
	}
	switch v := v.(type) {
	case string:
		return text(v)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = m.relink(item)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			name := text(k)
			if _, taken := v[name]; taken {
				name = k
			}
			out[name] = m.relink(item)
		}
		return out
	}
	return v
}

func (m *merge) sealed(c *docCell) (json.RawMessage, error) {
	if len(m.ids) == 0 || c.fixed {
		return seal(c.schema, c.data)
	}
	return seal(c.schema, m.relink(c.data))
}

// findRemapped finds which objects need a new id: those that an earlier import
// gave one; those that differ, with these ids, from what the session has; and
// those that refer to them, since a new id changes whoever refers to it.
func (m *merge) findRemapped() error {
	for i := range m.doc {
		c := &m.doc[i]
		if c.id == "" || m.current[c.name] == nil {
			continue
		}
		if id := m.newID(c.id); m.current[c.base+"/"+id] != nil {
			m.ids[c.id] = id
		}
	}
	var differ []string
	for i := range m.doc {
		c := &m.doc[i]
		has := m.current[c.name]
		if c.id == "" || has == nil || m.ids[c.id] != "" {
			continue
		}
		data, err := m.sealed(c)
		if err != nil {
			return err
		}
		if !bytes.Equal(has, data) {
			differ = append(differ, c.id)
		}
	}
	referrers := m.referrers()
	for len(differ) > 0 {
		id := differ[len(differ)-1]
		differ = differ[:len(differ)-1]
		if m.ids[id] != "" {
			continue
		}
		m.ids[id] = m.newID(id)
		for _, i := range referrers[id] {
			if c := &m.doc[i]; c.id != "" && m.current[c.name] != nil {
				differ = append(differ, c.id)
			}
		}
	}
	return nil
}

// referrers returns which cells of the document hold an id of the document.
func (m *merge) referrers() map[string][]int {
	is := make(map[string]bool, len(m.doc))
	for i := range m.doc {
		if id := m.doc[i].id; linked(id) {
			is[id] = true
		}
	}
	by := make(map[string][]int)
	for i := range m.doc {
		texts(m.doc[i].data, func(s string) {
			if held := by[s]; is[s] && (len(held) == 0 || held[len(held)-1] != i) {
				by[s] = append(held, i)
			}
		})
	}
	return by
}

// texts calls fn with every text in v, names of members included.
func texts(v any, fn func(string)) {
	switch v := v.(type) {
	case string:
		fn(v)
	case []any:
		for _, item := range v {
			texts(item, fn)
		}
	case map[string]any:
		for k, item := range v {
			fn(k)
			texts(item, fn)
		}
	}
}

// fill makes the change and its report.
func (m *merge) fill(ch *Change, o *ImportOptions) (ImportReport, error) {
	report := ImportReport{
		Mode: o.Mode, Digest: m.digest, Created: []string{}, Replaced: []string{}, Same: []string{}, Remapped: m.ids,
	}
	for _, id := range slices.Sorted(maps.Keys(m.ids)) {
		if !linked(id) {
			report.Unlinked = append(report.Unlinked, id)
		}
	}
	wanted := make(map[string]bool, len(m.doc))
	for i := range m.doc {
		c := &m.doc[i]
		name := m.rename(c)
		data, err := m.sealed(c)
		if err != nil {
			return report, err
		}
		cell := Cell{Name: name, Version: ch.From + 1, Data: data}
		if err := check(o.Known, &cell); err != nil {
			return report, err
		}
		wanted[name] = true
		has := m.current[name]
		switch {
		case has == nil:
			report.Created = append(report.Created, name)
		case bytes.Equal(has, data):
			report.Same = append(report.Same, name)
			continue
		case name != c.name:
			report.Kept = append(report.Kept, name)
			continue
		default:
			report.Replaced = append(report.Replaced, name)
		}
		ch.Put = append(ch.Put, cell)
	}
	if o.Mode == ImportReplace {
		for _, name := range slices.Sorted(maps.Keys(m.current)) {
			if !wanted[name] {
				ch.Drop = append(ch.Drop, name)
			}
		}
	} else {
		ch.Drop = m.leftovers(o.Known, wanted)
	}
	report.Removed = ch.Drop
	if err := m.crowded(o.Known, report.Created, ch.Drop); err != nil {
		return report, err
	}
	for _, names := range [][]string{report.Created, report.Replaced, report.Same, report.Kept} {
		slices.Sort(names)
	}
	slices.SortFunc(ch.Put, func(a, b Cell) int { return strings.Compare(a.Name, b.Name) })
	m.settle(ch, &report)
	return report, nil
}

// settle counts what the session has after the change.
func (m *merge) settle(ch *Change, report *ImportReport) {
	var total int64
	for _, size := range m.size {
		total += size
	}
	for _, c := range ch.Put {
		total += slotSize(c.Name, c.Data) - m.size[c.Name]
	}
	for _, name := range ch.Drop {
		total -= m.size[name]
	}
	if len(ch.Put)+len(ch.Drop) > 0 {
		ch.Record.Version++
	}
	ch.Record.Bytes = total
	report.Bytes, report.Version = total, ch.Record.Version
}
