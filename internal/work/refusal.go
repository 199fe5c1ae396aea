package work

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// refusal says why a call did not get to wait, or waited in vain.
type refusal uint8

const (
	admitted refusal = iota
	subjectQueueFull
	tenantQueueFull
	queueFull
	queueTimeout
	draining
	refusals
)

// refusalFaults holds what the caller is told.
var refusalFaults = [refusals]fault.Error{
	subjectQueueFull: {
		Kind: fault.RateLimited, Code: "subject_queue_full",
		Public: "too many of your calls are waiting: let some finish before you send more",
	},
	tenantQueueFull: {
		Kind: fault.RateLimited, Code: "tenant_queue_full",
		Public: "too many calls of your tenant are waiting: let some finish before you send more",
	},
	queueFull: {
		Kind: fault.Overloaded, Code: "queue_full",
		Public: "the server is busy and its queue is full: try again later",
	},
	queueTimeout: {
		Kind: fault.Overloaded, Code: "queue_timeout",
		Public: "the server is busy and the call waited too long for its turn: try again later",
	},
	draining: {
		Kind: fault.Overloaded, Code: "draining",
		Public: "the server is shutting down and takes no new work: try again",
	},
}

const maxRetryAfter = time.Minute

// fault returns the failure for a call that could expect to wait for estimate
// (0 is unknown). RetryAfter is a whole number of seconds from 1 to 90, spread
// over half as much again so that refused callers do not come back together.
func (r refusal) fault(estimate time.Duration) *fault.Error {
	f := refusalFaults[r]
	whole := int((min(estimate, maxRetryAfter) + time.Second - 1) / time.Second)
	whole = max(whole, 1)
	whole += rand.IntN(1 + (whole+1)/2)
	f.RetryAfter = time.Duration(whole) * time.Second
	return &f
}

// ended returns nil while ctx is live, then why it ended. The failure is
// Canceled or Timeout unless the cause says otherwise.
func ended(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}
