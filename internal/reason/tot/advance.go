package tot

import (
	"fmt"
	"slices"
)

// advance does what follows from the answers so far without asking.
func (t *Tree) advance() {
	for t.Done == NotDone && t.Ballot == nil {
		again := false
		switch t.Settings.Strategy {
		case BreadthFirst:
			t.nextLevel()
		case DepthFirst:
			again = t.backtrack()
		}
		if t.Done == NotDone {
			t.conclude()
		}
		if !again {
			break
		}
	}
	if t.Done != NotDone {
		t.Tickets.Open = nil
		t.Ballot = nil
	}
}

func (t *Tree) conclude() {
	solutions := 0
	for i := range t.Nodes {
		if t.Nodes[i].Status == Solution {
			solutions++
		}
	}
	switch t.Settings.Strategy {
	case AStar:
		if len(t.due()) == 0 {
			if t.Done = Exhausted; solutions > 0 {
				t.Done = Optimal
			}
			if t.Dropped > 0 {
				t.Done = Full
			}
		}
		return
	case BestFirst:
		if len(t.due()) == 0 && !t.waits() {
			t.Done = Exhausted
		}
	}
	switch {
	case solutions >= t.Settings.Solutions:
		t.Done = Solved
	case t.Done == Exhausted && t.Dropped > 0:
		t.Done = Full
	}
}

// waits reports whether a thought is not judged yet.
func (t *Tree) waits() bool {
	return slices.ContainsFunc(t.Nodes, func(n Node) bool { return n.Status == Waiting })
}

// ballot opens the vote among thoughts that are not judged. A single one has
// nobody to be compared with, and takes all.
func (t *Tree) ballot(at []int) bool {
	var nodes []int
	for _, i := range at {
		if t.Nodes[i].Status == Waiting {
			nodes = append(nodes, i)
		}
	}
	switch {
	case len(nodes) == 0 || t.Settings.Judge != ByVote:
		return false
	case len(nodes) == 1:
		t.Nodes[nodes[0]].Mean = 1
		t.judged(nodes[0])
		return false
	}
	t.Ballot = &Ballot{Nodes: nodes, Votes: make([]int, len(nodes))}
	return true
}

// nextLevel keeps the b best thoughts of a level once all are judged.
func (t *Tree) nextLevel() {
	var all []int
	for _, at := range t.Level {
		if t.Nodes[at].Status == Active {
			return
		}
		all = append(all, t.Nodes[at].Children...)
	}
	if t.ballot(all) {
		return
	}
	var good []int
	for _, at := range all {
		switch t.Nodes[at].Status {
		case Waiting:
			return
		case Judged:
			good = append(good, at)
		}
	}
	t.sort(good)
	t.Level = []int{}
	for i, at := range good {
		if i >= t.Settings.Breadth {
			t.prune(at, fmt.Sprintf("it is number %d of its level; %d are kept", i+1, t.Settings.Breadth))
			continue
		}
		if t.Nodes[at].Depth >= t.Settings.Depth {
			t.Nodes[at].Status = Dead
			t.Done = DeepEnd
			continue
		}
		t.Nodes[at].Status = Active
		t.Level = append(t.Level, at)
	}
	if len(t.Level) == 0 && t.Done == NotDone {
		t.Done = Exhausted
		if t.Nodes[len(t.Nodes)-1].Depth >= t.Settings.Depth {
			t.Done = DeepEnd
		}
	}
	if t.solutions() >= t.Settings.Solutions {
		t.Done = Solved
	}
}

func (t *Tree) solutions() (n int) {
	for i := range t.Nodes {
		if t.Nodes[i].Status == Solution {
			n++
		}
	}
	return n
}

// backtrack replaces the thought on top of the stack, once its continuations are
// judged, by the good ones, best on top; without any it turns back.
func (t *Tree) backtrack() bool {
	k := len(t.Stack) - 1
	if k < 0 {
		t.Done = Exhausted
		return false
	}
	top := &t.Nodes[t.Stack[k]]
	if top.Status == Judged {
		top.Status = Active
	}
	if top.Status == Active {
		return false
	}
	if t.ballot(top.Children) {
		return false
	}
	var good []int
	for _, at := range top.Children {
		switch t.Nodes[at].Status {
		case Waiting:
			return false
		case Judged:
			good = append(good, at)
		}
	}
	t.sort(good)
	slices.Reverse(good)
	t.Stack = append(t.Stack[:k], good...)
	solved := func(at int) bool { return t.Nodes[at].Status == Solution }
	if len(good) == 0 && top.Status != Solution && !slices.ContainsFunc(top.Children, solved) {
		t.Backs++
	}
	return true
}
