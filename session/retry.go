package session

import (
	"context"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Retry changes the value by a computation that is too long to hold the
// session's turn, and that can be done again: compute gets a private copy of the
// value, a zero T if there is none, and what it returns is committed if nobody
// else has committed the slot meanwhile. Otherwise compute gets the newer value,
// up to tries times in all (at least once); then the Conflict of the last
// attempt is returned. An error of compute ends it, and nothing has changed.
//
// Every conflict is the success of another call, so there is no pause between
// tries. After Expect there is no second try: what the caller expected is gone.
//
// A counter, a list to append to: Update. A refinement of milliseconds to
// seconds: Retry. A search of which the client waits for the one result, or that
// draws on a budget: ReadVersion and Commit.
func (s Slot[T]) Retry(ctx context.Context, h *Handle, tries int, compute func(ctx context.Context, v T) (T, error)) error {
	for {
		v, version, err := s.ReadVersion(h)
		if err != nil {
			return err
		}
		if v, err = compute(ctx, v); err != nil {
			return err
		}
		if err = s.Commit(ctx, h, version, v); err == nil {
			return nil
		}
		tries--
		if tries < 1 || h.marks.has(expecting) || !isVersionConflict(err) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

func isVersionConflict(err error) bool {
	e := fault.From(err)
	return e.Kind == fault.Conflict && e.Code == "version_conflict"
}
