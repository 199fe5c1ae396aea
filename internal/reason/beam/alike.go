package beam

import (
	"math"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/shingle"
)

// likeness compares candidates with what a generation keeps, for Similar. It is
// empty for any other merge.
type likeness struct {
	beam  *Beam
	limit float64
	kept  map[int][]print // by group
}

type print struct {
	at       int
	shingles []uint64
}

func (b *Beam) likeness() *likeness {
	l := &likeness{beam: b, limit: b.Settings.Similarity}
	if b.Settings.Merge == Similar {
		l.kept = map[int][]print{}
	}
	return l
}

// keep notes that a group keeps a node.
func (l *likeness) keep(at, group int) {
	if n := &l.beam.Nodes[at]; l.kept != nil && n.Key == "" {
		l.kept[group] = append(l.kept[group], print{at, shingle.Of(n.Content)})
	}
}

// find returns the first kept node of a group that is like n. A key settles what
// is the same, so that nothing is like a node that has one.
func (l *likeness) find(n *Node, group int) (int, bool) {
	if l.kept == nil || n.Key != "" {
		return 0, false
	}
	own := shingle.Of(n.Content)
	for _, k := range l.kept[group] {
		if shingle.Reach(own, k.shingles, l.limit) {
			return k.at, true
		}
	}
	return 0, false
}

// threshold prunes the candidates that are too far from the best one and returns
// the others.
func (b *Beam) threshold(pool []candidate) []candidate {
	top := math.Inf(-1)
	for _, c := range pool {
		top = max(top, c.value)
	}
	floor := math.Inf(-1)
	switch s := b.Settings; {
	case s.Prune == Absolute:
		floor = top - s.Margin
	case s.Prune == Relative && s.Aggregate == LogProb && s.Margin > 0:
		floor = top + math.Log(s.Margin)
	case s.Prune == Relative && top > 0:
		floor = top * s.Margin
	}
	if math.IsInf(floor, 0) {
		return pool
	}
	return slices.DeleteFunc(pool, func(c candidate) bool {
		if c.value >= floor {
			return false
		}
		b.Nodes[c.at].Status, b.Nodes[c.at].Floor = Pruned, new(floor)
		return true
	})
}
