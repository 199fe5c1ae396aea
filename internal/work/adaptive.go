package work

import (
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
)

// The windows of a latency limiter: often enough to follow a machine that gets
// busy, and enough calls to tell a trend from chance.
const (
	latencyWindow  = time.Second
	latencyLongest = 30 * time.Second
	latencySamples = 50
)

// FollowLatency returns a Limiter for Config.Adaptive that compares the 90th
// percentile of recent calls with its long-term mean (the gradient of failsafe-go's
// adaptivelimiter, after Netflix's concurrency-limits): it takes tickets away
// while calls get longer, and adds some while they do not. It moves by one
// ticket a second at most, and holds still while few calls end undisturbed.
//
// Each call that is measured holds a permit of its own; when permits are out,
// calls are not measured, but go on.
func FollowLatency(least, most, start int) Limiter {
	builder := adaptivelimiter.NewBuilder[any]().
		WithLimits(uint(least), uint(most), uint(start)).
		WithRecentWindow(latencyWindow, latencyLongest, latencySamples).
		WithMaxLimitFunc(func(int) float64 { return float64(most) }) // the trend alone decides
	return latencyLimiter{builder.Build()}
}

// latencyLimiter is an adaptive limiter as a Limiter.
type latencyLimiter struct {
	permits adaptivelimiter.AdaptiveLimiter[any]
}

func (l latencyLimiter) Begin() Sample {
	permit, ok := l.permits.TryAcquirePermit()
	if !ok {
		return nil
	}
	return permit
}

func (l latencyLimiter) Limit() int { return l.permits.Limit() }
