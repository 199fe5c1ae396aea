package session

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// The format of a document, and its version.
const (
	DocumentFormat  = "lyceum-session"
	DocumentVersion = 1
)

// Bounds of a document, where DocumentLimits sets no other.
const (
	DefaultDocumentBytes = 16 << 20
	DefaultDocumentSlots = 1 << 16
	maxSlotName          = 512 // bytes
	maxSchema            = 1 << 30
)

// DocumentLimits bound what DecodeDocument accepts. Zero means the default.
type DocumentLimits struct {
	Bytes int // of the text
	Slots int
	Depth int
	// Known are the slots that a document may hold; nil lets any pass. Each value
	// is decoded as its slot would decode it.
	Known []SlotType
}

func (l DocumentLimits) withDefaults() DocumentLimits {
	l.Bytes = cmp.Or(l.Bytes, DefaultDocumentBytes)
	l.Slots = cmp.Or(l.Slots, DefaultDocumentSlots)
	l.Depth = cmp.Or(l.Depth, MaxDocumentDepth)
	return l
}

// EncodeDocument returns a session as a document: its name, labels, opening,
// version and slots, and nothing that names its owner or its handle.
//
//	{"created":…,"digest":"sha256:…","format":"lyceum-session","labels":{…},"name":…,
//	 "sessionVersion":…,"slots":{name:{"data":…,"schema":…,"version":…}},"version":1}
//
// It is in the form of Canonical, so one state has one document. The digest is
// the SHA-256 of the document without it: whoever has kept what the members say
// can space and order them as they like. It tells of damage, not of forgery.
func EncodeDocument(s Snapshot) ([]byte, error) {
	doc, err := documentOf(s)
	if err != nil {
		return nil, err
	}
	return canonical(doc)
}

// documentOf returns the members of a session's document.
func documentOf(s Snapshot) (map[string]any, error) {
	slots := make(map[string]any, len(s.Cells))
	for _, c := range s.Cells {
		env, err := openEnvelope(c.Name, c.Data)
		if err != nil {
			return nil, err
		}
		env["version"] = json.Number(strconv.FormatUint(c.Version, 10))
		slots[c.Name] = env
	}
	doc := map[string]any{
		"format":         DocumentFormat,
		"version":        json.Number(strconv.Itoa(DocumentVersion)),
		"created":        s.Created.UTC().Format(time.RFC3339Nano),
		"sessionVersion": json.Number(strconv.FormatUint(s.Version, 10)),
		"slots":          slots,
	}
	if s.Name != "" {
		doc["name"] = s.Name
	}
	if len(s.Labels) > 0 {
		labels := make(map[string]any, len(s.Labels))
		for k, v := range s.Labels {
			labels[k] = v
		}
		doc["labels"] = labels
	}
	sum, err := documentDigest(doc)
	if err != nil {
		return nil, err
	}
	doc["digest"] = sum
	return doc, nil
}

// openEnvelope returns the members of a slot's envelope. In a document it lies two
// levels deeper than here.
func openEnvelope(name string, data json.RawMessage) (map[string]any, error) {
	v, err := parse(data, MaxDocumentDepth-2)
	if err != nil {
		return nil, fmt.Errorf("slot %s: %w", name, err)
	}
	env, _ := v.(map[string]any)
	_, isNumber := env["schema"].(json.Number)
	if _, has := env["data"]; !has || !isNumber || len(env) != 2 {
		return nil, fmt.Errorf("slot %s: its envelope is not {schema, data}", name)
	}
	return env, nil
}

// documentDigest is of the canonical form without the digest itself.
func documentDigest(doc map[string]any) (string, error) {
	without := maps.Clone(doc)
	delete(without, "digest")
	text, err := canonical(without)
	if err != nil {
		return "", err
	}
	return digestOf(text), nil
}

func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// SlotsDigest is the digest of slots without the rest of a document: the SHA-256
// of the canonical form of {name: envelope}.
func SlotsDigest(slots map[string]json.RawMessage) (string, error) {
	all := make(map[string]any, len(slots))
	for name, data := range slots {
		v, err := parse(data, MaxDocumentDepth)
		if err != nil {
			return "", fmt.Errorf("slot %s: %w", name, err)
		}
		all[name] = v
	}
	text, err := canonical(all)
	if err != nil {
		return "", err
	}
	return digestOf(text), nil
}

// DecodeDocument reads a document and refuses what is not whole: another format
// or version, a digest that does not match, a member that is missing, doubled or
// unknown, a slot that limits do not know, or what exceeds them. The error says
// where. The snapshot has no owner and no id; its cells are in canonical form.
func DecodeDocument(data []byte, limits DocumentLimits) (Snapshot, error) {
	limits = limits.withDefaults()
	if len(data) > limits.Bytes {
		return Snapshot{}, coded(fault.TooLarge, "document_too_large", "the document has %d bytes: the limit is %d", len(data), limits.Bytes)
	}
	v, err := parse(data, limits.Depth)
	if err != nil {
		return Snapshot{}, err
	}
	doc, _ := v.(map[string]any)
	if format, _ := doc["format"].(string); format != DocumentFormat {
		return Snapshot{}, invalidAt("format", "%.64q: want %q", format, DocumentFormat)
	}
	version, ok := natural(doc["version"], 1<<31-1)
	switch {
	case ok && version > DocumentVersion:
		return Snapshot{}, invalidAt("version", "%d: it was written by a newer server, this one knows %d", version, DocumentVersion)
	case version != DocumentVersion:
		return Snapshot{}, invalidAt("version", "want %d", DocumentVersion)
	}
	said, _ := doc["digest"].(string)
	sum, err := documentDigest(doc)
	if err != nil {
		return Snapshot{}, err
	}
	if said != sum {
		return Snapshot{}, coded(fault.Invalid, "document_corrupted",
			"the document is damaged or was changed: its digest is %.80q, its content has %s", said, sum)
	}
	return limits.read(doc)
}

func invalidAt(path, format string, args ...any) error {
	return coded(fault.Invalid, "document_invalid", "the document's "+path+" is wrong: "+format, args...)
}

// natural returns a whole number from 0 to limit.
func natural(v any, limit uint64) (uint64, bool) {
	n, _ := v.(json.Number)
	u, err := strconv.ParseUint(string(n), 10, 64)
	return u, err == nil && u <= limit
}

var documentMembers = []string{"created", "digest", "format", "labels", "name", "sessionVersion", "slots", "version"}

// read makes a snapshot of a document whose digest is right.
func (l *DocumentLimits) read(doc map[string]any) (s Snapshot, err error) {
	for _, name := range canonicalOrder(doc) {
		if !slices.Contains(documentMembers, name) {
			return Snapshot{}, invalidAt("form", "unknown member %.64q", name)
		}
	}
	var ok bool
	if s.Version, ok = natural(doc["sessionVersion"], 1<<63-1); !ok {
		return Snapshot{}, invalidAt("sessionVersion", "want a whole number")
	}
	created, _ := doc["created"].(string)
	at, err := time.Parse(time.RFC3339Nano, created)
	if err != nil {
		return Snapshot{}, invalidAt("created", "want a time such as 2026-01-02T15:04:05Z")
	}
	s.Created = at.UTC()
	if err := s.readNames(doc); err != nil {
		return Snapshot{}, err
	}
	slots, ok := doc["slots"].(map[string]any)
	if !ok {
		return Snapshot{}, invalidAt("slots", "want an object")
	}
	if len(slots) > l.Slots {
		return Snapshot{}, coded(fault.TooLarge, "document_too_large", "the document has %d slots: the limit is %d", len(slots), l.Slots)
	}
	for _, name := range slices.Sorted(maps.Keys(slots)) {
		c, err := l.readSlot(name, slots[name], s.Version)
		if err != nil {
			return Snapshot{}, err
		}
		s.Cells = append(s.Cells, c)
		s.Bytes += slotSize(c.Name, c.Data)
	}
	if err := checkJoined(l.Known, s.Cells); err != nil {
		return Snapshot{}, err
	}
	return s, nil
}

func (s *Snapshot) readNames(doc map[string]any) error {
	if name, has := doc["name"]; has {
		text, ok := name.(string)
		if !ok || len(text) > MaxName {
			return invalidAt("name", "want a text of at most %d bytes", MaxName)
		}
		s.Name = text
	}
	if _, has := doc["labels"]; !has {
		return nil
	}
	labels, ok := doc["labels"].(map[string]any)
	if !ok || len(labels) > MaxLabels {
		return invalidAt("labels", "want an object of at most %d texts", MaxLabels)
	}
	s.Labels = make(map[string]string, len(labels))
	for _, key := range canonicalOrder(labels) {
		text, ok := labels[key].(string)
		if !ok || key == "" || len(key) > MaxLabelKey || len(text) > MaxLabelText {
			return invalidAt("labels", "%.64q: want 1 to %d bytes of key, and a text of at most %d", key, MaxLabelKey, MaxLabelText)
		}
		s.Labels[key] = text
	}
	return nil
}

// readSlot makes a cell of one member of slots.
func (l *DocumentLimits) readSlot(name string, v any, session uint64) (Cell, error) {
	path := fmt.Sprintf("slots[%.64q]", name)
	base, _, _ := strings.Cut(name, "/")
	if base == "" || len(name) > maxSlotName || !utf8.ValidString(name) {
		return Cell{}, invalidAt(path, "want a name of at most %d bytes that does not begin with %q", maxSlotName, "/")
	}
	slot, _ := v.(map[string]any)
	data, has := slot["data"]
	if !has || len(slot) != 3 {
		return Cell{}, invalidAt(path, "want an object of data, schema and version")
	}
	version, ok := natural(slot["version"], session)
	if !ok || version == 0 {
		return Cell{}, invalidAt(path+".version", "want a whole number from 1 to sessionVersion, %d", session)
	}
	schema, ok := natural(slot["schema"], maxSchema)
	if !ok {
		return Cell{}, invalidAt(path+".schema", "want a whole number")
	}
	env, err := seal(schema, data)
	if err != nil {
		return Cell{}, err
	}
	c := Cell{Name: name, Version: version, Data: env}
	return c, check(l.Known, &c)
}

// seal returns the envelope of data, in the order in which a slot writes it.
func seal(schema uint64, data any) (json.RawMessage, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"schema":%d,"data":`, schema)
	if err := writeCanonical(&b, data); err != nil {
		return nil, err
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// check asks the slot of a cell whether it can read it. Without known slots it
// asks nobody.
func check(known []SlotType, c *Cell) error {
	if known == nil {
		return nil
	}
	base, _, _ := strings.Cut(c.Name, "/")
	t := typeOf(known, base)
	if t == nil {
		return coded(fault.Invalid, "document_slot_unknown", "the document's slots[%.64q] is not of a kind that this server knows", c.Name)
	}
	err := t.Check(c.Name, c.Data)
	if err == nil {
		return nil
	}
	if _, classified := errors.AsType[*fault.Error](err); classified {
		return err
	}
	return &fault.Error{
		Kind: fault.Invalid, Code: "document_invalid",
		Public: fmt.Sprintf("the document's slots[%.64q] is wrong: %v", c.Name, err), Err: err,
	}
}
