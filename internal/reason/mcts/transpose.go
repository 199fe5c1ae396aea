package mcts

import (
	"math"
	"math/bits"
)

// transpositions finds the position of a state that was reached before by
// another way (Childs, Brodeur and Kocsis, 2008: only positions are shared, each
// move keeps its own statistics). It is an open-addressing table of 128-bit
// hashes: of a billion states two share one with probability 10⁻²¹.
type transpositions struct {
	entries []transposition // a power of two of them
	used    int
}

type transposition struct {
	hi, lo   uint64
	position int32 // 0 is a free entry: nothing leads back to the root
}

const firstTable = 256

// place returns where a hash is or would be.
func (t *transpositions) place(hi, lo uint64) *transposition {
	mask := uint64(len(t.entries) - 1)
	for i := lo & mask; ; i = (i + 1) & mask {
		if e := &t.entries[i]; e.position == 0 || e.lo == lo && e.hi == hi {
			return e
		}
	}
}

// add fills the free entry that place returned.
func (t *transpositions) add(e *transposition, hi, lo uint64, position int32) {
	*e = transposition{hi, lo, position}
	if t.used++; 3*t.used > 2*len(t.entries) {
		t.grow()
	}
}

func (t *transpositions) grow() {
	old := t.entries
	t.entries = make([]transposition, max(firstTable, 2*len(old)))
	for _, e := range old {
		if e.position != 0 {
			*t.place(e.hi, e.lo) = e
		}
	}
}

// hashState mixes the numbers of a state by folded multiplication (as in
// wyhash: Wang Yi, 2019) in two lanes.
func hashState(state []float64) (hi, lo uint64) {
	const a, b, c, d = 0xa0761d6478bd642f, 0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3, 0x589965cc75374cc3
	fold := func(x, y uint64) uint64 {
		h, l := bits.Mul64(x, y)
		return h ^ l
	}
	hi, lo = a, b
	for i, v := range state {
		x := math.Float64bits(v) + uint64(i)*d
		hi = fold(hi^x, c|1)
		lo = fold(lo+x, a^bits.RotateLeft64(hi, 32))
	}
	return fold(hi^b, lo|1), fold(lo^d, hi|1)
}
