package job

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// errMiss is the one answer to an id that is unknown, expired, deleted or
// somebody else's: the same value, so the same bytes.
var errMiss error = &fault.Error{
	Kind: fault.NotFound, Code: "job_unavailable",
	Public: "Job not found or expired. Start the operation again to get a new one.",
}

// Why a run's context ended: the cause that context.Cause returns.
var (
	// ErrCanceled: the owner canceled the job.
	ErrCanceled error = &fault.Error{Kind: fault.Canceled, Code: "job_canceled", Public: "the job was canceled"}
	// ErrAbandoned: the caller went away, and nobody knows the job.
	ErrAbandoned error = &fault.Error{Kind: fault.Canceled, Code: "job_abandoned", Public: "the caller of the job went away"}
	// ErrExpired: the job's time to live passed.
	ErrExpired error = &fault.Error{Kind: fault.Timeout, Code: "job_expired", Public: "the job did not finish within its time to live"}
	// ErrDraining: the process stops and its patience is over.
	ErrDraining error = &fault.Error{
		Kind: fault.Unavailable, Code: "interrupted", RetryAfter: 5 * time.Second,
		Public: "the server stopped while the job ran: start the operation again",
	}
	// ErrClosed: the runner was closed without a drain.
	ErrClosed error = &fault.Error{
		Kind: fault.Unavailable, Code: "interrupted", RetryAfter: 5 * time.Second,
		Public: "the server stopped while the job ran: start the operation again",
	}
)

// ErrCheckpointed is what an operation returns when it was asked to stop
// (Run.Stop) and has saved all it needs to go on: the job is left queued for
// the next process. Returned at another time it is a failure.
var ErrCheckpointed = errors.New("the operation is checkpointed")

var (
	errEnded       = errors.New("job: the run has returned")
	errUnasked     = errors.New("the operation returned ErrCheckpointed though nobody asked it to stop")
	errUnresumable = errors.New("the operation returned ErrCheckpointed but its job is not resumable")
)

// coded returns a classified failure with a machine code of its own.
func coded(kind fault.Kind, code, format string, args ...any) *fault.Error {
	err := fault.Newf(kind, format, args...)
	err.Code = code
	return err
}

// busy is coded for what may work once wait has passed. Callers are told to
// come back in whole seconds, 1 to 90, spread over half as much again so that
// they do not all come back at once.
func busy(kind fault.Kind, code string, wait time.Duration, format string, args ...any) *fault.Error {
	whole := int((min(wait, time.Minute) + time.Second - 1) / time.Second)
	whole = max(whole, 1)
	err := coded(kind, code, format, args...)
	err.RetryAfter = time.Duration(whole+rand.IntN(1+(whole+1)/2)) * time.Second
	return err
}

// storeDown classifies a failure of the store.
func storeDown(doing string, err error) error {
	f := coded(fault.Unavailable, "job_store_unavailable", "jobs cannot be stored at the moment: try again")
	f.RetryAfter = time.Second + rand.N(2*time.Second)
	f.Err = fmt.Errorf("%s: %w", doing, err)
	return f
}

// failure is what the owner of a failed job is told.
func failure(err error) Failure {
	f := fault.From(err)
	return Failure{Code: cut(f.MachineCode(), maxMessage), Message: cut(f.Public, maxStatus)}
}

// ended returns nil while ctx is live, then why it ended.
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
