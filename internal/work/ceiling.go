package work

// Adaptive lets the number of tickets follow the trend of latency between Min
// and Max: fewer when calls come to take longer, more when they do not. The
// zero value is off.
type Adaptive struct {
	Min, Max int

	// New returns what judges the latency. It is called once for each Config
	// with the bounds and the number of tickets to start from.
	New func(least, most, start int) Limiter
}

// A Limiter says how many calls may compute at once, from how long they take.
// It is used concurrently and must not call the scheduler.
type Limiter interface {
	// Begin is called when a call gets its first turn. It returns nil if this
	// call is not to be measured.
	Begin() Sample

	// Limit returns the present limit.
	Limit() int
}

// A Sample measures one call. Exactly one of its methods is called, once.
type Sample interface {
	Record() // the call has ended, and was never made to wait
	Drop()   // its duration says nothing
}

// ceiling is a Limiter in use. Its fields but changes, which the mu of the
// scheduler guards, do not change.
type ceiling struct {
	limiter  Limiter
	min, max int
	changes  uint64
}

// followLocked puts a new ceiling over s, or none. The number of tickets stays
// as it is configured until the first calls have been measured.
func (s *Scheduler) followLocked(a Adaptive) {
	s.ceiling = nil
	if a.Max <= 0 {
		return
	}
	least := max(1, a.Min)
	s.tickets = min(max(s.tickets, least), a.Max)
	s.ceiling = &ceiling{limiter: a.New(least, a.Max, s.tickets), min: least, max: a.Max}
}

// adjustLocked sets the number of tickets to what c says, if c is still in use.
func (s *Scheduler) adjustLocked(c *ceiling, limit int) {
	if limit = min(max(limit, c.min), c.max); s.ceiling == c && limit != s.tickets {
		s.tickets = limit
		c.changes++
	}
}

// trial is the measurement of one call, which the holder of the ticket owns. Of
// a nil trial nothing is measured.
type trial struct {
	ceiling *ceiling
	begun   bool
	sample  Sample // nil is none
}

// begin measures from the first turn on.
func (t *trial) begin() {
	if !t.begun {
		t.begun = true
		t.sample = t.ceiling.limiter.Begin()
	}
}

// drop gives the sample up.
func (t *trial) drop() {
	if t != nil && t.sample != nil {
		t.sample.Drop()
		t.sample = nil
	}
}

// end records the call and returns the limit that follows; 0 is without a
// ceiling.
func (t *trial) end() int {
	if t == nil {
		return 0
	}
	if t.sample != nil {
		t.sample.Record()
		t.sample = nil
	}
	return t.ceiling.limiter.Limit()
}
