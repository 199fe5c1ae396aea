// Package seed derives independent random streams from one seed.
//
// A parallel computation gives every task its own stream, keyed by the seed and
// the task's index, and merges results in index order: what it returns then
// depends on the seed alone, not on how many workers ran or in which order.
package seed

import "math/rand/v2"

// Stream returns the random stream of one task of a computation. Equal
// arguments give equal streams for ever. The generator is PCG-DXSM (O'Neill,
// 2014); its 128 bits of state come from SplitMix64 (Steele, Lea and Flood,
// 2014), so that neighbouring seeds and neighbouring tasks start far apart.
//
// A stream belongs to one goroutine.
func Stream(seed, task uint64) *rand.Rand {
	return rand.New(Source(seed, task))
}

// Source returns the generator beneath Stream, for callers that draw raw words
// or store the generator's state.
func Source(seed, task uint64) *rand.PCG {
	hi := mix(seed + golden)
	lo := mix(hi ^ mix(task+golden))
	return rand.NewPCG(hi, lo)
}

// golden is 2⁶⁴ divided by the golden ratio, the increment of SplitMix64.
const golden = 0x9e3779b97f4a7c15

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
