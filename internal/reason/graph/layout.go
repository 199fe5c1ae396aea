package graph

import (
	"cmp"
	"slices"
)

// The layered layout of Sugiyama, Tagawa and Toda (1981): reverse the edges
// that close cycles, put every node one layer below its lowest predecessor,
// break long edges into pieces of one layer, order the layers by the barycentre
// of their neighbours, and then place each layer as near to its neighbours as
// the widths allow.

const (
	sweeps    = 8     // passes down or up; the order with the fewest crossings stays
	maxPieces = 5_000 // of long edges; beyond, long edges are drawn straight
	gapX      = 24.0
	gapY      = 56.0
)

// layout is the result: places of nodes and bends of edges.
type layout struct {
	layers [][]int // item numbers from left to right
	layer  []int   // of each item; items are the nodes, then pieces of edges
	x, w   []float64
	up     [][]int // neighbours in the layer above, and below
	down   [][]int
	chain  [][]int // items of each edge from its upper to its lower end
	turned []bool  // edges that point up
}

func (d *drawing) layout(widths []float64) *layout {
	l := &layout{w: slices.Clone(widths), chain: make([][]int, len(d.edges))}
	l.turned = d.turn()
	l.rank(d)
	l.split(d)
	l.order()
	l.place()
	return l
}

// turn finds the edges that depth-first search meets going back to a node on
// its own path: without them there is no cycle.
func (d *drawing) turn() []bool {
	n := len(d.nodes)
	out := make([][]int, n)
	for i, e := range d.edges {
		out[e.from] = append(out[e.from], i)
	}
	turned := make([]bool, len(d.edges))
	state := make([]uint8, n) // 0 new, 1 on the path, 2 done
	next := make([]int, n)
	for root := range n {
		if state[root] != 0 {
			continue
		}
		path := []int{root}
		state[root] = 1
		for len(path) > 0 {
			at := path[len(path)-1]
			if next[at] == len(out[at]) {
				state[at] = 2
				path = path[:len(path)-1]
				continue
			}
			e := out[at][next[at]]
			next[at]++
			switch to := d.edges[e].to; state[to] {
			case 0:
				state[to] = 1
				path = append(path, to)
			case 1:
				turned[e] = true
			}
		}
	}
	return turned
}

// ends returns an edge's upper and lower node.
func (l *layout) ends(d *drawing, e int) (int, int) {
	if l.turned[e] {
		return d.edges[e].to, d.edges[e].from
	}
	return d.edges[e].from, d.edges[e].to
}

// rank gives each node the length of the longest path to it.
func (l *layout) rank(d *drawing) {
	n := len(d.nodes)
	l.layer = make([]int, n)
	below := make([][]int, n)
	waits := make([]int, n)
	for e := range d.edges {
		if a, b := l.ends(d, e); a != b {
			below[a] = append(below[a], b)
			waits[b]++
		}
	}
	var ready []int
	for i := range n {
		if waits[i] == 0 {
			ready = append(ready, i)
		}
	}
	for k := 0; k < len(ready); k++ {
		a := ready[k]
		for _, b := range below[a] {
			l.layer[b] = max(l.layer[b], l.layer[a]+1)
			if waits[b]--; waits[b] == 0 {
				ready = append(ready, b)
			}
		}
	}
}

// split makes items of width 0 where an edge crosses a layer.
func (l *layout) split(d *drawing) {
	l.up, l.down = make([][]int, len(d.nodes)), make([][]int, len(d.nodes))
	pieces := 0
	for e := range d.edges {
		a, b := l.ends(d, e)
		if a == b {
			continue
		}
		l.chain[e] = []int{a}
		between := l.layer[b] - l.layer[a] - 1
		if pieces += between; pieces > maxPieces {
			pieces -= between
			l.chain[e] = append(l.chain[e], b)
			continue
		}
		for at := a; at != b; {
			to := b
			if l.layer[at]+1 < l.layer[b] {
				to = len(l.layer)
				l.layer = append(l.layer, l.layer[at]+1)
				l.w = append(l.w, 0)
				l.up, l.down = append(l.up, nil), append(l.down, nil)
			}
			l.down[at] = append(l.down[at], to)
			l.up[to] = append(l.up[to], at)
			l.chain[e] = append(l.chain[e], to)
			at = to
		}
	}
	for i, at := range l.layer {
		for len(l.layers) <= at {
			l.layers = append(l.layers, nil)
		}
		l.layers[at] = append(l.layers[at], i)
	}
}

// order sorts each layer by the mean place of its neighbours, downwards and
// upwards in turn.
func (l *layout) order() {
	place := make([]int, len(l.layer))
	number := func(layer []int) {
		for i, item := range layer {
			place[item] = i
		}
	}
	for _, layer := range l.layers {
		number(layer)
	}
	best, fewest := clone(l.layers), l.crossings(place)
	centre := make([]float64, len(l.layer))
	for sweep := range sweeps {
		near := l.up
		if sweep%2 == 1 {
			near = l.down
		}
		for i := range l.layers {
			layer := l.layers[i]
			if sweep%2 == 1 {
				layer = l.layers[len(l.layers)-1-i]
			}
			for _, item := range layer {
				centre[item] = float64(place[item])
				if len(near[item]) > 0 {
					sum := 0
					for _, other := range near[item] {
						sum += place[other]
					}
					centre[item] = float64(sum) / float64(len(near[item]))
				}
			}
			slices.SortStableFunc(layer, func(a, b int) int { return cmp.Compare(centre[a], centre[b]) })
			number(layer)
		}
		if n := l.crossings(place); n < fewest {
			best, fewest = clone(l.layers), n
		}
	}
	l.layers = best
}

func clone(layers [][]int) [][]int {
	out := make([][]int, len(layers))
	for i, layer := range layers {
		out[i] = slices.Clone(layer)
	}
	return out
}

// crossings counts the pairs of pieces that cross between neighbouring layers,
// by a tree of sums (Barth, Mutzel and Jünger, 2004).
func (l *layout) crossings(place []int) int {
	total := 0
	for i := 0; i+1 < len(l.layers); i++ {
		sums := make([]int, len(l.layers[i+1])+1)
		seen := 0
		for _, a := range l.byPlace(i, place) {
			var to []int
			for _, b := range l.down[a] {
				to = append(to, place[b])
			}
			for _, p := range to { // those seen so far that end further right
				total += seen
				for k := p + 1; k > 0; k &= k - 1 {
					total -= sums[k]
				}
			}
			for _, p := range to {
				seen++
				for k := p + 1; k < len(sums); k += k & -k {
					sums[k]++
				}
			}
		}
	}
	return total
}

func (l *layout) byPlace(i int, place []int) []int {
	layer := slices.Clone(l.layers[i])
	slices.SortFunc(layer, func(a, b int) int { return cmp.Compare(place[a], place[b]) })
	return layer
}

// place computes the centres.
func (l *layout) place() {
	l.x = make([]float64, len(l.layer))
	for _, layer := range l.layers {
		at := 0.0
		for _, item := range layer {
			l.x[item] = at + l.w[item]/2
			at += l.w[item] + gapX
		}
		for _, item := range layer {
			l.x[item] -= at / 2
		}
	}
	for sweep := range sweeps {
		near := l.up
		if sweep%2 == 1 {
			near = l.down
		}
		for i := range l.layers {
			layer := l.layers[i]
			if sweep%2 == 1 {
				layer = l.layers[len(l.layers)-1-i]
			}
			l.align(layer, near)
		}
	}
	low := 0.0
	for i := range l.x {
		low = min(low, l.x[i]-l.w[i]/2)
	}
	for i := range l.x {
		l.x[i] -= low
	}
}

// align moves a layer's items to the mean of their neighbours, as near as the
// widths allow in the sense of least squares: isotonic regression by pooling
// adjacent violators (Ayer et al., 1955).
func (l *layout) align(layer []int, near [][]int) {
	type pool struct {
		mean float64
		n    int
	}
	var pools []pool
	offset := make([]float64, len(layer)) // of the item when all are packed
	for i, item := range layer {
		if i > 0 {
			offset[i] = offset[i-1] + l.w[layer[i-1]]/2 + gapX + l.w[item]/2
		}
		want := l.x[item]
		if len(near[item]) > 0 {
			want = 0
			for _, other := range near[item] {
				want += l.x[other]
			}
			want /= float64(len(near[item]))
		}
		pools = append(pools, pool{want - offset[i], 1})
		for k := len(pools) - 1; k > 0 && pools[k-1].mean > pools[k].mean; k-- {
			a, b := pools[k-1], pools[k]
			n := a.n + b.n
			pools = append(pools[:k-1], pool{(float64(a.mean*float64(a.n)) + float64(b.mean*float64(b.n))) / float64(n), n})
		}
	}
	i := 0
	for _, p := range pools {
		for range p.n {
			l.x[layer[i]] = p.mean + offset[i]
			i++
		}
	}
}
