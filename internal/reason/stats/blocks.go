package stats

import (
	"math"
	"sync/atomic"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// blockSize is how many draws share one random stream. It is part of what a seed
// means: changing it changes every seeded result.
const blockSize = 4096

// roundBlocks is how many blocks are spread at once; between rounds the caller
// hears of progress.
const roundBlocks = 32

// Spread calls f for every i from 0 to n-1, on one or several goroutines, and
// returns when all calls have returned. Each call gets a meter that no other
// call uses at the same time and that stops with the one of the computation.
// What is computed does not depend on how the calls are spread.
type Spread func(n int, f func(m *budget.Meter, i int)) error

// inline is the Spread that uses the caller's goroutine and meter.
func inline(m *budget.Meter) Spread {
	return func(n int, f func(*budget.Meter, int)) error {
		for i := range n {
			f(m.Fork(budget.Limits{}), i)
		}
		return nil
	}
}

// affordable returns how many of n draws of the given cost in steps the step
// limit of m leaves room for. It depends on the limit and not on the clock, so
// equal calls draw equally.
func affordable(m *budget.Meter, n int, cost int64) int {
	limit := m.Limits().Steps
	if limit <= 0 {
		return n
	}
	used, _ := m.Used()
	return int(min(int64(n), max(0, (limit-used-1)/cost)))
}

// blocks describes draws that are made in blocks, one random stream each.
type blocks struct {
	draws    int
	cost     int64  // steps of one draw
	spread   Spread // nil: on the caller's goroutine
	progress func(done, total int)
}

// run calls fn for each block and returns the results of the blocks before the
// first that did not finish, in order. fn makes count draws from stream block and
// counts their steps on its own meter; it returns false when that meter says
// stop.
func run[T any](m *budget.Meter, b blocks, fn func(m *budget.Meter, block, count int) (T, bool)) ([]T, error) {
	fit := affordable(m, b.draws, b.cost)
	total := (fit + blockSize - 1) / blockSize
	out := make([]T, total)
	spread := b.spread
	if spread == nil {
		spread = inline(m)
	}
	finished := 0
	for finished < total {
		round := min(roundBlocks, total-finished)
		done := make([]bool, round)
		meters := make([]*budget.Meter, round)
		var stop atomic.Bool
		err := spread(round, func(own *budget.Meter, i int) {
			if stop.Load() {
				return
			}
			block := finished + i
			meters[i] = own // element i belongs to call i
			out[block], done[i] = fn(own, block, min(blockSize, fit-block*blockSize))
			if !done[i] {
				stop.Store(true)
			}
		})
		joined := make(map[*budget.Meter]bool, round)
		for _, own := range meters {
			if own != nil && !joined[own] { // calls after each other may share one
				joined[own] = true
				m.Join(own)
			}
		}
		if err == nil {
			err = m.Err()
		}
		if err != nil {
			return nil, err
		}
		prefix := 0
		for prefix < round && done[prefix] {
			prefix++
		}
		finished += prefix
		if b.progress != nil {
			b.progress(min(fit, finished*blockSize), b.draws)
		}
		if prefix < round {
			break
		}
	}
	if fit < b.draws {
		m.Step(math.MaxInt64 / 2) // record that the step limit was met
	}
	if finished == 0 {
		return nil, fault.Newf(fault.TooLarge, "the budget %s ended before the first %d draws were done: raise it", m.Hit(), min(b.draws, blockSize))
	}
	return out[:finished], nil
}
