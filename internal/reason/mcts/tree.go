package mcts

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// Bounds and defaults of a Tree.
const (
	MaxTreeNodes    = 10_000
	MaxAsk          = 64   // tickets of one Ask
	MaxOpenTickets  = 256  // tickets handed out and not told
	MaxTellChildren = 64   // children of one Tell
	MaxContent      = 8192 // bytes of a node's content
	keptReceipts    = 512  // tells that can be repeated

	// maxMagnitude is of any number given: sums of squares of it stay finite, and
	// what is not finite cannot be stored.
	maxMagnitude = 1e100
)

// Settings are what a Tree is made with.
type Settings struct {
	Policy      Policy    `json:"policy"`              // default UCT
	Exploration *float64  `json:"explorationConstant"` // at least 0, for values scaled to [0, 1]; default DefaultExploration
	Discount    float64   `json:"discount"`            // of a value for each level it rises, above 0 and at most 1; default 1
	Low         float64   `json:"low"`                 // every value told is at least Low
	High        float64   `json:"high"`                // and at most High; default 0 and 1
	VirtualLoss *float64  `json:"virtualLoss"`         // visits of value Low that an open ticket counts as; default 1
	Widening    *Widening `json:"widening,omitempty"`
	MaxNodes    int       `json:"maxNodes"` // default and at most MaxTreeNodes
}

// Widening lets a node have only ⌈K·visits^Alpha⌉ children, so that a node with
// endless possibilities is asked for more of them as it gets more visits
// (Coulom, 2007; Couëtoux et al., 2011).
type Widening struct {
	K     float64 `json:"k"`
	Alpha float64 `json:"alpha"`
}

// Tree is a search tree whose nodes the client proposes and values. It is plain
// data that survives a JSON round trip, and it is not safe for concurrent use.
// Time is passed in; nothing in it is random.
type Tree struct {
	Settings   Settings  `json:"settings"`
	Nodes      []Node    `json:"nodes"` // 0 is the root; a child comes after its parent
	Open       []Open    `json:"open,omitempty"`
	Receipts   []Receipt `json:"receipts,omitempty"`
	LastTicket int64     `json:"lastTicket,omitempty"`
	Tells      int64     `json:"tells,omitempty"`    // accepted, with a value
	Revisits   int64     `json:"revisits,omitempty"` // of terminal nodes, whose value is known
}

// Node is one node of a Tree. Its visits are those that ended at it and those
// of its children.
type Node struct {
	Content  string  `json:"content"`
	Parent   int     `json:"parent"` // -1 for the root
	Children []int   `json:"children,omitempty"`
	Prior    float64 `json:"prior,omitempty"` // weight among its siblings
	Visits   int64   `json:"visits,omitempty"`
	Own      int64   `json:"own,omitempty"` // visits that ended here
	Mean     float64 `json:"mean,omitempty"`
	M2       float64 `json:"m2,omitempty"`      // sum of squared deviations from the mean
	Pending  int     `json:"pending,omitempty"` // open tickets here and below
	Terminal bool    `json:"terminal,omitempty"`
	Complete bool    `json:"complete,omitempty"` // the client has no more children for it
	Ticket   int64   `json:"ticket,omitempty"`   // the open ticket for this node
}

// Kind says what a ticket asks for.
type Kind string

// The kinds.
const (
	Expand   Kind = "expand"   // propose children, and a value if there is one
	Evaluate Kind = "evaluate" // say what the node is worth; children are welcome
)

// Open is a ticket that is handed out.
type Open struct {
	Number  int64     `json:"number"`
	Node    int       `json:"node"`
	Kind    Kind      `json:"kind"`
	Expires time.Time `json:"expires"`
}

// Child is a node that the client proposes.
type Child struct {
	Content string   `json:"content" doc:"What the step or state is." required:"true" maxLen:"8192"`
	Prior   *float64 `json:"prior,omitempty" doc:"How promising it looks among its siblings, at least 0. Default: the mean of the others'." min:"0"`
}

// NewTree returns a tree with a root and, if the client has some already,
// children of it.
func NewTree(s Settings, root string, candidates []Child) (*Tree, error) {
	if err := s.settle(); err != nil {
		return nil, err
	}
	if err := checkContent("root", root); err != nil {
		return nil, err
	}
	t := &Tree{Settings: s, Nodes: []Node{{Content: root, Parent: -1, Prior: 1}}}
	if err := checkChildren("candidates", candidates); err != nil {
		return nil, err
	}
	added := t.attach(0, candidates)
	if added.dropped > 0 {
		return nil, problem.Bad("candidates", fmt.Sprintf("at most %d, by maxNodes", s.MaxNodes-1), "%d", len(candidates))
	}
	return t, nil
}

func (s *Settings) settle() error {
	if s.Policy == "" {
		s.Policy = UCT
	}
	if s.Exploration == nil {
		s.Exploration = new(DefaultExploration)
	}
	if s.VirtualLoss == nil {
		s.VirtualLoss = new(1.0)
	}
	if s.Discount == 0 {
		s.Discount = 1
	}
	if s.Low == 0 && s.High == 0 {
		s.High = 1
	}
	if s.MaxNodes == 0 {
		s.MaxNodes = MaxTreeNodes
	}
	if err := s.Policy.check(); err != nil {
		return err
	}
	switch {
	case !(*s.Exploration >= 0 && *s.Exploration <= maxMagnitude):
		return problem.Bad("explorationConstant", "a number of at least 0 and at most 1e100", "%v", *s.Exploration)
	case !(*s.VirtualLoss >= 0 && *s.VirtualLoss <= maxMagnitude):
		return problem.Bad("virtualLoss", "a number of at least 0 and at most 1e100", "%v", *s.VirtualLoss)
	case !(s.Discount > 0 && s.Discount <= 1):
		return problem.Bad("discount", "a number above 0 and at most 1", "%v", s.Discount)
	case !(s.Low >= -maxMagnitude && s.High <= maxMagnitude && s.High-s.Low >= 1/maxMagnitude):
		return problem.Bad("valueRange", "[low, high] with low below high, from -1e100 to 1e100, at least 1e-100 apart", "[%v, %v]", s.Low, s.High)
	case s.MaxNodes < 1 || s.MaxNodes > MaxTreeNodes:
		return problem.Bad("maxNodes", fmt.Sprintf("1 to %d", MaxTreeNodes), "%d", s.MaxNodes)
	}
	return s.Widening.check()
}

func (w *Widening) check() error {
	if w != nil && !(w.K > 0 && w.K <= maxMagnitude && w.Alpha >= 0 && w.Alpha <= 1) {
		return problem.Bad("widening", "k above 0 and at most 1e100, and alpha from 0 to 1", "k=%v, alpha=%v", w.K, w.Alpha)
	}
	return nil
}

// allows is how many children a node with so many visits may have.
func (w *Widening) allows(visits float64) int {
	return int(min(max(1, math.Ceil(w.K*math.Pow(visits, w.Alpha))), MaxTreeNodes))
}

func checkContent(path, content string) error {
	switch {
	case strings.TrimSpace(content) == "":
		return problem.Bad(path, "text", "nothing")
	case len(content) > MaxContent:
		return problem.Bad(path, fmt.Sprintf("at most %d bytes", MaxContent), "%d bytes", len(content))
	case !utf8.ValidString(content):
		return problem.Bad(path, "valid UTF-8", "other bytes")
	}
	return nil
}

func checkChildren(path string, children []Child) error {
	if len(children) > MaxTellChildren {
		return problem.Bad(path, fmt.Sprintf("at most %d", MaxTellChildren), "%d", len(children))
	}
	for i, c := range children {
		if err := checkContent(fmt.Sprintf("%s[%d].content", path, i), c.Content); err != nil {
			return err
		}
		if p := c.Prior; p != nil && !(*p >= 0 && *p <= maxMagnitude) {
			return problem.Bad(fmt.Sprintf("%s[%d].prior", path, i), "a number of at least 0 and at most 1e100", "%v", *p)
		}
	}
	return nil
}

// attached is what became of proposed children.
type attached struct {
	nodes      []int
	duplicates int // the same text as a sibling, apart from blanks around it
	dropped    int // no room
}

// attach adds children to a node as far as they are new and fit.
func (t *Tree) attach(at int, children []Child) attached {
	var a attached
	seen := map[string]bool{}
	for _, c := range t.Nodes[at].Children {
		seen[strings.TrimSpace(t.Nodes[c].Content)] = true
	}
	prior := meanPrior(children)
	for _, c := range children {
		text := strings.TrimSpace(c.Content)
		switch {
		case seen[text]:
			a.duplicates++
			continue
		case len(t.Nodes) >= t.Settings.MaxNodes:
			a.dropped++
			continue
		}
		seen[text] = true
		n := Node{Content: c.Content, Parent: at, Prior: prior}
		if c.Prior != nil {
			n.Prior = *c.Prior
		}
		a.nodes = append(a.nodes, len(t.Nodes))
		t.Nodes = append(t.Nodes, n)
	}
	// The most promising first: widening considers children in this order.
	list := append(t.Nodes[at].Children, a.nodes...)
	slices.SortStableFunc(list, func(a, b int) int {
		switch pa, pb := t.Nodes[a].Prior, t.Nodes[b].Prior; {
		case pa > pb:
			return -1
		case pa < pb:
			return 1
		}
		return 0
	})
	t.Nodes[at].Children = list
	return a
}

// meanPrior is the prior of a child that has none: as good as its siblings.
func meanPrior(children []Child) float64 {
	var sum, n float64
	for _, c := range children {
		if c.Prior != nil {
			sum += *c.Prior
			n++
		}
	}
	if n == 0 {
		return 1
	}
	return sum / n
}

// Path returns the contents from the root down to a node.
func (t *Tree) Path(node int) []string {
	var path []string
	for ; node >= 0; node = t.Nodes[node].Parent {
		path = append(path, t.Nodes[node].Content)
	}
	slices.Reverse(path)
	return path
}

// allowed is how many children of a node may be considered.
func (t *Tree) allowed(n *Node) int {
	w := t.Settings.Widening
	if w == nil {
		return math.MaxInt
	}
	visits := float64(n.Visits) + *t.Settings.VirtualLoss*float64(n.Pending)
	return w.allows(visits)
}

// considered returns the children of a node that may be considered.
func (t *Tree) considered(n *Node) []int {
	return n.Children[:min(len(n.Children), t.allowed(n))]
}

// widens reports whether a node with children should be asked for more.
func (t *Tree) widens(n *Node) bool {
	return t.Settings.Widening != nil && !n.Complete && !n.Terminal && n.Ticket == 0 &&
		len(n.Children) < t.allowed(n) && len(t.Nodes) < t.Settings.MaxNodes
}

func (n *Node) sample() sample { return sample{float64(n.Visits), n.Mean, n.M2} }
