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
		t, owners := s.tally, len(s.owners)
		s.mu.Unlock()
		st.Sessions += t.sessions
		st.Idle += t.idle
		st.Draining += t.draining
		st.InFlight += t.inFlight
		st.Streams += t.streams
		st.Owners += owners
	}
	st.Tenants = d.ledger.tenantCount()
	return st
}
