package bridge

import (
	"context"
	"runtime/debug"
	"time"
)

// How the collector works in a bridge. Messages in flight can need more than the
// limit; then it just works harder.
const (
	slimLimit   = 16 << 20 // bytes, of everything that the runtime manages
	slimPercent = 30
)

// quietAfter is how long nothing must be in flight before Config.Quiet is called.
const quietAfter = time.Second

// Slim makes the process small that does nothing but Run: hosts start one for each
// server that they know, and most of them rest most of the time. It is about the
// whole process, so Run does not call it by itself; it is meant for Config.Quiet.
func Slim() {
	debug.SetGCPercent(slimPercent)
	debug.SetMemoryLimit(slimLimit)
	debug.FreeOSMemory()
	dropCode()
}

// watch calls quiet once after each time that something was in flight. stirred is
// told of that.
func watch(ctx context.Context, stirred <-chan struct{}, quiet func()) {
	t := time.NewTimer(quietAfter)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-stirred:
			t.Reset(quietAfter)
		case <-t.C:
			quiet()
		}
	}
}

// stir tells watch that a message came or was answered.
func (b *bridge) stir() {
	select {
	case b.stirred <- struct{}{}:
	default: // it knows
	}
}
