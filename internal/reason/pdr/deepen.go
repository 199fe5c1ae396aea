package pdr

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/ticket"
)

// deepen is the only kind of ticket.
const deepen = "deepen"

// Ticket is the request to look into a subject with a search of its own.
type Ticket struct {
	ID      string    `json:"ticket"`
	Kind    string    `json:"kind"`
	Subject string    `json:"subject"`
	Content string    `json:"content"`
	Expires time.Time `json:"expires"`
}

// Shortage says why Ask handed out fewer tickets than it was asked for.
type Shortage string

// The shortages.
const (
	NoShortage Shortage = ""
	Finished   Shortage = "done"         // the research is over
	HandedOut  Shortage = "handed_out"   // the rest of the round has open tickets
	NothingNew Shortage = "select_first" // nothing is selected that is not deepened
	RoundFull  Shortage = "round_full"   // as many as Settings.Deepen were deepened
)

// Ask hands out up to n tickets for subjects selected in this round, 1 to
// ticket.MaxAsk; they expire ttl after now.
func (r *Research) Ask(n int, now time.Time, ttl time.Duration) ([]Ticket, Shortage, error) {
	if n < 1 || n > ticket.MaxAsk {
		return nil, "", problem.Bad("n", fmt.Sprintf("1 to %d", ticket.MaxAsk), "%d", n)
	}
	r.Tickets.Expire(now)
	out := []Ticket{}
	if r.Done != NotDone {
		return out, Finished, nil
	}
	round := len(r.Rounds) + 1
	done, open := 0, 0
	for i := range r.Subjects {
		if s := &r.Subjects[i]; s.Selected == round && s.Confidence != nil {
			done++
		}
	}
	for i := range r.Subjects {
		s := &r.Subjects[i]
		if s.Selected != round || s.Confidence != nil || r.Tickets.Holds(deepen, i) {
			continue
		}
		if open++; len(out) == n {
			return out, NoShortage, nil
		}
		if done+len(r.Tickets.Open) >= r.Settings.Deepen {
			return out, RoundFull, nil
		}
		o, ok := r.Tickets.Issue(deepen, []int{i}, now.Add(ttl))
		if !ok {
			return out, HandedOut, nil
		}
		out = append(out, r.ticket(o))
	}
	switch {
	case len(out) == n:
		return out, NoShortage, nil
	case len(r.Tickets.Open) > 0:
		return out, HandedOut, nil
	case done >= r.Settings.Deepen:
		return out, RoundFull, nil
	}
	return out, NothingNew, nil
}

func (r *Research) ticket(o ticket.Open) Ticket {
	s := &r.Subjects[o.Nodes[0]]
	return Ticket{r.Tickets.ID(o.Number), o.Kind, s.ID, s.Content, o.Expires}
}

// Outstanding returns the open tickets, oldest first.
func (r *Research) Outstanding() []Ticket {
	out := []Ticket{}
	for _, o := range r.Tickets.Open {
		out = append(out, r.ticket(o))
	}
	return out
}

// Abandon gives a ticket back.
func (r *Research) Abandon(id string, now time.Time) error { return r.Tickets.Abandon(id, now) }

// Finding is what deepening a subject found.
type Finding struct {
	Confidence *float64  `json:"confidence" doc:"How sure the client is of the answer, 0 to 1." required:"true" min:"0" max:"1"`
	Answer     string    `json:"answer,omitempty" maxLen:"8192"`
	Link       *Link     `json:"link,omitempty" doc:"The search it was done with."`
	Subjects   []Subject `json:"subjects,omitempty" doc:"New subjects that it led to."`
}

// Told is what a Tell did. A repeated Tell gets the same one.
type Told struct {
	Ticket  string `json:"ticket"`
	Subject string `json:"subject"`
	Added   Added  `json:"added"`
	Open    int    `json:"open"` // tickets
}

// Tell answers a ticket; what it found is related to the subject by
// derived-from edges of weight 1. The same Tell again returns the same Told and
// changes nothing; another one for the same ticket is fault.Conflict, a ticket
// that is not open fault.NotFound.
func (r *Research) Tell(id string, f Finding, now time.Time) (Told, error) {
	if len(f.Subjects) == 0 {
		f.Subjects = nil
	}
	digest := ticket.Digest(f)
	if told, known, err := r.Tickets.Repeat(id, digest); known {
		return told, err
	}
	r.Tickets.Expire(now)
	o, err := r.Tickets.Find(id)
	if err != nil {
		return Told{}, err
	}
	c := f.Confidence
	switch {
	case c == nil:
		return Told{}, problem.Bad("confidence", "0 to 1", "nothing")
	case !(*c >= 0 && *c <= 1):
		return Told{}, problem.Bad("confidence", "0 to 1", "%v", *c)
	case len(f.Answer) > MaxContent:
		return Told{}, problem.Bad("answer", fmt.Sprintf("at most %d bytes", MaxContent), "%d", len(f.Answer))
	}
	if err := checkLink("link", f.Link); err != nil {
		return Told{}, err
	}
	at := o.Nodes[0]
	name := r.Subjects[at].ID
	added, err := r.add(f.Subjects, name, MaxSubjects-len(r.Subjects))
	if err != nil {
		return Told{}, err
	}
	s := &r.Subjects[at] // add may have moved them
	s.Confidence, s.Answer = new(*c+0), f.Answer
	if f.Link != nil {
		s.Link = new(*f.Link)
	}
	for _, child := range added.Added {
		if len(r.Edges) < MaxEdges {
			r.Edges = append(r.Edges, Edge{child, name, "derived-from", 1})
		}
	}
	r.Tickets.Close(o.Number)
	told := Told{r.Tickets.ID(o.Number), name, added, len(r.Tickets.Open)}
	r.Tickets.Settle(o.Number, digest, told)
	return told, nil
}

func checkLink(path string, l *Link) error {
	if l == nil {
		return nil
	}
	if err := problem.CheckText(path+".operation", l.Operation, MaxID); err != nil {
		return err
	}
	return problem.CheckText(path+".id", l.ID, MaxID)
}

// Gap is something that the research does not answer.
type Gap struct {
	Kind     string   `json:"kind"`
	Subjects []string `json:"subjects"`
	Text     string   `json:"text"`
}

// Report is what a research came to so far.
type Report struct {
	Round    Round   `json:"round"` // as if it ended now, or the last one
	Gaps     []Gap   `json:"gaps"`
	Findings []Found `json:"findings"` // by confidence
	Done     Reason  `json:"done,omitempty"`
}

// Found is a subject that was deepened, and what the client said of it.
type Found struct {
	ID         string  `json:"id"`
	Confidence float64 `json:"confidence"`
	Answer     string  `json:"answer,omitempty"`
	Cluster    int     `json:"cluster,omitempty"`
}

// maxGaps bounds a report.
const maxGaps = 200

// Report says what was found and what is missing. It changes nothing.
func (r *Research) Report() Report {
	out := Report{Round: r.measure(), Gaps: r.gaps(), Findings: []Found{}, Done: r.Done}
	for i := range r.Subjects {
		if s := &r.Subjects[i]; s.Confidence != nil {
			out.Findings = append(out.Findings, Found{s.ID, *s.Confidence, s.Answer, s.Cluster})
		}
	}
	slices.SortStableFunc(out.Findings, func(a, b Found) int { return cmp.Compare(b.Confidence, a.Confidence) })
	return out
}

// Synthesize closes the round: it divides the subjects again if they changed,
// measures, and decides whether to go on. Open tickets must be told or given
// back before.
func (r *Research) Synthesize(meter *budget.Meter) (Report, error) {
	if r.Done != NotDone {
		return r.Report(), nil
	}
	if len(r.Tickets.Open) > 0 {
		return Report{}, fault.Newf(fault.Conflict, "%d subjects are being deepened; tell or abandon them first", len(r.Tickets.Open))
	}
	if r.Clusters == 0 && len(r.Subjects) > 0 {
		if _, err := r.Cluster(meter); err != nil {
			return Report{}, err
		}
	}
	q := r.measure()
	report := r.Report()
	s := r.Settings
	switch {
	case q.Coverage >= *s.Coverage && r.confident():
		r.Done = Covered
	case len(r.Rounds) > 0 && q.Improvement < *s.MinImprovement:
		r.Done = Saturated
	case len(r.Rounds)+1 >= s.Rounds:
		r.Done = Passes
	}
	r.Rounds = append(r.Rounds, q)
	r.Scanned = 0
	report.Round, report.Done = q, r.Done
	return report, nil
}

// measure returns what the round would come to now.
func (r *Research) measure() Round {
	round := len(r.Rounds) + 1
	if r.Done != NotDone {
		return r.Rounds[len(r.Rounds)-1]
	}
	q := Round{Subjects: len(r.Subjects), Clusters: r.Clusters, Selected: r.selected(round)}
	for i := range r.Subjects {
		if s := &r.Subjects[i]; s.Selected == round && s.Confidence != nil {
			q.Deepened++
		}
	}
	covered := 0
	for _, c := range r.confidences() {
		if !math.IsNaN(c) {
			covered++
			q.Quality += c
		}
	}
	if r.Clusters > 0 {
		q.Coverage = float64(covered) / float64(r.Clusters)
		q.Quality /= float64(r.Clusters)
	}
	q.Improvement = q.Quality
	if n := len(r.Rounds); n > 0 {
		q.Improvement -= r.Rounds[n-1].Quality
	}
	return q
}

// confidences returns the highest confidence of each cluster, NaN for one
// without.
func (r *Research) confidences() []float64 {
	out := make([]float64, r.Clusters)
	for i := range out {
		out[i] = math.NaN()
	}
	for i := range r.Subjects {
		s := &r.Subjects[i]
		if s.Confidence == nil || s.Cluster < 1 || s.Cluster > r.Clusters {
			continue
		}
		if c := &out[s.Cluster-1]; !(*c >= *s.Confidence) {
			*c = *s.Confidence
		}
	}
	return out
}

func (r *Research) confident() bool {
	any := false
	for _, c := range r.confidences() {
		if c < *r.Settings.Confidence {
			return false
		}
		any = any || !math.IsNaN(c)
	}
	return any
}

func (r *Research) gaps() []Gap {
	out := []Gap{}
	add := func(kind, text string, subjects ...string) {
		if len(out) < maxGaps {
			out = append(out, Gap{kind, subjects, text})
		}
	}
	answered := map[string]bool{}
	touched := map[string]bool{}
	for _, e := range r.Edges {
		touched[e.From], touched[e.To] = true, true
		if e.Type == "contradicts" {
			add("contradiction", "the one contradicts the other", e.From, e.To)
		}
		if e.Type == "supports" {
			answered[e.To] = true
		}
	}
	for k, c := range r.confidences() {
		if math.IsNaN(c) {
			var ids []string
			for i := range r.Subjects {
				if r.Subjects[i].Cluster == k+1 {
					ids = append(ids, r.Subjects[i].ID)
				}
			}
			add("uncovered_cluster", fmt.Sprintf("no subject of cluster %d was deepened", k+1), ids...)
		}
	}
	for i := range r.Subjects {
		s := &r.Subjects[i]
		switch {
		case s.Confidence != nil && *s.Confidence < *r.Settings.Confidence:
			add("low_confidence", fmt.Sprintf("deepened with confidence %g; %g is wanted", *s.Confidence, *r.Settings.Confidence), s.ID)
		case s.Type == "question" && s.Confidence == nil && !answered[s.ID]:
			add("open_question", "nothing supports an answer", s.ID)
		case s.Score == nil && r.Settings.Relevance == ByClient && s.Confidence == nil:
			add("not_assessable", "the client gave no score", s.ID)
		case !touched[s.ID] && len(r.Edges) > 0 && s.Confidence == nil:
			add("isolated", "nothing relates to it", s.ID)
		}
	}
	return out
}

// Graph returns the subjects as a graph for drawing.
func (r *Research) Graph() graph.Graph {
	var g graph.Graph
	for i := range r.Subjects {
		s := &r.Subjects[i]
		n := graph.Node{ID: s.ID, Label: s.Content, Kind: s.Type, Attrs: map[string]string{}}
		if s.Cluster > 0 {
			n.Attrs["cluster"] = fmt.Sprint(s.Cluster)
		}
		switch {
		case s.Confidence != nil:
			n.Kind = "completed"
			n.Attrs["confidence"] = fmt.Sprintf("%.3g", *s.Confidence)
		case s.Selected == len(r.Rounds)+1:
			n.Kind = "active"
		}
		g.Nodes = append(g.Nodes, n)
	}
	for _, e := range r.Edges {
		g.Edges = append(g.Edges, graph.Edge{From: e.From, To: e.To, Label: e.Type, Kind: e.Type})
	}
	return g
}
