package tools

import (
	"context"
	"encoding/json"

	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/work"
)

// Durable is a call's life beyond its request: what it saves survives the
// client, and the process. A *job.Run is one.
//
// An operation that can go on from a saved state does this: it calls
// Restartable before it begins, begins at Resume if there is one, asks Due each
// time round its loop and saves a Checkpoint if so; when Stop is closed it saves
// a Checkpoint and returns ErrCheckpointed. Its result must be the same, byte for
// byte, however often that happened.
type Durable interface {
	// Restartable says that nothing of the call has an effect before it returns,
	// so that it may run again after a crash: from its last checkpoint, or from
	// the beginning if it has none.
	Restartable() error
	// Resume returns the checkpoint to go on from, or false.
	Resume() (json.RawMessage, bool)
	// Due reports whether a checkpoint would be written now. It costs two atomic
	// loads.
	Due() bool
	// Checkpoint saves a state to go on from. It may be skipped when none is due.
	Checkpoint(data json.RawMessage) error
	// Partial keeps the best so far for whoever asks before the end.
	Partial(data json.RawMessage) error
	// Stop returns a channel that is closed when the process wants to stop.
	Stop() <-chan struct{}
}

// ErrCheckpointed is what an operation returns when it has saved all it needs to
// go on in another process.
var ErrCheckpointed = job.ErrCheckpointed

// Fan calls f for every i below n, on as many cores as the scheduler can spare,
// and returns when all have returned; see work.Fan. Results must not depend on
// which goroutine computes what.
func (c *Call) Fan(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	return work.Fan(work.NewContext(ctx, c.Ticket), n, f)
}
