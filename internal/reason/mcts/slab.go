package mcts

// Moves and positions lie in slabs of fixed size: growing neither copies nor
// leaves garbage, and indices instead of pointers spare the garbage collector
// the tree.
const (
	slabBits = 10
	slabSize = 1 << slabBits
	slabMask = slabSize - 1

	// mostNodes bounds a tree without another limit, so that indices fit into
	// 32 bits even where half of each slab is unused.
	mostNodes = 1 << 29
)

// moveSlab holds moves. What choosing a move reads is kept apart from the rest:
// the moves of a position are neighbours in one slab, sixteen bytes each.
type moveSlab struct {
	scores [slabSize]score
	moves  [slabSize]move
}

type (
	boundSlab    [slabSize]bounds
	positionSlab [slabSize]position
	weightSlab   [slabSize]float64
	raveSlab     [slabSize]rave
)

// rave is what the same move was worth when the same player made it later in a
// simulation that passed its position: "all moves as first".
type rave struct {
	mean float64 // to the player who makes the move
	n    int32
}

func (g *grower) score(e int32) *score { return &g.moves[e>>slabBits].scores[e&slabMask] }

func (g *grower) move(e int32) *move { return &g.moves[e>>slabBits].moves[e&slabMask] }

func (g *grower) proof(e int32) *bounds { return &g.proofs[e>>slabBits][e&slabMask] }

func (g *grower) prior(e int32) *float64 { return &g.priors[e>>slabBits][e&slabMask] }

func (g *grower) rave(e int32) *rave { return &g.raves[e>>slabBits][e&slabMask] }

func (g *grower) position(at int32) *position { return &g.positions[at>>slabBits][at&slabMask] }

func (g *grower) value(at int32) *bounds { return &g.values[at>>slabBits][at&slabMask] }

// scoresOf returns the scores of the moves of a position.
func (g *grower) scoresOf(p *position) []score {
	i := p.first & slabMask
	return g.moves[p.first>>slabBits].scores[i : i+p.count]
}

// proofsOf returns what is proven about the moves of a position.
func (g *grower) proofsOf(p *position) []bounds {
	i := p.first & slabMask
	return g.proofs[p.first>>slabBits][i : i+p.count]
}

// newMoves makes room for n moves of one position, n ≤ slabSize, and returns
// the first. The end of a slab that cannot take them is left unused.
func (g *grower) newMoves(n int) int32 {
	first := g.nextMove
	if first&slabMask == 0 || int(first&slabMask)+n > slabSize {
		first = int32(len(g.moves)) << slabBits
		g.addMoveSlab()
	}
	g.nextMove = first + int32(n)
	g.moveCount += int64(n)
	return first
}

func (g *grower) addMoveSlab() {
	g.moves = append(g.moves, new(moveSlab))
	if g.traits.Deterministic {
		g.proofs = append(g.proofs, new(boundSlab))
	}
	if g.policy == PUCT && g.guide != nil {
		g.priors = append(g.priors, new(weightSlab))
	}
	if g.raveK > 0 {
		g.raves = append(g.raves, new(raveSlab))
	}
}

// newPosition makes room for a position.
func (g *grower) newPosition(p position) int32 {
	at := g.nextPosition
	if at&slabMask == 0 {
		g.positions = append(g.positions, new(positionSlab))
		if g.traits.Deterministic {
			g.values = append(g.values, new(boundSlab))
		}
	}
	g.nextPosition++
	*g.position(at) = p
	if g.traits.Deterministic {
		*g.value(at) = g.wide()
	}
	return at
}

// nodes returns how many moves and positions are kept.
func (g *grower) nodes() int64 { return g.moveCount + int64(g.nextPosition) }
