package mcts

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// kept is the state of a search between two rounds: all trees as they are, for
// they grow side by side until the end.
type kept struct {
	Next  int    `json:"next"`
	Trees []byte `json:"trees"` // deflated
}

// showEvery is how often the best so far is shown.
const showEvery = time.Second

// keep saves the trees if it is time to, and shows the best so far.
func (s *search) keep() error {
	if s.o.Partial != nil && time.Since(s.shown) >= showEvery {
		s.shown = time.Now()
		if err := s.o.Partial(s.result()); err != nil {
			return err
		}
	}
	if !s.o.Keeper.Due() {
		return nil
	}
	return s.o.Keeper.Save(s.state)
}

// state returns the state to keep, nil if the search is about to end without
// it.
func (s *search) state() (any, error) {
	for _, g := range s.trees {
		if g.stopped && g.meter.Hit() != budget.Steps {
			return nil, nil // by the clock: the others end in the next round
		}
	}
	w := &writer{pause: s.meter.Pause}
	w.deflate, _ = flate.NewWriter(&w.out, flate.BestSpeed) // the level is valid
	for _, g := range s.trees {
		if err := g.save(w); err != nil {
			if errors.Is(err, errPaused) {
				return nil, nil
			}
			return nil, err
		}
	}
	if err := w.deflate.Close(); err != nil {
		return nil, err
	}
	if base64.StdEncoding.EncodedLen(w.out.Len())+256 > budget.MaxState {
		return nil, budget.ErrTooLarge
	}
	return kept{s.next, w.out.Bytes()}, nil
}

// resume puts the trees back as they were kept. A state that cannot be read is as
// good as none: the search begins at the beginning and finds the same.
func (s *search) resume() error {
	var k kept
	if !s.o.Keeper.Resume(&k) {
		return nil
	}
	r := &reader{in: bufio.NewReader(flate.NewReader(bytes.NewReader(k.Trees))), pause: s.meter.Pause}
	for _, g := range s.trees {
		g.restore(r)
	}
	if k.Next >= firstRound && k.Next <= mostRound && r.end() {
		s.next = k.Next
		return nil
	}
	if err := s.meter.Err(); err != nil {
		return fmt.Errorf("search: %w", err)
	}
	return s.begin()
}
