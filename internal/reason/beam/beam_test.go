package beam_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/beam"
	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// play answers all tickets from a table of continuations until nothing is left
// to ask.
func play(t *testing.T, b *beam.Beam, next map[string][]beam.Child) {
	t.Helper()
	for range 1000 {
		tickets, why, err := b.Ask(8, start, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if len(tickets) == 0 {
			if why != beam.Finished {
				t.Fatalf("nothing to do, %q", why)
			}
			return
		}
		for _, k := range tickets {
			if _, err := b.Tell(k.ID, beam.Tell{Children: next[k.Path[len(k.Path)-1]]}, start); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Validate(); err != nil {
			t.Fatal(err)
		}
	}
}

func child(content string, score float64) beam.Child {
	return beam.Child{Content: content, Score: &score}
}

func TestWidthDecides(t *testing.T) {
	next := map[string][]beam.Child{
		"S": {child("A", .6), child("B", .4)},
		"A": {child("A1", .3), child("A2", .3)},
		"B": {child("B1", .9)},
	}
	for width, want := range map[int]float64{1: .18, 2: .36} {
		b := must[*beam.Beam](t)(beam.New(beam.Settings{Width: width, Depth: 2, Aggregate: beam.Product}, "S", ""))
		play(t, b, next)
		if got := b.Paths(1)[0]; math.Abs(got.Value-want) > 1e-12 || b.Done != beam.Generations {
			t.Errorf("width %d ends at %v (%s), want %v", width, got.Value, b.Done, want)
		}
	}
}

func TestAggregates(t *testing.T) {
	scores := []float64{.5, .2, .8}
	for _, c := range []struct {
		a            beam.Aggregate
		alpha, decay float64
		want         float64
	}{
		{beam.Sum, 0, 1, 1.5},
		{beam.Mean, 0, 1, .5},
		{beam.Product, 0, 1, .08},
		{beam.Product, 1, 1, math.Pow(.08, 6.0/8)},
		{beam.Min, 0, 1, .2},
		{beam.Max, 0, 1, .8},
		{beam.Last, 0, 1, .8},
		{beam.Weighted, 0, .5, (.125 + .1 + .8) / 1.75},
		{beam.LogProb, .6, 1, 1.5 / math.Pow(8.0/6, .6)},
	} {
		if got := c.a.Value(scores, c.alpha, c.decay); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s = %v, want %v", c.a, got, c.want)
		}
	}
	// Wu et al., 2016: length 10 and α = 0.6.
	if got := beam.LengthPenalty(10, .6); math.Abs(got-math.Pow(2.5, .6)) > 1e-12 || math.Abs(got-1.7329) > 1e-4 {
		t.Errorf("lp(10) = %v", got)
	}
}

func TestMergedStatesCountOnce(t *testing.T) {
	next := map[string][]beam.Child{
		"S": {child("A", 1), child("B", 2), child("a ", 5)},
		"A": {child("X", 1), child("Y", 1)},
		"B": {child(" x", 9), child("Z", 1)},
	}
	b := must[*beam.Beam](t)(beam.New(beam.Settings{Width: 4, Depth: 2}, "S", ""))
	play(t, b, next)
	counts := b.Counts()
	// "a " replaces "A" as the better of equal continuations, and is then unknown
	// to the table: it stalls. Of B's two continuations none is merged.
	if counts[beam.Stalled] != 1 || counts[beam.Active] != 2 || counts[beam.Merged] != 0 {
		t.Errorf("counts %v", counts)
	}
	next["S"] = next["S"][:2]
	b = must[*beam.Beam](t)(beam.New(beam.Settings{Width: 4, Depth: 2}, "S", ""))
	play(t, b, next)
	if got := b.Paths(3); len(got) != 3 || got[0].Value != 11 || b.Counts()[beam.Merged] != 1 {
		t.Errorf("paths %+v, counts %v", got, b.Counts())
	}
	if h := b.History(5); len(h) != 1 || h[0].Status != beam.Merged {
		t.Errorf("history %+v", h)
	}
}

func TestDiverseGroups(t *testing.T) {
	next := map[string][]beam.Child{"S": {child("p", 1), child("q", .9), child("r", .1)}, "p": {child("x", 1), child("y", .9)}, "q": {child("x", 1), child("y", .9)}}
	run := func(lambda float64) []string {
		b := must[*beam.Beam](t)(beam.New(beam.Settings{Width: 2, Groups: 2, Depth: 2, Diversity: &lambda}, "S", ""))
		play(t, b, next)
		var last []string
		for _, at := range b.Frontier {
			last = append(last, b.Nodes[at].Content)
		}
		return last
	}
	if got := run(0); fmt.Sprint(got) != "[x x]" {
		t.Errorf("without a penalty %v", got)
	}
	if got := run(.5); fmt.Sprint(got) != "[x y]" {
		t.Errorf("with one %v", got)
	}
}

func TestConvergence(t *testing.T) {
	flat := map[string][]beam.Child{}
	for i := range 30 {
		flat[fmt.Sprint(i)] = []beam.Child{child(fmt.Sprint(i+1), 0)}
	}
	done := child("end", 3)
	done.Complete = true
	for _, c := range []struct {
		name string
		stop beam.Stop
		next map[string][]beam.Child
		want beam.Reason
		gen  int
	}{
		{"patience", beam.Stop{Patience: 2}, flat, beam.NoImprovement, 3},
		{"target", beam.Stop{Target: new(2.0)}, map[string][]beam.Child{"0": {child("1", 2)}}, beam.TargetReached, 1},
		{"gap", beam.Stop{Gap: new(1.0)}, map[string][]beam.Child{"0": {done, child("1", 2)}}, beam.GapReached, 1},
		{"complete", beam.Stop{}, map[string][]beam.Child{"0": {done}}, beam.AllComplete, 1},
		{"stalled", beam.Stop{}, map[string][]beam.Child{"0": {child("1", 2)}}, beam.AllStalled, 2},
		{"consensus", beam.Stop{Consensus: 1}, flat, beam.Consensus, 2},
	} {
		b := must[*beam.Beam](t)(beam.New(beam.Settings{Depth: 20, Stop: c.stop}, "0", ""))
		play(t, b, c.next)
		if b.Done != c.want || b.Generation != c.gen {
			t.Errorf("%s: %s after %d generations, want %s after %d", c.name, b.Done, b.Generation, c.want, c.gen)
		}
	}
}

// Tickets are told in any order, twice, late, given back, and of another beam;
// whatever happens the beam stays sound and no path is told twice.
func TestTicketsModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := must[*beam.Beam](t)(beam.New(beam.Settings{Width: 3, Groups: rapid.IntRange(1, 3).Draw(r, "groups"), Depth: 4, MaxNodes: 60}, "root", "one"))
		now := start
		var open []beam.Ticket
		type answer struct {
			what beam.Tell
			told beam.Told
		}
		told := map[string]answer{}
		for range rapid.IntRange(1, 60).Draw(r, "moves") {
			switch rapid.IntRange(0, 5).Draw(r, "move") {
			case 0, 1:
				more, _, err := b.Ask(rapid.IntRange(1, 4).Draw(r, "n"), now, 10*time.Second)
				if err != nil {
					r.Fatal(err)
				}
				open = append(open, more...)
			case 2, 3:
				if len(open) == 0 {
					continue
				}
				k := open[rapid.IntRange(0, len(open)-1).Draw(r, "ticket")]
				var what beam.Tell
				for i := range rapid.IntRange(0, 4).Draw(r, "children") {
					what.Children = append(what.Children, beam.Child{Content: fmt.Sprint(k.Node, i%3), Score: new(rapid.Float64Range(-1, 1).Draw(r, "score")), Complete: rapid.Bool().Draw(r, "complete")})
				}
				got, err := b.Tell(k.ID, what, now)
				old, before := told[k.ID]
				switch {
				case before:
					if err == nil && got.Node != old.told.Node || err != nil && fault.KindOf(err) != fault.Conflict {
						r.Fatalf("told again: %v, %v", got, err)
					}
				case err == nil:
					told[k.ID] = answer{what, got}
				case fault.KindOf(err) != fault.NotFound:
					r.Fatal(err)
				}
			case 4:
				for id, a := range told {
					state := must[[]byte](t)(json.Marshal(b))
					again, err := b.Tell(id, a.what, now)
					if err != nil || fmt.Sprint(again) != fmt.Sprint(a.told) || !bytes.Equal(state, must[[]byte](t)(json.Marshal(b))) {
						r.Fatalf("the same again: %v, %v", again, err)
					}
				}
				if _, err := b.Tell("t1.two", beam.Tell{}, now); fault.KindOf(err) != fault.NotFound {
					r.Fatalf("a foreign ticket: %v", err)
				}
			case 5:
				now = now.Add(time.Duration(rapid.IntRange(0, 8).Draw(r, "seconds")) * time.Second)
			}
			state := must[[]byte](t)(json.Marshal(b))
			var copied beam.Beam
			if err := json.Unmarshal(state, &copied); err != nil {
				r.Fatal(err)
			}
			if err := copied.Validate(); err != nil {
				r.Fatalf("%v in %s", err, state)
			}
			if !bytes.Equal(state, must[[]byte](t)(json.Marshal(&copied))) {
				r.Fatal("the state does not survive a round trip")
			}
			for _, at := range b.Frontier {
				if b.Nodes[at].Depth != b.Generation {
					r.Fatal("the beam is not of one generation")
				}
			}
			if len(b.Frontier) > 3 {
				r.Fatalf("%d paths in a beam of 3", len(b.Frontier))
			}
		}
	})
}

func FuzzValidate(f *testing.F) {
	b := must[*beam.Beam](f)(beam.New(beam.Settings{Depth: 2}, "S", "x"))
	tickets, _, _ := b.Ask(1, start, time.Minute)
	f.Add(must[[]byte](f)(json.Marshal(b)))
	_ = must[beam.Told](f)(b.Tell(tickets[0].ID, beam.Tell{Children: []beam.Child{child("A", 1), child("B", 2)}}, start))
	f.Add(must[[]byte](f)(json.Marshal(b)))
	f.Add([]byte(`{"nodes":[{"content":"a","parent":-1,"status":"active"}],"frontier":[0]}`))
	f.Add([]byte(`{"settings":{"iterations":1},"nodes":[{"content":"0","parent":-1,"status":"expanded"},{"content":"0","depth":1,"status":"active"}],"generation":1,"frontier":[1]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var b beam.Beam
		if json.Unmarshal(data, &b) != nil || b.Validate() != nil {
			return
		}
		tickets, _, err := b.Ask(4, start, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range tickets {
			if _, err := b.Tell(k.ID, beam.Tell{Children: []beam.Child{{Content: "next", Score: new(0.0)}}}, start); err != nil && b.Done == beam.NotDone {
				t.Fatal(err)
			}
		}
		if err := b.Validate(); err != nil {
			t.Fatal(err)
		}
		b.Paths(3)
		b.History(3)
		if _, _, err := b.Graph().Draw(graph.SVG, 50); err != nil {
			t.Fatal(err)
		}
	})
}
