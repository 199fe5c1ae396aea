// Package tot searches trees of thoughts: propose steps, judge the states they
// lead to, go on from the best, and turn back where it leads nowhere (Yao et
// al., Tree of thoughts, 2023).
//
// A Tree is for thoughts that only the client can propose and judge: it hands
// out tickets to propose, to evaluate or to vote (ask) and takes back the
// answers (tell). Solve runs the same strategies on a problem.Model.
//
// The strategies are breadth-first with b states kept on each level, depth-first
// with a threshold and backtracking, best-first by value, and A* by cost and
// heuristic (Hart, Nilsson and Raphael, 1968).
package tot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/ticket"
)

// Bounds and defaults.
const (
	DefaultBreadth  = 3
	DefaultDepth    = 3
	DefaultVotes    = 5
	MaxBreadth      = 256
	MaxDepth        = 100
	MaxSamples      = 64
	MaxVotes        = 1024
	MaxNodes        = 10_000
	MaxTellChildren = 64
	MaxContent      = 8192 // bytes
	MaxNumber       = 1e12 // size of a value, cost or heuristic
)

// Strategy is the order in which thoughts are looked at.
type Strategy string

// The strategies.
const (
	BreadthFirst Strategy = "breadth-first"
	DepthFirst   Strategy = "depth-first"
	BestFirst    Strategy = "best-first"
	AStar        Strategy = "a-star"
)

// Judge is how thoughts get their values.
type Judge string

// The judges.
const (
	ByValue Judge = "value" // each on its own, the mean of Samples
	ByVote  Judge = "vote"  // all that stand side by side: the share of the votes
)

// Settings are what a Tree is made with. Zero values mean the defaults.
type Settings struct {
	Strategy  Strategy `json:"strategy"`            // default BreadthFirst
	Breadth   int      `json:"breadth"`             // b: thoughts kept on a level by BreadthFirst
	Depth     int      `json:"depth"`               // thoughts from the root
	Judge     Judge    `json:"judge"`               // default ByValue; AStar takes neither
	Samples   int      `json:"samples"`             // values of a thought; default 1
	Votes     int      `json:"votes"`               // of one ballot; default DefaultVotes
	Threshold *float64 `json:"threshold,omitempty"` // thoughts of at most this value are pruned
	Solutions int      `json:"solutions"`           // after which to end; default 1, or Depth levels for BreadthFirst
	MaxNodes  int      `json:"maxNodes"`
}

// Status is the state of a thought.
type Status string

// The statuses.
const (
	Waiting  Status = "candidate" // not judged yet
	Judged   Status = "judged"    // waits for its turn
	Active   Status = "active"    // to be continued
	Explored Status = "explored"  // continued
	Pruned   Status = "pruned"
	Solution Status = "solution"
	Dead     Status = "dead" // neither a solution nor continued
)

// Reason says why a Tree is done.
type Reason string

// The reasons. Empty means that it is not.
const (
	NotDone   Reason = ""
	Solved    Reason = "solved"    // as many solutions as asked for
	Exhausted Reason = "exhausted" // nothing is left to look at
	DeepEnd   Reason = "max_depth" // the last level is judged
	Full      Reason = "max_nodes"
	Optimal   Reason = "optimal" // by A*: nothing open is estimated below the solution
)

// Node is a thought. Values are those of the state after it.
type Node struct {
	Content   string  `json:"content"`
	Key       string  `json:"key,omitempty"`
	Parent    int     `json:"parent"` // -1 for the root
	Depth     int     `json:"depth"`
	Children  []int   `json:"children,omitempty"`
	Status    Status  `json:"status"`
	Why       string  `json:"why,omitempty"`     // it was pruned
	Samples   int     `json:"samples,omitempty"` // values or votes counted
	Mean      float64 `json:"mean,omitempty"`
	M2        float64 `json:"m2,omitempty"`   // sum of squared deviations from the mean
	Cost      float64 `json:"cost,omitempty"` // from the root
	Heuristic float64 `json:"heuristic,omitempty"`
	Goal      bool    `json:"goal,omitempty"` // the client calls it a solution
}

// Variance returns the sample variance of the values, nil for fewer than two.
func (n *Node) Variance() *float64 {
	if n.Samples < 2 {
		return nil
	}
	return new(n.M2 / float64(n.Samples-1))
}

// Tree is a tree of thoughts that the client proposes and judges. It is plain
// data that survives a JSON round trip, and it is not safe for concurrent use.
// Time is passed in; nothing in it is random.
type Tree struct {
	Settings Settings          `json:"settings"`
	Nodes    []Node            `json:"nodes"` // 0 is the root; a child comes after its parent
	Level    []int             `json:"level"` // of BreadthFirst: the thoughts being continued
	Stack    []int             `json:"stack"` // of DepthFirst: next is last
	Ballot   *Ballot           `json:"ballot,omitempty"`
	Visited  []int             `json:"visited"` // thoughts in the order they were continued
	Backs    int               `json:"backtracks,omitempty"`
	Dropped  int               `json:"dropped,omitempty"`
	Done     Reason            `json:"done,omitempty"`
	Tickets  ticket.Book[Told] `json:"tickets"`
}

// Ballot is an open vote.
type Ballot struct {
	Nodes []int `json:"nodes"`
	Votes []int `json:"votes"` // of each
	Cast  int   `json:"cast"`
}

// New returns a tree with a root alone. tag names the search among others, for
// its tickets.
func New(s Settings, root, tag string) (*Tree, error) {
	if err := s.settle(); err != nil {
		return nil, err
	}
	if err := problem.CheckText("root", root, MaxContent); err != nil {
		return nil, err
	}
	if err := ticket.CheckTag(tag); err != nil {
		return nil, err
	}
	t := &Tree{Settings: s, Nodes: []Node{{Content: root, Parent: -1, Status: Active}}, Level: []int{}, Stack: []int{}, Visited: []int{}}
	switch s.Strategy {
	case BreadthFirst:
		t.Level = []int{0}
	case DepthFirst:
		t.Stack = []int{0}
	}
	t.Tickets.Tag = tag
	return t, nil
}

func (s *Settings) settle() error {
	if s.Strategy == "" {
		s.Strategy = BreadthFirst
	}
	if s.Judge == "" {
		s.Judge = ByValue
	}
	solutions := 1
	if s.Strategy == BreadthFirst {
		solutions = MaxNodes
	}
	for _, d := range []struct {
		path      string
		v         *int
		to, limit int
	}{
		{"breadth", &s.Breadth, DefaultBreadth, MaxBreadth},
		{"depth", &s.Depth, DefaultDepth, MaxDepth},
		{"samples", &s.Samples, 1, MaxSamples},
		{"votes", &s.Votes, DefaultVotes, MaxVotes},
		{"solutions", &s.Solutions, solutions, MaxNodes},
		{"maxNodes", &s.MaxNodes, MaxNodes, MaxNodes},
	} {
		if *d.v == 0 {
			*d.v = d.to
		}
		if *d.v < 1 || *d.v > d.limit {
			return problem.Bad(d.path, fmt.Sprintf("1 to %d", d.limit), "%d", *d.v)
		}
	}
	switch {
	case !slices.Contains([]Strategy{BreadthFirst, DepthFirst, BestFirst, AStar}, s.Strategy):
		return problem.Bad("strategy", "breadth-first, depth-first, best-first or a-star", "%.32q", string(s.Strategy))
	case s.Judge != ByValue && s.Judge != ByVote:
		return problem.Bad("judge", "value or vote", "%.32q", string(s.Judge))
	case s.Judge == ByVote && s.Strategy != BreadthFirst && s.Strategy != DepthFirst:
		return problem.Bad("judge", "value, as "+string(s.Strategy)+" compares thoughts of different ballots", "vote")
	case s.Threshold != nil && !number(*s.Threshold):
		return problem.Bad("threshold", fmt.Sprintf("a number of size at most %v", MaxNumber), "%v", *s.Threshold)
	case s.Threshold != nil && s.Strategy == AStar:
		return problem.Bad("threshold", "nothing: a-star takes costs, not values", "%v", *s.Threshold)
	}
	return nil
}

func number(v float64) bool { return v >= -MaxNumber && v <= MaxNumber }

// normal is a text without case and surplus space.
func normal(text string) string { return strings.ToLower(strings.Join(strings.Fields(text), " ")) }
