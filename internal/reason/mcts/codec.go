package mcts

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"math"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// errPaused says that the computation had to stop while its trees were written.
var errPaused = errors.New("stopped while the trees were kept")

// writer deflates numbers.
type writer struct {
	buf     []byte
	out     bytes.Buffer
	deflate *flate.Writer
	pause   func() bool
}

func (w *writer) int(v int64)     { w.buf = binary.AppendVarint(w.buf, v) }
func (w *writer) word(v uint64)   { w.buf = binary.LittleEndian.AppendUint64(w.buf, v) }
func (w *writer) float(v float64) { w.word(math.Float64bits(v)) }

func (w *writer) bounds(b bounds) {
	w.float(b.low)
	w.float(b.high)
}

func (w *writer) flag(v bool) {
	if v {
		w.int(1)
	} else {
		w.int(0)
	}
}

// flush gives way to others, and up when the result cannot be kept any more. It
// is called for each slab.
func (w *writer) flush() error {
	if _, err := w.deflate.Write(w.buf); err != nil {
		return err
	}
	w.buf = w.buf[:0]
	switch {
	case !w.pause():
		return errPaused
	case w.out.Len() > budget.MaxState:
		return budget.ErrTooLarge
	}
	return nil
}

// reader reads what a writer wrote. From the first failure on all it reads is 0.
type reader struct {
	in    *bufio.Reader
	bad   bool
	pause func() bool
}

// within reads an integer from low to high.
func (r *reader) within(low, high int64) int64 {
	if r.bad {
		return 0
	}
	v, err := binary.ReadVarint(r.in)
	if err != nil || v < low || v > high {
		r.bad = true
		return 0
	}
	return v
}

func (r *reader) word() uint64 {
	var b [8]byte
	if r.bad {
		return 0
	}
	if _, err := io.ReadFull(r.in, b[:]); err != nil {
		r.bad = true
		return 0
	}
	return binary.LittleEndian.Uint64(b[:])
}

func (r *reader) float() float64 { return math.Float64frombits(r.word()) }
func (r *reader) flag() bool     { return r.within(0, 1) == 1 }
func (r *reader) bounds() bounds { return bounds{low: r.float(), high: r.float()} }

// next gives way to others and reports whether there is reason to read on.
func (r *reader) next() bool {
	if !r.bad && !r.pause() {
		r.bad = true
	}
	return !r.bad
}

// end reports whether all was read, and nothing is left.
func (r *reader) end() bool {
	_, err := r.in.ReadByte()
	return !r.bad && err == io.EOF
}

// save writes the whole tree.
func (g *grower) save(w *writer) error {
	generator, err := g.source.MarshalBinary()
	if err != nil {
		return err
	}
	w.int(int64(len(generator)))
	w.buf = append(w.buf, generator...)
	used, _ := g.meter.Used()
	for _, v := range []int64{used, g.pending, g.left, int64(g.sims), int64(g.depth), g.moveCount, int64(g.nextMove), int64(g.nextPosition)} {
		w.int(v)
	}
	w.bounds(bounds{g.low, g.high})
	w.flag(g.full)
	w.flag(g.solved)
	w.flag(g.stopped)
	g.saveRun(w)
	for e := range g.nextMove {
		g.saveMove(w, e)
		if e&slabMask == slabMask {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	for at := range g.nextPosition {
		g.savePosition(w, at)
		if at&slabMask == slabMask {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	w.int(int64(g.known.used))
	for i, e := range g.known.entries {
		if e.position != 0 {
			w.word(e.hi)
			w.word(e.lo)
			w.int(int64(e.position))
		}
		if i&slabMask == slabMask {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return w.flush()
}

func (g *grower) saveMove(w *writer, e int32) {
	m, s := g.move(e), g.score(e)
	w.int(int64(m.visits))
	w.int(int64(m.action))
	w.int(int64(m.next))
	if m.visits > 0 { // else the mean is +Inf
		w.float(s.mean)
	}
	if m.visits > 1 {
		w.float(m.m2)
	}
	if g.proofs != nil {
		w.bounds(*g.proof(e))
	}
	if g.priors != nil {
		w.float(*g.prior(e))
	}
	if g.raves != nil {
		r := g.rave(e)
		w.int(int64(r.n))
		if r.n > 0 {
			w.float(r.mean)
		}
	}
}

func (g *grower) saveRun(w *writer) {
	w.flag(g.run != nil)
	if g.run == nil {
		return
	}
	w.float(g.record)
	w.int(int64(len(g.run)))
	for _, a := range g.run {
		w.int(int64(a))
	}
}

func (g *grower) restoreRun(r *reader) {
	if !r.flag() {
		return
	}
	g.record, g.run = r.float(), []int32{}
	for range r.within(0, int64(g.traits.Horizon)) {
		g.run = append(g.run, int32(r.within(0, int64(g.traits.Actions)-1)))
	}
}

func (g *grower) savePosition(w *writer, at int32) {
	p := g.position(at)
	for _, v := range []int32{p.first, p.count, p.seen, p.outcome, p.sibling, int32(p.sign), int32(p.status)} {
		w.int(int64(v))
	}
	w.flag(p.proven)
	if g.values != nil {
		w.bounds(*g.value(at))
	}
}

// restore makes a new tree one that was saved. It leaves it in any condition if
// the reader fails.
func (g *grower) restore(r *reader) {
	generator := make([]byte, r.within(0, 64))
	if _, err := io.ReadFull(r.in, generator); err != nil || g.source.UnmarshalBinary(generator) != nil {
		r.bad = true
	}
	used := r.within(0, math.MaxInt64)
	g.pending, g.left = r.within(0, math.MaxInt64), r.within(math.MinInt64, math.MaxInt64)
	g.sims, g.depth = int(r.within(0, int64(g.target))), int(r.within(0, math.MaxInt32))
	g.moveCount = r.within(0, mostNodes)
	moves, positions := int32(r.within(0, math.MaxInt32)), int32(r.within(1, mostNodes))
	b := r.bounds()
	g.low, g.high = b.low, b.high
	g.full, g.solved, g.stopped = r.flag(), r.flag(), r.flag()
	g.restoreRun(r)
	g.restoreMoves(r, moves, positions)
	g.restorePositions(r, moves, positions)
	for i := range r.within(0, mostNodes) {
		hi, lo := r.word(), r.word()
		e := g.known.place(hi, lo)
		g.known.add(e, hi, lo, int32(r.within(1, int64(positions)-1)))
		if i&slabMask == slabMask && !r.next() {
			return
		}
	}
	if !r.bad {
		g.meter.Step(used) // what was met before is met again
	}
}

func (g *grower) restoreMoves(r *reader, moves, positions int32) {
	g.moves, g.proofs, g.priors, g.raves = nil, nil, nil, nil
	for e := range moves {
		if e&slabMask == 0 {
			if !r.next() {
				return
			}
			g.addMoveSlab()
		}
		m, s := g.move(e), g.score(e)
		m.visits = int32(r.within(0, math.MaxInt32))
		m.action = int32(r.within(0, int64(g.traits.Actions)))
		m.next = int32(r.within(0, int64(positions)-1))
		s.mean = math.Inf(1)
		if m.visits > 0 {
			s.mean, s.inv = r.float(), 1/math.Sqrt(float64(m.visits))
		}
		if m.visits > 1 {
			m.m2 = r.float()
		}
		if g.proofs != nil {
			*g.proof(e) = r.bounds()
		}
		if g.priors != nil {
			*g.prior(e) = r.float()
		}
		if g.raves != nil {
			shared := g.rave(e)
			if shared.n = int32(r.within(0, math.MaxInt32)); shared.n > 0 {
				shared.mean = r.float()
			}
		}
	}
	g.nextMove = moves
}

func (g *grower) restorePositions(r *reader, moves, positions int32) {
	g.positions, g.values = nil, nil
	for at := range positions {
		if at&slabMask == 0 {
			if !r.next() {
				return
			}
			g.positions = append(g.positions, new(positionSlab))
			if g.traits.Deterministic {
				g.values = append(g.values, new(boundSlab))
			}
		}
		p := g.position(at)
		p.first = int32(r.within(0, int64(moves)))
		p.count = int32(r.within(0, int64(moves-p.first)))
		p.seen = int32(r.within(0, math.MaxInt32))
		p.outcome = int32(r.within(math.MinInt32, math.MaxInt32))
		p.sibling = int32(r.within(0, int64(positions)-1))
		p.sign = int8(r.within(-1, 1))
		p.status = status(r.within(0, int64(over)))
		p.proven = r.flag()
		if g.values != nil {
			*g.value(at) = r.bounds()
		}
	}
	g.nextPosition = positions
}
