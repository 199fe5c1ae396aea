// Package pdr does progressive deep research: many subjects are scanned, put
// into clusters, the most relevant and most different are selected, deepened by
// a search of their own, and what is still missing is reported.
//
// The client finds the subjects and says how relevant they are and how sure it
// is of what it found. Everything else is computed from that: clusters of
// highest modularity by local moving (Blondel et al., Louvain method, 2008),
// selection by maximal marginal relevance (Carbonell and Goldstein, 1998), and
// when to stop.
package pdr

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/ticket"
)

// Bounds and defaults.
const (
	MaxSubjects       = 500
	MaxEdges          = 5000
	MaxContent        = 8192 // bytes
	MaxID             = 128  // bytes
	MaxVector         = 1024
	MaxNumbers        = 100_000 // of all vectors together
	MaxRounds         = 100
	DefaultRounds     = 5
	DefaultScan       = 10
	DefaultSelect     = 5
	DefaultDeepen     = 3
	DefaultLambda     = 0.5
	DefaultImprove    = 0.1
	DefaultConfidence = 0.8
	maxScore          = 1e12
)

// Likeness is what the similarity of two subjects is computed from, 0 to 1.
type Likeness string

// The kinds of likeness.
const (
	ByTerms   Likeness = "terms"   // words in common over all words (Jaccard), case aside
	ByVectors Likeness = "vectors" // cosine of the client's vectors, 0 if negative
	ByEdges   Likeness = "edges"   // the largest weight between them, contradictions aside
)

// Relevance is where the score of a subject comes from.
type Relevance string

// The kinds of relevance.
const (
	ByClient   Relevance = "client"   // the client's; a subject without one is not selected
	ByPageRank Relevance = "pagerank" // measured: PageRank over the edges, 1 for the highest
)

// Settings are what a Research is made with. Zero values mean the defaults.
type Settings struct {
	Likeness       Likeness  `json:"likeness"`   // default ByTerms
	Relevance      Relevance `json:"relevance"`  // default ByClient
	Threshold      float64   `json:"threshold"`  // similarities below it do not connect; default 0
	Resolution     float64   `json:"resolution"` // γ of modularity, above 0; default 1
	Lambda         *float64  `json:"lambda"`     // 1 is relevance alone, 0 difference alone; default DefaultLambda
	Scan           int       `json:"scan"`       // new subjects of a round, those that deepening finds aside
	Select         int       `json:"select"`     // subjects of a round
	Deepen         int       `json:"deepen"`     // of those, how many are deepened
	Rounds         int       `json:"maxPasses"`
	MinImprovement *float64  `json:"minImprovement"`      // of the quality; less ends it. Default DefaultImprove
	Confidence     *float64  `json:"confidenceThreshold"` // reached for the covered clusters ends it, with Coverage
	Coverage       *float64  `json:"coverage"`            // share of the clusters with a deepened subject; default 1
}

// Subject is something to look into.
type Subject struct {
	ID         string    `json:"id" doc:"Unique name." required:"true" maxLen:"128"`
	Content    string    `json:"content" doc:"What it is about." required:"true" maxLen:"8192"`
	Type       string    `json:"type,omitempty" doc:"subject, concept, evidence, question or insight." maxLen:"128"`
	Score      *float64  `json:"score,omitempty" doc:"How relevant it is, from the client." min:"0"`
	Vector     []float64 `json:"vector,omitempty" doc:"Embedding, from the client; all of one length." maxItems:"1024"`
	Parent     string    `json:"parent,omitempty"`     // the subject whose deepening found it
	Cluster    int       `json:"cluster,omitempty"`    // from 1; 0 before clustering
	Selected   int       `json:"selected,omitempty"`   // the round; 0 is never
	Confidence *float64  `json:"confidence,omitempty"` // of what deepening found, 0 to 1; nil before
	Answer     string    `json:"answer,omitempty"`
	Link       *Link     `json:"link,omitempty"`
}

// Link names the search that a subject was deepened with.
type Link struct {
	Operation string `json:"operation" doc:"Such as tree_of_thought." required:"true" maxLen:"128"`
	ID        string `json:"id" doc:"Of the object there." required:"true" maxLen:"128"`
}

// Edge relates two subjects.
type Edge struct {
	From   string  `json:"from"`
	To     string  `json:"to"`
	Type   string  `json:"type" enum:"supports|contradicts|refines|questions|leads-to|relates-to|derived-from|clusters-with"`
	Weight float64 `json:"weight" min:"0" max:"1"`
}

// EdgeTypes returns the types of an Edge.
func EdgeTypes() []string {
	return []string{"supports", "contradicts", "refines", "questions", "leads-to", "relates-to", "derived-from", "clusters-with"}
}

// Reason says why a Research is done.
type Reason string

// The reasons. Empty means that it is not.
const (
	NotDone   Reason = ""
	Saturated Reason = "saturation" // the last round improved the quality by too little
	Covered   Reason = "coverage"   // enough clusters, with enough confidence
	Passes    Reason = "max_passes"
)

// Round is what a closed round came to.
type Round struct {
	Subjects    int     `json:"subjects"`
	Clusters    int     `json:"clusters"`
	Selected    int     `json:"selected"`
	Deepened    int     `json:"deepened"`
	Coverage    float64 `json:"coverage"`    // share of the clusters with a deepened subject
	Quality     float64 `json:"quality"`     // mean over the clusters of the highest confidence, 0 for none
	Improvement float64 `json:"improvement"` // of the quality over the round before
}

// Research is plain data that survives a JSON round trip, and it is not safe for
// concurrent use. Time is passed in; nothing in it is random.
type Research struct {
	Settings Settings          `json:"settings"`
	Question string            `json:"question"`
	Subjects []Subject         `json:"subjects"`
	Edges    []Edge            `json:"edges"`
	Scanned  int               `json:"scanned"`  // subjects added in this round
	Clusters int               `json:"clusters"` // 0 when they must be computed again
	Rounds   []Round           `json:"rounds"`   // closed ones
	Done     Reason            `json:"done,omitempty"`
	Tickets  ticket.Book[Told] `json:"tickets"`
}

// New returns a research without subjects. tag names it among others, for its
// tickets.
func New(s Settings, question, tag string) (*Research, error) {
	if err := s.settle(); err != nil {
		return nil, err
	}
	if err := problem.CheckText("question", question, MaxContent); err != nil {
		return nil, err
	}
	if err := ticket.CheckTag(tag); err != nil {
		return nil, err
	}
	r := &Research{Settings: s, Question: question, Subjects: []Subject{}, Edges: []Edge{}, Rounds: []Round{}}
	r.Tickets.Tag = tag
	return r, nil
}

func (s *Settings) settle() error {
	if s.Likeness == "" {
		s.Likeness = ByTerms
	}
	if s.Relevance == "" {
		s.Relevance = ByClient
	}
	if s.Resolution == 0 {
		s.Resolution = 1
	}
	for _, d := range []struct {
		path string
		v    **float64
		to   float64
	}{{"lambda", &s.Lambda, DefaultLambda}, {"minImprovement", &s.MinImprovement, DefaultImprove}, {"confidenceThreshold", &s.Confidence, DefaultConfidence}, {"coverage", &s.Coverage, 1}} {
		if *d.v == nil {
			*d.v = new(d.to)
		}
		if v := **d.v; !(v >= 0 && v <= 1) {
			return problem.Bad(d.path, "0 to 1", "%v", v)
		}
	}
	for _, d := range []struct {
		path      string
		v         *int
		to, limit int
	}{{"scan", &s.Scan, DefaultScan, MaxSubjects}, {"select", &s.Select, DefaultSelect, MaxSubjects}, {"deepen", &s.Deepen, min(DefaultDeepen, max(1, s.Select)), max(1, s.Select)}, {"maxPasses", &s.Rounds, DefaultRounds, MaxRounds}} {
		if *d.v == 0 {
			*d.v = d.to
			if d.v == &s.Deepen {
				*d.v = min(DefaultDeepen, s.Select)
			}
		}
		if d.v == &s.Deepen {
			d.limit = s.Select
		}
		if *d.v < 1 || *d.v > d.limit {
			return problem.Bad(d.path, fmt.Sprintf("1 to %d", d.limit), "%d", *d.v)
		}
	}
	switch {
	case !slices.Contains([]Likeness{ByTerms, ByVectors, ByEdges}, s.Likeness):
		return problem.Bad("likeness", "terms, vectors or edges", "%.32q", string(s.Likeness))
	case s.Relevance != ByClient && s.Relevance != ByPageRank:
		return problem.Bad("relevance", "client or pagerank", "%.32q", string(s.Relevance))
	case !(s.Threshold >= 0 && s.Threshold <= 1):
		return problem.Bad("threshold", "0 to 1", "%v", s.Threshold)
	case !(s.Resolution > 0 && s.Resolution <= 1000):
		return problem.Bad("resolution", "above 0 and at most 1000", "%v", s.Resolution)
	}
	return nil
}

// Added is what Add did.
type Added struct {
	Added   []string `json:"added"`
	Known   []string `json:"known"`   // the same as before: nothing changed
	Dropped []string `json:"dropped"` // for which the round, or the research, has no room
}

// Add adds subjects that the client found by scanning. A subject that is there
// already with the same content is left as it is; another content of that id is
// fault.Conflict, and nothing is added.
func (r *Research) Add(subjects []Subject) (Added, error) {
	room := min(r.Settings.Scan-r.Scanned, MaxSubjects-len(r.Subjects))
	out, err := r.add(subjects, "", room)
	r.Scanned += len(out.Added)
	return out, err
}

func (r *Research) add(subjects []Subject, parent string, room int) (Added, error) {
	out := Added{Added: []string{}, Known: []string{}, Dropped: []string{}}
	if r.Done != NotDone {
		return out, fault.Newf(fault.Conflict, "the research is done: %s", r.Done)
	}
	if len(subjects) > MaxSubjects {
		return out, problem.Bad("subjects", fmt.Sprintf("at most %d", MaxSubjects), "%d", len(subjects))
	}
	dim, numbers := r.dimension()
	fresh := map[string]string{}
	for i := range subjects {
		s := &subjects[i]
		path := fmt.Sprintf("subjects[%d]", i)
		if err := checkSubject(path, s); err != nil {
			return out, err
		}
		if s.Parent != "" || s.Cluster != 0 || s.Selected != 0 || s.Confidence != nil || s.Answer != "" || s.Link != nil {
			return out, problem.Bad(path, "id, content, type, score and vector alone", "more")
		}
		content, twice := fresh[s.ID]
		if k := r.find(s.ID); k >= 0 {
			content, twice = r.Subjects[k].Content, true
		}
		if twice && content != s.Content {
			return out, fault.Newf(fault.Conflict, "%s.id: %.64q is another subject already", path, s.ID)
		}
		fresh[s.ID] = s.Content
		if n := len(s.Vector); n > 0 {
			if dim == 0 {
				dim = n
			}
			if n != dim {
				return out, problem.Bad(path+".vector", fmt.Sprintf("%d numbers, as before", dim), "%d", n)
			}
			if numbers += n; numbers > MaxNumbers {
				return out, problem.Bad(path+".vector", fmt.Sprintf("at most %d numbers in all", MaxNumbers), "%d", numbers)
			}
		}
	}
	for _, s := range subjects {
		switch {
		case r.find(s.ID) >= 0:
			out.Known = append(out.Known, s.ID)
		case len(out.Added) >= room:
			out.Dropped = append(out.Dropped, s.ID)
		default:
			s.Parent, s.Vector = parent, slices.Clone(s.Vector)
			r.Subjects = append(r.Subjects, s)
			out.Added = append(out.Added, s.ID)
			r.Clusters = 0
		}
	}
	return out, nil
}

func (r *Research) dimension() (dim, numbers int) {
	for i := range r.Subjects {
		if n := len(r.Subjects[i].Vector); n > 0 {
			dim = n
			numbers += n
		}
	}
	return dim, numbers
}

func (r *Research) find(id string) int {
	return slices.IndexFunc(r.Subjects, func(s Subject) bool { return s.ID == id })
}

// Connect adds an edge; the same one again replaces its weight.
func (r *Research) Connect(e Edge) error {
	if err := r.checkEdge("edge", e); err != nil {
		return err
	}
	r.Clusters = 0
	for i := range r.Edges {
		if o := &r.Edges[i]; o.From == e.From && o.To == e.To && o.Type == e.Type {
			o.Weight = e.Weight
			return nil
		}
	}
	if len(r.Edges) >= MaxEdges {
		return fault.Newf(fault.TooLarge, "the research has %d edges; expected at most %d", len(r.Edges)+1, MaxEdges)
	}
	r.Edges = append(r.Edges, e)
	return nil
}

// Remove takes a subject out, with its edges and tickets; what its deepening
// found stays.
func (r *Research) Remove(id string) error {
	k := r.find(id)
	if k < 0 {
		return fault.Newf(fault.NotFound, "there is no subject %.64q", id)
	}
	r.Clusters = 0
	r.Edges = slices.DeleteFunc(r.Edges, func(e Edge) bool { return e.From == id || e.To == id })
	for i := range r.Subjects {
		if r.Subjects[i].Parent == id {
			r.Subjects[i].Parent = ""
		}
	}
	r.Subjects = slices.Delete(r.Subjects, k, k+1)
	r.Tickets.Open = slices.DeleteFunc(r.Tickets.Open, func(o ticket.Open) bool { return o.Nodes[0] == k })
	for _, o := range r.Tickets.Open {
		if o.Nodes[0] > k {
			o.Nodes[0]--
		}
	}
	return nil
}

func (r *Research) checkEdge(path string, e Edge) error {
	switch {
	case e.From == e.To || r.find(e.From) < 0 || r.find(e.To) < 0:
		return problem.Bad(path, "ids of two subjects", "%.64q and %.64q", e.From, e.To)
	case !slices.Contains(EdgeTypes(), e.Type):
		return problem.Bad(path+".type", strings.Join(EdgeTypes(), ", "), "%.32q", e.Type)
	case !(e.Weight >= 0 && e.Weight <= 1):
		return problem.Bad(path+".weight", "0 to 1", "%v", e.Weight)
	}
	return nil
}

func checkSubject(path string, s *Subject) error {
	if err := problem.CheckText(path+".id", s.ID, MaxID); err != nil {
		return err
	}
	if err := problem.CheckText(path+".content", s.Content, MaxContent); err != nil {
		return err
	}
	switch {
	case len(s.Type) > MaxID || !utf8.ValidString(s.Type):
		return problem.Bad(path+".type", fmt.Sprintf("at most %d bytes of UTF-8", MaxID), "%d bytes", len(s.Type))
	case s.Score != nil && !(*s.Score >= 0 && *s.Score <= maxScore):
		return problem.Bad(path+".score", fmt.Sprintf("0 to %v", maxScore), "%v", *s.Score)
	case len(s.Vector) > MaxVector:
		return problem.Bad(path+".vector", fmt.Sprintf("at most %d numbers", MaxVector), "%d", len(s.Vector))
	}
	for i, v := range s.Vector {
		if !(v >= -maxScore && v <= maxScore) {
			return problem.Bad(fmt.Sprintf("%s.vector[%d]", path, i), fmt.Sprintf("a number of size at most %v", maxScore), "%v", v)
		}
	}
	return nil
}
