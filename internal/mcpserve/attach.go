package mcpserve

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/tools"
)

// keepRetry is the time between two attempts to make a job of a call that takes
// longer than the client is to wait.
const keepRetry = time.Second

// attached runs the call as a job that is attached to its request. A short call
// leaves no trace of that; see job.Spec.Late.
func (c *toolCall) attached(ctx context.Context) {
	t := c.task
	c.x.watch()
	if t.call.SeedHint == nil {
		// Below 2^53, so that a client whose numbers are floats can send it back.
		t.call.SeedHint = new(rand.Uint64() >> 11)
	}
	h, err := c.s.Jobs.Start(ctx, job.Spec{
		Owner: t.owner, Operation: t.spec.Name, SessionID: t.sessionID, Seed: *t.call.SeedHint, Run: t.run, Late: t.input,
		Encodes: true, // an envelope
	})
	defer t.drop()
	if err != nil {
		c.fail(err)
		return
	}
	c.await(ctx, h)
}

// await waits for the job until the client is to wait no longer, and then leaves
// it to its owner, or to nobody if its request was canceled.
func (c *toolCall) await(ctx context.Context, h *job.Handle) {
	until := time.Now().Add(c.s.cfg.InlineLimit)
	limit, lost := c.s.cfg.InlineLimit, c.wakes()
	if c.lost != nil && c.x.feeds != nil { // nothing wakes us when the connection is lost that a stream has moved to
		limit = min(limit, keepRetry)
	}
	for {
		if out, done := h.InlineUntil(ctx, limit, lost); done {
			c.deliver(out)
			return
		}
		if ctx.Err() != nil {
			h.Abandon()
			c.fail(context.Cause(ctx))
			return
		}
		if c.holds() { // a question of it is on the stream
			lost, limit = nil, keepRetry
			continue
		}
		if c.patient(until) {
			lost, limit = c.stillWakes(), min(keepRetry, time.Until(until))
			continue
		}
		// Its id is told only once it is stored. Where that is not possible, the
		// request waits on.
		err := h.Keep()
		if err == nil || c.s.draining.Load() {
			c.detach(ctx, h, err, until)
			return
		}
		c.s.Log.WarnContext(ctx, "a long call cannot be kept as a job", "tool", c.spec.Name, "job", h.ID(), "error", err)
		c.line.decline(err)
		lost, limit = nil, keepRetry
	}
}

// patient reports whether the client of a stream that can be resumed, or may become
// one, still reads it before its answer is due.
func (c *toolCall) patient(until time.Time) bool {
	if c.lost == nil || c.x.feeds == nil || !time.Now().Before(until) {
		return false
	}
	if c.x.feed() == nil {
		return c.lost.Err() == nil
	}
	return !c.x.adrift()
}

// stillWakes is wakes for a request whose connection may be lost already.
func (c *toolCall) stillWakes() <-chan struct{} {
	if c.lost.Err() != nil {
		return nil
	}
	return c.lost.Done()
}

// deliver takes the outcome of a job that has ended; the task is ours again.
func (c *toolCall) deliver(out job.Outcome) {
	t := c.task
	c.through = true
	switch {
	case out.State == job.Completed:
		c.settle(t.envelope, nil)
	case t.err != nil && errors.Is(out.Err, t.err):
		c.settle(t.envelope, t.err)
	default:
		c.fail(out.Err)
	}
}

// detach leaves the job to its owner, to whom the answer names it. until is when the
// answer is due.
func (c *toolCall) detach(ctx context.Context, h *job.Handle, err error, until time.Time) {
	// The client may have come back since the connection was found lost; its answer
	// is no sooner due for that.
	drifts := c.x.adrift() || c.x.feed() != nil && time.Now().Before(until)
	c.task.keep()
	c.goesOn(h.ID())
	j := h.Detach()
	if err != nil { // the server stops and could not store it
		c.fail(err)
		return
	}
	c.detached = true
	c.settle(c.running(j), nil)
	if c.line.tasks {
		c.body = c.created(j)
	}
	switch {
	case drifts:
		c.drift(ctx, j, until)
	case c.lost != nil && c.lost.Err() != nil && c.x.feed() == nil:
		c.linger(ctx, j)
	}
}

// drift is linger for a stream that can be resumed. Who does so is answered with the
// result, or, once the answer is due, with the job.
func (c *toolCall) drift(ctx context.Context, j job.Job, until time.Time) {
	for {
		asked := time.Now()
		now, err := c.s.Jobs.Wait(ctx, c.in.owner, j.ID, keepRetry)
		switch {
		case ctx.Err() != nil:
			if errors.Is(context.Cause(ctx), errClientCanceled) {
				_, _, _ = c.s.Jobs.Cancel(context.WithoutCancel(ctx), c.in.owner, j.ID) // it has ended meanwhile: fine
			}
			return
		case err != nil: // it has expired
			return
		case now.State.Final():
			c.landed(now)
			return
		case time.Since(asked) < keepRetry: // it is left for the next process
			return
		case !time.Now().Before(until) && !c.x.adrift():
			return
		}
		c.line.hangUp()
	}
}

// landed takes the result of a job that its owner knows already.
func (c *toolCall) landed(j job.Job) {
	c.detached = false
	t := c.task
	switch {
	case j.State == job.Completed:
		c.through = true
		c.settle(j.Result, nil)
	case j.State == job.Canceled:
		c.fail(job.ErrCanceled)
	case t.err != nil: // its run has returned, or never began
		c.through = true
		c.settle(t.envelope, t.err)
	default:
		c.fail(&fault.Error{Kind: fault.Unavailable, Code: j.Error.Code, Public: j.Error.Message})
	}
}

// linger keeps a request of an older revision whose connection is gone for as
// long as its job runs: it can still be canceled by its id.
func (c *toolCall) linger(ctx context.Context, j job.Job) {
	_, err := c.s.Jobs.Wait(ctx, c.in.owner, j.ID, time.Until(j.Expires))
	if err != nil && errors.Is(context.Cause(ctx), errClientCanceled) {
		_, _, _ = c.s.Jobs.Cancel(context.WithoutCancel(ctx), c.in.owner, j.ID) // it has ended meanwhile: fine
	}
}

// runningView is what a call that goes on as a job is answered with.
type runningView struct {
	Status          job.State     `json:"status"`
	JobID           job.ID        `json:"jobId"`
	Progress        *progressView `json:"progress,omitempty"`
	PollAfterMillis int64         `json:"pollAfterMillis"`
}

// running is the envelope of a call that goes on as a job.
func (c *toolCall) running(j job.Job) []byte {
	view := runningView{Status: j.State, JobID: j.ID, Progress: viewProgress(j.Progress), PollAfterMillis: pollAfter(j).Milliseconds()}
	result, _ := json.Marshal(view) // plain fields always encode
	e := tools.Envelope{
		Operation: j.Operation, ToolOperation: j.Operation, SessionID: string(j.SessionID), Result: result,
		Basis: tools.Computed, Method: "job", Seed: &j.Seed,
		Next: []tools.Next{{
			Operation: "job_result", Why: "The computation goes on as a job; this waits for its result.",
			Parameters: map[string]any{"jobId": j.ID, "waitSeconds": maxWaitSeconds},
		}},
	}
	body, _ := e.Encode() // its result is JSON
	return body
}

// Bounds of pollAfterMillis.
const (
	minPoll     = 250 * time.Millisecond
	defaultPoll = 2 * time.Second
	maxPoll     = 30 * time.Second
)

// pollAfter is when it is worth asking again: when the job will be through at
// its pace so far, if it reports one.
func pollAfter(j job.Job) time.Duration {
	if j.State.Final() {
		return 0
	}
	p, ran := j.Progress, time.Since(j.Started)
	if j.Started.IsZero() || p.Done <= 0 || p.Total <= p.Done {
		return defaultPoll
	}
	left := float64(ran) * (p.Total - p.Done) / p.Done
	return time.Duration(min(max(left, float64(minPoll)), float64(maxPoll)))
}
