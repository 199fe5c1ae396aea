// Package budgettest stands in for the goroutines and the storage that a
// computation is given, for the tests of algorithms.
package budgettest

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Fan returns a budget.Fan over a number of goroutines, each of which takes the
// next call as soon as it has returned from one.
func Fan(workers int) func(context.Context, int, func(context.Context, int) error) error {
	return func(ctx context.Context, n int, f func(context.Context, int) error) error {
		errs := make([]error, n)
		var wg sync.WaitGroup
		var next atomic.Int64
		for range min(workers, n) {
			wg.Go(func() {
				for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
					errs[i] = f(ctx, int(i))
				}
			})
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// Disk is a budget.Durable that keeps everything in memory and for which a state
// is always due. It belongs to one goroutine.
type Disk struct {
	StopAfter int // states after which the process wants to stop; 0 is never
	Limit     int // bytes of a state; 0 is none

	State    json.RawMessage // to resume, and the last one kept
	Saved    int             // states kept
	Refused  int             // and refused
	Shown    int             // partial results
	Asked    bool            // whether Restartable was called
	stop     chan struct{}
	stopping bool
}

// Restartable notes that it was called.
func (d *Disk) Restartable() error {
	d.Asked = true
	return nil
}

// Resume returns the state.
func (d *Disk) Resume() (json.RawMessage, bool) { return d.State, d.State != nil }

// Due is always true.
func (d *Disk) Due() bool { return true }

// Checkpoint keeps a state, and begins to stop after the last one.
func (d *Disk) Checkpoint(data json.RawMessage) error {
	if d.Limit > 0 && len(data) > d.Limit {
		d.Refused++
		return fault.Newf(fault.TooLarge, "%d bytes", len(data))
	}
	d.State = bytes.Clone(data)
	if d.Saved++; d.Saved == d.StopAfter {
		d.BeginStop()
	}
	return nil
}

// Partial counts.
func (d *Disk) Partial(json.RawMessage) error {
	d.Shown++
	return nil
}

// BeginStop makes the process want to stop.
func (d *Disk) BeginStop() {
	d.Stop()
	if !d.stopping {
		d.stopping = true
		close(d.stop)
	}
}

// Stop returns the channel that BeginStop closes.
func (d *Disk) Stop() <-chan struct{} {
	if d.stop == nil {
		d.stop = make(chan struct{})
	}
	return d.stop
}

// Again returns what the next process finds.
func (d *Disk) Again() *Disk {
	return &Disk{StopAfter: d.StopAfter, Limit: d.Limit, State: d.State}
}
