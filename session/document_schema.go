package session

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Migration upgrades the value of a slot from one schema to the next.
type Migration struct {
	// From is the schema that Up reads; what it returns is of schema From+1.
	From int
	// Up gets the value's JSON, without its envelope. It must be pure: it runs at
	// every read until somebody commits.
	Up func(data json.RawMessage) (json.RawMessage, error)
}

// ordered returns the migrations by From. It panics for one that is doubled, has
// no Up or leads beyond schema: these are mistakes of a declaration.
func ordered(name string, schema int, migrations []Migration) []Migration {
	sorted := slices.SortedFunc(slices.Values(migrations), func(a, b Migration) int { return a.From - b.From })
	for i, m := range sorted {
		if m.Up == nil || m.From >= schema || i > 0 && sorted[i-1].From == m.From {
			panic(fmt.Sprintf("session: slot %q, schema %d: want one migration from each older schema, got a wrong one from %d", name, schema, m.From))
		}
	}
	return sorted
}

// upgrade returns the value of an older schema in the form of the slot's own.
func (s Slot[T]) upgrade(stored envelope[json.RawMessage]) (json.RawMessage, error) {
	if stored.Schema > s.schema {
		return nil, newer(s.name, stored.Schema, s.schema)
	}
	data := stored.Data
	for at := stored.Schema; at < s.schema; at++ {
		i, ok := slices.BinarySearchFunc(s.migrations, at, func(m Migration, from int) int { return m.From - from })
		if !ok {
			return nil, coded(fault.Conflict, "slot_schema",
				"the session's %q holds schema %d, want %d: there is no migration from schema %d to %d", s.name, stored.Schema, s.schema, at, at+1)
		}
		up, err := s.migrations[i].Up(data)
		if err != nil {
			return nil, fmt.Errorf("upgrade slot %s from schema %d to %d: %w", s.name, at, at+1, err)
		}
		data = up
	}
	return data, nil
}

func newer(name string, has, knows int) error {
	return coded(fault.Conflict, "slot_schema", "the session's %q was written by a newer server: schema %d, this one knows %d", name, has, knows)
}
