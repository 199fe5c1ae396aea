package bridge

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Quiet is called once after each time that something came, and not before it is
// quiet.
func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stirred := make(chan struct{})
		var calls atomic.Int32
		done := make(chan struct{})
		go func() { defer close(done); watch(ctx, stirred, func() { calls.Add(1) }) }()
		check := func(when string, after time.Duration, want int32) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := calls.Load(); got != want {
				t.Errorf("%s: %d calls, want %d", when, got, want)
			}
		}
		check("at first", quietAfter+1, 1)
		check("after a long rest", time.Hour, 1)
		stirred <- struct{}{}
		check("a moment ago", quietAfter-1, 1)
		stirred <- struct{}{}
		check("again", quietAfter-1, 1)
		check("then", 2, 2)
		cancel()
		<-done
	})
}
