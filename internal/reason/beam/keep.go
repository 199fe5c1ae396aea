package beam

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// forget drops the moves that no run needs any more, when they may be most.
func (s *search) forget() {
	if len(s.Moves) < 4*s.o.Width*max(1, s.Result.Generations/2) && len(s.Moves) < 1<<12 {
		return
	}
	needed := make([]bool, len(s.Moves))
	for _, runs := range [][]run{s.Beam, s.Finished} {
		for _, r := range runs {
			for at := r.Step; at >= 0 && !needed[at]; at = s.Moves[at].Before {
				needed[at] = true
			}
		}
	}
	to := make([]int, len(s.Moves))
	var moves []move
	for i, m := range s.Moves {
		if needed[i] {
			if m.Before >= 0 {
				m.Before = to[m.Before]
			}
			to[i] = len(moves)
			moves = append(moves, m)
		}
	}
	for _, runs := range [][]run{s.Beam, s.Finished} {
		for i := range runs {
			if runs[i].Step >= 0 {
				runs[i].Step = to[runs[i].Step]
			}
		}
	}
	s.Moves = moves
}

// stateKey names a state: equal numbers, equal names.
func stateKey(state []float64) string {
	b := make([]byte, 0, 8*len(state))
	for _, v := range state {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v+0)) // -0 is 0
	}
	return string(b)
}

func (s *search) result() *Result {
	r := s.Result
	runs, finished := s.Finished, true
	if len(runs) == 0 {
		runs, finished = slices.Clone(s.Beam), false
		slices.SortStableFunc(runs, func(a, b run) int { return cmp.Compare(b.Rank, a.Rank) })
		runs = runs[:min(len(runs), s.o.Best)]
	}
	r.Runs = []Run{}
	for _, k := range runs {
		out := Run{Actions: []string{}, Value: k.Rank, Finished: finished}
		for at := k.Step; at >= 0; at = s.Moves[at].Before {
			out.Actions = append(out.Actions, s.m.Label(s.Moves[at].Action))
		}
		slices.Reverse(out.Actions)
		r.Runs = append(r.Runs, out)
	}
	return &r
}

func (s *search) progress() {
	if s.o.Progress == nil {
		return
	}
	p := Progress{Generation: s.Result.Generations, Depth: s.o.Depth, Beam: len(s.Beam)}
	if len(s.Finished) > 0 {
		p.Best = new(s.Finished[0].Rank)
	}
	s.o.Progress(p)
}

// state returns what to keep. A number takes at most 25 bytes of JSON.
func (s *search) state() (any, error) {
	if 25*(len(s.Beam)*(s.t.Size+4)+2*len(s.Moves)+4*len(s.Finished)) > budget.MaxState {
		return nil, budget.ErrTooLarge
	}
	return s.kept, nil
}

// sound reports whether a kept state can be gone on from.
func (s *search) sound() bool {
	for i, m := range s.Moves {
		if m.Before < -1 || m.Before >= i || m.Action < 0 || m.Action >= s.t.Actions {
			return false
		}
	}
	for _, r := range slices.Concat(s.Beam, s.Finished) {
		if r.Step < -1 || r.Step >= len(s.Moves) || r.Group < 0 || r.Group > s.o.Groups {
			return false
		}
	}
	for _, r := range s.Beam {
		if len(r.State) != s.t.Size {
			return false
		}
	}
	return len(s.Beam) > 0 && len(s.Beam) <= s.o.Width && len(s.Finished) <= s.o.Best && s.Result.Done == NotDone && s.Steps >= 0 && s.Count >= 0
}
