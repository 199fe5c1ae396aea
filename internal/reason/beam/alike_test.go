package beam_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/beam"
)

// first tells the first generation.
func first(t *testing.T, s beam.Settings, children ...beam.Child) *beam.Beam {
	t.Helper()
	b := must[*beam.Beam](t)(beam.New(s, "root", ""))
	tickets, _, err := b.Ask(1, start, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	must[beam.Told](t)(b.Tell(tickets[0].ID, beam.Tell{Children: children}, start))
	if err := b.Validate(); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSimilarStepsAreOne(t *testing.T) {
	const ten = "one two three four five six seven eight nine ten"
	keyed := child(ten+" twelve", .4)
	keyed.Key = "other"
	for _, x := range []struct {
		similarity float64
		width      int
		merged     int
	}{
		{8.0 / 9, 8, 1},         // eight of nine shingles: just enough
		{8.0/9 + 1e-9, 8, 0},    // not enough
		{8.0 / 9, 1, 1},         // merged, not pruned, though there is no place
		{0, 8, 0},               // the default is 0.9
		{8.0 / 10.000001, 8, 1}, // the two longer ones share 8 of 10, but one has a key
	} {
		b := first(t, beam.Settings{Width: x.width, Merge: beam.Similar, Similarity: x.similarity}, child(ten, .9), child(ten+" eleven", .5), keyed, child("unlike", .1))
		if got := b.Counts()[beam.Merged]; got != x.merged {
			t.Errorf("from %v on, width %d: %d merged, want %d", x.similarity, x.width, got, x.merged)
		}
	}
}

// Whichever of two similar steps is told first, the better one stays.
func TestTheBetterOfSimilarStepsStays(t *testing.T) {
	const a, b = "keep every session in one file on disk", "keep every session in one file on disk please"
	for _, order := range [][]beam.Child{{child(a, .2), child(b, .7)}, {child(b, .7), child(a, .2)}} {
		s := first(t, beam.Settings{Merge: beam.Similar, Similarity: .7}, order...)
		if p := s.Paths(9); len(p) != 1 || p[0].Path[1] != b || !strings.Contains(s.History(1)[0].Reason, "the same state") {
			t.Errorf("%+v, %+v", p, s.History(1))
		}
	}
}

func TestPruneByDistance(t *testing.T) {
	for _, x := range []struct {
		s      beam.Settings
		scores []float64
		kept   int
	}{
		{beam.Settings{Prune: beam.Absolute, Margin: .25}, []float64{1, .75, .5}, 2},
		{beam.Settings{Prune: beam.Absolute}, []float64{1, 1, .5}, 2},
		{beam.Settings{Prune: beam.Relative, Margin: .5}, []float64{1, .5, .25}, 2},
		{beam.Settings{Prune: beam.Relative, Margin: .5}, []float64{-1, -2, -3}, 3}, // no share of what is not above 0
		{beam.Settings{Prune: beam.Relative}, []float64{1, 0, -1}, 2},
		{beam.Settings{Prune: beam.Relative, Margin: .5, Aggregate: beam.LogProb}, []float64{0, -math.Ln2, -.7}, 2},
		{beam.Settings{}, []float64{1, .5, .25}, 3},
	} {
		var children []beam.Child
		for i, v := range x.scores {
			children = append(children, child(string(rune('a'+i)), v))
		}
		b := first(t, x.s, children...)
		if got := b.Counts()[beam.Active]; got != x.kept {
			t.Errorf("%s %v of %v: %d kept, want %d", x.s.Prune, x.s.Margin, x.scores, got, x.kept)
		}
		if h := b.History(1); x.kept < 3 && (len(h) != 1 || !strings.Contains(h[0].Reason, "too far below")) {
			t.Errorf("%s: %+v", x.s.Prune, h)
		}
	}
}

func TestSettingsOfCuts(t *testing.T) {
	for _, s := range []beam.Settings{
		{Merge: beam.Similar, Width: beam.MaxSimilarWidth + 1},
		{Similarity: -.1},
		{Similarity: 1.1},
		{Similarity: math.NaN()},
		{Prune: "adaptive"},
		{Prune: beam.Relative, Margin: 1.1},
		{Prune: beam.Absolute, Margin: math.NaN()},
		{Margin: .5},
	} {
		if _, err := beam.New(s, "root", ""); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}
