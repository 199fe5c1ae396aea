package mcpserve

import (
	"context"
	"errors"
	"sync"

	"github.com/lyceum-mcp/lyceum/session"
)

// Causes that end a call before its tool is done.
var (
	errClientCanceled = errors.New("the client asked to stop")
	errDrained        = errors.New("the server stopped before the call was done")
)

// callKey names a request that notifications/cancelled can stop: its transport
// session, which belongs to one owner, and its id as the client wrote it, so
// that 1 and "1" differ.
type callKey struct {
	session session.ID
	id      string
}

// inflight knows the calls that run, to cancel one or all of them.
type inflight struct {
	mu    sync.Mutex
	all   map[*running]struct{}
	byKey map[callKey]*running
}

type running struct {
	key    callKey // empty for calls that cannot be named
	cancel context.CancelCauseFunc
}

func newInflight() *inflight {
	return &inflight{all: map[*running]struct{}{}, byKey: map[callKey]*running{}}
}

// add registers a call; done takes it out. Of two calls under one id, which no
// honest client sends, the later one can be canceled.
func (f *inflight) add(key callKey, cancel context.CancelCauseFunc) *running {
	r := &running{key: key, cancel: cancel}
	f.mu.Lock()
	f.all[r] = struct{}{}
	if key.session != "" {
		f.byKey[key] = r
	}
	f.mu.Unlock()
	return r
}

func (f *inflight) done(r *running) {
	f.mu.Lock()
	delete(f.all, r)
	if r.key.session != "" && f.byKey[r.key] == r {
		delete(f.byKey, r.key)
	}
	f.mu.Unlock()
}

// cancel stops the call of that key and reports whether there was one.
func (f *inflight) cancel(key callKey) bool {
	f.mu.Lock()
	r := f.byKey[key]
	f.mu.Unlock()
	if r == nil {
		return false
	}
	r.cancel(errClientCanceled)
	return true
}

// cancelAll stops every call and returns how many there were.
func (f *inflight) cancelAll(cause error) int {
	f.mu.Lock()
	cancels := make([]context.CancelCauseFunc, 0, len(f.all))
	for r := range f.all {
		cancels = append(cancels, r.cancel)
	}
	f.mu.Unlock()
	for _, c := range cancels {
		c(cause)
	}
	return len(cancels)
}

func (f *inflight) len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.all)
}
