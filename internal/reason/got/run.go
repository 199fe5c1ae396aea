package got

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/ticket"
)

// Ticket is the request to do one job of an operation.
type Ticket struct {
	ID        string    `json:"ticket"`
	Operation string    `json:"operation"`
	Kind      Kind      `json:"kind"`
	Thoughts  []int     `json:"thoughts"`
	Contents  []string  `json:"contents"` // of the thoughts
	Wanted    int       `json:"wanted"`   // new thoughts at most
	Expires   time.Time `json:"expires"`
}

// Shortage says why Ask handed out fewer tickets than it was asked for.
type Shortage string

// The shortages.
const (
	NoShortage Shortage = ""
	Finished   Shortage = "done"       // the plan is
	HandedOut  Shortage = "handed_out" // what comes next depends on open tickets
	TooMany    Shortage = "too_many"   // ticket.MaxOpen are open
)

// Ask hands out up to n tickets for jobs that are ready, 1 to ticket.MaxAsk, in
// the order of the plan; they expire ttl after now.
func (g *Graph) Ask(n int, now time.Time, ttl time.Duration) ([]Ticket, Shortage, error) {
	if n < 1 || n > ticket.MaxAsk {
		return nil, "", problem.Bad("n", fmt.Sprintf("1 to %d", ticket.MaxAsk), "%d", n)
	}
	g.Tickets.Expire(now)
	out := []Ticket{}
	held := map[[2]int]bool{}
	for _, o := range g.Tickets.Open {
		held[[2]int{o.Nodes[0], o.Nodes[1]}] = true
	}
	for i := range g.Plan {
		for j := range g.Plan[i].Jobs {
			if g.Plan[i].Jobs[j].Done || held[[2]int{i, j}] {
				continue
			}
			if len(out) == n {
				return out, NoShortage, nil
			}
			o, ok := g.Tickets.Issue(string(g.Plan[i].Kind), []int{i, j}, now.Add(ttl))
			if !ok {
				return out, TooMany, nil
			}
			out = append(out, g.ticket(o))
		}
	}
	switch {
	case g.Done():
		return out, Finished, nil
	case len(out) < n:
		return out, HandedOut, nil
	}
	return out, NoShortage, nil
}

func (g *Graph) ticket(o ticket.Open) Ticket {
	s := &g.Plan[o.Nodes[0]]
	t := Ticket{ID: g.Tickets.ID(o.Number), Operation: s.ID, Kind: s.Kind, Thoughts: slices.Clone(s.Jobs[o.Nodes[1]].In), Expires: o.Expires}
	for _, at := range t.Thoughts {
		t.Contents = append(t.Contents, g.Thoughts[at].Content)
	}
	switch s.Kind {
	case Generate:
		t.Wanted = s.Count
	case Aggregate, Refine:
		t.Wanted = 1
	}
	return t
}

// Outstanding returns the open tickets, oldest first.
func (g *Graph) Outstanding() []Ticket {
	out := []Ticket{}
	for _, o := range g.Tickets.Open {
		out = append(out, g.ticket(o))
	}
	return out
}

// Abandon gives a ticket back.
func (g *Graph) Abandon(id string, now time.Time) error { return g.Tickets.Abandon(id, now) }

// Done reports whether all operations are.
func (g *Graph) Done() bool {
	return !slices.ContainsFunc(g.Plan, func(s Step) bool { return !s.Done })
}

// Tell is what the client did for a ticket.
type Tell struct {
	Thoughts []Thought `json:"thoughts"` // Generate: up to what is wanted, none is a dead end; Aggregate, Refine: one
	Score    *float64  `json:"score"`    // Score
	Valid    *bool     `json:"valid"`    // Validate
	Note     string    `json:"note"`     // Score, Validate: why
}

// Told is what a Tell did. A repeated Tell gets the same one.
type Told struct {
	Ticket    string   `json:"ticket"`
	Operation string   `json:"operation"`
	Thoughts  []int    `json:"thoughts"` // added
	Dropped   int      `json:"dropped,omitempty"`
	Closed    []string `json:"closed"` // operations that are done now
	Done      bool     `json:"done"`   // the whole plan
}

// Tell answers a ticket. The same Tell again returns the same Told and changes
// nothing; another one for the same ticket is fault.Conflict, a ticket that is
// not open fault.NotFound.
func (g *Graph) Tell(id string, what Tell, now time.Time) (Told, error) {
	if len(what.Thoughts) == 0 {
		what.Thoughts = nil
	}
	digest := ticket.Digest(what)
	if told, known, err := g.Tickets.Repeat(id, digest); known {
		return told, err
	}
	g.Tickets.Expire(now)
	o, err := g.Tickets.Find(id)
	if err != nil {
		return Told{}, err
	}
	step := &g.Plan[o.Nodes[0]]
	if err := check(step.Operation, what); err != nil {
		return Told{}, err
	}
	told := Told{Ticket: g.Tickets.ID(o.Number), Operation: step.ID, Thoughts: []int{}, Closed: []string{}}
	g.accept(step, &step.Jobs[o.Nodes[1]], what, &told)
	told.Closed = append(told.Closed, g.advance()...)
	told.Done = g.Done()
	g.Tickets.Settle(o.Number, digest, told)
	return told, nil
}

func check(o Operation, what Tell) error {
	low, high := 0, 0
	switch o.Kind {
	case Generate:
		high = o.Count
	case Aggregate, Refine:
		low, high = 1, 1
	}
	switch n := len(what.Thoughts); {
	case n < low || n > high:
		return problem.Bad("thoughts", fmt.Sprintf("%d to %d, to %s", low, high, o.Kind), "%d", n)
	case (what.Score != nil) != (o.Kind == Score):
		return problem.Bad("score", "a number to score, nothing otherwise", "the contrary to %s", o.Kind)
	case (what.Valid != nil) != (o.Kind == Validate):
		return problem.Bad("valid", "true or false to validate, nothing otherwise", "the contrary to %s", o.Kind)
	case what.Note != "" && o.Kind != Score && o.Kind != Validate:
		return problem.Bad("note", "nothing, to "+string(o.Kind), "%.32q", what.Note)
	case len(what.Note) > MaxContent:
		return problem.Bad("note", fmt.Sprintf("at most %d bytes", MaxContent), "%d", len(what.Note))
	}
	if err := checkThought("tell", &Thought{Content: "-", Score: what.Score, Note: what.Note}); err != nil {
		return err
	}
	for i := range what.Thoughts {
		t := &what.Thoughts[i]
		path := fmt.Sprintf("thoughts[%d]", i)
		if t.Valid != nil {
			return problem.Bad(path+".valid", "nothing: it is for validate", "%t", *t.Valid)
		}
		if err := checkThought(path, t); err != nil {
			return err
		}
	}
	return nil
}

func (g *Graph) accept(step *Step, job *Job, what Tell, told *Told) {
	job.Done = true
	relation := map[Kind]Relation{Generate: Derives, Aggregate: Aggregates, Refine: Refines}[step.Kind]
	for _, t := range what.Thoughts {
		if len(g.Thoughts) >= MaxThoughts || len(g.Edges)+len(job.In) > MaxEdges {
			told.Dropped++
			g.Dropped++
			continue
		}
		t.By = step.ID
		at := len(g.Thoughts)
		g.Thoughts = append(g.Thoughts, t)
		for _, from := range job.In {
			g.Edges = append(g.Edges, Edge{from, at, relation, 1})
		}
		job.Out = append(job.Out, at)
		told.Thoughts = append(told.Thoughts, at)
	}
	switch t := &g.Thoughts[job.In[0]]; step.Kind {
	case Score:
		t.Score, t.Note = new(*what.Score+0), what.Note
		job.Out = job.In
	case Validate:
		t.Valid, t.Note = new(*what.Valid), what.Note
		if *what.Valid {
			job.Out = job.In
		}
	}
}

// advance starts what is ready and ends what is done, until nothing changes. It
// returns the operations that ended.
func (g *Graph) advance() []string {
	var closed []string
	for again := true; again; {
		again = false
		for i := range g.Plan {
			s := &g.Plan[i]
			if !s.Started && g.ready(s) {
				g.start(s)
				again = true
			}
			if s.Started && !s.Done && !slices.ContainsFunc(s.Jobs, func(j Job) bool { return !j.Done }) {
				if s.Kind != KeepBest {
					for _, j := range s.Jobs {
						s.Out = append(s.Out, j.Out...)
					}
				}
				s.Done = true
				closed = append(closed, s.ID)
				again = true
			}
		}
	}
	return closed
}

func (g *Graph) ready(s *Step) bool {
	for i := range g.Plan {
		if !g.Plan[i].Done && slices.Contains(s.After, g.Plan[i].ID) {
			return false
		}
	}
	return true
}

func (g *Graph) start(s *Step) {
	s.Started = true
	in := slices.Clone(g.Roots)
	if len(s.After) > 0 {
		in = nil
		for _, name := range s.After {
			for i := range g.Plan {
				if g.Plan[i].ID == name {
					in = append(in, g.Plan[i].Out...)
				}
			}
		}
	}
	seen := map[int]bool{}
	in = slices.DeleteFunc(in, func(at int) bool {
		twice := seen[at]
		seen[at] = true
		return twice
	})
	switch s.Kind {
	case KeepBest:
		slices.SortStableFunc(in, g.compare)
		s.Out = in[:min(len(in), s.Count)]
		return
	case Aggregate:
		size := s.Count
		if size == 0 {
			size = max(len(in), 1)
		}
		for group := range slices.Chunk(in, size) {
			s.Jobs = append(s.Jobs, Job{In: slices.Clone(group)})
		}
		return
	}
	for _, at := range in {
		s.Jobs = append(s.Jobs, Job{In: []int{at}})
	}
}

// compare orders thoughts by score, those without one last.
func (g *Graph) compare(a, b int) int {
	p, q := g.Thoughts[a].Score, g.Thoughts[b].Score
	switch {
	case p != nil && q != nil:
		return cmp.Compare(*q, *p)
	case p != nil:
		return -1
	case q != nil:
		return 1
	}
	return 0
}
