package app

import (
	"context"
	"errors"
	"fmt"
)

// stack is what has been built and must be undone, last one first.
type stack struct{ undo []step }

type step struct {
	name string
	f    func(context.Context) error
}

// push registers how to undo what was just built.
func (s *stack) push(name string, f func(context.Context) error) {
	s.undo = append(s.undo, step{name, f})
}

// unwind undoes everything in reverse. Each step is tried whatever the others
// do; the errors name their steps.
func (s *stack) unwind(ctx context.Context) error {
	var errs []error
	for len(s.undo) > 0 {
		last := s.undo[len(s.undo)-1]
		s.undo = s.undo[:len(s.undo)-1]
		if err := last.f(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", last.name, err))
		}
	}
	return errors.Join(errs...)
}
