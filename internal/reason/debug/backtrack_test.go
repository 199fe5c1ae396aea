package debug_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/debug"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

// Backtracking, blaming nothing in particular or only the choices that conflict,
// finds a solution of a random problem exactly when there is one; with the blame it
// meets no more dead ends.
func TestBacktrackIsComplete(t *testing.T) {
	for i := range 200 {
		rng := seed.Stream(3, uint64(i))
		p := randomProblem(rng)
		_, plainEnds, plainSolved := p.search(t, false)
		path, ends, solved := p.search(t, true)
		if want := p.solvable(); solved != want || plainSolved != want {
			t.Fatalf("problem %d: solvable %v, found with blame %v, without %v", i, want, solved, plainSolved)
		}
		if solved && p.conflict(path) != nil {
			t.Fatalf("problem %d: %v is no solution", i, path)
		}
		if ends > plainEnds {
			t.Errorf("problem %d: %d dead ends with blame, %d without", i, ends, plainEnds)
		}
	}
}

// binary is a problem of vars variables with the values 0 to 2 and forbidden pairs.
type binary struct {
	vars int
	bad  map[[4]int]bool
}

func randomProblem(rng *rand.Rand) binary {
	p := binary{4 + rng.IntN(2), map[[4]int]bool{}}
	for a := range p.vars {
		for b := a + 1; b < p.vars; b++ {
			for va := range 3 {
				for vb := range 3 {
					if rng.Float64() < 0.5 {
						p.bad[[4]int{a, va, b, vb}] = true
					}
				}
			}
		}
	}
	return p
}

// conflict returns the first earlier variable that the last value conflicts with,
// and that one; nil if all is well.
func (p binary) conflict(values []int) []int {
	for b := range values {
		for a := range b {
			if p.bad[[4]int{a, values[a], b, values[b]}] {
				return []int{a, b}
			}
		}
	}
	return nil
}

func (p binary) solvable() bool {
	var try func(values []int) bool
	try = func(values []int) bool {
		if p.conflict(values) != nil {
			return false
		}
		if len(values) == p.vars {
			return true
		}
		for v := range 3 {
			if try(append(slices.Clone(values), v)) {
				return true
			}
		}
		return false
	}
	return try(nil)
}

func (p binary) search(t *testing.T, blame bool) (values []int, ends int, solved bool) {
	t.Helper()
	c := &debug.Case{Backtrack: &debug.Backtrack{}}
	name := func(v int) string { return fmt.Sprint("x", v) }
	tell := func(m debug.Move) {
		t.Helper()
		if err := c.Tell("", m); err != nil {
			t.Fatal(err)
		}
	}
	tell(debug.Move{Choice: name(0), Options: []string{"0", "1", "2"}})
	for {
		trail, err := c.Backtrack.Trail()
		if err != nil {
			t.Fatal(err)
		}
		values = values[:0]
		for _, s := range trail.Path {
			values = append(values, number(t, s.Option))
		}
		q, f, err := c.Driver().Ask()
		if err != nil {
			t.Fatal(err)
		}
		if q == nil {
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			return values, trail.Ends, len(f.Found) > 0
		}
		switch pair := p.conflict(values); {
		case pair != nil && blame:
			tell(debug.Move{Outcome: debug.Fail, Blame: []string{name(pair[0]), name(pair[1])}})
		case pair != nil:
			tell(debug.Move{Outcome: debug.Fail})
		case len(values) == p.vars:
			tell(debug.Move{Outcome: debug.Pass})
		default:
			tell(debug.Move{Choice: name(len(values)), Options: []string{"0", "1", "2"}})
		}
	}
}
