package session

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
)

// Snapshot returns a copy of the whole committed state, all of one version, with
// what names the session. It is for documents: the times of use and the Extra of
// a stored record are not in it.
func (h *Handle) Snapshot() (Snapshot, error) {
	st, err := h.reader()
	if err != nil {
		return Snapshot{}, err
	}
	i := h.Info()
	s := Snapshot{Record: Record{
		Key: Key{Owner: i.Owner, ID: i.ID}, Name: i.Name, Labels: i.Labels, Client: i.Client, Created: i.Created.UTC(),
	}}
	if st == nil {
		return s, nil
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ended != nil {
		return Snapshot{}, st.ended
	}
	s.Version, s.Bytes = st.version, st.bytes
	for _, name := range slices.Sorted(maps.Keys(st.cells)) {
		c := st.cells[name]
		s.Cells = append(s.Cells, Cell{Name: name, Version: c.version, Data: bytes.Clone(c.data)})
	}
	return s, nil
}

// Import brings a document into the session, all of it in one commit or nothing,
// and says what it did. It holds the session's turn while it compares the two.
// A grantee may merge and not replace. Over Config.MaxBytes, or o.MaxBytes if that is less, it is TooLarge; it refuses
// what MergeInto and Slot.Update refuse.
func (h *Handle) Import(ctx context.Context, doc Snapshot, o ImportOptions) (ImportReport, error) {
	st, err := h.begin(ctx)
	if err != nil {
		return ImportReport{}, err
	}
	defer st.end()
	if o.Mode == ImportReplace {
		if err := h.mayOwn(); err != nil {
			return ImportReport{}, err
		}
	}
	current, err := h.Snapshot()
	if err != nil {
		return ImportReport{}, err
	}
	limit := st.dir.cfg.MaxBytes
	o.MaxBytes = min(cmp.Or(o.MaxBytes, limit), limit)
	ch, report, err := MergeInto(current, doc, o)
	if err != nil || o.DryRun || len(ch.Put)+len(ch.Drop) == 0 {
		return report, err
	}
	return report, st.write(h, edit{put: ch.Put, drop: ch.Drop})
}
