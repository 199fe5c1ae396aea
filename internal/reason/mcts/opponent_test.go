package mcts_test

import "math"

// grid is connect four on an array of cells, for opponents and oracles that share
// nothing with package problem.
type grid struct {
	columns, rows int
	cells         []int8 // row by row from the bottom; 0 empty, 1 and -1 the players
	heights       []int
	played        []int
}

func newGrid(columns, rows int) *grid {
	return &grid{columns: columns, rows: rows, cells: make([]int8, columns*rows), heights: make([]int, columns)}
}

func (g *grid) mover() int8 { return int8(1 - 2*(len(g.played)%2)) }

func (g *grid) drop(c int) {
	g.cells[g.heights[c]*g.columns+c] = g.mover()
	g.heights[c]++
	g.played = append(g.played, c)
}

func (g *grid) undo() {
	c := g.played[len(g.played)-1]
	g.played = g.played[:len(g.played)-1]
	g.heights[c]--
	g.cells[g.heights[c]*g.columns+c] = 0
}

// won reports whether the last stone made four in a row.
func (g *grid) won() bool {
	if len(g.played) == 0 {
		return false
	}
	c := g.played[len(g.played)-1]
	r := g.heights[c] - 1
	own := g.cells[r*g.columns+c]
	for _, d := range [4][2]int{{1, 0}, {0, 1}, {1, 1}, {1, -1}} {
		n := 1
		for _, sign := range [2]int{1, -1} {
			for k := 1; k < 4; k++ {
				x, y := c+sign*k*d[0], r+sign*k*d[1]
				if x < 0 || y < 0 || x >= g.columns || y >= g.rows || g.cells[y*g.columns+x] != own {
					break
				}
				n++
			}
		}
		if n >= 4 {
			return true
		}
	}
	return false
}

func (g *grid) full() bool { return len(g.played) == len(g.cells) }
func (g *grid) over() bool { return g.won() || g.full() }

func (g *grid) legal() (out []int) {
	if g.won() {
		return nil
	}
	for i := range g.columns { // the middle first
		c := g.columns/2 + (i+1)/2*(1-2*(i%2))
		if c >= 0 && c < g.columns && g.heights[c] < g.rows {
			out = append(out, c)
		}
	}
	return out
}

// alphaBeta is the value to the mover, ±1 and 0, or an estimate between them at
// the depth's end (Knuth and Moore, 1975).
func (g *grid) alphaBeta(alpha, beta float64, depth int) float64 {
	switch {
	case g.won():
		return -1
	case g.full():
		return 0
	case depth == 0:
		return g.estimate()
	}
	best := math.Inf(-1)
	for _, c := range g.legal() {
		g.drop(c)
		best = max(best, -g.alphaBeta(-beta, -max(alpha, best), depth-1))
		g.undo()
		if best >= beta {
			break
		}
	}
	return best
}

// estimate counts the fours that are open to one player only, by the stones in
// them.
func (g *grid) estimate() float64 {
	var sum float64
	for r := range g.rows {
		for c := range g.columns {
			for _, d := range [4][2]int{{1, 0}, {0, 1}, {1, 1}, {1, -1}} {
				x, y := c+3*d[0], r+3*d[1]
				if x >= g.columns || y < 0 || y >= g.rows {
					continue
				}
				own, other := 0, 0
				for k := range 4 {
					switch g.cells[(r+k*d[1])*g.columns+c+k*d[0]] * g.mover() {
					case 1:
						own++
					case -1:
						other++
					}
				}
				switch {
				case other == 0:
					sum += float64(own * own)
				case own == 0:
					sum -= float64(other * other)
				}
			}
		}
	}
	return sum / 2000 // of 69 fours, 9 at most each: below 1
}

// choose returns a move by alpha-beta search to a depth; among equals the one
// nearest the middle.
func (g *grid) choose(depth int) int {
	best, at := math.Inf(-1), -1
	for _, c := range g.legal() {
		g.drop(c)
		v := -g.alphaBeta(math.Inf(-1), -best, depth-1)
		g.undo()
		if v > best {
			best, at = v, c
		}
	}
	return at
}
