package session

import (
	"encoding/json"
	"slices"
	"strings"
	"unique"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// edit is what one commit changes: the slots to put and the names of those to
// drop, which have no name in common.
type edit struct {
	put     []Cell
	drop    []string
	decoded any // what the one slot put was encoded from, for the next Update; may be nil
}

// kind counts the slots of one name, keys included.
type kind struct {
	Name string `json:"name"` // interned
	N    int    `json:"n"`
}

// commit makes data the state of a slot. decoded is a *T that data was made
// from, kept for the next Update, or nil. The caller is the writer.
func (st *state) commit(h *Handle, name string, data json.RawMessage, decoded any) error {
	return st.write(h, edit{put: []Cell{{Name: name, Data: data}}, decoded: decoded})
}

// remove deletes a slot. The caller is the writer.
func (st *state) remove(h *Handle, name string) error {
	if st.cells[name] == nil {
		_, _, err := st.standing()
		return err
	}
	return st.write(h, edit{drop: []string{name}})
}

// standing returns the version and the size, or that the session has ended.
func (st *state) standing() (version uint64, size int64, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ended != nil {
		return 0, 0, st.ended
	}
	return st.version, st.bytes, nil
}

// write makes one commit of an edit. With a store it is durable before anybody
// sees it; when that fails, nothing has changed. The caller is the writer, and
// holds no lock.
func (st *state) write(h *Handle, ed edit) error {
	version, before, err := st.standing()
	if err != nil {
		return err
	}
	if err := h.may(AccessWrite); err != nil { // a grant may be over since the call began
		return err
	}
	size := st.growth(&ed)
	if limit := st.dir.cfg.MaxBytes; size > 0 && before+size > limit {
		return coded(fault.TooLarge, "session_too_large",
			"the session's state would have %d bytes: the limit is %d; delete objects, or go on in another session", before+size, limit)
	}
	if err := st.dir.reserveBytes(st.entry, size); err != nil {
		return err
	}
	for i := range ed.put {
		ed.put[i].Version = version + 1
	}
	kinds := st.kindsAfter(&ed)
	if err := st.dir.keep.save(st, &ed, before+size, kinds); err != nil {
		st.dir.returnBytes(st.entry, size)
		return err
	}
	if err := st.settle(h, &ed, size, kinds); err != nil {
		return err
	}
	st.dir.keep.shedIfFull()
	return nil
}

// growth returns by how much an edit changes the size.
func (st *state) growth(ed *edit) (size int64) {
	for _, name := range ed.drop {
		if c := st.cells[name]; c != nil {
			size -= slotSize(name, c.data)
		}
	}
	for _, p := range ed.put {
		size += slotSize(p.Name, p.Data)
		if c := st.cells[p.Name]; c != nil {
			size -= slotSize(p.Name, c.data)
		}
	}
	return size
}

// kindsAfter returns the kinds after an edit.
func (st *state) kindsAfter(ed *edit) []kind {
	kinds, own := st.kinds, false
	count := func(name string, by int) {
		if !own { // what others may read stays as it is
			kinds, own = slices.Clone(kinds), true
		}
		kinds = countKind(kinds, name, by)
	}
	for _, name := range ed.drop {
		if st.cells[name] != nil {
			count(name, -1)
		}
	}
	for _, p := range ed.put {
		if st.cells[p.Name] == nil {
			count(p.Name, +1)
		}
	}
	return kinds
}

// countKind counts a slot in or out of kinds, which are sorted by name.
func countKind(kinds []kind, slot string, by int) []kind {
	base, _, _ := strings.Cut(slot, "/")
	i, found := slices.BinarySearchFunc(kinds, base, func(k kind, name string) int { return strings.Compare(k.Name, name) })
	if !found {
		kinds = slices.Insert(kinds, i, kind{Name: unique.Make(base).Value()})
	}
	if kinds[i].N += by; kinds[i].N <= 0 {
		kinds = slices.Delete(kinds, i, i+1)
	}
	return kinds
}

// settle makes a stored edit visible.
func (st *state) settle(h *Handle, ed *edit, size int64, kinds []kind) error {
	s := st.entry.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := st.apply(h, ed, size, kinds); err != nil {
		st.dir.returnBytesLocked(st.entry, size)
		return err
	}
	if size < 0 { // what grew was reserved
		st.dir.returnBytesLocked(st.entry, -size)
	}
	st.dir.bytes.Add(size)
	st.dir.resident.Add(size)
	return nil
}

func (st *state) apply(h *Handle, ed *edit, size int64, kinds []kind) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ended != nil {
		return st.ended
	}
	st.version++
	st.bytes += size
	st.kinds = kinds
	h.expected.Store(st.version)
	for _, name := range ed.drop {
		delete(st.cells, name)
	}
	for _, p := range ed.put {
		c := st.cells[p.Name]
		if c == nil {
			c = new(cell)
			st.cells[p.Name] = c
		}
		*c = cell{data: p.Data, version: st.version, decoded: ed.decoded, holder: h}
	}
	if ed.decoded != nil {
		st.warm.Store(true)
	}
	return nil
}

// closeStateLocked makes every further use of the state of e, which has ended,
// fail and returns how many bytes that frees; they are freed with the last
// handle. It does not wait for the writer.
func (s *shard) closeStateLocked(e *entry) (freed int64) {
	st := e.state.Load()
	if st == nil {
		return 0
	}
	st.mu.Lock()
	st.ended = &Ended{e.reason}
	freed, st.bytes = st.bytes, 0
	st.mu.Unlock()
	s.dir.bytes.Add(-freed)
	if st.cold.Load() {
		s.tally.cold--
	} else {
		s.dir.resident.Add(-freed)
	}
	return freed
}
