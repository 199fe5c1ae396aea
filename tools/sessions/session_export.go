package sessions

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Schema names the form of an export.
const Schema = "lyceum.session/1"

// The forms of an export.
const (
	FormSlots    = "slots"
	FormDocument = "document"
)

// Export is the operation session_export.
var Export = tools.Define(tools.Spec{
	Name: "session_export", Family: "sessions", Title: "Export a session",
	Summary: "Gives the whole state of the session as versioned JSON with a digest, in pages where it is large.",
	Scope:   policy.Reason, Lane: work.Inline, Effect: tools.ReadOnly,
	Method: "SHA-256 over canonical JSON", Source: "RFC 8785 (2020); FIPS 180-4 (2015)",
	Examples: []tools.Example{
		{Title: "Export everything", Arguments: `{"operation":"session_export"}`},
		{Title: "Export a document for session_import", Arguments: `{"operation":"session_export","parameters":{"form":"document"}}`},
	},
}, export)

// ExportInput asks for a page of an export.
type ExportInput struct {
	Cursor   string `json:"cursor" maxLen:"256" doc:"nextCursor of the page before; omitted: the first page."`
	MaxBytes int    `json:"maxBytes" min:"1024" max:"1048576" default:"262144" doc:"At most so many bytes of state a page; what does not fit is on the next one."`
	Form     string `json:"form" enum:"slots|document" default:"slots" doc:"slots: the state by slot. document: one document that session_import takes, or its pages where it is larger than maxBytes."`
}

// ExportOutput is an export, or one page of it. The state is the union of the
// slots of all pages and of the slots that are put together from fragments.
type ExportOutput struct {
	Schema     string    `json:"schema"`
	Digest     string    `json:"digest"` // of all slots, whatever page this is
	ExportedAt time.Time `json:"exportedAt"`
	Session    Header    `json:"session"`
	// Slots holds the state by slot: {"schema": …, "data": …}.
	Slots map[string]json.RawMessage `json:"slots"`
	// Fragments are parts of slots that are larger than a page: the texts of one
	// slot, joined in the order of their offsets, are its JSON.
	Fragments []Fragment `json:"fragments,omitempty"`
	// Document is the whole session in the form document, which has a digest of
	// its own; DocumentPage is a part of its text where that is larger than a page.
	Document     json.RawMessage       `json:"document,omitempty"`
	DocumentPage *session.DocumentPage `json:"documentPage,omitempty"`
	Page         Page                  `json:"page"`
}

// Header describes the session without naming its handle, so that an export can
// be passed on.
type Header struct {
	Name      string            `json:"name,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Ref       string            `json:"ref"`
	Created   time.Time         `json:"created"`
	LastUsed  time.Time         `json:"lastUsed"`
	Version   uint64            `json:"version"`
	Calls     uint64            `json:"calls"`
	SlotCount int               `json:"slotCount"`
	Bytes     int               `json:"bytes"` // of all slots' JSON
}

// Fragment is a part of a slot's JSON text.
type Fragment struct {
	Slot   string `json:"slot"`
	Offset int    `json:"offset"` // in bytes
	Total  int    `json:"total"`  // bytes of the whole slot
	Text   string `json:"text"`
}

// Page says how much of the whole a result holds.
type Page struct {
	Complete   bool   `json:"complete"` // this page is the whole export
	Bytes      int    `json:"bytes"`    // of state in this page
	NextCursor string `json:"nextCursor,omitempty"`
}

func export(_ context.Context, c *tools.Call, in ExportInput) (ExportOutput, error) {
	c.Basis(tools.ClientSupplied)
	out, err := ExportPage(c.Session, in)
	if err != nil || out.Page.NextCursor == "" {
		return out, err
	}
	total, parameters := out.Session.Bytes, map[string]any{"maxBytes": in.MaxBytes, "cursor": out.Page.NextCursor}
	if out.DocumentPage != nil {
		total, parameters["form"] = out.DocumentPage.Bytes, in.Form
	}
	c.Warn("paged", "this page holds %d of %d bytes: call again with cursor %s", out.Page.Bytes, total, out.Page.NextCursor)
	c.Next("session_export", "the next page of the export", parameters)
	return out, nil
}

// ExportPage returns the page of an export that in asks for; its Form and
// MaxBytes must be set. All pages of one export must be asked for with one Form
// and one MaxBytes. A cursor that is not of this session's export is a
// *tools.BadArguments; one of an earlier version is a Conflict. It costs a copy of
// the session's state.
func ExportPage(h *session.Handle, in ExportInput) (ExportOutput, error) {
	from, err := parseCursor(in.Cursor)
	if err != nil {
		return ExportOutput{}, err
	}
	snapshot, err := h.Snapshot()
	if err != nil {
		return ExportOutput{}, err
	}
	slots, version := slotsOf(snapshot), snapshot.Version
	if in.Cursor != "" && from.version != version {
		return ExportOutput{}, moved(from.version, version)
	}
	if from.version = version; in.Cursor == "" {
		if from.digest, err = session.SlotsDigest(slots); err != nil {
			return ExportOutput{}, fmt.Errorf("export: %w", err)
		}
	}
	i := h.Info()
	out := ExportOutput{
		Schema: Schema, Digest: from.digest, ExportedAt: time.Now().UTC(), Slots: map[string]json.RawMessage{},
		Session: Header{
			Name: i.Name, Labels: i.Labels, Ref: i.Ref, Created: i.Created.UTC(), LastUsed: i.LastUsed.UTC(),
			Version: version, Calls: i.Calls, SlotCount: len(slots),
		},
	}
	for _, data := range slots {
		out.Session.Bytes += len(data)
	}
	if in.Form == FormDocument {
		err = out.document(snapshot, from, &in)
		return out, err
	}
	next, err := out.fill(slots, from, in.MaxBytes)
	if err != nil {
		return ExportOutput{}, err
	}
	if next.slot < len(slots) {
		out.Page.NextCursor = next.String()
	}
	out.Page.Complete = in.Cursor == "" && out.Page.NextCursor == ""
	return out, nil
}

// document puts the session's document, or the page of it that the cursor names,
// into the result.
func (o *ExportOutput) document(snapshot session.Snapshot, from cursor, in *ExportInput) error {
	doc, err := session.EncodeDocument(snapshot)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if len(doc) <= in.MaxBytes && in.Cursor == "" {
		o.Document, o.Page = doc, Page{Complete: true, Bytes: len(doc)}
		return nil
	}
	pages, err := session.Pages(doc, in.MaxBytes)
	if err != nil {
		return err
	}
	if from.slot >= len(pages) || from.offset != from.slot*in.MaxBytes {
		return badCursor(from.String())
	}
	o.DocumentPage = &pages[from.slot]
	o.Page.Bytes = len(o.DocumentPage.Text)
	if from.slot++; from.slot < len(pages) {
		from.offset = from.slot * in.MaxBytes
		o.Page.NextCursor = from.String()
	}
	return nil
}

func slotsOf(s session.Snapshot) map[string]json.RawMessage {
	slots := make(map[string]json.RawMessage, len(s.Cells))
	for _, c := range s.Cells {
		slots[c.Name] = c.Data
	}
	return slots
}

func moved(want, at uint64) error {
	return &fault.Error{
		Kind: fault.Conflict, Code: "version_conflict",
		Public: fmt.Sprintf("the export began at version %d, the session is at version %d: begin again without cursor", want, at),
	}
}

// fill puts what fits from a place on into the page and returns the place after
// it. A slot that is larger than a page comes in fragments.
func (o *ExportOutput) fill(slots map[string]json.RawMessage, from cursor, maxBytes int) (cursor, error) {
	all := slices.Sorted(maps.Keys(slots))
	if from.slot > len(all) || from.slot < len(all) && from.offset > len(slots[all[from.slot]]) || from.slot == len(all) && from.offset > 0 {
		return from, badCursor(from.String())
	}
	for from.slot < len(all) {
		name := all[from.slot]
		data := slots[name]
		left := maxBytes - o.Page.Bytes
		switch {
		case from.offset == 0 && len(data) <= left:
			o.Slots[name] = data
			o.Page.Bytes += len(data)
			from.slot++
			continue
		case from.offset == 0 && len(data) <= maxBytes:
			return from, nil // whole on the next page
		}
		end := cut(data, from.offset, left)
		if end == from.offset {
			return from, nil // not even one character fits
		}
		o.Fragments = append(o.Fragments, Fragment{Slot: name, Offset: from.offset, Total: len(data), Text: string(data[from.offset:end])})
		o.Page.Bytes += end - from.offset
		if from.offset = end; end < len(data) {
			return from, nil
		}
		from.slot, from.offset = from.slot+1, 0
	}
	return from, nil
}

// cut returns where a fragment of at most n bytes that begins at offset ends, so
// that no character is torn apart.
func cut(data []byte, offset, n int) int {
	end := min(offset+n, len(data))
	for end > offset && end < len(data) && !utf8.RuneStart(data[end]) {
		end--
	}
	return end
}

// cursor is a place in an export: the version it is of, the slot and the byte to
// go on with, and the digest, which is not computed again for each page.
type cursor struct {
	version      uint64
	slot, offset int
	digest       string
}

func (c cursor) String() string {
	return fmt.Sprintf("%d.%d.%d.%s", c.version, c.slot, c.offset, c.digest)
}

func parseCursor(text string) (cursor, error) {
	if text == "" {
		return cursor{}, nil
	}
	part := strings.SplitN(text, ".", 4)
	if len(part) != 4 {
		return cursor{}, badCursor(text)
	}
	version, err := strconv.ParseUint(part[0], 10, 64)
	slot, err2 := strconv.ParseUint(part[1], 10, 31)
	offset, err3 := strconv.ParseUint(part[2], 10, 31)
	if err != nil || err2 != nil || err3 != nil {
		return cursor{}, badCursor(text)
	}
	return cursor{version, int(slot), int(offset), part[3]}, nil
}

func badCursor(text string) error {
	return tools.Bad("parameters.cursor", "the nextCursor of a page of this session's export", text)
}
