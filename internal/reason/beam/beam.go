package beam

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/ticket"
)

// Bounds and defaults of a Beam.
const (
	DefaultWidth     = 3
	DefaultDepth     = 5
	DefaultDiversity = 0.5
	MaxWidth         = 1024
	MaxDepth         = 100
	MaxNodes         = 10_000
	MaxTellChildren  = 64
	MaxContent       = 8192 // bytes of a step
	MaxKey           = 1024 // bytes
	MaxSimilarWidth  = 64   // of a beam that merges by Similar: every candidate is compared with all that are kept

	DefaultSimilarity = 0.9
)

// Merge says which paths of a generation are the same state.
type Merge string

// The merges. Equal continuations of one path are always one.
const (
	ByText  Merge = "text"    // equal keys, or without a key equal text of the step but for case and space
	ByKey   Merge = "key"     // equal keys that the client gave
	Similar Merge = "similar" // as ByText, and steps of the beam without keys that share most of their shingles
	Never   Merge = "none"
)

// Settings are what a Beam is made with. Zero values mean the defaults.
type Settings struct {
	Width         int       `json:"beamWidth"`
	Depth         int       `json:"iterations"`       // generations
	Aggregate     Aggregate `json:"scoreAggregation"` // default Sum
	LengthPenalty float64   `json:"lengthPenalty"`    // exponent α, 0 to 2
	Decay         float64   `json:"decay"`            // of Weighted, above 0 and at most 1; default 0.5
	Merge         Merge     `json:"merge"`            // default ByText
	Similarity    float64   `json:"mergeSimilarity"`  // of Similar: the Jaccard index of shingles from which two are one, above 0; default DefaultSimilarity
	Prune         Prune     `json:"pruningStrategy,omitempty"`
	Margin        float64   `json:"pruningThreshold,omitempty"` // of Prune
	Groups        int       `json:"groups"`                     // default 1
	Diversity     *float64  `json:"diversity"`                  // λ, at least 0; default DefaultDiversity
	MaxNodes      int       `json:"maxNodes"`
	Stop          Stop      `json:"convergence"`
}

// Prune is the rule by which a candidate is dropped for its distance to the best
// one of its generation, whatever room there is (Freitag and Al-Onaizan, Beam
// search strategies for neural machine translation, 2017).
type Prune string

// The rules.
const (
	ByRank   Prune = ""         // none: only the width counts
	Absolute Prune = "absolute" // its value is below the best one by more than Margin, which is at least 0
	Relative Prune = "relative" // its value is below Margin, 0 to 1, times the best one; of LogProb as probabilities. Nothing if the best one is not above 0
)

// Stop is when a Beam ends before its last generation. Zero values turn a rule
// off; a pointer means that zero is a value.
type Stop struct {
	Patience       int      `json:"patience,omitempty"`            // generations in a row that
	MinImprovement float64  `json:"minScoreImprovement,omitempty"` // do not raise the best value by more than this
	Target         *float64 `json:"targetScore,omitempty"`         // a path reached this value
	Gap            *float64 `json:"scoreGap,omitempty"`            // a complete path leads all others by this
	Consensus      float64  `json:"consensusThreshold,omitempty"`  // this share of the beam began with the same step
}

// Status is the state of a path.
type Status string

// The statuses.
const (
	Candidate Status = "candidate" // proposed in the open generation
	Active    Status = "active"    // in the beam
	Expanded  Status = "expanded"  // continued by others
	Completed Status = "completed"
	Pruned    Status = "pruned"  // out of the beam
	Merged    Status = "merged"  // the same state as a better one
	Stalled   Status = "stalled" // not complete, and without continuation
)

// Reason says why a Beam is done.
type Reason string

// The reasons. Empty means that it is not.
const (
	NotDone       Reason = ""
	Generations   Reason = "max_generations"
	AllComplete   Reason = "all_complete"
	AllStalled    Reason = "stalled"
	NoImprovement Reason = "no_improvement"
	TargetReached Reason = "target_reached"
	GapReached    Reason = "score_gap"
	Consensus     Reason = "consensus"
	Full          Reason = "max_nodes"
)

// Node is the last step of a path.
type Node struct {
	Content string   `json:"content"`
	Key     string   `json:"key,omitempty"`
	Parent  int      `json:"parent"` // -1 for the root
	Depth   int      `json:"depth"`
	Score   float64  `json:"score"` // of this step
	Value   float64  `json:"value"` // of the path
	Status  Status   `json:"status"`
	Group   int      `json:"group,omitempty"` // from 1, once it is in the beam
	Into    int      `json:"into,omitempty"`  // the node it was merged into
	Cut     float64  `json:"cut,omitempty"`   // the lowest value that its group kept when it was pruned
	Floor   *float64 `json:"floor,omitempty"` // the value below which its generation was pruned, if it was
}

// Beam is a beam search whose steps the client proposes and scores. It is plain
// data that survives a JSON round trip, and it is not safe for concurrent use.
// Time is passed in; nothing in it is random.
type Beam struct {
	Settings   Settings          `json:"settings"`
	Nodes      []Node            `json:"nodes"` // 0 is the root; a node comes after its parent
	Generation int               `json:"generation"`
	Frontier   []int             `json:"frontier"` // the beam, best first within each group
	Best       []float64         `json:"best"`     // value so far after each generation
	Dropped    int               `json:"dropped,omitempty"`
	Done       Reason            `json:"done,omitempty"`
	Tickets    ticket.Book[Told] `json:"tickets"`
}

// New returns a beam that holds the root alone. tag names the search among
// others, for its tickets.
func New(s Settings, root, tag string) (*Beam, error) {
	if err := s.settle(); err != nil {
		return nil, err
	}
	if err := problem.CheckText("root", root, MaxContent); err != nil {
		return nil, err
	}
	if err := ticket.CheckTag(tag); err != nil {
		return nil, err
	}
	b := &Beam{Settings: s, Nodes: []Node{{Content: root, Parent: -1, Status: Active}}, Frontier: []int{0}}
	b.Tickets.Tag = tag
	return b, nil
}

func (s *Settings) settle() error {
	defaults := func(v *int, to int) {
		if *v == 0 {
			*v = to
		}
	}
	defaults(&s.Width, DefaultWidth)
	defaults(&s.Depth, DefaultDepth)
	defaults(&s.Groups, 1)
	defaults(&s.MaxNodes, MaxNodes)
	if s.Aggregate == "" {
		s.Aggregate = Sum
	}
	if s.Aggregate == average {
		s.Aggregate = Mean
	}
	if s.Decay == 0 {
		s.Decay = 0.5
	}
	if s.Merge == "" {
		s.Merge = ByText
	}
	if s.Similarity == 0 {
		s.Similarity = DefaultSimilarity
	}
	if s.Diversity == nil {
		s.Diversity = new(DefaultDiversity)
	}
	whole := func(path string, v, low, high int) error {
		if v < low || v > high {
			return problem.Bad(path, fmt.Sprintf("%d to %d", low, high), "%d", v)
		}
		return nil
	}
	for _, err := range []error{
		whole("beamWidth", s.Width, 1, MaxWidth),
		whole("iterations", s.Depth, 1, MaxDepth),
		whole("groups", s.Groups, 1, s.Width),
		whole("maxNodes", s.MaxNodes, 2, MaxNodes),
		whole("convergence.patience", s.Stop.Patience, 0, MaxDepth),
	} {
		if err != nil {
			return err
		}
	}
	if err := s.checkCuts(); err != nil {
		return err
	}
	return s.checkRules()
}

func (s *Settings) checkCuts() error {
	switch {
	case s.Merge == Similar && s.Width > MaxSimilarWidth:
		return problem.Bad("beamWidth", fmt.Sprintf("at most %d, to merge by similarity", MaxSimilarWidth), "%d", s.Width)
	case !(s.Similarity > 0 && s.Similarity <= 1):
		return problem.Bad("mergeSimilarity", "above 0 and at most 1", "%v", s.Similarity)
	case !slices.Contains([]Prune{ByRank, Absolute, Relative}, s.Prune):
		return problem.Bad("pruningStrategy", "absolute or relative", "%.32q", string(s.Prune))
	case !(s.Margin >= 0 && s.Margin <= MaxScore) || s.Prune == Relative && s.Margin > 1:
		return problem.Bad("pruningThreshold", "at least 0, for relative at most 1", "%v", s.Margin)
	case s.Prune == ByRank && s.Margin != 0:
		return problem.Bad("pruningThreshold", "nothing without a pruningStrategy", "%v", s.Margin)
	}
	return nil
}

func (s *Settings) checkRules() error {
	limit := func(v, high float64) bool { return v >= 0 && v <= high }
	stop := s.Stop
	switch {
	case !slices.Contains([]Aggregate{Sum, Mean, Product, LogProb, Min, Max, Last, Weighted}, s.Aggregate):
		return problem.Bad("scoreAggregation", "sum, mean, product, logprob, min, max, last or weighted", "%.32q", string(s.Aggregate))
	case !slices.Contains([]Merge{ByText, ByKey, Similar, Never}, s.Merge):
		return problem.Bad("merge", "text, key, similar or none", "%.32q", string(s.Merge))
	case !limit(s.LengthPenalty, 2):
		return problem.Bad("lengthPenalty", "0 to 2", "%v", s.LengthPenalty)
	case s.LengthPenalty > 0 && !slices.Contains([]Aggregate{Sum, Product, LogProb}, s.Aggregate):
		return problem.Bad("lengthPenalty", "0: only sum, product and logprob grow with the length", "%v", s.LengthPenalty)
	case !(s.Decay > 0 && s.Decay <= 1):
		return problem.Bad("decay", "above 0 and at most 1", "%v", s.Decay)
	case !limit(*s.Diversity, MaxScore):
		return problem.Bad("diversity", "at least 0", "%v", *s.Diversity)
	case !limit(stop.MinImprovement, MaxScore):
		return problem.Bad("convergence.minScoreImprovement", "at least 0", "%v", stop.MinImprovement)
	case stop.Target != nil && !limit(max(*stop.Target, -*stop.Target), MaxScore*MaxDepth):
		return problem.Bad("convergence.targetScore", "a number", "%v", *stop.Target)
	case stop.Gap != nil && !limit(*stop.Gap, MaxScore*MaxDepth):
		return problem.Bad("convergence.scoreGap", "at least 0", "%v", *stop.Gap)
	case !limit(stop.Consensus, 1):
		return problem.Bad("convergence.consensusThreshold", "0 to 1", "%v", stop.Consensus)
	}
	return nil
}

// normal is a text without case and surplus space.
func normal(text string) string { return strings.ToLower(strings.Join(strings.Fields(text), " ")) }

// state identifies what a node leads to, for merging; empty if it is like no
// other.
func (b *Beam) state(n *Node) string {
	switch {
	case b.Settings.Merge == Never:
		return ""
	case n.Key != "":
		return "k" + n.Key
	case b.Settings.Merge == ByText || b.Settings.Merge == Similar:
		return "t" + normal(n.Content)
	}
	return ""
}

// Ticket is the request to continue one path.
type Ticket struct {
	ID      string    `json:"ticket"`
	Node    int       `json:"node"`
	Kind    string    `json:"kind"` // expand
	Path    []string  `json:"path"` // contents from the root to the node
	Value   float64   `json:"value"`
	Expires time.Time `json:"expires"`
}

// expand is the only kind of ticket.
const expand = "expand"

// Shortage says why Ask handed out fewer tickets than it was asked for.
type Shortage string

// The shortages.
const (
	NoShortage Shortage = ""
	Finished   Shortage = "done"       // the search is over
	HandedOut  Shortage = "handed_out" // the rest of the generation has open tickets
	TooMany    Shortage = "too_many"   // ticket.MaxOpen are open
)

// Ask hands out up to n tickets for the paths of this generation, 1 to
// ticket.MaxAsk; they expire ttl after now.
func (b *Beam) Ask(n int, now time.Time, ttl time.Duration) ([]Ticket, Shortage, error) {
	if n < 1 || n > ticket.MaxAsk {
		return nil, "", problem.Bad("n", fmt.Sprintf("1 to %d", ticket.MaxAsk), "%d", n)
	}
	b.Tickets.Expire(now)
	out := []Ticket{}
	if b.Done != NotDone {
		return out, Finished, nil
	}
	for _, at := range b.Frontier {
		if len(out) == n {
			return out, NoShortage, nil
		}
		if b.Nodes[at].Status != Active || b.Tickets.Holds(expand, at) {
			continue
		}
		o, ok := b.Tickets.Issue(expand, []int{at}, now.Add(ttl))
		if !ok {
			return out, TooMany, nil
		}
		out = append(out, b.ticket(o))
	}
	if len(out) < n {
		return out, HandedOut, nil
	}
	return out, NoShortage, nil
}

func (b *Beam) ticket(o ticket.Open) Ticket {
	at := o.Nodes[0]
	return Ticket{b.Tickets.ID(o.Number), at, o.Kind, b.Path(at), b.Nodes[at].Value, o.Expires}
}

// Outstanding returns the open tickets, oldest first.
func (b *Beam) Outstanding() []Ticket {
	out := []Ticket{}
	for _, o := range b.Tickets.Open {
		out = append(out, b.ticket(o))
	}
	return out
}

// Abandon gives a ticket back.
func (b *Beam) Abandon(id string, now time.Time) error { return b.Tickets.Abandon(id, now) }

// Path returns the contents from the root to a node.
func (b *Beam) Path(at int) []string {
	var out []string
	for ; at >= 0; at = b.Nodes[at].Parent {
		out = append(out, b.Nodes[at].Content)
	}
	slices.Reverse(out)
	return out
}

// scores returns the scores of the steps from below the root to a node.
func (b *Beam) scores(at int) []float64 {
	var out []float64
	for ; at > 0; at = b.Nodes[at].Parent {
		out = append(out, b.Nodes[at].Score)
	}
	slices.Reverse(out)
	return out
}
