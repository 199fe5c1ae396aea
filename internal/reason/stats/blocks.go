package stats

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// blockSize is how many draws share one random stream. It is part of what a seed
// means: changing it changes every seeded result.
const blockSize = 4096

// affordable returns how many of n draws of the given cost in steps the step
// limit of m leaves room for. It depends on the limit and not on the clock, so equal calls
// draw equally.
func affordable(m *budget.Meter, n int, cost int64) int {
	limit := m.Limits().Steps
	if limit <= 0 {
		return n
	}
	used, _ := m.Used()
	return int(min(int64(n), max(0, (limit-used-1)/cost)))
}

// runBlocks calls fn for each block of n draws on the given number of goroutines
// and returns the results of the blocks before the first that did not finish, in
// order. fn makes count draws from stream block and counts cost steps for each on
// its own meter; it returns false when that meter says stop.
func runBlocks[T any](m *budget.Meter, n, workers int, cost int64, fn func(m *budget.Meter, block, count int) (T, bool)) ([]T, error) {
	fit := affordable(m, n, cost)
	blocks := (fit + blockSize - 1) / blockSize
	out := make([]T, blocks)
	done := make([]bool, blocks)
	workers = max(1, min(workers, blocks))
	var (
		next  atomic.Int64
		wg    sync.WaitGroup
		forks = make([]*budget.Meter, workers)
	)
	for w := range workers {
		fork := m.Fork(budget.Limits{})
		forks[w] = fork
		work := func() {
			for {
				b := int(next.Add(1)) - 1
				if b >= blocks {
					return
				}
				v, ok := fn(fork, b, min(blockSize, fit-b*blockSize))
				if !ok {
					return
				}
				out[b], done[b] = v, true // each block has one owner
			}
		}
		if workers == 1 {
			work()
		} else {
			wg.Go(work)
		}
	}
	wg.Wait()
	for _, fork := range forks {
		m.Join(fork)
	}
	if err := m.Err(); err != nil {
		return nil, err
	}
	if fit < n {
		m.Step(math.MaxInt64 / 2) // record that the step limit was met
	}
	prefix := 0
	for prefix < blocks && done[prefix] {
		prefix++
	}
	if prefix == 0 {
		return nil, fault.Newf(fault.TooLarge, "the budget %s ended before the first %d draws were done: raise it", m.Hit(), min(n, blockSize))
	}
	return out[:prefix], nil
}
