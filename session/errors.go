package session

import (
	"math/rand/v2"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// errMiss is the one answer to an id that is unknown, expired, deleted or
// somebody else's: the same value, so the same bytes.
var errMiss error = &fault.Error{
	Kind: fault.NotFound, Code: "session_unavailable",
	Public: "Session not found or expired. Create a new one with session_create.",
}

// errClosed is the answer of a directory that was closed.
var errClosed error = &fault.Error{
	Kind: fault.Unavailable, Code: "shutting_down",
	Public: "the server is shutting down: retry in a few seconds", RetryAfter: 5 * time.Second,
}

// coded returns a classified failure with a machine code of its own.
func coded(kind fault.Kind, code, format string, args ...any) *fault.Error {
	err := fault.Newf(kind, format, args...)
	err.Code = code
	return err
}

// busy is coded for what may work later. Callers are told to come back after 1
// to 3 s, spread so that they do not all come back at once.
func busy(kind fault.Kind, code, format string, args ...any) *fault.Error {
	err := coded(kind, code, format, args...)
	err.RetryAfter = time.Second + rand.N(2*time.Second)
	return err
}
