package storetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/lyceum-mcp/lyceum/session"
)

// parallelCommits lets 16 goroutines add one to the same session until each has
// succeeded 20 times. Every commit must build on the one before.
func parallelCommits(t *testing.T, s session.Store) {
	const clients, each = 16, 20
	r := sample(alice, "rs_1")
	save(t, s, session.Change{Record: r, Create: true, Put: []session.Cell{{Name: "n", Data: make([]byte, 8)}}})
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for done := 0; done < each; {
				snap, err := s.Load(t.Context(), r.Key)
				if err != nil {
					t.Errorf("load: %v", err)
					return
				}
				n := binary.BigEndian.Uint64(snap.Cells[0].Data)
				from := snap.Version
				snap.Version++
				err = s.Save(t.Context(), session.Change{
					Record: snap.Record, From: from,
					Put: []session.Cell{{Name: "n", Version: snap.Version, Data: binary.BigEndian.AppendUint64(nil, n+1)}},
				})
				if _, stale := errors.AsType[*session.StaleError](err); stale {
					continue
				}
				if err != nil {
					t.Errorf("save: %v", err)
					return
				}
				done++
				// One of its own between: a failing neighbour must not hurt it.
				own := sample(bob, fmt.Sprintf("rs_%d_%d", c, done))
				if err := s.Save(t.Context(), session.Change{Record: own, Create: true}); err != nil {
					t.Errorf("save of another session: %v", err)
				}
			}
		})
	}
	wg.Wait()
	snap, err := s.Load(t.Context(), r.Key)
	if err != nil || binary.BigEndian.Uint64(snap.Cells[0].Data) != clients*each || snap.Version != 1+clients*each {
		t.Errorf("after %d commits: version %d, %x, %v", clients*each, snap.Version, snap.Cells, err)
	}
	if got := len(ids(t, s, &bob)); got != clients*each {
		t.Errorf("%d sessions of the others, want %d", got, clients*each)
	}
}

type verb uint8

const (
	verbLoad   verb = iota
	verbSave        // from a version to a new one, unless it is stale
	verbDelete      // works always
)

type input struct {
	key      int
	verb     verb
	from, to uint64 // from 0: create
}

type output struct {
	ok      bool
	version uint64 // loaded, 0 if there is none; or that a StaleError tells
	slot    uint64 // the version that the slot was written with
}

// model is one session as a version; 0 is none.
var model = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := make([][]porcupine.Operation, 3)
		for _, op := range history {
			k := op.Input.(input).key
			parts[k] = append(parts[k], op)
		}
		return parts
	},
	Init: func() any { return uint64(0) },
	Step: func(state, in, out any) (bool, any) {
		stored, i, o := state.(uint64), in.(input), out.(output)
		switch i.verb {
		case verbLoad:
			return o.version == stored && o.slot == stored, stored
		case verbDelete:
			return true, uint64(0)
		}
		if o.ok {
			return stored == i.from, i.to
		}
		return stored != i.from && o.version == stored, stored
	},
}

// linearizable records what 16 goroutines see of three sessions, and looks for
// one order of the operations that explains it.
func linearizable(t *testing.T, s session.Store) {
	const clients, steps = 16, 40
	var clock atomic.Int64
	var versions atomic.Uint64
	histories := make([][]porcupine.Operation, clients)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(c)))
			var known [3]uint64
			for range steps {
				in := input{key: rng.IntN(3)}
				switch n := rng.IntN(10); {
				case n < 5:
					in.verb, in.from, in.to = verbSave, known[in.key], versions.Add(1)
				case n < 6:
					in.verb = verbDelete
				}
				call := clock.Add(1)
				out, err := perform(t, s, in)
				end := clock.Add(1)
				if err != nil {
					t.Errorf("operation %+v: %v", in, err)
					return
				}
				known[in.key] = out.version
				histories[c] = append(histories[c], porcupine.Operation{ClientId: c, Input: in, Call: call, Output: out, Return: end})
			}
		})
	}
	wg.Wait()
	var all []porcupine.Operation
	for _, h := range histories {
		all = append(all, h...)
	}
	if got := porcupine.CheckOperationsTimeout(model, all, time.Minute); got != porcupine.Ok {
		t.Errorf("a history of %d operations is %s, want that it is linearizable", len(all), got)
	}
	// The checker can say no: to a load of what nobody stored.
	wrong := porcupine.Operation{Input: input{}, Output: output{version: 1 << 60, slot: 1 << 60}, Call: clock.Add(1), Return: clock.Add(1)}
	if got := porcupine.CheckOperationsTimeout(model, append(all, wrong), time.Minute); got != porcupine.Illegal {
		t.Errorf("a spoiled history is %s, want illegal", got)
	}
}

func perform(t *testing.T, s session.Store, in input) (output, error) {
	r := sample(alice, fmt.Sprint("rs_", in.key))
	switch in.verb {
	case verbDelete:
		return output{ok: true}, s.Delete(t.Context(), r.Key)
	case verbLoad:
		snap, err := s.Load(t.Context(), r.Key)
		if errors.Is(err, session.ErrNoRecord) {
			return output{}, nil
		}
		if err != nil || len(snap.Cells) != 1 {
			return output{}, fmt.Errorf("%d cells, %w", len(snap.Cells), err)
		}
		return output{ok: true, version: snap.Version, slot: snap.Cells[0].Version}, nil
	}
	r.Version = in.to
	err := s.Save(t.Context(), session.Change{
		Record: r, From: in.from, Create: in.from == 0, Put: []session.Cell{cell("x", in.to, "{}")},
	})
	if stale, ok := errors.AsType[*session.StaleError](err); ok {
		return output{version: stale.Stored}, nil
	}
	return output{ok: true, version: in.to, slot: in.to}, err
}
