package session

import (
	"errors"
	"fmt"
	"sync"
	"testing"
)

// Owners share, revoke and end while grantees use and commit.
func TestSharingInParallel(t *testing.T) {
	d := New(Config{MaxPerOwner: 4, Shards: 3}, nil)
	slot := NewSlot[int]("n")
	var ids sync.Map
	var all sync.WaitGroup
	for i := range 4 {
		owner := Owner{"acme", "i", fmt.Sprint(i)}
		next := Grantee{Subject: fmt.Sprint((i + 1) % 4)}
		all.Go(func() {
			for n := range 200 {
				h, err := d.Open(t.Context(), owner, Params{})
				if err != nil {
					t.Error(err)
					return
				}
				ids.Store(i, h.ID())
				if _, err := h.Share(t.Context(), next, AccessWrite, 0); err != nil {
					t.Error(err)
				}
				if n%3 == 0 {
					if _, err := h.Unshare(t.Context(), next); err != nil {
						t.Error(err)
					}
					before := h.Version()
					d.Granted(granteeOf(owner, next))
					if h.Version() != before {
						t.Error("a commit followed the revocation")
					}
				}
				if h.Release(); n%2 == 0 {
					if err := d.Delete(t.Context(), owner, h.ID()); err != nil && err != errMiss {
						t.Error(err)
					}
				}
			}
		})
		all.Go(func() {
			guest := granteeOf(owner, next)
			for range 400 {
				id, ok := ids.Load(i)
				if !ok {
					continue
				}
				h, err := d.Acquire(t.Context(), guest, id.(ID))
				if err != nil {
					if err != errMiss {
						t.Error(err)
					}
					continue
				}
				if err := slot.Update(t.Context(), h, func(n *int) error { *n++; return nil }); err != nil && !errors.Is(err, errMiss) {
					t.Error(err)
				}
				h.Release()
				d.Granted(guest)
			}
		})
		all.Go(func() {
			for range 20 {
				if _, err := d.RevokeAll(t.Context(), func(o Owner) bool { return o.Subject == next.Subject }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	checkInvariants(t, d)
}
