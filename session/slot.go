package session

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Slot names one typed piece of session state. A slot is a value without state
// of its own: declare it once in package scope and use it with any handle.
//
// T must survive a round trip through encoding/json; what it keeps in fields
// that JSON does not see may be gone at the next call. Two slots of one name
// must have one T and one schema.
//
// There are three ways to write. Update is for what takes microseconds: it holds
// the session's turn and never conflicts. Retry is for what takes longer and can
// be computed again from a newer value: it holds nothing while it computes.
// Commit, after ReadVersion, is for what must not be computed again, such as a
// long search: it fails when somebody was faster, and the caller decides.
type Slot[T any] struct {
	name       string
	schema     int
	migrations []Migration // by From, each at most once
}

// NewSlot returns the slot name, with schema 1. It panics for a name that is
// empty or contains "/".
func NewSlot[T any](name string) Slot[T] { return NewSlotVersion[T](name, 1) }

// NewSlotVersion is NewSlot with a schema number: raise it when what T encodes
// to changes its meaning, and give the migration from the schema before, so that
// state written by an older build is upgraded instead of refused. State of a
// newer build is refused. It panics for a migration that no value can need.
func NewSlotVersion[T any](name string, schema int, migrations ...Migration) Slot[T] {
	if name == "" || strings.Contains(name, "/") {
		panic(fmt.Sprintf("session: slot name %q: want a name without %q", name, "/"))
	}
	return Slot[T]{name: name, schema: schema, migrations: ordered(name, schema, migrations)}
}

// Key returns the slot of one object of many, "name/id".
func (s Slot[T]) Key(id string) Slot[T] {
	s.name += "/" + id
	return s
}

// Name returns the slot's name, under which Export shows it.
func (s Slot[T]) Name() string { return s.name }

// Read returns a private copy of the committed value. ok is false, and the
// value zero, if there is none. It decodes, and never waits for an Update.
func (s Slot[T]) Read(h *Handle) (v T, ok bool, err error) {
	v, version, err := s.ReadVersion(h)
	return v, version != 0, err
}

// ReadVersion is Read with the slot's version instead of ok: the version of the
// session at the slot's last commit, 0 if there is no value. It is for Commit.
func (s Slot[T]) ReadVersion(h *Handle) (v T, version uint64, err error) {
	st, err := h.reader()
	if st == nil || err != nil {
		return v, 0, err
	}
	data, version, err := st.read(s.name)
	if err != nil || version == 0 {
		return v, 0, err
	}
	if err := s.decode(data, &v); err != nil {
		return *new(T), 0, err
	}
	return v, version, nil
}

// Update changes the value: fn gets it, or a zero T if there is none, and what
// fn leaves is committed when fn returns nil. If fn fails or panics, or the
// commit is refused, nothing has changed. Updates of one session run one after
// the other; waiting for the turn ends with ctx. So fn must be short, and must
// not write to the same session: it would wait for itself.
//
// Refusals: Conflict after Expect, TooLarge over Config.MaxBytes, and *Ended.
//
// The value may be kept decoded for the next Update, once this handle is
// released: nothing that fn takes out of it may be used after that.
func (s Slot[T]) Update(ctx context.Context, h *Handle, fn func(*T) error) error {
	st, err := h.begin(ctx)
	if err != nil {
		return err
	}
	defer st.end()
	c := st.cells[s.name]
	v, err := s.take(c, h)
	if err != nil {
		return err
	}
	if err := fn(v); err != nil {
		return err
	}
	data, err := s.encode(v)
	if err != nil {
		return err
	}
	return st.commit(h, s.name, data, v)
}

// Commit replaces the value by v if the slot is still at the version that
// ReadVersion gave, and fails with a Conflict, code "version_conflict", if it
// is not: for computations too long to hold up the session. It refuses what
// Update refuses.
func (s Slot[T]) Commit(ctx context.Context, h *Handle, ifSlotVersion uint64, v T) error {
	data, err := s.encode(&v) // outside of the turn: it may take long
	if err != nil {
		return err
	}
	st, err := h.begin(ctx)
	if err != nil {
		return err
	}
	defer st.end()
	if at := st.cells[s.name].at(); at != ifSlotVersion {
		return conflict(fmt.Sprintf("the session's %q", s.name), at, ifSlotVersion)
	}
	return st.commit(h, s.name, data, nil)
}

// Delete removes the value. To remove what is not there changes nothing.
func (s Slot[T]) Delete(ctx context.Context, h *Handle) error {
	st, err := h.begin(ctx)
	if err != nil {
		return err
	}
	defer st.end()
	return st.remove(h, s.name)
}

// take returns the value to update: the decoded one if no other call can hold
// a part of it, else a fresh decoding. The cell gives it away, so whatever
// happens to it next, only a commit brings it back.
func (s Slot[T]) take(c *cell, h *Handle) (*T, error) {
	if c == nil {
		return new(T), nil
	}
	kept, holder := c.decoded, c.holder
	c.decoded, c.holder = nil, nil
	if v, ok := kept.(*T); ok && (holder == h || holder.marks.has(released)) {
		return v, nil
	}
	v := new(T)
	return v, s.decode(c.data, v)
}

// envelope is what is stored of a value.
type envelope[T any] struct {
	Schema int `json:"schema"`
	Data   T   `json:"data"`
}

func (s Slot[T]) encode(v *T) (json.RawMessage, error) {
	data, err := json.Marshal(envelope[*T]{s.schema, v})
	if err != nil {
		return nil, fmt.Errorf("encode slot %s: %w", s.name, err)
	}
	return data, nil
}

// decode reads an envelope into v, which is zero, and upgrades what an older
// schema holds.
func (s Slot[T]) decode(data json.RawMessage, v *T) error {
	env := envelope[*T]{Data: v}
	err := json.Unmarshal(data, &env)
	if err == nil && env.Schema == s.schema {
		return nil
	}
	// Data of another schema need not look like a T, so the error says nothing yet.
	var stored envelope[json.RawMessage]
	if other := json.Unmarshal(data, &stored); other != nil {
		return fmt.Errorf("decode slot %s: %w", s.name, other)
	}
	if stored.Schema == s.schema {
		return fmt.Errorf("decode slot %s: %w", s.name, err)
	}
	upgraded, err := s.upgrade(stored)
	if err != nil {
		return err
	}
	*v = *new(T) // what the first attempt left
	if err := json.Unmarshal(upgraded, v); err != nil {
		return fmt.Errorf("decode slot %s, upgraded from schema %d to %d: %w", s.name, stored.Schema, s.schema, err)
	}
	return nil
}
