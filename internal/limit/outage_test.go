package limit

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// disk is a Source whose process can be killed: what Save has acknowledged stays.
// It fails when it is told to, and can die at any call, before or after what the
// call does has happened.
type disk struct {
	mu    sync.Mutex
	data  map[Key]int64 // under mu
	calls int           // under mu
	fail  error         // under mu
	dead  bool          // under mu
	// die, at its calls-th call, kills the process; landed says whether the call
	// still reached the disk.
	die    int
	landed bool
}

var errDead = errors.New("the process is dead")

func newDisk() *disk { return &disk{data: map[Key]int64{}} }

// step is called under d.mu. It reports whether the call takes effect.
func (d *disk) step() (effect bool, err error) {
	d.calls++
	switch {
	case d.dead:
		return false, errDead
	case d.calls == d.die:
		d.dead = true
		return d.landed, errDead
	}
	return d.fail == nil, d.fail
}

func (d *disk) Load(_ context.Context, k Key) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.step()
	return d.data[k], err
}

func (d *disk) Save(_ context.Context, records []Record) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	effect, err := d.step()
	if effect {
		for _, r := range records {
			d.data[r.Key] = r.Used
		}
	}
	return err
}

func (d *disk) set(fail error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}

func (d *disk) asked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

// survivor is the disk as the next process finds it.
func (d *disk) survivor() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &disk{data: maps.Clone(d.data)}
}

// TestQuotaDown: closed refuses what it cannot count, open goes on with what it
// knows, and both are right again when the source is.
func TestQuotaDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newDisk()
		c := daily(10, 2)
		l := limiter(t, c, source)
		take(t, l, call("a", "k", "op"))
		source.set(errors.New("disk full"))
		allowed := 0
		var d Decision
		for {
			var r *Reservation
			if r, d = l.Charge(t.Context(), call("a", "k", "op")); !d.Allowed {
				break
			}
			r.Settle(Usage{})
			allowed++
		}
		f := d.Fault()
		if allowed != 2 || f.Kind != fault.Unavailable || f.Code != "quota_unavailable" || f.RetryAfter != sourceRest {
			t.Errorf("closed: %d calls of the lease of 2, then %+v", allowed, f)
		}
		asked := source.asked()
		for range 100 {
			l.Charge(t.Context(), call("a", "k", "op"))
		}
		if n := source.asked() - asked; n != 0 {
			t.Errorf("a source that has just failed was asked %d times", n)
		}
		source.set(nil)
		time.Sleep(sourceRest)
		if got := take(t, l, call("a", "k", "op")); got != "" {
			t.Errorf("when it is back: %q", got)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}

		source = source.survivor() // 4 of 10 used
		source.set(errors.New("no such host"))
		c.Quotas[0].OnFailure, c.Quotas[1].OnFailure = Open, Open
		l = limiter(t, c, source)
		for i := range 6 {
			if got := take(t, l, call("a", "k", "op")); got != "" {
				t.Errorf("open: call %d refused by %q", i, got)
			}
		}
		if st := l.Stats(); st.SourceFailures == 0 || st.Unsaved == 0 {
			t.Errorf("nobody counted: %+v", st)
		}
		source.set(nil)
		time.Sleep(sourceRest)
		if err := l.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := take(t, l, call("a", "k", "op")); got != "owner_day" {
			t.Errorf("4 of the last process and 6 of this one are 10: refused by %q", got)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if used := slices.Sorted(maps.Values(source.survivor().data)); !slices.Equal(used, []int64{10, 10}) {
			t.Errorf("saved %v, want 10 and 10", used)
		}
	})
}

// slow is a Source that takes a second, and panics when it is told to.
type slow struct {
	Source
	panics atomic.Bool
}

func (s *slow) Load(ctx context.Context, k Key) (int64, error) {
	time.Sleep(time.Second)
	if s.panics.Load() {
		panic("a bug in the store")
	}
	return s.Source.Load(ctx, k)
}

// TestQuotaWaiters: one asks, the others wait, a caller that goes away does not
// take the lease along, and a panic in the source holds nobody for ever.
func TestQuotaWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{Source: NewMemory()}
		l := limiter(t, daily(100, 50), s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var gone, in atomic.Int64
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				on := t.Context()
				if i%2 == 0 {
					on = ctx
				}
				if r, d := l.Charge(on, call("a", "k", "op")); d.Allowed {
					in.Add(1)
					r.Settle(Usage{})
				} else if d.Fault().Kind == fault.Timeout {
					gone.Add(1)
				}
			})
		}
		wg.Wait()
		if in.Load()+gone.Load() != 20 || in.Load() < 10 {
			t.Errorf("%d in, %d gone", in.Load(), gone.Load())
		}

		s.panics.Store(true)
		func() {
			defer func() { _ = recover() }()
			l.Charge(t.Context(), call("b", "k", "op"))
			t.Error("the panic was lost")
		}()
		s.panics.Store(false)
		if got := take(t, l, call("b", "k", "op")); got != "" {
			t.Errorf("after the panic: %q", got)
		}
	})
}

// TestQuotaDownMixed: a closed quota beside an open one refuses, and the open one
// is not charged for it.
func TestQuotaDownMixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newDisk()
		source.set(errors.New("disk full"))
		c := daily(10, 2)
		c.Quotas[0].OnFailure = Open
		l := limiter(t, c, source)
		if _, d := l.Charge(t.Context(), call("a", "k", "op")); d.Allowed || d.Fault().Code != "quota_unavailable" {
			t.Errorf("%+v", d)
		}
		source.set(nil)
		time.Sleep(sourceRest)
		for i := range 10 {
			if got := take(t, l, call("a", "k", "op")); got != "" {
				t.Errorf("call %d: %q", i, got)
			}
		}
		if st := stat(t, l, "tenant_day"); st.Allowed != 10 {
			t.Errorf("%+v", st)
		}
	})
}
