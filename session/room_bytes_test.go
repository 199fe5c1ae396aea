package session

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

var block = NewSlot[string]("block")

// blockSize is what put makes a session hold.
const blockSize = 1000

// put makes the session hold n blocks in one slot.
func put(t *testing.T, h *Handle, n int) error {
	t.Helper()
	overhead := int(slotSize("block", []byte(`{"schema":1,"data":""}`)))
	return block.Update(t.Context(), h, func(s *string) error { *s = strings.Repeat("x", n*blockSize-overhead); return nil })
}

// holder opens an idle session with n blocks.
func holder(t *testing.T, d *Directory, o Owner, n int) ID {
	t.Helper()
	h := mustOpen(t, d, o, Params{})
	defer tick()
	defer h.Release()
	if err := put(t, h, n); err != nil {
		t.Fatalf("put %d blocks: %v", n, err)
	}
	return h.ID()
}

func wantFault(t *testing.T, err error, kind fault.Kind, code string) {
	t.Helper()
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Kind != kind || f.Code != code {
		t.Errorf("got %v, want %v %s", err, kind, code)
	}
}

func byteCaps(t *testing.T, fn func(t *testing.T, open func(Config) *Directory)) {
	for name, open := range map[string]func(*testing.T, Config) *Directory{
		"memory": func(_ *testing.T, cfg Config) *Directory { return New(cfg, nil) },
		"store": func(t *testing.T, cfg Config) *Directory {
			d, _ := mustRestore(t, cfg, newFakeStore())
			return d
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fn(t, func(cfg Config) *Directory { return open(t, cfg) })
			})
		})
	}
}

func TestOwnerBytes(t *testing.T) {
	byteCaps(t, func(t *testing.T, open func(Config) *Directory) {
		d := open(Config{MaxBytesPerOwner: 5 * blockSize})
		empty := mustIdle(t, d, alice, Params{})
		tick()
		a, b := holder(t, d, alice, 2), holder(t, d, alice, 2)
		others := holder(t, d, bob, 5)
		c := mustOpen(t, d, alice, Params{})
		if err := put(t, c, 1); err != nil { // just fits
			t.Fatal(err)
		}
		if q := d.Usage(alice); q != (Quota{Sessions: 4, MaxSessions: DefaultMaxPerOwner, Bytes: 5 * blockSize, MaxBytes: 5 * blockSize}) {
			t.Errorf("quota %+v", q)
		}
		if err := put(t, c, 2); err != nil {
			t.Fatal(err)
		}
		if has(d, alice, a) || !has(d, alice, b) || !has(d, alice, empty) || !has(d, bob, others) {
			t.Error("want that the owner's least recent session with state goes, and only that")
		}
		held := mustAcquire(t, d, alice, b)
		version := c.Version()
		wantFault(t, put(t, c, 4), fault.TooLarge, "owner_bytes_exceeded")
		if c.Version() != version || len(mustRead(t, block, c)) > 2*blockSize {
			t.Error("a refused commit has changed something")
		}
		held.Release()
		wantFault(t, put(t, c, 6), fault.TooLarge, "owner_bytes_exceeded") // alone too much
		if !has(d, alice, b) {
			t.Error("a session ended although that made no room")
		}
		if err := put(t, c, 5); err != nil || has(d, alice, b) {
			t.Errorf("all for one: %v", err)
		}
		c.Release()
		if st := d.Stats(); st.Ended[ReasonOwnerCap] != 2 {
			t.Errorf("stats %+v", st)
		}
		checkInvariants(t, d)
		if err := d.Delete(t.Context(), alice, c.ID()); err != nil || d.Usage(alice).Bytes != 0 {
			t.Errorf("quota after the end: %+v", d.Usage(alice))
		}
	})
}

func TestTenantBytes(t *testing.T) {
	byteCaps(t, func(t *testing.T, open func(Config) *Directory) {
		d := open(Config{MaxBytesPerTenant: 8 * blockSize, MaxBytesPerOwner: 8 * blockSize})
		dave := Owner{"acme", "https://issuer.example", "dave"}
		small := holder(t, d, alice, 2) // the least recent, but not of the heaviest owner
		first, second := holder(t, d, bob, 2), holder(t, d, bob, 3)
		other := holder(t, d, carol, 8)
		h := mustOpen(t, d, dave, Params{})
		if err := put(t, h, 2); err != nil {
			t.Fatal(err)
		}
		if has(d, bob, first) || !has(d, bob, second) || !has(d, alice, small) || !has(d, carol, other) {
			t.Error("want that the least recent session of the tenant's heaviest owner goes")
		}
		one, two := mustAcquire(t, d, alice, small), mustAcquire(t, d, bob, second)
		wantFault(t, put(t, h, 4), fault.TooLarge, "tenant_bytes_exceeded")
		checkInvariants(t, d) // what was reserved for it is given back
		one.Release()
		two.Release()
		h.Release()
		if st := d.Stats(); st.Ended[ReasonTenantCap] != 1 {
			t.Errorf("stats %+v", st)
		}
		checkInvariants(t, d)
	})
}

func TestTotalBytes(t *testing.T) {
	byteCaps(t, func(t *testing.T, open func(Config) *Directory) {
		limit := int64(8 * blockSize)
		d := open(Config{MaxBytesTotal: limit, MaxBytesPerTenant: limit, MaxBytesPerOwner: limit})
		small := holder(t, d, alice, 2)
		first, second := holder(t, d, carol, 3), holder(t, d, carol, 2)
		h := mustOpen(t, d, bob, Params{})
		if err := put(t, h, 2); err != nil {
			t.Fatal(err)
		}
		if has(d, carol, first) || !has(d, carol, second) || !has(d, alice, small) {
			t.Error("want that the least recent session of the heaviest tenant goes")
		}
		one, two := mustAcquire(t, d, alice, small), mustAcquire(t, d, carol, second)
		err := put(t, h, 5)
		wantOverloaded(t, err, "store_full")
		one.Release()
		two.Release()
		h.Release()
		if st := d.Stats(); st.Ended[ReasonGlobalCap] != 1 || st.Refused != 1 {
			t.Errorf("stats %+v", st)
		}
		checkInvariants(t, d)
	})
}

// Many commit at once at the cap: it holds, and nothing that was reserved stays.
func TestByteCapsUnderConcurrency(t *testing.T) {
	d, _ := mustRestore(t, Config{MaxBytesPerOwner: 6 * blockSize, MaxBytesPerTenant: 9 * blockSize, MaxBytesTotal: 9 * blockSize}, newFakeStore())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			o := []Owner{alice, bob, carol}[i%3]
			for n := range 60 {
				h, err := d.Open(t.Context(), o, Params{})
				if err != nil {
					t.Errorf("open: %v", err)
					return
				}
				if err := put(t, h, 1+n%4); err != nil && fault.KindOf(err) != fault.TooLarge && fault.KindOf(err) != fault.Overloaded {
					t.Errorf("put: %v", err)
				}
				if n%5 == 0 {
					_ = d.Delete(t.Context(), o, h.ID())
				}
				h.Release()
			}
		})
	}
	wg.Wait()
	mustFlush(t, d)
	checkInvariants(t, d)
	if got, most := d.Stats().Bytes, int64(9*blockSize); got > most {
		t.Errorf("%d bytes, more than %d", got, most)
	}
}
