package bridge

import (
	"context"
	"sync/atomic"
)

// flight is a message on its way, and for a request until its answer is out.
type flight struct {
	cancel    context.CancelFunc
	modern    bool
	standing  bool        // a stream that would never end by itself
	abandoned atomic.Bool // the host canceled it: no answer is owed
}

// takeOff returns the context of one message's request, its flight, and what to
// call when it is over. The flight is on the list before the next line is read, so
// that a cancel or the end of the input right behind it finds it.
func (b *bridge) takeOff(ctx context.Context, e *envelope) (context.Context, *flight, func()) {
	ctx, cancel := context.WithCancel(ctx)
	f := &flight{cancel: cancel, modern: e.modern(), standing: e.Method == "subscriptions/listen"}
	id := string(e.ID)
	if id == "" {
		return ctx, f, cancel
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flying[id] = f
	return ctx, f, func() {
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.flying[id] == f { // a host may have used the id again
			delete(b.flying, id)
		}
	}
}

// cancels handles notifications/cancelled. In 2026-07-28 closing the response is
// the cancellation on HTTP, so that nothing is sent; before, it is for the server,
// and the call is not gone after when its stream breaks.
func (b *bridge) cancels(e *envelope) bool {
	if e.Method != "notifications/cancelled" || len(e.Params.RequestID) == 0 {
		return false
	}
	b.mu.Lock()
	f, ok := b.flying[string(e.Params.RequestID)]
	legacy := b.session != ""
	b.mu.Unlock()
	if !ok {
		return !legacy // nothing to cancel here, and nobody to forward it to
	}
	f.abandoned.Store(true)
	if f.modern {
		f.cancel()
	}
	return f.modern
}
