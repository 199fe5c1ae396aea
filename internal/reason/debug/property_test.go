package debug_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/reason/debug"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Without unresolved tests every first bad item is found in at most ⌈log₂ n⌉.
func TestBisectIsExact(t *testing.T) {
	for n := 1; n <= 70; n++ {
		for bad := 1; bad <= n; bad++ {
			c := &debug.Case{Bisect: &debug.Bisect{Range: debug.Range{First: -5, N: n}}}
			f, tests := drive(t, c, func(q *debug.Query) debug.Outcome { return verdict(number(t, q.Test) >= bad-6) })
			if len(f.Found) != 1 || f.Found[0] != strconv.Itoa(bad-6) || tests > bits.Len(uint(n-1)) {
				t.Fatalf("n %d, first bad %d: found %v in %d tests", n, bad-6, f.Found, tests)
			}
		}
	}
}

// With items that cannot be tested, what is found holds the first bad one, and
// everything in it but the last one cannot be tested.
func TestBisectGoesRound(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(r, "n")
		bad := rapid.IntRange(1, n).Draw(r, "bad")
		skip := rapid.SliceOfN(rapid.Bool(), n+1, n+1).Draw(r, "skip")
		c := &debug.Case{Bisect: &debug.Bisect{Range: debug.Range{First: 1, N: n}}}
		f, _ := drive(t, c, func(q *debug.Query) debug.Outcome {
			if skip[number(t, q.Test)] {
				return debug.Unresolved
			}
			return verdict(number(t, q.Test) >= bad)
		})
		if !slices.Contains(f.Found, strconv.Itoa(bad)) {
			r.Fatalf("%v does not hold %d", f.Found, bad)
		}
		for _, s := range f.Found[:len(f.Found)-1] {
			if !skip[number(t, s)] {
				r.Fatalf("%s in %v could have been tested", s, f.Found)
			}
		}
	})
}

// The result fails, and without any single element it does not: whatever the test
// is, with outcomes that are unresolved too.
func TestDeltaIsOneMinimal(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(r, "n")
		table := rapid.SliceOfN(rapid.SampledFrom([]debug.Outcome{debug.Pass, debug.Pass, debug.Fail, debug.Unresolved}), 1<<n, 1<<n).Draw(r, "outcomes")
		table[1<<n-1] = debug.Fail
		d := &debug.Delta{}
		for i := range n {
			d.Elements = append(d.Elements, strconv.Itoa(i))
		}
		at := func(set []string) int {
			mask := 0
			for _, s := range set {
				mask |= 1 << number(t, s)
			}
			return mask
		}
		asked := map[int]bool{}
		f, tests := drive(t, &debug.Case{Delta: d}, func(q *debug.Query) debug.Outcome {
			if asked[at(q.Set)] {
				r.Fatalf("%v is asked for twice", q.Set)
			}
			asked[at(q.Set)] = true
			return table[at(q.Set)]
		})
		found := at(f.Found)
		if table[found] != debug.Fail || tests > n*n+3*n {
			r.Fatalf("found %v, which comes to %s, in %d tests", f.Found, table[found], tests)
		}
		for i := range n {
			if found&(1<<i) != 0 && table[found&^(1<<i)] == debug.Fail {
				r.Fatalf("%v fails without %d too", f.Found, i)
			}
		}
	})
}

// Where the failure is monotone with one cause, it takes about 2·log₂ n tests.
func TestDeltaIsFastForOneCause(t *testing.T) {
	d := &debug.Delta{}
	for i := range 1024 {
		d.Elements = append(d.Elements, strconv.Itoa(i))
	}
	f, tests := drive(t, &debug.Case{Delta: d}, func(q *debug.Query) debug.Outcome { return verdict(slices.Contains(q.Set, "777")) })
	if !slices.Equal(f.Found, []string{"777"}) || tests > 21 {
		t.Errorf("found %v in %d tests", f.Found, tests)
	}
}

// The posterior at the end is right as often as it says.
func TestNoisyIsCalibrated(t *testing.T) {
	const runs, n, e, confidence = 1500, 48, 0.2, 0.9
	right, claimed := 0, 0.0
	for i := range runs {
		rng := seed.Stream(11, uint64(i))
		bad := 1 + rng.IntN(n)
		c := &debug.Case{Noisy: &debug.Noisy{Range: debug.Range{First: 1, N: n}, ErrorRate: e, Confidence: confidence}}
		f, tests := drive(t, c, func(q *debug.Query) debug.Outcome {
			return verdict((number(t, q.Test) >= bad) != (rng.Float64() < e))
		})
		if f.Found[0] == strconv.Itoa(bad) {
			right++
		}
		claimed += f.Ranking[0].Probability
		if tests > 300 {
			t.Fatalf("%d tests", tests)
		}
	}
	got, want := float64(right)/runs, claimed/runs
	if sd := math.Sqrt(want * (1 - want) / runs); math.Abs(got-want) > 4*sd || want < confidence {
		t.Errorf("right in %.4f of the runs, claimed %.4f ± %.4f", got, want, sd)
	}
}

// The posterior equals Bayes' rule applied one outcome after the other.
func TestNoisyPosterior(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(2, 12).Draw(r, "n")
		e := rapid.Float64Range(0.01, 0.49).Draw(r, "e")
		b := &debug.Noisy{Range: debug.Range{First: 1, N: n}, ErrorRate: e, Confidence: 0.999999}
		p := make([]float64, n)
		for i := range p {
			w := rapid.Float64Range(0.1, 5).Draw(r, "prior")
			b.Prior = append(b.Prior, w)
			p[i] = w
		}
		for range rapid.IntRange(0, 20).Draw(r, "tests") {
			item := rapid.IntRange(1, n).Draw(r, "item")
			o := rapid.SampledFrom([]debug.Outcome{debug.Pass, debug.Fail, debug.Unresolved}).Draw(r, "outcome")
			if err := b.Tell(strconv.Itoa(item), o); err != nil {
				r.Fatal(err)
			}
			for i := range p {
				switch fails := i+1 <= item; {
				case o == debug.Unresolved:
				case fails == (o == debug.Fail):
					p[i] *= 1 - e
				default:
					p[i] *= e
				}
			}
		}
		sum := 0.0
		for _, x := range p {
			sum += x
		}
		_, f, err := b.Ask()
		if err != nil {
			r.Fatal(err)
		}
		for _, w := range f.Ranking {
			if want := p[number(t, w.Name)-1] / sum; math.Abs(w.Probability-want) > 1e-9 {
				r.Fatalf("%s: got %g, want %g", w.Name, w.Probability, want)
			}
		}
	})
}

// Half-splitting finds what its tests can find: every suspect that is left has the
// same outcomes as the faulty one.
func TestSplitFindsTheFault(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(r, "n")
		s := &debug.Split{}
		sees := make([]map[string]bool, n)
		for i := range n {
			p := debug.Part{Name: fmt.Sprint("c", i), Weight: float64(rapid.IntRange(1, 5).Draw(r, "weight"))}
			sees[i] = map[string]bool{p.Name: true}
			for j := range i {
				if rapid.IntRange(0, 3).Draw(r, "edge") == 0 {
					p.After = append(p.After, fmt.Sprint("c", j))
					for name := range sees[j] {
						sees[i][name] = true
					}
				}
			}
			s.Parts = append(s.Parts, p)
		}
		fault := fmt.Sprint("c", rapid.IntRange(0, n-1).Draw(r, "fault"))
		f, _ := drive(t, &debug.Case{Split: s}, func(q *debug.Query) debug.Outcome {
			i := number(t, q.Test[1:])
			return verdict(sees[i][fault])
		})
		if !slices.Contains(f.Found, fault) {
			r.Fatalf("%v does not hold %s", f.Found, fault)
		}
		for i := range n {
			for _, other := range f.Found {
				if sees[i][other] != sees[i][fault] {
					r.Fatalf("a test behind c%d parts %v", i, f.Found)
				}
			}
		}
	})
}

// In a chain of equal components it takes ⌈log₂ n⌉ tests.
func TestSplitOfAChain(t *testing.T) {
	for n := 1; n <= 40; n++ {
		for fault := range n {
			s := &debug.Split{}
			for i := range n {
				p := debug.Part{Name: fmt.Sprint("c", i), Weight: 1}
				if i > 0 {
					p.After = []string{fmt.Sprint("c", i-1)}
				}
				s.Parts = append(s.Parts, p)
			}
			f, tests := drive(t, &debug.Case{Split: s}, func(q *debug.Query) debug.Outcome { return verdict(number(t, q.Test[1:]) >= fault) })
			if !slices.Equal(f.Found, []string{fmt.Sprint("c", fault)}) || tests > bits.Len(uint(n-1)) {
				t.Fatalf("n %d, fault %d: found %v in %d tests", n, fault, f.Found, tests)
			}
		}
	}
}

// Minimal cut sets and the probability of the top equal those of brute force.
func TestCutsEqualBruteForce(t *testing.T) {
	for i := range 300 {
		rng := seed.Stream(5, uint64(i))
		events, gates := 2+rng.IntN(6), 1+rng.IntN(6)
		tree := debug.FaultTree{Top: "g0", Gates: map[string]debug.Gate{}, Probabilities: map[string]float64{}}
		for g := range gates {
			gate := debug.Gate{Kind: []string{debug.And, debug.Or, debug.Vote}[rng.IntN(3)]}
			var inputs []string
			for j := g + 1; j < gates; j++ {
				inputs = append(inputs, fmt.Sprint("g", j))
			}
			for e := range events {
				inputs = append(inputs, fmt.Sprint("e", e))
			}
			rng.Shuffle(len(inputs), func(i, j int) { inputs[i], inputs[j] = inputs[j], inputs[i] })
			gate.Inputs = inputs[:1+rng.IntN(min(4, len(inputs)))]
			gate.K = 1 + rng.IntN(len(gate.Inputs))
			tree.Gates[fmt.Sprint("g", g)] = gate
		}
		p := make([]float64, events)
		for e := range p {
			p[e] = rng.Float64()
		}
		want, top := brute(&tree, events, p)
		used := map[string]bool{}
		for _, g := range below(&tree, "g0", map[string]bool{}) {
			for _, in := range tree.Gates[g].Inputs {
				used[in] = true
			}
		}
		for e := range events {
			if name := fmt.Sprint("e", e); used[name] {
				tree.Probabilities[name] = p[e]
			}
		}
		got, err := tree.Analyze(meter())
		if err != nil {
			t.Fatal(err)
		}
		var sets []string
		for _, c := range got.Cuts {
			sets = append(sets, fmt.Sprint(c.Events))
		}
		slices.Sort(sets)
		if !slices.Equal(sets, want) {
			t.Fatalf("tree %d %+v:\ngot  %v\nwant %v", i, tree.Gates, sets, want)
		}
		if got.Probability == nil || math.Abs(*got.Probability-top) > 1e-9 {
			t.Fatalf("tree %d: P(top) %v, want %g", i, got.Probability, top)
		}
	}
}

func below(tree *debug.FaultTree, name string, seen map[string]bool) []string {
	if _, gate := tree.Gates[name]; !gate || seen[name] {
		return nil
	}
	seen[name] = true
	out := []string{name}
	for _, in := range tree.Gates[name].Inputs {
		out = append(out, below(tree, in, seen)...)
	}
	return out
}

// brute evaluates the tree for every set of events.
func brute(tree *debug.FaultTree, events int, p []float64) (cuts []string, top float64) {
	var holds func(name string, mask int) bool
	holds = func(name string, mask int) bool {
		g, gate := tree.Gates[name]
		if !gate {
			e, _ := strconv.Atoi(name[1:])
			return mask&(1<<e) != 0
		}
		n := 0
		for _, in := range g.Inputs {
			if holds(in, mask) {
				n++
			}
		}
		switch g.Kind {
		case debug.And:
			return n == len(g.Inputs)
		case debug.Or:
			return n > 0
		}
		return n >= g.K
	}
	for mask := range 1 << events {
		if !holds("g0", mask) {
			continue
		}
		x, minimal := 1.0, true
		var names []string
		for e := range events {
			if mask&(1<<e) == 0 {
				x *= 1 - p[e]
				continue
			}
			x *= p[e]
			names = append(names, fmt.Sprint("e", e))
			minimal = minimal && !holds("g0", mask&^(1<<e))
		}
		top += x
		if minimal {
			cuts = append(cuts, fmt.Sprint(names))
		}
	}
	slices.Sort(cuts)
	return cuts, top
}

// A case survives a round trip through JSON, and asks the same after it.
func TestCasesRoundTrip(t *testing.T) {
	for _, c := range []*debug.Case{
		{Bisect: &debug.Bisect{Range: debug.Range{N: 3, Labels: []string{"a", "b", "c"}}, Log: []debug.Told{{2, debug.Fail}}}},
		{Noisy: &debug.Noisy{Range: debug.Range{First: 1, N: 9}, ErrorRate: 0.1, Confidence: 0.9, Log: []debug.Told{{5, debug.Pass}}}},
		{Delta: &debug.Delta{Elements: []string{"a", "b", "c"}, Log: "pfu"}},
		{Causes: &debug.Causes{Confidence: 0.9, Causes: []debug.Cause{{"a", 1}, {"b", 2}}, Checks: []debug.Check{{Name: "t", Cost: 1, FailIf: map[string]float64{"a": 1}}}}},
		{Split: &debug.Split{Parts: []debug.Part{{"a", nil, 1}, {"b", []string{"a"}, 1}}, Log: []debug.Probed{{0, debug.Pass}}}},
		{Backtrack: &debug.Backtrack{Log: []debug.Move{{Choice: "a", Options: []string{"x", "y"}}, {Outcome: debug.Fail, Reason: "no"}}}},
	} {
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back debug.Case
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		q, f, err := c.Driver().Ask()
		q2, f2, err2 := back.Driver().Ask()
		if err != nil || err2 != nil || !reflect.DeepEqual(q, q2) || !reflect.DeepEqual(f, f2) {
			t.Errorf("%s: %+v %+v, then %+v %+v", data, q, f, q2, f2)
		}
	}
}
