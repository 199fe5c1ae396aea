package job

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The table, written down a second time as a picture: a row becomes a column.
func TestStateTable(t *testing.T) {
	const picture = `
		            queued running completed failed canceled interrupted
		queued      .      x       .         x      x        .
		running     x      .       x         x      x        x
		completed   .      .       .         .      .        .
		failed      .      .       .         .      .        .
		canceled    .      .       .         .      .        .
		interrupted x      .       .         x      x        .`
	lines := strings.Split(strings.TrimSpace(picture), "\n")
	columns := strings.Fields(lines[0])
	if len(columns) != len(States()) || len(columns) != len(moves) {
		t.Fatalf("%d states in the picture, %d listed, %d in the table", len(columns), len(States()), len(moves))
	}
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		from := State(cells[0])
		for i, to := range columns {
			if got, want := from.CanBecome(State(to)), cells[i+1] == "x"; got != want {
				t.Errorf("%s → %s: %v, want %v", from, to, got, want)
			}
		}
		if got, want := from.Final(), !slices.Contains(cells[1:], "x"); got != want {
			t.Errorf("%s is final: %v, want %v", from, got, want)
		}
	}
	if State("").Final() || State("").known() || State("done").CanBecome(Running) {
		t.Error("a state that is none takes part")
	}
}

// From every state that is not final there is a way to each final one, so no
// job is stuck.
func TestEveryStateCanEnd(t *testing.T) {
	for _, from := range States() {
		reached, todo := map[State]bool{from: true}, []State{from}
		for len(todo) > 0 {
			next := todo[0]
			todo = todo[1:]
			for _, to := range moves[next] {
				if !reached[to] {
					reached[to] = true
					todo = append(todo, to)
				}
			}
		}
		for _, end := range []State{Completed, Failed, Canceled} {
			if want := !from.Final() || from == end; reached[end] != want {
				t.Errorf("%s reaches %s: %v, want %v", from, end, reached[end], want)
			}
		}
	}
}

// Any walk along the table keeps the job's times and counts in order, and any
// step off it is refused and changes nothing.
func TestMoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		j := Job{ID: "jb_1", State: Queued, Created: at, Updated: at}
		runs, first := 0, time.Time{}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			at = at.Add(time.Second)
			before := j
			next := rapid.SampledFrom(States()).Draw(t, "next")
			if !tryMove(&j, next, at) {
				if before.State.CanBecome(next) || !sameJob(j, before) {
					t.Fatalf("%s → %s was refused and left %+v", before.State, next, j)
				}
				continue
			}
			if !before.State.CanBecome(next) || before.State.Final() {
				t.Fatalf("%s → %s was made", before.State, next)
			}
			if next == Running {
				runs++
				if first.IsZero() {
					first = at
				}
			}
			if j.State != next || j.Attempts != runs || j.Started != first || j.Updated != at {
				t.Fatalf("%s → %s left %+v, want %d attempts since %v", before.State, next, j, runs, first)
			}
			if wantEnd := next.Final(); wantEnd != (j.Finished == at) || !wantEnd && !j.Finished.IsZero() {
				t.Fatalf("%s → %s left it finished at %v", before.State, next, j.Finished)
			}
		}
	})
}

func sameJob(a, b Job) bool {
	return a.State == b.State && a.Attempts == b.Attempts && a.Updated == b.Updated && a.Started == b.Started && a.Finished == b.Finished
}

func tryMove(j *Job, next State, at time.Time) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	j.move(next, at)
	return true
}

// judge looks at nothing but facts, and its verdicts are moves that a running
// job can make.
func TestVerdicts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := facts{
			requested: rapid.Bool().Draw(t, "requested"), resumable: rapid.Bool().Draw(t, "resumable"),
			stopping: rapid.Bool().Draw(t, "stopping"), gone: rapid.Bool().Draw(t, "gone"),
			cause: rapid.SampledFrom([]error{nil, ErrCanceled, ErrAbandoned, ErrExpired, ErrDraining, ErrClosed}).Draw(t, "cause"),
		}
		f.abandoned = f.cause == ErrAbandoned || f.gone && rapid.Bool().Draw(t, "abandoned")
		f.err = rapid.SampledFrom([]error{nil, errBrittle, ErrCheckpointed, ErrCanceled, ErrExpired, f.cause}).Draw(t, "err")
		v := judge(f)
		if !Running.CanBecome(v.state) {
			t.Fatalf("%+v: a running job cannot become %s", f, v.state)
		}
		if f.err == nil && v.state != Completed {
			t.Fatalf("%+v: %s, want completed: the operation has a result", f, v.state)
		}
		if f.err == errBrittle && (v.state != Failed || v.err != errBrittle) {
			t.Fatalf("%+v: %s with %v, want failed for the operation's own reason", f, v.state, v.err)
		}
		if v.state == Failed != (v.failure != Failure{}) || (v.state == Failed || v.state == Canceled) != (v.err != nil) {
			t.Fatalf("%+v: %s with failure %v and error %v", f, v.state, v.failure, v.err)
		}
		if v.parks() && (!f.resumable || f.requested || f.gone) {
			t.Fatalf("%+v: left for the next process as %s", f, v.state)
		}
		if v.state == Queued && !(f.stopping && f.err == ErrCheckpointed) {
			t.Fatalf("%+v: queued again without having been asked to stop", f)
		}
		if v.state == Canceled && !f.requested && !f.abandoned {
			t.Fatalf("%+v: canceled though nobody asked", f)
		}
	})
}
