package job

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// walk is an operation whose every step depends on all the steps before it: a
// random walk that writes down where it has been.
type walk struct {
	Step int      `json:"step"`
	RNG  []byte   `json:"rng"`
	Path []uint64 `json:"path"`
}

const walkSteps = 30

// run makes a step a second and offers a checkpoint after each. taken counts
// the steps that were really made.
func (walk) run(taken *int) RunFunc {
	return func(ctx context.Context, run *Run) (json.RawMessage, error) {
		pcg := rand.NewPCG(run.Seed(), 0)
		var w walk
		if at, ok := run.Resume(); ok {
			if err := json.Unmarshal(at, &w); err != nil {
				return nil, err
			}
			if err := pcg.UnmarshalBinary(w.RNG); err != nil {
				return nil, err
			}
		}
		for w.Step < walkSteps {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			*taken++
			w.Step++
			w.Path = append(w.Path, pcg.Uint64())
			w.RNG, _ = pcg.MarshalBinary()
			run.Progress(float64(w.Step), walkSteps, "")
			if run.Due() {
				at, err := json.MarshalIndent(w, "", " ")
				if err != nil {
					return nil, err
				}
				if err := run.Checkpoint(at); err != nil {
					return nil, err
				}
			}
			select {
			case <-run.Stop():
				return nil, ErrCheckpointed
			default:
			}
		}
		return json.Marshal(w.Path)
	}
}

// A job that is killed, drained and killed again returns the very bytes of one
// that nothing happened to, and does not make all steps again for it.
func TestResumeIsByteEqual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{CheckpointEvery: 4500 * time.Millisecond, MaxStalled: 100, ProgressEvery: time.Second}
		const seeds = 250
		kills, drains, resumed, made := 0, 0, 0, 0
		for seed := range uint64(seeds) {
			want := undisturbed(t, cfg, seed)
			rng := rand.New(rand.NewPCG(seed, 1))
			disk := NewMemoryStore() // what survives
			taken := 0
			op := walk{}.run(&taken)
			ops := known(map[string]RunFunc{"walk": op})
			var id ID
			for process := 0; ; process++ {
				store := &brittleStore{MemoryStore: disk}
				r := New(cfg, store, nil, discard())
				if _, err := r.Recover(t.Context(), ops); err != nil {
					t.Fatal(err)
				}
				if process == 0 {
					id = start(t, r, Spec{Owner: alice, Operation: "walk", Seed: seed, Resumable: true, Run: op}).Detach().ID
				}
				patience := time.Hour
				if process < 6 { // then it is left in peace
					patience = time.Duration(rng.Int64N(int64(15*time.Second))) + 300*time.Millisecond
				}
				j, err := r.Wait(t.Context(), alice, id, patience)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if j.State.Final() {
					if j.State != Completed || string(j.Result) != want {
						t.Fatalf("seed %d: after %d processes it is %s (%+v) with\n%s\nwant\n%s", seed, process+1, j.State, j.Error, j.Result, want)
					}
					if j.Attempts > 1 {
						resumed++
					}
					made += taken
					if j.Progress.Done != walkSteps {
						t.Errorf("seed %d: progress %+v", seed, j.Progress)
					}
					if err := r.Close(); err != nil {
						t.Error(err)
					}
					break
				}
				if rng.IntN(3) == 0 {
					drains++
					r.Drain(t.Context())
				} else {
					kills++
					store.set(func() { store.dead = true })
				}
				_ = r.Close() // nothing of it reaches the disk when it was killed
			}
		}
		t.Logf("%d seeds: %d kills, %d drains, %d jobs resumed, %.1f steps made for each of %d", seeds, kills, drains, resumed, float64(made)/seeds, walkSteps)
		if resumed < seeds*9/10 || kills < seeds || drains < seeds/2 {
			t.Errorf("%d of %d jobs were disturbed, by %d kills and %d drains: too few to prove anything", resumed, seeds, kills, drains)
		}
		if made > seeds*walkSteps*2 {
			t.Errorf("%d steps made for %d: it begins at the beginning too often", made, seeds*walkSteps)
		}
	})
}

func undisturbed(t *testing.T, cfg Config, seed uint64) string {
	r := New(cfg, NewMemoryStore(), nil, discard())
	defer r.Close()
	taken := 0
	h := start(t, r, Spec{Owner: alice, Operation: "walk", Seed: seed, Resumable: true, Run: walk{}.run(&taken)})
	out, done := h.Inline(t.Context(), time.Hour)
	if !done || out.State != Completed || taken != walkSteps {
		t.Fatalf("seed %d: %+v, %v after %d steps", seed, out, done, taken)
	}
	return string(out.Result)
}

// A job that stops its process each time before it gets anywhere is given up.
func TestStalledJobIsGivenUp(t *testing.T) {
	disk := NewMemoryStore()
	var id ID
	for process := range 5 {
		store := &brittleStore{MemoryStore: disk}
		r := New(Config{MaxStalled: 3}, store, nil, discard())
		o := newOp()
		if _, err := r.Recover(t.Context(), known(map[string]RunFunc{"op": o.run})); err != nil {
			t.Fatal(err)
		}
		if process == 0 {
			spec := o.spec(alice)
			spec.Resumable = true
			id = start(t, r, spec).Detach().ID
		}
		if process < 4 {
			<-o.started
		}
		j := get(t, r, alice, id)
		if want := fmt.Sprint(process+1, Running); process < 4 && fmt.Sprint(j.Attempts, j.State) != want {
			t.Errorf("process %d: attempt %d, %s, want %s", process, j.Attempts, j.State, want)
		}
		if process == 4 && (j.State != Failed || j.Error.Code != "interrupted" || j.Attempts != 4) {
			t.Errorf("after 4 interruptions it is %s, %+v", j.State, j.Error)
		}
		store.set(func() { store.dead = process < 4 })
		_ = r.Close()
	}
}

// One that gets further each time is not given up, however often it is
// interrupted.
func TestJobThatGetsFurtherIsNotGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := NewMemoryStore()
		var id ID
		for process := range 8 {
			store := &brittleStore{MemoryStore: disk}
			r := New(Config{MaxStalled: 2}, store, nil, discard())
			o := newOp()
			if _, err := r.Recover(t.Context(), known(map[string]RunFunc{"op": o.run})); err != nil {
				t.Fatal(err)
			}
			if process == 0 {
				spec := o.spec(alice)
				spec.Resumable = true
				id = start(t, r, spec).Detach().ID
			}
			synctest.Wait()
			if j := get(t, r, alice, id); j.State != Running || j.Attempts != process+1 {
				t.Fatalf("process %d: attempt %d, %s, %+v", process, j.Attempts, j.State, j.Error)
			}
			if process%2 == 1 { // every other one gets nowhere
				time.Sleep(DefaultCheckpointEvery + time.Second)
				o.do(func(_ context.Context, run *Run) {
					if err := run.Checkpoint(fmt.Append(nil, process)); err != nil {
						t.Error(err)
					}
				})
			}
			store.set(func() { store.dead = true })
			_ = r.Close()
		}
	})
}
