package session

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// SlotType is what must be known of a kind of slot to judge values from outside:
// its name, its schema, how to decode it, and what its keys look like.
type SlotType struct {
	Name   string
	Schema int
	check  func(name string, data json.RawMessage) error
	keys   keys
	of     string // the slot that these are parts of
	joined *joined
}

// keys say what may stand behind the "/" of a slot's name.
type keys struct {
	rule   keyRule
	prefix string
	most   int // of one session; 0: any number
}

type keyRule uint8

const (
	anyKey keyRule = iota
	noKey
	objectIDs
)

// joined is a value that lies in several slots.
type joined struct {
	parts string
	judge func(whole json.RawMessage, parts map[string]json.RawMessage) error
}

// Type describes the slot, or, for a keyed one, all slots of its kind. If *T has a
// method Validate() error, a document's value must pass it, after all migrations.
// It gets whatever decodes as a T and must refuse what no operation could have
// written: the code that reads the slot relies on that. State that this server
// wrote itself is never asked.
func (s Slot[T]) Type() SlotType {
	base, _, _ := strings.Cut(s.name, "/")
	return SlotType{Name: base, Schema: s.schema, check: func(name string, data json.RawMessage) error {
		v, err := s.named(name).value(data)
		if err != nil {
			return err
		}
		if v, ok := any(v).(interface{ Validate() error }); ok {
			return unclassified(v.Validate())
		}
		return nil
	}}
}

func (s Slot[T]) named(name string) Slot[T] {
	s.name = name
	return s
}

// value decodes an envelope.
func (s Slot[T]) value(data json.RawMessage) (*T, error) {
	v := new(T)
	return v, s.decode(data, v)
}

// unclassified drops the kind that an error has where it comes from: whatever it
// says there, here it is the document that is wrong.
func unclassified(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(err.Error())
}

// Single returns t for a slot that has no key: a document with one is refused.
func (t SlotType) Single() SlotType {
	t.keys = keys{rule: noKey}
	return t
}

// Keyed returns t for a slot that always has a key, an id that NewObjectID made
// with prefix. An import that would leave a session with more than most of them
// is refused.
func (t SlotType) Keyed(prefix string, most int) SlotType {
	t.keys = keys{rule: objectIDs, prefix: strings.TrimSuffix(prefix, "_") + "_", most: most}
	return t
}

// Joined describes a value that lies in the slot whole and in the keyed slots
// parts, whose keys are no ids. A document brings all of it or nothing, and what
// it brings takes the place of all that the session has of it; no text of it is
// taken for the id of another object. judge, which gets the parts by their keys,
// says whether they belong together; each value has passed its own Validate.
func Joined[T, P any](whole Slot[T], parts Slot[P], judge func(whole *T, parts map[string]P) error) []SlotType {
	of, part := whole.Type().Single(), parts.Type()
	part.of = of.Name
	of.joined = &joined{parts: part.Name, judge: func(data json.RawMessage, others map[string]json.RawMessage) error {
		v, err := whole.value(data)
		if err != nil {
			return err
		}
		decoded := make(map[string]P, len(others))
		for _, key := range slices.Sorted(maps.Keys(others)) {
			p, err := parts.Key(key).value(others[key])
			if err != nil {
				return err
			}
			decoded[key] = *p
		}
		return unclassified(judge(v, decoded))
	}}
	return []SlotType{of, part}
}

// Check decodes an envelope as the slot would, migrations and all, and calls the
// value's Validate method if it has one. name is the slot's whole name.
func (t SlotType) Check(name string, data json.RawMessage) error {
	if err := t.admits(name); err != nil {
		return err
	}
	return t.check(name, data)
}

const maxObjectID = 64 // bytes, as the operations take them

// admits checks the key in a slot's name.
func (t *SlotType) admits(name string) error {
	_, key, keyed := strings.Cut(name, "/")
	random, ok := strings.CutPrefix(key, t.keys.prefix)
	switch t.keys.rule {
	case noKey:
		if keyed {
			return fmt.Errorf("want the name %s, without a key", t.Name)
		}
	case objectIDs:
		letter := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' }
		if !ok || random == "" || len(key) > maxObjectID || strings.ContainsFunc(random, func(r rune) bool { return !letter(r) }) {
			return fmt.Errorf("want a key of %s, small letters and digits, at most %d bytes", t.keys.prefix, maxObjectID)
		}
	}
	return nil
}

// typeOf returns the type of a slot of that base, or nil.
func typeOf(known []SlotType, base string) *SlotType {
	i := slices.IndexFunc(known, func(t SlotType) bool { return t.Name == base })
	if i < 0 {
		return nil
	}
	return &known[i]
}

// whole reports whether the values of t are taken as they are, all or none.
func (t *SlotType) whole() bool { return t != nil && (t.joined != nil || t.of != "") }

// checkJoined checks what the cells of a document hold together.
func checkJoined(known []SlotType, cells []Cell) error {
	for i := range known {
		if known[i].joined != nil {
			if err := known[i].checkParts(cells); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *SlotType) checkParts(cells []Cell) error {
	var whole json.RawMessage
	parts := map[string]json.RawMessage{}
	for _, c := range cells {
		switch base, key, _ := strings.Cut(c.Name, "/"); base {
		case t.Name:
			whole = c.Data
		case t.joined.parts:
			if whole == nil && !slices.ContainsFunc(cells, func(c Cell) bool { return c.Name == t.Name }) {
				return coded(fault.Invalid, "document_invalid", "the document's slots[%.64q] is a part of slots[%q], which is missing", c.Name, t.Name)
			}
			parts[key] = c.Data
		}
	}
	if whole == nil {
		return nil
	}
	if err := t.joined.judge(whole, parts); err != nil {
		return invalidAt(fmt.Sprintf("slots[%q]", t.Name), "%v", err)
	}
	return nil
}

// crowded refuses a change that leaves a session with more objects of a kind than
// it may have, unless the change brings none.
func (m *merge) crowded(known []SlotType, created, dropped []string) error {
	for _, t := range known {
		if t.keys.most == 0 {
			continue
		}
		count := func(names []string) (n int) {
			for _, name := range names {
				if strings.HasPrefix(name, t.Name+"/") {
					n++
				}
			}
			return n
		}
		more := count(created)
		after := count(slices.Collect(maps.Keys(m.current))) + more - count(dropped)
		if more > 0 && after > t.keys.most {
			return coded(fault.TooLarge, "too_many_objects",
				"the session would keep %d of %s after the import: the most is %d; delete some first, or import into another session", after, t.Name, t.keys.most)
		}
	}
	return nil
}

// leftovers returns the parts in the session that belong to a value which the
// document replaces and does not have.
func (m *merge) leftovers(known []SlotType, wanted map[string]bool) []string {
	var names []string
	for name := range m.current {
		base, _, _ := strings.Cut(name, "/")
		if t := typeOf(known, base); t != nil && t.of != "" && wanted[t.of] && !wanted[name] {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, cmp.Compare)
	return names
}
