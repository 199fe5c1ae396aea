package stats

import (
	"bytes"
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// A block of draws has one random stream. Its size is part of what a seed means:
// changing it changes seeded results.
const (
	blockSize  = 4096    // draws
	blockSteps = 1 << 18 // or, where draws are long, as many as make so many steps
)

// blockDraws returns how many draws of the given cost in steps make a block, so
// that a block takes a fraction of a second whatever it draws.
func blockDraws(cost int64) int {
	return int(max(1, min(blockSize, blockSteps/cost)))
}

// Between rounds of blocks the caller hears of progress and states are kept.
// How many blocks make a round has no influence on the result.
const (
	firstRound = 8
	mostRound  = 64
	roundTime  = 100 * time.Millisecond
)

// Spread is a budget.Spread.
type Spread = budget.Spread

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
	cost     int64          // steps of one draw
	redo     int            // blocks that are drawn again when a state is resumed
	spread   Spread         // nil: on the caller's goroutine
	keeper   *budget.Keeper // nil: nothing is kept
	progress func(done, total int)
}

// harvest adds up the results of blocks, which come in order.
type harvest[T any] interface {
	add(part T)
	// state returns what was added up after the blocks that are drawn again
	// anyway; restore puts it back, and reports false if it cannot be that.
	state() []byte
	restore(state []byte) bool
}

// reached is the state of a run between two rounds.
type reached struct {
	Blocks  int    `json:"blocks"`
	Harvest []byte `json:"harvest"`
}

// run calls fn for each block and adds up the results of the blocks before the
// first that did not finish. fn makes count draws from stream block and counts
// their steps on its own meter; it returns false when that meter says stop. The
// steps of a whole block are the same however it went.
func run[T any](m *budget.Meter, b blocks, h harvest[T], fn func(m *budget.Meter, block, count int) (T, bool)) error {
	fit, size := affordable(m, b.draws, b.cost), blockDraws(b.cost)
	total := (fit + size - 1) / size
	if b.spread == nil {
		b.spread = m.Inline()
	}
	var from reached
	if !b.keeper.Resume(&from) || from.Blocks > total {
		from = reached{}
	}
	finished, round := 0, firstRound
	for finished < total {
		if from.Blocks > finished && finished >= b.redo && h.restore(from.Harvest) {
			draws := min(fit, from.Blocks*size) - min(fit, finished*size)
			if finished = from.Blocks; !m.Step(int64(draws) * b.cost) {
				return spent(m)
			}
			continue
		}
		n := min(round, total-finished)
		if finished < b.redo {
			n = min(n, b.redo-finished)
		}
		began := time.Now()
		done, err := spreadBlocks(m, b.spread, n, func(own *budget.Meter, i int) (T, bool) {
			block := finished + i
			return fn(own, block, min(size, fit-block*size))
		})
		for _, part := range done {
			h.add(part)
		}
		finished += len(done)
		if err != nil {
			return err
		}
		if b.progress != nil {
			b.progress(min(fit, finished*size), b.draws)
		}
		if len(done) < n {
			break
		}
		if took := time.Since(began); took > roundTime {
			round = max(1, round/2)
		} else if took < roundTime/2 {
			round = min(2*round, mostRound)
		}
		if finished < total && b.keeper.Due() {
			if err := b.keeper.Save(func() (any, error) { return b.reach(finished, h.state) }); err != nil {
				return err
			}
		}
	}
	if fit < b.draws {
		m.Step(math.MaxInt64 / 2) // record that the step limit was met
	}
	if finished == 0 {
		return fault.Newf(fault.TooLarge, "the budget %s ended before the first %d draws were done: raise it", m.Hit(), min(b.draws, size))
	}
	return nil
}

// reach returns the state after a number of blocks, nil if it would save no
// work.
func (b blocks) reach(finished int, state func() []byte) (any, error) {
	if finished <= b.redo {
		return nil, nil
	}
	data := state()
	if len(data) > budget.MaxState/4*3-256 { // in base64 a third more
		return nil, budget.ErrTooLarge
	}
	return reached{finished, data}, nil
}

// spreadBlocks calls fn for every i below n and returns the results before the
// first that is missing.
func spreadBlocks[T any](m *budget.Meter, spread Spread, n int, fn func(m *budget.Meter, i int) (T, bool)) ([]T, error) {
	out, done, meters := make([]T, n), make([]bool, n), make([]*budget.Meter, n)
	var stop atomic.Bool
	err := spread(n, func(own *budget.Meter, i int) {
		if stop.Load() {
			return
		}
		meters[i] = own // element i belongs to call i
		if out[i], done[i] = fn(own, i); !done[i] {
			stop.Store(true)
		}
	})
	joined := make(map[*budget.Meter]bool, n)
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
	for prefix < n && done[prefix] {
		prefix++
	}
	return out[:prefix], nil
}

// pack and unpack turn numbers into bytes and back, exactly.
func pack(v any) []byte {
	b, _ := binary.Append(nil, binary.LittleEndian, v) // of numbers only: it cannot fail
	return b
}

func unpack(b []byte, v any) bool {
	return binary.Size(v) == len(b) && binary.Read(bytes.NewReader(b), binary.LittleEndian, v) == nil
}
