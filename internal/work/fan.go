package work

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Fan calls f for every i from 0 to n-1, on several cores if it can get them,
// and returns when all calls have returned. The first error ends the context
// of the other calls, lets no more of them begin, and is returned; the end of
// ctx does the same. A panic of f is passed on to the caller as a *Panic.
//
// The caller's goroutine works too, with its own ticket from ctx. Each further
// goroutine first waits for its fair turn and a ticket of its own, which f
// finds in its context; those that get none leave all of it to the others. The
// caller gives its turn up while it waits for the last calls. So Fan holds no
// core idle and takes none out of turn. There are at most as many goroutines as
// tickets, or as GOMAXPROCS if ctx has no ticket. If ctx ends, the caller's
// ticket may have been released, as by Yield.
//
// Results must not depend on which goroutine computes what: let call i write
// only to element i.
func Fan(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	if n <= 0 {
		return nil
	}
	own := FromContext(ctx)
	limit := runtime.GOMAXPROCS(0)
	if own != nil {
		limit = own.s.size()
	}
	workCtx, cancel := context.WithCancel(ctx)
	w := &fan{n: int64(n), f: f, cancel: cancel}
	waitCtx, enough := context.WithCancel(workCtx) // ends when no call is left to begin

	var others sync.WaitGroup
	defer others.Wait() // also when f ends the caller's goroutine
	defer cancel()
	for range min(n, limit) - 1 {
		others.Go(func() {
			ticket, err := own.another(waitCtx)
			if err != nil {
				return
			}
			defer ticket.Release()
			ticket.Watch(workCtx)
			w.helping.Add(1)
			defer w.helping.Add(-1)
			w.work(NewContext(workCtx, ticket))
		})
	}
	w.work(workCtx)
	enough()
	var err error
	if w.helping.Load() > 0 { // who starts to help now finds nothing to do
		err = own.rest(ctx, others.Wait)
	} else {
		others.Wait()
	}

	switch {
	case w.panicked != nil:
		panic(w.panicked)
	case w.err != nil:
		return w.err
	case err == nil && w.done.Load() < w.n:
		return ended(ctx)
	}
	return err
}

// Panic is what a panic of a fanned-out call becomes on its caller's goroutine.
type Panic struct {
	Value any    // of the original panic
	Stack []byte // of the goroutine where it happened
}

// Error returns the value and the stack: for logs, never for a caller.
func (p *Panic) Error() string {
	return fmt.Sprintf("panic in a fanned-out call: %v\n\n%s", p.Value, p.Stack)
}

// Unwrap returns the value if it is an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// fan is one call of Fan.
type fan struct {
	n      int64
	f      func(context.Context, int) error
	cancel context.CancelFunc
	next   atomic.Int64 // the next i to be taken
	done   atomic.Int64 // calls that returned

	helping atomic.Int32 // goroutines beside the caller's that make calls

	failed   sync.Once // guards the first failure:
	err      error
	panicked *Panic
}

var errExit = errors.New("a fanned-out call ended its goroutine")

// work makes calls until none is left or one has failed.
func (w *fan) work(ctx context.Context) {
	for ctx.Err() == nil {
		i := w.next.Add(1) - 1
		if i >= w.n || !w.call(ctx, int(i)) {
			return
		}
	}
}

// call makes one call and reports whether it went well.
func (w *fan) call(ctx context.Context, i int) (ok bool) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if value := recover(); value != nil {
			w.fail(nil, &Panic{Value: value, Stack: debug.Stack()})
		} else {
			w.fail(errExit, nil)
		}
	}()
	err := w.f(ctx, i)
	returned = true
	w.done.Add(1)
	if err != nil {
		w.fail(err, nil)
	}
	return err == nil
}

func (w *fan) fail(err error, p *Panic) {
	w.failed.Do(func() { w.err, w.panicked = err, p })
	w.cancel()
}
