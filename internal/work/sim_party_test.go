package work

import "strings"

// simParty is the lot of a tenant, or of a lane of a tenant.
type simParty struct {
	waiting int
	since   int64 // when it began to wait or had its latest turn
	gap     int64 // the longest time without a turn while it waited
	calls   []*simCall
	cpu     int64
}

// party returns the lot of c's sender, by the first part of its path.
func (s *sim) party(c *simCall) *simParty {
	name, _, _ := strings.Cut(c.by.path, "/")
	p := s.parties[name]
	if p == nil {
		p = new(simParty)
		s.parties[name] = p
	}
	return p
}

// wait notes that c waits for a turn.
func (s *sim) wait(c *simCall) {
	c.waitSince = s.now
	p := s.party(c)
	if p.waiting == 0 {
		p.since = s.now
	}
	p.waiting++
}

// serve notes that c has its turn.
func (s *sim) serve(c *simCall) {
	c.turn = s.now
	c.longest = max(c.longest, s.now-c.waitSince)
	if c.first < 0 {
		c.first = s.now
	}
	p := s.party(c)
	p.waiting--
	p.gap = max(p.gap, s.now-p.since)
	p.since = s.now
}
