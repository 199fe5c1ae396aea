package tools

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
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

// ObjectID returns an id for an object that the call makes in its session: random,
// and the same in each attempt of a durable call, which so finds what an attempt
// before it has stored. It must be called in the same order each time.
func (c *Call) ObjectID(prefix string) string {
	run, ok := c.Durable.(interface{ ID() job.ID })
	if !ok {
		return session.NewObjectID(prefix)
	}
	c.objects++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", run.ID(), prefix, c.objects))
	random := session.NewObjectID(prefix)
	text := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])) // the letters and as many of them as a random id has
	at := strings.LastIndexByte(random, '_') + 1
	return random[:at] + text[:len(random)-at]
}

// Attempt names the durable call, the same in each attempt; "" for any other.
func (c *Call) Attempt() string {
	if run, ok := c.Durable.(interface{ ID() job.ID }); ok {
		return string(run.ID())
	}
	return ""
}

// Fan calls f for every i below n, on as many cores as the scheduler can spare,
// and returns when all have returned; see work.Fan. Results must not depend on
// which goroutine computes what.
func (c *Call) Fan(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	return work.Fan(work.NewContext(ctx, c.Ticket), n, f)
}
