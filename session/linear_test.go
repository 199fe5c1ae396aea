package session

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// verb is one step of a history of one session.
type verb uint8

const (
	verbOpen    verb = iota
	verbAcquire      // hits unless a delete came before
	verbDelete       // hits once
	verbUpdate       // adds one and reports what it made; works as long as the handle is held
	verbRead         // reports the value
)

type input struct {
	id   ID
	verb verb
}

type output struct {
	ok    bool
	value int // after an update, of a read
}

// sessionState is the whole specification of one session.
type sessionState struct {
	opened, deleted bool
	value           int
}

var sessionModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byID := map[ID][]porcupine.Operation{}
		for _, op := range history {
			id := op.Input.(input).id
			byID[id] = append(byID[id], op)
		}
		var parts [][]porcupine.Operation
		for _, ops := range byID {
			parts = append(parts, ops)
		}
		return parts
	},
	Init: func() any { return sessionState{} },
	Step: func(state, in, out any) (bool, any) {
		s, o := state.(sessionState), out.(output)
		switch in.(input).verb {
		case verbOpen:
			return !s.opened, sessionState{opened: true}
		case verbAcquire:
			return o.ok == (s.opened && !s.deleted), s
		case verbDelete:
			hit := s.opened && !s.deleted
			s.deleted = s.deleted || hit
			return o.ok == hit, s
		case verbUpdate:
			s.value++
			return s.opened && o.value == s.value, s
		default:
			return s.opened && o.value == s.value, s
		}
	},
}

// recorder notes operations with a clock that never shows a time twice.
type recorder struct {
	clock atomic.Int64

	mu  sync.Mutex
	ops []porcupine.Operation // owned by mu
}

// do runs one operation between its call and its return.
func (r *recorder) do(client int, v verb, run func() (ID, output)) output {
	call := r.clock.Add(1)
	id, out := run()
	end := r.clock.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, porcupine.Operation{ClientId: client, Input: input{id, v}, Call: call, Output: out, Return: end})
	return out
}

// history lets 16 goroutines work on three sessions at a time and returns what
// each of them saw.
func history(t *testing.T, seed uint64, stored bool) []porcupine.Operation {
	const clients, steps, names = 16, 60, 3
	d, stop := New(Config{}, nil), func() {}
	if stored {
		d, stop = underWay(t, newFakeStore())
	}
	slot := NewSlot[int]("n")
	var rec recorder
	var current [names]atomic.Pointer[ID]
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(c)))
			for range steps {
				name := &current[rng.IntN(names)]
				id := name.Load()
				var h *Handle
				switch {
				case id == nil || rng.IntN(20) == 0:
					rec.do(c, verbOpen, func() (ID, output) {
						var err error
						if h, err = d.Open(t.Context(), alice, Params{}); err != nil {
							t.Errorf("open: %v", err)
							return "", output{}
						}
						return h.ID(), output{ok: true}
					})
					fresh := h.ID()
					name.Store(&fresh)
				case rng.IntN(8) == 0:
					rec.do(c, verbDelete, func() (ID, output) {
						return *id, output{ok: d.Delete(t.Context(), alice, *id) == nil}
					})
					continue
				default:
					out := rec.do(c, verbAcquire, func() (ID, output) {
						var err error
						h, err = d.Acquire(t.Context(), alice, *id)
						return *id, output{ok: err == nil}
					})
					if !out.ok {
						name.CompareAndSwap(id, nil)
						continue
					}
				}
				rec.do(c, verbUpdate, func() (ID, output) {
					var got int
					if err := slot.Update(t.Context(), h, func(n *int) error { *n++; got = *n; return nil }); err != nil {
						t.Errorf("update: %v", err)
					}
					return h.ID(), output{value: got}
				})
				rec.do(c, verbRead, func() (ID, output) {
					got, _, err := slot.Read(h)
					if err != nil {
						t.Errorf("read: %v", err)
					}
					return h.ID(), output{value: got}
				})
				h.Release()
			}
		})
	}
	wg.Wait()
	stop()
	checkInvariants(t, d)
	return rec.ops
}

// underWay returns a directory over f that writes behind and takes what is idle
// out of memory all the time, until stop is called.
func underWay(t *testing.T, f *fakeStore) (d *Directory, stop func()) {
	d, _ = mustRestore(t, Config{}, f)
	done := make(chan struct{})
	var behind sync.WaitGroup
	behind.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				freezeAll(d)
				mustFlush(t, d)
			}
		}
	})
	return d, func() {
		close(done)
		behind.Wait()
	}
}

func TestLinearizable(t *testing.T) {
	for seed := range uint64(8) {
		ops := history(t, seed, seed%2 == 1)
		if got := porcupine.CheckOperationsTimeout(sessionModel, ops, time.Minute); got != porcupine.Ok {
			t.Fatalf("seed %d: a history of %d operations is %s, want that it is linearizable", seed, len(ops), got)
		}
	}
}

// The checker must be able to say no: to the same history with one lost update,
// or with a session that is found after its deletion.
func TestLinearizableFindsViolations(t *testing.T) {
	find := func(ops []porcupine.Operation, v verb, good func(output) bool) int {
		return slices.IndexFunc(ops, func(op porcupine.Operation) bool {
			return op.Input.(input).verb == v && good(op.Output.(output))
		})
	}
	for name, spoil := range map[string]func(ops []porcupine.Operation) []porcupine.Operation{
		"lost update": func(ops []porcupine.Operation) []porcupine.Operation {
			i := find(ops, verbUpdate, func(o output) bool { return o.value > 1 })
			ops[i].Output = output{value: ops[i].Output.(output).value - 1}
			return ops
		},
		"found after its deletion": func(ops []porcupine.Operation) []porcupine.Operation {
			gone := ops[find(ops, verbDelete, func(o output) bool { return o.ok })]
			in := input{gone.Input.(input).id, verbAcquire}
			return append(ops, porcupine.Operation{Input: in, Output: output{ok: true}, Call: gone.Return + 1, Return: gone.Return + 2})
		},
	} {
		t.Run(name, func(t *testing.T) {
			ops := spoil(history(t, 1, false))
			if got := porcupine.CheckOperationsTimeout(sessionModel, ops, time.Minute); got != porcupine.Illegal {
				t.Errorf("a spoiled history is %s, want illegal", got)
			}
		})
	}
}
