package load

import (
	"net/http"
	"strings"
	"time"
)

// outcome is what became of a call that was due.
type outcome uint8

const (
	ok           outcome = iota // a result that is no error
	toolError                   // a result with isError
	rpcError                    // a JSON-RPC error
	badAnswer                   // something else than an answer to the call
	limited                     // HTTP 429
	overloaded                  // HTTP 503
	httpError                   // any other HTTP status that is no success
	timedOut                    // no answer, or no end of it, within the timeout
	transportErr                // the connection failed
	unsent                      // due, but no connection was free for it before the end
	cut                         // in flight when the run was interrupted
	outcomes                    // how many there are
)

// outcomeNames are the keys of a report.
var outcomeNames = [outcomes]string{
	"ok", "tool_error", "rpc_error", "bad_answer", "http_429", "http_503", "http_other", "timeout", "transport_error", "unsent", "cut",
}

// outcomeOf classifies an HTTP status.
func outcomeOf(status int) outcome {
	switch {
	case status == http.StatusTooManyRequests:
		return limited
	case status == http.StatusServiceUnavailable:
		return overloaded
	case status < 200 || status > 299:
		return httpError
	}
	return ok
}

// refused tells the outcomes by which a server says that it takes no more.
func (o outcome) refused() bool { return o == limited || o == overloaded }

// endless tells the outcomes of calls that took longer than can be measured.
func (o outcome) endless() bool { return o == unsent || o == timedOut }

// answer is how one call went.
type answer struct {
	outcome    outcome
	status     int  // of HTTP; 0 if there was none
	retryAfter bool // a Retry-After that can be read
	after      time.Duration
	retries    int // attempts before this one
	progress   int // progress notifications
	bytes      int64
	text       string // what went wrong, as the server or the network says it
}

func failed(o outcome, text string) answer { return answer{outcome: o, text: printable(text)} }

// printable makes a foreign text fit to be shown: one line, no control
// characters, not long.
func printable(s string) string {
	const most = 160
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// validRetryAfter tells whether a Retry-After header is one of its two forms:
// seconds or a date.
func validRetryAfter(v string) bool {
	if v == "" {
		return false
	}
	if strings.Trim(v, "0123456789") == "" {
		return true
	}
	_, err := time.Parse(http.TimeFormat, v)
	return err == nil
}
