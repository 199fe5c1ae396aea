package session

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// freezeLocked takes the cells of an idle, stored session out of memory. It
// fails if somebody holds the session's turn.
func (s *shard) freezeLocked(e *entry) bool {
	st := e.state.Load()
	select {
	case st.turn <- struct{}{}:
	default:
		return false
	}
	defer st.end()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.cells = nil
	st.warm.Store(false)
	st.cold.Store(true)
	s.tally.cold++
	s.dir.resident.Add(-st.bytes)
	return true
}

// thaw brings the cells back, once however many ask. The caller has pinned the
// session, so that they stay.
func (st *state) thaw(ctx context.Context) error {
	select {
	case st.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer st.end()
	if !st.cold.Load() {
		return nil
	}
	_, size, err := st.standing()
	switch {
	case err != nil:
		return errMiss // it ended while this call waited
	case size == 0 && !st.unsure:
		return st.adopt(&Snapshot{Record: Record{Version: st.version}})
	}
	return st.load(ctx)
}

// refresh reads the state again if the store may be ahead. The caller is the
// writer.
func (st *state) refresh(ctx context.Context) error {
	if !st.unsure {
		return nil
	}
	return st.load(ctx)
}

// load makes the state what the store has. The caller is the writer.
func (st *state) load(ctx context.Context) error {
	k, e := st.dir.keep, st.entry
	var snap Snapshot
	err := k.call(ctx, "load", func(ctx context.Context) (err error) {
		snap, err = k.store.Load(ctx, e.storeKey())
		return err
	})
	switch {
	case err == nil:
		err = st.adopt(&snap)
		k.shedIfFull()
		return err
	case errors.Is(err, ErrNoRecord):
		return k.missing(st)
	}
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Code == CodeDamaged {
		return err // to retry is of no use
	}
	return unavailable(err, "the session's state could not be read")
}

// missing deals with a session that the store does not have: it has left, it
// was never stored, or somebody else has deleted its record.
func (k *keeper) missing(st *state) error {
	e := st.entry
	s := e.shard
	s.mu.Lock()
	doomed := e.doomedLocked()
	if !st.cold.Load() && (doomed || !e.stored) { // what is in memory is all there is
		s.mu.Unlock()
		st.unsure = false
		return nil
	}
	var p parting
	if !doomed && e.phase == live {
		k.log.Error("the record of a session is gone from the store: the session ends", "session", e.id)
		p = s.leaveLocked(e, ReasonOperator, k.dir.now())
	}
	s.mu.Unlock()
	p.finish()
	return errMiss
}

// adopt makes the state what was read. The caller is the writer.
func (st *state) adopt(snap *Snapshot) error {
	var size int64
	var kinds []kind
	cells := make(map[string]*cell, len(snap.Cells))
	for _, c := range snap.Cells {
		cells[c.Name] = &cell{data: c.Data, version: c.Version}
		size += slotSize(c.Name, c.Data)
		kinds = countKind(kinds, c.Name, +1)
	}
	e := st.entry
	s := e.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	st.mu.Lock()
	if st.ended != nil {
		st.mu.Unlock()
		return st.ended
	}
	grown := size - st.bytes
	st.version, st.bytes, st.cells, st.kinds, st.unsure = snap.Version, size, cells, kinds, false
	st.mu.Unlock()
	e.stored = e.stored || !e.doomedLocked()
	e.own.bytes += grown
	s.dir.bytes.Add(grown)
	s.dir.ledger.addBytes(e.own.Tenant, grown)
	if st.cold.Load() {
		st.cold.Store(false)
		s.tally.cold--
		s.dir.resident.Add(size)
	} else {
		s.dir.resident.Add(grown)
	}
	return nil
}

// shedIfFull asks for room if more state is in memory than may be.
func (k *keeper) shedIfFull() {
	if k == nil || k.dir.resident.Load() <= k.dir.cfg.MaxResidentBytes {
		return
	}
	select {
	case k.shed <- struct{}{}:
	default:
	}
}

// shedCells takes cells of idle sessions out of memory, the least recently used
// first, until a tenth of what may be there is free. It costs a sort of all idle
// sessions, which that tenth makes rare.
func (k *keeper) shedCells() {
	limit := k.dir.cfg.MaxResidentBytes
	if k.dir.resident.Load() <= limit {
		return
	}
	type candidate struct {
		e    *entry
		used moment
	}
	var all []candidate
	for e := range k.dir.entries() {
		e.shard.mu.Lock()
		if e.freezableLocked() {
			all = append(all, candidate{e, e.lastUsed})
		}
		e.shard.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b candidate) int { return cmp.Compare(a.used, b.used) })
	for _, c := range all {
		if k.dir.resident.Load() <= limit-limit/10 {
			return
		}
		s := c.e.shard
		s.mu.Lock()
		if c.e.freezableLocked() && c.e.lastUsed == c.used {
			s.freezeLocked(c.e)
		}
		s.mu.Unlock()
	}
}

// freezableLocked reports whether e is idle and has state in memory that the
// store has too.
func (e *entry) freezableLocked() bool {
	st := e.state.Load()
	return e.phase == live && e.pins() == 0 && e.stored && st != nil && !st.cold.Load() && !e.isEmpty()
}
