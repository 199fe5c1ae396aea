// Package fault classifies failures by what the caller can do about them.
//
// A Kind is set where the meaning of a failure is known and rendered where it
// leaves the process: package reply pairs kinds with HTTP statuses, package
// mcpserve pairs them with JSON-RPC codes. A failure that nobody classified is
// Internal, and its text never leaves the process.
package fault

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind says what the caller can do about a failure.
type Kind uint8

// The kinds. Kinds lists all of them in this order.
const (
	Internal         Kind = iota // ours; nothing the caller can mend
	Invalid                      // the request is wrong: mend it and send it again
	Unauthenticated              // no credential, or a bad one
	Forbidden                    // a good credential that may not do this
	NotFound                     // no such thing, or not the caller's
	MethodNotAllowed             // the resource exists, the method does not
	Conflict                     // the state moved on: read it again and retry
	TooLarge                     // over a stated size
	UnsupportedMedia             // a content type we do not read
	RateLimited                  // the caller's own limit: wait RetryAfter
	Overloaded                   // our limit: wait RetryAfter
	Unavailable                  // something we depend on is out: wait RetryAfter
	Timeout                      // the deadline of the work passed
	Canceled                     // the caller went away or asked to stop
)

var names = [...]string{
	"internal", "invalid", "unauthenticated", "forbidden", "not_found", "method_not_allowed", "conflict",
	"too_large", "unsupported_media", "rate_limited", "overloaded", "unavailable", "timeout", "canceled",
}

// Kinds returns every kind, for tests that walk a rendering table.
func Kinds() []Kind {
	all := make([]Kind, len(names))
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// String returns the kind's stable machine name, such as "not_found".
func (k Kind) String() string {
	if int(k) < len(names) {
		return names[k]
	}
	return names[Internal]
}

// Error is a classified failure. Public is shown to the caller; Err is for the
// log only.
type Error struct {
	Kind       Kind
	Code       string        // stable machine code; empty means Kind.String()
	Public     string        // safe to send to the caller
	RetryAfter time.Duration // for RateLimited, Overloaded, Unavailable; 0 is unknown
	Err        error         // private cause; may be nil
}

// Error returns the public text and the private cause: for logs, never for a
// caller.
func (e *Error) Error() string {
	switch {
	case e.Err == nil:
		return e.Public
	case e.Public == "":
		return e.Err.Error()
	}
	return e.Public + ": " + e.Err.Error()
}

// Unwrap returns the private cause.
func (e *Error) Unwrap() error { return e.Err }

// MachineCode returns Code, or the kind's name where no code was set.
func (e *Error) MachineCode() string {
	if e.Code != "" {
		return e.Code
	}
	return e.Kind.String()
}

// Newf returns a classified failure with a public text and no cause.
func Newf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Public: fmt.Sprintf(format, args...)}
}

// Wrap classifies err and gives it a public text. It returns nil for a nil err.
func Wrap(k Kind, err error, public string) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: k, Public: public, Err: err}
}

// KindOf returns the kind of the outermost classified failure in err's chain.
// A bare context error is Canceled or Timeout, everything else Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	}
	return Internal
}

// From returns err as a classified failure whose Public text may be shown to
// the caller. The text of an unclassified failure is replaced.
func From(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	switch k := KindOf(err); k {
	case Canceled:
		return &Error{Kind: k, Public: "the request was canceled", Err: err}
	case Timeout:
		return &Error{Kind: k, Public: "the deadline passed before the work was done", Err: err}
	default:
		return &Error{Kind: Internal, Public: "internal error", Err: err}
	}
}
