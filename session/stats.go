package session

// Stats is what a directory holds and did, for metrics and pages. The numbers
// of one shard belong together; those of different shards are taken one after
// the other.
type Stats struct {
	Sessions int   // begun and not ended, draining ones included
	Idle     int   // of these, those that may be evicted
	Draining int   // of these, those that end with their last user
	InFlight int   // calls
	Streams  int   // open
	Owners   int   // with a session, or opening one
	Tenants  int   // with a session, or opening one
	Bytes    int64 // of committed state

	// With a store; without one all are resident.
	Resident      int    // sessions whose state is in memory, if they have any
	Cold          int    // the others
	ResidentBytes int64  // of committed state in memory
	Unflushed     int    // sessions of which the store does not know the last use or the end
	StoreErrors   uint64 // failures of the store, since the start
	Restored      uint64 // at the start

	Opened  uint64            // since the start
	Ended   map[Reason]uint64 // since the start; every reason is there
	Misses  uint64            // lookups that found nothing, since the start
	Refused uint64            // openings that found no room, since the start
}

// Stats returns the numbers of now. It costs one lock a shard.
func (d *Directory) Stats() Stats {
	st := Stats{
		Bytes: d.bytes.Load(), Opened: d.opened.Load(), Misses: d.misses.Load(), Refused: d.refused.Load(),
		Ended: make(map[Reason]uint64, len(d.ends)),
	}
	for i, why := range reasons {
		st.Ended[why] = d.ends[i].Load()
	}
	for _, s := range d.shards {
		s.mu.Lock()
		t, owners, touched := s.tally, len(s.owners), len(s.touched)
		s.mu.Unlock()
		st.Sessions += t.sessions
		st.Idle += t.idle
		st.Draining += t.draining
		st.InFlight += t.inFlight
		st.Streams += t.streams
		st.Cold += t.cold
		st.Unflushed += touched
		st.Owners += owners
	}
	st.Tenants = d.ledger.tenantCount()
	st.Resident, st.ResidentBytes, st.Restored = st.Sessions-st.Cold, d.resident.Load(), d.restored
	if d.keep != nil {
		st.Unflushed += d.keep.graveCount()
		st.StoreErrors = d.keep.errors.Load()
	}
	return st
}

// Quota is what an owner has and may have.
type Quota struct {
	Sessions    int // draining ones included
	MaxSessions int
	Bytes       int64 // of committed state
	MaxBytes    int64
	Jobs        int // not known here: for whoever keeps the owner's jobs to fill in
}

// Usage reports how much of its quota o uses. It costs a lock and a lookup.
func (d *Directory) Usage(o Owner) Quota {
	q := Quota{MaxSessions: d.cfg.MaxPerOwner, MaxBytes: d.cfg.MaxBytesPerOwner}
	s := d.shardOf(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if own := s.owners[o]; own != nil {
		q.Sessions, q.Bytes = len(own.sessions), own.bytes
	}
	return q
}
