package limit

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Decision is what Charge decided, and by which limit: the one that refused, or
// of those that let the call through the one with the least left.
type Decision struct {
	Allowed bool
	Err     error // why nothing could be decided: the Source failed, or ctx ended

	Limit     string // its name; empty if none applies
	Per       Per
	Operation string // as configured
	Unit      Unit
	Amount    int64 // that comes back in each Period, or a quota's
	Period    time.Duration
	Burst     int64
	Daily     bool // it is a quota

	Asked      int64         // what the call takes of it
	Remaining  int64         // what is left, after the call if it was let through
	Reset      time.Duration // until all of it is back, if nothing else is charged
	RetryAfter time.Duration // of a refusal: exactly until the call would be let through
	Never      bool          // of a refusal: the limit cannot hold so much

	refused *tally
	share   float64 // of the burst that is left
}

// weigh looks at one bucket before anything is taken.
func (d *Decision) weigh(r *rule, l level, now, n int64) {
	wait, never := r.shape.wait(l, now, n)
	if wait == 0 && !never || !d.Allowed && (d.Never || !never && wait <= d.RetryAfter) {
		return
	}
	d.become(r)
	d.Allowed, d.refused, d.Asked, d.RetryAfter, d.Never = false, r.tally, n, wait, never
	d.Remaining, d.Reset = r.shape.left(l, now), r.shape.reset(l, now)
}

// note looks at one bucket after the call was charged to it.
func (d *Decision) note(r *rule, l level, now int64) {
	left := r.shape.left(l, now)
	share := float64(left) / float64(r.shape.burst)
	if d.Limit != "" && share >= d.share {
		return
	}
	d.become(r)
	d.share, d.Remaining, d.Reset = share, left, r.shape.reset(l, now)
}

func (d *Decision) become(r *rule) {
	d.Limit, d.Per, d.Operation, d.Unit = r.Name, r.Per, r.Operation, r.Unit
	d.Amount, d.Period, d.Burst, d.Daily = r.Amount, r.Period, r.shape.burst, false
}

// count looks at one counter that has enough.
func (d *Decision) count(q *allowance, c *counter, now time.Time, n int64) {
	left := max(q.Amount-c.used-n, 0)
	share := float64(left) / float64(q.Amount)
	if d.Limit != "" && share >= d.share {
		return
	}
	d.becomeDaily(q, now)
	d.share, d.Asked, d.Remaining = share, n, left
}

// exhausted refuses for one counter. A day is longer than the other waits, as a
// rule; what never fits is said in any case.
func (d *Decision) exhausted(q *allowance, c *counter, now time.Time, n int64) {
	never := n > q.Amount
	if !d.Allowed && (d.Never || !never) {
		return // of quotas the first one is as good as any: all end at midnight
	}
	d.becomeDaily(q, now)
	d.Allowed, d.refused, d.Asked, d.Never = false, q.tally, n, never
	d.Remaining = max(q.Amount-c.used, 0)
	if !never {
		d.RetryAfter = d.Reset
	}
}

func (d *Decision) becomeDaily(q *allowance, now time.Time) {
	d.Limit, d.Per, d.Operation, d.Unit = q.Name, q.Per, q.Operation, q.Unit
	d.Amount, d.Period, d.Burst, d.Daily = q.Amount, 24*time.Hour, q.Amount, true
	d.Reset = time.Unix((dayOf(now)+1)*secondsPerDay, 0).Sub(now)
}

// Fault returns the refusal as a classified failure, and nil for a call that was
// let through. Waiting is of use only for kind RateLimited; a call that takes more
// than the limit can hold is TooLarge.
func (d *Decision) Fault() *fault.Error {
	switch {
	case d.Err != nil:
		return fault.From(d.Err)
	case d.Allowed:
		return nil
	}
	code := strings.NewReplacer(".", "_", "-", "_").Replace(d.Limit)
	switch {
	case d.Never:
		return &fault.Error{
			Kind: fault.TooLarge, Code: code + "_never_enough",
			Public: fmt.Sprintf("this call takes %s, and the limit %s holds %s at the most", show(d.Unit, d.Asked), d.Limit, show(d.Unit, d.Burst)),
		}
	case d.Daily:
		return &fault.Error{
			Kind: fault.RateLimited, Code: code + "_quota_exhausted", RetryAfter: d.RetryAfter,
			Public: fmt.Sprintf("quota %s: this %s may use %s a day%s, and has %s left; the next day begins in %s",
				d.Limit, d.Per, show(d.Unit, d.Amount), d.where(), show(d.Unit, d.Remaining), roundUp(d.RetryAfter)),
		}
	}
	return &fault.Error{
		Kind: fault.RateLimited, Code: code + "_rate_limited", RetryAfter: d.RetryAfter,
		Public: fmt.Sprintf("limit %s: this %s may use %s in %s%s, %s at once; try again in %s",
			d.Limit, d.Per, show(d.Unit, d.Amount), d.Period, d.where(), show(d.Unit, d.Burst), roundUp(d.RetryAfter)),
	}
}

// where says which operations the limit is for.
func (d *Decision) where() string {
	switch d.Operation {
	case "":
		return ""
	case Each:
		return " for each operation"
	}
	return " for " + d.Operation
}

// show writes an amount for people.
func show(u Unit, n int64) string {
	switch {
	case u == CPU:
		return time.Duration(n).String() + " of CPU"
	case u == Cost:
		return strconv.FormatInt(n, 10) + " units of cost"
	case n == 1:
		return "1 call"
	}
	return strconv.FormatInt(n, 10) + " calls"
}

// roundUp makes a wait short to read, and never shorter than it is.
func roundUp(d time.Duration) time.Duration {
	step := time.Millisecond
	if d >= time.Minute {
		step = time.Second
	}
	return (d + step - 1) / step * step
}

// Headers returns the values of RateLimit-Policy and RateLimit
// (draft-ietf-httpapi-ratelimit-headers), or nothing where no limit applies. The
// policy is the bucket's: as many at once (q), and all of them back in w seconds.
// r is what remains; t is until all of it is back, or, for a refusal, until the
// call would be let through, which is what Retry-After says too. CPU time is in
// milliseconds.
func (d *Decision) Headers() (policy, limit string) {
	if d.Limit == "" {
		return "", ""
	}
	unit, per := "", int64(1)
	switch d.Unit {
	case Cost:
		unit = `;qu="cost"`
	case CPU:
		unit, per = `;qu="cpu-milliseconds"`, int64(time.Millisecond)
	}
	window := d.Period
	if !d.Daily {
		window = time.Duration(math.Ceil(float64(d.Burst) / float64(d.Amount) * float64(d.Period)))
	}
	t := d.Reset
	if !d.Allowed {
		t = d.RetryAfter
	}
	policy = fmt.Sprintf("%q;q=%d;w=%d%s", d.Limit, d.Burst/per, max(seconds(window), 1), unit)
	return policy, fmt.Sprintf("%q;r=%d;t=%d", d.Limit, d.Remaining/per, seconds(t))
}

// seconds rounds up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
